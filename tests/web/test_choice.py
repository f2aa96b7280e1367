"""Bundles with several programs: which one ``auto`` and ``fastest`` take, why, and for how long."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from web import handmade
from web.site_server import Answer, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent
SHARD = "params-00001-of-00001.safetensors"


def bundle(*targets: str) -> dict[str, bytes]:
    """The files of a bundle with one program for each target."""
    files, programs = {}, []
    for target in targets:
        b = handmade.constants(target).builder
        files[f"program.{target}.json"] = handmade.text(b.program())
        files[f"kernels.{target}.json"] = handmade.text(b.codes)
        files[SHARD] = b.shard()
        programs.append(
            {
                "target": target,
                "program": f"program.{target}.json",
                "codes": {target: f"kernels.{target}.json"},
                "params": [SHARD],
            }
        )
    manifest = {
        "format": "weft-bundle",
        "version": 1,
        "name": "constants",
        "programs": programs,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
        "meta": {},
    }
    return {**files, "bundle.json": json.dumps(manifest).encode()}


def serve(site: Site, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        site.answers[f"/m/{name}"] = Answer(data)


def visit(page: Page, site: Site) -> None:
    """A page with a clock that a test drives: `slow` has milliseconds that a run of each back-end
    takes, `renderer` and `adapter` what the page is told of its hardware."""
    page.goto(f"{site.url}/blank.html")
    page.evaluate(
        """async () => {
          window.lab = await import('/web/harness.js');
          window.weft = await import('/runtime_js/index.js');
          window.made = await (await fetch('/made.json')).json();
          const { Executor } = await import('/runtime_js/executor.js');
          window.slow = {};
          window.runs = {};
          let late = 0;
          const [run, now] = [Executor.prototype.run, performance.now.bind(performance)];
          performance.now = () => (Object.keys(slow).length ? late : now());
          Executor.prototype.run = async function (...a) {
            const kind = this.program.target.split(' ')[0];
            runs[kind] = (runs[kind] ?? 0) + 1;
            const outputs = await run.apply(this, a);
            late += slow[kind] ?? 0;
            return outputs;
          };
          window.hardware = () => {
            Object.defineProperty(GPUAdapter.prototype, 'info', {
              get: () => ({ vendor: 'acme', architecture: 'roadrunner', device: '' }),
            });
            const plain = WebGL2RenderingContext.prototype.getParameter;
            WebGL2RenderingContext.prototype.getParameter = function (name) {
              const value = plain.call(this, name);
              return typeof value === 'string' ? value.replace(/SwiftShader/g, 'Acme') : value;
            };
          };
          window.chosen = async (backend, flags = {}) => {
            const model = await weft.load('m/', { backend, flags });
            const error = lab.worst(await model.run(lab.feedsOf(made)), made.expected);
            const found = { backend: model.backend, reason: model.reason, error };
            model.dispose();
            return { ...found, reasons: model.reasons, left: weft.memory().models };
          };
        }"""
    )


@pytest.fixture
def lab(page: Page, site: Site) -> Page:
    site.mounts["/web"] = HERE
    made = handmade.constants().to_json()
    site.answers["/made.json"] = Answer(handmade.text(made), 200, "application/json")
    serve(site, bundle("webgpu", "webgl"))
    visit(page, site)
    return page


def run(page: Page, script: str) -> Any:
    return page.evaluate(f"async () => {{ {script} }}")


def test_auto_takes_the_first_that_has_hardware(lab: Page) -> None:
    script = """
        const software = await chosen('auto');
        hardware();
        const first = await chosen('auto');
        GPU.prototype.requestAdapter = async () => null;
        return [software, first, await chosen('auto')];"""
    software, first, second = run(lab, script)
    assert [f["backend"] for f in (software, first, second)] == ["webgpu", "webgpu", "webgl"]
    assert all(f["error"] <= 1e-5 for f in (software, first, second))
    assert first["reason"] == "WebGPU, acme roadrunner"
    assert [r["backend"] for r in first["reasons"]] == ["webgpu", "webgl"]
    assert second["reason"].endswith(
        "webgpu is not possible: the browser has WebGPU, but no adapter for it"
    )
    assert [r["ok"] for r in second["reasons"]] == [False, True]


def test_auto_goes_on_where_a_device_fails(lab: Page) -> None:
    script = """
        hardware();
        GPUAdapter.prototype.requestDevice = async () => { throw new Error('out of sorts'); };
        return chosen('auto');"""
    found = run(lab, script)
    assert found["backend"] == "webgl" and found["error"] <= 1e-5
    assert "out of sorts" in found["reason"] and not found["reasons"][0]["ok"]


@pytest.mark.parametrize(("webgpu", "webgl"), [(5, 20), (20, 5)])
def test_fastest_measures_once(lab: Page, site: Site, webgpu: int, webgl: int) -> None:
    best, other = ("webgpu", "webgl") if webgpu < webgl else ("webgl", "webgpu")
    script = f"""
        slow = {{ webgpu: {webgpu}, webgl: {webgl} }};
        const first = await chosen('fastest');
        const measured = {{ ...runs }};
        runs = {{}};
        return {{ first, measured, second: await chosen('fastest'), again: runs }};"""
    found = run(lab, script)
    first, second = found["first"], found["second"]
    assert (first["backend"], second["backend"]) == (best, best)
    times = f"{best} 5.0 ms, {other} 20 ms"
    assert first["reason"] == f"the fastest as measured: {times}"
    assert second["reason"] == f"the fastest on an earlier visit: {times}"
    assert first["error"] <= 1e-5 and first["left"] == 0
    assert set(found["measured"]) == {"webgpu", "webgl"} and found["again"] == {best: 1}
    visit(lab, site)  # a new page, the browser remembers
    later = run(lab, "return { ...(await chosen('fastest')), runs };")
    assert later["reason"] == second["reason"] and later["runs"] == {best: 1}


def test_fastest_forgets_when_something_changes(lab: Page, site: Site) -> None:
    first = run(lab, "slow = { webgpu: 5, webgl: 20 }; return chosen('fastest');")
    assert first["backend"] == "webgpu"
    # Another adapter.
    script = "hardware(); slow = { webgpu: 20, webgl: 5 }; return chosen('fastest');"
    assert run(lab, script)["reason"] == "the fastest as measured: webgl 5.0 ms, webgpu 20 ms"
    # Another bundle.
    visit(lab, site)
    files = bundle("webgl", "webgpu")
    serve(site, files)
    script = "slow = { webgpu: 5, webgl: 20 }; return chosen('fastest');"
    assert run(lab, script)["reason"].startswith("the fastest as measured: webgpu")
    # On demand.
    assert run(lab, "return chosen('fastest');")["reason"].startswith("the fastest on an earlier")
    assert run(lab, "return weft.clearCache();") is True
    assert run(lab, "return chosen('fastest');")["reason"].startswith("the fastest as measured")


def test_a_remembered_back_end_that_is_gone(lab: Page) -> None:
    """It is there, as it was, but has no device any more."""
    script = """
        slow = { webgpu: 5, webgl: 20 };
        const first = await chosen('fastest');
        GPUAdapter.prototype.requestDevice = async () => { throw new Error('out of sorts'); };
        return [first.backend, await chosen('fastest')];"""
    before, after = run(lab, script)
    assert before == "webgpu" and after["backend"] == "webgl" and after["error"] <= 1e-5
    assert after["reason"] == "the fastest as measured: webgl 20 ms"


def test_fastest_without_storage(lab: Page, site: Site) -> None:
    script = """
        slow = { webgpu: 5, webgl: 20 };
        const first = await chosen('fastest', { cache: false });
        return [first.reason, (await chosen('fastest', { cache: false })).reason];"""
    first, second = run(lab, script)
    assert first.startswith("the fastest as measured") and second.startswith("the fastest on an")
    visit(lab, site)
    again = run(lab, "return chosen('fastest', { cache: false });")
    assert again["reason"].startswith("the fastest as measured")


def test_one_program_is_not_measured(lab: Page, site: Site) -> None:
    serve(site, bundle("webgl"))
    found = run(lab, "return { ...(await chosen('fastest')), runs };")
    assert found["backend"] == "webgl" and found["runs"] == {"webgl": 1}
