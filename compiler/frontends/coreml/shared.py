"""Activations and the like, as both kinds of models have them."""

from __future__ import annotations

from .context import CoreContext


def line(n: CoreContext, x: str, alpha: float, beta: float) -> str:
    """``alpha * x + beta``."""
    return n.add("add", [n.add("mul", [x, n.like(alpha, x)]), n.like(beta, x)])


def gelu(n: CoreContext, x: str, mode: str) -> str:
    """One of Core ML's three kinds of GELU."""
    if mode == "SIGMOID_APPROXIMATION":
        return n.add("swish", [x], alpha=1.702)
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        n.error(f"there is no mode {mode!r} of gelu.")
    return n.add("gelu", [x], approximate="none" if mode == "EXACT" else "tanh")


def per_channel(n: CoreContext, tensor: str, rank: int, axis: int = 1) -> str:
    """A scalar or a vector so that it lies along an axis of a tensor of ``rank``."""
    size = n.typeof(tensor).size
    return n.reshaped(tensor, (size, *(1,) * (rank - 1 - axis)) if size > 1 else ())


def l2_normalized(n: CoreContext, x: str, epsilon: float) -> str:
    """``x`` over the root of the sum of its squares along its last three axes."""
    rank = len(n.typeof(x).shape)
    axes = tuple(range(max(rank - 3, 0), rank))
    total = n.add("reduce_sum_square", [x], axes=axes, keepdims=True)
    return n.add("div", [x, n.add("sqrt", [n.add("add", [total, n.like(epsilon, x)])])])
