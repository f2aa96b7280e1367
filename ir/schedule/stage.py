"""A stage: the loops of one operation, and the primitives that change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..expr import IterVar, Read, as_int, binary
from ..layout import Layout
from ..stmt import ForKind
from ..tensor import ComputeOp, Operation, Tensor
from ..visit import walk
from .intrinsics import TensorIntrin, check_match
from .loops import Annotation, Fuse, LoopNest, Split, Thread, split_extents
from .primitives import primitive

if TYPE_CHECKING:
    from .schedule import Schedule

SCOPES = ("global", "shared", "local")


@dataclass(frozen=True, eq=False)
class Attach:
    """Where a stage is computed: ``"root"``, ``"inline"``, or ``"at"`` a loop of ``stage``."""

    kind: str = "root"
    stage: Stage | None = None
    axis: IterVar | None = None


@dataclass(frozen=True, eq=False)
class Ahead:
    """What :meth:`Stage.prefetch` asks for."""

    tensor: Tensor
    axis: IterVar
    distance: int
    shares: tuple[tuple[IterVar, int], ...] = ()


ROOT = Attach()


class Stage(LoopNest):
    """One operation of a schedule: its loops, where and how it is computed and stored."""

    def __init__(self, schedule: Schedule, op: Operation, name: str):
        self.schedule, self.op, self.name = schedule, op, name
        super().__init__(op)
        self.is_output = False
        self.scope = "global"
        self.attach = ROOT
        self.alignment: dict[int, tuple[int, int]] = {}  # axis number -> (factor, offset)
        self.layout: Layout | None = None
        self.intrin: tuple[IterVar, TensorIntrin] | None = None
        self.prefetches: dict[IterVar, list[Ahead]] = {}  # loop -> what is fetched before it

    def producers(self) -> list[Stage]:
        """The stages whose results this one reads."""
        seen: dict[Stage, None] = {}
        for b in self.body:
            for n in walk(b):
                if isinstance(n, Read):
                    seen[self.schedule[n.tensor]] = None
        return list(seen)

    def reads(self) -> list[Read]:
        """Every read of a tensor in the body, in the order of the text."""
        return [n for b in self.body for n in walk(b) if isinstance(n, Read)]

    def axis_named(self, name: str) -> IterVar:
        """The loop of this name, or the axis that has been split or fused."""
        for a in (*self.leaves, *self.axes, *self.reduce_axes):
            if a.name == name:
                return a
        raise self._error(f"{self.name} has no loop {name!r}.")

    def nest(self) -> str:
        """The loops of this stage as text."""
        if not isinstance(self.op, ComputeOp):
            return f"{self.name} is an input"
        lines, pad = [], ""
        where = "  # computed inline" if self.attach.kind == "inline" else ""
        if self.attach.stage is not None and self.attach.axis is not None:
            where = f"  # at {self.attach.axis.name} of {self.attach.stage.name}"
        for a in self.leaves:
            ann = self.annotations.get(a, Annotation())
            kind = ann.tag or ("" if ann.kind is ForKind.SERIAL else ann.kind.value)
            marks = ", ".join(m for m in ("reduce" if self.is_reduce(a) else "", kind) if m)
            lines.append(f"{pad}for {a.name} in {a.extent}:" + (f"  # {marks}" if marks else ""))
            pad += "  "
        names = ", ".join(a.name for a in self.axes)
        lines.append(f"{pad}{self.name}[{names}] {'+=' if self.reduce_axes else '='} …")
        lines[0] += where
        return "\n".join(lines)

    def _error(self, message: str, hint: str = "") -> ScheduleError:
        loops = ", ".join(a.name for a in self.leaves) or "none"
        return ScheduleError(
            f"{message}\nThe loop nest of {self.name} is\n{self.nest()}",
            hint=hint or f"its loops: {loops}",
        )

    def _loop(self, axis: object, what: str) -> IterVar:
        if not isinstance(self.op, ComputeOp):
            raise ScheduleError(f"{what}: {self.name} is an input and has no loops.")
        if self.attach.kind == "inline":
            raise self._error(f"{what}: {self.name} is computed inline and has no loops.")
        if not isinstance(axis, IterVar) or axis not in self.leaves:
            name = axis.name if isinstance(axis, IterVar) else repr(axis)
            raise self._error(f"{what}: {name} is not a loop of {self.name}.")
        return axis

    # Loop primitives -------------------------------------------------------------------------

    @primitive
    def split(
        self, axis: IterVar, factor: int | None = None, nparts: int | None = None
    ) -> tuple[IterVar, IterVar]:
        """Split a loop in two; extents that do not divide are guarded.

        for i in 10   ->(factor=4)   for i.outer in 3: for i.inner in 4: if i < 10
        """
        loop = self._loop(axis, "split")
        if (factor is None) == (nparts is None):
            raise self._error(f"split of {loop.name} takes either factor or nparts.")
        size = factor if factor is not None else nparts
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise self._error(f"split of {loop.name}: {size!r} is not a positive integer.")
        self._plain(loop, "split")
        outer_extent, inner_extent = split_extents(loop.extent, factor, nparts)
        outer = self.fresh(f"{loop.name}.outer", outer_extent, loop.kind)
        inner = self.fresh(f"{loop.name}.inner", inner_extent, loop.kind)
        self.relations.append(Split(loop, outer, inner, factor, nparts))
        at = self.leaves.index(loop)
        self.leaves[at : at + 1] = [outer, inner]
        return outer, inner

    def tile(
        self, x: IterVar, y: IterVar, x_factor: int, y_factor: int
    ) -> tuple[IterVar, IterVar, IterVar, IterVar]:
        """Split two loops and order them ``x.outer, y.outer, x.inner, y.inner``.

        for x: for y:   ->   for x.outer: for y.outer: for x.inner: for y.inner
        """
        xo, xi = self.split(x, x_factor)
        yo, yi = self.split(y, y_factor)
        self.reorder(xo, yo, xi, yi)
        return xo, yo, xi, yi

    @primitive
    def fuse(self, *axes: IterVar) -> IterVar:
        """Make one loop of neighbouring loops, outermost first.

        for i in 4: for j in 8   ->   for i.j.fused in 32
        """
        if len(axes) < 2:
            raise self._error("fuse takes two or more neighbouring loops.")
        loops = [self._loop(a, "fuse") for a in axes]
        at = self.leaves.index(loops[0])
        if self.leaves[at : at + len(loops)] != loops:
            names = ", ".join(a.name for a in loops)
            raise self._error(f"fuse: {names} are not neighbours, outermost first.")
        if len({self.is_reduce(a) for a in loops}) > 1:
            raise self._error("fuse: a data loop and a reduce loop cannot become one.")
        for a in loops:
            self._plain(a, "fuse")
        fused = loops[0]
        for inner in loops[1:]:
            extent = binary(Op.MUL, fused.extent, inner.extent)
            name = f"{fused.name.removesuffix('.fused')}.{inner.name}.fused"
            new = self.fresh(name, extent, fused.kind)
            self.relations.append(Fuse(fused, inner, new))
            fused = new
        self.leaves[at : at + len(loops)] = [fused]
        return fused

    @primitive
    def reorder(self, *axes: IterVar) -> None:
        """Put the given loops in this order, into the places that they occupy together.

        for i: for j: for k   ->(k, i)   for k: for j: for i
        """
        loops = [self._loop(a, "reorder") for a in axes]
        if len(set(loops)) != len(loops):
            raise self._error("reorder: a loop is named twice.")
        places = sorted(self.leaves.index(a) for a in loops)
        order = list(self.leaves)
        for p, a in zip(places, loops):
            order[p] = a
        for k, a in enumerate(order):
            ann = self.annotations.get(a)
            after = order[k + 1 :]
            if ann and ann.kind is ForKind.VECTORIZED and any(map(self.is_reduce, after)):
                raise self._error(
                    f"reorder would put the reduction inside the vectorized loop {a.name}, which "
                    "breaks it: every lane would need a reduction loop of its own.",
                    hint="keep vectorized loops inside the reduce loops",
                )
        self.leaves = order

    def _plain(self, loop: IterVar, what: str) -> None:
        ann = self.annotations.get(loop)
        if ann is not None and ann.kind is not ForKind.SERIAL:
            raise self._error(
                f"{what}: the loop {loop.name} is already {ann.tag or ann.kind.value}."
            )
        for s in self.schedule.stages:
            if s.attach.kind == "at" and s.attach.stage is self and s.attach.axis is loop:
                raise self._error(f"{what}: {s.name} is computed at the loop {loop.name}.")

    def _annotate(self, axis: IterVar, what: str, kind: ForKind, tag: str = "") -> IterVar:
        loop = self._loop(axis, what)
        ann = self.annotations.get(loop, Annotation())
        if ann.kind is not ForKind.SERIAL:
            raise self._error(
                f"{what}: the loop {loop.name} is already {ann.tag or ann.kind.value}."
            )
        self.annotations[loop] = Annotation(kind, tag, ann.pragmas)
        return loop

    @primitive
    def vectorize(self, axis: IterVar) -> None:
        """Run a loop as the lanes of one vector.

        for i in 8: B[i] = A[i]   ->   B[0:8] = A[0:8]
        """
        loop = self._loop(axis, "vectorize")
        if self.is_reduce(loop):
            raise self._error(
                f"vectorize: {loop.name} is a reduce loop, its iterations depend on each other.",
                hint="rfactor the loop first, or vectorize a data loop",
            )
        n = as_int(loop.extent)
        if n is None:
            raise self._error(
                f"vectorize: the extent {loop.extent} of {loop.name} is known only when the kernel "
                "runs.",
                hint="split the loop by a constant factor and vectorize the inner one",
            )
        if n > 1024:
            raise self._error(
                f"vectorize: {loop.name} has {n} iterations, 1024 lanes are the most.",
                hint="split the loop first",
            )
        for a, ann in self.annotations.items():
            if ann.kind is ForKind.VECTORIZED and a in self.leaves:
                raise self._error(f"vectorize: the loop {a.name} is vectorized already.")
        after = self.leaves[self.leaves.index(loop) + 1 :]
        if any(map(self.is_reduce, after)):
            raise self._error(
                f"vectorize: the reduction lies inside {loop.name}; every lane would need a "
                "reduction loop of its own.",
                hint=f"reorder so that {loop.name} is inside the reduce loops",
            )
        self._annotate(loop, "vectorize", ForKind.VECTORIZED)

    @primitive
    def unroll(self, axis: IterVar) -> None:
        """Write the iterations of a loop one after another.

        for i in 2: f(i)   ->   f(0); f(1)
        """
        loop = self._loop(axis, "unroll")
        if as_int(loop.extent) is None:
            raise self._error(
                f"unroll: the extent {loop.extent} of {loop.name} is known only when the kernel "
                "runs.",
                hint="split the loop by a constant factor and unroll the inner one",
            )
        self._annotate(loop, "unroll", ForKind.UNROLLED)

    @primitive
    def parallel(self, axis: IterVar) -> None:
        """Run the iterations of a loop on several threads."""
        loop = self._loop(axis, "parallel")
        if self.is_reduce(loop):
            raise self._error(
                f"parallel: {loop.name} is a reduce loop; threads would race for the result.",
                hint="rfactor the loop first",
            )
        self._annotate(loop, "parallel", ForKind.PARALLEL)

    @primitive
    def bind(self, axis: IterVar, thread: Thread) -> None:
        """Run the iterations of a loop on a hardware index (see ``thread_axis``)."""
        if not isinstance(thread, IterVar) or thread.kind != "thread":
            raise self._error("bind: the second argument must come from te.thread_axis.")
        loop = self._loop(axis, "bind")
        if self.is_reduce(loop):
            raise self._error(
                f"bind: {loop.name} is a reduce loop; threads would race for the result.",
                hint="rfactor the loop and bind the axis of the partial results",
            )
        if any(a.tag == thread.tag for a in self.annotations.values()):
            raise self._error(f"bind: a loop of {self.name} is bound to {thread.tag} already.")
        self._annotate(loop, "bind", ForKind.BOUND, thread.tag)

    @primitive
    def pragma(self, axis: IterVar, key: str, value: object = True) -> None:
        """A hint for later passes: ``"unroll_max"`` (int), ``"partition"``."""
        loop = self._loop(axis, "pragma")
        ann = self.annotations.get(loop, Annotation())
        self.annotations[loop] = Annotation(ann.kind, ann.tag, {**ann.pragmas, key: value})

    @primitive
    def tensorize(self, axis: IterVar, intrin: TensorIntrin) -> None:
        """Replace the loops from ``axis`` inwards by a tensor intrinsic that computes the same."""
        loop = self._loop(axis, "tensorize")
        check_match(self, loop, intrin)
        self.intrin = (loop, intrin)

    # Where and how the result is stored ----------------------------------------------------------

    @primitive
    def compute_at(self, parent: Stage | Tensor, axis: IterVar) -> None:
        """Compute what each iteration of ``axis`` of ``parent`` needs, inside that loop.

        for i: B[i] = …               ->   for i: B[i] = …
        for i: C[i] = f(B[i])                     C[i] = f(B[i])
        """
        self._compute("compute_at")
        if self.is_output:
            raise self._error(f"compute_at: {self.name} is a result and stays at the root.")
        if not isinstance(parent, Stage):
            parent = self.schedule[parent]
        if parent is self or not self._feeds(parent):
            readers = ", ".join(s.name for s in self.schedule.consumers(self)) or "none"
            raise self._error(
                f"compute_at: {parent.name} does not use {self.name}.",
                hint=f"stages that read {self.name}: {readers}",
            )
        loop = parent._loop(axis, "compute_at")
        ann = parent.annotations.get(loop)
        if ann is not None and ann.kind is ForKind.VECTORIZED:
            raise parent._error(f"compute_at: the loop {loop.name} is vectorized.")
        self.attach = Attach("at", parent, loop)

    def _feeds(self, other: Stage) -> bool:
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
        if axis not in self.axes:
            raise self._error(f"storage_align: {axis.name} is not an axis of the result.")
        if self.is_output:
            raise self._error(f"storage_align: the layout of the result {self.name} is given.")
        if not 0 <= offset < factor:
            raise self._error(f"storage_align: 0 <= offset {offset} < factor {factor} must hold.")
        self.alignment[self.axes.index(axis)] = (factor, offset)

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
        if axis not in self.axes:
            raise self._error(f"prefetch: {axis.name} is not a data axis of {self.name}.")
        if not any(r.tensor is tensor for r in self.reads()):
            raise self._error(f"prefetch: {self.name} does not read {tensor.name}.")
        used = {v for r in self.reads() if r.tensor is tensor for i in r.indices for v in walk(i)}
        parts = tuple((shares or {}).items())
        for a, n in parts:
            if a not in self.axes or a in used or n < 1:
                what = f"{n} elements of {a.name} cannot share what is read of {tensor.name}"
                raise self._error(f"prefetch: {what}.")
        self.prefetches.setdefault(loop, []).append(Ahead(tensor, axis, distance, parts))

    def _compute(self, what: str) -> None:
        if not isinstance(self.op, ComputeOp):
            raise ScheduleError(f"{what}: {self.name} is an input; it is there already.")
