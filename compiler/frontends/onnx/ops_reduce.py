"""Converters of reductions, scans and the choice of extrema."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..sized import arguments
from .context import Converter, NodeContext
from .ops_math import scalar

_REDUCE = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _axes(n: NodeContext) -> tuple[int, ...] | None:
    """An attribute at first, an input since opset 13 (sum) or 18; None means all axes.

    Given as an empty list or not at all it means all too, unless ``noop_with_empty_axes``.
    """
    if n.input(1):
        axes = tuple(int(a) for a in n.const(1).reshape(-1))  # pyright: ignore
    else:
        axes = n.attr("axes", ())
    return axes or (() if n.attr("noop_with_empty_axes", 0) else None)


def _reduce(op: str) -> Converter:
    def convert(n: NodeContext) -> str:
        return n.add(op, n.inputs[:1], axes=_axes(n), keepdims=bool(n.attr("keepdims", 1)))

    return convert


def _arg(op: str) -> Converter:
    def convert(n: NodeContext) -> str:
        return n.add(
            op,
            n.inputs,
            axis=n.attr("axis", 0),
            keepdims=bool(n.attr("keepdims", 1)),
            select_last_index=bool(n.attr("select_last_index", 0)),
        )

    return convert


def _scan(op: str) -> Converter:
    def convert(n: NodeContext) -> str:
        axis = scalar(n, 1)
        assert axis is not None
        exclusive, reverse = bool(n.attr("exclusive", 0)), bool(n.attr("reverse", 0))
        return n.add(op, n.inputs[:1], axis=int(axis), exclusive=exclusive, reverse=reverse)

    return convert


def _top_k(n: NodeContext) -> Sequence[str]:
    """``k`` is an attribute before opset 10. The order of unsorted results is ours: sorted."""
    axis, largest = n.attr("axis", -1), bool(n.attr("largest", 1))
    size = ""
    if n.opset >= 10 and n.input(1) and not n.is_const(1):
        s, (number, *_) = n.sizing, n.numbers(1) or [None]
        assert number is not None
        shape = s.shape(n.inputs[0])
        e = arguments.extent(s, number, shape[axis] if -len(shape) <= axis < len(shape) else 0)
        k, size = min(e.bound, shape[axis]), e.size
    else:
        k = n.attr("k") if n.opset < 10 else scalar(n, 1)
    assert k is not None
    made = n.add_many("top_k", n.inputs[:1], 2, k=int(k), axis=axis, largest=largest)
    if not size:
        return made
    at = axis % len(n.typeof(made[0]).shape)
    return [n.sized(t, {**n.sizing.sizes(t), at: size}) for t in made]


CONVERTERS: dict[str, Converter] = {
    **{name: _reduce(_snake(name)) for name in _REDUCE},
    "ArgMax": _arg("arg_max"),
    "ArgMin": _arg("arg_min"),
    "CumProd": _scan("cumprod"),
    "CumSum": _scan("cumsum"),
    "TopK": _top_k,
}
