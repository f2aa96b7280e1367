"""Dense layers, embeddings, and layers that do nothing when nobody trains."""

from __future__ import annotations

import math
import re

import numpy as np

from .activations import activate
from .context import Converter, KerasContext


def same(n: KerasContext) -> str:
    """The tensor itself: of layers that act in training alone."""
    x = n.x
    return n.add("identity", [x])


def dense(n: KerasContext, x: str) -> str:
    """``x @ kernel + bias`` along the last axis."""
    kernel, bias = n.weight("kernel"), n.bias()
    shape = n.shape(x)
    if kernel.ndim != 2 or not shape or shape[-1] != kernel.shape[0]:
        n.error(f"its kernel is {list(kernel.shape)}, its data {n.typeof(x)}.")
    w = n.constant(kernel)
    if len(shape) == 2 and bias is not None:
        return n.add("gemm", [x, w, n.constant(bias)])
    flat = x
    if len(shape) > 2:
        flat = n.add("reshape", [x], shape=(math.prod(shape[:-1]), shape[-1]))
    elif len(shape) == 1:
        flat = n.add("reshape", [x], shape=(1, shape[0]))
    y = n.add("gemm", [flat, w, *([n.constant(bias)] if bias is not None else [])])
    return y if len(shape) == 2 else n.add("reshape", [y], shape=(*shape[:-1], kernel.shape[1]))


def _dense(n: KerasContext) -> str:
    return activate(n, dense(n, n.x), n.config.get("activation"))


def einsum_dense(n: KerasContext, x: str) -> str:
    """``einsum(equation, x, kernel) + bias``; ``...`` stands for axes that only data have."""
    equation = str(n.opt("equation")).replace(" ", "")
    y = n.add("einsum", [x, n.constant(n.weight("kernel"))], equation=spelt(n, equation, n.rank(x)))
    if n.config.get("bias_axes"):
        bias = n.weight("bias")
        y = n.add("add", [y, n.constant(bias)])
    return y


def spelt(n: KerasContext, equation: str, rank: int) -> str:
    """An equation of two operands, the first of this rank, with letters in place of ``...``."""
    found = re.fullmatch(r"([a-zA-Z.]+),([a-zA-Z.]+)->([a-zA-Z.]+)", equation)
    if found is None:
        n.error(f"the equation is {equation!r}.")
    if "..." not in equation:
        return equation
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    count = rank - len(found[1].replace("...", ""))
    if not 0 <= count <= len(free) or equation.replace("...", "").count("."):
        n.error(f"the equation {equation!r} for data of {rank} axes.")
    return equation.replace("...", "".join(free[:count]))


def _einsum_dense(n: KerasContext) -> str:
    return activate(n, einsum_dense(n, n.x), n.config.get("activation"))


def _embedding(n: KerasContext) -> str:
    table = n.constant(n.weight("embeddings"))
    if n.kwargs.get("reverse"):
        return _reversed_embedding(n)
    x = n.x
    index = x if str(n.typeof(x).dtype) in ("int32", "int64") else n.to(x, "int32")
    y = n.add("gather", [table, index], axis=0, wrap=False)
    if n.flag("mask_zero", False):
        zero = n.constant(np.array(0, n.typeof(x).dtype.numpy))
        n.set_mask(y, n.add("not_equal", [x, zero]))
    if n.config.get("input_length") and n.version == 1 and n.rank(y) != 3:
        n.error(f"it makes {n.typeof(y)}.")
    return y


def _reversed_embedding(n: KerasContext) -> str:
    tied = n.flag("tie_weights", True)
    kernel = n.weight("embeddings").T if tied else n.weight("reverse_embeddings")
    y = n.add("matmul", [n.x, n.constant(np.ascontiguousarray(kernel))])
    cap = n.config.get("logit_soft_cap")
    if cap:
        limit = n.scalar(float(cap), y)
        y = n.add("mul", [n.add("tanh", [n.add("div", [y, limit])]), limit])
    return y


def _masking(n: KerasContext) -> str:
    """0 where all features of a step are the mask value, which are masked from here on."""
    x = n.x
    differs = n.add("not_equal", [x, n.scalar(n.number("mask_value", 0.0), x)])
    number = n.to(differs, "int32")
    last = n.rank(x) - 1
    any_ = n.add("cast", [n.add("reduce_max", [number], axes=(last,), keepdims=True)], to="bool")
    y = n.add("where", [any_, x, n.scalar(0, x)])
    n.set_mask(y, n.add("reshape", [any_], shape=n.shape(x)[:-1]))
    return y


def _lambda(n: KerasContext) -> str:
    n.unsupported("a Lambda layer: its code is a part of the file, which weft does not execute")


NOTHING = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
    "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity", "RandomFlip",
    "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness",
    "RandomShear", "RandomColorJitter", "RandomHue", "RandomSaturation", "RandomSharpness",
    "RandomGrayscale", "RandomPosterization", "RandomErasing", "RandomGaussianBlur",
    "RandomInvert", "RandomPerspective", "RandomColorDegeneration", "RandomElasticTransform",
    "RandAugment", "AugMix", "CutMix", "MixUp",
)  # fmt: skip
CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(NOTHING, same),
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "Embedding": _embedding,
    "ReversibleEmbedding": _embedding,
    "Masking": _masking,
    "Lambda": _lambda,
}
