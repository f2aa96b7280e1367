"""Every rewrite rule against the interpreter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import edge_values, same
from weft.ir.alu import COMPARE, Op
from weft.ir.expr import (
    Binary,
    Expr,
    Select,
    Unary,
    Var,
    const,
)
from weft.ir.meaning.interp import value_of
from weft.ir.simplify import simplify
from weft.ir.simplify.rules import RULES, Any_, Apply, Choose, Literal, Pattern, Rewrite
from weft.ir.visit import walk
from weft.runtime.dtype import BOOL, INT32, DType, dtype_of

_TYPES = {
    "int": ["int8", "int32", "uint8", "uint32", "int64"],
    "float": ["float32", "float64", "float16"],
    "bool": ["bool"],
}
_TYPES["any"] = ["int8", "float32", "bool"]


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
def test_rule_is_exact(rule: Rewrite, data: st.DataObject) -> None:
    """Both sides of a rule are equal for any values of its letters."""
    for name in _TYPES[rule.domain]:
        d = dtype_of(name)
        letters: dict[str, Expr] = {}
        env: dict[Var, object] = {}
        for letter, p in _letters(rule.pattern).items():
            t = BOOL if letter == "c" else d
            value = data.draw(st.sampled_from(edge_values(t)), label=letter)
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
def test_rule_fires(rule: Rewrite) -> None:
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
