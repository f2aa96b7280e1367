"""What a hub does with single connections: it counts them, cuts them, encrypts them."""

import asyncio
import base64
import gc
import os
import random
import socket
import struct
import subprocess
import threading

import numpy as np
import pytest
from support.hubs import (
    FakeDevice,
    Server,
    X,
    build,
    fails,
    keys,
    right,
    soon,
)
from weft.runtime.rpc import ends as ends_module
from weft.runtime.rpc import protocol
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.gate import Gate
from weft.runtime.rpc.host import LocalHub
from weft.runtime.rpc.stream import Address, StreamLink

pytestmark = pytest.mark.timeout(300)


# -- leaks ------------------------------------------------------------------------------------


def held(hub) -> dict[str, int]:
    """What a hub of this process holds."""

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    gc.collect()
    state = hub.hub
    return {
        "devices": len(state.devices),
        "sessions": len(state.sessions),
        "queue": len(state._queue),
        "connections": len(hub.server.runner.server.connections),
        "tasks": asyncio.run_coroutine_threadsafe(tasks(), hub._loop).result(30),
        "ends": sum(issubclass(type(x), ends_module.End) for x in gc.get_objects()),
        "files": len(os.listdir("/proc/self/fd")),
    }


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system has no /proc")
def test_nothing_is_left_of_a_thousand_connections(hub):
    """At the hub, and at the server, where each has a process of its own. Those that come out of
    turn, or go before it, leave nothing either."""
    address = Address.parse(hub.link)

    def once(k: int) -> None:
        with connect(hub.link, key="cpu") as remote:
            if k % 100 == 0:
                a = remote.array(X)
                right(remote.load(kernel))
                assert remote.state()["arrays"] == 1 and a.numpy().tolist() == X.tolist()
            if k % 10 == 0:
                with fails("queue", "within 0.001 seconds"):
                    connect(hub.link, key="cpu", wait=0.001)
                StreamLink(address, "client").end()
                with fails("refused", "no such session"):
                    StreamLink(address, "session/none")

    def settled() -> dict[str, int]:
        soon(lambda: not server.sessions() and len(hub.server.runner.server.connections) <= 1)
        return {**held(hub), "server's files": server.descriptors()}

    kernel = build("llvm")
    with Server(hub.link, "cpu") as server:
        soon(lambda: keys(hub))
        once(0)
        before = settled()
        for k in range(1000):
            once(k)
        soon(lambda: held(hub)["connections"] == before["connections"])
        assert settled() == before
        with connect(hub.link, key="cpu") as remote:
            counts = remote.state()
        assert set(counts.values()) == {0}
        assert len(hub.hub.fates) <= 1000


# -- frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_frames_are_known_however_they_are_cut(seed):
    """By the bytes that are let through before one that is too long."""
    rng = random.Random(seed)
    good = b"".join(
        b"".join(protocol.encode("put", k, {}, [bytes(rng.randrange(500))])) for k in range(5)
    )
    bad = protocol.PREFIX.pack(protocol.MAGIC, 48, 2000)
    gate, stream, passed = Gate(1000), good + bad + bytes(100), 0
    with pytest.raises(protocol.ProtocolError, match="2048 bytes was announced, and 1000 are"):
        while passed < len(stream):
            n = rng.choice([1, 3, 15, 16, 17, 100, 1000])
            gate.look(memoryview(stream)[passed : passed + n])
            passed += n
            assert passed < len(good) + len(bad)
    assert passed + n >= len(good) + len(bad)


# -- pages that do not behave -----------------------------------------------------------------


