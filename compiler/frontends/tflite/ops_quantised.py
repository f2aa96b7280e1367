"""Operators with arithmetic of their own for integers, as TensorFlow Lite's reference kernels have
it, and those of float activations with integer weights ("hybrid")."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..images import pool
from . import ops_math, ops_nn
from .context import NONE, Converter, TfliteContext
from .quantised import (
    alike,
    dequantised,
    per_tensor,
    quantised,
    scaled,
    shifted,
    stored,
    through_floats,
)
from .tensors import Quant

Product = Callable[[TfliteContext, str, str, str], str]  # of integers: x, weights, bias


def _dequantize(n: TfliteContext) -> str:
    t, q = n.required(0), n.quant(0)
    if q is not None:
        return dequantised(n, n.inputs[0], q)
    to = n.out_dtype()
    return n.inputs[0] if t.dtype == to else n.add("cast", n.inputs[:1], to=str(to))


def _quantize(n: TfliteContext) -> str:
    """Of real numbers, or from one quantisation to another."""
    q = n.quant(0)
    if n.required(0).dtype.is_float:
        return quantised(n, n.inputs[0])
    if q is None:
        n.error("its input is of integers without a scale.")
    scale, _ = per_tensor(n, q, "its input")
    to, _ = per_tensor(n, n.out_quant(), "its result")
    x = shifted(n, 0)
    if scale != to:
        x = scaled(n, x, np.float64(scale) / np.float64(to))
    return stored(n, x, code=NONE)


def _accumulator(n: TfliteContext, x: int, bias: int) -> str:
    """The type of sums: 64 bits where 16-bit data has a bias of as many, or none."""
    t, b = n.required(x), n.type(bias)
    if t.dtype.bits == 16 and (b is None or b.dtype.bits == 64):
        return "int64"
    return "int32"


def _product(product: Product, x: int, w: int, bias: int) -> Converter:
    """A convolution or the like: exact sums of integers, a bias, one factor for each filter.

    ``x``, ``w``, ``bias`` are the places of its inputs."""

    def convert(n: TfliteContext) -> str:
        weights = n.quant(w)
        if weights is None:
            n.error("its weights are not quantised, its data is.")
        if n.quant(x) is None:
            return _hybrid(n, product, x, w, bias, weights)
        scale, _ = per_tensor(n, n.quant(x), "its data")
        out, _ = per_tensor(n, n.out_quant(), "its result")
        wide = _accumulator(n, x, bias)
        b = n.input(bias)
        if b and str(n.typeof(b).dtype) != wide:
            b = n.add("cast", [b], to=wide)
        total = product(n, shifted(n, x, wide), shifted(n, w, wide), b)
        factor = np.float64(scale) * weights.scale.astype(np.float64) / np.float64(out)
        axis = len(n.typeof(total).shape) - 1
        y = stored(n, scaled(n, total, factor, axis))
        return n.reshape(y, _result_shape(n)) if n.op == "FULLY_CONNECTED" else y

    return convert


def _result_shape(n: TfliteContext) -> tuple[int, ...]:
    return ops_nn.rows_of(n)[1]


def _hybrid(n: TfliteContext, product: Product, x: int, w: int, bias: int, weights: Quant) -> str:
    """Float data is rounded to 8 bits, each batch by its own range, when a call comes; sums are
    exact. Symmetric around 0, but for convolutions with a scale for each filter and where the
    operator asks for the contrary."""
    shape, out = n.required(x).shape, n.out_dtype()
    if n.required(w).dtype.bits != 8 or not out.is_float:
        n.unsupported(f"{n.type(x)} with weights {n.type(w)}")
    asymmetric = n.op != "FULLY_CONNECTED" and not weights.is_scalar
    asymmetric = asymmetric or bool(n.attr("asymmetric_quantize_inputs", False))
    data = n.inputs[x]
    if n.op == "FULLY_CONNECTED":
        data, _ = ops_nn.rows_of(n)
        shape = n.typeof(data).shape
    whole, scale = (_asymmetric if asymmetric else _symmetric)(n, data)
    given = list(n.inputs)
    n.inputs[x] = whole
    total = product(n, whole, shifted(n, w), "")
    n.inputs = given
    real = n.add("cast", [total], to="float32")
    rank = len(n.typeof(real).shape)
    scale = n.reshape(scale, (shape[0], *(1,) * (rank - 1)))
    factor = n.constant(weights.scale if not weights.is_scalar else weights.scale[0])
    y = n.add("mul", [real, n.add("mul", [scale, factor])])
    if n.input(bias):
        y = n.add("add", [y, n.inputs[bias]])
    y = n.activated(y)
    return n.reshape(y, _result_shape(n)) if n.op == "FULLY_CONNECTED" else y


def _range(n: TfliteContext, op: str, x: str) -> str:
    rank = len(n.typeof(x).shape)
    return n.add(op, [x], axes=tuple(range(1, rank)), keepdims=True)


def _symmetric(n: TfliteContext, x: str) -> tuple[str, str]:
    """Integers from -127 to 127, and what one is worth, for each batch."""
    most = _range(n, "reduce_max", n.add("abs", [x]))
    zero = n.add("equal", [most, n.full(0, most)])
    most = n.add("where", [zero, n.full(127, most), most])
    inverse = n.add("div", [n.full(127, most), most])
    near = n.add("quantize_linear", [n.add("mul", [x, inverse]), n.full(1, x)], to="int8",
                 ties="away")  # fmt: skip
    return n.add("cast", [near], to="int32"), n.add("div", [most, n.full(127, most)])


def _asymmetric(n: TfliteContext, x: str) -> tuple[str, str]:
    """Integers of 8 bits less the one that stands for 0, and what one is worth, for each batch."""
    low, high = _range(n, "reduce_min", x), _range(n, "reduce_max", x)
    zero = n.full(0, low)
    low, high = n.add("minimum", [low, zero]), n.add("maximum", [high, zero])
    flat = n.add("equal", [low, high])
    high = n.add("where", [flat, n.full(255, low), high])
    scale = n.add("div", [n.add("sub", [high, low]), n.full(255, low)])
    # Of the two ends the one that is met with less error says where 0 is.
    below, above = n.add("div", [low, scale]), n.add("div", [high, scale])
    from_low, from_high = (
        n.add("sub", [n.full(end, low), t]) for end, t in ((-128, below), (127, above))
    )
    nearer = n.add("less", [n.add("sub", [n.full(128, low), n.add("neg", [below])]),
                            n.add("add", [n.full(127, low), n.add("abs", [above])])])  # fmt: skip
    at = n.add("where", [nearer, from_low, from_high])
    at = n.add("quantize_linear", [at, n.full(1, low)], to="int8", ties="away")
    point = n.add("cast", [at], to="float32")
    inverse = n.add("reciprocal", [scale])
    near = n.add("quantize_linear", [n.add("mul", [x, inverse]), n.full(1, x)], to="int16",
                 ties="away")  # fmt: skip
    near = n.add("add", [n.add("cast", [near], to="float32"), point])
    near = n.add("sub", [n.add("clip", [near], min=-128.0, max=127.0), point])
    return n.add("cast", [near], to="int32"), scale


# -- products


def _conv_2d(n: TfliteContext, x: str, w: str, bias: str) -> str:
    ops_nn.images_of(n)
    return ops_nn.conv2d(n, x, w, bias)


def _depthwise(n: TfliteContext, x: str, w: str, bias: str) -> str:
    ops_nn.images_of(n)
    return ops_nn.depthwise(n, x, w, bias)


def _rows(n: TfliteContext, x: str, w: str, bias: str) -> str:
    rows = n.typeof(w).shape[1]
    y = n.add("matmul", [n.reshape(x, (-1, rows)), n.add("transpose", [w], perm=(1, 0))])
    return n.add("add", [y, bias]) if bias else y


def _batch_matmul(n: TfliteContext) -> str:
    first, second = n.quant(0), n.quant(1)
    if first is None or second is None:
        return through_floats(n, ops_nn.CONVERTERS["BATCH_MATMUL"])[0]
    out, _ = per_tensor(n, n.out_quant(), "its result")
    a, b = (per_tensor(n, q, "a factor")[0] for q in (first, second))
    wide = "int64" if n.required(0).dtype.bits == 16 else "int32"
    given = list(n.inputs)
    n.inputs[:2] = [shifted(n, 0, wide), shifted(n, 1, wide)]
    total = n.add("matmul", list(ops_nn.matrices(n)))
    n.inputs = given
    return stored(n, scaled(n, total, np.float64(a) * np.float64(b) / np.float64(out)))


# -- sums and products of two tensors


def _sum(op: str) -> Converter:
    """Both terms by 2^20 (of 16 bits: 2^15), each times its scale as a part of twice the larger
    one, then the sum times that as a part of the result's."""

    def convert(n: TfliteContext) -> str:
        a, b = (per_tensor(n, n.quant(i), f"input {i}")[0] for i in (0, 1))
        out, _ = per_tensor(n, n.out_quant(), "its result")
        left = 15 if n.required(0).dtype.bits == 16 else 20
        twice = 2 * max(np.float64(a), np.float64(b))
        terms = []
        for i, scale in ((0, a), (1, b)):
            x = shifted(n, i)
            x = n.add("mul", [x, n.full(1 << left, x)])
            terms.append(scaled(n, x, np.float64(scale) / twice))
        y = n.add(op, terms)
        return stored(n, scaled(n, y, twice / ((1 << left) * np.float64(out))))

    return convert


