"""Recurrent layers, unrolled over their sequence, and what goes along sequences.

All weights of an ``RNN`` are one vector: for each layer and direction those of the input and those
of the state, then in the same order both biases. (mxnet 1.9.1, ``src/operator/rnn_impl.h``.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .context import MxContext
from .table import Table

MAX_STEPS = 1 << 14  # unrolled: compiling takes some milliseconds for each step
_GATES = {"rnn_relu": 1, "rnn_tanh": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class _Cell:
    """Weights of one direction of a layer, with the gates along their first axis."""

    w: str  # [gates * hidden, features]
    r: str  # [gates * hidden, hidden]
    wb: str
    rb: str


class _Layers:
    """A node ``RNN`` while it is unrolled."""

    def __init__(self, n: MxContext):
        self.n, self.mode = n, n.text("mode")
        if self.mode not in _GATES:
            n.error(f"there is no mode {self.mode!r}.")
        if n.has("projection_size"):
            n.unsupported("a projection of the state")
        if n.has("lstm_state_clip_min") or n.has("lstm_state_clip_max"):
            n.unsupported("a state that is clipped")
        if n.flag("use_sequence_length"):
            n.unsupported("sequences of their own lengths in one batch")
        if len(n.shape) != 3:
            n.error(f"it takes [steps, batch, features], not {n.type(0)}.")
        self.steps, self.batch, self.features = n.shape
        if self.steps > MAX_STEPS:
            n.unsupported(f"a sequence of {self.steps} steps; {MAX_STEPS} is the most")
        self.hidden, self.layers = n.integer("state_size"), n.integer("num_layers")
        self.ways = 2 if n.flag("bidirectional") else 1
        self.gates = _GATES[self.mode]
        if self.hidden < 1 or not 1 <= self.layers <= 1024:
            n.error(f"{self.layers} layers of {self.hidden} units.")
        self.cells = self._cells()

    def _cells(self) -> list[list[_Cell]]:
        n, rows, at = self.n, self.gates * self.hidden, 0
        total = n.typed(1).size
        vector = n.reshape(n.inputs[1], (total,))

        def taken(*shape: int) -> str:
            nonlocal at
            size = int(np.prod(shape))
            at += size
            if at > total:
                n.error(f"its {total} parameters are fewer than its layers have.")
            return n.reshape(n.part(vector, 0, at - size, size), shape)

        weights, places = [], range(self.layers * self.ways)
        for k in places:
            wide = self.features if k < self.ways else self.hidden * self.ways
            weights.append((taken(rows, wide), taken(rows, self.hidden)))
        biases = [(taken(rows), taken(rows)) for _ in places]
        if at != total:
            n.error(f"its {total} parameters are more than the {at} that its layers have.")
        cells = [_Cell(w, r, wb, rb) for (w, r), (wb, rb) in zip(weights, biases)]
        return [cells[k : k + self.ways] for k in range(0, len(cells), self.ways)]

    def run(self) -> list[str]:
        """The sequence of the last layer, and the last states of all."""
        n, x, ends = self.n, self.n.x, []
        for k, layer in enumerate(self.cells):
            runs = [self._direction(x, cell, k * self.ways + d, d) for d, cell in enumerate(layer)]
            x = runs[0][0] if self.ways == 1 else n.add("concat", [r[0] for r in runs], axis=2)
            ends += [r[1] for r in runs]
        states = [
            n.add("concat", [n.reshape(s, (1, self.batch, self.hidden)) for s in kind], axis=0)
            for kind in zip(*ends)
        ]
        return [x, *states]

    def _state(self, i: int, place: int) -> str:
        """The first state of one direction. Zeros without a batch stand for it in symbols that
        Gluon writes: their shape is worked out from the data."""
        n = self.n
        shape = n.typed(i).shape
        if 0 in shape:
            return n.constant(np.zeros((self.batch, self.hidden), n.typed().dtype.numpy))
        if shape != (self.layers * self.ways, self.batch, self.hidden):
            n.error(f"its state is {n.type(i)}.")
        return n.reshape(n.part(n.inputs[i], 0, place, 1), (self.batch, self.hidden))

    def _product(self, x: str, w: str, bias: str) -> str:
        return self.n.add("gemm", [x, w, bias], trans_b=True)

    def _direction(self, x: str, cell: _Cell, place: int, backward: int) -> tuple[str, list[str]]:
        n, wide = self.n, self.n.typeof(x).shape[2]
        rows = n.reshape(x, (self.steps * self.batch, wide))
        inputs = self._product(rows, cell.w, cell.wb)
        state = [self._state(2, place)]
        if self.mode == "lstm":
            state.append(self._state(3, place))
        made = [""] * self.steps
        order = range(self.steps)
        for t in reversed(order) if backward else order:
            state = self._step(n.part(inputs, 0, t * self.batch, self.batch), state, cell)
            made[t] = n.reshape(state[0], (1, self.batch, self.hidden))
        return n.add("concat", made, axis=0), state

    def _gate(self, tensor: str, k: int) -> str:
        return self.n.part(tensor, 1, k * self.hidden, self.hidden)

    def _step(self, x: str, state: Sequence[str], cell: _Cell) -> list[str]:
        n, h = self.n, state[0]
        r = self._product(h, cell.r, cell.rb)
        if self.mode == "gru":
            reset, update = (
                n.add("sigmoid", [n.add("add", [self._gate(x, k), self._gate(r, k)])])
                for k in (0, 1)
            )
            inner = n.add("mul", [reset, self._gate(r, 2)])
            new = n.add("tanh", [n.add("add", [self._gate(x, 2), inner])])
            rest = n.add("mul", [n.add("sub", [n.like(1), update]), new])
            return [n.add("add", [rest, n.add("mul", [update, h])])]
        total = n.add("add", [x, r])
        if self.mode != "lstm":
            return [n.add(self.mode.removeprefix("rnn_"), [total])]
        i, f, o = (n.add("sigmoid", [self._gate(total, k)]) for k in (0, 1, 3))
        new = n.add("mul", [i, n.add("tanh", [self._gate(total, 2)])])
        c = n.add("add", [n.add("mul", [f, state[1]]), new])
        return [n.add("mul", [o, n.add("tanh", [c])]), c]


def _rnn(n: MxContext) -> Sequence[str]:
    return _Layers(n).run()


# --- along sequences: [steps, batch, …], or [batch, steps, …] with axis 1 ------------------------


def _sequence(n: MxContext) -> tuple[int, str]:
    """The axis of steps, and the lengths as int32 [batch]; "" where all are whole."""
    axis = n.integer("axis", 0)
    if axis not in (0, 1) or len(n.shape) < 2:
        n.error(f"{n.type(0)} has no steps along axis {axis}.")
    return axis, n.cast(n.inputs[1], "int32") if n.flag("use_sequence_length") else ""


def _sequence_mask(n: MxContext) -> Sequence[str]:
    axis, lengths = _sequence(n)
    if not lengths:
        return [n.x]
    steps, batch, ndim = n.shape[axis], n.shape[1 - axis], len(n.shape)
    places = np.arange(steps, dtype=np.int32)
    places = n.constant(places.reshape([steps if k == axis else 1 for k in range(ndim)]))
    own = n.reshape(lengths, tuple(batch if k == 1 - axis else 1 for k in range(ndim)))
    return [n.add("where", [n.add("less", [places, own]), n.x, n.like(n.number("value", 0.0))])]


def _sequence_last(n: MxContext) -> str:
    axis, lengths = _sequence(n)
    rest = n.shape[:axis] + n.shape[axis + 1 :]
    if not lengths:
        return n.reshape(n.part(n.x, axis, n.shape[axis] - 1, 1), rest)
    x = n.x
    if axis == 0:
        x = n.add("transpose", [x], perm=(1, 0, *range(2, len(n.shape))))
    last = n.add("sub", [n.reshape(lengths, (rest[0], 1)), n.constant(np.int32(1))])
    return n.add("gather_nd", [x, last], batch_dims=1)


def _sequence_reverse(n: MxContext) -> str:
    axis, lengths = _sequence(n)
    if not lengths:
        lengths = n.constant(np.full(n.shape[1 - axis], n.shape[axis], np.int32))
    return n.add("reverse_sequence", [n.x, lengths], batch_axis=1 - axis, time_axis=axis)


CONVERTERS: Table = {
    "RNN": _rnn,
    "SequenceLast": _sequence_last,
    "SequenceMask": _sequence_mask,
    "SequenceReverse": _sequence_reverse,
}
