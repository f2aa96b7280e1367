"""What a model's description says of its inputs and outputs, and who made it.

An image is a tensor of uint8, [1, channels, height, width], whose channels are in the order that
the description has (RGB, BGR, or one of grey): what Core ML takes out of a pixel buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....runtime.dtype import FLOAT16, UINT8
from ....runtime.errors import ModelError
from ..signature import SymbolicType

_HALF = 0x10000 | 16  # ArrayDataType.FLOAT16
_GRAY, _RGB, _BGR, _GRAY16 = 10, 20, 30, 40
_COLOURS = {_GRAY: "grayscale", _RGB: "RGB", _BGR: "BGR", _GRAY16: "grayscale, float16"}
_MADE_BY = "com.github.apple.coremltools."


@dataclass(frozen=True)
class Features:
    """The description of one function.

    Attributes
    ----------
    images : inputs that are images, to their ``ImageFeatureType``.
    halves : outputs that are float16.
    label, probabilities : the outputs of a classifier, "" where it is none.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    images: Mapping[str, Any]
    halves: frozenset[str]
    label: str
    probabilities: str
    producer: str
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, description: Any, function: str, file: str) -> Features:
        """What the description says of a function, or of the model where it has but one."""
        about = next((f for f in description.functions if f.name == function), description)
        inputs = {i.name: i.type for i in about.input}
        outputs = {o.name: o.type for o in about.output}
        if len(inputs) < len(about.input) or len(outputs) < len(about.output):
            raise ModelError("the description names an input or an output twice.", where=file)
        images = {k: t.imageType for k, t in inputs.items() if t.HasField("imageType")}
        halves = {k for k, t in outputs.items() if t.multiArrayType.dataType == _HALF}
        notes = dict(description.metadata.userDefined)
        metadata = {f"coreml.image.{k}": colours(t, file) for k, t in images.items()}
        for key in ("shortDescription", "versionString", "author", "license"):
            if getattr(description.metadata, key):
                metadata[key] = getattr(description.metadata, key)
        metadata |= {k: v for k, v in notes.items() if not k.startswith(_MADE_BY)}
        version = notes.get(f"{_MADE_BY}version", "")
        source = notes.get(f"{_MADE_BY}source", "")
        producer = f"coremltools {version}" + (f" from {source}" if source else "")
        return cls(
            inputs, outputs, images, frozenset(halves), about.predictedFeatureName,
            about.predictedProbabilitiesName, producer if version else "", metadata,
        )  # fmt: skip


def colours(image: Any, where: str) -> str:
    """What the channels of an image are. Raises :class:`ModelError`."""
    if image.colorSpace not in _COLOURS:
        raise ModelError(f"there is no colour space {image.colorSpace}.", where=where)
    return _COLOURS[image.colorSpace]


def channels(image: Any) -> int:
    """How many channels an image has."""
    return 3 if image.colorSpace in (_RGB, _BGR) else 1


def image_type(image: Any, dims: tuple[int | str, ...] | None) -> SymbolicType:
    """The type of an input that is an image, of the extents that the network takes."""
    return SymbolicType(FLOAT16 if image.colorSpace == _GRAY16 else UINT8, dims)


__all__ = ["Features", "channels", "colours", "image_type"]
