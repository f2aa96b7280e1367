"""Small models for tests, compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import weft
from onnx import ModelProto, TensorProto, helper, numpy_helper
from weft.runtime.devices.probe import probe

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
    return same_on("llvm", proto, feed, rtol=rtol, atol=atol)


def same_on(
    target: str,
    proto: ModelProto,
    *feeds: Mapping[str, np.ndarray],
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> weft.Executable:
    """As :func:`same`, on any target, for several feeds; results are within their bounds, too.
    Skips the test where the target's device is missing."""
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    exe = weft.compile(proto, target, records=False)
    for feed in feeds:
        got = exe.run({k: v for k, v in feed.items() if k in exe.inputs})
        assert list(got) == list(dict.fromkeys(o.name for o in proto.graph.output))
        for (name, have), expected in zip(got.items(), ort(proto, feed)):
            assert (have.dtype, have.shape) == (expected.dtype, expected.shape), name
            np.testing.assert_allclose(have, expected, rtol=rtol, atol=atol, err_msg=name)
            spec = exe.outputs[name]
            extents = enumerate(zip(have.shape, spec.shape))
            assert all(n <= m if k in spec.bounded else n == m for k, (n, m) in extents), name
    return exe
