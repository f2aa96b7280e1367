"""Schedules: how a computation is carried out, without changing what it computes.

A :class:`Schedule` has one :class:`Stage` per operation. Loop primitives live on
the stage, primitives that change the dataflow (``cache_read``, ``cache_write``, ``rfactor``) here.
Every call is checked when it is made and appends a step to ``schedule.trace``.

The primitives and their names are those of TVM (Chen et al., OSDI'18, §4) after Halide
(Ragan-Kelley et al., PLDI'13).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ...runtime.dtype import INT32
from ...runtime.errors import ScheduleError
from ...runtime.uncopied import Uncopied
from ..alu import Op
from ..expr import TRUE, ZERO, Binary, Const, Expr, IterVar, Read, Reduce, Select, binary
from ..identity import among
from ..tensor import ComputeOp, Operation, PlaceholderOp, Tensor, is_unknown
from ..visit import Mutator, substitute
from .primitives import TraceStep, dataflow_primitive
from .scans import attach_steps
from .show import schedule_text
from .stage import SCOPES, Stage
from .trace import Trace

Results: TypeAlias = Tensor | Sequence[Tensor]  # one or all results of an operation


def create_schedule(
    outputs: Tensor | Operation | Sequence[Tensor | Operation],
) -> Schedule:
    """The default schedule: every stage at the root, plain loops in order of its axes. ``outputs``
    are the results, as tensors or (all results of each) as operations."""
    several = (outputs,) if isinstance(outputs, Tensor | Operation) else outputs
    if not (isinstance(several, Sequence) and several):
        raise ScheduleError(
            f"create_schedule takes a tensor or several, not {outputs!r}.",
            hint="te.create_schedule(C), or te.create_schedule([B, C]) for several results",
        )
    results: dict[Tensor, None] = {}
    for t in several:
        if not isinstance(t, Tensor | Operation):
            raise ScheduleError(f"create_schedule takes tensors, not {t!r}.")
        results.update(dict.fromkeys((t,) if isinstance(t, Tensor) else t.outputs))
    return Schedule(tuple(results))


class Schedule(Uncopied):
    """The stages that compute ``outputs``, in an order in which producers come first."""

    reason = "belongs to the tensors that it computes"
    instead = "replay its trace on a new one: schedule.trace.replay(te.create_schedule(…))"

    def __init__(self, outputs: tuple[Tensor, ...]):
        self.outputs = outputs
        self.stages: list[Stage] = []
        self._stage: dict[Operation, Stage] = {}
        self._steps: list[TraceStep] = []
        # Axes of operations for which a stage has others: `s[B].op.reduce_axis[0]` after rfactor.
        self.standing_for: dict[IterVar, IterVar] = {}
        for op in _post_order([t.op for t in outputs]):
            self._add(op, len(self.stages))
        for t in outputs:
            self[t].is_output = True
        attach_steps(self)

    def _add(self, op: Operation, position: int, name: str | None = None) -> Stage:
        taken = {s.name for s in self.stages}
        base, k = name or op.name, 0
        unique = base
        while unique in taken:
            k += 1
            unique = f"{base}_{k}"
        stage = Stage(self, op, unique)
        self.stages.insert(position, stage)
        self._stage[op] = stage
        return stage

    def __getitem__(self, key: Tensor | Operation | str) -> Stage:
        """The stage of a tensor, of an operation, or of this name."""
        if isinstance(key, str):
            return self.stage_named(key)
        op = key.op if isinstance(key, Tensor) else key
        stage = self._stage.get(op)
        if stage is None:
            raise ScheduleError(
                f"{key} is not computed by this schedule.",
                hint="stages: " + ", ".join(s.name for s in self.stages),
            )
        return stage

    def __contains__(self, key: Tensor | Operation) -> bool:
        return (key.op if isinstance(key, Tensor) else key) in self._stage

    def stage_named(self, name: str) -> Stage:
        """The stage of this name; raises ScheduleError that lists them."""
        for s in self.stages:
            if s.name == name:
                return s
        raise ScheduleError(
            f"there is no stage {name!r}.", hint="stages: " + ", ".join(s.name for s in self.stages)
        )

    @property
    def trace(self) -> Trace:
        """Every primitive called so far; serialisable and replayable."""
        return Trace(tuple(self._steps))

    def record(self, step: TraceStep) -> None:
        """Note that a primitive was carried out."""
        self._steps.append(step)

    def consumers(self, stage: Stage) -> list[Stage]:
        """The stages that read a result of ``stage`` directly."""
        return [s for s in self.stages if stage in s.producers()]

    def move_before(self, stage: Stage, other: Stage) -> None:
        """Compute ``stage``, and what it needs, before ``other``, which it does not need."""
        at = self.stages.index(other)
        moved = [s for s in self.stages[at:] if s is stage or s.feeds(stage)]
        rest = [s for s in self.stages if s not in moved]
        at = rest.index(other)
        self.stages = [*rest[:at], *moved, *rest[at:]]

    def normalize(self) -> Schedule:
        """The schedule itself: nothing has to be made regular before lowering."""
        return self

    # Primitives that change the dataflow ----------------------------------------------------

    @dataflow_primitive
    def cache_read(self, tensor: Tensor, scope: str, readers: Sequence[Stage | Tensor]) -> Tensor:
        """Copy ``tensor`` into ``scope`` for ``readers``, which then read the copy.

        for i: C[i] = A[i] + 1      ->      for i: A.local[i] = A[i]
                                            for i: C[i] = A.local[i] + 1
        """
        source = self[tensor]
        _check_scope("cache_read", scope, source)
        stages = [r if isinstance(r, Stage) else self[r] for r in readers]
        for r in stages:
            if source not in r.producers():
                raise ScheduleError(f"{r.name} does not read {tensor.name}.", hint=r.nest())
            if not isinstance(r.op, ComputeOp):
                raise ScheduleError(
                    f"cache_read: {r.name} is no te.compute: it reads what it names.",
                    hint=f"copy {tensor.name} with a te.compute, and give {r.name} the copy",
                )
        if not stages:
            raise ScheduleError(f"cache_read of {tensor.name} needs at least one reader.")
        axes = tuple(
            IterVar(f"i{k}", INT32, ZERO, extent, "data") for k, extent in enumerate(tensor.shape)
        )
        op = ComputeOp(f"{tensor.name}.{scope}", axes, (Read(tensor, axes),))
        stage = self._add(op, self.stages.index(source) + 1)
        stage.scope = scope
        redirect = _Redirect({tensor: op.outputs[0]})
        for r in stages:
            r.body = tuple(redirect(b) for b in r.body)
        return op.outputs[0]

    @dataflow_primitive
    def cache_write(self, tensors: Results, scope: str) -> Tensor:
        """Compute ``tensor`` in ``scope`` first, then copy; returns the copy's source. With several
        tensors (all results of one operation) the first one's source is given.

            for i: C[i] = f(i)          ->      for i: C.local[i] = f(i)
                                                for i: C[i] = C.local[i]
        """
        tensor = tensors if isinstance(tensors, Tensor) else tensors[0]
        stage = self[tensor]
        if isinstance(stage.op, PlaceholderOp):
            raise ScheduleError(f"{stage.name} is an input: there is nothing to compute first.")
        if not isinstance(stage.op, ComputeOp):
            raise ScheduleError(
                f"cache_write: {stage.name} is no te.compute: it writes what it names.",
                hint="copy its result with a te.compute",
            )
        _check_scope("cache_write", scope, stage)
        if stage.relations or stage.annotations:
            raise ScheduleError(
                f"cache_write of {stage.name} must come before its loops are changed.",
                hint=stage.nest(),
            )
        renamed: dict = {
            a: IterVar(a.name, a.dtype, a.minimum, a.extent, a.kind) for a in stage.axes
        }
        for a in stage.reduce_axes:
            begin, extent = substitute(a.minimum, renamed), substitute(a.extent, renamed)
            renamed[a] = IterVar(a.name, a.dtype, begin, extent, a.kind)
        body = tuple(_rename(b, renamed) for b in stage.body)
        op = ComputeOp(
            f"{stage.name}.{scope}",
            tuple(renamed[a] for a in stage.axes),
            body,
            attrs=stage.op.attrs,
        )
        cache = self._add(op, self.stages.index(stage))
        cache.scope = scope
        stage.body = tuple(Read(t, stage.axes) for t in op.outputs)
        stage.reset_leaves()
        return op.outputs[0]

    @dataflow_primitive
    def rfactor(self, tensors: Results, axis: IterVar) -> Tensor:
        """Turn the reduce loop ``axis`` into a data axis of a partial reduction (Suriana et al.,
        CGO'17); returns the tensor of partial results, whose first axis is ``axis``.

            for k: for j: C += A[k, j]   ->   for k: for j: C.rf[k] += A[k, j]
                                              for k:        C += C.rf[k]
        """
        stage = self[tensors if isinstance(tensors, Tensor) else tensors[0]]
        reduce = stage.body[0] if stage.body else None
        mine = among(axis, stage.leaves) and stage.is_reduce(axis)
        if not isinstance(reduce, Reduce) or not mine:
            raise ScheduleError(
                f"rfactor of {stage.name} needs one of its reduce loops, not {axis.name}.",
                hint=stage.nest(),
            )
        if any(stage.is_reduce(a) for a in stage.annotations):
            raise ScheduleError(
                f"rfactor of {stage.name} must come before its reduce loops are annotated.",
                hint=stage.nest(),
            )
        values, guards = stage.index_values()
        # New variables for all loops of the partial reduction: it is a computation of its own.
        data = {a: IterVar(a.name, INT32, ZERO, a.extent, "data") for a in stage.axes}
        others = [a for a in stage.leaves if stage.is_reduce(a) and a is not axis]
        if is_unknown(axis.extent):
            raise ScheduleError(
                f"rfactor of {stage.name}: how long {axis.name} is, only the data say, so that "
                "there can be no axis of partial results.",
                hint=f"split {axis.name} by a constant factor, and rfactor the inner loop",
            )
        fresh: dict = {
            a: IterVar(a.name, INT32, ZERO, substitute(a.extent, data), "reduce") for a in others
        }
        factor = IterVar(axis.name, INT32, ZERO, axis.extent, "data")
        fresh[axis] = factor
        point = {
            a: binary(Op.ADD, substitute(values[a], fresh), substitute(a.minimum, data))
            for a in stage.reduce_axes
        }
        mapping = {**data, **point}
        condition = substitute(reduce.condition, mapping)
        for root, guard in guards:
            if stage.is_reduce(root):
                condition = _and(condition, substitute(guard, {**fresh, **data}))
        sources = tuple(substitute(e, mapping) for e in reduce.sources)
        axes = (factor, *(data[a] for a in stage.axes))
        rest = tuple(fresh[a] for a in others)
        body: tuple[Expr, ...]
        if rest:
            body = tuple(
                Reduce(reduce.reducer, sources, rest, condition, k) for k in range(len(stage.body))
            )
        else:  # nothing is left to reduce: a masked copy
            body = tuple(Select(condition, s, i) for s, i in zip(sources, reduce.reducer.identity))
        op = ComputeOp(f"{stage.name}.rf", axes, body)
        self._add(op, self.stages.index(stage))
        last = IterVar(axis.name, INT32, ZERO, axis.extent, "reduce")
        assert isinstance(stage.op, ComputeOp)
        self.standing_for.update(dict.fromkeys(stage.op.reduce_axes[:1], last))
        partial = tuple(Read(t, (last, *stage.axes)) for t in op.outputs)
        stage.body = tuple(
            Reduce(reduce.reducer, partial, (last,), TRUE, k) for k in range(len(stage.body))
        )
        stage.drop_reduce_loops((last,))
        return op.outputs[0]

    def __str__(self) -> str:
        return schedule_text(self)


def _check_scope(primitive: str, scope: str, stage: Stage) -> None:
    if scope not in SCOPES:
        raise ScheduleError(
            f"{primitive} of {stage.name}: there is no scope {scope!r}.", hint=", ".join(SCOPES)
        )


def _and(a: Expr, b: Expr) -> Expr:
    return b if isinstance(a, Const) and a.value is True else Binary(Op.AND, a, b)


def _rename(body: Expr, renamed: dict) -> Expr:
    if isinstance(body, Reduce):
        return Reduce(
            body.reducer,
            tuple(substitute(s, renamed) for s in body.sources),
            tuple(renamed[a] for a in body.axes),
            substitute(body.condition, renamed),
            body.index,
        )
    return substitute(body, renamed)


class _Redirect(Mutator):
    """Reads of some tensors become reads of others."""

    def __init__(self, tensors: dict[Tensor, Tensor]):
        super().__init__()
        self.tensors = tensors

    def visit_Read(self, n: Read) -> Expr:
        n = self.rebuild(n)
        other = self.tensors.get(n.tensor)
        return n if other is None else Read(other, n.indices)


def _post_order(roots: Iterable[Operation]) -> list[Operation]:
    """Operations below ``roots``, producers before consumers."""
    order: dict[Operation, None] = {}
    stack: list[tuple[Operation, bool]] = [(op, False) for op in reversed(list(roots))]
    while stack:
        op, done = stack.pop()
        if op in order:
            continue
        if done:
            order[op] = None
        else:
            stack.append((op, True))
            stack.extend((t.op, False) for t in reversed(op.inputs))
    return list(order)
