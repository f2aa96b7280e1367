"""``weft serve``: types, headers, and nothing outside its folder."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from weft.compiler.cli.main import main
from weft.compiler.web.serve import serving
from weft.runtime.errors import InputError, WeftError


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "dist"
    (place / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    for name in ("index.html", "a.js", "b.wasm", "c.safetensors", "d.json"):
        (place / name).write_text(name)
    return place


def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.headers, answer.read().decode()


@pytest.mark.parametrize(
    "name, kind",
    [
        ("", "text/html"),
        ("a.js", "text/javascript"),
        ("b.wasm", "application/wasm"),
        ("c.safetensors", "application/octet-stream"),
        ("d.json", "application/json"),
    ],
)
def test_types_and_headers(folder, name, kind):
    with serving(folder) as address:
        headers, body = get(address + name)
    assert body == (name or "index.html")
    assert headers["Content-Type"].startswith(kind)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["none.js", "sub/", "../secret.txt", "%2e%2e/secret.txt"])
def test_what_is_not_there(folder, name):
    with serving(folder) as address, pytest.raises(urllib.error.HTTPError) as e:
        get(address + name)
    assert e.value.code == 404


def test_loopback_only(folder):
    with serving(folder) as address:
        assert address.startswith("http://localhost:")
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(WeftError, match="it is taken"), serving(folder, port):
            pass


def test_no_folder(tmp_path, capsys):
    with pytest.raises(InputError, match="no such folder"), serving(tmp_path / "none"):
        pass
    assert main(["serve", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
