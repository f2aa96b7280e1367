"""Trained models as bundles in Chromium, on real input, every output against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import weft
from web.colours import needs_emscripten
from web.test_models import TOLERANCE, infer
from weft.benchmarks.zoo import judge, real, uses
from weft.compiler.bundle import bundle

pytestmark = [pytest.mark.slow, needs_emscripten]

Job = tuple[Any, dict[str, np.ndarray]]


def _line(part: str, width: int) -> Job:
    return real.ocr(part), {"x": uses.line_pixels(uses.draw_line("Woven 2026"), width)}


def _page() -> Job:
    line = np.asarray(uses.draw_line("Woven"), np.float32) / 255
    page = np.ones((96, 320, 3), np.float32)
    page[20 : 20 + line.shape[0], 10 : 10 + line.shape[1]] = line[:76, :310]
    x = ((page - 0.5) / 0.25).transpose(2, 0, 1)[None]
    return real.ocr("detection"), {"x": np.ascontiguousarray(x)}


def _kind() -> Job:
    data = (Path(weft.__file__).parent / "README.md").read_bytes()
    return real.magika(), {"bytes": uses.file_features(data)}


def _chord() -> Job:
    model = real.basic_pitch()
    return model, {model.graph.input[0].name: uses.recording([60, 64, 67])}


TRAINED: dict[str, Callable[[], Job]] = {
    "efficientnet_lite0": lambda: (
        real.efficientnet_lite0(),
        {"image": real.pixels(real.photo("chelsea.png"))},
    ),
    "ocr detection": _page,
    "ocr recognition": lambda: _line("recognition", 160),
    "ocr direction": lambda: _line("direction", 192),
    "magika": _kind,
    "basic_pitch": _chord,
}


@pytest.fixture(scope="module", params=TRAINED)
def made(request, tmp_path_factory):
    """A model's bundle, its inputs, and what ONNX Runtime says."""
    model, feed = TRAINED[request.param]()
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    bundle(model, folder, shapes={k: a.shape for k, a in feed.items()})
    return folder, feed, judge.reference(model, feed)


@pytest.mark.parametrize("backend", TOLERANCE)
def test_agrees_with_onnx_runtime(page, site, made, backend):
    assert infer(page, site, made, backend) <= TOLERANCE[backend]
