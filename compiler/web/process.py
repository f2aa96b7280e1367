"""Pre- and post-processing as part of the model: a page sends raw pixels and gets classes.

Plain transformations of graphs, so that every target runs them as it runs the model itself:

    uint8 [1, S, S, 4] RGBA ─ resize (bilinear) ─ centre crop ─ (x/255 - mean) / std ─ model
    model ─ softmax ─ top-k ─ scores f32 [1, k], classes i32 [1, k]
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...runtime.dtype import UINT8
from ...runtime.errors import InputError
from ..graph.builder import GraphBuilder
from ..graph.graph import Graph
from ..ops.image import UNROLLED_TAPS
from ..types import TensorType
from .images import CROP, check_pixels, covering, layout_of, mean_std

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as most image libraries
_LABEL_KEYS = ("labels", "classes", "class_names", "names")


@dataclass(frozen=True)
class Image:
    """How an image input is made of raw pixels.

    Attributes
    ----------
    mean, std : one number, or one for each channel, of pixels in 0..1. None: ImageNet's for three
        channels, 0 and 1 for one. An input of type uint8 gets pixels as they are.
    size : (height, width) that the model sees; only needed where the model leaves it open.
    canvas : side of the square of pixels that is sent; None: the least multiple of 32 from which
        nothing has to be enlarged.
    crop : part of the resized square that is kept, in the middle (the protocol of ImageNet's
        validation keeps 0.875).
    input : the model's input; may be left out when there is one.
    bgr : the model wants blue first.
    """

    mean: Sequence[float] | float | None = None
    std: Sequence[float] | float | None = None
    size: tuple[int, int] | None = None
    canvas: int | None = None
    crop: float = CROP
    input: str | None = None
    bgr: bool = False


@dataclass(frozen=True)
class Classes:
    """How scores become the best ``top`` classes.

    Attributes
    ----------
    softmax : None: unless the model ends with one (or with a sigmoid).
    output : the output with the scores [1, n]; may be left out when there is one.
    """

    top: int = 5
    softmax: bool | None = None
    output: str | None = None


# ---- pixels in ----------------------------------------------------------------------------------


def image_dims(dims: Sequence[int | str]) -> str | None:
    """``"NCHW"`` or ``"NHWC"`` when a shape can be that of one image, else None."""
    if len(dims) != 4 or (isinstance(dims[0], int) and dims[0] != 1):
        return None
    return layout_of(dims[1:])


def image_input(graph: Graph, image: Image) -> tuple[Graph, str, int]:
    """``graph`` with its image input replaced by raw pixels uint8 [1, S, S, 4].

    Returns the graph, the name of the new input (the old one's), and S.
    Raises :class:`InputError` when the input cannot be an image or the options do not fit it.
    """
    name = _only("input", image.input, graph.inputs, graph)
    model = graph.types[name]
    layout = image_dims(model.shape)
    if layout is None:
        raise InputError(
            f"the input {name!r} is {model}; an image is [1, C, H, W] or [1, H, W, C] with 1 or 3 "
            "channels.",
            where=graph.name,
            hint="bind its sizes with --shape, or leave the image options out",
        )
    channels, height, width = (model.shape[layout.index(axis)] for axis in "CHW")
    if image.size is not None and tuple(image.size) != (height, width):
        high, wide = image.size
        raise InputError(
            f"the image size {high}x{wide} does not fit the input {name!r}, which is {model}.",
            where=graph.name,
        )
    if not 0 < image.crop <= 1 or not (model.dtype.is_float or model.dtype == UINT8):
        what = f"crop={image.crop}" if model.dtype.is_float else f"an input of type {model.dtype}"
        raise InputError(f"{what} is not possible for an image.", where=graph.name)
    check_pixels(model.dtype, image.mean, image.std, graph.name)
    longer = max(height, width)
    whole, _ = covering((height, width), (longer, longer), image.crop)  # the square that is cut
    side = image.canvas or -(-whole // 32) * 32
    if side < 1:
        raise InputError(f"a canvas of {side} pixels is not possible.", where=graph.name)

    b = GraphBuilder.like(graph)
    b.types[name] = TensorType(UINT8, (1, side, side, 4))
    x = _pixels(b, name, side, channels, image.bgr)
    for axis, size in ((2, height), (3, width)):
        x = _resize(b, x, axis, side, whole, size)
    if model.dtype == UINT8:
        x = _add(b, "clip", [_add(b, "round", [x])], min=0.0, max=255.0)
    else:
        scale, shift = _normalisation(image, channels, graph.name)
        x = _add(b, "mul", [x, b.constant(scale, "pixel.scale")])
        x = _add(b, "add", [x, b.constant(shift, "pixel.shift")])
    if layout == "NHWC":
        x = _add(b, "transpose", [x], perm=(0, 2, 3, 1))
    if str(model.dtype) != "float32":
        x = _add(b, "cast", [x], to=str(model.dtype))
    for n in graph.nodes:
        inputs = tuple(x if i == name else i for i in n.inputs)
        b.nodes.append(n if inputs == n.inputs else replace(n, inputs=inputs))
    return b.finish(x if o == name else o for o in graph.outputs), name, side


def _pixels(b: GraphBuilder, name: str, side: int, channels: int, bgr: bool) -> str:
    """float32 [1, channels, side, side] in 0..255 of RGBA pixels."""
    shape, starts, steps = (1, side, side, 3), (0, 0, 0, 0), (1, 1, 1, 1)
    if bgr:
        starts, steps = (0, 0, 0, 2), (1, 1, 1, -1)
    x = _add(b, "slice", [name], starts=starts, shape=shape, steps=steps)
    x = _add(b, "cast", [x], to="float32")
    x = _add(b, "transpose", [x], perm=(0, 3, 1, 2))
    if channels == 1:
        weights = b.constant((GREY[::-1] if bgr else GREY).reshape(1, 3, 1, 1), "pixel.grey")
        x = _add(b, "reduce_sum", [_add(b, "mul", [x, weights])], axes=(1,), keepdims=True)
    return x


def _resize(b: GraphBuilder, x: str, axis: int, side: int, whole: int, size: int) -> str:
    """``side`` pixels resized to ``whole``, of which the middle ``size`` are kept. Bilinear; when
    the image shrinks, the triangle is as wide as needed for every pixel to count."""
    first = (whole - size) // 2
    if side == whole:
        starts, shape = [0] * 4, list(b.types[x].shape)
        starts[axis], shape[axis] = first, size
        return _add(b, "slice", [x], starts=tuple(starts), shape=tuple(shape))
    index, weight = bilinear(side, whole, first, size)
    op = "resample" if index.shape[1] <= UNROLLED_TAPS else "resample_sum"
    tables = [b.constant(index, "pixel.index"), b.constant(weight, "pixel.weight")]
    return _add(b, op, [x, *tables], axis=axis)


def bilinear(side: int, whole: int, first: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where outputs ``first`` … ``first + size`` of ``side`` resized to ``whole`` read: indices
    int32 and weights float32, each [size, taps]. Pixels are squares, their positions the centres.
    """
    stretch = max(side / whole, 1.0)
    at = (np.arange(first, first + size) + 0.5) * side / whole - 0.5
    taps = int(np.ceil(2 * stretch))
    index = np.floor(at - stretch).astype(np.int64)[:, None] + 1 + np.arange(taps)
    weight = np.maximum(1 - np.abs(index - at[:, None]) / stretch, 0)
    weight = np.where((index < 0) | (index >= side), 0, weight)  # nothing is outside
    weight /= weight.sum(1, keepdims=True)
    return np.clip(index, 0, side - 1).astype(np.int32), weight.astype(np.float32)


def _normalisation(image: Image, channels: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """``scale`` and ``shift`` with x * scale + shift = (x / 255 - mean) / std, [1, C, 1, 1]."""
    mean, std = mean_std(image.mean, image.std, channels, where)
    shape = (1, channels, 1, 1)
    scale, shift = 1 / (255 * std), -mean / std
    return scale.astype(np.float32).reshape(shape), shift.astype(np.float32).reshape(shape)


# ---- classes out --------------------------------------------------------------------------------


def class_output(graph: Graph, classes: Classes) -> tuple[Graph, str, str, int]:
    """``graph`` with its scores [1, n] (or [n]) replaced by the best of them.

    Returns the graph, the names of the scores float32 [1, k] and of the classes int32 [1, k]; n.
    Raises :class:`InputError` when the output is no row of scores.
    """
    name = _only("output", classes.output, graph.outputs, graph)
    t = graph.types[name]
    n = t.size
    if not t.dtype.is_float or n == 0 or t.shape[-1] != n:
        raise InputError(
            f"the output {name!r} is {t}; classes are made of one row of scores [1, n].",
            where=graph.name,
            hint="name another output, or leave the class options out",
        )
    if classes.top < 1:
        raise InputError(f"the best {classes.top} classes are none.", where=graph.name)
    b = GraphBuilder.like(graph, nodes=True)
    x = name
    if t.shape != (1, n):
        x = _add(b, "reshape", [x], shape=(1, n))
    if str(t.dtype) != "float32":
        x = _add(b, "cast", [x], to="float32")
    soft = classes.softmax
    if soft is None:
        soft = _made_by(graph, name) not in ("softmax", "sigmoid", "hard_sigmoid")
    if soft:
        x = _add(b, "softmax", [x], axis=-1)
    attrs = {"k": min(classes.top, n), "axis": -1}
    scores, index = b.add("top_k", [x], attrs, outputs=[b.fresh("top_scores")])
    (number,) = b.add("cast", [index], {"to": "int32"}, outputs=[b.fresh("top_classes")])
    outputs: list[str] = []
    for o in graph.outputs:
        outputs += [scores, number] if o == name else [o]
    return b.finish(outputs), scores, number, n


# ---- metadata of models -------------------------------------------------------------------------


def image_of(graph: Graph) -> Image | None:
    """What the model's metadata says of its image input: the keys of ONNX's MetadataProps.md."""
    nominal = graph.meta.get("Image.NominalPixelRange", "")
    ranges = {
        "NominalRange_0_255": (0.0, 1 / 255),
        "Normalized_0_1": (0.0, 1.0),
        "Normalized_1_1": (0.5, 0.5),
    }
    if nominal not in ranges:
        return None
    mean, std = ranges[nominal]
    bgr = graph.meta.get("Image.BitmapPixelFormat", "").startswith("Bgr")
    if any(graph.types[i].dtype == UINT8 for i in graph.inputs):  # gets pixels as they are
        return Image(bgr=bgr)
    return Image(mean, std, bgr=bgr)


def labels_of(graph: Graph) -> tuple[str, ...]:
    """Names of classes in the model's metadata: a list or a mapping from numbers, as JSON or as
    Python writes it, or one a line."""
    for key in _LABEL_KEYS:
        text = graph.meta.get(key, "").strip()
        if not text:
            continue
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            found = _names(value)
            if found:
                return found
        if "\n" in text:
            return tuple(text.splitlines())
    return ()


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        numbers = {str(k): v for k, v in value.items()}
        keys = [str(k) for k in range(len(numbers))]
        return tuple(str(numbers[k]) for k in keys) if set(keys) == set(numbers) else ()
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


# ---- helpers ------------------------------------------------------------------------------------


def _add(b: GraphBuilder, op: str, inputs: Sequence[str], **attrs: object) -> str:
    return b.add(op, inputs, attrs)[0]


def _made_by(graph: Graph, name: str) -> str:
    """The operator that computes ``name``, seen through those that only pass numbers on."""
    while (node := graph.producer.get(name)) is not None:
        if node.op not in ("identity", "reshape", "cast"):
            return node.op
        name = node.inputs[0]
    return ""


def _only(what: str, given: str | None, names: Sequence[str], graph: Graph) -> str:
    if given is None and len(names) == 1:
        return names[0]
    if given in names:
        return str(given)
    listed = ", ".join(names) or "none"
    problem = f"there is no {what} {given!r}" if given else f"the model has {len(names)} {what}s"
    raise InputError(f"{problem}.", where=graph.name, hint=f"name one of: {listed}")
