"""Arguments and bounds for the tests of intrinsics on every back-end."""

import math

import numpy as np
from weft.ir.expr import Const, Load, Ramp, Var
from weft.ir.intrin import INTRINSICS, call
from weft.ir.passes.math.bounds import FLOAT32
from weft.ir.passes.math.float32 import EXPANSIONS
from weft.ir.stmt import Buffer, For, ForKind, Function, Store
from weft.runtime.dtype import FLOAT32 as F32
from weft.runtime.dtype import INT32

N = 1 << 16
# The interval to sample densely; the largest errors are FLOAT32's (ir/passes/math/bounds.py).
_DENSE = {
    "exp": (-104, 89), "exp2": (-150, 129), "expm1": (-10, 89), "log": (0.5, 2), "log2": (0.5, 2),
    "log10": (0.5, 2), "log1p": (-0.9, 3), "tanh": (-10, 10), "sigmoid": (-100, 100),
    "erf": (-4.5, 4.5),
    "sin": (-1e4, 1e4), "cos": (-1e4, 1e4), "tan": (-1e4, 1e4), "asin": (-1, 1), "acos": (-1, 1),
    "atan": (-10, 10), "sinh": (-90, 90), "cosh": (-90, 90), "asinh": (-10, 10), "acosh": (1, 10),
    "atanh": (-1, 1),
}  # fmt: skip
BOUNDS = {
    name: (FLOAT32[name], *_DENSE.get(name, (-100, 100)))
    for name in EXPANSIONS
    if INTRINSICS[name].arity == 1
}
SPECIAL = np.array(
    [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, -1e-45, 1.1754944e-38, 3.4e38, -3.4e38, 88.72,
     88.73, -87.5, -103.9, -104.5, 0.5, -0.5, 2, -2, 3, -3, 127.99, 128, -149, -150, 89.4, 89.5,
     1e-10, -1e-10, 2147483648, 16777217, 89.41599, -89.41599, 4.1e-38],
    np.float32,
)  # fmt: skip


def c(n: int) -> Const:
    return Const(n, INT32)


def kernel(name: str, dtype=F32, lanes: int = 8, n: int = N) -> Function:
    """``out[i] = name(x0[i], …)``."""
    ins = [Buffer(f"x{k}", dtype, (c(n),)) for k in range(INTRINSICS[name].arity)]
    i = Var("i")
    at = Ramp(i * lanes, c(1), lanes) if lanes > 1 else i
    value = call(name, *(Load(x, (at,)) for x in ins))
    out = Buffer("out", value.dtype.element, (c(n),))
    body = Store(out, (at,), value)
    loop = For(i, c(0), c(n // lanes), ForKind.SERIAL, body)
    return Function("kernel", (*ins, out), loop, frozenset({out}))


_erf = np.vectorize(math.erf, otypes=[np.float64])


def reference(name: str, *args: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        wide = [a.astype(np.float64) for a in args]
        if name == "erf":
            return _erf(*wide)
        if name == "sigmoid":
            e = np.exp(-np.abs(wide[0]))
            return np.where(wide[0] < 0, e, 1) / (1 + e)
        return INTRINSICS[name].numpy(*wide)


def ulp(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The error in units of the last place of ``want`` rounded; infinite where only one of the
    two is finite or NaN."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        error = np.where(same, 0, np.inf)
        both = np.isfinite(got) & np.isfinite(rounded) & ~same
        unit = np.maximum(np.spacing(np.abs(rounded[both])).astype(np.float64), 2.0**-149)
        error[both] = np.abs(got[both].astype(np.float64) - want[both]) / unit
    return error


def points(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Operands of two-dimensional functions: around the origin, of all sizes, near the axes and
    diagonals, and all pairs of special values."""
    rng = np.random.default_rng(7)
    a, b = (rng.integers(0, 1 << 32, n, dtype=np.uint64).astype(np.uint32).view(np.float32)
            for _ in range(2))  # fmt: skip
    near = rng.uniform(-9, 9, (2, n)).astype(np.float32)
    grid = np.meshgrid(SPECIAL, SPECIAL)
    few = (near[0] * rng.uniform(0.99, 1.01, n)).astype(np.float32)
    return [
        (near[0], near[1]), (a, b), (near[0], few), (-few, near[0]), (near[0], near[1] * 1e-6),
        (near[0] * np.float32(1e-6), near[1]), (np.resize(grid[0], n), np.resize(grid[1], n)),
    ]  # fmt: skip


def of_every_exponent(per: int = 128) -> np.ndarray:
    """Floats of both signs and every exponent: the first, the last and the middle ones of each and
    random ones, ``per`` in all. Exponent 0 are subnormal numbers, 255 are infinity and NaN."""
    fixed = [0, 1, 2, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFE, 0x7FFFFF]
    rng = np.random.default_rng(11)
    drawn = rng.integers(0, 1 << 23, (512, per - len(fixed)))
    fractions = np.concatenate([np.tile(fixed, (512, 1)), drawn], axis=1)
    return (np.arange(512)[:, None] << 23 | fractions).astype(np.uint32).view(np.float32).ravel()
