"""Pipelines of scikit-learn, as skl2onnx exports them (``tools/export_sklearn.py``): their models,
data, and what ONNX Runtime gives."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from support.against_ort import ort

FOLDER = Path(__file__).parent.parent / "models" / "sklearn"
NAMES = sorted(path.stem for path in FOLDER.glob("*.onnx"))
ROWS = 33


@cache
def pipeline(name: str) -> onnx.ModelProto:
    return onnx.load(FOLDER / f"{name}.onnx")


def thresholds(proto: onnx.ModelProto) -> np.ndarray:
    """Numbers that decide something in a pipeline: those of its trees, and some around 0."""
    found = [
        value
        for node in proto.graph.node
        for a in node.attribute
        if a.name in ("nodes_values", "offset")
        for value in a.floats
    ]
    return np.array([*found, *np.linspace(-3, 9, 40)], np.float32)


def data(name: str, rows: int = ROWS) -> np.ndarray:
    """Rows around what decides, some exactly there; missing numbers where the model knows them."""
    proto = pipeline(name)
    features = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    rng = np.random.default_rng(rows)
    x = rng.choice(thresholds(proto), (rows, features))
    near = (x * (1 + rng.normal(size=x.shape) / 8)).astype(np.float32)
    x = np.where(rng.uniform(size=x.shape) < 0.3, x, near)
    if name.startswith(("histogram", "imputed")):
        x = np.where(rng.uniform(size=x.shape) < 0.2, np.float32(np.nan), x)
    return np.floor(x) if name == "columns" else x


def expected(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
    """What ONNX Runtime gives, by output: labels as they are, maps as rows."""
    proto = pipeline(name)
    results = ort(proto, {"X": x})
    found: dict[str, np.ndarray] = {}
    for output, result in zip(proto.graph.output, results):
        if isinstance(result, list):
            result = np.array([list(row.values()) for row in result], np.float32)
        found[output.name] = result
    return found


def check(name: str, got: dict[str, np.ndarray], labels: Any, x: np.ndarray) -> None:
    want = expected(name, x)
    assert list(got) == list(want)
    for output, e in want.items():
        g = got[output]
        assert g.shape == e.shape
        if e.dtype == object:
            np.testing.assert_array_equal(np.array(labels[output], object)[g], e)
        elif e.dtype == np.int64:
            np.testing.assert_array_equal(g, e)
        else:
            np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-5)
