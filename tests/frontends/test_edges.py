"""Reading past the edges of tensors, against ONNX Runtime: Pad and GridSample."""

from __future__ import annotations

import numpy as np
import pytest
from support.against_ort import model, node, ort, same, value
from weft.compiler.frontends import load
from weft.runtime.errors import GraphError

RNG = np.random.default_rng(3)
PADS = [(3, -2), (-2, 3), (4, -1), (-1, 9), (3, -3), (-3, 3), (7, 0), (-4, 3), (-2, -1)]


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("mode", ["wrap", "edge", "constant"])
def test_pads_that_crop_one_side_and_repeat_on_the_other(mode, pads) -> None:
    x = RNG.random((5, 6), np.float32)
    both = np.int64([pads[0], 2, pads[1], 1])
    nodes = [node("Pad", "x p", "y", mode=mode)]
    proto = model(nodes, [value("x", x.shape)], [value("y")], {"p": both}, opset=19)
    same(proto, {"x": x})
    folded = load(proto, constants={"x": x})
    np.testing.assert_array_equal(folded.constants["y"], ort(proto, {"x": x})[0])


def test_a_wrap_of_nothing_is_refused() -> None:
    known = {"p": np.int64([-5, 3])}
    nodes = [node("Pad", "x p", "y", mode="wrap")]
    with pytest.raises(GraphError, match="nothing of"):
        load(model(nodes, [value("x", [5])], [value("y")], known, opset=19))


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_samples_around_the_border(mode, padding, corners) -> None:
    """Positions from well before the image to well behind it, and at its very edges."""
    x = RNG.random((2, 3, 5, 4), np.float32)
    edges = np.float32([-2.6, -1.4, -1.01, -1, -0.99, -0.3, 0, 0.6, 0.99, 1, 1.01, 1.4, 2.6])
    grid = np.stack(np.meshgrid(edges, edges), -1)[None].repeat(2, 0).astype(np.float32)
    # Half an ulp off a corner of the zero padding is another pixel: not the edges themselves.
    grid = grid + np.float32(1e-3)
    nodes = [node("GridSample", "x g", "y", mode=mode, padding_mode=padding, align_corners=corners)]
    inputs = [value("x", x.shape), value("g", grid.shape)]
    proto = model(nodes, inputs, [value("y")], opset=20)
    same(proto, {"x": x, "g": grid}, 1e-4, 1e-5)
    folded = load(proto, constants={"x": x, "g": grid})
    np.testing.assert_allclose(
        folded.constants["y"], ort(proto, {"x": x, "g": grid})[0], rtol=1e-4, atol=1e-5
    )
