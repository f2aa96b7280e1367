"""Pixels in, classes out: against Pillow and numpy, through the compiler."""

import json

import numpy as np
import pytest
import weft
from PIL import Image as PIL
from weft.benchmarks.zoo.builder import Net
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.web.process import (
    Classes,
    Image,
    bilinear,
    class_output,
    image_input,
    image_of,
    labels_of,
)

IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def same(shape, dtype="float32", name="image", meta=None):
    """A model that returns its input."""
    if dtype != "float32":
        b = GraphBuilder("same")
        return b.finish(b.add("identity", [b.input(name, dtype, shape)]))
    n = Net("same")
    model = n.build(n.op("Identity", n.input(name, list(shape))), names=["out"])
    for k, v in (meta or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = k, v
    return weft.load(model)


def pixels(side, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 256, (1, 9, 9, 4), np.uint8)
    return np.asarray(PIL.fromarray(low[0]).resize((side, side), PIL.Resampling.BICUBIC))[None]


def pillow(data, whole, size):
    """The middle [1, 3, *size] of ``data`` resized to ``whole``, in 0..255, without rounding."""
    planes = [PIL.fromarray(data[0, :, :, c].astype(np.float32)) for c in range(3)]
    planes = [p.resize((whole, whole), PIL.Resampling.BILINEAR) for p in planes]
    top, left = ((whole - s) // 2 for s in size)
    return np.stack([np.asarray(p)[top : top + size[0], left : left + size[1]] for p in planes])[
        None
    ]


@pytest.mark.parametrize("size", [(24, 24), (16, 40), (7, 5)])
@pytest.mark.parametrize("canvas", [None, 20, 61, 128])
def test_pixels_are_resized_as_pillow_does(size, canvas):
    image = Image(mean=0, std=1, canvas=canvas)
    graph, name, side = image_input(same((1, 3, *size)), image)
    assert (name, canvas or side) == ("image", side)
    data = pixels(side)
    whole = round(max(size) / 0.875)
    out = weft.compile(graph)(data)
    assert np.allclose(out * 255, pillow(data, whole, size), atol=0.02)


def test_the_default_canvas_never_enlarges():
    for size in (1, 24, 28, 224, 299):
        _, _, side = image_input(same((1, 3, size, size)), Image())
        assert side % 32 == 0 and size / 0.875 - 1 < side < size / 0.875 + 33


def test_normalisation_channels_last_and_blue_first():
    data = pixels(32)
    graph, _, _ = image_input(same((1, 28, 28, 3)), Image(bgr=True))
    out = weft.compile(graph)(data)
    rgb = data[:, 2:30, 2:30, :3] / 255
    expected = (rgb[..., ::-1] - IMAGENET_MEAN) / IMAGENET_STD
    assert np.allclose(out, expected, atol=1e-5)


def test_grey_and_bytes():
    data = pixels(32)
    cut = data[:, 2:30, 2:30, :3]
    graph, _, _ = image_input(same((1, 1, 28, 28)), Image())
    grey = cut @ np.array([0.299, 0.587, 0.114]) / 255
    assert np.allclose(weft.compile(graph)(data)[:, 0], grey, atol=1e-5)
    graph, _, _ = image_input(same((1, 28, 28, 3), "uint8"), Image())
    assert np.array_equal(weft.compile(graph)(data), cut)


def test_other_inputs_and_outputs_stay():
    n = Net("two")
    a, x = n.input("a", [1]), n.input("x", [1, 3, 8, 8])
    y = n.op("Mul", x, a)
    graph = weft.load(n.build(y, names=["y"]))
    with pytest.raises(weft.WeftError, match=r"has 2 inputs[\s\S]*a, x"):
        image_input(graph, Image())
    out, _, side = image_input(graph, Image(input="x", mean=0, std=1))
    assert out.inputs == ("a", "x") and out.types["x"].shape == (1, side, side, 4)
    assert out.outputs == graph.outputs


@pytest.mark.parametrize(
    "shape, image, words",
    [
        ((1, 10), Image(), "an image is"),
        ((2, 3, 8, 8), Image(), "an image is"),
        ((1, 3, 8, 8), Image(mean=(1, 2)), "mean="),
        ((1, 3, 8, 8), Image(std=0), "std="),
        ((1, 3, 8, 8), Image(size=(9, 8)), "size 9x8"),
        ((1, 3, 8, 8), Image(crop=0), "crop=0"),
        ((1, 3, 8, 8), Image(canvas=-3), "canvas"),
        ((1, 3, 8, 8), Image(input="y"), "no input 'y'"),
    ],
)
def test_wrong_options_of_images(shape, image, words):
    with pytest.raises(weft.WeftError, match=words):
        image_input(same(shape), image)


def test_numbers_that_pixels_would_not_need():
    with pytest.raises(weft.WeftError, match="mean and std have no effect"):
        image_input(same((1, 3, 8, 8), "uint8"), Image(mean=0.5))
    graph = same((1, 3, 8, 8), "uint8")
    told = image_of(graph.replace(meta={"Image.NominalPixelRange": "NominalRange_0_255"}))
    assert told == Image()  # what the metadata says of the range is what bytes are anyway


def scores(n, last=""):
    net = Net("scores")
    x = net.input("x", [1, n])
    x = net.op(last, x) if last else net.op("Identity", x)
    return weft.load(net.build(x, names=["y"]))


@pytest.mark.parametrize("n, top", [(10, 5), (3, 5), (1000, 1)])
def test_the_best_classes(n, top):
    graph, names, numbers, count = class_output(scores(n), Classes(top))
    assert count == n
    x = np.random.default_rng(1).standard_normal((1, n)).astype(np.float32)
    result = weft.compile(graph).run({"x": x})
    p = np.exp(x[0]) / np.exp(x[0]).sum()
    best = np.argsort(-p)[:top]
    assert result[numbers].dtype == np.int32 and result[numbers].shape == (1, min(top, n))
    assert np.array_equal(result[numbers][0], best)
    assert np.allclose(result[names][0], p[best], rtol=1e-5)


def test_probabilities_get_no_second_softmax():
    for last, soft in (("Softmax", None), ("Sigmoid", None), ("", False)):
        graph, *_ = class_output(scores(4, last), Classes(2, soft))
        assert sum(n.op == "softmax" for n in graph.nodes) == (last == "Softmax")


def test_wrong_options_of_classes():
    with pytest.raises(weft.WeftError, match="one row of scores"):
        class_output(same((1, 3, 8, 8)), Classes())
    with pytest.raises(weft.WeftError, match="the best 0"):
        class_output(scores(4), Classes(0))


def test_metadata():
    names = {"0": "cat", "1": "dog"}
    for text in (json.dumps(["cat", "dog"]), json.dumps(names), "{0: 'cat', 1: 'dog'}", "cat\ndog"):
        assert labels_of(same((1, 2), meta={"names": text})) == ("cat", "dog")
    assert labels_of(same((1, 2), meta={"names": "{0: 'cat', 2: 'dog'}"})) == ()
    assert labels_of(same((1, 2))) == ()
    meta = {"Image.NominalPixelRange": "Normalized_1_1", "Image.BitmapPixelFormat": "Bgr8"}
    image = image_of(same((1, 3, 8, 8), meta=meta))
    assert image == Image(0.5, 0.5, bgr=True)
    assert image_of(same((1, 3, 8, 8))) is None


def test_bilinear_weights_sum_to_one():
    for side, whole, first, size in ((5, 11, 2, 7), (64, 16, 0, 16), (1, 4, 0, 4)):
        index, weight = bilinear(side, whole, first, size)
        assert index.shape == weight.shape and np.allclose(weight.sum(1), 1)
        assert index.min() >= 0 and index.max() < side
