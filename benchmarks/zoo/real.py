"""Trained models and photographs (see ``packages.py`` for where they come from)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from PIL import Image

from . import mobile, packages, unpickle

PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")

# Of the Lite family: inputs run from -1 to 1, not by the statistics of ImageNet.
MEAN, STD = 127.0, 128.0


def efficientnet_lite0() -> Any:
    """EfficientNet-Lite0 trained on ImageNet (about 75 % top-1), built from its checkpoint."""
    weights = unpickle.state_dict(packages.path("efficientnet-lite0-57934424.pth"))
    return mobile.efficientnet_lite0(weights)


def ocr(part: str) -> Any:
    """A network of PP-OCRv4: ``"detection"``, ``"recognition"`` or ``"direction"``."""
    name = {
        "detection": "ch_PP-OCRv4_det_infer.onnx",
        "recognition": "ch_PP-OCRv4_rec_infer.onnx",
        "direction": "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    }[part]
    return onnx.load(packages.path(name))


def magika() -> Any:
    """Magika standard v3.3: what kind of file these bytes are."""
    return onnx.load(packages.path("model.onnx"))


def basic_pitch() -> Any:
    """Basic Pitch: which notes sound in two seconds of audio."""
    return onnx.load(packages.path("nmp.onnx"))


def silero_vad(part: str = "") -> Any:
    """Silero VAD 6: whether somebody speaks in a piece of audio, with a state from call to call.

    ``""`` takes both sample rates, by an ``If`` over its input ``sr``; ``"16k_op15"`` is the one
    for 16 kHz, with ``If`` s over shapes; ``"16k_sequence"`` takes any number of pieces at once.
    """
    return onnx.load(packages.path(f"silero_vad_{part}.onnx" if part else "silero_vad.onnx"))


def class_names() -> list[str]:
    """The 1000 names of ImageNet's classes."""
    names = json.loads(packages.path("imagenet1k_label_to_names.json").read_text("utf-8"))
    return [names[str(k)].split(",")[0] for k in range(1000)]  # the first of several synonyms


def photo(name: str) -> Image.Image:
    """One of the photographs of scikit-image as RGB."""
    return Image.open(packages.path(name)).convert("RGB")


def pixels(image: Image.Image, size: int = 224, crop: float = 0.875) -> np.ndarray:
    """A photograph as the Lite family wants it: [1, 3, size, size] f32.

    The shorter side is scaled to ``size / crop``, the middle square is cut out (the protocol of
    ImageNet's validation).
    """
    scale = round(size / crop) / min(image.size)
    width, height = (max(size, round(s * scale)) for s in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    data = np.asarray(image.crop((left, top, left + size, top + size)), np.float32)
    return np.ascontiguousarray(((data - MEAN) / STD).transpose(2, 0, 1)[None])


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
