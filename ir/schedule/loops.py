"""Loops: how those of a computation came from its axes, what they mean, hardware indices."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ...runtime.dtype import INT32
from ...runtime.errors import ExprError, ScheduleError
from ..alu import Op
from ..expr import ZERO, Expr, IterVar, Reduce, as_int, binary, const
from ..operations.scan import ScanOp
from ..stmt import ForKind
from ..tensor import ComputeOp, Operation

Thread: TypeAlias = IterVar  # a hardware index, made by thread_axis
THREAD_TAGS = (
    "blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z",
    "fragment.x", "fragment.y", "draw_buffer", "vthread",
)  # fmt: skip
VTHREAD = "vthread"


def thread_axis(
    dom: str | int | tuple[int, int] | None = None, tag: str = "", name: str = ""
) -> Thread:
    """A hardware index to ``bind`` a loop to, such as ``"threadIdx.x"`` or ``"fragment.x"``, or
    ``"vthread"``: iterations that one thread does interleaved. Its extent is that of the loop; one
    that is given too, ``thread_axis((0, 64), "threadIdx.x")``, must be the same."""
    if isinstance(dom, str):
        dom, tag = None, dom
    if tag not in THREAD_TAGS:
        raise ScheduleError(
            f"there is no thread axis {tag!r}.",
            hint=f"te.thread_axis(tag) with one of {', '.join(THREAD_TAGS)}",
        )
    low, high = dom if isinstance(dom, tuple) else (0, dom)
    extent = None if high is None else as_int(high)
    if as_int(low) != 0 or (high is not None and extent is None):
        raise ScheduleError(
            f"the thread axis {tag} has indices from 0 to a constant, not {dom!r}.",
            hint=f'te.thread_axis("{tag}"): the loop that is bound to it says how many',
        )
    return IterVar(name or tag, INT32, ZERO, const(extent or 0), "thread", tag)


PRAGMAS = {
    "unroll_max": "int: unroll loops inside as long as at most so many stores come out",
    "partition": "bool: split loops where conditions of te.if_then_else inside turn",
}
_AS_TVM_SAYS = {"auto_unroll_max_step": "unroll_max"}


def pragma_of(key: object, value: object) -> tuple[str, object]:
    """A pragma by its own name, checked; raises ScheduleError that lists all."""
    name = _AS_TVM_SAYS.get(str(key), str(key))
    if name not in PRAGMAS:
        known = "; ".join(f"{k} ({v})" for k, v in PRAGMAS.items())
        raise ScheduleError(f"there is no pragma {key!r}.", hint=known)
    number = as_int(value) if isinstance(value, Expr | int) else None
    if number is None or number < 0:
        raise ScheduleError(
            f"the pragma {name} takes another value than {value!r}.", hint=PRAGMAS[name]
        )
    return name, value


def whole_number(value: object) -> int | None:
    """A factor or count as an int: of an int, a numpy integer, a constant expression."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ExprError):
        return None


@dataclass(frozen=True, eq=False)
class Split:
    """``parent = outer * factor + inner``; exactly one of ``factor`` and ``nparts`` is given."""

    parent: IterVar
    outer: IterVar
    inner: IterVar
    factor: int | None
    nparts: int | None


@dataclass(frozen=True, eq=False)
class Fuse:
    """``fused = outer * extent(inner) + inner``."""

    outer: IterVar
    inner: IterVar
    fused: IterVar


@dataclass(frozen=True)
class Annotation:
    """What is special about a loop."""

    kind: ForKind = ForKind.SERIAL
    tag: str = ""
    pragmas: Mapping[str, object] = field(default_factory=dict)


