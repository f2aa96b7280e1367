"""Models that tests, tutorials, demo and benchmarks use. Nothing is stored in the repository.

``random_model(name)`` builds an architecture with seeded random weights (``ARCHITECTURES`` lists
them); ``real.py`` fetches trained models and photographs from packages of the Python index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from . import classic, encoder, mobile, residual, spatial

ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "mnist_cnn": classic.mnist_cnn,
    "alexnet": classic.alexnet,
    "vgg11": classic.vgg11,
    "squeezenet": classic.squeezenet,
    "resnet18": residual.resnet18,
    "resnet50": residual.resnet50,
    "densenet121": residual.densenet121,
    "inception": residual.inception,
    "mobilenet_v1": mobile.mobilenet_v1,
    "mobilenet_v2": mobile.mobilenet_v2,
    "mobilenet_v3": mobile.mobilenet_v3,
    "efficientnet_b0": mobile.efficientnet_b0,
    "shufflenet_v2": mobile.shufflenet_v2,
    "unet": spatial.unet,
    "yolo": spatial.yolo,
    "encoder": encoder.encoder,
    "encoder_opset15": lambda: encoder.encoder(layers=2, opset=15),
}


def random_model(name: str) -> Any:
    """The ``onnx.ModelProto`` of an architecture; the same bytes every time."""
    return ARCHITECTURES[name]()


def sizes(batch: int = 1, tokens: int = 128) -> dict[str, int]:
    """Values of the symbolic dimensions that models of the zoo have."""
    return {"batch": batch, "tokens": tokens, "N": batch}


def shapes(model: onnx.ModelProto, **extents: int) -> dict[str, int]:
    """What to pass to ``weft.compile`` as ``shapes``: the symbolic dimensions of the inputs."""
    known = {**sizes(), **extents}
    dims = [d.dim_param for v in model.graph.input for d in v.type.tensor_type.shape.dim]
    return {name: known[name] for name in dims if name}


def feed(model: onnx.ModelProto, seed: int = 0, **extents: int) -> dict[str, np.ndarray]:
    """Random inputs of a zoo model: normal floats, token ids, a mask whose tail is zero."""
    rng, known = np.random.default_rng(seed), {**sizes(), **extents}
    weights = {i.name for i in model.graph.initializer}
    result = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        shape = [known[d.dim_param] if d.dim_param else d.dim_value for d in kind.shape.dim]
        if kind.elem_type == onnx.TensorProto.INT64:
            high = {"input_ids": 8000, "token_type_ids": 2, "attention_mask": 1}[value.name]
            data = rng.integers(0, high, shape)
            if value.name == "attention_mask":
                data = np.broadcast_to(np.arange(shape[1]) < max(1, shape[1] * 3 // 4), shape)
            result[value.name] = np.ascontiguousarray(data, np.int64)
        else:
            result[value.name] = rng.standard_normal(shape, np.float32)
    return result
