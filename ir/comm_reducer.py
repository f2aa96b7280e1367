"""``comm_reducer``: reductions from a combining function and its identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..runtime.dtype import DType
from ..runtime.errors import ExprError
from .expr import TRUE, Const, Expr, ExprLike, IterVar, Reduce, Var, to_expr
from .tensor import Reducer

_ELEMENTWISE = {"max": "maximum", "min": "minimum"}  # of two values


def comm_reducer(
    combine: Callable[..., Expr | Sequence[Expr]],
    identity: Callable[..., Const | Sequence[Const]],
    name: str = "reduce",
) -> Callable[..., Expr | tuple[Expr, ...]]:
    """A reduction from a combining function and its identity.

    ``combine(x, y)`` takes two values (or two tuples) and ``identity(dtype, …)`` one dtype per
    component. The result is called as ``r(sources, axis=k, where=None)``; with a tuple of sources
    it returns the tuple of components, to be passed to one ``compute``.

    >>> mul = comm_reducer(lambda x, y: x * y, lambda t: const(1, t), name="prod")
    """
    made: dict[tuple[DType, ...], Reducer] = {}

    def reducer_for(dtypes: tuple[DType, ...]) -> Reducer:
        if dtypes not in made:
            made[dtypes] = _reducer(combine, identity, name, dtypes)
        return made[dtypes]

    def reduce(
        sources: ExprLike | Sequence[ExprLike],
        axis: IterVar | Sequence[IterVar] | None = None,
        where: ExprLike | None = None,
    ) -> Expr | tuple[Expr, ...]:
        many = isinstance(sources, Sequence)
        exprs = tuple(map(to_expr, sources if isinstance(sources, Sequence) else (sources,)))
        axes = _axes(axis, name)
        reducer = reducer_for(tuple(e.dtype for e in exprs))
        cond = TRUE if where is None else to_expr(where)
        if not cond.dtype.is_bool:
            raise ExprError(
                f"te.{name}: where= takes a condition, and {cond} is {cond.dtype}.",
                hint="compare it: x != 0",
            )
        out = tuple(Reduce(reducer, exprs, axes, cond, k) for k in range(len(exprs)))
        return out if many else out[0]

    reduce.__name__ = name
    return reduce


def _axes(axis: object, name: str) -> tuple[IterVar, ...]:
    """The axes that a reduction is called with, or an error that says what to write."""
    write = f"te.{name}(…, axis=k) with k = te.reduce_axis(n), and k in the place where it runs"
    if name in _ELEMENTWISE:
        write += f"; of two values te.{_ELEMENTWISE[name]}(a, b)"
    if axis is None:
        raise ExprError(f"te.{name} does not say what it runs over.", hint=f"write {write}")
    axes: tuple = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    for a in axes:
        if isinstance(a, IterVar) and a.kind == "data":
            raise ExprError(
                f"te.{name} cannot run over {a.name}, which is an axis of a result.",
                hint=f"write {write}",
            )
        if not isinstance(a, IterVar) or a.kind != "reduce":
            raise ExprError(
                f"te.{name} reduces over axes made by te.reduce_axis, not {a!r}.",
                hint=f"write {write}",
            )
    if len(set(axes)) != len(axes) or not axes:
        what = "over no axis" if not axes else "twice over one axis"
        raise ExprError(f"te.{name} runs {what}.", hint=f"write {write}")
    return axes


def _reducer(combine: Callable, identity: Callable, name: str, dtypes: tuple[DType, ...]):
    lhs = tuple(Var(f"x{k}", d) for k, d in enumerate(dtypes))
    rhs = tuple(Var(f"y{k}", d) for k, d in enumerate(dtypes))
    one = len(dtypes) == 1
    try:
        result = combine(lhs[0], rhs[0]) if one else combine(lhs, rhs)
        ident = identity(*dtypes)
    except (TypeError, IndexError, ValueError) as e:
        raise _wrong(name, dtypes, f"calling its functions failed: {e}") from e
    results = _several(result)
    if results is None or not all(isinstance(r, Expr) for r in results):
        raise _wrong(name, dtypes, f"combine gave {result!r}, which is no expression")
    if [r.dtype for r in results] != list(dtypes):
        raise _wrong(name, dtypes, f"combine gave {_types(results)}")
    return Reducer(name, lhs, rhs, tuple(results), _identity(ident, name, dtypes))


def _identity(ident: object, name: str, dtypes: tuple[DType, ...]) -> tuple[Const, ...]:
    idents = _several(ident)
    if idents is None or len(idents) != len(dtypes):
        raise _wrong(name, dtypes, f"identity gave {ident!r}, not {len(dtypes)} constants")
    made = []
    for e, d in zip(idents, dtypes):
        if isinstance(e, int | float):
            e = to_expr(e, d)
        if not isinstance(e, Const):
            raise _wrong(name, dtypes, f"identity gave {e!r}, which is not a constant")
        if e.dtype != d:
            raise _wrong(name, dtypes, f"identity gave a constant of {e.dtype} for {d}")
        made.append(e)
    return tuple(made)


def _several(given: object) -> tuple | None:
    if isinstance(given, Expr | int | float):
        return (given,)
    return tuple(given) if isinstance(given, Sequence) else None


def _types(exprs: Sequence[Expr]) -> str:
    return ", ".join(str(e.dtype) for e in exprs)


def _wrong(name: str, dtypes: tuple[DType, ...], what: str) -> ExprError:
    values = ", ".join(map(str, dtypes))
    return ExprError(
        f"the reducer {name} of ({values}): {what}.",
        hint="te.comm_reducer(lambda x, y: …, lambda t: te.const(0, t)) for one value, "
        "lambda x, y: (…, …) and lambda t0, t1: (te.const(0, t0), te.const(0, t1)) for two",
    )
