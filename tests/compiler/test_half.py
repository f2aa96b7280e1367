"""Constants that 16-bit floats cannot hold are told when a model is compiled for them."""

import warnings

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Graph
from weft.compiler.passes.half import HalfPrecisionWarning, half_losses


def model(values) -> Graph:
    b = GraphBuilder("scaled")
    x = b.input("x", "float32", (len(values),))
    w = b.constant(np.array(values, np.float32), "w")
    return b.finish(b.add("mul", [x, w]))


def test_overflow_and_flush_are_counted():
    graph = model([1.0, 1e5, -7e4, 1e-9, 0.0, np.inf, 65504.0, 6e-8])
    assert half_losses(graph) == {"w": "2 overflow to infinity and 1 flush to zero (of 8)"}


def test_only_targets_of_16_bits_tell():
    graph = model([1e5, 1.0])
    with pytest.warns(HalfPrecisionWarning, match="w: 1 overflow to infinity"):
        weft.compile(graph, "webgl -float_bits=16 -fallback=none", cache=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weft.compile(graph, "webgl -fallback=none", cache=False)
        weft.compile(model([1.0, 0.5]), "webgl -float_bits=16 -fallback=none", cache=False)
