"""Recurrent networks, unrolled over their sequence, whose length is static.

Their states are variables of the file, which hold zeros when a call begins: weft's programs keep
nothing from one call to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .context import BOUNDS, NONE, RELU, Converter, TfliteContext
from .quantised import through_floats

MAX_STEPS = 1 << 12  # unrolled
_TANH = 4


def _activated(n: TfliteContext, x: str) -> str:
    code = n.attr("fused_activation_function", NONE)
    if code == _TANH:
        return n.add("tanh", [x])
    if code == RELU:
        return n.add("relu", [x])
    if code not in BOUNDS:
        n.unsupported(f"the activation is {code}")
    low, high = BOUNDS[code]
    return x if low is None else n.add("clip", [x], min=low, max=high)


def _product(n: TfliteContext, x: str, w: int, bias: int = -1) -> str:
    """``x`` times the transposed weights of an input, plus the bias of another."""
    y = n.add("matmul", [x, n.add("transpose", [n.inputs[w]], perm=(1, 0))])
    return n.add("add", [y, n.inputs[bias]]) if bias >= 0 and n.input(bias) else y


def _steps(n: TfliteContext, time_major: bool) -> tuple[list[str], int]:
    """The data of each step, [batch, features], and the axis of time."""
    t = n.required(0)
    if len(t.shape) != 3:
        n.error(f"it takes sequences, not {t}.")
    axis = 0 if time_major else 1
    if t.shape[axis] > MAX_STEPS:
        n.unsupported(f"a sequence of {t.shape[axis]} steps; {MAX_STEPS} is the most")
    shape = list(t.shape)
    shape[axis] = 1
    found = []
    for k in range(t.shape[axis]):
        starts = [0, 0, 0]
        starts[axis] = k
        part = n.add("slice", n.inputs[:1], starts=tuple(starts), shape=tuple(shape))
        found.append(n.reshape(part, (t.shape[1 - axis], t.shape[2])))
    return found, axis


def _joined(n: TfliteContext, outputs: Sequence[str], axis: int) -> str:
    if not outputs:
        n.unsupported("a sequence of no steps")
    shape = list(n.typeof(outputs[0]).shape)
    shape.insert(axis, 1)
    return n.add("concat", [n.reshape(y, shape) for y in outputs], axis=axis)


Step = Callable[[str, list[str]], tuple[str, list[str]]]


def _run(n: TfliteContext, step: Step, state: list[str], time_major: bool) -> str:
    parts, axis = _steps(n, time_major)
    outputs = []
    for x in parts:
        y, state = step(x, state)
        outputs.append(y)
    return _joined(n, outputs, axis)


# -- plain recurrence


def _rnn_step(n: TfliteContext, at: int) -> Step:
    """Weights of the data, of the state, and the bias are the inputs from ``at`` on."""

    def step(x: str, state: list[str]) -> tuple[str, list[str]]:
        total = n.add("add", [_product(n, x, at, at + 2), _product(n, state[0], at + 1)])
        y = _activated(n, total)
        return y, [y]

    return step


def _rnn(n: TfliteContext) -> str:
    return _rnn_step(n, 1)(n.inputs[0], [n.inputs[4]])[0]


def _sequence_rnn(n: TfliteContext) -> str:
    return _run(n, _rnn_step(n, 1), [n.inputs[4]], bool(n.attr("time_major", False)))


def _both_ways_rnn(n: TfliteContext) -> Sequence[str]:
    if any(n.input(k) for k in range(9, 12)):
        n.unsupported("data of its own for each direction")
    parts, axis = _steps(n, bool(n.attr("time_major", False)))
    made = []
    for at, order in ((1, 1), (5, -1)):
        step, state, outputs = _rnn_step(n, at), [n.inputs[at + 3]], []
        for x in parts[::order]:
            y, state = step(x, state)
            outputs.append(y)
        made.append(_joined(n, outputs[::order], axis))
    if n.attr("merge_outputs", False):
        return [n.add("concat", made, axis=2)]
    return made


# -- long short-term memory


def _lstm_step(n: TfliteContext) -> Step:
    """Inputs 1 to 4 are the weights of the data by gate, 5 to 8 of the state, 9 to 11 of the cell
    (there is none for the new cell), 12 to 15 the biases, 16 and 17 a projection."""
    if any(n.input(k) for k in range(20, 24)):
        n.unsupported("layer normalisation in its gates")
    joint = not n.input(1)  # what is not forgotten is written
    clip, clip_out = n.attr("cell_clip", 0.0), n.attr("proj_clip", 0.0)

    def gate(k: int, x: str, h: str, cell: str = "", peephole: int = 0) -> str:
        total = n.add("add", [_product(n, x, 1 + k, 12 + k), _product(n, h, 5 + k)])
        if peephole and n.input(peephole):
            total = n.add("add", [total, n.add("mul", [cell, n.inputs[peephole]])])
        return total

    def bounded(x: str, limit: float) -> str:
        return n.add("clip", [x], min=-limit, max=limit) if limit > 0 else x

    def step(x: str, state: list[str]) -> tuple[str, list[str]]:
        h, c = state
        forget = n.add("sigmoid", [gate(1, x, h, c, 10)])
        if joint:
            write = n.add("sub", [n.full(1, forget), forget])
        else:
            write = n.add("sigmoid", [gate(0, x, h, c, 9)])
        new = _activated(n, gate(2, x, h))
        c = n.add("add", [n.add("mul", [forget, c]), n.add("mul", [write, new])])
        c = bounded(c, clip)
        shown = n.add("sigmoid", [gate(3, x, h, c, 11)])
        h = n.add("mul", [shown, _activated(n, c)])
        if n.input(16):
            h = bounded(_product(n, h, 16, 17), clip_out)
        return h, [h, c]

    return step


def _lstm(n: TfliteContext) -> Sequence[str]:
    if n.attr("kernel_type", 0) or n.n_outputs != 1:
        n.unsupported("the cell of five inputs")
    return [_lstm_step(n)(n.inputs[0], n.inputs[18:20])[0]]


def _sequence_lstm(n: TfliteContext) -> str:
    if n.attr("diagonal_recurrent_tensors", False):
        n.unsupported("diagonal weights of the state")
    return _run(n, _lstm_step(n), n.inputs[18:20], bool(n.attr("time_major", False)))


# -- a filter over the past, of low rank


def _svdf(n: TfliteContext) -> str:
    """The newest features come behind those of the past; each filter weighs them over time, and
    ``rank`` filters make a unit."""
    features, times = n.required(1), n.required(2)
    rank, batch = n.attr("rank"), n.required(0).shape[0]
    filters, memory = times.shape
    if rank < 1 or filters % rank or features.shape[0] != filters:
        n.error(f"{filters} filters of rank {rank} over weights {features}.")
    past = n.reshape(n.inputs[4], (batch, filters, memory))
    newest = n.reshape(_product(n, n.inputs[0], 1), (batch, filters, 1))
    if memory > 1:
        kept = n.add("slice", [past], starts=(0, 0, 1), shape=(batch, filters, memory - 1))
        newest = n.add("concat", [kept, newest], axis=2)
    total = n.add("reduce_sum", [n.add("mul", [newest, n.inputs[2]])], axes=(2,), keepdims=False)
    total = n.reshape(total, (batch, filters // rank, rank))
    y = n.add("reduce_sum", [total], axes=(2,), keepdims=False)
    return _activated(n, n.add("add", [y, n.inputs[3]]) if n.input(3) else y)


CONVERTERS: dict[str, Converter] = {
    "BIDIRECTIONAL_SEQUENCE_RNN": _both_ways_rnn,
    "LSTM": _lstm,
    "RNN": _rnn,
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _sequence_lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _sequence_rnn,
}


def _weights_only(op: str) -> Converter:
    """Weights may be stored as integers; states of integers have arithmetic that weft has not."""

    def convert(n: TfliteContext) -> Sequence[str]:
        if n.quant(0) is not None:
            n.unsupported("a recurrence over integers")
        return through_floats(n, CONVERTERS[op])

    return convert


QUANTISED: dict[str, Converter] = {op: _weights_only(op) for op in CONVERTERS}
