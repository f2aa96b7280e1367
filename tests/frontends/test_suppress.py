"""NonMaxSuppression against ONNX Runtime, on every target and with random data."""

import numpy as np
import pytest
import weft
from onnx import TensorProto, helper, numpy_helper
from support.against_ort import FLOAT, ort, value
from weft.runtime.devices.probe import probe
from weft.runtime.errors import ModelError, WeftError

LONG = TensorProto.INT64


def model(boxes, scores, most=None, overlap=None, least=None, fed=(), **attrs):
    """A model of one NonMaxSuppression; what is in ``fed`` is an input, the other numbers are
    constants, None is absent."""
    numbers = {"most": most, "overlap": overlap, "least": least}
    constants, names = [], ["boxes", "scores"]
    inputs = [value("boxes", boxes), value("scores", scores)]
    for name, number in numbers.items():
        kind, dtype = (LONG, np.int64) if name == "most" else (FLOAT, np.float32)
        names.append("" if number is None else name)
        if name in fed:
            inputs.append(value(name, [1], kind))
        elif number is not None:
            constants.append(numpy_helper.from_array(np.array([number], dtype), name))
    while not names[-1]:
        names.pop()
    node = helper.make_node("NonMaxSuppression", names, ["rows"], **attrs)
    graph = helper.make_graph([node], "g", inputs, [value("rows", [None, 3], LONG)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def same(proto, feed, target="llvm"):
    exe = weft.compile(proto, target, records=False)
    (got,), (want,) = exe.run(feed).values(), ort(proto, feed)
    np.testing.assert_array_equal(got, want)
    return len(want)


def data(rng, batch, classes, n, kind):
    """Boxes and scores: any, on a grid (equal parts overlap, some have no area), or clusters."""
    if kind == "grid":
        boxes, scores = (
            rng.integers(-2, 6, (batch, n, 4)) / 2,
            rng.integers(-2, 4, (batch, classes, n)),
        )
    elif kind == "clusters":
        middle = rng.uniform(0, 9, (batch, 1, 2)) + rng.integers(0, 3, (batch, n, 1)) * 5
        middle = middle + rng.normal(0, 0.2, (batch, n, 2))
        side = rng.uniform(0.5, 2, (batch, n, 2))
        boxes = np.concatenate([middle - side, middle + side], axis=-1)
        scores = rng.uniform(0, 1, (batch, classes, n))
    else:
        boxes, scores = rng.uniform(-2, 9, (batch, n, 4)), rng.normal(0, 1, (batch, classes, n))
    return boxes.astype(np.float32), scores.astype(np.float32)


@pytest.mark.parametrize("seed", range(24))
def test_random(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 15, 16, 17, 33, 257]))
    batch, classes = (int(k) for k in rng.integers(1, 4, 2))
    boxes, scores = data(rng, batch, classes, n, ("grid", "clusters", "any")[seed % 3])
    scores[rng.random(scores.shape) < 0.1] = -0.0
    scores[rng.random(scores.shape) < 0.05] = np.inf
    least = rng.choice([None, 0, 0.5, -1, -np.inf])
    if least is not None:
        scores[rng.random(scores.shape) < 0.1] = np.nan
        boxes[rng.random(boxes.shape) < 0.02] = np.nan
    proto = model(
        boxes.shape, scores.shape, int(rng.choice([1, 3, n, 1000])),
        rng.choice([0, 0.3, 0.5, 1]), least, center_point_box=seed // 3 % 2,
    )  # fmt: skip
    same(proto, {"boxes": boxes, "scores": scores})


@pytest.mark.parametrize("target", ["llvm", "opencl", "webgpu", "wasm", "webgl"])
def test_every_number_is_an_input(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    boxes, scores = data(np.random.default_rng(5), 2, 3, 37, "clusters")
    fed = ("most", "overlap", "least")
    proto = model(boxes.shape, scores.shape, 0, 0, 0, fed=fed)
    exe = weft.compile(proto, target, records=False)
    assert exe.outputs["rows"].shape == (2 * 3 * 37, 3)
    for most, overlap, least in (
        (3, 0.4, 0.2),
        (0, 0.4, 0.2),
        (-1, 1, 0),
        (99, 0, 0.9),
        (99, 1, 0),
    ):
        numbers = np.array([most]), *(np.array([v], np.float32) for v in (overlap, least))
        feed = {"boxes": boxes, "scores": scores, **dict(zip(fed, numbers))}
        np.testing.assert_array_equal(exe.run(feed)["rows"], ort(proto, feed)[0])


@pytest.mark.parametrize("numbers", [{}, {"overlap": 0.5}, {"most": 0}, {"most": -4}])
def test_none_is_chosen_without_a_number_of_boxes(numbers):
    boxes, scores = data(np.random.default_rng(3), 1, 2, 9, "any")
    assert same(model((1, 9, 4), (1, 2, 9), **numbers), {"boxes": boxes, "scores": scores}) == 0


def test_an_overlap_that_is_absent_is_0():
    boxes, scores = data(np.random.default_rng(3), 1, 2, 40, "clusters")
    feed = {"boxes": boxes, "scores": scores}
    found = same(model((1, 40, 4), (1, 2, 40), 9), feed)
    assert 0 < found < 18


@pytest.mark.parametrize("least", [None, 0.1])
@pytest.mark.parametrize("target", ["llvm", "opencl"])
def test_as_many_boxes_as_data_say(target, least):
    """Boxes of a first choice, by their score, are what the operator takes."""
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    proto = model((1, 30, 4), (1, 1, 30), 8, 0.3, least)
    graph, node = proto.graph, proto.graph.node[0]
    graph.initializer.append(numpy_helper.from_array(np.array([30]), "line"))
    graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    node.input[0], node.input[1] = "some_boxes", "some_scores"
    first = [
        helper.make_node("Reshape", ["scores", "line"], ["flat"]),
        helper.make_node("Greater", ["flat", "half"], ["wanted"]),
        helper.make_node("Compress", ["boxes", "wanted"], ["some_boxes"], axis=1),
        helper.make_node("Compress", ["scores", "wanted"], ["some_scores"], axis=2),
    ]
    del graph.node[:]
    graph.node.extend([*first, node])
    exe = weft.compile(proto, target, records=False)
    for seed in range(4):
        boxes, scores = data(np.random.default_rng(seed), 1, 1, 30, "clusters")
        scores *= seed / 3  # none, few, half of them
        feed = {"boxes": boxes, "scores": scores}
        np.testing.assert_array_equal(exe.run(feed)["rows"], ort(proto, feed)[0])


@pytest.mark.parametrize(
    "given, words",
    [
        ({"boxes": (1, 5, 3)}, "do not fit"),
        ({"boxes": (2, 5, 4)}, "do not fit"),
        ({"overlap": 1.5}, "not between 0 and 1"),
        ({"center_point_box": 2}, "it is 0 or 1"),
    ],
)
def test_what_is_wrong_is_said(given, words):
    all_of_it = {"boxes": (1, 5, 4), "scores": (1, 2, 5), "most": 3, "overlap": 0.5, **given}
    with pytest.raises(ModelError, match=words):
        weft.compile(model(**all_of_it))


def test_opengl_says_why_not():
    with pytest.raises(WeftError, match="statements of their own order"):
        weft.compile(model((1, 5, 4), (1, 2, 5), 3, 0.5), "opengl")
