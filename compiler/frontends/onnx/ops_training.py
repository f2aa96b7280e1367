"""One step of an optimiser: Momentum, Adagrad, Adam of ai.onnx.preview.training.

Inputs are the rate R, the count of updates T, then all tensors, all gradients, all states; outputs
the new tensors, then the new states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .compose import cast, number, op, reshape, scaled
from .context import Converter, NodeContext

Step = Callable[[NodeContext, str, str, str, "list[str]"], "list[str]"]


def _row(step: Step, states: int) -> Converter:
    """``step(n, rate, tensor, regular gradient, states)`` for each tensor."""

    def convert(n: NodeContext) -> Sequence[str]:
        parts = states + 2
        count = (len(n) - 2) // parts
        if len(n) < 2 + parts or (len(n) - 2) % parts or n.n_outputs != count * (states + 1):
            n.error(f"it has {len(n)} inputs and {n.n_outputs} outputs; two and {parts} for each.")
        columns: list[list[str]] = [[] for _ in range(states + 1)]
        for k in range(count):
            x, g, *old = (n.inputs[2 + k + s * count] for s in range(parts))
            g = op(n, "add", scaled(n, x, n.attr("norm_coefficient", 0.0)), g)
            rate = cast(n, reshape(n, n.inputs[0], ()), str(n.typeof(x).dtype))
            for column, made in zip(columns, step(n, rate, x, g, old)):
                column.append(made)
        return [name for column in columns for name in column]

    return convert


def _count(n: NodeContext, like: str) -> str:
    """T as a number of the type of ``like``."""
    return cast(n, reshape(n, n.inputs[1], ()), str(n.typeof(like).dtype))


def _after_first(n: NodeContext, later: str, first: str) -> str:
    """``later`` where there were updates before, else ``first``."""
    t = reshape(n, n.inputs[1], ())
    return op(n, "where", op(n, "greater", t, number(n, 0, t)), later, first)


def _momentum(n: NodeContext, rate: str, x: str, g: str, old: list[str]) -> list[str]:
    alpha, mode = n.attr("alpha"), n.attr("mode")
    if mode not in ("standard", "nesterov"):
        n.error(f"the mode {mode!r} is neither standard nor nesterov.")
    beta = _after_first(n, number(n, n.attr("beta"), g), number(n, 1, g))
    v = op(n, "add", scaled(n, old[0], alpha), op(n, "mul", g, beta))
    change = v if mode == "standard" else op(n, "add", g, scaled(n, v, alpha))
    return [op(n, "sub", x, op(n, "mul", change, rate)), v]


def _adagrad(n: NodeContext, rate: str, x: str, g: str, old: list[str]) -> list[str]:
    decay = scaled(n, _count(n, x), n.attr("decay_factor", 0.0))
    rate = op(n, "div", rate, op(n, "add", decay, number(n, 1, x)))
    h = op(n, "add", old[0], op(n, "mul", g, g))
    root = op(n, "add", op(n, "sqrt", h), number(n, n.attr("epsilon", 1e-6), h))
    return [op(n, "sub", x, op(n, "div", op(n, "mul", g, rate), root)), h]


def _adam(n: NodeContext, rate: str, x: str, g: str, old: list[str]) -> list[str]:
    alpha, beta = n.attr("alpha", 0.9), n.attr("beta", 0.999)
    t, one = _count(n, x), number(n, 1, x)
    keeps = [op(n, "sub", one, op(n, "pow", number(n, b, x), t)) for b in (alpha, beta)]
    later = op(n, "div", op(n, "mul", rate, op(n, "sqrt", keeps[1])), keeps[0])
    rate = _after_first(n, later, rate)
    v = op(n, "add", scaled(n, old[0], alpha), scaled(n, g, 1 - alpha))
    h = op(n, "add", scaled(n, old[1], beta), scaled(n, op(n, "mul", g, g), 1 - beta))
    root = op(n, "add", op(n, "sqrt", h), number(n, n.attr("epsilon", 1e-6), h))
    new = op(n, "sub", x, op(n, "div", op(n, "mul", v, rate), root))
    return [scaled(n, new, float(np.float32(1 - n.attr("norm_coefficient_post", 0.0)))), v, h]


CONVERTERS: dict[str, Converter] = {
    "Adagrad": _row(_adagrad, 1),
    "Adam": _row(_adam, 2),
    "Momentum": _row(_momentum, 1),
}
