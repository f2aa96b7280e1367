"""``partition_loops``: the guards of extents that do not divide leave the hot path.

    for i0 in range(0, 7):                         for i0 in range(0, 6):
        for i1 in range(0, 16):                        for i1 in range(0, 16):
            if likely(i0 * 16 + i1 < 100):    ->           A[i0 * 16 + i1] = 0.0
                A[i0 * 16 + i1] = 0.0              for i1 in range(0, 4):
                                                       A[i1 + 96] = 0.0

A guard is an order of two integers, ``d >= 0`` with ``d`` affine in the loop variables. With the
inner variables at their worst, it bounds the loop variable: inside the bounds it is always true and
is removed, outside it stays and is looked at again by the inner loops. From the outermost loop
inwards, so that the first split decides most guards.

A parallel loop stays one loop (a second launch costs more than a branch): its body becomes a tree
of Ifs, with a copy for each way in which bounds hold or fail. So does a loop in whose variable the
guard is not affine.
Hardware-bound loops are left alone: a barrier must not come to stand under a branch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..alu import Op
from ..builders import all_of, maximum, minimum
from ..expr import Binary, Const, Expr, Var, as_int, binary, const, is_const
from ..simplify import stride
from ..stmt import For, ForKind, Function, If, Seq, Stmt, seq
from ..target import Target
from ..visit import Mutator, structural_equal, substitute, variables, walk
from .guards import (
    Condition,
    Drop,
    Unmark,
    conditions_of,
    conjuncts,
    is_likely,
    margin,
    worst_margin,
)
from .scoped import ScopedMutator, trip_count

MAX_COPIES = 16  # of one statement, over all partitioned loops around it


def partition_loops(f: Function, target: Target) -> Function:
    """Split loops so that guards are gone from the part that runs most. See the module."""
    body = f.body
    if next(conditions_of(body, selects=True), None) is not None:
        body = _Partition()(body)
    if any(isinstance(n, Expr) and is_likely(n) for n in walk(body)):
        body = Unmark()(body)
    return f.with_body(body)


@dataclass
class _Plan:
    """Where the guards of a loop are true: ``low <= var <= high`` for every bound, and where
    ``always`` holds; ``proved`` are the conjuncts decided by that."""

    lows: list[Expr] = field(default_factory=list)
    highs: list[Expr] = field(default_factory=list)
    always: list[Expr] = field(default_factory=list)
    proved: dict[int, set[int]] = field(default_factory=dict)
    refused: set[tuple[int, int]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.proved)

    def decide(self, c: Condition) -> None:
        self.proved.setdefault(id(c.node), set()).add(id(c.conjunct))

    def without_refused(self) -> dict[int, set[int]]:
        return {n: {c for c in cs if (n, c) not in self.refused} for n, cs in self.proved.items()}


class _Partition(ScopedMutator):
    def __init__(self) -> None:
        super().__init__()
        self.copies = 1
        self.threads: tuple[For, ...] = ()  # hardware-bound loops around: they split nothing

    # ------------------------------------------------------------------ loops

    def visit_For(self, s: For) -> Stmt:
        if s.kind is ForKind.BOUND:
            outer, self.threads = self.threads, (*self.threads, s)
            bound = super().visit_For(s)
            self.threads = outer
            return bound
        self.bind_loop(s.var, s.minimum, s.extent)
        s = self._shrink(s)
        n = trip_count(s)
        if n == 0:
            return Seq(())
        if n == 1 and s.kind is not ForKind.PARALLEL:
            return self(_SubstituteAndFold({s.var: s.minimum})(s.body))
        if s.kind in (ForKind.SERIAL, ForKind.PARALLEL) and self.copies * 2 <= MAX_COPIES:
            plan = self._plan(s)
            if plan:
                split = self._split(s, plan)
                if split is not None:
                    return split
        self.bind_loop(s.var, s.minimum, s.extent)
        new = self.rebuild(s)
        return Seq(()) if _is_empty(new.body) else new

    def _shrink(self, s: For) -> For:
        """Guards of the whole body on this variable alone become the loop's limits."""
        if not isinstance(s.body, If) or not s.body.likely or s.body.otherwise is not None:
            return s
        first, last = s.minimum, s.minimum + (s.extent - 1)
        kept: list[Expr] = []
        for c in conjuncts(s.body.cond):
            bound = self._bound(margin(c), s.var)
            if bound is None or variables(bound[1]) & {t.var for t in self.threads}:
                kept.append(c)
                continue
            low, at = bound
            new = maximum(first, at) if low else minimum(last, at)
            new = self.analyzer.simplify(new)
            fixed = s.kind in (ForKind.SERIAL, ForKind.PARALLEL) or isinstance(new, Const)
            if not fixed:
                kept.append(c)
            elif low:
                first = new
            else:
                last = new
        if len(kept) == len(conjuncts(s.body.cond)):
            return s
        extent = self.analyzer.simplify(maximum(last - first + 1, const(0, s.var.dtype)))
        first = self.analyzer.simplify(first)
        if s.kind in (ForKind.VECTORIZED, ForKind.UNROLLED) and as_int(extent) is None:
            return s
        body = s.body.then
        if kept:
            left = kept[0]
            for c in kept[1:]:
                left = binary(Op.AND, left, c)
            body = If(left, body, None, True)
        return For(s.var, first, extent, s.kind, body, s.tag, s.pragmas)

    def _bound(self, d: Expr | None, v: Var) -> tuple[bool, Expr] | None:
        """``d >= 0`` solved for ``v``: (True, least value) or (False, greatest value)."""
        k = None if d is None else stride(d, v)
        if d is None or not k:
            return None
        rest = substitute(d, {v: const(0, v.dtype)})
        if k > 0:  # v >= ceil(-rest / k)
            return True, self.analyzer.simplify(0 - binary(Op.FLOORDIV, rest, const(k, v.dtype)))
        return False, self.analyzer.simplify(binary(Op.FLOORDIV, rest, const(-k, v.dtype)))

    def _plan(self, s: For) -> _Plan:
        plan = _Plan()
        v = s.var
        inside: set[Var] = set()
        for c in conditions_of(s.body, selects=bool(s.pragmas.get("partition"))):
            inside.update(x.var for x in c.inner)
            inside.update(c.lets)
            d = worst_margin(c._replace(inner=(*self.threads, *c.inner)))
            if d is None or v not in variables(d) or variables(d) & inside:
                plan.refused.add((id(c.node), id(c.conjunct)))
                continue
            d = self.analyzer.simplify(d)
            bound = self._bound(d, v)
            if bound is not None and self._misses(s, *bound):
                plan.refused.add((id(c.node), id(c.conjunct)))
            elif bound is not None:
                _add((plan.lows if bound[0] else plan.highs), bound[1])
                plan.decide(c)
            elif c.inner and v in variables(d):
                _add(plan.always, binary(Op.LE, const(0, d.dtype), d))
                plan.decide(c)
            else:
                plan.refused.add((id(c.node), id(c.conjunct)))
        plan.proved = {n: cs for n, cs in plan.without_refused().items() if cs}
        return plan

    def _misses(self, s: For, low: bool, bound: Expr) -> bool:
        """Whether no iteration of ``s`` is within the bound."""
        last = s.minimum + (s.extent - 1)
        return self.analyzer.prove(
            binary(Op.LT, last, bound) if low else binary(Op.LT, bound, s.minimum)
        )

    def _split(self, s: For, plan: _Plan) -> Stmt | None:
        """The loop in parts; None when its range does not hold the guards true anywhere."""
        a, lo, n = self.analyzer, s.minimum, s.extent
        end = a.simplify(lo + n)
        begin = lo
        for x in plan.lows:
            begin = maximum(begin, x)
        if plan.lows:
            begin = a.simplify(minimum(begin, end))
        stop = end
        for x in plan.highs:
            stop = minimum(stop, x + 1)
        stop = a.simplify(maximum(stop, begin))
        zero = const(0, s.var.dtype)
        length = a.simplify(stop - begin)
        if as_int(length) == 0 or a.prove(binary(Op.LE, length, zero)):
            return None
        head, tail = a.simplify(begin - lo), a.simplify(end - stop)
        free = Drop(plan.proved)(s.body)
        whole = is_const(head, 0) and is_const(tail, 0)
        if plan.always or s.kind is ForKind.PARALLEL:
            test = list(plan.always)
            if not is_const(tail, 0):
                test.insert(0, binary(Op.LT, s.var, stop))
            if not is_const(head, 0):
                test.insert(0, binary(Op.LE, begin, s.var))
            return self._versions(s, test, free)
        if whole:
            return self._part(s, lo, n, free)
        parts = 1 + (not is_const(head, 0)) + (not is_const(tail, 0))
        if self.copies * parts > MAX_COPIES:
            return None
        outer = self.copies
        self.copies *= parts
        main = self._part(s, begin, length, free)
        before = self._part(s, lo, head, s.body)
        after = self._rest(s, stop, tail)
        self.copies = outer
        return seq(before, main, after)

    def _rest(self, s: For, first: Expr, extent: Expr) -> Stmt:
        """The iterations after those in which all guards are true: some may be true for longer."""
        rest = For(s.var, first, extent, s.kind, s.body, s.tag, s.pragmas)
        if as_int(extent) not in (0, 1) and self.copies * 2 <= MAX_COPIES:
            plan = self._plan(rest)
            split = self._split(rest, plan) if plan else None
            if split is not None:
                return split
        return self._part(s, first, extent, s.body)

    def _part(self, s: For, first: Expr, extent: Expr, body: Stmt) -> Stmt:
        """One part of a loop, looked at again; it may have come to nothing or one iteration."""
        if is_const(extent, 0):
            return Seq(())
        part = For(s.var, first, extent, s.kind, body, s.tag, s.pragmas)
        if as_int(extent) == 1:
            return self(part)
        # Guards that this loop did not decide are not tried again here, but by the loops inside.
        self.bind_loop(s.var, first, extent)
        inner = self(body)
        if _is_empty(inner):
            return Seq(())
        return For(s.var, first, extent, s.kind, inner, s.tag, s.pragmas)

    def _versions(self, s: For, tests: list[Expr], free: Stmt) -> Stmt:
        """The loop with an unguarded copy of its body where all ``tests`` hold, and a copy for each
        way in which some do not: what decides a test decides the guards that it stands for."""
        outer = self.copies
        body = self._branches(tests, True, free, s.body)
        self.copies = outer
        return For(s.var, s.minimum, s.extent, s.kind, body, s.tag, s.pragmas)

    def _branches(self, tests: list[Expr], all_hold: bool, free: Stmt, guarded: Stmt) -> Stmt:
        if not tests:
            return self(free if all_hold else guarded)
        if not all_hold and self.copies * 2 > MAX_COPIES:
            return self(guarded)
        if all_hold and self.copies * 4 > MAX_COPIES:  # the last branch that there is room for
            tests = [all_of(tests)]
        cond = self.analyzer.simplify(tests[0])
        if isinstance(cond, Const):
            return self._branches(tests[1:], all_hold and bool(cond.value), free, guarded)
        self.copies *= 2
        with self.analyzer.assuming(cond):
            then = self._branches(tests[1:], all_hold, free, guarded)
        with self.analyzer.assuming(self.analyzer.unary(Op.NOT, cond)):
            otherwise = self._branches(tests[1:], False, free, guarded)
        self.copies //= 2
        return If(cond, then, otherwise)

    # ------------------------------------------------------------------ guards

    def visit_If(self, s: If) -> Stmt:
        if not s.likely or s.otherwise is not None:
            return self.rebuild(s)
        # Facts that the loops around decide, now that their ranges are narrower.
        left: list[Expr] = []
        for c in conjuncts(s.cond):
            if self.analyzer.prove(c):
                continue
            d = margin(c)
            if d is not None and self.analyzer.prove(binary(Op.LT, d, const(0, d.dtype))):
                return Seq(())
            left.append(c)
        then = self(s.then)
        if len(left) == len(conjuncts(s.cond)):
            return s if then is s.then else If(s.cond, then, None, True)
        if not left:
            return then
        cond = left[0]
        for c in left[1:]:
            cond = binary(Op.AND, cond, c)
        return If(cond, then, None, True)

    def visit_Seq(self, s: Seq) -> Stmt:
        new = self.rebuild(s)
        return s if new is s else seq(*new.stmts)


class _SubstituteAndFold(Mutator):
    """Replaces variables and folds the constants that come together."""

    def __init__(self, values: dict[Var, Expr]):
        super().__init__()
        self.values = values

    def visit_Var(self, v: Var) -> Expr:
        return self.values.get(v, v)

    visit_IterVar = visit_Var

    def visit_Binary(self, e: Binary) -> Expr:
        a, b = self(e.a), self(e.b)
        return e if a is e.a and b is e.b else binary(e.op, a, b)


def _is_empty(s: Stmt) -> bool:
    return isinstance(s, Seq) and not s.stmts


def _add(to: list[Expr], e: Expr) -> None:
    if not any(structural_equal(e, x) for x in to):
        to.append(e)
