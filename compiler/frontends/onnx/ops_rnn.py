"""Recurrent networks, unrolled over their sequence, whose length is static."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .context import Converter, NodeContext
from .ops_conv import required
from .ops_cut import cut

MAX_STEPS = 1 << 14  # unrolled: compiling takes some milliseconds for each step

Activation = Callable[[str], str]
Step = Callable[[str, "list[str]"], "list[str]"]


class Direction:
    """One direction of a recurrent node: its weights, activations and initial state.

    Gates are numbered in ONNX's order. The products with the input are taken for the whole
    sequence at once, outside of the recurrence.
    """

    def __init__(self, r: Recurrent, index: int):
        self.r, self.n, self.index = r, r.n, index
        self.hidden = r.hidden

    def weight(self, i: int) -> str:
        """Input ``i`` (W, R, P) of this direction, without its leading axis; '' when absent."""
        n = self.n
        if not n.input(i):
            return ""
        name = cut(n, n.inputs[i], 0, self.index, 1)
        return n.add("reshape", [name], shape=n.typeof(name).shape[1:])

    def bias(self) -> tuple[str, str]:
        """The biases of the input and of the recurrence, ``[gates * hidden]``; '' when absent."""
        if not self.n.input(3):
            return "", ""
        both = self.weight(3)
        half = self.r.gates * self.hidden
        return cut(self.n, both, 0, 0, half), cut(self.n, both, 0, half, half)

    def gate(self, name: str, k: int, axis: int = 1) -> str:
        """The part of gate ``k`` along ``axis``."""
        return cut(self.n, name, axis, k * self.hidden, self.hidden)

    def state(self, i: int) -> str:
        """The initial state in input ``i``, ``[batch, hidden]``, zero when absent."""
        r, n = self.r, self.n
        if not n.input(i):
            return n.constant(np.zeros((r.batch, self.hidden), r.dtype.numpy))
        name = n.inputs[i]
        if r.batch_first:
            name = n.add("transpose", [name], perm=(1, 0, 2))
        return n.add("reshape", [cut(n, name, 0, self.index, 1)], shape=(r.batch, self.hidden))

    def activation(self, k: int) -> Activation:
        """The ``k``-th activation of this direction."""
        return activation_of(self.n, *self.r.activations[self.index * self.r.per_direction + k])

    def clip(self, name: str) -> str:
        """``name`` within the attribute ``clip``, if there is one."""
        limit = self.r.clip
        if limit is None:
            return name
        return self.op("minimum", self.op("maximum", name, self.number(-limit)), self.number(limit))

    def op(self, op: str, *names: str) -> str:
        """The operator ``op``, without attributes."""
        return self.n.add(op, list(names))

    def number(self, value: float) -> str:
        """``value`` as a scalar of the data's type."""
        return self.n.constant(np.array(value, self.r.dtype.numpy))

    def product(self, x: str, w: str, bias: str) -> str:
        """``x @ w^T + bias``."""
        y = self.op("matmul", x, self.n.add("transpose", [w], perm=(1, 0)))
        return self.op("add", y, bias) if bias else y

    def run(self, step: Step, inputs: str, state: list[str]) -> tuple[list[str], list[str]]:
        """All steps: the outputs in the order of time, and the last state. ``inputs`` is the
        product of the sequence with the input weights, ``[steps, batch, gates * hidden]``."""
        r, n = self.r, self.n
        outputs = [""] * r.steps
        backward = r.direction == "reverse" or self.index == 1
        width = n.typeof(inputs).shape[2]
        for t in reversed(range(r.steps)) if backward else range(r.steps):
            x = n.add("reshape", [cut(n, inputs, 0, t, 1)], shape=(r.batch, width))
            new = step(x, state)
            if r.lengths:
                # Past the end of its own sequence, an item keeps its state and puts out 0.
                alive = self.op("less", n.constant(np.array(t, np.int32)), r.lengths)
                outputs[t] = self.op("where", alive, new[0], self.number(0))
                state = [self.op("where", alive, a, b) for a, b in zip(new, state)]
            else:
                outputs[t], state = new[0], new
        return outputs, state


