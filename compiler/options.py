"""What a compilation is asked for: one object, which all behind the public functions takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..ir.target import HOST, Target
from ..runtime.devices.table import DEVICES, Device
from ..runtime.errors import GraphError, TargetError
from ..runtime.threads import thread_count

if TYPE_CHECKING:
    from .kernels.cache import KernelCache
    from .tune.known import KnownRecords
    from .tune.records import Records

ACCURACIES = ("fast", "strict")
OPT_LEVELS = range(4)

ProgressCallback = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


def silent(stage: str, done: int, total: int) -> None:
    """The callback of who does not want to be told."""


def has_threads(target: Target) -> bool:
    """Whether programs share their loops among threads that a compilation can limit."""
    return target.threads or DEVICES.get(target.kind, Device(target.kind)).threads


def with_threads(targets: Sequence[Target], threads: int) -> tuple[Target, ...]:
    """The targets, for at most ``threads`` threads where they have any.

    Raises :class:`InputError` for what is no number of threads, :class:`TargetError` where none of
    the targets has threads.
    """
    count = thread_count(threads, "threads")
    if not any(map(has_threads, targets)):
        raise TargetError(
            f"threads={count} has no effect on programs for {', '.join(map(str, targets))}.",
            hint="leave it out; 'llvm' and 'wasm -threads' have threads",
        )
    return tuple(replace(t, num_threads=count) if has_threads(t) else t for t in targets)


@dataclass(frozen=True)
class CompileOptions:
    """The options of :func:`weft.compile` and its fellows, checked; see there for their meaning.

    Attributes
    ----------
    targets : what to compile for, in order. Their ``opt_level`` is the optimisation level, their
        ``num_threads`` how many threads programs use at most (0: all that there are).
    shapes, constants : of the model's inputs.
    accuracy : one of ``ACCURACIES``.
    cache : where compiled kernels are kept; None: they are compiled anew.
    records : which schedules are known to be best; None: those of the rules are taken.
    renderer : the device whose measurements count where there are several; see ``best_of`` of
        ``tune/records.py``.
    progress : is told of each stage.

    Raises :class:`TargetError` for an optimisation level that does not exist and for a number of
    threads where there are none, :class:`InputError` for what is no number of threads and
    :class:`GraphError` for an accuracy that does not exist.
    """

    targets: tuple[Target, ...] = (Target.parse(HOST),)
    shapes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    constants: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    accuracy: str = "fast"
    cache: KernelCache | None = None
    records: Records | KnownRecords | None = None
    renderer: str = ""
    progress: ProgressCallback = silent

    def __post_init__(self) -> None:
        for target in self.targets:
            if target.opt_level not in OPT_LEVELS:
                raise TargetError(
                    f"the optimisation level {target.opt_level} is not one of "
                    f"{', '.join(map(str, OPT_LEVELS))}."
                )
            if target.num_threads:
                with_threads([target], target.num_threads)
        if self.accuracy not in ACCURACIES:
            raise GraphError(
                f"the accuracy {self.accuracy!r} is not one of {', '.join(ACCURACIES)}."
            )


DEFAULTS = CompileOptions()  # for this machine, without a cache, by the rules' own schedules
