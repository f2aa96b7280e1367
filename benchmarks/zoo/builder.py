"""A compact builder of ONNX models: the layers that the architectures of the zoo are made of.

Parameters are drawn from a seeded generator at scales that keep the activations near one (He
initialisation; batch-norm statistics and scales are random but benign), or are taken by name from
the tensors of a trained checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def pair(value: int | Sequence[int]) -> list[int]:
    """``3 -> [3, 3]``; a sequence stays."""
    return [value, value] if isinstance(value, int) else list(value)


class Net:
    """One ONNX graph under construction. Layers take and return tensor names.

    Parameters
    ----------
    name : name of the graph.
    seed : seed of the random parameters.
    weights : parameters by name; when given, nothing is random and a missing name is an error.
    """

    def __init__(self, name: str, seed: int = 0, weights: Mapping[str, np.ndarray] | None = None):
        self.name, self.weights = name, weights
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.channels: dict[str, int] = {}  # of axis 1, where a layer needs to know it
        self._count = 0

    def fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem.lower()}_{self._count}"

    def input(self, name: str, shape: Sequence[int | str], dtype: str = "float32") -> str:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        if len(shape) > 1 and isinstance(shape[1], int):
            self.channels[name] = shape[1]
        return name

    def const(self, value: Any, dtype: str | None = None, name: str | None = None) -> str:
        name = name or self.fresh("const")
        self.constants[name] = np.asarray(value, dtype)
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, np.int64))

    def param(self, name: str, random: Any) -> str:
        """The parameter ``name`` of the checkpoint, or ``random()`` when there is none."""
        value = random() if self.weights is None else self.weights[name]
        return self.const(np.ascontiguousarray(value, np.float32), name=name)

    def normal(self, shape: Sequence[int], std: float) -> np.ndarray:
        return (self.rng.standard_normal(shape, np.float32) * np.float32(std)).astype(np.float32)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; returns its output name, or a list when there are several."""
        label = self.fresh(kind)
        names = [label] if outputs == 1 else [f"{label}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=label, **attributes))
        if inputs and inputs[0] in self.channels:
            for n in names:
                self.channels[n] = self.channels[inputs[0]]
        return names[0] if outputs == 1 else names

    # ---- layers -----------------------------------------------------------------------------

    def conv(  # noqa: PLR0913 - what a convolution is, each with the usual default
        self,
        x: str,
        out: int,
        kernel: int | Sequence[int],
        stride: int = 1,
        pad: int | Sequence[int] | None = None,
        group: int = 1,
        bias: bool = True,
        name: str | None = None,
        gain: float = 2.0,
    ) -> str:
        """A convolution NCHW. ``pad`` None keeps the size at stride 1; two numbers are symmetric
        (rows, columns), four are begins and ends. ``gain`` 2 is He's for a ReLU behind it."""
        k, c = pair(kernel), self.channels[x]
        p = [n // 2 for n in k] if pad is None else pair(pad)
        p = p + p if len(p) == 2 else p
        shape = (out, c // group, *k)
        std = (gain / (shape[1] * k[0] * k[1])) ** 0.5
        name = name or self.fresh("conv")
        args = [x, self.param(f"{name}.weight", lambda: self.normal(shape, std))]
        if bias:
            args.append(self.param(f"{name}.bias", lambda: self.normal((out,), 0.05)))
        y = self.op("Conv", *args, kernel_shape=k, strides=pair(stride), pads=p, group=group)
        self.channels[y] = out
        return y

    def batch_norm(self, x: str, eps: float = 1e-5, name: str | None = None) -> str:
        c, name = self.channels[x], name or self.fresh("bn")
        uniform = self.rng.uniform
        return self.op(
            "BatchNormalization",
            x,
            self.param(f"{name}.weight", lambda: uniform(0.7, 1.1, c)),
            self.param(f"{name}.bias", lambda: self.normal((c,), 0.1)),
            self.param(f"{name}.running_mean", lambda: self.normal((c,), 0.1)),
            self.param(f"{name}.running_var", lambda: uniform(0.7, 1.4, c)),
            epsilon=eps,
        )

    def conv_bn(self, x: str, out: int, kernel: Any, act: str | None = "Relu", **kw: Any) -> str:
        """Convolution without bias, batch norm, activation."""
        eps = kw.pop("eps", 1e-5)
        return self.act(self.batch_norm(self.conv(x, out, kernel, bias=False, **kw), eps), act)

    def act(self, x: str, kind: str | None) -> str:
        """``Relu``, ``Relu6``, ``Swish``, ``HardSwish``, any one-input ONNX operator, or None."""
        if kind is None:
            return x
        if kind == "Relu6":
            low, high = self.const(np.float32(0)), self.const(np.float32(6))
            return self.op("Clip", x, low, high)
        if kind == "Swish":
            return self.op("Mul", x, self.op("Sigmoid", x))
        return self.op(kind, x)

    def pool(self, kind: str, x: str, kernel: int, stride: int, pad: int = 0, **kw: Any) -> str:
        """``Max`` or ``Average`` pooling with symmetric padding."""
        strides, pads = pair(stride), [pad] * 4
        return self.op(
            f"{kind}Pool", x, kernel_shape=pair(kernel), strides=strides, pads=pads, **kw
        )

    def concat(self, *xs: str, axis: int = 1) -> str:
        y = self.op("Concat", *xs, axis=axis)
        if axis == 1:
            self.channels[y] = sum(self.channels[x] for x in xs)
        return y

    def linear(self, x: str, inputs: int, out: int, name: str | None = None) -> str:
        """``x @ W.T + b`` on a matrix."""
        name = name or self.fresh("fc")
        w = self.param(f"{name}.weight", lambda: self.normal((out, inputs), (1.0 / inputs) ** 0.5))
        b = self.param(f"{name}.bias", lambda: self.normal((out,), 0.05))
        y = self.op("Gemm", x, w, b, transB=1)
        self.channels[y] = out
        return y

    def classifier(self, x: str, classes: int = 1000, name: str | None = None) -> str:
        """Global average pooling, flatten, linear."""
        c = self.channels[x]
        return self.linear(self.op("Flatten", self.op("GlobalAveragePool", x)), c, classes, name)

    # ---- the end ----------------------------------------------------------------------------

    def build(self, *outputs: str, names: Sequence[str] = (), opset: int = OPSET) -> Any:
        """The checked model whose outputs are these tensors (types by shape inference)."""
        for tensor, name in zip(outputs, names):
            self.nodes.append(helper.make_node("Identity", [tensor], [name], name=f"out_{name}"))
        ends = list(names) or list(outputs)
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in ends]
        params = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, params)
        imports = [helper.make_opsetid("", opset)]
        model = helper.make_model(
            graph, opset_imports=imports, ir_version=8, producer_name="weft-zoo"
        )
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model)
        return model
