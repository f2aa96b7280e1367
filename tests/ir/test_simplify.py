"""Every rewrite rule, linear arithmetic and statement simplification against the interpreter."""

import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.counting import calls
from weft.ir.alu import COMPARE, INT_ONLY, LOGIC, Op
from weft.ir.builders import equal, maximum, minimum, not_equal
from weft.ir.expr import (
    FALSE,
    TRUE,
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Ramp,
    Select,
    Unary,
    Var,
    const,
)
from weft.ir.meaning.interp import value_of
from weft.ir.simplify import Analyzer, Interval, linear_form, simplify, stride
from weft.ir.simplify.rules import RULES, Any_, Apply, Choose, Literal, Pattern, Rule
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, If, Let, Seq, Stmt, Store, seq
from weft.ir.visit import walk
from weft.runtime.dtype import BOOL, FLOAT32, INT8, INT32, DType, dtype_of

i, j, k, n = Var("i"), Var("j"), Var("k"), Var("n")
co, ci = Var("co"), Var("ci")
buf = Buffer("A", FLOAT32, (const(1024),))


def same(a, b) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind != "f":
        return a.shape == b.shape and bool((a == b).all())
    # Bit for bit, but all NaNs are one: IEEE leaves sign and payload of a NaN open.
    bits = f"u{a.itemsize}"
    return bool(((a.view(bits) == b.view(bits)) | (np.isnan(a) & np.isnan(b))).all())


# ---------------------------------------------------------------------- the rule table

_TYPES = {
    "int": ["int8", "int32", "uint8", "uint32", "int64"],
    "float": ["float32", "float64", "float16"],
    "bool": ["bool"],
}
_TYPES["any"] = ["int8", "float32", "bool"]


def _values(d: DType) -> list:
    if d.is_bool:
        return [False, True]
    if d.is_float:
        inf, nan = float("inf"), float("nan")
        return [0.0, -0.0, 1.0, -1.5, 3.0, float(d.max), -float(d.max), inf, -inf, nan]
    near = [0, 1, 2, 3, 7, 100]
    low = [-1, -2, -7] if d.kind == "int" else []
    return [*near, *low, int(d.min), int(d.min) + 1, int(d.max), int(d.max) - 1]


def _letters(p: Pattern) -> dict[str, Any_]:
    if isinstance(p, Any_):
        return {p.name: p}
    if isinstance(p, Apply | Choose):
        return {k: v for q in p.args for k, v in _letters(q).items()}
    return {}


def _instance(p: Pattern, letters: dict[str, Expr], d: DType) -> Expr:
    """The raw expression that a pattern stands for, with operands of type ``d``."""
    if isinstance(p, Any_):
        return letters[p.name]
    if isinstance(p, Literal):
        return const(p.value, d)
    if isinstance(p, Choose):
        c, t, f = p.args
        return Select(_instance(c, letters, BOOL), *(_instance(q, letters, d) for q in (t, f)))
    assert isinstance(p, Apply)
    args = [_instance(q, letters, d) for q in p.args]
    if len(args) == 1:
        return Unary(p.op, args[0])
    return Binary(p.op, *args)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{RULES.index(r)}-{r.domain}")
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rule_is_exact(rule: Rule, data: st.DataObject) -> None:
    """Both sides of a rule are equal for any values of its letters."""
    for name in _TYPES[rule.domain]:
        d = dtype_of(name)
        letters: dict[str, Expr] = {}
        env: dict[Var, object] = {}
        for letter, p in _letters(rule.pattern).items():
            t = BOOL if letter == "c" else d
            value = data.draw(st.sampled_from(_values(t)), label=letter)
            if p.constant:
                letters[letter] = const(value, t)
            else:
                v = letters[letter] = Var(letter, t)
                env[v] = value
        left = _instance(rule.pattern, letters, d)
        compares = not left.dtype.is_bool or isinstance(rule.result, Literal)
        right = _instance(rule.result, letters, left.dtype if compares else d)
        want = value_of(left, env)
        assert same(want, value_of(right, env)), (str(left), str(right), env)
        found = simplify(left)
        assert same(want, value_of(found, env)) or _index_overflow(left), (str(left), str(found))


