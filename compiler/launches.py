"""A group of graph nodes for a device that needs several kernels for it: draws of fragment shaders,
launches of workgroups. What passes between them is scratch memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..codegen import for_target
from ..ir.expr import as_int
from ..ir.layout import Layout
from ..ir.lower import lower, lower_kernels
from ..ir.schedule import Schedule
from ..ir.stmt import Buffer, Function
from ..ir.target import Target
from ..ir.tensor import Tensor
from ..runtime.artifact import Param
from .cache import CachedKernel, CachedLaunch
from .group import Group, GroupExpr
from .schedules.fragment import draws
from .types import TensorType

Scratch = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Piece:
    """One function of a group. ``args`` number the group's parameters and, after them, its scratch,
    in the order of the function's parameters."""

    function: Function
    args: tuple[int, ...]


def compile_draws(
    expr: GroupExpr,
    group: Group,
    types: Mapping[str, TensorType],
    layouts: Mapping[Tensor, Layout],
    target: Target,
    symbol: str,
) -> CachedKernel:
    """The fragment shaders of a group.

    Raises :class:`CodegenError` with the reason when a fragment shader cannot compute it.
    """
    scratch: Scratch = []

    def pieces() -> Iterator[Piece]:
        number = {t: k for k, t in enumerate((*expr.placeholders, *expr.outputs))}
        for k, d in enumerate(draws(expr.outputs, target, layouts)):
            if d.result not in number:
                number[d.result] = len(number)
                shape = tuple(as_int(n) or 0 for n in d.result.shape)
                scratch.append((str(d.result.dtype), shape))
            function = lower(d.schedule, d.args, target, _name(symbol, k), d.layouts)
            yield Piece(function, tuple(number[t] for t in (*d.reads, d.result)))

    return _kernel(expr, group, types, list(pieces()), scratch, target, symbol)


def compile_launches(
    expr: GroupExpr,
    group: Group,
    types: Mapping[str, TensorType],
    layouts: Mapping[Tensor, Layout],
    schedule: Schedule,
    target: Target,
    symbol: str,
) -> CachedKernel:
    """The kernels of a scheduled group, one for each nest of its loops.

    Raises :class:`CodegenError` with the reason when the target cannot compute it.
    """
    args = (*expr.placeholders, *expr.outputs)
    number: dict[Buffer, int] = {}
    scratch: Scratch = []
    pieces = []
    for k in lower_kernels(schedule, args, target, symbol, layouts):
        for b in k.scratch:
            if b not in number:
                number[b] = len(args) + len(scratch)
                scratch.append((str(b.dtype), k.shape(b)))
        pieces.append(Piece(k.function, (*k.args, *(number[b] for b in k.scratch))))
    return _kernel(expr, group, types, pieces, scratch, target, symbol)


def _name(symbol: str, k: int) -> str:
    return symbol if k == 0 else f"{symbol}_{k}"


def _kernel(
    expr: GroupExpr,
    group: Group,
    types: Mapping[str, TensorType],
    pieces: Sequence[Piece],
    scratch: Scratch,
    target: Target,
    symbol: str,
) -> CachedKernel:
    names = [*expr.inputs, *group.outputs]
    access = ["r"] * len(expr.inputs) + ["w"] * len(group.outputs)
    params = [_param(f"p{k}", types[n], a) for k, (n, a) in enumerate(zip(names, access))]
    made = []
    for piece in pieces:
        f = piece.function
        launch = {tag: as_int(n) or 0 for tag, n in f.attrs.get("launch", {}).items()}
        own = []
        for buffer, a in zip(f.buffers, piece.args):
            if a < len(params):
                dtype, shape = params[a].dtype, params[a].shape
            else:
                dtype, shape = scratch[a - len(params)]
            own.append(Param(buffer.name, dtype, shape, "w" if buffer in f.writes else "r"))
        code = for_target(target).emit([f], target).source
        made.append(CachedLaunch(f.name, tuple(own), piece.args, launch, code))
    return CachedKernel(symbol, tuple(params), b"", tuple(made), tuple(scratch))


def _param(name: str, t: TensorType, access: str) -> Param:
    shape = t.shape if t.layout is None else t.layout.physical_shape
    return Param(name, str(t.dtype), shape, access)
