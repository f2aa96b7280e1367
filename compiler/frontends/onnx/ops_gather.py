"""Reading and writing by index tensors."""

from __future__ import annotations

from .context import Converter, NodeContext
from .integers import axis_of
from .ops_conv import required


def _axis(n: NodeContext, default: int = 0) -> int:
    return axis_of(n, n.attr("axis", default), len(required(n, 0).shape))


def _gather(n: NodeContext) -> str:
    return n.add("gather", n.inputs[:2], axis=_axis(n))


def _gather_elements(n: NodeContext) -> str:
    return n.add("gather_elements", n.inputs[:2], axis=_axis(n))


def _gather_nd(n: NodeContext) -> str:
    return n.add("gather_nd", n.inputs[:2], batch_dims=n.attr("batch_dims", 0))


def _scatter_elements(n: NodeContext) -> str:
    reduction = n.attr("reduction", "none")
    return n.add("scatter_elements", n.inputs[:3], axis=_axis(n), reduction=reduction)


def _scatter_nd(n: NodeContext) -> str:
    return n.add("scatter_nd", n.inputs[:3], reduction=n.attr("reduction", "none"))


def _one_hot(n: NodeContext) -> str:
    depth = n.const(1)
    if depth is None or depth.size != 1:
        n.error("the depth must be a scalar.")
    axis = axis_of(n, n.attr("axis", -1), len(required(n, 0).shape) + 1)
    return n.add("one_hot", [n.inputs[0], n.inputs[2]], axis=axis, depth=int(depth.reshape(-1)[0]))


def _reverse_sequence(n: NodeContext) -> str:
    return n.add(
        "reverse_sequence",
        n.inputs[:2],
        batch_axis=n.attr("batch_axis", 1),
        time_axis=n.attr("time_axis", 0),
    )


CONVERTERS: dict[str, Converter] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "ReverseSequence": _reverse_sequence,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
}
