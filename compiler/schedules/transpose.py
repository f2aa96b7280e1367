"""The rule for permutations that change which axis is contiguous.

    for tile of 64 columns:
      for tile of a line of the cache:
        kept[64, 16] = x[64 rows, 16]       each line is read once, and whole
        for line, column: y[line, column] = f(kept[column, line])

An operand that is read against the order of its storage gives one element of each line, and lines
that lie a power of two apart push each other out of the cache before the next one is read.
"""

from __future__ import annotations

from ...ir.expr import IterVar, Read, as_int
from ...ir.identity import among
from ...ir.schedule.stage import Stage
from .common import Context, inlined_body, outside_of_indices, run_parallel
from .measured import TRANSPOSED_COLUMNS, TRANSPOSED_LINE


def schedule_transpose(ctx: Context, stage: Stage, operations: int) -> bool:
    """Schedule a row-major stage that is a permutation of one operand, element by element; whether
    it is one, and large enough for tiles."""
    read = permuted(ctx, stage)
    if read is None:
        return False
    line, column = read.indices[-1], stage.axes[-1]
    assert isinstance(line, IterVar)
    step = TRANSPOSED_LINE // max(1, read.tensor.dtype.bytes)
    if (as_int(line.extent) or 0) < 2 * step or (as_int(column.extent) or 0) < TRANSPOSED_COLUMNS:
        return False
    kept = ctx.schedule[ctx.schedule.cache_read(read.tensor, "local", [stage])]
    others = [a for a in stage.axes if a is not line and a is not column]
    tiles, columns = stage.split(column, factor=TRANSPOSED_COLUMNS)
    lines, within = stage.split(line, factor=step)
    stage.reorder(*others, tiles, lines, within, columns)
    kept.compute_at(stage, lines)
    rest, lane = kept.split(kept.axes[-1], factor=step)
    kept.reorder(rest, *kept.axes[:-1], lane)
    kept.vectorize(lane)
    stage.unroll(columns)
    run_parallel(ctx, stage, [*others, tiles], operations)
    return True


def permuted(ctx: Context, stage: Stage) -> Read | None:
    """The one operand of a stage, if it is stored row by row and read at a permutation of the axes
    that has another one last."""
    if ctx.layout(stage) is not None or len(stage.body) != 1:
        return None
    found: Read | None = None
    for n in outside_of_indices(inlined_body(ctx, stage)):
        if isinstance(n, Read):
            if found is not None:
                return None
            found = n
        elif among(n, stage.axes):
            return None
    if found is None or not any(found is r for r in stage.reads()):
        return None
    at = found.indices
    if (
        len(at) != len(stage.axes)
        or len(set(at)) != len(at)
        or not all(among(i, stage.axes) for i in at)
        or at[-1] is stage.axes[-1]
        or ctx.layout_of(found.tensor) is not None
        or [as_int(e) for e in found.tensor.shape] != [as_int(i.extent) for i in at]  # type: ignore[attr-defined]
    ):
        return None
    return found
