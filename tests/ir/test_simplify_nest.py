"""What the simplifier makes of statements, and in how many steps."""

import textwrap

import pytest
from support.counting import calls
from weft.ir.expr import (
    FALSE,
    Broadcast,
    Expr,
    Load,
    Ramp,
    Var,
    const,
)
from weft.ir.simplify import simplify
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, If, Let, Seq, Stmt, Store, seq
from weft.ir.visit import tally
from weft.runtime.dtype import FLOAT32

j, k, n = Var("j"), Var("k"), Var("n")
co, ci = Var("co"), Var("ci")
buf = Buffer("A", FLOAT32, (const(1024),))


def _loop(v: Var, extent: Expr | int, body: Stmt, kind=ForKind.SERIAL, tag: str = "") -> Stmt:
    e = extent if isinstance(extent, Expr) else const(extent)
    return For(v, const(0), e, kind, body, tag)


def _put(at: Expr) -> Stmt:
    return Store(buf, (at,), Load(buf, (at,)) * 2.0)


@pytest.mark.parametrize(
    ("s", "text"),
    [
        (_loop(k, 4, If(k < 4, _put(k))), "for k in range(0, 4):\n    A[k] = A[k] * 2.0"),
        (
            _loop(k, n, If(k < n, _put(k), likely=True)),
            "for k in range(0, n):\n    A[k] = A[k] * 2.0",
        ),
        (_loop(k, 1, _put(k + j)), "A[j] = A[j] * 2.0"),
        (_loop(k, 0, _put(k)), "pass"),
        (
            _loop(k, 1, _put(k), ForKind.BOUND, "threadIdx.x"),
            'for k in bound("threadIdx.x", 0, 1):\n    A[0] = A[0] * 2.0',
        ),
        (
            _loop(k, 8, _put(k), ForKind.VECTORIZED),
            "for k in vectorized(0, 8):\n    A[k] = A[k] * 2.0",
        ),
        (Let(k, const(3), _put(k)), "A[3] = A[3] * 2.0"),
        (Let(k, j * 2, _put(n)), "A[n] = A[n] * 2.0"),
        (Let(k, j * 2, _put(k)), "let k = j * 2\nA[k] = A[k] * 2.0"),
        (If(j < n, Seq(()), _put(j)), "if n <= j:\n    A[j] = A[j] * 2.0"),
        (If(j < n, If(j < n + 1, _put(j))), "if j < n:\n    A[j] = A[j] * 2.0"),
        (If(j < n, Seq(()), If(j < n, _put(j))), "pass"),
        (Alloc(buf, If(FALSE, _put(j))), "pass"),
        (seq(If(FALSE, _put(j)), Barrier(), Seq(())), 'barrier("shared")'),
        (Store(buf, (j,), const(1.0), FALSE), "pass"),
        (
            _loop(k, 4, _loop(j, 8, If(k * 8 + j < 32, _put((k * 8 + j) // 8)))),
            "for k in range(0, 4):\n    for j in range(0, 8):\n        A[k] = A[k] * 2.0",
        ),
    ],
)  # fmt: skip
def test_statements(s: Stmt, text: str) -> None:
    found = simplify(s)
    assert str(found) == text
    assert simplify(found) is found


def test_nothing_changes_nothing() -> None:
    s = _loop(k, n, seq(_put(k * 4 + 1), If(j < k, _put(j)), Barrier()))
    assert simplify(s) is s


def test_shadowed_variable_in_sibling_loops() -> None:
    s = seq(_loop(k, 4, If(k < 4, _put(k))), _loop(k, 9, If(k < 4, _put(k))))
    assert str(simplify(s)) == textwrap.dedent(
        """\
        for k in range(0, 4):
            A[k] = A[k] * 2.0
        for k in range(0, 9):
            if k < 4:
                A[k] = A[k] * 2.0"""
    )


def test_steps_for_an_unrolled_convolution() -> None:
    """28 accumulators of 16 lanes: the compile-time hot path. Work grows with the nodes."""
    oh, ow, kh, kw = (Var(s) for s in ("oh", "ow", "kh", "kw"))
    acc = Buffer("acc", FLOAT32, (const(448),), "local")
    stmts: list[Stmt] = []
    for t in range(14):
        for v in range(2):
            at = Ramp(const((t * 2 + v) * 16), const(1), 16)
            x = (((ci // 16) * 58 + (oh + kh)) * 58 + (ow * 14 + t + kw)) * 16 + ci % 16
            w = ((((co * 2 + v) * 64 + ci) * 3 + kh) * 3 + kw) * 16
            product = Broadcast(Load(buf, (x,)), 16) * Load(buf, (Ramp(w, const(1), 16),))
            stmts.append(Store(acc, (at,), Load(acc, (at,)) + product))
    body: Stmt = seq(*stmts)
    for v, extent in ((kw, 3), (kh, 3), (ci, 64), (ow, 4), (oh, 56), (co, 2)):
        body = _loop(v, extent, body)
    count = tally(body, lambda n: 1)
    assert count > 1600
    simplify(body)  # tables of rules are built once
    found, steps = calls(simplify, body)
    assert steps < 15 * count  # 8 of them
    assert simplify(found) is found
