"""Trained models with real input for each: what tests of several targets run.

The third network of the character recogniser, which tells which way a line is up, has no kind of
node, window or stride that these have not got; it runs on the processor alone (``test_trained``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import weft
from weft.benchmarks.zoo import real, uses

Job = tuple[Any, dict[str, np.ndarray]]


def _line() -> Job:
    x = uses.line_pixels(uses.draw_line("Woven 2026"), 160)
    return real.ocr("recognition"), {"x": x}


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
    "ocr recognition": _line,
    "magika": _kind,
    "basic_pitch": _chord,
}
