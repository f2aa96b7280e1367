"""A schedule for workgroups, on a processor.

Its loops run one iteration after the other there, so that a bound loop is a plain one and what
threads of a workgroup would share is plain memory. Each iteration computes what it needs itself:
nothing has to be waited for. Where the outermost loop of a stage is over workgroups, which never
depend on each other, it runs in parallel.
"""

from __future__ import annotations

from .loops import Annotation
from .primitives import TraceStep
from .schedule import Schedule, create_schedule
from .scopes import root_of, tag_of, tags_of
from .trace import Trace


def without_threads(schedule: Schedule) -> Schedule:
    """``schedule`` without hardware indices and shared memory; itself where it has none."""
    bound = any(map(tags_of, schedule.stages))
    if not bound and all(s.scope != "shared" for s in schedule.stages):
        return schedule
    steps = tuple(s for s in schedule.trace if not _about_threads(s))
    made = Trace(steps).replay(create_schedule(schedule.outputs))
    for old, new in zip(schedule.stages, made.stages, strict=True):
        if new.scope == "shared":
            new.scope = "global"
        first = old.leaves[0] if old.leaves and root_of(old) is old else None
        if first is not None and tag_of(old, first).startswith("block"):
            loop = new.axis_named(first.name)
            if new.leaves[0] is loop and new.annotations.get(loop, Annotation()) == Annotation():
                new.parallel(loop)
    return made


def _about_threads(step: TraceStep) -> bool:
    """Whether a step binds a loop to a hardware index, or lets one of several threads store."""
    if step.primitive not in ("bind", "set_store_predicate"):
        return False
    return any(tag in str(step.args[-1]) for tag in ("threadIdx.", "blockIdx."))
