"""Arithmetic of two tensors, comparison, logic, choice, conversion; element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....runtime.dtype import DType, dtype_of
from .context import Number, Row, Tensor, TorchContext, aten
from .ops_unary import log1p, trunc
from .program import ScalarType

_BOOL = dtype_of("bool")

# -- arithmetic


def _arithmetic(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
        return arithmetic(n, op, self, other)

    return convert


def arithmetic(n: TorchContext, op: str, a: str | Number, b: str | Number) -> str:
    """``op`` of two operands in the type that they are promoted to."""
    d = n.promoted(a, b)
    if d.is_bool:
        logic = {"add": "or", "mul": "and", "maximum": "or", "minimum": "and"}
        if op not in logic:
            n.error(f"{op} is not defined on bool.")
        return n.do(logic[op], n.operand(a, d), n.operand(b, d))
    return n.do(op, n.operand(a, d), n.operand(b, d))


def _times(n: TorchContext, x: str | Number, alpha: Number, like: DType) -> str | Number:
    if alpha == 1:
        return x
    return arithmetic(n, "mul", n.operand(x, like), alpha) if isinstance(x, str) else x * alpha


def _add(
    n: TorchContext, self: Tensor | Number, other: Tensor | Number, alpha: Number = 1
) -> str:  # fmt: skip
    return arithmetic(n, "add", self, _times(n, other, alpha, n.promoted(self, other)))


def _sub(
    n: TorchContext, self: Tensor | Number, other: Tensor | Number, alpha: Number = 1
) -> str:  # fmt: skip
    return arithmetic(n, "sub", self, _times(n, other, alpha, n.promoted(self, other)))


def _rsub(n: TorchContext, self: Tensor, other: Tensor | Number, alpha: Number = 1) -> str:
    return arithmetic(n, "sub", other, _times(n, self, alpha, n.promoted(self, other)))


def _div(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
    d = n.real(self, other)
    return n.do("div", n.operand(self, d), n.operand(other, d))


def _div_mode(
    n: TorchContext, self: Tensor, other: Tensor | Number, *, rounding_mode: str | None
) -> str:
    if rounding_mode is None:
        return _div(n, self, other)
    if rounding_mode == "floor":
        return _floor_divide(n, self, other)
    if rounding_mode != "trunc":
        n.error(f"there is no rounding {rounding_mode!r}.")
    d = n.promoted(self, other)
    made = n.do("div", n.operand(self, d), n.operand(other, d))
    return trunc(n, made)


def _floor_divide(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
    """As Python: the remainder has the sign of the divisor, and is taken away before."""
    d = n.promoted(self, other)
    a, b = n.operand(self, d), n.operand(other, d)
    rest = n.do("mod", a, b)
    made = n.do("div", n.do("sub", a, rest), b)
    if not d.is_float:
        return made
    zero = n.do("equal", b, n.number(0, b))
    return n.do("where", zero, n.do("div", a, b), n.do("round", made))


def _remainder(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
    d = n.promoted(self, other)
    return n.do("mod", n.operand(self, d), n.operand(other, d))


def _fmod(n: TorchContext, self: Tensor, other: Tensor | Number) -> str:
    d = n.promoted(self, other)
    return n.do("mod", n.operand(self, d), n.operand(other, d), fmod=True)


_POWERS: dict[float, Callable[[TorchContext, str], str]] = {
    0.5: lambda n, x: n.do("sqrt", x),
    1: lambda n, x: x,
    2: lambda n, x: n.do("mul", x, x),
    3: lambda n, x: n.do("mul", n.do("mul", x, x), x),
    -0.5: lambda n, x: n.do("reciprocal", n.do("sqrt", x)),
    -1: lambda n, x: n.do("reciprocal", x),
    -2: lambda n, x: n.do("reciprocal", n.do("mul", x, x)),
}


def _pow(n: TorchContext, self: Tensor | Number, exponent: Tensor | Number) -> str:
    d = n.promoted(self, exponent)
    x = n.operand(self, d)
    if not isinstance(exponent, str):
        simple = _POWERS.get(exponent)
        if simple is not None and (d.is_float or (exponent in (1, 2, 3) and not d.is_bool)):
            return simple(n, x)
    return n.do("pow", x, n.operand(exponent, d))


def _atan2(n: TorchContext, self: Tensor, other: Tensor) -> str:
    """By the half-plane: the arc tangent of the quotient, and a half turn to the left of 0."""
    d = n.real(self, other)
    y, x = n.operand(self, d), n.operand(other, d)
    zero, pi = n.number(0, d), n.number(math.pi, d)
    # The sign of y, also that of -0: 1/y is -inf then.
    below = n.do("or", n.do("less", y, zero), n.do("less", n.do("reciprocal", y), zero))
    left = n.do("or", n.do("less", x, zero), n.do("less", n.do("reciprocal", x), zero))
    both = n.do("and", n.do("is_inf", x), n.do("is_inf", y))
    # Quotients of what has no quotient: 0/0 is 0, inf/inf is 1.
    none = n.do("and", n.do("equal", x, zero), n.do("equal", y, zero))
    ax, ay = n.do("abs", x), n.do("abs", y)
    q = n.do("where", none, zero, n.do("where", both, n.number(1, d), n.do("div", ay, ax)))
    angle = n.do("atan", q)
    angle = n.do("where", left, n.do("sub", pi, angle), angle)
    return n.do("where", below, n.do("neg", angle), angle)


def _hypot(n: TorchContext, self: Tensor, other: Tensor) -> str:
    return n.do("sqrt", n.do("add", n.do("mul", self, self), n.do("mul", other, other)))


def _copysign(n: TorchContext, self: Tensor, other: Tensor | Number) -> str:
    d = n.real(self, other)
    x, y = n.do("abs", n.operand(self, d)), n.operand(other, d)
    zero = n.number(0, d)
    below = n.do("or", n.do("less", y, zero), n.do("less", n.do("reciprocal", y), zero))
    return n.do("where", below, n.do("neg", x), x)


def _xlogy(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
    d = n.real(self, other)
    x, y = n.operand(self, d), n.operand(other, d)
    zero = n.do("equal", x, n.number(0, d))
    rest = n.do("where", zero, n.number(0, d), n.do("mul", x, n.do("log", y)))
    return n.do("where", n.do("is_nan", y), y, rest)


def _logaddexp(n: TorchContext, self: Tensor, other: Tensor) -> str:
    top = n.do("maximum", self, other)
    gap = n.do("neg", n.do("abs", n.do("sub", self, other)))
    gap = n.do("where", n.do("equal", self, other), n.number(0, self), gap)
    return n.do("add", top, log1p(n, n.do("exp", gap)))


def _lerp(n: TorchContext, self: Tensor, end: Tensor, weight: Tensor | Number) -> str:
    w = n.operand(weight, n.dtype(self))
    return n.do("add", self, n.do("mul", w, n.do("sub", end, self)))


def _addcmul(
    n: TorchContext, self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1
) -> str:
    return _add(n, self, arithmetic(n, "mul", tensor1, tensor2), value)


def _addcdiv(
    n: TorchContext, self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1
) -> str:
    return _add(n, self, _div(n, tensor1, tensor2), value)


# -- comparison and logic


def _compare(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
        d = n.promoted(self, other)
        a, b = n.operand(self, d), n.operand(other, d)
        if d.is_bool and op not in ("equal", "not_equal"):
            a, b = n.cast(a, "int32"), n.cast(b, "int32")
        if d.is_bool and op == "not_equal":
            return n.do("xor", a, b)
        return n.do(op, a, b)

    return convert


def _logic(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, other: Tensor) -> str:
        return n.do(op, truth(n, self), truth(n, other))

    return convert


def truth(n: TorchContext, x: str) -> str:
    """Whether elements are not 0."""
    if n.dtype(x).is_bool:
        return x
    return n.do("not_equal", x, n.number(0, x))


def _logical_not(n: TorchContext, self: Tensor) -> str:
    return n.do("not", truth(n, self))


def _bitwise(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
        d = n.promoted(self, other)
        name = op if d.is_bool else f"bitwise_{op}"
        return n.do(name, n.operand(self, d), n.operand(other, d))

    return convert


def _bitwise_not(n: TorchContext, self: Tensor) -> str:
    return n.do("not" if n.dtype(self).is_bool else "bitwise_not", self)


def _shift(direction: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor | Number, other: Tensor | Number) -> str:
        d = n.promoted(self, other)
        return n.do("bit_shift", n.operand(self, d), n.operand(other, d), direction=direction)

    return convert


def _is_nan(n: TorchContext, self: Tensor) -> str:
    return n.do("is_nan", self) if n.dtype(self).is_float else _never(n, self)


def _is_inf(n: TorchContext, self: Tensor) -> str:
    return n.do("is_inf", self) if n.dtype(self).is_float else _never(n, self)


def _never(n: TorchContext, x: str) -> str:
    return n.expand(n.number(False, _BOOL), n.shape(x))


def _is_finite(n: TorchContext, self: Tensor) -> str:
    return n.do("not", n.do("or", _is_nan(n, self), _is_inf(n, self)))


def _signbit(n: TorchContext, self: Tensor) -> str:
    below = n.do("less", self, n.number(0, self))
    if not n.dtype(self).is_float:
        return below
    return n.do("or", below, n.do("less", n.do("reciprocal", self), n.number(0, self)))


def _heaviside(n: TorchContext, self: Tensor, values: Tensor) -> str:
    at = n.do("equal", self, n.number(0, self))
    step = n.cast(n.do("greater", self, n.number(0, self)), n.dtype(self))
    return n.do("where", at, n.cast(values, n.dtype(self)), step)


# -- choice and bounds


def _where(
    n: TorchContext, condition: Tensor, self: Tensor | Number, other: Tensor | Number
) -> str:
    d = n.promoted(self, other)
    return n.do("where", truth(n, condition), n.operand(self, d), n.operand(other, d))


def _masked_fill(n: TorchContext, self: Tensor, mask: Tensor, value: Tensor | Number) -> str:
    return n.do("where", truth(n, mask), n.operand(value, n.dtype(self)), self)


def _clamp(
    n: TorchContext, self: Tensor, min: Tensor | Number | None = None,
    max: Tensor | Number | None = None,
) -> str:  # fmt: skip
    bounds = [b for b in (min, max) if b is not None]
    d = n.promoted(self, *bounds)
    x = n.operand(self, d)
    if any(isinstance(b, str) for b in bounds):
        x = x if min is None else n.do("maximum", x, n.operand(min, d))
        return x if max is None else n.do("minimum", x, n.operand(max, d))
    low, high = (None if b is None else _bound(b, d) for b in (min, max))
    return n.do("clip", x, min=low, max=high) if bounds else x


def _bound(value: Number | str, d: DType) -> Number:
    assert not isinstance(value, str)
    return float(value) if d.is_float else int(np.clip(value, d.min, d.max))


def _clamp_min(n: TorchContext, self: Tensor, min: Tensor | Number) -> str:
    return _clamp(n, self, min)


def _clamp_max(n: TorchContext, self: Tensor, max: Tensor | Number) -> str:
    return _clamp(n, self, None, max)


def _fmax(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, other: Tensor) -> str:
        d = n.promoted(self, other)
        a, b = n.operand(self, d), n.operand(other, d)
        if not d.is_float:
            return n.do(op, a, b)
        rest = n.do("where", n.do("is_nan", b), a, n.do(op, a, b))
        return n.do("where", n.do("is_nan", a), b, rest)

    return convert


# -- types


def _to_layout(
    n: TorchContext, self: Tensor, *, dtype: ScalarType | None = None, copy: bool = False
) -> str:
    return _to_copy(n, self, dtype=dtype)


def _to_copy(n: TorchContext, self: Tensor, *, dtype: ScalarType | None = None) -> str:
    return cast_to(n, self, n.scalar_type(dtype, n.dtype(self)))


def cast_to(n: TorchContext, x: str, to: DType) -> str:
    """``x`` as ``to``; truth values are what is not 0, and fractions are cut off."""
    if to.is_bool and not n.dtype(x).is_bool:
        return truth(n, x)
    return n.cast(x, to)


def _to_dtype(
    n: TorchContext, self: Tensor, dtype: ScalarType | None = None, non_blocking: bool = False,
    copy: bool = False,
) -> str:  # fmt: skip
    return _to_copy(n, self, dtype=dtype)


def _to_device(
    n: TorchContext, self: Tensor, device: Any = None, dtype: ScalarType | None = None,
    non_blocking: bool = False, copy: bool = False,
) -> str:  # fmt: skip
    return _to_copy(n, self, dtype=dtype)


def _to_other(n: TorchContext, self: Tensor, other: Tensor, non_blocking: bool = False,
              copy: bool = False) -> str:  # fmt: skip
    return cast_to(n, self, n.dtype(other))


def _prims_convert(n: TorchContext, a: Tensor, dtype: ScalarType) -> str:
    return cast_to(n, a, n.scalar_type(dtype, n.dtype(a)))


def _view_dtype(n: TorchContext, self: Tensor, dtype: ScalarType) -> str:
    return n.do("bitcast", self, to=str(n.scalar_type(dtype, n.dtype(self))))


CONVERTERS: dict[str, Row] = {
    **aten("add.Tensor add.Scalar", _add),
    **aten("sub.Tensor sub.Scalar subtract.Tensor subtract.Scalar", _sub),
    **aten("rsub.Tensor rsub.Scalar", _rsub),
    **aten("mul.Tensor mul.Scalar multiply.Tensor multiply.Scalar", _arithmetic("mul")),
    **aten("maximum.default max.other", _arithmetic("maximum")),
    **aten("minimum.default min.other", _arithmetic("minimum")),
    **aten("div.Tensor div.Scalar true_divide.Tensor true_divide.Scalar divide.Tensor "
           "divide.Scalar", _div),
    **aten("div.Tensor_mode div.Scalar_mode divide.Tensor_mode divide.Scalar_mode", _div_mode),
    **aten("floor_divide.default floor_divide.Scalar", _floor_divide),
    **aten("remainder.Tensor remainder.Scalar remainder.Scalar_Tensor", _remainder),
    **aten("fmod.Tensor fmod.Scalar", _fmod),
    **aten("pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar", _pow),
    **aten("atan2.default arctan2.default", _atan2),
    **aten("hypot.default", _hypot),
    **aten("copysign.Tensor copysign.Scalar", _copysign),
    **aten("xlogy.Tensor xlogy.Scalar_Other xlogy.Scalar_Self special_xlogy.default "
           "special_xlogy.other_scalar special_xlogy.self_scalar", _xlogy),
    **aten("logaddexp.default", _logaddexp),
    **aten("lerp.Scalar lerp.Tensor", _lerp),
    **aten("addcmul.default", _addcmul),
    **aten("addcdiv.default", _addcdiv),
    **aten("eq.Tensor eq.Scalar", _compare("equal")),
    **aten("ne.Tensor ne.Scalar not_equal.Tensor not_equal.Scalar", _compare("not_equal")),
    **aten("lt.Tensor lt.Scalar less.Tensor less.Scalar", _compare("less")),
    **aten("le.Tensor le.Scalar less_equal.Tensor less_equal.Scalar", _compare("less_or_equal")),
    **aten("gt.Tensor gt.Scalar greater.Tensor greater.Scalar", _compare("greater")),
    **aten("ge.Tensor ge.Scalar greater_equal.Tensor greater_equal.Scalar",
           _compare("greater_or_equal")),
    **aten("logical_and.default", _logic("and")),
    **aten("logical_or.default", _logic("or")),
    **aten("logical_xor.default", _logic("xor")),
    **aten("logical_not.default", _logical_not),
    **aten("bitwise_and.Tensor bitwise_and.Scalar bitwise_and.Scalar_Tensor __and__.Tensor "
           "__and__.Scalar", _bitwise("and")),
    **aten("bitwise_or.Tensor bitwise_or.Scalar bitwise_or.Scalar_Tensor __or__.Tensor "
           "__or__.Scalar", _bitwise("or")),
    **aten("bitwise_xor.Tensor bitwise_xor.Scalar bitwise_xor.Scalar_Tensor __xor__.Tensor "
           "__xor__.Scalar", _bitwise("xor")),
    **aten("bitwise_not.default", _bitwise_not),
    **aten("bitwise_left_shift.Tensor bitwise_left_shift.Tensor_Scalar "
           "bitwise_left_shift.Scalar_Tensor __lshift__.Tensor __lshift__.Scalar", _shift("left")),
    **aten("bitwise_right_shift.Tensor bitwise_right_shift.Tensor_Scalar "
           "bitwise_right_shift.Scalar_Tensor __rshift__.Tensor __rshift__.Scalar",
           _shift("right")),
    **aten("isnan.default", _is_nan),
    **aten("isinf.default", _is_inf),
    **aten("isfinite.default", _is_finite),
    **aten("signbit.default", _signbit),
    **aten("heaviside.default", _heaviside),
    **aten("where.self where.ScalarOther where.ScalarSelf where.Scalar", _where),
    **aten("masked_fill.Scalar masked_fill.Tensor", _masked_fill),
    **aten("clamp.default clamp.Tensor clip.default clip.Tensor", _clamp),
    **aten("clamp_min.default clamp_min.Tensor", _clamp_min),
    **aten("clamp_max.default clamp_max.Tensor", _clamp_max),
    **aten("fmax.default", _fmax("maximum")),
    **aten("fmin.default", _fmax("minimum")),
    **aten("_to_copy.default", _to_copy),
    **aten("to.dtype", _to_dtype),
    **aten("to.device", _to_device),
    **aten("to.other", _to_other),
    **aten("to.dtype_layout", _to_layout),
    **aten("type_as.default", _to_other),
    **aten("view.dtype", _view_dtype),
}  # fmt: skip
