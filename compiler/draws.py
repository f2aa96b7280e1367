"""A group of graph nodes for a target with texture memory: several draws and scratch textures."""

from __future__ import annotations

from collections.abc import Mapping

from ..codegen import for_target
from ..ir.expr import as_int
from ..ir.layout import Layout
from ..ir.lower import lower
from ..ir.target import Target
from ..ir.tensor import Tensor
from ..runtime.artifact import Param
from .cache import CachedDraw, CachedKernel
from .graph import TensorType
from .group import Group, GroupExpr
from .schedules.fragment import draws


def compile_draws(
    expr: GroupExpr,
    group: Group,
    types: Mapping[str, TensorType],
    layouts: Mapping[Tensor, Layout],
    target: Target,
    symbol: str,
) -> CachedKernel:
    """The kernels of a group.

    Raises :class:`CodegenError` with the reason when a fragment shader cannot compute it.
    """
    number = {t: k for k, t in enumerate((*expr.placeholders, *expr.outputs))}
    names = [*expr.inputs, *group.outputs]
    access = ["r"] * len(expr.inputs) + ["w"] * len(group.outputs)
    params = [_param(f"p{k}", types[n], a) for k, (n, a) in enumerate(zip(names, access))]
    scratch: list[tuple[str, tuple[int, ...]]] = []
    made = []
    for k, d in enumerate(draws(expr.outputs, target, layouts)):
        if d.result not in number:
            number[d.result] = len(number)
            shape = tuple(as_int(n) or 0 for n in d.result.shape)
            scratch.append((str(d.result.dtype), shape))
        name = symbol if k == 0 else f"{symbol}_{k}"
        function = lower(d.schedule, d.args, target, name, d.layouts)
        code = for_target(target).emit([function], target).source
        args = tuple(number[t] for t in (*d.reads, d.result))
        launch = function.attrs.get("launch", {})
        assert isinstance(launch, Mapping)
        own = []
        for buffer, a in zip(function.buffers, args):
            if a < len(params):
                dtype, shape = params[a].dtype, params[a].shape
            else:
                dtype, shape = scratch[a - len(params)]
            own.append(Param(buffer.name, dtype, shape, "w" if buffer in function.writes else "r"))
        made.append(CachedDraw(name, tuple(own), args, dict(launch), code))
    return CachedKernel(symbol, tuple(params), b"", tuple(made), tuple(scratch))


def _param(name: str, t: TensorType, access: str) -> Param:
    shape = t.shape if t.layout is None else t.layout.physical_shape
    return Param(name, str(t.dtype), shape, access)
