"""Operators of one input that act on each element alone: activations, rounding, trigonometry.

One line of a table each: the expression, the same in numpy, the element types, the attributes in
the order in which both functions take them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...ir import intrin as te
from ...ir.builders import equal, if_then_else, maximum, minimum
from ...ir.expr import Expr, cast, to_expr
from ...runtime.dtype import BOOL, dtype_of
from ..types import TensorType
from .axes import carries
from .common import Fn, check_domain, convert_array, make, some, widen, widen_array
from .facts import NO_FACTS, Facts
from .opdef import Attr, Kind, OpDef

_SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}
_ERF = te.INTRINSICS["erf"].numpy


def _unary(
    name: str,
    fn: Fn,
    np_fn: Fn,
    domain: str = "float",
    attrs: Mapping[str, Any] | None = None,
    result: str = "same",
    doc: str = "",
    facts: Facts = NO_FACTS,
) -> OpDef:
    defaults = dict(attrs or {})

    def infer(types, a):
        t = some(types[0])
        check_domain(name, domain, t)
        return [TensorType(BOOL if result == "bool" else t.dtype, t.shape)]

    def build(inputs, a, out):
        x, args = inputs[0], [a[k] for k in defaults]
        return [make(out[0].shape, lambda *i: cast(fn(widen(x[i]), *args), out[0].dtype), name)]

    def reference(arrays, a):
        x = arrays[0]
        with np.errstate(all="ignore"):
            y = np.asarray(np_fn(widen_array(x), *[a[k] for k in defaults]))
        to = BOOL if result == "bool" else None
        return [y.astype(bool if to else x.dtype, copy=False)]

    schema = {k: Attr(type(v), v) for k, v in defaults.items()}
    facts = replace(facts, carries=carries())
    return OpDef(name, Kind.ELEMENTWISE, infer, build, reference, schema, facts=facts, doc=doc)


def _sign(x: Expr) -> Expr:
    one = to_expr(1, x.dtype)
    if x.dtype.kind == "uint":
        return if_then_else(x > 0, one, 0)
    negative = if_then_else(x < 0, to_expr(-1, x.dtype), x)  # zero, and NaN as in numpy
    return if_then_else(x > 0, one, negative)


def _abs(x: Expr) -> Expr:
    return x if x.dtype.kind == "uint" else abs(x)


def _softplus(x: Expr) -> Expr:
    return maximum(x, 0.0) + te.log1p(te.exp(-abs(x)))  # exp never overflows


def _np_softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, 0).astype(x.dtype)


def _gelu(x: Expr, approximate: str) -> Expr:
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * 0.5 * (te.tanh(inner) + 1.0)
    return x * 0.5 * (te.erf(x * math.sqrt(0.5)) + 1.0)


def _np_gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _ERF(x * math.sqrt(0.5)))


def _elu(x: Expr, alpha: float) -> Expr:
    return if_then_else(x < 0, te.expm1(x) * alpha, x)


def _np_elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(x), x)


def _celu(x: Expr, alpha: float) -> Expr:
    return if_then_else(x < 0, te.expm1(x / alpha) * alpha, x)


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    return maximum(minimum(x * alpha + beta, 1.0), 0.0)


def _np_hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.clip(alpha * x + beta, 0, 1)


def _shrink(x: Expr, lambd: float, bias: float) -> Expr:
    if x.dtype.is_float:
        low, high, b = to_expr(-lambd, x.dtype), to_expr(lambd, x.dtype), to_expr(bias, x.dtype)
        return if_then_else(x < low, x + b, if_then_else(x > high, x - b, 0.0))
    f = cast(x, "float32")  # lambd and bias are floats also for integers
    return cast(_shrink(f, lambd, bias), x.dtype)


def _np_shrink(x: np.ndarray, lambd: float, bias: float) -> np.ndarray:
    f = x.astype(np.float32) if x.dtype.kind in "iu" else x
    y = np.where(f < -lambd, f + bias, np.where(f > lambd, f - bias, 0))
    to = x.dtype
    return convert_array(y, dtype_of(to)) if to.kind in "iu" else y


def _isinf(x: Expr, positive: bool, negative: bool) -> Expr:
    inf = float("inf")
    up, down = equal(x, inf), equal(x, -inf)
    if positive and negative:
        return up | down
    return up if positive else down if negative else to_expr(False)


def _np_isinf(x: np.ndarray, positive: bool, negative: bool) -> np.ndarray:
    return (np.isposinf(x) & positive) | (np.isneginf(x) & negative)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _identity(x: Any) -> Any:
    return x


def _clip_infer(types, a):
    check_domain("clip", "number", some(types[0]))
    return [TensorType(types[0].dtype, types[0].shape)]


def _clip(inputs, a, out):
    x = inputs[0]

    def body(*i):
        v = widen(x[i])
        v = v if a["min"] is None else maximum(v, to_expr(a["min"], v.dtype))
        v = v if a["max"] is None else minimum(v, to_expr(a["max"], v.dtype))
        return cast(v, x.dtype)

    return [make(out[0].shape, body, "clip")]


def _np_clip(arrays, a):
    x = arrays[0]
    y = widen_array(x)
    y = y if a["min"] is None else np.maximum(y, y.dtype.type(a["min"]))
    y = y if a["max"] is None else np.minimum(y, y.dtype.type(a["max"]))
    return [np.asarray(y).astype(x.dtype)]


_INTRINSICS = (
    "exp", "log", "sqrt", "erf", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh",
)  # fmt: skip
_CHEAP = Facts(cheap=True)
_SETTLES = Facts(cheap=True, idempotent=True)
_FLIPS = Facts(cheap=True, involution=True)

OPS: tuple[OpDef, ...] = (
    *(_unary(n, getattr(te, n), te.INTRINSICS[n].numpy) for n in _INTRINSICS),
    _unary("floor", te.floor, np.floor, facts=_SETTLES),
    _unary("ceil", te.ceil, np.ceil, facts=_SETTLES),
    _unary("identity", _identity, _identity, "any", facts=Facts(cheap=True, channel_wise=True)),
    _unary("round", te.round_even, np.rint, doc="Halves to even.", facts=_SETTLES),
    _unary("neg", lambda x: -x, np.negative, "number", facts=_FLIPS),
    _unary("abs", _abs, np.abs, "number", facts=_SETTLES),
    _unary("sign", _sign, np.sign, "number", facts=_SETTLES),
    _unary("reciprocal", lambda x: 1.0 / x, lambda x: 1 / x),
    _unary("not", lambda x: ~x, np.logical_not, "bool", facts=_FLIPS),
    _unary("bitwise_not", lambda x: ~x, np.invert, "int", facts=_FLIPS),
    _unary("is_nan", te.isnan, np.isnan, result="bool", facts=_CHEAP),
    _unary(
        "is_inf",
        _isinf,
        _np_isinf,
        attrs={"positive": True, "negative": True},
        result="bool",
        facts=_CHEAP,
    ),
    _unary("relu", lambda x: maximum(x, 0), lambda x: np.maximum(x, 0), "number", facts=_SETTLES),
    _unary("sigmoid", te.sigmoid, _sigmoid),
    _unary("softplus", _softplus, _np_softplus, doc="log(1 + exp(x))"),
    _unary("softsign", lambda x: x / (abs(x) + 1.0), lambda x: x / (1 + np.abs(x))),
    _unary("mish", lambda x: x * te.tanh(_softplus(x)), lambda x: x * np.tanh(_np_softplus(x))),
    _unary("gelu", _gelu, _np_gelu, attrs={"approximate": "none"}, doc="approximate: none, tanh"),
    _unary("elu", _elu, _np_elu, attrs={"alpha": 1.0}),
    _unary(
        "celu",
        _celu,
        lambda x, alpha: np.where(x < 0, alpha * np.expm1(x / alpha), x),
        attrs={"alpha": 1.0},
    ),
    _unary(
        "selu",
        lambda x, alpha, gamma: _elu(x, alpha) * gamma,
        lambda x, alpha, gamma: gamma * _np_elu(x, alpha),
        attrs=_SELU,
    ),
    _unary("hard_sigmoid", _hard_sigmoid, _np_hard_sigmoid, attrs={"alpha": 0.2, "beta": 0.5}),
    _unary(
        "hard_swish",
        lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
        lambda x: x * _np_hard_sigmoid(x, 1 / 6, 0.5),
    ),
    _unary(
        "swish",
        lambda x, alpha: x * te.sigmoid(x if alpha == 1 else x * alpha),
        lambda x, alpha: x * _sigmoid(alpha * x),
        attrs={"alpha": 1.0},
        doc="x * sigmoid(alpha * x), also called SiLU",
    ),
    _unary(
        "leaky_relu",
        lambda x, alpha: if_then_else(x < 0, x * alpha, x),
        lambda x, alpha: np.where(x < 0, alpha * x, x),
        attrs={"alpha": 0.01},
        facts=_CHEAP,
    ),
    _unary(
        "thresholded_relu",
        lambda x, alpha: if_then_else(x > alpha, x, 0.0),
        lambda x, alpha: np.where(x > alpha, x, 0),
        attrs={"alpha": 1.0},
    ),
    _unary("shrink", _shrink, _np_shrink, "number", attrs={"lambd": 0.5, "bias": 0.0}),
    OpDef(
        "clip",
        Kind.ELEMENTWISE,
        _clip_infer,
        _clip,
        _np_clip,
        {"min": Attr(object, None, "None: no bound"), "max": Attr(object, None)},
        facts=replace(_SETTLES, carries=carries()),
        doc="min(max(x, min), max): where the bounds cross, max wins",
    ),
)
