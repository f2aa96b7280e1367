"""The float64 expansions: error in units in the last place, special values, no calls."""

import re

import numpy as np
import pytest
from kernels.math_cases import points
from support.pinned import RUNNING
from weft.codegen.llvm import generator as llvm
from weft.ir.expr import Call, Const, Load, Ramp, Var
from weft.ir.intrin import INTRINSICS, call
from weft.ir.meaning.interp import run
from weft.ir.passes.math.bounds import FLOAT64 as FLOAT64_BOUNDS
from weft.ir.passes.math.float64 import EXPANSIONS
from weft.ir.passes.math.math import lower_math
from weft.ir.stmt import Buffer, For, ForKind, Function, Store
from weft.ir.target import Target
from weft.ir.verify import verify
from weft.ir.visit import walk
from weft.runtime.dtype import FLOAT64, INT32

N = 1 << 15
# The interval to sample densely; the largest errors are FLOAT64's (ir/passes/math/bounds.py).
_DENSE = {
    "exp": (-746, 710), "exp2": (-1076, 1025), "expm1": (-10, 710), "log": (0.5, 2),
    "log2": (0.5, 2), "log10": (0.5, 2), "log1p": (-0.9, 3), "tanh": (-10, 10),
    "sigmoid": (-750, 750),
    "erf": (-6.5, 6.5), "sin": (-1e6, 1e6), "cos": (-1e6, 1e6), "tan": (-1e6, 1e6),
    "asin": (-1, 1), "acos": (-1, 1), "atan": (-10, 10), "sinh": (-711, 711),
    "cosh": (-711, 711), "asinh": (-10, 10), "acosh": (1, 10), "atanh": (-1, 1),
}  # fmt: skip
BOUNDS = {
    name: (FLOAT64_BOUNDS[name], *_DENSE.get(name, (-100, 100)))
    for name in EXPANSIONS
    if INTRINSICS[name].arity == 1
}
SPECIAL = np.array(
    [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 5e-324, -5e-324, 2.3e-308, 1.7e308, -1.7e308, 709.78,
     709.79, 710.4,
     710.4758600739439, 710.5, -708.4, -745.1, -745.2, 0.5, -0.5, 2, -2, 3, -3, 1023.99, 1024,
     -1074,
     -1075, 1e-17, -1e-17, 4503599627370497, 9007199254740992, 1e-160, np.pi / 2, np.pi, 1 - 2**-53,
     1 + 2**-52],
)  # fmt: skip
# As close to multiples of π/2 as doubles come.
NEAR_ZEROS = np.array(
    [
        *(k * np.pi / 2 for k in range(1, 60000, 7)),
        6381956970095103 * 2.0**797,
    ]  # the closest of all
)


