"""The JavaScript tests, run by Node; the vectors that they read are those that Python gives."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"

_spec = importlib.util.spec_from_file_location("make_vectors", VECTORS / "make.py")
assert _spec is not None and _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


@pytest.mark.parametrize("name", make.FILES)
def test_vectors_are_current(name: str) -> None:
    text = (VECTORS / f"{name}.json").read_text(encoding="utf-8")
    assert text == make.text_of(name), "run: python tests/vectors/make.py"


@pytest.mark.parametrize("file", sorted(p.name for p in HERE.glob("*.test.js")))
def test_node(file: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    done = subprocess.run(
        [node, "--test", str(HERE / file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
