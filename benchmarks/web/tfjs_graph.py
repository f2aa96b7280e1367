"""A convolutional network of the zoo as TensorFlow.js would have it: NHWC, batch norms folded into
the convolutions, bias and activation fused into the kernel that computes them.

That is what TensorFlow's own converter makes of such a network (its graph optimiser gives
``_FusedConv2D`` and ``FusedDepthwiseConv2dNative``), so that the comparison is with TensorFlow.js
at its usual best. The result is a plain list of steps and one blob of weights; ``page/tfjs.js``
executes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Step = dict[str, Any]


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
        array = np.ascontiguousarray(array, np.float32)
        at, self.size = self.size, self.size + array.size
        self.blob.append(array.reshape(-1))
        return {"shape": list(array.shape), "at": at}

    def json(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("input", "shape", "output", "steps")}

    def weights(self) -> bytes:
        return np.concatenate(self.blob).astype("<f4").tobytes()


def convert(model: onnx.ModelProto) -> Converted:
    """Steps for the one input, one output networks of convolutions in the zoo.

    Raises
    ------
    ValueError : an operator, or a form of one, that these networks do not have.
    """
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    n, c, h, w = (d.dim_value for d in inputs[0].type.tensor_type.shape.dim)
    done = Converted(inputs[0].name, [n, h, w, c])
    readers: dict[str, int] = {}
    for name in [i for node in graph.node for i in node.input] + [o.name for o in graph.output]:
        readers[name] = readers.get(name, 0) + 1
    made: dict[str, Step] = {}  # the step that gives a tensor, while it may still be fused into
    alias: dict[str, str] = {}  # tensors that are the same in NHWC terms

    def source(name: str) -> str:
        return alias.get(name, name)

    def add(output: str, op: str, args: Sequence[str], **attributes: Any) -> None:
        step = {"op": op, "in": [source(a) for a in args], "out": output, **attributes}
        done.steps.append(step)
        made[output] = step

    def fused(node: Any) -> Step | None:
        """The step that computes the node's input, if nobody else reads that."""
        name = node.input[0]
        step = made.get(source(name))
        if step is None or readers[name] > 1 or "activation" in step or step["op"] not in _FUSING:
            return None
        return step

    for node in graph.node:
        out, a = (
            node.output[0],
            {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute},
        )
        if node.op_type == "Conv":
            weight, x = constants[node.input[1]], node.input[0]
            bias = constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight))
            group, common = a["group"], {"strides": a["strides"], "pad": a["pads"]}
            common |= {"dilations": a.get("dilations", [1, 1]), "w": weight, "b": bias}
            if group == 1:
                add(out, "conv", [x], **common)
            elif group == len(weight) and weight.shape[1] == 1:
                add(out, "depthwise", [x], **common)
            else:
                raise ValueError(f"{node.name}: grouped convolution")
        elif node.op_type == "BatchNormalization":
            scale, shift, mean, var = (constants[k] for k in node.input[1:5])
            step, factor = fused(node), scale / np.sqrt(var + a["epsilon"])
            if step is None or step["op"] == "dense":
                raise ValueError(f"{node.name}: a batch norm that is not behind a convolution")
            step["w"] = step["w"] * factor[:, None, None, None]
            step["b"] = (step["b"] - mean) * factor + shift
            alias[out] = step["out"]
        elif node.op_type in ("Relu", "Clip"):
            kind = "relu"
            if node.op_type == "Clip":
                low, high = (float(constants[k]) for k in node.input[1:3])
                if (low, high) != (0, 6):
                    raise ValueError(f"{node.name}: Clip other than ReLU6")
                kind = "relu6"
            if step := fused(node):
                step["activation"] = kind
                alias[out] = step["out"]
            else:
                add(out, kind, node.input)
        elif node.op_type == "Add":
            add(out, "add", node.input)
        elif node.op_type == "MaxPool":
            add(
                out,
                "maxpool",
                node.input,
                size=a["kernel_shape"],
                strides=a["strides"],
                pad=a["pads"],
            )
        elif node.op_type == "GlobalAveragePool":
            add(out, "mean", node.input)
        elif node.op_type in ("Flatten", "Identity"):
            step = made[source(node.input[0])]
            if node.op_type == "Flatten" and step["op"] != "mean":
                raise ValueError(f"{node.name}: Flatten depends on the layout")
            alias[out] = source(node.input[0])
        elif node.op_type == "Gemm" and a.get("transB") and len(node.input) == 3:
            weight, bias = (constants[k] for k in node.input[1:])
            add(out, "dense", node.input[:1], w=weight, b=bias)
        else:
            raise ValueError(f"{node.name}: {node.op_type} is not among the steps")
    done.output = source(graph.output[0].name)
    for step in done.steps:
        if "w" in step:
            step["w"] = done.weight(step["w"].transpose(_FUSING[step["op"]]))
            step["b"] = done.weight(step["b"])
    return done


# kernels that take bias and activation: how their ONNX weight is permuted. OIHW to HWIO; a
# depthwise weight [C, 1, H, W] to [H, W, C, 1]; [out, in] to [in, out]
_FUSING = {"conv": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1), "dense": (1, 0)}
