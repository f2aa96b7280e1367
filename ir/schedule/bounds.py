"""Bound inference: which part of each stage has to be computed, and how long its loops are.

Stages are visited from the results backwards. A stage at the root computes all of its domain; a
stage computed at a loop computes the box that its readers touch during one iteration of that loop:
the loops outside are symbols, those inside range over all their iterations (the same idea as
Halide's bounds inference, Ragan-Kelley et al., PLDI'13, §4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..builders import maximum, minimum
from ..expr import Binary, Expr, IterVar, Read, Select, Unary, Var, as_int, binary, const
from ..simplify import Analyzer
from ..stmt import ForKind
from ..tensor import ComputeOp, Tensor
from ..visit import Mutator, substitute, walk
from .schedule import Schedule
from .stage import Stage

Span = tuple[Expr, Expr]  # the lowest and the highest value
Box = list[tuple[Expr, Expr]]  # (minimum, extent) per axis


@dataclass
class StageBounds:
    """What bound inference found for one stage.

    ``body`` has inlined producers; ``box`` is the region of the data axes; ``extents`` the length
    of every axis and loop; ``index`` the value of every root axis in terms of the loops;
    ``outside`` the loops around the stage (outermost first, with their extents).
    """

    body: tuple[Expr, ...]
    box: Box
    extents: dict[IterVar, Expr]
    index: dict[IterVar, Expr]
    guards: list[tuple[IterVar, Expr]]
    outside: dict[IterVar, Expr] = field(default_factory=dict)


def infer_bounds(schedule: Schedule) -> dict[Stage, StageBounds]:
    """The bounds of every stage that has loops; inlined stages are gone from the result.

    Raises ScheduleError where a stage is computed inside a loop that does not enclose a reader.
    """
    bodies = inline_bodies(schedule)
    order = [s for s in schedule.stages if s in bodies]
    readers: dict[Stage, list[tuple[Stage, Read]]] = {s: [] for s in order}
    for s in order:
        for b in bodies[s]:
            for n in walk(b):
                if isinstance(n, Read) and schedule[n.tensor] in readers:
                    readers[schedule[n.tensor]].append((s, n))
    found: dict[Stage, StageBounds] = {}
    for s in reversed(order):
        outside = _loops_around(s, found)
        box = _whole(s) if s.attach.kind == "root" else _needed(s, readers[s], outside, found)
        extents = s.extents({a: e for a, (_, e) in zip(s.axes, box)})
        relative, guards = s.index_values(extents)
        index = {a: binary(Op.ADD, relative[a], lo) for a, (lo, _) in zip(s.axes, box)}
        index |= {a: binary(Op.ADD, relative[a], a.minimum) for a in s.reduce_axes}
        found[s] = StageBounds(bodies[s], box, extents, index, guards, outside)
    return found


def inline_bodies(schedule: Schedule) -> dict[Stage, tuple[Expr, ...]]:
    """The bodies of all stages that are stored, with inlined ones written out in them."""
    inlined: dict[Tensor, tuple[tuple[IterVar, ...], Expr]] = {}
    bodies: dict[Stage, tuple[Expr, ...]] = {}
    for s in schedule.stages:
        if not isinstance(s.op, ComputeOp):
            continue
        write = _Inline(inlined)
        body = tuple(write(b) for b in s.body)
        if s.attach.kind == "inline":
            inlined.update({t: (s.axes, b) for t, b in zip(s.op.outputs, body)})
        else:
            bodies[s] = body
    return bodies


class _Inline(Mutator):
    def __init__(self, inlined: Mapping[Tensor, tuple[tuple[IterVar, ...], Expr]]):
        super().__init__()
        self.inlined = inlined

    def visit_Read(self, n: Read) -> Expr:
        n = self.rebuild(n)
        known = self.inlined.get(n.tensor)
        return n if known is None else substitute(known[1], dict(zip(known[0], n.indices)))


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
    if axis not in parent.leaves:
        raise ScheduleError(
            f"{s.name} is computed at {axis.name}, which is no longer a loop of {parent.name}.\n"
            f"{parent.nest()}"
        )
    around = dict(found[parent].outside)
    for a in parent.leaves[: parent.leaves.index(axis) + 1]:
        around[a] = found[parent].extents[a]
    return around


def shared_by_threads(s: Stage, outside: Iterable[IterVar]) -> set[IterVar]:
    """Loops around ``s`` whose iterations share its storage: threads of a workgroup share
    ``shared`` memory, all threads share ``global`` memory."""
    prefix = {"shared": ("threadIdx.",), "global": ("threadIdx.", "blockIdx.")}.get(s.scope, ())
    return {a for a in outside if prefix and _tag(s, a).startswith(prefix)}


def _tag(s: Stage, axis: IterVar) -> str:
    for other in s.schedule.stages:
        ann = other.annotations.get(axis)
        if ann is not None and ann.kind is ForKind.BOUND:
            return ann.tag
    return ""


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
    for reader, read in reads:
        b = found[reader]
        if reader is not parent and at not in b.outside:
            raise ScheduleError(
                f"{s.name} is computed at the loop {at.name} of {parent.name}, but {reader.name} "
                f"reads it outside of that loop.\n{parent.nest()}",
                hint=f"compute {s.name} at the root, or {reader.name} inside the same loop",
            )
        ranges = _ranges(reader, b, fixed, outside)
        for k, e in enumerate(read.indices):
            span = symbolic_range(an.simplify(substitute(e, b.index)), ranges)
            box[k] = _union(an, box[k], span) if span else (const(0), _upper(s, k))
    nothing = (const(0), const(0))
    private = s.scope == "local"
    return [
        nothing if span is None else _settle(an, span, axis.extent, private)
        for span, axis in zip(box, s.axes)
    ]


def _ranges(
    reader: Stage, b: StageBounds, fixed: set[IterVar], outside: Mapping[IterVar, Expr]
) -> dict[Var, Span]:
    loops = {a: b.extents[a] for a in reader.leaves} | b.outside | dict(outside)
    return {a: (const(0), e - 1) for a, e in loops.items() if a not in fixed}


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
    not more than the whole domain. A private (local) box keeps the size of its reader's tile even
    where that is larger: a register tile must have the same shape at the edge as elsewhere."""
    low, extent = an.simplify(span[0]), an.simplify(span[1] - span[0] + 1)
    size = as_int(extent)
    if size is None:
        bound = an.interval(extent).hi
        if bound is not None:
            size, extent = bound, const(bound)
    whole = as_int(domain)
    if size is None or (whole is not None and size >= whole and not private):
        return const(0), domain
    return low, extent


