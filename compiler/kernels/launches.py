"""From a schedule to the functions that carry it out on a target, and from them to launches.

How many functions there are follows from the target's capabilities: one on a processor, one for
each nest of bound loops where workgroups are launched, one for each draw of a fragment shader. What
passes between them is scratch memory. Everything after that is the same for all targets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ...codegen import Code, for_target
from ...ir.expr import Var, as_int
from ...ir.layout import Layout
from ...ir.lower import lower, lower_kernels
from ...ir.schedule.schedule import Schedule
from ...ir.stmt import Buffer, Function
from ...ir.target import Target
from ...ir.tensor import ComputeOp, Tensor
from ...runtime.artifact import Param
from ...runtime.errors import LoweringError, ScheduleError
from ..schedules.fragment import draws
from .compiled import CompiledGroup, Launch, Scratch

Args = Sequence[Tensor | Var]
Layouts = Mapping[Tensor, Layout]


@dataclass(frozen=True)
class Piece:
    """One function of a computation. ``args`` number the computation's parameters and, after them,
    its scratch, in the order of the function's parameters."""

    function: Function
    args: tuple[int, ...]


@dataclass(frozen=True)
class Lowered:
    """A computation as loop nests: its functions in order, the scratch between them, and the
    schedules that were carried out."""

    pieces: tuple[Piece, ...]
    scratch: Scratch
    schedules: tuple[Schedule, ...]

    @property
    def functions(self) -> tuple[Function, ...]:
        """The loop nests in the order of the launches."""
        return tuple(p.function for p in self.pieces)

    def overlapping(self, numbers: frozenset[int]) -> Lowered:
        """The same, its functions told which of the parameters may be given the same bytes."""
        made = []
        for p in self.pieces:
            f = p.function
            shared = frozenset(b for b, n in zip(f.params, p.args, strict=True) if n in numbers)
            made.append(replace(p, function=replace(f, attrs={**f.attrs, "overlap": shared})))
        return replace(self, pieces=tuple(made))


def lower_pieces(
    schedule: Schedule, args: Args, target: Target, name: str, layouts: Layouts
) -> Lowered:
    """The functions that carry out ``schedule`` on ``target``; the first is called ``name``.

    Parameters
    ----------
    args : the parameters of the computation in order: inputs, results, scalar variables.
    layouts : how argument tensors lie in storage; row major where not given.

    Raises
    ------
    ScheduleError, LoweringError : when the schedule cannot be carried out.
    CodegenError : when no kernel of the target can compute this.
    """
    if target.texture_memory:
        return _draws(schedule, args, target, name, layouts)
    if target.max_threads:
        return _launches(schedule, args, target, name, layouts)
    function = lower(schedule, args, target, name, layouts)
    return Lowered((Piece(function, tuple(range(len(args)))),), (), (schedule,))


def _draws(schedule: Schedule, args: Args, target: Target, name: str, layouts: Layouts) -> Lowered:
    """A draw for each result and each stored intermediate. A fragment writes where it stands, so
    loops of one's own order have no meaning there: draws are scheduled by :func:`draws`."""
    if len(schedule.trace):
        raise ScheduleError(
            f"{target.kind} computes by draws of fragment shaders, which weft schedules by itself; "
            f"this schedule has {len(schedule.trace)} steps of its own.",
            where=name,
            hint="give the schedule as te.create_schedule makes it, or build for llvm or opencl",
        )
    tensors = [a for a in args if isinstance(a, Tensor)]
    assert len(tensors) == len(args), "numbers are refused before"
    number = {t: k for k, t in enumerate(tensors)}
    _check_arguments(schedule, number)
    scratch: list[tuple[str, tuple[int, ...]]] = []
    pieces, schedules = [], []
    for k, d in enumerate(draws(schedule.outputs, target, layouts)):
        if d.result not in number:
            number[d.result] = len(number)
            scratch.append((str(d.result.dtype), tuple(as_int(n) or 0 for n in d.result.shape)))
        function = lower(d.schedule, d.args, target, name if k == 0 else f"{name}_{k}", d.layouts)
        pieces.append(Piece(function, tuple(number[t] for t in (*d.reads, d.result))))
        schedules.append(d.schedule)
    return Lowered(tuple(pieces), tuple(scratch), tuple(schedules))


def _check_arguments(schedule: Schedule, args: Collection[Tensor]) -> None:
    """Raises :class:`LoweringError` unless the arguments are the inputs and results, as the loop
    nest of a whole schedule would."""
    for s in schedule.stages:
        for t in s.op.outputs:
            if t in args and isinstance(s.op, ComputeOp) and t not in schedule.outputs:
                raise LoweringError(
                    f"the argument {t.name} is neither an input nor a result of the schedule."
                )
            needed = not isinstance(s.op, ComputeOp) or t in schedule.outputs
            if needed and t not in args:
                raise LoweringError(
                    f"{t.name} is {'a result' if s.is_output else 'an input'} of the schedule "
                    "and is missing from the arguments."
                )


def _launches(
    schedule: Schedule, args: Args, target: Target, name: str, layouts: Layouts
) -> Lowered:
    """A launch of workgroups for each nest of bound loops."""
    number: dict[Buffer, int] = {}
    scratch: list[tuple[str, tuple[int, ...]]] = []
    pieces = []
    for k in lower_kernels(schedule, args, target, name, layouts):
        for b in k.scratch:
            if b not in number:
                number[b] = len(args) + len(scratch)
                scratch.append((str(b.dtype), k.shape(b)))
        pieces.append(Piece(k.function, (*k.args, *(number[b] for b in k.scratch))))
    return Lowered(tuple(pieces), tuple(scratch), (schedule,))


def emit(lowered: Lowered, target: Target) -> tuple[Code, ...]:
    """The code of each function.

    Raises :class:`CodegenError` with the reason when the target cannot compute one.
    """
    generator = for_target(target)
    return tuple(generator.emit([f], target) for f in lowered.functions)


def compiled_group(
    symbol: str, params: tuple[Param, ...], lowered: Lowered, codes: Sequence[Code]
) -> CompiledGroup:
    """The group of these functions and their ``codes``; ``params`` are those of the whole. Launches
    without elements are left out."""
    types = [(p.dtype, p.shape) for p in params] + list(lowered.scratch)
    launches = []
    for piece, code in zip(lowered.pieces, codes, strict=True):
        f = piece.function
        geometry = {tag: as_int(n) or 0 for tag, n in f.attrs.get("launch", {}).items()}
        if 0 in geometry.values():
            continue
        own = tuple(Param(p.name, *types[n], _access(p, f)) for p, n in zip(f.params, piece.args))
        launches.append(Launch(f.name, own, piece.args, geometry, code.object, code.shared_bytes))
    return CompiledGroup(symbol, params, tuple(launches), lowered.scratch)


def _access(p: Buffer | Var, f: Function) -> str:
    if isinstance(p, Var):
        return "s"
    return "w" if p in f.writes else "r"