class LoopNest:
    """The loops of one operation. ``leaves`` are the loops, outermost first; ``relations`` say how
    they came from ``axes`` and ``reduce_axes``. ``steps`` is the one loop of a recurrence."""

    def __init__(self, op: Operation):
        self.axes: tuple[IterVar, ...] = op.axes if isinstance(op, ComputeOp) else ()
        self.body: tuple[Expr, ...] = op.body if isinstance(op, ComputeOp) else ()
        self.steps: tuple[IterVar, ...] = (op.scan_axis,) if isinstance(op, ScanOp) else ()
        self.relations: list[Split | Fuse] = []
        self.annotations: dict[IterVar, Annotation] = {}
        self.leaves: list[IterVar] = []
        self.reset_leaves()

    @property
    def leaf_iter_vars(self) -> list[IterVar]:
        """TVM's name of ``leaves``."""
        return self.leaves

    @property
    def reduce_axes(self) -> tuple[IterVar, ...]:
        """What the computation reduces over; nothing where it is no reduction."""
        return self.body[0].axes if self.body and isinstance(self.body[0], Reduce) else ()

    def bound_first(self) -> None:
        """Where threads share the terms of a reduction: bound loops in front of what each thread
        does alone, so that partial results live through all of it."""
        threads = threads_of_reduction(self)
        if not threads:
            return
        first = next(k for k, a in enumerate(self.leaves) if self.is_reduce(a))
        rest = self.leaves[first:]
        bound = {a for a, ann in self.annotations.items() if ann.kind is ForKind.BOUND}
        data = [a for a in rest if a in bound and not self.is_reduce(a)]
        alone = [a for a in rest if a not in bound]
        self.leaves = [*self.leaves[:first], *data, *threads, *alone]

    @staticmethod
    def is_reduce(axis: IterVar) -> bool:
        """Whether a loop comes from an axis of a reduction."""
        return axis.kind == "reduce"

    def reset_leaves(self) -> None:
        """Plain loops again: all data axes, then all reduce axes."""
        self.relations, self.annotations = [], {}
        self.leaves = [*self.axes, *self.reduce_axes, *self.steps]

    def drop_reduce_loops(self, axes: Sequence[IterVar]) -> None:
        """Replace the reduce loops by plain ones over ``axes`` (after rfactor)."""
        keep = [a for a in self.leaves if not self.is_reduce(a)]
        self.relations = [r for r in self.relations if not self.is_reduce(_parts(r)[0])]
        self.leaves = [*keep, *axes]

    def fresh(self, name: str, extent: Expr, kind: str) -> IterVar:
        """A loop whose name no other one has or had."""
        taken = {a.name for a in self.leaves} | {p.name for r in self.relations for p in _parts(r)}
        unique, k = name, 0
        while unique in taken:
            k += 1
            unique = f"{name}{k}"
        return IterVar(unique, INT32, ZERO, extent, kind)

    def extents(self, roots: Mapping[IterVar, Expr] | None = None) -> dict[IterVar, Expr]:
        """The extent of every axis and loop, for the given extents of the root axes."""
        result = {a: (roots or {}).get(a, a.extent) for a in (*self.axes, *self.reduce_axes)}
        result |= {a: a.extent for a in self.steps}
        for r in self.relations:
            if isinstance(r, Split):
                sizes = split_extents(result[r.parent], r.factor, r.nparts)
                result[r.outer], result[r.inner] = sizes
            else:
                result[r.fused] = binary(Op.MUL, result[r.outer], result[r.inner])
        return result

    def index_values(
        self, extents: Mapping[IterVar, Expr] | None = None
    ) -> tuple[dict[IterVar, Expr], list[tuple[IterVar, Expr]]]:
        """Every axis as an expression in the loops, counted from 0, and the guards
        ``(axis, condition)`` that splits which do not divide ask for."""
        ext = extents if extents is not None else self.extents()
        value: dict[IterVar, Expr] = {a: a for a in self.leaves}
        guards: list[tuple[IterVar, Expr]] = []
        for r in reversed(self.relations):
            if isinstance(r, Fuse):
                inner = ext[r.inner]
                value[r.outer] = binary(Op.FLOORDIV, value[r.fused], inner)
                value[r.inner] = binary(Op.FLOORMOD, value[r.fused], inner)
                continue
            inner = ext[r.inner]
            index = binary(Op.ADD, binary(Op.MUL, value[r.outer], inner), value[r.inner])
            value[r.parent] = index
            covered, wanted = binary(Op.MUL, ext[r.outer], inner), ext[r.parent]
            if as_int(covered) is None or as_int(covered) != as_int(wanted):
                guards.append((r.parent, binary(Op.LT, index, wanted)))
        guards.reverse()
        return value, guards


def threads_of_reduction(nest: LoopNest) -> list[IterVar]:
    """The reduce loops that are bound to threads of a workgroup."""
    return [
        a
        for a in nest.leaves
        if a.kind == "reduce" and nest.annotations.get(a, Annotation()).kind is ForKind.BOUND
    ]


def split_extents(extent: Expr, factor: int | None, nparts: int | None) -> tuple[Expr, Expr]:
    """Extents of the outer and the inner loop of a split. The inner one is never longer than the
    loop that is split, so that a short loop needs no guard."""
    n = as_int(extent)
    if n is not None:
        if factor is not None:
            inner = max(1, min(factor, n))
            return const(-(-n // inner)), const(inner)
        outer = max(1, min(nparts or 1, n))
        return const(outer), const(-(-n // outer))
    if factor is not None:
        return (extent + (factor - 1)) // factor, const(factor)
    assert nparts is not None
    return const(nparts), (extent + (nparts - 1)) // nparts


def _parts(r: Split | Fuse) -> tuple[IterVar, IterVar, IterVar]:
    return (r.parent, r.outer, r.inner) if isinstance(r, Split) else (r.fused, r.outer, r.inner)
