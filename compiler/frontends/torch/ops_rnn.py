"""Recurrent networks of several layers and directions, unrolled over their static sequence."""

# Converters have the parameters of their operators' schemas.
# ruff: noqa: PLR0913

from __future__ import annotations

from collections.abc import Callable, Sequence

from .context import Row, Tensor, Tensors, TorchContext, aten

MAX_STEPS = 1 << 14  # unrolled: compiling takes some milliseconds for each step
Step = Callable[[str, "list[str]"], "list[str]"]


class _Layer:
    """The weights of one direction of a layer: ``w``, ``r`` [gates * hidden, …], and biases."""

    def __init__(self, n: TorchContext, params: Sequence[str], biases: bool):
        self.n = n
        self.w, self.r = (n.transpose(p, (1, 0)) for p in params[:2])
        self.b = params[2:4] if biases else ("", "")

    def product(self, x: str, weights: str, bias: str) -> str:
        y = self.n.do("matmul", x, weights)
        return self.n.do("add", y, bias) if bias else y

    def gates(self, x: str, count: int) -> list[str]:
        n, axis = self.n, self.n.rank(x) - 1
        hidden = n.shape(x)[axis] // count
        return [n.cut(x, axis, k * hidden, hidden) for k in range(count)]

    def plain(self, activation: str) -> Step:
        def step(x: str, state: list[str]) -> list[str]:
            made = self.n.do("add", x, self.product(state[0], self.r, self.b[1]))
            return [self.n.do(activation, made)]

        return step

    def lstm(self) -> Step:
        n = self.n

        def step(x: str, state: list[str]) -> list[str]:
            h, c = state
            i, f, g, o = self.gates(n.do("add", x, self.product(h, self.r, self.b[1])), 4)
            kept = n.do("mul", n.do("sigmoid", f), c)
            cell = n.do("add", kept, n.do("mul", n.do("sigmoid", i), n.do("tanh", g)))
            return [n.do("mul", n.do("sigmoid", o), n.do("tanh", cell)), cell]

        return step

    def gru(self) -> Step:
        n = self.n

        def step(x: str, state: list[str]) -> list[str]:
            (h,) = state
            xr, xz, xn = self.gates(x, 3)
            hr, hz, hn = self.gates(self.product(h, self.r, self.b[1]), 3)
            r, z = n.do("sigmoid", n.do("add", xr, hr)), n.do("sigmoid", n.do("add", xz, hz))
            new = n.do("tanh", n.do("add", xn, n.do("mul", r, hn)))
            return [n.do("add", new, n.do("mul", z, n.do("sub", h, new)))]

        return step


def _run(
    n: TorchContext, layer: _Layer, step: Step, x: str, state: list[str], backward: bool
) -> tuple[list[str], list[str]]:
    """Outputs ``[batch, hidden]`` in the order of time, and the last state."""
    steps, batch = n.shape(x)[:2]
    whole = layer.product(x, layer.w, layer.b[0])  # of the sequence at once
    width = n.shape(whole)[2]
    outputs = [""] * steps
    for t in reversed(range(steps)) if backward else range(steps):
        state = step(n.reshape(n.cut(whole, 0, t, 1), (batch, width)), state)
        outputs[t] = state[0]
    return outputs, state


