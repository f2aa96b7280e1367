"""Operands and results, by numpy, for the tests of operators and casts on every back-end."""

from collections.abc import Callable

import ml_dtypes
import numpy as np
from weft.ir.alu import COMPARE, INT_ONLY, LOGIC, SHIFT, UNARY, Op
from weft.ir.expr import Binary, Cast, Const, Load, Ramp, Var
from weft.ir.stmt import Buffer, For, ForKind, Function, Store, seq
from weft.runtime.dtype import BOOL, INT32, DType

EDGES = {
    "float": [0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 3.25, 1e-7, 65504.0, np.inf, -np.inf, np.nan, 7.0],
    "int": [0, 1, -1, 2, -2, 3, -3, 7, -7, 100, -100],
    "uint": [0, 1, 2, 3, 7, 8, 100, 200],
    "bool": [False, True],
}


def c(n: int) -> Const:
    return Const(n, INT32)


def edges(d: DType) -> np.ndarray:
    kind = {"bfloat": "float"}.get(d.kind, d.kind)
    values = list(EDGES[kind])
    if d.is_int:
        values += [d.min, d.max, d.max - 1]
    with np.errstate(over="ignore"):
        return (
            np.array(values, dtype=object)
            .astype(np.float64 if d.is_float else d.numpy)
            .astype(d.numpy)
        )


def pairs(d: DType) -> tuple[np.ndarray, np.ndarray]:
    e = edges(d)
    a, b = np.repeat(e, len(e)), np.tile(e, len(e))
    pad = -len(a) % 16
    return np.resize(a, len(a) + pad), np.resize(b, len(b) + pad)


def elementwise(make, types: list[DType], result: DType, n: int, lanes: int) -> Function:
    """``out[i] = make(in0[i], …)`` with a vector of ``lanes`` at a time."""
    ins = [Buffer(f"in{k}", d, (c(n),)) for k, d in enumerate(types)]
    out, i = Buffer("out", result, (c(n),)), Var("i")
    at = i if lanes == 1 else Ramp(i * lanes, c(1), lanes)
    body = Store(out, (at,), make(*(Load(b, (at,)) for b in ins)))
    loop = For(i, c(0), c(n // lanes), ForKind.SERIAL, body)
    return Function("kernel", (*ins, out), loop, frozenset({out}))


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if x.dtype == ml_dtypes.bfloat16 else x


_NUMPY: dict[Op, Callable[..., np.ndarray]] = {
    Op.ADD: np.add, Op.SUB: np.subtract, Op.MUL: np.multiply, Op.DIV: np.true_divide,
    Op.FLOORDIV: np.floor_divide, Op.FLOORMOD: np.remainder, Op.MIN: np.minimum,
    Op.MAX: np.maximum, Op.EQ: np.equal, Op.NE: np.not_equal, Op.LT: np.less,
    Op.LE: np.less_equal, Op.AND: np.bitwise_and, Op.OR: np.bitwise_or, Op.XOR: np.bitwise_xor,
}  # fmt: skip


def _truncated_division(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Exact, then modulo 2^bits; 0 for a division by zero."""
    bits = 8 * a.dtype.itemsize
    exact = []
    for x, y in zip(map(int, a), map(int, b)):
        quotient = abs(x) // abs(y) if y else 0
        exact.append((quotient if (x < 0) == (y < 0) else -quotient) % (1 << bits))
    return np.array(exact, dtype=np.uint64).astype(f"u{a.dtype.itemsize}").view(a.dtype)


def expected(op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = wide(a), wide(b)
    integer = a.dtype.kind in "iu"
    with np.errstate(all="ignore"):
        if op in _NUMPY:
            return _NUMPY[op](a, b)
        if op is Op.TRUNCDIV:
            return _truncated_division(a, b)
        if op is Op.TRUNCMOD:
            return np.where(b == 0, 0, np.fmod(a, b)) if integer else np.fmod(a, b)
        assert op in SHIFT, op
        count = b & (8 * a.dtype.itemsize - 1)
        return (np.left_shift if op is Op.SHL else np.right_shift)(a, count)


def defined(op: Op, d: DType) -> bool:
    if d.is_bool:
        return op in LOGIC or op in (Op.EQ, Op.NE)
    if d.is_float:
        return op not in LOGIC | INT_ONLY | SHIFT
    return op is not Op.DIV


def assert_same(got: np.ndarray, want: np.ndarray) -> None:
    """Equal values; NaN equals NaN; zeros have the same sign."""
    got, want = wide(got), wide(want)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def converted(a: np.ndarray, d: DType) -> np.ndarray:
    a = wide(a)
    with np.errstate(all="ignore"):
        if d.is_bool:
            return a != 0
        if a.dtype.kind == "f" and d.is_int:
            values = [0 if np.isnan(v) else max(d.min, min(d.max, _trunc(v))) for v in a]
            return np.array(values, dtype=object).astype(d.numpy)
        return a.astype(d.numpy)


def _trunc(v: float) -> int:
    return (1 << 100) * (1 if v > 0 else -1) if np.isinf(v) else int(v)


def operators(d: DType, lanes: int, n: int, without: frozenset[Op] = frozenset()):
    """All operators of a type at once: a kernel with one output per operator, and these."""
    ops = [op for op in Op if op not in UNARY | without and defined(op, d)]
    x, y, i = Buffer("x", d, (c(n),)), Buffer("y", d, (c(n),)), Var("i")
    outs = [Buffer(o.name, BOOL if o in COMPARE else d, (c(n),)) for o in ops]
    at = i if lanes == 1 else Ramp(i * lanes, c(1), lanes)
    stores = [
        Store(o, (at,), Binary(op, Load(x, (at,)), Load(y, (at,)))) for op, o in zip(ops, outs)
    ]
    loop = For(i, c(0), c(n // lanes), ForKind.SERIAL, seq(*stores))
    return Function("kernel", (x, y, *outs), loop, frozenset(outs)), ops


def casts(source: DType, goals: list[DType], lanes: int) -> Function:
    """Casts of 16 elements to all of ``goals``."""
    x, i = Buffer("x", source, (c(16),)), Var("i")
    outs = [Buffer(f"to_{d}", d, (c(16),)) for d in goals]
    at = i if lanes == 1 else Ramp(i * lanes, c(1), lanes)
    stores = [Store(o, (at,), Cast(Load(x, (at,)), o.dtype.with_lanes(lanes))) for o in outs]
    loop = For(i, c(0), c(16 // lanes), ForKind.SERIAL, seq(*stores))
    return Function("kernel", (x, *outs), loop, frozenset(outs))
