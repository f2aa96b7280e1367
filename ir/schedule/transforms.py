"""The loops of a scheduled operation, and the primitives that change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..expr import IterVar, as_int, binary
from ..identity import among, place_of, same_objects
from ..operations.extern import ExternOp
from ..operations.scan import ScanOp
from ..stmt import ForKind
from ..tensor import Operation, PlaceholderOp
from .intrinsics import TensorIntrin, check_match
from .loops import (
    VTHREAD,
    Annotation,
    Fuse,
    LoopNest,
    Split,
    Thread,
    pragma_of,
    split_extents,
    whole_number,
)
from .primitives import primitive

if TYPE_CHECKING:
    from .schedule import Schedule
    from .stage import Stage


@dataclass(frozen=True, eq=False)
class Attach:
    """Where a stage is computed: ``"root"``, ``"inline"``, or ``"at"`` a loop of ``stage``."""

    kind: str = "root"
    stage: Stage | None = None
    axis: IterVar | None = None


ROOT = Attach()


class ScheduledLoops(LoopNest):
    """The loops of one operation of a schedule, the half of a :class:`Stage` that is about them."""

    def __init__(self, schedule: Schedule, op: Operation, name: str):
        super().__init__(op)
        self.schedule, self.op, self.name = schedule, op, name
        self.attach = ROOT
        self.intrin: tuple[IterVar, TensorIntrin] | None = None

    def axis_named(self, name: str) -> IterVar:
        """The loop of this name, or the axis that has been split or fused."""
        for a in (*self.leaves, *self.axes, *self.reduce_axes):
            if a.name == name:
                return a
        raise self._error(f"{self.name} has no loop {name!r}.")

    def nest(self) -> str:
        """The loops of this stage as text."""
        if isinstance(self.op, PlaceholderOp):
            return f"{self.name} is an input"
        if isinstance(self.op, ScanOp):
            step = self.op.scan_axis
            rows = [
                f"  {self.name}[{self.op.first} + {step.name}] = …  # {u.name}"
                for u in self.op.update
            ]
            return "\n".join([f"for {step.name} in {step.extent}:  # steps", *rows])
        if isinstance(self.op, ExternOp):
            return f"{self.name} is computed by statements:\n{self.op.body}"
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
        if isinstance(self.op, PlaceholderOp):
            raise ScheduleError(f"{what}: {self.name} is an input and has no loops.")
        if isinstance(self.op, ExternOp):
            raise self._error(
                f"{what}: {self.name} is computed by statements, whose loops are as written.",
                hint="write the loops that you want in the function given to te.extern",
            )
        if isinstance(self.op, ScanOp) and what not in ("compute_at", "unroll", "pragma"):
            raise self._error(
                f"{what}: the steps of {self.name} follow one another; their loop stays as it is.",
                hint="change the loops of the update: s[update].split(…), .vectorize(…), .bind(…)",
            )
        if self.attach.kind == "inline":
            raise self._error(f"{what}: {self.name} is computed inline and has no loops.")
        if not isinstance(axis, IterVar) or not among(axis, self.leaves):
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
        size = whole_number(factor if factor is not None else nparts)
        if size is None or size < 1:
            given = factor if factor is not None else nparts
            raise self._error(
                f"split of {loop.name}: {given!r} is not a positive integer.",
                hint="factors and numbers of parts are constants of the kernel, not expressions",
            )
        factor, nparts = (size, None) if factor is not None else (None, size)
        self._plain(loop, "split")
        outer_extent, inner_extent = split_extents(loop.extent, factor, nparts)
        outer = self.fresh(f"{loop.name}.outer", outer_extent, loop.kind)
        inner = self.fresh(f"{loop.name}.inner", inner_extent, loop.kind)
        self.relations.append(Split(loop, outer, inner, factor, nparts))
        at = place_of(loop, self.leaves)
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
        at = place_of(loops[0], self.leaves)
        if not same_objects(self.leaves[at : at + len(loops)], loops):
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
        places = sorted(place_of(a, self.leaves) for a in loops)
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
        self.bound_first()

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
            if ann.kind is ForKind.VECTORIZED and among(a, self.leaves):
                raise self._error(f"vectorize: the loop {a.name} is vectorized already.")
        after = self.leaves[place_of(loop, self.leaves) + 1 :]
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
        """Run the iterations of a loop on a hardware index (see ``thread_axis``).

        Where a reduce loop is bound to ``threadIdx``, the threads of a workgroup share the terms of
        the reduction; partial results meet in shared memory. Bound loops then stand in front of the
        other reduce loops. A loop bound to ``"vthread"`` is no hardware: each thread does all of
        its iterations, interleaved, with registers for each.
        """
        if not isinstance(thread, IterVar) or thread.kind != "thread":
            raise self._error(
                "bind: the second argument must come from te.thread_axis.",
                hint='s[C].bind(i, te.thread_axis("threadIdx.x"))',
            )
        loop = self._loop(axis, "bind")
        given, extent = as_int(thread.extent), as_int(loop.extent)
        if given and extent is not None and given != extent:
            raise self._error(
                f"bind: {loop.name} has {extent} iterations, and the thread axis {thread.tag} was "
                f"made for {given}.",
                hint=f"split the loop by {given} and bind the inner one, or leave the extent to "
                f'the loop: te.thread_axis("{thread.tag}")',
            )
        if self.is_reduce(loop) and not thread.tag.startswith("threadIdx."):
            raise self._error(
                f"bind: {loop.name} is a reduce loop; only the threads of a workgroup (threadIdx) "
                f"can share its terms, on {thread.tag} they would race for the result.",
                hint="rfactor the loop and bind the axis of the partial results",
            )
        taken = {a.tag for a in self.annotations.values()} - {VTHREAD}
        if thread.tag in taken:
            raise self._error(f"bind: a loop of {self.name} is bound to {thread.tag} already.")
        self._annotate(loop, "bind", ForKind.BOUND, thread.tag)
        self.bound_first()

    @primitive
    def pragma(self, axis: IterVar, key: str, value: object = True) -> None:
        """A hint for later passes: ``"unroll_max"`` (int), ``"partition"``."""
        loop = self._loop(axis, "pragma")
        key, value = pragma_of(key, value)
        ann = self.annotations.get(loop, Annotation())
        self.annotations[loop] = Annotation(ann.kind, ann.tag, {**ann.pragmas, key: value})

    @primitive
    def tensorize(self, axis: IterVar, intrin: TensorIntrin) -> None:
        """Replace the loops from ``axis`` inwards by a tensor intrinsic that computes the same."""
        loop = self._loop(axis, "tensorize")
        check_match(self, loop, intrin)
        self.intrin = (loop, intrin)