def _recurrent(
    n: TorchContext, x: str, states: Sequence[str], params: Sequence[str], has_biases: bool,
    num_layers: int, bidirectional: bool, batch_first: bool, step: Callable[[_Layer], Step],
) -> list[str]:  # fmt: skip
    """All outputs: the sequence, then the last states ``[layers * directions, batch, hidden]``."""
    each, directions = (4 if has_biases else 2), (2 if bidirectional else 1)
    if len(params) != each * num_layers * directions:
        n.unsupported("a recurrent network with projections")
    alone = n.rank(x) == 2
    if alone:
        x = n.reshape(x, (n.shape(x)[0], 1, n.shape(x)[1]))
        states = [n.reshape(s, (n.shape(s)[0], 1, n.shape(s)[1])) for s in states]
    elif batch_first:
        x = n.transpose(x, (1, 0, 2))
    steps, batch = n.shape(x)[:2]
    if not 0 < steps <= MAX_STEPS:
        n.unsupported(f"a sequence of {steps} steps; {MAX_STEPS} is the most")
    last: list[list[str]] = [[] for _ in states]
    for layer in range(num_layers):
        sides = []
        for side in range(directions):
            k = layer * directions + side
            weights = _Layer(n, params[k * each : (k + 1) * each], has_biases)
            first = [n.reshape(n.cut(s, 0, k, 1), n.shape(s)[1:]) for s in states]
            outputs, final = _run(n, weights, step(weights), x, first, side == 1)
            hidden = n.shape(outputs[0])[1]
            line = n.concat([n.reshape(o, (1, batch, hidden)) for o in outputs], 0)
            sides.append(line)
            for found, value in zip(last, final):
                found.append(n.reshape(value, (1, *n.shape(value))))
        x = n.concat(sides, 2)
    results = [n.concat(found, 0) for found in last]
    if alone:
        x = n.reshape(x, (steps, n.shape(x)[2]))
        results = [n.reshape(r, (n.shape(r)[0], n.shape(r)[2])) for r in results]
    elif batch_first:
        x = n.transpose(x, (1, 0, 2))
    return [x, *results]


def _lstm(
    n: TorchContext, input: Tensor, hx: Tensors, params: Tensors, has_biases: bool,
    num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> list[str]:  # fmt: skip
    if train and dropout:
        n.unsupported("dropout in training draws random numbers")
    return _recurrent(n, input, hx, params, has_biases, num_layers, bidirectional, batch_first,
                      _Layer.lstm)  # fmt: skip


def _one_state(step: Callable[[_Layer], Step]) -> Callable[..., list[str]]:
    def convert(
        n: TorchContext, input: Tensor, hx: Tensor, params: Tensors, has_biases: bool,
        num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool,
    ) -> list[str]:  # fmt: skip
        if train and dropout:
            n.unsupported("dropout in training draws random numbers")
        return _recurrent(n, input, [hx], params, has_biases, num_layers, bidirectional,
                          batch_first, step)  # fmt: skip

    return convert


def _lstm_cell(
    n: TorchContext, input: Tensor, hx: Tensors, w_ih: Tensor, w_hh: Tensor,
    b_ih: Tensor | None = None, b_hh: Tensor | None = None,
) -> list[str]:  # fmt: skip
    layer = _Layer(n, [w_ih, w_hh, b_ih or "", b_hh or ""], True)
    return layer.lstm()(layer.product(input, layer.w, layer.b[0]), list(hx))


def _cell(step: Callable[[_Layer], Step]) -> Callable[..., str]:
    def convert(
        n: TorchContext, input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
        b_ih: Tensor | None = None, b_hh: Tensor | None = None,
    ) -> str:  # fmt: skip
        layer = _Layer(n, [w_ih, w_hh, b_ih or "", b_hh or ""], True)
        return step(layer)(layer.product(input, layer.w, layer.b[0]), [hx])[0]

    return convert


def _plain(activation: str) -> Callable[[_Layer], Step]:
    return lambda layer: layer.plain(activation)


CONVERTERS: dict[str, Row] = {
    **aten("lstm.input", _lstm),
    **aten("gru.input", _one_state(_Layer.gru)),
    **aten("rnn_tanh.input", _one_state(_plain("tanh"))),
    **aten("rnn_relu.input", _one_state(_plain("relu"))),
    **aten("lstm_cell.default", _lstm_cell),
    **aten("gru_cell.default", _cell(_Layer.gru)),
    **aten("rnn_tanh_cell.default", _cell(_plain("tanh"))),
    **aten("rnn_relu_cell.default", _cell(_plain("relu"))),
}
