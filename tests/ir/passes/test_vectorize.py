"""vectorize_loops: golden text, equivalence, and what must stay a loop."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weft.ir.alu import Op
from weft.ir.builders import all_of, if_then_else, minimum
from weft.ir.expr import Binary, Load, Select, Var, const
from weft.ir.intrin import exp
from weft.ir.meaning.interp import run
from weft.ir.passes.vectorize import pieces, vectorize_loops
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, If, Let, Store, seq
from weft.ir.verify import verify
from weft.ir.visit import walk
from weft.runtime.dtype import FLOAT32, FLOAT64, INT8, INT32
from weft.runtime.errors import LoweringError

V, S = ForKind.VECTORIZED, ForKind.SERIAL
i, j, k, x = Var("i"), Var("j"), Var("k"), Var("x")


def buf(name, *shape, dtype=FLOAT32, **kw):
    return Buffer(name, dtype, tuple(map(const, shape)), **kw)


def loop(v, n, body, kind=S, lo=0):
    return For(v, const(lo), const(n) if isinstance(n, int) else n, kind, body)


def function(params, body, *writes):
    return Function("f", tuple(params), body, frozenset(writes or params[-1:]))


def check(passes, f, text=None, scalars=None):
    g = vectorize_loops(f, passes.target)
    if text is not None:
        passes.golden(g, text)
    verify(g, flat=True)
    passes.same_results(f, g, scalars)
    return g


@pytest.mark.parametrize("n", [*range(2, 65), 100])
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64, INT8])
def test_lanes_are_whole_registers_and_a_rest(passes, n, dtype):
    A, B = buf("A", 3 * n, dtype=dtype), buf("B", 3 * n, dtype=dtype)
    body = loop(i, n, Store(B, (x * n + i,), Load(A, (x * n + (n - 1 - i),))), V)
    g = check(passes, function([A, B], loop(x, 3, body)))
    native = passes.target.lanes(dtype)
    lanes = [s.value.dtype.lanes for s in walk(g.body) if isinstance(s, Store)]
    assert all(w & (w - 1) == 0 for w in lanes if w > native)
    rest = [w for w in lanes if w < native]
    assert len(rest) <= 1
    assert n > 64 or sum(lanes) == n


def test_languages_with_vectors_of_their_own_lengths_keep_the_lanes():
    assert pieces(28, 0) == [28]
    assert pieces(28, 8) == [16, 8, 4]
    assert pieces(7, 8) == [7]
    assert pieces(33, 4) == [32, 1]


def test_contiguous_and_invariant(passes):
    A, C, B = buf("A", 64), buf("C", 8), buf("B", 64)
    body = Store(B, (x * 8 + i,), exp(Load(A, (x * 8 + i,))) * Load(C, (x,)))
    check(
        passes,
        function([A, C, B], loop(x, 8, loop(i, 8, body, V))),
        """
        def f(A: float32[64], C: float32[8], B: float32[64]) -> B:
            for x in range(0, 8):
                B[ramp(x * 8, 1, 8)] = exp(A[ramp(x * 8, 1, 8)]) * broadcast(C[x], 8)
        """,
    )


def test_strided_gathered_and_cast(passes):
    A, B = buf("A", 64), buf("B", 8)
    value = Load(A, (i * 3 + 2,)) + Load(A, (i * i,)) + (i + 1).astype("float32")
    g = check(passes, function([A, B], loop(i, 8, Store(B, (i,), value), V)))
    assert "A[ramp(2, 3, 8)]" in str(g) and "float32x8(ramp(1, 1, 8))" in str(g)


def test_division_of_a_ramp(passes):
    """The blocks of a channel-blocked layout stay one contiguous vector."""
    A, B = buf("A", 64), buf("B", 64)
    c = x * 8 + i
    at = (c // 16) * 16 + c % 16
    g = check(passes, function([A, B], loop(x, 8, loop(i, 8, Store(B, (c,), Load(A, (at,))), V))))
    assert "% broadcast" not in str(g) and "// broadcast" not in str(g)


def test_quotients_of_data_that_wraps(passes):
    """D[0] + 8 * i may wrap, unlike an index: its quotients by 8 are no ramp."""
    D, B = buf("D", 1, dtype=INT32), buf("B", 4, dtype=INT32)
    value = (Load(D, (const(0),)) + i * 8) // 8
    f = function([D, B], loop(i, 4, Store(B, (i,), value), V))
    results = []
    for g in (f, vectorize_loops(f, passes.target)):
        results.append(np.zeros(4, np.int32))
        run(g, [np.array([2**31 - 4], np.int32), results[-1]])
    np.testing.assert_array_equal(*results)


def test_a_guard_that_no_lane_passes(passes):
    A, B = buf("A", 64), buf("B", 64)
    at = x * 8 + i
    body = Store(B, (at,), if_then_else(at < 64, Load(A, (at,)), 1.0))
    g = check(passes, function([A, B], loop(x, 8, loop(i, 8, body, V))))
    assert "select" not in str(g) and "where" not in str(g)
    body = Store(B, (at,), if_then_else(at >= 64, Load(A, (at,)), 1.0))
    g = check(passes, function([A, B], loop(x, 8, loop(i, 8, body, V))))
    assert "A[" not in str(g)


def test_guard_becomes_a_predicate(passes):
    A, B = buf("A", 13), buf("B", 13)
    at = x * 8 + i
    guarded = If(at < 13, Store(B, (at,), Load(A, (at,))), likely=True)
    check(
        passes,
        function([A, B], loop(x, 2, loop(i, 8, guarded, V))),
        """
        def f(A: float32[13], B: float32[13]) -> B:
            for x in range(0, 2):
                B[ramp(x * 8, 1, 8), where=MASK] = A[ramp(x * 8, 1, 8), where=MASK]
        """.replace("MASK", "ramp(x * 8, 1, 8) < broadcast(13, 8)"),
    )


def test_uniform_load_under_a_mask_stays_in_bounds(passes):
    """C[x] is out of bounds exactly where no lane is on."""
    A, C, B = buf("A", 13), buf("C", 2), buf("B", 13)
    at = x * 8 + i
    guarded = If(at < 13, Store(B, (at,), Load(A, (at,)) * Load(C, (x,))))
    g = check(passes, function([A, C, B], loop(x, 4, loop(i, 8, guarded, V))))
    assert "C[x, where=x * 8 < 13]" in str(g)
    middle = all_of([i >= 2, i < 5, (i % 2).astype("bool"), x < 2])
    body = If(middle, Store(B, (i,), Load(C, (x,))))
    check(passes, function([A, C, B], loop(x, 3, loop(i, 8, body, V))))


def test_branches(passes):
    A, B = buf("A", 8), buf("B", 8)
    both = If(
        Load(B, (i,)) < 0.0,
        seq(Store(B, (i,), const(2.0)), Store(B, (i,), Load(B, (i,)) + Load(A, (i,)))),
        Store(B, (i,), Load(A, (i,)) * 3.0),
    )
    g = check(passes, function([A, B], loop(i, 8, both, V)))
    assert "let cond = " in str(g)
    uniform = loop(x, 2, loop(i, 8, If(x < 1, Store(B, (i,), const(1.0))), V))
    g = check(passes, function([A, B], uniform))
    assert "if x < 1:" in str(g)


def test_lazy_select_masks_its_loads(passes):
    A, B = buf("A", 8), buf("B", 10)
    pad = if_then_else((i >= 1) & (i < 9), Load(A, (i - 1,)), 0.0)
    g = check(passes, function([A, B], loop(i, 10, Store(B, (i,), pad), V)))
    assert "select" not in str(g)  # a masked load is 0 already
    pad = if_then_else((i < 1) | (i >= 9), -1.5, Load(A, (i - 1,)))
    check(passes, function([A, B], loop(i, 10, Store(B, (i,), pad), V)))
    minus = Select(i < 7, Load(A, (minimum(i, 7),)), const(-0.0))
    g = check(passes, function([A, B], loop(i, 10, Store(B, (i,), minus), V)))
    assert "select" in str(g)


def test_uniform_select_stays_lazy(passes):
    A, B = buf("A", 16), buf("B", 24)
    value = if_then_else(x < 2, Load(A, (x * 8 + i,)), 0.5)
    check(
        passes,
        function([A, B], loop(x, 3, loop(i, 8, Store(B, (x * 8 + i,), value), V))),
        """
        def f(A: float32[16], B: float32[24]) -> B:
            for x in range(0, 3):
                B[ramp(x * 8, 1, 8)] = select(x < 2, A[ramp(x * 8, 1, 8)], broadcast(0.5, 8))
        """,
    )


def test_let(passes):
    A, B = buf("A", 32), buf("B", 8)
    at, v = Var("at"), Var("v", FLOAT32)
    body = Let(at, i * 2 + 1, Let(v, Load(A, (at,)), Store(B, (i,), v * v)))
    check(
        passes,
        function([A, B], loop(i, 8, body, V)),
        """
        def f(A: float32[32], B: float32[8]) -> B:
            let v = A[ramp(1, 2, 8)]
            B[ramp(0, 1, 8)] = v * v
        """,
    )


def reduction(acc_scope, kind=V):
    """B[i] = sum_k A[i, k] with the accumulator inside the vectorized loop."""
    A, B, acc = buf("A", 8 * 5), buf("B", 8), buf("acc", 1, scope=acc_scope)
    z = const(0)
    body = Alloc(
        acc,
        seq(
            Store(acc, (z,), const(0.0)),
            loop(k, 5, Store(acc, (z,), Load(acc, (z,)) + Load(A, (i * 5 + k,)))),
            Store(B, (i,), Load(acc, (z,))),
        ),
    )
    return function([A, B], loop(i, 8, body, kind))


def test_inner_loop_and_local_storage(passes):
    check(
        passes,
        reduction("local"),
        """
        def f(A: float32[40], B: float32[8]) -> B:
            alloc acc: float32[8] in local
            acc[ramp(0, 1, 8)] = broadcast(0.0, 8)
            for k in range(0, 5):
                acc[ramp(0, 1, 8)] = acc[ramp(0, 1, 8)] + A[ramp(k, 5, 8)]
            B[ramp(0, 1, 8)] = acc[ramp(0, 1, 8)]
        """,
    )


def serial(passes, f):
    g = check(passes, f)
    assert "ramp" not in str(g) and "in range" in str(g), g
    return g


def test_a_reduction_over_the_lanes_stays_serial(passes):
    A, B = buf("A", 8), buf("B", 1)
    z = const(0)
    serial(passes, function([A, B], loop(i, 8, Store(B, (z,), Load(B, (z,)) + Load(A, (i,))), V)))
    # the value is the same in all lanes, and still it counts the iterations
    serial(passes, function([A, B], loop(i, 8, Store(B, (z,), Load(B, (z,)) + 1.0), V)))
    # two lanes meet in one element
    halves = Store(B, (i // 8,), Load(B, (i // 8,)) + Load(A, (i,)))
    serial(passes, function([A, B], loop(i, 8, halves, V)))
    B4 = buf("B", 4)
    pairs = Store(B4, (i // 2,), Load(B4, (i // 2,)) + Load(A, (i,)))
    serial(passes, function([A, B4], loop(i, 8, pairs, V)))


def test_lane_dependent_loops_and_nested_vectors(passes):
    A, B = buf("A", 64), buf("B", 8)
    triangle = loop(k, i + 1, Store(B, (i,), Load(B, (i,)) + Load(A, (i * 8 + k,))))
    serial(passes, function([A, B], loop(i, 8, triangle, V)))
    C = buf("C", 64)
    nested = loop(i, 8, loop(j, 8, Store(C, (i * 8 + j,), Load(A, (j * 8 + i,))), V), V)
    check(
        passes,
        function([A, C], nested),
        """
        def f(A: float32[64], C: float32[64]) -> C:
            for i in range(0, 8):
                C[ramp(i * 8, 1, 8)] = A[ramp(i, 8, 8)]
        """,
    )


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 128, 200])
def test_any_length(passes, n):
    A, B = buf("A", max(n, 1)), buf("B", max(n, 1))
    f = function([A, B], loop(i, n, Store(B, (i,), Load(A, (i,)) + 1.0), V))
    g = check(passes, f)
    assert "vectorized" not in str(g)


def test_extent_must_be_constant(passes):
    n = Var("n")
    A = Buffer("A", FLOAT32, (n,))
    f = Function("f", (A, n), loop(i, n, Store(A, (i,), const(0.0)), V), frozenset({A}))
    with pytest.raises(LoweringError, match="extent n of the vectorized loop i is not const") as e:
        vectorize_loops(f, passes.target)
    assert "for i in vectorized(0, n):" in str(e.value)


def test_nothing_to_do(passes):
    f = reduction("local", S)
    assert vectorize_loops(f, passes.target) is f


@st.composite
def guarded_copies(draw):
    """A vectorized loop with random offset, strides, guards and a select, in bounds only under
    its guards."""
    n = draw(st.integers(1, 20))
    outer = draw(st.integers(1, 4))
    size = draw(st.integers(1, 60))
    stride = draw(st.integers(1, 3))
    offset = draw(st.integers(-5, 5))
    A, B = buf("A", size), buf("B", outer * n)
    at = (x * n + i) * stride + offset
    conds = [at >= 0, at < size]
    if draw(st.booleans()):
        conds.append(i % draw(st.integers(1, 5)) < 2)
    if draw(st.booleans()):
        conds.append(Binary(Op.LT, x, const(draw(st.integers(0, 4)))))
    cond = all_of(draw(st.permutations(conds)))
    lane = x * n + i
    if draw(st.booleans()):
        body = Store(
            B, (lane,), if_then_else(cond, Load(A, (at,)), draw(st.sampled_from([0.0, 2.0])))
        )
    else:
        other = Store(B, (lane,), const(7.0)) if draw(st.booleans()) else None
        body = If(cond, Store(B, (lane,), Load(A, (at,)) + 1.0), other, other is None)
    return function([A, B], loop(x, outer, loop(i, n, body, V)))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(guarded_copies())
def test_random_guards(passes, f):
    check(passes, f)


def test_constant_condition_of_all_lanes(passes):
    """A condition that every lane fulfils is decided, and the guarded loads lose their masks."""
    A, B = buf("A", 16), buf("B", 8)
    body = If(i < 8, Store(B, (i,), Load(A, (i + 8,))), likely=True)
    g = check(passes, function([A, B], loop(i, 8, body, V)))
    assert "where" not in str(g)
