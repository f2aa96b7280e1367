"""Trained TensorFlow Lite models, and what they are asked: the same for the judge, in whose
environment weft is not, and for the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "data"
FETCHED = Path(__file__).resolve().parents[2] / "build" / "models"
SAMPLES = 512  # numbers kept of a result


@dataclass(frozen=True)
class Case:
    """One model: where it is, the photograph that it is shown beside noise, and the range of its
    pixels; ``fetched`` is out of a package."""

    file: str
    fetched: bool = True
    photo: str = ""
    low: float = 0.0
    high: float = 1.0
    compiled: bool = True  # others are computed with the operators' references, which is quicker

    @property
    def name(self) -> str:
        """For tests and answers."""
        return Path(self.file).stem

    @property
    def path(self) -> Path:
        """Where the file is once packages are there."""
        return (FETCHED if self.fetched else DATA) / self.file


FACE = "astronaut.png"
CASES = (
    Case("face_detection_short_range.tflite", photo=FACE, low=-1.0),
    Case("face_detection_full_range.tflite", photo=FACE, low=-1.0, compiled=False),
    Case("face_detection_full_range_sparse.tflite", photo=FACE, low=-1.0),
    Case("selfie_segmentation.tflite", photo=FACE, compiled=False),
    Case("selfie_segmentation_landscape.tflite", photo=FACE),
    Case("nmp.tflite"),
    Case("mlcommons-tiny/pretrainedResnet.tflite", False, "chelsea.png", 0, 255, False),
    Case("mlcommons-tiny/pretrainedResnet_quant.tflite", False, "chelsea.png", -128.0, 127.0),
    Case("mlcommons-tiny/kws_ref_model_float32.tflite", False),
    Case("mlcommons-tiny/kws_ref_model.tflite", False),
    Case("coral/bodypix_mobilenet_v1_075_per_tensor_quant.tflite", False, FACE, high=255.0),
)


def noise(shape, dtype) -> np.ndarray:
    """Numbers of all sizes that the type has; floats in [0, 1)."""
    rng = np.random.default_rng(17)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.random(shape, np.float32).astype(dtype)
    most = np.iinfo(dtype)
    return rng.integers(most.min, most.max, shape, dtype, endpoint=True)


def picture(pixels: np.ndarray, case: Case, shape, dtype) -> np.ndarray:
    """A photograph [height, width, 3] as the model's input: each pixel the nearest one."""
    _, tall, broad, _ = shape
    rows = np.arange(tall) * pixels.shape[0] // tall
    columns = np.arange(broad) * pixels.shape[1] // broad
    x = pixels[rows][:, columns, :3].astype(np.float32) / 255
    x = x * (case.high - case.low) + case.low
    if np.dtype(dtype).kind != "f":
        x = np.rint(x)
    return x.astype(dtype)[None]


def sampled(result: np.ndarray) -> np.ndarray:
    """At most :data:`SAMPLES` numbers of a result, from all over it."""
    flat = np.ascontiguousarray(result).reshape(-1)
    return flat[:: -(-flat.size // SAMPLES)] if flat.size > SAMPLES else flat


def pack(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep many small arrays in one file, as one block, which takes less than a member each."""
    listed = [(k, str(a.dtype), a.shape) for k, a in arrays.items()]
    data = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays.values())
    index = np.frombuffer(json.dumps(listed).encode(), np.uint8)
    np.savez_compressed(path, index=index, data=np.frombuffer(data, np.uint8))


def packed(path: Path) -> dict[str, np.ndarray]:
    """What :func:`pack` keeps."""
    with np.load(path) as file:
        listed, data = json.loads(file["index"].tobytes()), file["data"].tobytes()
    found, at = {}, 0
    for name, dtype, shape in listed:
        count = int(np.prod(shape))
        found[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += found[name].nbytes
    return found
