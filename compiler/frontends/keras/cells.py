"""The cells of recurrent layers: what one step makes of its input and of the state before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .activations import activate
from .context import KerasContext
from .layer import Layer


class Cell:
    """A cell while it is converted; ``n`` is the call of the layer around it."""

    def __init__(self, n: KerasContext, layer: Layer):
        self.n, self.layer, self.config = n, layer, layer.config
        self.batch = 0
        self.dtype = n.computes

    def prepared(self, x: str) -> list[str]:
        """What steps read, for the whole sequence at once: [time, batch, …] of ``x``."""
        raise NotImplementedError

    def zeros(self) -> list[str]:
        """The states before the first step."""
        raise NotImplementedError

    def step(self, x: Sequence[str], state: Sequence[str]) -> tuple[str, list[str]]:
        """The output and the states, of what :meth:`prepared` made at one time."""
        raise NotImplementedError

    # -- for those of here

    def op(self, op: str, *names: str) -> str:
        """An operator without attributes."""
        return self.n.add(op, list(names))

    def variable(self, name: str) -> np.ndarray:
        """A variable of the cell."""
        value = self.layer.values.get(name)
        if value is None:
            self.n.error(f"the file has no variable {name!r} for its cell.")
        return value.astype(self.dtype, copy=False)

    def inner(self, x: str) -> str:
        """The activation."""
        return activate(self.n, x, self.config.get("activation", "tanh"))

    def outer(self, x: str) -> str:
        """The activation of gates."""
        default = "sigmoid" if self.layer.version >= 3 else "hard_sigmoid"
        return activate(self.n, x, self.config.get("recurrent_activation", default))

    @property
    def units(self) -> int:
        """The extent of a state."""
        return self.variable("recurrent_kernel").shape[0]

    def zero(self, *shape: int) -> str:
        """Zeros of the batch."""
        return self.n.constant(np.zeros((self.batch, *shape), self.dtype))


class Dense(Cell):
    """Those whose kernels are matrices: products of all inputs are taken at once."""

    gates = 1
    states = 1

    def bias(self) -> np.ndarray | None:
        """What is added to the product with the input."""
        return self.variable("bias") if self.config.get("use_bias", True) else None

    def prepared(self, x: str) -> list[str]:
        n = self.n
        if n.rank(x) != 3:
            n.error(f"its cell takes vectors, not {n.typeof(x)} (time first).")
        steps, self.batch, features = n.shape(x)
        kernel, recurrent = self.variable("kernel"), self.variable("recurrent_kernel")
        u = recurrent.shape[0]
        if kernel.shape != (features, self.gates * u) or recurrent.shape != (u, self.gates * u):
            n.error(f"its kernels are {list(kernel.shape)} and {list(recurrent.shape)}.")
        flat = n.add("reshape", [x], shape=(steps * self.batch, features))
        return [n.add("reshape", [self.projected(flat)], shape=(steps, self.batch, self.gates * u))]

    def projected(self, x: str) -> str:
        """The product of inputs [rows, features] with the kernel."""
        bias = self.bias()
        inputs = [x, self.n.constant(self.variable("kernel"))]
        if bias is not None:
            inputs.append(self.n.constant(bias.reshape(-1)))
        return self.n.add("gemm", inputs)

    def zeros(self) -> list[str]:
        return [self.zero(self.units)] * self.states

    def recur(self, h: str, low: int = 0, high: int | None = None) -> str:
        """The product of a state with columns of the recurrent kernel."""
        part = np.ascontiguousarray(self.variable("recurrent_kernel")[:, low:high])
        return self.op("matmul", h, self.n.constant(part))

    def gate(self, x: str, k: int, count: int = 1) -> str:
        """Gates from ``k`` on."""
        u = self.units
        return self.n.add("slice", [x], starts=(0, k * u), shape=(self.batch, count * u))


class Simple(Dense):
    """h = f(x W + b + h U)"""

    def step(self, x: Sequence[str], state: Sequence[str]) -> tuple[str, list[str]]:
        h = self.inner(self.op("add", x[0], self.recur(state[0])))
        return h, [h]


class Lstm(Dense):
    """Gates i, f, c, o."""

    gates, states = 4, 2

    def step(self, x: Sequence[str], state: Sequence[str]) -> tuple[str, list[str]]:
        z = self.op("add", x[0], self.recur(state[0]))
        i, f, o = (self.outer(self.gate(z, k)) for k in (0, 1, 3))
        fresh = self.op("mul", i, self.inner(self.gate(z, 2)))
        c = self.op("add", self.op("mul", f, state[1]), fresh)
        h = self.op("mul", o, self.inner(c))
        return h, [h, c]


class Gru(Dense):
    """Gates z, r, h. With ``reset_after`` the product with the state has a bias of its own, and is
    taken before it is reset."""

    gates = 3

    @property
    def late(self) -> bool:
        """reset_after"""
        return bool(self.config.get("reset_after", self.layer.version >= 3))

    def bias(self) -> np.ndarray | None:
        bias = super().bias()
        return bias[0] if bias is not None and self.late else bias

    def step(self, x: Sequence[str], state: Sequence[str]) -> tuple[str, list[str]]:
        n, h, u = self.n, state[0], self.units
        if self.late:
            r = self.recur(h)
            if self.config.get("use_bias", True):
                r = self.op("add", r, n.constant(self.variable("bias")[1]))
            z = self.outer(self.op("add", self.gate(x[0], 0), self.gate(r, 0)))
            reset = self.outer(self.op("add", self.gate(x[0], 1), self.gate(r, 1)))
            inner = self.op("mul", reset, self.gate(r, 2))
        else:
            z = self.outer(self.op("add", self.gate(x[0], 0), self.recur(h, 0, u)))
            reset = self.outer(self.op("add", self.gate(x[0], 1), self.recur(h, u, 2 * u)))
            inner = self.recur(self.op("mul", reset, h), 2 * u)
        new = self.inner(self.op("add", self.gate(x[0], 2), inner))
        rest = self.op("mul", self.op("sub", n.scalar(1, z), z), new)
        h = self.op("add", self.op("mul", z, h), rest)
        return h, [h]


class Stack(Cell):
    """Cells on top of each other; the states of all of them, one cell's after the other's."""

    def __init__(self, n: KerasContext, layer: Layer):
        super().__init__(n, layer)
        self.cells = [cell_of(n, c) for c in layer.layers]
        if not self.cells or not all(isinstance(c, Dense | Stack) for c in self.cells):
            n.unsupported("a stack of such cells")

    def prepared(self, x: str) -> list[str]:
        made = self.cells[0].prepared(x)
        self.batch = self.cells[0].batch
        for c in self.cells:
            _give_batch(c, self.batch)
        return made

    def zeros(self) -> list[str]:
        return [z for c in self.cells for z in c.zeros()]

    def step(self, x: Sequence[str], state: Sequence[str]) -> tuple[str, list[str]]:
        states: list[str] = []
        out = ""
        for k, c in enumerate(self.cells):
            own = state[len(states) : len(states) + len(c.zeros())]
            if k:
                assert isinstance(c, Dense)
                x = [c.projected(out)]
            out, new = c.step(x, own)
            states += new
        return out, states


def _give_batch(cell: Cell, batch: int) -> None:
    cell.batch = batch
    for c in cell.cells if isinstance(cell, Stack) else ():
        _give_batch(c, batch)


class ConvLstm(Cell):
    """As LSTM, its products convolutions; images have their channels first here."""

    def prepared(self, x: str) -> list[str]:
        from .conv import convolved, out_in

        n = self.n
        kernel = self.variable("kernel")
        count = kernel.ndim - 2
        steps, self.batch, *rest = n.shape(x)
        if len(rest) != count + 1:
            n.error(f"its cell takes images of {count} axes, not {n.typeof(x)} (time first).")
        flat = n.add("reshape", [x], shape=(steps * self.batch, *rest))
        if n.channels_last:
            flat = n.add("transpose", [flat], perm=(0, count + 1, *range(1, count + 1)))
        bias = self.variable("bias") if self.config.get("use_bias", True) else None
        y = convolved(n, flat, out_in(kernel), 1, bias)
        self.space = n.shape(y)[2:]
        return [n.add("reshape", [y], shape=(steps, self.batch, *n.shape(y)[1:]))]

    def _outside(self, x: str) -> str:
        """As the layer's data are."""
        count = len(self.space)
        return self.n.add("transpose", [x], perm=(0, *range(2, count + 2), 1)) if (
            self.n.channels_last) else x  # fmt: skip

    def _inside(self, x: str) -> str:
        count = len(self.space)
        return self.n.add("transpose", [x], perm=(0, count + 1, *range(1, count + 1))) if (
            self.n.channels_last) else x  # fmt: skip

    def zeros(self) -> list[str]:
        filters = self.variable("recurrent_kernel").shape[-1] // 4
        shape = (*self.space, filters) if self.n.channels_last else (filters, *self.space)
        return [self.zero(*shape)] * 2

    def step(self, x: Sequence[str], state: Sequence[str]) -> tuple[str, list[str]]:
        from ..images import same_pads
        from .conv import out_in

        n = self.n
        kernel = out_in(self.variable("recurrent_kernel"))
        window, ones = kernel.shape[2:], (1,) * len(self.space)
        before, c = self._inside(state[0]), self._inside(state[1])
        pads = same_pads(self.space, window, ones)
        r = n.add("conv", [before, n.constant(kernel)], pads=pads)
        z = self.op("add", x[0], r)
        f = kernel.shape[0] // 4

        def gate(k: int) -> str:
            starts = (0, k * f, *(0 for _ in self.space))
            return n.add("slice", [z], starts=starts, shape=(self.batch, f, *self.space))

        i, forget, o = (self.outer(gate(k)) for k in (0, 1, 3))
        c = self.op("add", self.op("mul", forget, c), self.op("mul", i, self.inner(gate(2))))
        h = self._outside(self.op("mul", o, self.inner(c)))
        return h, [h, self._outside(c)]

    def outer(self, x: str) -> str:
        return activate(self.n, x, self.config.get("recurrent_activation", "hard_sigmoid"))


_CELLS: dict[str, type[Cell]] = {
    "SimpleRNNCell": Simple,
    "LSTMCell": Lstm,
    "GRUCell": Gru,
    "StackedRNNCells": Stack,
    "ConvLSTMCell": ConvLstm,
}


def cell_of(n: KerasContext, layer: Layer) -> Cell:
    """The cell that a layer is."""
    kind = _CELLS.get(layer.class_name)
    if kind is None:
        n.unsupported(f"the cell {layer.class_name}")
    return kind(n, layer)


__all__ = ["Cell", "cell_of"]
