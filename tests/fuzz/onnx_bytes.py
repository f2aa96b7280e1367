"""ONNX files with damaged bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from fuzz.fuzzer import Fuzzer
from fuzz.judging import judge_model
from fuzz.seeds import seed


def damaged(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """``data`` with a few bytes changed, lost, moved or doubled, or with a piece of ``other``."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 4, 16])):
        at = rng.randrange(len(made) + 1)
        n = rng.choice([1, 1, 2, 4, 8, rng.randint(1, 64)])
        change = rng.randrange(7)
        if change == 0 and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif change == 1 and at < len(made):
            made[at] = rng.choice([0, 1, 2, 127, 128, 255, rng.randrange(256)])
        elif change == 2:
            del made[at : at + n]
        elif change == 3:
            made[at:at] = rng.randbytes(n)
        elif change == 4:
            made[at:at] = made[at : at + n] * rng.randint(1, 4)
        elif change == 5 and other:
            begin = rng.randrange(len(other))
            made[at : at + rng.choice([0, n])] = other[begin : begin + n]
        elif rng.random() < 0.2:
            del made[at:]
    return bytes(made)


def make(rng: random.Random) -> bytes:
    return damaged(rng, seed(rng), seed(rng))


def judge(data: bytes) -> None:
    judge_model(data)


def pieces(data: bytes) -> Iterator[bytes]:
    """``data`` with a piece cut out, from half of it down to single bytes."""
    n = len(data) // 2
    while n:
        for at in range(0, len(data), n):
            yield data[:at] + data[at + n :]
        n //= 2


FUZZERS = (Fuzzer("onnx-bytes", make, judge, smaller=pieces),)
