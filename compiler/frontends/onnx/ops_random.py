"""Random numbers: Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
SC'11, §3.3), a function of a key and a counter.

Numbers are drawn when the model is read and are constants of the program: every target and every
call sees the same. The key is ``(bits of the seed, 0)``, or ``(checksum of the node's name, 1)``
where the node states no seed, so that a model gives the same numbers whenever it is read. Element
``i`` in row-major order is made of word ``i % 4`` of block ``i // 4``; doubles and normal numbers
take two words each.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from ....runtime.dtype import DType
from .compose import cast, op, reshape, shape_of, typed
from .context import Converter, NodeContext
from .ops_made import MAX_MADE
from .tensors import onnx_dtype

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: np.ndarray, key: Sequence[int]) -> np.ndarray:
    """Ten rounds. ``counter`` is ``[blocks, 4]``, ``key`` two words; ``[blocks, 4]``, uint32.

    >>> [hex(w) for w in philox(np.zeros((1, 4), np.uint32), (0, 0))[0].tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c = [counter[:, k].astype(np.uint64) for k in range(4)]
    for turn in range(10):
        k0, k1 = (np.uint64((k + turn * w) % 2**32) for k, w in zip(key, _WEYL))
        a, b = c[0] * _MULTIPLIERS[0], c[2] * _MULTIPLIERS[1]
        c = [(b >> _HALF) ^ c[1] ^ k0, b & _LOW, (a >> _HALF) ^ c[3] ^ k1, a & _LOW]
    return np.stack(c, 1).astype(np.uint32)


def _words(n: NodeContext, count: int) -> np.ndarray:
    """The first ``count`` words of the node's stream."""
    if n.has_attr("seed"):
        key = (int(np.float32(n.attr("seed")).view(np.uint32)), 0)
    else:
        key = (zlib.crc32(n.source.node.encode()), 1)
    counter = np.zeros((-(-count // 4), 4), np.uint32)
    counter[:, 0] = np.arange(len(counter))
    return philox(counter, key).reshape(-1)[:count]


def _check(n: NodeContext, shape: Sequence[int]) -> int:
    if min(shape, default=0) < 0:
        n.error(f"the shape {list(shape)} has a negative extent.")
    count = math.prod(shape)
    if count > MAX_MADE:
        n.error(f"{count} random numbers; {MAX_MADE} is the most.")
    return count


def _uniform(n: NodeContext, shape: Sequence[int], to: DType) -> np.ndarray:
    """In ``[0, 1)``: the upper 24 bits of a word, of two words 53 bits for doubles."""
    count = _check(n, shape)
    if to.bits == 64:
        high, low = _words(n, 2 * count).astype(np.float64).reshape(-1, 2).T
        flat = (np.floor(high / 2**5) * 2**26 + np.floor(low / 2**6)) / 2**53
    else:
        flat = (_words(n, count) >> np.uint32(8)).astype(np.float64) / 2**24
    return flat.reshape(shape)


def _normal(n: NodeContext, shape: Sequence[int]) -> np.ndarray:
    """Box and Muller (1958), the cosine of each pair of words, in float64."""
    u, v = _words(n, 2 * _check(n, shape)).astype(np.float64).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log((u + 1) / 2**32))
    return (radius * np.cos(v * (2 * math.pi / 2**32))).reshape(shape)


def _drawn(normal: bool, like: bool) -> Converter:
    def convert(n: NodeContext) -> str:
        shape = shape_of(n, 0) if like else n.attr("shape")
        if like and not n.has_attr("dtype"):
            to = typed(n, 0).dtype
        else:
            to = onnx_dtype(n.attr("dtype", 1), n.where)
        if not to.is_float:
            n.error(f"random numbers of type {to}; they are floats.")
        if normal:
            values = _normal(n, shape) * n.attr("scale", 1.0) + n.attr("mean", 0.0)
        else:
            low, high = n.attr("low", 0.0), n.attr("high", 1.0)
            values = _uniform(n, shape, to) * (high - low) + low
        return n.constant(values.astype(to.numpy))

    return convert


def _bernoulli(n: NodeContext) -> str:
    """1 with the probability that the input says."""
    x, code = typed(n, 0), n.attr("dtype", 0)
    drawn = n.constant(_uniform(n, x.shape, x.dtype).astype(x.dtype.numpy))
    to = str(onnx_dtype(code, n.where)) if code else str(x.dtype)
    return cast(n, op(n, "less", drawn, n.inputs[0]), to)


def _multinomial(n: NodeContext) -> str:
    """Classes by their unnormalised logarithms of probabilities, ``[batch, sample_size]``: how many
    of the cumulated shares lie below the number drawn."""
    batch, classes = shape_of(n, 0, 2)
    size = n.attr("sample_size", 1)
    if not classes:
        n.error("there are no classes to draw from.")
    x = cast(n, n.inputs[0], "float32")
    shares = n.add("cumsum", [n.add("softmax", [x], axis=1)], axis=1)
    shares = reshape(n, shares, (batch, 1, classes))
    drawn = _uniform(n, (batch, size, 1), n.typeof(x).dtype).astype(np.float32)
    below = cast(n, op(n, "less_or_equal", shares, n.constant(drawn)), "int32")
    total = n.add("reduce_sum", [below], axes=(2,), keepdims=False)
    total = n.add("clip", [total], min=0, max=classes - 1)  # shares may sum to a little under 1
    return cast(n, total, str(onnx_dtype(n.attr("dtype", 6), n.where)))


CONVERTERS: dict[str, Converter] = {
    "Bernoulli": _bernoulli,
    "Multinomial": _multinomial,
    "RandomNormal": _drawn(True, False),
    "RandomNormalLike": _drawn(True, True),
    "RandomUniform": _drawn(False, False),
    "RandomUniformLike": _drawn(False, True),
}
