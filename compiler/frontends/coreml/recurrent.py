"""Recurrent networks of both kinds of models, unrolled over their sequence, whose length is static.

The products with the input are taken for the whole sequence at once, outside of the recurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .context import CoreContext

MAX_STEPS = 1 << 14  # unrolled: compiling takes some milliseconds for each step

Activation = Callable[[str], str]
Step = Callable[[str, "list[str]"], "list[str]"]


_SCALED = 1.7159, 2 / 3  # of the scaled hyperbolic tangent
_HARD = {"alpha": 0.2, "beta": 0.5}


def function(n: CoreContext, name: str) -> Activation:
    """One of the activations that recurrent networks of Core ML have, which tell no numbers."""

    def scaled_tanh(x: str) -> str:
        outer, inner = (n.like(v, x) for v in _SCALED)
        return n.add("mul", [n.add("tanh", [n.add("mul", [x, inner])]), outer])

    known: dict[str, Activation] = {
        "linear": lambda x: x,
        "scaled_tanh": scaled_tanh,
        "hard_sigmoid": lambda x: n.add("hard_sigmoid", [x], **_HARD),
        "sigmoid_hard": lambda x: n.add("hard_sigmoid", [x], **_HARD),
        "relu": lambda x: n.add("relu", [x]),
        "sigmoid": lambda x: n.add("sigmoid", [x]),
        "tanh": lambda x: n.add("tanh", [x]),
    }
    if name not in known:
        n.error(f"there is no activation {name!r}.")
    return known[name]


@dataclass(frozen=True)
class Cell:
    """One direction: weights [gates, hidden, input] and [gates, hidden, hidden], biases [gates,
    hidden] of the input and, of a GRU, [hidden] of its reset state; ``limit`` is what sums are
    clipped to before an activation, 0: they are not."""

    n: CoreContext
    weights: np.ndarray
    recursion: np.ndarray
    bias: np.ndarray
    limit: float = 0.0

    @property
    def hidden(self) -> int:
        """How long the state is."""
        return self.weights.shape[1]

    def clip(self, x: str, limit: float | None = None) -> str:
        """``x`` within its limits."""
        limit = self.limit if limit is None else limit
        return self.n.add("clip", [x], min=-limit, max=limit) if limit else x

    def gate(self, x: str, k: int) -> str:
        """Gate ``k`` of [batch, gates * hidden]."""
        batch, h = self.n.shaped(x)[0], self.hidden
        return self.n.add("slice", [x], starts=(0, k * h), shape=(batch, h))

    def product(self, h: str, gates: slice = slice(None)) -> str:
        """What gates take of the state [batch, hidden]."""
        w = self.recursion[gates].reshape(-1, self.hidden).T
        return self.n.add("matmul", [h, self.n.like(np.ascontiguousarray(w), h)])

    def run(
        self, x: str, state: list[str], step: Step, backward: bool
    ) -> tuple[list[str], list[str]]:
        """All steps over [steps, batch, input]: outputs in the order of time, the last state."""
        n = self.n
        steps, batch, width = n.shaped(x)
        if steps > MAX_STEPS:
            n.unsupported(f"a sequence of {steps} steps; {MAX_STEPS} is the most")
        w = self.weights.reshape(-1, width).T
        found = n.add("matmul", [x, n.like(np.ascontiguousarray(w), x)])
        found = n.add("add", [found, n.like(self.bias.reshape(-1), x)])
        wide = n.shaped(found)[2]
        outputs = [""] * steps
        for t in reversed(range(steps)) if backward else range(steps):
            xt = n.add("slice", [found], starts=(t, 0, 0), shape=(1, batch, wide))
            state = step(n.reshaped(xt, (batch, wide)), state)
            outputs[t] = state[0]
        return outputs, state


def simple(c: Cell, x: str, state: list[str], f: Activation, backward: bool):
    """h = f(W x + R h + b)"""

    def step(xt: str, s: list[str]) -> list[str]:
        return [f(c.clip(c.n.add("add", [xt, c.product(s[0])])))]

    return c.run(x, state, step, backward)


def gru(
    c: Cell,
    x: str,
    state: list[str],
    activations: Sequence[Activation],
    backward: bool,
    late: np.ndarray | None = None,
):
    """Gates z, r, o (Cho et al. 2014). ``late``: the state is reset behind the product, to which
    these biases are added."""
    f, g = activations
    n = c.n

    def step(xt: str, s: list[str]) -> list[str]:
        h = s[0]
        sums = n.add("add", [
            n.add("concat", [c.gate(xt, 0), c.gate(xt, 1)], axis=1), c.product(h, slice(0, 2))
        ])  # fmt: skip
        z, r = (f(c.clip(c.gate(sums, k))) for k in (0, 1))
        if late is None:
            inner = c.product(n.add("mul", [h, r]), slice(2, 3))
        else:
            inner = n.add("add", [c.product(h, slice(2, 3)), n.like(late, h)])
            inner = n.add("mul", [r, inner])
        o = g(c.clip(n.add("add", [c.gate(xt, 2), inner])))
        rest = n.add("mul", [n.add("sub", [n.like(1, z), z]), o])
        return [n.add("add", [rest, n.add("mul", [z, h])])]

    return c.run(x, state, step, backward)


def lstm(
    c: Cell,
    x: str,
    state: list[str],
    activations: Sequence[Activation],
    backward: bool,
    *,
    peepholes: np.ndarray | None = None,
    cell_limit: float = 0.0,
    coupled: bool = False,
):
    """Gates i, f, o, z (Hochreiter, Schmidhuber 1997); ``peepholes`` are those of i, f, o."""
    f, g, h_of = activations
    n = c.n

    def peep(gate: str, cell: str, k: int) -> str:
        if peepholes is None:
            return gate
        return n.add("add", [gate, n.add("mul", [cell, n.like(peepholes[k], cell)])])

    def step(xt: str, s: list[str]) -> list[str]:
        h, cell = s
        total = n.add("add", [xt, c.product(h)])
        gi, gf, go, gz = (c.gate(total, k) for k in range(4))
        i = f(c.clip(peep(gi, cell, 0)))
        forget = n.add("sub", [n.like(1, i), i]) if coupled else f(c.clip(peep(gf, cell, 1)))
        z = g(c.clip(gz))
        new = n.add("add", [n.add("mul", [cell, forget]), n.add("mul", [i, z])])
        new = c.clip(new, cell_limit)
        o = f(c.clip(peep(go, new, 2)))
        return [n.add("mul", [h_of(new), o]), new]

    return c.run(x, state, step, backward)


def joined(n: CoreContext, outputs: Sequence[str]) -> str:
    """Outputs [batch, hidden] of all steps as [steps, batch, hidden]."""
    return n.add("concat", [n.reshaped(o, (1, *n.shaped(o))) for o in outputs], axis=0)


__all__ = ["Activation", "Cell", "function", "gru", "joined", "lstm", "simple"]
