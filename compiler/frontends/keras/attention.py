"""Attention of every kind."""

from __future__ import annotations

import math

import numpy as np

from .context import Converter, KerasContext, Tensor
from .layer import Layer

__all__ = ["CONVERTERS"]


def _projected(n: KerasContext, part: str, x: str) -> str:
    """[batch, time, features] as [batch, heads, time, depth], by the layer called ``part``."""
    layer = n.layer.part(part)
    kernel = _variable(n, layer, "kernel")
    if kernel.ndim != 3 or n.rank(x) != 3 or n.shape(x)[2] != kernel.shape[0]:
        n.error(f"its {part} has the kernel {list(kernel.shape)}, for {n.typeof(x)}.")
    features, heads, depth = kernel.shape
    batch, time, _ = n.shape(x)
    flat = n.add("reshape", [x], shape=(batch * time, features))
    inputs = [flat, n.constant(kernel.reshape(features, heads * depth))]
    if n.flag("use_bias", True):
        inputs.append(n.constant(_variable(n, layer, "bias").reshape(-1)))
    y = n.add("reshape", [n.add("gemm", inputs)], shape=(batch, time, heads, depth))
    return n.add("transpose", [y], perm=(0, 2, 1, 3))


def _variable(n: KerasContext, layer: Layer, name: str) -> np.ndarray:
    value = layer.values.get(name)
    if value is None:
        n.error(f"the file has no variable {name!r} for its {layer.name}.")
    return value.astype(n.computes, copy=False)


def _heads(n: KerasContext) -> list[str]:
    """MultiHeadAttention and GroupQueryAttention."""
    q, v = n.tensor(0, "query"), n.tensor(1, "value")
    k = n.tensor(2, "key") or v
    if not q or not v:
        n.error("it is called without a query or a value.")
    for option in ("attention_axes", "use_gate", "sliding_window"):
        given = n.config.get(option)
        if given not in (None, False) and not (option == "attention_axes" and given in (1, [1])):
            n.unsupported(f"{option} {given!r}")
    if n.rank(q) != 3 or n.rank(v) != 3:
        n.unsupported(f"attention of a query {n.typeof(q)} to {n.typeof(v)}")
    mask = _mask(n, q, v, k, bool(n.tensor(2, "key")))
    scores_too = bool(n.kwargs.get("return_attention_scores", False))
    qs, ks, vs = (_projected(n, f"{p}_dense", t) for p, t in
                  (("query", q), ("key", k), ("value", v)))  # fmt: skip
    repeats = n.shape(qs)[1] // max(n.shape(ks)[1], 1)
    if repeats > 1:
        ks, vs = (n.add("upsample", [t], factors=(1, repeats, 1, 1)) for t in (ks, vs))
    scale = 1 / math.sqrt(n.shape(qs)[3])
    kt = n.add("transpose", [ks], perm=(0, 1, 3, 2))
    scores = ""
    # Where whole rows are masked, Keras has zeros if it computes the scores for themselves.
    zeros = scores_too or n.number("dropout", 0.0) > 0
    if (mask and zeros) or scores_too:
        scores = _softmax(n, n.add("matmul", [n.add("mul", [qs, n.scalar(scale, qs)]), kt]), mask)
        y = n.add("matmul", [scores, vs])
    else:
        inputs = [qs, kt, vs]
        if mask:
            low = n.scalar(-0.7 * float(np.finfo(n.computes).max), qs)
            inputs.append(n.add("where", [mask, n.scalar(0, qs), low]))
        y = n.add("attention", inputs, scale=scale)
    made = _output(n, n.add("transpose", [y], perm=(0, 2, 1, 3)))
    return [made, scores] if scores_too else [made]


def _output(n: KerasContext, y: str) -> str:
    """[batch, time, heads, depth] as what the layer puts out."""
    layer = n.layer.part("output_dense")
    kernel = _variable(n, layer, "kernel")
    batch, time, heads, depth = n.shape(y)
    if kernel.shape[:2] != (heads, depth):
        n.error(f"its output_dense has the kernel {list(kernel.shape)}, for {n.typeof(y)}.")
    rest = kernel.shape[2:]
    flat = n.add("reshape", [y], shape=(batch * time, heads * depth))
    inputs = [flat, n.constant(kernel.reshape(heads * depth, math.prod(rest)))]
    if n.flag("use_bias", True):
        inputs.append(n.constant(_variable(n, layer, "bias").reshape(-1)))
    return n.add("reshape", [n.add("gemm", inputs)], shape=(batch, time, *rest))


def _softmax(n: KerasContext, scores: str, mask: str) -> str:
    if not mask:
        return n.add("softmax", [scores], axis=-1)
    low = n.scalar(-3e4 if n.policy.compute == "float16" else -1e9, scores)
    y = n.add("softmax", [n.add("where", [mask, scores, low])], axis=-1)
    return n.add("where", [mask, y, n.scalar(0, y)])


def _and(n: KerasContext, a: str, b: str) -> str:
    return n.add("and", [a, b]) if a else b


