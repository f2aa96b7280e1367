"""A text encoder of the BERT family, with the operator patterns that exporters write."""

from __future__ import annotations

from typing import Any

import numpy as np

from .builder import Net


def encoder(
    layers: int = 6, width: int = 384, heads: int = 12, vocabulary: int = 8000, opset: int = 17
) -> Any:
    """MiniLM-L6-like: inputs ``input_ids``, ``attention_mask``, ``token_type_ids`` int64 [batch,
    tokens] with symbolic extents; outputs ``last_hidden_state`` [batch, tokens, width] and
    ``sentence`` [batch, width] (masked mean of the tokens, normalised to length one).

    As PyTorch exports it: the position ids are a slice of a constant up to Shape(input_ids)[1],
    heads are split by Reshape with a Concat of shape arithmetic, GELU is spelt with Erf, and layer
    norm with ReduceMean, Sub, Pow, Sqrt, Div below opset 17.
    """
    n = Net("encoder", seed=16)
    ids = n.input("input_ids", ["batch", "tokens"], "int64")
    mask = n.input("attention_mask", ["batch", "tokens"], "int64")
    kinds = n.input("token_type_ids", ["batch", "tokens"], "int64")
    size = width // heads

    def scalar(value: float) -> str:
        return n.const(np.float32(value))

    def dim(x: str, axis: int) -> str:
        at = n.op("Gather", n.op("Shape", x), n.const(np.int64(axis)), axis=0)
        return n.op("Unsqueeze", at, n.ints(0))

    def norm(x: str, name: str) -> str:
        g = n.param(f"{name}.weight", lambda: n.rng.uniform(0.8, 1.2, width))
        b = n.param(f"{name}.bias", lambda: n.normal((width,), 0.1))
        if opset >= 17:
            return n.op("LayerNormalization", x, g, b, axis=-1, epsilon=1e-12)
        d = n.op("Sub", x, n.op("ReduceMean", x, axes=[-1]))
        var = n.op("ReduceMean", n.op("Pow", d, scalar(2)), axes=[-1])
        y = n.op("Div", d, n.op("Sqrt", n.op("Add", var, scalar(1e-12))))
        return n.op("Add", n.op("Mul", y, g), b)

    def dense(x: str, inputs: int, out: int, name: str) -> str:
        w = n.param(f"{name}.weight", lambda: n.normal((inputs, out), (1.0 / inputs) ** 0.5))
        b = n.param(f"{name}.bias", lambda: n.normal((out,), 0.05))
        return n.op("Add", b, n.op("MatMul", x, w))

    def split(x: str, perm: list[int]) -> str:
        shape = n.op("Concat", dim(x, 0), dim(x, 1), n.ints(heads), n.ints(size), axis=0)
        return n.op("Transpose", n.op("Reshape", x, shape), perm=perm)

    def gelu(x: str) -> str:
        e = n.op("Erf", n.op("Div", x, scalar(2**0.5)))
        return n.op("Mul", n.op("Mul", x, n.op("Add", e, scalar(1))), scalar(0.5))

    def attention(x: str, bias: str, at: str) -> str:
        q = split(dense(x, width, width, f"{at}.query"), [0, 2, 1, 3])
        k = split(dense(x, width, width, f"{at}.key"), [0, 2, 3, 1])
        v = split(dense(x, width, width, f"{at}.value"), [0, 2, 1, 3])
        scores = n.op("Div", n.op("MatMul", q, k), scalar(size**0.5))
        y = n.op("MatMul", n.op("Softmax", n.op("Add", scores, bias), axis=-1), v)
        y = n.op("Transpose", y, perm=[0, 2, 1, 3])
        shape = n.op("Concat", dim(y, 0), dim(y, 1), n.ints(width), axis=0)
        return dense(n.op("Reshape", y, shape), width, width, f"{at}.output")

    words = n.param("words", lambda: n.normal((vocabulary, width), 0.5))
    places = n.param("places", lambda: n.normal((512, width), 0.2))
    types = n.param("types", lambda: n.normal((2, width), 0.2))
    all_positions = n.const(np.arange(512, dtype=np.int64)[None])
    positions = n.op("Slice", all_positions, n.ints(0), dim(ids, 1), n.ints(1), n.ints(1))
    x = n.op("Add", n.op("Gather", words, ids, axis=0), n.op("Gather", types, kinds, axis=0))
    x = norm(n.op("Add", x, n.op("Gather", places, positions, axis=0)), "embeddings.norm")
    wide = n.op("Unsqueeze", n.op("Unsqueeze", mask, n.ints(1)), n.ints(2))
    off = n.op("Sub", scalar(1), n.op("Cast", wide, to=1))
    bias = n.op("Mul", off, scalar(-10000))
    for k in range(layers):
        at = f"layer.{k}"
        x = norm(n.op("Add", attention(x, bias, at), x), f"{at}.attention.norm")
        y = gelu(dense(x, width, 4 * width, f"{at}.wide"))
        x = norm(n.op("Add", dense(y, 4 * width, width, f"{at}.narrow"), x), f"{at}.norm")
    weight = n.op("Cast", n.op("Unsqueeze", mask, n.ints(-1)), to=1)
    total = n.op("ReduceSum", n.op("Mul", x, weight), n.ints(1), keepdims=0)
    count = n.op("Clip", n.op("ReduceSum", weight, n.ints(1), keepdims=0), scalar(1e-9))
    mean = n.op("Div", total, count)
    sentence = n.op("Div", mean, n.op("ReduceL2", mean, axes=[1], keepdims=1))
    return n.build(x, sentence, names=["last_hidden_state", "sentence"], opset=opset)
