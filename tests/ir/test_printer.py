"""Golden texts of expressions, loop nests and functions."""

import textwrap

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from weft.ir import printer, reducers, tensor, visit
from weft.ir.alu import Op
from weft.ir.builders import equal, maximum
from weft.ir.expr import (
    Binary,
    Broadcast,
    Const,
    Expr,
    Load,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
    cast,
    const,
)
from weft.ir.intrin import exp
from weft.ir.layout import Layout
from weft.ir.printer import expr_text, function_text, stmt_text
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, Function, If, Let, Seq, Store, seq
from weft.runtime.dtype import BFLOAT16, BOOL, FLOAT16, FLOAT32, INT32, dtype_of

i, j, n = Var("i"), Var("j"), Var("n")
p, q = Var("p", BOOL), Var("q", BOOL)
x = Var("x", FLOAT32)
buf = Buffer("A", FLOAT32, (const(8), const(4)))
lanes = Ramp(j, const(1), 4)
lanes_below_n = Binary(Op.LT, lanes, Broadcast(n, 4))


@pytest.mark.parametrize(
    ("e", "text"),
    [
        ((i + j) * 2, "(i + j) * 2"),
        (i + j * 2, "i + j * 2"),
        (i - (j - n), "i - (j - n)"),
        (i - j - n, "i - j - n"),
        (i * 3 // 4 % 5, "i * 3 // 4 % 5"),
        (i * (j // 4), "i * (j // 4)"),
        (-(i + 1), "-(i + 1)"),
        (-i * j, "-i * j"),
        (abs(i), "abs(i)"),
        (~i & 3, "~i & 3"),
        (i << 2 | j, "i << 2 | j"),
        ((i < j) & (j <= n), "i < j and j <= n"),
        (p & (q | (i < j)), "p and (q or i < j)"),
        (~(p & q), "not (p and q)"),
        (~p & q, "not p and q"),
        (equal(i < j, p), "(i < j) == p"),
        (p ^ q, "p ^ q"),
        (maximum(i, 0) + 1, "max(i, 0) + 1"),
        (Select(i < n, x, const(0.0)), "select(i < n, x, 0.0)"),
        (cast(i, "float32") * 0.1, "float32(i) * 0.1"),
        (exp(x) / 2, "exp(x) / 2.0"),
        (x * -1.5, "x * -1.5"),
        (i * -3, "i * -3"),
        (Unary(Op.NEG, const(-3)), "--3"),
        (const(float("-inf")), "-inf"),
        (const(3, "int8"), "int8(3)"),
        (Const(0.5, FLOAT16), "float16(0.5)"),
        (const(1.5, BFLOAT16), "bfloat16(1.5)"),
        (const(True), "True"),
        (Reinterpret(x, INT32), "reinterpret(x, int32)"),
        (Load(buf, (i, j)), "A[i, j]"),
        (Load(Buffer("s", INT32, ()), ()), "s[()]"),
        (
            Load(buf, (i, lanes), lanes_below_n),
            "A[i, ramp(j, 1, 4), where=ramp(j, 1, 4) < broadcast(n, 4)]",
        ),
        (Var("i") + i + Var("i"), "i + i_1 + i_2"),
    ],
)  # fmt: skip
def test_expressions(e: Expr, text: str) -> None:
    assert expr_text(e) == str(e) == text


def test_reductions() -> None:
    a = tensor.placeholder((4, 8), name="A")
    k, m = tensor.reduce_axis(8, "k"), tensor.reduce_axis((2, 5), "m")
    total = reducers.sum(a[i, k] * 2.0, axis=k, where=k < n)
    assert str(total) == "sum(A[i, k] * 2.0 for k in range(0, 8) if k < n)"
    best = reducers.argmax(a[i, k], k)[1]
    assert str(best) == "argmax((k, A[i, k]) for k in range(0, 8))[1]"
    both = reducers.max(a[m, k], axis=[k, m])
    assert str(both) == "max(A[m, k] for k in range(0, 8) for m in range(2, 5))"


_LEAVES = [i, j, n, const(2), const(-5)]


@settings(deadline=None)
@given(
    st.recursive(
        st.sampled_from(_LEAVES),
        lambda sub: (
            st.builds(
                Binary,
                st.sampled_from(
                    [Op.ADD, Op.SUB, Op.MUL, Op.AND, Op.OR, Op.XOR, Op.SHL, Op.FLOORMOD]
                ),
                sub,
                sub,
            )
            | st.builds(Unary, st.sampled_from([Op.NEG, Op.NOT]), sub)
        ),
    )
)
def test_python_reads_the_text_as_the_same_tree(e: Expr) -> None:
    mirror = str(_mirror(e))  # first: it rejects constants that Python itself cannot fold
    back = eval(expr_text(e), {}, {"i": _P("i"), "j": _P("j"), "n": _P("n")})
    assert str(back) == mirror


class _P:
    """Records how Python parses an expression, fully bracketed."""

    def __init__(self, text: str):
        self.text = text

    def __str__(self) -> str:
        return self.text

    def _two(self, o: object, s: str) -> "_P":
        return _P(f"({self}{s}{o})")


for _name, _s in {"add": "+", "sub": "-", "mul": "*", "mod": "%", "and": "&", "or": "|", "xor": "^",
                  "lshift": "<<"}.items():  # fmt: skip
    setattr(_P, f"__{_name}__", lambda a, b, s=_s: a._two(b, s))
    setattr(_P, f"__r{_name}__", lambda a, b, s=_s: _P(f"({b}{s}{a})"))
_P.__neg__ = lambda a: _P(f"(-{a})")
_P.__invert__ = lambda a: _P(f"(~{a})")


def _mirror(e: Expr) -> object:
    """``e`` computed with the recorder; constants fold as Python folds them."""
    if isinstance(e, Const):
        return e.value
    if isinstance(e, Unary):
        a = _mirror(e.a)
        return -a if e.op is Op.NEG else ~a
    if isinstance(e, Binary):
        a, b = _mirror(e.a), _mirror(e.b)
        if not isinstance(a, _P) and not isinstance(b, _P):
            return _fold(e.op, a, b)
        return eval(f"a {e.op.value} b", {"a": a, "b": b})
    assert isinstance(e, Var)
    return _P(e.name)


def _fold(op: Op, a: int, b: int) -> int:
    if op is Op.SHL and (b < 0 or b > 64 or abs(a) > 2**64):
        reject()
    if op is Op.FLOORMOD and b == 0:
        reject()
    return eval(f"a {op.value} b", {"a": a, "b": b})


def _text(s: str) -> str:
    return textwrap.dedent(s).strip("\n")


def test_function() -> None:
    a = Buffer("A", FLOAT32, (n, const(24)), layout=None)
    b = Buffer("B", FLOAT32, (const(1), const(24)), layout=Layout.parse("NC16c", (1, 24)))
    acc = Buffer("acc", FLOAT32, (const(8),), scope="local")
    t, k, i2 = Var("t"), Var("k"), Var("i")
    store = Store(acc, (k,), Load(acc, (k,)) + Load(a, (i, k)))
    guarded = If(k < n, store, likely=True)
    loop = For(k, const(0), const(8), ForKind.UNROLLED, guarded)
    body = seq(
        Alloc(acc, seq(loop, Store(b, (const(0), i), Load(acc, (const(0),))))),
        Barrier(),
        For(i2, n, const(4), ForKind.VECTORIZED, Let(t, i2 * 2, Store(b, (const(0), t), x))),
    )
    nest = For(i, const(0), n, ForKind.PARALLEL, body, pragmas={"chunk": 4})
    f = Function("main", (a, b, n, x), nest, frozenset({b}), {"launch": {"threadIdx.x": 8}})
    assert (
        function_text(f)
        == str(f)
        == _text(
            """
        def main(
            A: float32[n, 24],
            B: float32[1, 24] as [a0:1 | a1/16:2 | a1:16],
            n: int32,
            x: float32,
        ) -> B:  # launch={'threadIdx.x': 8}
            for i in parallel(0, n):  # pragma chunk=4
                alloc acc: float32[8] in local:
                    for k in unrolled(0, 8):
                        if likely(k < n):
                            acc[k] = acc[k] + A[i, k]
                    B[0, i] = acc[0]
                barrier("shared")
                for i_1 in vectorized(n, n + 4):
                    let t = i_1 * 2
                    B[0, t] = x
        """
        )
    )


def test_bound_loop_branches_and_predicate() -> None:
    tx = Var("tx")
    four = Ramp(tx * 4, const(1), 4)
    mask = Broadcast(p, 4)
    store = Store(buf, (const(0), four), Broadcast(x, 4), mask)
    s = For(tx, const(0), const(2), ForKind.BOUND, If(p, store, Seq(())), tag="threadIdx.x")
    assert (
        stmt_text(s)
        == str(s)
        == _text(
            """
        for tx in bound("threadIdx.x", 0, 2):
            if p:
                A[0, ramp(tx * 4, 1, 4), where=broadcast(p, 4)] = broadcast(x, 4)
            else:
                pass
        """
        )
    )


def test_names_of_buffers_and_variables_do_not_collide() -> None:
    local = Buffer("A", dtype_of("int8"), (const(2),), scope="local")
    s = Alloc(local, Store(local, (const(0),), cast(Load(buf, (i, j)), "int8")))
    assert stmt_text(s) == _text(
        """
        alloc A: int8[2] in local
        A[0] = int8(A_1[i, j])
        """
    )


def test_every_node_has_a_text() -> None:
    """The printer knows nodes by name; what walks over them knows them by type."""
    assert {*printer._EXPR, *printer._STMT} == {node.__name__ for node in visit._CHILDREN}
