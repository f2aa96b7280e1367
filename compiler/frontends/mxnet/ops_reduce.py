"""Reductions, orders, and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .context import MxContext
from .table import Converter, Table, named


def axes_of(n: MxContext) -> tuple[int, ...]:
    """The axes that are reduced: ``axis``, or all but those with ``exclude``."""
    ndim, given = len(n.shape), n.integers("axis", None)
    if not given:  # None and () are all of them, whatever ``exclude`` says
        return tuple(range(ndim))
    axes = {n.placed(a) for a in given}
    if n.flag("exclude"):
        axes = set(range(ndim)) - axes
    return tuple(sorted(axes))


def _finish(n: MxContext, y: str) -> str:
    """MXNet without numpy's shapes has no scalars: what is left of all axes is one of 1."""
    return y if n.typeof(y).shape else n.reshape(y, (1,))


def _reduce(op: str, nan: float | None = None) -> Converter:
    def convert(n: MxContext) -> str:
        x, axes = n.x, axes_of(n)
        if nan is not None:
            x = n.add("where", [n.add("is_nan", [x]), n.like(nan), x])
        if not axes:
            return x
        return _finish(n, n.add(op, [x], axes=axes, keepdims=n.flag("keepdims")))

    return convert


def _norm(n: MxContext) -> str:
    order = n.integer("ord", 2)
    if order not in (1, 2):
        n.unsupported(f"a norm of the order {order}")
    op = "reduce_l1" if order == 1 else "reduce_l2"
    return _finish(n, n.add(op, [n.x], axes=axes_of(n), keepdims=n.flag("keepdims")))


def _moments(n: MxContext) -> Sequence[str]:
    axes = tuple(n.placed(a) for a in n.integers("axes", None) or range(len(n.shape)))
    mean = n.add("reduce_mean", [n.x], axes=axes, keepdims=True)
    apart = n.add("sub", [n.x, mean])
    square = n.add("mul", [apart, apart])
    keep = n.flag("keepdims")
    made = [n.add("reduce_mean", [t], axes=axes, keepdims=keep) for t in (n.x, square)]
    return [_finish(n, t) for t in made]


def _arg(op: str) -> Converter:
    """Positions are floats."""

    def convert(n: MxContext) -> str:
        x, keep = n.x, n.flag("keepdims")
        if not n.has("axis"):
            flat = n.reshape(x, (math.prod(n.shape),))
            y = n.add(op, [flat], axis=0, keepdims=False)
            return n.reshape(n.cast(y, "float32"), (1,) * (len(n.shape) if keep else 1))
        y = n.add(op, [x], axis=n.axis("axis"), keepdims=keep)
        return _finish(n, n.cast(y, "float32"))

    return convert


def _argmax_channel(n: MxContext) -> str:
    y = n.add("arg_max", [n.x], axis=1, keepdims=False)
    return n.cast(y, str(n.typed().dtype))


# --- orders -----------------------------------------------------------------------------------


def _rows(n: MxContext) -> tuple[str, int]:
    """The data and the axis that is ordered; all of it as one where there is none."""
    if "axis" in n.node.attrs and not n.has("axis"):
        return n.reshape(n.x, (math.prod(n.shape),)), 0
    return n.x, n.axis("axis", -1)


def _topk(n: MxContext) -> Sequence[str]:
    x, axis = _rows(n)
    size = n.typeof(x).shape[axis]
    k, kind = n.integer("k", 1), n.text("ret_typ", "indices")
    if k > size:
        n.error(f"{k} of {size} elements are asked for.")
    k = size if k < 1 else k
    values, index = n.add_many("top_k", [x], 2, k=k, axis=axis, largest=not n.flag("is_ascend"))
    if kind == "mask":
        shape = [1] * (len(n.typeof(x).shape) + 1)
        shape[axis] = size
        places = n.constant(np.arange(size, dtype=np.int64).reshape(shape))
        own = n.typeof(index).shape
        turned = n.add(
            "transpose", [index], perm=(*(a for a in range(len(own)) if a != axis), axis)
        )
        rest = (*own[:axis], *own[axis + 1 :])
        turned = n.reshape(turned, (*rest[:axis], 1, *rest[axis:], k))
        hits = n.cast(n.add("equal", [turned, places]), str(n.typed().dtype))
        mask = n.add("reduce_max", [hits], axes=(len(own),), keepdims=False)
        return [n.reshape(mask, n.shape)]
    named_index = n.cast(index, n.text("dtype", "float32"))
    return {"value": [values], "indices": [named_index], "both": [values, named_index]}[kind]


