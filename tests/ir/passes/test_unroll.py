"""unroll_loops."""

from types import MappingProxyType

import pytest
from support.counting import calls
from weft.ir.builders import if_then_else
from weft.ir.expr import Broadcast, Call, Load, Ramp, Var, const
from weft.ir.passes.unroll import unroll_loops
from weft.ir.stmt import Buffer, For, ForKind, Function, If, Let, Store, seq
from weft.ir.verify import verify
from weft.runtime.dtype import FLOAT32, FLOAT64
from weft.runtime.errors import LoweringError

U, S = ForKind.UNROLLED, ForKind.SERIAL
i, j, k, x = Var("i"), Var("j"), Var("k"), Var("x")


def buf(name, n):
    return Buffer(name, FLOAT32, (const(n),))


def loop(v, n, body, kind=S, lo=0, pragmas=None):
    extent = const(n) if isinstance(n, int) else n
    return For(v, const(lo), extent, kind, body, "", MappingProxyType(pragmas or {}))


def check(passes, f, text=None):
    g = unroll_loops(f, passes.target)
    if text is not None:
        passes.golden(g, text)
    verify(g, flat=True)
    passes.same_results(f, g)
    return g


def test_register_tile(passes):
    A, B = buf("A", 100), buf("B", 36)
    body = Store(B, (x * 6 + i * 3 + j,), Load(A, ((x + i) * 10 + j,)) * 2.0)
    f = Function("f", (A, B), loop(x, 6, loop(i, 2, loop(j, 3, body, U), U)), frozenset({B}))
    check(
        passes,
        f,
        """
        def f(A: float32[100], B: float32[36]) -> B:
            for x in range(0, 6):
                B[x * 6] = A[x * 10] * 2.0
                B[x * 6 + 1] = A[x * 10 + 1] * 2.0
                B[x * 6 + 2] = A[x * 10 + 2] * 2.0
                B[x * 6 + 3] = A[x * 10 + 10] * 2.0
                B[x * 6 + 4] = A[x * 10 + 11] * 2.0
                B[x * 6 + 5] = A[x * 10 + 12] * 2.0
        """,
    )


def test_inner_loops_lets_and_decided_conditions(passes):
    A, B, at = buf("A", 20), buf("B", 20), Var("at")
    body = seq(
        If(i < 1, Store(B, (i,), const(5.0)), Store(B, (i,), const(6.0))),
        If(i < 0, Store(B, (i,), const(9.0))),
        Let(at, i * 4 + 3, Store(B, (at,), if_then_else(i < 1, Load(A, (at,)), 1.0))),
        loop(k, i + 2, Store(B, (k + 10,), Load(A, (k + i,)))),
    )
    f = Function("f", (A, B), loop(i, 2, body, U), frozenset({B}))
    check(
        passes,
        f,
        """
        def f(A: float32[20], B: float32[20]) -> B:
            B[0] = 5.0
            B[3] = A[3]
            for k in range(0, 2):
                B[k + 10] = A[k]
            B[1] = 6.0
            B[7] = 1.0
            for k in range(0, 3):
                B[k + 10] = A[k + 1]
        """,
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_loops(passes, n):
    A = buf("A", 4)
    f = Function("f", (A,), loop(i, n, Store(A, (i,), const(1.0)), U, lo=2), frozenset({A}))
    g = check(passes, f)
    assert str(g).count("A[") == n


def test_pragma_unrolls_small_serial_loops(passes):
    A = buf("A", 64)
    small = loop(i, 4, Store(A, (x * 8 + i,), const(1.0)))
    large = loop(j, 8, Store(A, (x * 8 + j,), const(2.0)))
    f = Function(
        "f", (A,), loop(x, 8, seq(small, large), pragmas={"unroll_max": 4}), frozenset({A})
    )
    g = check(passes, f)
    assert "for j in range(0, 8)" in str(g) and "for i" not in str(g) and "for x" in str(g)
    without = Function("f", (A,), loop(x, 8, seq(small, large)), frozenset({A}))
    assert unroll_loops(without, passes.target) is without


def test_limits(passes):
    A, n = buf("A", 1 << 20), Var("n")
    body = Store(A, (i * 128 + j,), const(0.0))
    f = Function("f", (A,), loop(i, 64, loop(j, 128, body, U), U), frozenset({A}))
    with pytest.raises(LoweringError, match="makes 8192 statements; the limit is 4096"):
        unroll_loops(f, passes.target)
    f = Function("f", (A, n), loop(i, n, Store(A, (i,), const(0.0)), U), frozenset({A}))
    with pytest.raises(LoweringError, match="extent n of the unrolled loop i is not a constant"):
        unroll_loops(f, passes.target)


def test_functions_count_for_what_they_are_written_out_as(passes):
    A = buf("A", 1000)
    value = Call("exp", (Call("tanh", (Load(A, (i,)),), FLOAT32),), FLOAT32)
    f = Function("f", (A,), loop(i, 1000, Store(A, (i,), value), U), frozenset({A}))
    message = "unrolling the loop i of A makes 80000 operations; the limit is 32768"
    with pytest.raises(LoweringError, match=message):
        unroll_loops(f, passes.target)


def test_loops_share_the_limit_and_vectors_count_by_their_registers(passes):
    A, wide = buf("A", 1 << 16), Buffer("W", FLOAT64, (const(1 << 16),))
    one = loop(i, 2000, Store(A, (i,), const(0.0)), U)
    two = Function("f", (A,), seq(one, loop(j, 2000, Store(A, (j,), const(1.0)), U)))
    unroll_loops(two, passes.target)
    three = Function("f", (A,), seq(two.body, loop(k, 97, Store(A, (k,), const(1.0)), U)))
    with pytest.raises(LoweringError, match="the loop k of A makes 97 statements with the 4000 of"):
        unroll_loops(three, passes.target)
    lanes = Ramp(i * 64, const(1), 64)
    value = Broadcast(const(0.0, FLOAT64), 64)
    f = Function("f", (wide,), loop(i, 200, Store(wide, (lanes,), value), U))
    registers = 200 * 64 * 64 // passes.target.vector_bits
    with pytest.raises(LoweringError, match=f"makes {registers} statements"):
        unroll_loops(f, passes.target)


def test_a_large_register_tile_takes_few_steps_a_statement(passes):
    A, B = buf("A", 1 << 16), buf("B", 1 << 16)
    at = (x * 64 + i) * 16 + j
    body = Store(B, (at,), Load(B, (at,)) + Load(A, (x * 64 + i,)) * Load(A, (j * 512 + x,)))
    f = Function("f", (A, B), loop(x, 64, loop(i, 64, loop(j, 16, body, U), U)), frozenset({B}))
    g, steps = calls(unroll_loops, f, passes.target)
    assert steps < 600 * 1024  # 306 for each of 1 024 statements
    assert str(g).count("\n") == 1025
