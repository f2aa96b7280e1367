"""Every operator, cast and memory access of the LLVM back-end, scalar and vector, against numpy."""

import numpy as np
import pytest
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
from support.pinned import RUNNING
from weft.ir.alu import Op
from weft.ir.expr import Binary, Broadcast, Cast, Const, Load, Ramp, Reinterpret, Select, Unary, Var
from weft.ir.intrin import call
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, If, Let, Store, seq
from weft.runtime.dtype import ALL_DTYPES, BOOL, FLOAT32, INT32, DType, dtype_of


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("d", ALL_DTYPES, ids=str)
def test_binary(llvm_run, d: DType, lanes: int, target: str):
    """All operators of a type at once: one kernel with one output per operator."""
    a, b = pairs(d)
    n = len(a)
    f, ops = operators(d, lanes, n)
    result = llvm_run(f, [a, b, *(np.zeros(n, b.dtype.numpy) for b in f.buffers[2:])], target)
    for op, got in zip(ops, result[2:]):
        with np.errstate(all="ignore"):
            want = expected(op, a, b).astype(got.dtype)
        try:
            assert_same(got, want)
        except AssertionError as e:
            raise AssertionError(f"{op} on {d}: {e}") from None


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("d", [d for d in ALL_DTYPES if d.is_int], ids=str)
@pytest.mark.parametrize("divisor", [1, 2, 3, 16, -1, -2, -5, 0])
def test_division_by_a_constant(llvm_run, d: DType, lanes: int, divisor: int):
    if divisor < d.min:
        divisor = d.max
    a = np.resize(edges(d), 16)
    for op in (Op.FLOORDIV, Op.FLOORMOD, Op.TRUNCDIV, Op.TRUNCMOD):
        k = Const(divisor, d) if lanes == 1 else Broadcast(Const(divisor, d), lanes)
        f = elementwise(lambda x, op=op, k=k: Binary(op, x, k), [d], d, 16, lanes)
        got = llvm_run(f, [a, np.zeros(16, d.numpy)])[1]
        want = expected(op, a, np.full(16, divisor, d.numpy))
        np.testing.assert_array_equal(got, want, err_msg=f"{op} {divisor}")


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("d", ALL_DTYPES, ids=str)
def test_unary(llvm_run, d: DType, lanes: int):
    a = np.resize(edges(d), 16)
    functions = {Op.NEG: np.negative, Op.ABS: np.abs, Op.NOT: np.invert}
    for op, f in functions.items():
        if (op is Op.NOT and d.is_float) or (op is not Op.NOT and d.is_bool):
            continue
        kernel = elementwise(lambda x, op=op: Unary(op, x), [d], d, 16, lanes)
        got = llvm_run(kernel, [a, np.zeros(16, d.numpy)])[1]
        assert_same(got, f(a))
        if d.is_float:
            np.testing.assert_array_equal(np.signbit(wide(got)), np.signbit(wide(f(a))))


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("source", ALL_DTYPES, ids=str)
def test_cast(llvm_run, source: DType, lanes: int, target: str):
    a = np.resize(edges(source), 16)
    f = casts(source, list(ALL_DTYPES), lanes)
    results = llvm_run(f, [a, *(np.zeros(16, o.dtype.numpy) for o in f.buffers[1:])], target)[1:]
    for o, got in zip(f.buffers[1:], results):
        np.testing.assert_array_equal(
            wide(got), wide(converted(a, o.dtype)), err_msg=f"{source} to {o.dtype}"
        )


@pytest.mark.parametrize("target", RUNNING)
def test_sixteen_bit_floats_are_rounded_once(llvm_run, target: str):
    """All float16 and bfloat16 patterns widen exactly; float32 and float64 round to nearest even,
    also in the subnormal range and next to halves."""
    every = np.arange(1 << 16, dtype=np.uint16)
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint64).astype(np.uint32)
    exponent = rng.integers(100, 145, 1 << 16).astype(np.uint32) << 23
    narrow = ((bits & 0x807FFFFF) | exponent).view(np.float32)
    for d in (dtype_of("float16"), dtype_of("bfloat16")):
        f = elementwise(lambda x: Cast(x, FLOAT32.with_lanes(8)), [d], FLOAT32, 1 << 16, 8)
        values = every.view(d.numpy)
        got = llvm_run(f, [values, np.zeros(1 << 16, np.float32)], target)[1]
        np.testing.assert_array_equal(got, values.astype(np.float32))
        f = elementwise(lambda x, d=d: Cast(x, d.with_lanes(8)), [FLOAT32], d, 1 << 16, 8)
        with np.errstate(all="ignore"):
            for source in (bits.view(np.float32), narrow):
                got = llvm_run(f, [source, np.zeros(1 << 16, d.numpy)], target)[1]
                np.testing.assert_array_equal(wide(got), wide(source.astype(d.numpy)))
    # Just above the middle of two float16: through float32 it would be rounded down.
    d, f64 = dtype_of("float16"), dtype_of("float64")
    hard = np.full(16, 1 + 2.0**-11 + 2.0**-40)
    f = elementwise(lambda x: Cast(x, d.with_lanes(8)), [f64], d, 16, 8)
    got = llvm_run(f, [hard, np.zeros(16, np.float16)], target)[1]
    np.testing.assert_array_equal(got, hard.astype(np.float16))


