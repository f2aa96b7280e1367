"""Sums of products: every thread has a register tile of ``rows`` × ``vectors`` results.

As on a processor (``schedules/contraction.py``), vectors run along the axis that is contiguous in
the result and rows along an axis that one operand does not have. What differs: a vector has four
lanes, the tiles are spread over threads, and the innermost four terms are unrolled, so that the
operand that is read element by element arrives as vectors, too.

    for tile in blockIdx.x, threadIdx.x:
      acc[rows, vectors, 4] = 0
      for k.outer, ky, kx:
        for k.inner in 4: acc[r, v, :] += data[…, r, k] * weights[…, k, v, :]      # unrolled
      out[…] = epilogue(acc)

Tiles divide their axis where possible: a guard costs more than a smaller tile.
"""

from __future__ import annotations

from ....ir.expr import IterVar, Read, as_int
from ....ir.identity import place_of
from ....ir.schedule.stage import Stage
from ....ir.visit import walk
from ..blocking import blocked_reduce_axis
from ..common import Context, lane_axis, size, split_axis
from ..contraction import operands_of, row_axis, shares_vector
from ..measured import MAX_ACCUMULATORS, MOST_TURNS, SCALAR_READ, VECTOR_READ
from .bind import LANES, bind_flat

# What reading a vector costs, by how many elements arrive in one read.
READ = {1: SCALAR_READ, LANES: VECTOR_READ}


