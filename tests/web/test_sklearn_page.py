"""Pipelines of scikit-learn as bundles in Chromium, beside ONNX Runtime."""

from __future__ import annotations

import warnings

import pytest
from support import pipelines
from web import bundles
from web.colours import needs_emscripten
from weft.compiler.frontends.onnx.importer import ModelWarning
from weft.compiler.web.bundle import bundle

pytestmark = [pytest.mark.slow, needs_emscripten]

BACKENDS = ("webgpu", "webgl", "wasm")

RUN = """async ({ url, backend, feeds }) => {
  const { model, inputs } = await open_bundle(url, backend, {}, feeds);
  const outputs = await model.run(inputs);
  const { backend: used, meta } = model;
  model.dispose();
  return { used, labels: Object.fromEntries(meta.model.outputs.map((o) => [o.name, o.labels])),
           outputs: Object.fromEntries(Object.entries(outputs).map(
    ([name, { dtype, shape, data }]) => [name, { dtype, shape, data: base64(data) }])) };
}"""


@pytest.mark.parametrize("name", ["gradient_boosting", "histogram", "columns"])
def test_pipeline_in_a_page(page, site, tmp_path, name):
    """Labels equal, probabilities within 1e-5, on every backend; labels that are strings come with
    the bundle. Missing numbers take their way down the trees in shaders, too."""
    x = pipelines.data(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        bundle(pipelines.pipeline(name), tmp_path, BACKENDS, shapes={"X": x.shape})
    site.mounts["/model"] = tmp_path
    page.set_default_timeout(300_000)
    page.goto(f"{site.url}/blank.html")
    page.evaluate(bundles.OPEN)
    for backend in BACKENDS:
        job = {
            "url": f"{site.url}/model/",
            "backend": backend,
            "feeds": bundles.feeds_json({"X": x}),
        }
        answer = page.evaluate(RUN, job)
        assert answer["used"] == backend
        pipelines.check(name, bundles.arrays(answer["outputs"]), answer["labels"], x)