def symbolic_range(e: Expr, ranges: Mapping[Var, Span]) -> Span | None:
    """(lowest, highest) value of an index while the variables of ``ranges`` run over their (lowest,
    highest) values; None where nothing is known (an index that depends on data)."""
    if isinstance(e, Var):
        return ranges.get(e, (e, e))
    if not any(isinstance(n, Read) or (isinstance(n, Var) and n in ranges) for n in walk(e)):
        return e, e
    rule = _RANGE_OF.get(type(e))
    return rule(e, ranges) if rule else None


def _range_of_unary(e: Unary, ranges: Mapping[Var, Span]) -> Span | None:
    r = symbolic_range(e.a, ranges) if e.op is Op.NEG else None
    return r and (-r[1], -r[0])


def _range_of_select(e: Select, ranges: Mapping[Var, Span]) -> Span | None:
    t, f = symbolic_range(e.if_true, ranges), symbolic_range(e.if_false, ranges)
    return (minimum(t[0], f[0]), maximum(t[1], f[1])) if t and f else None


def _range_of_binary(e: Binary, ranges: Mapping[Var, Span]) -> Span | None:
    rule = _RANGE_OF_OP.get(e.op)
    a, b = symbolic_range(e.a, ranges), symbolic_range(e.b, ranges)
    return rule(a, b) if rule and a and b else None


def _single(a: Span) -> int | None:
    """The constant that is the only value of a range."""
    return as_int(a[0]) if a[0] is a[1] else None


def _range_of_product(a: Span, b: Span) -> Span | None:
    if b[0] is not b[1] and _single(a) is not None:
        a, b = b, a
    c = _single(b)
    if c is None:
        return None
    return (a[0] * c, a[1] * c) if c >= 0 else (a[1] * c, a[0] * c)


def _range_of_quotient(a: Span, b: Span) -> Span | None:
    c = _single(b)
    return (a[0] // c, a[1] // c) if c is not None and c > 0 else None


def _range_of_remainder(a: Span, b: Span) -> Span | None:
    c = _single(b)
    if c is None or c <= 0:
        return None
    low, high = as_int(a[0]), as_int(a[1])
    if low is not None and high is not None and low // c == high // c:
        return const(low % c), const(high % c)
    return const(0), const(c - 1)


_RANGE_OF: dict[type, Callable[[Any, Mapping[Var, Span]], Span | None]] = {
    Unary: _range_of_unary,
    Binary: _range_of_binary,
    Select: _range_of_select,
}
_RANGE_OF_OP: dict[Op, Callable[[Span, Span], Span | None]] = {
    Op.ADD: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    Op.SUB: lambda a, b: (a[0] - b[1], a[1] - b[0]),
    Op.MUL: _range_of_product,
    Op.FLOORDIV: _range_of_quotient,
    Op.FLOORMOD: _range_of_remainder,
    Op.MIN: lambda a, b: (minimum(a[0], b[0]), minimum(a[1], b[1])),
    Op.MAX: lambda a, b: (maximum(a[0], b[0]), maximum(a[1], b[1])),
}


def bind_extent(an: Analyzer, v: Var, extent: Expr) -> None:
    """Tell an analyzer that ``v`` is in ``[0, extent)``."""
    n = as_int(extent)
    an.bind(v, 0, n - 1 if n is not None else extent - 1)
