"""Functions of one tensor, element by element, and activations."""

from __future__ import annotations

import math
from collections.abc import Callable

from .context import Number, Row, Tensor, TorchContext, aten

# -- of one tensor

_REAL = {  # integers become float32
    "acos": "acos", "acosh": "acosh", "asin": "asin", "asinh": "asinh", "atan": "atan",
    "atanh": "atanh", "cos": "cos", "cosh": "cosh", "erf": "erf", "exp": "exp", "log": "log",
    "reciprocal": "reciprocal", "sigmoid": "sigmoid", "sin": "sin", "sinh": "sinh",
    "special_erf": "erf", "special_expit": "sigmoid", "sqrt": "sqrt", "tan": "tan", "tanh": "tanh",
}  # fmt: skip
_ALIASES = {"arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh",
            "arctan": "atan", "arctanh": "atanh"}  # fmt: skip
_SAME = {  # of the type that they are given
    "abs": "abs", "absolute": "abs", "neg": "neg", "negative": "neg", "sign": "sign",
    "sgn": "sign", "relu": "relu", "positive": "identity",
}  # fmt: skip
_WHOLE = {"ceil": "ceil", "floor": "floor", "round": "round"}  # integers stay as they are
_ACTIVATIONS = {"silu": "swish", "mish": "mish", "hardswish": "hard_swish"}


