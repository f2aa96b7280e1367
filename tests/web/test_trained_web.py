"""Trained models as bundles in Chromium, on real input, every output against ONNX Runtime."""

from __future__ import annotations

import pytest
from support.trained_jobs import TRAINED
from web.colours import needs_emscripten
from web.test_models import TOLERANCE, infer
from weft.benchmarks.zoo import judge
from weft.compiler.web.bundle import bundle

pytestmark = [pytest.mark.slow, needs_emscripten]


@pytest.fixture(scope="module", params=TRAINED)
def made(request, tmp_path_factory):
    """A model's bundle, its inputs, and what ONNX Runtime says."""
    model, feed = TRAINED[request.param]()
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    bundle(model, folder, shapes={k: a.shape for k, a in feed.items()})
    return folder, feed, judge.reference(model, feed)


@pytest.mark.parametrize("backend", TOLERANCE)
def test_agrees_with_onnx_runtime(page, site, made, backend):
    assert infer(page, site, made, backend) <= TOLERANCE[backend]
