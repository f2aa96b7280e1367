"""``hoist_invariants``: a guard leaves the loops whose variable it does not read.

    for i in range(0, 4):                            if likely(x < n):
        if likely(x < n and y + i < m):    ->            for i in range(0, 4):
            A[x, y + i] = 0.0                                if likely(y + i < m):
                                                                 A[x, y + i] = 0.0

Only where the guard is the whole body of the loop, so that no code is copied. Run before
partitioning: a guard that stands directly in its loop becomes the loop's limit there.
"""

from __future__ import annotations

from ..builders import all_of
from ..expr import Load
from ..stmt import For, ForKind, Function, If, Stmt
from ..target import Target
from ..visit import Mutator, variables, walk
from .guards import conjuncts


def hoist_invariants(f: Function, target: Target) -> Function:
    """Lift the invariant conjuncts of guards (``If.likely``) out of loops. Hardware-bound loops
    keep theirs: a launch has no condition."""
    return f.with_body(_Hoist()(f.body))


class _Hoist(Mutator):
    def visit_For(self, s: For) -> Stmt:
        new = self.rebuild(s)  # inner loops first: their guards rise to this one
        body = new.body
        if s.kind is ForKind.BOUND or not isinstance(body, If):
            return new
        if not body.likely or body.otherwise is not None:
            return new
        inside, outside = [], []
        for c in conjuncts(body.cond):
            fixed = s.var not in variables(c) and not any(isinstance(e, Load) for e in walk(c))
            (outside if fixed else inside).append(c)
        if not outside:
            return new
        then = If(all_of(inside), body.then, None, True) if inside else body.then
        loop = For(new.var, new.minimum, new.extent, new.kind, then, new.tag, new.pragmas)
        return If(all_of(outside), loop, None, True)

    def visit_If(self, s: If) -> Stmt:
        new = self.rebuild(s)
        inner = new.then
        nested = isinstance(inner, If) and inner.likely and inner.otherwise is None
        if new is s or not nested or not new.likely or new.otherwise is not None:
            return new
        if any(isinstance(e, Load) for e in walk(inner.cond)):
            return new  # the outer guard may be what keeps this load in bounds
        return If(all_of([*conjuncts(new.cond), *conjuncts(inner.cond)]), inner.then, None, True)
