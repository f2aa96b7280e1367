"""What random models are built with, node by node.

Numbers stay small, and it is known of each tensor whether it is exact: only those are rounded,
compared or looked for their largest element, as a last bit would decide the whole.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import helper, numpy_helper

MOST = 3000  # elements of a tensor
_BOUND = 1000.0  # of absolute values


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: ``bound`` of its absolute values, whether it is ``exact``, of integers divided by
    a small power of two."""

    name: str
    shape: tuple[int, ...]
    bound: float = 3.0
    exact: bool = False

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass
class Builder:
    """Collects the nodes of a model of element type ``dtype``."""

    rng: random.Random
    dtype: str = "float32"
    nodes: list = field(default_factory=list)
    arrays: list = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    count: int = 0

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def constant(self, array: np.ndarray) -> str:
        name = self.name()
        self.arrays.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *shape: int, high: int = 2) -> str:
        """A constant of halves: few bits, so that products of them are exact."""
        n = int(np.prod(shape, dtype=np.int64))
        data = np.array([self.rng.randint(-2 * high, 2 * high) / 2 for _ in range(n)], self.dtype)
        return self.constant(data.reshape(shape))

    def any(self, *ranks: int) -> Value | None:
        """One of the latest tensors, mostly, of one of ``ranks`` if they are given."""
        fit = [v for v in self.values if not ranks or len(v.shape) in ranks]
        return self.rng.choice(fit[-5:]) if fit else None

    def add(self, op: str, inputs: Sequence[str], *made: Value, **attrs) -> None:
        """A node; ``made`` are its results, without names."""
        named = [replace(v, name=self.name()) for v in made]
        self.nodes.append(helper.make_node(op, list(inputs), [v.name for v in named], **attrs))
        for v in named:
            self.values.append(v if v.bound <= _BOUND else self._small(v))

    def _small(self, v: Value) -> Value:
        low, high = self.constant(np.array(-8, self.dtype)), self.constant(np.array(8, self.dtype))
        name = self.name()
        self.nodes.append(helper.make_node("Clip", [v.name, low, high], [name]))
        return replace(v, name=name, bound=8.0)
