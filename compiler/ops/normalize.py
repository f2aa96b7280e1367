"""Normalisations: batch_norm (inference), layer, instance, group, RMS, mean-variance, and LRN.

The variance is the mean square distance from the mean, in two passes: E[x²] − E[x]² cancels.
Roots and divisions are by values that are the same along a row, so that they leave its loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...ir import intrin as te
from ...ir import reducers
from ...ir.builders import if_then_else
from ...ir.expr import Expr, cast, to_expr
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import DType, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries, normalises_tail
from .common import (
    broadcast_shapes,
    check_domain,
    convert_array,
    ints,
    make,
    normalize_axes,
    normalize_axis,
    same_type,
    some,
    stretch,
    wide,
)
from .facts import Facts
from .opdef import Attr, Kind, OpDef, Types
from .reduce import REDUCE, reduce_over

_EPSILON = Attr(float, 1e-5, "added to the variance")


def _check(name: str, types: Types, ndim: int) -> TensorType:
    t = some(types[0])
    for k, other in enumerate(types):
        if other is not None:
            check_domain(name, "float", other, k)
    if len(t.shape) < ndim:
        raise GraphError(f"{name} takes a tensor of {ndim} axes or more, not {t}.")
    return t


def _per_channel(name: str, types: Types, n: int, what: str = "channels") -> None:
    for k, p in enumerate(types):
        if k and p is not None and p.shape != (n,):
            raise GraphError(f"{name}: input {k} is {p}, but there are {n} {what}.")


def _moments(
    x: Tensor, axes: Sequence[int], d: DType, name: str, shape: Sequence[int] | None = None
) -> Callable[[Sequence[Expr]], tuple[Expr, Expr]]:
    """Functions of an index of ``x``: (element minus the mean, mean square of that) over
    ``axes``, in ``d``. Where nothing is averaged, there is no element either.

    What is averaged are differences from the first element: they are as small as the data is
    spread, so that a large mean costs no digits.
    """
    n = float(math.prod(ints(x.shape)[a] for a in axes))

    def at(t: Tensor, index: Sequence[Expr]) -> Expr:
        return t[tuple(to_expr(0) if k in axes else i for k, i in enumerate(index))]

    def shifted(index: Sequence[Expr]) -> Expr:
        return cast(x[tuple(index)], d) - cast(at(x, index), d)

    total = reduce_over(x, axes, True, lambda _, index: shifted(index), reducers.sum, f"{name}.sum")
    mean = make(ints(total.shape), lambda *i: total[i] / n, f"{name}.mean")

    def centred(index: Sequence[Expr]) -> Expr:
        return shifted(index) - at(mean, index)

    def square(_: Expr, index: Sequence[Expr]) -> Expr:
        return centred(index) * centred(index)

    spread = reduce_over(x, axes, True, square, reducers.sum, f"{name}.square")
    return lambda index: (centred(index), at(spread, index) / n)


def _np_moments(x: np.ndarray, axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    v = x.astype(np.float64)
    v = v - np.mean(v, axis=tuple(axes), keepdims=True)
    return v, np.mean(v * v, axis=tuple(axes), keepdims=True)


def _np_out(y: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    return [convert_array(np.asarray(y), dtype_of(x.dtype))]


def _params(arrays: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    return [None if p is None else p.astype(np.float64) for p in arrays]


# -- batch_norm


def _bn_infer(types, a):
    t = _check("batch_norm", types, 1)
    _per_channel("batch_norm", types, t.shape[1] if len(t.shape) > 1 else 1)
    return same_type(types, a)


def _batch_norm(inputs, a, out):
    x, *params = map(some, inputs)
    d = wide(x.dtype)

    def body(*i):
        c = i[1] if len(i) > 1 else to_expr(0)
        scale, bias, mean, var = (cast(p[c], d) for p in params)
        factor = scale / te.sqrt(var + a["epsilon"])
        return cast((cast(x[i], d) - mean) * factor + bias, x.dtype)

    return [make(out[0].shape, body, "batch_norm")]


def _np_batch_norm(arrays, a):
    x = some(arrays[0])
    side = (1, -1, *[1] * (x.ndim - 2)) if x.ndim > 1 else (1,)
    scale, bias, mean, var = (some(p).reshape(side) for p in _params(arrays[1:]))
    with np.errstate(all="ignore"):
        y = (x.astype(np.float64) - mean) * (scale / np.sqrt(var + a["epsilon"])) + bias
    return _np_out(y, x)


def _bn_affine(arrays, a):
    scale, bias, mean, var = arrays
    factor = scale / np.sqrt(var + a["epsilon"])
    return factor, bias - mean * factor


# -- layer_norm and rms_norm: over the axes from ``axis`` on; scale and bias broadcast to x


def _tail_infer(name: str):
    def infer(types, a):
        t = _check(name, types, 1)
        normalize_axis(name, a["axis"], len(t.shape))
        for k, p in enumerate(types):
            if k and p is not None and broadcast_shapes(name, [t.shape, p.shape]) != t.shape:
                raise GraphError(f"{name}: input {k} ({p}) does not broadcast to {t}.")
        return same_type(types, a)

    return infer


def _tail(name: str, x: Tensor, axis: int) -> tuple[int, ...]:
    return tuple(range(normalize_axis(name, axis, x.ndim), x.ndim))


def _affine(value: Expr, params: Sequence[Tensor | None], index: Sequence[Expr], shape) -> Expr:
    """``value * scale + bias`` for the parameters that there are, which broadcast to ``shape``."""
    scale, bias = (*params, None)[:2]
    d = value.dtype
    value = value if scale is None else value * cast(stretch(scale, index, shape), d)
    return value if bias is None else value + cast(stretch(bias, index, shape), d)


def _layer_norm(inputs, a, out):
    x, shape = some(inputs[0]), out[0].shape
    moments = _moments(x, _tail("layer_norm", x, a["axis"]), wide(x.dtype), "layer_norm")

    def body(*i):
        value, variance = moments(i)
        value = value * (1.0 / te.sqrt(variance + a["epsilon"]))
        return cast(_affine(value, inputs[1:], i, shape), x.dtype)

    return [make(shape, body, "layer_norm")]


def _np_layer_norm(arrays, a):
    x = some(arrays[0])
    axes = range(normalize_axis("layer_norm", a["axis"], x.ndim), x.ndim)
    scale, bias = (*_params(arrays[1:]), None)[:2]
    with np.errstate(all="ignore"):
        v, variance = _np_moments(x, axes)
        y = v / np.sqrt(variance + a["epsilon"]) * scale + (0 if bias is None else bias)
    return _np_out(y, x)


def _rms_norm(inputs, a, out):
    x, shape = some(inputs[0]), out[0].shape
    axes, d = _tail("rms_norm", x, a["axis"]), wide(x.dtype)
    n = float(math.prod(shape[k] for k in axes))
    total = reduce_over(
        x, axes, True, lambda v, _: cast(v, d) * cast(v, d), reducers.sum, "rms_norm.square"
    )

    def body(*i):
        at = tuple(to_expr(0) if k in axes else e for k, e in enumerate(i))
        value = cast(x[i], d) * (1.0 / te.sqrt(total[at] / n + a["epsilon"]))
        return cast(_affine(value, inputs[1:], i, shape), x.dtype)

    return [make(shape, body, "rms_norm")]


def _np_rms_norm(arrays, a):
    x = some(arrays[0])
    axes = tuple(range(normalize_axis("rms_norm", a["axis"], x.ndim), x.ndim))
    v = x.astype(np.float64)
    with np.errstate(all="ignore"):
        mean = np.mean(v * v, axis=axes, keepdims=True)
        y = v / np.sqrt(mean + a["epsilon"]) * some(_params(arrays[1:])[0])
    return _np_out(y, x)


# -- instance_norm, group_norm, mean_variance_norm


def _instance_infer(types, a):
    t = _check("instance_norm", types, 2)
    _per_channel("instance_norm", types, t.shape[1])
    return same_type(types, a)


def _instance_norm(inputs, a, out):
    x, scale, bias = map(some, inputs)
    d = wide(x.dtype)
    moments = _moments(x, range(2, x.ndim), d, "instance_norm")

    def body(*i):
        value, variance = moments(i)
        value = value * (1.0 / te.sqrt(variance + a["epsilon"]))
        return cast(value * cast(scale[i[1]], d) + cast(bias[i[1]], d), x.dtype)

    return [make(out[0].shape, body, "instance_norm")]


def _np_instance_norm(arrays, a):
    x = some(arrays[0])
    scale, bias = (some(p).reshape(-1, *[1] * (x.ndim - 2)) for p in _params(arrays[1:]))
    with np.errstate(all="ignore"):
        v, variance = _np_moments(x, range(2, x.ndim))
        y = v / np.sqrt(variance + a["epsilon"]) * scale + bias
    return _np_out(y, x)


def _group_infer(types, a):
    t = _check("group_norm", types, 2)
    _per_channel("group_norm", types, t.shape[1])
    if a["num_groups"] < 1 or t.shape[1] % a["num_groups"]:
        raise GraphError(
            f"group_norm: {t.shape[1]} channels do not divide into {a['num_groups']} groups."
        )
    return same_type(types, a)


def _group_norm(inputs, a, out):
    x, scale, bias = map(some, inputs)
    d, (batch, channels, *space) = wide(x.dtype), out[0].shape
    per = channels // a["num_groups"]
    n = float(per * math.prod(space))

    def over_group(name: str, source: Callable[[Sequence[Expr]], Expr]) -> Tensor:
        def body(b, g):
            c = reduce_axis(per, "c")
            ks = [reduce_axis(s, f"k{k}") for k, s in enumerate(space)]
            return reducers.sum(source((b, g * per + c, *ks)), axis=[c, *ks])

        return make((batch, a["num_groups"]), body, f"group_norm.{name}", REDUCE)

    def shifted(at: Sequence[Expr]) -> Expr:  # see _moments
        first = x[(at[0], at[1] // per * per, *[to_expr(0) for _ in space])]
        return cast(x[tuple(at)], d) - cast(first, d)

    total = over_group("sum", shifted)
    mean = make((batch, a["num_groups"]), lambda b, g: total[b, g] / n, "group_norm.mean")

    def centred(at: Sequence[Expr]) -> Expr:
        return shifted(at) - mean[at[0], at[1] // per]

    spread = over_group("square", lambda at: centred(at) * centred(at))

    def body(*i):
        variance = spread[i[0], i[1] // per] / n
        value = centred(i) * (1.0 / te.sqrt(variance + a["epsilon"]))
        return cast(value * cast(scale[i[1]], d) + cast(bias[i[1]], d), x.dtype)

    return [make(out[0].shape, body, "group_norm")]


def _np_group_norm(arrays, a):
    x = some(arrays[0])
    if x.size == 0:
        return [x]
    grouped = x.reshape(x.shape[0], a["num_groups"], -1)
    scale, bias = (some(p).reshape(-1, *[1] * (x.ndim - 2)) for p in _params(arrays[1:]))
    with np.errstate(all="ignore"):
        v, variance = _np_moments(grouped, (2,))
        y = (v / np.sqrt(variance + a["epsilon"])).reshape(x.shape) * scale + bias
    return _np_out(y, x)


def _mvn_infer(types, a):
    t = _check("mean_variance_norm", types, 1)
    normalize_axes("mean_variance_norm", a["axes"], len(t.shape))
    return same_type(types, a)


def _mvn(inputs, a, out):
    x = some(inputs[0])
    axes = normalize_axes("mean_variance_norm", a["axes"], x.ndim)
    moments = _moments(x, axes, wide(x.dtype), "mean_variance_norm")

    def body(*i):
        value, variance = moments(i)
        return cast(value * (1.0 / (te.sqrt(variance) + a["epsilon"])), x.dtype)

    return [make(out[0].shape, body, "mean_variance_norm")]


def _np_mvn(arrays, a):
    x = some(arrays[0])
    with np.errstate(all="ignore"):
        v, variance = _np_moments(x, normalize_axes("mean_variance_norm", a["axes"], x.ndim))
        return _np_out(v / (np.sqrt(variance) + a["epsilon"]), x)


# -- lrn: local response normalisation over neighbouring channels (Krizhevsky et al. 2012, §3.3)


def _lrn_infer(types, a):
    t = _check("lrn", types, 2)
    if a["size"] < 1:
        raise GraphError(f"lrn: the size of the window is {a['size']}, not 1 or more.")
    if not 0 <= _lrn_before(a) < a["size"]:
        raise GraphError(f"lrn: {a['before']} channels of a window of {a['size']} come before.")
    return [TensorType(t.dtype, t.shape)]


def _lrn_before(a) -> int:
    return (a["size"] - 1) // 2 if a["before"] is None else a["before"]


def _lrn(inputs, a, out):
    x, shape = some(inputs[0]), out[0].shape
    d, before = wide(x.dtype), _lrn_before(a)
    low, high = (min(reach, shape[1]) for reach in (before, a["size"] - 1 - before))

    def window(*i):
        k = reduce_axis(low + high + 1, "k")
        c = i[1] + k - low
        value = cast(x[(i[0], c, *i[2:])], d)
        inside = (c >= 0) & (c < shape[1])
        return reducers.sum(if_then_else(inside, value * value, 0.0), axis=k)

    total = make(shape, window, "lrn.square", REDUCE)

    def body(*i):
        base = total[i] * (a["alpha"] / a["size"]) + a["bias"]
        return cast(cast(x[i], d) / te.power(base, a["beta"]), x.dtype)

    return [make(shape, body, "lrn")]


def _np_lrn(arrays, a):
    x = some(arrays[0])
    v, before = x.astype(np.float64), _lrn_before(a)
    total = np.zeros_like(v)
    for c in range(x.shape[1]):
        near = v[:, max(0, c - before) : c - before + a["size"]]
        total[:, c] = np.sum(near * near, axis=1)
    with np.errstate(all="ignore"):
        return _np_out(v / (a["bias"] + a["alpha"] / a["size"] * total) ** a["beta"], x)


_TAIL = {"axis": Attr(int, -1, "the first normalised axis"), "epsilon": _EPSILON}
_EPS = {"epsilon": _EPSILON}
_GROUPS = {"num_groups": Attr(int), "epsilon": _EPSILON}
_MVN = {"axes": Attr(tuple, (0, 2, 3)), "epsilon": Attr(float, 1e-9, "added to the deviation")}
_LRN = {
    "size": Attr(int, doc="channels in the window"),
    "before": Attr(int, None, "how many of them come before the one; None: (size - 1) / 2, down"),
    "alpha": Attr(float, 1e-4),
    "beta": Attr(float, 0.75),
    "bias": Attr(float, 1.0),
}
_PLACES = carries(first=1, fixed=(0, 1))

OPS: tuple[OpDef, ...] = (
    OpDef(
        "batch_norm", Kind.BROADCAST, _bn_infer, _batch_norm, _np_batch_norm, _EPS, 5, 5,
        facts=Facts(channel_wise=True, affine=_bn_affine, carries=carries(first=1, fixed=(1,))),
        doc="Inputs x, scale, bias, mean, variance; channels are axis 1.",
    ),
    OpDef(
        "layer_norm", Kind.OPAQUE, _tail_infer("layer_norm"), _layer_norm, _np_layer_norm,
        _TAIL, 2, 3, Facts(carries=normalises_tail), doc="Inputs x, scale, bias (optional).",
    ),
    OpDef(
        "rms_norm", Kind.OPAQUE, _tail_infer("rms_norm"), _rms_norm, _np_rms_norm, _TAIL, 2, 2,
        Facts(carries=normalises_tail),
    ),
    OpDef(
        "instance_norm", Kind.OPAQUE, _instance_infer, _instance_norm, _np_instance_norm, _EPS,
        3, 3, Facts(channel_wise=True, carries=_PLACES),
    ),
    OpDef(
        "group_norm", Kind.OPAQUE, _group_infer, _group_norm, _np_group_norm, _GROUPS, 3, 3,
        Facts(carries=_PLACES),
    ),
    OpDef(
        "mean_variance_norm", Kind.OPAQUE, _mvn_infer, _mvn, _np_mvn, _MVN,
        facts=Facts(carries=carries(along=("axes",))),
    ),
    OpDef(
        "lrn", Kind.OPAQUE, _lrn_infer, _lrn, _np_lrn, _LRN,
        facts=Facts(channel_wise=True, carries=carries(fixed=(1,))),
    ),
)  # fmt: skip
