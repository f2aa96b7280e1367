"""A stage: one operation of a schedule, and the primitives that say where it is computed and how
its result is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ...runtime.uncopied import Uncopied
from ..expr import Expr, IterVar, Read, as_int
from ..identity import among, place_of
from ..layout import Layout
from ..operations.extern import ExternOp
from ..operations.scan import ScanOp
from ..stmt import ForKind
from ..tensor import ComputeOp, Operation, PlaceholderOp, Tensor
from ..visit import Node, tally, variables, walk
from .primitives import primitive
from .scans import place_of_part
from .transforms import ROOT, Attach, ScheduledLoops

if TYPE_CHECKING:
    from .schedule import Schedule

SCOPES = ("global", "shared", "local")


@dataclass(frozen=True, eq=False)
class PrefetchRequest:
    """What :meth:`Stage.prefetch` asks for."""

    tensor: Tensor
    axis: IterVar
    distance: int
    shares: tuple[tuple[IterVar, int], ...] = ()


class Stage(Uncopied, ScheduledLoops):
    """One operation of a schedule: its loops, where and how it is computed and stored."""

    reason = "belongs to its schedule"
    instead = "replay the schedule's trace on a new one: schedule.trace.replay(…)"

    def __init__(self, schedule: Schedule, op: Operation, name: str):
        super().__init__(schedule, op, name)
        self.is_output = False
        self.scope = "global"
        self.alignment: dict[int, tuple[int, int]] = {}  # axis number -> (factor, offset)
        self.layout: Layout | None = None
        self.double_buffered = False
        self.store_predicate: Expr | None = None
        # What is fetched before a loop.
        self.prefetches: dict[IterVar, list[PrefetchRequest]] = {}

    def __repr__(self) -> str:
        return f"<Stage {self.name}>"

    def producers(self) -> list[Stage]:
        """The stages whose results this one reads."""
        if not isinstance(self.op, ComputeOp):
            return list(dict.fromkeys(self.schedule[t] for t in self.op.inputs))
        seen: dict[Stage, None] = {}
        for b in self.body:
            for n in walk(b):
                if isinstance(n, Read):
                    seen[self.schedule[n.tensor]] = None
        return list(seen)

    def reads(self) -> list[Read]:
        """Every read of a tensor in the body once, in the order of the text."""
        return [n for b in self.body for n in walk(b) if isinstance(n, Read)]

    def read_count(self, producer: Stage) -> int:
        """How often the text of the body reads results of ``producer``."""

        def is_read(n: Node) -> bool:
            return isinstance(n, Read) and n.tensor.op is producer.op

        return sum(tally(b, is_read) for b in self.body)

    @primitive
    def compute_at(self, parent: Stage | Tensor, axis: IterVar) -> None:
        """Compute what each iteration of ``axis`` of ``parent`` needs, inside that loop.

        for i: B[i] = …               ->   for i: B[i] = …
        for i: C[i] = f(B[i])                     C[i] = f(B[i])

        A result can be computed at a loop of another result, whether that reads it or not (then its
        axes run along with those of the other): all of it must be computed there.
        """
        self._compute("compute_at")
        if not isinstance(parent, Stage):
            parent = self.schedule[parent]
        along = self.is_output and parent.is_output and not parent.feeds(self)
        if parent is self or not (along or self.feeds(parent)):
            readers = ", ".join(s.name for s in self.schedule.consumers(self)) or "none"
            raise self._error(
                f"compute_at: {parent.name} does not use {self.name}.",
                hint=f"stages that read {self.name}: {readers}",
            )
        loop = parent._loop(axis, "compute_at")
        ann = parent.annotations.get(loop)
        if ann is not None and ann.kind is ForKind.VECTORIZED:
            raise parent._error(f"compute_at: the loop {loop.name} is vectorized.")
        if along:
            self.schedule.move_before(self, parent)
        self.attach = Attach("at", parent, loop)

    def feeds(self, other: Stage) -> bool:
        """Whether ``other`` reads results of this stage, itself or through stages in between."""
        seen: set[Stage] = set()
        stack: list[Stage] = [self]
        while stack:
            for c in self.schedule.consumers(stack.pop()):
                if c is other:
                    return True
                if c not in seen:
                    seen.add(c)
                    stack.append(c)
        return False

    @primitive
    def compute_inline(self) -> None:
        """Put the expression of each element where it is read.

        for i: B[i] = A[i] + 1            ->   for i: C[i] = (A[i] + 1) * 2
        for i: C[i] = B[i] * 2
        """
        self._compute("compute_inline")
        if self.reduce_axes:
            raise self._error("compute_inline: a reduction cannot be written inside an expression.")
        if self.is_output:
            raise self._error(f"compute_inline: {self.name} is a result and must be stored.")
        self.attach = Attach("inline")

    @primitive
    def compute_root(self) -> None:
        """Compute the whole result before its first reader (the default)."""
        self._compute("compute_root")
        self.attach = ROOT

    @primitive
    def set_scope(self, scope: str) -> None:
        """Keep the result in ``"global"``, ``"shared"`` or ``"local"`` storage."""
        self._compute("set_scope")
        if scope not in SCOPES:
            raise self._error(f"set_scope: there is no scope {scope!r}.", ", ".join(SCOPES))
        if self.is_output and scope != "global":
            raise self._error(f"set_scope: {self.name} is a result and stays in global memory.")
        self.scope = scope

    @primitive
    def set_layout(self, layout: Layout | str) -> None:
        """Store an intermediate result in a blocked layout such as ``"NCHW16c"``. Where only a box
        of it is stored (``compute_at``), the box is blocked in the same way."""
        self._compute("set_layout")
        shape = [as_int(a.extent) for a in self.axes]
        if self.is_output or None in shape:
            raise self._error(
                f"set_layout: {self.name} must be an intermediate result with constant extents."
            )
        extents = [n for n in shape if n is not None]
        new = Layout.parse(layout, extents) if isinstance(layout, str) else layout
        if new.shape != tuple(extents):
            raise self._error(f"set_layout: {layout} is a layout of {new.shape}, not {extents}.")
        self.layout = new

    @primitive
    def storage_align(self, axis: IterVar, factor: int, offset: int = 0) -> None:
        """Pad storage so that the stride of ``axis`` is ``offset`` modulo ``factor`` elements
        (against bank conflicts, for aligned vector loads)."""
        self._compute("storage_align")
        if not among(axis, self.axes):
            raise self._error(f"storage_align: {axis.name} is not an axis of the result.")
        if self.is_output:
            raise self._error(f"storage_align: the layout of the result {self.name} is given.")
        if not 0 <= offset < factor:
            raise self._error(f"storage_align: 0 <= offset {offset} < factor {factor} must hold.")
        self.alignment[place_of(axis, self.axes)] = (factor, offset)

    @primitive
    def double_buffer(self) -> None:
        """Copy the next tile while the present one is used: two buffers that take turns.

        for k: X = tile(k); use(X)   ->   X0 = tile(0)
                                          for k by 2: X1 = tile(k + 1); use(X0)
                                                      X0 = tile(k + 2); use(X1)

        The stage must be computed at a serial loop (``compute_at``). Threads wait once a tile
        instead of twice.
        """
        self._compute("double_buffer")
        if self.is_output:
            raise self._error(f"double_buffer: {self.name} is a result, of which there is one.")
        self.double_buffered = True

    @primitive
    def set_store_predicate(self, predicate: Expr) -> None:
        """Store only where ``predicate`` holds: a condition on data loops of the stage and on
        hardware indices (``te.thread_axis``), for threads that would all store the same."""
        self._compute("set_store_predicate")
        if not isinstance(predicate, Expr) or not predicate.dtype.is_bool:
            raise self._error(f"set_store_predicate: {predicate!r} is no condition.")
        for v in variables(predicate):
            thread = isinstance(v, IterVar) and v.kind == "thread"
            if not thread and not (isinstance(v, IterVar) and among(v, self.leaves)):
                raise self._error(
                    f"set_store_predicate: {v.name} is neither a loop of {self.name} nor a hardware"
                    " index."
                )
        self.store_predicate = predicate

    @primitive
    def prefetch(
        self,
        tensor: Tensor,
        loop: IterVar,
        axis: IterVar,
        distance: int,
        shares: Mapping[IterVar, int] | None = None,
    ) -> None:
        """Ask for elements of ``tensor`` ahead of their use, in front of ``loop``: those that it
        reads once the data axis ``axis`` is ``distance`` further on.

        for i, j, k.outer:            ->   for i, j, k.outer:
            for k.inner:                       prefetch(B[k.outer, k.inner, j + distance])
                C[i, j] += A[i, k] * B[k, j]   for k.inner: …

        ``shares`` maps data axes that ``tensor`` does not depend on to how many neighbouring
        elements divide the work (here of ``i``, as far as it runs inside of ``j``): each asks for
        its part of ``loop``. A hint only: nothing happens where a target has no such instruction.
        """
        self._compute("prefetch")
        loop = self._loop(loop, "prefetch")
        if not among(axis, self.axes):
            raise self._error(f"prefetch: {axis.name} is not a data axis of {self.name}.")
        if not any(r.tensor is tensor for r in self.reads()):
            raise self._error(f"prefetch: {self.name} does not read {tensor.name}.")
        used = {v for r in self.reads() if r.tensor is tensor for i in r.indices for v in walk(i)}
        parts = tuple((shares or {}).items())
        for a, n in parts:
            if not among(a, self.axes) or a in used or n < 1:
                what = f"{n} elements of {a.name} cannot share what is read of {tensor.name}"
                raise self._error(f"prefetch: {what}.")
        self.prefetches.setdefault(loop, []).append(PrefetchRequest(tensor, axis, distance, parts))

    def _compute(self, what: str) -> None:
        if isinstance(self.op, PlaceholderOp):
            raise ScheduleError(f"{what}: {self.name} is an input; it is there already.")
        if isinstance(self.op, ScanOp) and what != "compute_root":
            raise self._error(f"{what}: {self.name} is a recurrence, kept as a whole at the root.")
        part = place_of_part(self)
        if part and what not in ("compute_root", "prefetch"):
            raise self._error(f"{what}: {self.name} is {part}, whose storage it writes.")
        if isinstance(self.op, ExternOp) and what != "compute_root":
            raise self._error(
                f"{what}: {self.name} is computed by statements, whole and at the root.",
                hint="stages that it reads and stages that read it have loops of their own",
            )
