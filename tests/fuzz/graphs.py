"""Random models on every target: DAGs of arithmetic, moved elements, reductions, convolutions."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial

import numpy as np
from onnx import helper
from weft.runtime.devices.probe import probe
from weft.runtime.executor import Executable

from fuzz import peer
from fuzz.fuzzer import CPU, Fuzzer
from fuzz.graph_builder import MOST, Builder, Value
from fuzz.graph_steps import STEPS
from fuzz.judging import here, judge_model
from fuzz.node import NODE, files
from fuzz.onnx_structure import smaller

SIZES = (1, 2, 3, 4, 5, 6, 8, 9, 16)
COARSE = {True: 1.0, False: 10.0}  # times the tolerance, by whether floats are those of IEEE
WEIGHTS = {"llvm": 2.0, "opencl": 0.7, "webgpu": 0.7, "opengl": 0.7, "wasm": 0.5}
HOMES = {"llvm": CPU, "wasm": "node"}


def random_model(rng: random.Random) -> bytes:
    """A model of up to fourteen steps, with one to three inputs; its outputs are all that nothing
    reads, and sometimes what is read, too."""
    b = Builder(rng, rng.choice(["float32"] * 9 + ["float64"]))
    inputs = []
    for k in range(rng.randint(1, 3)):
        shape = tuple(rng.choice(SIZES[: 9 - rank]) for rank in range(rng.choice([1, 2, 3, 4, 4])))
        v = Value(f"x{k}", shape if np.prod(shape) <= MOST else shape[:2], exact=True)
        inputs.append(v)
        b.values.append(v)
    for _ in range(rng.randint(1, 14)):
        rng.choice(STEPS)(b)
    read = {i for n in b.nodes for i in n.input}
    ends = [v for v in b.values[len(inputs) :] if v.name not in read or rng.random() < 0.1]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(b.dtype))
    graph = helper.make_graph(
        b.nodes,
        "random",
        [helper.make_tensor_value_info(v.name, kind, v.shape) for v in inputs],
        [helper.make_tensor_value_info(v.name, kind, v.shape) for v in ends],
        b.arrays,
    )
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return m.SerializeToString(deterministic=True)


def under_node(exe: Executable, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a program of wasm."""
    return NODE.run(files(exe, given))


def judge(target: str, data: bytes) -> None:
    run = under_node if target == "wasm" else here
    scale = COARSE[target in ("llvm", "wasm")]
    _, given, want = judge_model(data, target, exact=True, scale=scale, run=run)
    if target == "llvm":
        peer.ask(data, given, want)


def _missing(target: str) -> str:
    found = probe(target)
    return "" if found.ok else found.reason


FUZZERS = tuple(
    Fuzzer(
        f"graphs-{target}", random_model, partial(judge, target), smaller=smaller,
        missing=partial(_missing, target), home=HOMES.get(target, target), weight=weight,
    )
    for target, weight in WEIGHTS.items()
)  # fmt: skip