def _index_overflow(e: Expr) -> bool:
    """int32 arithmetic on variables is index arithmetic and may be taken not to overflow."""
    return any(n.dtype == INT32 for n in walk(e)) and any(
        isinstance(n, Binary) and (n.op in COMPARE or n.op in (Op.MIN, Op.MAX, Op.FLOORMOD))
        for n in walk(e)
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{RULES.index(r)}-{r.domain}")
def test_rule_fires(rule: Rule) -> None:
    """The simplifier makes the left side smaller, or no longer that."""
    d = dtype_of(_TYPES[rule.domain][0])
    letters: dict[str, Expr] = {
        name: const(3, d) if p.constant else Var(name, BOOL if name == "c" else d)
        for name, p in _letters(rule.pattern).items()
    }
    left = _instance(rule.pattern, letters, d)
    found = simplify(left)
    assert found is not left
    assert len(list(walk(found))) <= len(list(walk(left)))


# ---------------------------------------------------------------------- random expressions

_BOUNDS = {i: (-3, 20), j: (0, 7), k: (5, 5), n: (1, 40)}


def _ints() -> st.SearchStrategy[Expr]:
    small = st.integers(-9, 20).map(const)
    leaf = st.sampled_from([i, j, k, n]) | small
    ops = [Op.ADD, Op.SUB, Op.MUL, Op.FLOORDIV, Op.FLOORMOD, Op.MIN, Op.MAX, Op.TRUNCDIV]

    def grow(sub: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        two = st.builds(Binary, st.sampled_from(ops), sub, sub)
        scaled = st.builds(
            Binary, st.sampled_from([Op.MUL, Op.FLOORDIV, Op.FLOORMOD]), sub,
            st.sampled_from([1, 2, 3, 4, 8, 12, 16]).map(const),
        )  # fmt: skip
        cond = st.builds(Binary, st.sampled_from(sorted(COMPARE, key=str)), sub, sub)
        logic = st.builds(Binary, st.sampled_from(sorted(LOGIC, key=str)), cond, cond)
        neither = (cond | logic).map(lambda c: Unary(Op.NOT, c))
        choice = st.builds(Select, cond | logic | neither, sub, sub)
        return two | scaled | scaled | choice | sub.map(lambda e: Unary(Op.NEG, e))

    return st.recursive(leaf, grow, max_leaves=12)


def _fits(e: Expr, env: dict) -> bool:
    """Whether no int32 operation overflows: computed in int64 by the interpreter."""
    from weft.ir.visit import Mutator

    class Wide(Mutator):
        def visit_Const(self, c: Const) -> Expr:
            return const(c.value, "int64") if c.dtype == INT32 else c

        def visit_Var(self, v: Var) -> Expr:
            return wide[v]

    wide = {v: Var(v.name, dtype_of("int64")) for v in env}
    values = {wide[v]: x for v, x in env.items()}
    parts = [x for x in walk(Wide()(e)) if isinstance(x, Expr)]
    return all(abs(int(value_of(x, values))) < 2**31 for x in parts)


@settings(max_examples=600, deadline=None)
@given(_ints(), st.data())
def test_random_index_expressions(e: Expr, data: st.DataObject) -> None:
    an = Analyzer()
    for v, (lo, hi) in _BOUNDS.items():
        an.bind(v, lo, hi)
    found = an.simplify(e)
    span = an.interval(e)
    assert an.simplify(found) is found
    assert simplify(found, _bound_analyzer()) is found
    for _ in range(4):
        env = {v: data.draw(st.integers(lo, hi)) for v, (lo, hi) in _BOUNDS.items()}
        if not _fits(e, env):
            continue
        want = int(value_of(e, env))
        assert int(value_of(found, env)) == want, (str(e), str(found), env)
        assert (span.lo is None or span.lo <= want) and (span.hi is None or want <= span.hi)


def _bound_analyzer() -> Analyzer:
    an = Analyzer()
    for v, (lo, hi) in _BOUNDS.items():
        an.bind(v, lo, hi)
    return an


@settings(max_examples=200, deadline=None)
@given(_ints(), _ints(), st.sampled_from(sorted(COMPARE, key=str)), st.data())
def test_what_is_proved_is_true(a: Expr, b: Expr, op: Op, data: st.DataObject) -> None:
    cond = Binary(op, a, b)
    proved = _bound_analyzer().prove(cond)
    env = {v: data.draw(st.integers(lo, hi)) for v, (lo, hi) in _BOUNDS.items()}
    if proved and _fits(cond, env):
        assert value_of(cond, env), (str(cond), env)


_NARROW = ["int8", "uint8", "int16", "int64"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(_NARROW), st.data())
def test_other_integers_wrap_exactly(name: str, data: st.DataObject) -> None:
    d = dtype_of(name)
    x, y = Var("x", d), Var("y", d)
    leaf = st.sampled_from([x, y]) | st.sampled_from(_values(d)).map(lambda v: const(v, d))
    ops = sorted((set(INT_ONLY) | set(LOGIC) | {Op.ADD, Op.SUB, Op.MUL, Op.MIN, Op.MAX}), key=str)
    e = data.draw(
        st.recursive(leaf, lambda s: st.builds(Binary, st.sampled_from(ops), s, s), max_leaves=8)
    )
    env = {x: data.draw(st.sampled_from(_values(d))), y: data.draw(st.sampled_from(_values(d)))}
    an = Analyzer()
    found, span = an.simplify(e), an.interval(e)
    want = value_of(e, env)
    assert same(value_of(found, env), want), (str(e), str(found))
    assert span.lo is not None and span.hi is not None and span.lo <= want <= span.hi


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_vectors(data: st.DataObject) -> None:
    lanes = 4
    scalar = st.sampled_from([i, j, n, i * 4, j * 8 + 3, i * 2 + j]) | st.integers(-4, 9).map(const)
    stride = st.integers(-2, 8).map(const)
    leaf = st.builds(Ramp, scalar, stride, st.just(lanes)) | scalar.map(
        lambda s: Broadcast(s, lanes)
    )
    ops = [Op.ADD, Op.SUB, Op.MUL, Op.FLOORDIV, Op.FLOORMOD, Op.MIN, Op.MAX]
    by = st.sampled_from([1, 2, 4, 8]).map(lambda c: Broadcast(const(c), lanes))

    def grow(s: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        return st.builds(Binary, st.sampled_from(ops), s, s) | st.builds(
            Binary, st.sampled_from([Op.FLOORDIV, Op.FLOORMOD]), s, by
        )

    e = data.draw(st.recursive(leaf, grow, max_leaves=5))
    if data.draw(st.booleans()):
        other = data.draw(leaf)
        e = Select(Binary(Op.LT, e, other), e, other)
    an = _bound_analyzer()
    found, span = an.simplify(e), an.interval(e)
    assert found.dtype == e.dtype
    assert an.simplify(found) is found
    env = {v: data.draw(st.integers(lo, hi)) for v, (lo, hi) in _BOUNDS.items()}
    want = value_of(e, env)
    assert same(value_of(found, env), want), (str(e), str(found), env)
    assert (span.lo is None or span.lo <= want.min()) and (span.hi is None or want.max() <= span.hi)


# ---------------------------------------------------------------------- named cases


def _an() -> Analyzer:
    an = Analyzer()
    an.bind(co, 0, 3)
    an.bind(ci, 0, 15)
    an.bind(j, 0, 7)
    an.bind(i, 0, n - 1)
    return an


@pytest.mark.parametrize(
    ("e", "text"),
    [
        ((co * 16 + ci) // 16, "co"),
        ((co * 16 + ci) % 16, "ci"),
        ((co * 16 + ci) // 4, "co * 4 + ci // 4"),
        ((co * 16 + ci) % 64, "co * 16 + ci"),
        ((k * 64 + co * 16 + ci) // 16, "k * 4 + co"),
        ((k * 16 + ci) % 64, "k % 4 * 16 + ci"),
        ((i * 8 + j) // 4, "i * 2 + j // 4"),
        ((i * 8 + j) % 4, "j % 4"),
        ((k + 8) // 4, "k // 4 + 2"),
        ((k * 4 + 6) // 8, "(k + 1) // 2"),
        (k // 4 // 3, "k // 12"),
        (k % 8 % 4, "k % 4"),
        ((k % 8 * 3 + 8) % 8, "k * 3 % 8"),
        (k // 4 * 4 + k % 4, "k"),
        ((k * 16 + ci) // 4 * 4 + (k * 16 + ci) % 4, "k * 16 + ci"),
        (k - k, "0"),
        ((k + j) - (j + k), "0"),
        (minimum(k, k + 3), "k"),
        (maximum(co, 5), "5"),
        (minimum(ci, 15), "ci"),
        ((k + 1) * 4 - 4, "k * 4"),
        ((k + 1) * n - n, "k * n"),
        (5 - k + 2, "7 - k"),
        (-(k - 3), "3 - k"),
        (i < n, "True"),
        (i + 1 <= n, "True"),
        (n <= i, "False"),
        (i * 4 + 3 < n * 4, "True"),
        (k + 3 < n + 5, "k < n + 2"),
        (k * 4 < 18, "k < 5"),
        (k - 2 >= 0, "2 <= k"),
        (co * 16 + ci < 64, "True"),
        (co * 16 + ci < 63, "co * 16 + ci < 63"),
        (k * 16 + ci < 48, "k < 3"),
        (k * 16 + ci > 47, "2 < k"),
        (k * 32 + i * 16 + ci < n * 16, "k * 2 + i < n"),
        (k * 16 + ci < 47, "k * 16 + ci < 47"),
        (equal(k * 2, n * 2 + 1), "False"),
        (not_equal(co, 4), "True"),
        (Select(ci < 16, k, n), "k"),
        ((co < 9) & (k < 2), "k < 2"),
        (~(k < 2), "2 <= k"),
        ((i * 3 + 2) % 3, "2"),
        (Cast(Cast(const(300), INT8), INT32), "44"),
    ],
)  # fmt: skip
def test_scalar_texts(e: Expr, text: str) -> None:
    an = _an()
    found = an.simplify(e)
    assert str(found) == text
    assert an.simplify(found) is found


def b4(e: Expr) -> Expr:
    return Broadcast(e, 4)


@pytest.mark.parametrize(
    ("e", "text"),
    [
        (Ramp(k, const(1), 4) + b4(n), "ramp(k + n, 1, 4)"),
        (b4(n) - Ramp(k, const(1), 4), "ramp(n - k, -1, 4)"),
        (Ramp(k, const(1), 4) * b4(const(8)), "ramp(k * 8, 8, 4)"),
        (Ramp(k, const(1), 4) - Ramp(n, const(1), 4), "broadcast(k - n, 4)"),
        (b4(k) * b4(n), "broadcast(k * n, 4)"),
        (Ramp(k * 4, const(1), 4) // b4(const(4)), "broadcast(k, 4)"),
        (Ramp(k * 4, const(1), 4) % b4(const(4)), "ramp(0, 1, 4)"),
        (Ramp(k * 4, const(4), 4) // b4(const(4)), "ramp(k, 1, 4)"),
        (Ramp(k, const(1), 4) // b4(const(4)), "ramp(k, 1, 4) // broadcast(4, 4)"),
        (Binary(Op.LT, Ramp(ci, const(1), 4), b4(const(19))), "broadcast(True, 4)"),
        (Binary(Op.LT, Ramp(i * 4, const(1), 4), b4(n * 4)), "broadcast(True, 4)"),
        (minimum(Ramp(ci, const(1), 4), b4(const(18))), "ramp(ci, 1, 4)"),
        (Select(b4(TRUE), Ramp(k, const(1), 4), b4(n)), "ramp(k, 1, 4)"),
        (Ramp(k, const(0), 4), "broadcast(k, 4)"),
        (Load(buf, (b4(k),)), "broadcast(A[k], 4)"),
        (Load(buf, (Ramp(k, const(1), 4),), b4(TRUE)), "A[ramp(k, 1, 4)]"),
        (Load(buf, (Ramp(k, const(1), 4),), b4(FALSE)), "broadcast(0.0, 4)"),
        (Call("exp", (b4(Load(buf, (k,))),), FLOAT32.with_lanes(4)), "broadcast(exp(A[k]), 4)"),
        (Cast(b4(k), FLOAT32.with_lanes(4)), "broadcast(float32(k), 4)"),
    ],
)  # fmt: skip
def test_vector_texts(e: Expr, text: str) -> None:
    found = _an().simplify(e)
    assert str(found) == text
    assert found.dtype == e.dtype


def test_data_wraps_and_is_not_taken_for_an_index() -> None:
    ints = Buffer("D", INT32, (const(4),))
    x = Load(ints, (k,))
    assert str(simplify(x + 1 < x)) == "D[k] + 1 < D[k]"
    assert str(simplify((x * 4) // 4)) == "D[k] * 4 // 4"
    assert str(simplify(x + 1 - x)) == "1"
    small = Cast(Load(Buffer("B", INT8, (const(4),)), (k,)), INT32)
    assert str(simplify((small * 4) // 4)) == "int32(B[k])"
    assert Analyzer().interval(small * 3) == Interval(-384, 381)


def test_floats_keep_their_zeros_and_nans() -> None:
    x = Var("x", FLOAT32)
    for e in (x + 0.0, x - 0.0, x * 0.0, x - x, 0.0 / x, equal(x, x), x / x):
        assert type(simplify(e)) is Binary
    assert simplify(x * 1.0) is x
    assert str(simplify(const(2.0) * 3.0 + x)) == "6.0 + x"


def test_rebinding_forgets() -> None:
    an = Analyzer()
    an.bind(k, 0, 3)
    assert an.prove(k < 4)
    an.bind(k, 0, 9)
    assert not an.prove(k < 4)
    with an.bound(k, 0, 1):
        assert an.prove(k < 2)
    assert not an.prove(k < 2)
    with an.assuming((k < n) & (n <= 6)):
        assert an.prove(k < n)
        assert an.prove(k <= n + 1)
        assert an.prove(n < 7)
    assert not an.prove(k < n)
    with an.assuming(k >= 3):
        assert an.prove(n - 17 * k <= n - 51)  # seventeen times what is known
        assert not an.prove(n - 17 * k <= n - 52)


def test_linear() -> None:
    e = (k * 4 + j) * 2 - n + 3
    assert linear_form(e).terms == {k: 8, j: 2, n: -1}
    assert linear_form(e).constant == 3
    assert stride(e, k) == 8
    assert stride(5 * e, n) == -5
    assert stride(k // 2 + j, k) is None
    assert stride(k // 2 + j, j) == 1
    assert stride(k * j, n) == 0
    assert stride(k * j, k) is None


# ---------------------------------------------------------------------- statements


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
    count = len(list(walk(body)))
    assert count > 1600
    simplify(body)  # tables of rules are built once
    found, steps = calls(simplify, body)
    assert steps < 15 * count  # 8 of them
    assert simplify(found) is found
