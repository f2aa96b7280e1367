"""The part of ``make demo`` that happens in a browser: the bundle, opened and looked at."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import bundle as write_bundle
from .. import compile as compile_model
from ..compiler.check.tolerances import of_models
from ..compiler.frontends import load
from ..compiler.web.bundle import WEB, prepare
from ..compiler.web.process import Image
from ..compiler.web.serve import serving
from ..ir.target import Target
from ..runtime.devices.pages import chromium
from ..runtime.errors import WeftError
from ..runtime.files import write_file
from .browser import browser
from .zoo import packages, real

IMAGE = Image(mean=real.MEAN / 255, std=real.STD / 255)
TOLERANCE = {kind: of_models(Target.parse(kind)).rtol for kind in WEB}  # of the best scores
FOLDER = packages.ROOT / "build" / "demo"
SCREENSHOT = packages.ROOT / "build" / "demo.png"

# What the page says, for who listens; the page's policy forbids to evaluate text inside it.
_LISTEN = """
for (const name of ['ready', 'result', 'error']) {
  document.addEventListener(`weft:${name}`, (e) => {
    (globalThis.heard ??= []).push({ name, detail: e.detail });
  });
}"""
_LAST = """() => {
  const { name, detail } = globalThis.heard?.at(-1) ?? { name: '' };
  if (name !== 'result') return { name, text: detail ? String(detail.message ?? '') : '' };
  const { feeds, outputs, ms } = detail;
  return { name, ms, pixels: Array.from(Object.values(feeds)[0]),
    scores: Array.from(outputs.top_scores.data), classes: Array.from(outputs.top_classes.data) };
}"""


def missing() -> list[str]:
    """What this part needs and the machine has not, in words."""
    found = []
    if shutil.which("emcc") is None:
        found.append("Emscripten (apt-get install emscripten)")
    try:
        chromium()
    except WeftError:
        found.append("Chromium (apt-get install chromium)")
    if find_spec("playwright") is None:
        found.append("Playwright (pip install playwright)")
    return found


def show(console: Console, model: Any, names: Sequence[str]) -> bool:
    """Write the bundle, open it on each back-end, compare; whether all agree."""
    console.print("[bold]4.[/] The same model as a web page …")
    begin = time.perf_counter()
    options: dict[str, Any] = {"image": IMAGE, "labels": names}
    with console.status("compiling for WebGL and WebAssembly …"):
        shutil.rmtree(FOLDER, ignore_errors=True)  # the demo's own, of any version
        done = write_bundle(model, FOLDER, WEB, title="EfficientNet-Lite0", **options)
    seconds = time.perf_counter() - begin
    size = sum(done.files.values()) / 2**20
    console.print(f"   {FOLDER}: {len(done.files)} files, {size:.1f} MiB, in {seconds:.1f} s")
    graph, _ = prepare(load(model, {"N": 1}), IMAGE, None, names)
    cpu = compile_model(graph)
    table = Table("photograph", "on", "answer", "probability", "ms", "against the CPU")
    agreed = True
    with serving(FOLDER) as address, browser() as instance:
        for backend in WEB:
            page = instance.new_page(viewport={"width": 1100, "height": 900})
            page.add_init_script(_LISTEN)
            page.goto(f"{address}?backend={backend}")
            _wait(page, 0)
            for at, name in enumerate(real.PHOTOS, 1):
                said = _ask(page, packages.path(name), at)
                same, error = _compare(said, cpu)
                good = same and error <= TOLERANCE[backend]
                agreed = agreed and good
                best = float(said["scores"][0])
                table.add_row(
                    name, backend, str(names[said["classes"][0]]),
                    f"{best:7.1%} " + "█" * round(12 * best), f"{said['ms']:.1f}",
                    f"{error:.1e}, {'same' if same else 'DIFFERENT'} top 5",
                    end_section=at == len(real.PHOTOS),
                )  # fmt: skip
            if backend == WEB[0]:
                _ask(page, packages.path(real.PHOTOS[0]), len(real.PHOTOS) + 1)
                write_file(SCREENSHOT, page.screenshot(full_page=True))
            page.close()
    console.print(table)
    console.print(
        f"   {SCREENSHOT} is what the page looks like. To open it yourself:\n"
        f"   [bold].venv/bin/weft serve {FOLDER}[/]",
        soft_wrap=True,
    )
    return agreed


def _wait(page: Any, events: int) -> dict[str, Any]:
    """What the page said after its first ``events`` words; raises what it complained of."""
    end = time.monotonic() + 300
    while page.evaluate("() => globalThis.heard?.length ?? 0") <= events:
        if time.monotonic() > end:
            raise RuntimeError("the page does not answer")
        time.sleep(0.02)
    said = page.evaluate(_LAST)
    if said["name"] == "error":
        raise RuntimeError(f"the page reports an error: {said['text']}")
    return said


def _ask(page: Any, image: Path, events: int) -> dict[str, Any]:
    page.set_input_files("#file", image)
    return _wait(page, events)


def _compare(said: dict[str, Any], cpu: Any) -> tuple[bool, float]:
    """Whether page and processor name the same classes, and the relative error of the scores."""
    pixels = np.array(said["pixels"], np.uint8).reshape(next(iter(cpu.inputs.values())).shape)
    expected = cpu.run({"image": pixels})
    scores, classes = expected["top_scores"][0], expected["top_classes"][0]
    error = np.abs(np.array(said["scores"]) - scores).max() / np.abs(scores).max()
    return said["classes"] == classes.tolist(), float(error)
