"""Small facts about index expressions while LLVM IR is written: bounds and alignment.

They decide where ``nsw`` may stand, which loads may run outside of their guard, and which
alignment a vector access has. Everything unknown is ``None`` or 1, which is always safe.
"""

from __future__ import annotations

from ..ir.expr import Binary, Broadcast, Cast, Const, Expr, Load, Op, Ramp, Select, Var, as_int
from ..ir.visit import children, walk

Range = tuple[int, int]


class Ranges:
    """Inclusive bounds of integer expressions; loop variables are bound while descending."""

    def __init__(self) -> None:
        self._vars: dict[Var, Range | None] = {}
        self._cache: dict[Expr, Range | None] = {}

    def bind(self, var: Var, bounds: Range | None) -> None:
        if var in self._vars and self._vars[var] != bounds:
            self._cache.clear()
        self._vars[var] = bounds

    def of(self, e: Expr) -> Range | None:
        """Bounds of ``e`` if no operation in it can overflow, else None."""
        if isinstance(e, Var):
            return self._vars.get(e)
        if isinstance(e, Const):
            return None if e.dtype.is_float else (int(e.value), int(e.value))
        if e not in self._cache:
            r = self._compute(e) if e.dtype.is_int else None
            fits = r is not None and e.dtype.min <= r[0] and r[1] <= e.dtype.max
            self._cache[e] = r if fits else None
        return self._cache[e]

    def _compute(self, e: Expr) -> Range | None:
        match e:
            case Broadcast():
                return self.of(e.value)
            case Cast() if e.value.dtype.is_int:
                return self.of(e.value)
            case Ramp():
                b, s = self.of(e.base), self.of(e.stride)
                if b is None or s is None:
                    return None
                n = e.lanes - 1
                return b[0] + min(0, n * s[0]), b[1] + max(0, n * s[1])
            case Select():
                a, b = self.of(e.if_true), self.of(e.if_false)
                return None if a is None or b is None else (min(a[0], b[0]), max(a[1], b[1]))
            case Binary():
                return self._binary(e)
        return None

    def _binary(self, e: Binary) -> Range | None:
        a, b = self.of(e.a), self.of(e.b)
        if e.op is Op.FLOORMOD and b is not None and b[0] > 0:
            whole = (0, b[1] - 1)
            return a if a is not None and a[0] >= 0 and a[1] < b[0] else whole
        if a is None or b is None:
            return None
        match e.op:
            case Op.ADD:
                return a[0] + b[0], a[1] + b[1]
            case Op.SUB:
                return a[0] - b[1], a[1] - b[0]
            case Op.MUL:
                products = [x * y for x in a for y in b]
                return min(products), max(products)
            case Op.MIN:
                return min(a[0], b[0]), min(a[1], b[1])
            case Op.MAX:
                return max(a[0], b[0]), max(a[1], b[1])
            case Op.FLOORDIV if b[0] > 0:
                quotients = [x // y for x in a for y in b]
                return min(quotients), max(quotients)
        return None

    def no_wrap(self, e: Binary, index: bool) -> bool:
        """Whether ``nsw`` holds: by bounds, or by the contract of indices with symbolic extents
        (a buffer has less than 2^31 elements)."""
        if e.op not in (Op.ADD, Op.SUB, Op.MUL) or e.dtype.kind != "int":
            return False
        return self.of(e) is not None or (index and self._symbolic(e))

    def _symbolic(self, e: Expr) -> bool:
        unknown = False
        for n in walk(e):
            if isinstance(n, Var):
                unknown |= self._vars.get(n) is None
            elif isinstance(n, Load) or not isinstance(n, Const | Binary | Ramp | Broadcast):
                return False
        return unknown

    def inside(self, load: Load) -> bool:
        """Whether ``load`` is certainly in bounds, whatever guards it."""
        size = 1
        for s in load.buffer.shape:
            n = as_int(s)
            if n is None:
                return False
            size *= n
        r = self.of(load.indices[-1]) if len(load.indices) == 1 else None
        return (not load.indices and size > 0) or (r is not None and r[0] >= 0 and r[1] < size)

    def safe(self, e: Expr) -> bool:
        """Whether ``e`` may be evaluated where its guard does not hold."""
        stack: list = [e]
        while stack:
            n = stack.pop()
            if isinstance(n, Load) and not self.inside(n):
                return False
            stack.extend(children(n))
        return True


def multiple(e: Expr, limit: int = 64) -> int:
    """A power of two ≤ ``limit`` that divides ``e``."""
    match e:
        case Const() if not e.dtype.is_float:
            v = int(e.value)
            return limit if v == 0 else min(limit, v & -v)
        case Binary(op=Op.MUL):
            return min(limit, multiple(e.a, limit) * multiple(e.b, limit))
        case Binary(op=Op.ADD | Op.SUB):
            return min(multiple(e.a, limit), multiple(e.b, limit))
        case Broadcast():
            return multiple(e.value, limit)
    return 1
