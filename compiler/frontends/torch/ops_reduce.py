"""Reductions, scans and orders along axes."""

from __future__ import annotations

import math
from collections.abc import Callable

from ....runtime.dtype import dtype_of
from .context import Ints, Number, Row, Tensor, TorchContext, aten
from .ops_math import cast_to, truth
from .program import ScalarType

_INT64 = dtype_of("int64")


def _summed(n: TorchContext, x: str, dtype: ScalarType | None) -> str:
    """``x`` in the type that it is summed in: int64 for integers and truth values."""
    own = n.dtype(x)
    return cast_to(n, x, n.scalar_type(dtype, own if own.is_float else _INT64))


def _reduced(
    n: TorchContext, op: str, x: str, dim: Ints | None, keepdim: bool = False
) -> str:  # fmt: skip
    axes = n.axes(dim, n.rank(x))
    return n.do(op, x, axes=axes, keepdims=keepdim) if n.rank(x) else x


def _sum_like(op: str) -> tuple[Callable[..., str], Callable[..., str]]:
    def whole(n: TorchContext, self: Tensor, *, dtype: ScalarType | None = None) -> str:
        return _reduced(n, op, _summed(n, self, dtype), None)

    def along(
        n: TorchContext, self: Tensor, dim: Ints | None, keepdim: bool = False, *,
        dtype: ScalarType | None = None,
    ) -> str:  # fmt: skip
        return _reduced(n, op, _summed(n, self, dtype), dim, keepdim)

    return whole, along


def _mean(n: TorchContext, self: Tensor, *, dtype: ScalarType | None = None) -> str:
    return _mean_dim(n, self, None, dtype=dtype)


