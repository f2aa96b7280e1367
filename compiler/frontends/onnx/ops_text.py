"""Counts of n-grams of integers. Strings are no tensors of weft, so pools of them are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import Converter, NodeContext
from .ops_conv import required
from .ops_cut import cut


def _grams(n: NodeContext) -> dict[int, tuple[list[int], np.ndarray]]:
    """By length, the n-grams that count: their columns of the result, and ``[count, length]``."""
    pool = np.asarray(n.attr("pool_int64s", ()), np.int64)
    starts, columns = n.attr("ngram_counts"), n.attr("ngram_indexes")
    least, most = n.attr("min_gram_length"), n.attr("max_gram_length")
    found, first = {}, 0
    for length, (begin, end) in enumerate(zip(starts, [*starts[1:], len(pool)]), 1):
        if not 0 <= begin <= end <= len(pool) or (end - begin) % length:
            n.error(f"ngram_counts {list(starts)} does not cut a pool of {len(pool)} into n-grams.")
        rows = pool[begin:end].reshape(-1, length)
        if least <= length <= most and len(rows):
            found[length] = list(columns[first : first + len(rows)]), rows
        first += len(rows)
    if first != len(columns):
        n.error(f"there are {first} n-grams, and {len(columns)} ngram_indexes.")
    return found


def _counts(n: NodeContext, x: str, grams: np.ndarray, distances: Sequence[int]) -> str:
    """How often each of ``grams [count, length]`` is in each row of ``x [rows, items]``, with items
    next to one another or further apart: ``[rows, count]``, float32."""
    (rows, items), (count, length) = n.typeof(x).shape, grams.shape
    kind = n.typeof(x).dtype.numpy
    total = n.add("expand", [n.constant(np.zeros((), np.float32))], shape=(rows, count))
    for distance in distances:
        places = items - (length - 1) * distance
        if places <= 0:
            continue
        same = ""
        for j in range(length):
            part = cut(n, x, 1, j * distance, places)
            part = n.add("reshape", [part], shape=(rows, places, 1))
            item = n.constant(grams[:, j].astype(kind).reshape(1, 1, count))
            here = n.add("equal", [part, item])
            same = n.add("and", [same, here]) if same else here
        often = n.add("cast", [same], to="float32")
        often = n.add("reduce_sum", [often], axes=(1,), keepdims=False)
        total = n.add("add", [total, often])
    return total


def _tf_idf(n: NodeContext) -> str:
    """Lines ``[items]`` or ``[rows, items]`` to weights of n-grams, ``[..., columns]``, float32."""
    t = required(n, 0)
    if n.has_attr("pool_strings"):
        n.unsupported("n-grams of strings")
    if len(t.shape) not in (1, 2):
        n.error(f"it takes one line of items, or several, not {t}.")
    mode, columns = n.attr("mode"), n.attr("ngram_indexes")
    if mode not in ("TF", "IDF", "TFIDF"):
        n.error(f"the mode {mode!r} is neither TF, IDF nor TFIDF.")
    if not columns or min(columns) < 0:
        n.error(f"ngram_indexes {list(columns)} are not columns.")
    shape = t.shape if len(t.shape) == 2 else (1, *t.shape)
    x, apart = n.add("reshape", [n.inputs[0]], shape=shape), n.attr("max_skip_count", 0) + 1
    blocks, at = [n.constant(np.zeros((shape[0], 1), np.float32))], {}
    for length, (where, grams) in _grams(n).items():
        for column in where:
            at[column] = 1 + len(at)
        # Items that stand alone are not further apart in any way.
        blocks.append(_counts(n, x, grams, range(1, 2 if length == 1 else apart + 1)))
    order = np.array([at.get(c, 0) for c in range(max(columns) + 1)])
    joined = n.add("concat", blocks, axis=1)
    counts = n.add("gather", [joined, n.constant(order)], axis=1, wrap=False)
    if mode != "TF":
        weights = np.ones(len(order), np.float32)
        weights[list(columns)] = n.attr("weights", None) or 1.0
        if mode == "IDF":
            zero, one = (n.constant(np.array(v, np.float32)) for v in (0, 1))
            counts = n.add("where", [n.add("less", [zero, counts]), one, zero])
        counts = n.add("mul", [counts, n.constant(weights)])
    return n.add("reshape", [counts], shape=(*t.shape[:-1], len(order)))


CONVERTERS: dict[str, Converter] = {"TfIdfVectorizer": _tf_idf}
