"""Which operands of sums of products are fetched ahead of their use."""

from dataclasses import replace

import numpy as np
import pytest
from support.pinned import pinned
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.kernel import lower_group
from weft.compiler.options import CompileOptions
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune.task import tasks_of
from weft.ir.stmt import Prefetch
from weft.ir.visit import walk

AVX2 = pinned("znver3")


def chain(channels, filters, side, kernel):
    """The kernel in question between pointwise ones: all its operands lie in blocks of channels."""
    rng = np.random.default_rng(1)
    b = GraphBuilder("conv")
    x = b.input("x", "float32", (1, 4, side, side))
    for k, (c, f) in ((1, (4, channels)), (kernel, (channels, filters)), (1, (filters, 4))):
        w = b.constant(rng.normal(size=(f, c, k, k)).astype(np.float32))
        (x,) = b.add("conv", [x, w], {"pads": (k // 2,) * 4})
        (x,) = b.add("relu", [x])
    (y,) = b.add("max_pool", [x], {"kernel": (1, 1)})
    return b.finish([y])


def product(rows, depth, columns):
    rng = np.random.default_rng(1)
    b = GraphBuilder("product")
    x = b.input("x", "float32", (rows, depth))
    (y,) = b.add("matmul", [x, b.constant(rng.normal(size=(depth, columns)).astype(np.float32))])
    (y,) = b.add("relu", [y])
    return b.finish([y])


def fetched(graph, target=AVX2, **choices):
    """The parameters that the largest kernel asks for: 0 is data, 1 weights."""
    task = max(tasks_of(graph, target, CompileOptions(accuracy="strict")), key=lambda t: t.flops)
    expr, s, layouts = task.schedule(Choices(choices))
    (fn,) = lower_group(expr, s, layouts, target, "kernel").functions
    places = {b: k for k, b in enumerate(fn.params)}
    return {places[n.buffer] for n in walk(fn.body) if isinstance(n, Prefetch)}


def test_the_next_tile_of_rows_in_blocks_of_channels():
    assert 0 in fetched(chain(256, 64, 28, 1))
    assert fetched(chain(256, 64, 28, 1), replace(AVX2, has_prefetch=False)) == set()


@pytest.mark.parametrize(
    "side, again", [(7, False), (56, True)], ids=["once", "for-each-block-of-rows"]
)
def test_weights_that_are_read_once(side, again):
    """Places of a small image stay in the cache for all panels of weights; a large one is taken
    in blocks, and from the second block on the weights are not far away."""
    assert (1 in fetched(chain(512, 256, side, 1))) is not again


def test_weights_of_a_window_that_are_read_for_each_line():
    graph = chain(128, 128, 28, 3)
    assert 1 in fetched(graph, **{"conv.order": (1, 2, 3)})
    assert 1 not in fetched(graph, **{"conv.order": (2, 1, 3)})


def test_rows_of_a_matrix_are_streams_by_themselves():
    assert fetched(product(128, 384, 512)) == {1}
