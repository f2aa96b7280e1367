"""Normalisations. Those of half precision are computed in float32, as Keras does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .context import Converter, KerasContext


def _wide(normal: Callable[[KerasContext, str], str]) -> Converter:
    """Computed in float32 at least."""

    def convert(n: KerasContext) -> str:
        x = n.x
        kind = n.typeof(x).dtype
        if not kind.is_float or str(kind) in ("float32", "float64"):
            return normal(n, x)
        return n.to(normal(n, n.to(x, "float32")), str(kind))

    return convert


def _value(n: KerasContext, name: str, like: str) -> np.ndarray:
    if name not in n.layer.values:
        n.error(f"the file has no variable {name!r} for it.")
    return n.layer.values[name].astype(n.typeof(like).dtype.numpy)


def _axis(n: KerasContext, x: str) -> int:
    given = n.opt("axis", -1)
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    return n.axis(given, n.rank(x))


def _batch_norm(n: KerasContext, x: str) -> str:
    axis, rank = _axis(n, x), n.rank(x)
    size = n.shape(x)[axis]
    dtype = n.typeof(x).dtype.numpy
    mean, variance = _value(n, "moving_mean", x), _value(n, "moving_variance", x)
    gamma = _value(n, "gamma", x) if n.flag("scale", True) else np.ones(size, dtype)
    beta = _value(n, "beta", x) if n.flag("center", True) else np.zeros(size, dtype)
    if any(v.shape != (size,) for v in (mean, variance, gamma, beta)):
        n.error(f"its variables are not of {size} channels.")
    # To channels in axis 1, as the operator has them.
    perm = (0, axis, *(k for k in range(1, rank) if k != axis)) if axis else ()
    if not perm:
        n.error("it normalises the batch axis.")
    moved = x if axis == 1 else n.add("transpose", [x], perm=perm)
    inputs = [moved, *(n.constant(v) for v in (gamma, beta, mean, variance))]
    y = n.add("batch_norm", inputs, epsilon=n.number("epsilon", 1e-3))
    if axis == 1:
        return y
    return n.add("transpose", [y], perm=tuple(perm.index(k) for k in range(rank)))


def _axes(n: KerasContext, x: str) -> list[int]:
    given = n.opt("axis", -1)
    axes = given if isinstance(given, list | tuple) else [given]
    return sorted({n.axis(a, n.rank(x)) for a in axes})


def _broadcast(n: KerasContext, name: str, x: str, axes: list[int]) -> np.ndarray:
    shape = [d if k in axes else 1 for k, d in enumerate(n.shape(x))]
    return _value(n, name, x).reshape(shape)


def _layer_norm(n: KerasContext, x: str) -> str:
    axes, rank, epsilon = _axes(n, x), n.rank(x), n.number("epsilon", 1e-3)
    scale, center = n.flag("scale", True), n.flag("center", True)
    old_rms = n.flag("rms_scaling", False)
    trailing = axes == list(range(rank - len(axes), rank))
    if trailing and not old_rms:
        shape = n.shape(x)[axes[0] :]
        gamma = _value(n, "gamma", x).reshape(shape) if scale else None
        if gamma is None:
            gamma = np.ones(shape, n.typeof(x).dtype.numpy)
        inputs = [x, n.constant(gamma)]
        if center:
            inputs.append(n.constant(_value(n, "beta", x).reshape(shape)))
        return n.add("layer_norm", inputs, axis=axes[0], epsilon=epsilon)
    mean = n.add("reduce_mean", [x], axes=tuple(axes))
    centred = n.add("sub", [x, mean])
    variance = n.add("reduce_mean", [n.add("mul", [centred, centred])], axes=tuple(axes))
    root = n.add("sqrt", [n.add("add", [variance, n.scalar(epsilon, x)])])
    # The deprecated rms_scaling divides the data themselves by their deviation.
    y = n.add("div", [x if old_rms else centred, root])
    if scale or old_rms:
        y = n.add("mul", [y, n.constant(_broadcast(n, "gamma", x, axes))])
    if center and not old_rms:
        y = n.add("add", [y, n.constant(_broadcast(n, "beta", x, axes))])
    return y


def _group_norm(n: KerasContext, x: str) -> str:
    axis, rank = _axis(n, x), n.rank(x)
    size, dtype = n.shape(x)[axis], n.typeof(x).dtype.numpy
    groups = n.integer("groups", 32)
    groups = size if groups == -1 else groups
    if groups < 1 or size % groups or axis == 0:
        n.error(f"{size} channels, of axis {axis}, in {groups} groups.")
    gamma = _value(n, "gamma", x) if n.flag("scale", True) else np.ones(size, dtype)
    beta = _value(n, "beta", x) if n.flag("center", True) else np.zeros(size, dtype)
    perm = (0, axis, *(k for k in range(1, rank) if k != axis))
    moved = x if axis == 1 else n.add("transpose", [x], perm=perm)
    shape = n.shape(moved)
    if rank < 3:  # the operator has an axis behind the channels
        moved = n.add("reshape", [moved], shape=(*shape, 1))
    inputs = [moved, n.constant(gamma), n.constant(beta)]
    epsilon = n.number("epsilon", 1e-3)
    y = n.add("group_norm", inputs, num_groups=groups, epsilon=epsilon)
    if rank < 3:
        y = n.add("reshape", [y], shape=shape)
    return y if axis == 1 else n.add("transpose", [y], perm=tuple(map(perm.index, range(rank))))


def _rms_norm(n: KerasContext, x: str) -> str:
    axes, rank, epsilon = _axes(n, x), n.rank(x), n.number("epsilon", 1e-6)
    if axes == [rank - 1]:
        return n.add("rms_norm", [x, n.constant(_value(n, "scale", x))], axis=-1, epsilon=epsilon)
    square = n.add("reduce_mean", [n.add("mul", [x, x])], axes=tuple(axes))
    root = n.add("sqrt", [n.add("add", [square, n.scalar(epsilon, x)])])
    y = n.add("div", [x, root])
    return n.add("mul", [y, n.constant(_broadcast(n, "scale", x, axes))])


def _unit_norm(n: KerasContext) -> str:
    """Divided by the 2-norm, or by 1e-12 where that is less."""
    x = n.x
    norm = n.add("reduce_l2", [x], axes=tuple(_axes(n, x)))
    return n.add("div", [x, n.add("maximum", [norm, n.scalar(1e-12, x)])])


def _spectral(n: KerasContext) -> str:
    """The layer inside of it; its kernel was divided by its norm in training."""
    inner = n.layer.part("layer")
    inner.values.setdefault(inner.variables()[0][0], n.weight("kernel"))
    return n.call(inner, n.tensors)[0]


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(("BatchNormalization", "SyncBatchNormalization"), _wide(_batch_norm)),
    "LayerNormalization": _wide(_layer_norm),
    "GroupNormalization": _wide(_group_norm),
    "RMSNormalization": _wide(_rms_norm),
    "UnitNormalization": _unit_norm,
    "SpectralNormalization": _spectral,
}
