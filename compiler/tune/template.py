"""Schedules with open questions, written by a user, and their search.

A template is a function of :class:`Choices`: it asks ``knobs.choose(name, options, default)`` and
returns a schedule and the kernel's arguments. What its answers may be is found by running it, as
with weft's own rules, so that the questions of one run may depend on answers of the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...codegen import resolve
from ...ir.expr import as_int
from ...ir.passes.loopnest import build_loop_nest
from ...ir.schedule.schedule import Schedule, create_schedule
from ...ir.target import Target
from ...ir.tensor import PlaceholderOp, Tensor
from ...runtime import knobs
from ...runtime.errors import ScheduleError
from ...runtime.executor import Executable
from ...runtime.lazy import lazy
from ..kernels.build import KernelModule, build
from ..kernels.facts import count_flops
from ..kernels.kernel import Nest
from ..schedules.choices import Choices, Config
from ..types import TensorType
from .built import Built, build_all
from .packages import measure_packages
from .records import Records
from .task import Job

Definition = Callable[[Choices], tuple[Schedule, Sequence[Tensor]]]


def template(definition: Definition) -> Template:
    """A schedule with knobs, from a function that takes them; a decorator.

    >>> @template
    ... def scale(knobs):
    ...     A = placeholder((1 << 20,), name="A")
    ...     B = compute((1 << 20,), lambda i: A[i] * 2, name="B")
    ...     s = create_schedule(B)
    ...     o, i = s[B].split(B.op.axes[0], knobs.choose("lanes", [4, 8, 16, 32], 8))
    ...     s[B].vectorize(i)
    ...     return s, [A, B]
    >>> weft.tune(scale, "llvm", trials=4)      # doctest: +SKIP
    >>> kernel = scale.build("llvm")            # doctest: +SKIP
    """
    return Template(definition)


class Template:
    """What :func:`template` makes. ``records`` holds what its searches found, in memory, where
    ``weft.tune`` was given no other records."""

    def __init__(self, definition: Definition):
        self.__doc__ = definition.__doc__
        self.name: str = getattr(definition, "__name__", "template")
        self.definition = definition
        self.records = Records(None)

    def schedule(self, config: Config | None = None) -> tuple[Schedule, list[Tensor]]:
        """The schedule and the arguments for answers by name; the defaults for what it leaves."""
        return self.run(Choices(config))

    @property
    def key(self) -> str:
        """What is computed, whatever the schedule; of records."""
        _, args = self.schedule()
        plain = build_loop_nest(create_schedule(_results(args)), args, "template")
        return hashlib.sha256(f"template {self.name}\n{plain}".encode()).hexdigest()[:32]

    def knobs(self) -> dict[str, tuple[Any, ...]]:
        """The questions of the default schedule, each with its options."""
        choices = Choices()
        self.run(choices)
        return {name: c.options for name, c in choices.asked.items()}

    def best(self, target: str | Target = "llvm", records: Records | None = None) -> dict[str, Any]:
        """The configuration that won a search for this target; empty where there was none."""
        store = self.records if records is None else records
        found = store.best(self.key, str(resolve(target)), knobs.num_threads())
        return dict(found.config) if found is not None else {}

    def build(
        self,
        target: str | Target = "llvm",
        config: Config | None = None,
        records: Records | None = None,
    ) -> KernelModule:
        """The kernel for a configuration; without one, for the best that is known."""
        s, args = self.schedule(self.best(target, records) if config is None else config)
        return build(s, args, target, self.name)

    def run(self, choices: Choices) -> tuple[Schedule, list[Tensor]]:
        """The schedule as ``choices`` answers; raises :class:`ScheduleError` where the function
        returns something else."""
        made: Any = self.definition(choices)
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], Schedule)):
            raise self._error(f"it returned {type(made).__name__}")
        s, args = made[0], list(made[1])
        for t in args:
            if not isinstance(t, Tensor) or any(as_int(n) is None for n in t.shape):
                raise self._error(f"its argument {t} is no tensor of constant extents")
        return s, args

    def _error(self, what: str) -> ScheduleError:
        return ScheduleError(
            f"{what}.",
            where=f"the template {self.name}",
            hint="return (schedule, [arguments as for weft.build]), tensors of constant extents",
        )


@dataclass(frozen=True, eq=False)
class TemplateTask:
    """A template on a target, as the search sees it; the package of its default schedule is the
    judge of all candidates."""

    key: str
    name: str
    target: Target
    template: Template
    calls: int = 1
    flops: int = 0

    @classmethod
    def of(cls, made: Template, target: Target) -> TemplateTask:
        """The task of ``made`` for a resolved target."""
        _, args = made.schedule()
        flops = count_flops(tuple(_results(args)))
        return cls(made.key, made.name, target, made, flops=flops)

    def nests(self, choices: Choices) -> tuple[Nest, ...]:
        """As :meth:`Task.nests`."""
        s, args = self.template.run(choices)
        inputs = tuple(t for t in args if isinstance(t.op, PlaceholderOp))
        return (Nest(s, (*inputs, *_results(args)), {}),)

    @property
    def parameters(self) -> tuple[TensorType, ...]:
        """As :attr:`Task.parameters`."""
        _, args = self.template.schedule()
        inputs = [t for t in args if isinstance(t.op, PlaceholderOp)]
        return tuple(
            TensorType(t.dtype, tuple(as_int(n) or 0 for n in t.shape))
            for t in (*inputs, *_results(args))
        )

    def build(self, config: Config) -> Executable:
        """As :meth:`Task.build`."""
        return self.template.build(self.target, config).executable

    def measuring(self, do: Callable[..., Any], configs: Sequence[Config], threads: int) -> Job:
        """As :meth:`Task.measuring`. Candidates are built here, as a worker cannot import a
        function that was typed at a prompt."""
        return measure_packages, (self._judge, build_all(self, configs), threads)

    def building(self, configs: Sequence[Config]) -> Job:
        """As :meth:`Task.building`: there is nothing left to do for the worker."""
        return list, (build_all(self, configs),)

    @lazy
    def _judge(self) -> Built:
        (made,) = build_all(self, [{}])
        return made


def _results(args: Sequence[Tensor]) -> list[Tensor]:
    return [t for t in args if not isinstance(t.op, PlaceholderOp)]
