"""Bundles with damage, loaded and run by the JavaScript runtime in one Node that goes on and on.

A case is a zip of the bundle's files. Damaged wasm is code, and may do what it likes inside of its
memory, take for ever included: it is loaded and not run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache

import numpy as np
import weft
from weft.compiler.web.bundle import MANIFEST
from weft.runtime.devices.probe import probe

from fuzz.fuzzer import Fuzzer
from fuzz.judging import compare, feeds, read
from fuzz.node import FEEDS, NODE, files
from fuzz.onnx_bytes import damaged
from fuzz.packages import Parts, identity, mutated_json, packed, unpacked
from fuzz.seeds import WHOLE


@cache
def bundles() -> tuple[tuple[Parts, dict[str, np.ndarray]], ...]:
    """(files, outputs) of the bundles that are damaged; the inputs are a file beside the others."""
    made = []
    for model in WHOLE:
        graph = read(model)
        given = feeds(graph, 0)
        parts = files(weft.compile(graph, "wasm"), given)
        made.append((parts, weft.compile(graph).run(given)))
    return tuple(made)


@cache
def known() -> dict[str, dict[str, np.ndarray]]:
    """Outputs by the identity of what a bundle computes, and on what."""
    return {_meaning(p): want for p, want in bundles()}


def _meaning(parts: Parts) -> str:
    """The files but for the manifest."""
    return json.dumps({n: identity(d) for n, d in sorted(parts.items()) if n != MANIFEST})


@cache
def _modules() -> frozenset[bytes]:
    return frozenset(d for p, _ in bundles() for n, d in p.items() if n.endswith(".wasm"))


def _file(rng: random.Random, parts: Parts, begin: str) -> str:
    names = sorted(n for n in parts if n.startswith(begin) and n != FEEDS)
    return rng.choice(names or [MANIFEST])


def _manifest(rng: random.Random, parts: Parts) -> None:
    value = mutated_json(rng, json.loads(parts[MANIFEST]), rng.choice([1, 1, 2, 4]))
    parts[MANIFEST] = json.dumps(value).encode()


def _program(rng: random.Random, parts: Parts) -> None:
    name = _file(rng, parts, "program.")
    value = mutated_json(rng, json.loads(parts[name]), rng.choice([1, 1, 2, 4]))
    parts[name] = json.dumps(value).encode()


def _bytes(rng: random.Random, parts: Parts) -> None:
    name = _file(rng, parts, rng.choice(["", "params-", "kernels."]))
    parts[name] = damaged(rng, parts[name])


def _code(rng: random.Random, parts: Parts) -> None:
    """A few bytes of a module become others, so that most are still modules."""
    name = _file(rng, parts, "kernels.")
    made = bytearray(parts[name])
    for _ in range(rng.choice([1, 1, 2])):
        made[rng.randrange(8, len(made))] = rng.choice([0, 1, 0x0B, 0x41, 0x6A, rng.randrange(256)])
    parts[name] = bytes(made)


def _lost(rng: random.Random, parts: Parts) -> None:
    name = _file(rng, parts, "")
    if name != MANIFEST:
        del parts[name]


CHANGES: tuple[Callable[[random.Random, Parts], None], ...] = (
    _manifest, _manifest, _program, _program, _bytes, _code, _lost,
)  # fmt: skip


def make(rng: random.Random) -> bytes:
    parts = dict(rng.choice(bundles())[0])
    change = rng.choice(CHANGES)
    change(rng, parts)
    if change is not _manifest and rng.random() < 0.8:  # the hashes fit again
        try:
            manifest = json.loads(parts[MANIFEST])
            manifest["files"] = {n: identity(parts[n]) for n in manifest["files"] if n in parts}
            parts[MANIFEST] = json.dumps(manifest).encode()
        except ValueError:
            pass
    return packed(parts)


def judge(data: bytes) -> None:
    parts = unpacked(data)
    trusted = all(d in _modules() for n, d in parts.items() if n.endswith(".wasm"))
    got = NODE.run(parts, run=trusted)
    want = known().get(_meaning(parts))
    if want is not None and trusted and not _other_signature(parts):
        compare(got, want)


def _other_signature(parts: Parts) -> bool:
    """Whether the manifest leaves it to chance which program is run."""
    return len(json.loads(parts[MANIFEST]).get("programs", [])) != 1


FUZZERS = (
    Fuzzer(
        "bundles", make, judge, "zip", missing=lambda: probe("wasm").reason, seconds=30,
        home="node",
    ),
)  # fmt: skip
