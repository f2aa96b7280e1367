"""``lower_math``: what a target lacks becomes arithmetic, by capability and not by name."""

from dataclasses import replace

import numpy as np
import pytest
from kernels.math_cases import BOUNDS, SPECIAL, kernel, reference, ulp
from weft.ir.alu import Op
from weft.ir.expr import Binary, Call, Const
from weft.ir.intrin import INTRINSICS
from weft.ir.meaning.interp import run
from weft.ir.passes.math.basic import EXPANSIONS as SIMPLE
from weft.ir.passes.math.float32 import MAGIC
from weft.ir.passes.math.math import lower_math
from weft.ir.target import Target, kinds
from weft.ir.verify import verify
from weft.ir.visit import walk
from weft.runtime.dtype import dtype_of

BARE = Target("bare")  # says nothing of its language
N = 256
INTEGERS = ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")


def calls(f):
    return {n.name for n in walk(f.body) if isinstance(n, Call)}


def evaluated(name, args, target, lanes=1):
    """The results of the lowered kernel, by the interpreter."""
    d = dtype_of(str(args[0].dtype))
    before = kernel(name, d, lanes, args[0].size)
    after = lower_math(before, target)
    verify(after, flat=True)
    assert calls(after) <= {"sqrt", "any", *target.native_math}
    out = np.zeros(args[0].size, bool if INTRINSICS[name].result == "bool" else args[0].dtype)
    run(after, [*args, out])
    return out


def lowered(name, **capabilities):
    return lower_math(kernel(name, n=4, lanes=1), replace(BARE, **capabilities))


def test_a_target_that_says_nothing_gets_arithmetic(passes):
    passes.golden(
        lowered("isnan"),
        """
        def kernel(x0: float32[4], out: bool[4]) -> out:
            for i in range(0, 4):
                let isnan_1 = x0[i]
                let isnan_2 = 2139095040 < reinterpret(isnan_1, int32) & 2147483647
                out[i] = isnan_2
        """,
    )
    assert calls(lowered("sqrt")) == {"sqrt"}  # the one that everything has


EXP_HEAD = """
        def kernel(x0: float32[4], out: float32[4]) -> out:
            for i in range(0, 4):
                let exp_1 = x0[i]
                let exp_2 = exp_1 < -104.0
                let exp_3 = min(select(exp_2, 0.0, exp_1), 90.0)
"""


def test_what_is_native_is_called_and_sums_are_not_relied_on(passes):
    passes.golden(
        lowered("exp", native_math=("fma", "round")),
        EXP_HEAD
        + """\
                let exp_4 = round(exp_3 * 1.442695)
                let exp_5 = fma(exp_4, -1.4286068e-06, fma(exp_4, -0.69314575, exp_3))
                let exp_6 = int32(exp_4)
                let exp_7 = exp_6 >> 1
                let exp_8 = select(exp_2, 0.0, (fma(exp_5 * exp_5, fma(fma(fma(fma(0.0013813142, exp_5, 0.008369419), exp_5, 0.041668456), exp_5, 0.16666515), exp_5, 0.49999994), exp_5) + 1.0) * reinterpret(exp_7 + 127 << 23, float32) * reinterpret(exp_6 - exp_7 + 127 << 23, float32))
                out[i] = exp_8
        """,  # noqa: E501
    )


def test_a_compiler_that_keeps_sums_rounds_by_one(passes):
    passes.golden(
        lowered("exp", native_math=("fma",), ieee_floats=True),
        EXP_HEAD
        + """\
                let exp_4 = exp_3 * 1.442695 + 1.2582912e+07
                let exp_5 = exp_4 - 1.2582912e+07
                let exp_6 = fma(exp_5, -1.4286068e-06, fma(exp_5, -0.69314575, exp_3))
                let exp_7 = reinterpret(exp_4, int32) - 1262485504
                let exp_8 = exp_7 >> 1
                let exp_9 = select(exp_2, 0.0, (fma(exp_6 * exp_6, fma(fma(fma(fma(0.0013813142, exp_6, 0.008369419), exp_6, 0.041668456), exp_6, 0.16666515), exp_6, 0.49999994), exp_6) + 1.0) * reinterpret(exp_8 + 127 << 23, float32) * reinterpret(exp_7 - exp_8 + 127 << 23, float32))
                out[i] = exp_9
        """,  # noqa: E501
    )


