"""Pipelines of scikit-learn beside ONNX Runtime: the same labels, and numbers within 1e-5."""

from __future__ import annotations

import warnings

import pytest
import weft
from support.pipelines import NAMES, ROWS, check, data, pipeline
from weft.compiler.frontends.onnx.importer import ModelWarning
from weft.runtime.devices.probe import probe


def compiled(name: str, target: str, rows: int) -> weft.Executable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)  # of maps and of strings
        features = data(name, 1).shape[1]
        return weft.compile(pipeline(name), target=target, shapes={"X": (rows, features)})


def test_all_are_here() -> None:
    assert len(NAMES) == 11


@pytest.mark.parametrize("rows", [ROWS, 1])
@pytest.mark.parametrize("name", NAMES)
def test_on_a_processor(name: str, rows: int) -> None:
    exe, x = compiled(name, "llvm", rows), data(name, rows)
    check(name, exe.run({"X": x}), exe.labels, x)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["opencl", "opengl", "webgpu -fallback=none"])
@pytest.mark.parametrize("name", ["gradient_boosting_binary", "histogram"])
def test_on_devices(name: str, target: str) -> None:
    found = probe(target.split(maxsplit=1)[0])
    if not found.ok:
        pytest.skip(f"{found.reason} ({found.hint})")
    exe, x = compiled(name, target, 9), data(name, 9)
    check(name, exe.run({"X": x}), exe.labels, x)
