"""Stages without a reduction: a thread computes a vector along storage."""

from __future__ import annotations

from ....ir.expr import as_int
from ....ir.schedule.stage import Stage
from ..common import Context, lane_axis, vectorize_along
from ..injective import is_elementwise
from .bind import LANES, bind_flat


def bind_injective(ctx: Context, stage: Stage) -> None:
    """Vectors along memory where that divides evenly; the other loops are spread over threads.

    Element-wise stages whose operands all lie alike are one flat loop, whose last vector may be
    short.
    """
    layout = ctx.layout(stage)
    if not stage.axes:
        return
    axis = lane_axis(stage, layout)
    if axis is None:
        bind_flat(ctx, stage, list(stage.axes))
        return
    if layout is None and len(stage.axes) > 1 and is_elementwise(ctx, stage):
        flat = stage.fuse(*stage.axes)
        loops = [flat]
        if (as_int(flat.extent) or 0) > LANES:
            outer, inner = stage.split(flat, factor=LANES)
            stage.vectorize(inner)
            loops = [outer]
        bind_flat(ctx, stage, loops)
        return
    block = min(LANES, layout.block(axis)) if layout is not None else LANES
    extent = as_int(stage.axes[axis].extent) or 1
    if extent % block or block not in (2, 4):
        bind_flat(ctx, stage, list(stage.axes))
        return
    loops = vectorize_along(stage, axis, block, layout)[:-1]
    if loops:
        bind_flat(ctx, stage, loops)
