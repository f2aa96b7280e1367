"""How near weft is to a format's own runtime on the files that ``docs/FORMATS.md`` lists.

Every test of such a file says it through :func:`near`, which judges it. ``make docs`` runs these
tests (``-m parity``) with ``WEFT_PARITY`` naming a file for what they found, and writes the table;
otherwise :func:`near` also sees that the table has a row for the file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "FORMATS.md"
LIMIT = 1e-4  # of the largest element


def error_of(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference of two arrays, relative to the largest element; of integers, in steps
    (0: equal). Judges may hold integers in other widths, as TensorFlow.js does."""
    assert got.shape == want.shape and got.dtype.kind == want.dtype.kind
    if got.dtype.kind != "f":
        return float(np.max(np.abs(got.astype(np.int64) - want.astype(np.int64)), initial=0))
    assert np.isfinite(got).all() == np.isfinite(want).all()
    return float(
        np.max(np.abs(got - want), initial=0) / max(np.max(np.abs(want), initial=0), 1e-30)
    )


def near(
    format: str,
    file: str,
    judge: str,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    limit: float = LIMIT,
) -> None:
    """Assert that results are those of ``judge``: ``pairs`` of weft's and its. Integers are equal,
    but for ``limit`` steps where that is 1 or more."""
    errors = [(error_of(g, w), g.dtype.kind == "f") for g, w in pairs]
    assert errors
    for error, floats in errors:
        assert error <= (limit if floats or limit >= 1 else 0), f"{file}: {error:.2e}"
    worst = max(e for e, _ in errors)
    exact = not any(floats for _, floats in errors)
    record = os.environ.get("WEFT_PARITY")
    if record:
        row = {"format": format, "file": file, "judge": judge, "error": worst, "exact": exact}
        with open(record, "a") as f:
            f.write(json.dumps(row) + "\n")
    else:
        assert f"| {format} | {file} | {judge} |" in _document(), f"make docs: no row for {file}"


@cache
def _document() -> str:
    return DOCUMENT.read_text("utf-8")
