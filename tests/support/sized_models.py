"""Small models of tensors whose size only data knows, and what to feed them with."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.helper import make_node

FLOAT, LONG = TensorProto.FLOAT, TensorProto.INT64
FAR = 2**62
MASK = [make_node("Greater", ["c", "zero"], ["m"])]
COUNT = [
    *MASK,
    make_node("Cast", ["m"], ["mi"], to=LONG),
    make_node("ReduceSum", ["mi"], ["k"], keepdims=0),
    make_node("Unsqueeze", ["k", "ints0"], ["k1"]),
]


def model_of(nodes, inputs, outputs, **constants):
    """A model of opset 17. A constant ``ints0`` or ``int_1`` is made of its name: a line or a
    scalar of one number, ``_1`` being -1."""
    names = {i for n in nodes for i in n.input}
    for name in names:
        if name.startswith("int") and name.lstrip("ints_").isdigit():
            number = int(name.lstrip("ints").replace("_", "-"))
            constants[name] = np.array([number] if name.startswith("ints") else number)
    constants["zero"] = np.float32(0)
    graph = helper.make_graph(
        nodes,
        "sized",
        [helper.make_tensor_value_info(k, t, s) for k, (t, s) in inputs.items()],
        [helper.make_tensor_value_info(o, t, None) for o, t in outputs.items()],
        [
            onnx.numpy_helper.from_array(np.asarray(v), k)
            for k, v in constants.items()
            if k in names
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


def conditions(count, *several):
    """Feeds whose mask ``c`` chooses none, all, and some of the elements."""
    rng = np.random.default_rng(count)
    lines = [np.full(count, -1), np.full(count, 1), rng.standard_normal(count)]
    return [{"c": line.astype(np.float32), **dict(several)} for line in lines]


def x_of(*shape):
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)
