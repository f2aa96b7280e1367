"""The npm package: packed, installed into a Vite app, built, run in Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from web.colours import IMAGE, LABELS, model, needs_emscripten
from weft.compiler.web.bundle import bundle
from weft.compiler.web.page import RUNTIME

pytestmark = [
    pytest.mark.slow,
    needs_emscripten,
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm is installed"),
]
APP = Path(__file__).parent / "vite-app"


def npm(folder, *words):
    command = ["npm", *words, "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    """What ``npm pack`` makes; its types are emitted on the way."""
    source = tmp_path_factory.mktemp("npm") / "runtime_js"
    shutil.copytree(RUNTIME, source, ignore=shutil.ignore_patterns("node_modules", "types"))
    npm(source, "install")
    name = npm(source, "pack").split()[-1]
    return source / name


def test_the_package_holds_modules_and_types_only(tarball):
    with tarfile.open(tarball) as t:
        names = {n.removeprefix("package/") for n in t.getnames()}
    assert {"index.js", "types/index.d.ts", "devices/wasm/device.js", "package.json"} <= names
    assert all(n.endswith((".js", ".d.ts")) or n in ("package.json", "README.md") for n in names)
    assert not any("page/" in n or "test" in n for n in names)


@pytest.fixture(scope="module")
def site(tarball, tmp_path_factory):
    app = tmp_path_factory.mktemp("app") / "vite-app"
    shutil.copytree(APP, app)
    bundle(model(), app / "public" / "model", ("wasm",), image=IMAGE, labels=LABELS)
    npm(app, "install", str(tarball))
    npm(app, "run", "check")
    npm(app, "run", "build")
    return app / "dist"


def test_a_bundler_takes_it(visit, served, site):
    visit.page.goto(served(site))
    end = time.monotonic() + 60
    while visit.page.title() == "loading":
        assert time.monotonic() < end, visit.complaints
        time.sleep(0.05)
    backend, _, rest = visit.page.title().partition(": ")
    best, _, phases = rest.partition(", ")
    assert (backend, best) == ("wasm", "green")
    assert "download" in phases and "compile" in phases
    assert visit.complaints == []
    assert {h.partition(":")[0] for h in visit.hosts()} == {"localhost"}
