"""Sampling of images, boxes of detectors, and attention of transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .context import MxContext
from .table import Table, named

# --- sampling ---------------------------------------------------------------------------------


def _lines(n: MxContext, size: Sequence[int]) -> list[np.ndarray]:
    """-1 … 1 along rows and columns."""
    if len(size) != 2 or min(size) < 1 or math.prod(size) > 1 << 24:
        n.error(f"a grid of {tuple(size)} points.")
    return [-1 + np.arange(m) * (2 / (m - 1) if m > 1 else 0.0) for m in size]


def _affine_grid(n: MxContext, theta: str, size: Sequence[int]) -> str:
    """[batch, 2, rows, columns]: x and y of every point, by matrices [batch, 6]."""
    rows, columns = np.meshgrid(*_lines(n, size), indexing="ij")
    points = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    batch = n.typeof(theta).shape[0]
    matrices = n.reshape(theta, (batch, 2, 3))
    points = n.constant(points.astype(n.typeof(theta).dtype.numpy))
    return n.reshape(n.add("matmul", [matrices, points]), (batch, 2, *size))


def _grid_generator(n: MxContext) -> str:
    kind = n.text("transform_type")
    if kind == "affine":
        return _affine_grid(n, n.x, n.integers("target_shape"))
    if kind != "warp":
        n.error(f"there is no transform_type {kind!r}.")
    *_, tall, wide = n.shape  # the data are how far each pixel goes
    rows, columns = np.meshgrid(np.arange(tall), np.arange(wide), indexing="ij")
    d = n.typed().dtype.numpy
    moved = n.add("add", [n.x, n.constant(np.stack([columns, rows]).astype(d))])
    half = np.array([(wide - 1) / 2, (tall - 1) / 2]).reshape(2, 1, 1)
    return n.add("sub", [n.add("div", [moved, n.constant(half.astype(d))]), n.like(1)])


def _sampled(n: MxContext, grid: str) -> str:
    turned = n.add("transpose", [grid], perm=(0, 2, 3, 1))
    return n.add("grid_sample", [n.x, turned], align_corners=True)


def _bilinear_sampler(n: MxContext) -> str:
    return _sampled(n, n.inputs[1])


def _spatial_transformer(n: MxContext) -> str:
    return _sampled(n, _affine_grid(n, n.inputs[1], n.integers("target_shape")))


def _roi_align(n: MxContext) -> str:
    """Regions are [image, left, top, right, bottom]."""
    if n.flag("position_sensitive"):
        n.unsupported("regions whose channels depend on the position")
    rois, samples = n.inputs[1], n.integer("sample_ratio", -1)
    count = n.typed(1).shape[0]
    image = n.cast(n.reshape(n.part(rois, 1, 0, 1), (count,)), "int32")
    attrs = {
        "size": n.integers("pooled_size"),
        "scale": n.number("spatial_scale"),
        "half_pixel": n.flag("aligned"),
    }
    inputs = [n.x, n.part(rois, 1, 1, 4), image]
    if samples > 0:
        return n.add("roi_align", inputs, samples=samples, **attrs)
    return n.add("roi_align_adaptive", inputs, **attrs)


# --- boxes ------------------------------------------------------------------------------------


def _multibox_prior(n: MxContext) -> str:
    """Boxes around the centre of every pixel: of the first ratio in all sizes, and of the first
    size in all other ratios."""
    tall, wide = n.shape[2:]
    sizes, ratios = n.reals("sizes", (1.0,)), n.reals("ratios", (1.0,))
    steps, offsets = n.reals("steps", (-1.0, -1.0)), n.reals("offsets", (0.5, 0.5))
    shapes = [(s, ratios[0]) for s in sizes] + [(sizes[0], r) for r in ratios[1:]]
    if tall * wide * len(shapes) > 1 << 24 or min(ratios) <= 0:
        n.error(f"{len(shapes)} boxes around each of {tall} × {wide} pixels.")
    step_y, step_x = (1 / m if s <= 0 else s for s, m in zip(steps, (tall, wide)))
    y = (np.arange(tall) + offsets[0]) * step_y
    x = (np.arange(wide) + offsets[1]) * step_x
    half = np.array([(s * tall / wide * r**0.5 / 2, s / r**0.5 / 2) for s, r in shapes])
    centre = np.stack(np.meshgrid(y, x, indexing="ij")[::-1], -1)[:, :, None]
    boxes = np.concatenate([centre - half, centre + half], -1).reshape(1, -1, 4)
    return n.constant((np.clip(boxes, 0, 1) if n.flag("clip") else boxes).astype(np.float32))


def corners(n: MxContext, boxes: str, form: str) -> list[str]:
    """Left, top, right, bottom, each [..., 1]."""
    last = len(n.typeof(boxes).shape) - 1
    a, b, c, d = (n.part(boxes, last, k, 1) for k in range(4))
    if form == "corner":
        return [a, b, c, d]
    halves = [n.add("mul", [t, n.like(0.5, t)]) for t in (c, d)]
    low = [n.add("sub", [t, h]) for t, h in zip((a, b), halves)]
    return [*low, *(n.add("add", [t, h]) for t, h in zip((a, b), halves))]


def _box_iou(n: MxContext) -> str:
    form = n.text("format", "corner")
    sides = []
    for k, tensor in enumerate(n.inputs[:2]):
        lead = n.typed(k).shape[:-1]
        count = math.prod(lead)
        shape = (count, 1) if k == 0 else (1, count)
        sides.append([n.reshape(t, shape) for t in corners(n, tensor, form)])
    shared = overlap(n, *sides)
    return n.reshape(shared, (*n.typed(0).shape[:-1], *n.typed(1).shape[:-1]))


def overlap(n: MxContext, one: Sequence[str], two: Sequence[str]) -> str:
    """The part that boxes share of what they cover: intersection over union, 0 for nothing."""
    zero = n.like(0, one[0])
    sides = []
    for low, high in ((0, 2), (1, 3)):
        first = n.add("maximum", [one[low], two[low]])
        last = n.add("minimum", [one[high], two[high]])
        sides.append(n.add("maximum", [n.add("sub", [last, first]), zero]))
    shared = n.add("mul", sides)
    areas = []
    for box in (one, two):
        edges = [n.add("maximum", [n.add("sub", [box[k + 2], box[k]]), zero]) for k in (0, 1)]
        areas.append(n.add("mul", edges))
    union = n.add("sub", [n.add("add", areas), shared])
    empty = n.add("less_or_equal", [union, zero])
    safe = n.add("where", [empty, n.like(1, union), union])
    return n.add("where", [empty, zero, n.add("div", [shared, safe])])


# --- attention --------------------------------------------------------------------------------


def _div_sqrt_dim(n: MxContext) -> str:
    return n.add("div", [n.x, n.like(math.sqrt(n.shape[-1]))])


def _heads(n: MxContext, parts: int, i: int = 0) -> list[str]:
    """Input ``i``, [steps, batch, heads * parts * depth], as so many of [batch * heads, steps,
    depth]."""
    steps, batch, wide = n.typed(i).shape
    heads = n.integer("heads")
    if heads < 1 or wide % (heads * parts):
        n.error(f"{wide} features do not divide into {parts} parts of {heads} heads.")
    depth = wide // heads // parts
    split = n.reshape(n.inputs[i], (steps, batch * heads, parts, depth))
    split = n.add("transpose", [split], perm=(2, 1, 0, 3))
    return [n.reshape(n.part(split, 0, k, 1), (batch * heads, steps, depth)) for k in range(parts)]


def _scores(n: MxContext, queries: str, keys: str) -> str:
    depth = n.typeof(queries).shape[-1]
    scaled = n.add("mul", [queries, n.like(1 / math.sqrt(depth))])
    return n.add("matmul", [scaled, n.add("transpose", [keys], perm=(0, 2, 1))])


def _weighted(n: MxContext, values: str) -> str:
    """By the weights [batch * heads, queries, keys] of input 1, as [queries, batch, features]."""
    y = n.add("transpose", [n.add("matmul", [n.inputs[1], values])], perm=(1, 0, 2))
    steps, rows, depth = n.typeof(y).shape
    batch = n.shape[1]
    return n.reshape(y, (steps, batch, rows // batch * depth))


def _self_scores(n: MxContext) -> str:
    return _scores(n, *_heads(n, 3)[:2])


def _self_values(n: MxContext) -> str:
    return _weighted(n, _heads(n, 3)[2])


def _cross_scores(n: MxContext) -> str:
    return _scores(n, _heads(n, 1)[0], _heads(n, 2, 1)[0])


def _cross_values(n: MxContext) -> str:
    return _weighted(n, _heads(n, 2)[1])


# --- others -----------------------------------------------------------------------------------


def _diagonal(n: MxContext) -> str:
    """The diagonal of matrices, or the matrix of a vector."""
    k, shape = n.integer("k", 0), n.shape
    if len(shape) == 1:
        size = shape[0] + abs(k)
        wide = n.add("expand", [n.reshape(n.x, (shape[0], 1))], shape=(shape[0], size))
        rows = np.arange(shape[0])[:, None] + max(k, 0) == np.arange(size)
        made = n.add("where", [n.constant(rows), wide, n.like(0)])
        before = max(-k, 0)
        return n.add("pad", [made], pads=(before, 0, size - shape[0] - before, 0))
    a, b = n.axis("axis1", 0), n.axis("axis2", 1)
    perm = [d for d in range(len(shape)) if d not in (a, b)]
    x = n.add("transpose", [n.x], perm=(a, b, *perm))
    rows = np.arange(max(0, min(shape[a], shape[b] - k) - max(0, -k))) + max(0, -k)
    index = n.constant(np.stack([rows, rows + k], 1).astype(np.int32))
    picked = n.add("gather_nd", [x, index])
    return n.add("transpose", [picked], perm=(*range(1, len(shape) - 1), 0))


CONVERTERS: Table = {
    "BilinearSampler": _bilinear_sampler,
    "GridGenerator": _grid_generator,
    "SpatialTransformer": _spatial_transformer,
    **named(_multibox_prior, "_contrib_MultiBoxPrior", "MultiBoxPrior"),
    "_contrib_ROIAlign": _roi_align,
    "_contrib_box_iou": _box_iou,
    "_contrib_div_sqrt_dim": _div_sqrt_dim,
    "_contrib_interleaved_matmul_encdec_qk": _cross_scores,
    "_contrib_interleaved_matmul_encdec_valatt": _cross_values,
    "_contrib_interleaved_matmul_selfatt_qk": _self_scores,
    "_contrib_interleaved_matmul_selfatt_valatt": _self_values,
    "diag": _diagonal,
}
