"""Tensor expressions with random legal schedules, against the interpreter on the default one.

A case is a line of JSON: {"kind", "seed", "target"}. Inputs are small integers, whose sums are
exact in any order.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import weft
from support import wide_programs
from support.random_gpu_schedules import build_gpu, build_shared
from support.random_programs import ALL
from support.random_schedules import build, inputs_for, unwritten
from support.random_vectors import VECTORS, build_vectors
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.schedule.schedule import create_schedule
from weft.runtime.devices.probe import probe

from fuzz.fuzzer import CPU, Fuzzer, WrongError

# A division need not be rounded correctly on a device.
_RTOL = {"llvm": 0.0}


SLOW = 10.0  # seconds of a processor that no compilation may take
_MANY = ("program", "program", "program", "program")


def make(target: str, rng: random.Random) -> bytes:
    vector = (VECTORS,) * 5 if target == "llvm" else ("wide",) * 4
    kind = rng.choice([*ALL, *_MANY, *vector])
    return json.dumps({"kind": kind, "seed": rng.randrange(2**32), "target": target}).encode()


def _default(kind: str, seed: int, kinds):
    """A program as the rules of the target order it: what takes fragments takes no other loops."""
    inputs, outputs = kinds[kind](random.Random(seed))
    return inputs, outputs, create_schedule(outputs)


def _for_processors(kind: str, seed: int):
    return build_vectors(seed) if kind == VECTORS else build(kind, seed, kinds=ALL)


def _for_workgroups(kind: str, seed: int):
    return (build_shared if seed % 2 else build_gpu)(kind, seed, ALL)


_BUILD: dict[str, Callable] = {
    "llvm": _for_processors,
    "opencl": _for_workgroups,
    "webgpu": _for_workgroups,
    "opengl": partial(_default, kinds=ALL),
}


def judge(data: bytes) -> None:
    case = json.loads(data)
    target, seed = case["target"], case["seed"]
    if case["kind"] == "wide":
        _judge_wide(seed, target)
        return
    inputs, outputs, s = _BUILD[target](case["kind"], seed)
    args = [*inputs, *outputs]
    given = inputs_for(inputs, seed)
    want = [np.zeros([int(e.value) for e in t.shape], t.dtype.numpy) for t in outputs]
    got = [unwritten(w) for w in want]
    run(build_loop_nest(create_schedule(outputs), args, "default"), [*given, *want])
    begin = time.process_time()
    kernel = weft.build(s, args, target)
    took = time.process_time() - begin
    if took > SLOW:
        raise WrongError(f"{case['kind']}: compiled in {took:.0f} s\n{s.trace}\n{kernel.function}")
    kernel(*given, *got)
    for k, (w, g) in enumerate(zip(want, got, strict=True)):
        if not np.allclose(g, w, rtol=_RTOL.get(target, 1e-6), atol=0, equal_nan=True):
            raise WrongError(
                f"{case['kind']}\noutput {k}: {g}\n\nnot {w}\n{s.trace}\n{kernel.function}"
            )


def _judge_wide(seed: int, target: str) -> None:
    try:
        wide_programs.judge(seed, target)
    except wide_programs.DiffersError as e:
        raise WrongError(str(e)) from None


def _missing(target: str) -> str:
    found = probe(target)
    return "" if found.ok else found.reason


FUZZERS = tuple(
    Fuzzer(
        f"te-{target}", partial(make, target), judge, "json", missing=partial(_missing, target),
        home=target if target != "llvm" else CPU, weight=1 if target == "llvm" else 0.5,
    )
    for target in _BUILD
)  # fmt: skip
