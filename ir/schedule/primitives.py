"""What makes a method of a stage or a schedule a primitive: :func:`primitive`.

A primitive is one function. It checks its arguments, changes the schedule, and is recorded when it
has returned; :meth:`Trace.replay` calls it again. How its arguments are written into a
:class:`TraceStep` follows from their annotations (``_CODECS``): axes, stages and tensors by their
names, which are deterministic, everything else as it is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from ...runtime.errors import ScheduleError
from ..expr import as_int
from ..layout import Layout
from ..tensor import Tensor
from .intrinsics import find_intrin
from .loops import thread_axis

if TYPE_CHECKING:
    from .schedule import Schedule
    from .stage import Stage

Value = int | float | str | bool | tuple[str, ...] | None
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class TraceStep:
    """One call: ``s[stage].primitive(*args)``, axes and tensors by name. A list argument is a
    tuple. A primitive of the schedule (``cache_read``) has the stage of its first argument."""

    stage: str
    primitive: str
    args: tuple[Value, ...]

    def __str__(self) -> str:
        shown = ", ".join(repr(list(a)) if isinstance(a, tuple) else repr(a) for a in self.args)
        return f"s[{self.stage!r}].{self.primitive}({shown})"


@dataclass
class _Reading:
    """Where the values of a step are looked up: axes are those of the stage ``at``, which is the
    step's own or the one that was named last."""

    schedule: Schedule
    at: Stage

    def axis(self, name: str):
        return self.at.axis_named(name)

    def stage(self, name: str) -> Stage:
        self.at = self.schedule.stage_named(name)
        return self.at

    def tensor(self, stage: str, index: int) -> Tensor:
        return self.schedule.stage_named(stage).op.outputs[index]

    def layout(self, text: str) -> Layout:
        return Layout.from_text(text, _extents(self.at))

    def shares(self, texts: Sequence[str]) -> dict[Any, int]:
        pairs = (t.rpartition(":") for t in texts)
        return {self.axis(name): int(count) for name, _, count in pairs}


class _Codec(NamedTuple):
    """``encode(value, receiver)`` returns the ``width`` values of a step that ``decode(reading,
    *values)`` makes the argument from."""

    encode: Callable[[Any, Any], tuple[Value, ...]]
    decode: Callable[..., Any]
    width: int = 1


def _extents(stage: Stage) -> list[int]:
    return [as_int(a.extent) or 0 for a in stage.axes]


def _stage(value: Any, receiver: Any) -> str:
    """The name of a stage that is given as itself or as one or all of its results."""
    schedule: Schedule = getattr(receiver, "schedule", receiver)
    if isinstance(value, Sequence):
        value = value[0]
    return (schedule[value] if isinstance(value, Tensor) else value).name


def _layout(value: Layout | str, stage: Stage) -> str:
    return str(Layout.parse(value, _extents(stage)) if isinstance(value, str) else value)


_PLAIN = _Codec(lambda v, _: (v,), lambda _, v: v)
_CODECS = {  # annotation -> how such an argument is written
    "int": _PLAIN,
    "int | None": _PLAIN,
    "str": _PLAIN,
    "object": _PLAIN,
    "IterVar": _Codec(lambda v, _: (v.name,), _Reading.axis),
    "*IterVar": _Codec(lambda v, _: (tuple(a.name for a in v),),
                       lambda r, names: [r.axis(n) for n in names]),
    "Thread": _Codec(lambda v, _: (v.tag,), lambda _, tag: thread_axis(tag)),
    "Stage | Tensor": _Codec(lambda v, of: (_stage(v, of),), _Reading.stage),
    "Sequence[Stage | Tensor]": _Codec(
        lambda v, of: (tuple(_stage(x, of) for x in v),),
        lambda r, names: [r.schedule.stage_named(n) for n in names]),
    "Tensor": _Codec(lambda v, of: (_stage(v, of), v.value_index), _Reading.tensor, 2),
    "Results": _Codec(lambda v, of: (_stage(v, of),), lambda r, name: r.stage(name).op.outputs),
    "TensorIntrin": _Codec(lambda v, _: (v.name,), lambda _, name: find_intrin(name)),
    "Layout | str": _Codec(lambda v, stage: (_layout(v, stage),), _Reading.layout),
    "Mapping[IterVar, int] | None": _Codec(
        lambda v, _: (tuple(f"{a.name}:{n}" for a, n in (v or {}).items()),), _Reading.shares),
}  # fmt: skip


@dataclass(frozen=True)
class Primitive:
    """A primitive as the trace needs it: ``call(receiver, *arguments)``."""

    name: str
    call: Callable[..., Any]
    of_schedule: bool
    variadic: bool
    codecs: tuple[_Codec, ...]

    def record(self, receiver: Any, arguments: Sequence[Any]) -> None:
        """Append the step of a call that has been carried out."""
        values = [v for c, a in zip(self.codecs, arguments) for v in c.encode(a, receiver)]
        stage = cast(str, values.pop(0)) if self.of_schedule else receiver.name
        schedule: Schedule = receiver if self.of_schedule else receiver.schedule
        schedule.record(TraceStep(stage, self.name, tuple(values)))

    def replay(self, schedule: Schedule, step: TraceStep) -> None:
        """Carry a step out; raises ScheduleError where it does not fit."""
        stage = schedule.stage_named(step.stage)
        values = [step.stage, *step.args] if self.of_schedule else list(step.args)
        if len(values) != sum(c.width for c in self.codecs):
            raise ScheduleError(f"{self.name} does not take {len(step.args)} arguments: {step}.")
        reading, arguments = _Reading(schedule, stage), []
        for c in self.codecs:
            arguments.append(c.decode(reading, *values[: c.width]))
            del values[: c.width]
        if self.variadic:
            arguments[-1:] = arguments[-1]
        self.call(schedule if self.of_schedule else stage, *arguments)


PRIMITIVES: dict[str, Primitive] = {}


def primitive(function: F) -> F:
    """A method of :class:`~weft.ir.schedule.stage.Stage` that is recorded and can be replayed."""
    return _register(function, of_schedule=False)


def dataflow_primitive(function: F) -> F:
    """The same of a :class:`Schedule`; its first parameter says which stage."""
    return _register(function, of_schedule=True)


def _register(function: F, of_schedule: bool) -> F:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    words = ["*" * (p.kind is p.VAR_POSITIONAL) + p.annotation for p in parameters]
    codecs = tuple(_CODECS[w] for w in words)
    name = function.__name__

    @functools.wraps(function)
    def call(receiver: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(receiver, *args, **kwargs)
        bound = signature.bind(receiver, *args, **kwargs)
        bound.apply_defaults()
        made.record(receiver, list(bound.arguments.values())[1:])
        return result

    made = Primitive(name, call, of_schedule, variadic, codecs)
    assert name not in PRIMITIVES, name
    PRIMITIVES[name] = made
    return cast(F, call)
