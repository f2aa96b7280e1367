"""Padding of any axes: by a value, or by elements of the tensor itself; negative pads crop."""

from __future__ import annotations

import numpy as np

from ...ir.builders import all_of, if_then_else, maximum, minimum
from ...ir.expr import ZERO, Expr, const
from ...ir.tensor import Tensor
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries
from .facts import Facts
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import extents, padded, stage

PAD_MODES = ("constant", "edge", "reflect", "wrap")


def _pad_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, pads, mode = types[0], attrs["pads"], attrs["mode"]
    assert x is not None
    n = len(x.shape)
    value = types[1] if len(types) > 1 else None
    if len(pads) != 2 * n:
        raise GraphError(f"pad of {x} takes {2 * n} pads, not {len(pads)}.")
    if mode not in PAD_MODES:
        raise GraphError(f"pad has no mode {mode!r}.", hint=", ".join(PAD_MODES))
    if value is not None and (value.dtype != x.dtype or value.shape != ()):
        raise GraphError(f"the value of pad must be {x.dtype}[], not {value}.")
    shape = tuple(d + b + a for d, b, a in zip(x.shape, pads[:n], pads[n:]))
    if min(shape, default=0) < 0:
        raise GraphError(f"pad: {pads} take more from {x} than there is.")
    if mode != "constant" and any(d == 0 < s for d, s in zip(x.shape, shape)):
        raise GraphError(f"pad of {x}: there is nothing to repeat along an empty axis.")
    if mode == "wrap" and any(
        s > 0 >= _kept(d, b, a)[1] for d, b, a, s in zip(x.shape, pads[:n], pads[n:], shape)
    ):
        raise GraphError(f"pad: {pads} leave nothing of {x} to repeat along an axis.")
    return [TensorType(x.dtype, shape)]


def _pad_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, value = padded(inputs, 2)
    shape, mode = extents(x), attrs["mode"]
    before, after = attrs["pads"][: x.ndim], attrs["pads"][x.ndim :]
    d = x.dtype

    def constant(*o: Expr) -> Expr:
        inside: list[Expr] = []
        for i, n, b, a in zip(o, shape, before, after):
            if b > 0:
                inside.append(i >= b)
            if a > 0:
                inside.append(i < b + n)
        read = x[tuple(i - b if b else i for i, b in zip(o, before))] if 0 not in shape else None
        fill = value[()] if value is not None else const(_as(attrs["value"], d), d)
        if read is None:
            return fill
        return if_then_else(all_of(inside), read, fill) if inside else read

    def moved(*o: Expr) -> Expr:
        if 0 in shape:
            return const(0, d)
        return x[
            tuple(
                _wrapped(i - b if b else i, n, b, a, mode)
                for i, n, b, a in zip(o, shape, before, after)
            )
        ]

    fn = constant if mode == "constant" else moved
    return [stage(out[0].shape, fn, "pad", {"kind": "injective", "pads": attrs["pads"]})]


def _as(value: float, d) -> float | int | bool:
    """A number of Python's for a value of type ``d``."""
    return bool(value) if d.is_bool else float(value) if d.is_float else int(value)


def _wrapped(i: Expr, n: int, before: int, after: int, mode: str) -> Expr:
    """The position in ``[0, n)`` that position ``i`` of the padded axis repeats."""
    if before <= 0 and after <= 0:
        return i
    if n == 1:
        return ZERO
    if mode == "edge":
        return minimum(maximum(i, 0), n - 1)
    if mode == "wrap":
        first, kept = _kept(n, before, after)
        return (i - first) % kept + first
    if before < n and after < n:  # one reflection at either end
        return (n - 1) - abs((n - 1) - abs(i))
    period = 2 * (n - 1)
    return (n - 1) - abs((n - 1) - i % period)


def _kept(n: int, before: int, after: int) -> tuple[int, int]:
    """The first element that negative pads leave of an axis, and how many: what wrap repeats."""
    return max(-before, 0), n + min(before, 0) + min(after, 0)


def _pad_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    """Works on the result's own extents: pads that crop what others add may be enormous."""
    x, value = inputs[0], (*inputs, None)[1]
    mode = attrs["mode"]
    before, after = attrs["pads"][: x.ndim], attrs["pads"][x.ndim :]
    shape = [n + b + a for n, b, a in zip(x.shape, before, after)]
    if mode == "constant":
        result = np.full(shape, np.array(attrs["value"]) if value is None else value, x.dtype)
        kept = [(max(b, 0), min(b + n, m)) for b, n, m in zip(before, x.shape, shape)]
        if all(low < high for low, high in kept):
            source = tuple(slice(low - b, high - b) for (low, high), b in zip(kept, before))
            result[tuple(slice(*k) for k in kept)] = x[source]
        return [result]
    result = x
    for axis, (n, b, a, m) in enumerate(zip(x.shape, before, after, shape)):
        at = np.arange(m) - b
        if mode == "edge":
            at = np.clip(at, 0, n - 1)
        elif mode == "wrap":
            first, kept = _kept(n, b, a)
            at = (at - first) % kept + first if kept > 0 else at
        else:
            period = max(2 * (n - 1), 1)
            at = np.minimum(at % period, period - at % period) if n > 1 else at * 0
        result = np.take(result, at, axis=axis)
    return [result]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "pad",
        Kind.INJECTIVE,
        _pad_infer,
        _pad_compute,
        _pad_reference,
        attrs={
            "pads": Attr(tuple, doc="begins, then ends, of every axis; negative ones crop"),
            "mode": Attr(str, "constant", ", ".join(PAD_MODES)),
            "value": Attr(object, 0, "what the mode 'constant' writes, without a second input"),
        },
        max_inputs=2,
        facts=Facts(channel_wise=True, carries=carries(each=("pads",), first=1)),
        doc="x with more elements around; a second input is the scalar to pad with.",
    ),
)
