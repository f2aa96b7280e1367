"""Schedules for devices with workgroups: blocks of threads, registers, shared memory.

``schedule_gpu(ctx)`` gives every stage that is stored a nest of loops of its own, bound to
``blockIdx`` and ``threadIdx``: one launch each. ``contraction.py`` has register tiles for sums of
products, ``reduction.py`` one thread a result or one workgroup a result, ``injective.py``
everything else.
"""

from __future__ import annotations

from ..common import Context, constant_domain
from ..injective import adopt_layout
from ..inline import inline_cheap_stages
from .contraction import bind_contraction
from .injective import bind_injective
from .reduction import bind_reduction

__all__ = ["schedule_gpu"]


def schedule_gpu(ctx: Context) -> None:
    """Schedule all stages of ``ctx``. Stages of symbolic extents keep their plain loops."""
    inline_cheap_stages(ctx)
    for stage in ctx.stored():  # what reads a stage looks at how it is stored
        if constant_domain(stage) and not stage.reduce_axes:
            adopt_layout(ctx, stage)
    done: set = set()
    for stage in ctx.stored():
        if stage in done or not constant_domain(stage) or not stage.reduce_axes:
            continue
        done |= bind_contraction(ctx, stage) or bind_reduction(ctx, stage)
    for stage in ctx.stored():
        if stage not in done and constant_domain(stage) and stage.attach.kind == "root":
            bind_injective(ctx, stage)
