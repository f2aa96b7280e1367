"""Images resized and cut out, as both kinds of models have them.

The modes are where the N places lie that are read on an axis of X elements (``SamplingMode`` in
``NeuralNetwork.proto``, ``resize_bilinear`` of MIL).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import MAX_MADE, CoreContext

DEFAULT, STRICT, ALIGN = "DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"
OFFSET, UNALIGN = "OFFSET_CORNERS", "UNALIGN_CORNERS"
MODES = (STRICT, ALIGN, DEFAULT, OFFSET, UNALIGN)


def line_of(out: int, mode: str) -> tuple[float, float, float, float]:
    """(a, b, c, d): the k-th of ``out`` places on X elements, L = X - 1, lies at
    (a L + b) + k (c L + d). ``OFFSET`` has no such line."""
    if mode in (STRICT, ALIGN):
        first = 0.5 if mode == ALIGN and out == 1 else 0.0
        return first, 0.0, 1 / max(out - 1, 1), 0.0
    if mode == DEFAULT:
        return 0.0, 0.0, 1 / out, 1 / out
    if mode == UNALIGN:
        return 0.5 / out, 0.5 / out - 0.5, 1 / out, 1 / out
    raise ValueError(f"there is no sampling mode {mode!r}")


def positions(size: int, out: int, mode: str) -> np.ndarray:
    """The places on an axis of ``size`` elements that ``out`` elements are read at."""
    k = np.arange(out, dtype=np.float64)
    if mode == OFFSET:
        step = max(1, size - 1) / out
        at = 0.5 * step + k * step
    else:
        a, b, c, d = line_of(out, mode)
        at = (a * (size - 1) + b) + k * (c * (size - 1) + d)
    return np.clip(at, 0, size - 1)


def linear(n: CoreContext, x: str, outs: Sequence[int], mode: str) -> str:
    """``x`` with its last axes resized, linear between elements."""
    rank = len(n.shaped(x))
    for axis, out in zip(range(rank - len(outs), rank), outs):
        size = n.shaped(x)[axis]
        _check(n, size, out)
        at = positions(size, out, mode)
        if size == out and (at == np.arange(out)).all():
            continue
        low = np.minimum(np.floor(at), size - 1).astype(np.int32)
        part = (at - low).astype(np.float32)
        index = np.stack([low, np.minimum(low + 1, size - 1)], 1)
        weight = np.stack([1 - part, part], 1)
        x = n.add("resample", [x, n.constant(index), n.constant(weight)], axis=axis)
    return x


def nearest(n: CoreContext, x: str, outs: Sequence[int]) -> str:
    """``x`` with its last axes resized: element k of out is element floor(k * size / out)."""
    rank = len(n.shaped(x))
    factors = [1] * rank
    for axis, out in zip(range(rank - len(outs), rank), outs):
        size = n.shaped(x)[axis]
        _check(n, size, out)
        if out % size == 0:
            factors[axis] = out // size
            continue
        index = (np.arange(out) * size // out).astype(np.int32)
        x = n.add("gather", [x, n.constant(index)], axis=axis, wrap=False)
    return n.add("upsample", [x], factors=tuple(factors)) if max(factors) > 1 else x


def _check(n: CoreContext, size: int, out: int) -> None:
    if size < 1 or not 1 <= out <= MAX_MADE:
        n.error(f"an axis of {size} cannot be resized to {out}.")


_CORNERS = {"CORNERS_HEIGHT_FIRST": (0, 1, 2, 3), "CORNERS_WIDTH_FIRST": (1, 0, 3, 2)}
_CENTRES = {"CENTER_SIZE_HEIGHT_FIRST": (0, 1, 2, 3), "CENTER_SIZE_WIDTH_FIRST": (1, 0, 3, 2)}
BOXES = (*_CORNERS, *_CENTRES)


def cropped(
    n: CoreContext,
    x: str,
    boxes: str,
    outs: Sequence[int],
    mode: str,
    kind: str,
    *,
    normalized: bool,
    scale: float,
) -> str:
    """Of images [boxes, C, H, W], a box each, [boxes, 4]: [boxes, C, outs]."""
    if mode not in MODES or kind not in BOXES:
        n.error(f"there is no sampling mode {mode!r}, or no kind of boxes {kind!r}.")
    count, (height, width) = n.shaped(boxes)[0], n.shaped(x)[2:]
    at = {**_CORNERS, **_CENTRES}[kind]
    a, b, c, d = (n.add("slice", [boxes], starts=(0, k), shape=(count, 1)) for k in at)
    if kind in _CENTRES:  # the middle and the extents
        half = n.like(0.5, boxes)
        c, d = (n.add("mul", [v, half]) for v in (c, d))
        a, b, c, d = (n.add("sub", [a, c]), n.add("sub", [b, d]), n.add("add", [a, c]),
                      n.add("add", [b, d]))  # fmt: skip
    places = []
    for low, high, size, out in ((a, c, height, outs[0]), (b, d, width, outs[1])):
        factor = n.like(scale * (size - 1 if normalized else 1), boxes)
        low, high = (n.add("mul", [v, factor]) for v in (low, high))
        places.append(_on_image(n, low, high, size, out, mode))
    tall, broad = outs
    rows = n.add("expand", [n.reshaped(places[0], (count, tall, 1, 1))],
                 shape=(count, tall, broad, 1))  # fmt: skip
    columns = n.add("expand", [n.reshaped(places[1], (count, 1, broad, 1))],
                    shape=(count, tall, broad, 1))  # fmt: skip
    grid = n.add("concat", [columns, rows], axis=3)
    return n.add("grid_sample", [x, grid], mode="linear", padding="border")


def _on_image(n: CoreContext, low: str, high: str, size: int, out: int, mode: str) -> str:
    """Places between ``low`` and ``high``, [boxes, 1], as [boxes, out] in [-1, 1]."""
    length, k = n.add("sub", [high, low]), np.arange(out)
    if mode == OFFSET:
        step = n.add("maximum", [length, n.like(1, length)])
        at = n.add("mul", [step, n.like((0.5 + k) / out, length)])
    else:
        a, b, c, d = line_of(out, mode)
        at = n.add("mul", [length, n.like(a + c * k, length)])
        at = n.add("add", [at, n.like(b + d * k, length)])
    at = n.add("minimum", [n.add("maximum", [at, n.like(0, at)]), length])
    at = n.add("add", [at, low])
    # pixel p of an axis lies at (2 p + 1) / size - 1, where corners are not aligned
    slope, shift = n.like(2 / size, at), n.like(1 / size - 1, at)
    return n.add("add", [n.add("mul", [at, slope]), shift])


__all__ = ["ALIGN", "BOXES", "DEFAULT", "MODES", "OFFSET", "STRICT", "UNALIGN", "cropped",
           "linear", "nearest", "positions"]  # fmt: skip
