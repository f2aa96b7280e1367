"""Converters of ai.onnx.ml that prepare features: scaling, missing values, categories.

Where the standard is silent, these do as ONNX Runtime does. Results are float32 unless an operator
keeps the type of its input; sums of 64-bit data are made in its own type, and rounded after that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .compose import cast, concat, number, op, reshape, typed
from .context import Converter, NodeContext


def matrix(n: NodeContext) -> tuple[str, int, int]:
    """Input 0 as rows of features, and its two extents: one axis is one row."""
    t = typed(n, 0)
    if len(t.shape) not in (1, 2):
        n.unsupported(f"data of {len(t.shape)} axes")
    rows, features = t.shape if len(t.shape) == 2 else (1, t.shape[0])
    return reshape(n, n.inputs[0], (rows, features)), rows, features


def computed(n: NodeContext, x: str) -> str:
    """``x`` in the type that ONNX Runtime computes features in: float64 stays, all else becomes
    float32."""
    return cast(n, x, "float64" if str(n.typeof(x).dtype) == "float64" else "float32")


def _of_features(n: NodeContext, name: str, values: Sequence[float], features: int) -> np.ndarray:
    """An attribute that has one number for each feature, or one for all."""
    if len(values) not in (1, features):
        n.error(f"{name!r} has {len(values)} numbers for {features} features.")
    return np.asarray(values)


def _scaler(n: NodeContext) -> str:
    """(x - offset) * scale."""
    _, _, features = matrix(n)
    offset = _of_features(n, "offset", n.attr("offset", ()), features)
    scale = _of_features(n, "scale", n.attr("scale", ()), features)
    if len(offset) != len(scale):
        n.error(f"it has {len(offset)} offsets and {len(scale)} scales.")
    x = computed(n, n.inputs[0])
    dtype = n.typeof(x).dtype.numpy
    moved = op(n, "sub", x, n.constant(offset.astype(dtype)))
    return cast(n, op(n, "mul", moved, n.constant(scale.astype(dtype))), "float32")


def _normalizer(n: NodeContext) -> str:
    """Rows divided by their greatest element, or their sum or root of squares; those of zeros stay.

    The greatest is that of the elements as they are, NaN left out, and may be negative.
    """
    norm = n.attr("norm", "MAX")
    shape = typed(n, 0).shape
    given, rows, features = matrix(n)
    x = cast(n, given, "float32")
    if not rows * features:
        return reshape(n, x, shape)
    zero = number(n, 0, x)
    if norm == "MAX":
        lowest = number(n, float(np.finfo(np.float32).min), x)
        known = op(n, "where", op(n, "is_nan", x), lowest, x)
        by = op(n, "maximum", n.add("reduce_max", [known], axes=(1,), keepdims=True), lowest)
        result = op(n, "div", x, by)
    elif norm == "L1":
        unsigned = cast(n, op(n, "abs", given), "float32")
        by = n.add("reduce_sum", [unsigned], axes=(1,), keepdims=True)
        result = op(n, "div", x, by)
    elif norm == "L2":
        squares = cast(n, op(n, "mul", given, given), "float32")
        by = n.add("reduce_sum", [squares], axes=(1,), keepdims=True)
        root = op(n, "sqrt", op(n, "div", squares, by))
        result = op(n, "where", op(n, "less", x, zero), op(n, "neg", root), root)
    else:
        n.error(f"the norm {norm!r} is none of MAX, L1 and L2.")
    some = op(n, "not_equal", by, zero)
    return reshape(n, op(n, "where", some, result, x), shape)


def _binarizer(n: NodeContext) -> str:
    """1 where x > threshold, else 0, in the type of x."""
    x, threshold = n.inputs[0], n.attr("threshold", 0.0)
    t = typed(n, 0)
    if t.dtype.is_int:  # x > t is x > floor(t) for integers; a NaN is never reached
        whole = math.floor(threshold) if math.isfinite(threshold) else None
        low, high = int(t.dtype.min), int(t.dtype.max)
        if whole is None or not low <= whole < high:
            below = threshold < low  # all are greater, or none is
            return n.constant(np.full(t.shape, below, t.dtype.numpy))
        threshold = whole
    above = op(n, "greater", x, number(n, threshold, x))
    return op(n, "where", above, number(n, 1, x), number(n, 0, x))


def _array_feature_extractor(n: NodeContext) -> str:
    """Columns by index; one axis gives one row."""
    x, t, index = n.inputs[0], typed(n, 0), typed(n, 1)
    if not t.shape or not index.size:
        n.error(f"it takes elements {index} of {t}.")
    given = n.const(1) if n.is_const(1) else None
    if given is not None and (given.min() < 0 or given.max() >= t.shape[-1]):
        n.error(f"an index is out of range for {t.shape[-1]} features.")
    if len(t.shape) == 1:
        x = reshape(n, x, (1, t.shape[0]))
    flat = reshape(n, n.inputs[1], (index.size,))
    return n.add("gather", [x, flat], axis=len(n.typeof(x).shape) - 1, wrap=False)


def _feature_vectorizer(n: NodeContext) -> str:
    """Inputs side by side as float32, each cut or padded with zeros to its number of features."""
    sizes = n.attr("inputdimensions", ())
    if len(sizes) != len(n) or min(sizes, default=0) < 0:
        n.error(f"'inputdimensions' is {list(sizes)} for {len(n)} inputs.")
    parts: list[str] = []
    for k, size in enumerate(sizes):
        t = typed(n, k)
        if not t.shape:
            n.error(f"its input {k} is a scalar.")
        rows, *rest = t.shape if len(t.shape) > 1 else (1, *t.shape)
        width = math.prod(rest)
        x = cast(n, reshape(n, n.inputs[k], (rows, width)), "float32")
        if width > size:
            x = n.add("slice", [x], starts=(0, 0), shape=(rows, size))
        elif width < size:
            x = n.add("pad", [x], pads=(0, 0, 0, size - width))
        parts.append(x)
    if len({n.typeof(p).shape[0] for p in parts}) != 1:
        n.error("its inputs have different numbers of rows.")
    return concat(n, parts, 1)


def _imputer(n: NodeContext) -> str:
    """Elements that equal the replaced value, or are NaN if it is, become the imputed ones."""
    _, _, features = matrix(n)
    x, t = n.inputs[0], typed(n, 0)
    kind = "int64" if t.dtype.is_int else "float"
    imputed = n.attr(f"imputed_value_{kind}s", ())
    if not imputed:
        n.error(f"'imputed_value_{kind}s', the values for data of {t.dtype}, is missing.")
    replaced = n.attr(f"replaced_value_{kind}", 0)
    if t.dtype.is_int and not all(t.dtype.min <= v <= t.dtype.max for v in (*imputed, replaced)):
        n.error(f"a value does not fit {t.dtype}.")
    values = _of_features(n, f"imputed_value_{kind}s", imputed, features)
    if isinstance(replaced, float) and math.isnan(replaced):
        missing = op(n, "is_nan", x)
    else:
        missing = op(n, "equal", x, number(n, replaced, x))
    return op(n, "where", missing, n.constant(values.astype(t.dtype.numpy)), x)


def _one_hot_encoder(n: NodeContext) -> str:
    """A new last axis: 1 at the category that x is, as an integer; zeros where it is none."""
    if n.attr("cats_strings", ()):
        n.unsupported("categories that are strings")
    categories = np.array(n.attr("cats_int64s", ()), np.int64)
    if not len(categories):
        n.error("it has no categories.")
    if not n.attr("zeros", 1):
        n.warn("a category that is not listed gives zeros; with zeros=0 the model asks for an error"
               ", which a compiled program cannot raise.")  # fmt: skip
    t = typed(n, 0)
    x = reshape(n, cast(n, n.inputs[0], "int64"), (*t.shape, 1))
    hit = op(n, "equal", x, n.constant(categories))
    last = {c: k for k, c in enumerate(categories.tolist())}  # of a category that is listed twice
    if len(last) < len(categories):
        counts = np.array([last[c] == k for k, c in enumerate(categories.tolist())])
        hit = op(n, "and", hit, n.constant(counts))
    return cast(n, hit, "float32")


CONVERTERS: dict[str, Converter] = {
    "ArrayFeatureExtractor": _array_feature_extractor,
    "Binarizer": _binarizer,
    "FeatureVectorizer": _feature_vectorizer,
    "Imputer": _imputer,
    "Normalizer": _normalizer,
    "OneHotEncoder": _one_hot_encoder,
    "Scaler": _scaler,
}