def _mul(n: TfliteContext) -> str:
    a, b = (per_tensor(n, n.quant(i), f"input {i}")[0] for i in (0, 1))
    out, _ = per_tensor(n, n.out_quant(), "its result")
    y = n.add("mul", [shifted(n, 0), shifted(n, 1)])
    return stored(n, scaled(n, y, np.float64(a * b / out)))


def _clipped(code: int) -> Converter:
    """``RELU`` and the like."""

    def convert(n: TfliteContext) -> str:
        scale, _ = per_tensor(n, n.quant(0), "its input")
        out, _ = per_tensor(n, n.out_quant(), "its result")
        return stored(n, scaled(n, shifted(n, 0), np.float64(scale / out)), code=code)

    return convert


def _leaky_relu(n: TfliteContext) -> str:
    scale, _ = per_tensor(n, n.quant(0), "its input")
    out, _ = per_tensor(n, n.out_quant(), "its result")
    alpha = np.float32(n.attr("alpha", 0.0))
    if alpha < 0:
        return through_floats(n, ops_math.CONVERTERS[n.op])[0]
    x = shifted(n, 0)
    left = scaled(n, x, np.float64(scale * alpha / out))
    right = scaled(n, x, np.float64(scale / out))
    return stored(n, n.add("where", [n.add("less", [x, n.full(0, x)]), left, right]))


