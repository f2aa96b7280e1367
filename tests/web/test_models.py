"""Whole models as bundles in Chromium, every output against ONNX Runtime."""

from __future__ import annotations

import pytest
from web import bundles
from web.colours import needs_emscripten
from weft.benchmarks.zoo import judge
from weft.compiler.check.tolerances import of_models
from weft.ir.target import Target

pytestmark = [pytest.mark.slow, needs_emscripten]

# What mobilenet_v2 is made of, efficientnet_lite0 has, too (``test_trained_web``).
MODELS = ("resnet18", "encoder_opset15")
TOLERANCE = {kind: of_models(Target.parse(kind)).rtol for kind in ("webgpu", "webgl", "wasm")}
HALF_TOLERANCE = of_models(Target.parse("webgl -float_bits=16")).rtol

INFER = """async ({ url, backend, flags, feeds }) => {
  const { model, inputs } = await open_bundle(url, backend, flags, feeds);
  const outputs = await model.run(inputs);
  const again = await model.run(inputs);
  const { backend: used } = model;
  model.dispose();
  const texts = (o) => Object.fromEntries(Object.entries(o).map(
    ([name, { dtype, shape, data }]) => [name, { dtype, shape, data: base64(data) }]));
  return { used, outputs: texts(outputs), again: texts(again) };
}"""


@pytest.fixture(scope="module", params=MODELS)
def made(request, tmp_path_factory):
    """A model's bundle, its inputs, and what ONNX Runtime says."""
    folder = tmp_path_factory.mktemp("bundles") / request.param
    found = bundles.write(request.param, folder)
    return folder, found["feed"], judge.reference(found["model"], found["feed"])


def infer(page, site, made, backend, **flags):
    """The largest relative error of all outputs."""
    folder, feed, expected = made
    site.mounts["/model"] = folder
    page.set_default_timeout(300_000)
    page.goto(f"{site.url}/blank.html")
    page.evaluate(bundles.OPEN)
    job = {
        "url": f"{site.url}/model/",
        "backend": backend,
        "flags": flags,
        "feeds": bundles.feeds_json(feed),
    }
    answer = page.evaluate(INFER, job)
    assert answer["used"] == backend
    assert answer["again"] == answer["outputs"]  # textures and arena used a second time
    ours = bundles.arrays(answer["outputs"])
    assert list(ours) == list(expected)
    assert all(ours[k].dtype == a.dtype for k, a in expected.items())
    return max(judge.relative_error(ours[k], a) for k, a in expected.items())


@pytest.mark.parametrize("backend", TOLERANCE)
def test_agrees_with_onnx_runtime(page, site, made, backend):
    assert infer(page, site, made, backend) <= TOLERANCE[backend]


def test_half_float_textures(page, site, made):
    assert 1e-5 < infer(page, site, made, "webgl", forceHalfFloat=True) <= HALF_TOLERANCE
