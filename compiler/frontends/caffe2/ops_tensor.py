"""Two operands, reductions, shapes, parts, joins and indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .context import C2Context
from .fills import FILLS, filled
from .table import Converter, Table

# --- two operands, and more -------------------------------------------------------------------


def _second(n: C2Context) -> str:
    """The second operand so that it broadcasts as ``broadcast`` and ``axis`` say: a shape that the
    first has from that axis on, or at its end. Newer nets broadcast as numpy does."""
    b, ndim = n.inputs[1], len(n.shape)
    if not n.flag("broadcast"):
        return b
    shape, axis = n.typeof(b).shape, n.integer("axis", -1)
    word = n.text("axis_str", "")
    if word:
        axis = n.text("order", "NCHW").find(word)
        if axis < 0:
            n.error(f"axis_str is {word!r}.")
    if axis == -1:
        return b
    behind = ndim - axis - len(shape)
    if axis < 0 or behind < 0:
        n.error(f"{n.type(1)} does not lie in {n.type(0)} from axis {axis} on.")
    return n.reshape(b, (*shape, *(1,) * behind))


def _binary(op: str) -> Converter:
    return lambda n: n.add(op, [n.x, _second(n)])


def _pow(n: C2Context) -> str:
    if n.has_attr("exponent"):
        return n.add("pow", [n.x, n.like(n.number("exponent"))])
    return n.add("pow", [n.x, _second(n)])


def _all(op: str) -> Converter:
    def convert(n: C2Context) -> str:
        total = n.x
        for i in n.inputs[1:]:
            total = n.add(op, [total, i])
        return total

    return convert


def _mean(n: C2Context) -> str:
    return n.add("div", [_all("add")(n), n.like(len(n))])  # pyright: ignore[reportArgumentType]


def _where(n: C2Context) -> str:
    condition = n.x
    if n.flag("broadcast_on_rows"):
        condition = n.reshape(condition, (*n.shape, *(1,) * (len(n.typed(1).shape) - 1)))
    return n.add("where", [condition, *n.inputs[1:3]])


def _cast(n: C2Context) -> str:
    return n.cast(n.x, n.dtype("to"))


# --- reductions -------------------------------------------------------------------------------


def _reduce(op: str) -> Converter:
    def convert(n: C2Context) -> str:
        axes = n.integers("axes", ()) or range(len(n.shape))
        axes = tuple(sorted({n.placed(a) for a in axes}))
        return n.add(op, [n.x], axes=axes, keepdims=n.flag("keepdims", True))

    return convert


def _reduce_end(op: str, front: bool) -> Converter:
    """Over the first axes, or the last ones: ``num_reduce_dim`` of them."""

    def convert(n: C2Context) -> str:
        if n.input(1):
            n.unsupported("lengths of what is reduced")
        count, ndim = n.integer("num_reduce_dim", n.integer("num_reduce_dims", 1)), len(n.shape)
        if not 0 <= count <= ndim:
            n.error(f"{count} of {ndim} axes are to be reduced.")
        axes = tuple(range(count) if front else range(ndim - count, ndim))
        return n.add(op, [n.x], axes=axes, keepdims=False) if axes else n.x

    return convert


def _arg(op: str) -> Converter:
    def convert(n: C2Context) -> str:
        axis, keep = n.placed(n.integer("axis", -1)), n.flag("keepdims", True)
        return n.add(op, [n.x], axis=axis, keepdims=keep)

    return convert


def _top_k(n: C2Context) -> Sequence[str]:
    if n.output_wanted(2):
        n.unsupported("indices into the flattened data")
    axis = n.placed(n.integer("axis", -1))
    k = min(n.integer("k"), n.shape[axis])
    return [*n.add_many("top_k", [n.x], 2, k=k, axis=axis, largest=True), ""]


# --- shapes -----------------------------------------------------------------------------------


def _reshape(n: C2Context) -> Sequence[str]:
    """0 is the extent that there is, -1 is worked out; the second result is the old shape."""
    wanted = list(n.values(1) if n.input(1) else n.integers("shape"))
    shape = n.shape
    for k, d in enumerate(wanted):
        if d == 0:
            if k >= len(shape):
                n.error(f"the shape {wanted} keeps an axis that {n.type(0)} has not.")
            wanted[k] = shape[k]
    if -1 in wanted:
        rest = math.prod(d for d in wanted if d != -1)
        wanted[wanted.index(-1)] = math.prod(shape) // rest if rest else 0
    if min(wanted, default=0) < 0 or math.prod(wanted) != math.prod(shape):
        n.error(f"{n.type(0)} has no shape {wanted}.")
    return [n.reshape(n.x, tuple(wanted)), n.constant(np.array(shape, np.int64))]


def _flatten(n: C2Context) -> str:
    axis = n.placed(n.integer("axis", 1), len(n.shape) + 1)
    return n.reshape(n.x, (math.prod(n.shape[:axis]), math.prod(n.shape[axis:])))


def _flatten_to_vector(n: C2Context) -> str:
    return n.reshape(n.x, (math.prod(n.shape),))


def _squeeze(n: C2Context) -> str:
    drop = {n.placed(d) for d in n.integers("dims")}
    if any(n.shape[d] != 1 for d in drop):
        n.error(f"the axes {sorted(drop)} of {n.type(0)} are not all 1.")
    return n.reshape(n.x, tuple(d for k, d in enumerate(n.shape) if k not in drop))


def _expand_dims(n: C2Context) -> str:
    dims = n.integers("dims")
    ndim = len(n.shape) + len(set(dims))
    new, rest = {n.placed(d, ndim) for d in dims}, iter(n.shape)
    return n.reshape(n.x, tuple(1 if k in new else next(rest) for k in range(ndim)))


def _transpose(n: C2Context) -> str:
    axes = n.integers("axes", ()) or tuple(reversed(range(len(n.shape))))
    return n.add("transpose", [n.x], perm=tuple(n.placed(a) for a in axes))


def _order(to: str) -> Converter:
    def convert(n: C2Context) -> str:
        ndim = len(n.shape)
        last = (0, *range(2, ndim), 1)
        return n.add(
            "transpose", [n.x], perm=last if to == "NHWC" else (0, ndim - 1, *range(1, ndim - 1))
        )

    return convert


def _shape(n: C2Context) -> str:
    axes = n.integers("axes", ()) or range(len(n.shape))
    return n.constant(np.array([n.shape[n.placed(a)] for a in axes], np.int64))


# --- parts and joins --------------------------------------------------------------------------


def _joined_axis(n: C2Context) -> int:
    """``axis``, or the channels of the node's order."""
    if n.has_attr("axis"):
        return n.integer("axis")
    return len(n.shape) - 1 if n.channels_last else 1