def _sort(n: MxContext) -> str:
    return _ordered(n)[0]


def _argsort(n: MxContext) -> str:
    return n.cast(_ordered(n)[1], n.text("dtype", "float32"))


def _ordered(n: MxContext) -> Sequence[str]:
    x, axis = _rows(n)
    size = n.typeof(x).shape[axis]
    largest = not n.flag("is_ascend", True)
    return n.add_many("top_k", [x], 2, k=size, axis=axis, largest=largest)


def _cumsum(n: MxContext) -> str:
    x, axis = n.x, 0
    if n.has("axis"):
        axis = n.axis("axis")
    else:
        x = n.reshape(x, (math.prod(n.shape),))
    to = n.text("dtype", str(n.typeof(x).dtype))
    return n.add("cumsum", [n.cast(x, to)], axis=axis)


# --- products ---------------------------------------------------------------------------------


def _turned(n: MxContext, tensor: str) -> str:
    """The last two axes changed."""
    ndim = len(n.typeof(tensor).shape)
    return n.add("transpose", [tensor], perm=(*range(ndim - 2), ndim - 1, ndim - 2))


def _dot(n: MxContext) -> str:
    """The last axis of the first with the first axis of the second; a transposed tensor has its
    first axis last, or its last first."""
    a, b = n.inputs[:2]
    if n.flag("transpose_a"):
        ndim = len(n.typeof(a).shape)
        a = n.add("transpose", [a], perm=(*range(1, ndim), 0))
    if n.flag("transpose_b"):
        ndim = len(n.typeof(b).shape)
        b = n.add("transpose", [b], perm=(ndim - 1, *range(ndim - 1)))
    left, right = n.typeof(a).shape, n.typeof(b).shape
    if not left or not right or left[-1] != right[0]:
        n.error(f"{n.type(0)} and {n.type(1)} do not fit.")
    flat_a = n.reshape(a, (math.prod(left[:-1]), left[-1]))
    flat_b = n.reshape(b, (right[0], math.prod(right[1:])))
    return n.reshape(n.add("matmul", [flat_a, flat_b]), (*left[:-1], *right[1:]) or (1,))


def _batch_dot(n: MxContext) -> str:
    a, b = n.inputs[:2]
    a = _turned(n, a) if n.flag("transpose_a") else a
    b = _turned(n, b) if n.flag("transpose_b") else b
    return n.add("matmul", [a, b])


def _gemm2(n: MxContext) -> str:
    if n.integer("axis", -2) != -2:
        n.unsupported("products of other axes than the last two")
    y, alpha = _batch_dot(n), n.number("alpha", 1.0)
    return y if alpha == 1 else n.add("mul", [y, n.like(alpha, y)])


def _gemm(n: MxContext) -> str:
    y, beta = _gemm2(n), n.number("beta", 1.0)
    return n.add("add", [y, n.add("mul", [n.inputs[2], n.like(beta, y)])])


_REDUCTIONS: Table = {
    **named(_reduce("reduce_sum"), "sum", "sum_axis"),
    **named(_reduce("reduce_mean"), "mean"),
    **named(_reduce("reduce_max"), "max", "max_axis"),
    **named(_reduce("reduce_min"), "min", "min_axis"),
    **named(_reduce("reduce_prod"), "prod"),
    **named(_reduce("reduce_sum", 0.0), "nansum"),
    **named(_reduce("reduce_prod", 1.0), "nanprod"),
}

CONVERTERS: Table = {
    **_REDUCTIONS,
    "_linalg_gemm": _gemm,
    "_linalg_gemm2": _gemm2,
    "argmax": _arg("arg_max"),
    "argmax_channel": _argmax_channel,
    "argmin": _arg("arg_min"),
    "argsort": _argsort,
    "batch_dot": _batch_dot,
    "_np_cumsum": _cumsum,
    "cumsum": _cumsum,
    "dot": _dot,
    "moments": _moments,
    "norm": _norm,
    "sort": _sort,
    "topk": _topk,
}