def _mean_dim(
    n: TorchContext, self: Tensor, dim: Ints | None, keepdim: bool = False, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    return _reduced(
        n, "reduce_mean", n.cast(self, n.scalar_type(dtype, n.real(self))), dim, keepdim
    )


def _nan_as_zero(n: TorchContext, x: str) -> str:
    return n.do("where", n.do("is_nan", x), n.number(0, x), x) if n.dtype(x).is_float else x


def _nansum(
    n: TorchContext, self: Tensor, dim: Ints | None = None, keepdim: bool = False, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    return _reduced(n, "reduce_sum", _nan_as_zero(n, _summed(n, self, dtype)), dim, keepdim)


def _extreme(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, dim: Ints = (), keepdim: bool = False) -> str:
        return extreme(n, op, self, dim, keepdim)

    return convert


def extreme(n: TorchContext, op: str, x: str, dim: Ints, keepdim: bool) -> str:
    """The largest or the smallest along axes; of truth values, too."""
    if n.dtype(x).is_bool:
        made = _reduced(n, op, n.cast(x, "uint8"), dim, keepdim)
        return n.do("not_equal", made, n.number(0, made))
    return _reduced(n, op, x, dim, keepdim)


def _whole_row(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor) -> str:
        return extreme(n, op, self, (), False)

    return convert


def _aminmax(n: TorchContext, self: Tensor, *, dim: int | None = None,
             keepdim: bool = False) -> list[str]:  # fmt: skip
    axes = () if dim is None else (dim,)
    return [extreme(n, op, self, axes, keepdim) for op in ("reduce_min", "reduce_max")]


def _arg(op: str) -> Callable[..., str]:
    def convert(
        n: TorchContext, self: Tensor, dim: int | None = None, keepdim: bool = False
    ) -> str:
        return position(n, op, self, dim, keepdim)

    return convert


def position(n: TorchContext, op: str, x: str, dim: int | None, keepdim: bool) -> str:
    """Where the extreme is, the first of them."""
    x = n.cast(x, "int32") if n.dtype(x).is_bool else x
    if dim is None:
        found = n.do(op, n.reshape(x, (n.typeof(x).size,)), axis=0, keepdims=False)
        return n.reshape(found, (1,) * n.rank(x)) if keepdim else found
    if not n.rank(x):
        return n.number(0, _INT64)
    return n.do(op, x, axis=n.axis(dim, n.rank(x)), keepdims=keepdim)


def _extreme_dim(op: str) -> Callable[..., list[str]]:
    def convert(n: TorchContext, self: Tensor, dim: int, keepdim: bool = False) -> list[str]:
        values = extreme(n, f"reduce_{op}", self, (dim,), keepdim)
        at = position(n, f"arg_{op}", self, dim, keepdim) if n.output_wanted(1) else ""
        return [values, at][: n.n_outputs]

    return convert


def _any(op: str) -> tuple[Callable[..., str], Callable[..., str], Callable[..., str]]:
    def whole(n: TorchContext, self: Tensor) -> str:
        return extreme(n, op, truth(n, self), (), False)

    def along(n: TorchContext, self: Tensor, dim: int, keepdim: bool = False) -> str:
        return extreme(n, op, truth(n, self), (dim,), keepdim)

    def axes(n: TorchContext, self: Tensor, dim: Ints | None = None, keepdim: bool = False) -> str:
        return extreme(n, op, truth(n, self), dim or (), keepdim)

    return whole, along, axes


def _prod_dim(
    n: TorchContext, self: Tensor, dim: int, keepdim: bool = False, *,
    dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    return _reduced(n, "reduce_prod", _summed(n, self, dtype), (dim,), keepdim)


def _count_nonzero(n: TorchContext, self: Tensor, dim: Ints | int | None = None) -> str:
    axes = (dim,) if isinstance(dim, int) else dim
    return _reduced(n, "reduce_sum", n.cast(truth(n, self), _INT64), axes)


# -- variance


def _spread(
    n: TorchContext, x: str, dim: Ints | None, correction: Number, keepdim: bool
) -> tuple[str, str]:
    """Variance and mean. Divided by the count less ``correction``, and by nothing below 0."""
    axes = n.axes(dim, n.rank(x))
    if not axes:
        x, axes = n.reshape(x, (1,)), (0,)
    count = math.prod(n.shape(x)[a] for a in axes)
    mean = n.do("reduce_mean", x, axes=axes)
    apart = n.do("sub", x, mean)
    total = n.do("reduce_sum", n.do("mul", apart, apart), axes=axes)
    made = n.do("div", total, n.number(max(count - correction, 0), total))
    if keepdim:
        return made, mean
    shape = [d for k, d in enumerate(n.shape(x)) if k not in axes]
    return n.reshape(made, shape), n.reshape(mean, shape)


def _variances(root: bool, with_mean: bool) -> tuple[Callable[..., list[str]], ...]:
    def made(
        n: TorchContext, x: str, dim: Ints | None, correction: Number, keepdim: bool
    ) -> list[str]:
        variance, mean = _spread(n, x, dim, correction, keepdim)
        first = n.do("sqrt", variance) if root else variance
        return [first, mean] if with_mean else [first]

    def whole(n: TorchContext, self: Tensor, unbiased: bool = True) -> list[str]:
        return made(n, self, None, int(unbiased), False)

    def along(
        n: TorchContext, self: Tensor, dim: Ints | None, unbiased: bool = True,
        keepdim: bool = False,
    ) -> list[str]:  # fmt: skip
        return made(n, self, dim, int(unbiased), keepdim)

    def corrected(
        n: TorchContext, self: Tensor, dim: Ints | None = None, *,
        correction: Number | None = None, keepdim: bool = False,
    ) -> list[str]:  # fmt: skip
        return made(n, self, dim, 1 if correction is None else correction, keepdim)

    return whole, along, corrected


# -- norms


def norm_of(n: TorchContext, x: str, order: Number, dim: Ints | None, keepdim: bool) -> str:
    """The vector norm over axes."""
    if order in (1, 2):
        return (
            _reduced(n, f"reduce_l{int(order)}", x, dim, keepdim) if n.rank(x) else n.do("abs", x)
        )
    size = n.do("abs", x)
    if math.isinf(order):
        return _reduced(n, "reduce_max" if order > 0 else "reduce_min", size, dim, keepdim)
    if order == 0:
        return _reduced(n, "reduce_sum", n.cast(truth(n, x), n.dtype(x)), dim, keepdim)
    total = n.do("pow", size, n.number(order, size))
    total = _reduced(n, "reduce_sum", total, dim, keepdim)
    return n.do("pow", total, n.number(1 / order, total))


def _vector_norm(
    n: TorchContext, self: Tensor, ord: Number = 2, dim: Ints | None = None, keepdim: bool = False,
    *, dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    return norm_of(n, n.cast(self, n.scalar_type(dtype, n.real(self))), ord, dim, keepdim)


def _norm(
    n: TorchContext, self: Tensor, p: Number | None = 2, dim: Ints | None = None,
    keepdim: bool = False, dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    x = n.cast(self, n.scalar_type(dtype, n.real(self)))
    return norm_of(n, x, 2 if p is None else p, dim, keepdim)


def _linalg_norm(
    n: TorchContext, self: Tensor, ord: Number | None = None, dim: Ints | None = None,
    keepdim: bool = False, *, dtype: ScalarType | None = None,
) -> str:  # fmt: skip
    """Without an order the norm of all elements; of an order that of vectors."""
    axes = dim if dim is not None else (None if ord is None else tuple(range(n.rank(self))))
    if ord is not None and axes is not None and len(axes) != 1:
        n.unsupported(f"a norm of matrices of the order {ord}")
    return _vector_norm(n, self, 2 if ord is None else ord, axes, keepdim, dtype=dtype)


def _frobenius(n: TorchContext, self: Tensor, dim: Ints, keepdim: bool = False) -> str:
    return norm_of(n, self, 2, dim, keepdim)


def _log_sum_exp(n: TorchContext, self: Tensor, dim: Ints, keepdim: bool = False) -> str:
    return _reduced(n, "reduce_log_sum_exp", n.cast(self, n.real(self)), dim, keepdim)


# -- scans


def _scan(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, dim: int, *, dtype: ScalarType | None = None) -> str:
        x = _summed(n, self, dtype)
        return n.do(op, x, axis=n.axis(dim, n.rank(x))) if n.rank(x) else x

    return convert


def _log_cum_sum_exp(n: TorchContext, self: Tensor, dim: int) -> str:
    axis = n.axis(dim, n.rank(self))
    top = n.do("reduce_max", self, axes=(axis,))
    total = n.do("cumsum", n.do("exp", n.do("sub", self, top)), axis=axis)
    return n.do("add", n.do("log", total), top)


# -- orders


def _ranked(n: TorchContext, x: str, k: int, axis: int, largest: bool) -> tuple[str, str]:
    if n.dtype(x).is_bool:
        values, at = n.add_many("top_k", [n.cast(x, "uint8")], 2, k=k, axis=axis, largest=largest)
        return n.do("not_equal", values, n.number(0, values)), at
    values, at = n.add_many("top_k", [x], 2, k=k, axis=axis, largest=largest)
    return values, at


def _topk(
    n: TorchContext, self: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[str]:
    if not n.rank(self):
        return [self, n.number(0, _INT64)]
    return list(_ranked(n, self, k, n.axis(dim, n.rank(self)), largest))


def _sort(n: TorchContext, self: Tensor, dim: int = -1, descending: bool = False) -> list[str]:
    """Equal elements stay in their order."""
    if not n.rank(self):
        return [self, n.number(0, _INT64)]
    axis = n.axis(dim, n.rank(self))
    return list(_ranked(n, self, n.shape(self)[axis], axis, descending))


def _sort_stable(
    n: TorchContext, self: Tensor, *, stable: bool | None, dim: int = -1, descending: bool = False
) -> list[str]:
    return _sort(n, self, dim, descending)


def _argsort(n: TorchContext, self: Tensor, dim: int = -1, descending: bool = False) -> str:
    return _sort(n, self, dim, descending)[1]


def _argsort_stable(
    n: TorchContext, self: Tensor, *, stable: bool, dim: int = -1, descending: bool = False
) -> str:
    return _sort(n, self, dim, descending)[1]


def _msort(n: TorchContext, self: Tensor) -> str:
    return _sort(n, self, 0)[0]


def _kth(n: TorchContext, self: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> list[str]:
    axis = n.axis(dim, n.rank(self))
    extent = n.shape(self)[axis] if n.rank(self) else 1
    if not 1 <= k <= extent:
        n.error(f"there is no element {k} of {extent}.")
    found = _sort(n, self, dim)
    if not n.rank(self):
        return found
    one = [n.cut(f, axis, k - 1, 1) for f in found]
    shape = n.shape(one[0])
    return one if keepdim else [n.reshape(o, (*shape[:axis], *shape[axis + 1 :])) for o in one]


def _median_dim(n: TorchContext, self: Tensor, dim: int = -1, keepdim: bool = False) -> list[str]:
    """The lower one of two. (Where it is NaN, as in PyTorch's, is not kept.)"""
    extent = n.shape(self)[n.axis(dim, n.rank(self))] if n.rank(self) else 1
    return _kth(n, self, (extent + 1) // 2, dim, keepdim)


def _median(n: TorchContext, self: Tensor) -> str:
    return _median_dim(n, n.reshape(self, (n.typeof(self).size,)), 0)[0]


def _bucketize(
    n: TorchContext, self: Tensor, boundaries: Tensor, *, out_int32: bool = False,
    right: bool = False,
) -> str:  # fmt: skip
    """How many boundaries lie before each element."""
    d = n.promoted(self, boundaries)
    wide = n.reshape(n.cast(self, d), (*n.shape(self), 1))
    before = n.do("less_or_equal" if right else "less", n.cast(boundaries, d), wide)
    to = "int32" if out_int32 else "int64"
    return n.do("reduce_sum", n.cast(before, to), axes=(n.rank(before) - 1,), keepdims=False)


def _mse(n: TorchContext, self: Tensor, target: Tensor, reduction: int = 1) -> str:
    apart = n.do("sub", self, target)
    return _loss(n, n.do("mul", apart, apart), reduction)


def _l1(n: TorchContext, self: Tensor, target: Tensor, reduction: int = 1) -> str:
    return _loss(n, n.do("abs", n.do("sub", self, target)), reduction)


def _loss(n: TorchContext, x: str, reduction: int) -> str:
    ops = {1: "reduce_mean", 2: "reduce_sum"}
    return _reduced(n, ops[reduction], x, None) if reduction in ops else x


_SUM, _SUM_DIM = _sum_like("reduce_sum")
_PROD, _ = _sum_like("reduce_prod")
_ANY, _ANY_DIM, _ANY_DIMS = _any("reduce_max")
_ALL, _ALL_DIM, _ALL_DIMS = _any("reduce_min")


def _spreads() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for name, root, with_mean in (("var", False, False), ("std", True, False),
                                  ("var_mean", False, True), ("std_mean", True, True)):  # fmt: skip
        for overload, convert in zip(("default", "dim", "correction"), _variances(root, with_mean)):
            rows |= aten(f"{name}.{overload}", convert)
    return rows


CONVERTERS: dict[str, Row] = {
    **_spreads(),
    **aten("sum.default", _SUM),
    **aten("sum.dim_IntList", _SUM_DIM),
    **aten("nansum.default", _nansum),
    **aten("prod.default", _PROD),
    **aten("prod.dim_int", _prod_dim),
    **aten("mean.default", _mean),
    **aten("mean.dim", _mean_dim),
    **aten("amax.default", _extreme("reduce_max")),
    **aten("amin.default", _extreme("reduce_min")),
    **aten("max.default", _whole_row("reduce_max")),
    **aten("min.default", _whole_row("reduce_min")),
    **aten("max.dim", _extreme_dim("max")),
    **aten("min.dim", _extreme_dim("min")),
    **aten("aminmax.default", _aminmax),
    **aten("argmax.default", _arg("arg_max")),
    **aten("argmin.default", _arg("arg_min")),
    **aten("any.default", _ANY),
    **aten("any.dim", _ANY_DIM),
    **aten("any.dims", _ANY_DIMS),
    **aten("all.default", _ALL),
    **aten("all.dim", _ALL_DIM),
    **aten("all.dims", _ALL_DIMS),
    **aten("count_nonzero.default count_nonzero.dim_IntList", _count_nonzero),
    **aten("linalg_vector_norm.default", _vector_norm),
    **aten("norm.Scalar norm.ScalarOpt_dim norm.ScalarOpt_dtype norm.ScalarOpt_dim_dtype", _norm),
    **aten("linalg_norm.default", _linalg_norm),
    **aten("frobenius_norm.dim", _frobenius),
    **aten("logsumexp.default special_logsumexp.default", _log_sum_exp),
    **aten("cumsum.default", _scan("cumsum")),
    **aten("cumprod.default", _scan("cumprod")),
    **aten("logcumsumexp.default", _log_cum_sum_exp),
    **aten("topk.default", _topk),
    **aten("sort.default", _sort),
    **aten("sort.stable", _sort_stable),
    **aten("argsort.default", _argsort),
    **aten("argsort.stable", _argsort_stable),
    **aten("msort.default", _msort),
    **aten("kthvalue.default", _kth),
    **aten("median.dim", _median_dim),
    **aten("median.default", _median),
    **aten("bucketize.Tensor", _bucketize),
    **aten("mse_loss.default", _mse),
    **aten("l1_loss.default", _l1),
}  # fmt: skip
