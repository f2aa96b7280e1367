"""Convolution over any number of spatial axes, and its transpose in gather form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...ir import reducers
from ...ir.builders import all_of, equal, if_then_else
from ...ir.expr import Expr, IterVar, const
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.errors import GraphError
from ..types import TensorType
from .facts import Contraction, Facts, Rescaled, Stream, attribute
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import (
    Window,
    accumulator,
    extents,
    pad_stage,
    padded,
    padded_windows,
    reduced,
    stage,
    window,
    window_counts,
)


def _check(op: str, types: Types, filters: int, groups: int) -> tuple[TensorType, TensorType]:
    """The types of data and weights, after the checks that both convolutions share."""
    x, w = types[0], types[1]
    assert x is not None and w is not None
    bias = types[2] if len(types) > 2 else None
    if len(x.shape) < 3 or len(w.shape) != len(x.shape):
        raise GraphError(
            f"{op} takes [batch, channel, spatial…] data and weights of the same rank, not "
            f"{x} and {w}."
        )
    if x.dtype != w.dtype or x.dtype.is_bool:
        raise GraphError(f"{op} takes data and weights of one numeric type, not {x} and {w}.")
    if groups < 1 or x.shape[1] % groups or filters % groups:
        raise GraphError(
            f"{op}: {groups} groups must divide both the {x.shape[1]} input channels and the "
            f"{filters} output channels."
        )
    if bias is not None and (bias.shape != (filters,) or bias.dtype != x.dtype):
        raise GraphError(f"the bias of {op} must be {x.dtype}[{filters}], not {bias}.")
    return x, w


def _finish(total: Tensor, bias: Tensor | None, out: TensorType, name: str) -> Tensor:
    """Bias and the conversion from the accumulator's type, as one elementwise stage."""
    if bias is None and total.dtype == out.dtype:
        return total

    def body(*i: Expr) -> Expr:
        value = total[i]
        if bias is not None:
            value = value + bias[i[1]].astype(total.dtype)
        return value.astype(out.dtype)

    return stage(out.shape, body, f"{name}.out")


# --- convolution ------------------------------------------------------------------------------


def _conv_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    filters = types[1].shape[0] if types[1] is not None and types[1].shape else 0
    x, w = _check("conv", types, filters, attrs["groups"])
    if w.shape[1] * attrs["groups"] != x.shape[1]:
        raise GraphError(
            f"conv: weights {w} with {attrs['groups']} groups read "
            f"{w.shape[1] * attrs['groups']} channels, but the data {x} has {x.shape[1]}."
        )
    win = window("conv", w.shape[2:], attrs)
    spatial = window_counts("conv", x.shape[2:], win)
    return [TensorType(x.dtype, (x.shape[0], filters, *spatial))]


