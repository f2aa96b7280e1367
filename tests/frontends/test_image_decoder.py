"""Image files: those known when a model is read, and those that a call gives."""

from io import BytesIO

import numpy as np
import onnx
import pytest
import weft
from onnx import TensorProto
from PIL import Image
from support.against_ort import model, node, value
from weft.compiler.cli.main import main
from weft.compiler.frontends.warn import ModelWarning
from weft.compiler.web.process import Image as WebImage
from weft.compiler.web.process import image_input
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


@pytest.mark.parametrize("form", ["RGB", "BGR", "Grayscale"])
def test_a_file_that_a_call_gives_is_its_pixels(form, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    onnx.save(decoder(form), tmp_path / "m.onnx")
    with pytest.warns(ModelWarning, match="'data' is a file of an image"):
        graph = weft.load(tmp_path / "m.onnx")
    assert graph.symbols == ("data.height", "data.width")
    (want,) = (
        pixels[..., ::-1] if form == "BGR" else pixels if form == "RGB"
        else np.asarray(Image.fromarray(pixels).convert("L"))[..., None],
    )  # fmt: skip
    exe = weft.compile(graph, shapes={"data.height": 6, "data.width": 8})
    np.testing.assert_array_equal(exe(pixels[None]), want)
    out = tmp_path / "out.npz"
    with pytest.warns(ModelWarning):
        words = ["run", tmp_path / "m.onnx", "--input", tmp_path / "photo.png", "--size", "6x8"]
        assert main([*map(str, words), "--output", str(out)]) == 0
    # The command line scales what it is given, and cuts the middle out.
    assert np.load(out)["y"].shape == want.shape


def test_a_page_decodes_such_a_file():
    """Its pixels are an image input like others: the browser's, scaled inside of the program."""
    with pytest.warns(ModelWarning):
        graph = weft.load(decoder("RGB"), {"data": (1, 32, 32, 3)})
    inside, name, side = image_input(graph, WebImage(crop=1.0))
    canvas = np.random.default_rng(2).integers(0, 256, (1, side, side, 4)).astype(np.uint8)
    assert (name, side) == ("data", 32)
    np.testing.assert_array_equal(weft.compile(inside)(canvas), canvas[0, ..., :3])


def test_files_that_operators_make_and_bytes_that_are_no_image():
    nodes = [node("Identity", "data", "copy"), node("ImageDecoder", "copy", "y")]
    made = model(nodes, [value("data", ["n"], BYTES)], [value("y", dtype=BYTES)], opset=20)
    with pytest.raises(WeftError, match="must be known") as told:
        weft.compile(made, shapes={"n": 100})
    assert "constants={'data': value}" in str(told.value)
    with pytest.raises(WeftError, match="no readable image"):
        weft.compile(decoder("RGB"), constants={"data": np.zeros(100, np.uint8)})
