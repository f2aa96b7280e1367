"""The reductions that come with te: ``sum prod max min any all argmax argmin``."""

# The names are numpy's on purpose and shadow builtins; import this module's names through te.
from __future__ import annotations

from collections.abc import Callable, Sequence

from ..runtime.dtype import BOOL, DType
from .alu import Op
from .builders import maximum, minimum
from .expr import Binary, Const, Expr, IterVar, Select, const
from .tensor import comm_reducer


def _lowest(d: DType) -> Const:
    return const(float("-inf") if d.is_float else d.min, d)


def _highest(d: DType) -> Const:
    return const(float("inf") if d.is_float else d.max, d)


def _better(op: Op) -> Callable:
    """Combine (index, value) pairs: the better value, of equal ones the lower index; a NaN wins,
    the first of several, as in numpy.argmax."""

    def combine(x: Sequence[Expr], y: Sequence[Expr]) -> Sequence[Expr]:
        a, b = (x[1], y[1]) if op is Op.LT else (y[1], x[1])
        keep = Binary(Op.LT, a, b)
        if x[1].dtype.is_float:
            nx, ny = Binary(Op.NE, x[1], x[1]), Binary(Op.NE, y[1], y[1])
            keep = Binary(Op.OR, Binary(Op.AND, keep, ~ny), nx & ~ny)
            tie = Binary(Op.OR, Binary(Op.EQ, x[1], y[1]), nx & ny)
        else:
            tie = Binary(Op.EQ, x[1], y[1])
        first = Binary(Op.OR, keep, Binary(Op.AND, tie, Binary(Op.LT, x[0], y[0])))
        return Select(first, x[0], y[0]), Select(first, x[1], y[1])

    return combine


sum = comm_reducer(lambda x, y: x + y, lambda d: const(0, d), name="sum")
prod = comm_reducer(lambda x, y: x * y, lambda d: const(1, d), name="prod")
max = comm_reducer(maximum, _lowest, name="max")
min = comm_reducer(minimum, _highest, name="min")
any = comm_reducer(lambda x, y: x | y, lambda d: const(False, BOOL), name="any")
all = comm_reducer(lambda x, y: x & y, lambda d: const(True, BOOL), name="all")
_argmax = comm_reducer(_better(Op.MAX), lambda i, d: (const(i.max, i), _lowest(d)), name="argmax")
_argmin = comm_reducer(_better(Op.LT), lambda i, d: (const(i.max, i), _highest(d)), name="argmin")


def argmax(value: Expr, axis: IterVar) -> tuple[Expr, Expr]:
    """``(index, value)`` of the greatest element along ``axis``; the first one of equals. Give
    both to one compute: ``idx, val = te.compute(shape, lambda i: te.argmax(A[i, k], k))``."""
    return _pair(_argmax((axis, value), axis=axis))


def argmin(value: Expr, axis: IterVar) -> tuple[Expr, Expr]:
    """``(index, value)`` of the least element along ``axis``; the first one of equals."""
    return _pair(_argmin((axis, value), axis=axis))


def _pair(components: Expr | tuple[Expr, ...]) -> tuple[Expr, Expr]:
    assert isinstance(components, tuple)
    index, best = components
    return index, best