def _prelu(n: TfliteContext) -> str:
    scale, _ = per_tensor(n, n.quant(0), "its input")
    slope, _ = per_tensor(n, n.quant(1), "its slope")
    out, _ = per_tensor(n, n.out_quant(), "its result")
    x = shifted(n, 0)
    left = scaled(n, n.add("mul", [x, shifted(n, 1)]), np.float64(scale * slope / out))
    right = scaled(n, x, np.float64(scale / out))
    return stored(n, n.add("where", [n.add("less", [x, n.full(0, x)]), left, right]))


def _total(mean: bool) -> Converter:
    """``MEAN`` and ``SUM``: an exact sum, scaled once."""

    def convert(n: TfliteContext) -> str:
        scale, _ = per_tensor(n, n.quant(0), "its input")
        out, _ = per_tensor(n, n.out_quant(), "its result")
        t = n.required(0)
        axes = sorted({n.axis(a, len(t.shape)) for a in n.ints(1)})
        count = math.prod(t.shape[a] for a in axes)
        if not count or count > 1 << 15:
            return through_floats(n, ops_math.CONVERTERS[n.op])[0]
        total = n.add("reduce_sum", [shifted(n, 0)], axes=tuple(axes),
                      keepdims=bool(n.attr("keep_dims", False)))  # fmt: skip
        real = np.float64(scale) / np.float64(out)
        return stored(n, scaled(n, total, real, over=count if mean else 1), code=NONE)

    return convert


# -- pools


def _max_pool(n: TfliteContext) -> str:
    y = n.add("cast", [ops_nn.max_pool(n)], to="int32")
    _, zero = per_tensor(n, n.out_quant(), "its result")
    return stored(n, n.add("sub", [y, n.full(zero, y)]) if zero else y)


def _average_pool(n: TfliteContext) -> str:
    """The exact sum of a window, then its mean to the nearest, halves away from 0."""
    window = ops_nn.pool_window(n)
    shape, kernel = n.required(0).shape, window["kernel"]
    if kernel[0] * kernel[1] * 32768 >= 1 << 24:
        return through_floats(n, ops_nn.CONVERTERS["AVERAGE_POOL_2D"])[0]
    x = n.add("cast", n.inputs[:1], to="float32")
    mean = pool(n, "average_pool", x, count_include_pad=True, **window)
    total = n.add("mul", [mean, n.full(kernel[0] * kernel[1], mean)])
    total = n.add("cast", [n.add("round", [total])], to="int32")
    ones = np.ones((1, *shape[1:3], 1), np.float32)
    part = n.constant(ones)
    share = pool(n, "average_pool", part, count_include_pad=True, **window)
    counts = n.value_of(share)
    assert counts is not None
    count = np.rint(counts * (kernel[0] * kernel[1])).astype(np.int32)
    if count.size and (count == count.flat[0]).all():
        count = count.flat[0]
    size = n.constant(np.asarray(count))
    half = n.constant(np.asarray(count // 2))
    signed = n.add("where", [n.add("greater", [total, n.full(0, total)]), half,
                             n.add("neg", [half])])  # fmt: skip
    y = n.add("div", [n.add("add", [total, signed]), size])
    _, zero = per_tensor(n, n.out_quant(), "its result")
    if not alike(n):
        n.unsupported("a mean of another scale than its input's")
    return stored(n, n.add("sub", [y, n.full(zero, y)]) if zero else y)


CONVERTERS: dict[str, Converter] = {
    "ADD": _sum("add"),
    "AVERAGE_POOL_2D": _average_pool,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _product(_conv_2d, 0, 1, 2),
    "DEPTHWISE_CONV_2D": _product(_depthwise, 0, 1, 2),
    "DEQUANTIZE": _dequantize,
    "FULLY_CONNECTED": _product(_rows, 0, 1, 2),
    "LEAKY_RELU": _leaky_relu,
    "MAX_POOL_2D": _max_pool,
    "MEAN": _total(mean=True),
    "MUL": _mul,
    "PRELU": _prelu,
    "QUANTIZE": _quantize,
    "RELU": _clipped(1),
    "RELU6": _clipped(3),
    "RELU_N1_TO_1": _clipped(2),
    "SUB": _sum("sub"),
    "SUM": _total(mean=False),
    "TRANSPOSE_CONV": _product(ops_nn.transpose_conv, 2, 1, 3),
}
REAL: dict[str, Converter] = {"DEQUANTIZE": _dequantize}
