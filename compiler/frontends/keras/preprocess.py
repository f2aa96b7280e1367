"""Preprocessing layers that are arithmetic; those of strings are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from .context import Converter, KerasContext
from .shape import resized


def _floats(n: KerasContext, x: str) -> str:
    """In the type that the layer computes in, integers, too."""
    return n.to(x, n.policy.compute)


def _rescaling(n: KerasContext) -> str:
    x = _floats(n, n.x)
    dtype = n.typeof(x).dtype.numpy
    scale = np.asarray(_plain(n.opt("scale")), np.float64).astype(dtype)
    offset = np.asarray(_plain(n.opt("offset", 0.0)), np.float64).astype(dtype)
    y = n.add("mul", [x, n.constant(scale)])
    return n.add("add", [y, n.constant(offset)]) if offset.any() else y


def _plain(value: Any) -> Any:
    """What a config has in place of a numpy array or number."""
    if isinstance(value, dict):
        config = value.get("config", {})
        return _plain(config.get("value", 0.0)) if isinstance(config, dict) else config
    return value


def _normalization(n: KerasContext) -> str:
    """(x - mean) / max(sqrt(variance), 1e-7), along the axes that were kept."""
    x = _floats(n, n.x)
    rank = n.rank(x)
    given = n.config.get("axis", -1)
    axes = [] if given is None else given if isinstance(given, list | tuple) else [given]
    kept = [n.axis(a, rank) for a in axes]
    shape = [d if k in kept else 1 for k, d in enumerate(n.shape(x))]
    dtype = n.typeof(x).dtype.numpy
    parts = []
    for name, variable in (("mean", "mean"), ("variance", "variance")):
        stated = n.config.get(name)
        value = np.asarray(_plain(stated)) if stated is not None else n.weight(variable)
        parts.append(np.broadcast_to(value.astype(np.float64).reshape(-1) if value.size > 1
                                     else value.reshape(()), (int(np.prod(shape)),)))  # fmt: skip
    mean, variance = (p.reshape(shape) for p in parts)
    deviation = np.maximum(np.sqrt(variance.astype(dtype)), 1e-7).astype(dtype)
    m, d = n.constant(mean.astype(dtype)), n.constant(deviation)
    if n.flag("invert", False):
        return n.add("add", [m, n.add("mul", [x, d])])
    return n.add("div", [n.add("sub", [x, m]), d])


def _image_axes(n: KerasContext, x: str) -> list[int]:
    rank = n.rank(x)
    if rank not in (3, 4):
        n.error(f"images are {n.typeof(x)}.")
    return [rank - 3, rank - 2] if n.channels_last else [rank - 2, rank - 1]


def _cut(n: KerasContext, x: str, axes: list[int], starts: list[int], sizes: list[int]) -> str:
    shape, first = list(n.shape(x)), [0] * n.rank(x)
    for a, s, d in zip(axes, starts, sizes):
        first[a], shape[a] = s, d
    return n.add("slice", [x], starts=tuple(first), shape=tuple(shape))


def _smart(n: KerasContext, x: str, axes: list[int], sizes: list[int], how: str) -> str:
    """The largest window in the middle of the target's aspect ratio, resized."""
    height, width = (n.shape(x)[a] for a in axes)
    want_h, want_w = sizes
    crop_h = min(int(float(width * want_h) / want_w), height)
    crop_w = min(int(float(height * want_w) / want_h), width)
    starts = [int(float(height - crop_h) / 2), int(float(width - crop_w) / 2)]
    return resized(n, _cut(n, x, axes, starts, [crop_h, crop_w]), axes, sizes, how)


