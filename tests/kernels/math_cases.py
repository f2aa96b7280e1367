"""Arguments and bounds for the tests of intrinsics on every back-end."""

import math

import numpy as np
from weft.ir.expr import Const, Load, Ramp, Var
from weft.ir.intrin import INTRINSICS, call
from weft.ir.stmt import Buffer, For, ForKind, Function, Store
from weft.runtime.dtype import FLOAT32, INT32

N = 1 << 16
# Largest error in ULP (the table in ir/passes/math/math.py) and the interval to sample densely.
BOUNDS = {
    "exp": (2, -104, 89), "exp2": (2, -150, 129), "expm1": (3, -10, 89), "log": (2, 0.5, 2),
    "log2": (2, 0.5, 2), "log1p": (2, -0.9, 3), "tanh": (3, -10, 10), "sigmoid": (4, -100, 100),
    "erf": (3, -4.5, 4.5), "sin": (2, -1e4, 1e4), "cos": (2, -1e4, 1e4), "tan": (4, -1e4, 1e4),
    "asin": (3, -1, 1), "acos": (3, -1, 1), "atan": (3, -10, 10), "sinh": (4, -90, 90),
    "cosh": (4, -90, 90), "asinh": (4, -10, 10), "acosh": (4, 1, 10), "atanh": (4, -1, 1),
}  # fmt: skip
SPECIAL = np.array(
    [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, -1e-45, 1.1754944e-38, 3.4e38, -3.4e38, 88.72,
     88.73, -87.5, -103.9, -104.5, 0.5, -0.5, 2, -2, 3, -3, 127.99, 128, -149, -150, 89.4, 89.5,
     1e-10, -1e-10, 2147483648, 16777217],
    np.float32,
)  # fmt: skip


def c(n: int) -> Const:
    return Const(n, INT32)


def kernel(name: str, dtype=FLOAT32, lanes: int = 8, n: int = N) -> Function:
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
