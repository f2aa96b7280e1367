"""flatten_storage and reuse_storage."""

import itertools

import pytest
from weft.ir.expr import Load, Var, const
from weft.ir.layout import Digit, Layout
from weft.ir.passes.reuse import reuse_storage
from weft.ir.passes.storage import flatten_storage
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, Store, seq
from weft.ir.verify import verify
from weft.runtime.dtype import FLOAT32, INT32
from weft.runtime.errors import LoweringError


def buf(name, *shape, dtype=FLOAT32, **kw):
    return Buffer(name, dtype, tuple(const(n) if isinstance(n, int) else n for n in shape), **kw)


def loop(v, n, body, kind=ForKind.SERIAL, lo=0):
    return For(v, const(lo), const(n) if isinstance(n, int) else n, kind, body)


def test_row_major(passes):
    A, B = buf("A", 3, 5), buf("B", 5, 3)
    i, j = Var("i"), Var("j")
    copy = loop(i, 3, loop(j, 5, Store(B, (j, i), Load(A, (i, j)) * 2.0)))
    f = Function("turn", (A, B), copy, frozenset({B}))
    g = flatten_storage(f, passes.target)
    passes.golden(
        g,
        """
        def turn(A: float32[15], B: float32[15]) -> B:
            for i in range(0, 3):
                for j in range(0, 5):
                    B[j * 3 + i] = A[i * 5 + j] * 2.0
        """,
    )
    passes.same_results(f, g)
    verify(g, flat=True)


def test_layout_splits_channels_and_keeps_the_padding(passes):
    layout = Layout.parse("NC4c", (2, 6))
    A, B = buf("A", 2, 6), buf("B", 2, 6, layout=layout)
    n, co, ci = Var("n"), Var("co"), Var("ci")
    c = co * 2 + ci
    body = loop(n, 2, loop(co, 3, loop(ci, 2, Store(B, (n, c), Load(A, (n, c))))))
    f = Function("pack", (A, B), body, frozenset({B}))
    g = flatten_storage(f, passes.target)
    assert str(g).splitlines()[0] == "def pack(A: float32[12], B: float32[16]) -> B:"
    passes.same_results(f, g)


def test_a_split_loop_needs_no_division(passes):
    layout = Layout.parse("NC4c", (2, 8))
    A, B = buf("A", 2, 8), buf("B", 2, 8, layout=layout)
    n, co, ci = Var("n"), Var("co"), Var("ci")
    c = co * 4 + ci
    body = loop(n, 2, loop(co, 2, loop(ci, 4, Store(B, (n, c), Load(A, (n, c))))))
    f = Function("pack", (A, B), body, frozenset({B}))
    text = str(flatten_storage(f, passes.target))
    assert "%" not in text and "//" not in text


def test_row_padding_is_a_digit(passes):
    layout = Layout((3, 5), ((Digit(0, 1, 3),), (Digit(1, 1, 8),)))
    T = buf("T", 3, 5, scope="local", layout=layout)
    A, B = buf("A", 3, 5), buf("B", 3, 5)
    i, j = Var("i"), Var("j")
    body = Alloc(
        T,
        seq(
            loop(i, 3, loop(j, 5, Store(T, (i, j), Load(A, (i, j))))),
            loop(i, 3, loop(j, 5, Store(B, (i, j), Load(T, (i, j))))),
        ),
    )
    f = Function("stage", (A, B), body, frozenset({B}))
    g = flatten_storage(f, passes.target)
    passes.golden(
        g,
        """
        def stage(A: float32[15], B: float32[15]) -> B:
            alloc T: float32[24] in local
            for i in range(0, 3):
                for j in range(0, 5):
                    T[i * 8 + j] = A[i * 5 + j]
            for i in range(0, 3):
                for j in range(0, 5):
                    B[i * 5 + j] = T[i * 8 + j]
        """,
    )
    passes.same_results(f, g)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_symbolic_extent(passes, n):
    size = Var("n")
    A, B = buf("A", 3, size), buf("B", 3, size)
    i, j = Var("i"), Var("j")
    body = loop(i, 3, loop(j, size, Store(B, (i, j), Load(A, (i, j)) + 1.0)))
    f = Function("inc", (A, B, size), body, frozenset({B}))
    g = flatten_storage(f, passes.target)
    assert "B[i * n + j]" in str(g)
    a, b = passes.arguments(f, {size: n})[:2], passes.arguments(f, {size: n})[:2]
    from weft.ir.meaning.interp import run

    run(f, [*a, n])
    run(g, [b[0].reshape(-1), b[1].reshape(-1), n])
    assert (a[1].reshape(-1) == b[1].reshape(-1)).all()


def test_scalar_tensor(passes):
    A = buf("A")
    f = Function("one", (A,), Store(A, (), const(1.0)), frozenset({A}))
    g = flatten_storage(f, passes.target)
    passes.golden(g, "def one(A: float32[1]) -> A:\n    A[0] = 1.0")
    passes.same_results(f, g)


