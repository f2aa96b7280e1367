"""The expansions of the intrinsics: error in units in the last place, special values, structure."""

import numpy as np
import pytest
from kernels.math_cases import (
    BOUNDS,
    SPECIAL,
    N,
    c,
    kernel,
    of_every_exponent,
    points,
    reference,
    ulp,
)
from support.pinned import RUNNING
from weft.benchmarks import accuracy
from weft.ir.alu import Op
from weft.ir.expr import Call, Const, Load, Ramp, Select, Var, binary
from weft.ir.intrin import INTRINSICS, call
from weft.ir.meaning.interp import run
from weft.ir.passes.math import basic, bounds, float32, float64
from weft.ir.passes.math.math import lower_math
from weft.ir.stmt import Buffer, For, ForKind, Function, Let, Store
from weft.ir.target import Target
from weft.ir.verify import verify
from weft.ir.visit import walk
from weft.runtime.dtype import FLOAT32, dtype_of


def check(llvm_run, name: str, args: list[np.ndarray], limit: float, target: str) -> None:
    f = lower_math(kernel(name), Target.parse(target))
    got = llvm_run(f, [*args, np.zeros(N, np.float32)], target)[-1]
    error = ulp(got, reference(name, *args))
    k = int(error.argmax())
    assert error[k] <= limit, f"{name}{[a[k] for a in args]} = {got[k]}: {error[k]:.2f} ULP"


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("name", BOUNDS)
def test_error(llvm_run, name: str, target: str):
    limit, low, high = BOUNDS[name]
    rng = np.random.default_rng(5)
    dense = rng.uniform(low, high, N).astype(np.float32)
    patterns = rng.integers(0, 1 << 32, N, dtype=np.uint64).astype(np.uint32).view(np.float32)
    special = np.resize(SPECIAL, N)
    small = (dense * rng.uniform(0, 1e-3, N)).astype(np.float32)
    for x in (dense, patterns, special, small, of_every_exponent(N // 512)):
        check(llvm_run, name, [x], limit, target)


def test_every_expansion_has_a_bound():
    """What is in no table of ours would be tested nowhere."""
    assert bounds.FLOAT32.keys() == float32.EXPANSIONS.keys()
    assert bounds.FLOAT64.keys() == float64.EXPANSIONS.keys()
    exact = basic.EXPANSIONS.keys() - {"fma", "popcount", "clz", "isnan", "isinf", "isfinite"}
    assert set(bounds.EXACT) == exact


def test_the_command_that_takes_all_floats(monkeypatch, capsys):
    """On the last of 2^32: large negative numbers, -infinity and NaN. ``sin`` with the four parts
    of π/2 alone was wrong there, and a bound that is too small is told."""
    monkeypatch.setattr(accuracy, "CHUNK", 1 << 16)
    monkeypatch.setattr(accuracy, "ROWS", 1 << 6)
    monkeypatch.setattr(accuracy, "FIRST", (1 << 32) - (1 << 17))
    monkeypatch.setattr("sys.argv", ["accuracy", "sin", "pow"])
    assert accuracy.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("pow(x, ") for line in lines) == len(accuracy.EXPONENTS)
    monkeypatch.setitem(accuracy.FLOAT32, "sin", 0)
    monkeypatch.setattr("sys.argv", ["accuracy", "--numpy", "sin"])
    monkeypatch.setattr(accuracy, "FIRST", 0x7F000000)
    monkeypatch.setattr(accuracy, "END", 0x7F000000 + (1 << 17))
    assert accuracy.main() == 1


@pytest.mark.parametrize("target", RUNNING)
def test_pow(llvm_run, target: str):
    rng = np.random.default_rng(6)
    patterns = [rng.integers(0, 1 << 32, N, dtype=np.uint64).astype(np.uint32).view(np.float32)
                for _ in range(2)]  # fmt: skip
    grid = np.meshgrid(SPECIAL, SPECIAL)
    positive = rng.uniform(0, 30, N).astype(np.float32)
    for x, y in (
        (positive, rng.uniform(-20, 20, N).astype(np.float32)),
        (rng.uniform(-30, 30, N).astype(np.float32), rng.integers(-9, 9, N).astype(np.float32)),
        (rng.uniform(0.99, 1.01, N).astype(np.float32), rng.uniform(-9e3, 9e3, N).astype("f4")),
        (patterns[0], patterns[1]),
        (np.resize(grid[0], N), np.resize(grid[1], N)),
    ):
        check(llvm_run, "pow", [x, y], bounds.FLOAT32["pow"], target)


@pytest.mark.parametrize("target", RUNNING)
def test_atan2(llvm_run, target: str):
    for y, x in points(N):
        check(llvm_run, "atan2", [y, x], bounds.FLOAT32["atan2"], target)


def test_sine_of_zero_infinity_and_large_numbers(llvm_run):
    x = np.resize(np.array([-0.0, np.inf, -np.inf, np.nan, 1e5, 1e8, 3e38], np.float32), N)
    for name in ("sin", "cos"):
        f = lower_math(kernel(name), Target.parse("llvm"))
        got = llvm_run(f, [x, np.zeros(N, np.float32)])[1]
        assert np.isnan(got[1:4]).all()
        assert (np.abs(got[4:7]) <= 1).all()
        assert ulp(got[4:7], reference(name, x[4:7])).max() <= 2
        assert np.signbit(got[0]) == (name == "sin")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bit_types_go_through_float32(llvm_run, dtype: str):
    d = dtype_of(dtype)
    x = np.arange(1 << 16, dtype=np.uint16).view(d.numpy)
    for name in ("exp", "tanh"):
        f = lower_math(kernel(name, d), Target.parse("llvm"))
        got = llvm_run(f, [x, np.zeros(N, d.numpy)])[1].astype(np.float32)
        with np.errstate(all="ignore"):
            want = reference(name, x.astype(np.float32)).astype(d.numpy).astype(np.float32)
        unlike = ~((got == want) | (np.isnan(got) & np.isnan(want)))
        assert unlike.mean() < 1e-3  # ties of float32 results that are off by one there
        np.testing.assert_allclose(got[unlike], want[unlike], rtol=2.0**-7)


@pytest.mark.parametrize("lanes", [1, 4])
def test_float64_keeps_its_precision(llvm_run, lanes: int):
    d = dtype_of("float64")
    x = np.resize(np.linspace(-3, 3, 61), N)
    for name in ("exp", "tanh", "sigmoid", "erf", "sin", "rsqrt"):
        f = lower_math(kernel(name, d, lanes), Target.parse("llvm"))
        got = llvm_run(f, [x, np.zeros(N)])[1]
        np.testing.assert_allclose(got, reference(name, x), rtol=1e-14, atol=1e-300)


def test_nothing_but_native_intrinsics_is_left():
    for name in INTRINSICS:
        if INTRINSICS[name].domain != "float" or INTRINSICS[name].result != "same":
            continue
        f = lower_math(kernel(name), Target.parse("llvm"))
        left = {n.name for n in walk(f.body) if isinstance(n, Call)}
        assert left <= {"any", *Target.parse("llvm").native_math}, (name, left)
        assert (f.body is kernel(name).body) or len(list(walk(f.body))) < 700, name


def test_a_function_without_such_calls_is_given_back():
    f = kernel("sqrt")
    assert lower_math(f, Target.parse("llvm")) is f


def test_values_used_twice_are_bound_once():
    f = lower_math(kernel("tanh"), Target.parse("llvm"))
    lets = [n for n in walk(f.body) if isinstance(n, Let)]
    assert lets and len({n.var for n in lets}) == len(lets)
    loads = [n for n in walk(f.body) if isinstance(n, Load)]
    assert len(loads) == 1


def test_loads_stay_under_their_guard(llvm_run):
    """exp(x[i]) only where i is inside: the argument is hoisted together with its guard."""
    x, out, i = Buffer("x", FLOAT32, (c(4),)), Buffer("out", FLOAT32, (c(8),)), Var("i")
    wild = i * (binary(Op.LE, c(4), i).astype("int32") * 99999999 + 1)
    value = Select(i < 4, call("exp", Load(x, (wild,))), Const(5.0, FLOAT32))
    f = Function("kernel", (x, out), For(i, c(0), c(8), ForKind.SERIAL, Store(out, (i,), value)),
                 frozenset({out}))  # fmt: skip
    data = np.array([0, 1, -1, 2], np.float32)
    got = llvm_run(lower_math(f, Target.parse("llvm")), [data, np.zeros(8, np.float32)])[1]
    np.testing.assert_allclose(got, [*np.exp(data), 5, 5, 5, 5], rtol=1e-6)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "sin", "pow"])
def test_the_interpreter_agrees(name: str):
    """The expansions are plain IR: the interpreter computes the same, and verify accepts them."""
    ins = [Buffer(f"x{k}", FLOAT32, (c(64),)) for k in range(INTRINSICS[name].arity)]
    out, i = Buffer("out", FLOAT32, (c(64),)), Var("i")
    at = Ramp(i * 8, c(1), 8)
    body = Store(out, (at,), call(name, *(Load(x, (at,)) for x in ins)))
    f = Function("kernel", (*ins, out), For(i, c(0), c(8), ForKind.SERIAL, body), frozenset({out}))
    f = lower_math(f, Target.parse("llvm"))
    verify(f, flat=True)
    args = [np.resize(SPECIAL if name != "sin" else np.linspace(-9, 9, 33, dtype="f4"), 64)]
    args += [np.linspace(-3, 3, 64, dtype=np.float32)] * (len(ins) - 1)
    got = np.zeros(64, np.float32)
    run(f, [*args, got])
    assert ulp(got, reference(name, *args)).max() <= 4
