"""A small model with a known answer: is an image red, green or blue?"""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image as PIL
from weft.benchmarks.zoo.builder import Net
from weft.compiler.web.process import Image

LABELS = ("red", "green", "blue")
SIDE = 16

needs_emscripten = pytest.mark.skipif(
    shutil.which("emcc") is None, reason="no Emscripten is installed (apt-get install emscripten)"
)


def model():
    """[1, 3, 16, 16] to three scores, by a hidden layer of which three columns count."""
    rng = np.random.default_rng(5)
    n = Net("colours")
    n.input("image", [1, 3, SIDE, SIDE])
    hidden = rng.standard_normal((3 * SIDE * SIDE, 64)).astype(np.float32)
    hidden[:, :3] = np.repeat(np.eye(3, dtype=np.float32), SIDE * SIDE, 0) * (8 / SIDE / SIDE)
    hidden[:, :3] *= rng.uniform(0.9, 1.1, (len(hidden), 1))  # numbers that codings must round
    last = np.zeros((64, 3), np.float32)
    last[:3] = np.eye(3)
    flat = n.op("Flatten", "image")
    y = n.op("MatMul", n.op("MatMul", flat, n.const(hidden)), n.const(last))
    return n.build(y, names=["scores"])


IMAGE = Image(mean=0.5, std=0.5)


def png(colour, size=(60, 40)) -> dict:
    """A PNG of one colour, as Playwright takes a file."""
    data = io.BytesIO()
    PIL.new("RGB", size, colour).save(data, "PNG")
    return {"name": "image.png", "mimeType": "image/png", "buffer": data.getvalue()}
