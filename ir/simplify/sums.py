"""Rewriting of scalar int32 arithmetic with linear forms.

Sums, products with constants, divisions by constants and comparisons of simplified operands are
taken apart into linear forms and built again. The splitting of quotients and remainders into a
part that divides and a part that stays below the divisor is the one that index simplifiers of loop
compilers share (Halide, TVM's canonical simplifier):

    (64*a + 16*b + c) // 16  ->  4*a + b        for 0 <= c < 16
    (64*a + 16*b + c) % 64   ->  16*(b % 4) + c
"""

from __future__ import annotations

from collections.abc import Callable
from math import fmod, gcd
from typing import TYPE_CHECKING

from ...runtime.dtype import INT32
from ..alu import Op
from ..expr import FALSE, TRUE, Binary, Const, Expr, Unary
from .linear import MANY, Linear, difference, total

if TYPE_CHECKING:  # the analyzer simplifies with these rules, and they simplify with the analyzer
    from .analyzer import Analyzer

_LIMIT = 2**31


def build(an: Analyzer, form: Linear) -> Expr | None:
    """The one expression of a linear form: positive terms, negative terms, constant. None when a
    coefficient does not fit into int32."""
    terms, constant = form
    key = (frozenset(terms.items()), constant)
    found = an.existing(key)
    if found is not None:
        return found
    if abs(constant) >= _LIMIT or any(abs(k) >= _LIMIT for k in terms.values()):
        return None
    node: Expr | None = None
    for t, k in terms.items():
        if k > 0:
            part = _scaled(an, t, k)
            node = part if node is None else an.raw(Op.ADD, node, part)
    rest = constant
    for t, k in terms.items():
        if k < 0:
            if node is None and constant:
                node, rest = an.const(constant, INT32), 0
            if node is not None:
                node = an.raw(Op.SUB, node, _scaled(an, t, -k))
            elif k == -1:
                node = an.node((Op.NEG, t), lambda t=t: Unary(Op.NEG, t))
            else:
                node = _scaled(an, t, k)
    if node is None:
        node = an.const(constant, INT32)
    elif rest:
        node = an.raw(Op.ADD if rest > 0 else Op.SUB, node, an.const(abs(rest), INT32))
    ordered = {t: k for t, k in terms.items() if k > 0} | terms
    an.linear_of[node] = Linear(ordered, constant)
    return an.settle(node, key)


def _scaled(an: Analyzer, t: Expr, k: int) -> Expr:
    return t if k == 1 else an.raw(Op.MUL, t, an.const(k, INT32))


# ---------------------------------------------------------------------- rewriting


