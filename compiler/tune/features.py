"""A loop nest as numbers, for the cost model.

The nest is taken as it is before vectors and unrolled loops are expanded, when every loop of the
schedule can still be seen. Most features describe the store with the most work (the multiply-adds
of a contraction) and the loops around it; the rest sums up everything else. Amounts are logarithms:
a tree splits them at ratios. After the features of AutoTVM (Chen et al., NeurIPS'18) and Ansor
(Zheng et al., OSDI'20), for the loops of one register tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir.expr import Expr, Load, Select, Var, as_int
from ...ir.passes.loopnest import build_loop_nest
from ...ir.simplify import stride
from ...ir.stmt import Alloc, Buffer, For, ForKind, Function, If, Let, Seq, Stmt, Store
from ...ir.visit import walk
from ..kernels.kernel import Nest

LOOPS = 6  # innermost serial loops that are described one by one
LEVELS = 6  # loops, from the innermost outwards, whose touched bytes are given
OPERANDS = 3  # loads of the main store that are described one by one

NAMES: tuple[str, ...] = (
    "trips", "lanes", "tile", "tile_rows", "tile_columns", "reduction", "parallel",
    "parallel_loops", "blocks", "threads",
    "loads", "broadcasts", "contiguous", "strided", "loads_per_step", "guards", "selects",
    *(f"extent_{k}" for k in range(LOOPS)),
    *(f"bytes_{k}" for k in range(LEVELS)),
    *(f"intensity_{k}" for k in range(LEVELS)),
    *(f"operand_{k}_{what}" for k in range(OPERANDS) for what in ("bytes", "reuse", "inner")),
    "unroll_max", "other_stores", "other_work", "other_scalar_work", "scratch_bytes", "local_bytes",
)  # fmt: skip


@dataclass
class _Place:
    """A store and the loops around it, outermost first."""

    store: Store
    loops: list[For]
    guards: int

    @property
    def trips(self) -> float:
        return math.prod(_extent(f) for f in self.loops)


@dataclass
class _Nest:
    stores: list[_Place] = field(default_factory=list)
    allocs: list[Buffer] = field(default_factory=list)


def features(nests: Sequence[Nest]) -> tuple[float, ...]:
    """One number per name in ``NAMES``, of the schedule with the most iterations where several
    carry a computation out. Raises ScheduleError or LoweringError when one cannot be."""
    found = [nest_features(build_loop_nest(s, args, "task", layouts)) for s, args, layouts in nests]
    return max(found, key=lambda values: values[0])


def nest_features(f: Function) -> tuple[float, ...]:
    """The features of a loop nest."""
    nest = _Nest()
    _collect(f.body, [], 0, nest)
    if not nest.stores:
        return (0.0,) * len(NAMES)
    main = max(nest.stores, key=lambda p: p.trips * _cost(p.store))
    values = [*_main(main), *_others(main, nest)]
    assert len(values) == len(NAMES)
    return tuple(map(float, values))


def _collect(s: Stmt, loops: list[For], guards: int, nest: _Nest) -> None:
    if isinstance(s, For):
        _collect(s.body, [*loops, s], guards, nest)
    elif isinstance(s, Seq):
        for below in s.stmts:
            _collect(below, loops, guards, nest)
    elif isinstance(s, If):
        _collect(s.then, loops, guards + 1, nest)
        if s.otherwise is not None:
            _collect(s.otherwise, loops, guards + 1, nest)
    elif isinstance(s, Let):
        _collect(s.body, loops, guards, nest)
    elif isinstance(s, Alloc):
        nest.allocs.append(s.buffer)
        _collect(s.body, loops, guards, nest)
    elif isinstance(s, Store):
        nest.stores.append(_Place(s, loops, guards))


def _extent(f: For) -> int:
    return max(1, as_int(f.extent) or 1)


def _cost(s: Store) -> int:
    return 1 + sum(isinstance(n, Load) for n in walk(s.value))


def _log(x: float) -> float:
    return math.log2(1 + x)


def _loads(s: Store) -> list[Load]:
    return [n for n in walk(s.value) if isinstance(n, Load)]


def _main(p: _Place) -> list[float]:
    written = {v for i in p.store.indices for v in walk(i) if isinstance(v, Var)}
    vector = [f for f in p.loops if f.kind is ForKind.VECTORIZED]
    unrolled = [f for f in p.loops if f.kind is ForKind.UNROLLED]
    parallel = [f for f in p.loops if f.kind is ForKind.PARALLEL]
    serial = [f for f in p.loops if f.kind is ForKind.SERIAL]
    bound = [f for f in p.loops if f.kind is ForKind.BOUND]
    threads = math.prod(_extent(f) for f in bound if f.tag.startswith("threadIdx"))
    blocks = math.prod(map(_extent, bound)) // threads
    reduction = math.prod(_extent(f) for f in serial if f.var not in written)
    lanes = math.prod(map(_extent, vector))
    tile = math.prod(map(_extent, unrolled))
    loads = [n for n in _loads(p.store) if n.buffer is not p.store.buffer]
    steps = [_lane_step(n, vector) for n in loads]
    needed = sum(_distinct(n, unrolled) for n in loads)
    inner = list(reversed(p.loops))
    bytes_at = [_bytes(loads, inner[: k + 1]) for k in _levels(inner)]
    work = [math.prod(map(_extent, inner[: k + 1])) for k in _levels(inner)]
    pragma = [f.pragmas.get("unroll_max") for f in p.loops]
    values = [
        _log(p.trips), lanes, tile, *_pair([_extent(f) for f in unrolled]), _log(reduction),
        _log(math.prod(map(_extent, parallel))), len(parallel),
        _log(blocks), _log(threads), len(loads),
        sum(s == 0 for s in steps), sum(s == 1 for s in steps),
        sum(s not in (0, 1) for s in steps), needed / max(1, tile), p.guards,
        sum(isinstance(n, Select) for n in walk(p.store.value)),
        *_padded([_log(_extent(f)) for f in reversed(serial)], LOOPS),
        *_padded([_log(b) for b in bytes_at], LEVELS),
        *_padded([_log(2 * w / max(1, b)) for w, b in zip(work, bytes_at)], LEVELS),
    ]  # fmt: skip
    for n in loads[:OPERANDS]:
        touched = _bytes([n], p.loops)
        values += [_log(touched), _log(p.trips / max(1, touched)), _distinct(n, unrolled)]
    values += [0.0] * (3 * (OPERANDS - min(OPERANDS, len(loads))))
    values.append(max([u for u in pragma if isinstance(u, int)], default=0))
    return values


def _levels(inner: Sequence[For]) -> range:
    """Levels of the nest, the register tile (vector and unrolled loops) being the first."""
    start = 0
    while start + 1 < len(inner) and inner[start + 1].kind in (
        ForKind.VECTORIZED, ForKind.UNROLLED,
    ):  # fmt: skip
        start += 1
    return range(start, min(len(inner), start + LEVELS))


def _others(main: _Place, nest: _Nest) -> list[float]:
    rest = [p for p in nest.stores if p is not main]
    scalar = [p for p in rest if not any(f.kind is ForKind.VECTORIZED for f in p.loops)]
    work, scalar_work = (sum(p.trips * _cost(p.store) for p in ps) for ps in (rest, scalar))
    scratch, local = (
        sum(_size(b) for b in nest.allocs if (b.scope == "global") is glob)
        for glob in (True, False)
    )
    return [len(rest), _log(work), _log(scalar_work), _log(scratch), _log(local)]


def _pair(extents: list[int]) -> list[float]:
    return [extents[0] if extents else 1, math.prod(extents[1:])]


def _padded(values: list[float], n: int) -> list[float]:
    return (values + [0.0] * n)[:n]


def _size(b: Buffer) -> float:
    return math.prod(as_int(e) or 1 for e in b.shape) * b.dtype.bytes


def _lane_step(n: Load, vector: Sequence[For]) -> int | None:
    """Elements from one lane to the next: 0 for a broadcast, None if it is not the same for all.
    Neighbours along the axis that a layout stores innermost are one apart."""
    if not vector:
        return None
    layout = n.buffer.layout
    last = len(n.indices) - 1 if layout is None else layout.lane.axis
    steps = [stride(i, vector[-1].var) for i in n.indices]
    moving = [k for k, s in enumerate(steps) if s != 0]
    if not moving:
        return 0
    return steps[last] if moving == [last] else None


def _distinct(n: Load, loops: Sequence[For]) -> int:
    """How many different elements a load reads over ``loops``, by the loops that it depends on."""
    used = {v for i in n.indices for v in walk(i) if isinstance(v, Var)}
    return math.prod(_extent(f) for f in loops if f.var in used)


def _bytes(loads: Sequence[Load], loops: Sequence[For]) -> float:
    """Bytes that loads touch while ``loops`` run once: the box of their indices."""
    total = 0.0
    for n in loads:
        points = 1.0
        for index, dim in zip(n.indices, n.buffer.shape):
            points *= min(_range(index, loops), as_int(dim) or 1)
        total += points * n.buffer.dtype.bytes
    return total


def _range(index: Expr, loops: Sequence[For]) -> float:
    """How many values an index takes; for one that is not linear, all combinations."""
    reach, count = 1, 1
    for f in loops:
        step = stride(index, f.var)
        if step is None:
            count *= _extent(f)
        else:
            reach += abs(step) * (_extent(f) - 1)
    return reach * count
