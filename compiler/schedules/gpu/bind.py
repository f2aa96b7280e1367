"""Loops to hardware indices."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.expr import IterVar, as_int
from ....ir.schedule.loops import thread_axis
from ....ir.schedule.stage import Stage
from ..common import Context, size
from ..measured import THREADS

LANES = 4  # of the vectors that all these devices load at once


def bind_flat(ctx: Context, stage: Stage, loops: Sequence[IterVar]) -> IterVar:
    """Fuse neighbouring ``loops``, outermost first, and spread them over blocks of threads; returns
    the loop of the threads. How many threads a block has is an open question."""
    total = size(loops)
    flat = fused(stage, loops)
    threads = min(workgroup(ctx, stage, THREADS), max(1, total))
    block, thread = stage.split(flat, factor=threads)
    bind_blocks(ctx, stage, block)
    stage.bind(thread, thread_axis("threadIdx.x"))
    return thread


def workgroup(ctx: Context, stage: Stage, usual: int) -> int:
    """The threads of a block of ``stage``: an open question, ``usual`` as far as there are so many
    by default."""
    default = min(usual, ctx.target.max_threads)
    usual_ones = (8, 16, 32, 64, 128, 256, 512, 1024)
    options = sorted({n for n in usual_ones if n <= ctx.target.max_threads} | {default})
    chosen = ctx.choose(f"{stage.name}.threads", options, default)
    assert isinstance(chosen, int)
    return chosen


def bind_blocks(ctx: Context, stage: Stage, loop: IterVar) -> None:
    """Bind a loop to blocks; one that is too long for an axis of the grid is folded."""
    tags = ["blockIdx.x", "blockIdx.y", "blockIdx.z"]
    for tag in tags[:-1]:
        if (stage_extent(stage, loop)) <= ctx.target.max_blocks:
            break
        loop, inner = stage.split(loop, factor=ctx.target.max_blocks)
        stage.bind(inner, thread_axis(tag))
    else:
        tag = tags[-1]
    stage.bind(loop, thread_axis(tag))


def fused(stage: Stage, loops: Sequence[IterVar]) -> IterVar:
    """Neighbouring loops, outermost first, as one."""
    return stage.fuse(*loops) if len(loops) > 1 else loops[0]


def stage_extent(stage: Stage, loop: IterVar) -> int:
    """Iterations of a loop of ``stage``, 1 where they are symbolic."""
    return as_int(stage.extents()[loop]) or 1
