"""Operators on images: channels to space and back, resampling along one axis, columns to image."""

from __future__ import annotations

import numpy as np

from ...ir import reducers
from ...ir.builders import all_of, equal, if_then_else
from ...ir.expr import ZERO, Expr, const
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import FLOAT32, INT32
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries
from .facts import Facts
from .gather import check_axis, wrapped_index
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import accumulator, extents, reduced, stage, window


def _one(shape, fn, name: str) -> list[Tensor]:
    return [stage(shape, fn, name, {"kind": "injective"})]


def _image(op: str, types: Types) -> TensorType:
    x = types[0]
    assert x is not None
    if len(x.shape) != 4:
        raise GraphError(f"{op} takes [batch, channel, height, width], not {x}.")
    return x


# --- channels to space and back ---------------------------------------------------------------


def _to_space_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, b = _image("depth_to_space", types), attrs["block"]
    n, c, h, w = x.shape
    if b < 1 or c % (b * b):
        raise GraphError(f"depth_to_space: {c} channels are not a multiple of {b} * {b}.")
    return [TensorType(x.dtype, (n, c // (b * b), h * b, w * b))]


def _to_space_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, b = inputs[0], attrs["block"]
    channels = out[0].shape[1]

    def body(n: Expr, c: Expr, y: Expr, z: Expr) -> Expr:
        phase = (y % b) * b + z % b
        channel = phase * channels + c if attrs["depth_first"] else c * (b * b) + phase
        return x[n, channel, y // b, z // b]

    return _one(out[0].shape, body, "depth_to_space")


def _to_space_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, b = inputs[0], attrs["block"]
    n, c, h, w = x.shape
    if attrs["depth_first"]:
        parts = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return [parts.reshape(n, c // (b * b), h * b, w * b)]


def _to_depth_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, b = _image("space_to_depth", types), attrs["block"]
    n, c, h, w = x.shape
    if b < 1 or h % b or w % b:
        raise GraphError(f"space_to_depth: {h} x {w} is not a multiple of {b}.")
    return [TensorType(x.dtype, (n, c * b * b, h // b, w // b))]


def _to_depth_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, b = inputs[0], attrs["block"]
    channels = extents(x)[1]

    def body(n: Expr, c: Expr, y: Expr, z: Expr) -> Expr:
        if attrs["depth_first"]:
            phase, channel = c // max(channels, 1), c % max(channels, 1)
        else:
            phase, channel = c % (b * b), c // (b * b)
        return x[n, channel, y * b + phase // b, z * b + phase % b]

    return _one(out[0].shape, body, "space_to_depth")


def _to_depth_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, b = inputs[0], attrs["block"]
    n, c, h, w = x.shape
    order = (0, 3, 5, 1, 2, 4) if attrs["depth_first"] else (0, 1, 3, 5, 2, 4)
    parts = x.reshape(n, c, h // b, b, w // b, b).transpose(order)
    return [parts.reshape(n, c * b * b, h // b, w // b)]


# --- resampling -------------------------------------------------------------------------------


def _resample_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, index, weight = types[0], types[1], types[2]
    assert x is not None and index is not None and weight is not None
    axis = attrs["axis"]
    check_axis("resample", axis, x)
    if (
        len(index.shape) != 2
        or index.shape != weight.shape
        or index.dtype != INT32
        or weight.dtype != FLOAT32
        or not x.dtype.is_float
    ):
        raise GraphError(
            f"resample takes float data, int32 indices [out, taps] and float32 weights of that "
            f"shape, not {x}, {index}, {weight}."
        )
    out = TensorType(x.dtype, (*x.shape[:axis], index.shape[0], *x.shape[axis + 1 :]))
    if out.size and index.shape[1] and not x.shape[axis]:
        raise GraphError(f"resample: there is nothing to read in {x}.")
    return [out]


UNROLLED_TAPS = 4  # enough for linear and cubic interpolation; one tap more and it is a sum


def _few_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    out = _resample_infer(types, attrs)
    if types[1] is not None and types[1].shape[1] > UNROLLED_TAPS:
        raise GraphError(f"resample takes at most {UNROLLED_TAPS} taps; resample_sum takes more.")
    return out


def _term(inputs, axis: int, o: tuple[Expr, ...], t: Expr | int) -> Expr:
    x, index, weight = inputs
    acc = accumulator(x.dtype)
    i = wrapped_index(index[o[axis], t], extents(x)[axis], wrap=False)
    return x[(*o[:axis], i, *o[axis + 1 :])].astype(acc) * weight[o[axis], t].astype(acc)


def _resample_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    d = inputs[0].dtype

    def body(*o: Expr) -> Expr:
        total: Expr = const(0, accumulator(d))
        for t in range(extents(inputs[1])[1]):
            term = _term(inputs, attrs["axis"], o, t)
            total = term if t == 0 else total + term
        return total.astype(d)

    return _one(out[0].shape, body, "resample")


def _resample_sum_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    d, axis = inputs[0].dtype, attrs["axis"]
    r = reduce_axis(extents(inputs[1])[1], "r")
    total = stage(
        out[0].shape, lambda *o: reduced(reducers.sum, _term(inputs, axis, o, r), r), "resample"
    )
    if total.dtype == d:
        return [total]
    return _one(out[0].shape, lambda *o: total[o].astype(d), "resample.out")


def _resample_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, index, weight = inputs
    axis = attrs["axis"]
    wide = np.moveaxis(x.astype(np.float64), axis, -1)
    at = np.clip(index, 0, max(x.shape[axis] - 1, 0))
    total = (wide[..., at] * weight.astype(np.float64)).sum(axis=-1)
    return [np.moveaxis(total, -1, axis).astype(x.dtype)]


def _upsample_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x = types[0]
    assert x is not None
    factors = attrs["factors"]
    if len(factors) != len(x.shape) or min(factors, default=1) < 1:
        raise GraphError(f"upsample: {tuple(factors)} is not one factor for each axis of {x}.")
    return [TensorType(x.dtype, tuple(d * f for d, f in zip(x.shape, factors)))]


def _upsample_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]

    def body(*o: Expr) -> Expr:
        at = (
            ZERO if n == 1 else i if f == 1 else i // f
            for i, f, n in zip(o, attrs["factors"], extents(x))
        )
        return x[tuple(at)]

    return _one(out[0].shape, body, "upsample")


def _upsample_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    result = inputs[0]
    for axis, f in enumerate(attrs["factors"]):
        result = np.repeat(result, f, axis=axis)
    return [result]


# --- columns to image -------------------------------------------------------------------------


def _blocks(attrs: Attrs) -> tuple:
    """The window, and how many blocks there are along each axis."""
    w = window("col2im", attrs["block"], attrs)
    counts = tuple(
        (n + b + a - r) // s + 1
        for n, b, a, r, s in zip(attrs["image"], w.before, w.after, w.reach, w.strides)
    )
    if len(attrs["image"]) != len(w.kernel) or min(counts) < 1:
        raise GraphError(f"col2im: blocks of {attrs['block']} do not fit into {attrs['image']}.")
    return w, counts


def _col2im_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x = types[0]
    assert x is not None
    w, counts = _blocks(attrs)
    size, blocks = int(np.prod(w.kernel)), int(np.prod(counts))
    if len(x.shape) != 3 or x.shape[1] % size or x.shape[2] != blocks or x.dtype.is_bool:
        raise GraphError(
            f"col2im into {tuple(attrs['image'])} takes [batch, a multiple of {size}, {blocks}], "
            f"not {x}."
        )
    return [TensorType(x.dtype, (x.shape[0], x.shape[1] // size, *attrs["image"]))]


def _col2im_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    """Gather form: the taps that meet a pixel are those with ``(o + pad - k*d) % s == 0``."""
    x = inputs[0]
    w, counts = _blocks(attrs)
    size, acc = int(np.prod(w.kernel)), accumulator(x.dtype)
    taps = [reduce_axis(k, f"r{d}") for d, k in enumerate(w.kernel)]

    def body(*i: Expr) -> Expr:
        n, c, *at = i
        valid: list[Expr] = []
        tap: Expr = ZERO
        block: Expr = ZERO
        for o, r, k, s, d, b, m in zip(
            at, taps, w.kernel, w.strides, w.dilations, w.before, counts
        ):
            q = o + b - r * d
            if s > 1:
                valid.append(equal(q % s, 0))
            valid += [q >= 0, q < m * s]
            tap, block = tap * k + r, block * m + q // s
        value = x[n, c * size + tap, block].astype(acc)
        value = if_then_else(all_of(valid), value, const(0, acc))
        return reduced(reducers.sum, value, taps)

    total = stage(out[0].shape, body, "col2im")
    if acc == x.dtype:
        return [total]
    return _one(out[0].shape, lambda *o: total[o].astype(x.dtype), "col2im.out")


def _col2im_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs[0]
    w, counts = _blocks(attrs)
    wide = np.float64 if x.dtype.kind not in "iu" else x.dtype
    parts = x.astype(wide).reshape(x.shape[0], -1, *w.kernel, *counts)
    full = [n + b + a for n, b, a in zip(attrs["image"], w.before, w.after)]
    result = np.zeros((*parts.shape[:2], *full), wide)
    every = (slice(None), slice(None))
    for tap in np.ndindex(*w.kernel):
        target = tuple(
            slice(t * d, t * d + (m - 1) * s + 1, s)
            for t, d, m, s in zip(tap, w.dilations, counts, w.strides)
        )
        result[(*every, *target)] += parts[(*every, *tap)]
    crop = tuple(slice(b, b + n) for b, n in zip(w.before, attrs["image"]))
    return [result[(*every, *crop)].astype(x.dtype)]


_BLOCK = {
    "block": Attr(int, doc="extent of the block in space"),
    "depth_first": Attr(bool, True, "deep channels are [block, block, C], else [C, block, block]"),
}

OPS: tuple[OpDef, ...] = (
    OpDef(
        "depth_to_space",
        Kind.INJECTIVE,
        _to_space_infer,
        _to_space_compute,
        _to_space_reference,
        attrs=_BLOCK,
    ),
    OpDef(
        "space_to_depth",
        Kind.INJECTIVE,
        _to_depth_infer,
        _to_depth_compute,
        _to_depth_reference,
        attrs=_BLOCK,
    ),
    OpDef(
        "resample",
        Kind.INJECTIVE,
        _few_infer,
        _resample_compute,
        _resample_reference,
        attrs={"axis": Attr(int, doc="not negative")},
        min_inputs=3,
        max_inputs=3,
        facts=Facts(channel_wise=True, carries=carries(along=("axis",), first=1)),
        doc="result[o] = sum over t of x[index[o, t]] * weight[o, t] along the axis, few taps t; "
        "indices are clamped.",
    ),
    OpDef(
        "resample_sum",
        Kind.COMPLEX,
        _resample_infer,
        _resample_sum_compute,
        _resample_reference,
        attrs={"axis": Attr(int, doc="not negative")},
        min_inputs=3,
        max_inputs=3,
        facts=Facts(carries=carries(along=("axis",), first=1)),
        doc="As resample, for any number of taps.",
    ),
    OpDef(
        "upsample",
        Kind.INJECTIVE,
        _upsample_infer,
        _upsample_compute,
        _upsample_reference,
        attrs={"factors": Attr(tuple, doc="how often each element is repeated along every axis")},
        facts=Facts(channel_wise=True, carries=carries(each=("factors",))),
    ),
    OpDef(
        "col2im",
        Kind.COMPLEX,
        _col2im_infer,
        _col2im_compute,
        _col2im_reference,
        attrs={
            "image": Attr(tuple, doc="spatial extents of the result"),
            "block": Attr(tuple, doc="spatial extents of a block"),
            "strides": Attr(tuple, None, "step of the blocks; None: ones"),
            "dilations": Attr(tuple, None, "distance of elements in a block; None: ones"),
            "pads": Attr(tuple, None, "begins, then ends; None: no padding"),
        },
        doc="Sums the columns of [N, C * block, blocks] where they lie in the image.",
    ),
)