def test_reinterpret(llvm_run):
    for a, b in (("float32", "int32"), ("float16", "uint16"), ("bfloat16", "int16"),
                 ("float64", "uint64")):  # fmt: skip
        s, t = dtype_of(a), dtype_of(b)
        x = np.resize(edges(s), 16)
        f = elementwise(lambda v, t=t: Reinterpret(v, t.with_lanes(8)), [s], t, 16, 8)
        got = llvm_run(f, [x, np.zeros(16, t.numpy)])[1]
        np.testing.assert_array_equal(wide(got.view(s.numpy)), wide(x))


@pytest.mark.parametrize("lanes", [1, 8])
def test_native_intrinsics(llvm_run, lanes: int):
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -0.0, np.inf, -np.inf, np.nan, 1e30, 3.7, -3.7, 4, 9,
                  0.25, 2], np.float32)  # fmt: skip
    with np.errstate(all="ignore"):
        wants = {
            "sqrt": np.sqrt(x), "floor": np.floor(x), "ceil": np.ceil(x), "trunc": np.trunc(x),
            "round": np.rint(x), "isnan": np.isnan(x), "isinf": np.isinf(x),
        }  # fmt: skip
    for name, want in wants.items():
        d = BOOL if want.dtype == bool else FLOAT32
        f = elementwise(lambda v, name=name: call(name, v), [FLOAT32], d, 16, lanes)
        got = llvm_run(f, [x, np.zeros(16, d.numpy)])[1]
        np.testing.assert_array_equal(got, want, err_msg=name)
    i8 = dtype_of("uint8")
    f = elementwise(lambda v: call("popcount", v), [i8], i8, 16, lanes)
    got = llvm_run(f, [np.arange(16, dtype=np.uint8), np.zeros(16, np.uint8)])[1]
    np.testing.assert_array_equal(got, [bin(k).count("1") for k in range(16)])


