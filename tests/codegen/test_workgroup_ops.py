"""Every operator, cast and memory access in OpenCL C (PoCL) and WGSL (lavapipe), against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import opencl_run, webgpu_run
from kernels.alu_cases import (
    assert_same,
    c,
    casts,
    converted,
    edges,
    elementwise,
    expected,
    operators,
    pairs,
    wide,
)
from weft.ir.alu import SHIFT, Op
from weft.ir.expr import Binary, Broadcast, Cast, Const, Load, Ramp, Reinterpret, Select, Unary, Var
from weft.ir.intrin import call
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, If, Let, Store, seq
from weft.runtime.dtype import ALL_DTYPES, BOOL, FLOAT16, FLOAT32, INT32, DType, dtype_of

WEBGPU = "webgpu -max_buffers=32"
HALF = WEBGPU + " -has_float16"


def run(target: str, f: Function, args: list) -> list:
    device = opencl_run if target.startswith("opencl") else webgpu_run
    return device.run(f, args, target)


def types(target: str) -> list[DType]:
    return [d for d in ALL_DTYPES if target == "opencl" or not (d.is_float and d.bits == 64)]


def grid(*lanes: int) -> list:
    """(target, lanes, type): 64-bit integers in WGSL have 32 bits and tests of their own, 16-bit
    floats are a type only with the capability."""
    return [
        pytest.param(t, n, d, id=f"{t.split()[0]}{'-half' * (t == HALF)}-{n}-{d}")
        for t, all_lanes in (("opencl", lanes), (WEBGPU, (1, 4)), (HALF, (1, 4)))
        for n in all_lanes
        for d in types(t)
        if t != HALF or d == FLOAT16
    ]


def held(a: np.ndarray, target: str) -> np.ndarray:
    """Values that 64-bit integers have on the device."""
    if target == "opencl" or a.dtype.kind not in "iu" or a.dtype.itemsize < 8:
        return a
    narrow = np.int32 if a.dtype.kind == "i" else np.uint32
    return a.astype(narrow).astype(a.dtype)


@pytest.mark.parametrize("target, lanes, d", grid(1, 3, 8, 16))
def test_binary(target: str, lanes: int, d: DType):
    """All operators of a type at once: one kernel with one output per operator."""
    a, b = (held(x, target) for x in pairs(d))
    n = len(a) // lanes * lanes
    a, b = a[:n], b[:n]
    unlike = SHIFT if target != "opencl" and d.bits == 64 else frozenset()
    f, ops = operators(d, lanes, n, unlike)
    result = run(target, f, [a, b, *(np.zeros(n, b.dtype.numpy) for b in f.buffers[2:])])
    for op, got in zip(ops, result[2:]):
        if target != "opencl" and d.bits == 64:
            word = np.int32 if d.kind == "int" else np.uint32
            want = expected(op, a.astype(word), b.astype(word)).astype(got.dtype)
        else:
            with np.errstate(all="ignore"):
                want = expected(op, a, b).astype(got.dtype)
        try:
            assert_same(got, want)
        except AssertionError as e:
            raise AssertionError(f"{op} on {d}: {e}") from None


@pytest.mark.parametrize("target, lanes, d", [p for p in grid(1, 8) if p.values[2].is_int])
def test_division_by_a_constant(target: str, lanes: int, d: DType):
    a = np.resize(held(edges(d), target), 16)
    word = {"int": np.int32, "uint": np.uint32}[d.kind] if d.bits == 64 else d.numpy
    for divisor in (1, 2, 3, 16, -1, -2, -5, 0):
        if divisor < d.min:
            continue
        outs, stores = [], []
        x, i = Buffer("x", d, (c(16),)), Var("i")
        at = i if lanes == 1 else Ramp(i * lanes, c(1), lanes)
        k = Const(divisor, d) if lanes == 1 else Broadcast(Const(divisor, d), lanes)
        ops = (Op.FLOORDIV, Op.FLOORMOD, Op.TRUNCDIV, Op.TRUNCMOD)
        for op in ops:
            outs.append(Buffer(op.name, d, (c(16),)))
            stores.append(Store(outs[-1], (at,), Binary(op, Load(x, (at,)), k)))
        loop = For(i, c(0), c(16 // lanes), ForKind.SERIAL, seq(*stores))
        f = Function("kernel", (x, *outs), loop, frozenset(outs))
        results = run(target, f, [a, *(np.zeros(16, d.numpy) for _ in outs)])[1:]
        exact = target == "opencl" or d.bits < 64
        for op, got in zip(ops, results):
            left = a if exact else a.astype(word)
            want = expected(op, left, np.full(16, divisor, left.dtype)).astype(d.numpy)
            np.testing.assert_array_equal(got, want, err_msg=f"{op} {divisor}")


@pytest.mark.parametrize("target, lanes, d", grid(1, 2, 8))
def test_unary(target: str, lanes: int, d: DType):
    a = np.resize(held(edges(d), target), 16)
    functions = {Op.NEG: np.negative, Op.ABS: np.abs, Op.NOT: np.invert}
    for op, f in functions.items():
        if (op is Op.NOT and d.is_float) or (op is not Op.NOT and d.is_bool):
            continue
        if target != "opencl" and d == dtype_of("uint64"):
            continue  # the bits of 64-bit integers do not exist: a CodegenError
        kernel = elementwise(lambda x, op=op: Unary(op, x), [d], d, 16, lanes)
        got = run(target, kernel, [a, np.zeros(16, d.numpy)])[1]
        assert_same(got, held(f(a), target))
        if d.is_float:
            np.testing.assert_array_equal(np.signbit(wide(got)), np.signbit(wide(f(a))))


@pytest.mark.parametrize("target", ["opencl", WEBGPU])
def test_bits_that_leave_a_loop_stay_bits(target: str):
    """What was a float becomes a number by its bits, in a variable outside of the loop, too."""
    x, z, y = (
        Buffer("x", FLOAT32, (c(1),)),
        Buffer("z", INT32, (c(4),)),
        Buffer("y", INT32, (c(4),)),
    )
    i = Var("i")
    bits = Reinterpret(Load(x, (c(0),)), INT32)
    store = Store(y, (i,), Binary(Op.ADD, bits, Load(z, (i,))))
    f = Function("kernel", (x, z, y), For(i, c(0), c(4), ForKind.SERIAL, store), frozenset({y}))
    a, b = np.array([-1.5], np.float32), np.arange(4, dtype=np.int32)
    np.testing.assert_array_equal(run(target, f, [a, b, b])[2], a.view(np.int32) + b)


@pytest.mark.parametrize("target, lanes, source", grid(1, 8))
def test_cast(target: str, lanes: int, source: DType):
    a = np.resize(held(edges(source), target), 16)
    goals = [d for d in types(target) if target == "opencl" or d.bits < 64]
    f = casts(source, goals, lanes)
    results = run(target, f, [a, *(np.zeros(16, o.dtype.numpy) for o in f.buffers[1:])])[1:]
    for o, got in zip(f.buffers[1:], results):
        np.testing.assert_array_equal(
            wide(got), wide(converted(a, o.dtype)), err_msg=f"{source} to {o.dtype}"
        )


@pytest.mark.parametrize("target", ["opencl", WEBGPU])
def test_sixteen_bit_floats_are_rounded_once(target: str):
    """Round to nearest even, also in the subnormal range and next to halves."""
    n = 1 << 14
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 1 << 32, n, dtype=np.uint64).astype(np.uint32)
    exponent = rng.integers(100, 145, n).astype(np.uint32) << 23
    narrow = ((bits & 0x807FFFFF) | exponent).view(np.float32)
    for d in (dtype_of("float16"), dtype_of("bfloat16")):
        f = elementwise(lambda x, d=d: Cast(x, d.with_lanes(4)), [FLOAT32], d, n, 4)
        with np.errstate(all="ignore"):
            for source in (bits.view(np.float32), narrow):
                if target != "opencl":  # devices take numbers below float32's normal ones for 0
                    source = np.where(np.abs(source) < 2.0**-126, np.float32(0), source)
                got = run(target, f, [source, np.zeros(n, d.numpy)])[1]
                np.testing.assert_array_equal(wide(got), wide(source.astype(d.numpy)))


def test_float64_to_float16_is_rounded_once():
    """Just above the middle of two float16: through float32 it would be rounded down."""
    d, f64 = dtype_of("float16"), dtype_of("float64")
    hard = np.full(16, 1 + 2.0**-11 + 2.0**-40)
    f = elementwise(lambda x: Cast(x, d.with_lanes(8)), [f64], d, 16, 8)
    got = run("opencl", f, [hard, np.zeros(16, np.float16)])[1]
    np.testing.assert_array_equal(got, hard.astype(np.float16))


def test_float16_is_rounded_after_each_operation():
    """As numpy does: a + b - a is 0 where b disappears in the sum."""
    d = FLOAT16
    a, b = np.full(16, 2048, np.float16), np.full(16, 1, np.float16)
    for lanes in (1, 4, 16):
        f = elementwise(lambda x, y: x + y - x, [d, d], d, 16, lanes)
        got = run("opencl", f, [a, b, np.ones(16, np.float16)])[2]
        np.testing.assert_array_equal(got, a + b - a)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("target", ["opencl", WEBGPU])
def test_reinterpret(target: str, lanes: int):
    names = [("float32", "int32"), ("uint32", "float32"), ("int8", "uint8"), ("uint16", "int16")]
    if target == "opencl":
        names += [("float16", "uint16"), ("bfloat16", "int16"), ("int16", "bfloat16"),
                  ("float64", "uint64"), ("int64", "float64"), ("uint16", "float16")]  # fmt: skip
    for a, b in names:
        s, t = dtype_of(a), dtype_of(b)
        x = np.resize(edges(s), 16)
        if s.is_float and s.bits == 16:
            x = np.where(np.isnan(x), x.dtype.type(1), x)  # which NaN a device makes is its choice
        f = elementwise(lambda v, t=t: Reinterpret(v, t.with_lanes(lanes)), [s], t, 16, lanes)
        got = run(target, f, [x, np.zeros(16, t.numpy)])[1]
        np.testing.assert_array_equal(wide(got), wide(x.view(t.numpy)), err_msg=f"{a} as {b}")


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("target", ["opencl", WEBGPU, HALF])
def test_native_intrinsics(target: str, lanes: int):
    d = FLOAT16 if target == HALF else FLOAT32
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -0.0, np.inf, -np.inf, np.nan, 1e4, 3.7, -3.7, 4, 9,
                  0.25, 2], d.numpy)  # fmt: skip
    with np.errstate(all="ignore"):
        wants = {
            "sqrt": np.sqrt(x), "floor": np.floor(x), "ceil": np.ceil(x), "trunc": np.trunc(x),
            "round": np.rint(x), "isnan": np.isnan(x), "isinf": np.isinf(x),
        }  # fmt: skip
    for name, want in wants.items():
        r = BOOL if want.dtype == bool else d
        f = elementwise(lambda v, name=name: call(name, v), [d], r, 16, lanes)
        got = run(target, f, [x, np.zeros(16, r.numpy)])[1]
        np.testing.assert_array_equal(got, want, err_msg=name)
    for t in ("uint8", "int8", "int16", "uint32", "int32"):
        i = dtype_of(t)
        values = np.arange(16).astype(i.numpy) - i.numpy.type(3)
        f = elementwise(lambda v: call("popcount", v), [i], i, 16, lanes)
        got = run(target, f, [values, np.zeros(16, i.numpy)])[1]
        want = np.bitwise_count(values.astype(f"u{values.itemsize}"))
        np.testing.assert_array_equal(got, want, err_msg=t)


@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_a_lazy_select_reads_nothing_out_of_bounds(lanes: int):
    """The index is wild where the condition does not hold: on PoCL a read there would crash."""
    x, out, i = Buffer("x", FLOAT32, (c(8),)), Buffer("out", FLOAT32, (c(16),)), Var("i")
    if lanes == 1:
        wild = (i - 4) * ((i < 4).astype("int32") * 99999999 + 1)
        value = Select((i >= 4) & (i < 12), Load(x, (wild,)), Const(-1.0, FLOAT32))
        body = Store(out, (i,), value)
    else:
        r = Ramp(i * lanes, c(1), lanes)
        inside = (r >= 4) & (r < 12)
        wild = (r - 4) * (Cast(~inside, INT32.with_lanes(lanes)) * 99999999 + 1)
        value = Select(inside, Load(x, (wild,)), Broadcast(Const(-1.0, FLOAT32), lanes))
        body = Store(out, (r,), value)
    loop = For(i, c(0), c(16 // lanes), ForKind.SERIAL, body)
    f = Function("kernel", (x, out), loop, frozenset({out}))
    for target in ("opencl", WEBGPU) if lanes < 8 else ("opencl",):
        got = run(target, f, [np.arange(8, dtype=np.float32), np.zeros(16, np.float32)])[1]
        np.testing.assert_array_equal(got, [-1] * 4 + list(range(8)) + [-1] * 4)


def test_a_scalar_load_under_a_vector_guard():
    """The row of a broadcast value exists only where some lane is inside."""
    x, out, i = Buffer("x", FLOAT32, (c(4),)), Buffer("out", FLOAT32, (c(64),)), Var("i")
    r = Ramp(i * 4, c(1), 4)
    wild = i * ((i >= 8).astype("int32") * 99999999 + 1) // 2
    row = Broadcast(Load(x, (wild,)), 4)
    value = Select(r < 30, row, Broadcast(Const(-1.0, FLOAT32), 4))
    loop = For(i, c(0), c(16), ForKind.SERIAL, Store(out, (r,), value))
    f = Function("kernel", (x, out), loop, frozenset({out}))
    want = np.where(np.arange(64) < 30, np.arange(64) // 8, -1)
    for target in ("opencl", WEBGPU):
        got = run(target, f, [np.arange(4, dtype=np.float32), np.zeros(64, np.float32)])[1]
        np.testing.assert_array_equal(got, want)


def test_the_same_load_inside_and_outside_of_a_guard():
    """What is read under a mask does not serve where nothing is masked."""
    x, out, i = Buffer("x", FLOAT32, (c(20),)), Buffer("out", FLOAT32, (c(16),)), Var("i")
    r = Ramp(i * 4, c(1), 4)
    n = Var("n")
    load = Load(x, (Ramp(i * 4 + n, c(1), 4),))
    value = Select(r < 6, load, Broadcast(Const(-1.0, FLOAT32), 4)) + load
    loop = For(i, c(0), c(4), ForKind.SERIAL, Store(out, (r,), value))
    f = Function("kernel", (x, out, n), loop, frozenset({out}))
    data = np.arange(20, dtype=np.float32)
    got = run("opencl", f, [data, np.zeros(16, np.float32), 2])[1]
    k = np.arange(16)
    np.testing.assert_array_equal(got, np.where(k < 6, k + 2, -1) + k + 2)


@pytest.mark.parametrize("d", [dtype_of(t) for t in ("float32", "int8", "bool", "float16",
                                                     "bfloat16")], ids=str)  # fmt: skip
@pytest.mark.parametrize("stride", [1, -1, 2, 0])
@pytest.mark.parametrize("target", ["opencl", WEBGPU])
def test_predicated_vectors(target: str, stride: int, d: DType):
    """Masked loads and stores with unit, reversed, strided and equal addresses; the mask comes out
    of memory."""
    x, out, m = Buffer("x", d, (c(32),)), Buffer("out", d, (c(32),)), Buffer("m", INT32, (c(1),))
    n = Load(m, (c(0),))
    lane = Ramp(c(0), c(1), 4)
    mask = Binary(Op.LT, lane, Broadcast(n, 4))
    at = Ramp(c(16), c(stride), 4) if stride else Broadcast(c(16), 4)
    target_at = at if stride else Ramp(c(16), c(1), 4)
    body = Store(out, (target_at,), Load(x, (at,), mask), mask)
    f = Function("kernel", (x, out, m), body, frozenset({out}))
    source = (
        (np.arange(32) % 3 == 1).astype(d.numpy) if d.is_bool else np.arange(32).astype(d.numpy)
    )
    for count in (0, 3, 4):
        got = run(target, f, [source, np.zeros(32, d.numpy), np.array([count], np.int32)])[1]
        want = np.zeros(32, d.numpy)
        for k in range(count):
            want[16 + (k * stride if stride else k)] = source[16 + k * stride]
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("target", ["opencl", WEBGPU])
def test_scalar_predicates_and_constant_masks(target: str):
    x, out, i = Buffer("x", FLOAT32, (c(8),)), Buffer("out", FLOAT32, (c(8),)), Var("i")
    wild = i * ((i >= 4).astype("int32") * 99999999 + 1)
    body = Store(out, (i,), Load(x, (wild,), i < 4) + 1.0, i < 6)
    f = Function("kernel", (x, out), For(i, c(0), c(8), ForKind.SERIAL, body), frozenset({out}))
    data = np.arange(8, dtype=np.float32)
    got = run(target, f, [data, np.zeros(8, np.float32)])[1]
    np.testing.assert_array_equal(got, [1, 2, 3, 4, 1, 1, 0, 0])
    r = Ramp(c(0), c(1), 4)
    for flag in (True, False):
        mask = Broadcast(Const(flag, BOOL), 4)
        body = Store(out, (r,), Load(x, (r,), mask), mask)
        f = Function("kernel", (x, out), body, frozenset({out}))
        got = run(target, f, [data, np.zeros(8, np.float32)])[1]
        np.testing.assert_array_equal(got[:4], data[:4] if flag else np.zeros(4))


@pytest.mark.parametrize("target", ["opencl", WEBGPU])
def test_statements(target: str):
    """If, Let, local buffers as arrays, loops of extent 0 and of an extent that comes from memory;
    a buffer that is written and read."""
    out, m, i, j, t = Buffer("out", INT32, (c(16),)), Buffer("m", INT32, (c(1),)), *map(Var, "ijt")
    local, more = (Buffer(k, INT32, (c(s),), "local") for k, s in (("local", 4), ("more", 500)))
    fill = For(j, c(0), c(4), ForKind.SERIAL, Store(local, (j,), i * 10 + j))
    never = For(Var("z"), c(0), c(0), ForKind.SERIAL, Store(out, (c(0),), c(-99)))
    use = Let(t, Load(local, (c(3),)), Store(more, (i * 100,), t + 1))
    copy = If(i < 2, Store(out, (i,), Load(more, (i * 100,))), Store(out, (i,), c(-1)))
    again = Store(out, (i,), Load(out, (i,)) * 2)
    n = Load(m, (c(0),))
    steps = seq(fill, never, use, copy, again, again)
    body = Alloc(more, For(i, c(0), n, ForKind.SERIAL, Alloc(local, steps)))
    f = Function("kernel", (out, m), body, frozenset({out}))
    for count, want in ((4, [16, 56, -4, -4] + [7] * 12), (0, [7] * 16)):
        got = run(target, f, [np.full(16, 7, np.int32), np.array([count], np.int32)])[0]
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_vectors_in_local_arrays(lanes: int):
    """Registers where all indices are known, arrays elsewhere."""
    out, i, j = Buffer("out", FLOAT32, (c(4 * lanes),)), Var("i"), Var("j")
    b = Buffer("acc", FLOAT32, (c(4 * lanes),), "local")
    at = Ramp(i * lanes, c(1), lanes)
    write = Store(b, (at,), Cast(at, FLOAT32.with_lanes(lanes)))
    known = Store(b, (Ramp(c(0), c(1), lanes),), Broadcast(Const(5.0, FLOAT32), lanes))
    read = Store(out, (Ramp(j * lanes, c(1), lanes),), Load(b, (Ramp(j * lanes, c(1), lanes),)))
    loops = (For(v, c(0), c(4), ForKind.SERIAL, s) for v, s in ((i, write), (j, read)))
    first, last = loops
    f = Function("kernel", (out,), Alloc(b, seq(first, known, last)), frozenset({out}))
    want = np.arange(4 * lanes, dtype=np.float32)
    want[:lanes] = 5
    for target in ("opencl", WEBGPU) if lanes <= 4 else ("opencl",):
        got = run(target, f, [np.zeros(4 * lanes, np.float32)])[0]
        np.testing.assert_array_equal(got, want)
