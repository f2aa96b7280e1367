"""Recurrent operations, over [steps, batch, input]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import recurrent
from .mil_context import MilContext, MilConverter
from .recurrent import Activation, Cell


def _function(n: MilContext, key: str, default: str) -> Activation:
    return recurrent.function(n, n.text(key, default).lower())


def _cell(n: MilContext, gates: int, end: str = "", order: Sequence[int] | None = None) -> Cell:
    """The weights of a direction, whose arguments end with ``end``, gates in ``order``."""
    w, r, b = (n.value(f"{key}{end}") for key in ("weight_ih", "weight_hh", "bias"))
    if w is None or r is None or w.ndim != 2 or r.ndim != 2:
        n.error("its weights are missing, or no matrices.")
    hidden, width = r.shape[1], w.shape[1]
    if w.shape[0] != gates * hidden or r.shape[0] != gates * hidden:
        n.error(f"weights {list(w.shape)} and {list(r.shape)} do not fit {gates} gates.")
    b = np.zeros(gates * hidden, np.float32) if b is None else b
    w, r = w.reshape(gates, hidden, width), r.reshape(gates, hidden, hidden)
    b = b.reshape(gates, hidden)
    at = list(order or range(gates))
    return Cell(n, w[at], r[at], b[at])


def _backward(n: MilContext) -> bool:
    direction = n.text("direction", "forward")
    if direction not in ("forward", "reverse"):
        n.error(f"there is no direction {direction!r}.")
    return direction == "reverse"


def _results(n: MilContext, outputs: Sequence[str], last: Sequence[str]) -> list[str]:
    """The sequence, or the last output as one of a step; then the states."""
    if n.flag("output_sequence"):
        return [recurrent.joined(n, outputs), *last]
    return [n.reshaped(last[0], (1, *n.shaped(last[0]))), *last]


def _rnn(n: MilContext) -> list[str]:
    f = _function(n, "activation", "tanh")
    state = [n.arg("initial_h")]
    return _results(n, *recurrent.simple(_cell(n, 1), n.arg("x"), state, f, _backward(n)))


def _gru(n: MilContext) -> list[str]:
    """Gates in the file are reset, output, update."""
    cell, late = _cell(n, 3, order=(2, 0, 1)), None
    if n.flag("reset_after"):
        # ``bias`` is that of the state, ``input_bias`` that of the input.
        given = n.value("input_bias")
        inputs = np.zeros_like(cell.bias) if given is None else given.reshape(3, -1)[[2, 0, 1]]
        late, both = cell.bias[2], cell.bias + inputs
        both[2] = inputs[2]
        cell = Cell(n, cell.weights, cell.recursion, both)
    elif n.has("input_bias"):
        given = n.value("input_bias")
        assert given is not None
        added = cell.bias + given.reshape(3, -1)[[2, 0, 1]]
        cell = Cell(n, cell.weights, cell.recursion, added)
    functions = [
        _function(n, "recurrent_activation", "sigmoid"), _function(n, "activation", "tanh")
    ]  # fmt: skip
    state = [n.arg("initial_h")]
    return _results(n, *recurrent.gru(cell, n.arg("x"), state, functions, _backward(n), late))


def _lstm(n: MilContext) -> list[str]:
    both = n.text("direction", "forward") == "bidirectional"
    functions = [
        _function(n, "recurrent_activation", "sigmoid"),
        _function(n, "cell_activation", "tanh"),
        _function(n, "activation", "tanh"),
    ]
    limit = float(n.number("clip", 0.0))
    runs = []
    for k, end in enumerate(("", "_back") if both else ("",)):
        cell, peepholes = _cell(n, 4, end), n.value(f"peephole{end}")
        if peepholes is not None:
            peepholes = peepholes.reshape(3, cell.hidden)
        state = [_part(n, n.arg(key), k, cell.hidden, both) for key in ("initial_h", "initial_c")]
        runs.append(recurrent.lstm(
            cell, n.arg("x"), state, functions, bool(k) if both else _backward(n),
            peepholes=peepholes, cell_limit=limit,
        ))  # fmt: skip
    if not both:
        return _results(n, *runs[0])
    joined = [
        [n.add("concat", list(pair), axis=1) for pair in zip(*side)]
        for side in (tuple(r[0] for r in runs), tuple(r[1] for r in runs))
    ]
    return _results(n, *joined)


def _part(n: MilContext, state: str, k: int, hidden: int, both: bool) -> str:
    """The state of a direction: both lie side by side."""
    if not both:
        return state
    return n.add("slice", [state], starts=(0, k * hidden), shape=(n.shaped(state)[0], hidden))


CONVERTERS: dict[str, MilConverter] = {"gru": _gru, "lstm": _lstm, "rnn": _rnn}
