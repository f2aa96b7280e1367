"""weft's schedule rules for computations that a user has written."""

from __future__ import annotations

from collections.abc import Sequence

from ...codegen import resolve
from ...ir.schedule.schedule import Schedule
from ...ir.target import Target
from ...ir.tensor import Tensor
from ...runtime.errors import ScheduleError
from ...runtime.guard import guarded
from . import schedule


@guarded
def auto_schedule(outputs: Tensor | Sequence[Tensor], target: str | Target = "llvm") -> Schedule:
    """The schedule that weft's own rules make for a computation on a target.

    The rules are those that compiled models go through: cheap stages are inlined, reductions get
    register and cache tiles, loops vectors and threads, as the capabilities of the target say. The
    steps are in ``schedule.trace``, and ``print(schedule)`` shows the loops. For fragment shaders
    (``opengl``, ``webgl``) the schedule stays untouched: ``weft.build`` cuts it into draws.

    Parameters
    ----------
    outputs : the results of the computation.
    target : as for ``weft.build``, which is to be given the same.

    Raises
    ------
    ScheduleError, TargetError : ``outputs`` are no tensors; there is no such target.
    """
    tensors = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    for t in tensors:
        if not isinstance(t, Tensor):
            raise ScheduleError(
                f"{t!r} is {type(t).__name__}, not a tensor.",
                where="auto_schedule",
                hint="give what te.compute returned, one or a list of them",
            )
    return schedule(tensors, resolve(target))
