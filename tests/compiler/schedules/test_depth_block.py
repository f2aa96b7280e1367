"""Convolutions that take part of their sums for a whole line of rows, then the next part."""

from dataclasses import replace

import numpy as np
import pytest
from support.pinned import pinned
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.kernel import lower_group
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune.task import tasks_of
from weft.ir.meaning.evaluate import evaluate
from weft.ir.meaning.interp import run

SMALL = replace(pinned("haswell"), vector_bits=128)


def convolution(channels, filters, size, kernel):
    """A 1×1 convolution hands blocked channels to the one in question; a pool takes its result."""
    rng = np.random.default_rng(1)
    b = GraphBuilder("conv")
    x = b.input("x", "float32", (1, 4, *size))
    for k, (c, f) in ((1, (4, channels)), (kernel, (channels, filters))):
        w = b.constant(rng.integers(-2, 3, (f, c, k, k)).astype(np.float32))
        (x,) = b.add("conv", [x, w], {"pads": (k // 2,) * 4})
        (x,) = b.add("relu", [x])
    (y,) = b.add("max_pool", [x], {"kernel": (1, 1)})
    return b.finish([y])


def task_of(channels, filters, size, kernel, target):
    graph = convolution(channels, filters, size, kernel)
    return max(tasks_of(graph, target), key=lambda t: t.flops)


@pytest.mark.parametrize("kernel", [1, 5])
@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("tile", [(4, 2), (3, 1)], ids=str)
@pytest.mark.slow
def test_any_size_is_right(kernel, block, tile):
    """Rows that no tile divides, sums that no block divides."""
    task = task_of(20, 20, (3, 13), kernel, SMALL)
    choices = Choices({"conv.depth_block": block, "conv.tile": tile, "conv.parallel": 1})
    expr, s, layouts = task.schedule(choices)
    assert choices.taken["conv.depth_block"] == block
    (fn,) = lower_group(expr, s, layouts, SMALL, "conv").functions
    rng = np.random.default_rng(2)
    (out,) = expr.outputs
    shapes = [tuple(int(e.value) for e in t.shape) for t in (*expr.placeholders, out)]
    # Small integers: every sum is exact, in whatever order.
    arrays = [rng.integers(-2, 3, shape).astype(np.float32) for shape in shapes[:-1]]
    (want,) = evaluate([out], dict(zip(expr.placeholders, arrays)))
    stored = [layouts[t].pack(a) if t in layouts else a for t, a in zip(expr.placeholders, arrays)]
    result = np.full(layouts[out].physical_shape, 7, np.float32)
    run(fn, [*stored, result])
    np.testing.assert_array_equal(layouts[out].unpack(result), want)


def test_where_panels_would_stream_for_few_tiles(processor):
    """Many channels and small tiles: 5 rows of 2 vectors of AVX2 read more than they may, the tiles
    of 32 registers do not."""

    def block(channels, side=7):
        choices = Choices()
        task_of(channels, 512, (side, side), 1, processor).schedule(choices)
        return choices.taken.get("conv.depth_block", 0)

    assert (block(512) > 0) == (processor.num_vector_registers == 16)
    assert block(32) == 0
    assert block(512, side=28) == 0  # a panel is for many tiles
