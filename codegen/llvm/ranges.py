"""Small facts about index expressions while LLVM IR is written: bounds and alignment.

They decide where ``nsw`` may stand, which loads may run outside of their guard, and which
alignment a vector access has. Everything unknown is ``None`` or 1, which is always safe.
"""

from __future__ import annotations

from ...ir.alu import Op
from ...ir.expr import Binary, Broadcast, Const, Expr, Load, Ramp, Var, as_int
from ...ir.simplify import Interval, Intervals
from ...ir.visit import children, walk
from ...runtime.dtype import DType

Bounds = tuple[int, int]


class MachineRanges(Intervals):
    """Inclusive bounds of integer expressions; loop variables are bound while descending.

    The analyzer's intervals take indices not to overflow and look through sums. Here the question
    is whether an instruction may wrap, so an expression is bounded only where each operation in
    it stays inside of its type: half an interval, or one known by its type alone, counts as
    unknown. (Types alone would put ``nsw`` on products of small integers, too; what LLVM makes of
    the code that is tuned today would change.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._safe: dict[Expr, bool] = {}

    def unknown(self, d: DType) -> Interval:
        return Interval()

    def fit(self, x: Interval, d: DType) -> Interval:
        if x.lo is None or x.hi is None or not d.is_int or x.lo < d.min or x.hi > d.max:
            return Interval()
        return x

    def bind(self, var: Var, bounds: Bounds | None) -> None:
        """``var`` is within ``bounds`` from now on; None: unknown."""
        known = Interval() if bounds is None else Interval(*bounds)
        if self._bounds.get(var, known) != known:
            self._ranges.clear()
            self._safe.clear()
        self._bounds[var] = known
        self._ranges.pop(var, None)

    def of(self, e: Expr) -> Bounds | None:
        """Bounds of ``e`` if no operation in it can overflow, else None."""
        low, high = self.range_of(e)
        return None if low is None or high is None else (low, high)

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
                unknown |= self.of(n) is None
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
        known = self._safe.get(e)
        if known is None:
            known = not isinstance(e, Load) or self.inside(e)
            for c in children(e):
                assert isinstance(c, Expr)
                known = known and self.safe(c)
            self._safe[e] = known
        return known


def multiple(e: Expr, limit: int = 64) -> int:
    """A power of two ≤ ``limit`` that divides ``e``."""
    return _multiple(e, limit, {})


def _multiple(e: Expr, limit: int, known: dict[Expr, int]) -> int:
    match e:
        case Const() if not e.dtype.is_float:
            v = int(e.value)
            return limit if v == 0 else min(limit, v & -v)
        case Binary(op=Op.MUL | Op.ADD | Op.SUB):
            if e not in known:
                a, b = _multiple(e.a, limit, known), _multiple(e.b, limit, known)
                known[e] = min(limit, a * b) if e.op is Op.MUL else min(a, b)
            return known[e]
        case Broadcast():
            return _multiple(e.value, limit, known)
    return 1
