"""Hubs, device servers and devices that misbehave, for tests of what happens between them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import weft
from weft import te
from weft.compiler.kernels.untouched import UntouchedScheduleWarning
from weft.runtime.errors import RPCError
from weft.runtime.rpc import protocol
from weft.runtime.rpc.link import LinkLost
from weft.runtime.rpc.stream import Address, StreamLink, until

from support.machines import serving

PATIENCE = 30.0  # seconds for what happens soon; failing, not passing, takes as long
FREE = 5.0  # seconds within which a device has to be free again

_HUB = """
import asyncio, sys
from weft.runtime.rpc.host import HubServer
async def main():
    server = HubServer(port=int(sys.argv[1]), token=sys.argv[2])
    print(server.link(), flush=True)
    await server.run()
asyncio.run(main())
"""


def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, run in a thread of its own: a test before may have left a browser
    open, whose loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def keys(hub: Any) -> list[str]:
    """The keys of the devices that are there."""
    return [d["key"] for d in hub.hub.listing()["devices"]]


def soon(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What becomes true within some seconds."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds:g} seconds"
        time.sleep(0.01)
    return found


def python(code: str, *args: str, **options: Any) -> subprocess.Popen[str]:
    """A Python of its own."""
    return subprocess.Popen([sys.executable, "-c", code, *args], text=True, **options)


class Server:
    """A device server in a process of its own: ``with Server(hub, "cpu") as server:``."""

    def __init__(self, link: str, key: str, *kinds: str, certificate: str = ""):
        self.child = serving(link, key, kinds or ("llvm",), certificate=certificate)

    def sessions(self) -> list[int]:
        """The processes of its sessions."""
        path = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return [int(p) for p in path.read_text().split()]

    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(PATIENCE)


class HubProcess:
    """A hub that can be killed and started again, where it was and with its token."""

    token = "the-token-of-the-test"

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        self.child = python(_HUB, str(self.port), self.token, stdout=subprocess.PIPE)
        assert self.child.stdout is not None
        self.link = self.child.stdout.readline().strip()
        self.port = Address.parse(self.link).port

    def kill(self) -> None:
        """End it without a word."""
        self.child.kill()
        self.child.wait(PATIENCE)
        if self.child.stdout is not None:
            self.child.stdout.close()

    def listing(self) -> dict[str, Any]:
        """Who is there."""
        return Address.parse(self.link).json("list")


class FakeDevice:
    """A device that does what a test says, and nothing else."""

    def __init__(self, link: str, key: str):
        self.address = Address.parse(link)
        self.control = StreamLink(self.address, "device")
        self.tell("join", version=protocol.VERSION, key=key, name=f"fake {key}", targets={})
        assert self.hear()["kind"] == "joined"

    def tell(self, kind: str, **fields: Any) -> None:
        """Tell the hub."""
        self.control.tell(kind, until(PATIENCE), **fields)

    def hear(self) -> dict[str, Any]:
        """What the hub says."""
        return self.control.hear(until(PATIENCE))[0]

    def begin(self) -> tuple[str, StreamLink]:
        """The next session: its name, and the connection for it."""
        said = self.hear()
        assert said["kind"] == "begin"
        return said["session"], StreamLink(self.address, f"session/{said['session']}")

    def welcome(self, data: StreamLink) -> None:
        """Answer the client's first message."""
        said, _ = data.hear(until(PATIENCE))
        assert said["kind"] == "hello"
        fields = {"version": protocol.VERSION, "platform": "fake"}
        data.send(protocol.encode("welcome", said["id"], fields), until(PATIENCE))

    def end(self) -> None:
        """Go."""
        self.control.end()

    def __enter__(self) -> FakeDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@contextmanager
def fails(step: str, words: str) -> Iterator[Any]:
    """Expects an error of a step, with words (a regular expression)."""
    with pytest.raises(RPCError) as e:
        yield e
    assert e.value.step == step and re.search(words, str(e.value)), (e.value.step, str(e.value))


def gone(link: StreamLink) -> bool:
    """Whether a connection ends soon, with whatever comes until then."""
    rest = memoryview(bytearray(1 << 20))
    with suppress(LinkLost):
        while True:
            link.receive(rest, until(PATIENCE))
    return True


def announcement(nbytes: int) -> bytes:
    """The beginning of a message of so many bytes."""
    header = b"{}".ljust(48)
    return protocol.PREFIX.pack(protocol.MAGIC, len(header), nbytes) + header


async def status(url: str, **headers: str) -> int:
    """The status of the answer to a request."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status


X = np.arange(5, dtype=np.float32)


def build(target: str, endless: bool = False) -> Any:
    """A kernel that adds one to five numbers; or one that never ends."""
    a = te.placeholder((5,), name="A")
    if endless:
        k, j = te.reduce_axis(2_000_000_000, "k"), te.reduce_axis(1_000_000, "j")
        term = te.sin(a[0] + te.cast(k, "float32") * te.cast(j, "float32"))
        b = te.compute((5,), lambda i: te.sum(term * a[i], [k, j]), name="B")
    else:
        b = te.compute((5,), lambda i: a[i] + 1, name="B")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntouchedScheduleWarning)
        return weft.build(te.create_schedule(b), [a, b], target)


def right(kernel: Any) -> None:
    """That a kernel of :func:`build` does what it should."""
    out = np.zeros(5, np.float32)
    kernel(X, out)
    assert out.tolist() == [1, 2, 3, 4, 5]
