"""The rule for stages without a reduction: vectorise along memory, run outer loops in parallel."""

from __future__ import annotations

import math

from ...ir.expr import Expr, IterVar, Read, as_int
from ...ir.identity import among, same_objects
from ...ir.layout import Layout
from ...ir.schedule.stage import Stage
from ...ir.visit import variables
from .common import (
    Context,
    inlined_body,
    lane_axis,
    outside_of_indices,
    run_parallel,
    size,
    split_axis,
    vectorize_along,
    work,
)
from .measured import WHOLE_LINE
from .transpose import schedule_transpose


def schedule_injective(ctx: Context, stage: Stage) -> None:
    """Loops in the order of storage, the innermost one in vectors.

    Element-wise stages whose operands all lie alike become one flat loop.
    """
    adopt_layout(ctx, stage)
    layout = ctx.layout(stage)
    lanes = ctx.target.lanes(stage.op.outputs[0].dtype)
    axis = lane_axis(stage, layout)
    if axis is None:
        return
    operations = work(stage)
    if layout is None and len(stage.axes) > 1 and is_elementwise(ctx, stage):
        flat = stage.fuse(*stage.axes)
        if (as_int(flat.extent) or 0) <= lanes:
            stage.vectorize(flat)
            return
        outer, inner = stage.split(flat, factor=lanes)
        stage.vectorize(inner)
        run_parallel(ctx, stage, [outer], operations)
        return
    if layout is None and schedule_transpose(ctx, stage, operations):
        return
    if layout is not None and layout.is_permuted:
        _in_storage_order(ctx, stage, layout, lanes, operations)
        return
    together = alike(ctx, stage) if layout is None else []
    if len(together) > 1 and (as_int(together[-1].extent) or 0) % lanes:
        # Lines of 28 or 7 elements would each end in part of a vector.
        flat = stage.fuse(*together)
        loops = [*stage.axes[: -len(together)]]
        if (as_int(flat.extent) or 0) > WHOLE_LINE * lanes:
            outer, flat = stage.split(flat, factor=lanes)
            loops.append(outer)
        stage.vectorize(flat)
    else:
        block = layout.block(axis) if layout is not None else lanes
        loops = vectorize_along(stage, axis, block, layout)[:-1]
    # A few long chunks are enough: the innermost loop stays a loop inside each of them.
    enough = 64
    k = 1
    while k < len(loops) and size(loops[:k]) < enough:
        k += 1
    run_parallel(ctx, stage, loops[:k], operations)


def _in_storage_order(
    ctx: Context, stage: Stage, layout: Layout, lanes: int, operations: int
) -> None:
    """Loops in the order of a storage that has whole axes in another order. The channels of one
    place may be fewer than a vector has lanes: then it has some places, as whole vectors."""
    loops = [stage.axes[a] for a in layout.order]
    stage.reorder(*loops)
    channel = loops.pop()
    together = math.lcm(size([channel]), lanes)
    if size([channel]) > lanes:
        outer, channel = stage.split(channel, factor=lanes)
        loops.append(outer)
    elif loops and together <= WHOLE_LINE * lanes:
        outer, some = split_axis(stage, loops.pop(), together // size([channel]))
        loops += [] if outer is None else [outer]
        channel = stage.fuse(some, channel)
    stage.vectorize(channel)
    run_parallel(ctx, stage, loops[:-1], operations)


def is_elementwise(ctx: Context, stage: Stage) -> bool:
    """Every operand is read at the element that is written, in row-major storage, and the axes
    occur nowhere else: then a flat loop needs no divisions."""
    shape = [as_int(a.extent) for a in stage.axes]
    for n in outside_of_indices(inlined_body(ctx, stage)):
        if not isinstance(n, Read):
            if among(n, stage.axes):
                return False
        elif (
            not same_objects(n.indices, stage.axes)
            or ctx.layout_of(n.tensor) is not None
            or [as_int(e) for e in n.tensor.shape] != shape
        ):
            return False
    return True


def alike(ctx: Context, stage: Stage) -> list[IterVar]:
    """The last axes of a row-major result that lie behind each other in every operand that has
    them at all, as those of an image do where a bias has none: they can be one loop without
    divisions."""
    axes, shape = stage.axes, [as_int(a.extent) for a in stage.axes]
    if None in shape:
        return []
    number: dict[Expr, int] = {a: k for k, a in enumerate(axes)}
    apart = 0  # the axes before this one stay loops of their own
    for n in outside_of_indices(inlined_body(ctx, stage)):
        if not isinstance(n, Read):
            apart = max(apart, number.get(n, -1) + 1)
            continue
        alike, rest = 0, len(n.indices)
        plain = ctx.layout_of(n.tensor) is None
        while (
            plain
            and alike < min(len(axes), rest)
            and n.indices[-1 - alike] is axes[-1 - alike]
            and as_int(n.tensor.shape[-1 - alike]) == shape[-1 - alike]
        ):
            alike += 1
        if alike:  # what is not alike stays apart; an operand may have none of the last axes
            apart = max(apart, len(axes) - alike)
        for e in n.indices[: rest - alike]:
            apart = max([apart, *(number[v] + 1 for v in variables(e) if v in number)])
    return list(axes[apart:])


def adopt_layout(ctx: Context, stage: Stage) -> None:
    """An intermediate at the root (padding, mostly) is stored like the tensor it is made of."""
    if stage.is_output or stage.layout is not None:
        return
    for r in stage.reads():
        source = ctx.layout_of(r.tensor)
        if source is not None and len(source.shape) == len(stage.axes):
            stage.set_layout(source.resized([as_int(a.extent) or 0 for a in stage.axes]))
            return
