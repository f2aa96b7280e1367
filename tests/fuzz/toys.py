"""Fuzzers whose cases end in every way that there is, for the tests of the driver."""

from __future__ import annotations

import os
import random
import time

from weft.runtime.errors import ModelError

from fuzz import peer
from fuzz.fuzzer import Differs, Fuzzer, Skip, WrongError


def _hang() -> None:
    while True:
        pass


def _memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(b"x") * (1 << 24))
        time.sleep(0.01)


def _raise(error: BaseException) -> None:
    raise error


def _refused_for_memory() -> None:
    raise ModelError("too much.") from MemoryError()


def _peer() -> None:
    peer.announce()
    os.abort()


WAYS = {
    "right": lambda: None,
    "refused": lambda: _raise(ModelError("no.")),
    "skipped": lambda: _raise(Skip("nothing to compare")),
    "differs": lambda: _raise(Differs("add")),
    "wrong": lambda: _raise(WrongError("add\nis wrong")),
    "error": lambda: _raise(TypeError("oh")),
    "refused-for-memory": _refused_for_memory,
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "hang": _hang,
    "sleep": lambda: time.sleep(10000),
    "memory": _memory,
    "peer": _peer,
}


def _make(rng: random.Random) -> bytes:
    return bytes(rng.choices(b"abcdefgh", k=20))


def _smaller(data: bytes):
    for k in range(len(data)):
        yield data[:k] + data[k + 1 :]


def _letter(data: bytes) -> None:
    """The letter a is a fault."""
    if b"a" in data:
        raise TypeError("a")


def _limits(way: str) -> dict[str, float]:
    return {"seconds": 0.3 if way in ("hang", "sleep") else 60, "megabytes": 300}


FUZZERS = (
    *(
        Fuzzer(f"toy-{w}", _make, lambda data, f=f: f(), "txt", **_limits(w))
        for w, f in WAYS.items()
    ),
    Fuzzer("toy-letter", _make, _letter, "txt", _smaller),
    Fuzzer("toy-missing", _make, _letter, "txt", missing=lambda: "there is no toy"),
)