class Recurrent:
    """What RNN, GRU and LSTM share. ``one`` makes a direction of it by its index."""

    def __init__(
        self,
        n: NodeContext,
        gates: int,
        default: Sequence[str],
        one: Callable[[Recurrent, int], Direction] = Direction,
    ):
        self.one = one
        self.n, self.gates, self.per_direction = n, gates, len(default)
        x, w, r = required(n, 0), required(n, 1), required(n, 2)
        if len(x.shape) != 3 or len(w.shape) != 3 or len(r.shape) != 3:
            n.error(f"it takes three axes of data and weights, not {x}, {w} and {r}.")
        self.batch_first = bool(n.attr("layout", 0))
        self.steps, self.batch = x.shape[:2] if not self.batch_first else x.shape[1::-1]
        if self.steps > MAX_STEPS:
            n.unsupported(f"a sequence of {self.steps} steps; {MAX_STEPS} is the most")
        self.hidden, self.dtype = n.attr("hidden_size", r.shape[2]), x.dtype
        self.direction = n.attr("direction", "forward")
        if self.direction not in ("forward", "reverse", "bidirectional"):
            n.unsupported(f"the direction is {self.direction!r}")
        self.count = 2 if self.direction == "bidirectional" else 1
        want = (self.count, gates * self.hidden)
        if w.shape != (*want, x.shape[2]) or r.shape != (*want, self.hidden):
            n.error(f"weights {w} and {r} do not fit {x} with {self.hidden} hidden units.")
        self.clip = n.attr("clip", None)
        self.activations = self._activations(default)
        self.lengths = ""
        if n.input(4):
            lens = n.add("cast", [n.inputs[4]], to="int32")
            self.lengths = n.add("reshape", [lens], shape=(self.batch, 1))

    def _activations(self, default: Sequence[str]) -> list[tuple[str, float | None, float | None]]:
        n, total = self.n, self.count * len(default)
        names = n.attr("activations", None) or tuple(default) * self.count
        if len(names) != total:
            n.error(f"there are {len(names)} activations, not {total}.")
        # Values are listed for the activations that take them, in order.
        alphas, betas = iter(n.attr("activation_alpha", ())), iter(n.attr("activation_beta", ()))
        found = []
        for name in names:
            takes = ACTIVATIONS.get(name.lower())
            if takes is None:
                n.unsupported(f"the activation is {name!r}")
            a, b = takes
            found.append(
                (
                    name.lower(),
                    None if a is None else next(alphas, a),
                    None if b is None else next(betas, b),
                )
            )
        return found

    def sequence(self) -> str:
        """The input, ``[steps, batch, features]``."""
        name = self.n.inputs[0]
        return self.n.add("transpose", [name], perm=(1, 0, 2)) if self.batch_first else name

    def convert(self, build: Callable[[Direction, str], tuple[list[str], list[str]]]) -> list[str]:
        """All outputs: the sequence, then the last states."""
        n, x = self.n, self.sequence()
        runs = [build(self.one(self, k), x) for k in range(self.count)]
        shape = (1, 1, self.batch, self.hidden)
        directions = []
        for outputs, _ in runs:
            parts = [n.add("reshape", [o], shape=shape) for o in outputs]
            directions.append(
                n.add("concat", parts, axis=0)
                if parts
                else n.constant(np.zeros((0, *shape[1:]), self.dtype.numpy))
            )
        sequence = n.add("concat", directions, axis=1)  # [steps, directions, batch, hidden]
        if self.batch_first:
            sequence = n.add("transpose", [sequence], perm=(2, 0, 1, 3))
        results = [sequence]
        for k in range(len(runs[0][1])):
            parts = [n.add("reshape", [s[k]], shape=shape[1:]) for _, s in runs]
            last = n.add("concat", parts, axis=0)
            results.append(n.add("transpose", [last], perm=(1, 0, 2)) if self.batch_first else last)
        return results


# Activations and the defaults of their alpha and beta; None: they take none.
ACTIVATIONS: dict[str, tuple[float | None, float | None]] = {
    "relu": (None, None),
    "tanh": (None, None),
    "sigmoid": (None, None),
    "softsign": (None, None),
    "softplus": (None, None),
    "affine": (1.0, 0.0),
    "leakyrelu": (0.01, None),
    "thresholdedrelu": (1.0, None),
    "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0, None),
}