def _conv_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, w, bias = padded(inputs, 3)
    shape, channels, groups = extents(w), extents(x)[1], attrs["groups"]
    win = window("conv", shape[2:], attrs)
    acc = accumulator(x.dtype)
    x = pad_stage(x, win.before, win.after, const(0, x.dtype), "conv.pad")
    depthwise = groups == channels and groups > 1
    per_group = shape[0] // groups
    rc = None if depthwise else reduce_axis(shape[1], "rc")
    taps = _taps(shape[2:])

    def body(*i: Expr) -> Expr:
        n, f, *at = i
        where = [
            _times(o, s) + _times(r, d) for o, r, s, d in zip(at, taps, win.strides, win.dilations)
        ]
        if rc is None:
            channel = f if per_group == 1 else f // per_group
            weight = w[(f, 0, *taps)]
            axes = taps
        else:
            channel = rc if groups == 1 else (f // per_group) * shape[1] + rc
            weight = w[(f, rc, *taps)]
            axes = [rc, *taps]
        product = x[(n, channel, *where)].astype(acc) * weight.astype(acc)
        return reduced(reducers.sum, product, axes)

    facts = {
        "kind": "depthwise_conv" if depthwise else "conv",
        "groups": groups,
        "strides": win.strides,
        "dilations": win.dilations,
    }
    total = stage(out[0].shape, body, "conv", facts)
    return [_finish(total, bias, out[0], "conv")]


def _taps(kernel: Sequence[int]) -> list[IterVar]:
    """The reduce axes of a window: rz, ry, rx, as many as there are."""
    names = ["rz", "ry", "rx"][-len(kernel) :]
    if len(kernel) > len(names):
        names = [f"r{k}" for k in range(len(kernel))]
    return [reduce_axis(k, name) for k, name in zip(kernel, names)]


def _times(e: Expr, factor: int) -> Expr:
    return e if factor == 1 else e * factor


def _conv_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, w, bias = padded(inputs, 3)
    groups, filters = attrs["groups"], w.shape[0]
    win = window("conv", w.shape[2:], attrs)
    counts = window_counts("conv", x.shape[2:], win)
    wide = np.int64 if x.dtype.kind in "iu" else np.float64
    view = padded_windows(x, win, counts, 0)
    n = len(counts)
    result = np.empty((x.shape[0], filters, *counts), wide)
    c, f = w.shape[1], filters // groups
    for g in range(groups):
        part = view[:, g * c : (g + 1) * c].astype(wide)
        kernel = w[g * f : (g + 1) * f].astype(wide)
        contracted = ([1, *range(2 + n, 2 + 2 * n)], list(range(1, 2 + n)))
        result[:, g * f : (g + 1) * f] = np.moveaxis(np.tensordot(part, kernel, contracted), -1, 1)
    if bias is not None:
        result += bias.astype(wide).reshape(-1, *(1,) * n)
    return [result.astype(x.dtype)]


# --- transposed convolution -------------------------------------------------------------------


def _transpose_window(w_shape, attrs: Attrs) -> tuple[Window, tuple[int, ...]]:
    win = window("conv_transpose", w_shape[2:], attrs)
    extra = attrs["output_padding"]
    extra = (0,) * len(win.kernel) if extra is None else tuple(extra)
    if len(extra) != len(win.kernel) or any(e < 0 for e in extra):
        raise GraphError(
            f"output_padding of conv_transpose is {extra}; one value per spatial axis."
        )
    return win, extra


def _transpose_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    groups = attrs["groups"]
    w = types[1]
    filters = w.shape[1] * groups if w is not None and len(w.shape) > 1 else 0
    x, w = _check("conv_transpose", types, filters, groups)
    if w.shape[0] != x.shape[1]:
        raise GraphError(
            f"conv_transpose: weights {w} take {w.shape[0]} channels, but the data {x} has "
            f"{x.shape[1]}."
        )
    win, extra = _transpose_window(w.shape, attrs)
    spatial = []
    for n, s, r, b, a, e in zip(x.shape[2:], win.strides, win.reach, win.before, win.after, extra):
        size = (n - 1) * s + r + e - b - a if n else 0
        if size < 0:
            raise GraphError(f"conv_transpose: pads of {b} + {a} leave nothing of the output.")
        spatial.append(size)
    return [TensorType(x.dtype, (x.shape[0], filters, *spatial))]


def _transpose_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    """Gather form: output ``o`` reads input ``i`` through tap ``k`` where ``i*s + k*d == o + pad``.

    With ``d == 1`` or ``s == 1`` the taps that meet an output are ``k = (o + pad) % s + s*j``, so
    the reduction runs over ``j`` alone and does no work that is thrown away. Otherwise it runs over
    all taps and a select drops those that fall between inputs.
    """
    x, w, bias = padded(inputs, 3)
    groups = attrs["groups"]
    (channels, per_group, *kernel), size = extents(w), extents(x)[2:]
    win, _ = _transpose_window(extents(w), attrs)
    acc = accumulator(x.dtype)
    c_group = channels // groups
    phased = [d == 1 or s == 1 for d, s in zip(win.dilations, win.strides)]
    steps = [-(-k // s) if p else k for k, s, p in zip(kernel, win.strides, phased)]
    # How far the reads i = (o + pad - k*d) / s go past either end of the input.
    below, above = [], []
    for n, o, j, s, d, b, p in zip(
        size, out[0].shape[2:], steps, win.strides, win.dilations, win.before, phased
    ):
        lowest = b // s - (j - 1) * d if p else (b - (j - 1) * d) // s
        highest = max(o - 1 + b, 0) // s
        below.append(max(0, -lowest))
        above.append(max(0, highest - (n - 1)))
    x = pad_stage(x, below, above, const(0, x.dtype), "conv_transpose.pad")
    rc = reduce_axis(c_group, "rc")
    taps = _taps(steps)

    def body(*i: Expr) -> Expr:
        n, f, *at = i
        where, tap, valid = [], [], []
        for o, r, s, d, b, lo, k, p in zip(
            at, taps, win.strides, win.dilations, win.before, below, kernel, phased
        ):
            q = o + b if b else o
            if p:
                t = r if s == 1 else q % s + r * s
                where.append((q if s == 1 else q // s) - _times(r, d) + lo)
                if k % s:
                    valid.append(t < k)
            else:
                t, q = r, q - r * d
                where.append(q // s + lo)
                valid.append(equal(q % s, 0))
            tap.append(t)
        if groups == 1:
            channel, filt = rc, f
        else:
            channel, filt = (f // per_group) * c_group + rc, f % per_group
        product = x[(n, channel, *where)].astype(acc) * w[(channel, filt, *tap)].astype(acc)
        if valid:
            product = if_then_else(all_of(valid), product, const(0, acc))
        return reduced(reducers.sum, product, [rc, *taps])

    facts = {
        "kind": "conv_transpose",
        "groups": groups,
        "strides": win.strides,
        "dilations": win.dilations,
    }
    total = stage(out[0].shape, body, "conv_transpose", facts)
    return [_finish(total, bias, out[0], "conv_transpose")]


def _transpose_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, w, bias = padded(inputs, 3)
    groups = attrs["groups"]
    win, extra = _transpose_window(w.shape, attrs)
    wide = np.int64 if x.dtype.kind in "iu" else np.float64
    n, c, f = len(win.kernel), w.shape[0] // groups, w.shape[1]
    full = [
        max(0, (m - 1) * s + r) + e
        for m, s, r, e in zip(x.shape[2:], win.strides, win.reach, extra)
    ]
    result = np.zeros((x.shape[0], f * groups, *full), wide)
    for g in range(groups):
        part, kernel = x[:, g * c : (g + 1) * c].astype(wide), w[g * c : (g + 1) * c].astype(wide)
        for tap in np.ndindex(*win.kernel):
            target = tuple(
                slice(t * d, t * d + (m - 1) * s + 1 if m else t * d, s)
                for t, d, m, s in zip(tap, win.dilations, x.shape[2:], win.strides)
            )
            product = np.tensordot(part, kernel[(..., *tap)], ([1], [0]))
            result[(slice(None), slice(g * f, (g + 1) * f), *target)] += np.moveaxis(product, -1, 1)
    crop = tuple(
        slice(b, max(m - a, b)) for b, a, m in zip(win.before, win.after, result.shape[2:])
    )
    result = result[(slice(None), slice(None), *crop)]
    if 0 in x.shape[2:]:
        result = result[tuple(slice(0, 0 if m == 0 else None) for m in (1, 1, *x.shape[2:]))]
    if bias is not None:
        result = result + bias.astype(wide).reshape(-1, *(1,) * n)
    return [result.astype(x.dtype)]


_ATTRS = {
    "strides": Attr(tuple, None, "step of the window per spatial axis; None: ones"),
    "dilations": Attr(tuple, None, "distance of taps per spatial axis; None: ones"),
    "pads": Attr(tuple, None, "begins, then ends; None: no padding"),
    "groups": Attr(int, 1, "channels are split into so many independent convolutions"),
}


def _pointwise(weights, a):
    ones = set(weights[2:]) == {1} and set(a["strides"] or (1,)) == {1}
    return ones and not any(a["pads"] or ())


def _conv_rescale(w, bias, a, scale, shift):
    factor, more = (np.broadcast_to(v, (w.shape[0],)) for v in (scale, shift))
    b = np.zeros(w.shape[0]) if bias is None else bias
    return Rescaled(w * factor.reshape(-1, *[1] * (w.ndim - 1)), b * factor + more, {})


def _transpose_products(x, w, out, channel):
    return math.prod(x) * math.prod(w) / max(1, x[channel])


def _transpose_rescale(w, bias, a, scale, shift):
    groups = a["groups"]  # weights are [in channels, filters / groups, …]
    filters = w.shape[1] * groups
    factor, more = (np.broadcast_to(v, (filters,)) for v in (scale, shift))
    b = np.zeros(filters) if bias is None else bias
    split = w.reshape(groups, w.shape[0] // groups, w.shape[1], -1)
    scaled = (split * factor.reshape(groups, 1, -1, 1)).reshape(w.shape)
    return Rescaled(scaled, b * factor + more, {})


_CONV = Contraction(
    columns=lambda w, a: 0,
    channel_axis=1,
    stream=Stream.WINDOW,
    pointwise=_pointwise,
    groups=lambda a: a["groups"],
    rescale=_conv_rescale,
)
_CONV_TRANSPOSE = Contraction(
    columns=lambda w, a: 1,
    channel_axis=1,
    groups=lambda a: a["groups"],
    products=_transpose_products,
    rescale=_transpose_rescale,
)

OPS: tuple[OpDef, ...] = (
    OpDef(
        "conv",
        Kind.COMPLEX,
        _conv_infer,
        _conv_compute,
        _conv_reference,
        attrs=_ATTRS,
        min_inputs=2,
        max_inputs=3,
        facts=Facts(contraction=_CONV, steps=attribute("strides")),
        doc="Cross-correlation of [N, C, …] with weights [F, C/groups, …], optional bias [F].",
    ),
    OpDef(
        "conv_transpose",
        Kind.COMPLEX,
        _transpose_infer,
        _transpose_compute,
        _transpose_reference,
        attrs={**_ATTRS, "output_padding": Attr(tuple, None, "extra extent at the end; None: 0")},
        min_inputs=2,
        max_inputs=3,
        facts=Facts(contraction=_CONV_TRANSPOSE, steps=attribute("strides")),
        doc="The gradient of conv to its data: weights [C, F/groups, …], optional bias [F].",
    ),
)