def _real(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        return n.do(op, n.cast(self, n.real(self)))

    return convert


def _same(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        d = n.dtype(self)
        if d.is_bool:
            return self if op in ("abs", "relu", "identity", "sign") else n.do(op, self)
        return self if op == "identity" else n.do(op, self)

    return convert


def _whole(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        return n.do(op, self) if n.dtype(self).is_float else self

    return convert


def _round_decimals(n: TorchContext, self: Tensor, *, decimals: int = 0) -> str:
    if not decimals:
        return _whole("round")(n, self)
    by = n.number(10.0 ** abs(decimals), self)
    first, last = ("mul", "div") if decimals > 0 else ("div", "mul")
    return n.do(last, n.do("round", n.do(first, self, by)), by)


def trunc(n: TorchContext, self: Tensor) -> str:
    """Towards zero."""
    if not n.dtype(self).is_float:
        return self
    negative = n.do("less", self, n.number(0, self))
    return n.do("where", negative, n.do("ceil", self), n.do("floor", self))


def _frac(n: TorchContext, self: Tensor) -> str:
    return n.do("sub", self, trunc(n, self))


def _rsqrt(n: TorchContext, self: Tensor) -> str:
    return n.do("reciprocal", n.do("sqrt", n.cast(self, n.real(self))))


def _square(n: TorchContext, self: Tensor) -> str:
    return n.do("mul", self, self)


def _exp2(n: TorchContext, self: Tensor) -> str:
    x = n.cast(self, n.real(self))
    return n.do("pow", n.number(2, x), x)


def _expm1(n: TorchContext, self: Tensor) -> str:
    """Of both sides by weft's elu, which is exact near 0: x > 0 is -expm1(-x) * e^x there."""
    x = n.cast(self, n.real(self))
    up = n.do("neg", n.do("elu", n.do("neg", x)))
    grown = n.do("mul", up, n.do("exp", x))
    big = n.do("sub", n.do("exp", x), n.number(1, x))
    near = n.do("less", x, n.number(0.5, x))
    above = n.do("where", near, grown, big)
    return n.do("where", n.do("less", x, n.number(0, x)), n.do("elu", x), above)


def log1p(n: TorchContext, self: Tensor) -> str:
    """Kahan's: x * log(u) / (u - 1) with u = 1 + x, which is exact near 0."""
    x = n.cast(self, n.real(self))
    u = n.do("add", x, n.number(1, x))
    d = n.do("sub", u, n.number(1, u))
    none = n.do("equal", d, n.number(0, d))
    exact = n.do("div", n.do("mul", x, n.do("log", u)), n.do("where", none, n.number(1, d), d))
    infinite = n.do("is_inf", x, negative=False)
    return n.do("where", none, x, n.do("where", infinite, x, exact))


def _log_base(base: float) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        x = n.cast(self, n.real(self))
        return n.do("mul", n.do("log", x), n.number(1 / math.log(base), x))

    return convert


def _erfc(n: TorchContext, self: Tensor) -> str:
    x = n.cast(self, n.real(self))
    return n.do("sub", n.number(1, x), n.do("erf", x))


def _sinc(n: TorchContext, self: Tensor) -> str:
    x = n.cast(self, n.real(self))
    x = n.do("mul", x, n.number(math.pi, x))
    zero = n.do("equal", x, n.number(0, x))
    safe = n.do("where", zero, n.number(1, x), x)
    return n.do("where", zero, n.number(1, x), n.do("div", n.do("sin", safe), safe))


def _logit(n: TorchContext, self: Tensor, eps: float | None = None) -> str:
    x = n.cast(self, n.real(self))
    if eps is not None:
        x = n.do("clip", x, min=eps, max=1 - eps)
    return n.do("log", n.do("div", x, n.do("sub", n.number(1, x), x)))


def _degrees(factor: float) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        x = n.cast(self, n.real(self))
        return n.do("mul", x, n.number(factor, x))

    return convert


def _relu6(n: TorchContext, self: Tensor) -> str:
    return n.do("clip", self, min=0, max=6)


def _hardtanh(n: TorchContext, self: Tensor, min_val: Number = -1, max_val: Number = 1) -> str:
    return n.do("clip", self, min=min_val, max=max_val)


def _hardsigmoid(n: TorchContext, self: Tensor) -> str:
    return n.do("hard_sigmoid", self, alpha=1 / 6, beta=0.5)


def _gelu(n: TorchContext, self: Tensor, *, approximate: str = "none") -> str:
    if approximate not in ("none", "tanh"):
        n.error(f"there is no approximation {approximate!r}.")
    return n.do("gelu", self, approximate=approximate)


def _elu(
    n: TorchContext, self: Tensor, alpha: Number = 1, scale: Number = 1, input_scale: Number = 1
) -> str:
    negative = n.do("mul", self, n.number(input_scale, self)) if input_scale != 1 else self
    if scale == 1 and input_scale == 1:
        return n.do("elu", self, alpha=float(alpha))
    if input_scale == 1:
        return n.do("selu", self, alpha=float(alpha), gamma=float(scale))
    below = n.do("mul", n.do("elu", negative), n.number(alpha * scale, self))
    above = n.do("mul", self, n.number(scale, self))
    return n.do("where", n.do("less_or_equal", self, n.number(0, self)), below, above)


def _selu(n: TorchContext, self: Tensor) -> str:
    return n.do("selu", self)


def _celu(n: TorchContext, self: Tensor, alpha: Number = 1.0) -> str:
    return n.do("celu", self, alpha=float(alpha))


def _leaky_relu(n: TorchContext, self: Tensor, negative_slope: Number = 0.01) -> str:
    return n.do("leaky_relu", self, alpha=float(negative_slope))


def _rrelu(
    n: TorchContext, self: Tensor, lower: Number = 1 / 8, upper: Number = 1 / 3,
    training: bool = False, generator: None = None,
) -> str:  # fmt: skip
    """Its slope is random in training, and the mean otherwise."""
    if training:
        n.unsupported("random slopes")
    return _leaky_relu(n, self, (lower + upper) / 2)


def _rrelu_functional(
    n: TorchContext, self: Tensor, noise: Tensor, lower: Number = 1 / 8, upper: Number = 1 / 3,
    training: bool = False, generator: None = None,
) -> list[str]:  # fmt: skip
    return [_rrelu(n, self, lower, upper, training), noise][: n.n_outputs]


def _prelu(n: TorchContext, self: Tensor, weight: Tensor) -> str:
    """One slope, or one for each channel: axis 1."""
    count, rank = n.typeof(weight).size, n.rank(self)
    shape = (1,) * max(rank, 1) if count == 1 or rank < 2 else (count, *(1,) * (rank - 2))
    return n.do("prelu", self, n.reshape(weight, shape if rank else ()))


def _prelu_kernel(n: TorchContext, self: Tensor, weight: Tensor) -> str:
    return n.do("prelu", self, weight)


def _softplus(n: TorchContext, self: Tensor, beta: Number = 1, threshold: Number = 20) -> str:
    scaled = n.do("mul", self, n.number(beta, self)) if beta != 1 else self
    soft = n.do("softplus", scaled)
    soft = n.do("div", soft, n.number(beta, self)) if beta != 1 else soft
    return n.do("where", n.do("greater", scaled, n.number(threshold, self)), self, soft)


def _log_sigmoid(n: TorchContext, self: Tensor) -> str:
    return n.do("neg", n.do("softplus", n.do("neg", self)))


def _threshold(n: TorchContext, self: Tensor, threshold: Number, value: Number) -> str:
    above = n.do("greater", self, n.number(threshold, self))
    return n.do("where", above, self, n.number(value, self))


def _hardshrink(n: TorchContext, self: Tensor, lambd: Number = 0.5) -> str:
    return n.do("shrink", self, lambd=float(lambd), bias=0.0)


def _softshrink(n: TorchContext, self: Tensor, lambd: Number = 0.5) -> str:
    return n.do("shrink", self, lambd=float(lambd), bias=float(lambd))


def _glu(n: TorchContext, self: Tensor, dim: int = -1) -> str:
    axis = n.axis(dim, n.rank(self))
    half = n.shape(self)[axis] // 2
    a, b = n.cut(self, axis, 0, half), n.cut(self, axis, half, half)
    return n.do("mul", a, n.do("sigmoid", b))


def _nan_to_num(
    n: TorchContext, self: Tensor, nan: float | None = None, posinf: float | None = None,
    neginf: float | None = None,
) -> str:  # fmt: skip
    d = n.dtype(self)
    if not d.is_float:
        return self
    x = n.do("where", n.do("is_nan", self), n.number(nan or 0.0, self), self)
    for value, default, side in ((posinf, d.max, "positive"), (neginf, d.min, "negative")):
        other = {"positive": "negative", "negative": "positive"}[side]
        at = n.do("is_inf", x, **{other: False})
        x = n.do("where", at, n.number(default if value is None else value, x), x)
    return x


def _default(table: dict[str, str], make: Callable[[str], Callable[..., str]]) -> dict[str, Row]:
    return {
        k: r for name, op in table.items() for k, r in aten(f"{name}.default", make(op)).items()
    }


CONVERTERS: dict[str, Row] = {
    **_default(_REAL, _real),
    **_default(_ALIASES, _real),
    **_default(_SAME, _same),
    **_default(_WHOLE, _whole),
    **_default(_ACTIVATIONS, _same),
    **aten("round.decimals", _round_decimals),
    **aten("trunc.default fix.default", trunc),
    **aten("frac.default", _frac),
    **aten("rsqrt.default", _rsqrt),
    **aten("square.default", _square),
    **aten("exp2.default special_exp2.default", _exp2),
    **aten("expm1.default special_expm1.default", _expm1),
    **aten("log1p.default special_log1p.default", log1p),
    **aten("log2.default", _log_base(2)),
    **aten("log10.default", _log_base(10)),
    **aten("erfc.default special_erfc.default", _erfc),
    **aten("sinc.default special_sinc.default", _sinc),
    **aten("logit.default special_logit.default", _logit),
    **aten("deg2rad.default", _degrees(math.pi / 180)),
    **aten("rad2deg.default", _degrees(180 / math.pi)),
    **aten("relu6.default", _relu6),
    **aten("hardtanh.default", _hardtanh),
    **aten("hardsigmoid.default", _hardsigmoid),
    **aten("gelu.default", _gelu),
    **aten("elu.default", _elu),
    **aten("selu.default", _selu),
    **aten("celu.default", _celu),
    **aten("leaky_relu.default", _leaky_relu),
    **aten("rrelu.default", _rrelu),
    **aten("rrelu_with_noise_functional.default", _rrelu_functional),
    **aten("prelu.default", _prelu),
    **aten("_prelu_kernel.default", _prelu_kernel),
    **aten("softplus.default", _softplus),
    **aten("log_sigmoid.default", _log_sigmoid),
    **aten("threshold.default", _threshold),
    **aten("hardshrink.default", _hardshrink),
    **aten("softshrink.default", _softshrink),
    **aten("glu.default", _glu),
    **aten("nan_to_num.default", _nan_to_num),
}  # fmt: skip
