"""verify: every rule has a loop nest that breaks it."""

import pytest
from weft.ir.expr import Call, Const, Load, Ramp, Read, Var, const
from weft.ir.layout import Layout
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, If, Let, Store, seq
from weft.ir.tensor import placeholder
from weft.ir.verify import verify
from weft.runtime.dtype import BOOL, FLOAT32, INT32, INT64
from weft.runtime.errors import LoweringError

i, j = Var("i"), Var("j")
A, B = (Buffer(n, FLOAT32, (const(8),)) for n in "AB")
M = Buffer("M", FLOAT32, (const(2), const(4)))
Z, ONE = const(0), const(1.0)
R = Ramp(Z, const(1), 4)


def f(body, *params, writes=(B, M)):
    params = params or (A, B, M)
    return Function("f", params, body, frozenset(w for w in writes if w in params))


def loop(body, v=i, n=None, kind=ForKind.SERIAL, tag=""):
    return For(v, Z, const(8) if n is None else n, kind, body, tag)


STORE = Store(B, (i,), Load(A, (i,)))
GOOD = [
    loop(STORE),
    seq(loop(STORE), loop(STORE)),  # the same variable one after the other
    Store(B, (R,), Load(A, (R,))),
    Let(i, const(3), If(i < 4, STORE)),
    Alloc(Buffer("T", FLOAT32, (const(4),), "local"), STORE.__class__(B, (Z,), ONE)),
    Store(M, (Z, Z), ONE),
]
BAD = [
    (STORE, "variable i is used where it is not defined"),
    (loop(loop(STORE)), "variable i is defined twice"),
    (seq(loop(STORE), STORE), "variable i is used where"),
    (Let(i, i + 1, STORE), "variable i is used where"),
    (Let(i, const(0, INT64), STORE), "i: int32 stands for a value of type int64"),
    (Store(A, (Z,), ONE), "A is written, but is neither a result nor allocated"),
    (Store(Buffer("T", FLOAT32, (const(4),)), (Z,), ONE), "T is written, but"),
    (Store(B, (Z,), Load(Buffer("T", FLOAT32, (const(4),)), (Z,))), "T is used where it does not"),
    (Store(B, (Z, Z), ONE), "has 1 axes and is accessed with 2"),
    (Store(B, (R,), ONE), "float32 is stored at 4 elements"),
    (Store(B, (Z,), Load(A, (R,))), "float32x4 is stored at 1 elements"),
    (Store(B, (ONE,), ONE), "index of B is float32"),
    (Store(M, (R, Z), Load(M, (R, Z))), "only the last index of M may be a vector"),
    (Store(B, (R,), Load(A, (R,)), Const(True, BOOL)), "predicate of 4 elements of B is bool"),
    (Store(B, (Z,), Load(A, (Z,), ONE)), "predicate of 1 elements of A is float32"),
    (If(ONE, Store(B, (Z,), ONE)), "condition of an if is float32"),
    (loop(STORE, n=const(8, INT64)), "extent of a loop over i: int32 is int64"),
    (loop(STORE, tag="threadIdx.x"), "bound loop has a tag, and no other has"),
    (Store(B, (Z,), Call("sine", (ONE,), FLOAT32)), "sine with 1 arguments is not an intrinsic"),
    (Store(B, (Z,), Read(placeholder((4,)), (Z,))), "Read belongs to tensor expressions"),
    (Alloc(B, Store(B, (Z,), ONE)), "buffer B is allocated twice"),
    (Store(B, (Ramp(Z, const(1), 1),), ONE), "ramp has 2 or more lanes"),
]
NOT_FLAT = [
    (loop(STORE, kind=ForKind.VECTORIZED), "vectorized loop i was left over"),
    (loop(STORE, kind=ForKind.UNROLLED), "unrolled loop i was left over"),
    (Alloc(Buffer("T", FLOAT32, (const(2), const(2))), loop(STORE)), "T.* is not flat"),
    (
        Alloc(Buffer("T", FLOAT32, (const(4),), layout=Layout.row_major((4,))), loop(STORE)),
        "T.* is not flat",
    ),
]


@pytest.mark.parametrize("body", GOOD)
def test_good(body):
    verify(f(body), flat=False)


@pytest.mark.parametrize("body, message", BAD)
def test_bad(body, message):
    with pytest.raises(LoweringError, match=message):
        verify(f(body), flat=False)


@pytest.mark.parametrize("body, message", NOT_FLAT)
def test_not_flat(body, message):
    verify(f(body), flat=False)
    with pytest.raises(LoweringError, match=message):
        verify(f(body, A, B), flat=True)


def test_parameters():
    with pytest.raises(LoweringError, match="parameter A is given twice"):
        verify(Function("f", (A, A), loop(Store(A, (i,), ONE)), frozenset({A})), flat=True)
    with pytest.raises(LoweringError, match="what is written must be a parameter"):
        verify(Function("f", (A,), seq(), frozenset({B})), flat=True)
    n = Var("n")
    with pytest.raises(LoweringError, match="variable n is used where"):
        verify(Function("f", (Buffer("C", INT32, (n,)),), seq(), frozenset()), flat=True)


def test_names_the_pass_and_prints_the_statement():
    with pytest.raises(LoweringError) as e:
        verify(f(loop(loop(STORE, v=j, n=Var("m")))), flat=False, after="unroll")
    assert "verify f after unroll" in str(e.value) and "for j in range(0, m):" in str(e.value)
