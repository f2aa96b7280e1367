"""The rule for stages without a reduction: vectorise along memory, run outer loops in parallel."""

from __future__ import annotations

from ...ir.expr import Expr, Read, as_int
from ...ir.schedule.stage import Stage
from ...ir.visit import children
from .common import (
    Context,
    inlined_body,
    lane_axis,
    run_parallel,
    size,
    vectorize_along,
    work,
)


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
    block = layout.block(axis) if layout is not None else lanes
    loops = vectorize_along(stage, axis, block, layout)[:-1]
    # A few long chunks are enough: the innermost loop stays a loop inside each of them.
    enough = 4 * max(ctx.target.num_threads, 16)
    k = 1
    while k < len(loops) and size(loops[:k]) < enough:
        k += 1
    run_parallel(ctx, stage, loops[:k], operations)


def is_elementwise(ctx: Context, stage: Stage) -> bool:
    """Every operand is read at the element that is written, in row-major storage, and the axes
    occur nowhere else: then a flat loop needs no divisions."""
    shape = [as_int(a.extent) for a in stage.axes]
    below: list[Expr] = list(inlined_body(ctx, stage))
    while below:
        n = below.pop()
        if not isinstance(n, Read):
            if n in stage.axes:
                return False
            below += [c for c in children(n) if isinstance(c, Expr)]
        elif (
            n.indices != stage.axes
            or ctx.layout_of(n.tensor) is not None
            or [as_int(e) for e in n.tensor.shape] != shape
        ):
            return False
    return True


def adopt_layout(ctx: Context, stage: Stage) -> None:
    """An intermediate at the root (padding, mostly) is stored like the tensor it is made of."""
    if stage.is_output or stage.layout is not None:
        return
    for r in stage.reads():
        source = ctx.layout_of(r.tensor)
        if source is not None and len(source.shape) == len(stage.axes):
            stage.set_layout(source.resized([as_int(a.extent) or 0 for a in stage.axes]))
            return
