"""The reductions that come with te: ``sum prod max min any all argmax argmin``."""

# The names are numpy's on purpose and shadow builtins; import this module's names through te.
from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..runtime.dtype import BOOL, DType
from ..runtime.errors import ExprError
from .alu import Op
from .builders import maximum, minimum
from .comm_reducer import comm_reducer
from .expr import FALSE, TRUE, Binary, Const, Expr, ExprLike, IterVar, Select, const, to_expr


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
_any = comm_reducer(lambda x, y: x | y, lambda d: const(False, BOOL), name="any")
_all = comm_reducer(lambda x, y: x & y, lambda d: const(True, BOOL), name="all")
_argmax = comm_reducer(_better(Op.MAX), lambda i, d: (const(i.max, i), _lowest(d)), name="argmax")
_argmin = comm_reducer(_better(Op.LT), lambda i, d: (const(i.max, i), _highest(d)), name="argmin")


def any(
    *conditions: ExprLike,
    axis: IterVar | Sequence[IterVar] | None = None,
    where: Expr | None = None,
) -> Expr:
    """Whether one of several conditions holds, ``te.any(i < 1, j < 1)``; with ``axis`` whether one
    condition holds somewhere along it, ``te.any(A[i, k] > 0, axis=k)``."""
    return _logic(_any, Op.OR, FALSE, conditions, axis, where)


def all(
    *conditions: ExprLike,
    axis: IterVar | Sequence[IterVar] | None = None,
    where: Expr | None = None,
) -> Expr:
    """Whether all of several conditions hold, ``te.all(i >= 1, j < n)``; with ``axis`` whether one
    condition holds everywhere along it, ``te.all(A[i, k] > 0, axis=k)``."""
    return _logic(_all, Op.AND, TRUE, conditions, axis, where)


def _logic(
    reducer: Callable,
    op: Op,
    none: Expr,
    given: tuple[Any, ...],
    axis: IterVar | Sequence[IterVar] | None,
    where: Expr | None,
) -> Expr:
    if len(given) > 1 and axis is None and _is_axis(given[-1]):  # te.all(A[k] > 0, k)
        given, axis = given[:-1], given[-1]
    if len(given) == 1 and isinstance(given[0], Sequence):
        given = tuple(given[0])
    conditions = tuple(map(to_expr, given))
    for c in conditions:
        if not c.dtype.is_bool:
            raise ExprError(
                f"te.{reducer.__name__} takes conditions, and {c} is {c.dtype}.",
                hint="compare it: x != 0",
            )
    if axis is None:
        return functools.reduce(lambda a, b: Binary(op, a, b), conditions) if conditions else none
    if len(conditions) != 1:
        raise ExprError(
            f"te.{reducer.__name__} along an axis takes one condition, not {len(conditions)}.",
            hint=f"join them first: te.{reducer.__name__}(te.all(a, b), axis=k)",
        )
    return reducer(conditions[0], axis, where)


def _is_axis(x: object) -> bool:
    several = x if isinstance(x, Sequence) else (x,)
    return bool(several) and builtins.all(
        isinstance(a, IterVar) and a.kind == "reduce" for a in several
    )


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
