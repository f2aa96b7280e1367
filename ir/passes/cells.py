"""Whose cells of shared memory are whose: proofs that no two threads meet in a cell.

An address is a number whose digits are the hardware indices and the loops around it:

    S[tx + q * 16]      q in 0..3, tx in 0..15:  tx and q follow from the address
    S[(q * 16 + tx) // 5 * 8 + (q * 16 + tx) % 5]:  so does q * 16 + tx, hence both

Two accesses meet where their addresses are equal. The difference of the two is a sum of bounded
integers, ``sum(c_j * d_j) + c = 0``, one for each digit that they have in common; where ``d_j = 0``
in every solution, both have the same value of that digit (mixed radix, made an exact search). If
that holds for all hardware indices, it is the same thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ..alu import Op
from ..expr import Binary, Broadcast, Expr, Ramp, Var, as_int, const
from ..simplify import Analyzer
from ..stmt import Buffer, Stmt
from ..visit import structural_equal, substitute, variables

MOST_STEPS = 400  # of the search for one proof


@dataclass(frozen=True, eq=False)
class Digit:
    """A term of an address: ``stride * value``, the value between ``low`` and ``high``.

    ``name`` is what may have equal values in two accesses: the tag of a hardware index, or how a
    term came from ``whole`` (a quotient or a remainder by ``by``); empty for a loop.
    """

    stride: int
    low: int
    high: int
    name: str = ""
    value: Expr | None = None  # None: the lane of a vector
    outer: frozenset[Var] = frozenset()  # the loops and parameters in the value
    whole: Form | None = None
    by: int = 0


@dataclass(frozen=True, eq=False)
class Form:
    """``constant`` and the sum of ``digits``; ``tags`` are the hardware indices in them."""

    constant: int
    digits: tuple[Digit, ...]
    tags: frozenset[str]
    text: Expr

    @property
    def key(self) -> tuple:
        """Equal for forms that are the same, with the same bounds."""
        parts = [
            (d.stride, d.low, d.high, id(d.value), d.whole.key if d.whole is not None else ())
            for d in self.digits
        ]
        return self.constant, frozenset(parts)


@dataclass(frozen=True, eq=False)
class Access:
    """A load or store of shared memory by ``statement``. ``form`` is None where nothing is known of
    the address; ``fixed`` are hardware indices that a guard allows one value of."""

    buffer: Buffer
    writes: bool
    statement: Stmt
    form: Form | None
    fixed: Mapping[str, int] = field(default_factory=dict)


class Forms:
    """Makes forms of addresses; ``tag_of`` says which variables are hardware indices."""

    def __init__(self, analyzer: Analyzer, tag_of: Mapping[Var, str]):
        self.analyzer, self.tag_of = analyzer, tag_of

    def of(self, index: Expr, fixed: Mapping[str, int]) -> Form | None:
        """The form of an address, scalar or a vector of them; None where a part has no bounds."""
        lanes: list[Digit] = []
        if isinstance(index, Ramp):
            stride = as_int(index.stride)
            if stride is None:
                return None
            index, lanes = index.base, [Digit(stride, 0, index.lanes - 1)]
        elif isinstance(index, Broadcast):
            index = index.value
        if index.dtype.lanes > 1:
            return None
        if fixed:
            known = {v: fixed[t] for v, t in self.tag_of.items() if t in fixed}
            index = substitute(index, {v: const(n, v.dtype) for v, n in known.items()})
        return self._form(index, lanes)

    def _form(self, e: Expr, more: list[Digit]) -> Form | None:
        e = self.analyzer.simplify(e)
        linear = self.analyzer.linear(e)
        digits = list(more)
        tags: set[str] = set()
        for term, stride in linear.terms.items():
            digit = self._digit(term, stride)
            if digit is None:
                return None
            digits.append(digit)
            tags |= self._tags(term)
        return Form(linear.constant, tuple(digits), frozenset(tags), e)

    def _tags(self, e: Expr) -> set[str]:
        return {self.tag_of[v] for v in variables(e) if v in self.tag_of}

    def _digit(self, term: Expr, stride: int) -> Digit | None:
        known = self.analyzer.interval(term)
        if known.lo is None or known.hi is None:
            return None
        outer = frozenset(v for v in variables(term) if v not in self.tag_of)
        if isinstance(term, Var) and term in self.tag_of:
            return Digit(stride, known.lo, known.hi, self.tag_of[term], term, outer)
        if isinstance(term, Binary) and term.op in (Op.FLOORDIV, Op.FLOORMOD):
            by, whole = as_int(term.b), self._form(term.a, [])
            if by is not None and by > 0 and whole is not None:
                name = "quotient" if term.op is Op.FLOORDIV else "remainder"
                return Digit(stride, known.lo, known.hi, name, term, outer, whole, by)
        return Digit(stride, known.lo, known.hi, "", term, outer)


def own_cells(a: Access, b: Access, tags: Collection[str], same: Collection[Var]) -> bool:
    """Whether it is certain that ``a`` by one thread and ``b`` by another one never touch the same
    cell. ``tags`` are the hardware indices of which there is more than one; variables in ``same``
    have one value in both accesses."""
    fixed = {t for t, n in a.fixed.items() if b.fixed.get(t) == n}
    needed = [t for t in tags if t not in fixed]
    if not needed:
        return True
    if a.form is None or b.form is None:
        return False
    first, second = _unfixed(a, b.form), _unfixed(b, a.form)
    if any(t not in first.tags or t not in second.tags for t in needed):
        return False
    return _Proof(needed, frozenset(same)).holds(first, second)


def _unfixed(a: Access, other: Form) -> Form:
    """The form of ``a`` with the digits that a guard fixes and the other form has: ``S[0]`` by the
    first thread only, beside ``S[t * 4 + q]`` by all, is ``S[t * 4]``."""
    assert a.form is not None
    digits = [
        Digit(d.stride, a.fixed[d.name], a.fixed[d.name], d.name, d.value, d.outer)
        for d in other.digits
        if d.name in a.fixed
    ]
    constant = a.form.constant - sum(d.stride * d.low for d in digits)
    tags = a.form.tags | {d.name for d in digits}
    return Form(constant, (*a.form.digits, *digits), tags, a.form.text)


class _Proof:
    def __init__(self, needed: Collection[str], same: frozenset[Var]):
        self.missing, self.same = set(needed), same
        # Pairs of terms that are equal wherever the addresses are.
        self.equal: list[tuple[Digit, Digit]] = []
        self.done: list[tuple[Form, Form]] = []

    def holds(self, a: Form, b: Form) -> bool:
        todo = [(a, b)]
        while todo and self.missing:
            pair = todo.pop()
            self.done.append(pair)
            for x, y in self._equal_digits(*pair):
                if x.whole is None:
                    self.missing.discard(x.name)
                else:
                    self.equal.append((x, y))
            todo += self._wholes()
        return not self.missing

    def _wholes(self) -> Iterator[tuple[Form, Form]]:
        """Wholes of which both the quotient and the remainder are known to be equal."""
        remainders = [(x, y) for x, y in self.equal if x.name == "remainder"]
        for x, y in list(self.equal):
            assert x.whole is not None and y.whole is not None
            p, q = x.whole, y.whole
            if any(u is p and v is q for u, v in self.done):
                continue
            known = (
                self._quotients(p, q, x.by)
                if x.name == "remainder"
                else any(
                    r.by == x.by and self._same(r, p) and self._same(s, q) for r, s in remainders
                )
            )
            if not known:
                continue
            self.done.append((p, q))
            inner = _single(p), _single(q)
            if inner[0] is not None and inner[1] is not None and inner[0].whole is not None:
                self.equal.append((inner[0], inner[1]))  # a quotient itself: of a longer whole
            yield p, q

    @staticmethod
    def _same(r: Digit, p: Form) -> bool:
        """Whether a remainder is that of ``p``: the simplifier leaves multiples of the divisor
        out."""
        assert r.whole is not None
        rest = {id(d.value): d.stride for d in p.digits}
        for d in r.whole.digits:
            rest[id(d.value)] = rest.get(id(d.value), 0) - d.stride
        return all(k % r.by == 0 for k in (*rest.values(), p.constant - r.whole.constant))

    def _quotients(self, p: Form, q: Form, by: int) -> bool:
        """Whether ``p // by == q // by`` is known."""
        wanted = [(p, q, by)]
        u, v = _quotient(p), _quotient(q)
        if u is not None and v is not None and u[1] == v[1]:  # (u // m) // n == u // (m * n)
            wanted.append((u[0], v[0], u[1] * by))
        return any(
            x.name == "quotient" and x.by == n and _alike(x.whole, u) and _alike(y.whole, v)
            for x, y in self.equal
            for u, v, n in wanted
        )

    def _equal_digits(self, a: Form, b: Form) -> list[tuple[Digit, Digit]]:
        """The named digits that two forms have in common and that are equal where the forms are."""
        mine, theirs = list(a.digits), list(b.digits)
        for x in a.digits:  # what has the same value in both is no part of the difference
            y = next((y for y in theirs if self._cancels(x, y)), None)
            if y is not None:
                mine.remove(x)
                theirs.remove(y)
        pairs: list[tuple[Digit, Digit]] = []
        terms: list[tuple[int, int, int, int]] = []  # stride, low, high, number of the pair or -1
        loops: dict[int, tuple[int, int]] = {}
        for x in mine:
            twin = [y for y in theirs if _twins(x, y)] if x.name else []
            alone = sum(_twins(z, x) for z in mine) == 1
            if len(twin) == 1 and alone:
                (y,) = twin
                theirs.remove(y)
                terms.append((x.stride, x.low - y.high, x.high - y.low, len(pairs)))
                pairs.append((x, y))
            else:
                low, high = loops.get(x.stride, (0, 0))
                loops[x.stride] = low + x.low, high + x.high
        for y in theirs:
            low, high = loops.get(y.stride, (0, 0))
            loops[y.stride] = low - y.high, high - y.low
        terms += [(stride, low, high, -1) for stride, (low, high) in loops.items()]
        differ = _can_differ(terms, a.constant - b.constant, len(pairs))
        return [p for k, p in enumerate(pairs) if k not in differ]

    def _cancels(self, x: Digit, y: Digit) -> bool:
        if x.value is None or y.value is None or x.stride != y.stride:
            return False
        if x.name or not x.outer <= self.same or not x.outer:
            return False
        return x.value is y.value or structural_equal(x.value, y.value)


