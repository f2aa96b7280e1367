"""Attention composed of operators: masks as what is added to scores, heads, and the two products.

``compiler/passes/attention.py`` makes one kernel of the products and the softmax between them.
Heads are ``[batch, heads, length, width]`` throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .compose import cast, concat, expand, number, op, reshape, scaled, swapped, transpose
from .context import NodeContext
from .ops_cut import cut


def lowest(n: NodeContext, like: str) -> float:
    """What is added to a score that must not count: finite, so that rows without any stay
    numbers."""
    return float(n.typeof(like).dtype.min)


def heads(n: NodeContext, x: str, count: int) -> str:
    """``[batch, length, count * width]`` as ``[batch, count, length, width]``."""
    batch, length, columns = n.typeof(x).shape
    if count < 1 or columns % count:
        n.error(f"{columns} columns do not divide into {count} heads.")
    return transpose(n, reshape(n, x, (batch, length, count, columns // count)), (0, 2, 1, 3))


def merged(n: NodeContext, x: str) -> str:
    """``[batch, heads, length, width]`` as ``[batch, length, heads * width]``."""
    batch, count, length, width = n.typeof(x).shape
    return reshape(n, transpose(n, x, (0, 2, 1, 3)), (batch, length, count * width))


def blocked(n: NodeContext, allowed: str, value: float, like: str) -> str:
    """0 where ``allowed``, else ``value``, in the element type of ``like``."""
    return op(n, "where", allowed, number(n, 0, like), number(n, value, like))


def causal(n: NodeContext, rows: int, keys: int, like: str) -> str:
    """What keeps each of the last ``rows`` of ``keys`` positions from those after it,
    ``[rows, keys]``."""
    late = np.arange(keys)[None] > np.arange(keys - rows, keys)[:, None]
    dtype = n.typeof(like).dtype
    return n.constant(np.where(late, dtype.min, 0).astype(dtype.numpy))


def summed(n: NodeContext, parts: Sequence[str]) -> str:
    """The sum of what is added to scores; ``""`` of nothing."""
    total = ""
    for part in parts:
        total = op(n, "add", total, part) if total and part else total or part
    return total


def key_padding(
    n: NodeContext, i: int, batch: int, rows: int, keys: int, value: float, like: str
) -> str:
    """Input ``i``: which keys count, as ``[batch, 1, 1 | rows, keys]``
    of 0 and ``value``; ``""`` when absent.

    ``[batch]``: how many do; ``[2 * batch]``: where they end, then where they start;
    ``[batch, keys]`` and ``[batch, rows, keys]``: those whose element is positive.
    """
    t = n.type(i)
    if t is None:
        return ""
    mask = cast(n, n.input(i), "int32")
    if t.shape in ((batch,), (2 * batch,)):
        places = n.constant(np.arange(keys, dtype=np.int32))
        ends = reshape(n, cut(n, mask, 0, 0, batch), (batch, 1, 1, 1))
        allowed = op(n, "less", places, ends)
        if t.shape[0] != batch:
            starts = reshape(n, cut(n, mask, 0, batch, batch), (batch, 1, 1, 1))
            allowed = op(n, "and", allowed, op(n, "greater_or_equal", places, starts))
    elif t.shape in ((batch, keys), (batch, rows, keys)):
        four = (batch, 1, t.shape[1] if len(t.shape) == 3 else 1, keys)
        allowed = op(n, "greater", reshape(n, mask, four), number(n, 0, mask))
    elif t.shape == (3 * batch + 2,):
        n.unsupported("a mask of 3 * batch + 2 cumulated lengths")
    elif len(t.shape) == 4:
        n.unsupported("a mask of 4 axes (Megatron's)")
    else:
        n.error(
            f"the mask (input {i}) is {t}, but there are {batch} items of {rows} rows and "
            f"{keys} keys."
        )
    return blocked(n, allowed, value, like)


def with_past(n: NodeContext, past: str, new: str) -> str:
    """``past`` before ``new`` along the length; ``new`` alone when there is none."""
    return concat(n, [past, new], 2) if past else new


def grouped(n: NodeContext, x: str, count: int, kv: int) -> str:
    """``[batch, count | 1, rows, columns]`` of queries or their masks as ``[batch, kv | 1,
    count / kv * rows, columns]``: the heads that share one of the keys are one with more rows."""
    batch, have, rows, columns = n.typeof(x).shape
    each = count // kv
    if have == count:
        return reshape(n, x, (batch, kv, each * rows, columns))
    tall = reshape(n, x, (batch, 1, 1, rows, columns))
    tall = expand(n, tall, (batch, 1, each, rows, columns))
    return reshape(n, tall, (batch, 1, each * rows, columns))


def placed(n: NodeContext, old: str, new: str, at: str, axis: int) -> str:
    """``old`` with slices of ``new`` in it: at an index of ``axis``, the slice ``at`` that index,
    where there is one. ``at`` is int32 and broadcasts to ``old``."""
    shape, rows = n.typeof(old).shape, n.typeof(new).shape[axis]
    inside = op(n, "greater_or_equal", at, number(n, 0, at))
    inside = op(n, "and", inside, op(n, "less", at, number(n, rows, at)))
    if rows > 1:
        index = expand(n, n.add("clip", [at], min=0, max=rows - 1), shape)
        new = n.add("gather_elements", [new, index], axis=axis)
    return op(n, "where", inside, new, old)


class Scores:
    """``scale * q @ kᵀ``, capped, masked, and what is made of them.

    Parameters
    ----------
    q, k : ``[batch, heads, rows, width]`` and ``[batch, heads, keys, width]``.
    mask : what is added, ``""`` for nothing.
    cap : ``cap * tanh(scores / cap)`` before the mask; 0: as they are.
    """

    def __init__(
        self, n: NodeContext, q: str, k: str, scale: float, mask: str = "", cap: float = 0.0
    ):
        self.n = n
        raw = scaled(n, op(n, "matmul", q, swapped(n, k)), scale)
        if cap:
            raw = scaled(n, op(n, "tanh", scaled(n, raw, 1 / cap)), cap)
        self.masked = op(n, "add", raw, mask) if mask else raw

    def mixed(self, v: str, sink: str = "") -> str:
        """``softmax(scores) @ v``. ``sink``, ``[1, heads, rows | 1, 1]``, is the score of one more
        key, which only takes its share."""
        n, rows = self.n, self.masked
        if not sink:
            return op(n, "matmul", n.add("softmax", [rows], axis=-1), v)
        shape = n.typeof(rows).shape
        longer = n.add("concat", [rows, expand(n, sink, (*shape[:-1], 1))], axis=3)
        shares = n.add("softmax", [longer], axis=-1)
        return op(n, "matmul", cut(n, shares, 3, 0, shape[-1]), v)


def rotated(n: NodeContext, x: str, cos: str, sin: str, interleaved: bool) -> str:
    """Rotary embedding (Su et al., "RoFormer", 2021, §3.4.2) of the first columns of the heads
    ``x``, twice as many as ``cos`` and ``sin``, ``[batch | 1, 1, length, pairs]``, have.

    Pairs are neighbours where ``interleaved``, else a column and the one half a head further on.
    """
    shape, pairs = n.typeof(x).shape, n.typeof(cos).shape[-1]
    if not 0 < 2 * pairs <= shape[-1]:
        n.error(f"{pairs} angles turn {2 * pairs} columns, but a head has {shape[-1]}.")
    turned = cut(n, x, 3, 0, 2 * pairs)
    if interleaved:
        both = reshape(n, turned, (*shape[:3], pairs, 2))
        a, b = (reshape(n, cut(n, both, 4, k, 1), (*shape[:3], pairs)) for k in (0, 1))
    else:
        a, b = (cut(n, turned, 3, k * pairs, pairs) for k in (0, 1))
    left = op(n, "sub", op(n, "mul", a, cos), op(n, "mul", b, sin))
    right = op(n, "add", op(n, "mul", b, cos), op(n, "mul", a, sin))
    if interleaved:
        parts = [reshape(n, side, (*shape[:3], pairs, 1)) for side in (left, right)]
        turned = reshape(n, n.add("concat", parts, axis=4), (*shape[:3], 2 * pairs))
    else:
        turned = n.add("concat", [left, right], axis=3)
    return concat(n, [turned, cut(n, x, 3, 2 * pairs, shape[3] - 2 * pairs)], 3)