def _concat(n: C2Context) -> Sequence[str]:
    """The second result is how long each part is."""
    add, inputs = n.flag("add_axis"), n.inputs
    axis = n.placed(_joined_axis(n), len(n.shape) + add)
    if add:
        wide = (*n.shape[:axis], 1, *n.shape[axis:])
        inputs = [n.reshape(i, wide) for i in inputs]
    parts = np.array([n.typeof(i).shape[axis] for i in inputs], np.int32)
    return [n.add("concat", inputs, axis=axis), n.constant(parts)]


def _split(n: C2Context) -> Sequence[str]:
    axis, count = n.placed(_joined_axis(n)), n.n_outputs
    sizes = list(n.values(1) if n.input(1) else n.integers("split", ()))
    if not sizes:
        if n.shape[axis] % count:
            n.error(f"axis {axis} of {n.type(0)} does not divide into {count} parts.")
        sizes = [n.shape[axis] // count] * count
    if sum(sizes) != n.shape[axis] or len(sizes) != count or min(sizes) < 0:
        n.error(f"parts of {sizes} do not make up axis {axis} of {n.type(0)}.")
    starts = [sum(sizes[:k]) for k in range(count)]
    made = [n.part(n.x, axis, b, c) for b, c in zip(starts, sizes)]
    if not n.flag("add_axis"):
        return made
    return [n.reshape(m, n.shape[:axis] + n.shape[axis + 1 :]) for m in made]


def _slice(n: C2Context) -> str:
    """Negative places count from one behind the end: -1 is the end."""
    starts = n.values(1) if n.input(1) else n.integers("starts")
    ends = n.values(2) if n.input(2) else n.integers("ends")
    y = n.x
    for axis, (b, e, d) in enumerate(zip(starts, ends, n.shape)):
        b, e = (d + 1 + v if v < 0 else min(v, d) for v in (b, e))
        y = n.part(y, axis, b, max(e - b, 0))
    return y


def _gather(n: C2Context) -> str:
    axis = n.placed(n.integer("axis", 0))
    return n.add("gather", n.inputs[:2], axis=axis)


def _batch_gather(n: C2Context) -> str:
    return n.add("gather", n.inputs[:2], axis=1)


def _tile(n: C2Context) -> str:
    if n.input(1):
        n.unsupported("a number of tiles that is an input")
    axis = n.placed(n.integer("axis", 0))
    tiles = n.integer("tiles", 1)
    return n.add(
        "tile", [n.x], repeats=tuple(tiles if k == axis else 1 for k in range(len(n.shape)))
    )


def _fill(n: C2Context) -> str:
    """A fill in the midst of a net, by its arguments or like an input."""
    args = dict(n.node.attrs)
    if n.input(0):
        n.unsupported("a shape that is an input")
    return n.constant(filled(n.op, args, n.where))


_BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "EQ": "equal", "NE": "not_equal",
    "LT": "less", "LE": "less_or_equal", "GT": "greater", "GE": "greater_or_equal", "And": "and",
    "Or": "or", "Xor": "xor", "Mod": "mod",
}  # fmt: skip
_REDUCTIONS = {
    "Max": "reduce_max", "Min": "reduce_min", "Mean": "reduce_mean", "Sum": "reduce_sum",
    "L1": "reduce_l1", "L2": "reduce_l2",
}  # fmt: skip

CONVERTERS: Table = {
    **{name: _binary(op) for name, op in _BINARY.items()},
    **{f"Reduce{name}": _reduce(op) for name, op in _REDUCTIONS.items()},
    **{
        f"Reduce{end}{name}": _reduce_end(_REDUCTIONS[name], end == "Front")
        for end in ("Front", "Back")
        for name in ("Max", "Mean", "Sum")
    },
    **dict.fromkeys(FILLS, _fill),
    "ArgMax": _arg("arg_max"),
    "ArgMin": _arg("arg_min"),
    "BatchGather": _batch_gather,
    "Cast": _cast,
    "Concat": _concat,
    "DepthConcat": _concat,
    "DepthSplit": _split,
    "ExpandDims": _expand_dims,
    "Flatten": _flatten,
    "FlattenToVec": _flatten_to_vector,
    "Gather": _gather,
    "Max": _all("maximum"),
    "Mean": _mean,
    "Min": _all("minimum"),
    "NCHW2NHWC": _order("NHWC"),
    "NHWC2NCHW": _order("NCHW"),
    "Pow": _pow,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sum": _all("add"),
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Where": _where,
}