def bind_contraction(ctx: Context, stage: Stage) -> set[Stage]:
    """Schedule ``stage`` and its epilogue if it is a sum of products with results to tile; returns
    the stages that are scheduled, none if it is not."""
    operands = operands_of(stage)
    epilogue = ctx.takes_epilogue(stage)
    if operands is None or (not stage.is_output and epilogue is None):
        return set()
    if size(stage.reduce_axes) >= MOST_TURNS:  # better shared by the threads of a workgroup
        return set()
    result = epilogue or stage
    layout = ctx.layout(result)
    vector = lane_axis(result, layout)
    if vector is None:
        return set()
    columns = as_int(result.axes[vector].extent) or 1
    block = layout.block(vector) if layout is not None else 1
    lanes = _lanes(ctx, result, columns, block)
    row = row_axis(stage, operands, vector)
    shared = shares_vector(stage, operands, vector)
    if epilogue is None:
        accumulate = ctx.schedule[ctx.schedule.cache_write(stage.op.outputs[0], "local")]
    else:
        accumulate = stage
        stage.set_scope("local")
    if layout is not None:
        accumulate.set_layout(layout)
    rows = (as_int(result.axes[row].extent) or 1) if row is not None else 1
    data = None if shared else _data_in_vectors(ctx, accumulate, vector)
    together = LANES if data is not None else 1
    tile = _tile(ctx, accumulate, rows, -(-columns // lanes), shared, together)
    unrolled = _apply(ctx, result, accumulate, row, vector, (*tile, lanes), data is not None)
    made = {result, accumulate, stage}
    # Where no loop is around the unrolled one, all is read at once anyway.
    if data is not None and unrolled is not None and unrolled is not accumulate.leaves[0]:
        made.add(_copy_vectors(ctx, accumulate, data, unrolled))
    return made


def _lanes(ctx: Context, result: Stage, columns: int, block: int) -> int:
    """The longest vector that divides what lies side by side, unless a tuner finds a shorter one
    better."""
    together = block if block > 1 else columns
    most = ctx.target.lanes(result.op.outputs[0].dtype)
    options = [n for n in (1, 2, 4, 8, 16) if n <= most and together % n == 0]
    chosen = ctx.choose(f"{result.name}.lanes", options, options[-1])
    assert isinstance(chosen, int)
    return chosen


def _tile(
    ctx: Context, acc: Stage, rows: int, vectors: int, shared: bool, together: int
) -> tuple[int, int]:
    """Rows and vectors of a thread's tile: what reads least for each multiplication among those
    that divide their axes, or waste little, and leave enough threads. Elements of the operand that
    rows have arrive ``together``, so many in one read."""
    results = size(acc.axes)
    best, least = (1, 1), float("inf")
    options = []
    for v in (1, 2, 4):
        if v > vectors:
            break
        for r in range(1, min(rows, MAX_ACCUMULATORS // v) + 1):
            options.append((r, v))
            padded = -(-rows // r) * r * -(-vectors // v) * v / (rows * vectors)
            # Vectors of operands that are read for each vector of multiply-adds.
            reads = 1 + 1 / r if shared else (r / together + v) / (r * v)
            few = results / (4 * r * v) < 4 * 64  # too few threads to fill a device
            guard = 1.3 if rows % r or vectors % v else 1.0
            cost = padded * guard * (1 + READ[together] * reads) * (1.0 + 0.1 * few * r * v)
            if cost < least - 1e-9:
                best, least = (r, v), cost
    chosen = ctx.choose(f"{acc.name}.tile", options, best)
    assert isinstance(chosen, tuple)
    return chosen[0], chosen[1]


def _apply(
    ctx: Context,
    result: Stage,
    acc: Stage,
    row: int | None,
    vector: int,
    tile: tuple[int, int, int],
    in_vectors: bool,
) -> IterVar | None:
    """Carry the tile out; returns the unrolled reduce loop. ``in_vectors``: whole vectors of its
    terms will be read."""
    rows, vectors, lanes = tile
    wide, lane = split_axis(result, result.axes[vector], lanes)
    outer_v, inner_v = split_axis(result, wide, vectors) if wide is not None else (None, None)
    axis = result.axes[row] if row is not None else None
    outer_r, inner_r = split_axis(result, axis, rows) if axis is not None else (None, None)
    outer: list[IterVar] = []
    for k, a in enumerate(result.axes):
        loop = {vector: outer_v, row: outer_r}.get(k, a)
        if loop is not None:
            outer.append(loop)
    inside = [a for a in (inner_r, inner_v) if a is not None]
    result.reorder(*outer, *inside, lane)
    for a in inside:
        result.unroll(a)
    if lanes > 1:
        result.vectorize(lane)
    if outer:
        acc.compute_at(result, bind_flat(ctx, result, outer))
    wide, lane = split_axis(acc, acc.axes[vector], lanes)
    data = [a for k, a in enumerate(acc.axes) if k not in (row, vector)] if outer else []
    inside = [acc.axes[row]] if row is not None else []
    inside += [wide] if wide is not None else []
    loops, windows, unrolled = _terms(ctx, acc, in_vectors)
    acc.reorder(*data, *loops, *unrolled, *inside, lane)
    for a in (*windows, *unrolled, *inside):
        acc.unroll(a)
    if lanes > 1:
        acc.vectorize(lane)
    return unrolled[0] if unrolled else None


def _data_in_vectors(ctx: Context, acc: Stage, vector: int) -> Read | None:
    """The operand that all lanes of a vector share, if it is to be read in vectors of its own: the
    terms that are unrolled then lie side by side in it."""
    v = acc.axes[vector]
    reads = [r for r in acc.reads() if not any(n is v for i in r.indices for n in walk(i))]
    axis = _unrolled_axis(ctx, acc)
    if len(reads) != 1 or not reads[0].indices or (as_int(axis.extent) or 1) % LANES:
        return None
    (read,) = reads
    layout = ctx.layout_of(read.tensor)
    along = _along(ctx, read)
    length = layout.block(along) if layout is not None else as_int(read.tensor.shape[along]) or 1
    if read.indices[along] is not axis or length % LANES:
        return None
    # A processor's multiply-add takes one element of memory for all lanes as it is; other devices
    # read four elements as fast as one.
    default = ctx.target.max_lanes == LANES
    chosen = ctx.choose(f"{acc.name}.data_vectors", (False, True), default)
    return read if chosen else None


def _along(ctx: Context, read: Read) -> int:
    """The axis of what is read along which neighbours in memory lie."""
    layout = ctx.layout_of(read.tensor)
    return layout.lane.axis if layout is not None else len(read.tensor.shape) - 1


def _copy_vectors(ctx: Context, acc: Stage, data: Read, unrolled: IterVar) -> Stage:
    """Vectors of ``data`` in registers, for one iteration of the loop around ``unrolled``."""
    copy = ctx.schedule[ctx.schedule.cache_read(data.tensor, "local", [acc])]
    layout = ctx.layout_of(data.tensor)
    if layout is not None:
        copy.set_layout(layout)
    copy.compute_at(acc, acc.leaves[place_of(unrolled, acc.leaves) - 1])
    along = copy.axes[_along(ctx, data)]
    outer, lane = copy.split(along, factor=LANES)
    rest = [a for a in copy.axes if a is not along]
    copy.reorder(*rest, outer, lane)
    for a in rest:
        copy.unroll(a)
    copy.vectorize(lane)
    return copy


def _unrolled_axis(ctx: Context, acc: Stage) -> IterVar:
    """The reduce axis of which some terms are unrolled: the one along which an operand lies in
    blocks, else the longest."""
    axis, _ = blocked_reduce_axis(ctx, acc)
    longest = max(acc.reduce_axes, key=lambda a: as_int(a.extent) or 0)
    return longest if axis is None else axis


def _terms(
    ctx: Context, acc: Stage, in_vectors: bool
) -> tuple[list[IterVar], list[IterVar], list[IterVar]]:
    """Reduce loops, outermost first, those of them that are unrolled as well, and the innermost
    one, which is: some terms that lie side by side in an operand, by default four.

    Open questions: how many, whether short loops around them (a window) are unrolled, too, and
    which are outermost.
    """
    axis = _unrolled_axis(ctx, acc)
    others = [a for a in acc.reduce_axes if a is not axis]
    extent = as_int(axis.extent) or 1
    default = extent if extent <= LANES else LANES if extent % LANES == 0 else 1
    divides = {n for n in (1, 2, 4, 8, 16) if extent % n == 0 and not (in_vectors and n % LANES)}
    terms = ctx.choose(f"{acc.name}.terms", sorted(divides | {default}), default)
    windows: list[IterVar] = []
    if others and 1 < size(others) <= MAX_ACCUMULATORS:
        windows = others if ctx.choose(f"{acc.name}.window", (False, True), False) else []
    if terms == extent and extent > 1:
        return others, windows, [axis]
    if terms == 1:
        return [*others, axis], windows, []
    assert isinstance(terms, int)
    outer, inner = acc.split(axis, factor=terms)
    last = bool(others) and bool(ctx.choose(f"{acc.name}.window_first", (False, True), False))
    return [*others, outer] if last else [outer, *others], windows, [inner]
