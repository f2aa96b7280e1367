"""From a schedule to a loop nest: the first lowering pass.

For each stage: its loops, an initialisation in front of its first reduce loop, the producers that
are computed inside it, and guards (``if likely(...)``) where a split does not divide or where the
needed box reaches over the edge of the domain. A guard sits as far out as its variables allow, but
inside of everything that is computed at its loop, so that producers run for all threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...runtime.errors import LoweringError, ScheduleError
from ..alu import Op
from ..builders import all_of
from ..expr import ZERO, Expr, IterVar, Load, Read, Reduce, Var, as_int, binary, const, is_const
from ..layout import Layout
from ..schedule.bounds import StageBounds, bind_extent, infer_bounds
from ..schedule.loops import Annotation
from ..schedule.schedule import Schedule
from ..schedule.stage import Stage
from ..simplify import Analyzer
from ..stmt import Alloc, Buffer, For, ForKind, Function, If, Let, Stmt, Store, seq
from ..tensor import ComputeOp, Tensor
from ..visit import Mutator, Node, substitute, walk
from .boxes import box_layout
from .prefetch import fetches
from .tensorize import emit


def build_loop_nest(
    schedule: Schedule,
    args: Sequence[Tensor | Var],
    name: str,
    layouts: Mapping[Tensor, Layout] | None = None,
) -> Function:
    """The function that computes ``schedule.outputs``; ``args`` are its parameters in order."""
    return _Builder(schedule, args, layouts or {}).function(name)


class _Builder:
    def __init__(
        self, schedule: Schedule, args: Sequence[Tensor | Var], layouts: Mapping[Tensor, Layout]
    ):
        self.schedule, self.args, self.layouts = schedule, args, dict(layouts)
        self.bounds = infer_bounds(schedule)
        for s in self.bounds:
            layout = box_layout(s, self.bounds[s].box)
            if layout is not None:
                self.layouts.update(dict.fromkeys(s.op.outputs, layout))
        self.buffers: dict[Tensor, Buffer] = {}
        self.params: list[Buffer | Var] = []
        self.made: dict[Stage, list[Buffer]] = {}  # storage that is not a parameter
        self.children: dict[IterVar, list[Stage]] = {}
        self.alias: dict[Var, Expr] = {}  # loops that are a hardware index bound further out
        for s in self.bounds:
            if s.attach.kind == "at":
                assert s.attach.axis is not None
                self.children.setdefault(s.attach.axis, []).append(s)
        for group in self.children.values():
            group.sort(key=schedule.stages.index)

    def function(self, name: str) -> Function:
        writes = self._parameters()
        roots = [s for s in self.schedule.stages if s in self.bounds and s.attach.kind == "root"]
        self.made = {s: self._storage(s) for s in self.bounds}
        body = seq(*(self._nest(s) for s in roots))
        for s in reversed(roots):
            for b in reversed(self.made[s]):
                body = Alloc(b, body)
        return Function(name, tuple(self.params), body, frozenset(writes))

    def _parameters(self) -> set[Buffer]:
        writes: set[Buffer] = set()
        for a in self.args:
            if isinstance(a, Var):
                self.params.append(a)
                continue
            if a not in self.schedule:
                buffer = Buffer(a.name, a.dtype, a.shape, layout=self.layouts.get(a))
                self.params.append(buffer)  # an argument that nothing reads
                continue
            s = self.schedule[a]
            if isinstance(s.op, ComputeOp) and (s.attach.kind != "root" or not s.is_output):
                raise LoweringError(
                    f"the argument {a.name} is neither an input nor a result of the schedule."
                )
            if a in self.buffers:
                raise LoweringError(f"the argument {a.name} is given twice.")
            buffer = Buffer(a.name, a.dtype, a.shape, layout=self.layouts.get(a))
            self.buffers[a] = buffer
            self.params.append(buffer)
            if isinstance(s.op, ComputeOp):
                writes.add(buffer)
        for s in self.schedule.stages:
            for t in s.op.outputs:
                needed = not isinstance(s.op, ComputeOp) or t in self.schedule.outputs
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
                shape = tuple(e for _, e in b.box)
                layout = self.layouts.get(t)
                buffer = Buffer(t.name, t.dtype, shape, s.scope, layout)
                self.buffers[t] = buffer
                made.append(buffer)
        return made

    # One stage --------------------------------------------------------------------------------

    def _nest(self, s: Stage) -> Stmt:
        b = self.bounds[s]
        extra = self._bound_outside(s, b)
        alias = self.alias
        depth: dict[Node, int] = {a: k for k, a in enumerate(s.leaves)}
        attached = [k for k, a in enumerate(s.leaves) if a in self.children]
        guards: list[tuple[int, Expr, bool]] = []
        for axis, g in [*self._guards(s, b), *extra]:
            at = max([depth[v] for v in walk(g) if v in depth] + attached, default=-1)
            guards.append((at, substitute(g, alias), axis.kind != "reduce"))
        first = next((k for k, a in enumerate(s.leaves) if a.kind == "reduce"), len(s.leaves))
        to_load = _ToLoad(self, s, {a: substitute(e, alias) for a, e in b.index.items()})
        if s.intrin is not None:
            return self._tensorized(s, b, to_load)
        stmt = self._update(s, b, to_load)
        for k in range(len(s.leaves) - 1, -1, -1):
            stmt = _guarded([g for at, g, _ in guards if at == k], stmt)
            stmt = self._with_children(s.leaves[k], stmt)
            stmt = self._loop(s, b, s.leaves[k], s.leaves[k], stmt)
            if s.leaves[k] in s.prefetches:
                stmt = seq(*fetches(s, k, b, to_load, self.params), stmt)
            if k == first:
                stmt = seq(self._init(s, b, to_load, first, guards), stmt)
        return _guarded([g for at, g, _ in guards if at == -1], stmt)

    def _with_children(self, axis: IterVar, stmt: Stmt) -> Stmt:
        children = self.children.get(axis, [])
        stmt = seq(*(self._nest(c) for c in children), stmt)
        for c in reversed(children):
            for buffer in reversed(self.made[c]):
                stmt = Alloc(buffer, stmt)
        return stmt

    def _loop(self, s: Stage, b: StageBounds, axis: IterVar, v: Var, body: Stmt) -> Stmt:
        if axis in self.alias:
            return body
        ann = s.annotations.get(axis, Annotation())
        return For(v, ZERO, b.extents[axis], ann.kind, body, ann.tag, ann.pragmas)

    def _bound_outside(self, s: Stage, b: StageBounds) -> list[tuple[IterVar, Expr]]:
        """Loops of ``s`` bound to a hardware index that a loop around ``s`` is bound to already
        are that loop: the variable is another name for it. Returns the guards of shorter loops."""
        outer: dict[str, tuple[IterVar, Expr]] = {}
        for other in self.bounds:
            for a, ann in other.annotations.items():
                if ann.kind is ForKind.BOUND and a in b.outside and a not in self.alias:
                    outer[ann.tag] = (a, b.outside[a])
        guards: list[tuple[IterVar, Expr]] = []
        for a, ann in s.annotations.items():
            if ann.kind is not ForKind.BOUND or ann.tag not in outer:
                continue
            v, available = outer[ann.tag]
            have, want = as_int(available), as_int(b.extents[a])
            if have is None or want is None or want > have:
                raise ScheduleError(
                    f"{s.name} binds {a.name} of extent {b.extents[a]} to {ann.tag}, which has "
                    f"extent {available} outside.\n{s.nest()}",
                    hint="split the loop by the extent of the hardware index first",
                )
            self.alias[a] = v
            if want < have:
                guards.append((a, a < want))
        return guards

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
        low, extent = known.box[k] if known is not None else (ZERO, t.shape[k])
        return low, layout.padded[k] if layout else as_int(extent)

    # Statements ---------------------------------------------------------------------------------

    def _indices(self, s: Stage, b: StageBounds, to_load: _ToLoad) -> tuple[Expr, ...]:
        return tuple(
            binary(Op.SUB, to_load.index[a], low) if not is_const(low, 0) else to_load.index[a]
            for a, (low, _) in zip(s.axes, b.box)
        )

    def _update(self, s: Stage, b: StageBounds, to_load: _ToLoad) -> Stmt:
        buffers = [self.buffers[t] for t in s.op.outputs]
        where = self._indices(s, b, to_load)
        first = b.body[0]
        if not isinstance(first, Reduce):
            return seq(*(Store(f, where, to_load(e)) for f, e in zip(buffers, b.body)))
        old = [Load(f, where) for f in buffers]
        new = first.reducer.combine(old, [to_load(e) for e in first.sources])
        if len(new) == 1:
            stmt: Stmt = Store(buffers[0], where, new[0])
        else:  # all components are computed from the old values before one is stored
            names = [Var(f"{f.name}.next", f.dtype) for f in buffers]
            stmt = seq(*(Store(f, where, v) for f, v in zip(buffers, names)))
            for v, e in zip(reversed(names), reversed(new)):
                stmt = Let(v, e, stmt)
        return stmt if is_const(first.condition, 1) else If(to_load(first.condition), stmt)

    def _init(
        self,
        s: Stage,
        b: StageBounds,
        to_load: _ToLoad,
        first: int,
        guards: list[tuple[int, Expr, bool]],
    ) -> Stmt:
        """``result = identity`` over the data loops that lie inside the first reduce loop."""
        reduce = b.body[0]
        assert isinstance(reduce, Reduce)
        inner = [a for a in s.leaves[first:] if a.kind != "reduce"]
        fresh: dict[Var, Expr] = {a: Var(f"{a.name}.init") for a in inner if a not in self.alias}
        where = tuple(substitute(i, fresh) for i in self._indices(s, b, to_load))
        buffers = [self.buffers[t] for t in s.op.outputs]
        stmt = seq(*(Store(f, where, e) for f, e in zip(buffers, reduce.reducer.identity)))
        stmt = _guarded(
            [substitute(g, fresh) for at, g, data in guards if at >= first and data], stmt
        )
        for a in reversed(inner):
            v = fresh.get(a, a)
            assert isinstance(v, Var)
            stmt = self._loop(s, b, a, v, stmt)
        return stmt

    def _tensorized(self, s: Stage, b: StageBounds, to_load: _ToLoad) -> Stmt:
        """The nest of a tensorised stage: its outer loops around the intrinsic's statements."""
        assert s.intrin is not None
        at = s.leaves.index(s.intrin[0])
        output = self.buffers[s.op.outputs[0]]
        init, stmt = emit(s.intrin[1], s, b, to_load, self._indices(s, b, to_load), output)
        first = next((k for k, a in enumerate(s.leaves) if a.kind == "reduce"), len(s.leaves))
        if init is not None and first >= at:
            stmt = seq(init, stmt)
        for k in range(at - 1, -1, -1):
            stmt = self._with_children(s.leaves[k], stmt)
            stmt = self._loop(s, b, s.leaves[k], s.leaves[k], stmt)
            if k == first and init is not None:
                start = init
                for a in reversed(s.leaves[first:at]):
                    if a.kind != "reduce":
                        v = Var(f"{a.name}.init")
                        start = self._loop(s, b, a, v, substitute(start, {a: v}))
                stmt = seq(start, stmt)
        return stmt


class _ToLoad(Mutator):
    """Expressions of a body in terms of loops and buffers."""

    def __init__(self, builder: _Builder, s: Stage, index: Mapping[IterVar, Expr]):
        super().__init__()
        self.builder, self.stage, self.index = builder, s, index

    def visit_IterVar(self, v: IterVar) -> Expr:
        return self.index.get(v, v)

    def visit_Read(self, n: Read) -> Expr:
        producer = self.builder.schedule[n.tensor]
        indices = tuple(self(i) for i in n.indices)
        known = self.builder.bounds.get(producer)
        if known is not None:
            indices = tuple(
                i if is_const(low, 0) else binary(Op.SUB, i, low)
                for i, (low, _) in zip(indices, known.box)
            )
        return Load(self.builder.buffers[n.tensor], indices)


def _guarded(conditions: list[Expr], stmt: Stmt) -> Stmt:
    return If(all_of(conditions), stmt, likely=True) if conditions else stmt
