"""Choose how convolutions are computed: directly, or by minimal filtering (Winograd).

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A convolution with
constant 3×3 weights, stride 1 and one group becomes ``winograd_conv`` with transformed weights
where an estimate says that this is faster.

Fewer multiplications are paid for with accuracy. Per layer, relative to the largest result and for
normally distributed data and weights of up to 512 channels, float32 results differ from exact
ones by at most 1e-5 with tiles of 2 and by 1e-4 with tiles of 4, where the direct sum has 5e-6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ir.target import Target
from ...runtime.dtype import FLOAT32
from ..graph.graph import Graph, Node
from ..ops.winograd import transform_weights
from ..schedules.measured import (
    FMA_PER_CYCLE,
    SHORT_ROWS,
    SHORT_ROWS_FACTOR,
    TRANSFORM_CYCLES,
    WORTH,
)
from ..types import TensorType
from .rewrite import Rewrite


@dataclass(frozen=True)
class Shape:
    """A 3×3 convolution of stride 1: channels, filters, results along each axis."""

    batch: int
    channels: int
    filters: int
    rows: int
    columns: int


def choose_algorithms(graph: Graph, target: Target) -> Graph:
    """``graph`` with ``winograd_conv`` in the place of convolutions where that is faster."""
    final = set(graph.outputs)

    def visit(r: Rewrite, n: Node) -> str | None:
        if n.op != "conv" or n.outputs[0] in final:
            return None  # a result of the graph is row major: its vectors would be scattered
        shape = _eligible(r, n)
        if shape is None:
            return None
        tile = choose_tile(shape, target)
        if tile == 0:
            return None
        w = r.const(n.inputs[1])
        assert w is not None
        u = r.constant(transform_weights(w, tile), f"{n.inputs[1]}.winograd")
        pads = tuple(n.attrs["pads"] or (0, 0, 0, 0))
        return r.add(
            n, "winograd_conv", [n.inputs[0], u, *n.inputs[2:]], {"tile": tile, "pads": pads}
        )

    return Rewrite(graph).run(visit)


def _eligible(r: Rewrite, n: Node) -> Shape | None:
    x, w, out = r.type(n.inputs[0]), r.type(n.inputs[1]), r.type(n.outputs[0])
    value = r.const(n.inputs[1])
    if value is None or w.shape[2:] != (3, 3) or x.dtype != FLOAT32 or n.attrs["groups"] != 1:
        return None
    if any(s not in (None, (1, 1)) for s in (n.attrs["strides"], n.attrs["dilations"])):
        return None
    if not np.isfinite(value).all() or 0 in (x.size, w.size, out.size):
        return None
    return _shape(x, out)


def _shape(x: TensorType, out: TensorType) -> Shape:
    return Shape(out.shape[0], x.shape[1], out.shape[1], out.shape[2], out.shape[3])


def choose_tile(shape: Shape, target: Target) -> int:
    """The tile of the fastest algorithm by estimate, 0 for the direct one."""
    lanes = target.lanes(FLOAT32)
    if lanes < 4 or min(shape.channels, shape.filters) < lanes:
        return 0
    far = Far(target.cache_bytes, target.memory_bytes)
    estimates = {m: winograd_cycles(shape, m, lanes, far) for m in TRANSFORM_CYCLES}
    best = min(estimates, key=lambda m: estimates[m])
    return best if estimates[best] <= WORTH * direct_cycles(shape, lanes, far) else 0


@dataclass(frozen=True)
class Far:
    """What does not fit into a core's own ``cache`` comes at ``speed`` bytes a cycle."""

    cache: int = 1 << 20
    speed: int = 8

    def cycles(self, elements: int) -> float:
        """Cycles until so many float32 elements have come, 0 if they are in the cache."""
        size = 4 * elements
        return size / self.speed if size > self.cache else 0.0


def direct_cycles(s: Shape, lanes: int, far: Far = Far()) -> float:
    """Estimated time of the direct convolution on one core."""
    points = s.batch * s.rows * s.columns
    products = 9 * s.channels * s.filters
    cycles = products * points / lanes / FMA_PER_CYCLE
    cycles *= SHORT_ROWS_FACTOR if s.columns < SHORT_ROWS else 1.0
    return max(cycles, far.cycles(products))


def winograd_cycles(s: Shape, m: int, lanes: int, far: Far = Far()) -> float:
    """Estimated time of F(m×m, 3×3) on one core, as :func:`direct_cycles`."""
    n = m + 2
    tiles = s.batch * -(-s.rows // m) * -(-s.columns // m)
    products = n * n * s.channels * s.filters
    cycles = max(products * tiles / lanes / FMA_PER_CYCLE, far.cycles(products))
    vectors = n * n * tiles * (-(-s.channels // lanes) + -(-s.filters // lanes))
    return cycles + vectors * TRANSFORM_CYCLES[m]
