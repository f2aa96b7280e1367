"""From a schedule to a loop nest: the first lowering pass.

For each stage: its loops, an initialisation in front of its first reduce loop, the producers that
are computed inside it, and guards (``if likely(...)``) where a split does not divide or where the
needed box reaches over the edge of the domain. A guard sits as far out as its variables allow, but
inside of everything that is computed at its loop, so that producers run for all threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from ...runtime.errors import LoweringError, ScheduleError
from ..alu import Op
from ..expr import ZERO, Expr, IterVar, Load, Read, Reduce, Var, as_int, binary, const, is_const
from ..layout import Layout
from ..operations.extern import ExternOp
from ..operations.scan import ScanOp
from ..schedule.bounds import StageBounds, bind_extent, infer_bounds
from ..schedule.coverage import check_result
from ..schedule.exchange import waits_in_step
from ..schedule.loops import Annotation, threads_of_reduction
from ..schedule.scans import states_of
from ..schedule.schedule import Schedule
from ..schedule.scopes import storage_scope
from ..schedule.stage import Stage
from ..simplify import Analyzer
from ..stmt import Barrier, Buffer, For, ForKind, Function, Stmt, Store, allocated, seq
from ..tensor import ComputeOp, PlaceholderOp, Tensor, is_unknown
from ..visit import Mutator, Node, substitute, walk
from .boxes import box_layout
from .crossthread import combine_into, reduce_across_threads
from .double_buffer import in_turns, turns_of
from .guards import where_all, where_holds
from .prefetch import fetches
from .ragged import with_ends
from .store_predicate import guarded_store
from .tensorize import tensorized
from .workgroup import Missing, Workgroups

# (the loop that it depends on, condition, whether it is about a data axis)
Guards: TypeAlias = list[tuple[int, Expr, bool]]


def build_loop_nest(
    schedule: Schedule,
    args: Sequence[Tensor | Var],
    name: str,
    layouts: Mapping[Tensor, Layout] | None = None,
) -> Function:
    """The function that computes ``schedule.outputs``; ``args`` are its parameters in order."""
    return NestBuilder(schedule, args, layouts or {}).function(name)


class NestBuilder:
    """Builds the nests of all stages."""

    def __init__(
        self, schedule: Schedule, args: Sequence[Tensor | Var], layouts: Mapping[Tensor, Layout]
    ):
        self.schedule, self.args, self.layouts = schedule, args, dict(layouts)
        self.bounds = infer_bounds(schedule)
        for s, b in self.bounds.items():
            if s.is_output and s.attach.kind == "at":
                check_result(s, b.box, b.outside)
        for s in self.bounds:
            layout = box_layout(s, self.bounds[s].box)
            if layout is not None:
                self.layouts.update(dict.fromkeys(s.op.outputs, layout))
        self.buffers: dict[Tensor, Buffer] = {}
        self.params: list[Buffer | Var] = []
        self.made: dict[Stage, list[Buffer]] = {}  # storage that is not a parameter
        self.children: dict[IterVar, list[Stage]] = {}
        self.workgroups = Workgroups(schedule, self.bounds)
        self.alias = self.workgroups.alias
        for s in self.bounds:
            if s.double_buffered and s.attach.kind != "at":
                raise ScheduleError(
                    f"double_buffer: {s.name} is computed as a whole; there is no next tile.",
                    hint="compute_at a serial loop, such as the outer part of a reduction",
                )
            if s.attach.kind == "at":
                assert s.attach.axis is not None
                self.children.setdefault(s.attach.axis, []).append(s)
        for group in self.children.values():
            group.sort(key=schedule.stages.index)

    def function(self, name: str) -> Function:
        """The whole, with its parameters and what the stages at the root are stored in."""
        writes = self._parameters()
        roots = [s for s in self.schedule.stages if s in self.bounds and s.attach.kind == "root"]
        self.made = {s: self._storage(s) for s in self.bounds}
        body = seq(*(self._nest(s) for s in roots))
        if self.alias:  # boxes, too, speak of loops that are one with a loop outside
            body = substitute(body, self.alias)
        body = self._with(roots, body)
        return Function(name, tuple(self.params), body, frozenset(writes))

    def _parameters(self) -> set[Buffer]:
        writes: set[Buffer] = set()
        states = states_of(self.schedule)
        for a in self.args:
            if isinstance(a, Var):
                self.params.append(a)
                continue
            if a not in self.schedule:
                buffer = Buffer(a.name, a.dtype, a.shape, layout=self.layouts.get(a))
                self.params.append(buffer)  # an argument that nothing reads
                continue
            s = self.schedule[a]
            computed = not isinstance(s.op, PlaceholderOp)
            if computed and not s.is_output:
                raise LoweringError(
                    f"the argument {a.name} is neither an input nor a result of the schedule."
                )
            if a in states:
                raise LoweringError(
                    f"the argument {a.name} stands for the state of {states[a].name} and is no "
                    "input.",
                    hint=f"leave it out: {states[a].name} is its value",
                )
            if a in self.buffers:
                raise LoweringError(f"the argument {a.name} is given twice.")
            buffer = Buffer(a.name, a.dtype, a.shape, layout=self.layouts.get(a))
            self.buffers[a] = buffer
            self.params.append(buffer)
            if computed:
                writes.add(buffer)
        for s in self.schedule.stages:
            for t in s.op.outputs:
                given = isinstance(s.op, PlaceholderOp) and t not in states
                needed = given or t in self.schedule.outputs
                if needed and t not in self.buffers:
                    raise LoweringError(
                        f"{t.name} is {'a result' if s.is_output else 'an input'} of the schedule "
                        "and is missing from the arguments."
                    )
        return writes

    def _storage(self, s: Stage) -> list[Buffer]:
        """Buffers for the results of a stage that are not parameters."""
        made: list[Buffer] = []
        b = self.bounds[s]
        for t in s.op.outputs:
            if t not in self.buffers:
                one = isinstance(s.op, ComputeOp)  # results of statements have shapes of their own
                shape = tuple(e for _, e in b.stored) if one else t.shape
                layout = self.layouts.get(t)
                buffer = Buffer(t.name, t.dtype, shape, storage_scope(s), layout)
                self.buffers[t] = buffer
                made.append(buffer)
        if isinstance(s.op, ScanOp):
            self._share_rows(s.op)
        return made

    def _share_rows(self, op: ScanOp) -> None:
        """First rows, updates and states of a recurrence lie in its results."""
        for whole, *parts in zip(op.outputs, op.init, op.update, op.state):
            for t in parts:
                self.buffers[t] = self.buffers[whole]

    # One stage --------------------------------------------------------------------------------

    def _nest(self, s: Stage) -> Stmt:
        if isinstance(s.op, ExternOp):
            tensors = (*s.op.inputs, *s.op.outputs)
            buffers = [self.buffers[t] for t in tensors]
            return s.op.statements(dict(zip((*s.op.ins, *s.op.outs), buffers)))
        if isinstance(s.op, ScanOp):
            return self._recurrence(s, s.op, self.bounds[s])
        extra, missing = self.workgroups.guards(s)
        alias = self.alias
        data = {a: substitute(self.bounds[s].index[a], alias) for a in s.axes}
        b = with_ends(s, self.bounds[s], ToLoad(self, s, data))
        depth: dict[Node, int] = {a: k for k, a in enumerate(s.leaves)}
        attached = [k for k, a in enumerate(s.leaves) if a in self.children]
        guards: Guards = []
        for axis, g in [*self._guards(s, b), *extra]:
            at = max([depth[v] for v in walk(g) if v in depth] + attached, default=-1)
            guards.append((at, substitute(g, alias), axis.kind != "reduce"))
        first = next((k for k, a in enumerate(s.leaves) if a.kind == "reduce"), len(s.leaves))
        to_load = ToLoad(self, s, {a: substitute(e, alias) for a, e in b.index.items()})
        if threads_of_reduction(s):
            return reduce_across_threads(self, s, b, to_load, guards, missing)

        def start() -> Stmt:
            return self._init(s, b, to_load, first, guards, missing)

        def loops(outermost: int) -> Stmt:
            stmt = guarded_store(self, s, b, self._update(s, b, to_load), missing)
            for k in range(len(s.leaves) - 1, outermost - 1, -1):
                stmt = where_all([g for at, g, _ in guards if at == k], stmt, likely=True)
                stmt = self.around(s, b, s.leaves[k], stmt)
                if s.leaves[k] in s.prefetches:
                    stmt = seq(*self.fetches(s, k, b, to_load), stmt)
                if k == first:
                    stmt = seq(start(), stmt)
            return stmt

        if s.intrin is not None:
            stmt = tensorized(self, s, b, to_load, guards, loops, start)
        else:
            stmt = loops(0)
        stmt = where_all([g for at, g, _ in guards if at == -1], stmt, likely=True)
        return self.workgroups.for_all(s, missing, stmt)

    def _recurrence(self, s: Stage, op: ScanOp, b: StageBounds) -> Stmt:
        """The loop over steps, in the loops of the threads that live through all of them."""
        children = self.children.get(op.scan_axis, [])
        nests = {c: self._nest(c) for c in children}
        waits = waits_in_step(self.schedule, s, op, self.bounds, self.alias)
        step = seq(*(seq(nests[c], Barrier("global") if c in waits else None) for c in children))
        stmt = self.loop(s, b, op.scan_axis, op.scan_axis, self._with(children, step))
        for axis, extent in reversed(b.outside.items()):
            stmt = For(axis, ZERO, extent, ForKind.BOUND, stmt, axis.tag)
        return stmt

    def around(self, s: Stage, b: StageBounds, axis: IterVar, stmt: Stmt) -> Stmt:
        """The loop ``axis``: what is computed at it, then ``stmt``."""
        ahead, rest = turns_of(self.children.get(axis, []), axis)
        use = self._with(rest, seq(*(self._nest(c) for c in rest), stmt))
        if not ahead:
            return self.loop(s, b, axis, axis, use)
        copies = seq(*(self._nest(c) for c in ahead))
        buffers = [buffer for c in ahead for buffer in self.made[c]]
        return in_turns(self.loop(s, b, axis, axis, use), ahead, copies, buffers)

    def _with(self, stages: Sequence[Stage], stmt: Stmt) -> Stmt:
        """What the stages are stored in, where that is no parameter, around ``stmt``."""
        return allocated([buffer for c in stages for buffer in self.made[c]], stmt)

    def loop(self, s: Stage, b: StageBounds, axis: IterVar, v: Var, body: Stmt) -> Stmt:
        """``body`` in the loop ``axis``, whose variable is ``v``: ``axis`` itself or a copy."""
        if axis in self.alias:
            return body
        ann = s.annotations.get(axis, Annotation())
        # What data say is in terms of loads in ``b`` alone; such a loop is bound to no index.
        unknown = is_unknown(self.bounds[s].extents[axis])
        extent = b.extents[axis] if unknown else self.workgroups.extent(s, axis)
        return For(v, ZERO, extent, ann.kind, body, ann.tag, ann.pragmas)

    def fetches(self, s: Stage, k: int, b: StageBounds, to_load: ToLoad) -> list[Stmt]:
        """What ``prefetch`` asks for in front of the ``k``-th loop."""
        return fetches(s, k, b, to_load, self.params)

    def _analyzer(self, s: Stage, b: StageBounds) -> Analyzer:
        an = Analyzer()
        for v, e in b.outside.items():
            bind_extent(an, v, e)
        for a in s.leaves:
            bind_extent(an, a, b.extents[a])
        return an

    def _guards(self, s: Stage, b: StageBounds) -> list[tuple[IterVar, Expr]]:
        """The conditions under which a point of the loops is a point to compute."""
        an = self._analyzer(s, b)
        guards = list(b.guards)
        for a, (low, extent) in zip(s.axes, b.box):
            if is_const(low, 0) and extent is a.extent:
                continue
            index = b.index[a]
            both = (binary(Op.LE, ZERO, index), binary(Op.LT, index, a.extent))
            edges = [e for e in both if not an.prove(e)]
            if edges and not self._harmless(s, b, a, an):
                stored = self._stored(s, b, a)
                if stored is not None:
                    edges = [binary(Op.LT, index, stored) if e is both[1] else e for e in edges]
                guards += [(a, e) for e in edges]
        return [(a, g) for a, g in guards if not an.prove(g)]

    def _harmless(self, s: Stage, b: StageBounds, axis: IterVar, an: Analyzer) -> bool:
        """Whether ``s`` may compute beyond the domain of ``axis``: its own storage has room (it is
        not a parameter), nobody looks at those elements, and all its reads stay inside storage."""
        if any(t in self.schedule.outputs for t in s.op.outputs):
            return False
        for i, low, limit in self._reads_along(b, axis):
            span = an.interval(an.simplify(binary(Op.SUB, substitute(i, b.index), low)))
            if limit is None or span.lo is None or span.hi is None:
                return False
            if span.lo < 0 or span.hi >= limit:
                return False
        return True

    def _stored(self, s: Stage, b: StageBounds, axis: IterVar) -> Expr | None:
        """How far ``s`` may compute along ``axis`` because storage of all that it reads there goes
        on with padding; None when not beyond the domain. A guard at the end of whole blocks is the
        same for all lanes of a vector."""
        if any(t in self.schedule.outputs for t in s.op.outputs):
            return None
        ends: list[int] = []
        for i, low, limit in self._reads_along(b, axis):
            if i is not axis or limit is None or not is_const(low, 0):
                return None
            ends.append(limit)
        extent = as_int(axis.extent)
        return const(min(ends)) if ends and extent is not None and min(ends) > extent else None

    def _reads_along(
        self, b: StageBounds, axis: IterVar
    ) -> Iterator[tuple[Expr, Expr, int | None]]:
        """(index, first index in storage, elements from there) of every read along ``axis``."""
        for body in b.body:
            for n in walk(body):
                if not isinstance(n, Read):
                    continue
                for k, i in enumerate(n.indices):
                    if any(v is axis for v in walk(i)):
                        yield (i, *self._room(n.tensor, k))

    def _room(self, t: Tensor, k: int) -> tuple[Expr, int | None]:
        """The first index that storage has along a logical axis, and how many elements from there,
        padding included."""
        layout = self.layouts.get(t)
        known = self.bounds.get(self.schedule[t])
        low, extent = known.stored[k] if known is not None and known.stored else (ZERO, t.shape[k])
        return low, layout.padded[k] if layout else as_int(extent)

    # Statements ---------------------------------------------------------------------------------

    def lows(self, b: StageBounds) -> list[Expr]:
        """Where storage of a stage begins in each axis, by the loops that are really there."""
        return [substitute(low, self.alias) for low, _ in b.stored]

    def indices(self, s: Stage, b: StageBounds, to_load: ToLoad) -> tuple[Expr, ...]:
        """Where in its storage the element is that the loops of a stage are at."""
        return tuple(
            to_load.index[a] if is_const(low, 0) else binary(Op.SUB, to_load.index[a], low)
            for a, low in zip(s.axes, self.lows(b))
        )

    def _update(self, s: Stage, b: StageBounds, to_load: ToLoad) -> Stmt:
        buffers = [self.buffers[t] for t in s.op.outputs]
        where = self.indices(s, b, to_load)
        first = b.body[0]
        if not isinstance(first, Reduce):
            return seq(*(Store(f, where, to_load(e)) for f, e in zip(buffers, b.body)))
        stmt = combine_into(first, buffers, where, [to_load(e) for e in first.sources])
        return stmt if is_const(first.condition, 1) else where_holds(to_load(first.condition), stmt)

    def _init(
        self,
        s: Stage,
        b: StageBounds,
        to_load: ToLoad,
        first: int,
        guards: Guards,
        missing: Missing,
    ) -> Stmt:
        """``result = identity`` over the data loops that lie inside the first reduce loop."""
        reduce = b.body[0]
        assert isinstance(reduce, Reduce)
        inner = [a for a in s.leaves[first:] if a.kind != "reduce"]
        fresh: dict[Var, Expr] = {a: Var(f"{a.name}.init") for a in inner if a not in self.alias}
        where = tuple(substitute(i, fresh) for i in self.indices(s, b, to_load))
        buffers = [self.buffers[t] for t in s.op.outputs]
        stmt = seq(*(Store(f, where, e) for f, e in zip(buffers, reduce.reducer.identity)))
        stmt = guarded_store(self, s, b, stmt, missing, fresh)
        own = [substitute(g, fresh) for at, g, data in guards if at >= first and data]
        stmt = where_all(own, stmt, likely=True)
        for a in reversed(inner):
            v = fresh.get(a, a)
            assert isinstance(v, Var)
            stmt = self.loop(s, b, a, v, stmt)
        return stmt


class ToLoad(Mutator):
    """Expressions of a body in terms of loops and buffers."""

    def __init__(self, builder: NestBuilder, s: Stage, index: Mapping[IterVar, Expr]):
        super().__init__()
        self.builder, self.stage, self.index = builder, s, index

    def visit_IterVar(self, v: IterVar) -> Expr:
        return self.index.get(v, v)

    def visit_Read(self, n: Read) -> Expr:
        producer = self.builder.schedule[n.tensor]
        indices = tuple(self(i) for i in n.indices)
        known = self.builder.bounds.get(producer)
        if known is not None and producer.axes:
            indices = tuple(
                i if is_const(low, 0) else binary(Op.SUB, i, low)
                for i, low in zip(indices, self.builder.lows(known))
            )
        return Load(self.builder.buffers[n.tensor], indices)
