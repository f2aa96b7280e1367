"""Schedules for devices with workgroups: blocks of threads, registers, shared memory.

``bind_stages`` makes every stage that is stored a nest of loops of its own, bound to ``blockIdx``
and ``threadIdx``: one launch each. ``contraction.py`` has register tiles for sums of products,
``reduction.py`` one thread a result or one workgroup a result, ``injective.py`` everything else.
"""

from __future__ import annotations

from collections.abc import Callable

from ....ir.schedule.stage import Stage
from ..common import Context, constant_domain
from ..injective import adopt_layout
from .injective import bind_injective

__all__ = ["bind_stages"]


def bind_stages(ctx: Context, reduced: Callable[[Stage], set[Stage]]) -> None:
    """Schedule all stages of ``ctx``; ``reduced`` schedules one with a reduction, and says what it
    scheduled. Stages of symbolic extents keep their plain loops."""
    for stage in ctx.stored():  # what reads a stage looks at how it is stored
        if constant_domain(stage) and not stage.reduce_axes:
            adopt_layout(ctx, stage)
    done: set[Stage] = set()
    for stage in ctx.stored():
        if stage not in done and constant_domain(stage) and stage.reduce_axes:
            done |= reduced(stage)
    for stage in ctx.stored():
        if stage not in done and constant_domain(stage) and stage.attach.kind == "root":
            bind_injective(ctx, stage)
