"""The body of a vectorized loop as vector code; ``vectorize.py`` decides which loops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..alu import Op
from ..expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
    as_int,
    const,
)
from ..simplify import Analyzer, lanewise, unvaried
from ..stmt import Alloc, Buffer, For, ForeignCall, If, Let, Seq, Stmt, Store, seq
from ..visit import walk
from .scoped import ScopedMutator


class CannotWiden(Exception):
    """The loop has to stay a loop. Caught by ``vectorize_loops``; never seen by a user."""


class _Mask(NamedTuple):
    """Lanes that are on. ``some`` is the scalar condition that any is, where it can be told."""

    lanes: Expr
    some: Expr | None


class Widener(ScopedMutator):
    """Rewrites ``body`` for all of ``var`` in ``[minimum, minimum + n)`` at once.

    An expression comes back as a scalar when its value is the same in all lanes, else as a vector
    of ``n`` lanes. Raises :class:`CannotWiden`.
    """

    def __init__(self, var: Var, minimum: Expr, n: int, body: Stmt, analyzer: Analyzer):
        super().__init__()
        self.analyzer = analyzer
        self.n = n
        self.values: dict[Var, Expr] = {var: Ramp(minimum, const(1, var.dtype), n)}
        self.widened: dict[Buffer, Buffer] = {}
        self.loaded = {e.buffer for e in walk(body) if isinstance(e, Load)}
        self.mask: _Mask | None = None

    # ------------------------------------------------------------------ helpers

    def vector(self, e: Expr) -> Expr:
        """``e`` as a vector: a scalar counts for every lane."""
        return Broadcast(e, self.n) if e.dtype.lanes == 1 else e

    @contextmanager
    def where(self, cond: Expr) -> Iterator[None]:
        """Lanes in which the vector ``cond`` is false are off meanwhile."""
        outer = self.mask
        lanes = cond if outer is None else Binary(Op.AND, outer.lanes, cond)
        self.mask = _Mask(lanes, some_lane(lanes))
        try:
            with self.apart():
                yield
        finally:
            self.mask = outer

    def predicate(self, own: Expr | None) -> Expr | None:
        """The mask together with an access's own predicate, as a vector."""
        if self.mask is None:
            return None if own is None else self.vector(own)
        return self.mask.lanes if own is None else Binary(Op.AND, self.mask.lanes, self.vector(own))

    def indices(self, access: Load | Store) -> tuple[Buffer, tuple[Expr, ...]]:
        """The buffer and the widened indices of an access; only the last may be a vector."""
        b, new = access.buffer, tuple(map(self._index, access.indices))
        if any(i.dtype.lanes > 1 for i in new[:-1]):
            raise CannotWiden
        if b not in self.widened:
            same = all(x is y for x, y in zip(new, access.indices))
            return b, access.indices if same else new
        lane = Ramp(const(0), const(1), self.n)
        last = self._index_of(lanewise(self.analyzer, Op.MUL, new[-1], const(self.n)))
        last = self._index_of(lanewise(self.analyzer, Op.ADD, last, lane))
        return self.widened[b], (*new[:-1], last)

    def condition(self, e: Expr) -> Expr:
        """``e`` widened, and decided where it can be."""
        new = self(e)
        return e if new is e else self.analyzer.simplify(new)

    def _index(self, e: Expr) -> Expr:
        new = self(e)
        return e if new is e else self._index_of(new)

    def _index_of(self, e: Expr) -> Expr:
        if isinstance(e, Ramp) or e.dtype.lanes == 1:
            return unvaried(self.analyzer.simplify(e))
        return e

    def inside(self, b: Buffer, indices: tuple[Expr, ...]) -> bool:
        """Whether scalar indices are certainly within a buffer."""
        for i, n in zip(indices, b.shape):
            known, size = self.analyzer.interval(i), as_int(n)
            if known.lo is None or known.hi is None or size is None:
                return False
            if known.lo < 0 or known.hi >= size:
                return False
        return True

    # ------------------------------------------------------------------ expressions

    def visit_Var(self, v: Var) -> Expr:
        if v.dtype.lanes > 1 and v not in self.values:
            raise CannotWiden
        return self.values.get(v, v)

    visit_IterVar = visit_Var

    def visit_Ramp(self, e: Expr) -> Expr:
        raise CannotWiden  # the body is vector code already

    visit_Broadcast = visit_Ramp

    def visit_Unary(self, e: Unary) -> Expr:
        a = self(e.a)
        if a is e.a:
            return e
        if e.op is Op.NEG and isinstance(a, Ramp):
            return lanewise(self.analyzer, Op.MUL, a, const(-1, a.base.dtype))
        return Unary(e.op, a)

    def visit_Binary(self, e: Binary) -> Expr:
        a, b = self(e.a), self(e.b)
        if a is e.a and b is e.b:
            return e
        return lanewise(self.analyzer, e.op, a, b)

    def visit_Cast(self, e: Cast) -> Expr:
        v = self(e.value)
        return e if v is e.value else Cast(v, e.dtype.with_lanes(v.dtype.lanes))

    def visit_Reinterpret(self, e: Reinterpret) -> Expr:
        v = self(e.value)
        return e if v is e.value else Reinterpret(v, e.dtype.with_lanes(v.dtype.lanes))

    def visit_Call(self, e: Call) -> Expr:
        args = tuple(map(self, e.args))
        if all(a is b for a, b in zip(args, e.args)):
            return e
        if all(a.dtype.lanes == 1 for a in args):
            return Call(e.name, args, e.dtype)
        return Call(e.name, tuple(map(self.vector, args)), e.dtype.with_lanes(self.n))

    def visit_Select(self, e: Select) -> Expr:
        c = self.condition(e.cond)
        if c is not e.cond and isinstance(c, Const):
            return self(e.if_true if c.value else e.if_false)
        if c.dtype.lanes == 1:
            t, f = self(e.if_true), self(e.if_false)
            if c is e.cond and t is e.if_true and f is e.if_false:
                return e
            if t.dtype.lanes != f.dtype.lanes:
                t, f = self.vector(t), self.vector(f)
            return Select(c, t, f)
        # An unchosen arm may load out of bounds: its loads are off in the lanes that do not choose.
        with self.where(c):
            t = self.vector(self(e.if_true))
        with self.where(Unary(Op.NOT, c)):
            f = self.vector(self(e.if_false))
        if isinstance(t, Load) and t.predicate is c and _is_positive_zero(f):
            return t  # lanes that are off are 0 anyway
        return Select(c, t, f)

    def visit_Load(self, e: Load) -> Expr:
        b, idx = self.indices(e)
        own = None if e.predicate is None else self(e.predicate)
        if idx and idx[-1].dtype.lanes > 1:
            return Load(b, idx, self.predicate(own))
        if own is None or own.dtype.lanes == 1:
            if self.mask is None or self.inside(b, idx):
                return e if idx is e.indices and own is e.predicate else Load(b, idx, own)
            if self.mask.some is not None:
                return Load(b, idx, _and(self.mask.some, own))
        if not idx:
            raise CannotWiden
        # One element for several lanes, to be touched only if a lane is on.
        return Load(b, (*idx[:-1], self.vector(idx[-1])), self.predicate(own))

    # ------------------------------------------------------------------ statements

    def visit_Store(self, s: Store) -> Stmt:
        b, idx = self.indices(s)
        value = self(s.value)
        own = None if s.predicate is None else self(s.predicate)
        last = idx[-1] if idx else None
        if last is not None and last.dtype.lanes > 1:
            distinct = isinstance(last, Ramp) or s.buffer in self.widened
            if not distinct and b in self.loaded:
                raise CannotWiden  # two lanes may meet in one element that they read and write
            return Store(b, idx, self.vector(value), self.predicate(own))
        # All lanes write one element.
        if value.dtype.lanes > 1 or (own is not None and own.dtype.lanes > 1) or b in self.loaded:
            raise CannotWiden
        if self.mask is not None:
            if self.mask.some is None:
                raise CannotWiden
            own = _and(self.mask.some, own)
        same = idx is s.indices and value is s.value and own is s.predicate
        return s if same else Store(b, idx, value, own)

    def visit_ForeignCall(self, s: ForeignCall) -> Stmt:
        raise CannotWiden  # one call for each lane

    def visit_For(self, s: For) -> Stmt:
        lo, n = self(s.minimum), self(s.extent)
        if lo.dtype.lanes > 1 or n.dtype.lanes > 1:
            raise CannotWiden
        self.bind_loop(s.var, lo, n)
        body = self(s.body)
        if lo is s.minimum and n is s.extent and body is s.body:
            return s
        return For(s.var, lo, n, s.kind, body, s.tag, s.pragmas)

    def visit_If(self, s: If) -> Stmt:
        c = self.condition(s.cond)
        if c is not s.cond and isinstance(c, Const):
            branch = s.then if c.value else s.otherwise
            return Seq(()) if branch is None else self(branch)
        if c.dtype.lanes == 1:
            then = self(s.then)
            other = None if s.otherwise is None else self(s.otherwise)
            same = c is s.cond and then is s.then and other is s.otherwise
            return s if same else If(c, then, other, s.likely)
        if s.otherwise is None:
            with self.where(c):
                return self(s.then)
        # The first branch may overwrite what the condition reads.
        held = Var("cond", c.dtype)
        reads = any(isinstance(e, Load) for e in walk(c))
        test = held if reads else c
        with self.where(test):
            then = self(s.then)
        with self.where(Unary(Op.NOT, test)):
            other = self(s.otherwise)
        both = seq(then, other)
        return Let(held, c, both) if reads else both

    def visit_Let(self, s: Let) -> Stmt:
        value = self(s.value)
        if value.dtype.lanes == 1:
            self.bind_let(s.var, value)
            body = self(s.body)
            return s if value is s.value and body is s.body else Let(s.var, value, body)
        if isinstance(value, Ramp | Broadcast):
            self.values[s.var] = value  # stays an affine index where it is used
            return self(s.body)
        wide = Var(s.var.name, value.dtype)
        self.values[s.var] = wide
        return Let(wide, value, self(s.body))

    def visit_Alloc(self, s: Alloc) -> Stmt:
        """Every lane has its own copy, lane by lane next to each other."""
        b = s.buffer
        if b.layout is not None or not b.shape:
            raise CannotWiden
        last = self.analyzer.simplify(b.shape[-1] * self.n)
        wide = Buffer(b.name, b.dtype, (*b.shape[:-1], last), b.scope, None, b.alignment)
        self.widened[b] = wide
        if b in self.loaded:
            self.loaded.add(wide)
        return Alloc(wide, self(s.body))


