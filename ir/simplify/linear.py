"""Linear forms of scalar integers: ``sum(coefficient * term) + constant``.

A term is a variable or any expression that is not itself a sum. :func:`of_node` is the one analysis
that finds them: the analyzer applies it to simplified nodes and keeps what it finds,
:func:`linear_form` and :func:`stride` apply it to an expression as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..alu import Op
from ..expr import Binary, Const, Expr, Unary, Var
from ..visit import walk

MANY = 32  # longer sums are data, not indices: they are left as they are


class Linear(NamedTuple):
    """``sum(k * t for t, k in terms.items()) + constant``; no ``k`` is 0."""

    terms: dict[Expr, int]
    constant: int

    def plus(self, c: int) -> Linear:
        """This and a constant."""
        return Linear(self.terms, self.constant + c)

    def times(self, c: int) -> Linear:
        """This ``c`` times."""
        return Linear({t: k * c for t, k in self.terms.items()} if c else {}, self.constant * c)

    def replace(self, term: Expr, form: Linear) -> Linear:
        """This with ``form`` for ``term``."""
        k = self.terms[term]
        rest = {t: f for t, f in self.terms.items() if t is not term}
        return total(Linear(rest, self.constant), form, k)


def total(a: Linear, b: Linear, scale: int = 1) -> Linear:
    """``a + scale * b``."""
    terms = dict(a.terms)
    for t, k in b.terms.items():
        n = terms.get(t, 0) + k * scale
        if n:
            terms[t] = n
        else:
            terms.pop(t, None)
    return Linear(terms, a.constant + scale * b.constant)


def difference(a: Linear, b: Linear) -> Linear:
    """``a - b``."""
    return total(a, b, -1)


def of_node(e: Expr, of: Callable[[Expr], Linear]) -> Linear:
    """The linear form of an integer node, whose operands have the forms ``of(operand)``."""
    form = None
    if type(e) is Const:
        form = Linear({}, int(e.value))
    elif type(e) is Binary:
        if e.op is Op.ADD or e.op is Op.SUB:
            form = total(of(e.a), of(e.b), 1 if e.op is Op.ADD else -1)
        elif e.op is Op.MUL and type(e.b) is Const:
            form = of(e.a).times(int(e.b.value))
        elif e.op is Op.MUL and type(e.a) is Const:
            form = of(e.b).times(int(e.a.value))
    elif type(e) is Unary and e.op is Op.NEG:
        form = of(e.a).times(-1)
    if form is None or len(form.terms) > MANY:
        form = Linear({e: 1}, 0)
    return form


def linear_form(e: Expr) -> Linear:
    """The linear form of a scalar integer as it stands, which need not be simplified."""
    known: dict[Expr, Linear] = {}

    def of(x: Expr) -> Linear:
        form = known.get(x)
        if form is None:
            form = known[x] = of_node(x, of)
        return form

    return of(e)


def stride(e: Expr, v: Var) -> int | None:
    """How much the scalar integer ``e`` grows per step of ``v`` where it is linear in it, else
    None; 0 where ``v`` does not occur."""
    form = linear_form(e)
    if any(t is not v and any(n is v for n in walk(t)) for t in form.terms):
        return None
    return form.terms.get(v, 0)