def test_flat_is_left_alone(passes):
    A, i = buf("A", 8), Var("i")
    f = Function("f", (A,), loop(i, 8, Store(A, (i,), const(0.0))), frozenset({A}))
    assert flatten_storage(f, passes.target) is f


def test_too_many_elements(passes):
    A = buf("A", 1 << 16, 1 << 15)
    f = Function("f", (A,), Store(A, (const(0), const(0)), const(0.0)), frozenset({A}))
    with pytest.raises(LoweringError, match="2147483648 elements; an index is a 32-bit"):
        flatten_storage(f, passes.target)


# ---------------------------------------------------------------------- reuse


def chain(n, sizes, dtypes=None, scopes=None):
    """T0 = A + 1, T1 = T0 + 1, …, B = Tk + 1 through scratch buffers of the given sizes."""
    k = len(sizes)
    dtypes, scopes = dtypes or [FLOAT32] * k, scopes or ["global"] * k
    T = [buf(f"T{m}", sizes[m], dtype=dtypes[m], scope=scopes[m]) for m in range(k)]
    A, B, i = buf("A", n), buf("B", n), Var("i")
    steps = [A, *T, B]
    stages = [
        loop(i, n, Store(y, (i,), (Load(x, (i,)).astype(y.dtype) + const(1, y.dtype))))
        for x, y in itertools.pairwise(steps)
    ]
    body = seq(*stages)
    for t in reversed(T):
        body = Alloc(t, body)
    return Function("chain", (A, B), body, frozenset({B}))


def test_reuse_in_a_chain(passes):
    f = chain(2048, [2048, 2048, 4096, 2048])
    g = reuse_storage(f, passes.target)
    passes.golden(
        g,
        """
        def chain(A: float32[2048], B: float32[2048]) -> B:
            alloc T0: float32[4096] in global
            alloc T1: float32[2048] in global
            for i in range(0, 2048):
                T0[i] = A[i] + 1.0
            for i in range(0, 2048):
                T1[i] = T0[i] + 1.0
            for i in range(0, 2048):
                T0[i] = T1[i] + 1.0
            for i in range(0, 2048):
                T1[i] = T0[i] + 1.0
            for i in range(0, 2048):
                B[i] = T1[i] + 1.0
        """,
    )
    verify(g, flat=True)
    passes.same_results(f, g)


def test_other_dtype_or_scope_or_small_is_not_shared(passes):
    for f in (
        chain(2048, [2048] * 3, dtypes=[FLOAT32, FLOAT32, INT32]),
        chain(2048, [2048] * 3, scopes=["global", "global", "local"]),
        chain(16, [16] * 4),
    ):
        assert reuse_storage(f, passes.target) is f


def test_alive_across_iterations_is_not_shared(passes):
    """S is written before the loop and read at the start of each iteration; T after it."""
    n = 1024
    S, T = buf("S", n, scope="global"), buf("T", n, scope="global")
    A, B, i, k = buf("A", n), buf("B", n), Var("i"), Var("k")
    body = Alloc(
        S,
        Alloc(
            T,
            seq(
                loop(i, n, Store(S, (i,), Load(A, (i,)))),
                loop(
                    k,
                    3,
                    seq(
                        loop(i, n, Store(B, (i,), Load(S, (i,)) + Load(B, (i,)))),
                        loop(i, n, Store(T, (i,), Load(B, (i,)))),
                        loop(i, n, Store(B, (i,), Load(T, (i,)) * 2.0)),
                    ),
                ),
            ),
        ),
    )
    f = Function("f", (A, B), body, frozenset({B}))
    assert reuse_storage(f, passes.target) is f


def test_siblings_in_loops_share(passes):
    n = 1024
    A, B, i, k = buf("A", n), buf("B", n), Var("i"), Var("k")

    def part(name):
        T = buf(name, n, scope="local")
        return loop(
            k,
            2,
            Alloc(
                T,
                seq(
                    loop(i, n, Store(T, (i,), Load(A, (i,)) + 1.0)),
                    loop(i, n, Store(B, (i,), Load(T, (i,)) + Load(B, (i,)))),
                ),
            ),
        )

    f = Function("f", (A, B), seq(part("S"), part("T")), frozenset({B}))
    g = reuse_storage(f, passes.target)
    assert str(g).count("alloc") == 1
    verify(g, flat=True)
    passes.same_results(f, g)


def test_not_across_a_parallel_loop(passes):
    n = 1024
    A, B, i, k = buf("A", n), buf("B", n), Var("i"), Var("k")
    S, T = buf("S", n), buf("T", n)
    inner = Alloc(
        T,
        seq(
            loop(i, n, Store(T, (i,), Load(A, (i,)))),
            loop(i, n // 2, Store(B, (k * 512 + i,), Load(T, (i,)))),
        ),
    )
    before = Alloc(
        S,
        seq(loop(i, n, Store(S, (i,), Load(A, (i,)))), loop(i, n, Store(B, (i,), Load(S, (i,))))),
    )
    f = Function("f", (A, B), seq(before, loop(k, 2, inner, ForKind.PARALLEL)), frozenset({B}))
    assert reuse_storage(f, passes.target) is f
