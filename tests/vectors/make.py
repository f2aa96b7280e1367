"""Writes the test vectors beside this file: what Python says, for JavaScript to say too.

    python tests/vectors/make.py

``tests/js`` reads them; a test compares them with what this module would write now.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from weft.ir.layout import Layout
from weft.runtime import safetensors
from weft.runtime.errors import DeviceError
from weft.runtime.texture import from_texels, texture_shape, to_texels

HERE = Path(__file__).parent


def texture_shapes() -> list[dict[str, Any]]:
    """Shapes of textures, null where none fits."""
    cases = []
    for size in (0, 1, 4, 5, 16, 17, 63, 100, 1000, 150528, 802816, 2359296, 1 << 24, 1 << 29):
        for layers in (1, 2, 8):
            for limit in (64, 2048, 4096):
                try:
                    shape = list(texture_shape(size, layers, limit))
                except DeviceError:
                    shape = None
                cases.append({"size": size, "layers": layers, "limit": limit, "shape": shape})
    return cases


def texels() -> list[dict[str, Any]]:
    """The numbers 1, 2, … as texels, in the order of a texture's memory."""
    cases = []
    for size, layers in ((1, 1), (7, 1), (64, 1), (3, 2), (37, 2), (100, 4), (33, 8), (301, 8)):
        shape = texture_shape(size, layers, 4096)
        flat = np.arange(1, size + 1, dtype=np.float32)
        grid = to_texels(flat, shape, np.dtype(np.float32))
        assert (from_texels(grid, size) == flat).all()
        memory = grid.reshape(-1).astype(int).tolist()
        cases.append({"size": size, "shape": list(shape), "memory": memory})
    return cases


def layouts() -> list[dict[str, Any]]:
    """The numbers 1, 2, … packed."""
    made = [
        Layout.row_major((2, 3, 4)),
        Layout.parse("NCHW4c", (1, 6, 2, 3)),
        Layout.parse("NCHW16c", (2, 20, 3, 1)),
        Layout.parse("OIHW:OHWI4i2o", (5, 7, 2, 2)),
        Layout.row_major((7,)),
        Layout.from_text("[a1/4:2 a0:3 | a1:4]", (3, 6)),
        Layout.from_text("[a0/2:3 | a1/3:3 | a1:3 a0:2]", (5, 7)),
    ]
    cases = []
    for layout in made:
        size = int(np.prod(layout.shape, dtype=int))
        packed = layout.pack(np.arange(1, size + 1).reshape(layout.shape))
        flat = packed.reshape(-1).tolist()
        cases.append({"text": str(layout), "shape": list(layout.shape), "packed": flat})
    return cases


def roundings() -> list[dict[str, Any]]:
    """Bits of a float32, of the nearest float16, of the nearest bfloat16."""
    exact = [0.0, -0.0, 1.0, -2.5, 65504.0, 65519.0, 65520.0, 1e9, np.inf, -np.inf, 3.4e38]
    small = [6e-8, 5.9e-8, 2.98e-8, 2.981e-8, -1e-8, 6.1e-5, 6.097e-5, 1e-40, 1.4e-45]
    ties = [1 + 2**-11, 1 + 3 * 2**-11, 2**-14 - 2**-25, 1 + 2**-8, 1 + 3 * 2**-8, 2047.5]
    rng = np.random.default_rng(0)
    spread = rng.standard_normal(60) * 10.0 ** rng.integers(-9, 6, 60)
    values = np.array([*exact, *small, *ties, *spread], np.float32)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16).view(np.uint16)
    bfloats = values.astype(ml_dtypes.bfloat16).view(np.uint16)
    bits = values.view(np.uint32)
    return [
        {"float32": int(a), "float16": int(b), "bfloat16": int(c)}
        for a, b, c in zip(bits, halves, bfloats)
    ]


def shards() -> dict[str, Any]:
    """A file of all dtypes, what is in it, and files that are none."""
    tensors = {
        "f32": np.array([[1.5, -2], [3, 0.25]], np.float32),
        "f16": np.array([1.5, -0.1, 65504], np.float16),
        "bf16": np.array([1.5, -0.1, 3e38], ml_dtypes.bfloat16),
        "i8": np.array([[-127, 5, 100], [1, 2, 3]], np.int8),
        "i8#scale": np.array([[0.5], [0.25]], np.float32),
        "i64": np.array([-(1 << 40), 7], np.int64),
        "b": np.array([True, False, True]),
        "scalar": np.array(7.0, np.float64),
        "none": np.zeros((0, 3), np.int32),
    }
    good = b"".join(safetensors.chunks(tensors))

    def text(header: Any, data: bytes = b"") -> bytes:
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(raw)) + raw + data

    def one(**entry: Any) -> dict[str, Any]:
        return {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **entry}}

    bad = {
        "empty": b"",
        "short": good[:5],
        "header beyond the end": struct.pack("<Q", 1 << 60) + b"{}",
        "no JSON": text(b"<html>"),
        "unknown dtype": text(one(dtype="F8"), bytes(4)),
        "prototype dtype": text(one(dtype="toString"), bytes(4)),
        "negative": text(one(shape=[-1]), bytes(4)),
        "offsets beyond": text(one(data_offsets=[0, 8]), bytes(4)),
        "wrong size": text(one(shape=[2]), bytes(4)),
        "no offsets": text({"x": {"dtype": "F32", "shape": [1]}}, bytes(4)),
        "not a table": text([1, 2], bytes(4)),
        "null": text({"x": None}, bytes(4)),
        "truncated": good[:-4],
        "bytes after": good + b"more",
    }
    code = lambda raw: base64.b64encode(raw).decode()  # noqa: E731
    return {
        "good": code(good),
        "tensors": {
            k: {"shape": list(a.shape), "values": a.astype(float).reshape(-1).tolist()}
            for k, a in tensors.items()
        },
        "bad": {k: code(raw) for k, raw in bad.items()},
    }


FILES = {
    "texture_shapes": texture_shapes,
    "texels": texels,
    "layouts": layouts,
    "roundings": roundings,
    "safetensors": shards,
}


def text_of(name: str) -> str:
    """What the file of a vector should say; one case a line."""
    value = FILES[name]()
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]\n"
    return json.dumps(value, indent=1) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (HERE / f"{name}.json").write_text(text_of(name), encoding="utf-8")
