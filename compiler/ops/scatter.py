"""Writing by index tensors, in gather form.

A tensor expression says what each element of its result *is*, so a scatter becomes a search: for
every position, which updates point there? That is a reduction over the updates, slower than a
scatter where there are many, but free of races on every target and with one meaning for
duplicates: without a reduction the last of them wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...ir import reducers
from ...ir.alu import Op as Alu
from ...ir.builders import all_of, equal, if_then_else, maximum, minimum
from ...ir.expr import ZERO, Const, Expr, binary, const
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import DType
from ...runtime.errors import GraphError
from ..types import TensorType
from .gather import WRAP, check_axis, wrapped_array, wrapped_index
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import extents, reduced, stage

REDUCTIONS = ("none", "add", "mul", "min", "max")


def _check(op: str, types: Types, attrs: Attrs) -> tuple[TensorType, TensorType, TensorType]:
    x, i, u = types[0], types[1], types[2]
    assert x is not None and i is not None and u is not None
    if attrs["reduction"] not in REDUCTIONS:
        raise GraphError(
            f"{op} has no reduction {attrs['reduction']!r}.", hint=", ".join(REDUCTIONS)
        )
    if not i.dtype.is_int or u.dtype != x.dtype:
        raise GraphError(f"{op}: indices {i} must be integers and updates {u} of the type of {x}.")
    if x.dtype.is_bool and attrs["reduction"] != "none":
        raise GraphError(f"{op} on bool has no reduction {attrs['reduction']!r}.")
    return x, i, u


def _identity(reduction: str, d: DType) -> Const:
    if reduction in ("add", "mul"):
        return const(0 if reduction == "add" else 1, d)
    low, high = (float("-inf"), float("inf")) if d.is_float else (d.min, d.max)
    return const(low if reduction == "max" else high, d)


_REDUCE = {
    "add": (reducers.sum, lambda a, b: binary(Alu.ADD, a, b)),
    "mul": (reducers.prod, lambda a, b: binary(Alu.MUL, a, b)),
    "min": (reducers.min, minimum),
    "max": (reducers.max, maximum),
}


def _scatter(
    name: str,
    x: Tensor,
    search: Sequence[int],
    count: int,
    hit: Callable[[tuple[Expr, ...], Expr], Expr],
    update: Callable[[tuple[Expr, ...], Expr], Expr],
    inside: Callable[[tuple[Expr, ...]], Expr | None],
    reduction: str,
) -> list[Tensor]:
    """``hit(o, k)``: whether update ``k`` of ``count`` points at position ``o`` of the ``search``
    shape (the leading axes of ``x`` for slices); ``update(o, k)``: its value at ``o`` of ``x``;
    ``inside(o)``: where updates can lie at all, None for everywhere."""
    shape, lead = extents(x), len(search)
    k = reduce_axis(count, "k")
    if reduction == "none":
        last = stage(
            search,
            lambda *o: reduced(reducers.max, if_then_else(_and(inside(o), hit, o, k), k, -1), k),
            f"{name}.last",
        )

        def write(*o: Expr) -> Expr:
            found = last[o[:lead]]
            return if_then_else(found >= 0, update(o, found), x[o])

        return [stage(shape, write, name)]
    reduce, combine = _REDUCE[reduction]
    neutral = _identity(reduction, x.dtype)
    total = stage(
        shape,
        lambda *o: reduce(
            if_then_else(_and(inside(o), hit, o[:lead], k), update(o, k), neutral), axis=k
        ),
        f"{name}.{reduction}",
    )
    return [stage(shape, lambda *o: combine(x[o], total[o]), name)]


def _and(guard: Expr | None, hit, o: tuple[Expr, ...], k: Expr) -> Expr:
    # The index is read only where it exists: a select is lazy, a conjunction is not.
    return hit(o, k) if guard is None else if_then_else(guard, hit(o, k), const(False))


# --- scatter_elements -------------------------------------------------------------------------


def _elements_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, i, u = _check("scatter_elements", types, attrs)
    axis = attrs["axis"]
    check_axis("scatter_elements", axis, x)
    fits = len(i.shape) == len(x.shape) and all(
        p <= q for k, (p, q) in enumerate(zip(i.shape, x.shape)) if k != axis
    )
    if not fits or i.shape != u.shape:
        raise GraphError(
            f"scatter_elements: indices {i} and updates {u} must be alike and lie in {x}."
        )
    return [x]


def _elements_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, index, updates = inputs
    axis, shape, small = attrs["axis"], extents(x), extents(index)

    def at(o: tuple[Expr, ...], k: Expr) -> tuple[Expr, ...]:
        return (*o[:axis], k, *o[axis + 1 :])

    def inside(o: tuple[Expr, ...]) -> Expr | None:
        short = [o[d] < small[d] for d in range(x.ndim) if d != axis and small[d] < shape[d]]
        return all_of(short) if short else None

    return _scatter(
        "scatter_elements",
        x,
        shape,
        small[axis],
        lambda o, k: equal(wrapped_index(index[at(o, k)], shape[axis], attrs["wrap"]), o[axis]),
        lambda o, k: updates[at(o, k)],
        inside,
        attrs["reduction"],
    )


_UFUNC = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def _elements_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, index, updates = inputs
    axis, result = attrs["axis"], x.copy()
    if index.size == 0 or x.size == 0:
        return [result]
    key = list(np.indices(index.shape))
    key[axis] = wrapped_array(index, x.shape[axis])
    return [_apply(result, tuple(key), updates, attrs["reduction"])]


def _apply(result: np.ndarray, key: tuple, updates: np.ndarray, reduction: str) -> np.ndarray:
    if reduction == "none":
        result[key] = updates  # numpy: the last of equal positions wins
    else:
        _UFUNC[reduction].at(result, key, updates)
    return result


# --- scatter_nd -------------------------------------------------------------------------------


def _nd_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, i, u = _check("scatter_nd", types, attrs)
    depth = i.shape[-1] if i.shape else 0
    if not i.shape or depth > len(x.shape) or u.shape != (*i.shape[:-1], *x.shape[depth:]):
        raise GraphError(
            f"scatter_nd: indices {i} into {x} need updates of the shape "
            f"{[*i.shape[:-1], *x.shape[depth:]]}, not {u}."
        )
    return [x]


def _nd_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, index, updates = inputs
    shape, (*outer, depth) = extents(x), extents(index)
    count = math.prod(outer)

    def where(k: Expr) -> list[Expr]:
        at: list[Expr] = []
        rest = count
        for n in outer:
            rest //= max(n, 1)
            at.append(ZERO if n <= 1 else (k if rest == 1 else k // rest) % n)
        return at

    def hit(o: tuple[Expr, ...], k: Expr) -> Expr:
        at = [wrapped_index(index[(*where(k), d)], shape[d], attrs["wrap"]) for d in range(depth)]
        return all_of([equal(i, o[d]) for d, i in enumerate(at)])

    return _scatter(
        "scatter_nd",
        x,
        shape[:depth],
        count,
        hit,
        lambda o, k: updates[(*where(k), *o[depth:])],
        lambda o: None,
        attrs["reduction"],
    )


def _nd_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, index, updates = inputs
    result, depth = x.copy(), index.shape[-1]
    if updates.size == 0:
        return [result]
    rows = index.reshape(-1, depth)
    flat = updates.reshape(len(rows), *x.shape[depth:])
    if depth == 0:  # every update is the whole tensor
        for u in flat:
            result = _apply(result, (...,), u, attrs["reduction"])
        return [result]
    key = tuple(wrapped_array(rows[:, d], x.shape[d]) for d in range(depth))
    return [_apply(result, key, flat, attrs["reduction"])]


_REDUCTION = {"reduction": Attr(str, "none", ", ".join(REDUCTIONS))}

OPS: tuple[OpDef, ...] = (
    OpDef(
        "scatter_elements",
        Kind.OPAQUE,
        _elements_infer,
        _elements_compute,
        _elements_reference,
        attrs={"axis": Attr(int, doc="not negative"), "wrap": WRAP, **_REDUCTION},
        min_inputs=3,
        max_inputs=3,
        doc="inputs: data, indices along the axis, updates of the indices' shape.",
    ),
    OpDef(
        "scatter_nd",
        Kind.OPAQUE,
        _nd_infer,
        _nd_compute,
        _nd_reference,
        attrs={"wrap": WRAP, **_REDUCTION},
        min_inputs=3,
        max_inputs=3,
        doc="inputs: data, coordinates of slices in the last axis of the indices, the slices.",
    ),
)
