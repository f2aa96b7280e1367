"""Converters of operators whose result's size only data knows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..sized.compaction import chosen, coordinates
from ..sized.sizing import Extent, Sizing
from .context import Converter, NodeContext
from .integers import axis_of
from .ops_conv import required

MAX_COMPARED = 1 << 26  # elements of slices, each compared with each


def _non_zero(n: NodeContext) -> str:
    """Positions ``[ndim, count]``; a scalar counts as one element along one axis."""
    s, x = n.sizing, n.inputs[0]
    if not required(n, 0).shape:
        x = s.add("reshape", [x], shape=(1,))
    lines, size = coordinates(s, x)
    rows = [s.add("reshape", [line], shape=(1, *s.shape(line))) for line in lines]
    made = s.add("concat", rows, axis=0) if len(rows) > 1 else rows[0]
    return n.sized(made, {1: s.number(size)})


def _compress(n: NodeContext) -> str:
    """Slices, or elements, for which a line of conditions holds, that may be shorter."""
    x, condition, axis = n.type(0), n.type(1), n.attr("axis", None)
    if x is None or condition is None:
        n.error("an input is absent.")
    data = n.inputs[0]
    if axis is None:
        data, axis = n.add("reshape", [data], shape=(x.size,)), 0
    axis = axis_of(n, axis, len(n.typeof(data).shape))
    extent = n.typeof(data).shape[axis]
    if len(condition.shape) != 1 or condition.shape[0] > extent:
        n.error(f"the condition of the shape {list(condition.shape)} does not fit {extent}.")
    places, _ = chosen(n.sizing, n.inputs[1])
    if not extent:
        return data
    return n.add("gather", [data, places], axis=axis, wrap=False)


def _unique(n: NodeContext) -> Sequence[str]:
    """Distinct elements, or slices along an axis, sorted or by first occurrence; their first
    places, the way back, and how often each is there."""
    s, x, axis = n.sizing, required(n, 0), n.attr("axis", None)
    if n.is_open(0) and len(x.shape) != 1:
        n.unsupported("distinct elements of a tensor whose size only data knows")
    data, dtype = n.inputs[0], str(x.dtype)
    length = s.extent(data, 0) if n.is_open(0) else Extent(x.size)
    data = s.masked(data, [0], s.highest(data))
    if x.dtype.is_bool:
        data = s.add("cast", [data], to="uint8")
    along = 0 if axis is None else axis_of(n, axis, len(x.shape))
    if axis is None:
        data = s.add("reshape", [data], shape=(x.size,))
    shape = s.shape(data)
    perm = (along, *(k for k in range(len(shape)) if k != along))
    rows = s.add("transpose", [data], perm=perm)
    rest = s.shape(rows)[1:]
    rows = s.add("reshape", [rows], shape=(shape[along], math.prod(rest)))
    if shape[along] * x.size > MAX_COMPARED and rest:
        n.unsupported(f"distinct slices of {x}: all are compared with one another")
    y, *others = _distinct(s, rows, Extent(shape[along]) if rest else length,
                           bool(n.attr("sorted", 1)))  # fmt: skip
    size = s.sizes(y).get(0)
    y = s.add("reshape", [y], shape=(s.shape(y)[0], *rest))
    y = s.add("transpose", [y], perm=tuple(perm.index(k) for k in range(len(perm))))
    if x.dtype.is_bool:
        y = s.add("cast", [y], to=dtype)
    return [n.sized(y, {along: size} if size else {}), *others][: n.n_outputs]


def _ranked(s: Sizing, rows: str) -> str:
    """The order of rows, by their elements from the first on, equal ones as they come."""
    count, width = s.shape(rows)
    if width == 1:
        line = s.add("reshape", [rows], shape=(count,))
        return s.add_many("top_k", [line], k=count, axis=0, largest=False)[1]
    a = s.add("reshape", [rows], shape=(count, 1, width))
    b = s.add("reshape", [rows], shape=(1, count, width))
    apart = s.add("cast", [s.add("not_equal", [a, b])], to="int32")
    first = s.add("arg_max", [apart], axis=2, keepdims=True)
    pairs = (count, count, width)
    x, y = (
        s.add("gather_elements", [s.add("expand", [t], shape=pairs), first], axis=2, wrap=False)
        for t in (a, b)
    )
    places = s.constant(range(count))
    one, other = (s.add("reshape", [places], shape=e) for e in ((count, 1, 1), (1, count, 1)))
    tie = s.add("and", [s.add("equal", [x, y]), s.add("less", [one, other])])
    before = s.add("cast", [s.add("or", [s.add("less", [x, y]), tie])], to="int64")
    rank = s.add("reduce_sum", [before], axes=(0, 2), keepdims=False)
    return s.add("scatter_elements", [s.constant([0] * count), rank, places], axis=0)


def _distinct(s: Sizing, rows: str, length: Extent, in_order: bool) -> list[str]:
    """Of the first ``length`` rows ``[count, width]``."""
    size = s.shape(rows)[0]
    if not size:
        none = s.constant([])
        return [rows, none, none, none]
    order = _ranked(s, rows)
    sorted_ = s.add("gather", [rows, order], axis=0, wrap=False)
    previous = s.constant([0, *range(size - 1)])
    before = s.add("gather", [sorted_, previous], axis=0, wrap=False)
    changes = s.add("not_equal", [sorted_, before])
    changes = s.add("reduce_max", [changes], axes=(1,), keepdims=False)
    places = s.constant(range(size))
    begins = s.add("or", [changes, s.add("equal", [places, s.constant(0)])])
    begins = s.add("and", [begins, s.add("less", [places, s.number(length)])])
    starts, count = chosen(s, begins)
    whole = s.add("identity", [starts])  # up to its bound
    y, first = (s.add("gather", [t, whole], axis=0, wrap=False) for t in (sorted_, order))
    run = s.add("cumsum", [s.add("cast", [begins], to="int64")], axis=0)
    run = s.add("sub", [run, s.constant(1)])
    back = s.add("scatter_elements", [s.constant([0] * size), order, run], axis=0)
    kept = s.shape(whole)[0]
    following = s.constant([*range(1, kept), max(kept - 1, 0)][:kept])
    ends = s.add("gather", [whole, following], axis=0, wrap=False)
    nth = s.constant(range(kept))
    last = s.add("less_or_equal", [s.add("sub", [s.number(count), s.constant(1)]), nth])
    ends = s.add("where", [last, s.number(length), ends])
    often = s.add("sub", [ends, whole])
    if not in_order:
        late = s.add("less", [nth, s.number(count)])
        keys = s.add("where", [late, first, s.constant(size)])
        first, by = s.add_many("top_k", [keys], k=kept, axis=0, largest=False)
        y, often = (s.add("gather", [t, by], axis=0, wrap=False) for t in (y, often))
        rank = s.add("scatter_elements", [s.constant([0] * kept), by, nth], axis=0)
        back = s.add("gather", [rank, back], axis=0, wrap=False)
    s.emitter.values.stated[first] = s.emitter.values.stated[back] = (0, size - 1)
    y, first, often = (s.declare(t, {0: s.number(count)}) for t in (y, first, often))
    back = s.declare(back, {0: length.size} if length.size else {})
    return [y, first, back, often]


CONVERTERS: dict[str, Converter] = {
    "Compress": _compress,
    "NonZero": _non_zero,
    "Unique": _unique,
}

# Operators that take tensors whose size only data knows. Their converters ask for no extent that
# data may decide; the operators that they add have rules.
TAKERS = frozenset(
    {"Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh",
     "AveragePool", "BatchNormalization", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
     "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Compress", "Concat",
     "ConstantOfShape", "Conv", "Cos", "Cosh", "CumProd", "CumSum", "DequantizeLinear", "Div",
     "Dropout", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather",
     "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
     "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "If",
     "InstanceNormalization", "IsInf", "IsNaN", "LayerNormalization", "LeakyRelu", "Less",
     "LessOrEqual", "Log", "LogSoftmax", "Loop", "MatMul", "Max", "MaxPool", "Mean", "Min",
     "Mish", "Mod", "Mul", "Neg", "NonMaxSuppression", "NonZero", "Not", "OneHot", "Or", "PRelu",
     "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1", "ReduceL2",
     "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
     "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "RoiAlign", "Round", "Scatter",
     "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh",
     "Size", "Slice", "Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
     "Swish", "Tan", "Tanh", "ThresholdedRelu", "Tile", "TopK", "Transpose", "Unique",
     "Unsqueeze", "Upsample", "Where", "Xor"}
)  # fmt: skip
