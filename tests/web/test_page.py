"""The page of a bundle in Chromium: classifies, shows what it does, asks nobody else."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import time

import numpy as np
import pytest
import weft
from PIL import Image as PIL
from web.coded import decode
from web.colours import IMAGE, LABELS, SIDE, model, needs_emscripten, png
from web.conftest import Visit
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.web.bundle import bundle, prepare
from weft.compiler.web.process import Classes
from weft.runtime import safetensors
from weft.runtime.devices.pages import FLAGS

pytestmark = needs_emscripten
BACKENDS = ("webgpu", "webgl", "wasm")


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles") / "colours"
    return bundle(model(), place, BACKENDS, image=IMAGE, labels=LABELS, title="Colours").path


def no_complaints(visit):
    assert visit.complaints == []
    assert all(h.startswith("localhost:") for h in visit.hosts()) and visit.hosts()


# ---- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_images_are_classified(visit, served, colours, backend):
    visit.open(f"{served(colours)}?backend={backend}")
    page = visit.page
    assert page.inner_text("h1") == "Colours"
    graph, _ = prepare(weft.load(model()), IMAGE, Classes(), LABELS)
    cpu = weft.compile(graph)
    for colour in ("red", "#008000", "blue"):
        visit.show(png(colour))
        best = page.inner_text(".classes li:first-child .name")
        assert best == ("green" if colour == "#008000" else colour)
        pixels = np.array(visit.last("Array.from(detail.feeds.image)"), np.uint8)
        result = cpu.run({"image": pixels.reshape(1, 32, 32, 4)})
        scores = visit.last("Array.from(detail.outputs.top_scores.data)")
        classes = visit.last("Array.from(detail.outputs.top_classes.data)")
        assert np.allclose(scores, result["top_scores"][0], rtol=1e-4)
        assert classes == result["top_classes"][0].tolist()
    assert visit.last("detail.backend") == backend
    running = page.inner_text("#running")
    assert "First inference" in running and "median of 2" in running
    assert {"webgpu": "webgpu, google", "webgl": "webgl, ANGLE"}.get(
        backend, "WebAssembly"
    ) in running
    no_complaints(visit)


def test_the_better_backend_is_chosen_and_why(visit, served, colours):
    """Here graphics are software, which is worse than WebAssembly."""
    visit.open(served(colours))
    running = visit.page.inner_text("#running")
    assert "wasm" in running.lower() and "webgl is software here" in running
    visit.page.click("#why summary")
    assert "SwiftShader" in visit.page.inner_text("#reasons")
    visit.show(png("red"))
    visit.page.click("#backends :text('WebGL')")  # the image stays, and is classified again
    visit.page.wait_for_selector("#running :text('asked for; WebGL2')")
    visit.wait("ready")
    assert visit.page.inner_text(".classes li:first-child .name") == "red"
    assert "backend=webgl" in visit.page.url
    names = visit.page.locator("#backends button").all_inner_texts()
    assert names == ["Automatic", "Fastest here", "WebGPU", "WebGL", "WebAssembly"]
    no_complaints(visit)


def test_the_fastest_backend_is_measured_once(visit, served, colours):
    address = served(colours)
    visit.open(f"{address}?backend=fastest")
    chosen, running = visit.last("detail.backend"), visit.page.inner_text("#running")
    assert chosen in BACKENDS and "the fastest as measured: " in running
    times = running.split("the fastest as measured: ")[1].splitlines()[0]
    assert times.startswith(chosen) and all(b in times for b in BACKENDS)
    assert "fastest" in visit.page.inner_text("#backends [aria-pressed=true]").lower()
    visit.open(f"{address}?backend=fastest")
    assert visit.last("detail.backend") == chosen
    assert f"the fastest on an earlier visit: {times}" in visit.page.inner_text("#running")
    no_complaints(visit)


def test_kernels_are_measured_on_demand(visit, served, colours):
    visit.open(f"{served(colours)}?backend=wasm")
    visit.page.click("#profile")
    visit.page.wait_for_selector("#kernels table")
    assert "matmul" in visit.page.inner_text("#kernels table").lower()
    no_complaints(visit)


def test_the_model_card(visit, served, colours):
    visit.open(f"{served(colours)}?backend=wasm")
    card = visit.page.inner_text("#card")
    assert "image: float32[1, 3, 16, 16]" in card and "scores: float32[1, 3]" in card
    assert "3 with names" in card and ", ".join(BACKENDS) in card


def test_a_file_that_is_no_image(visit, served, colours):
    visit.open(f"{served(colours)}?backend=wasm")
    broken = {"name": "notes.png", "mimeType": "image/png", "buffer": b"\x89PNG dear diary"}
    visit.show(broken)
    assert "notes.png is no image" in visit.page.inner_text("#error")
    visit.show(png("blue"))  # the page goes on
    assert visit.page.is_hidden("#error")
    assert visit.page.inner_text(".classes li:first-child .name") == "blue"


def test_transparent_images_lie_on_white(visit, served, colours):
    visit.open(f"{served(colours)}?backend=wasm")
    data = io.BytesIO()
    PIL.new("RGBA", (9, 9), (0, 0, 0, 0)).save(data, "PNG")
    visit.show({"name": "a.png", "mimeType": "image/png", "buffer": data.getvalue()})
    assert visit.last("detail.feeds.image.every(v => v === 255)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_and_dark_ones(chromium, served, colours, scheme):
    context = chromium.new_context(viewport={"width": 360, "height": 700}, color_scheme=scheme)
    visit = Visit(context.new_page())
    visit.open(f"{served(colours)}?backend=wasm")
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 360
    ground = visit.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    bright = sum(int(v) for v in ground.removeprefix("rgb(").rstrip(")").split(",")) > 384
    assert bright == (scheme == "light")
    context.close()


@pytest.mark.parametrize("code", ["f16", "int8"])
def test_coded_weights(visit, served, colours, tmp_path, code):
    b = bundle(model(), tmp_path / "dist", BACKENDS, image=IMAGE, labels=LABELS, weights=code)
    scores = []
    for folder, backend in ((colours, "wasm"), *((b.path, k) for k in BACKENDS)):
        visit.open(f"{served(folder)}?backend={backend}")
        visit.show(png("#208040"))
        assert visit.page.inner_text(".classes li:first-child .name") == "green"
        scores.append(visit.last("Array.from(detail.outputs.top_scores.data)"))
    named = {"f16": "16-bit floats", "int8": "8-bit integers"}[code]
    assert named in visit.page.inner_text("#card")
    exact, webgpu, webgl, wasm = map(np.array, scores)
    stored = {}
    for file in b.path.glob("params-*"):
        stored |= safetensors.parse(np.fromfile(file, np.uint8), file.name)
    by_shape = {a.shape: a for a in decode(stored).values()}
    pixel = np.array([0x20, 0x80, 0x40]) / 255 * 2 - 1
    # The rows of the first matrix follow the pixels, whose channels come last.
    y = np.tile(pixel, SIDE * SIDE) @ by_shape[3 * SIDE * SIDE, 64] @ by_shape[64, 3]
    expected = np.sort(np.exp(y) / np.exp(y).sum())[::-1]
    for found in (webgpu, webgl, wasm):
        assert np.allclose(found, expected, rtol=1e-4)
    assert 0 < np.abs(wasm - exact).max() < 1e-2
    no_complaints(visit)


def test_the_camera(served, colours, launch):
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    browser = launch(*FLAGS, *fake)
    visit = Visit(browser.new_context(permissions=["camera"]).new_page())
    visit.open(f"{served(colours)}?backend=wasm")
    visit.page.click("#camera")
    end = time.monotonic() + 60
    while visit.heard("result") < 5:
        assert time.monotonic() < end and visit.heard("error") == 0
        time.sleep(0.05)
    assert visit.page.inner_text("#camera") == "Stop the camera"
    visit.page.click("#camera")
    visit.wait("ready")  # an image may have been under way, and one more have waited for it
    frame = "() => new Promise((next) => requestAnimationFrame(() => setTimeout(next)))"
    for _ in range(3):
        visit.page.evaluate(frame)
        visit.wait("ready")
    count = visit.heard("result")
    for _ in range(10):
        visit.page.evaluate(frame)
    assert visit.heard("result") == count
    assert visit.page.inner_text("#camera") == "Use the camera"
    no_complaints(visit)
    browser.close()


# ---- threads, and work for two devices ----------------------------------------------------------


def test_threads(visit, served, tmp_path):
    b = bundle(model(), tmp_path / "dist", ("wasm -threads",), image=IMAGE, labels=LABELS)
    visit.open(served(b.path))
    assert visit.page.evaluate("() => crossOriginIsolated")
    assert "threads" in visit.page.inner_text("#running")
    visit.show(png("red"))
    assert visit.page.inner_text(".classes li:first-child .name") == "red"
    no_complaints(visit)


@pytest.mark.parametrize("target", ["webgpu", "webgl"])
def test_what_a_shader_cannot_do_runs_on_wasm_and_is_said(visit, served, tmp_path, target):
    g = GraphBuilder("mixed")
    x = g.input("x", "float32", (4,))
    (y,) = g.add("relu", [x])
    (wide,) = g.add("cast", [y], {"to": "float64"})
    (tiny,) = g.add("mul", [wide, g.constant(np.full(4, 1e-200))])
    (big,) = g.add("mul", [tiny, g.constant(np.full(4, 1e200))])
    (z,) = g.add("cast", [big], {"to": "float32"}, outputs=["z"])
    b = bundle(g.finish([z]), tmp_path / "dist", (target, "wasm"))
    assert b.fallbacks[target] and "on wasm" in str(b)
    visit.open(f"{served(b.path)}?backend={target}")
    visit.page.fill("#numbers textarea", "1 -2 3 0.5")
    visit.page.click("#numbers button.main")
    visit.page.wait_for_selector("#answer .output")
    assert np.allclose(visit.last("Array.from(detail.outputs.z.data)"), [1, 0, 3, 0.5])
    visit.page.click("#why summary")
    assert "runs on wasm" in visit.page.inner_text("#reasons")
    no_complaints(visit)


# ---- numbers and text ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    b = GraphBuilder("sums")
    x, ids = b.input("x", "float32", (2, 3)), b.input("ids", "int64", (5,))
    (total,) = b.add("reduce_sum", [x], {"axes": (1,), "keepdims": False}, outputs=["total"])
    (twice,) = b.add("add", [ids, ids], outputs=["twice"])
    y = b.finish([total, twice])
    return bundle(y, tmp_path_factory.mktemp("bundles") / "sums", ("wasm",)).path


def fill(visit, x, ids):
    visit.page.fill("#numbers label:has-text('x') textarea", x)
    visit.page.fill("#numbers label:has-text('ids') textarea", ids)
    visit.page.click("#numbers button.main")


def test_numbers(visit, served, sums):
    visit.open(served(sums))
    fill(visit, "[[1, 2, 3], [4, 5, -0.5]]", "1 2 3 4 9007199254740993")
    visit.page.wait_for_selector("#answer .output")
    assert visit.last("Array.from(detail.outputs.total.data)") == [6, 8.5]
    assert visit.last("String(detail.outputs.twice.data[4])") == "18014398509481986"
    fill(visit, "1 2 3 4 5 6", '"hé"')
    visit.wait("ready")
    assert visit.last("Array.from(detail.outputs.twice.data, Number)") == [208, 390, 338, 0, 0]
    no_complaints(visit)


@pytest.mark.parametrize(
    "x, words", [("1 2 3", "it has 6 elements"), ("1 2 3 4 5 six", "'six' is not a number")]
)
def test_wrong_numbers_are_named(visit, served, sums, x, words):
    visit.open(served(sums))
    fill(visit, x, "1 2 3 4 5")
    visit.page.wait_for_selector("#error:visible")
    text = visit.page.inner_text("#error")
    assert words in text and "InputError" in text and "'x'" in text
    fill(visit, "1 2 3 4 5 6", "1 2 3 4 5")
    visit.page.wait_for_selector("#answer .output")
    assert visit.page.is_hidden("#error")


# ---- damaged bundles ----------------------------------------------------------------------------


def truncate(folder):
    shard = next(folder.glob("params-*"))
    shard.write_bytes(shard.read_bytes()[:-100])


def flip(folder):
    shard = next(folder.glob("params-*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)


def foreign(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, "version": 99}))


def foreign_program(folder):
    """A program of another version, with a manifest that agrees with it."""
    from hashlib import sha256

    manifest = json.loads((folder / "bundle.json").read_text())
    name = manifest["programs"][-1]["program"]
    program = {**json.loads((folder / name).read_text()), "version": 99}
    data = json.dumps(program).encode()
    (folder / name).write_bytes(data)
    manifest["files"][name] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (folder / "bundle.json").write_text(json.dumps(manifest))


def missing(folder):
    next(folder.glob("params-*")).unlink()


def no_manifest(folder):
    (folder / "bundle.json").unlink()


def html(folder):
    page = "<!DOCTYPE html><html><body>Not found</body></html>"
    next(folder.glob("kernels.wasm.*.wasm")).write_text(page)


def html_manifest(folder):
    (folder / "bundle.json").write_text("<!doctype html><title>404</title>")


def no_json(folder):
    (folder / "bundle.json").write_text('{"format": "weft-bun')


DAMAGES = [
    (truncate, ["truncated", "params-"]),
    (flip, ["SHA-256", "params-"]),
    (foreign, ["version 99"]),
    (foreign_program, ["version 99"]),
    (missing, ["is missing", "params-"]),
    (no_manifest, ["bundle.json is missing"]),
    (html, ["a web page (HTML)", "kernels.wasm."]),
    (html_manifest, ["a web page (HTML)", "bundle.json"]),
    (no_json, ["not JSON", "bundle.json"]),
]


@pytest.fixture(params=DAMAGES, ids=lambda d: d[0].__name__)
def damaged(request, colours, tmp_path):
    damage, words = request.param
    folder = tmp_path / "damaged"
    shutil.copytree(colours, folder)
    damage(folder)
    return folder, words


def test_damage_is_named_in_the_page(visit, served, damaged):
    folder, words = damaged
    visit.open(f"{served(folder)}?backend=wasm", state="error")
    text = visit.page.inner_text("#error")
    assert text.startswith("BundleError") and all(w in text for w in words), text
    assert visit.page.is_visible("#retry") and visit.page.is_hidden("#loading")


def test_damage_is_named_in_node(damaged, tmp_path):
    folder, words = damaged
    code = f"""
        import {{ load }} from {json.dumps((folder / "weft.js").as_uri())};
        try {{
          await load({json.dumps(str(folder))}, {{ backend: 'wasm' }});
        }} catch (e) {{
          console.log(e.name + ' ' + e.message);
        }}"""
    script = tmp_path / "open.mjs"
    script.write_text(code)
    done = subprocess.run(
        ["node", str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("BundleError "), done
    assert all(w in done.stdout for w in words), done.stdout


def test_a_mended_bundle_opens_again(visit, served, colours, tmp_path):
    folder = tmp_path / "dist"
    shutil.copytree(colours, folder)
    truncate(folder)
    visit.open(f"{served(folder)}?backend=wasm", state="error")
    name = next(folder.glob("params-*")).name
    shutil.copyfile(colours / name, folder / name)
    visit.page.click("#retry")
    visit.page.wait_for_selector('html[data-state="ready"]', state="attached")
    assert visit.page.is_hidden("#error")