def test_a_lazy_select_reads_nothing_out_of_bounds(llvm_run):
    """Padding: the load is valid only where the condition holds. Unmapped memory is far away, so
    the index is wild where the condition does not hold."""
    for lanes in (1, 8):
        x, out, i = Buffer("x", FLOAT32, (c(8),)), Buffer("out", FLOAT32, (c(16),)), Var("i")
        if lanes == 1:
            wild = (i - 4) * ((i < 4).astype("int32") * 99999999 + 1)
            value = Select((i >= 4) & (i < 12), Load(x, (wild,)), Const(-1.0, FLOAT32))
            body = Store(out, (i,), value)
        else:
            r = Ramp(i * 8, c(1), 8)
            inside = (r >= 4) & (r < 12)
            wild = (r - 4) * (Cast(~inside, INT32.with_lanes(8)) * 99999999 + 1)
            value = Select(inside, Load(x, (wild,)), Broadcast(Const(-1.0, FLOAT32), 8))
            body = Store(out, (r,), value)
        f = Function("kernel", (x, out), For(i, c(0), c(16 // lanes), ForKind.SERIAL, body),
                     frozenset({out}))  # fmt: skip
        got = llvm_run(f, [np.arange(8, dtype=np.float32), np.zeros(16, np.float32)])[1]
        np.testing.assert_array_equal(got, [-1] * 4 + list(range(8)) + [-1] * 4)


def test_a_scalar_load_under_a_vector_guard(llvm_run):
    """The row of a broadcast value exists only where some lane is inside."""
    x, out, i = Buffer("x", FLOAT32, (c(4),)), Buffer("out", FLOAT32, (c(64),)), Var("i")
    r = Ramp(i * 8, c(1), 8)
    wild = i * ((i >= 4).astype("int32") * 99999999 + 1)
    row = Broadcast(Load(x, (wild,)), 8)
    value = Select(r < 30, row, Broadcast(Const(-1.0, FLOAT32), 8))
    f = Function(
        "kernel",
        (x, out),
        For(i, c(0), c(8), ForKind.SERIAL, Store(out, (r,), value)),
        frozenset({out}),
    )
    got = llvm_run(f, [np.arange(4, dtype=np.float32), np.zeros(64, np.float32)])[1]
    want = np.where(np.arange(64) < 30, np.arange(64) // 8, -1)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "d", [dtype_of(t) for t in ("float32", "int8", "bool", "float16")], ids=str
)
@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("stride", [1, -1, 2, 0])
def test_predicated_vectors(llvm_run, stride: int, d: DType, target: str):
    """Masked loads and stores with unit, reversed, strided and equal addresses."""
    x, out, n = Buffer("x", d, (c(32),)), Buffer("out", d, (c(32),)), Var("n")
    lane = Ramp(c(0), c(1), 8)
    mask = Binary(Op.LT, lane, Broadcast(n, 8))
    at = Ramp(c(16), c(stride), 8) if stride else Broadcast(c(16), 8)
    target_at = at if stride else Ramp(c(16), c(1), 8)
    body = Store(out, (target_at,), Load(x, (at,), mask), mask)
    f = Function("kernel", (x, out, n), body, frozenset({out}))
    source = (
        (np.arange(32) % 3 == 1).astype(d.numpy) if d.is_bool else np.arange(32).astype(d.numpy)
    )
    for count in (0, 3, 8):
        got = llvm_run(f, [source, np.zeros(32, d.numpy), count], target)[1]
        want = np.zeros(32, d.numpy)
        for k in range(count):
            want[16 + (k * stride if stride else k)] = source[16 + k * stride]
        np.testing.assert_array_equal(got, want)


def test_scalar_predicates_and_constant_masks(llvm_run):
    x, out, i = Buffer("x", FLOAT32, (c(8),)), Buffer("out", FLOAT32, (c(8),)), Var("i")
    wild = i * ((i >= 4).astype("int32") * 99999999 + 1)
    body = Store(out, (i,), Load(x, (wild,), i < 4) + 1.0, i < 6)
    f = Function("kernel", (x, out), For(i, c(0), c(8), ForKind.SERIAL, body), frozenset({out}))
    data = np.arange(8, dtype=np.float32)
    got = llvm_run(f, [data, np.full(8, -1, np.float32)])[1]
    np.testing.assert_array_equal(got, [1, 2, 3, 4, 1, 1, -1, -1])
    r = Ramp(c(0), c(1), 8)
    for flag in (True, False):
        mask = Broadcast(Const(flag, BOOL), 8)
        f = Function(
            "kernel", (x, out), Store(out, (r,), Load(x, (r,), mask), mask), frozenset({out})
        )
        got = llvm_run(f, [data, np.full(8, -1, np.float32)])[1]
        np.testing.assert_array_equal(got, data if flag else np.full(8, -1))


def test_statements(llvm_run):
    """If, Let, scalar parameters, local and heap buffers, loops of extent 0 and symbolic extent."""
    out, n, i, j, t = Buffer("out", INT32, (c(16),)), Var("n"), Var("i"), Var("j"), Var("t")
    local, heap = (Buffer(k, INT32, (c(s),), "local") for k, s in (("local", 4), ("heap", 1 << 15)))
    fill = For(j, c(0), c(4), ForKind.SERIAL, Store(local, (j,), i * 10 + j))
    never = For(Var("z"), c(0), c(0), ForKind.SERIAL, Store(out, (c(0),), c(-99)))
    use = Let(t, Load(local, (c(3),)), Store(heap, (i * 100,), t + 1))
    copy = If(i < 2, Store(out, (i,), Load(heap, (i * 100,))), Store(out, (i,), c(-1)))
    body = Alloc(heap, For(i, c(0), n, ForKind.SERIAL, Alloc(local, seq(fill, never, use, copy))))
    f = Function("kernel", (out, n), body, frozenset({out}))
    got = llvm_run(f, [np.full(16, 7, np.int32), 4])[0]
    np.testing.assert_array_equal(got, [4, 14, -1, -1] + [7] * 12)
    got = llvm_run(f, [np.full(16, 7, np.int32), 0])[0]
    np.testing.assert_array_equal(got, [7] * 16)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
def test_parallel_loops_see_outer_values(llvm_run, n: int):
    """A parallel loop inside a serial one reads its variable, a let, a parameter and a scratch
    buffer; the parallel loop inside it is serial."""
    size = 4 * max(1, n)
    out, scratch = Buffer("out", INT32, (c(size),)), Buffer("scratch", INT32, (c(size),))
    m, k, i, j, t = (Var(v) for v in "mkijt")
    inner = For(j, c(0), c(2), ForKind.PARALLEL, Store(scratch, (i * 2 + j,), t + i + j))
    total = Load(scratch, (i * 2,)) + Load(scratch, (i * 2 + 1,))
    loop = For(i, c(0), m, ForKind.PARALLEL, seq(inner, Store(out, (i * 4 + k,), total)))
    body = For(k, c(0), c(4), ForKind.SERIAL, Let(t, k * 1000, loop))
    f = Function("kernel", (out, m), Alloc(scratch, body), frozenset({out}))
    got = llvm_run(f, [np.zeros(size, np.int32), n])[0]
    want = np.zeros(size, np.int32)
    for kk in range(4):
        for ii in range(n):
            want[ii * 4 + kk] = 2 * (kk * 1000 + ii) + 1
    np.testing.assert_array_equal(got, want)
