"""Zoo models as PyTorch programs: an interpreter of ONNX graphs, traced once.

PyTorch has no ONNX reader. Each node becomes the call of ``torch`` that a PyTorch user would have
written; the trace is frozen and optimised for inference (batch norm folds into convolutions, the
convolutions run in oneDNN's layout). Shape arithmetic runs in numpy and is gone after the trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from onnx import numpy_helper


class OnnxModule(torch.nn.Module):
    """Calls ``torch`` for each node of a model; inputs and outputs by position."""

    def __init__(self, model: onnx.ModelProto):
        super().__init__()
        self.graph = model.graph
        self.fixed: dict[str, Any] = {}
        for p in self.graph.initializer:
            array = numpy_helper.to_array(p)
            # integers are shapes and indices: they stay numpy, the rest are parameters
            small = array.dtype == np.int64 and array.size < 64
            self.fixed[p.name] = array if small else torch.from_numpy(array.copy())
        self.inputs = [i.name for i in self.graph.input if i.name not in self.fixed]

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        env: dict[str, Any] = {**self.fixed, **dict(zip(self.inputs, inputs)), "": None}
        for node in self.graph.node:
            attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            args = [env[k] for k in node.input]
            env[node.output[0]] = _OPS[node.op_type](attrs, *args)
        return tuple(env[o.name] for o in self.graph.output)


def traced(model: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> Any:
    """The model as an optimised TorchScript program for inputs of these shapes."""
    module = OnnxModule(model).eval()
    example = tuple(torch.from_numpy(feed[k]) for k in module.inputs)
    with torch.no_grad():
        script = torch.jit.freeze(torch.jit.trace(module, example, check_trace=False))
        return torch.jit.optimize_for_inference(script)


def _conv(at: dict, x: Any, w: Any, b: Any = None) -> Any:
    pads, group = at["pads"], at.get("group", 1)
    assert pads[:2] == pads[2:], "the benchmarked models pad symmetrically"
    return F.conv2d(x, w, b, at["strides"], pads[:2], 1, group)


def _norm(at: dict, x: Any, g: Any, b: Any, mean: Any, var: Any) -> Any:
    return F.batch_norm(x, mean, var, g, b, False, 0.0, at["epsilon"])


def _max_pool(at: dict, x: Any) -> Any:
    return F.max_pool2d(x, at["kernel_shape"], at["strides"], at["pads"][:2])


def _gather(at: dict, x: Any, index: Any) -> Any:
    axis = at.get("axis", 0)
    if isinstance(x, np.ndarray):
        return np.take(x, index, axis)
    assert axis == 0
    return F.embedding(_tensor(index), x)


def _slice(_at: dict, x: Any, start: Any, stop: Any, axes: Any, _steps: Any = None) -> Any:
    cut = [slice(None)] * x.ndim
    for a, b, e in zip(axes, start, stop):
        cut[int(a)] = slice(int(b), int(e))
    return x[tuple(cut)]


def _tensor(x: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x


def _concat(at: dict, *xs: Any) -> Any:
    if all(isinstance(x, np.ndarray) for x in xs):
        return np.concatenate(xs, at["axis"])
    return torch.cat(xs, at["axis"])


def _unsqueeze(_at: dict, x: Any, axes: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return np.expand_dims(x, tuple(int(a) for a in axes))
    for a in sorted(int(a) for a in axes):
        x = x.unsqueeze(a)
    return x


def _shape(_at: dict, x: Any) -> np.ndarray:
    return np.array([int(n) for n in x.shape], np.int64)


_OPS: dict[str, Any] = {
    "Add": lambda at, a, b: a + b,
    "BatchNormalization": _norm,
    "Cast": lambda at, x: x.float(),
    "Clip": lambda at, x, low, high=None: torch.clamp(
        x, float(low), None if high is None else float(high)
    ),
    "Concat": _concat,
    "Conv": _conv,
    "Div": lambda at, a, b: a / b,
    "Erf": lambda at, x: torch.erf(x),
    "Flatten": lambda at, x: x.flatten(1),
    "Gather": _gather,
    "Gemm": lambda at, x, w, b: F.linear(x, w, b),
    "GlobalAveragePool": lambda at, x: F.adaptive_avg_pool2d(x, 1),
    "Identity": lambda at, x: x,
    "LayerNormalization": lambda at, x, g, b: F.layer_norm(x, g.shape, g, b, at["epsilon"]),
    "MatMul": lambda at, a, b: torch.matmul(a, b),
    "MaxPool": _max_pool,
    "Mul": lambda at, a, b: a * b,
    "ReduceL2": lambda at, x: torch.linalg.vector_norm(
        x, dim=at["axes"], keepdim=bool(at["keepdims"])
    ),
    "ReduceSum": lambda at, x, axes: x.sum([int(a) for a in axes], bool(at["keepdims"])),
    "Relu": lambda at, x: F.relu(x),
    # A 0 keeps the extent of the same axis.
    "Reshape": lambda at, x, shape: x.reshape([int(n) or x.shape[k] for k, n in enumerate(shape)]),
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": lambda at, x: F.softmax(x, at["axis"]),
    "Sub": lambda at, a, b: a - b,
    "Transpose": lambda at, x: x.permute(at["perm"]),
    "Unsqueeze": _unsqueeze,
}
