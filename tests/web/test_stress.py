"""Many inferences leave no trace: device memory, its objects and the JavaScript heap stay flat."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from web import bundles
from web.colours import needs_emscripten

pytestmark = [pytest.mark.slow, needs_emscripten]

# Bytes a call: less than a small object kept by each. Compiled code and type feedback come and go
# by hundreds of kilobytes in one round of calls or another; what leaks grows in every one of them.
SLACK = 16
RSS_SLACK = 16 * 2**20
ROUNDS = 5
CALLS = 400

COUNT_GL = """() => {
  window.gl_objects = {};
  const gl = WebGL2RenderingContext.prototype;
  for (const what of ['Texture', 'Buffer', 'Framebuffer', 'Program', 'Shader', 'VertexArray']) {
    for (const [verb, by] of [['create', 1], ['delete', -1]]) {
      const plain = gl[verb + what];
      gl[verb + what] = function (...a) {
        gl_objects[what] = (gl_objects[what] ?? 0) + by;
        return plain.apply(this, a);
      };
    }
  }
  for (const what of ['Buffer', 'BindGroup', 'ComputePipeline', 'QuerySet']) {
    const plain = GPUDevice.prototype['create' + what];
    GPUDevice.prototype['create' + what] = function (...a) {
      gl_objects['GPU' + what] = (gl_objects['GPU' + what] ?? 0) + 1;
      return plain.apply(this, a);
    };
  }
}"""
PREPARE = """async ({ url, backend, feeds }) => {
  Object.assign(window, await open_bundle(url, backend, {}, feeds));
}"""
RUN = """async (n) => {
  const [y] = Object.values(await model.run(inputs));
  for (let k = 1; k < n; k++) await model.run(inputs);
  return { sum: y.data.reduce((a, b) => a + b, 0), memory: weft.memory(), gl: gl_objects };
}"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stress") / "mnist"
    return folder, bundles.write("mnist_cnn", folder)["feed"]


def heap(client) -> int:
    """Bytes of the page's JavaScript heap after a full collection."""
    for _ in range(3):
        client.send("HeapProfiler.collectGarbage")
    return client.send("Runtime.getHeapUsage")["usedSize"]


def least_growth(readings: list[int]) -> int:
    """Bytes by which memory grew in the round in which it grew least."""
    return min(after - before for before, after in pairwise(readings))


@pytest.mark.parametrize("backend", ["webgpu", "webgl", "wasm"])
def test_thousands_of_inferences_in_one_page(page, site, small, backend):
    folder, feed = small
    site.mounts["/model"] = folder
    page.set_default_timeout(300_000)
    page.goto(f"{site.url}/blank.html")
    page.evaluate(COUNT_GL)
    page.evaluate(bundles.OPEN)
    url = f"{site.url}/model/"
    page.evaluate(PREPARE, {"url": url, "backend": backend, "feeds": bundles.feeds_json(feed)})
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.enable")
    results, heaps = [], []
    for _ in range(ROUNDS):
        results.append(page.evaluate(RUN, CALLS))
        heaps.append(heap(client))
    early = results[0]
    assert results == [early] * ROUNDS
    assert early["memory"]["models"] == 1 and early["memory"]["bytes"] > 0
    assert (early["gl"].get("Texture", 0) > 0) == (backend == "webgl")
    assert (early["gl"].get("GPUBuffer", 0) > 0) == (backend == "webgpu")
    assert least_growth(heaps) < SLACK * CALLS
    assert page.evaluate("() => { model.dispose(); return weft.memory(); }") == {
        "models": 0, "buffers": 0, "bytes": 0,
    }  # fmt: skip


def test_thousands_of_warm_calls_in_node(small):
    if shutil.which("node") is None:
        pytest.skip("needs Node 18 or newer")
    script = Path(__file__).parent / "node_stress.mjs"
    calls = 4000
    command = ["node", "--expose-gc", str(script), str(small[0]), str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert found["same"]
    readings = found["readings"]
    assert all(r["weft"] == readings[0]["weft"] for r in readings)
    for what in ("heapUsed", "external", "arrayBuffers"):
        assert least_growth([r[what] for r in readings]) < SLACK * calls, what
    assert least_growth([r["rss"] for r in readings]) < RSS_SLACK
    assert found["disposed"] == {"models": 0, "buffers": 0, "bytes": 0}
