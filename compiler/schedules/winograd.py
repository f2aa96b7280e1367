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


def schedule_winograd(ctx: Context, product: Stage) -> set[Stage]:
    """Schedule the products and the transforms around them; gives the stages."""
    if part_of(product, "winograd") != "product":
        return set()
    (back,) = ctx.schedule.consumers(product)
    readers = ctx.readers(back)
    data = next(s for s in product.producers() if part_of(s, "winograd") == "data")
    forth = next(s for s in data.producers() if part_of(s, "winograd") == "transform")
    if len(readers) != 1 or len(readers[0].axes) != 4 or len(readers[0].body) != 1:
        return set()
    result = readers[0]
    m = as_int(back.axes[0].extent) or 1
    lanes = ctx.target.lanes(result.op.outputs[0].dtype)
    _, _, rows, columns = (as_int(a.extent) or 1 for a in result.axes)
    down, across = -(-rows // m), -(-columns // m)
    channels, filters = as_int(data.axes[3].extent) or 1, as_int(result.axes[1].extent) or 1
    width = 4 * (m + 2) ** 2 * across  # bytes of one channel of V or M in a row of tiles
    # The whole of V is a detour through memory, unless it stays in the cache; but weights that do
    # not stay there, and are more, should not be read anew for each block of rows.
    weights, v = 4 * (m + 2) ** 2 * channels * filters, width * down * channels
    cache = ctx.target.cache_bytes
    first = v <= cache or (weights > cache and v <= min(weights, SHARED_BYTES))
    first = bool(ctx.choose(f"{product.name}.transform_first", (False, True), first))
    bytes_of_row = width * (2 * lanes if first else channels + 2 * lanes)
    most = int(WINOGRAD_BLOCK_SHARE * cache) // bytes_of_row
    passes = -(-filters // (2 * lanes))
    if most == 0 and not first and weights > passes * bytes_of_row:
        # V comes from afar in any case, and less of that is read than of the weights.
        most = min(SHARED_BYTES // bytes_of_row, -(-down // FEWEST_BLOCKS))
    together = even_part(down, max(1, min(most, down)), 0)  # all blocks alike
    chosen = ctx.choose(f"{product.name}.tile_rows", tuple(range(1, down + 1)), together)
    assert isinstance(chosen, int)
    together = chosen
    tile = _register_tile(ctx, together * across, -(-filters // lanes), lanes)
    tile = tuned_tile(ctx, product, tile, together * across, filters)
    operations = work(product)
    # Loops of the result.
    batch, channel, height, row = result.axes
    # V that does not stay in the core's cache is read for two panels of filters at a time.
    read = v if first else width * channels * together
    twice = read > FAR_SHARE * cache and filters % (2 * tile.vectors * lanes) == 0
    panels = ctx.choose(f"{product.name}.panels", (1, 2, 4), 2 if twice else 1)
    assert isinstance(panels, int)
    outer_f, inner_f = result.split(channel, factor=panels * tile.vectors * lanes)
    vectors, lane = result.split(inner_f, factor=lanes)
    tile_h, i = result.split(height, factor=m)
    tile_w, j = result.split(row, factor=m)
    block, tile_h = result.split(tile_h, factor=together)
    outer = [batch, outer_f, block] if first else [batch, block, outer_f]
    result.reorder(*outer, tile_h, tile_w, vectors, i, j, lane)
    for a in (i, j):
        result.unroll(a)
    result.vectorize(lane)
    back.set_scope("local")
    back.compute_at(result, vectors)
    _in_registers(back, lanes)
    # The products.
    accumulate = ctx.schedule[ctx.schedule.cache_write(product.op.outputs[0], "local")]
    data.set_layout(_by_tile(data, lanes))
    product.set_layout(_by_tile(product, lanes))
    accumulate.set_layout(_by_tile(product, lanes))
    contraction = TiledContraction(
        product, accumulate, 2, 3, tile, ahead=(1, 1), together=together * across
    )
    tile_contraction(ctx, contraction, operations=0)
    chunks = result.fuse(*outer) if first else result.fuse(batch, block)
    product.compute_at(result, chunks if first else outer_f)
    # The data.
    at = _transform_data(forth, data, lanes)
    if first:
        run_parallel(ctx, data, [at], work(data))
    else:
        data.compute_at(result, chunks)
    run_parallel(ctx, result, [chunks], operations)
    return {forth, data, product, accumulate, back, result}


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
    """Both halves of the transform of a tile, a vector of channels at a time; gives the loop over
    these."""
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
