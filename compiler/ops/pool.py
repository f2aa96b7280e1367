"""Pooling: sliding windows reduced by maximum, mean or norm, over any number of spatial axes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from ...ir import reducers
from ...ir.builders import maximum, minimum
from ...ir.expr import Expr, cast, const
from ...ir.intrin import power, sqrt
from ...ir.tensor import Tensor, compute, reduce_axis
from ...runtime.dtype import INT32, INT64, DType, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .facts import Facts, attribute
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import (
    Window,
    accumulator,
    extents,
    pad_stage,
    padded_windows,
    stage,
    window,
    window_counts,
)

MAX_TAPS = 1 << 20  # of a window that padding makes larger than the input; bounds compile time


def _geometry(op: str, shape: Sequence[int], attrs: Attrs) -> tuple[Window, tuple[int, ...]]:
    if len(shape) < 3 or len(attrs["kernel"]) != len(shape) - 2:
        raise GraphError(
            f"{op} with the kernel {attrs['kernel']} takes {len(attrs['kernel']) + 2} axes "
            f"[batch, channel, spatial…], not {len(shape)}."
        )
    w = window(op, attrs["kernel"], attrs)
    taps = math.prod(w.kernel)
    if taps > max(math.prod(shape[2:]), MAX_TAPS):
        raise GraphError(
            f"a window of {op} has {taps} elements, more than {MAX_TAPS} and than its input."
        )
    return w, window_counts(op, shape[2:], w, attrs["ceil_mode"])


def _infer_as(op: str):
    def infer(types: Types, attrs: Attrs) -> list[TensorType]:
        x = types[0]
        assert x is not None
        if x.dtype.is_bool or (op in ("average_pool", "lp_pool") and not x.dtype.is_float):
            raise GraphError(f"{op} is not defined on {x.dtype}.")
        if op == "lp_pool" and attrs["p"] < 1:
            raise GraphError(f"lp_pool: p is {attrs['p']}; a norm has an exponent of at least 1.")
        counts = _geometry(op, x.shape, attrs)[1]
        return [TensorType(x.dtype, (*x.shape[:2], *counts))]

    return infer


def _reads(at: Sequence[Expr], taps: Sequence[Expr], w: Window) -> list[Expr]:
    return [
        (o if s == 1 else o * s) + (r if d == 1 else r * d)
        for o, r, s, d in zip(at, taps, w.strides, w.dilations)
    ]


def _tail(x: Tensor, w: Window, counts: Sequence[int]) -> list[int]:
    """Trailing padding that makes every read of every window lie inside."""
    need = [(c - 1) * s + r for c, s, r in zip(counts, w.strides, w.reach)]
    return [max(0, m - n - b) for m, n, b in zip(need, extents(x)[2:], w.before)]


def _stages(op: str, x: Tensor, w: Window, counts: Sequence[int], fill, reduce, source) -> Tensor:
    """The reduction over windows: ``reduce(source(element))`` with padding of ``fill``."""
    x = pad_stage(x, w.before, _tail(x, w, counts), const(fill, x.dtype), f"{op}.pad")
    taps = [reduce_axis(k, f"r{d}") for d, k in enumerate(w.kernel)]
    lead = extents(x)[:2]
    return stage(
        (*lead, *counts),
        lambda *i: reduce(source(x[(*i[:2], *_reads(i[2:], taps, w))]), axis=taps),
        op,
        {"kind": "pool", "strides": w.strides, "dilations": w.dilations},
    )


def _map(t: Tensor, fn, name: str) -> Tensor:
    return stage(extents(t), lambda *i: fn(t[i], i), name)


def _lowest(d: DType) -> float | int:
    return float("-inf") if d.is_float else d.min


# --- maximum ----------------------------------------------------------------------------------


def _max_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]
    w, counts = _geometry("max_pool", extents(x), attrs)
    return [_stages("max_pool", x, w, counts, _lowest(x.dtype), reducers.max, lambda v: v)]


def _max_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs[0]
    w, counts = _geometry("max_pool", x.shape, attrs)
    lowest = _lowest(dtype_of(x.dtype))
    view = padded_windows(x, w, counts, np.array(lowest).astype(x.dtype))
    axes = tuple(range(2 + len(counts), view.ndim))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN in, NaN out
        return [view.max(axis=axes).astype(x.dtype)]


def _argmax_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    values = _infer_as("max_pool_with_indices")(types, attrs)[0]
    return [values, TensorType(INT64, values.shape)]


def _plane_strides(spatial: Sequence[int], column_major: bool) -> list[int]:
    """How far apart neighbours along each spatial axis are in the numbering of a plane."""
    strides, step = [0] * len(spatial), 1
    order = range(len(spatial)) if column_major else reversed(range(len(spatial)))
    for k in order:
        strides[k], step = step, step * spatial[k]
    return strides


def _argmax_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    """Values and positions together, as pairs under the order of argmax; the position in a window
    is turned into the one in the tensor by a second stage."""
    x = inputs[0]
    shape = extents(x)
    w, counts = _geometry("max_pool_with_indices", shape, attrs)
    wide = pad_stage(
        x, w.before, _tail(x, w, counts), const(_lowest(x.dtype), x.dtype), "max_pool.pad"
    )
    strides = _plane_strides(shape[2:], attrs["column_major"])
    plane = int(np.prod(shape[2:]))
    # One flat reduce axis: its order is the order of the taps, which decides among equals.
    taps = reduce_axis(int(np.prod(w.kernel)), "r")

    def split(r: Expr) -> list[Expr]:
        parts: list[Expr] = []
        rest = int(np.prod(w.kernel))
        for k in w.kernel:
            rest //= k
            parts.append((r // rest) % k)
        return parts

    pair = compute(
        (*shape[:2], *counts),
        lambda *i: reducers.argmax(wide[(*i[:2], *_reads(i[2:], split(taps), w))], taps),
        name="max_pool",
        attrs={"kind": "pool", "strides": w.strides, "dilations": w.dilations},
    )

    assert isinstance(pair, tuple)
    best, value = pair

    def position(v: Expr, i: Sequence[Expr]) -> Expr:
        flat: Expr = (i[0] * shape[1] + i[1]) * plane
        for at, b, n, step in zip(_reads(i[2:], split(v), w), w.before, shape[2:], strides):
            # A window that holds nothing but padding and -inf has its best tap outside.
            flat = flat + minimum(maximum(at - b, 0), n - 1) * step
        return flat.astype(INT64)

    return [value, _map(best, position, "max_pool.index")]


def _argmax_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs[0]
    w, counts = _geometry("max_pool_with_indices", x.shape, attrs)
    lowest = np.array(_lowest(dtype_of(x.dtype))).astype(x.dtype)
    view = padded_windows(x, w, counts, lowest)
    flat = view.reshape(*view.shape[: 2 + len(counts)], -1)
    if flat.size == 0:
        return [np.zeros(flat.shape[:-1], x.dtype), np.zeros(flat.shape[:-1], np.int64)]
    best = flat.argmax(axis=-1)
    value = np.take_along_axis(flat, best[..., None], -1)[..., 0]
    taps = np.unravel_index(best, w.kernel)
    grid = np.indices(best.shape)
    index = (grid[0] * x.shape[1] + grid[1]) * int(np.prod(x.shape[2:]))
    strides = _plane_strides(x.shape[2:], attrs["column_major"])
    for k, step in enumerate(strides):
        at = grid[2 + k] * w.strides[k] + taps[k] * w.dilations[k] - w.before[k]
        index = index + np.clip(at, 0, x.shape[2 + k] - 1) * step
    return [value, index.astype(np.int64)]


# --- mean and norm ----------------------------------------------------------------------------


def _tap_counts(w: Window, size: Sequence[int], counts: Sequence[int], pads: bool) -> list:
    """For each spatial axis how many taps of each window are counted: those on the input, or with
    ``pads`` also those on its padding (but never those past it, which ceil_mode brings)."""
    result = []
    for k, s, d, b, a, n, c in zip(
        w.kernel, w.strides, w.dilations, w.before, w.after, size, counts
    ):
        start = np.arange(c) * s - b
        lo, hi = (-b, n + a) if pads else (0, n)
        first = np.maximum(-((start - lo) // d), 0)
        last = np.minimum(-((start - hi) // d), k)
        result.append(np.maximum(last - first, 0))
    return result


def _average_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]
    size, d = extents(x)[2:], x.dtype
    w, counts = _geometry("average_pool", extents(x), attrs)
    acc = accumulator(d)
    total = _stages("average_pool", x, w, counts, 0, reducers.sum, lambda v: v.astype(acc))
    uneven = [
        bool((n != k).any())
        for n, k in zip(_tap_counts(w, size, counts, attrs["count_include_pad"]), w.kernel)
    ]

    def taken(o: Expr, axis: int) -> Expr:
        """Taps j with lo <= o*s - b + j*dil < hi, counted without a table."""
        k, s, dil = w.kernel[axis], w.strides[axis], w.dilations[axis]
        b, a, n = w.before[axis], w.after[axis], size[axis]
        lo, hi = (-b, n + a) if attrs["count_include_pad"] else (0, n)
        start = o * s - b
        first = maximum((lo - start + (dil - 1)) // dil, 0)
        last = minimum((hi - start + (dil - 1)) // dil, k)
        return last - first

    even = int(np.prod([k for k, u in zip(w.kernel, uneven) if not u], initial=1))

    def mean(v: Expr, i: Sequence[Expr]) -> Expr:
        count: Expr = const(even, INT32)
        for axis, u in enumerate(uneven):
            if u:
                count = count * taken(i[2 + axis], axis)
        # A window on padding alone has the sum 0 and the mean 0.
        divisor = cast(maximum(count, 1), acc) if any(uneven) else const(even, acc)
        return (v / divisor).astype(d)

    return [_map(total, mean, "average_pool.out")]


def _average_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x = inputs[0]
    w, counts = _geometry("average_pool", x.shape, attrs)
    view = padded_windows(x.astype(np.float64), w, counts, 0)
    n = len(counts)
    total = view.sum(axis=tuple(range(2 + n, view.ndim)))
    for k, taken in enumerate(_tap_counts(w, x.shape[2:], counts, attrs["count_include_pad"])):
        total = total / np.maximum(taken, 1).reshape(-1, *(1,) * (n - 1 - k))
    return [total.astype(x.dtype)]


def _lp_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, p = inputs[0], attrs["p"]
    w, counts = _geometry("lp_pool", extents(x), attrs)
    acc = accumulator(x.dtype)

    def source(v: Expr) -> Expr:
        v = v.astype(acc)
        return v * v if p == 2 else abs(v) if p == 1 else power(abs(v), float(p))

    total = _stages("lp_pool", x, w, counts, 0, reducers.sum, source)

    def root(v: Expr, i: Sequence[Expr]) -> Expr:
        v = sqrt(v) if p == 2 else v if p == 1 else power(v, 1.0 / p)
        return v.astype(x.dtype)

    return [_map(total, root, "lp_pool.out")]


def _lp_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, p = inputs[0], attrs["p"]
    w, counts = _geometry("lp_pool", x.shape, attrs)
    view = np.abs(padded_windows(x.astype(np.float64), w, counts, 0)) ** p
    total = view.sum(axis=tuple(range(2 + len(counts), view.ndim)))
    return [(total ** (1.0 / p)).astype(x.dtype)]


_ATTRS = {
    "kernel": Attr(tuple, doc="extent of the window per spatial axis"),
    "strides": Attr(tuple, None, "step of the window per spatial axis; None: ones"),
    "dilations": Attr(tuple, None, "distance of taps per spatial axis; None: ones"),
    "pads": Attr(tuple, None, "begins, then ends; None: no padding"),
    "ceil_mode": Attr(bool, False, "keep a last window that reaches past the end"),
}
_FACTS = Facts(channel_wise=True, window=attribute("kernel"), steps=attribute("strides"))

OPS: tuple[OpDef, ...] = (
    OpDef(
        "max_pool",
        Kind.COMPLEX,
        _infer_as("max_pool"),
        _max_compute,
        _max_reference,
        attrs=_ATTRS,
        facts=_FACTS,
        doc="The greatest element of each window; padding never wins.",
    ),
    OpDef(
        "max_pool_with_indices",
        Kind.OPAQUE,
        _argmax_infer,
        _argmax_compute,
        _argmax_reference,
        attrs={
            **_ATTRS,
            "column_major": Attr(bool, False, "number a plane's elements first axis fastest"),
        },
        doc="The greatest element of each window and its int64 position in the whole tensor.",
    ),
    OpDef(
        "average_pool",
        Kind.COMPLEX,
        _infer_as("average_pool"),
        _average_compute,
        _average_reference,
        attrs={
            **_ATTRS,
            "count_include_pad": Attr(bool, False, "padding counts as elements that are 0"),
        },
        facts=_FACTS,
        doc="The mean of each window.",
    ),
    OpDef(
        "lp_pool",
        Kind.COMPLEX,
        _infer_as("lp_pool"),
        _lp_compute,
        _lp_reference,
        attrs={**_ATTRS, "p": Attr(int, 2, "the exponent of the norm")},
        facts=_FACTS,
        doc="The p-norm of each window.",
    ),
)
