"""An analytical cost model: cycles of a loop nest, from its features alone.

It seeds the search of a task before anything of it was measured, and is one more feature of the
learned model. A register tile costs the largest of its multiply-adds, its loads and the latency of
one multiply-add; what does not stay in a cache costs its way from the next one (Williams et al.,
"Roofline", CACM'09, for each level, as in Li et al., "Analytical characterization and design space
exploration for optimization of CNNs", ASPLOS'21). Between candidates of one task only ratios count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...ir.target import Target
from ..schedules.measured import (
    FMA_PER_CYCLE,
    GUARD,
    L1_BYTES,
    L2_BYTES_PER_CYCLE,
    LATENCY,
    LOADS_PER_CYCLE,
    SCALAR,
    SELECT,
    SPILL,
)
from .features import LEVELS, NAMES, OPERANDS

_AT = {name: k for k, name in enumerate(NAMES)}


def cycles(features: Sequence[float], target: Target, threads: int = 1) -> float:
    """Estimated cycles of one call; infinite where there are no features."""

    def amount(name: str) -> float:
        return max(0.0, 2.0 ** features[_AT[name]] - 1.0)

    def plain(name: str) -> float:
        return features[_AT[name]]

    trips, lanes, tile = amount("trips"), max(1.0, plain("lanes")), max(1.0, plain("tile"))
    if trips <= 0:
        return math.inf
    vectors = trips / lanes
    needed = plain("loads_per_step") * tile
    # A load whose lanes are no neighbours takes one for each; as a rule the tile shares it.
    inner = [plain(f"operand_{k}_inner") for k in range(OPERANDS)]
    shared = min([n for n in inner if n > 0], default=1.0)
    gathered = plain("strided") * shared * (lanes if lanes > 1 else 0.0)
    step = max(tile / FMA_PER_CYCLE, (needed + gathered) / LOADS_PER_CYCLE, LATENCY)
    if tile + 2 > target.num_vector_registers:
        step *= SPILL
    if lanes == 1 and target.vector_bits > 64:
        step *= SCALAR
    guards = 1.0 + GUARD * plain("guards") + SELECT * plain("selects")
    compute = vectors / tile * step * guards
    near = trips * _bytes_per_trip(features, L1_BYTES) / L2_BYTES_PER_CYCLE
    far = trips * _bytes_per_trip(features, target.cache_bytes) / target.memory_bytes
    rest = amount("other_work") / max(1, target.vector_bits // 32)
    rest += amount("other_scalar_work") * SCALAR
    chunks = max(1.0, amount("parallel"))
    balance = math.ceil(chunks / threads) / chunks  # the share of the busiest thread
    return (max(compute, near, far) + rest) * balance


def _bytes_per_trip(features: Sequence[float], cache: float) -> float:
    """Bytes from beyond a cache for each innermost iteration: those of the outermost part of the
    nest that the cache holds. Nothing where it holds all that the kernel touches."""
    sizes = [2.0 ** features[_AT[f"bytes_{k}"]] - 1.0 for k in range(LEVELS)]
    intensity = [2.0 ** features[_AT[f"intensity_{k}"]] - 1.0 for k in range(LEVELS)]
    levels = [k for k in range(LEVELS) if sizes[k] > 0]
    if not levels or sizes[levels[-1]] <= cache:
        return 0.0
    held = [k for k in levels if sizes[k] <= cache] or levels[:1]
    return 2.0 / max(intensity[held[-1]], 1e-6)
