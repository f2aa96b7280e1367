"""Recurrent layers, over [steps, batch, channels, 1, 1].

Further inputs are the states before the first step, further outputs those after the last one,
[1, batch, channels, 1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import recurrent
from .layer_context import LayerContext, LayerConverter
from .nn_math import activation
from .recurrent import Activation, Cell

_LIMIT = 50.0  # of sums before an activation, and of a cell where the layer says nothing


def _sequence(n: LayerContext, width: int) -> str:
    shape = n.shape
    if len(shape) != 5 or shape[2:] != (width, 1, 1):
        n.error(f"it takes [steps, batch, {width}, 1, 1], not {list(shape)}.")
    return n.reshaped(n.x, shape[:3])


def _state(n: LayerContext, i: int, hidden: int) -> str:
    """The state that input ``i`` is, zeros where it is absent."""
    batch = n.shape[1]
    if n.input(i):
        return n.reshaped(n.inputs[i], (batch, hidden))
    return n.constant(np.zeros((batch, hidden), np.float32))


def _result(n: LayerContext, outputs: Sequence[str], last: str, whole: bool) -> str:
    """[steps or 1, batch, channels, 1, 1]"""
    y = recurrent.joined(n, outputs) if whole else n.reshaped(last, (1, *n.shaped(last)))
    return n.reshaped(y, (*n.shaped(y), 1, 1))


def _out(n: LayerContext, state: str) -> str:
    batch, hidden = n.shaped(state)
    return n.reshaped(state, (1, batch, hidden, 1, 1))


def _gates(n: LayerContext, p: Any, fields: Sequence[str], *shape: int) -> np.ndarray:
    return np.stack([n.array(getattr(p, f), *shape) for f in fields])


_FIXED = {"linear": "linear", "scaledTanh": "scaled_tanh", "sigmoidHard": "hard_sigmoid"}


def _function(n: LayerContext, told: Any) -> Activation:
    """An activation; where it states no numbers, those of recurrent layers, not 0."""
    for field, name in _FIXED.items():
        if told.HasField(field):
            numbers = getattr(told, field)
            if not numbers.alpha and not numbers.beta:
                return recurrent.function(n, name)
    return activation(n, told)


def _functions(n: LayerContext, told: Sequence[Any], count: int) -> list[Activation]:
    if len(told) != count:
        n.error(f"it has {len(told)} activations, not {count}.")
    return [_function(n, a) for a in told]


def _simple(n: LayerContext) -> Sequence[str]:
    p = n.p
    ins, hidden = p.inputVectorSize, p.outputVectorSize
    w, r = n.array(p.weightMatrix, hidden, ins), n.array(p.recursionMatrix, hidden, hidden)
    b = n.array(p.biasVector, hidden) if p.hasBiasVector else np.zeros(hidden, np.float32)
    cell, f = Cell(n, w[None], r[None], b[None], _LIMIT), _function(n, p.activation)
    x, state = _sequence(n, ins), [_state(n, 1, hidden)]
    outputs, last = recurrent.simple(cell, x, state, f, p.reverseInput)
    return [_result(n, outputs, last[0], p.sequenceOutput), _out(n, last[0])]


def _gru(n: LayerContext) -> Sequence[str]:
    p = n.p
    ins, hidden = p.inputVectorSize, p.outputVectorSize
    names = ("updateGate", "resetGate", "outputGate")
    w = _gates(n, p, [f"{g}WeightMatrix" for g in names], hidden, ins)
    r = _gates(n, p, [f"{g}RecursionMatrix" for g in names], hidden, hidden)
    b = np.zeros((3, hidden), np.float32)
    if p.hasBiasVectors:
        b = _gates(n, p, [f"{g}BiasVector" for g in names], hidden)
    x, state = _sequence(n, ins), [_state(n, 1, hidden)]
    outputs, last = recurrent.gru(
        Cell(n, w, r, b, _LIMIT), x, state, _functions(n, p.activations, 2), p.reverseInput
    )
    return [_result(n, outputs, last[0], p.sequenceOutput), _out(n, last[0])]


def _direction(
    n: LayerContext, weights: Any, told: Sequence[Any], first: int, backward: bool
) -> tuple[list[str], list[str]]:
    """One LSTM: its outputs, its last state; ``first`` is the input that is its state."""
    p, params = n.p, n.p.params
    ins, hidden = p.inputVectorSize, p.outputVectorSize
    names = ("inputGate", "forgetGate", "outputGate", "blockInput")
    w = _gates(n, weights, [f"{g}WeightMatrix" for g in names], hidden, ins)
    r = _gates(n, weights, [f"{g}RecursionMatrix" for g in names], hidden, hidden)
    b = np.zeros((4, hidden), np.float32)
    if params.hasBiasVectors:
        b = _gates(n, weights, [f"{g}BiasVector" for g in names], hidden)
    if params.forgetBias:
        b[1] += 1
    peepholes = None
    if params.hasPeepholeVectors:
        peepholes = _gates(n, weights, [f"{g}PeepholeVector" for g in names[:3]], hidden)
    state = [_state(n, first, hidden), _state(n, first + 1, hidden)]
    return recurrent.lstm(
        Cell(n, w, r, b, _LIMIT), _sequence(n, ins), state, _functions(n, told, 3), backward,
        peepholes=peepholes, cell_limit=params.cellClipThreshold or _LIMIT,
        coupled=params.coupledInputAndForgetGate,
    )  # fmt: skip


def _lstm(n: LayerContext) -> Sequence[str]:
    p = n.p
    outputs, last = _direction(n, p.weightParams, p.activations, 1, p.reverseInput)
    y = _result(n, outputs, last[0], p.params.sequenceOutput)
    return [y, *(_out(n, s) for s in last)]


def _both(n: LayerContext) -> Sequence[str]:
    p = n.p
    if len(p.weightParams) != 2:
        n.error(f"it has weights of {len(p.weightParams)} directions, not of two.")
    told = p.activationsForwardLSTM, p.activationsBackwardLSTM or p.activationsForwardLSTM
    runs = [
        _direction(n, w, a, 1 + 2 * k, bool(k))
        for k, (w, a) in enumerate(zip(p.weightParams, told))
    ]
    outputs = [n.add("concat", [a, b], axis=1) for a, b in zip(runs[0][0], runs[1][0])]
    last = n.add("concat", [runs[0][1][0], runs[1][1][0]], axis=1)
    y = _result(n, outputs, last, p.params.sequenceOutput)
    return [y, *(_out(n, s) for _, state in runs for s in state)]


CONVERTERS: dict[str, LayerConverter] = {
    "biDirectionalLSTM": _both,
    "gru": _gru,
    "simpleRecurrent": _simple,
    "uniDirectionalLSTM": _lstm,
}
