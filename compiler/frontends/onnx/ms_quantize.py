"""Quantised operators of com.microsoft.

Element-wise ones and pools are computed in float32 between dequantisation and quantisation,
products in integers. ONNX Runtime's kernels may round a tie of the last step to the other side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .compose import (
    cast,
    concat,
    expect,
    number,
    op,
    reshape,
    row,
    shape_of,
    swapped,
    transpose,
    typed,
)
from .context import Converter, NodeContext
from .integers import axis_of
from .ops_conv import pool_window
from .ops_cut import cut
from .ops_quantize import dequantize, quantize


def _real(n: NodeContext, i: int) -> str:
    """Inputs ``i`` (data), ``i + 1`` (scale), ``i + 2`` (zero point, may be absent) as float32."""
    zero = [n.input(i + 2)] if n.input(i + 2) else []
    return n.add("dequantize_linear", [*n.inputs[i : i + 2], *zero])


def _quantized(n: NodeContext, x: str, scale: int, to: str) -> str:
    """``x`` quantised by the inputs ``scale`` and ``scale + 1`` (may be absent)."""
    zero = [n.input(scale + 1)] if n.input(scale + 1) else []
    return n.add("quantize_linear", [x, n.inputs[scale], *zero], to=to)


def _dtype(n: NodeContext, i: int) -> str:
    return str(typed(n, i).dtype)


def _binary(name: str) -> Converter:
    def convert(n: NodeContext) -> str:
        return _quantized(n, op(n, name, _real(n, 0), _real(n, 3)), 6, _dtype(n, 0))

    return convert


def _sigmoid(n: NodeContext) -> str:
    return _quantized(n, op(n, "sigmoid", _real(n, 0)), 3, _dtype(n, 0))


def _leaky_relu(n: NodeContext) -> str:
    y = n.add("leaky_relu", [_real(n, 0)], alpha=n.attr("alpha", 0.01))
    return _quantized(n, y, 3, _dtype(n, 0))


def _softmax(n: NodeContext) -> str:
    """Before operator set 13 all axes from ``axis`` on count as one."""
    shape = typed(n, 0).shape
    axis = axis_of(n, n.attr("axis", -1), len(shape))
    x = _real(n, 0)
    if n.attr("opset") >= 13:
        y = n.add("softmax", [x], axis=axis)
    else:
        rows = int(np.prod(shape[:axis], dtype=np.int64))
        columns = int(np.prod(shape[axis:], dtype=np.int64))
        y = reshape(n, n.add("softmax", [reshape(n, x, (rows, columns))], axis=1), shape)
    return _quantized(n, y, 3, _dtype(n, 0))


def _pool(whole: bool) -> Converter:
    """Averages over windows, or over ``whole`` images; channels are axis 1 or last."""

    def convert(n: NodeContext) -> str:
        ndim = len(typed(n, 0).shape)
        if ndim < 3:
            n.error(f"it takes [batch, channel, spatial…] data, not {typed(n, 0)}.")
        last, x = bool(n.attr("channels_last", 0)), _real(n, 0)
        x = transpose(n, x, (0, ndim - 1, *range(1, ndim - 1))) if last else x
        if whole:
            y = n.add("reduce_mean", [x], axes=tuple(range(2, ndim)), keepdims=True)
        else:
            window = pool_window(n, n.typeof(x).shape[2:])
            include = bool(n.attr("count_include_pad", 0))
            y = n.add("average_pool", [x], count_include_pad=include, **window)
        y = transpose(n, y, (0, *range(2, ndim), 1)) if last else y
        return _quantized(n, y, 3, _dtype(n, 0))

    return convert


def _reduce_mean(n: NodeContext) -> str:
    axes = tuple(axis_of(n, a, len(typed(n, 0).shape)) for a in n.attr("axes"))
    y = n.add("reduce_mean", [_real(n, 0)], axes=axes, keepdims=bool(n.attr("keepdims")))
    return _quantized(n, y, 3, _dtype(n, 0))


def _where(n: NodeContext) -> str:
    y = op(n, "where", n.inputs[0], _real(n, 1), _real(n, 4))
    return _quantized(n, y, 7, _dtype(n, 1))


def _concat(n: NodeContext) -> str:
    """Scale and zero point of the result, then tensor, scale and zero point of each part."""
    if len(n) < 5 or len(n) % 3 != 2:
        n.error(f"it has {len(n)} inputs, not two and three for each part.")
    axis = axis_of(n, n.attr("axis"), len(shape_of(n, 2)))
    parts = [_real(n, k) for k in range(2, len(n), 3)]
    return _quantized(n, n.add("concat", parts, axis=axis), 0, _dtype(n, 1))


# -- products


def _to_float(n: NodeContext, product: str, scales: Sequence[str], bias: str) -> str:
    y = op(n, "mul", cast(n, product, "float32"), op(n, "mul", *scales))
    return op(n, "add", y, bias) if bias else y


def _zeros(*zeros: str) -> list[str]:
    """Zero points after the operands of a product, those at the end left out."""
    return list(zeros[: 2 if zeros[1] else 1 if zeros[0] else 0])


def _dynamic_matmul(n: NodeContext) -> str:
    a, scale, zero = n.add_many("dynamic_quantize_linear", n.inputs[:1], 3)
    product = n.add("matmul_integer", [a, n.inputs[1], *_zeros(zero, n.input(3))])
    return _to_float(n, product, (scale, n.inputs[2]), n.input(4))


def _matmul_to_float(n: NodeContext) -> str:
    product = n.add("matmul_integer", [*n.inputs[:2], *_zeros(n.input(4), n.input(5))])
    return _to_float(n, product, n.inputs[2:4], n.input(6))


def _qgemm(n: NodeContext) -> str:
    """alpha * (A' B') + C, where C is in units of that; float32 without a scale of the result."""
    for i in (0, 3):
        shape_of(n, i, 2)
    a = swapped(n, n.inputs[0]) if n.attr("transA", 0) else n.inputs[0]
    b = swapped(n, n.inputs[3]) if n.attr("transB", 0) else n.inputs[3]
    total = n.add("matmul_integer", [a, b, n.inputs[2], n.inputs[5]])
    if n.input(6):
        total = op(n, "add", total, n.input(6))
    scale = op(n, "mul", n.inputs[1], n.inputs[4])
    scale = op(n, "mul", scale, number(n, n.attr("alpha", 1.0), scale))
    y = op(n, "mul", cast(n, total, "float32"), scale)
    y = reshape(n, y, n.typeof(total).shape)
    if not n.input(7):
        return y
    return _quantized(n, y, 7, _dtype(n, 8) if n.input(8) else "uint8")


def _unpacked(n: NodeContext, x: str, bits: int, count: int) -> str:
    """The first ``count`` numbers of ``bits`` bits of each row of bytes, low bits first."""
    shape = n.typeof(x).shape
    if bits < 8:
        per = 8 // bits
        mask = number(n, 2**bits - 1, x)
        parts = []
        for k in range(per):
            part = x
            if k:
                part = n.add("bit_shift", [x, number(n, k * bits, x)], direction="right")
            part = op(n, "bitwise_and", part, mask)
            parts.append(reshape(n, part, (*shape, 1)))
        wide = concat(n, parts, len(shape))
        x = reshape(n, wide, (*shape[:-1], shape[-1] * per))
    return cut(n, x, len(shape) - 1, 0, count)


def _matmul_nbits(n: NodeContext) -> str:
    """A @ W', W being stored by blocks of columns that share a scale. Constant weights are unpacked
    when the model is read, as far as constants are folded; beyond that, when it runs."""
    rows, depth, size = n.attr("N"), n.attr("K"), n.attr("block_size")
    bits = n.attr("bits", 4)
    if bits not in (2, 4, 8):
        n.unsupported(f"weights of {bits} bits; there are 2, 4 and 8")
    if n.attr("weight_prepacked", 0) or n.input(4):
        n.unsupported("prepacked weights, or g_idx")
    if size < 16 or size & (size - 1) or rows < 1 or depth < 1:
        n.error(f"blocks of {size} of a matrix of {rows} × {depth}.")
    blocks = -(-depth // size)
    expect(n, 1, (rows, blocks, size * bits // 8), "weights")
    dtype = _dtype(n, 0)
    if typed(n, 2).size != rows * blocks:
        n.error(f"its input 2 (scales) is {typed(n, 2)}, not {[rows, blocks]}.")
    scales = reshape(n, n.inputs[2], (rows, blocks, 1))
    w = cast(n, _unpacked(n, n.inputs[1], bits, size), dtype)  # [rows, blocks, size]
    if not n.input(3):
        zero = number(n, 2 ** (bits - 1), w)
    elif typed(n, 3).dtype.is_int:
        packed = -(-blocks * bits // 8)
        if typed(n, 3).size != rows * packed:
            n.error(f"its input 3 (zero_points) is {typed(n, 3)}, not {[rows, packed]}.")
        zero = _unpacked(n, reshape(n, n.input(3), (rows, packed)), bits, blocks)
        zero = reshape(n, cast(n, zero, dtype), (rows, blocks, 1))
    else:
        if typed(n, 3).size != rows * blocks:
            n.error(f"its input 3 (zero_points) is {typed(n, 3)}, not {[rows, blocks]}.")
        zero = reshape(n, n.input(3), (rows, blocks, 1))
    w = op(n, "mul", op(n, "sub", w, zero), scales)
    w = cut(n, reshape(n, w, (rows, blocks * size)), 1, 0, depth)
    y = op(n, "matmul", n.inputs[0], swapped(n, w))
    return op(n, "add", y, n.input(5)) if n.input(5) else y


_ONE = "X X_scale X_zero_point? Y_scale Y_zero_point?"
_TWO = "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?"

CONVERTERS: dict[str, Converter] = {
    "DequantizeLinear": row(dequantize, "x x_scale x_zero_point?", axis=int, block_size=int),
    "DynamicQuantizeMatMul": row(_dynamic_matmul, "A B b_scale b_zero_point? bias?"),
    "MatMulIntegerToFloat": row(
        _matmul_to_float, "A B a_scale b_scale a_zero_point? b_zero_point? bias?"
    ),
    "MatMulNBits": row(
        _matmul_nbits,
        "A B scales zero_points? g_idx? bias?",
        K=int,
        N=int,
        bits=int,
        block_size=int,
        accuracy_level=int,
        weight_prepacked=int,
    ),
    "QGemm": row(
        _qgemm,
        "A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point?",
        alpha=float,
        transA=int,
        transB=int,
    ),
    "QLinearAdd": row(_binary("add"), _TWO),
    "QLinearAveragePool": row(
        _pool(False),
        _ONE,
        auto_pad=str,
        ceil_mode=int,
        channels_last=int,
        count_include_pad=int,
        kernel_shape=tuple,
        pads=tuple,
        strides=tuple,
    ),
    "QLinearConcat": row(_concat, "Y_scale Y_zero_point inputs*", axis=int),
    "QLinearGlobalAveragePool": row(_pool(True), _ONE, channels_last=int),
    "QLinearLeakyRelu": row(_leaky_relu, _ONE, alpha=float),
    "QLinearMul": row(_binary("mul"), _TWO),
    "QLinearReduceMean": row(_reduce_mean, _ONE, axes=tuple, keepdims=int),
    "QLinearSigmoid": row(_sigmoid, _ONE),
    "QLinearSoftmax": row(_softmax, _ONE, axis=int, opset=int),
    "QLinearWhere": row(
        _where, "condition X x_scale x_zero_point? Y y_scale y_zero_point? z_scale z_zero_point?"
    ),
    "QuantizeLinear": row(quantize, "x y_scale y_zero_point?", axis=int, block_size=int),
}
