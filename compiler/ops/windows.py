"""Arithmetic of sliding windows, shared by convolutions and pools: attributes, sizes, padding.

Spatial axes are the ones after batch and channel; pads are listed as ONNX does, all begins and then
all ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.builders import all_of, if_then_else
from ...ir.expr import Expr, ExprLike, IterVar, as_int
from ...ir.tensor import Tensor, compute
from ...runtime.dtype import FLOAT32, DType
from ...runtime.errors import GraphError


@dataclass(frozen=True)
class Window:
    """One sliding window: a value per spatial axis in every field."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """The extent that a window covers, holes of the dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations))

    @property
    def padded(self) -> bool:
        """Whether any axis has padding."""
        return any(self.before) or any(self.after)


def window(op: str, kernel: Sequence[int], attrs) -> Window:
    """The window that ``strides``, ``dilations`` and ``pads`` of ``attrs`` describe; an attribute
    that is None is all ones, or no padding. Raises GraphError when they contradict."""
    n = len(kernel)
    fields = {}
    for name, length, default, least in (
        ("strides", n, 1, 1),
        ("dilations", n, 1, 1),
        ("pads", 2 * n, 0, 0),
    ):
        given = attrs.get(name)
        value = (default,) * length if given is None else tuple(int(v) for v in given)
        if len(value) != length or any(v < least for v in value):
            raise GraphError(
                f"{name} of {op} is {value}; {n} spatial axes need {length} values of at least "
                f"{least}."
            )
        fields[name] = value
    if any(k < 1 for k in kernel):
        raise GraphError(f"the kernel of {op} is {tuple(kernel)}; every extent must be positive.")
    pads = fields["pads"]
    return Window(tuple(kernel), fields["strides"], fields["dilations"], pads[:n], pads[n:])


def window_counts(op: str, size: Sequence[int], w: Window, ceil: bool = False) -> tuple[int, ...]:
    """How many windows fit along each spatial axis of extent ``size``.

    With ``ceil`` a last window that starts inside the input or its leading padding is kept although
    it reaches past the end. Raises GraphError when not even one fits.
    """
    counts = []
    for n, k, s, b, a in zip(size, w.reach, w.strides, w.before, w.after):
        room = n + b + a - k
        if room < 0 and not (ceil and room > -s):
            raise GraphError(
                f"a window of {op} reaches over {k} elements, but the input has only {n} and "
                f"{b} + {a} of padding."
            )
        count = room // s + 1
        if ceil and room % s:
            count += 1
            if (count - 1) * s >= n + b:  # it would start in the trailing padding
                count -= 1
        counts.append(count)
    return tuple(counts)


def extents(t: Tensor) -> tuple[int, ...]:
    """The shape of a tensor of a compiled model: integers."""
    sizes = tuple(as_int(d) for d in t.shape)
    assert None not in sizes, t
    return sizes  # type: ignore[return-value]


def padded(inputs: Sequence[Any], count: int) -> tuple[Any, ...]:
    """``count`` inputs, with None for trailing ones that are absent."""
    return (*inputs, *(None,) * (count - len(inputs)))


def reduced(reduce: Callable[..., Any], value: Expr, axes: IterVar | Sequence[IterVar]) -> Expr:
    """The reduction of one value, as an expression."""
    result = reduce(value, axis=axes)
    assert isinstance(result, Expr)
    return result


def stage(
    shape: Sequence[int], fn: Callable[..., Any], name: str, attrs: Mapping[str, Any] | None = None
) -> Tensor:
    """``te.compute`` of one tensor of a static shape."""
    result = compute(tuple(shape), fn, name=name, attrs=attrs)
    assert isinstance(result, Tensor)
    return result


def accumulator(d: DType) -> DType:
    """The type that sums of ``d`` are held in: 16-bit floats are summed as float32."""
    return FLOAT32 if d.is_float and d.bits == 16 else d


def pad_stage(
    x: Tensor, before: Sequence[int], after: Sequence[int], value: ExprLike, name: str
) -> Tensor:
    """``x`` with ``value`` around its last ``len(before)`` axes; ``x`` itself when that is nothing.

    A stage of its own, so that a schedule may inline it (guarded reads) or materialise it.
    """
    if not any(before) and not any(after):
        return x
    shape = extents(x)
    lead = x.ndim - len(before)
    out = shape[:lead] + tuple(n + b + a for n, b, a in zip(shape[lead:], before, after))

    def body(*i: Expr) -> Expr:
        inside: list[Expr] = []
        at = list(i)
        for k, (b, a) in enumerate(zip(before, after), start=lead):
            at[k] = i[k] - b if b else i[k]
            if b:
                inside.append(i[k] >= b)
            if a:
                inside.append(i[k] < b + shape[k])
        return if_then_else(all_of(inside), x[tuple(at)], value)

    return stage(out, body, name, {"kind": "pad"})


def padded_windows(x: np.ndarray, w: Window, counts: Sequence[int], value) -> np.ndarray:
    """All windows of ``x`` as a view ``[batch, channel, *counts, *kernel]`` (numpy reference)."""
    n = len(counts)
    need = [(c - 1) * s + r for c, s, r in zip(counts, w.strides, w.reach)]
    tail = [max(a, m - s - b) for a, m, s, b in zip(w.after, need, x.shape[2:], w.before)]
    wide = np.pad(x, [(0, 0), (0, 0), *zip(w.before, tail)], constant_values=value)
    axes = tuple(range(2, 2 + n))
    view = np.lib.stride_tricks.sliding_window_view(wide, w.reach, axis=axes)
    view = view[(slice(None), slice(None), *(slice(None, None, s) for s in w.strides))]
    view = view[(slice(None), slice(None), *(slice(0, c) for c in counts))]
    return view[(..., *(slice(None, None, d) for d in w.dilations))]
