"""Random models of tensors whose size only data knows, on processors, against ONNX Runtime."""

from __future__ import annotations

import random
import zlib

import onnx
from support.random_sized import compared, model

from fuzz.fuzzer import Fuzzer, WrongError


def random_model(rng: random.Random) -> bytes:
    """The bytes of one."""
    return model(rng.randrange(2**31)).SerializeToString(deterministic=True)


def judge(data: bytes) -> None:
    why = compared(onnx.load_from_string(data), "llvm", zlib.crc32(data))
    if why:
        raise WrongError(why)


FUZZERS = (Fuzzer("sized", random_model, judge),)
