"""Converters of element-wise operators, of one input, two, or many."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from onnx import TensorProto

from ..narrow import EXPONENTS, Narrow, narrowed
from .context import Converter, NodeContext
from .tensors import narrow_type, onnx_dtype

_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "BitwiseNot": "bitwise_not", "Ceil": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor", "HardSwish": "hard_swish",
    "IsNaN": "is_nan", "Log": "log", "Mish": "mish", "Neg": "neg", "Not": "not",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid",
    "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus", "Softsign": "softsign",
    "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip

_WITH_ATTRIBUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "Celu": ("celu", {"alpha": 1.0}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Gelu": ("gelu", {"approximate": "none"}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Selu": ("selu", {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    "Shrink": ("shrink", {"lambd": 0.5, "bias": 0.0}),
    "Swish": ("swish", {"alpha": 1.0}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 1.0}),
}

_BINARY = {
    "Add": "add", "And": "and", "BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor", "Div": "div", "Equal": "equal", "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal", "Less": "less", "LessOrEqual": "less_or_equal",
    "Mul": "mul", "Or": "or", "PRelu": "prelu", "Sub": "sub", "Xor": "xor",
}  # fmt: skip


def direct(op: str, defaults: dict[str, Any] | None = None) -> Converter:
    """The operator ``op`` on the same inputs, with attributes of the same names."""

    def convert(n: NodeContext) -> str:
        return n.add(op, n.inputs, **{k: n.attr(k, v) for k, v in (defaults or {}).items()})

    return convert


def _fold(op: str) -> Converter:
    """A variadic operator as a chain of binary ones."""

    def convert(n: NodeContext) -> str:
        return reduce(lambda a, b: n.add(op, [a, b]), n.inputs)

    return convert


def _mean(n: NodeContext) -> str:
    total = reduce(lambda a, b: n.add("add", [a, b]), n.inputs)
    count = np.asarray(len(n), n.typeof(total).dtype.numpy)
    return n.add("div", [total, n.constant(count)]) if len(n) > 1 else total


def scalar(n: NodeContext, i: int) -> int | float | None:
    """The one number of input ``i``, known at compile time; None when absent."""
    value = n.const(i)
    if value is not None and value.size != 1:
        n.error(f"input {i} must hold one number, but has the shape {list(value.shape)}.")
    return None if value is None else value.reshape(()).item()


_FLOAT32 = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)


def _clip(n: NodeContext) -> str:
    """Bounds are attributes before opset 11, then optional inputs; where they cross, max wins."""
    if n.opset < 11:
        t = n.type(0)
        assert t is not None
        # From opset 6 on, the bounds that are not given are float32's, which bound infinities.
        bounded = n.opset >= 6 and str(t.dtype) in ("float32", "float64")
        low, high = _FLOAT32 if bounded else (None, None)
        return n.add("clip", n.inputs, min=n.attr("min", low), max=n.attr("max", high))
    if all(n.is_const(i) or not n.input(i) for i in (1, 2)):
        low, high = scalar(n, 1), scalar(n, 2)
        if low is None and high is None:
            return n.inputs[0]
        return n.add("clip", n.inputs[:1], min=low, max=high)
    result = n.inputs[0]
    for i, op in ((1, "maximum"), (2, "minimum")):
        bound = n.type(i)
        if bound is not None:
            if bound.shape not in ((), (1,)):
                n.error(f"input {i} must hold one number, but is {bound}.")
            value = n.input(i) if not bound.shape else n.add("reshape", [n.input(i)], shape=())
            result = n.add(op, [result, value])
    return result


def _pow(n: NodeContext) -> str:
    """The exponent may have another type since opset 12; the result has the base's."""
    base, exponent = n.type(0), n.type(1)
    assert base is not None and exponent is not None
    a, b = n.inputs
    if base.dtype == exponent.dtype:
        return n.add("pow", [a, b])
    if base.dtype.is_int and exponent.dtype.is_float:
        power = n.add("pow", [cast(n, a, "float64"), cast(n, b, "float64")])
        return cast(n, power, str(base.dtype))
    return n.add("pow", [a, cast(n, b, str(base.dtype))])


def cast(n: NodeContext, tensor: str, to: str) -> str:
    """``tensor`` as ``to``; itself when it is that already."""
    return tensor if str(n.typeof(tensor).dtype) == to else n.add("cast", [tensor], to=to)


def _cast(n: NodeContext) -> str:
    code = n.attr("to")
    if n.strings(0) is not None:
        if code != TensorProto.STRING:
            n.unsupported("of strings to numbers")
        return n.inputs[0]
    narrow = narrow_type(code)
    if narrow is not None:
        return _narrowed(n, narrow)
    return _cast_to(n, str(onnx_dtype(code, n.where)))


def _cast_to(n: NodeContext, to: str) -> str:
    """The first input, which may hold narrower elements than those of its type, as ``to``."""
    if n.narrow(0) and str(n.typeof(n.inputs[0]).dtype) == to:
        return n.add("identity", n.inputs[:1])  # another tensor, whose elements have its type
    return cast(n, n.inputs[0], to)


def _narrowed(n: NodeContext, to: Narrow) -> str:
    """The first input cast to ``to``."""
    x = n.inputs[0]
    if n.narrow(0) == to:
        return x
    if to == EXPONENTS:
        n.unsupported(f"a conversion to {to}")
    saturate = bool(n.attr("saturate", 1))
    return n.hold(narrowed(n, x, n.typeof(x).dtype, to, saturate), to)


def _cast_like(n: NodeContext) -> str:
    like, narrow = n.type(1), n.narrow(1)
    assert like is not None
    return _cast_to(n, str(like.dtype)) if narrow is None else _narrowed(n, narrow)


def _bitcast(n: NodeContext) -> str:
    narrow = n.narrow(0) or narrow_type(n.attr("to"))
    if narrow is not None:
        n.unsupported(f"the bits of {narrow}, which weft holds in another type,")
    return n.add("bitcast", n.inputs, to=str(onnx_dtype(n.attr("to"), n.where)))


def _mod(n: NodeContext) -> str:
    return n.add("mod", n.inputs, fmod=bool(n.attr("fmod", 0)))


def _bit_shift(n: NodeContext) -> str:
    direction = n.attr("direction").lower()
    if direction not in ("left", "right"):
        n.error(f"the direction {direction!r} is neither LEFT nor RIGHT.")
    return n.add("bit_shift", n.inputs, direction=direction)


def _is_inf(n: NodeContext) -> str:
    return n.add(
        "is_inf",
        n.inputs,
        positive=bool(n.attr("detect_positive", 1)),
        negative=bool(n.attr("detect_negative", 1)),
    )


def _swiglu(n: NodeContext) -> str:
    a, b = n.inputs
    return n.add("mul", [n.add("swish", [a], alpha=n.attr("alpha", 1.0)), b])


def _identity(n: NodeContext) -> str:
    return n.inputs[0]


CONVERTERS: dict[str, Converter] = {
    **{k: direct(op) for k, op in (_UNARY | _BINARY).items()},
    **{k: direct(*spec) for k, spec in _WITH_ATTRIBUTES.items()},
    "BitCast": _bitcast,
    "BitShift": _bit_shift,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Clip": _clip,
    "Identity": _identity,
    "IsInf": _is_inf,
    "Max": _fold("maximum"),
    "Mean": _mean,
    "Min": _fold("minimum"),
    "Mod": _mod,
    "Pow": _pow,
    "Sum": _fold("add"),
    "SwiGLU": _swiglu,
    "Where": direct("where"),
}