def _sum(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    form = total(an.linear(a), an.linear(b), 1 if op is Op.ADD else -1)
    if len(form.terms) > MANY:
        return None
    if origin is not None:
        an.raw(op, a, b, origin)
    return build(an, _recombined(an, form))


def _recombined(an: Analyzer, form: Linear) -> Linear:
    """``k*c*(x // c) + k*(x % c)`` is ``k*x``."""
    if len(form.terms) < 2:
        return form
    for t, k in form.terms.items():
        if type(t) is Binary and t.op is Op.FLOORMOD and type(t.b) is Const and t.b.value:
            quotient = an.existing((Op.FLOORDIV, t.a, t.b))
            if quotient is not None and form.terms.get(quotient) == k * int(t.b.value):
                rest = {u: f for u, f in form.terms.items() if u is not t and u is not quotient}
                whole = total(Linear(rest, form.constant), an.linear(t.a), k)
                return _recombined(an, whole)
    return form


def negate(an: Analyzer, a: Expr, origin: Expr | None) -> Expr | None:
    """``-a`` for a simplified ``a``; None when a coefficient does not fit into int32."""
    if origin is not None:
        an.node((Op.NEG, a), lambda: origin, origin)
    return build(an, an.linear(a).times(-1))


def _product(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    if origin is not None:
        an.raw(op, a, b, origin)
    fa, fb = an.linear(a), an.linear(b)
    if not fb.terms:
        return build(an, fa.times(fb.constant))
    if not fa.terms:
        return build(an, fb.times(fa.constant))
    # Index arithmetic with a symbolic extent: (i + 1) * n -> i*n + n, so that terms can cancel.
    single = len(fb.terms) == 1 and fb.constant == 0
    if single and 1 < len(fa.terms) + bool(fa.constant) <= 4 and _indices(an, fa, fb):
        ((u, f),) = fb.terms.items()
        form = Linear({u: f * fa.constant} if fa.constant else {}, 0)
        for t, k in fa.terms.items():
            form = total(form, Linear({_times(an, t, u): k * f}, 0))
        return build(an, form)
    if len(fa.terms) == 1 and fa.constant == 0 and len(fb.terms) + bool(fb.constant) > 1:
        return _product(an, op, b, a, None) if _indices(an, fa, fb) else None
    return None


def _times(an: Analyzer, a: Expr, b: Expr) -> Expr:
    node = an.raw(Op.MUL, a, b)
    an.linear_of[node] = Linear({node: 1}, 0)
    return node


def _indices(an: Analyzer, *forms: Linear) -> bool:
    return all(an.index_like(t) for f in forms for t in f.terms)


def _floordiv(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    form = an.linear(a)
    if type(b) is not Const:
        return _by_symbol(an, op, form, b)
    c = int(b.value)
    if c <= 0 or not an.exact(form):
        return None
    if origin is not None:
        an.raw(op, a, b, origin)
    return build(an, quotient(an, form, c))


def _floormod(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    form = an.linear(a)
    if type(b) is not Const:
        return _by_symbol(an, op, form, b)
    c = int(b.value)
    if c <= 0 or not an.exact(form):
        return None
    if origin is not None:
        an.raw(op, a, b, origin)
    return build(an, _recombined(an, remainder(an, form, c)))


def _by_symbol(an: Analyzer, op: Op, form: Linear, b: Expr) -> Expr | None:
    """``(q*n + r) // n`` is ``q`` and ``% n`` is ``r`` where ``0 <= r < n`` can be shown."""
    if not an.index_like(b) or not an.exact(form):
        return None
    whole, rest = Linear({}, 0), Linear({}, form.constant)
    for t, k in form.terms.items():
        if t is b:
            whole = whole.plus(k)
        elif type(t) is Binary and t.op is Op.MUL and (t.a is b or t.b is b):
            whole = total(whole, an.linear(t.a if t.b is b else t.b), k)
        else:
            rest = total(rest, Linear({t: k}, 0))
    room = difference(an.linear(b), rest).plus(-1)
    if not (an.nonnegative(rest) and an.nonnegative(room)):
        return None
    return build(an, whole if op is Op.FLOORDIV else rest)


def _split(form: Linear, c: int) -> tuple[Linear, Linear]:
    """``form = c * whole + rest``; the constant of the rest has the sign of the form's."""
    r = int(fmod(form.constant, c))
    whole = {t: k // c for t, k in form.terms.items() if k % c == 0}
    rest = {t: k for t, k in form.terms.items() if k % c}
    return Linear(whole, (form.constant - r) // c), Linear(rest, r)


def _small(an: Analyzer, rest: Linear, c: int) -> tuple[int, Linear, Linear] | None:
    """``(g, big, small)`` with ``rest = g*big + small``, ``0 <= small < g``, and ``g`` a divisor of
    ``c``."""
    for g in sorted({gcd(k, c) for k in rest.terms.values()} - {1}, reverse=True):
        low = rest.constant % g
        small = Linear({t: k for t, k in rest.terms.items() if k % g}, low)
        least, most = an.lower(small), an.upper(small)
        if least is not None and most is not None and least >= 0 and most < g:
            big = {t: k // g for t, k in rest.terms.items() if k % g == 0}
            return g, Linear(big, (rest.constant - low) // g), small
    return None


def quotient(an: Analyzer, form: Linear, c: int) -> Linear:
    """``form // c`` for ``c > 0``."""
    whole, rest = _split(form, c)
    low, high = an.lower(rest), an.upper(rest)
    if low is not None and high is not None and low // c == high // c:
        return whole.plus(low // c)
    part = _small(an, rest, c)
    if part is not None:  # floor((g*big + small) / (g*d)) = floor(big / d)
        g, big, _ = part
        return total(whole, quotient(an, big, c // g))
    if len(rest.terms) == 1:
        ((t, k),) = rest.terms.items()
        if k == 1 and type(t) is Binary and t.op is Op.FLOORDIV and type(t.b) is Const:
            d = int(t.b.value)
            if d > 0 and c * d < _LIMIT:  # (x // d + r) // c = (x + r*d) // (c*d)
                return total(whole, quotient(an, an.linear(t.a).plus(rest.constant * d), c * d))
    node = _atom(an, Op.FLOORDIV, rest, c)
    return total(whole, node)


def remainder(an: Analyzer, form: Linear, c: int) -> Linear:
    """``form % c`` for ``c > 0``."""
    for t, k in form.terms.items():
        if k % c and type(t) is Binary and t.op is Op.FLOORMOD and type(t.b) is Const:
            d = int(t.b.value)
            if d > 0 and k * d % c == 0:  # k*(x % d) and k*x differ by a multiple of k*d
                return remainder(an, form.replace(t, an.linear(t.a)), c)
    reduced = {t: int(fmod(k, c)) for t, k in form.terms.items() if k % c}
    rest = Linear(reduced, int(fmod(form.constant, c)))
    low, high = an.lower(rest), an.upper(rest)
    if low is not None and high is not None and low // c == high // c:
        return rest.plus(-(low // c) * c)
    part = _small(an, rest, c)
    if part is not None:  # (g*big + small) % (g*d) = g*(big % d) + small
        g, big, small = part
        return total(remainder(an, big, c // g).times(g), small)
    return _atom(an, Op.FLOORMOD, rest, c)


def _atom(an: Analyzer, op: Op, rest: Linear, c: int) -> Linear:
    inner = build(an, rest)
    assert inner is not None  # its coefficients are below c or were in the operand
    node = an.raw(op, inner, an.const(c, INT32))
    an.settle(node)
    return Linear({node: 1}, 0)


# ---------------------------------------------------------------------- order


def distance(an: Analyzer, a: Expr, b: Expr) -> Linear | None:
    """``b - a``, when neither side may have wrapped."""
    x, y = an.linear(a), an.linear(b)
    return difference(y, x) if an.exact(x) and an.exact(y) else None


def _extremum(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    d = distance(an, a, b)
    if d is None:
        return None
    if an.nonnegative(d):
        return a if op is Op.MIN else b
    if an.nonnegative(d.times(-1)):
        return b if op is Op.MIN else a
    return None


def _order(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    d = distance(an, a, b)  # a < b is d >= 1, a <= b is d >= 0
    if d is None:
        return None
    slack = d.plus(-1) if op is Op.LT else d
    if an.nonnegative(slack):
        return TRUE
    if an.nonnegative(slack.times(-1).plus(-1)):
        return FALSE
    g = gcd(*slack.terms.values())
    slack = Linear({t: k // g for t, k in slack.terms.items()}, slack.constant // g)
    part = _small(an, slack, 0)
    if part is not None:  # g*big + small >= 0 is big >= 0: what is left out decides nothing
        slack = part[1]
    return _compared(an, op, slack.plus(1) if op is Op.LT else slack, a, b, origin)


def _equality(an: Analyzer, op: Op, a: Expr, b: Expr, origin: Expr | None) -> Expr | None:
    d = distance(an, a, b)
    if d is None:
        return None
    if not d.terms:
        return TRUE if (d.constant == 0) == (op is Op.EQ) else FALSE
    g = gcd(*d.terms.values())
    apart = an.nonnegative(d.plus(-1)) or an.nonnegative(d.times(-1).plus(-1))
    if d.constant % g or apart:
        return FALSE if op is Op.EQ else TRUE
    if all(k > 0 for k in d.terms.values()):  # i == 3, not 3 == i
        d = d.times(-1)
    reduced = Linear({t: k // g for t, k in d.terms.items()}, d.constant // g)
    return _compared(an, op, reduced, a, b, origin)


def _compared(
    an: Analyzer, op: Op, d: Linear, a: Expr, b: Expr, origin: Expr | None
) -> Expr | None:
    """``0 op d`` as ``left op right`` without negative terms; the constant is on the right, or on
    the left where that would be bare."""
    left = Linear({t: -k for t, k in d.terms.items() if k < 0}, 0)
    right = Linear({t: k for t, k in d.terms.items() if k > 0}, d.constant)
    if not left.terms:
        left, right = Linear({}, -d.constant), right._replace(constant=0)
    x, y = build(an, left), build(an, right)
    if x is None or y is None:
        return None
    return an.settle(an.raw(op, x, y, origin if x is a and y is b else None))


Rewrite = Callable[["Analyzer", Op, Expr, Expr, Expr | None], Expr | None]
REWRITE: dict[Op, Rewrite] = {
    Op.ADD: _sum,
    Op.SUB: _sum,
    Op.MUL: _product,
    Op.FLOORDIV: _floordiv,
    Op.FLOORMOD: _floormod,
    Op.MIN: _extremum,
    Op.MAX: _extremum,
    Op.LT: _order,
    Op.LE: _order,
    Op.EQ: _equality,
    Op.NE: _equality,
}
