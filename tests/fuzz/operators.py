"""Models of one operator: attributes, shapes, types and values around those of ONNX's own cases."""

from __future__ import annotations

import random
import zlib
from collections import defaultdict
from functools import cache, partial

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, helper, numpy_helper
from weft.runtime.devices.probe import probe

from fuzz import peer
from fuzz.fuzzer import CPU, Fuzzer
from fuzz.judging import judge_model
from fuzz.onnx_structure import smaller
from fuzz.seeds import examples

Example = tuple[ModelProto, dict[str, np.ndarray]]
SIZES = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33)
FLOATS = ("float32", "float64", "float16")
INTS = ("int32", "int64", "int8", "uint8", "int16", "uint16", "uint32", "uint64")
REALS = (0.0, 1.0, -1.0, 0.5, -0.5, 1e-5, 2.0, 3.0, 0.1)
WEIGHTS = {"llvm": 2.0, "opencl": 0.5, "webgpu": 0.5, "opengl": 0.5}
SMALL = 24  # elements of a tensor that may be a constant: shapes, axes, sizes, scales


@cache
def cases() -> dict[str, list[Example]]:
    """The cases of one node, by operator."""
    found: dict[str, list[Example]] = defaultdict(list)
    for data, arrays in examples():
        model = ModelProto.FromString(data)
        nodes = model.graph.node
        if len(nodes) == 1 and not nodes[0].domain:
            found[nodes[0].op_type].append((model, arrays))
    return dict(sorted(found.items()))


@cache
def texts() -> dict[tuple[str, str], list[bytes]]:
    """The strings that cases give an attribute, by operator and attribute."""
    found: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for op, them in cases().items():
        for a in (a for model, _ in them for a in model.graph.node[0].attribute):
            if a.type == AttributeProto.STRING:
                found[op, a.name].add(a.s)
    return {k: sorted(v) for k, v in found.items()}


def _attribute(node: NodeProto, rng: random.Random) -> None:
    """Change one attribute a little, or leave it out."""
    if not node.attribute:
        return
    k = rng.randrange(len(node.attribute))
    a = node.attribute[k]
    if rng.random() < 0.1:
        del node.attribute[k]
    elif a.type == AttributeProto.INT:
        flags = (0, 1) if a.i in (0, 1) and rng.random() < 0.7 else ()
        a.i = rng.choice(flags or (a.i + 1, a.i - 1, -a.i, 0, 1, 2, -1, -2))
    elif a.type == AttributeProto.INTS and a.ints:
        j = rng.randrange(len(a.ints))
        if rng.random() < 0.3:
            values = list(a.ints)
            rng.shuffle(values)
            a.ints[:] = values
        else:
            a.ints[j] = rng.choice((a.ints[j] + 1, a.ints[j] - 1, 0, 1, 2, 3, -1))
    elif a.type == AttributeProto.FLOAT:
        a.f = rng.choice(REALS)
    elif a.type == AttributeProto.STRING:
        a.s = rng.choice(texts()[node.op_type, a.name])


def _borrowed(node: NodeProto, rng: random.Random) -> None:
    """An attribute of another case of the operator."""
    other = rng.choice(cases()[node.op_type])[0].graph.node[0]
    have = {a.name for a in node.attribute}
    new = [a for a in other.attribute if a.name not in have and a.type != AttributeProto.GRAPH]
    if new:
        node.attribute.append(rng.choice(new))


def _resized(arrays: dict[str, np.ndarray], rng: random.Random) -> dict[str, np.ndarray]:
    """One size, wherever it occurs in a shape or as a value of a small table, becomes another."""
    sizes = sorted({s for a in arrays.values() for s in a.shape})
    if not sizes:
        return arrays
    old, new = rng.choice(sizes), rng.choice(SIZES)
    made = {}
    for name, a in arrays.items():
        shape = tuple(new if s == old else s for s in a.shape)
        b = np.resize(a, shape) if a.size else np.zeros(shape, a.dtype)
        if b.dtype == np.int64 and b.size <= SMALL and rng.random() < 0.5:
            b = np.where(b == old, new, b)
        made[name] = b
    return made


def _retyped(arrays: dict[str, np.ndarray], rng: random.Random) -> dict[str, np.ndarray]:
    kinds = sorted({str(a.dtype) for a in arrays.values()} & {*FLOATS, *INTS})
    if not kinds:
        return arrays
    old = rng.choice(kinds)
    new = rng.choice([*FLOATS, *INTS] if rng.random() < 0.5 else FLOATS if old in FLOATS else INTS)
    with np.errstate(all="ignore"):
        return {n: a.astype(new) if str(a.dtype) == old else a for n, a in arrays.items()}


def one_operator(case: Example, rng: random.Random) -> ModelProto:
    """A model like that of ``case``."""
    node = NodeProto()
    model, given = case
    node.CopyFrom(model.graph.node[0])
    arrays = {n: a for n, a in given.items() if a.dtype.kind in "fiub" or a.dtype.kind == "V"}
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        change = rng.randrange(6)
        if change <= 1:
            _attribute(node, rng)
        elif change == 2:
            _borrowed(node, rng)
        elif change == 3:
            arrays = _resized(arrays, rng)
        elif change == 4:
            arrays = _retyped(arrays, rng)
        elif len(node.input) > 1 and rng.random() < 0.3:
            k = rng.randrange(len(node.input))
            if k + 1 == len(node.input):
                del node.input[k]
            else:
                node.input[k] = ""
    return _model(model, node, arrays, rng)


def _model(
    like: ModelProto, node: NodeProto, arrays: dict[str, np.ndarray], rng: random.Random
) -> ModelProto:
    inputs, constants = [], []
    table = rng.random() < 0.9
    for name in dict.fromkeys(n for n in node.input if n in arrays):
        a = arrays[name]
        if (table and a.dtype.kind in "iu" and a.size <= SMALL) or rng.random() < 0.1:
            constants.append(numpy_helper.from_array(a, name))
        else:
            kind = helper.np_dtype_to_tensor_dtype(a.dtype)
            inputs.append(helper.make_tensor_value_info(name, kind, a.shape))
    outputs = [helper.make_empty_tensor_value_info(o) for o in node.output if o]
    graph = helper.make_graph([node], node.op_type, inputs, outputs, constants)
    version = {o.domain: o.version for o in like.opset_import}.get("", 20)
    if rng.random() < 0.1:
        version = rng.choice(range(max(1, version - 6), version + 1))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", version)], ir_version=like.ir_version
    )


def make(rng: random.Random) -> bytes:
    op = rng.choice(list(cases()))
    return one_operator(rng.choice(cases()[op]), rng).SerializeToString(deterministic=True)


def judge(target: str, data: bytes) -> None:
    wild = target == "llvm" and zlib.crc32(data, 1) % 3 == 0
    scale = 1.0 if target == "llvm" else 10.0
    _, given, want = judge_model(data, target, wild=wild, scale=scale)
    if target == "llvm" and not wild:
        peer.ask(data, given, want)


def _missing(target: str) -> str:
    found = probe(target)
    return "" if found.ok else found.reason


FUZZERS = tuple(
    Fuzzer(
        f"operators-{target}", make, partial(judge, target), smaller=smaller,
        missing=partial(_missing, target), home=target if target != "llvm" else CPU, weight=weight,
    )
    for target, weight in WEIGHTS.items()
)  # fmt: skip