def _center_crop(n: KerasContext) -> str:
    x = _floats(n, n.x)
    axes, sizes = _image_axes(n, x), [n.integer("height"), n.integer("width")]
    rest = [n.shape(x)[a] - s for a, s in zip(axes, sizes)]
    if min(sizes) < 1:
        n.error(f"it crops to {sizes}.")
    if min(rest) >= 0:
        return _cut(n, x, axes, [r // 2 for r in rest], sizes)
    return _smart(n, x, axes, sizes, "bilinear")


def _resizing(n: KerasContext) -> str:
    x = n.x
    axes, sizes = _image_axes(n, x), [n.integer("height"), n.integer("width")]
    how = str(n.opt("interpolation", "bilinear")).lower()
    if n.flag("pad_to_aspect_ratio", False):
        n.unsupported("pad_to_aspect_ratio")
    if not n.typeof(x).dtype.is_float:
        n.unsupported(f"images of {n.typeof(x).dtype}")
    if n.flag("crop_to_aspect_ratio", False):
        return _smart(n, x, axes, sizes, how)
    return resized(n, x, axes, sizes, how, n.flag("antialias", False))


def _discretization(n: KerasContext) -> str:
    """Which of the bins between boundaries each number lies in; a boundary belongs to the next."""
    given = n.opt("bin_boundaries")
    if not isinstance(given, list | tuple) or not given:
        n.error(f"bin_boundaries are {given!r}.")
    x = n.x
    if not n.typeof(x).dtype.is_float:
        x = n.to(x, "float32")
    bounds = n.constant(np.asarray(given, np.float64).astype(n.typeof(x).dtype.numpy))
    wide = n.add("reshape", [x], shape=(*n.shape(x), 1))
    over = n.to(n.add("greater_or_equal", [wide, bounds]), "int32")
    index = n.add("reduce_sum", [over], axes=(n.rank(wide) - 1,), keepdims=False)
    return _encoded(n, index, len(given) + 1, str(n.opt("output_mode", "int")), "")


def _category(n: KerasContext) -> str:
    mode = str(n.opt("output_mode", "multi_hot")).replace("binary", "multi_hot")
    index = n.to(n.x, "int32")
    return _encoded(n, index, n.integer("num_tokens"), mode, n.tensor(1, "count_weights"))


def _encoded(n: KerasContext, index: str, depth: int, mode: str, weights: str) -> str:
    """Numbers as they are, or as vectors that are 1 (or how often) where the numbers are."""
    dtype = n.policy.compute
    if mode == "int":
        old = "int64" if n.version < 3 else "int32"
        return n.to(index, dtype if dtype.startswith("int") else old)
    if mode not in ("one_hot", "multi_hot", "count") or n.flag("sparse", False):
        n.unsupported(f"output_mode {mode!r}, sparse {n.config.get('sparse')!r}")
    if depth < 1 or depth > 1 << 24:
        n.error(f"there are {depth} categories.")
    dtype = dtype if dtype.startswith("float") else "float32"
    values = n.constant(np.array([0, 1], dtype))
    shape = n.shape(index)
    if mode == "one_hot" and shape and shape[-1] == 1:
        index, shape = n.add("reshape", [index], shape=shape[:-1]), shape[:-1]
    each = n.add("one_hot", [index, values], axis=len(shape), depth=depth)
    if mode == "one_hot" or not shape:
        return each
    if mode == "count":
        if weights:
            each = n.add("mul", [each, n.add("reshape", [n.to(weights, dtype)], shape=(*shape, 1))])
        return n.add("reduce_sum", [each], axes=(len(shape) - 1,), keepdims=False)
    return n.add("reduce_max", [each], axes=(len(shape) - 1,), keepdims=False)


def _strings(n: KerasContext) -> str:
    n.unsupported("its hashes and tables of strings")


CONVERTERS: dict[str, Converter] = {
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "CenterCrop": _center_crop,
    "Resizing": _resizing,
    "Discretization": _discretization,
    "CategoryEncoding": _category,
    **dict.fromkeys(
        ("Hashing", "HashedCrossing", "StringLookup", "TextVectorization"), _strings
    ),
}  # fmt: skip
