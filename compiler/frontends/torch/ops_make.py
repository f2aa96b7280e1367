"""Tensors made out of nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ....runtime.dtype import DType, dtype_of
from .context import Ints, Number, Row, Tensor, TorchContext, aten
from .program import ScalarType

MAX_MADE = 1 << 24  # elements of a constant that a node may ask for out of nothing
_FLOAT32, _INT64 = dtype_of("float32"), dtype_of("int64")


def _made(n: TorchContext, size: Sequence[int], value: Number, dtype: DType) -> str:
    if min(size, default=0) < 0:
        n.error(f"the shape {list(size)} has a negative extent.")
    return n.expand(n.number(value, dtype), tuple(size))


def _filled(value: Number) -> Callable[..., str]:
    def convert(n: TorchContext, size: Ints, *, dtype: ScalarType | None = None) -> str:
        return _made(n, size, value, n.scalar_type(dtype, _FLOAT32))

    return convert


def _filled_like(value: Number) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, *, dtype: ScalarType | None = None) -> str:
        return _made(n, n.shape(self), value, n.scalar_type(dtype, n.dtype(self)))

    return convert


def _new_filled(value: Number) -> Callable[..., str]:
    def convert(
        n: TorchContext, self: Tensor, size: Ints, *, dtype: ScalarType | None = None
    ) -> str:
        return _made(n, size, value, n.scalar_type(dtype, n.dtype(self)))

    return convert


def _full(
    n: TorchContext, size: Ints, fill_value: Number, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, size, fill_value, n.scalar_type(dtype, n.promoted(fill_value)))


def _full_like(
    n: TorchContext, self: Tensor, fill_value: Number, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, n.shape(self), fill_value, n.scalar_type(dtype, n.dtype(self)))


def _new_full(
    n: TorchContext, self: Tensor, size: Ints, fill_value: Number, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    return _made(n, size, fill_value, n.scalar_type(dtype, n.dtype(self)))


def _scalar_tensor(n: TorchContext, s: Number, *, dtype: ScalarType | None = None) -> str:
    return n.number(s, n.scalar_type(dtype, n.promoted(s)))


def _fill(n: TorchContext, self: Tensor, value: Tensor | Number) -> str:
    return n.expand(n.operand(value, n.dtype(self)), n.shape(self))


def _empty_strided(
    n: TorchContext, size: Ints, stride: Ints, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, size, 0, n.scalar_type(dtype, _FLOAT32))


def _empty_permuted(
    n: TorchContext, size: Ints, physical_layout: Ints, *, dtype: ScalarType | None = None
) -> str:
    return _made(n, size, 0, n.scalar_type(dtype, _FLOAT32))


def _arange_from(
    n: TorchContext, start: Number, end: Number, step: Number = 1, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    if not step or not all(map(math.isfinite, (start, end, step))):
        n.error(f"a range from {start} to {end} by {step}.")
    count = max(math.ceil((end - start) / step), 0)
    if count > MAX_MADE:
        n.unsupported(f"a range of {count} elements")
    whole = all(isinstance(v, int) for v in (start, end, step))
    to = n.scalar_type(dtype, _INT64 if whole else _FLOAT32)
    values = np.arange(count, dtype=np.int64 if whole else np.float64) * step + start
    return n.constant(values.astype(to.numpy))


def _arange(n: TorchContext, end: Number, *, dtype: ScalarType | None = None) -> str:
    return _arange_from(n, 0, end, dtype=dtype)


def _linspace(
    n: TorchContext, start: Number, end: Number, steps: int, *, dtype: ScalarType | None = None
) -> str:
    """From both ends to the middle, as ATen does."""
    if not 0 <= steps <= MAX_MADE:
        n.error(f"{steps} steps.")
    to = n.scalar_type(dtype, _FLOAT32).numpy
    k = np.arange(steps)
    step = (end - start) / max(steps - 1, 1)
    values = np.where(k < steps // 2, start + k * step, end - (steps - 1 - k) * step)
    return n.constant((values if steps > 1 else np.full(steps, start, np.float64)).astype(to))


def _eye(c: TorchContext, n: int, m: int | None = None, *, dtype: ScalarType | None = None) -> str:
    columns = n if m is None else m
    if n < 0 or columns < 0 or n * columns > MAX_MADE:
        c.error(f"a matrix of {n} x {columns}.")
    return c.constant(np.eye(n, columns, dtype=c.scalar_type(dtype, _FLOAT32).numpy))


def _tri_indices(upper: bool) -> Callable[..., str]:
    def convert(
        n: TorchContext, row: int, col: int, offset: int = 0, *, dtype: ScalarType | None = None
    ) -> str:
        if min(row, col) < 0 or row * col > MAX_MADE:
            n.error(f"a matrix of {row} x {col}.")
        found = np.triu_indices(row, offset, col) if upper else np.tril_indices(row, offset, col)
        return n.constant(np.stack(found).astype(n.scalar_type(dtype, _INT64).numpy))

    return convert


CONVERTERS: dict[str, Row] = {
    **aten("zeros.default empty.memory_format", _filled(0)),
    **aten("ones.default", _filled(1)),
    **aten("zeros_like.default empty_like.default", _filled_like(0)),
    **aten("ones_like.default", _filled_like(1)),
    **aten("new_zeros.default new_empty.default", _new_filled(0)),
    **aten("new_ones.default", _new_filled(1)),
    **aten("full.default", _full),
    **aten("full_like.default", _full_like),
    **aten("new_full.default", _new_full),
    **aten("fill.Scalar fill.Tensor", _fill),
    **aten("scalar_tensor.default", _scalar_tensor),
    **aten("empty_strided.default", _empty_strided),
    **aten("empty_permuted.default", _empty_permuted),
    **aten("arange.default", _arange),
    **aten("arange.start arange.start_step", _arange_from),
    **aten("linspace.default", _linspace),
    **aten("eye.default eye.m", _eye),
    **aten("tril_indices.default", _tri_indices(False)),
    **aten("triu_indices.default", _tri_indices(True)),
}  # fmt: skip