def kernel(name: str, size: int = N, lanes: int = 4) -> Function:
    n = Const(size, INT32)
    ins = [Buffer(f"x{k}", FLOAT64, (n,)) for k in range(INTRINSICS[name].arity)]
    out, i = Buffer("out", FLOAT64, (n,)), Var("i")
    at = Ramp(i * lanes, Const(1, INT32), lanes) if lanes > 1 else i
    body = Store(out, (at,), call(name, *(Load(x, (at,)) for x in ins)))
    loop = For(i, Const(0, INT32), Const(size // lanes, INT32), ForKind.SERIAL, body)
    return Function("kernel", (*ins, out), loop, frozenset({out}))


def _erf(x: np.ndarray) -> np.ndarray:
    """2/√π exp(-x²) Σ 2^n x^(2n+1)/(2n+1)!!: no term is negative, so nothing cancels."""
    a = np.minimum(np.abs(x), np.longdouble(7))
    term = a * 2 / np.sqrt(np.arccos(np.longdouble(-1))) * np.exp(-a * a)
    total = term.copy()
    for n in range(1, 260):
        term = term * (2 * a * a) / (2 * n + 1)
        total += term
    return np.copysign(total, x)


def reference(name: str, *args: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        wide = [a.astype(np.longdouble) for a in args]
        if name == "erf":
            return _erf(*wide)
        if name == "sigmoid":
            e = np.exp(-np.abs(wide[0]))
            return np.where(wide[0] < 0, e, 1) / (1 + e)
        return INTRINSICS[name].numpy(*wide)


def ulp(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The error in units of the last place of ``want`` rounded; infinite where only one of the
    two is finite or NaN, or where the signs of zeros differ."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float64)
        same = (got == rounded) & ((got != 0) | (np.signbit(got) == np.signbit(rounded)))
        same |= np.isnan(got) & np.isnan(rounded)
        error = np.where(same, 0, np.inf)
        both = np.isfinite(got) & np.isfinite(rounded) & (got != rounded)
        unit = np.spacing(np.abs(rounded[both]))
        error[both] = np.abs(got[both].astype(np.longdouble) - want[both]) / unit
    return error


def check(llvm_run, name: str, args: list[np.ndarray], limit: float, target: str) -> None:
    f = lower_math(kernel(name), Target.parse(target))
    got = llvm_run(f, [*args, np.zeros(N)], target)[-1]
    error = ulp(got, reference(name, *args))
    k = int(error.argmax())
    assert error[k] <= limit, f"{name}{[a[k] for a in args]} = {got[k]}: {error[k]:.2f} ULP"


@pytest.fixture(scope="module", autouse=True)
def _needs_a_wider_type():
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("numpy.longdouble is no wider than float64 on this platform")


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("name", BOUNDS)
def test_error(llvm_run, name: str, target: str):
    limit, low, high = BOUNDS[name]
    rng = np.random.default_rng(5)
    dense = rng.uniform(low, high, N)
    patterns = rng.integers(0, 1 << 64, N, dtype=np.uint64).view(np.float64)
    small = dense * rng.uniform(0, 1e-3, N)
    tiny = dense * 2.0 ** rng.uniform(-60, 0, N)
    near_one = 1 + rng.uniform(-1, 1, N) * 2.0 ** rng.uniform(-50, -1, N)
    special = np.resize(SPECIAL, N)
    near_zeros = np.resize(NEAR_ZEROS, N)
    for x in (dense, patterns, special, small, tiny, near_one, near_zeros):
        check(llvm_run, name, [x], limit, target)


@pytest.mark.parametrize("target", RUNNING)
def test_pow(llvm_run, target: str):
    rng = np.random.default_rng(6)
    patterns = [rng.integers(0, 1 << 64, N, dtype=np.uint64).view(np.float64) for _ in range(2)]
    grid = np.meshgrid(SPECIAL, SPECIAL)
    for x, y in (
        (rng.uniform(0, 30, N), rng.uniform(-200, 200, N)),
        (rng.uniform(-30, 30, N), rng.integers(-9, 9, N).astype(np.float64)),
        (rng.uniform(0.99, 1.01, N), rng.uniform(-7e4, 7e4, N)),
        (2.0 ** rng.uniform(-1060, 1020, N), rng.uniform(-1, 1, N)),
        (patterns[0], patterns[1]),
        (np.resize(grid[0], N), np.resize(grid[1], N)),
    ):
        check(llvm_run, "pow", [x, y], 2, target)


@pytest.mark.parametrize("target", RUNNING)
def test_atan2(llvm_run, target: str):
    for y, x in points(N):
        check(llvm_run, "atan2", [v.astype(np.float64) for v in (y, x)], 4, target)
    rng = np.random.default_rng(8)
    a, b = (rng.integers(0, 1 << 64, N, dtype=np.uint64).view(np.float64) for _ in range(2))
    grid = np.meshgrid(SPECIAL, SPECIAL)
    check(llvm_run, "atan2", [a, b], 4, target)
    check(llvm_run, "atan2", [np.resize(g, N) for g in grid], 4, target)


def test_sine_of_zero_infinity_and_large_numbers(llvm_run):
    x = np.resize(np.array([-0.0, np.inf, -np.inf, np.nan, 1e6, 1e9, 1e17, 1e300]), N)
    for name in ("sin", "cos"):
        f = lower_math(kernel(name), Target.parse("llvm"))
        got = llvm_run(f, [x, np.zeros(N)])[1]
        assert np.isnan(got[1:4]).all()
        assert (np.abs(got[4:8]) <= 1).all()
        assert ulp(got[4:8], reference(name, x[4:8])).max() <= 1
        assert np.signbit(got[0]) == (name == "sin")


def test_no_intrinsic_is_left_and_no_function_is_called():
    for name in (*BOUNDS, "pow", "atan2"):
        f = lower_math(kernel(name), Target.parse("llvm"))
        verify(f, flat=True)
        left = {n.name for n in walk(f.body) if isinstance(n, Call)}
        assert left <= {"any", *Target.parse("llvm").native_math}, name
        source = llvm.emit(
            [f], Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v3")
        ).source
        called = set(re.findall(r"call [^@]*@([\w.]+)", source))
        assert all(c.startswith(("llvm.", "kernel")) for c in called), (name, called)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "sin", "pow"])
def test_the_interpreter_agrees(name: str):
    f = lower_math(kernel(name, 64), Target.parse("llvm"))
    args = [np.resize(SPECIAL if name != "sin" else np.linspace(-9, 9, 33), 64)]
    args += [np.linspace(-3, 3, 64)] * (len(f.params) - 2)
    got = np.zeros(64)
    run(f, [*args, got])
    assert ulp(got, reference(name, *args)).max() <= 3
