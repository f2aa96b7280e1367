"""``share_values``: what a statement evaluates in several places becomes a variable in front of it.

    B[i] = select(C[i] > 0,                     let t = A[i] * 2.0 + 1.0:
               exp(A[i] * 2.0 + 1.0),    ->         B[i] = select(C[i] > 0, exp(t), -t)
               -(A[i] * 2.0 + 1.0))

A select evaluates one of its arms, so that each arm has code of its own, and a value that both arms
use is there twice; in a chain of selects whose operand is the select before, 2ⁿ times. (Outside of
the arms of selects a node that is used twice is one object, and every pass leaves it one.) Where
that makes a statement much longer than the graph of its expression, the values in question are
computed first. So are parts of a very deep expression: passes recur.

A variable is computed whatever the conditions are. A value that is needed in any case (in a
condition, in both arms) reads nothing that would not be read otherwise; in any other the loads that
may lie outside of their buffer are told to stay inside.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..alu import Op
from ..builders import all_of
from ..expr import ZERO, Binary, Call, Cast, Const, Expr, Load, Select, Unary, Var, binary
from ..stmt import Function, Let, Stmt, Store
from ..target import Target
from ..visit import Mutator, Node, bottom_up, children
from .scoped import ScopedMutator

FEW = 12  # nodes of a statement that is not worth a look
GROWTH = 2  # times the graph that the code of a statement may be
FUNCTION = 24  # nodes that a function, which is written out later, counts for
DEPTH = 32  # levels from a statement or a variable down to the next variable

Place = tuple["Expr | None", int]  # an arm of a select; the statement itself, or a variable


def share_values(f: Function, target: Target) -> Function:
    """Every statement with the variables that keep its code as long as its expression's graph."""
    return f.with_body(_Share()(f.body))


class _Share(ScopedMutator):
    def visit_Store(self, s: Store) -> Stmt:
        lets, value = self._shared(s.value)
        if not lets:
            return s
        new: Stmt = Store(s.buffer, s.indices, value, s.predicate)
        for var, part in reversed(lets):
            new = Let(var, part, new)
        return new

    def lets(self, s: Let) -> Sequence[tuple[Var, Expr]]:
        lets, value = self._shared(s.value)
        self.bind_let(s.var, value)
        return (*lets, (s.var, value))

    def _shared(self, root: Expr) -> tuple[list[tuple[Var, Expr]], Expr]:
        """Variables for parts of ``root``, in order, and what is left of it."""
        nodes = bottom_up([root])
        if len(nodes) <= FEW:
            return [], root
        plan = _Plan(nodes)
        if not plan.chosen:
            return [], root
        write, safe = _Named(), _Safe(self)
        lets: list[tuple[Var, Expr]] = []
        for n in plan.chosen:
            value = write.rebuild(n)
            var = Var("shared", n.dtype)
            lets.append((var, value if plan.certain[n] else safe(value)))
            write.names[n] = var
        return lets, write(root)


class _Named(Mutator):
    """Expressions with variables for the nodes that have ``names``."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[Expr, Var] = {}

    def __call__(self, node: Expr) -> Expr:
        name = self.names.get(node)
        return super().__call__(node) if name is None else name


class _Safe(Mutator):
    """Loads that may lie outside of their buffer are off where they do."""

    def __init__(self, scope: ScopedMutator):
        super().__init__()
        self.analyzer = scope.analyzer

    def visit_Load(self, e: Load) -> Expr:
        new = self.rebuild(e)
        tests = []
        for i, n in zip(new.indices, new.buffer.shape):
            tests += [binary(Op.LE, ZERO, i), binary(Op.LT, i, n)]
        tests = [t for t in tests if not self.analyzer.prove(t)]
        if not tests:
            return new
        own = [] if new.predicate is None else [new.predicate]
        return Load(new.buffer, new.indices, all_of([*own, *tests]))


class _Plan:
    """Which nodes become variables. ``nodes`` are those of an expression, children first."""

    def __init__(self, nodes: Sequence[Node]):
        self.order = [n for n in reversed(nodes) if isinstance(n, Expr)]
        self.index = _indices(nodes)
        self.certain: dict[Expr, bool] = {}
        self.depth: dict[Expr, int] = {}
        self.chosen: list[Expr] = []
        code = sum(_weight(n) * k for n, k in self._places(False).items())
        deep = max(self.depth.values()) > DEPTH
        if deep or code > GROWTH * sum(map(_weight, self.order)):
            self._places(True)
            self.chosen.reverse()

    def _places(self, choose: bool) -> dict[Expr, int]:
        """How often each node is evaluated apart; with ``choose`` those that are several times, and
        those that lie deep, become variables."""
        root = self.order[0]
        times: dict[Place, int] = {(None, 0): 1}
        sure: set[Place] = {(None, 0)}
        places: dict[Expr, set[Place]] = {root: {(None, 0)}}
        counts: dict[Expr, int] = {}
        self.depth = {root: 0}
        for n in self.order:
            own = places.pop(n)
            count = sum(times[p] for p in own)
            certain = not own.isdisjoint(sure) or any(
                k == 0 and s is not None and (s, 1) in own and self.certain[s] for s, k in own
            )
            self.certain[n] = certain
            if n in self.index:
                counts[n] = 1
            elif choose and n is not root and (count > 1 or self.depth[n] > DEPTH):
                self.chosen.append(n)
                self.depth[n], counts[n] = 0, 1
                own = {(n, 2)}
                times[n, 2] = 1
                if certain:
                    sure.add((n, 2))
            else:
                counts[n] = count
            for k, c in enumerate(children(n)):
                assert isinstance(c, Expr)
                below = places.setdefault(c, set())
                if isinstance(n, Select) and k > 0:
                    below.add((n, k - 1))
                    times[n, k - 1] = counts[n]
                else:
                    below |= own
                self.depth[c] = max(self.depth.get(c, 0), self.depth[n] + 1)
        return counts


def _weight(n: Expr) -> int:
    return FUNCTION if isinstance(n, Call) else 1


def _indices(nodes: Sequence[Node]) -> set[Expr]:
    """What is not worth a variable, or better without one: indices, which later passes look into,
    and what is read with them."""
    found: set[Expr] = set()
    for n in nodes:
        if isinstance(n, Const | Var):
            found.add(n)
        elif (isinstance(n, Binary | Unary | Cast) and n.dtype.is_int) or isinstance(n, Load):
            assert isinstance(n, Expr)
            if all(c in found and not isinstance(c, Load) for c in children(n)):
                found.add(n)
    return found


__all__ = ["share_values"]