class Page:
    """A WebSocket that reads nothing but what it is told to."""

    def __init__(self, hub, path: str):
        self.socket = socket.create_connection(("127.0.0.1", hub.server.port), 30)
        lines = [
            f"GET /{hub.token}/{path} HTTP/1.1",
            f"Host: 127.0.0.1:{hub.server.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass

    def send(self, data: bytes) -> None:
        """One message, under a mask of zeros."""
        head = struct.pack(">BBQ", 0x82, 0xFF, len(data)) + bytes(4)
        self.socket.sendall(head + data)

    def message(self) -> bytes:
        """The next message, whatever it is."""
        n = self.file.read(2)[1]
        if n > 125:
            n = int.from_bytes(self.file.read(2 if n == 126 else 8), "big")
        return self.file.read(n)

    def ended(self) -> bool:
        """Whether the connection ends."""
        try:
            while self.file.read(1 << 16):
                pass
        except ConnectionError:
            pass
        return True


def test_a_page_that_does_not_say_goodbye_is_cut(hub, monkeypatch):
    monkeypatch.setattr(ends_module, "_LINGER", 0.3)
    before = len(hub.server.runner.server.connections)
    page = Page(hub, "device")
    page.send(b"".join(protocol.encode("state", 1, {})))
    assert b"'state' is no message to the hub" in page.message()
    assert page.message()[:2] == (1000).to_bytes(2, "big")  # the server's goodbye
    assert page.ended()
    soon(lambda: len(hub.server.runner.server.connections) == before)


def test_a_page_that_does_not_read_is_cut(hub, monkeypatch):
    """The hub holds no more than some MiB for it, and ends in spite of it."""
    monkeypatch.setattr(ends_module, "_LINGER", 0.3)
    before = len(hub.server.runner.server.connections)
    control = FakeDevice(hub.link, "page")
    opened = []

    def serve() -> None:
        said = control.hear()
        page = Page(hub, f"session/{said['session']}")
        opened.append(page)
        page.message()
        fields = {"version": protocol.VERSION, "platform": "page"}
        page.send(b"".join(protocol.encode("welcome", 1, fields)))

    serving = threading.Thread(target=serve)
    serving.start()
    with connect(hub.link, key="page", timeout=2) as remote:
        serving.join()
        (session,) = hub.hub.sessions.values()
        with fails("timeout", "did not answer within 2 s"):
            remote.array(np.zeros(64 << 20, np.uint8))
        assert session.queued <= 8 << 20
    soon(lambda: not hub.hub.sessions)
    assert opened[0].ended()
    control.end()
    soon(lambda: len(hub.server.runner.server.connections) == before)


def test_messages_of_pages_may_be_cut_anywhere_and_be_of_any_length(hub):
    page = Page(hub, "device")
    fields = {"version": protocol.VERSION, "key": "cut", "name": "n" * 299, "targets": {}}
    said = b"".join(protocol.encode("join", 0, fields))
    for k in range(len(said)):
        page.send(said[k : k + 1])
    assert b'"joined"' in page.message()
    assert "cut" in keys(hub)
    page.socket.shutdown(socket.SHUT_RDWR)
    soon(lambda: "cut" not in keys(hub))


# -- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", made, "-days", "2", "-subj", "/CN=weft",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(made), str(key)


def test_tls(certificate):
    made, key = certificate
    big = np.random.default_rng(0).integers(0, 255, 20_000_001, np.uint8)
    with LocalHub(certificate=made, private_key=key) as hub:
        assert hub.link.startswith("https://") and hub.url.startswith("wss://")
        with Server(hub.link, "cpu", certificate=made) as server:
            soon(lambda: keys(hub))
            for _ in range(2):
                with connect(hub.link, key="cpu", certificate=made) as remote:
                    right(remote.load(build("llvm")))
                    assert np.array_equal(remote.array(big).numpy(), big)
                    (session,) = hub.hub.sessions.values()
                    hub._loop.call_soon_threadsafe(session.data.close)
                    soon(session.over.is_set)
                    soon(lambda r=remote: not r.peer.started)
                    right(remote.load(build("llvm")))
            with connect(hub.link, key="cpu", certificate=made, timeout=2) as remote:
                endless = remote.load(build("llvm", endless=True))
                with fails("timeout", "within 2 s"):
                    endless(X, X.copy())
            soon(lambda: not server.sessions())
        with fails("connect", "certificate verify failed"):
            connect(hub.link, key="cpu")
        with fails("connect", "cannot be reached|does not answer"):
            connect(hub.link.replace("https", "http"), key="cpu")


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "certificate.pem").write_text("this is none")
    with fails("connect", r"certificate\.pem cannot be used(.|\n)*--private-key"):
        LocalHub(certificate=str(tmp_path / "certificate.pem"))
    with fails("connect", r"nowhere\.pem cannot be used"):
        LocalHub(certificate=str(tmp_path / "nowhere.pem"))


def test_a_port_that_is_taken(hub):
    with fails("connect", rf"port {hub.server.port}: (.|\n)*--port 0"):
        LocalHub(port=hub.server.port)


def test_a_device_that_says_nothing_for_long_is_given_up_by_the_system(hub):
    """Whose machine was switched off: both sides have the system look after 15 seconds."""
    link = StreamLink(Address.parse(hub.link), "client")
    assert link._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        ours = [link._socket.getsockopt(socket.IPPROTO_TCP, getattr(socket, n)) for n in
                ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")]  # fmt: skip
        assert ours == [15, 5, 4]
        theirs = [
            c.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            for c in hub.server.runner.server.connections
        ]
        assert theirs == [15]
    link.end()
