"""Neural networks: layers as a :class:`FileModel`.

Up to specification 3 every tensor has five axes, [sequence, batch, channels, height, width], and
inputs [C] and [C, H, W] become [1, 1, C, 1, 1] and [1, 1, C, H, W]. From 4 on a network says
whether its inputs are as they are described instead. An image is [1, C, H, W]: see ``features.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....runtime.dtype import DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ..model import FileModel, FileNode
from ..signature import SymbolicType
from .features import Features, channels, image_type
from .nn_ends import INPUT, LABELS, OUTPUT
from .weights import StoredWeights

RANK5 = 0  # of both kinds of mapping
# A network computes in float32, whatever its arrays are: those of doubles are float32 here.
_ARRAYS = {0x10000 | 32: "float32", 0x10000 | 64: "float32", 0x20000 | 32: "int32",
           0x20000 | 8: "int8", 0x10000 | 16: "float16"}  # fmt: skip
_CONTROL = ("branch", "loop", "loopBreak", "loopContinue")


def network_model(model: Any, kind: str, file: str, shapes: Mapping[str, Any]) -> FileModel:
    """What a file with a neural network says; ``shapes`` are those that a caller asks for. Raises
    :class:`ModelError`."""
    network, features = getattr(model, kind), Features.of(model.description, "", file)
    steps: dict[str, list[Any]] = {}
    for step in network.preprocessing:
        # One without a name is about the only image.
        name = step.featureName or next(iter(features.images), "")
        steps.setdefault(name, []).append(step)
    inputs: dict[str, SymbolicType] = {}
    nodes: list[FileNode] = []
    for name, t in features.inputs.items():
        where = f"{file}, input {name!r}"
        attrs: dict[str, Any] = {"preprocessing": tuple(steps.pop(name, ()))}
        if t.HasField("imageType"):
            image = t.imageType
            dims = _image_dims(name, image)
            inputs[name] = image_type(image, dims)
            attrs["image"] = image
            if network.imageInputShapeMapping == RANK5:
                attrs["five"] = True
        else:
            inputs[name], five = _array(name, t, network, shapes.get(name), where)
            if five is not None:
                attrs["shape"] = five
        nodes.append(FileNode(INPUT, name, (name,), (f"{name}\0",), attrs))
    if steps:
        raise ModelError(f"there is no input {next(iter(steps))!r} to preprocess.", where=file)
    made = {name: f"{name}\0" for name in inputs}  # what a name stands for, so far
    for k, layer in enumerate(network.layers):
        nodes.append(_layer(layer, k, made, file))
    layers = [(n.name, told) for n in nodes if (told := n.attrs.get("layer")) is not None]
    outputs, ends = _outputs(network, kind, features, made, file)
    version = model.specificationVersion
    names = {"neuralNetwork": "network", "neuralNetworkClassifier": "classifier",
             "neuralNetworkRegressor": "regressor"}  # fmt: skip
    return FileModel(
        f"Core ML {names[kind]}, specification {version}", file, names[kind], inputs, outputs,
        [*nodes, *ends], StoredWeights(layers), features.producer, features.metadata, features,
    )  # fmt: skip


def _layer(layer: Any, k: int, made: dict[str, str], file: str) -> FileNode:
    """A layer as a node. A name may be made again, by a ``copy``: it then stands for that."""
    told = [(f.name, value) for f, value in layer.ListFields() if f.number >= 100]
    kind, params = told[0] if told else ("no layer that weft knows", None)
    name = layer.name or f"layer {k}"
    inputs = tuple(str(made.get(i, i)) for i in layer.input)
    outputs = []
    for o in layer.output:
        again = o in made
        outputs.append(f"{o}\0{k}" if again else o)
        if again and kind != "copy":
            raise ModelError(f"layer {name!r} makes {o!r} again.", where=file)
    made.update(zip(layer.output, outputs))
    return FileNode(kind, name, inputs, tuple(outputs), {"layer": params})


def _image_dims(name: str, image: Any) -> tuple[int | str, ...]:
    height: int | str = image.height
    width: int | str = image.width
    if image.HasField("enumeratedSizes"):
        height, width = f"{name}.2", f"{name}.3"
    elif image.HasField("imageSizeRange"):
        height = _extent(image.imageSizeRange.heightRange, f"{name}.2")
        width = _extent(image.imageSizeRange.widthRange, f"{name}.3")
    return 1, channels(image), height, width


def _extent(size: Any, name: str) -> int | str:
    return size.lowerBound if size.lowerBound == size.upperBound else name


def _array(
    name: str, t: Any, network: Any, asked: Any, where: str
) -> tuple[SymbolicType, tuple[int | str, ...] | None]:
    """The type of an input that is an array or a number; what it is among the layers, where they
    take five axes."""
    if t.HasField("doubleType") or t.HasField("int64Type"):
        kind = "float32" if t.HasField("doubleType") else "int64"
        dims: tuple[int | str, ...] = (1,)
        dtype: DType = dtype_of(kind)
    elif t.HasField("multiArrayType"):
        array = t.multiArrayType
        if array.dataType not in _ARRAYS:
            raise ModelError(f"there is no element type {array.dataType}.", where=where)
        dtype, dims = dtype_of(_ARRAYS[array.dataType]), _dims(name, array)
        if min((d for d in dims if isinstance(d, int)), default=0) < 0:
            raise ModelError(f"the shape {list(dims)} has a negative extent.", where=where)
    else:
        raise UnsupportedError("an input is a number, an array or an image in weft.", where=where)
    if network.arrayInputShapeMapping != RANK5:
        return SymbolicType(dtype, dims), None
    if len(dims) == 1:
        five: tuple[int | str, ...] = (1, 1, dims[0], 1, 1)
    elif len(dims) == 3:
        five = (1, 1, *dims)
    elif len(dims) == 5:
        five = dims
    else:
        raise ModelError(
            f"the input is {list(dims)}; a network of this kind takes [C] or [C, H, W].",
            where=where,
        )
    if isinstance(asked, Sequence) and len(asked) == 5:  # a sequence or a batch
        dims = five = (int(asked[0]), int(asked[1]), *five[2:])
    return SymbolicType(dtype, dims), five


def _dims(name: str, array: Any) -> tuple[int | str, ...]:
    if array.HasField("enumeratedShapes"):
        shapes = [tuple(s.shape) for s in array.enumeratedShapes.shapes] or [tuple(array.shape)]
        if len({len(s) for s in shapes}) > 1:
            raise UnsupportedError(f"the input {name!r} may have several numbers of axes.")
        return tuple(
            e[0] if len(set(e)) == 1 else f"{name}.{k}"
            for k, e in enumerate(zip(*shapes, strict=True))
        )
    if array.HasField("shapeRange"):
        sizes = array.shapeRange.sizeRanges
        return tuple(_extent(s, f"{name}.{k}") for k, s in enumerate(sizes))
    return tuple(array.shape)


def _outputs(
    network: Any, kind: str, features: Features, made: Mapping[str, str], file: str
) -> tuple[dict[str, str], list[FileNode]]:
    """The outputs of the description, and the nodes that they take behind the layers."""
    results: dict[str, str] = {}
    ends: list[FileNode] = []
    said = {features.label, features.probabilities} - {""}
    if kind == "neuralNetworkClassifier":
        labels = tuple(network.stringClassLabels.vector) or tuple(network.int64ClassLabels.vector)
        source = network.labelProbabilityLayerName
        if not source and network.layers and network.layers[-1].output:
            source = network.layers[-1].output[0]
        pair = ("label\0", "probabilities\0")
        ends.append(FileNode(
            LABELS, "labels", (made.get(source, source),), pair, {"labels": labels}
        ))  # fmt: skip
        results |= zip((features.label, features.probabilities), pair)
        results.pop("", None)
    for name, t in features.outputs.items():
        if name in said and name in results:
            continue
        shape = tuple(t.multiArrayType.shape)
        if any(d < 0 for d in shape):
            raise ModelError(f"the output {name!r} has a negative extent.", where=file)
        end = f"{name}\0out"
        ends.append(FileNode(OUTPUT, name, (made.get(name, name),), (end,), {"shape": shape}))
        results[name] = end
    return {k: results[k] for k in features.outputs if k in results}, ends


__all__ = ["network_model"]
