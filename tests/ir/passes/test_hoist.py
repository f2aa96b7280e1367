"""hoist_invariants."""

from weft.ir.expr import Load, Var, const
from weft.ir.passes.hoist import hoist_invariants
from weft.ir.stmt import Buffer, For, ForKind, Function, If, Store, seq
from weft.ir.verify import verify
from weft.runtime.dtype import FLOAT32

x, y, i, j = Var("x"), Var("y"), Var("i"), Var("j")
A = Buffer("A", FLOAT32, (const(6), const(7)))


def loop(v, n, body, kind=ForKind.SERIAL, tag=""):
    return For(v, const(0), const(n), kind, body, tag)


def test_guards_rise_to_their_loops(passes):
    r, c = x * 4 + i, y * 4 + j
    body = If((r < 6) & (c < 7), Store(A, (r, c), Load(A, (r, c)) + 1.0), likely=True)
    nest = loop(x, 2, loop(y, 2, loop(i, 4, loop(j, 4, body))))
    f = Function("f", (A,), nest, frozenset({A}))
    g = hoist_invariants(f, passes.target)
    passes.golden(
        g,
        """
        def f(A: float32[6, 7]) -> A:
            for x in range(0, 2):
                for y in range(0, 2):
                    for i in range(0, 4):
                        if likely(x * 4 + i < 6):
                            for j in range(0, 4):
                                if likely(y * 4 + j < 7):
                                    A[x * 4 + i, y * 4 + j] = A[x * 4 + i, y * 4 + j] + 1.0
        """,
    )
    verify(g, flat=False)
    passes.same_results(f, g)
    assert hoist_invariants(g, passes.target) is g


def test_through_several_loops_and_an_outer_guard(passes):
    inner = loop(j, 4, If(x * 4 < 5, Store(A, (x, j), const(1.0)), likely=True))
    nest = loop(x, 3, If(x < 2, loop(i, 2, inner), likely=True))
    f = Function("f", (A,), nest, frozenset({A}))
    g = hoist_invariants(f, passes.target)
    assert "if likely(x < 2 and x * 4 < 5):" in str(g)
    passes.same_results(f, g)


def test_what_stays(passes):
    store = Store(A, (x, j), const(1.0))
    beside = loop(j, 4, seq(If(x < 2, store, likely=True), Store(A, (x, j), const(2.0))))
    data = loop(j, 4, If(Load(A, (x, x)) < 0.0, store, likely=True))
    bound = loop(j, 4, If(x < 2, store, likely=True), ForKind.BOUND, "threadIdx.x")
    plain = loop(j, 4, If(x < 2, store))
    for body in (beside, data, bound, plain):
        f = Function("f", (A,), loop(x, 3, body), frozenset({A}))
        assert hoist_invariants(f, passes.target) is f
