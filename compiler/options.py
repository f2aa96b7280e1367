"""What a compilation is asked for: one object, which all behind the public functions takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..ir.target import HOST, Target
from ..runtime.errors import GraphError, TargetError

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


@dataclass(frozen=True)
class CompileOptions:
    """The options of :func:`weft.compile` and its fellows, checked; see there for their meaning.

    Attributes
    ----------
    targets : what to compile for, in order. Their ``opt_level`` is the optimisation level.
    shapes, constants : of the model's inputs.
    accuracy : one of ``ACCURACIES``.
    cache : where compiled kernels are kept; None: they are compiled anew.
    records : which schedules are known to be best; None: those of the rules are taken.
    progress : is told of each stage.

    Raises :class:`TargetError` for an optimisation level and :class:`GraphError` for an accuracy
    that does not exist.
    """

    targets: tuple[Target, ...] = (Target.parse(HOST),)
    shapes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    constants: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    accuracy: str = "fast"
    cache: KernelCache | None = None
    records: Records | KnownRecords | None = None
    progress: ProgressCallback = silent

    def __post_init__(self) -> None:
        for target in self.targets:
            if target.opt_level not in OPT_LEVELS:
                raise TargetError(
                    f"the optimisation level {target.opt_level} is not one of "
                    f"{', '.join(map(str, OPT_LEVELS))}."
                )
        if self.accuracy not in ACCURACIES:
            raise GraphError(
                f"the accuracy {self.accuracy!r} is not one of {', '.join(ACCURACIES)}."
            )


DEFAULTS = CompileOptions()  # for this machine, without a cache, by the rules' own schedules
