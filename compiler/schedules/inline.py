"""Which intermediate stages are written out where they are read."""

from __future__ import annotations

from ...ir.expr import Read, Select, as_int
from ...ir.schedule.stage import Stage
from ...ir.tensor import ComputeOp
from ...ir.visit import walk
from .common import Context, expensive, size
from .growth import Growth
from .measured import MAX_REPEAT
from .winograd import keeps_registers


def inline_cheap_stages(ctx: Context) -> None:
    """Inline every intermediate stage that is no reduction and cheap to recompute.

    A cheap stage (no transcendental function, no division) is inlined into element-wise readers;
    an expensive one only where each element is read about once. Padding is kept as a stage of its
    own in front of a contraction: guards in its inner loop cost more than the copy. In front of
    windows that work channel by channel (pooling, depthwise convolutions) the copy costs more.
    """
    s, growth = ctx.schedule, Growth()
    for stage in list(ctx.stored()):
        if stage.reduce_axes or stage.is_output or not s.consumers(stage):
            continue
        if not all(isinstance(c.op, ComputeOp) for c in s.consumers(stage)):
            continue  # statements and recurrences read what is stored
        if not growth.fits(stage):
            continue
        if keeps_registers(stage):
            continue
        points = max(1, size(stage.axes))
        repeat = 0.0
        for reader in s.consumers(stage):
            times = reader.read_count(stage)
            repeat += times * size(reader.axes) * size(reader.reduce_axes) / points
        if _costs(stage) and len(s.consumers(stage)) > 1 and _reduced(ctx, stage):
            continue  # exponentials are summed and divided: rows are kept between the two
        inline = _is_plain_copy(stage) or (
            repeat <= MAX_REPEAT if _costs(stage) else not _feeds_contraction(ctx, stage)
        )
        if not inline and not _costs(stage):
            default = reads_own_channels(ctx, stage)
            inline = bool(ctx.choose(f"{stage.name}.inline", (False, True), default))
        if inline:
            stage.compute_inline()


def _reduced(ctx: Context, stage: Stage) -> bool:
    return any(c.reduce_axes for c in ctx.schedule.consumers(stage))


def _costs(stage: Stage) -> bool:
    return any(map(expensive, stage.body))


def _is_plain_copy(stage: Stage) -> bool:
    """No arithmetic on values at all: literals, reshapes, broadcasts."""
    body = stage.body[0]
    return len(stage.body) == 1 and (
        isinstance(body, Read) or not any(isinstance(n, Read) for n in walk(body))
    )


def _feeds_contraction(ctx: Context, stage: Stage) -> bool:
    """Whether a reduction reads each element of ``stage`` many times, or guards its reads."""
    guarded = any(isinstance(n, Select) for b in stage.body for n in walk(b))
    for reader in ctx.readers(stage):
        reuse = size(reader.axes) * size(reader.reduce_axes) / max(1, size(stage.axes))
        if reader.reduce_axes and (reuse > MAX_REPEAT or (guarded and reuse > 1)):
            return True
    return False


def reads_own_channels(ctx: Context, stage: Stage) -> bool:
    """Whether only neighbours in a window share an element of ``stage``, a copy with guards: then
    there are few multiplications to each guard. Vectors lie across the guards, so that one scalar
    condition decides about a vector."""
    body = stage.body[0]
    if not isinstance(body, Select):
        return False
    sources = [r for r in stage.reads() if ctx.layout_of(r.tensor) is not None]
    if len(sources) != 1:
        return False
    layout = ctx.layout_of(sources[0].tensor)
    assert layout is not None
    lane = stage.axes[layout.lane.axis] if layout.lane.axis < len(stage.axes) else None
    if lane is None or layout.block(layout.lane.axis) == 1 or lane in set(walk(body.cond)):
        return False
    for reader in ctx.readers(stage):
        for r in reader.reads():
            if r.tensor.op is not stage.op:
                continue
            used = {n for i in r.indices for n in walk(i)}
            if any(a not in used for a in reader.axes if as_int(a.extent) != 1):
                return False
    return True
