"""The rule for convolutions by minimal filtering (``compiler/ops/winograd.py``).

    for rows of tiles in parallel:
      for channel block, tile:                            # the data, transformed
        part[n, n, lanes] = Bᵀ d                          # in registers
        V[a, b, tile, lanes] = part B                     # a and b unrolled
      for filter block:                                   # one or two panels of filters
        for a, b:                                         # n² matrix products, register tiles
          M[a, b, tiles, filters] = V[a, b] · U[a, b]
        for tile, vector of filters:
          part[m, n, lanes] = Aᵀ M
          result[m, m, lanes] = epilogue(part A)          # m × m unrolled

V and M stay in the second-level cache. With few tiles and many channels it is the weights U that
must be read once: then all of V is made first, and filter blocks run in parallel too.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.expr import IterVar, as_int
from ...ir.layout import Digit, Layout
from ...ir.schedule.stage import Stage
from .blocking import Tile, tuned_tile
from .common import Context, even_part, part_of, run_parallel, work
from .measured import FAR_SHARE, FEWEST_BLOCKS, SHARED_BYTES, WINOGRAD_BLOCK_SHARE
from .register_tile import TiledContraction, tile_contraction


def keeps_registers(stage: Stage) -> bool:
    """Whether a stage is half of a transform: sums that are shared by several results."""
    return part_of(stage, "winograd") in ("transform", "data")


@dataclass(frozen=True)
class _Stages:
    """The stages in the order of the data: ``forth`` and ``data`` are the halves of V = Bᵀ d B,
    ``product`` is M, ``back`` and ``result`` are the halves of Aᵀ M A with the epilogue."""

    forth: Stage
    data: Stage
    product: Stage
    back: Stage
    result: Stage


@dataclass(frozen=True)
class _Sizes:
    """``down`` × ``across`` tiles of ``m`` × ``m`` results a filter; vectors of ``lanes``."""

    m: int
    down: int
    across: int
    channels: int
    filters: int
    lanes: int

    @classmethod
    def of(cls, ctx: Context, s: _Stages) -> _Sizes:
        """The sizes of what ``s`` computes."""
        m = as_int(s.back.axes[0].extent) or 1
        _, filters, rows, columns = (as_int(a.extent) or 1 for a in s.result.axes)
        channels = as_int(s.data.axes[3].extent) or 1
        lanes = ctx.target.lanes(s.result.op.outputs[0].dtype)
        return cls(m, -(-rows // m), -(-columns // m), channels, filters, lanes)

    @property
    def width(self) -> int:
        """Bytes of one channel of V or M in a row of tiles."""
        return 4 * (self.m + 2) ** 2 * self.across

    @property
    def v(self) -> int:
        """Bytes of all of V."""
        return self.width * self.down * self.channels

    @property
    def weights(self) -> int:
        """Bytes of U."""
        return 4 * (self.m + 2) ** 2 * self.channels * self.filters


@dataclass(frozen=True)
class _Plan:
    """What was decided: whether all of V is made ``first``, how many rows of tiles a block has, the
    register tile of the products, and how many of its panels of filters are made at a time."""

    first: bool
    together: int
    tile: Tile
    panels: int


def schedule_winograd(ctx: Context, product: Stage) -> set[Stage]:
    """Schedule the products and the transforms around them; returns these stages, none where
    ``product`` is not one of minimal filtering, or where its result does not go to one stage."""
    s = _stages(ctx, product)
    if s is None:
        return set()
    sizes = _Sizes.of(ctx, s)
    plan = _decide(ctx, product, sizes)
    operations = work(product)
    batch, outer_f, block, vectors = _tile_result(s.result, sizes, plan)
    s.back.set_scope("local")
    s.back.compute_at(s.result, vectors)
    _in_registers(s.back, sizes.lanes)
    accumulate = _tile_products(ctx, s, sizes, plan)
    outer = [batch, outer_f, block] if plan.first else [batch, block]
    chunks = s.result.fuse(*outer)
    product.compute_at(s.result, chunks if plan.first else outer_f)
    at = _transform_data(s.forth, s.data, sizes.lanes)
    if plan.first:
        run_parallel(ctx, s.data, [at], work(s.data))
    else:
        s.data.compute_at(s.result, chunks)
    run_parallel(ctx, s.result, [chunks], operations)
    return {s.forth, s.data, product, accumulate, s.back, s.result}


def _stages(ctx: Context, product: Stage) -> _Stages | None:
    if part_of(product, "winograd") != "product":
        return None
    (back,) = ctx.schedule.consumers(product)
    readers = ctx.readers(back)
    data = next(s for s in product.producers() if part_of(s, "winograd") == "data")
    forth = next(s for s in data.producers() if part_of(s, "winograd") == "transform")
    if len(readers) != 1 or len(readers[0].axes) != 4 or len(readers[0].body) != 1:
        return None
    return _Stages(forth, data, product, back, readers[0])


def _decide(ctx: Context, product: Stage, sizes: _Sizes) -> _Plan:
    first = _transform_first(ctx, product, sizes)
    together = _rows_together(ctx, product, sizes, first)
    rows, lanes = together * sizes.across, sizes.lanes
    tile = _register_tile(ctx, rows, -(-sizes.filters // lanes), lanes)
    tile = tuned_tile(ctx, product, tile, rows, sizes.filters)
    # V that does not stay in the core's cache is read for two panels of filters at a time.
    read = sizes.v if first else sizes.width * sizes.channels * together
    twice = read > FAR_SHARE * ctx.target.cache_bytes
    twice = twice and sizes.filters % (2 * tile.vectors * lanes) == 0
    panels = ctx.choose(f"{product.name}.panels", (1, 2, 4), 2 if twice else 1)
    assert isinstance(panels, int)
    return _Plan(first, together, tile, panels)


def _transform_first(ctx: Context, product: Stage, sizes: _Sizes) -> bool:
    """Whether all of V is made before the products begin.

    That is a detour through memory, unless it stays in the cache; but weights that do not stay
    there, and are more, should not be read anew for each block of rows.
    """
    cache, v, weights = ctx.target.cache_bytes, sizes.v, sizes.weights
    first = v <= cache or (weights > cache and v <= min(weights, SHARED_BYTES))
    return bool(ctx.choose(f"{product.name}.transform_first", (False, True), first))


def _rows_together(ctx: Context, product: Stage, sizes: _Sizes, first: bool) -> int:
    """How many rows of tiles make a block: their V and M stay in the cache through all stages."""
    two = 2 * sizes.lanes
    bytes_of_row = sizes.width * (two if first else sizes.channels + two)
    most = int(WINOGRAD_BLOCK_SHARE * ctx.target.cache_bytes) // bytes_of_row
    passes = -(-sizes.filters // two)
    if most == 0 and not first and sizes.weights > passes * bytes_of_row:
        # V comes from afar in any case, and less of that is read than of the weights.
        most = min(SHARED_BYTES // bytes_of_row, -(-sizes.down // FEWEST_BLOCKS))
    alike = even_part(sizes.down, max(1, min(most, sizes.down)), 0)  # all blocks alike
    chosen = ctx.choose(f"{product.name}.tile_rows", tuple(range(1, sizes.down + 1)), alike)
    assert isinstance(chosen, int)
    return chosen


def _tile_result(
    result: Stage, sizes: _Sizes, plan: _Plan
) -> tuple[IterVar, IterVar, IterVar, IterVar]:
    """The loops of the result: the tile of a vector of filters is unrolled.

    Returns those of batch, blocks of filters, blocks of rows, and vectors of filters.
    """
    batch, channel, height, row = result.axes
    outer_f, inner_f = result.split(channel, factor=plan.panels * plan.tile.vectors * sizes.lanes)
    vectors, lane = result.split(inner_f, factor=sizes.lanes)
    tile_h, i = result.split(height, factor=sizes.m)
    tile_w, j = result.split(row, factor=sizes.m)
    block, tile_h = result.split(tile_h, factor=plan.together)
    outer = [batch, outer_f, block] if plan.first else [batch, block, outer_f]
    result.reorder(*outer, tile_h, tile_w, vectors, i, j, lane)
    for a in (i, j):
        result.unroll(a)
    result.vectorize(lane)
    return batch, outer_f, block, vectors


def _tile_products(ctx: Context, s: _Stages, sizes: _Sizes, plan: _Plan) -> Stage:
    """The matrix products in register tiles; returns the stage of their accumulators."""
    product, lanes = s.product, sizes.lanes
    accumulate = ctx.schedule[ctx.schedule.cache_write(product.op.outputs[0], "local")]
    s.data.set_layout(_by_tile(s.data, lanes))
    product.set_layout(_by_tile(product, lanes))
    accumulate.set_layout(_by_tile(product, lanes))
    together = plan.together * sizes.across
    contraction = TiledContraction(
        product, accumulate, 2, 3, plan.tile, ahead=(1, 1), together=together
    )
    tile_contraction(ctx, contraction, operations=0)
    return accumulate


def _register_tile(ctx: Context, rows: int, count: int, lanes: int) -> Tile:
    """As many rows as registers allow, evenly: the weights come from far away, so they should be
    read seldom. Two vectors beside each other, where they divide the filters: two streams."""
    vectors = next((v for v in (2, 3) if count % v == 0), 1)
    most = min(16, max(1, (ctx.target.num_vector_registers - 4) // vectors))
    return Tile(-(-rows // -(-rows // most)), vectors, lanes)


def _by_tile(stage: Stage, lanes: int) -> Layout:
    """[a, b, tile, channel] with blocks of channels outside of the tiles: the rows of a matrix
    product are neighbours."""
    n, _, tiles, channels = (as_int(a.extent) or 0 for a in stage.axes)
    lanes = min(lanes, max(channels, 1))
    return Layout(
        (n, n, tiles, channels),
        (
            (Digit(0, 1, n),),
            (Digit(1, 1, n),),
            (Digit(3, lanes, -(-channels // lanes)),),
            (Digit(2, 1, tiles),),
            (Digit(3, 1, lanes),),
        ),
    )


def _transform_data(forth: Stage, data: Stage, lanes: int) -> IterVar:
    """Both halves of the transform of a tile, a vector of channels at a time; returns the loop
    over these."""
    a, b, tile, channel = data.axes
    outer, lane = data.split(channel, factor=lanes)
    data.reorder(outer, tile, a, b, lane)
    data.unroll(a)
    data.unroll(b)
    data.vectorize(lane)
    at = data.fuse(outer, tile)
    forth.set_scope("local")
    forth.compute_at(data, at)
    _in_registers(forth, lanes)
    return at


def _in_registers(stage: Stage, lanes: int) -> None:
    """A small matrix of vectors, all unrolled."""
    i, b, tile, channel = stage.axes
    outer, lane = stage.split(channel, factor=lanes)
    stage.reorder(tile, outer, i, b, lane)
    loops: list[IterVar] = [i, b]
    for a in loops:
        stage.unroll(a)
    stage.vectorize(lane)
