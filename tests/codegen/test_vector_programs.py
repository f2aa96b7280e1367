"""Programs that are heavy in vectors of any number of lanes, on the targets whose code is text:
what they compute is what the interpreter computes by the default schedule."""

import numpy as np
import pytest
import weft
from support.wide_programs import judge
from weft.ir import te
from weft.runtime.devices.probe import probe

TARGETS = ("opencl", "webgpu", "opengl")


def available(target: str) -> None:
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("target", TARGETS)
def test_random_programs(target, part):
    available(target)
    for seed in range(20 * part, 20 * part + 20):
        judge(seed, target)


@pytest.mark.parametrize(
    "target, seed",
    [
        ("opencl", 3606125083),  # halves at any place, one of two by lanes: PoCL crashed
        ("webgpu", 79),  # the bits of a negative constant
    ],
)
def test_programs_that_went_wrong(target, seed):
    available(target)
    judge(seed, target)


def run(target, s, args, *arrays):
    available(target)
    weft.build(s, args, target)(*arrays)
    return arrays[-1]


def bound(s, stage, loop):
    """All of a loop in one thread."""
    block, inner = s[stage].split(loop, nparts=1)
    s[stage].bind(block, te.thread_axis("threadIdx.x"))
    return inner


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("lanes", [3, 4, 5, 7, 14, 28, 56])
@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_a_value_that_all_lanes_share(target, lanes, dtype):
    """It leaves the loop as the scalar that it is, for vectors of all widths."""
    x, a = te.placeholder((1,), dtype, name="X"), te.placeholder((56,), name="A")
    b = te.compute((56,), lambda i: te.sqrt(te.cast(x[0], "float32")) + a[i], name="B")
    s = te.create_schedule(b)
    outer, inner = s[b].split(b.op.axes[0], lanes)
    bound(s, b, outer)
    s[b].vectorize(inner)
    values = np.arange(56, dtype=np.float32)
    got = run(target, s, [x, a, b], np.array([4], dtype), values, np.zeros(56, np.float32))
    np.testing.assert_array_equal(got, 2 + values)


@pytest.mark.parametrize("lanes", [3, 5, 7, 14])
@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_lanes_that_are_off_touch_nothing(target, lanes):
    """In storage of one thread, where their places are other elements or none at all."""
    a = te.placeholder((5, 8), "int32", name="A")
    t = te.compute((5, 8), lambda i, j: a[i, j] * 2, name="T")
    b = te.compute((4, 5, 8), lambda z, i, j: t[4 - i, j] + z, name="B")
    s = te.create_schedule(b)
    s[b].bind(b.op.axes[0], te.thread_axis("threadIdx.x"))
    s[t].set_scope("local")
    s[t].compute_at(s[b], b.op.axes[0])
    i, j = t.op.axes
    outer, inner = s[t].split(j, lanes)
    s[t].fuse(i, outer)
    s[t].vectorize(inner)
    values = np.arange(40, dtype=np.int32).reshape(5, 8)
    got = run(target, s, [a, b], values, np.zeros((4, 5, 8), np.int32))
    np.testing.assert_array_equal(got, (values * 2)[::-1][None] + np.arange(4)[:, None, None])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int32", "uint32"])
@pytest.mark.parametrize("back", ["int32", "uint32", "int16"])
def test_whole_numbers_that_a_float_rounds(target, dtype, back):
    """Back again they are what they were rounded to, also where a driver knows the way."""
    numbers = [16777217, 2147483647, 2147483583, 123456789, 33554435, 5, 16777215, 2147480000]
    given = np.array([*numbers, *(-n for n in numbers)]).astype(dtype)
    a = te.placeholder((16,), dtype, name="A")
    b = te.compute((16,), lambda i: te.cast(te.cast(a[i], "float32"), back), name="B")
    s = te.create_schedule(b)
    if target != "opengl":
        outer, inner = s[b].split(b.op.axes[0], 4)
        s[b].vectorize(inner)
        s[b].bind(outer, te.thread_axis("threadIdx.x"))
    got, limits = run(target, s, [a, b], given, np.zeros(16, back)), np.iinfo(back)
    want = np.clip(given.astype(np.float32).astype(np.float64), limits.min, limits.max)
    np.testing.assert_array_equal(got, want.astype(back))


@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_places_outside_of_a_buffer(target):
    """Known when the kernel is compiled, of lanes that are off: no compiler has to see them."""
    a = te.placeholder((8,), name="A")
    b = te.compute((8,), lambda i: te.if_then_else(i >= 3, a[i - 3], 9.0), name="B")
    s = te.create_schedule(b)
    inner = bound(s, b, b.op.axes[0])
    s[b].vectorize(inner)
    got = run(target, s, [a, b], np.arange(8, dtype=np.float32), np.zeros(8, np.float32))
    np.testing.assert_array_equal(got, [9, 9, 9, 0, 1, 2, 3, 4])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint16"])
def test_arithmetic_of_numbers_that_are_all_known_wraps(target, dtype):
    """WGSL refuses what overflows in an expression of constants."""
    b = te.compute((8,), lambda i: te.cast(i - 3, dtype) << te.const(13, dtype), name="B")
    s = te.create_schedule(b)
    if target != "opengl":
        s[b].vectorize(bound(s, b, b.op.axes[0]))
    got = run(target, s, [b], np.zeros(8, dtype))
    bits = np.iinfo(dtype).bits
    np.testing.assert_array_equal(got, (np.arange(8) - 3).astype(dtype) << (13 % bits))
