"""partition_loops."""

from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weft.ir.builders import all_of, if_then_else
from weft.ir.expr import Load, Var, const
from weft.ir.passes.partition import MAX_COPIES, partition_loops
from weft.ir.stmt import Buffer, For, ForKind, Function, If, Store, seq
from weft.ir.verify import verify
from weft.runtime.dtype import FLOAT32

S, P, V, U, B_ = (
    ForKind.SERIAL,
    ForKind.PARALLEL,
    ForKind.VECTORIZED,
    ForKind.UNROLLED,
    ForKind.BOUND,
)
x, y, i, j, k = Var("x"), Var("y"), Var("i"), Var("j"), Var("k")


def buf(name, *shape):
    dims = tuple(n if isinstance(n, Var) else const(n) for n in shape)
    return Buffer(name, FLOAT32, dims)


def loop(v, n, body, kind=S, lo=0, tag="", pragmas=None):
    extent = n if not isinstance(n, int) else const(n)
    minimum = lo if not isinstance(lo, int) else const(lo)
    return For(v, minimum, extent, kind, body, tag, MappingProxyType(pragmas or {}))


def likely(*conds, then):
    return If(all_of(conds), then, likely=True)


def check(passes, f, text=None, scalars=None):
    g = partition_loops(f, passes.target)
    if text is not None:
        passes.golden(g, text)
    verify(g, flat=False)
    passes.same_results(f, g, scalars)
    return g


