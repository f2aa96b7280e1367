"""Tutorial 04: the whole folder, its answers, and a thousand warm calls."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import weft
from web.colours import needs_emscripten
from weft.benchmarks.zoo import real

pytestmark = [
    pytest.mark.slow,
    needs_emscripten,
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm is installed"),
]
TUTORIAL = Path(weft.__file__).parent / "tutorials" / "04_serverless" / "build.py"
CALLS = 1000


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serverless") / "function"
    spec = importlib.util.spec_from_file_location("serverless_build", TUTORIAL)
    assert spec is not None and spec.loader is not None
    tutorial = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tutorial)
    tutorial.build(folder)
    data = io.BytesIO()
    real.photo("coffee.png").resize((300, 200)).save(data, "JPEG", quality=90)
    body = json.dumps({"image": base64.b64encode(data.getvalue()).decode()})
    script = Path(__file__).parent / "serverless.mjs"
    done = subprocess.run(
        ["node", "--expose-gc", str(script), str(folder), str(CALLS)],
        input=body, capture_output=True, text=True, check=False, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return {"size": size, **json.loads(done.stdout)}


def test_the_folder_is_small(said):
    assert said["size"] < 48e6


def test_the_photograph_is_named(said):
    assert said["first"]["statusCode"] == 200 and said["encoded"] == said["first"]
    classes = json.loads(said["first"]["body"])["classes"]
    assert len(classes) == 5 and classes[0]["name"] == "espresso" and classes[0]["score"] > 0.5
    assert classes == sorted(classes, key=lambda c: -c["score"])


def test_wrong_requests_get_an_answer(said):
    assert [w["statusCode"] for w in said["wrong"]] == [400] * len(said["wrong"])
    assert all("JPEG in base64" in json.loads(w["body"])["error"] for w in said["wrong"])


def test_warm_calls_leave_memory_flat(said):
    for kind, before in said["before"].items():
        assert said["after"][kind] <= before + 1e6, (kind, said)