def _single(f: Form) -> Digit | None:
    """The only digit of a form that is nothing else."""
    return (
        f.digits[0] if len(f.digits) == 1 and f.digits[0].stride == 1 and not f.constant else None
    )


def _quotient(f: Form) -> tuple[Form, int] | None:
    """``(whole, by)`` where a form is ``whole // by``."""
    d = _single(f)
    return (d.whole, d.by) if d is not None and d.whole and d.name == "quotient" else None


def _alike(p: Form | None, q: Form) -> bool:
    if p is None:
        return False
    return p.text is q.text or structural_equal(p.text, q.text)


def _twins(x: Digit, y: Digit) -> bool:
    return x.name == y.name and x.stride == y.stride and x.by == y.by


def _can_differ(terms: list[tuple[int, int, int, int]], constant: int, pairs: int) -> set[int]:
    """The numbers of the terms that are not 0 in some solution of ``sum(stride * d) + constant ==
    0``, ``low <= d <= high``; all of them if the search is too long."""
    terms = sorted(terms, key=lambda t: -abs(t[0]))
    rest = [(0, 0)]  # the least and the greatest sum of the terms from here on
    for stride, low, high, _ in reversed(terms):
        ends = sorted((stride * low, stride * high))
        rest.append((rest[-1][0] + ends[0], rest[-1][1] + ends[1]))
    rest.reverse()
    found: set[int] = set()
    steps = 0

    def search(k: int, total: int, other: tuple[int, ...]) -> bool:
        nonlocal steps
        steps += 1
        if steps > MOST_STEPS:
            return False
        if k == len(terms):
            if total == 0:
                found.update(other)
            return True
        stride, low, high, number = terms[k]
        least, most = rest[k + 1]  # least <= -(total + stride * d) <= most
        ends = (-most - total, -least - total) if stride > 0 else (least + total, most + total)
        for d in range(max(low, -(-ends[0] // abs(stride))), min(high, ends[1] // abs(stride)) + 1):
            extra = (*other, number) if d and number >= 0 else other
            if not search(k + 1, total + stride * d, extra):
                return False
        return True

    return found if search(0, constant, ()) else set(range(pairs))
