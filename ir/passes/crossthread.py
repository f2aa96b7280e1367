"""A reduction whose terms the threads of a workgroup share: a reduce loop bound to ``threadIdx``.

    for k in threadIdx.x, 0..6:         part = 0.0; part += A[i, k]
        B[i] += A[i, k]           ->    if k >= 3:          S[k - 3] = part
                                        if k < 3:           part += S[k]
                                        if k >= 2 & k < 3:  R[k - 2] = part
                                        if k < 1:           part += R[k]
                                        if k >= 1 & k < 2:  S[k - 1] = part
                                        if k < 1:           part += S[k]
                                        if k == 0:          B[i] = part

Each thread reduces what is its own into registers; the upper half then hands its partial results to
the lower half through shared memory until one thread has all (the tree of Harris, "Optimizing
Parallel Reduction in CUDA", for any number of threads). Levels take turns with two buffers, so that
threads wait once a level. Threads that the reduction is not spread over have a row of shared memory
of their own. Where threads wait is left to ``insert_barriers``: a statement that touches shared
memory stands behind a guard as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...runtime.dtype import INT32
from ...runtime.errors import ScheduleError
from ..alu import Op
from ..builders import equal
from ..expr import ZERO, Expr, IterVar, Load, Reduce, Var, as_int, binary, const
from ..identity import place_of
from ..schedule.bounds import StageBounds
from ..schedule.loops import Annotation, threads_of_reduction
from ..schedule.scopes import storage_scope
from ..schedule.stage import Stage
from ..stmt import Buffer, ForKind, Let, Stmt, Store, allocated, seq
from ..visit import substitute, walk
from .guards import where_all
from .store_predicate import guarded_store
from .workgroup import Missing

if TYPE_CHECKING:
    from .loopnest import Guards, NestBuilder, ToLoad


def combine_into(
    reduce: Reduce, buffers: Sequence[Buffer], where: Sequence[Expr], values: Sequence[Expr]
) -> Stmt:
    """``buffers[where] = combine(buffers[where], values)``, component by component."""
    new = reduce.reducer.combine([Load(f, tuple(where)) for f in buffers], values)
    if len(new) == 1:
        return Store(buffers[0], tuple(where), new[0])
    # all components are computed from the old values before one is stored
    names = [Var(f"{f.name}.next", f.dtype) for f in buffers]
    stmt = seq(*(Store(f, tuple(where), v) for f, v in zip(buffers, names)))
    for v, e in zip(reversed(names), reversed(new)):
        stmt = Let(v, e, stmt)
    return stmt


def reduce_across_threads(
    builder: NestBuilder,
    s: Stage,
    b: StageBounds,
    to_load: ToLoad,
    guards: Guards,
    missing: Missing,
) -> Stmt:
    """The nest of a stage some of whose reduce loops are bound to ``threadIdx``; ``missing``:
    hardware indices that the guards speak of and no loop around has a variable for.

    Raises ScheduleError where the number of threads is not a constant, or where each of the threads
    would want a result of its own.
    """
    return _Across(builder, s, b, to_load, guards, missing).nest()


class _Across:
    def __init__(
        self,
        builder: NestBuilder,
        s: Stage,
        b: StageBounds,
        to_load: ToLoad,
        guards: Guards,
        missing: Missing,
    ):
        self.builder, self.s, self.b, self.to_load, self.guards = builder, s, b, to_load, guards
        groups = builder.workgroups
        known = {*groups.around(s), *groups.tags[s], *(tag for _, tag in missing)}
        self.missing = list(missing) + [  # shared memory has no rows for these threads
            (IterVar(tag, INT32, ZERO, n, "thread"), tag)
            for tag, n in groups.indices(s).items()
            if tag not in known and tag.startswith("thread") and as_int(n) != 1
        ]
        reduce = b.body[0]
        assert isinstance(reduce, Reduce)
        self.reduce = reduce
        self.threads = threads_of_reduction(s)
        self.first = place_of(self.threads[0], s.leaves)
        self.inside = self.first + len(self.threads)  # where the loops of one thread begin
        self.lanes = [a for a in s.leaves[self.inside :] if a.kind != "reduce"]
        sizes = [self._size(a) for a in self.threads]
        self.count = 1
        self.number: Expr = ZERO  # of a thread among those that share a result
        for a, n in zip(self.threads, sizes):
            self.count *= n
            at = builder.alias.get(a, a)
            self.number = binary(Op.ADD, binary(Op.MUL, self.number, const(n)), at)
        self._one_result()
        rows = self._rows()
        self.row = tuple(v for v, _ in rows)
        inner = tuple(b.extents[a] for a in self.lanes)
        self.parts = [
            Buffer(f"{t.name}.part", t.dtype, inner or (const(1),), "local") for t in s.op.outputs
        ]
        # Levels of the tree: (threads that have something, of which so many are left after it).
        self.levels: list[tuple[int, int]] = []
        n = self.count
        while n > 1:
            self.levels.append((n, (n + 1) // 2))
            n = (n + 1) // 2
        self.alone = storage_scope(s) != "local"
        if self.levels and not self.alone:
            self.levels.append((1, 0))  # all threads get the result
        self.turns: list[list[Buffer]] = []
        for turn, levels in zip("ab", (self.levels[::2], self.levels[1::2])):
            size = max((n - half for n, half in levels), default=0)
            shape = (*(m for _, m in rows), const(size), *inner)
            named = ((f"{t.name}.{turn}", t.dtype) for t in s.op.outputs) if size else ()
            self.turns.append([Buffer(name, d, shape, "shared") for name, d in named])

    def _size(self, a: IterVar) -> int:
        """How many threads a loop is spread over, those that it leaves idle included."""
        extent = self.builder.workgroups.extent(self.s, a)
        n = as_int(extent)
        if n is None:
            raise ScheduleError(
                f"{self.s.name} binds the reduce loop {a.name} of extent {extent} to threads; how "
                f"many threads there are must be a constant.\n{self.s.nest()}",
                hint="split the reduce loop by a constant factor and bind the inner one",
            )
        return n

    def _one_result(self) -> None:
        shared = {self.builder.alias[a] for a in self.threads if a in self.builder.alias}
        for low, extent in self.b.box:
            for v in (*walk(low), *walk(extent)):
                if isinstance(v, Var) and v in shared:
                    raise ScheduleError(
                        f"{self.s.name} is computed inside of the loop {v.name} of threads and "
                        "shares its reduction out to the same threads, but each of them needs "
                        f"another result.\n{self.s.nest()}",
                        hint=f'compute {self.s.name} outside of that loop with set_scope("shared"),'
                        " or leave its reduce loop unbound",
                    )

    def _rows(self) -> list[tuple[Expr, Expr]]:
        """(index, extent) of the loops of threads around that the reduction is not spread over."""
        groups, alias = self.builder.workgroups, self.builder.alias
        own = {t: a for t, a in groups.tags[self.s].items() if a.kind != "reduce"}
        loops = {t: a for t, (a, _) in groups.around(self.s).items()}
        loops |= {t: a for t, a in own.items() if a not in alias}
        taken = {alias.get(a, a) for a in self.threads}
        launch = groups.indices(self.s)
        return [
            (a, launch[t]) for t, a in loops.items() if t.startswith("thread") and a not in taken
        ]

    # ------------------------------------------------------------------ statements

    def nest(self) -> Stmt:
        """The whole nest of the stage."""
        builder, s, b = self.builder, self.s, self.b
        body = seq(self._own(), *self._tree(), self._result())
        shared = [f for turn in self.turns for f in turn]
        body = allocated([*reversed(shared), *self.parts], body)
        for k in range(self.inside - 1, -1, -1):
            body = builder.around(s, b, s.leaves[k], body)
            if s.leaves[k] in s.prefetches:
                body = seq(*builder.fetches(s, k, b, self.to_load), body)
        return builder.workgroups.for_all(s, self.missing, body)

    def _own(self) -> Stmt:
        """What one thread reduces alone."""
        builder, s, b = self.builder, self.s, self.b
        where = tuple(self.lanes) or (ZERO,)
        values = [self.to_load(e) for e in self.reduce.sources]
        stmt = combine_into(self.reduce, self.parts, where, values)
        stmt = where_all([self.to_load(self.reduce.condition)], stmt)
        for k in range(len(s.leaves) - 1, self.inside - 1, -1):
            stmt = where_all([g for at, g, _ in self.guards if at == k], stmt, likely=True)
            stmt = builder.around(s, b, s.leaves[k], stmt)
            if s.leaves[k] in s.prefetches:
                stmt = seq(*builder.fetches(s, k, b, self.to_load), stmt)
        stmt = where_all([g for at, g, _ in self.guards if at < self.inside], stmt, likely=True)
        first = self._over_lanes(
            lambda at: seq(
                *(Store(p, at, e) for p, e in zip(self.parts, self.reduce.reducer.identity))
            )
        )
        return seq(first, stmt)

    def _tree(self) -> list[Stmt]:
        """The levels in order, each of which has half of the threads hand on what they have."""
        made: list[Stmt] = []
        for k, (n, half) in enumerate(self.levels):
            made += self._level(n, half, self.turns[k % 2])
        return made

    def _level(self, n: int, half: int, shared: list[Buffer]) -> tuple[Stmt, Stmt]:
        number, parts = self.number, self.parts

        def where(at: tuple[Expr, ...], source: Expr) -> tuple[Expr, ...]:
            return (*self.row, source, *(at if self.lanes else ()))

        def give(at: tuple[Expr, ...]) -> Stmt:
            to = where(at, binary(Op.SUB, number, const(half)))
            return seq(*(Store(f, to, Load(p, at)) for f, p in zip(shared, parts)))

        def take(at: tuple[Expr, ...]) -> Stmt:
            if half == 0:
                return seq(*(Store(p, at, Load(f, where(at, ZERO))) for f, p in zip(shared, parts)))
            values = [Load(f, where(at, number)) for f in shared]
            return combine_into(self.reduce, parts, at, values)

        upper = [binary(Op.LE, const(half), number), binary(Op.LT, number, const(n))]
        upper = upper[1:] if half == 0 else upper[:1] if n == self.count else upper
        lower = [] if half == 0 else [binary(Op.LT, number, const(n - half))]
        given = self._over_lanes(give, lambda stmt: self._once(upper, stmt))
        return given, where_all(lower, self._over_lanes(take))

    def _result(self) -> Stmt:
        """What all have come to, stored by one thread where threads share the storage."""
        builder, s, b = self.builder, self.s, self.b
        names = [Var(f"{a.name}.store") for a in self.lanes]
        fresh: dict[Var, Expr] = dict(zip(self.lanes, names))
        at = tuple(names) or (ZERO,)
        where = tuple(substitute(i, fresh) for i in builder.indices(s, b, self.to_load))
        buffers = [builder.buffers[t] for t in s.op.outputs]
        stmt = seq(*(Store(f, where, Load(p, at)) for f, p in zip(buffers, self.parts)))
        stmt = guarded_store(builder, s, b, stmt, self.missing, fresh)
        guards = [substitute(g, fresh) for _, g, data in self.guards if data]
        for a, name in zip(reversed(self.lanes), reversed(names)):
            here = [g for g in guards if any(v is name for v in walk(g))]
            guards = [g for g in guards if not any(g is h for h in here)]
            stmt = builder.loop(s, b, a, name, where_all(here, stmt))
        if not self.alone:
            return where_all(guards, stmt)
        first = [equal(builder.alias.get(a, a), ZERO) for a in self.threads]
        return where_all([*guards, *first], stmt)

    def _over_lanes(
        self,
        make: Callable[[tuple[Expr, ...]], Stmt],
        guard: Callable[[Stmt], Stmt] = lambda stmt: stmt,
    ) -> Stmt:
        """``make`` for each of the results that a thread has partial ones of; the guard stands
        inside of all loops but that over the lanes of a vector."""
        fresh = [Var(f"{a.name}.part") for a in self.lanes]
        stmt = make(tuple(fresh) or (ZERO,))
        loops = list(zip(self.lanes, fresh))
        if loops and self._is_vector(self.lanes[-1]):
            stmt = self.builder.loop(self.s, self.b, *loops.pop(), stmt)
        stmt = guard(stmt)
        for a, v in reversed(loops):
            stmt = self.builder.loop(self.s, self.b, a, v, stmt)
        return stmt

    def _is_vector(self, a: IterVar) -> bool:
        return self.s.annotations.get(a, Annotation()).kind is ForKind.VECTORIZED

    def _once(self, conditions: list[Expr], stmt: Stmt) -> Stmt:
        """``stmt`` where the conditions hold, by the first of the threads that are in the workgroup
        for other stages."""
        first = [equal(v, ZERO) for v, tag in self.missing if tag.startswith("thread")]
        return where_all([*first, *conditions], stmt)
