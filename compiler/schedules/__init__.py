"""Schedule rules: from a computation and a target's capabilities to a schedule.

``schedule(outputs, target)`` is the entry. It inlines what is cheap to recompute (``inline.py``)
and then gives every stage that is left the rule for its kind: ``contraction.py`` (sums of products:
convolution, matmul), ``reduction.py``, ``injective.py`` (everything else). Rules look at the
structure of the computation and at layouts, never at operator or target names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.layout import Layout
from ...ir.schedule import Schedule, create_schedule
from ...ir.target import Target
from ...ir.tensor import Tensor
from .attention import schedule_attention
from .choices import Choices
from .common import Context, constant_domain
from .contraction import schedule_contraction
from .gpu import schedule_gpu
from .injective import schedule_injective
from .inline import inline_cheap_stages
from .reduction import schedule_reduction
from .rows import join_rows
from .winograd import keeps_registers, schedule_winograd

__all__ = ["schedule"]


def schedule(
    outputs: Sequence[Tensor],
    target: Target,
    layouts: Mapping[Tensor, Layout] | None = None,
    choices: Choices | None = None,
) -> Schedule:
    """The schedule of a computation: the default one, unless ``choices`` has other answers.

    Parameters
    ----------
    outputs : the results; the same call with the same computation gives the same schedule.
    layouts : how inputs and results lie in storage, row major where not given.
    choices : answers the open questions of the rules, and is told what they were.
    """
    s = create_schedule(tuple(outputs))
    if target.texture_memory:
        return s  # fragment.py cuts it into draws, which it schedules one by one
    ctx = Context(s, target, dict(layouts or {}), choices or Choices())
    if target.max_threads:
        schedule_gpu(ctx)
        return s
    inline_cheap_stages(ctx)
    done: set = set()
    for stage in ctx.stored():
        if stage in done or not constant_domain(stage):
            continue
        if stage.reduce_axes:
            done |= schedule_winograd(ctx, stage) | schedule_attention(ctx, stage)
            if stage in done:
                continue
            done |= schedule_contraction(ctx, stage) or schedule_reduction(ctx, stage)
        else:
            # A consumer that takes a contraction into its tiles is scheduled together with it.
            if any(p.reduce_axes and ctx.takes_epilogue(p) is stage for p in stage.producers()):
                continue
            if keeps_registers(stage):  # scheduled with the products that follow
                continue
            schedule_injective(ctx, stage)
            done.add(stage)
    for stage in ctx.stored():
        if stage not in done and constant_domain(stage) and stage.attach.kind == "root":
            (schedule_reduction if stage.reduce_axes else schedule_injective)(ctx, stage)
    join_rows(ctx)
    return s
