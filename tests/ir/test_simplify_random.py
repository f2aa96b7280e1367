"""Random expressions, simplified and bounded, against the interpreter."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import edge_values, same
from weft.ir.alu import COMPARE, INT_ONLY, LOGIC, Op
from weft.ir.expr import (
    Binary,
    Broadcast,
    Const,
    Expr,
    Ramp,
    Select,
    Unary,
    Var,
    const,
)
from weft.ir.meaning.interp import value_of
from weft.ir.simplify import Analyzer, simplify
from weft.ir.visit import Mutator, walk
from weft.runtime.dtype import INT32, dtype_of

i, j, k, n = Var("i"), Var("j"), Var("k"), Var("n")

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
    leaf = st.sampled_from([x, y]) | st.sampled_from(edge_values(d)).map(lambda v: const(v, d))
    ops = sorted((set(INT_ONLY) | set(LOGIC) | {Op.ADD, Op.SUB, Op.MUL, Op.MIN, Op.MAX}), key=str)
    e = data.draw(
        st.recursive(leaf, lambda s: st.builds(Binary, st.sampled_from(ops), s, s), max_leaves=8)
    )
    env = {
        x: data.draw(st.sampled_from(edge_values(d))),
        y: data.draw(st.sampled_from(edge_values(d))),
    }
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