@pytest.mark.parametrize("d", ["float32", "float64"])
def test_nothing_is_left_and_no_magic_number_is_added(d):
    for name in INTRINSICS.keys() - {"sqrt", "popcount", "clz", "any", "likely"}:
        f = lower_math(kernel(name, dtype_of(d)), BARE)
        verify(f, flat=True)
        assert calls(f) <= {"sqrt", "any"}, name
        for n in walk(f.body):
            if isinstance(n, Binary) and n.op is Op.ADD and isinstance(n.b, Const):
                assert not n.dtype.is_float or n.b.value != MAGIC, name


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("d", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(SIMPLE.keys() - {"fma", "popcount", "clz"}))
def test_simple_ones_are_exact(name, d, lanes):
    rng = np.random.default_rng(3)
    limit = 2.0 ** (23 if d == "float32" else 52)
    edge = np.array([limit - 0.5, limit - 1, limit, limit + 1, limit / 2 + 0.5])
    near = np.concatenate([edge, [0.49999997, 2.5, 3.5]])
    x = np.resize(np.concatenate([SPECIAL, near, -near, rng.normal(0, 3, 64)]), N).astype(d)
    got, want = evaluated(name, [x], BARE, lanes), INTRINSICS[name].numpy(x)
    np.testing.assert_array_equal(got, want)
    if got.dtype == x.dtype:
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("d", INTEGERS)
@pytest.mark.parametrize("name", ["popcount", "clz"])
def test_counts_of_bits(name, d):
    info = np.iinfo(d)
    x = np.random.default_rng(4).integers(info.min, info.max, N, d, endpoint=True)
    x[:4] = info.min, info.max, 0, 1
    x[4:36] = np.array(info.max, d) >> (np.arange(32) % info.bits).astype(d)
    np.testing.assert_array_equal(evaluated(name, [x], BARE), INTRINSICS[name].numpy(x))


@pytest.mark.parametrize("name", BOUNDS)
def test_the_accuracy_of_a_target_that_says_nothing(name):
    """The table of the pass holds with plain multiplications and additions, too."""
    limit, low, high = BOUNDS[name]
    x = np.random.default_rng(5).uniform(low, high, N).astype(np.float32)
    x[: len(SPECIAL)] = SPECIAL
    error = ulp(evaluated(name, [x], BARE, 4), reference(name, x))
    assert error.max() <= limit, (name, x[error.argmax()], error.max())


@pytest.mark.parametrize("d", ["float16", "bfloat16"])
def test_narrow_floats_are_computed_in_float32(d):
    x = np.resize(np.concatenate([SPECIAL, [2.5, 3.5, -0.25]]), N)
    with np.errstate(over="ignore"):
        x = x.astype(dtype_of(d).numpy)
    wide = x.astype(np.float32)
    for name in ("floor", "round", "isnan", "isinf"):
        got = evaluated(name, [x], BARE)
        want = INTRINSICS[name].numpy(wide)
        np.testing.assert_array_equal(got.astype(want.dtype), want)


def test_kinds_of_ours_say_what_they_have():
    for kind in kinds():
        target = Target.parse(kind)
        if target.kind in ("llvm", "wasm", "opencl"):
            assert target.ieee_floats and "rsqrt" in target.native_math
        elif target.kind in ("opengl", "webgl", "webgpu"):
            assert not target.ieee_floats and "exp" in target.native_math
    f = kernel("sqrt")
    assert lower_math(f, BARE) is f
