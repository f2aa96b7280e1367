"""Formats are rows: a model goes to the front-end that knows it by its content."""

import numpy as np
import pytest
import weft
from support import toy_frontend
from weft.compiler.frontends.table import FRONTENDS, FrontEnd, frontend_of, register_frontend
from weft.runtime.errors import ModelError


@pytest.fixture
def toy(monkeypatch):
    before = dict(FRONTENDS)
    register_frontend(toy_frontend.ROW)
    yield
    FRONTENDS.clear()
    FRONTENDS.update(before)


def test_a_format_from_outside(toy, tmp_path):
    path = tmp_path / "model.onnx"  # the name says nothing
    path.write_text("toy 1\nscale 2.5\nshape 2 3\n")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_allclose(weft.compile(source)(x), 2.5 * x)
    assert weft.check(path, "llvm").ok


def test_everything_else_stays_onnx(toy, tmp_path):
    assert frontend_of(b"\x08\x07").name == "onnx"
    assert frontend_of(tmp_path).name == "onnx"
    with pytest.raises(ModelError, match="cannot be read"):
        weft.load(tmp_path / "absent")


def test_a_format_has_one_row(toy):
    with pytest.raises(ModelError, match="already"):
        register_frontend(FrontEnd("toy", ".toy:load", lambda source, head: False))
