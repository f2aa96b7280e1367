"""Normalisation, reductions, running sums."""

from __future__ import annotations

import numpy as np

from .mil_context import MilContext, MilConverter
from .shared import l2_normalized


def _affine(n: MilContext, key: str, size: int, default: float) -> str:
    """A vector of the normalisation, or what stands for it."""
    x = n.arg("x")
    return n.arg(key, "") or n.like(np.full(size, default), x)


def _channels(n: MilContext) -> int:
    x = n.typed()
    if len(x.shape) < 2:
        n.error(f"{x} has no channels.")
    return x.shape[1]


def _batch_norm(n: MilContext) -> str:
    size = _channels(n)
    inputs = [n.arg("x"), _affine(n, "gamma", size, 1), _affine(n, "beta", size, 0)]
    inputs += [n.arg("mean"), n.arg("variance")]
    return n.add("batch_norm", inputs, epsilon=float(n.number("epsilon", 1e-5)))


def _instance_norm(n: MilContext) -> str:
    size = _channels(n)
    inputs = [n.arg("x"), _affine(n, "gamma", size, 1), _affine(n, "beta", size, 0)]
    return n.add("instance_norm", inputs, epsilon=float(n.number("epsilon", 1e-5)))


def _layer_norm(n: MilContext) -> str:
    x = n.arg("x")
    shape = n.typeof(x).shape
    rank = len(shape)
    axes = [n.counted(a, rank) for a in n.ints("axes", tuple(range(rank)))]
    if len(set(axes)) < len(axes) or not axes:
        n.error(f"the axes {axes} are none, or name one twice.")
    rest = [k for k in range(rank) if k not in axes]
    order = [*rest, *axes]  # gamma and beta have the axes in the order that is stated
    ends = tuple(shape[a] for a in axes)
    inputs = [n.moved(x, order), n.arg("gamma", "") or n.like(np.ones(ends), x), *n.args("beta")]
    epsilon = float(n.number("epsilon", 1e-5))
    y = n.add("layer_norm", inputs, axis=len(rest), epsilon=epsilon)
    return n.moved(y, [order.index(k) for k in range(rank)])


def _l2_norm(n: MilContext) -> str:
    return l2_normalized(n, n.arg("x"), n.number("epsilon", 1e-6))


def _lrn(n: MilContext) -> str:
    return n.add(
        "lrn",
        [n.arg("x")],
        size=n.number("size"),
        alpha=float(n.number("alpha", 1e-4)),
        beta=float(n.number("beta", 0.75)),
        bias=float(n.number("k", 1.0)),
    )


# --- reductions -------------------------------------------------------------------------------


def _reduce(op: str) -> MilConverter:
    def convert(n: MilContext) -> str:
        rank = len(n.typed().shape)
        axes = n.ints("axes", None)
        found = None if axes is None else tuple(sorted({n.counted(a, rank) for a in axes}))
        return n.add(op, [n.arg("x")], axes=found, keepdims=n.flag("keep_dims"))

    return convert


def _arg(op: str) -> MilConverter:
    def convert(n: MilContext) -> str:
        found = n.add(op, [n.arg("x")], axis=n.axis("axis", -1), keepdims=n.flag("keep_dims"))
        return n.cast(found, n.text("output_dtype", "int32"))

    return convert


def _top_k(n: MilContext, k: int, largest: bool) -> tuple[str, str]:
    axis = n.axis("axis", -1)
    values, at = n.add_many("top_k", [n.arg("x")], 2, k=k, axis=axis, largest=largest)
    return values, at


def _topk(n: MilContext) -> list[str]:
    k, size = int(n.number("k", 1)), n.typed().shape[n.axis("axis", -1)]
    values, at = _top_k(n, size if k == -1 else k, not n.flag("ascending"))
    return [values, n.cast(at, n.text("output_indices_dtype", "int32"))]


def _argsort(n: MilContext) -> str:
    size = n.typed().shape[n.axis("axis", -1)]
    return n.cast(_top_k(n, size, not n.flag("ascending"))[1], "int32")


def _cumsum(n: MilContext) -> str:
    flags = {k: n.flag(k) for k in ("exclusive", "reverse")}
    return n.add("cumsum", [n.arg("x")], axis=n.axis("axis", 0), **flags)


CONVERTERS: dict[str, MilConverter] = {
    "argsort": _argsort,
    "batch_norm": _batch_norm,
    "cumsum": _cumsum,
    "instance_norm": _instance_norm,
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "local_response_norm": _lrn,
    "reduce_argmax": _arg("arg_max"),
    "reduce_argmin": _arg("arg_min"),
    "reduce_l1_norm": _reduce("reduce_l1"),
    "reduce_l2_norm": _reduce("reduce_l2"),
    "reduce_log_sum": _reduce("reduce_log_sum"),
    "reduce_log_sum_exp": _reduce("reduce_log_sum_exp"),
    **{f"reduce_{k}": _reduce(f"reduce_{k}") for k in ("max", "mean", "min", "prod", "sum")},
    "reduce_sum_square": _reduce("reduce_sum_square"),
    "topk": _topk,
}