def _mask(n: KerasContext, q: str, v: str, k: str, keyed: bool) -> str:
    """Which keys a query may see: bool, stretched to [batch, heads, queries, keys]."""
    whole = ""
    for name, tensor, axis in (("query", q, 2), ("value", v, 1), ("key", k, 1)):
        if name == "key" and not keyed:
            continue
        given = n.kwargs.get(f"{name}_mask")
        mask = given if isinstance(given, Tensor) else n.mask_of(tensor)
        if mask:
            b, t = n.shape(mask)
            shape = (b, 1, t, 1) if axis == 2 else (b, 1, 1, t)
            whole = _and(n, whole, n.add("reshape", [n.to(mask, "bool")], shape=shape))
    if n.kwargs.get("use_causal_mask", False):
        whole = _and(n, whole, _causal(n, n.shape(q)[1], n.shape(v)[1], 4))
    given = n.kwargs.get("attention_mask")
    if isinstance(given, Tensor):
        shape = n.shape(given)
        if len(shape) == 3:
            given = n.add("reshape", [given], shape=(shape[0], 1, *shape[1:]))
        elif len(shape) == 2:
            given = n.add("reshape", [given], shape=(1, 1, *shape))
        whole = _and(n, whole, n.to(given, "bool"))
    return whole


def _causal(n: KerasContext, queries: int, keys: int, rank: int) -> str:
    seen = np.tri(queries, keys, dtype=np.bool_)
    return n.constant(seen.reshape((1,) * (rank - 2) + seen.shape))


def _dot_attention(n: KerasContext) -> list[str]:
    """Attention: scores are products, or sums of tanh, times a number that is learnt."""
    mode = str(n.opt("score_mode", "dot"))
    q, v, k = _three(n)
    scale = n.weight("scale") if n.flag("use_scale", False) else None
    if mode == "dot":
        scores = n.add("matmul", [q, n.add("transpose", [k], perm=(0, 2, 1))])
        if scale is not None:
            scores = n.add("mul", [scores, n.constant(scale)])
    elif mode == "concat":
        scores = _sums(n, q, k, scale, None)
        scores = n.add("mul", [scores, n.constant(n.weight("concat_score_weight"))])
    else:
        n.unsupported(f"score_mode {mode!r}")
    return _applied(n, q, v, scores)


def _additive(n: KerasContext) -> list[str]:
    q, v, k = _three(n)
    scale = n.weight("scale") if n.flag("use_scale", True) else None
    return _applied(n, q, v, _sums(n, q, k, None, scale))


def _three(n: KerasContext) -> tuple[str, str, str]:
    given = n.tensors
    if len(given) not in (2, 3) or any(n.rank(t) != 3 for t in given):
        n.error(f"it is called on {', '.join(str(n.typeof(t)) for t in given)}.")
    return given[0], given[1], given[-1]


def _sums(
    n: KerasContext, q: str, k: str, inside: np.ndarray | None, outside: np.ndarray | None
) -> str:
    """sum(outside * tanh(inside * (q + k))) over features: [batch, queries, keys]."""
    (b, queries, depth), keys = n.shape(q), n.shape(k)[1]
    wide = n.add("reshape", [q], shape=(b, queries, 1, depth))
    y = n.add("add", [wide, n.add("reshape", [k], shape=(b, 1, keys, depth))])
    y = n.add("mul", [y, n.constant(inside)]) if inside is not None else y
    y = n.add("tanh", [y])
    y = n.add("mul", [y, n.constant(outside)]) if outside is not None else y
    return n.add("reduce_sum", [y], axes=(3,), keepdims=False)


def _applied(n: KerasContext, q: str, v: str, scores: str) -> list[str]:
    given = n.kwargs.get("mask") or (n.args[1] if len(n.args) > 1 else None)
    masks = [m if isinstance(m, Tensor) else "" for m in given] if given else [
        n.mask_of(t) for t in n.tensors]  # fmt: skip
    q_mask, v_mask = masks[0], masks[1] if len(masks) > 1 else ""
    whole = ""
    if v_mask:
        b, t = n.shape(v_mask)
        whole = n.add("reshape", [n.to(v_mask, "bool")], shape=(b, 1, t))
    if n.kwargs.get("use_causal_mask", n.config.get("causal", False)):
        whole = _and(n, whole, _causal(n, n.shape(q)[1], n.shape(v)[1], 3))
    if whole:
        most = 65504.0 if n.policy.compute == "float16" else 1.0e9
        lower = n.add("sub", [scores, n.scalar(most, scores)])
        scores = n.add("where", [whole, scores, lower])
    weights = n.add("softmax", [scores], axis=-1)
    y = n.add("matmul", [weights, v])
    if q_mask:
        b, t = n.shape(q_mask)
        on = n.add("reshape", [n.to(q_mask, "bool")], shape=(b, t, 1))
        y = n.add("where", [on, y, n.scalar(0, y)])
        n.set_mask(y, q_mask)
    return [y, weights] if n.kwargs.get("return_attention_scores", False) else [y]


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(
        ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), _heads
    ),
    "Attention": _dot_attention,
    "AdditiveAttention": _additive,
}  # fmt: skip
