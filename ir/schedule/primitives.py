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
from ..alu import Op
from ..expr import Binary, Const, Expr, IterVar, Unary, as_int, const
from ..layout import Layout
from ..tensor import Operation, Tensor
from .intrinsics import TensorIntrin, find_intrin
from .loops import THREAD_TAGS, thread_axis, whole_number

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
    *values)`` makes the argument from. ``accept(value, receiver, what)`` is what a person gave in
    the one form that primitives take; it raises a ScheduleError that begins with ``what``."""

    encode: Callable[[Any, Any], tuple[Value, ...]]
    decode: Callable[..., Any]
    width: int = 1
    accept: Callable[[Any, Any, str], Any] = lambda v, *_: v


def _schedule_of(receiver: Any) -> Schedule:
    return getattr(receiver, "schedule", receiver)


def _accept_loop(value: Any, receiver: Any, what: str) -> IterVar:
    if not isinstance(value, IterVar):
        raise ScheduleError(
            f"{what} is a loop or an axis, not {value!r}.",
            hint="loops are s[C].op.axis, s[C].op.reduce_axis, and what split and fuse return",
        )
    return _schedule_of(receiver).standing_for.get(value, value)


def _accept_loops(value: Any, receiver: Any, what: str) -> tuple[IterVar, ...]:
    given = value[0] if len(value) == 1 and isinstance(value[0], Sequence) else value
    return tuple(_accept_loop(v, receiver, what) for v in given)


def _accept_tensor(value: Any, receiver: Any, what: str) -> Tensor:
    if isinstance(value, Operation):
        return value.outputs[0]
    if not isinstance(value, Tensor):
        raise ScheduleError(f"{what} is a tensor, not {value!r}.")
    return value


def _accept_stage(value: Any, receiver: Any, what: str) -> Any:
    if isinstance(value, Operation):
        return _schedule_of(receiver)[value]
    if not isinstance(value, Tensor) and type(value).__name__ != "Stage":
        raise ScheduleError(
            f"{what} is a tensor or a stage, not {value!r}.", hint="C, C.op or s[C]"
        )
    return value


def _accept_stages(value: Any, receiver: Any, what: str) -> list[Any]:
    several = value if isinstance(value, Sequence) else [value]
    return [_accept_stage(v, receiver, what) for v in several]


def _accept_results(value: Any, receiver: Any, what: str) -> Any:
    if isinstance(value, Operation):
        return value.outputs
    several = value if isinstance(value, Sequence) and value else [value]
    made = [_accept_tensor(v, receiver, what) for v in several]
    return value if isinstance(value, Tensor) else made


def _accept_intrin(value: Any, receiver: Any, what: str) -> TensorIntrin:
    if not isinstance(value, TensorIntrin):
        raise ScheduleError(f"{what} comes from te.decl_tensor_intrin, not {value!r}.")
    return value


def _accept_int(value: Any, receiver: Any, what: str) -> Any:
    n = whole_number(value)
    return value if n is None else n


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


def _condition(e: Expr, stage: Stage) -> str:
    """A condition as text: ``(and (lt i.inner 4) (eq threadIdx.x 0))``."""
    if isinstance(e, IterVar):
        return e.tag if e.kind == "thread" else e.name
    if isinstance(e, Const):
        return str(int(e.value))
    if isinstance(e, Binary | Unary):
        operands = (e.a, e.b) if isinstance(e, Binary) else (e.a,)
        return f"({' '.join([e.op.name.lower(), *(_condition(x, stage) for x in operands)])})"
    raise ScheduleError(
        f"{stage.name}: {e} in a condition cannot be written into a trace.",
        hint="use comparisons and integer arithmetic of loops and hardware indices",
    )


def _read_condition(reading: _Reading, text: str) -> Expr:
    words = iter(text.replace("(", " ( ").replace(")", " ) ").split())

    def one(word: str) -> Expr:
        if word == "(":
            op = Op[next(words).upper()]
            operands = []
            while (following := next(words)) != ")":
                operands.append(one(following))
            return Binary(op, *operands) if len(operands) == 2 else Unary(op, *operands)
        if word.lstrip("-").isdigit():
            return const(int(word))
        return thread_axis(word) if word in THREAD_TAGS else reading.axis(word)

    try:
        return one(next(words))
    except (KeyError, StopIteration, TypeError):
        raise ScheduleError(f"{text!r} is no condition.") from None


_PLAIN = _Codec(lambda v, _: (v,), lambda _, v: v)
_INT = _PLAIN._replace(accept=_accept_int)
_CODECS = {  # annotation -> how such an argument is written
    "int": _INT,
    "int | None": _INT,
    "str": _PLAIN,
    "object": _PLAIN,
    "Expr": _Codec(lambda v, stage: (_condition(v, stage),), _read_condition),
    "IterVar": _Codec(lambda v, _: (v.name,), _Reading.axis, 1, _accept_loop),
    "*IterVar": _Codec(lambda v, _: (tuple(a.name for a in v),),
                       lambda r, names: [r.axis(n) for n in names], 1, _accept_loops),
    "Thread": _Codec(lambda v, _: (v.tag,), lambda _, tag: thread_axis(tag)),
    "Stage | Tensor": _Codec(lambda v, of: (_stage(v, of),), _Reading.stage, 1, _accept_stage),
    "Sequence[Stage | Tensor]": _Codec(
        lambda v, of: (tuple(_stage(x, of) for x in v),),
        lambda r, names: [r.schedule.stage_named(n) for n in names], 1, _accept_stages),
    "Tensor": _Codec(lambda v, of: (_stage(v, of), v.value_index), _Reading.tensor, 2,
                     _accept_tensor),
    "Results": _Codec(lambda v, of: (_stage(v, of),), lambda r, name: r.stage(name).op.outputs,
                      1, _accept_results),
    "TensorIntrin": _Codec(lambda v, _: (v.name,), lambda _, name: find_intrin(name), 1,
                           _accept_intrin),
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
        try:
            bound = signature.bind(receiver, *args, **kwargs)
        except TypeError as e:
            shown = ", ".join(str(p).partition(":")[0] for p in parameters)
            raise ScheduleError(f"{name}: {e}.", hint=f"it is {name}({shown})") from None
        bound.apply_defaults()
        for p, codec in zip(parameters, codecs):
            given = bound.arguments[p.name]
            bound.arguments[p.name] = codec.accept(given, receiver, f"{name}: {p.name}")
        result = function(*bound.args, **bound.kwargs)
        made.record(receiver, list(bound.arguments.values())[1:])
        return result

    made = Primitive(name, call, of_schedule, variadic, codecs)
    assert name not in PRIMITIVES, name
    PRIMITIVES[name] = made
    return cast(F, call)
