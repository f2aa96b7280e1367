"""Small models that mutations begin with: the node cases of ONNX, and a few whole ones."""

from __future__ import annotations

import os
import pickle
import random
from functools import cache
from pathlib import Path

import numpy as np
from node_cases import node_cases
from onnx import ModelProto, TensorProto, helper, numpy_helper

SHARED = "WEFT_FUZZ_SHARED"  # environment: a folder of the run
_MOST = 20_000  # bytes of a seed


@cache
def examples() -> tuple[tuple[bytes, dict[str, np.ndarray]], ...]:
    """The node cases of ONNX, by name: models with the tensors among their inputs.

    onnx takes seconds to compute them, so children of one run do it once, and share a file.
    """
    shared = os.environ.get(SHARED)
    path = Path(shared) / "examples.pickle" if shared else None
    if path is not None and path.exists():
        return pickle.loads(path.read_bytes())  # our own, in a folder of this run
    made = tuple(
        (case.model.SerializeToString(deterministic=True), case.inputs() if case.data else {})
        for _, case in sorted(node_cases().items())
    )
    if path is not None:
        half = path.with_suffix(f".{os.getpid()}")
        half.write_bytes(pickle.dumps(made))
        half.replace(path)
    return made


@cache
def seeds() -> tuple[bytes, ...]:
    """The models as bytes, in a fixed order."""
    return (*(data for data, _ in examples() if len(data) <= _MOST), *(WHOLE * 40))


def seed(rng: random.Random) -> bytes:
    """One of them."""
    return rng.choice(seeds())


def parsed(rng: random.Random) -> ModelProto:
    """One of them, as an object of its own."""
    return ModelProto.FromString(seed(rng))


def _model(nodes, inputs, outputs, arrays, opset=17, functions=()) -> bytes:
    inputs, outputs = (
        [helper.make_tensor_value_info(n, t, s) for n, t, s in values]
        for values in (inputs, outputs)
    )
    values = [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, values)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    m = helper.make_model(graph, opset_imports=sets, ir_version=9, functions=functions)
    return m.SerializeToString(deterministic=True)


def _classifier() -> bytes:
    rng = np.random.default_rng(0)
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        make("BatchNormalization", ["c", "b", "b", "b", "one"], ["n"]),
        make("Relu", ["n"], ["r"]),
        make("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Shape", ["p"], ["s"]),
        make("Gather", ["s", "zero"], ["k"], axis=0),
        make("Concat", ["k", "rest"], ["t"], axis=0),
        make("Reshape", ["p", "t"], ["f"]),
        make("Gemm", ["f", "v"], ["g"], transB=1),
        make("Softmax", ["g"], ["y"], axis=-1),
    ]
    arrays = {
        "w": rng.random((4, 1, 3, 3), np.float32),
        "b": rng.random(4, np.float32),
        "one": np.ones(4, np.float32),
        "v": rng.random((3, 16), np.float32),
        "zero": np.int64([0]),
        "rest": np.int64([-1]),
    }
    f = TensorProto.FLOAT
    return _model(nodes, [("x", f, ["N", 1, 4, 4])], [("y", f, ["N", 3])], arrays)


def _control() -> bytes:
    """Branches, a function, and a constant of an attribute."""
    f, make = TensorProto.FLOAT, helper.make_node
    arms = [
        helper.make_graph(
            [make(op, ["x"], [f"{op}.y"])],
            op,
            [],
            [helper.make_tensor_value_info(f"{op}.y", f, [3, 2])],
        )
        for op in ("Neg", "Exp")
    ]
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [make("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    value = numpy_helper.from_array(np.float32([[1, 2], [3, 4], [5, 6]]), "k")
    nodes = [
        make("Constant", [], ["k"], value=value),
        make("If", ["flag"], ["z"], then_branch=arms[0], else_branch=arms[1]),
        make("Twice", ["z"], ["t"], domain="own"),
        make("Mul", ["t", "k"], ["m"]),
        make("ReduceSum", ["m", "axes"], ["y"], keepdims=0),
        make("Identity", ["y"], ["again"]),
    ]
    arrays = {"flag": np.bool_(True), "axes": np.int64([1])}
    outputs = [("y", f, [3]), ("again", f, [3])]
    return _model(nodes, [("x", f, [3, 2])], outputs, arrays, functions=[twice])


def _quantised() -> bytes:
    rng, make, f = np.random.default_rng(1), helper.make_node, TensorProto.FLOAT
    nodes = [
        make("QuantizeLinear", ["x", "s", "z"], ["q"]),
        make("DequantizeLinear", ["q", "s", "z"], ["d"]),
        make("DequantizeLinear", ["w", "ws", "wz"], ["k"], axis=0),
        make("Conv", ["d", "k"], ["c"], strides=[2, 2]),
        make("Resize", ["c", "", "two"], ["r"], mode="linear"),
        make("Transpose", ["r"], ["t"], perm=[0, 2, 3, 1]),
        make("Split", ["t"], ["a", "b"], axis=3),
        make("Sub", ["a", "b"], ["y"]),
    ]
    arrays = {
        "s": np.float32(0.1),
        "z": np.uint8(120),
        "w": rng.integers(-9, 9, (4, 2, 2, 2)).astype(np.int8),
        "ws": np.float32([0.1, 0.2, 0.3, 0.4]),
        "wz": np.zeros(4, np.int8),
        "two": np.float32([1, 1, 2, 2]),
    }
    return _model(nodes, [("x", f, [1, 2, 6, 6])], [("y", f, None)], arrays)


WHOLE = (_classifier(), _control(), _quantised())
