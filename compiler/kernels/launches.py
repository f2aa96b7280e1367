"""From a schedule to the functions that carry it out on a target, and from them to launches.

How many functions there are follows from the target's capabilities: one on a processor, one for
each nest of bound loops where workgroups are launched, one for each draw of a fragment shader. What
passes between them is scratch memory. Everything after that is the same for all targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...codegen import Code, for_target
from ...ir.expr import Var, as_int
from ...ir.layout import Layout
from ...ir.lower import lower, lower_kernels
from ...ir.operations.scan import ScanOp
from ...ir.schedule.schedule import Schedule
from ...ir.stmt import Buffer, Function
from ...ir.target import Target
from ...ir.tensor import ComputeOp, PlaceholderOp, Tensor
from ...ir.visit import variables
from ...runtime.artifact import Param
from ...runtime.errors import CodegenError, ScheduleError
from ...runtime.sizes import Size
from ..schedules.choices import Choices
from ..schedules.fragment import WISHES, draws
from .compiled import CompiledGroup, Launch, Scratch
from .foreign import check_calls
from .sizes import Names, extents_of, size_of_expr

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
    """A computation as loop nests: its functions in order, the scratch between them, the schedules
    that were carried out, and the variables that sizes may depend on by name."""

    pieces: tuple[Piece, ...]
    scratch: Scratch
    schedules: tuple[Schedule, ...]
    names: Names = field(default_factory=dict)

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
    schedule: Schedule,
    args: Args,
    target: Target,
    name: str,
    layouts: Layouts,
    names: Names | None = None,
    choices: Choices | None = None,
) -> Lowered:
    """The functions that carry out ``schedule`` on ``target``; the first is called ``name``.

    Parameters
    ----------
    args : the parameters of the computation in order: inputs, results, scalar variables.
    layouts : how argument tensors lie in storage; row major where not given.
    names : the variables that a call finds or is given, on which sizes may depend.
    choices : answers what is open about draws; of other targets ``schedule`` has the answers.

    Raises
    ------
    ScheduleError, LoweringError : when the schedule cannot be carried out.
    CodegenError : when no kernel of the target can compute this.
    """
    check_calls(schedule, target, name)
    if target.texture_memory:
        return _draws(schedule, args, target, name, layouts, choices)
    if target.max_threads:
        return _launches(schedule, args, target, name, layouts, names or {})
    function = lower(schedule, args, target, name, layouts)
    return Lowered((Piece(function, tuple(range(len(args)))),), (), (schedule,), names or {})


def _draws(
    schedule: Schedule, args: Args, target: Target, name: str, layouts: Layouts,
    choices: Choices | None,
) -> Lowered:  # fmt: skip
    """A draw for each result and each stored intermediate. A fragment writes where it stands, so
    loops of one's own order have no meaning there: draws are scheduled by :func:`draws`, but for
    what is inlined and what is stored."""
    others = [step for step in schedule.trace if step.primitive not in WISHES]
    if others:
        raise ScheduleError(
            f"{target.kind} computes by draws of fragment shaders, which weft schedules by itself: "
            f"of a schedule, {' and '.join(WISHES)} mean something there, and not: "
            + "; ".join(str(step) for step in others[:3])
            + ("; …" if len(others) > 3 else "."),
            where=name,
            hint="leave those steps out for this target, or build for llvm, opencl or webgpu",
        )
    for s in schedule.stages:
        if not isinstance(s.op, ComputeOp | PlaceholderOp):
            scan = isinstance(s.op, ScanOp)
            order = "step by step" if scan else "by statements of their own order"
            raise CodegenError(
                f"{target.kind} computes by draws of fragment shaders, each of which writes the "
                f"elements where it stands; {s.name} is computed {order}.",
                where=name,
                hint="write it as te.compute, or build for llvm, wasm, opencl or webgpu",
            )
    number = {t: k for k, t in enumerate(args) if isinstance(t, Tensor)}
    scalars = {v: k for k, v in enumerate(args) if isinstance(v, Var)}
    count = len(args)
    scratch: list[tuple[str, tuple[Size, ...]]] = []
    pieces, schedules = [], []
    for k, d in enumerate(draws(schedule.outputs, target, layouts, schedule.trace, choices)):
        if d.result not in number:
            number[d.result] = count + len(scratch)
            scratch.append((str(d.result.dtype), tuple(as_int(n) or 0 for n in d.result.shape)))
        inside = {v for s in d.schedule.stages for b in s.body for v in variables(b)}
        used = [v for v in scalars if v in inside]
        symbol = name if k == 0 else f"{name}_{k}"
        function = lower(d.schedule, (*d.args, *used), target, symbol, d.layouts)
        numbers = [number[t] for t in (*d.reads, d.result)] + [scalars[v] for v in used]
        pieces.append(Piece(function, tuple(numbers)))
        schedules.append(d.schedule)
    return Lowered(tuple(pieces), tuple(scratch), tuple(schedules))


def _launches(
    schedule: Schedule, args: Args, target: Target, name: str, layouts: Layouts, names: Names
) -> Lowered:
    """A launch of workgroups for each nest of bound loops."""
    number: dict[Buffer, int] = {}
    scratch: list[tuple[str, tuple[Size, ...]]] = []
    pieces = []
    for k in lower_kernels(schedule, args, target, name, layouts):
        for b in k.scratch:
            if b not in number:
                number[b] = len(args) + len(scratch)
                shape = tuple(size_of_expr(n, names) for n in k.shape(b))
                scratch.append((str(b.dtype), shape))
        pieces.append(Piece(k.function, (*k.args, *(number[b] for b in k.scratch))))
    return Lowered(tuple(pieces), tuple(scratch), (schedule,), names)


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
        geometry = {
            tag: n if isinstance(n, int) else size_of_expr(n, lowered.names)
            for tag, n in f.attrs.get("launch", {}).items()
        }
        if 0 in geometry.values():
            continue
        own = tuple(Param(p.name, *types[n], _access(p, f)) for p, n in zip(f.params, piece.args))
        extents = extents_of(f, lowered.names) if lowered.names else ()
        launches.append(
            Launch(f.name, own, piece.args, geometry, code.object, code.shared_bytes, extents)
        )
    return CompiledGroup(symbol, params, tuple(launches), lowered.scratch)


def _access(p: Buffer | Var, f: Function) -> str:
    if isinstance(p, Var):
        return "s"
    return "w" if p in f.writes else "r"
