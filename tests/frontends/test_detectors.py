"""Heads of detectors, with the suppression of boxes in the graph, against ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx.helper import make_node
from support.against_ort import same_on
from support.sized_models import FLOAT, LONG, model_of

TARGETS = ("llvm", "opencl", "webgpu", "wasm", "webgl")
IOU = np.array([0.5], np.float32)


def yolo(classes: int, anchors: int, most: int) -> onnx.ModelProto:
    """Raw [1, 4 + classes, anchors] with boxes as centres and extents, and classes as logits, to
    rows (box, score, class) of all that are left, and the ten best of them."""
    nodes = [
        make_node("Split", ["raw", "parts"], ["xywh", "logits"], axis=1),
        make_node("Transpose", ["xywh"], ["turned"], perm=[0, 2, 1]),
        make_node("Split", ["turned"], ["xy", "wh"], axis=2),
        make_node("Mul", ["wh", "half"], ["reach"]),
        make_node("Sub", ["xy", "reach"], ["first"]),
        make_node("Add", ["xy", "reach"], ["last"]),
        make_node("Concat", ["first", "last"], ["boxes"], axis=2),
        make_node("Sigmoid", ["logits"], ["scores"]),
        make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["chosen"]),
        make_node("GatherND", ["scores", "chosen"], ["score"]),
        make_node("Gather", ["chosen", "ends"], ["places"], axis=1),
        make_node("GatherND", ["boxes", "places"], ["box"]),
        make_node("Gather", ["chosen", "ints1"], ["class"], axis=1),
        make_node("Cast", ["class"], ["number"], to=FLOAT),
        make_node("Unsqueeze", ["score", "ints1"], ["column"]),
        make_node("Concat", ["box", "column", "number"], ["found"], axis=1),
        make_node("Shape", ["score"], ["count"]),
        make_node("Min", ["count", "ints10"], ["k"]),
        make_node("TopK", ["score", "k"], ["best", "order"], axis=0),
        make_node("Gather", ["found", "order"], ["top"], axis=0),
    ]
    return model_of(
        nodes,
        {"raw": (FLOAT, [1, 4 + classes, anchors])},
        {"found": FLOAT, "top": FLOAT, "chosen": LONG},
        parts=np.array([4, classes]), half=np.float32(0.5), most=np.array([most]), iou=IOU,
        least=np.array([0.25], np.float32), ends=np.array([0, 2]),
    )  # fmt: skip


def raw(classes: int, anchors: int, shift: float) -> np.ndarray:
    """Boxes over a picture of 100 by 100; of logits beyond ``shift``, few or many pass."""
    rng = np.random.default_rng(int(shift) + 50)
    boxes = rng.random((4, anchors)) * [[100], [100], [40], [40]] + [[0], [0], [1], [1]]
    logits = rng.standard_normal((classes, anchors)) + shift
    return np.concatenate([boxes, logits]).astype(np.float32)[None]


@pytest.mark.parametrize("target", TARGETS)
def test_the_head_of_yolo(target):
    feeds = ({"raw": raw(7, 131, shift)} for shift in (-2, 2, -30))
    same_on(target, yolo(7, 131, 20), *feeds)


def ssd(classes: int, priors: int) -> onnx.ModelProto:
    """Offsets [1, priors, 4] and logits [1, priors, classes] of priors that are constants, decoded
    (Liu et al., SSD, 2016, §2.2) and cut to the picture; per class, without the background, what
    is likely enough is chosen before boxes suppress one another, and put together again."""
    rng = np.random.default_rng(5)
    centres = rng.random((priors, 2)).astype(np.float32)
    extents = (rng.random((priors, 2)) * 0.3 + 0.05).astype(np.float32)
    nodes = [
        make_node("Squeeze", ["offsets", "ints0"], ["deltas"]),
        make_node("Split", ["deltas"], ["shift", "growth"], axis=1),
        make_node("Mul", ["shift", "tenth"], ["shift2"]),
        make_node("Mul", ["shift2", "extents"], ["shift3"]),
        make_node("Add", ["shift3", "centres"], ["centre"]),
        make_node("Mul", ["growth", "fifth"], ["growth2"]),
        make_node("Exp", ["growth2"], ["growth3"]),
        make_node("Mul", ["growth3", "extents"], ["extent"]),
        make_node("Mul", ["extent", "half"], ["reach"]),
        make_node("Sub", ["centre", "reach"], ["first"]),
        make_node("Add", ["centre", "reach"], ["last"]),
        make_node("Concat", ["first", "last"], ["loose"], axis=1),
        make_node("Clip", ["loose", "zero", "one"], ["boxes"]),
        make_node("Softmax", ["logits"], ["likely"], axis=2),
        make_node("Squeeze", ["likely", "ints0"], ["table"]),
    ]
    parts: dict[str, list[str]] = {"box": [], "score": [], "label": []}
    for c in range(1, classes):
        names = {n: f"{n}{c}_" for n in ("s", "m", "w", "line", "cs", "cb", "sel", "keep", "n")}
        nodes += [
            make_node("Gather", ["table", f"int{c}"], [names["s"]], axis=1),
            make_node("Greater", [names["s"], "least"], [names["m"]]),
            make_node("NonZero", [names["m"]], [names["w"]]),
            make_node("Squeeze", [names["w"], "ints0"], [names["line"]]),
            make_node("Gather", [names["s"], names["line"]], [names["cs"]], axis=0),
            make_node("Gather", ["boxes", names["line"]], [names["cb"]], axis=0),
            make_node("Unsqueeze", [names["cb"], "ints0"], [f"b3_{c}"]),
            make_node("Unsqueeze", [names["cs"], "both"], [f"s3_{c}"]),
            make_node("NonMaxSuppression", [f"b3_{c}", f"s3_{c}", "most", "iou"], [names["sel"]]),
            make_node("Gather", [names["sel"], "int2"], [names["keep"]], axis=1),
            make_node("Gather", [names["cb"], names["keep"]], [f"box{c}"], axis=0),
            make_node("Gather", [names["cs"], names["keep"]], [f"score{c}"], axis=0),
            make_node("Shape", [f"score{c}"], [names["n"]]),
            make_node("Expand", [f"int{c}", names["n"]], [f"label{c}"]),
        ]
        for part, made in parts.items():
            made.append(f"{part}{c}")
    nodes += [make_node("Concat", made, [f"{part}s"], axis=0) for part, made in parts.items()]
    return model_of(
        nodes,
        {"offsets": (FLOAT, [1, priors, 4]), "logits": (FLOAT, [1, priors, classes])},
        {"boxs": FLOAT, "scores": FLOAT, "labels": LONG},
        centres=centres, extents=extents, tenth=np.float32(0.1), fifth=np.float32(0.2),
        half=np.float32(0.5), one=np.float32(1), least=np.float32(0.3), most=np.array([9]),
        iou=IOU, both=np.array([0, 1]),
    )  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_the_head_of_ssd(target):
    rng = np.random.default_rng(6)
    feeds = [{"offsets": rng.standard_normal((1, 77, 4)).astype(np.float32),
              "logits": (rng.standard_normal((1, 77, 4)) * spread).astype(np.float32)}
             for spread in (3, 0.1)]  # fmt: skip
    same_on(target, ssd(4, 77), *feeds)
