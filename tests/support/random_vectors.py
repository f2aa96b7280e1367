"""Random programs for vector code: many types in one expression, casts, selects and predicates,
neighbours, reversed, clamped and looked-up reads, with vectors of any number of lanes.

Values stay small enough to be exact in every type, in any order of summation: results can be
compared bit by bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from weft.ir import te
from weft.ir.expr import Expr
from weft.ir.identity import among
from weft.ir.schedule.schedule import Schedule, create_schedule
from weft.ir.tensor import ComputeOp, Tensor
from weft.runtime.errors import ScheduleError

from support.random_schedules import Computation, scramble

Body = Callable[[Expr, Expr], Expr]
FLOATS = ("float32", "float32", "float64", "float16")
INTS = ("int32", "int32", "int8", "uint8", "int16", "uint16", "int64", "uint32", "uint64")
FACTORS = (2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 16, 24, 28, 31, 32, 48, 56, 64)
VECTORS = "vectors"  # the kind of these programs
MOST = 16  # of a value, before it is multiplied


class _Writer:
    """Expressions of the element (i, j) of an ``n`` by ``m`` tensor."""

    def __init__(self, rng: random.Random, tensors: list[Tensor], i: Expr, j: Expr, n: int, m: int):
        self.rng, self.tensors, self.i, self.j, self.n, self.m = rng, tensors, i, j, n, m

    def any(self, depth: int) -> Expr:
        """A value of any type but bool."""
        rng = self.rng
        if depth == 0 or rng.random() < 0.15:
            return self.read() if rng.random() < 0.85 else self.number()
        a = self.any(depth - 1)
        form = rng.choice((self.cast, self.cast, self.truth, self.joined, self.joined, self.joined))
        return form(a, depth - 1)

    def cast(self, a: Expr, depth: int) -> Expr:
        return self.small(te.cast(a, self.rng.choice(FLOATS + INTS)))

    def truth(self, a: Expr, depth: int) -> Expr:
        return te.cast(te.cast(a, "bool"), self.rng.choice(FLOATS + INTS))

    def joined(self, a: Expr, depth: int) -> Expr:
        """Two values of one type as one."""
        rng, b = self.rng, te.cast(self.any(depth), a.dtype)
        forms = (
            lambda: te.if_then_else(self.condition(depth), a, b),
            lambda: te.if_then_else(self.condition(depth), a, b),
            lambda: te.maximum(a, b), lambda: te.minimum(a, b), lambda: a + b, lambda: a - b,
            lambda: self.small(a) * self.small(b),
            lambda: a + b if a.dtype.is_float else self.quotient(a) - b,
        )  # fmt: skip
        return self.small(rng.choice(forms)())

    def quotient(self, a: Expr) -> Expr:
        by = te.const(self.rng.choice((1, 2, 3, 8)), a.dtype)
        return self.small(a // by if self.rng.random() < 0.5 else a % by)

    def small(self, e: Expr) -> Expr:
        low = 0 if e.dtype.kind == "uint" else -MOST
        return te.maximum(te.minimum(e, te.const(MOST, e.dtype)), te.const(low, e.dtype))

    def number(self) -> Expr:
        d = self.rng.choice(FLOATS + INTS)
        e = self.rng.choice((self.i, self.j, te.const(3, "int32")))
        return self.small(te.cast(e, d))

    def read(self) -> Expr:
        t = self.rng.choice(self.tensors)
        return self.small(t[self.row(), self.column()])

    def row(self) -> Expr:
        return self.rng.choice((self.i, self.i, self.i, self.n - 1 - self.i, te.const(0, "int32")))

    def column(self) -> Expr:
        j, m, by = self.j, self.m, self.rng.randint(1, 5)
        top, low = te.const(m - 1, "int32"), te.const(0, "int32")
        forms = (
            lambda: j, lambda: j, lambda: j, lambda: m - 1 - j, lambda: te.minimum(j + by, top),
            lambda: te.maximum(j - by, low), lambda: te.minimum(j * 2, top), lambda: j // 2,
            lambda: low, lambda: (j * by) % m, self.looked_up,
        )  # fmt: skip
        return self.rng.choice(forms)()

    def looked_up(self) -> Expr:
        at = te.cast(self.rng.choice(self.tensors)[self.i, self.j], "int32")
        return te.maximum(te.minimum(at, te.const(self.m - 1, "int32")), te.const(0, "int32"))

    def condition(self, depth: int) -> Expr:
        rng, by = self.rng, self.rng.randint(0, self.m)
        kind = rng.randrange(7)
        if kind <= 1:
            return self.j < by if rng.random() < 0.7 else self.j >= by
        if kind == 2:
            return self.i < rng.randint(0, self.n)
        if kind == 3:
            return self.j % rng.randint(2, 4) <= 1
        if kind == 4:
            return te.cast(self.read(), "bool")
        a = self.any(max(0, depth - 1))
        if kind == 5:
            return a < te.cast(self.any(max(0, depth - 1)), a.dtype)
        both = self.condition(0), self.condition(0)
        return both[0] & both[1] if rng.random() < 0.5 else both[0] | both[1]


def _plain(rng: random.Random, tensors: list[Tensor], n: int, m: int) -> Body:
    return lambda i, j: _Writer(rng, tensors, i, j, n, m).any(rng.randint(1, 3))


def _reduced(rng: random.Random, tensors: list[Tensor], n: int, m: int) -> Body:
    axis = te.reduce_axis(rng.randint(1, 7), "k")

    def body(i: Expr, j: Expr) -> Expr:
        w = _Writer(rng, tensors, i, te.minimum(j + axis, te.const(m - 1, "int32")), n, m)
        return rng.choice((te.sum, te.max, te.min))(w.small(w.any(rng.randint(1, 3))), axis)

    return body


def vectors(rng: random.Random) -> Computation:
    """One to three stages on matrices of up to 4 by 70 elements."""
    n, m = rng.randint(1, 4), rng.choice((rng.randint(1, 40), rng.choice((28, 32, 56, 64, 70))))
    inputs = [
        te.placeholder((n, m), rng.choice((*FLOATS, *INTS, "bool")), name=f"A{k}")
        for k in range(rng.randint(1, 3))
    ]
    numbers = [t for t in inputs if not t.dtype.is_bool]
    if not numbers:
        numbers = [te.placeholder((n, m), "float32", name="B")]
        inputs += numbers
    made: list[Tensor] = []
    for k in range(rng.randint(1, 3)):
        make = _reduced if rng.random() < 0.25 else _plain
        made.append(te.compute((n, m), make(rng, numbers, n, m), name=f"T{k}"))
        numbers = [*numbers, made[-1]]
    read = {id(t) for x in made for t in x.op.inputs}
    used = [t for t in inputs if id(t) in read]
    return used, [t for t in made if id(t) not in read]


def vectorised(s: Schedule, rng: random.Random) -> None:
    """Lanes for most stages: the innermost axis, or a piece of it of any size."""
    for stage in list(s.stages):
        if not isinstance(stage.op, ComputeOp) or not stage.leaves or rng.random() < 0.2:
            continue
        axes = [a for a in stage.leaves if not among(a, stage.op.reduce_axes)]
        try:
            axis = axes[-1]
            if rng.random() < 0.8:
                _, axis = stage.split(axis, rng.choice(FACTORS))
            if axis is not stage.leaves[-1]:
                stage.reorder(stage.leaves[-1], axis)
            stage.vectorize(axis)
        except (ScheduleError, IndexError):
            continue


def build_vectors(seed: int, steps: int = 6) -> tuple[list[Tensor], list[Tensor], Schedule]:
    """(inputs, outputs, schedule) for a seed."""
    rng = random.Random(seed)
    inputs, outputs = vectors(rng)
    s = create_schedule(outputs)
    first = rng.random() < 0.5
    if first:
        vectorised(s, rng)
    scramble(s, rng, rng.randint(0, steps))
    if not first:
        vectorised(s, rng)
    return inputs, outputs, s