def _is_positive_zero(e: Expr) -> bool:
    value = e.value if isinstance(e, Broadcast) else None
    return isinstance(value, Const) and value.value == 0 and math.copysign(1, value.value) > 0


def _and(a: Expr, b: Expr | None) -> Expr:
    return a if b is None else Binary(Op.AND, a, b)


def some_lane(mask: Expr) -> Expr | None:
    """The scalar condition that some lane of a vector condition is true, or None.

    Known where the true lanes are a prefix of the vector (then lane 0 tells) or a suffix (then the
    last lane does): what comparisons of a ramp with a scalar come to, and their conjunctions.
    """
    first, last = _ends(mask, {})
    return first if first is not None else last


_Ends = tuple["Expr | None", "Expr | None"]


def _ends(c: Expr, known: dict[Expr, _Ends]) -> _Ends:
    """Lane 0 of ``c`` if its true lanes are a prefix, the last lane if they are a suffix. ``known``
    are those of conjunctions that were met before."""
    if isinstance(c, Broadcast):
        return c.value, c.value
    if isinstance(c, Unary) and c.op is Op.NOT:
        return _ends_of_not(c.a, known)
    if not isinstance(c, Binary):
        return None, None
    if c.op is Op.AND:
        if c not in known:
            (f, g), (h, k) = _ends(c.a, known), _ends(c.b, known)
            first = None if f is None or h is None else Binary(Op.AND, f, h)
            known[c] = first, None if g is None or k is None else Binary(Op.AND, g, k)
        return known[c]
    if c.op in (Op.LT, Op.LE):
        return _ends_of_order(c)
    return None, None


def _ends_of_order(c: Binary) -> _Ends:
    a, b = c.a, c.b
    ramp = a if isinstance(a, Ramp) else b
    other = b if isinstance(a, Ramp) else a
    if not isinstance(ramp, Ramp) or not isinstance(other, Broadcast):
        return None, None
    stride = as_int(ramp.stride)
    if stride is None:
        return None, None
    rising = stride >= 0
    prefix = rising == (ramp is a)  # small on the left: true until the ramp passes the bound
    x = ramp.base if prefix else ramp.base + ramp.stride * (ramp.lanes - 1)
    end = Binary(c.op, x, other.value) if ramp is a else Binary(c.op, other.value, x)
    return (end, None) if prefix else (None, end)


def _ends_of_not(c: Expr, known: dict[Expr, _Ends]) -> _Ends:
    if isinstance(c, Broadcast):
        return Unary(Op.NOT, c.value), Unary(Op.NOT, c.value)
    if isinstance(c, Unary) and c.op is Op.NOT:
        return _ends(c.a, known)
    if isinstance(c, Binary) and c.op in (Op.LT, Op.LE) and c.a.dtype.is_int:
        return _ends_of_order(Binary(Op.LE if c.op is Op.LT else Op.LT, c.b, c.a))
    return None, None
