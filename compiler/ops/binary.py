"""Broadcasting operators of two inputs: arithmetic, comparison, logic, bits; and ``where``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...ir import intrin as te
from ...ir.alu import Op
from ...ir.builders import equal, if_then_else, maximum, minimum, not_equal, truncdiv, truncmod
from ...ir.expr import Expr, binary, cast, to_expr
from ...runtime.dtype import BOOL, FLOAT64, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import broadcasts
from .common import (
    Fn,
    broadcast_shapes,
    check_domain,
    convert_array,
    make,
    np_truncdiv,
    present,
    required,
    same_dtype,
    some,
    stretch,
    widen,
    widen_array,
)
from .facts import NO_FACTS, Facts, Neutral
from .opdef import Attr, Kind, OpDef

_COMMUTES = Facts(commutative=True)
_ADD = Facts(commutative=True, neutral=Neutral(-0.0, (0, 1)))  # -0.0 + 0.0 is 0.0
_MUL = Facts(commutative=True, neutral=Neutral(1.0, (0, 1)))


def _binary(
    name: str,
    fn: Fn,
    np_fn: Fn,
    domain: str = "number",
    result: str = "same",
    attrs: dict[str, Any] | None = None,
    facts: Facts = NO_FACTS,
) -> OpDef:
    defaults = dict(attrs or {})

    def infer(types, a):
        d = same_dtype(name, types)
        check_domain(name, domain, some(types[0]))
        shape = broadcast_shapes(name, [t.shape for t in present(types)])
        return [TensorType(BOOL if result == "bool" else d, shape)]

    def build(inputs, a, out):
        (x, y), shape, args = inputs, out[0].shape, [a[k] for k in defaults]

        def body(*i):
            value = fn(widen(stretch(x, i, shape)), widen(stretch(y, i, shape)), *args)
            return cast(value, out[0].dtype)

        return [make(shape, body, name)]

    def reference(arrays, a):
        x, y = arrays
        with np.errstate(all="ignore"):
            value = np.asarray(np_fn(widen_array(x), widen_array(y), *[a[k] for k in defaults]))
        return [value.astype(bool if result == "bool" else x.dtype, copy=False)]

    schema = {k: Attr(type(v), v) for k, v in defaults.items()}
    facts = replace(facts, carries=broadcasts)
    return OpDef(name, Kind.BROADCAST, infer, build, reference, schema, 2, 2, facts)


def _div(x: Expr, y: Expr) -> Expr:
    """Integers round towards zero; by zero is 0."""
    return x / y if x.dtype.is_float else truncdiv(x, y)


def _np_div(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x / y if x.dtype.kind == "f" else np_truncdiv(x, y)


def _mod(x: Expr, y: Expr, fmod: bool) -> Expr:
    if fmod:
        return truncmod(x, y)
    if not x.dtype.is_float:
        return x % y
    r = truncmod(x, y)  # the remainder with the divisor's sign, infinite divisors included
    wrong = not_equal(r, 0.0) & binary(Op.XOR, r < 0.0, y < 0.0)
    return if_then_else(wrong, r + y, r)


def _np_mod(x: np.ndarray, y: np.ndarray, fmod: bool) -> np.ndarray:
    return (np.fmod if fmod else np.mod)(x, y)


def _pow(x: Expr, y: Expr) -> Expr:
    """Integers go through float64, exact for results below 2^53; a fraction rounds to 0."""
    if x.dtype.is_float:
        return te.power(x, y)
    power = te.round_even(te.power(cast(x, FLOAT64), cast(y, FLOAT64)))
    return cast(power, x.dtype)


def _np_pow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "f":
        return np.power(x, y)
    power = np.rint(np.power(x.astype(np.float64), y.astype(np.float64)))
    return convert_array(power, dtype_of(x.dtype))


def _shift(x: Expr, y: Expr, direction: str) -> Expr:
    """By a negative count or one of at least the width: what shifting every bit out leaves."""
    d = x.dtype
    inside = y < d.bits if d.kind == "uint" else (y < d.bits) & (y >= 0)
    if direction == "left":
        return if_then_else(inside, x << y, to_expr(0, d))
    rest = to_expr(0, d) if d.kind == "uint" else x >> (d.bits - 1)
    return if_then_else(inside, x >> y, rest)


def _np_shift(x: np.ndarray, y: np.ndarray, direction: str) -> np.ndarray:
    bits = x.dtype.itemsize * 8
    inside = (y >= 0) & (y < bits)
    count = np.where(inside, y, 0).astype(y.dtype)
    if direction == "left":
        return np.where(inside, np.left_shift(x, count), 0)
    return np.where(inside, np.right_shift(x, count), np.where(x < 0, -1, 0).astype(x.dtype))


def _prelu(x: Expr, slope: Expr) -> Expr:
    return if_then_else(x < 0, x * slope, x)


def _prelu_infer(types, a):
    same_dtype("prelu", types)
    check_domain("prelu", "number", types[0])
    if broadcast_shapes("prelu", [t.shape for t in types]) != types[0].shape:
        raise GraphError(f"prelu: the slope {types[1]} does not broadcast to {types[0]}.")
    return [TensorType(types[0].dtype, types[0].shape)]


def _where_infer(types, a):
    condition, x, y = types
    check_domain("where", "bool", condition)
    shape = broadcast_shapes("where", [t.shape for t in types])
    return [TensorType(same_dtype("where", (x, y)), shape)]


def _where(inputs, a, out):
    shape = out[0].shape

    def body(*i):
        return if_then_else(*(stretch(t, i, shape) for t in inputs))

    return [make(shape, body, "where")]


def _compare(
    name: str, fn: Fn, np_fn: Fn, domain: str = "number", facts: Facts = NO_FACTS
) -> OpDef:
    return _binary(name, fn, np_fn, domain, "bool", facts=facts)


def _logic(name: str, fn: Fn, np_fn: Fn, domain: str) -> OpDef:
    return _binary(name, fn, np_fn, domain, facts=_COMMUTES)


_PRELU = _binary(
    "prelu", _prelu, lambda x, s: np.where(x < 0, x * s, x)
)  # the slope may not widen the result

OPS: tuple[OpDef, ...] = (
    _binary(
        "add",
        lambda x, y: x + y,
        np.add,
        facts=_ADD,
    ),
    _binary("sub", lambda x, y: x - y, np.subtract, facts=Facts(neutral=Neutral(0.0))),
    _binary(
        "mul",
        lambda x, y: x * y,
        np.multiply,
        facts=_MUL,
    ),
    _binary("div", _div, _np_div, facts=Facts(cheap=False, neutral=Neutral(1.0))),
    _binary("mod", _mod, _np_mod, attrs={"fmod": False}, facts=Facts(cheap=False)),
    _binary("pow", _pow, _np_pow, facts=Facts(cheap=False)),
    _binary("minimum", minimum, np.minimum, facts=_COMMUTES),
    _binary("maximum", maximum, np.maximum, facts=_COMMUTES),
    OpDef(
        "prelu",
        Kind.BROADCAST,
        _prelu_infer,
        _PRELU.compute,
        _PRELU.reference,
        {},
        2,
        2,
        facts=_PRELU.facts,
    ),
    _compare("equal", equal, np.equal, "any", facts=_COMMUTES),
    _compare("not_equal", not_equal, np.not_equal, "any", facts=_COMMUTES),
    _compare("less", lambda x, y: x < y, np.less),
    _compare("less_or_equal", lambda x, y: x <= y, np.less_equal),
    _compare("greater", lambda x, y: x > y, np.greater),
    _compare("greater_or_equal", lambda x, y: x >= y, np.greater_equal),
    _logic("and", lambda x, y: x & y, np.logical_and, "bool"),
    _logic("or", lambda x, y: x | y, np.logical_or, "bool"),
    _logic("xor", lambda x, y: x ^ y, np.logical_xor, "bool"),
    _logic("bitwise_and", lambda x, y: x & y, np.bitwise_and, "int"),
    _logic("bitwise_or", lambda x, y: x | y, np.bitwise_or, "int"),
    _logic("bitwise_xor", lambda x, y: x ^ y, np.bitwise_xor, "int"),
    _binary("bit_shift", _shift, _np_shift, "int", attrs={"direction": "left"}),
    OpDef(
        "where",
        Kind.BROADCAST,
        _where_infer,
        _where,
        lambda arrays, a: [np.where(*required(arrays))],
        {},
        3,
        3,
        facts=Facts(carries=broadcasts),
        doc="where(condition, x, y): x where the condition holds, else y",
    ),
)
