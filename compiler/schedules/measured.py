"""Numbers that schedule rules and the choice of layouts and algorithms rest on, in one table.

Capabilities of a processor (vectors, registers, caches) are fields of its target; what stands here
is what no target says: how dear something is, and from which size on something pays. Each number
has its unit, what it decides and where it comes from, as far as that was written down: the machine,
the date and the change (``git show``) with which it was measured, or that it is an estimate. Whole
models (``python -m weft.benchmarks``, ``benchmarks/RESULTS.md``) judge all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Number:
    """One row of the table."""

    name: str
    value: float
    unit: str
    decides: str
    source: str


TABLE: dict[str, Number] = {}


def _number(name: str, value: T, unit: str, decides: str, source: str) -> T:
    assert name not in TABLE, name
    TABLE[name] = Number(name, value, unit, decides, source)
    return value


ESTIMATE = "estimate, not measured"


def _since(change: str) -> str:
    return f"{ESTIMATE}; since {change}"


_ZEN3 = "two shared AMD EPYC cores, Zen 3, AVX2, 512 KiB of second-level cache each"
_ZEN4 = "two shared AMD EPYC cores, Zen 4, AVX-512, 1 MiB of second-level cache each"
_ZEN5 = "two AMD EPYC cores, Zen 5, AVX-512"
_NO_COMMAND = "the command is not recorded"
_CACHES = _since("2026-11-28, 0e3cf36")
_PLACES = _since("2026-11-28, a37557c")
_STEPS = f"{_ZEN3}; 2026-11-28, ffa0ec6; {_NO_COMMAND}"
_MATRICES = (
    "chosen with products of 1024³, which reach 95 % of the measured peak; 2026-11-25, aa2de1a; "
    f"the machine and {_NO_COMMAND}"
)
_LAYOUTS = (
    "estimate of the order of magnitude; 2026-11-28, 02ae6f4: the zoo's choices are those of the "
    f"rule before, ShuffleNet is 10 % faster; {_NO_COMMAND}"
)
_WINOGRAD = f"{_ZEN5}; 2026-11-21, 8334227; {_NO_COMMAND}"

# --- the register tile of a processor (blocking.py)

NEAR_BYTES = _number(
    "NEAR_BYTES", 16 << 10, "bytes",
    "a panel that may stay in the first-level cache for all rows", _PLACES,
)  # fmt: skip
LINE_BYTES = _number("LINE_BYTES", 64, "bytes", "a line of the cache", "x86-64 and ARM's manuals")
LINE_CYCLES = _number(
    "LINE_CYCLES", 4.0, "cycles", "a line that comes from the second-level cache", _STEPS
)
WAY_BYTES = _number(
    "WAY_BYTES", 4096, "bytes", "lines so far apart share a set of the first-level cache",
    "x86-64 and ARM's manuals: 64 sets of lines of LINE_BYTES, as a page has",
)  # fmt: skip
WAYS = _number(
    "WAYS", 8, "lines", "of rows that a set of the first-level cache holds",
    "x86-64 manuals: 8 or 12 ways",
)  # fmt: skip
EVICTED_CYCLES = _number(
    "EVICTED_CYCLES", 1.2, "cycles",
    "a row of a tile whose line was pushed out by the other rows before its next element is read",
    f"{_ZEN4}; python -m weft.benchmarks, product 1024³: 13 rows 92, 8 rows 111 GFLOP/s; "
    "2026-11-30, ece0dca",
)  # fmt: skip
STEP_CYCLES = _number(
    "STEP_CYCLES", 5.0, "cycles",
    "a step of a tile of too few accumulators to cover the latency of a multiply-add", _CACHES,
)  # fmt: skip
COVERED_CYCLES = _number(
    "COVERED_CYCLES", 4.25, "cycles",
    "a step that just covers it: the latency, and what keeps one from starting", _STEPS,
)  # fmt: skip
COVERING = _number(
    "COVERING", 8, "accumulators",
    "enough to cover it: four cycles, two multiply-adds each", "latency and throughput of an FMA",
)  # fmt: skip
LOADS = _number(
    "LOADS", 1.75, "loads a cycle", "two, less what prefetches and bank conflicts take",
    _since("2026-11-28, 7a7db66"),
)  # fmt: skip
UNEVEN = _number(
    "UNEVEN", 1.01, "factor", "smaller tiles at the ends beside their steps",
    _since("2026-11-28, 7a7db66"),
)  # fmt: skip
UNROLLED = _number(
    "UNROLLED", 256, "statements",
    "an unrolled window; half of it for the channels of other sums",
    f"{ESTIMATE}; bc1efbd: channels, 10 to 30 % where two threads share a core",
)  # fmt: skip
CACHE_SHARE = _number(
    "CACHE_SHARE", 3 / 4, "of the core's own cache", "an operand that stays until it is read again",
    _CACHES,
)  # fmt: skip
BLOCK_SHARE = _number(
    "BLOCK_SHARE", 3 / 8, "of the core's own cache",
    "a block of rows of data in blocks of channels, which come from many places", _PLACES,
)  # fmt: skip
WHOLE_SHARE = _number(
    "WHOLE_SHARE", 7 / 8, "of the core's own cache",
    "all rows of them, where smaller blocks would read weights anew from beyond", _PLACES,
)  # fmt: skip
SCATTERED = _number(
    "SCATTERED", 1.5, "factor", "bytes of data against bytes of weights, which lie in order",
    ESTIMATE,
)  # fmt: skip
STREAM_BYTES = _number(
    "STREAM_BYTES", 10.0, "bytes a cycle",
    "that may come from the second-level cache while weights arrive there from beyond",
    _since("2026-11-28, ffa0ec6"),
)  # fmt: skip
DEPTH_BLOCK_BYTES = _number(
    "DEPTH_BLOCK_BYTES", 5 << 10, "bytes", "the part of a panel that all rows read before the next",
    _PLACES,
)  # fmt: skip
FEW_TILES = _number(
    "FEW_TILES", 16, "tiles", "panels for more of them arrive seldom enough to stay whole",
    f"{_STEPS}: 7×7 images gain 8 to 18 %, larger ones lose 3 to 10 %",
)  # fmt: skip
CHUNKS = _number("CHUNKS", 16, "iterations", "that a parallel loop should have at least", ESTIMATE)
PARALLEL_WORK = _number(
    "PARALLEL_WORK", 1 << 15, "scalar operations",
    "below, a second thread costs more than it brings (a launch is some microseconds)", ESTIMATE,
)  # fmt: skip

# --- long sums (reduction.py, columns.py)

LONG_SUM = _number(
    "LONG_SUM", 512, "terms",
    "from which on a sum is one of sums, each of about the square root of as many terms", ESTIMATE,
)  # fmt: skip
LONG_COLUMN = _number(
    "LONG_COLUMN", 128, "terms", "from which on columns are reduced side by side", ESTIMATE
)

MOST_TURNS = _number(
    "MOST_TURNS", 1 << 16, "terms", "that one fragment, or one thread of a product, may reduce",
    "2026-11-29, 4717335: sums of 100,000 terms are wrong; Mesa's llvmpipe and lavapipe leave all "
    "loops of a shader after so many turns together",
)  # fmt: skip

# --- packing and fetching ahead (contraction.py, ahead.py)

PACK_BYTES = _number("PACK_BYTES", 1 << 17, "bytes", "the least operand to be packed", _MATRICES)
PACK_ROWS = _number("PACK_ROWS", 24, "rows", "that use it, at least", _MATRICES)
PACK_DEPTH = _number("PACK_DEPTH", 512, "lines", "of it, at least", _MATRICES)
FETCH_BYTES = _number(
    "FETCH_BYTES", 1 << 15, "bytes", "smaller operands come soon enough without being asked for",
    _since("2026-11-25, 977f68c"),
)  # fmt: skip
MOST_LINES = _number(
    "MOST_LINES",
    16,
    "lines",
    "to ask for at a time; what may be under way is limited",
    _since("2026-11-28, e7859f8"),
)
PANEL_SHARE = _number(
    "PANEL_SHARE",
    1 / 4,
    "of the core's own cache",
    "the next panel, before its time",
    _since("2026-11-28, ffa0ec6"),
)

# --- minimal filtering (winograd.py, passes/algorithms.py) and attention (attention.py)

WINOGRAD_BLOCK_SHARE = _number(
    "WINOGRAD_BLOCK_SHARE", 3 / 8, "of the core's own cache",
    "what of V and M is worked on together; some is left to the weights", _CACHES,
)  # fmt: skip
FAR_SHARE = _number(
    "FAR_SHARE", 3 / 2, "of the core's own cache", "V of more comes from afar each time",
    _since("2026-11-28, 417d2a7"),
)  # fmt: skip
SHARED_BYTES = _number(
    "SHARED_BYTES", 4 << 20, "bytes",
    "a core's part of a shared cache: V is read in pieces, for which memory is much too far",
    f"{ESTIMATE}; 2026-11-28, 600fa3f: 25 of 45 ms of VGG's 256 channels were such lines",
)  # fmt: skip
FEWEST_BLOCKS = _number("FEWEST_BLOCKS", 4, "blocks", "of rows, to be dealt to threads", ESTIMATE)
FMA_PER_CYCLE = _number(
    "FMA_PER_CYCLE", 2, "multiply-adds a cycle", "of whole vectors", "x86 processors' manuals"
)
# Larger tiles have more of them in flight than there are registers; small ones write and read more
# per result. Tiles of 6 are no candidates: their 64 matrix products per tile save a fifth of the
# multiplications of tiles of 4 where all divides, but their transforms cost more: on the layers of
# VGG-11 and of a U-Net they took 0.94 to 1.35 times as long (Zen 3), and few gained.
TRANSFORM_CYCLES = {
    tile: _number(
        f"TRANSFORM_CYCLES[{tile}]", cost, "cycles a vector", "a data tile there or back", _WINOGRAD
    )
    for tile, cost in ((2, 8.0), (4, 4.0))
}
SHORT_ROWS = _number(
    "SHORT_ROWS", 12, "columns", "rows too short for the direct convolution's tile", _WINOGRAD
)
SHORT_ROWS_FACTOR = _number("SHORT_ROWS_FACTOR", 1.4, "factor", "what it loses there", _WINOGRAD)
WORTH = _number(
    "WORTH", 0.85, "of the direct convolution's time", "at most, for minimal filtering", ESTIMATE
)
ATTENTION_BYTES = _number(
    "ATTENTION_BYTES", 1 << 14, "bytes",
    "scores and exponentials that stay in the first-level cache",
    _since("2026-11-28, 069ea29"),
)  # fmt: skip

# --- stages that are computed again, windows that are written out (inline.py, reduction.py)

MAX_REPEAT = _number(
    "MAX_REPEAT", 2, "times", "the work of a stage that is computed again for each read", ESTIMATE
)
MAX_INLINED = _number(
    "MAX_INLINED", 256, "operations", "of an element that is written out where it is read",
    ESTIMATE,
)  # fmt: skip
DEAR_OPERATION = _number(
    "DEAR_OPERATION", 24, "operations", "that a function or a division counts for there", ESTIMATE
)
UNROLLED_WINDOW = _number(
    "UNROLLED_WINDOW", 32, "elements", "of a window that is written out",
    f"{ESTIMATE}; 2026-11-25, fb8bc6f: MobileNetV2 5.5 -> 4.2 ms with windows unrolled",
)  # fmt: skip

# --- devices with workgroups (gpu/) and fragments (fragment.py, passes/texture_layout.py)

THREADS = _number(
    "THREADS", 64, "threads of a workgroup",
    "a multiple of what GPUs run in lock step (32 or 64); registers are left for tiles", ESTIMATE,
)  # fmt: skip
MAX_ACCUMULATORS = _number(
    "MAX_ACCUMULATORS", 16, "vectors", "of a thread's tile; compilers for processors spill beyond",
    ESTIMATE,
)  # fmt: skip
SCALAR_READ = _number(
    "SCALAR_READ", 1.0, "multiply-adds",
    "reading a vector where elements are read one by one: each is part of one", ESTIMATE,
)  # fmt: skip
VECTOR_READ = _number(
    "VECTOR_READ", 4.0, "multiply-adds", "reading a vector where the two compete", ESTIMATE
)
TOGETHER = _number("TOGETHER", 32, "threads", "that share one long reduction", ESTIMATE)
MANY = _number("MANY", 1 << 13, "results", "from which on a thread has enough with one", ESTIMATE)
LONG = _number("LONG", 4 * TOGETHER, "terms", "from which on sharing pays", ESTIMATE)
MAX_UNROLLED = _number(
    "MAX_UNROLLED", 208, "statements", "of a shader's loops; more only lengthens compilation",
    "2026-11-28, 7f3a657: takes RoiAlign's window, over whose loop SwiftShader needs minutes",
)  # fmt: skip
WHOLE_WINDOW = _number("WHOLE_WINDOW", 8, "terms", "unrolled as a whole in a shader", ESTIMATE)
TEXEL_FETCH = _number(
    "TEXEL_FETCH", 2.0, "multiply-adds of texels", "a fetch, roughly, on every device looked at",
    f"2026-11-21, 17e22e0; machines and {_NO_COMMAND}",
)  # fmt: skip

# --- layouts (passes/layout_cost.py, strided.py, results.py)

CROSS = _number(
    "CROSS", 0.75, "cycles", "an element that lies in vectors of another axis", _LAYOUTS
)
FUSED = _number(
    "FUSED", 16.0, "factor", "an operator of elements whose operand's kernel then has two layouts",
    _LAYOUTS,
)  # fmt: skip
STRIDED = _number(
    "STRIDED", 4.0, "factor", "every second place of a line against all of them", _LAYOUTS
)
LINES_FROM_BLOCKS = _number(
    "LINES_FROM_BLOCKS", 10.0, "factor", "a convolution that writes lines, from blocks", _LAYOUTS
)
LINES_FROM_LINES = _number(
    "LINES_FROM_LINES", 2.0, "factor", "a convolution that writes lines, from lines", _LAYOUTS
)
SHORT_LINES = _number(
    "SHORT_LINES", 1.5, "factor", "a convolution that reads lines shorter than HALF_LINE", _LAYOUTS
)
LONG_LINES = _number("LONG_LINES", 1.05, "factor", "one that reads longer lines", _LAYOUTS)
HALF_LINE = _number("HALF_LINE", 32, "bytes", "half a line of the cache", "LINE_BYTES")
GATHER_FILTERS = _number(
    "GATHER_FILTERS", 32, "filters",
    "with fewer, taking the places of a strided convolution first costs more than it saves",
    _PLACES,
)  # fmt: skip
SHARED_SLICES = _number(
    "SHARED_SLICES", 32, "slices",
    "from which on slices of one tensor share a kernel that reads where they start",
    ESTIMATE,
)  # fmt: skip
JOINED = _number(
    "JOINED", 120, "tensors",
    "that one kernel concatenates; more are joined in steps",
    "OpenCL promises 1024 bytes of parameters, 128 pointers; LLVM takes a time that grows with the "
    "square from there on, 0.2 s for 120 and 3.6 s for 1000 tensors; two shared cores; "
    "2026-11-29, 7253203; a Concat of so many, weft.compile(cache=False)",
)  # fmt: skip
TRANSPOSED_COLUMNS = _number(
    "TRANSPOSED_COLUMNS", 64, "columns",
    "of a tile of a transposition, whose lines of the operand are read whole: 19.7 ms for 2048^2 "
    "float32 where 16 columns take 23.8, 116 without tiles and numpy 118",
    "one thread of two shared cores of an EPYC of Zen 3; 2026-11-30, 8e5525c",
)  # fmt: skip
_LOCAL = "one thread of two shared cores of an EPYC of Zen 3; 2026-11-30, 8e5525c"
TRANSPOSED_LINE = _number(
    "TRANSPOSED_LINE", 64, "bytes", "of a line of such a tile: one of the cache", _LOCAL
)
WIDE_TILE = _number(
    "WIDE_TILE", 4096, "bytes",
    "of a line of a tile of columns: with less, every line is a page of which few bytes are read; "
    "sums over the rows of 4096^2 take 31 ms with 256 bytes and 15 with a page, numpy 18",
    _LOCAL,
)  # fmt: skip
ROWS_TOGETHER = _number(
    "ROWS_TOGETHER", 8, "rows", "added up before a sum goes back to the nearest cache", _LOCAL
)
WHOLE_LINE = _number(
    "WHOLE_LINE", 8, "vectors", "of a line that needs no loop: 3 GB/s with one for 7x7, 15 without",
    _LOCAL,
)  # fmt: skip
GIVEN_CHANNELS = _number(
    "GIVEN_CHANNELS", 4, "channels",
    "of an image [N, H, W, C] that convolutions read as it is given: 224x224x3 with 32 filters of "
    "3x3 takes 204 us so, 221 with a transpose in front",
    "one thread of two shared cores of an Emerald Rapids; 2026-11-30, 3be5cc5",
)  # fmt: skip
DETACH_DEPTH = _number(
    "DETACH_DEPTH",
    32,
    "products of an element",
    "from which on its copy is a small price",
    ESTIMATE,
)

# --- what the tuner's analytical model counts with (tune/estimate.py)

_MODEL = _since("2026-11-28, f350fed; between candidates of one task only ratios count")
LOADS_PER_CYCLE = _number("LOADS_PER_CYCLE", 2, "loads a cycle", "of whole vectors", _MODEL)
LATENCY = _number("LATENCY", 4.0, "cycles", "of a multiply-add", _MODEL)
L1_BYTES = _number("L1_BYTES", 32 << 10, "bytes", "of the first-level cache", _MODEL)
L2_BYTES_PER_CYCLE = _number(
    "L2_BYTES_PER_CYCLE", 32.0, "bytes a cycle", "from the second-level cache", _MODEL
)
SPILL = _number(
    "SPILL", 3.0, "factor", "a tile of more accumulators than there are registers", _MODEL
)
GUARD = _number("GUARD", 0.1, "of a step", "a guard: peeled, but for the last tiles", _MODEL)
SELECT = _number("SELECT", 0.5, "of a step", "a choice between two values", _MODEL)
SCALAR = _number("SCALAR", 4.0, "cycles", "a load or an operation outside of a vector", _MODEL)
