"""ONNX's Attention, as operators that one kernel is made of, and TensorScatter, its cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .attend import Scores, grouped, heads, lowest, merged, placed, summed, with_past
from .compose import cast, expand, number, op, reshape, shape_of, typed
from .context import ByDefinition, Converter, NodeContext
from .integers import axis_of
from .tensors import onnx_dtype


def _mask(n: NodeContext, like: str, rows: int, keys: int) -> str:
    """Input 3 as what is added to scores, ``[…, keys]`` of four axes; ``""`` when absent."""
    t = n.type(3)
    if t is None:
        return ""
    mask = n.input(3)
    if t.dtype.is_bool:
        mask = op(n, "where", mask, number(n, 0, like), number(n, -math.inf, like))
    shape = list(t.shape)
    if not shape or len(shape) > 4 or shape[-1] > keys:
        n.error(f"attn_mask is {t}, which does not add to scores of {rows} rows and {keys} keys.")
    missing = keys - shape[-1]
    if missing and shape[-1] != 1:
        pads = (*(0,) * (2 * len(t.shape) - 1), missing)
        mask = n.add("pad", [mask], pads=pads, value=-math.inf)
    elif missing:
        raise ByDefinition  # whether it is stretched or padded depends on the operator set
    return reshape(n, mask, (*(1,) * (4 - len(t.shape)), *n.typeof(mask).shape))


def _visible(n: NodeContext, like: str, rows: int, keys: int, past: int) -> tuple[str, bool]:
    """What ``is_causal``, the windows and the lengths in input 6 take from the scores, and whether
    that may be a whole row."""
    left, right = n.attr("left_window_size", -1), n.attr("right_window_size", -1)
    right = min(r for r in (right, 0 if n.attr("is_causal", 0) else -1, keys) if r >= 0)
    offset: str | None = None
    if n.input(6):
        lengths = cast(n, reshape(n, n.input(6), (n.typeof(like).shape[0], 1, 1, 1)), "int32")
        offset = op(n, "sub", lengths, number(n, rows, lengths))
    places = np.arange(keys, dtype=np.int32)
    steps = np.arange(rows, dtype=np.int32).reshape(-1, 1)
    if offset is None:
        own = steps + past
        seen = places <= own + right
        if left >= 0:
            seen &= places >= own - left
        if seen.all():
            return "", False
        dtype = n.typeof(like).dtype.numpy
        added = np.where(seen, 0, -np.inf).astype(dtype).reshape(1, 1, rows, keys)
        return n.constant(added), not seen.any(axis=1).all()
    every = n.constant(places)
    seen = op(n, "less", every, lengths)
    own = op(n, "add", offset, n.constant(steps))
    if right < keys:
        last = op(n, "add", own, number(n, right, own))
        seen = op(n, "and", seen, op(n, "less_or_equal", every, last))
    if left >= 0:
        first = op(n, "sub", own, number(n, left, own))
        seen = op(n, "and", seen, op(n, "greater_or_equal", every, first))
    return op(n, "where", seen, number(n, 0, like), number(n, -math.inf, like)), True


def _attention(n: NodeContext) -> Sequence[str]:
    """A row without any key is 0: its scores are kept finite, and it is replaced at the end."""
    dtype = typed(n, 0).dtype
    code = n.attr("softmax_precision", 0)
    if n.output_wanted(3) or (
        code and str(onnx_dtype(code, n.where)) not in ("float32", str(dtype))
    ):
        raise ByDefinition  # which scores are wanted, and how they are rounded, is its business
    flat = len(shape_of(n, 0, 3, 4)) == 3
    for i in (1, 2):
        shape_of(n, i, 3 if flat else 4)
    q, k, v = n.inputs[:3]
    if flat:
        counts = [n.attr(f"{side}_num_heads") for side in ("q", "kv", "kv")]
        q, k, v = (heads(n, x, c) for x, c in zip((q, k, v), counts))
    if bool(n.input(4)) != bool(n.input(5)) or (n.input(4) and n.input(6)):
        n.error("past_key and past_value come together, and without nonpad_kv_seqlen.")
    past = shape_of(n, 4, 4)[2] if n.input(4) else 0
    k, v = with_past(n, n.input(4), k), with_past(n, n.input(5), v)
    _, count, rows, width = n.typeof(q).shape
    _, kv, keys, _ = n.typeof(k).shape
    if not kv or count % kv:
        n.error(f"{count} heads do not share {kv} heads of keys and values.")
    mask = _mask(n, q, rows, keys)
    hidden, whole = _visible(n, q, rows, keys, past)
    added = summed(n, [mask, hidden])
    empty = ""
    if mask or whole:
        top = n.add("reduce_max", [added], axes=(3,), keepdims=True)
        empty = op(n, "equal", top, number(n, -math.inf, top))
        added = op(n, "maximum", added, number(n, lowest(n, q), added))
    scale = n.attr("scale", None)
    scale = 1 / math.sqrt(width) if scale is None else scale
    if count != kv:
        if added:
            before = n.typeof(added).shape[:2]
            added = grouped(n, expand(n, added, (*before, rows, keys)), count, kv)
        q = grouped(n, q, count, kv)
    y = Scores(n, q, k, scale, added, n.attr("softcap", 0.0)).mixed(v)
    y = reshape(n, y, (n.typeof(y).shape[0], count, rows, n.typeof(v).shape[3]))
    if empty:
        y = op(n, "where", empty, number(n, 0, y), y)
    return [merged(n, y) if flat else y, k, v][: n.n_outputs]


def _tensor_scatter(n: NodeContext) -> str:
    """``update`` in ``past_cache`` from an index of each item on; circular: from the start again
    after the end."""
    old, new = shape_of(n, 0), shape_of(n, 1)
    axis = axis_of(n, n.attr("axis", -2), len(old))
    mode, room = n.attr("mode", "linear"), old[axis]
    if axis == 0 or len(new) != len(old) or new[axis] > room:
        n.error(f"an update {list(new)} along axis {axis} does not fit the cache {list(old)}.")
    if mode not in ("linear", "circular"):
        n.error(f"the mode {mode!r} is neither linear nor circular.")
    places = [1] * len(old)
    places[axis] = room
    at = n.constant(np.arange(room, dtype=np.int32).reshape(places))
    if n.input(2):
        start = reshape(n, n.input(2), (old[0], *(1,) * (len(old) - 1)))
        at = op(n, "sub", at, cast(n, start, "int32"))
    if mode == "circular":
        at = n.add("mod", [at, number(n, room, at)])
    return placed(n, n.inputs[0], n.inputs[1], at, axis)


CONVERTERS: dict[str, Converter] = {"Attention": _attention, "TensorScatter": _tensor_scatter}
