"""share_values."""

import pytest
from weft.ir.builders import if_then_else
from weft.ir.expr import Expr, Load, Var, const
from weft.ir.passes import share
from weft.ir.passes.share import share_values
from weft.ir.stmt import Buffer, For, ForKind, Function, Store
from weft.ir.verify import verify
from weft.ir.visit import bottom_up, tally
from weft.runtime.dtype import FLOAT32, INT32

i = Var("i")


def buf(name, n=16, dtype=FLOAT32):
    return Buffer(name, dtype, (const(n),))


A, B, C = buf("A"), buf("B"), buf("C")
FAR = buf("FAR", 8)


def over(value: Expr, *inputs: Buffer) -> Function:
    body = For(i, const(0), const(16), ForKind.SERIAL, Store(B, (i,), value))
    return Function("f", (*inputs, B), body, frozenset({B}))


def leaky(x: Expr) -> Expr:
    return if_then_else(x > 0.0, x, x * 0.5)


def arms(x: Expr) -> Expr:
    """Selects of a condition of their own, both arms of which use ``x``."""
    return if_then_else(Load(C, (i,)) > 0.0, x + 1.0, x * 0.5)


def one_arm(x: Expr) -> Expr:
    """Two selects, of which neither may want ``x``."""
    c = Load(C, (i,))
    return if_then_else(c > 0.0, x, 0.0) + if_then_else(c > 1.0, x, 1.0)


def chain(link, x: Expr, length: int) -> Expr:
    for _ in range(length):
        x = link(x)
    return x


def test_a_chain_of_selects(passes):
    f = over(chain(leaky, Load(A, (i,)), 4), A)
    g = share_values(f, passes.target)
    passes.golden(
        g,
        """
        def f(A: float32[16], B: float32[16]) -> B:
            for i in range(0, 16):
                let shared = select(0.0 < A[i], A[i], A[i] * 0.5)
                let shared_1 = select(0.0 < shared, shared, shared * 0.5)
                let shared_2 = select(0.0 < shared_1, shared_1, shared_1 * 0.5)
                B[i] = select(0.0 < shared_2, shared_2, shared_2 * 0.5)
        """,
    )
    verify(g, flat=False)
    passes.same_results(f, g)
    assert share_values(g, passes.target) is g


def test_what_needs_none(passes):
    x = Load(A, (i,))
    product = chain(lambda v: v * v, x, 9)  # one object stays one object without a name
    for value in (leaky(x), leaky(leaky(x)), product):
        f = over(value, A)
        assert share_values(f, passes.target) is f


@pytest.mark.parametrize("link", [leaky, arms])
def test_what_is_wanted_in_any_case_reads_as_before(passes, link):
    f = over(chain(link, Load(A, (i,)) * 3.0, 5), A, C)
    g = share_values(f, passes.target)
    assert str(g).count("let") >= 4 and "where=" not in str(g)
    passes.same_results(f, g)


def test_what_may_not_be_wanted_stays_inside_of_its_buffer(passes):
    value = if_then_else(i < 8, chain(one_arm, Load(FAR, (i,)) * 3.0, 5), 0.0)
    f = over(value, FAR, C)
    g = share_values(f, passes.target)
    assert "FAR[i, where=i < 8]" in str(g)  # 0 <= i needs no test
    verify(g, flat=False)
    passes.same_results(f, g)
    near = over(chain(one_arm, Load(A, (i,)) * 3.0, 5), A, C)
    assert "where=" not in str(share_values(near, passes.target))


def test_deep_expressions_are_cut(passes):
    f = over(chain(lambda v: v + 1.0, Load(A, (i,)), 200), A)
    g = share_values(f, passes.target)
    assert str(g).count("let") == 200 // share.DEPTH
    passes.same_results(f, g)


def test_indices_stay_indices(passes):
    n, where = Buffer("N", INT32, (const(16),)), i * 3 % 16
    f = over(chain(leaky, Load(A, (where,)) + Load(n, (where,)).astype("float32"), 5), A, n)
    g = share_values(f, passes.target)
    assert str(g).count("A[i * 3 % 16]") == 1
    assert "let shared: int" not in str(g) and "[shared" not in str(g)
    passes.same_results(f, g)


@pytest.mark.parametrize("link", [leaky, arms, one_arm])
def test_the_code_grows_with_the_graph(passes, link):
    """The tree below the statements that come out, which a select makes of code, is no longer than
    a few times the graph."""

    def code(length):
        f = over(chain(link, Load(A, (i,)), length), A, C)
        return tally(share_values(f, passes.target).body, lambda n: 1), len(bottom_up([f.body]))

    (short, _), (long, nodes) = code(20), code(40)
    assert long < 2.1 * short and long < 4 * nodes
