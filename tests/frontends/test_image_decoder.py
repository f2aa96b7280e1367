"""Image files whose bytes are known when a model is read."""

from io import BytesIO

import numpy as np
import pytest
import weft
from onnx import TensorProto
from PIL import Image
from support.against_ort import model, node, value
from weft.runtime.errors import WeftError

BYTES = TensorProto.UINT8


def decoder(form: str):
    nodes = [node("ImageDecoder", "data", "y", pixel_format=form)]
    return model(nodes, [value("data", ["n"], BYTES)], [value("y", dtype=BYTES)], opset=20)


@pytest.mark.parametrize("form, channels", [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])])
def test_a_file_is_a_constant_of_its_pixels(form, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    data = np.frombuffer(file.getvalue(), np.uint8)
    exe = weft.compile(decoder(form), constants={"data": data})
    np.testing.assert_array_equal(exe(), pixels[..., channels])


def test_bytes_that_only_a_call_knows_and_bytes_that_are_no_image():
    with pytest.raises(WeftError, match="must be known") as told:
        weft.compile(decoder("RGB"), shapes={"n": 100})
    assert "constants={'data': value}" in str(told.value)
    with pytest.raises(WeftError, match="no readable image"):
        weft.compile(decoder("RGB"), constants={"data": np.zeros(100, np.uint8)})
