"""The table of pure intrinsics: name, arity, types, meaning in numpy. All but ``any``, which passes
make for the lanes of one vector, are element-wise.

How a target spells them is data of its code generator; ``passes/math.py`` has expansions for
targets that lack one. Accuracy on each target is stated and tested there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..runtime.dtype import BOOL
from ..runtime.errors import ExprError
from .expr import Call, Expr, ExprLike, to_expr
from .refusals import undefined

Rule = str | Callable[..., Expr]


@dataclass(frozen=True)
class Intrinsic:
    """``domain`` is ``"float"``, ``"int"``, ``"bool"`` or ``"any"``; ``result`` is ``"same"``,
    ``"bool"`` or, of all lanes together, ``"one"`` value.

    ``own``: it comes from outside (``te.register_intrinsic``), with ``rules`` for kinds of targets
    and ``lower`` for the others.
    """

    name: str
    arity: int
    numpy: Callable[..., np.ndarray]
    domain: str = "float"
    result: str = "same"
    own: bool = False
    rules: Mapping[str, Rule] = field(default_factory=dict)
    lower: Callable[..., Expr] | None = None

    def rule(self, kinds: Sequence[str]) -> Rule | None:
        """How the first of these kinds of targets that has a rule computes an intrinsic from
        outside: by a spelling of its language, or by a function that builds the expression of the
        result; None: not at all."""
        found = next((self.rules[k] for k in kinds if k in self.rules), None)
        return self.lower if found is None else found


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _round_even(x: np.ndarray) -> np.ndarray:
    return np.rint(x)


def _popcount(x: np.ndarray) -> np.ndarray:
    # numpy counts the bits of the absolute value
    return np.bitwise_count(x.astype(f"u{x.dtype.itemsize}")).astype(x.dtype)


def _clz(x: np.ndarray) -> np.ndarray:
    bits, by = x.astype(f"u{x.dtype.itemsize}"), 1
    while by < 8 * x.dtype.itemsize:
        bits, by = bits | bits >> bits.dtype.type(by), 2 * by
    return np.bitwise_count(~bits).astype(x.dtype)


INTRINSICS: dict[str, Intrinsic] = {
    i.name: i
    for i in (
        Intrinsic("exp", 1, np.exp),
        Intrinsic("exp2", 1, np.exp2),
        Intrinsic("log", 1, np.log),
        Intrinsic("log2", 1, np.log2),
        Intrinsic("log10", 1, np.log10),
        Intrinsic("log1p", 1, np.log1p),
        Intrinsic("expm1", 1, np.expm1),
        Intrinsic("sqrt", 1, np.sqrt),
        Intrinsic("rsqrt", 1, lambda x: 1 / np.sqrt(x)),
        Intrinsic("tanh", 1, np.tanh),
        Intrinsic("sigmoid", 1, lambda x: 1 / (1 + np.exp(-x))),
        Intrinsic("erf", 1, _erf),
        Intrinsic("sin", 1, np.sin),
        Intrinsic("cos", 1, np.cos),
        Intrinsic("tan", 1, np.tan),
        Intrinsic("asin", 1, np.arcsin),
        Intrinsic("acos", 1, np.arccos),
        Intrinsic("atan", 1, np.arctan),
        Intrinsic("atan2", 2, np.arctan2),  # of y and x, in this order
        Intrinsic("sinh", 1, np.sinh),
        Intrinsic("cosh", 1, np.cosh),
        Intrinsic("asinh", 1, np.arcsinh),
        Intrinsic("acosh", 1, np.arccosh),
        Intrinsic("atanh", 1, np.arctanh),
        Intrinsic("floor", 1, np.floor),
        Intrinsic("ceil", 1, np.ceil),
        Intrinsic("trunc", 1, np.trunc),
        Intrinsic("round", 1, _round_even),  # halves to even
        Intrinsic("pow", 2, np.power),
        Intrinsic("fma", 3, lambda a, b, c: a * b + c),  # rounded once where the target can
        Intrinsic("isnan", 1, np.isnan, result="bool"),
        Intrinsic("isinf", 1, np.isinf, result="bool"),
        Intrinsic("isfinite", 1, np.isfinite, result="bool"),
        Intrinsic("clz", 1, _clz, domain="int"),  # zeros above the highest bit; all bits for 0
        Intrinsic("popcount", 1, _popcount, domain="int"),
        Intrinsic("likely", 1, np.asarray, domain="bool", result="bool"),  # gone after partition
        Intrinsic("any", 1, np.any, domain="bool", result="one"),
    )
}


__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "clz", "cos", "cosh", "erf",
    "exp", "exp2", "expm1", "floor", "fma", "isfinite", "isinf", "isnan", "log", "log1p", "log2",
    "log10", "popcount", "power", "round_even", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan",
    "tanh", "trunc",
]  # fmt: skip


def call(name: str, *args: ExprLike) -> Expr:
    """The call of an intrinsic; types are checked here."""
    spec = INTRINSICS.get(name)
    if spec is None:
        raise ExprError(f"there is no intrinsic {name!r}.", hint=", ".join(INTRINSICS))
    if len(args) != spec.arity:
        raise ExprError(f"{name} takes {spec.arity} arguments, not {len(args)}")
    like = next((a.dtype for a in args if isinstance(a, Expr)), None)
    exprs = tuple(to_expr(a, like) for a in args)
    d = exprs[0].dtype
    if any(e.dtype != d for e in exprs):
        raise ExprError(f"{name} takes operands of one type, not {[str(e.dtype) for e in exprs]}")
    fits = {"float": d.is_float, "int": d.is_int, "bool": d.is_bool, "any": True}
    if not fits[spec.domain]:
        raise undefined(name, d, ", ".join(map(str, exprs)))
    results = {"same": d, "bool": BOOL.with_lanes(d.lanes), "one": d.element}
    return Call(name, exprs, results[spec.result])


def _make(name: str) -> Callable[..., Expr]:
    def intrinsic(*args: ExprLike) -> Expr:
        return call(name, *args)

    intrinsic.__name__ = name
    intrinsic.__doc__ = f"The element-wise intrinsic ``{name}``."
    return intrinsic


exp, exp2, log, log2, log1p, expm1 = map(_make, ("exp", "exp2", "log", "log2", "log1p", "expm1"))
sqrt, rsqrt, tanh, sigmoid, erf = map(_make, ("sqrt", "rsqrt", "tanh", "sigmoid", "erf"))
sin, cos, tan, asin, acos, atan = map(_make, ("sin", "cos", "tan", "asin", "acos", "atan"))
sinh, cosh, asinh, acosh, atanh = map(_make, ("sinh", "cosh", "asinh", "acosh", "atanh"))
floor, ceil, trunc, round_even = map(_make, ("floor", "ceil", "trunc", "round"))
power, fma, isnan, isinf, popcount = map(_make, ("pow", "fma", "isnan", "isinf", "popcount"))
atan2, log10, isfinite, clz = map(_make, ("atan2", "log10", "isfinite", "clz"))
