"""A word about kernels whose schedule nobody wrote."""

from __future__ import annotations

import warnings

from ...ir.schedule.schedule import Schedule
from ...ir.target import Target
from .facts import count_flops

MUCH = 20_000_000  # operations: some milliseconds of one core without vectors


class UntouchedScheduleWarning(UserWarning):
    """A kernel with much to compute runs its loops one after the other."""


def warn_of_untouched(schedule: Schedule, target: Target, name: str) -> None:
    """Warn where a schedule has no steps and the kernel would be worth some: loops then run in
    order, on one thread, without vectors. Fragment shaders are scheduled by weft."""
    if target.texture_memory or len(schedule.trace) or count_flops(schedule.outputs) < MUCH:
        return
    warnings.warn(
        f"{name}: this schedule has no steps, so its loops run in order on one thread of "
        f"{target.kind}, without vectors; te.auto_schedule(outputs, {target.kind!r}) gives the one "
        "that weft's own rules make.",
        UntouchedScheduleWarning,
        stacklevel=4,
    )
