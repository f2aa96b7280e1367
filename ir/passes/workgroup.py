"""The hardware indices of the kernels of a schedule, and which threads compute what.

A kernel is launched once for all of its stages, so a hardware index has the greatest of the extents
of the loops that are bound to it. What a stage stores is stored by

* the threads within the extent of its own loop, where that is shorter;
* the first thread along each index that the stage is not bound to, where its storage is shared by
  these threads: else every one of them would add to the same cell;
* all of them where the storage is each thread's own.

The guards say so. They stand inside of everything that is computed at the stage's loops, as other
guards do: that is for all threads to arrive at, and may wait for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ...runtime.dtype import INT32
from ..alu import Op
from ..builders import maximum
from ..expr import ZERO, Expr, IterVar, Var, binary, is_const
from ..identity import place_of
from ..schedule.bounds import StageBounds, shared_by_threads
from ..schedule.loops import Annotation
from ..schedule.scans import scans_of
from ..schedule.schedule import Schedule
from ..schedule.scopes import kernels, root_of, storage_scope, tags_of
from ..schedule.stage import Stage
from ..simplify import Analyzer
from ..stmt import For, ForKind, Stmt

# Hardware indices that no loop around a stage has a variable for: (a variable, its tag).
Missing: TypeAlias = list[tuple[IterVar, str]]


class Workgroups:
    """The launches of a schedule, of which the ``bounds`` of all stages are known.

    ``alias`` maps a bound loop inside of another one for the same index to that one: the variable
    is another name for it.
    """

    def __init__(self, schedule: Schedule, bounds: Mapping[Stage, StageBounds]):
        self.bounds = bounds
        self.alias: dict[Var, Expr] = {}
        self.tags = {s: tags_of(s) for s in bounds}
        self.tag_of = {a: t for own in self.tags.values() for t, a in own.items()}
        self.kernel = kernels(schedule) if any(self.tags.values()) else {}
        self.launch: dict[int, dict[str, Expr]] = {}
        an = Analyzer()
        for s, own in self.tags.items():
            extents = self.launch.setdefault(self._number(s), {}) if own else {}
            for tag, a in own.items():
                extents[tag] = _longest(an, extents.get(tag), bounds[s].extents[a])
        for scan, op in scans_of(schedule):
            self._around_steps(scan, op.scan_axis)

    def _around_steps(self, scan: Stage, step: IterVar) -> None:
        """The hardware indices of a recurrence are around the loop over its steps: threads live
        through all of them."""
        threads: dict[IterVar, Expr] = {}
        for a in [a for a in scan.annotations if a.kind == "thread"]:
            del scan.annotations[a]  # of a schedule that is lowered once more
        for tag, extent in sorted(self.indices(scan).items(), key=lambda item: item[0]):
            a = IterVar(tag, INT32, ZERO, extent, "thread", tag)
            threads[a], self.tag_of[a] = extent, tag
            scan.annotations[a] = Annotation(ForKind.BOUND, tag)
        for s, b in self.bounds.items():
            if s is scan or step in b.outside:
                b.outside = {**threads, **b.outside}

    def _number(self, s: Stage) -> int:
        return self.kernel.get(root_of(s), -1)

    def indices(self, s: Stage) -> Mapping[str, Expr]:
        """The hardware indices of the kernel that ``s`` is a part of, and their extents."""
        return self.launch.get(self._number(s), {})

    def extent(self, s: Stage, axis: IterVar) -> Expr:
        """The extent of a loop of ``s``: of a bound one that of its hardware index."""
        for tag, a in self.tags[s].items():
            if a is axis:
                return self.indices(s)[tag]
        return self.bounds[s].extents[axis]

    def around(self, s: Stage) -> dict[str, tuple[IterVar, Expr]]:
        """The hardware indices bound outside of ``s``: tag -> (the loop, its extent)."""
        found: dict[str, tuple[IterVar, Expr]] = {}
        for a, extent in self.bounds[s].outside.items():
            if a in self.tag_of:
                found.setdefault(self.tag_of[a], (a, extent))
        return found

    def _all_around(self, s: Stage, tag: str) -> list[tuple[IterVar, Expr]]:
        """The loops bound to ``tag`` that what ``s`` computes depends on, aliases included: those
        outside of a stage in shared memory around it say nothing of what that stage needs."""
        loops: list[tuple[IterVar, Expr]] = []
        while s.attach.stage is not None and s.attach.axis is not None:
            parent, at = s.attach.stage, s.attach.axis
            inner = parent.leaves[: place_of(at, parent.leaves) + 1]
            extents = self.bounds[parent].extents
            loops += [(a, extents[a]) for a in inner if self.tag_of.get(a) == tag]
            if storage_scope(parent) == "shared":
                break
            s = parent
        return loops

    def guards(self, s: Stage) -> tuple[list[tuple[IterVar, Expr]], Missing]:
        """(guards of what ``s`` stores, hardware indices that they speak of and no loop around has
        a variable for)."""
        launch = self.indices(s)
        if not launch:
            return [], []
        own, around = self.tags[s], self.around(s)
        shared = set(shared_by_threads(s, self.bounds[s].outside))
        scope = storage_scope(s)
        guards: list[tuple[IterVar, Expr]] = []
        missing: Missing = []
        for tag, extent in launch.items():
            outer = around.get(tag)
            if tag in own:
                a = own[tag]
                if outer is not None:
                    self.alias[a] = outer[0]
                guards += self._shorter(extent, [(a, self.bounds[s].extents[a])])
            elif outer is not None and outer[0] not in shared:
                guards += self._shorter(extent, self._all_around(s, tag))
            elif not is_const(extent, 1) and (
                scope == "global" or (scope == "shared" and tag.startswith("thread"))
            ):
                a = outer[0] if outer is not None else IterVar(tag, INT32, ZERO, extent, "thread")
                guards.append((a, binary(Op.EQ, a, ZERO)))
                if outer is None:
                    missing.append((a, tag))
        return guards, missing

    @staticmethod
    def _shorter(extent: Expr, loops: Sequence[tuple[IterVar, Expr]]) -> list[tuple[IterVar, Expr]]:
        """Guards of those loops that do not go as far as ``extent``."""
        an = Analyzer()
        return [(a, a < n) for a, n in loops if not an.prove(binary(Op.LE, extent, n))]

    def for_all(self, s: Stage, missing: Missing, stmt: Stmt) -> Stmt:
        """``stmt`` inside of loops over the hardware indices that it has no variables for yet."""
        for v, tag in reversed(missing):
            stmt = For(v, ZERO, self.indices(s)[tag], ForKind.BOUND, stmt, tag)
        return stmt


def _longest(an: Analyzer, a: Expr | None, b: Expr) -> Expr:
    if a is None or an.prove(binary(Op.LE, a, b)):
        return b
    return a if an.prove(binary(Op.LE, b, a)) else maximum(a, b)
