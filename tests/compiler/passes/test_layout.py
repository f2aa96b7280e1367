"""How constants are packed for register tiles of several vectors."""

import numpy as np
import pytest
from weft.compiler.graph import GraphBuilder
from weft.compiler.passes.layout import choose_layouts
from weft.ir.layout import Layout
from weft.ir.target import Target

VECTORS = Target.parse("llvm -vector_bits=256 -num_vector_registers=16")


def packed(op, filters, channels=16):
    """The type of the weights, their packed value and what it was."""
    w = np.random.default_rng(1).standard_normal
    b = GraphBuilder("net")
    if op == "conv":
        x = b.input("x", "float32", (1, channels, 5, 5))
        value = w((filters, channels, 3, 3)).astype(np.float32)
    else:
        x = b.input("x", "float32", (5, channels))
        value = w((channels, filters)).astype(np.float32)
    name = b.constant(value)
    graph = choose_layouts(b.finish(b.add(op, [x, name])), VECTORS)
    return graph.types[name], graph.constants[name], value


@pytest.mark.parametrize("op", ["conv", "matmul"])
@pytest.mark.parametrize(
    ("filters", "blocks"),
    [(56, 8), (232, 30), (100, 14), (48, 6), (72, 9), (40, 5)],
    ids=["7", "29", "13", "6", "9 is threes", "5 are few"],
)
def test_blocks_are_pairs_or_threes(op, filters, blocks):
    t, stored, value = packed(op, filters)
    axis = 0 if op == "conv" else 1
    assert t.layout.padded[axis] == 8 * blocks
    np.testing.assert_array_equal(t.layout.unpack(stored), value)
    assert np.count_nonzero(stored) == np.count_nonzero(value)  # the rest is zero
    assert Layout.from_text(str(t.layout), t.shape) == t.layout
