"""Converters of quantised operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..narrow import EXPONENTS
from .context import Converter, NodeContext
from .ops_math import cast
from .tensors import narrow_type, onnx_dtype, stored_dtype


def _inputs(n: NodeContext) -> list[str]:
    """Data, scale and zero point. One number for the whole tensor is written as ``[]`` by some and
    as ``[1]`` by others, and by some the one for the scale and the other for the zero point."""
    scale, zero = n.type(1), n.type(2)
    if scale is None or zero is None or scale.shape == zero.shape:
        return n.inputs
    if scale.size != 1 or zero.size != 1:
        return n.inputs  # refused by the operator, with both shapes
    return [n.inputs[0], *(n.add("reshape", [i], shape=()) for i in n.inputs[1:])]


def quantize(n: NodeContext) -> str:
    """The result's type is that of the zero point, else ``output_dtype``, else uint8."""
    zero, code = n.type(2), n.attr("output_dtype", 0)
    narrow = n.narrow(2) if zero else narrow_type(code)
    if zero and code and (narrow_type(code), stored_dtype(code)) != (narrow, zero.dtype):
        n.error(f"output_dtype is not the type of the zero point, {narrow or zero.dtype}.")
    attrs = {"axis": n.attr("axis", 1), "block_size": n.attr("block_size", 0)}
    if narrow is None:
        to = str(zero.dtype) if zero else str(onnx_dtype(code, n.where)) if code else "uint8"
        return n.add("quantize_linear", _inputs(n), **attrs, to=to)
    if narrow == EXPONENTS:
        n.error(f"it cannot make {narrow}.")
    if narrow.is_float:
        saturate = bool(n.attr("saturate", 1))
        attrs |= {"format": narrow.name, "saturate": saturate}
    y = n.add("quantize_linear", _inputs(n), **attrs, to=str(narrow.held))
    if not narrow.is_float:
        y = n.add("clip", [y], min=narrow.min, max=narrow.max)
    return n.hold(y, narrow)


def dequantize(n: NodeContext) -> str:
    """The result's type is ``output_dtype``, else the scale's."""
    code = n.attr("output_dtype", 0)
    if n.narrow(1) and not code:
        n.unsupported(f"a result of the scale's type, {n.narrow(1)},")
    return n.add(
        "dequantize_linear",
        _inputs(n),
        axis=n.attr("axis", 1),
        block_size=n.attr("block_size", 0),
        to=str(onnx_dtype(code, n.where)) if code else "",
    )


def _dynamic(n: NodeContext) -> Sequence[str]:
    return n.add_many("dynamic_quantize_linear", n.inputs, 3)


def _matmul_integer(n: NodeContext) -> str:
    return n.add("matmul_integer", n.inputs)


def _column(n: NodeContext, tensor: str) -> str:
    """Parameters of the rows of a matrix, so that they broadcast over its columns."""
    shape = n.typeof(tensor).shape
    many = len(shape) == 1 and shape[0] != 1
    return n.add("reshape", [tensor], shape=(*shape, 1)) if many else tensor


def _qlinear_matmul(n: NodeContext) -> str:
    """``quantize(A' @ B')``: an exact product of integers, then one scale for all three."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = n.inputs
    zero = n.typeof(y_zero)
    product = cast(n, n.add("matmul_integer", [a, b, a_zero, b_zero]), "float32")
    scales = [cast(n, s, "float32") for s in (_column(n, a_scale), b_scale, _column(n, y_scale))]
    scale = n.add("div", [n.add("mul", scales[:2]), scales[2]])
    scaled = n.add("mul", [product, scale])
    if n.typeof(scaled).shape != n.typeof(product).shape:
        scaled = n.add("reshape", [scaled], shape=n.typeof(product).shape)  # scales of shape [1]
    if zero.shape in ((), (1,)):
        one = n.constant(np.ones(zero.shape, np.float32))
        return n.add("quantize_linear", [scaled, one, y_zero], to=str(zero.dtype))
    shifted = n.add("add", [n.add("round", [scaled]), cast(n, _column(n, y_zero), "float32")])
    low, high = float(zero.dtype.min), float(zero.dtype.max)
    return cast(n, n.add("clip", [shifted], min=low, max=high), str(zero.dtype))


CONVERTERS: dict[str, Converter] = {
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": quantize,
}
