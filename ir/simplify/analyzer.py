"""What is known of integer expressions, and their simplest form.

Three things work together, bottom-up over hash-consed nodes (``nodes.py``); every result is
memoised by identity:

* the table of exact rewrite rules of ``rules.py``, for all types;
* intervals of integers (``ranges.py`` by the arithmetic of ``interval.py``);
* linear forms ``sum(coefficient * term) + constant`` of scalar int32 (``linear.py``), by which
  sums, quotients and comparisons are rewritten (``sums.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...runtime.dtype import BOOL, DType
from ..alu import COMMUTATIVE, COMPARE, Op
from ..expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    IterVar,
    Load,
    Ramp,
    Read,
    Reduce,
    Reinterpret,
    Select,
    Unary,
    Var,
    fold_integers,
    shared,
)
from ..identity import same_objects
from ..meaning import semantics
from .interval import Interval
from .linear import Linear
from .nodes import Nodes
from .ranges import LinearIntervals, is_index
from .rules import Any_, Apply, Choose, Literal, Pattern, by_operator, domain_of
from .sums import REWRITE, distance, negate
from .vectors import vector_binary

_RULES = by_operator()


class Analyzer(LinearIntervals, Nodes):
    """Simplifies expressions and proves facts about them, knowing the ranges of variables.

    int32 arithmetic on variables is index arithmetic: it is taken not to overflow when terms are
    moved across comparisons and divisions. Data (loads, casts) and all other integer types wrap
    exactly. Results are memoised until the next :meth:`bind` that changes something.
    """

    def __init__(self) -> None:
        LinearIntervals.__init__(self)
        Nodes.__init__(self)
        self._values: dict[Var, Expr] = {}

    # ------------------------------------------------------------------ what is known

    def bind(self, var: Var, lo: int | Expr | None, hi: int | Expr | None) -> None:
        """``lo <= var <= hi``; None: unknown. A bound may be an expression of other variables."""
        low, high = self._bound(lo, False), self._bound(hi, True)
        symbolic = tuple(
            self.simplify(e) if isinstance(e, Expr) and not isinstance(e, Const) else None
            for e in (lo, hi)
        )
        known = self._symbolic.get(var, (None, None))
        if self._bounds.get(var) == (low, high) and same_objects(known, symbolic):
            return
        self._bounds[var] = Interval(low, high)
        self._symbolic.pop(var, None)
        if not same_objects(symbolic, (None, None)):
            self._symbolic[var] = symbolic  # type: ignore[assignment]
        self.forget()

    def _bound(self, e: int | Expr | None, high: bool) -> int | None:
        if isinstance(e, Expr):
            span = self.interval(e)
            return span.hi if high else span.lo
        return e

    @contextmanager
    def standing_for(self, var: Var, value: Expr) -> Iterator[None]:
        """``var`` is replaced by the simplified ``value`` for the time of a ``with`` block."""
        old = self._values.get(var)
        self._values[var] = value
        self.forget()
        try:
            yield
        finally:
            del self._values[var]
            if old is not None:
                self._values[var] = old
            self.forget()

    def forget(self) -> None:
        """Drop what was derived from bounds, values and facts."""
        self._simple.clear()
        self._ranges.clear()

    @contextmanager
    def bound(self, var: Var, lo: int | Expr | None, hi: int | Expr | None) -> Iterator[None]:
        """:meth:`bind` for the time of a ``with`` block."""
        old = self._bounds.get(var), self._symbolic.get(var)
        self.bind(var, lo, hi)
        try:
            yield
        finally:
            for table, value in zip((self._bounds, self._symbolic), old):
                table.pop(var, None)  # type: ignore[arg-type]
                if value is not None:
                    table[var] = value  # type: ignore[index]
            self.forget()

    @contextmanager
    def assuming(self, cond: Expr) -> Iterator[None]:
        """``cond`` holds for the time of a ``with`` block: its int32 comparisons are used."""
        new = list(self._consequences(self.simplify(cond)))
        if not new:
            yield
            return
        self.facts.extend(new)
        self.forget()
        try:
            yield
        finally:
            del self.facts[len(self.facts) - len(new) :]
            self.forget()

    def _consequences(self, cond: Expr) -> Iterator[Linear]:
        stack, seen = [cond], set[Expr]()
        while stack:
            c = stack.pop()
            if c in seen or not isinstance(c, Binary):
                continue
            seen.add(c)
            if c.op is Op.AND:
                stack += [c.b, c.a]
            elif c.op in COMPARE and c.op is not Op.NE and is_index(c.a.dtype):
                d = distance(self, c.a, c.b)
                if d is not None:
                    yield d.plus(-1) if c.op is Op.LT else d
                    if c.op is Op.EQ:
                        yield d.times(-1)

    def interval(self, e: Expr) -> Interval:
        """The integers that ``e`` can be (for a vector: any lane)."""
        return self.range_of(self.simplify(e))

    def prove(self, cond: Expr) -> bool:
        """True only if ``cond`` holds for all values within the bounds."""
        found = self.simplify(cond)
        if isinstance(found, Broadcast):
            found = found.value
        return isinstance(found, Const) and found.value is True

    # ------------------------------------------------------------------ nodes

    def simplify(self, e: Expr) -> Expr:
        """The simplest form found; ``e`` itself when it is that already."""
        hit = self._simple.get(e)
        if hit is None:
            hit = _SIMPLIFY[type(e)](self, e)
            self._simple[e] = self._simple[hit] = hit
        return hit

    def binary(self, op: Op, a: Expr, b: Expr, origin: Expr | None = None) -> Expr:
        """``a op b``, simplified, of simplified operands; ``origin`` is a node of this form."""
        found = self._nodes.get((op, a, b))
        hit = self._simple.get(found) if found is not None else None
        if hit is not None:
            return hit
        if type(a) is Const and type(b) is Const:
            folded = self._fold(op, a, b)
            if folded is not None:
                return folded
        d = a.dtype
        if type(a) is Const and type(b) is not Const and op in COMMUTATIVE and not d.is_float:
            a, b, origin = b, a, None
        result = None
        if d.lanes > 1:
            result = vector_binary(self, op, a, b)
        elif is_index(d):
            rewrite = REWRITE.get(op)
            result = rewrite(self, op, a, b, origin) if rewrite is not None else None
        node = origin
        if result is None:
            node = self.raw(op, a, b, origin)
            found = self._rules(op, domain_of(a), node)
            result = node if found is None else found
        if node is not None:
            self._simple[node] = result
        self._simple[result] = result
        return result

    def unary(self, op: Op, a: Expr, origin: Expr | None = None) -> Expr:
        """``op a``, simplified, of a simplified operand."""
        if type(a) is Const and a.dtype.kind != "bfloat":
            value = np.asarray(a.value, semantics.work_dtype(a.dtype))
            with semantics.quiet():
                return self.const(semantics.UNARY[op](value).item(), a.dtype)
        if type(a) is Broadcast:
            return self.broadcast(self.unary(op, a.value), a.lanes)
        if op is Op.NEG and is_index(a.dtype):
            found = negate(self, a, origin)
            if found is not None:
                return found
        node = self.node((op, a), lambda: Unary(op, a), origin)
        found = self._rules(op, domain_of(a), node)
        return node if found is None else found

    def select(self, c: Expr, t: Expr, f: Expr, origin: Expr | None = None) -> Expr:
        """``t`` where ``c`` holds, else ``f``, simplified, of simplified parts."""
        if type(c) is Broadcast:
            return self.select(c.value, t, f)
        if type(t) is Broadcast and type(f) is Broadcast and c.dtype.lanes == 1:
            return self.broadcast(self.select(c, t.value, f.value), t.lanes)
        node = self.node((Select, c, t, f), lambda: Select(c, t, f), origin)
        found = self._rules(None, domain_of(t), node)
        return node if found is None else found

    def cast(self, value: Expr, d: DType, origin: Expr | None = None) -> Expr:
        """A simplified ``value`` as ``d``; constants are converted."""
        if value.dtype == d:
            return value
        if type(value) is Const:
            x = np.asarray(value.value, semantics.work_dtype(value.dtype))
            with semantics.quiet():
                return self.const(semantics.cast(x, value.dtype, d).item(), d)
        if type(value) is Broadcast:
            return self.broadcast(self.cast(value.value, d.element), value.lanes)
        return self.node((Cast, value, d), lambda: Cast(value, d), origin)

    def _fold(self, op: Op, a: Const, b: Const) -> Expr | None:
        folded = fold_integers(op, a, b)  # most are indices, which need not pay for numpy
        if folded is not None:
            return folded
        d = a.dtype
        if d.kind == "bfloat":  # its values are rounded only when stored
            return None
        t = d.numpy.type
        with semantics.quiet():
            value = semantics.BINARY[op](t(a.value), t(b.value)).item()
        return self.const(value, BOOL if op in COMPARE else d)

    def _rules(self, op: Op | None, domain: str, node: Expr) -> Expr | None:
        for match, result in _RULES.get((op, domain), ()):
            letters: dict[str, Expr] = {}
            if match(node, letters):
                found = self._build(result, letters, node.dtype)
                lanes = node.dtype.lanes
                return found if found.dtype.lanes == lanes else self.broadcast(found, lanes)
        return None

    def _build(self, p: Pattern, letters: dict[str, Expr], d: DType) -> Expr:
        if isinstance(p, Any_):
            return letters[p.name]
        if isinstance(p, Literal):
            return self.const(p.value, d)
        assert isinstance(p, Apply | Choose)
        args = [self._build(q, letters, d) for q in p.args]
        if isinstance(p, Choose):
            return self.select(*args)
        return self.unary(p.op, *args) if len(args) == 1 else self.binary(p.op, *args)

    # ------------------------------------------------------------------ simplification by type

    def _leaf(self, e: Const) -> Expr:
        return shared(e.value, e.dtype)

    def _var(self, e: Var) -> Expr:
        value = self._values.get(e)
        if value is not None:
            return value
        span = self._bounds.get(e)
        if span is not None and span.lo is not None and span.lo == span.hi and e.dtype.is_int:
            return self.const(span.lo, e.dtype)
        return e

    def _binary(self, e: Binary) -> Expr:
        a, b = self.simplify(e.a), self.simplify(e.b)
        return self.binary(e.op, a, b, e if a is e.a and b is e.b else None)

    def _unary(self, e: Unary) -> Expr:
        a = self.simplify(e.a)
        return self.unary(e.op, a, e if a is e.a else None)

    def _select(self, e: Select) -> Expr:
        c = self.simplify(e.cond)
        scalar = c.value if isinstance(c, Broadcast) else c
        if isinstance(scalar, Const):
            return self.simplify(e.if_true if scalar.value else e.if_false)
        t, f = self.simplify(e.if_true), self.simplify(e.if_false)
        same = c is e.cond and t is e.if_true and f is e.if_false
        return self.select(c, t, f, e if same else None)

    def _cast(self, e: Cast) -> Expr:
        value = self.simplify(e.value)
        return self.cast(value, e.dtype, e if value is e.value else None)

    def _reinterpret(self, e: Reinterpret) -> Expr:
        v = self.simplify(e.value)
        origin = e if v is e.value else None
        return self.node((Reinterpret, v, e.dtype), lambda: Reinterpret(v, e.dtype), origin)

    def _call(self, e: Call) -> Expr:
        args, same = self.all(e.args)
        if e.dtype.lanes > 1 and all(type(a) is Broadcast for a in args):
            inner = tuple(a.value for a in args)  # type: ignore[attr-defined]
            d = e.dtype.element
            one = self.node((e.name, *inner), lambda: Call(e.name, inner, d))
            return self.broadcast(one, e.dtype.lanes)
        origin = e if same else None
        return self.node((e.name, *args), lambda: Call(e.name, args, e.dtype), origin)

    def all(self, exprs: tuple[Expr, ...]) -> tuple[tuple[Expr, ...], bool]:
        """The simplified expressions, and whether they are the same ones."""
        new = tuple([self.simplify(x) for x in exprs])
        return new, all(x is y for x, y in zip(new, exprs))

    def _load(self, e: Load) -> Expr:
        indices, same = self.all(e.indices)
        p = None if e.predicate is None else self.simplify(e.predicate)
        decided = p.value if isinstance(p, Broadcast) else p
        if isinstance(decided, Const):
            if not decided.value:
                return self.const(e.buffer.dtype.numpy.type(0).item(), e.dtype)
            p = None
        vector = p is None and e.dtype.lanes > 1
        if vector and all(i.dtype.lanes == 1 or type(i) is Broadcast for i in indices):
            one = tuple(i.value if type(i) is Broadcast else i for i in indices)
            load = self.node((Load, e.buffer, None, *one), lambda: Load(e.buffer, one))
            return self.broadcast(load, e.dtype.lanes)
        origin = e if same and p is e.predicate else None
        key = (Load, e.buffer, p, *indices)
        return self.node(key, lambda: Load(e.buffer, indices, p), origin)

    def _read(self, e: Read) -> Expr:
        indices, same = self.all(e.indices)
        key = (Read, e.tensor, *indices)
        return self.node(key, lambda: Read(e.tensor, indices), e if same else None)

    def _reduce(self, e: Reduce) -> Expr:
        sources, same = self.all(e.sources)
        cond = self.simplify(e.condition)
        if same and cond is e.condition:
            return e
        return Reduce(e.reducer, e.sources if same else sources, e.axes, cond, e.index)

    def _ramp(self, e: Ramp) -> Expr:
        base, stride = self.simplify(e.base), self.simplify(e.stride)
        same = base is e.base and stride is e.stride
        return self.ramp(base, stride, e.lanes, e if same else None)

    def _broadcast(self, e: Broadcast) -> Expr:
        value = self.simplify(e.value)
        return self.broadcast(value, e.lanes, e if value is e.value else None)


_SIMPLIFY: dict[type, Callable[[Analyzer, Any], Expr]] = {
    Const: Analyzer._leaf,
    Var: Analyzer._var,
    IterVar: Analyzer._var,
    Unary: Analyzer._unary,
    Binary: Analyzer._binary,
    Cast: Analyzer._cast,
    Reinterpret: Analyzer._reinterpret,
    Select: Analyzer._select,
    Call: Analyzer._call,
    Load: Analyzer._load,
    Read: Analyzer._read,
    Reduce: Analyzer._reduce,
    Ramp: Analyzer._ramp,
    Broadcast: Analyzer._broadcast,
}
