"""Matrix products: ``matmul`` with numpy's rules, ``gemm``, and the integer product of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...ir import reducers
from ...ir.expr import Expr, cast
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import INT32, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import multiplies
from .common import (
    Fn,
    broadcast_shapes,
    check_domain,
    convert_array,
    ints,
    make,
    round_to,
    same_dtype,
    some,
    stretch,
    wide,
    widen_array,
)
from .facts import Contraction, Facts, Rescaled, Stream
from .opdef import Attr, Kind, OpDef

MATMUL = {"kind": "matmul"}


def matmul_shape(name: str, a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape of ``a @ b`` by numpy's rules: a vector is a row on the left, a column on the
    right, and leaves no axis; the axes before the last two broadcast."""
    if not a or not b:
        raise GraphError(f"{name} takes tensors of one axis or more, not {list(a)} and {list(b)}.")
    k = b[-2] if len(b) > 1 else b[0]
    if a[-1] != k:
        raise GraphError(
            f"{name}: {list(a)} and {list(b)} do not multiply: the sums run over {a[-1]} and {k}."
        )
    batch = broadcast_shapes(name, [a[:-2], b[:-2]])
    return (*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


def product(
    a: Tensor,
    b: Tensor,
    shape: Sequence[int],
    left: Fn,
    right: Fn,
    name: str,
    attrs: Mapping[str, object] = MATMUL,
) -> Tensor:
    """``sum(left(a[…, i, k], index) * right(b[…, k, j], index))`` over k."""
    has_row, has_column = a.ndim > 1, b.ndim > 1
    batch = len(shape) - has_row - has_column
    depth = ints(a.shape)[-1]

    def body(*i):
        k = reduce_axis(depth, "k")
        outer = tuple(shape[:batch])
        at_a = (*i[:batch], *i[batch : batch + has_row], k)
        at_b = (*i[:batch], k, *i[batch + has_row :])
        x = stretch(a, at_a, (*outer, *ints(a.shape)[-1 - has_row :]))
        y = stretch(b, at_b, (*outer, *ints(b.shape)[-1 - has_column :]))
        return reducers.sum(left(x, at_a) * right(y, at_b), axis=k)

    return make(shape, body, name, attrs)


def _matmul_infer(types, a):
    d = same_dtype("matmul", types)
    check_domain("matmul", "number", types[0])
    return [TensorType(d, matmul_shape("matmul", types[0].shape, types[1].shape))]


def wide_operand(x: Expr, index: Sequence[Expr]) -> Expr:
    """An operand of :func:`product` in the type that products are summed in."""
    return cast(x, wide(x.dtype))


def _matmul(inputs, a, out):
    x, y = inputs
    t = product(x, y, out[0].shape, wide_operand, wide_operand, "matmul")
    return [round_to(t, out[0].dtype, "matmul.round")]


def _np_matmul(arrays, a):
    x, y = arrays
    with np.errstate(all="ignore"):
        z = np.matmul(widen_array(x), widen_array(y))
    return [convert_array(np.asarray(z), dtype_of(x.dtype))]


# -- gemm: alpha * op(A) @ op(B) + beta * C


def _gemm_shape(types, a) -> tuple[int, int, int]:
    x, y = types[0], types[1]
    if len(x.shape) != 2 or len(y.shape) != 2:
        raise GraphError(f"gemm takes matrices, not {x} and {y}.")
    m, k = x.shape[::-1] if a["trans_a"] else x.shape
    k2, n = y.shape[::-1] if a["trans_b"] else y.shape
    if k != k2:
        raise GraphError(f"gemm: {x} and {y} do not multiply: the sums run over {k} and {k2}.")
    return m, n, k


def _gemm_infer(types, a):
    d = same_dtype("gemm", types)
    check_domain("gemm", "number", types[0])
    m, n, _ = _gemm_shape(types, a)
    c = types[2] if len(types) > 2 else None
    if c is not None and broadcast_shapes("gemm", [(m, n), c.shape]) != (m, n):
        raise GraphError(f"gemm: the third input {c} does not broadcast to [{m}, {n}].")
    return [TensorType(d, (m, n))]


def _gemm(inputs, a, out):
    x, y = inputs[0], inputs[1]
    c = inputs[2] if len(inputs) > 2 else None
    shape, to = out[0].shape, out[0].dtype
    d, depth = wide(to), ints(x.shape)[0 if a["trans_a"] else 1]

    def body(i, j):
        k = reduce_axis(depth, "k")
        left = x[k, i] if a["trans_a"] else x[i, k]
        right = y[j, k] if a["trans_b"] else y[k, j]
        return reducers.sum(cast(left, d) * cast(right, d), axis=k)

    total = make(shape, body, "gemm", MATMUL)
    add_c = c is not None and a["beta"] != 0
    if a["alpha"] == 1 and not add_c:
        return [round_to(total, to, "gemm.round")]

    def scaled(e: Expr, by: float) -> Expr:
        """Integers are scaled as float64 and truncated, as ONNX's reference does."""
        if by == 1:
            return e
        return e * by if d.is_float else cast(cast(e, "float64") * by, d)

    def finish(i, j):
        value = scaled(total[i, j], a["alpha"])
        if add_c:
            value = value + scaled(cast(stretch(some(c), (i, j), shape), d), a["beta"])
        return cast(value, to)

    return [make(shape, finish, "gemm.out")]


def _np_gemm(arrays, a):
    x, y = widen_array(arrays[0]), widen_array(arrays[1])
    c = arrays[2] if len(arrays) > 2 else None
    d = dtype_of(x.dtype)

    def scaled(v: np.ndarray, by: float) -> np.ndarray:
        return v if by == 1 else v * d.numpy.type(by) if d.is_float else convert_array(v * by, d)

    with np.errstate(all="ignore"):
        z = (x.T if a["trans_a"] else x) @ (y.T if a["trans_b"] else y)
        z = scaled(z, a["alpha"])
        if c is not None and a["beta"] != 0:
            z = z + scaled(widen_array(c), a["beta"])
    return [convert_array(z, dtype_of(arrays[0].dtype))]


# -- matmul_integer: int32 sums of 8-bit products, zero points taken off first


def _mmi_infer(types, a):
    for k, t in enumerate(types):
        if t is not None and (not t.dtype.is_int or t.dtype.bits > 16):
            raise GraphError(f"matmul_integer takes 8- and 16-bit integers (input {k}: {t}).")
    x, y = types[:2]
    shape = matmul_shape("matmul_integer", x.shape, y.shape)
    for zero, t, side in zip(types[2:], (x, y), ("rows of A", "columns of B")):
        if zero is not None:
            _check_zero(zero, t, side)
    return [TensorType(INT32, shape)]


def _check_zero(zero: TensorType, t: TensorType, side: str) -> None:
    per_row = side.startswith("rows")
    shape = _zero_shape(zero.shape, per_row)
    if broadcast_shapes("matmul_integer", [shape, t.shape]) != t.shape or zero.dtype != t.dtype:
        raise GraphError(
            f"matmul_integer: the zero point {zero} is neither one number nor one for each of the "
            f"{side} {t}."
        )


def _zero_shape(shape: Sequence[int], per_row: bool) -> tuple[int, ...]:
    """As it broadcasts against the matrix: in ONNX one per row is a vector."""
    if per_row and len(shape) == 1 and shape[0] != 1:
        return (shape[0], 1)
    return tuple(shape) if len(shape) != 1 or shape[0] != 1 else ()


def _mmi(inputs, a, out):
    x, y, *zeros = inputs
    zeros = (*zeros, None, None)

    def operand(zero: Tensor | None, t: Tensor, per_row: bool) -> Fn:
        def value(e: Expr, at: Sequence[Expr]) -> Expr:
            if zero is None:
                return cast(e, INT32)
            dims = ints(zero.shape)
            if per_row and len(dims) == 1:
                z = zero[0 if dims[0] == 1 else at[-2]]
            else:
                own = at[len(at) - t.ndim :]
                z = stretch(zero, own[len(own) - zero.ndim :], ints(t.shape)[t.ndim - zero.ndim :])
            return cast(e, INT32) - cast(z, INT32)

        return value

    left, right = operand(zeros[0], x, True), operand(zeros[1], y, False)
    return [product(x, y, out[0].shape, left, right, "matmul_integer")]


def _np_mmi(arrays, a):
    x, y, *zeros = arrays
    zeros = (*zeros, None, None)
    x, y = x.astype(np.int32), y.astype(np.int32)
    for zero, per_row in ((zeros[0], True), (zeros[1], False)):
        if zero is not None:
            z = zero.astype(np.int32).reshape(_zero_shape(zero.shape, per_row))
            x, y = (x - z, y) if per_row else (x, y - z)
    return [np.asarray(np.matmul(x, y), dtype=np.int32)]


def _matmul_rescale(w, bias, a, scale, shift):
    if shift.any() or w.ndim < 2:
        return None  # it has no bias; an addition fuses into its kernel
    return Rescaled(w * scale, None, {})


def _gemm_rescale(w, bias, a, scale, shift):
    columns = w.shape[0 if a["trans_b"] else 1]
    factor, more = (np.broadcast_to(v, (columns,)) for v in (scale, shift))
    b = np.zeros(()) if bias is None else bias * a["beta"]
    scaled = w * (factor[:, None] if a["trans_b"] else factor)
    return Rescaled(scaled * a["alpha"], b * factor + more, {"alpha": 1.0, "beta": 1.0})


_MATMUL = Contraction(
    columns=lambda w, a: len(w) - 1 if len(w) >= 2 else None,
    stream=Stream.PANELS,
    depth=lambda w, a: len(w) - 2 if len(w) >= 2 else None,
    rescale=_matmul_rescale,
)
_GEMM = Contraction(
    columns=lambda w, a: 0 if a["trans_b"] else 1,
    stream=Stream.PANELS,
    depth=lambda w, a: None if a["trans_a"] else 1 if a["trans_b"] else 0,
    rescale=_gemm_rescale,
)

OPS: tuple[OpDef, ...] = (
    OpDef(
        "matmul",
        Kind.COMPLEX,
        _matmul_infer,
        _matmul,
        _np_matmul,
        {},
        2,
        2,
        Facts(contraction=_MATMUL, carries=multiplies),
    ),
    OpDef(
        "gemm",
        Kind.COMPLEX,
        _gemm_infer,
        _gemm,
        _np_gemm,
        {
            "alpha": Attr(float, 1.0),
            "beta": Attr(float, 1.0),
            "trans_a": Attr(bool, False),
            "trans_b": Attr(bool, False),
        },
        2,
        3,
        facts=Facts(contraction=_GEMM),
        doc="alpha * A @ B + beta * C, A and B transposed on demand, C broadcast to the result",
    ),
    OpDef(
        "matmul_integer",
        Kind.COMPLEX,
        _mmi_infer,
        _mmi,
        _np_mmi,
        {},
        2,
        4,
        Facts(carries=multiplies),
    ),
)
