"""Small models for tests, compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import weft
from onnx import ModelProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def value(name: str, shape: Sequence[Any] | None = None, dtype: int = FLOAT):
    """A declared input or output."""
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op: str, inputs: str, outputs: str, **attrs: Any):
    """A node; names are separated by blanks, ``_`` is an absent input."""
    return helper.make_node(
        op, ["" if i == "_" else i for i in inputs.split()], outputs.split(), **attrs
    )


def graph(nodes, inputs, outputs, constants: Mapping[str, Any] | None = None):
    """A graph, as a body, too."""
    known = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    return helper.make_graph(nodes, "g", inputs, outputs, known)


def model(nodes, inputs, outputs, constants=None, opset: int = 17) -> ModelProto:
    """A model of one graph."""
    opsets = [helper.make_opsetid("", opset)]
    made = graph(nodes, inputs, outputs, constants)
    return helper.make_model(made, opset_imports=opsets, ir_version=8 if opset < 21 else 10)


def ort(proto: ModelProto, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs by ONNX Runtime, which may not rewrite the model."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, dict(feed))


def same(
    proto: ModelProto, feed: Mapping[str, np.ndarray], rtol: float = 1e-5, atol: float = 1e-6
) -> weft.Executable:
    """Assert that weft on llvm makes of ``feed`` what ONNX Runtime makes; returns the program."""
    exe = weft.compile(proto, records=False)
    got, want = exe.run(feed), ort(proto, feed)
    assert list(got) == list(dict.fromkeys(o.name for o in proto.graph.output))
    for have, expected in zip(got.values(), want):
        assert (have.dtype, have.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(have, expected, rtol=rtol, atol=atol)
    return exe
