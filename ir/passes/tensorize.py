"""The loops of a stage that is computed by a tensor intrinsic.

    for i.outer:                            for i.outer:
        for i.inner in 4:                       if 4 * i.outer + 3 < n:
            if 4 * i.outer + i.inner < n:  ->       intrinsic on four elements
                B[…] = …                        else:
                                                    for i.inner in 4: if …: B[…] = …

How large a block is follows from where the stage is computed, so it is matched here, after bounds.
A block that a guard cuts is computed by the loops that the intrinsic stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..builders import all_of
from ..expr import ZERO, Binary, Expr, IterVar, Load, Var, as_int, const
from ..identity import among, place_of
from ..schedule.bounds import StageBounds
from ..schedule.intrinsics import TensorIntrin, View, matched_reads
from ..schedule.stage import Stage
from ..simplify import stride
from ..stmt import Buffer, If, Stmt, seq
from ..visit import substitute, walk
from .guards import where_all

if TYPE_CHECKING:
    from .loopnest import Guards, NestBuilder, ToLoad


def tensorized(
    builder: NestBuilder,
    s: Stage,
    b: StageBounds,
    to_load: ToLoad,
    guards: Guards,
    plain: Callable[[int], Stmt],
    start: Callable[[], Stmt],
) -> Stmt:
    """The nest of a tensorised stage up to, but without, the guards of no loop at all.

    Parameters
    ----------
    guards : (number of the loop, condition, whether it is one of data axes).
    plain : the loops from one number inwards, guards and initialisation in them.
    start : the initialisation of a reduction in front of its first loop, by stores.
    """
    assert s.intrin is not None
    axis, intrin = s.intrin
    place = place_of(axis, s.leaves)
    inner = s.leaves[place:]
    within = next((c for a in inner for c in builder.children.get(a, [])), None)
    if within is not None:
        raise _error(s, intrin, f"{within.name} is computed inside of the block")
    init, block = _block(intrin, s, b, to_load, builder)
    first = next((k for k, a in enumerate(s.leaves) if a.kind == "reduce"), len(s.leaves))
    if init is not None and first >= place:
        block = seq(init, block)
    cuts = [g for at, g, _ in guards if at >= place]
    if cuts:
        if first < place and init is None:
            raise _error(s, intrin, "its region is not a whole number of blocks, and the intrinsic "
                         "has no statements that begin a sum")  # fmt: skip
        whole = [_throughout(g, inner, b) for g in cuts]
        if any(w is None for w in whole):
            raise _error(s, intrin, f"its region is not a whole number of blocks: {cuts[0]}")
        block = If(all_of([w for w in whole if w is not None]), block, plain(place))
    stmt = block
    for k in range(place - 1, -1, -1):
        stmt = where_all([g for at, g, _ in guards if at == k], stmt, likely=True)
        stmt = builder.around(s, b, s.leaves[k], stmt)
        if k == first and init is not None:
            stmt = seq(start() if cuts else _in_front(builder, s, b, init, first, place), stmt)
    return stmt


def _in_front(
    builder: NestBuilder, s: Stage, b: StageBounds, init: Stmt, first: int, place: int
) -> Stmt:
    """The intrinsic's own beginning of all blocks inside of the first reduce loop."""
    for a in reversed(s.leaves[first:place]):
        if a.kind != "reduce":
            v = Var(f"{a.name}.init")
            init = builder.loop(s, b, a, v, substitute(init, {a: v}))
    return init


def _throughout(guard: Expr, inner: list[IterVar], b: StageBounds) -> Expr | None:
    """``guard`` for all values of the loops ``inner``: where it holds at the corner that is its
    worst. None where that is not known."""
    if not isinstance(guard, Binary) or guard.op not in (Op.LT, Op.LE):
        return None
    ends: dict[Var, Expr] = {}
    for v in inner:
        if not any(n is v for n in walk(guard)):
            continue
        step, extent = stride(guard.a - guard.b, v), as_int(b.extents[v])
        if step is None or extent is None:
            return None
        ends[v] = const(extent - 1) if step > 0 else ZERO
    return substitute(guard, ends)


def _error(s: Stage, intrin: TensorIntrin, why: str) -> ScheduleError:
    return ScheduleError(
        f"{s.name} cannot be tensorised by {intrin.name}: {why}.\n{s.nest()}",
        hint=f"{intrin.name} computes {intrin.op.body[0]}, whole blocks of it",
    )


def _block(
    intrin: TensorIntrin, stage: Stage, bounds: StageBounds, to_load: ToLoad, builder: NestBuilder
) -> tuple[Stmt | None, Stmt]:
    """The statements (initialise, update) of one block."""
    assert stage.intrin is not None
    axis = stage.intrin[0]
    reads = matched_reads(stage, axis, intrin, bounds.extents)
    inner = stage.leaves[place_of(axis, stage.leaves) :]
    data = [a for a in inner if a.kind != "reduce"]
    loops = dict(
        zip(
            (*intrin.op.axes, *intrin.op.reduce_axes),
            (*data, *(a for a in inner if a.kind == "reduce")),
        )
    )
    views = []
    for t in intrin.inputs:
        load = to_load(reads[t])
        assert isinstance(load, Load)
        axes = tuple(loops[a] for a in intrin.axes_of(t))
        still = {a: ZERO for a in inner if not among(a, axes)}  # loops of one trip
        views.append(View(load.buffer, tuple(substitute(i, still) for i in load.indices), axes))
    output: Buffer = builder.buffers[stage.op.outputs[0]]
    where = builder.indices(stage, bounds, to_load)
    return intrin.body(views, View(output, where, tuple(data)))
