"""Random computations of a few stages: arithmetic, moved, cut, joined and looked-up elements, sums.

Values stay small integers, in float32 and int32, so that every order of summation is exact and
results can be compared bit by bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from weft.ir import te
from weft.ir.expr import Expr, as_int
from weft.ir.tensor import Tensor

from support.random_schedules import KINDS, Computation

LIMIT = 64  # of values: results are clipped to it
ELEMENTS = 600  # of a stage, at most


def shape_of(t: Tensor) -> tuple[int, ...]:
    """The extents as numbers."""
    return tuple(as_int(e) or 0 for e in t.shape)


def _clip(e: Expr) -> Expr:
    return te.maximum(te.minimum(e, te.const(LIMIT, e.dtype)), te.const(-LIMIT, e.dtype))


@dataclass
class _Builder:
    rng: random.Random
    inputs: list[Tensor] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    def input(self, shape: tuple[int, ...], dtype: str) -> Tensor:
        t = te.placeholder(shape, dtype, name=f"A{len(self.inputs)}")
        self.inputs.append(t)
        self.tensors.append(t)
        return t

    def any(self) -> Tensor:
        return self.rng.choice(self.tensors[-4:])

    def add(self, shape: tuple[int, ...], body: Callable[..., Expr]) -> None:
        size = 1
        for n in shape:
            size *= n
        if size <= ELEMENTS:
            made = te.compute(shape, body, name=f"T{len(self.tensors)}")
            self.tensors.append(made)  # type: ignore[arg-type]

    def arithmetic(self) -> None:
        """Two tensors of the same type, one of them perhaps stretched."""
        a, rng = self.any(), self.rng
        shape = shape_of(a)
        fit = [
            t for t in self.tensors
            if t.dtype == a.dtype and shape_of(t) == shape[len(shape) - t.ndim :]
        ]  # fmt: skip
        b = rng.choice(fit)
        skip = len(shape) - b.ndim
        form = rng.choice(_FORMS)
        self.add(shape, lambda *i: _clip(form(a[i], b[i[skip:]] if b.ndim else b[()])))

    def convert(self) -> None:
        a = self.any()
        other = "int32" if a.dtype.is_float else "float32"
        self.add(shape_of(a), lambda *i: te.cast(a[i], other))

    def divide(self) -> None:
        """Whole numbers by a constant, rounded down or towards zero."""
        a, rng = self.any(), self.rng
        if a.dtype.is_float:
            return
        by = rng.choice([1, 2, 3, 4, 7, -3])
        form = rng.choice([
            lambda x: x // by, lambda x: x % by,
            lambda x: te.truncdiv(x, te.const(by, x.dtype)),
            lambda x: te.truncmod(x, te.const(by, x.dtype)),
        ])  # fmt: skip
        self.add(shape_of(a), lambda *i: form(a[i]))

    def permute(self) -> None:
        a = self.any()
        order = list(range(a.ndim))
        self.rng.shuffle(order)
        shape = shape_of(a)
        place = [order.index(k) for k in range(a.ndim)]
        self.add(tuple(shape[k] for k in order), lambda *i: a[tuple(i[p] for p in place)])

    def refold(self) -> None:
        """All elements in order, in another shape."""
        a, shape = self.any(), shape_of(self.any())
        old = shape_of(a)
        size, count = 1, 1
        for n in old:
            size *= n
        for n in shape[1:]:
            count *= n
        if size % count:
            return

        def body(*i: Expr) -> Expr:
            flat = i[0]
            for n, x in zip(shape[1:], i[1:], strict=True):
                flat = flat * n + x
            at = []
            for n in reversed(old):
                at.append(flat % n)
                flat = flat // n
            return a[tuple(reversed(at))]

        self.add((size // count, *shape[1:]), body)

    def move(self) -> None:
        """Along one axis: back to front, every second one, or shifted with zeros."""
        a, rng = self.any(), self.rng
        shape, axis = list(shape_of(a)), rng.randrange(a.ndim)
        n, by = shape[axis], rng.choice([-2, -1, 1, 2, 3])
        zero = te.const(0, a.dtype)
        kind = rng.randrange(3)
        if kind == 1:
            shape[axis] = (n + 1) // 2

        def body(*i: Expr) -> Expr:
            at = [lambda x: n - 1 - x, lambda x: x * 2, lambda x: x + by][kind](i[axis])
            value = a[(*i[:axis], at, *i[axis + 1 :])]
            return te.if_then_else((at >= 0) & (at < n), value, zero) if kind == 2 else value

        self.add(tuple(shape), body)

    def join(self) -> None:
        """Two tensors one after the other along an axis."""
        a = self.any()
        axis = self.rng.randrange(a.ndim)
        shape = shape_of(a)
        fit = [
            t for t in self.tensors
            if t.dtype == a.dtype and t.ndim == a.ndim
            and all(x == y or k == axis for k, (x, y) in enumerate(zip(shape_of(t), shape)))
        ]  # fmt: skip
        b, n = self.rng.choice(fit), shape[axis]

        def body(*i: Expr) -> Expr:
            behind = (*i[:axis], i[axis] - n, *i[axis + 1 :])
            return te.if_then_else(i[axis] < n, a[i], b[behind])

        self.add((*shape[:axis], n + shape_of(b)[axis], *shape[axis + 1 :]), body)

    def look_up(self) -> None:
        """Rows of one tensor by numbers that another one holds."""
        a, index = self.any(), self.any()
        n = shape_of(a)[0]

        def body(*i: Expr) -> Expr:
            at = te.cast(index[i[: index.ndim]], "int32")
            inside = te.maximum(te.minimum(at, te.const(n - 1, "int32")), te.const(0, "int32"))
            return a[(inside, *i[index.ndim :])]

        self.add((*shape_of(index), *shape_of(a)[1:]), body)

    def reduce(self) -> None:
        a, rng = self.any(), self.rng
        shape = shape_of(a)
        gone = sorted(rng.sample(range(a.ndim), rng.randint(1, min(2, a.ndim))))
        kept = [k for k in range(a.ndim) if k not in gone]
        axes = {k: te.reduce_axis(shape[k], f"k{k}") for k in gone}
        make = rng.choice([te.sum, te.max, te.min])

        def body(*i: Expr) -> Expr:
            at = dict(zip(kept, i)) | axes
            return make(a[tuple(at[k] for k in range(a.ndim))], list(axes.values()))

        if kept:
            self.add(tuple(shape[k] for k in kept), body)
            if len(self.tensors) > 1:
                t = self.tensors[-1]
                self.add(shape_of(t), lambda *i: _clip(t[i]))


_FORMS: tuple[Callable[[Expr, Expr], Expr], ...] = (
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    te.maximum,
    te.minimum,
    lambda x, y: te.if_then_else(x < y, x, y + 1),
    lambda x, y: te.if_then_else((x > 0) & (y > 0), y, -x),
)
_STEPS: tuple[Callable[[_Builder], None], ...] = (
    _Builder.arithmetic, _Builder.arithmetic, _Builder.arithmetic, _Builder.convert,
    _Builder.divide, _Builder.permute, _Builder.refold, _Builder.move, _Builder.join,
    _Builder.look_up, _Builder.reduce, _Builder.reduce,
)  # fmt: skip


def program(rng: random.Random) -> Computation:
    """A computation of two to seven stages; its results are all that nothing reads."""
    b = _Builder(rng)
    for _ in range(rng.randint(1, 3)):
        shape = tuple(rng.choice([1, 2, 3, 4, 5, 8, 11]) for _ in range(rng.randint(1, 3)))
        b.input(shape, rng.choice(["float32", "float32", "int32"]))
    steps, given = rng.randint(2, 7), len(b.inputs)
    while len(b.tensors) < given + steps:
        rng.choice(_STEPS)(b)
    made = b.tensors[given:]
    read = {id(t) for m in made for t in m.op.inputs}
    used = [t for t in b.inputs if id(t) in read]
    return used, [t for t in made if id(t) not in read]


ALL: dict[str, Callable[[random.Random], Computation]] = {**KINDS, "program": program}
