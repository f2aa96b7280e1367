"""``weft serve``: types, headers, nothing outside its folder, and nothing for ever."""

from __future__ import annotations

import os
import socket
import threading
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


def talk(address, text, patience=10.0):
    """All that the server answers to some bytes; TimeoutError where it keeps the connection."""
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as wire:
        wire.sendall(text.encode("latin-1"))
        parts = []
        while part := wire.recv(65536):
            parts.append(part)
    return b"".join(parts).decode("latin-1")


def status(address, target="/", host="localhost", method="GET"):
    answer = talk(
        address, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    return int(answer.split()[1])


@pytest.mark.parametrize("link", ["file", "folder", "index", "encoded", "circle", "pipe"])
def test_links_and_files_that_are_none(folder, link):
    """Links lead nowhere outside of the folder; what is no file is no page, and nothing waits."""
    secret = folder.parent / "secret.txt"
    target = "/x.txt"
    if link == "file":
        (folder / "x.txt").symlink_to(secret)
    elif link == "folder":
        (folder / "x").symlink_to(folder.parent)
        target = "/x/secret.txt"
    elif link == "index":
        (folder / "sub" / "index.html").symlink_to(secret)
        target = "/sub/"
    elif link == "encoded":
        (folder / "x.txt").write_text("fine")
        (folder / "x.txt.gz").symlink_to(secret)
    elif link == "circle":
        (folder / "x.txt").symlink_to(folder / "x.txt")
    else:
        os.mkfifo(folder / "x.txt")
    with serving(folder) as address:
        assert status(address, target) == 404


def test_links_inside(folder):
    (folder / "again.js").symlink_to(folder / "a.js")
    with serving(folder) as address:
        assert status(address, "/again.js") == 200


@pytest.mark.parametrize(
    "host, code",
    [
        ("localhost", 200), ("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200),
        ("evil.example", 403), ("localhost.evil.example", 403), ("localhost@evil.example", 403),
        ("", 403), ("[::1", 403),
    ],
)  # fmt: skip
def test_other_hosts_get_nothing(folder, host, code):
    """A page of another host whose name was pointed at loopback (DNS rebinding)."""
    with serving(folder) as address:
        assert status(address, host=host) == code


@pytest.mark.parametrize(
    "target, code",
    [
        ("/%00", 404), ("/a.js%00.png", 404), ("/%ff%fe", 404), ("/" + "a" * 300, 404),
        ("/..%2fsecret.txt", 404), ("/..%5csecret.txt", 404), ("//etc/passwd", 404),
        ("/sub/../a.js", 200), ("/a.js?x=1", 200), ("/%", 404),
    ],
)  # fmt: skip
def test_odd_paths_are_answered(folder, target, code, capfd):
    with serving(folder) as address:
        assert status(address, target) == code
        assert status(address, "/a.js") == 200
    assert "Traceback" not in capfd.readouterr().err


def test_every_answer_is_sent_once(folder, caplog):
    """Small and large files, whole, in part, and unchanged since: nothing to log."""
    (folder / "large.wasm").write_bytes(bytes(3 << 20))
    with serving(folder) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
            wire.settimeout(10)
            for more in (
                "",
                "Range: bytes=1-2\r\n",
                "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
            ):
                for name in ("a.js", "none", "large.wasm"):
                    wire.sendall(f"GET /{name} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += wire.recv(65536)
                    head, _, body = head.partition(b"\r\n\r\n")
                    sizes = [
                        int(x.split()[1])
                        for x in head.split(b"\r\n")
                        if x.lower().startswith(b"content-length")
                    ]
                    left = (sizes[0] if sizes else 0) - len(body)
                    while left > 0:
                        left -= len(wire.recv(65536))
                    assert left == 0
    assert not caplog.records


def test_files_are_all_there_is(folder):
    with serving(folder) as address:
        assert status(address, method="POST") == 405
        assert status(address, method="HEAD") == 200


@pytest.mark.parametrize("sent", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_half_a_request_is_not_held(folder, sent):
    """Neither a thread nor a connection stays for a request that never becomes whole."""
    with serving(folder, patience=0.2) as address:
        before = threading.active_count()
        for _ in range(8):
            talk(address, sent)  # TimeoutError where the server would wait for the rest
        assert threading.active_count() <= before
        assert status(address, "/a.js") == 200


def test_an_answered_connection_ends_too(folder):
    with serving(folder, patience=0.2) as address:
        assert talk(address, "GET /a.js HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith("a.js")
