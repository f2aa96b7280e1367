"""``load`` in Chromium: bundles over HTTP, whole and damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from web import handmade
from web.handmade import Handmade
from web.site_server import Answer, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent


def bundle(made: Handmade, **change: Any) -> dict[str, bytes]:
    """The files of a bundle with one WebGL program."""
    b = made.builder
    files = {
        "program.webgl.json": handmade.text(b.program()),
        "kernels.webgl.json": handmade.text(b.codes),
        "params-00001-of-00001.safetensors": b.shard(),
    }
    manifest = {
        "format": "weft-bundle",
        "version": 1,
        "name": b.name,
        "programs": [
            {
                "target": "webgl",
                "program": "program.webgl.json",
                "codes": {"webgl": "kernels.webgl.json"},
                "params": ["params-00001-of-00001.safetensors"],
            }
        ],
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
        "meta": {"title": "by hand"},
        **change,
    }
    return {**files, "bundle.json": json.dumps(manifest).encode()}


@pytest.fixture
def serve(page: Page, site: Site) -> Callable[[dict[str, bytes]], None]:
    """Puts a bundle at ``/m/``; the page has the harness as ``lab``, the runtime as ``weft`` and
    the program as ``made``."""
    site.mounts["/web"] = HERE
    made = handmade.constants()
    site.answers["/made.json"] = Answer(handmade.text(made.to_json()), 200, "application/json")
    page.goto(f"{site.url}/blank.html")
    page.evaluate(
        """async () => {
          window.lab = await import('/web/harness.js');
          window.weft = await import('/runtime_js/index.js');
          window.made = await (await fetch('/made.json')).json();
        }"""
    )

    def put(files: dict[str, bytes]) -> None:
        for name, data in files.items():
            site.answers[f"/m/{name}"] = Answer(data)

    put(bundle(made))
    return put


def run(page: Page, script: str) -> Any:
    return page.evaluate(f"async () => {{ {script} }}")


Serve = Callable[[dict[str, bytes]], None]


def test_load_and_run(page: Page, serve: Serve) -> None:
    script = """
        const seen = [];
        const onProgress = (p) => seen.push(p);
        const model = await weft.load('m/', { onProgress, flags: { warmUp: true } });
        const error = lab.worst(await model.run(lab.feedsOf(made)), made.expected);
        const about = {
          backend: model.backend, reasons: model.reasons, name: model.name, meta: model.meta,
          inputs: model.inputs, devices: model.devices, memory: weft.memory(),
        };
        model.dispose();
        return { seen, error, about, after: weft.memory() };"""
    found = run(page, script)
    about = found["about"]
    assert found["error"] <= 1e-5
    assert about["backend"] == "webgl" and about["name"] == "constants"
    assert about["meta"] == {"title": "by hand"}
    assert about["inputs"] == [{"name": "x", "dtype": "float32", "shape": [42]}]
    assert [(r["backend"], r["ok"]) for r in about["reasons"]] == [("webgl", True)]
    assert "SwiftShader" in about["reasons"][0]["reason"]
    assert "32-bit floats" in about["devices"][0]
    assert about["memory"]["models"] == 1 and about["memory"]["buffers"] == 5
    assert found["after"] == {"models": 0, "buffers": 0, "bytes": 0}
    phases = [p["phase"] for p in found["seen"]]
    assert list(dict.fromkeys(phases)) == ["download", "compile", "upload", "warm-up"]
    for phase in dict.fromkeys(phases):
        last = [p for p in found["seen"] if p["phase"] == phase][-1]
        assert last["loaded"] == last["total"] > 0


def test_weights_are_kept_between_visits(page: Page, serve: Serve, site: Site) -> None:
    once = """
        const model = await weft.load('m/', { flags: { cache: true } });
        const error = lab.worst(await model.run(lab.feedsOf(made)), made.expected);
        model.dispose();
        return error;"""
    shard = "/m/params-00001-of-00001.safetensors"
    assert run(page, once) <= 1e-5
    assert run(page, once) <= 1e-5
    assert site.requests.count(shard) == 1
    assert run(page, once.replace("true", "false")) <= 1e-5
    assert site.requests.count(shard) == 2
    # What the cache holds is checked; what is damaged is fetched again.
    spoil = """
        const cache = await caches.open((await caches.keys())[0]);
        const [key] = await cache.keys();
        await cache.put(key, new Response(new Uint8Array(5)));"""
    run(page, spoil)
    assert run(page, once) <= 1e-5
    assert site.requests.count(shard) == 3
    assert run(page, "return weft.clearCache();") is True
    assert run(page, once) <= 1e-5
    assert site.requests.count(shard) == 4


def test_damage_is_named(page: Page, serve: Serve, site: Site) -> None:
    good = dict(site.answers)
    html = Answer(b"<!DOCTYPE html><title>Oops</title>", 200, "text/html")
    shard = good["/m/params-00001-of-00001.safetensors"].body
    flipped = shard[:-1] + bytes([shard[-1] ^ 1])
    manifest = json.loads(good["/m/bundle.json"].body)
    old = json.dumps({**manifest, "version": 0}).encode()
    cases = [
        ("bundle.json", html, "sent a web page (HTML) instead"),
        ("bundle.json", Answer(b"nothing", 404), "bundle.json is missing"),
        ("bundle.json", Answer(old), "has version 0, this weft reads 1"),
        ("kernels.webgl.json", html, "sent a web page (HTML) instead"),
        ("kernels.webgl.json", Answer(b"oops", 500), "the server answered 500"),
        ("program.webgl.json", Answer(b"{}"), "is truncated"),
        ("params-00001-of-00001.safetensors", Answer(shard[:-1]), "is truncated"),
        ("params-00001-of-00001.safetensors", Answer(flipped), "its SHA-256 is not"),
        ("params-00001-of-00001.safetensors", Answer(shard * 2), "is too long"),
        (
            "params-00001-of-00001.safetensors",
            Answer(shard[:10], length=len(shard)),
            "the connection ended early",
        ),
    ]
    for file, answer, message in cases:
        site.answers = {**good, f"/m/{file}": answer}
        # Without the cache: the load before this one failed early, and may still fill it.
        script = "return lab.outcome(weft.load('m', { flags: { cache: false } }));"
        found = run(page, script)
        assert found.get("error") == "BundleError", (file, message, found)
        assert message in found["message"]
        assert file in found["message"] or "version" in message
        assert found["message"].startswith("m/: ")
    assert run(page, "return weft.memory().models;") == 0


def test_server_that_is_gone(page: Page, serve: Serve) -> None:
    found = run(page, "return lab.outcome(weft.load('http://127.0.0.1:9/m/'));")
    assert found["error"] == "BundleError"
    assert "bundle.json cannot be fetched" in found["message"]


def test_abort_while_loading(page: Page, serve: Serve) -> None:
    script = """
        const errors = [];
        for (const phase of ['download', 'compile', 'upload']) {
          const stop = new AbortController();
          const onProgress = (p) => p.phase === phase && stop.abort();
          const options = { signal: stop.signal, onProgress, flags: { cache: false } };
          const loading = weft.load('m/', options);
          errors.push((await lab.outcome(loading)).error);
        }
        return { errors, memory: weft.memory() };"""
    found = run(page, script)
    assert found["errors"] == ["AbortError"] * 3
    assert found["memory"]["models"] == 0


def test_a_model_that_is_too_large_says_so(page: Page, serve: Serve) -> None:
    made = handmade.constants()
    files = bundle(made)
    manifest = json.loads(files["bundle.json"])
    manifest["programs"][0]["target"] = "webgl -max_texture_size=99999"
    serve({"bundle.json": json.dumps(manifest).encode()})
    found = run(page, "return lab.outcome(weft.load('m/'));")
    assert found["error"] == "DeviceError"
    assert "no backend can run this model here" in found["message"]
    assert "its texture size is 8192, the model was compiled for 99999" in found["message"]


def test_tidy_disposes_of_what_it_loaded(page: Page, serve: Serve) -> None:
    script = """
        const kept = await weft.tidy(async ({ load }) => {
          await load('m/');
          const kept = await load('m/');
          if (weft.memory().models !== 2) throw new Error('two models are loaded');
          return kept;
        });
        const during = weft.memory().models;
        const failed = await lab.outcome(weft.tidy(async ({ load }) => {
          await load('m/');
          throw new RangeError('mine');
        }));
        const after = weft.memory().models;
        kept.dispose();
        return [during, failed.error, after, weft.memory().models];"""
    assert run(page, script) == [1, "RangeError", 1, 0]
