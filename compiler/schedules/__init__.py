"""Schedule rules: from a computation and a target's capabilities to a schedule.

``schedule(outputs, target)`` is the entry. It inlines what is cheap to recompute (``inline.py``)
and then hands every stage with a reduction to the first of ``RULES`` that takes it, and
``injective.py`` everything else. Rules look at the structure of the computation and at layouts,
never at operator or target names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ...ir.layout import Layout
from ...ir.schedule.schedule import Schedule, create_schedule
from ...ir.schedule.stage import Stage
from ...ir.target import Target
from ...ir.tensor import Tensor
from .attention import schedule_attention
from .choices import Choices
from .common import Context, constant_domain
from .contraction import schedule_contraction
from .gpu import bind_stages
from .gpu.contraction import bind_contraction
from .gpu.reduction import bind_reduction
from .injective import schedule_injective
from .inline import inline_cheap_stages
from .reduction import schedule_reduction
from .rows import join_rows
from .winograd import keeps_registers, schedule_winograd

__all__ = ["RULES", "ScheduleRule", "schedule"]


class ScheduleRule(NamedTuple):
    """A rule for stages with a reduction.

    ``apply`` schedules the stage, and others that belong to it, and says which; an empty set where
    the stage is not of its kind. ``when`` says which targets the rule is for.
    """

    name: str
    apply: Callable[[Context, Stage], set[Stage]]
    when: Callable[[Target], bool]


def _processor(target: Target) -> bool:
    return not target.max_threads


def _workgroups(target: Target) -> bool:
    return target.max_threads > 0


RULES: tuple[ScheduleRule, ...] = (
    ScheduleRule("winograd", schedule_winograd, _processor),
    ScheduleRule("attention", schedule_attention, _processor),
    ScheduleRule("contraction", schedule_contraction, _processor),
    ScheduleRule("reduction", schedule_reduction, _processor),
    ScheduleRule("contraction in blocks", bind_contraction, _workgroups),
    ScheduleRule("reduction in blocks", bind_reduction, _workgroups),
)


def schedule(
    outputs: Sequence[Tensor],
    target: Target,
    layouts: Mapping[Tensor, Layout] | None = None,
    choices: Choices | None = None,
) -> Schedule:
    """The schedule of a computation: the default one, unless ``choices`` has other answers.

    Parameters
    ----------
    outputs : the results; the same call with the same computation returns the same schedule.
    layouts : how inputs and results lie in storage, row major where not given.
    choices : answers the open questions of the rules, and is told what they were.
    """
    s = create_schedule(tuple(outputs))
    if target.texture_memory:
        return s  # fragment.py cuts it into draws, which it schedules one by one
    ctx = Context(s, target, dict(layouts or {}), choices or Choices())
    inline_cheap_stages(ctx)
    if target.max_threads:
        bind_stages(ctx, partial(_reduced, ctx))
    else:
        _nest_stages(ctx)
    return s


def _reduced(ctx: Context, stage: Stage) -> set[Stage]:
    """The stages that were scheduled by the first rule that takes ``stage``."""
    done: set[Stage] = set()
    for rule in RULES:
        if rule.when(ctx.target):
            done |= rule.apply(ctx, stage)
            if stage in done:
                break
    return done


def _nest_stages(ctx: Context) -> None:
    """Schedule all stages for a processor: vectors, register tiles, parallel loops."""
    done: set[Stage] = set()
    for stage in ctx.stored():
        if stage in done or not constant_domain(stage):
            continue
        if stage.reduce_axes:
            done |= _reduced(ctx, stage)
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
