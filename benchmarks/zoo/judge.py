"""ONNX Runtime as the judge of whole models, and the one definition of agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...compiler.check.tolerances import of_models
from ...ir.target import Target

TOLERANCE = of_models(Target.parse("llvm")).rtol


def reference(
    model: Any, feed: Mapping[str, np.ndarray], threads: int = 1
) -> dict[str, np.ndarray]:
    """The outputs by name that ONNX Runtime computes on the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # some published models hold unused initialisers
    providers = ["CPUExecutionProvider"]
    session: Any = ort.InferenceSession(model.SerializeToString(), options, providers=providers)
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed))))


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """max|a - b| / max|b| of one output; infinite where shapes differ or one has a NaN."""
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    if not theirs.size:
        return 0.0
    scale = float(np.abs(theirs).max())
    gap = float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max())
    return gap / scale if scale else gap


def same_top(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether the largest entry along the last axis is the same everywhere, a tie that is closer
    than the tolerance being no difference."""
    mine = ours.argmax(-1)[..., None]
    best = theirs.max(-1, keepdims=True)
    picked = np.take_along_axis(theirs, mine, -1)
    return bool((best - picked <= TOLERANCE * np.abs(theirs).max()).all())
