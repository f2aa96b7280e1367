"""Bound inference: which part of each stage has to be computed, and how long its loops are.

Stages are visited from the results backwards. A stage at the root computes all of its domain; a
stage computed at a loop computes the box that its readers touch during one iteration of that loop:
the loops outside are symbols, those inside range over all their iterations (the same idea as
Halide's bounds inference, Ragan-Kelley et al., PLDI'13, §4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..builders import maximum, minimum
from ..expr import Expr, IterVar, Read, Var, as_int, binary, const
from ..identity import among, place_of
from ..operations.extern import ExternOp
from ..operations.scan import ScanOp
from ..simplify import Analyzer
from ..tensor import ends_of, is_unknown
from ..visit import substitute, walk
from .inlining import inline_bodies
from .loops import VTHREAD
from .scans import attach_steps, check_rows, scan_of_update, step_box
from .scopes import root_of, storage_scope, tag_of
from .spans import Span, SymbolicRanges
from .stage import Stage

if TYPE_CHECKING:
    from .schedule import Schedule

Box = list[tuple[Expr, Expr]]  # (minimum, extent) per axis


@dataclass
class StageBounds:
    """What bound inference found for one stage.

    ``body`` has inlined producers; ``box`` is the region of the data axes that is computed, and
    ``stored`` the one that there is storage for: more, where a scan's steps fill it or where it is
    a result. ``extents``
    are the lengths of every axis and loop; ``index`` the value of every root axis in terms of the
    loops; ``outside`` the loops around the stage (outermost first, with their extents).
    """

    body: tuple[Expr, ...]
    box: Box
    stored: Box
    extents: dict[IterVar, Expr]
    index: dict[IterVar, Expr]
    guards: list[tuple[IterVar, Expr]]
    outside: dict[IterVar, Expr] = field(default_factory=dict)


def infer_bounds(schedule: Schedule) -> dict[Stage, StageBounds]:
    """The bounds of every stage that has loops; inlined stages are gone from the result.

    Raises ScheduleError where a stage is computed inside a loop that does not enclose a reader.
    """
    attach_steps(schedule)
    bodies = inline_bodies(schedule)
    order = [s for s in schedule.stages if s in bodies]
    readers: dict[Stage, list[tuple[Stage, Read]]] = {s: [] for s in order}
    for s in order:
        whole = s.op.inputs if isinstance(s.op, ExternOp) else ()
        for t in s.op.init if isinstance(s.op, ScanOp) else whole:
            _whole_is_stored(schedule[t], s)
        for b in bodies[s]:
            for n in walk(b):
                if isinstance(n, Read) and schedule[n.tensor] in readers:
                    readers[schedule[n.tensor]].append((s, n))
        for a in s.reduce_axes:
            for n in ends_of(a):
                if isinstance(n, Read) and schedule[n.tensor].attach.kind == "inline":
                    raise ScheduleError(
                        f"{s.name} reads {n.tensor.name} for the extent of its reduce axis "
                        f"{a.name}; what is read there must be stored, not inlined."
                    )
    found: dict[Stage, StageBounds] = {}
    for s in reversed(order):
        outside = _loops_around(s, found)
        scan = scan_of_update(s)
        if scan is not None:
            box = step_box(s, scan)
        else:
            reads = readers[s]
            if s.is_output and s.attach.kind == "at":
                reads = _reads_of_result(s, reads, found)
            box = _whole(s) if s.attach.kind == "root" else _needed(s, reads, outside, found)
        extents = s.extents({a: e for a, (_, e) in zip(s.axes, box)})
        relative, guards = s.index_values(extents)
        index = {a: binary(Op.ADD, relative[a], lo) for a, (lo, _) in zip(s.axes, box)}
        index |= {a: binary(Op.ADD, relative[a], a.minimum) for a in s.reduce_axes}
        stored = _whole(s) if scan is not None or s.is_output else box
        found[s] = StageBounds(bodies[s], box, stored, extents, index, guards, outside)
    check_rows(schedule, found)
    return found


def _reads_of_result(
    s: Stage, reads: Sequence[tuple[Stage, Read]], found: Mapping[Stage, StageBounds]
) -> list[tuple[Stage, Read]]:
    """What decides where a result at a loop is computed: not what is read after the whole nest,
    when all of it is stored. Where nothing reads it inside, it runs along with the elements of the
    stage whose loops it shares."""
    parent, at = s.attach.stage, s.attach.axis
    assert parent is not None and at is not None
    place = s.schedule.stages.index
    end = place(root_of(parent))
    inside = [
        (r, n) for r, n in reads
        if r is parent or at in found[r].outside or place(root_of(r)) <= end
    ]  # fmt: skip
    if inside:
        return inside
    whole = [IterVar(a.name, a.dtype, a.minimum, a.extent) for a in s.axes[len(parent.axes) :]]
    index = (*parent.axes[: len(s.axes)], *whole)
    return [(parent, Read(t, index)) for t in s.op.outputs]


def _whole_is_stored(producer: Stage, s: Stage) -> None:
    """What statements read must be there as a whole."""
    if producer.attach.kind != "root" or producer.scope != "global":
        places = {"inline": "inline", "at": "at a loop of another stage"}
        where = places.get(producer.attach.kind, f"in {producer.scope} memory")
        raise ScheduleError(
            f"{producer.name} is computed {where}, and {s.name}, which is no te.compute, reads all "
            "of it.",
            hint=f"leave {producer.name} at the root, in global memory",
        )


def _whole(s: Stage) -> Box:
    return [(a.minimum, a.extent) for a in s.axes]


def _loops_around(s: Stage, found: Mapping[Stage, StageBounds]) -> dict[IterVar, Expr]:
    """The loops around a stage, outermost first, with their extents."""
    if s.attach.kind != "at":
        return {}
    parent, axis = s.attach.stage, s.attach.axis
    assert parent is not None and axis is not None
    if parent not in found:
        raise ScheduleError(
            f"{s.name} is computed at a loop of {parent.name}, which is inlined or does not come "
            f"after it.\n{parent.nest()}",
            hint=f"compute {s.name} at a stage that is stored and uses it",
        )
    if not among(axis, parent.leaves):
        raise ScheduleError(
            f"{s.name} is computed at {axis.name}, which is no longer a loop of {parent.name}.\n"
            f"{parent.nest()}"
        )
    around = dict(found[parent].outside)
    for a in parent.leaves[: place_of(axis, parent.leaves) + 1]:
        around[a] = found[parent].extents[a]
    return around


def shared_by_threads(s: Stage, outside: Iterable[IterVar]) -> set[IterVar]:
    """Loops around ``s`` whose iterations share its storage: threads of a workgroup, virtual ones
    too, share ``shared`` memory, all threads share ``global`` memory."""
    if s.is_output:  # each thread computes in place what it reads itself
        return set()
    group = ("threadIdx.", VTHREAD)
    prefix = {"shared": group, "global": (*group, "blockIdx.")}
    wanted = prefix.get(storage_scope(s), ())
    return {a for a in outside if wanted and _tag(s, a).startswith(wanted)}


def _tag(s: Stage, axis: IterVar) -> str:
    return next((tag for other in s.schedule.stages if (tag := tag_of(other, axis))), "")


def _needed(
    s: Stage,
    reads: Sequence[tuple[Stage, Read]],
    outside: Mapping[IterVar, Expr],
    found: Mapping[Stage, StageBounds],
) -> Box:
    """The box that the readers of ``s`` touch while the loops around it stand still."""
    parent, at = s.attach.stage, s.attach.axis
    assert parent is not None and at is not None
    fixed = set(outside) - shared_by_threads(s, outside)
    an = Analyzer()
    for v, e in outside.items():
        bind_extent(an, v, e)
    box: list[Span | None] = [None] * len(s.axes)
    spans: dict[Stage, SymbolicRanges] = {}
    for reader, read in reads:
        b = found[reader]
        if reader is not parent and at not in b.outside:
            raise ScheduleError(
                f"{s.name} is computed at the loop {at.name} of {parent.name}, but {reader.name} "
                f"reads it outside of that loop.\n{parent.nest()}",
                hint=f"compute {s.name} at the root, or {reader.name} inside the same loop",
            )
        if reader not in spans:
            spans[reader] = SymbolicRanges(_ranges(reader, b, fixed, outside))
        for k, e in enumerate(read.indices):
            span = spans[reader].of(an.simplify(substitute(e, b.index)))
            box[k] = _union(an, box[k], span) if span else (const(0), _upper(s, k))
    nothing = (const(0), const(0))
    private = s.scope == "local"
    return [
        nothing if span is None else _settle(an, span, axis.extent, private)
        for span, axis in zip(box, s.axes)
    ]


def _ranges(
    reader: Stage, b: StageBounds, fixed: set[IterVar], outside: Mapping[IterVar, Expr]
) -> dict[Var, Span | None]:
    loops = {a: b.extents[a] for a in reader.leaves} | b.outside | dict(outside)
    return {
        a: None if is_unknown(e) else (const(0), e - 1) for a, e in loops.items() if a not in fixed
    }


def _upper(s: Stage, k: int) -> Expr:
    return s.axes[k].extent - 1


def _union(an: Analyzer, a: Span | None, b: Span) -> Span:
    """Both are (lowest, highest)."""
    if a is None:
        return b
    low = a[0] if an.prove(a[0] <= b[0]) else b[0] if an.prove(b[0] <= a[0]) else None
    high = a[1] if an.prove(b[1] <= a[1]) else b[1] if an.prove(a[1] <= b[1]) else None
    return (
        low if low is not None else minimum(a[0], b[0]),
        high if high is not None else maximum(a[1], b[1]),
    )


def _settle(an: Analyzer, span: Span, domain: Expr, private: bool) -> tuple[Expr, Expr]:
    """(minimum, extent) of a (lowest, highest) range: a constant extent where one can be had, and
    not more than the whole domain. A private (local) box keeps the size of its reader's tile where
    that is somewhat larger, as a vector with lanes to spare is: a register tile must have the same
    shape at the edge as elsewhere. From twice the domain on it is no tile of it."""
    low, extent = an.simplify(span[0]), an.simplify(span[1] - span[0] + 1)
    size = as_int(extent)
    if size is None:
        bound = an.interval(extent).hi
        if bound is not None:
            size, extent = bound, const(bound)
    whole = as_int(domain)
    most = None if whole is None else 2 * whole if private else whole
    if size is None or (most is not None and size >= most):
        return const(0), domain
    return low, extent


def bind_extent(an: Analyzer, v: Var, extent: Expr) -> None:
    """Tell an analyzer that ``v`` is in ``[0, extent)``."""
    n = as_int(extent)
    if n is None and is_unknown(extent):
        an.bind(v, 0, None)
        return
    an.bind(v, 0, n - 1 if n is not None else extent - 1)