def split_copy(n, factor, outer=S, inner=S):
    A, B = buf("A", n), buf("B", n)
    at = x * factor + i
    body = likely(at < n, then=Store(B, (at,), Load(A, (at,))))
    nest = loop(x, -(-n // factor), loop(i, factor, body, inner), outer)
    return Function("f", (A, B), nest, frozenset({B}))


@pytest.mark.parametrize("inner", [S, V, U])
def test_main_part_and_tail(passes, inner):
    kind = {S: "range", V: "vectorized", U: "unrolled"}[inner]
    check(
        passes,
        split_copy(100, 16, inner=inner),
        f"""
        def f(A: float32[100], B: float32[100]) -> B:
            for x in range(0, 6):
                for i in {kind}(0, 16):
                    B[x * 16 + i] = A[x * 16 + i]
            for i in {kind}(0, 4):
                B[96 + i] = A[96 + i]
        """,
    )


def test_a_parallel_loop_stays_one(passes):
    check(
        passes,
        split_copy(100, 16, outer=P, inner=V),
        """
        def f(A: float32[100], B: float32[100]) -> B:
            for x in parallel(0, 7):
                if x < 6:
                    for i in vectorized(0, 16):
                        B[x * 16 + i] = A[x * 16 + i]
                else:
                    for i in vectorized(0, 16):
                        if likely(x * 16 + i < 100):
                            B[x * 16 + i] = A[x * 16 + i]
        """,
    )


def test_guard_that_cannot_fail_and_guard_that_cannot_hold(passes):
    g = check(passes, split_copy(96, 16, outer=P))
    assert "if" not in str(g)
    A = buf("A", 8)
    never = likely(i + 8 < 8, then=Store(A, (i,), const(1.0)))
    f = Function("f", (A,), loop(i, 8, never), frozenset({A}))
    passes.golden(partition_loops(f, passes.target), "def f(A: float32[8]) -> A:\n    pass")


def test_two_axes_give_four_parts(passes):
    A = buf("A", 30, 21)
    r, c = x * 8 + i, y * 8 + j
    body = likely(r < 30, c < 21, then=Store(A, (r, c), Load(A, (r, c)) + 1.0))
    nest = loop(x, 4, loop(y, 3, loop(i, 8, loop(j, 8, body, V))))
    g = check(passes, Function("f", (A,), nest, frozenset({A})))
    text = str(g)
    assert "if" not in text and text.count("vectorized") == 4


def test_all_ways_to_miss_a_parallel_bound_are_decided(passes):
    """Rows and columns end within a tile: no copy of the body is left with a guard."""
    A = buf("A", 21, 13)
    r, c = x // 4 * 6 + i, x % 4 * 4 + j
    body = likely(r < 21, c < 13, then=Store(A, (r, c), Load(A, (r, c)) + 1.0))
    nest = loop(x, 16, loop(i, 6, loop(j, 4, body)), P)
    g = check(passes, Function("f", (A,), nest, frozenset({A})))
    text = str(g)
    assert text.count("A[") == 2 * 4 and "likely" not in text


def test_many_bounds_leave_one_copy_without_guards(passes):
    """More ways to miss five bounds than copies: the way that misses none has its own all the
    same."""
    A = buf("A", *[3] * 5)
    at = [x // 2**d % 2 * 2 + v for d, v in enumerate((i, j, k, y, Var("z")))]
    inner = at[4].b
    body = likely(*[e < 3 for e in at], then=Store(A, tuple(at), const(1.0)))
    for v in (inner, y, k, j, i):
        body = loop(v, 2, body, U)
    g = check(passes, Function("f", (A,), loop(x, 32, body, P), frozenset({A})))
    text = str(g)
    assert text.count("= 1.0") <= MAX_COPIES
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if "= 1.0" in line)
    assert "likely" not in "\n".join(lines[:first])


def test_tails_that_end_at_different_places(passes):
    """The second store ends before the first one."""
    A, B = buf("A", 29), buf("B", 16)
    at = x * 4 + i
    body = seq(
        likely(at < 29, then=Store(A, (at,), const(1.0))),
        likely(at < 16, then=Store(B, (at,), const(2.0))),
    )
    g = check(passes, Function("f", (A, B), loop(x, 8, loop(i, 4, body)), frozenset({A, B})))
    assert "if" not in str(g)


def test_growth_is_bounded(passes):
    n = 6
    v = [Var(f"o{d}") for d in range(n)]
    w = [Var(f"i{d}") for d in range(n)]
    A = buf("A", *[5] * n)
    at = [a * 2 + b for a, b in zip(v, w)]
    body = likely(*[e < 5 for e in at], then=Store(A, tuple(at), const(1.0)))
    for b in reversed(w):
        body = loop(b, 2, body, V if b is w[-1] else S)
    for a in reversed(v):
        body = loop(a, 3, body)
    g = partition_loops(Function("f", (A,), body, frozenset({A})), passes.target)
    assert str(g).count("= 1.0") <= MAX_COPIES


def test_low_bounds_and_both_ends(passes):
    A = buf("A", 10)
    at = x * 4 + i - 2
    body = likely(at >= 0, at < 10, then=Store(A, (at,), Load(A, (at,)) * 2.0))
    g = check(passes, Function("f", (A,), loop(x, 4, loop(i, 4, body)), frozenset({A})))
    assert "if" not in str(g)


def test_symbolic_extent(passes):
    n = Var("n")
    A, B = buf("A", n), buf("B", n)
    at = x * 8 + i
    body = likely(at < n, then=Store(B, (at,), Load(A, (at,))))
    f = Function("f", (A, B, n), loop(x, (n + 7) // 8, loop(i, 8, body, V)), frozenset({B}))
    for size in (0, 1, 7, 8, 9, 40, 41):
        g = check(passes, f, scalars={n: size})
    lines = str(g).splitlines()
    first = next(k for k, line in enumerate(lines) if "vectorized" in line)
    assert "if" not in lines[first + 1]


def test_fused_axis_is_versioned(passes):
    """The guard is not affine in the fused variable: unguarded and guarded bodies side by side."""
    A = buf("A", 5, 20)
    c = x % 3 * 8 + i
    body = likely(c < 20, then=Store(A, (x // 3, c), Load(A, (x // 3, c)) + 1.0))
    f = Function("f", (A,), loop(x, 15, loop(i, 8, body, V), P), frozenset({A}))
    g = check(passes, f)
    assert str(g).count("parallel") == 1 and str(g).count("vectorized") == 2


def test_reduction_with_a_guarded_axis(passes):
    A, B = buf("A", 4, 13), buf("B", 4)
    at = y * 4 + k
    update = likely(at < 13, then=Store(B, (x,), Load(B, (x,)) + Load(A, (x, at))))
    nest = loop(x, 4, seq(Store(B, (x,), const(0.0)), loop(y, 4, loop(k, 4, update))))
    g = check(passes, Function("f", (A, B), nest, frozenset({B})))
    assert "if" not in str(g)


def test_padding_only_with_the_pragma(passes):
    A, B = buf("A", 10), buf("B", 12)
    pad = if_then_else((x >= 1) & (x < 11), Load(A, (x - 1,)), 0.0)
    body = Store(B, (x,), pad)
    plain = Function("f", (A, B), loop(x, 12, body), frozenset({B}))
    assert partition_loops(plain, passes.target) is plain
    asked = Function("f", (A, B), loop(x, 12, body, pragmas={"partition": True}), frozenset({B}))
    check(
        passes,
        asked,
        """
        def f(A: float32[10], B: float32[12]) -> B:
            B[0] = select(0 >= 1 and 0 < 11, A[-1], 0.0)
            for x in range(1, 11):  # pragma partition=True
                B[x] = A[x - 1]
            B[11] = select(11 >= 1 and 11 < 11, A[10], 0.0)
        """.replace("0 >= 1", "1 <= 0").replace("11 >= 1", "1 <= 11"),
    )


def test_threads_are_left_alone(passes):
    A = buf("A", 100)
    at = x * 16 + i
    body = likely(at < 100, then=Store(A, (at,), const(1.0)))
    nest = loop(x, 7, loop(i, 16, body, B_, tag="threadIdx.x"), B_, tag="blockIdx.x")
    f = Function("f", (A,), nest, frozenset({A}))
    assert partition_loops(f, passes.target) is f


def test_a_loop_inside_threads_splits_alike_for_all(passes):
    """Main part and tail must not depend on the thread: a barrier may stand in them."""
    A = buf("A", 100)
    at = x * 16 + i
    body = likely(at < 100, then=Store(A, (at,), const(1.0)))
    nest = loop(i, 16, loop(x, 7, body), B_, tag="threadIdx.x")
    check(
        passes,
        Function("f", (A,), nest, frozenset({A})),
        """
        def f(A: float32[100]) -> A:
            for i in bound("threadIdx.x", 0, 16):
                for x in range(0, 6):
                    A[x * 16 + i] = 1.0
                if likely(96 + i < 100):
                    A[96 + i] = 1.0
        """,
    )


def test_data_dependent_guards_stay(passes):
    A, B = buf("A", 16), buf("B", 16)
    at = x * 4 + i
    body = likely(at < 14, then=If(Load(A, (at,)) < 0.0, Store(B, (at,), const(1.0)), likely=True))
    check(passes, Function("f", (A, B), loop(x, 4, loop(i, 4, body)), frozenset({B})))


@st.composite
def guarded_nests(draw):
    """Two split axes with random factors, kinds, order, offsets and places of the guards."""
    n, m = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    p, q = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    low = draw(st.integers(0, 3))
    A, B = buf("A", n, m), buf("B", n, m)
    r, c = x * p + i - low, y * q + j
    rows = [r < n] + ([r >= 0] if low else [])
    store = Store(B, (r, c), Load(A, (r, c)) + Load(B, (r, c)))
    kinds = st.sampled_from([S, S, V, U])
    order = draw(st.permutations([i, j]))
    extent = {i: p, j: q, x: -(-(n + low) // p), y: -(-m // q)}
    body = likely(*rows, c < m, then=store)
    if draw(st.booleans()) and order[0] is i:
        body = likely(*rows, then=loop(j, q, likely(c < m, then=store), draw(kinds)))
        order = [i]
    if draw(st.booleans()):  # a statement beside the guard keeps the loops imperfect
        other = Store(B, (const(0), const(0)), Load(B, (const(0), const(0))) + 1.0)
        body = seq(body, other)
    for v in reversed(order):
        body = loop(v, extent[v], body, draw(kinds))
    for v in draw(st.permutations([x, y])):
        body = loop(v, extent[v], body, draw(st.sampled_from([S, S, P])))
    return Function("f", (A, B), body, frozenset({B}))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(guarded_nests())
def test_random_nests(passes, f):
    check(passes, f)
