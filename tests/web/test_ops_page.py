"""Operators in Chromium beyond the grid (``tests/conformance``): WebGPU and wasm in a page, 16-bit
textures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import weft
from conformance.columns import case_graph
from op_cases import Case, all_cases, assert_close
from web.handmade import array_json, text
from web.site_server import ISOLATED, Answer, Site
from weft.runtime import safetensors

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent
CHUNK = 24  # operators of one program
RTOL, ATOL = 1e-4, 1e-5  # drivers may round functions such as exp to less than 24 bits


def one_of_each() -> list[Case]:
    """The first case of every operator."""
    first: dict[str, Case] = {}
    for case in all_cases():
        first.setdefault(case.op, case)
    return list(first.values())


Run = Callable[..., dict[str, np.ndarray]]


@pytest.fixture
def run(page: Page, site: Site) -> Run:
    """Runs an executable in the page."""
    site.mounts["/web"] = HERE
    site.headers = ISOLATED  # threads of wasm need it, and nothing else minds
    page.set_default_timeout(300_000)
    page.goto(f"{site.url}/blank.html")
    page.evaluate("async () => { window.lab = await import('/web/harness.js'); }")

    def call(exe: Any, feeds: dict[str, np.ndarray], **flags: Any) -> dict[str, np.ndarray]:
        job = {
            "program": exe.program.to_json(),
            "codes": {k: base64.b64encode(v).decode() for k, v in exe.codes.items()},
            "shard": base64.b64encode(b"".join(safetensors.chunks(exe.params))).decode(),
            "feeds": {k: array_json(a) for k, a in feeds.items()},
        }
        site.answers["/job.json"] = Answer(text(job), 200, "application/json")
        script = """async (flags) => {
            return lab.outputsOf(await (await fetch('/job.json')).json(), flags);
        }"""
        found = page.evaluate(script, flags)
        return {
            name: np.frombuffer(base64.b64decode(found[name]), s.dtype.numpy).reshape(s.shape)
            for name, s in exe.outputs.items()
        }

    return call


def _halves(array: np.ndarray | None) -> np.ndarray | None:
    if array is None or array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def judge(cases: Sequence[Case], outputs: dict[str, np.ndarray], rtol: float, atol: float) -> None:
    wrong = []
    for i, case in enumerate(cases):
        for k, want in enumerate(case.expected()):
            try:
                got = outputs[f"case{i}.{k}"]
                assert (got.dtype, got.shape) == (want.dtype, want.shape)
                assert_close(
                    got, want, max(case.rtol or 0, rtol), max(case.atol, atol), case.int_atol
                )
            except AssertionError as e:
                wrong.append(f"{case.id}: {str(e).strip()[:400]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(one_of_each()), CHUNK))
def test_operators_on_webgpu(run: Run, first: int) -> None:
    """All cases run natively in the grid; here, a browser's own WebGPU has one of each."""
    cases = one_of_each()[first : first + CHUNK]
    graph, feeds = case_graph(cases)
    judge(cases, run(weft.compile(graph, "webgpu"), feeds), RTOL, ATOL)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["wasm", "wasm -threads"])
def test_operators_on_wasm(site: Site, run: Run, target: str) -> None:
    """All cases of all operators run under Node in the grid; here, in a page."""
    graph, feeds = case_graph(one_of_each())
    judge(one_of_each(), run(weft.compile(graph, target), feeds), RTOL, ATOL)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(one_of_each()), CHUNK))
def test_operators_on_half_float_targets(run: Run, first: int) -> None:
    """Inputs that 16 bits hold: what differs are the roundings of scratch tensors and results."""
    cases = [
        replace(c, inputs=[_halves(a) for a in c.arrays()])
        for c in one_of_each()[first : first + CHUNK]
    ]
    graph, feeds = case_graph(cases)
    outputs = run(weft.compile(graph, "webgl"), feeds, forceHalfFloat=True)
    for name, got in outputs.items():
        if got.dtype == np.float32:
            i, k = map(int, name.removeprefix("case").split("."))
            want = cases[i].expected()[k]
            # Drivers differ in what becomes of numbers that 16 bits do not hold (SwiftShader makes
            # NaN of infinity): it must not be a number, no more.
            beyond = ~(np.abs(want) <= np.finfo(np.float16).max)
            assert not np.isfinite(got[beyond]).any(), cases[i].id
            outputs[name] = np.where(beyond, want, got)
    # Partial sums of a thousand numbers reach 30 and more, where neighbours are 1/64 apart; minimal
    # filtering stores its transforms, whose terms are larger than the results that they add up to.
    atol = {"cumsum": 2e-2, "winograd_conv": 6e-2}
    loose = [replace(c, atol=atol[c.op]) if c.op in atol else c for c in cases]
    judge(loose, outputs, 4e-3, 4e-3)
