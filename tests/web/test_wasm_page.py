"""wasm in Chromium: threads where the page is isolated, one thread where it is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from web.colours import needs_emscripten
from weft.benchmarks import zoo
from weft.benchmarks.zoo import judge
from weft.compiler.web.bundle import bundle

pytestmark = needs_emscripten

RUN = """
async ([address, name, values, threads]) => {
  const { load } = await import(`${address}weft.js`);
  const model = await load(address, { flags: { threads } });
  let result;
  for (let k = 0; k < 20; k++) result = await model.run({ [name]: Float32Array.from(values) });
  const [first] = Object.values(result);
  const bytes = model.memory().bytes;
  const answer = {
    values: Array.from(first.data), devices: model.devices, bytes, reasons: model.reasons,
    isolated: globalThis.crossOriginIsolated,
  };
  model.dispose();
  return answer;
}
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A small convolutional network for both kinds of wasm; its feed; what it should give."""
    network = zoo.random_model("mnist_cnn")
    place = tmp_path_factory.mktemp("bundles") / "digits"
    bundle(network, place, ("wasm -threads", "wasm"), shapes=zoo.shapes(network))
    feed = zoo.feed(network)
    [expected] = judge.reference(network, feed).values()
    return place, feed, expected


def run(visit, address: str, feed: dict, threads: int) -> dict:
    [(name, array)] = feed.items()
    if not address.endswith("/"):
        address += "/"
    return visit.page.evaluate(RUN, [address, name, array.ravel().tolist(), threads])


@pytest.mark.parametrize("threads", [1, 3])
def test_isolated_page_has_threads(visit, served, digits, threads):
    place, feed, expected = digits
    address = served(place)
    visit.open(address)
    answer = run(visit, address, feed, threads)
    assert answer["isolated"] is True
    ours = np.array(answer["values"], np.float32).reshape(expected.shape)
    assert judge.relative_error(ours, expected) <= 1e-4
    what = "threads" if threads > 1 else "thread"
    assert answer["devices"] == [f"WebAssembly, SIMD, {threads} {what}"]
    assert visit.complaints == []


def test_other_pages_run_on_one_thread(page, site, digits):
    place, feed, expected = digits
    site.mounts["/digits"] = place
    page.goto(f"{site.url}/blank.html")
    [(name, array)] = feed.items()
    answer = page.evaluate(RUN, [f"{site.url}/digits/", name, array.ravel().tolist(), 3])
    assert answer["isolated"] is False
    ours = np.array(answer["values"], np.float32).reshape(expected.shape)
    assert judge.relative_error(ours, expected) <= 1e-4
    assert answer["devices"] == ["WebAssembly, SIMD"]
    refused = answer["reasons"][0]
    assert not refused["ok"] and "cross-origin isolated" in refused["reason"], json.dumps(refused)
