"""The field's own comparison: one model on all targets, in one run.

TVM's post of 2018 on compiling to WebGL and OpenGL measured ResNet-18 on one GPU: OpenGL took 1.07
times as long as OpenCL, and WebGL 1.47 times as long as OpenGL. The same ratios of weft are printed
beside. The devices are those of this machine, which need not be one GPU: without any, OpenCL is
PoCL, OpenGL is Mesa's llvmpipe, and the browser's are SwiftShader.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .browser import browser
from .web import __main__ as web
from .web.site import site
from .zoo import judge

MODEL = "resnet18"
NATIVE = {"llvm": "weft", "opencl": "weft on opencl", "opengl": "weft on opengl"}
# The ratios of https://tvm.apache.org/2018/03/12/webgl, and what they are of.
RATIOS = {
    "OpenGL / OpenCL": ("opengl", "opencl", 1.07),
    "WebGL / OpenGL": ("webgl", "opengl", 1.47),
}


class _Native:
    """A target that runs in a process of its own."""

    def __init__(self, worker: Any):
        self.worker, self.failed = worker, ""
        self.times: list[float] = []

    def start(self, expected: np.ndarray) -> None:
        answer = self.worker.ask(load=MODEL)
        if "error" in answer:
            self.failed = answer["error"]
            return
        sample = np.array(answer["sample"], np.float32)
        self._judge(judge.relative_error(sample, expected.reshape(-1)[: sample.size]))

    def _judge(self, error: float) -> None:
        if error > web.TOLERANCE:
            self.failed = f"wrong numbers: relative error {error:.1e}"

    def turn(self, seconds: float) -> None:
        answer = self.worker.ask(time=seconds)
        self.failed = answer.get("error", "")
        self.times += answer.get("ms", [])


class _Page:
    """A target that runs in a page of its own."""

    def __init__(self, contender: web.Contender, job: dict[str, Any]):
        self.contender, self.job = contender, job

    @property
    def times(self) -> list[float]:
        return self.contender.times

    @property
    def failed(self) -> str:
        return self.contender.figures.get("failed", "")

    def start(self, expected: np.ndarray) -> None:
        self.contender.page.bring_to_front()
        self.contender.start(self.job, [expected])

    def turn(self, seconds: float) -> None:
        self.contender.turn(seconds)


def compare(
    worker: Callable[[str, int], Any], threads: int, rounds: int, seconds: float
) -> dict[str, Any]:
    """Median milliseconds of every target, or why there are none; all take turns."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-field-") as folder, ExitStack() as stack:
        scratch = Path(folder)
        wasm = "wasm -threads" if threads > 1 else "wasm"
        targets = ["webgpu", "webgl", wasm]
        job, (expected,) = web.prepare(MODEL, scratch, ["weft"], targets, threads)
        runners: dict[str, _Native | _Page] = {}
        for target, peer in NATIVE.items():
            child = worker(peer, threads)
            stack.callback(child.close)
            runners[target] = _Native(child)
        roots = {"/": web.HERE / "page", "/models": scratch}
        address = stack.enter_context(site(roots, isolated=threads > 1))
        instance = stack.enter_context(browser())
        for backend in web.BACKENDS:
            runners[backend] = _Page(web.Contender(instance, address, "weft", backend), job)
        for runner in runners.values():
            runner.start(expected)
        for k in range(rounds):
            able = [r for r in runners.values() if not r.failed]
            for runner in able[k % max(1, len(able)) :] + able[: k % max(1, len(able))]:
                runner.turn(seconds)
        return {
            "model": MODEL,
            "threads": threads,
            "ms": {
                t: statistics.median(r.times)
                for t, r in runners.items()
                if r.times and not r.failed
            },
            "failed": {t: r.failed for t, r in runners.items() if r.failed},
        }


def ratios(ms: dict[str, float]) -> dict[str, tuple[float | None, float]]:
    """What TVM's post compared: ours (None: not measured) and theirs."""
    return {
        name: (ms[a] / ms[b] if a in ms and b in ms else None, theirs)
        for name, (a, b, theirs) in RATIOS.items()
    }


def table(result: dict[str, Any]) -> Table:
    ms, failed = result["ms"], result["failed"]
    found = Table(
        title=f"{result['model']} on all targets, median milliseconds, {result['threads']} threads",
        caption=", ".join(
            f"{name}: {'-' if ours is None else f'{ours:.2f}'} (TVM, 2018, one GPU: {theirs})"
            for name, (ours, theirs) in ratios(ms).items()
        ),
    )
    targets = [*NATIVE, *web.BACKENDS]
    for target in targets:
        found.add_column(target, justify="right")
    found.add_row(
        *[f"{ms[t]:.1f}" if t in ms else ("failed" if t in failed else "-") for t in targets]
    )
    return found
