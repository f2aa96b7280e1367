"""A convolutional network of the zoo as TensorFlow.js would have it: NHWC, batch norms folded into
the convolutions, bias and activation fused into the kernel that computes them.

That is what TensorFlow's own converter makes of such a network (its graph optimiser makes
``_FusedConv2D`` and ``FusedDepthwiseConv2dNative``), so that the comparison is with TensorFlow.js
at its usual best. The result is a plain list of steps and one blob of weights; ``page/tfjs.js``
executes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Step = dict[str, Any]

# kernels that take bias and activation: how their ONNX weight is permuted. OIHW to HWIO; a
# depthwise weight [C, 1, H, W] to [H, W, C, 1]; [out, in] to [in, out]
_FUSING = {"conv": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1), "dense": (1, 0)}


@dataclass
class Converted:
    """``steps`` in order; a weight is a slice (shape, offset in elements) of ``blob``, f32."""

    input: str
    shape: list[int]  # of the input, NHWC
    output: str = ""
    steps: list[Step] = field(default_factory=list)
    blob: list[np.ndarray] = field(default_factory=list)
    size: int = 0

    def weight(self, array: np.ndarray) -> dict[str, Any]:
        """Append an array to the blob; returns its slice."""
        array = np.ascontiguousarray(array, np.float32)
        at, self.size = self.size, self.size + array.size
        self.blob.append(array.reshape(-1))
        return {"shape": list(array.shape), "at": at}

    def json(self) -> dict[str, Any]:
        """What the page reads beside the blob."""
        return {k: getattr(self, k) for k in ("input", "shape", "output", "steps")}

    def weights(self) -> bytes:
        """The blob, little-endian f32."""
        return np.concatenate(self.blob).astype("<f4").tobytes()


def convert(model: onnx.ModelProto) -> Converted:
    """Steps for the one input, one output networks of convolutions in the zoo.

    Raises
    ------
    ValueError : an operator, or a form of one, that these networks do not have.
    """
    walk = _Walk(model.graph)
    for node in model.graph.node:
        handler = _HANDLERS.get(node.op_type)
        if handler is None:
            raise ValueError(f"{node.name}: {node.op_type} is not among the steps")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        handler(walk, node, attributes)
    done = walk.done
    done.output = walk.source(model.graph.output[0].name)
    for step in done.steps:
        if "w" in step:
            step["w"] = done.weight(step["w"].transpose(_FUSING[step["op"]]))
            step["b"] = done.weight(step["b"])
    return done


class _Walk:
    """What is known after some of the nodes. ``made``: the step that computes a tensor, while it
    may still be fused into; ``alias``: tensors that are the same in NHWC terms."""

    def __init__(self, graph: onnx.GraphProto):
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        inputs = [i for i in graph.input if i.name not in self.constants]
        n, c, h, w = (d.dim_value for d in inputs[0].type.tensor_type.shape.dim)
        self.done = Converted(inputs[0].name, [n, h, w, c])
        read = [i for node in graph.node for i in node.input] + [o.name for o in graph.output]
        self.readers = Counter(read)
        self.made: dict[str, Step] = {}
        self.alias: dict[str, str] = {}

    def source(self, name: str) -> str:
        return self.alias.get(name, name)

    def add(self, node: Any, op: str, **attributes: Any) -> None:
        """A step that computes the node's output from its inputs that are no constants."""
        args = [self.source(a) for a in node.input if a not in self.constants]
        step = {"op": op, "in": args, "out": node.output[0], **attributes}
        self.done.steps.append(step)
        self.made[node.output[0]] = step

    def fused(self, node: Any) -> Step | None:
        """The step that computes the node's input, if nobody else reads that."""
        name = node.input[0]
        step = self.made.get(self.source(name))
        fits = step is not None and "activation" not in step and step["op"] in _FUSING
        return step if fits and self.readers[name] == 1 else None


def _conv(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    weight = walk.constants[node.input[1]]
    bias = walk.constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight))
    common = {"strides": a["strides"], "pad": a["pads"]}
    common |= {"dilations": a.get("dilations", [1, 1]), "w": weight, "b": bias}
    depthwise = a["group"] == len(weight) and weight.shape[1] == 1
    if a["group"] != 1 and not depthwise:
        raise ValueError(f"{node.name}: grouped convolution")
    walk.add(node, "conv" if a["group"] == 1 else "depthwise", **common)


def _batch_norm(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    scale, shift, mean, var = (walk.constants[k] for k in node.input[1:5])
    step, factor = walk.fused(node), scale / np.sqrt(var + a["epsilon"])
    if step is None or step["op"] == "dense":
        raise ValueError(f"{node.name}: a batch norm that is not behind a convolution")
    step["w"] = step["w"] * factor[:, None, None, None]
    step["b"] = (step["b"] - mean) * factor + shift
    walk.alias[node.output[0]] = step["out"]


def _relu(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    _activation(walk, node, "relu")


def _clip(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    low, high = (float(walk.constants[k]) for k in node.input[1:3])
    if (low, high) != (0, 6):
        raise ValueError(f"{node.name}: Clip other than ReLU6")
    _activation(walk, node, "relu6")


def _activation(walk: _Walk, node: Any, kind: str) -> None:
    step = walk.fused(node)
    if step is None:
        walk.add(node, kind)
    else:
        step["activation"] = kind
        walk.alias[node.output[0]] = step["out"]


def _add(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    walk.add(node, "add")


def _max_pool(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    walk.add(node, "maxpool", size=a["kernel_shape"], strides=a["strides"], pad=a["pads"])


def _mean(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    walk.add(node, "mean")


def _identity(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    walk.alias[node.output[0]] = walk.source(node.input[0])


def _flatten(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    if walk.made[walk.source(node.input[0])]["op"] != "mean":
        raise ValueError(f"{node.name}: Flatten depends on the layout")
    _identity(walk, node, a)


def _dense(walk: _Walk, node: Any, a: dict[str, Any]) -> None:
    if not a.get("transB") or len(node.input) != 3:
        raise ValueError(f"{node.name}: Gemm other than a dense layer")
    weight, bias = (walk.constants[k] for k in node.input[1:])
    walk.add(node, "dense", w=weight, b=bias)


_HANDLERS: dict[str, Callable[[_Walk, Any, dict[str, Any]], None]] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Relu": _relu,
    "Clip": _clip,
    "Add": _add,
    "MaxPool": _max_pool,
    "GlobalAveragePool": _mean,
    "Flatten": _flatten,
    "Identity": _identity,
    "Gemm": _dense,
}