def activation_of(n: NodeContext, name: str, alpha: float | None, beta: float | None) -> Activation:
    """The activation ``name`` (lower case) as a function of a tensor's name."""

    def number(value: float | None, like: str) -> str:
        return n.constant(np.array(value, n.typeof(like).dtype.numpy))

    def affine(x: str) -> str:
        return n.add("add", [n.add("mul", [x, number(alpha, x)]), number(beta, x)])

    def scaled_tanh(x: str) -> str:
        return n.add("mul", [n.add("tanh", [n.add("mul", [x, number(beta, x)])]), number(alpha, x)])

    def hard_sigmoid(x: str) -> str:
        y = affine(x)
        return n.add("maximum", [n.add("minimum", [y, number(1, y)]), number(0, y)])

    composed = {"affine": affine, "scaledtanh": scaled_tanh, "hardsigmoid": hard_sigmoid}
    if name in composed:
        return composed[name]
    op = {"leakyrelu": "leaky_relu", "thresholdedrelu": "thresholded_relu"}.get(name, name)
    attrs = {} if alpha is None else {"alpha": alpha}
    return lambda x: n.add(op, [x], **attrs)


# --- the three cells --------------------------------------------------------------------------


def _rnn(n: NodeContext) -> Sequence[str]:
    """h = f(x W^T + h R^T + b)"""

    def build(d: Direction, x: str) -> tuple[list[str], list[str]]:
        f, r = d.activation(0), d.weight(2)
        bw, br = d.bias()

        def step(xt: str, state: list[str]) -> list[str]:
            return [f(d.clip(d.op("add", xt, d.product(state[0], r, br))))]

        return d.run(step, d.product(x, d.weight(1), bw), [d.state(5)])

    return Recurrent(n, 1, ["Tanh"]).convert(build)


def _gru(n: NodeContext) -> Sequence[str]:
    """Gates z, r, h (Cho et al. 2014); linear_before_reset puts the reset after the product."""
    late_reset = bool(n.attr("linear_before_reset", 0))

    def build(d: Direction, x: str) -> tuple[list[str], list[str]]:
        f, g = d.activation(0), d.activation(1)
        bw, br = d.bias()
        r = d.weight(2)
        rz, rr, rh = (d.gate(r, k, 0) for k in range(3))
        bz, bs, bh = (d.gate(br, k, 0) if br else "" for k in range(3))

        def step(xt: str, state: list[str]) -> list[str]:
            h = state[0]
            xz, xs, xh = (d.gate(xt, k) for k in range(3))
            z = f(d.clip(d.op("add", xz, d.product(h, rz, bz))))
            s = f(d.clip(d.op("add", xs, d.product(h, rr, bs))))
            if late_reset:
                inner = d.op("mul", s, d.product(h, rh, bh))
            else:
                inner = d.product(d.op("mul", s, h), rh, bh)
            new = g(d.clip(d.op("add", xh, inner)))
            keep = d.op("mul", z, h)
            return [d.op("add", d.op("mul", d.op("sub", d.number(1), z), new), keep)]

        return d.run(step, d.product(x, d.weight(1), bw), [d.state(5)])

    return Recurrent(n, 3, ["Sigmoid", "Tanh"]).convert(build)


def lstm(n: NodeContext, one: Callable[[Recurrent, int], Direction] = Direction) -> Sequence[str]:
    """Gates i, o, f, c (Hochreiter, Schmidhuber 1997), with optional peepholes (inputs P)."""
    coupled = bool(n.attr("input_forget", 0))

    def build(d: Direction, x: str) -> tuple[list[str], list[str]]:
        f, g, h_of = (d.activation(k) for k in range(3))
        bw, br = d.bias()
        r, p = d.weight(2), d.weight(7)
        pi, po, pf = (d.gate(p, k, 0) if p else "" for k in range(3))

        def peep(gate: str, cell: str, weight: str) -> str:
            return d.op("add", gate, d.op("mul", cell, weight)) if weight else gate

        def step(xt: str, state: list[str]) -> list[str]:
            h, c = state
            total = d.op("add", xt, d.product(h, r, br))
            gi, go, gf, gc = (d.gate(total, k) for k in range(4))
            i = f(d.clip(peep(gi, c, pi)))
            forget = d.op("sub", d.number(1), i) if coupled else f(d.clip(peep(gf, c, pf)))
            fresh = g(d.clip(gc))
            cell = d.op("add", d.op("mul", forget, c), d.op("mul", i, fresh))
            o = f(d.clip(peep(go, cell, po)))
            return [d.op("mul", o, h_of(cell)), cell]

        return d.run(step, d.product(x, d.weight(1), bw), [d.state(5), d.state(6)])

    return Recurrent(n, 4, ["Sigmoid", "Tanh", "Tanh"], one).convert(build)


CONVERTERS: dict[str, Converter] = {"GRU": _gru, "LSTM": lstm, "RNN": _rnn}
