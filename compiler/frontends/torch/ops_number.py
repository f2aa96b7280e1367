"""Arithmetic of sizes: numbers that follow from the shapes of inputs, known when those are."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np

from .context import Number, Row, Tensor, TorchContext, aten


def _known(n: TorchContext, value: Number) -> str:
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    return n.constant(np.asarray(value, kinds[type(value)]))


def _size(n: TorchContext, self: Tensor, dim: int) -> str:
    return _known(n, n.shape(self)[n.axis(dim, n.rank(self))])


def _numel(n: TorchContext, self: Tensor) -> str:
    return _known(n, n.typeof(self).size)


def _stride(n: TorchContext, self: Tensor, dim: int) -> str:
    return _known(n, math.prod(n.shape(self)[n.axis(dim, n.rank(self)) + 1 :]))


def _item(n: TorchContext, self: Tensor) -> str:
    """One number of the data, as a scalar: what needs to know it must have it as a constant."""
    return n.reshape(self, ())


def _binary(function: Callable[..., Number]) -> Callable[..., str]:
    def convert(n: TorchContext, a: Number, b: Number) -> str:
        return _known(n, function(a, b))

    return convert


def _unary(function: Callable[..., Number]) -> Callable[..., str]:
    def convert(n: TorchContext, a: Number) -> str:
        return _known(n, function(a))

    return convert


_BINARY = {
    "_operator.add": operator.add, "_operator.sub": operator.sub, "_operator.mul": operator.mul,
    "_operator.floordiv": operator.floordiv, "_operator.truediv": operator.truediv,
    "_operator.mod": operator.mod, "_operator.pow": lambda a, b: float(a) ** b if b < 0
    else a ** min(b, 64), "_operator.eq": operator.eq, "_operator.ne": operator.ne,
    "_operator.lt": operator.lt, "_operator.le": operator.le, "_operator.gt": operator.gt,
    "_operator.ge": operator.ge, "_operator.and_": lambda a, b: a & b,
    "_operator.or_": lambda a, b: a | b, "torch.sym_max": max, "torch.sym_min": min,
}  # fmt: skip
_UNARY = {
    "_operator.neg": operator.neg, "_operator.pos": operator.pos, "_operator.not_": operator.not_,
    "math.ceil": math.ceil, "math.floor": math.floor, "math.trunc": math.trunc,
    "torch.sym_float": float, "torch.sym_int": int, "torch.sym_not": operator.not_,
    "torch._sym_sqrt": math.sqrt, "math.sqrt": math.sqrt, "_operator.abs": abs, "round": round,
}  # fmt: skip


class _Positional(Row):
    """A function of Python, whose arguments the schema numbers."""

    def __call__(self, n: TorchContext) -> str:
        given = dict(zip(self.parameters, n.arguments().values()))
        return self.convert(n, **self.checked(n, given))


CONVERTERS: dict[str, Row] = {
    **{k: _Positional(_binary(f)) for k, f in _BINARY.items()},
    **{k: _Positional(_unary(f)) for k, f in _UNARY.items()},
    **aten("sym_size.int", _size),
    **aten("sym_stride.int", _stride),
    **aten("sym_numel.default", _numel),
    **aten("item.default _local_scalar_dense.default", _item),
}
