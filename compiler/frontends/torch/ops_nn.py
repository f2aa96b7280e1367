"""Convolutions, products of matrices, normalisation, softmax, embedding."""

# Converters have the parameters of their operators' schemas.
# ruff: noqa: PLR0913

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .context import Ints, Number, Row, Tensor, Tensors, TorchContext, aten
from .ops_math import arithmetic
from .program import ScalarType

# -- convolution


def repeated(n: TorchContext, given: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """A value for each of ``count`` axes; a single one stands for all."""
    if len(given) == 1:
        return tuple(given) * count
    if len(given) != count:
        n.error(f"{what} is {tuple(given)}; {count} axes need as many.")
    return tuple(given)


def _convolution(
    n: TorchContext, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints,
    padding: Ints, dilation: Ints, transposed: bool, output_padding: Ints, groups: int,
    benchmark: bool = False, deterministic: bool = False, cudnn_enabled: bool = False,
    allow_tf32: bool = False,
) -> str:  # fmt: skip
    count = n.rank(weight) - 2
    if n.rank(input) == count + 1:  # a single image, without an axis of the batch
        batch = n.reshape(input, (1, *n.shape(input)))
        made = _convolution(n, batch, weight, bias, stride, padding, dilation, transposed,
                            output_padding, groups)  # fmt: skip
        return n.reshape(made, n.shape(made)[1:])
    inputs = [input, weight, *([bias] if bias else [])]
    pads = repeated(n, padding, count, "padding")
    attrs = {
        "strides": repeated(n, stride, count, "stride"),
        "dilations": repeated(n, dilation, count, "dilation"),
        "pads": (*pads, *pads),
        "groups": groups,
    }
    if not transposed:
        return n.add("conv", inputs, **attrs)
    extra = repeated(n, output_padding, count, "output_padding")
    return n.add("conv_transpose", inputs, output_padding=extra, **attrs)


def _conv(
    n: TorchContext, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = (1,),
    padding: Ints = (0,), dilation: Ints = (1,), groups: int = 1,
) -> str:  # fmt: skip
    return _convolution(n, input, weight, bias, stride, padding, dilation, False, (0,), groups)


def _conv_padding(
    n: TorchContext, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = (1,),
    padding: str = "valid", dilation: Ints = (1,), groups: int = 1,
) -> str:  # fmt: skip
    """``same`` has strides of 1, and an odd element of padding behind."""
    count = n.rank(weight) - 2
    strides = repeated(n, stride, count, "stride")
    dilations = repeated(n, dilation, count, "dilation")
    totals = [0] * count
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilations, n.shape(weight)[2:])]
    elif padding != "valid":
        n.error(f"there is no padding {padding!r}.")
    pads = (*(t // 2 for t in totals), *(t - t // 2 for t in totals))
    inputs = [input, weight, *([bias] if bias else [])]
    flat = n.rank(input) == count + 1
    if flat:
        inputs[0] = n.reshape(input, (1, *n.shape(input)))
    made = n.add("conv", inputs, strides=strides, dilations=dilations, pads=pads, groups=groups)
    return n.reshape(made, n.shape(made)[1:]) if flat else made


def _conv_transpose(
    n: TorchContext, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = (1,),
    padding: Ints = (0,), output_padding: Ints = (0,), groups: int = 1, dilation: Ints = (1,),
) -> str:  # fmt: skip
    return _convolution(
        n, input, weight, bias, stride, padding, dilation, True, output_padding, groups
    )


# -- products


def _linear(n: TorchContext, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> str:
    if n.rank(weight) == 1:
        made = _matmul(n, input, weight)
        return n.do("add", made, bias) if bias else made
    if n.rank(input) == 2 and bias and n.rank(bias) == 1:
        return n.do("gemm", input, weight, bias, trans_b=True)
    made = n.do("matmul", input, n.transpose(weight, (1, 0)))
    return n.do("add", made, bias) if bias else made


def _matmul(n: TorchContext, self: Tensor, other: Tensor) -> str:
    return n.do("matmul", self, other)


def _product(n: TorchContext, self: Tensor, mat2: Tensor) -> str:
    return n.do("matmul", self, mat2)


def _mv(n: TorchContext, self: Tensor, vec: Tensor) -> str:
    return n.do("matmul", self, vec)


def _dot(n: TorchContext, self: Tensor, tensor: Tensor) -> str:
    return n.do("matmul", self, tensor)


def _outer(n: TorchContext, self: Tensor, vec2: Tensor) -> str:
    return arithmetic(n, "mul", n.reshape(self, (*n.shape(self), 1)), vec2)


def _scaled(n: TorchContext, x: str, by: Number) -> str:
    return x if by == 1 else n.do("mul", x, n.number(by, x))


def _addmm(
    n: TorchContext, self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1,
    alpha: Number = 1,
) -> str:  # fmt: skip
    if n.dtype(self).is_float and beta:
        return n.do("gemm", mat1, mat2, self, alpha=float(alpha), beta=float(beta))
    made = _scaled(n, n.do("matmul", mat1, mat2), alpha)
    return n.do("add", made, _scaled(n, self, beta)) if beta else made


def _baddbmm(
    n: TorchContext, self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1,
    alpha: Number = 1,
) -> str:  # fmt: skip
    made = _scaled(n, n.do("matmul", batch1, batch2), alpha)
    return n.do("add", made, _scaled(n, self, beta)) if beta else made


def _addbmm(
    n: TorchContext, self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1,
    alpha: Number = 1,
) -> str:  # fmt: skip
    made = n.do("reduce_sum", n.do("matmul", batch1, batch2), axes=(0,), keepdims=False)
    made = _scaled(n, made, alpha)
    return n.do("add", made, _scaled(n, self, beta)) if beta else made


def _addmv(
    n: TorchContext, self: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> str:
    made = _scaled(n, n.do("matmul", mat, vec), alpha)
    return n.do("add", made, _scaled(n, self, beta)) if beta else made


def _einsum(
    n: TorchContext, equation: str, tensors: Tensors, *, path: Ints | None = None
) -> str:  # fmt: skip
    return n.do("einsum", *tensors, equation=equation)


def _bilinear(
    n: TorchContext, input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> str:
    made = n.do("einsum", input1, weight, input2, equation="...i,oij,...j->...o")
    return n.do("add", made, bias) if bias else made


def _trilinear(
    n: TorchContext, i1: Tensor, i2: Tensor, i3: Tensor, expand1: Ints, expand2: Ints,
    expand3: Ints, sumdim: Ints, unroll_dim: int = 1,
) -> str:  # fmt: skip
    """The sum of products of three tensors, which get axes of 1 where they are told to."""
    rank = n.rank(i1) + len(expand1)
    letters = "abcdefghijklmnopqrstuvwxyz"[:rank]
    terms = []
    for x, new in ((i1, expand1), (i2, expand2), (i3, expand3)):
        own = [c for k, c in enumerate(letters) if k not in n.axes(new, rank)] if new else letters
        if len(own) != n.rank(x):
            n.error(f"{list(n.shape(x))} does not get {rank} axes by {list(new)}.")
        terms.append("".join(own))
    drop = n.axes(sumdim, rank) if sumdim else ()
    kept = "".join(c for k, c in enumerate(letters) if k not in drop)
    return n.do("einsum", i1, i2, i3, equation=f"{','.join(terms)}->{kept}")


def _cross(n: TorchContext, self: Tensor, other: Tensor, dim: int | None = None) -> str:
    shape = np.broadcast_shapes(n.shape(self), n.shape(other))
    a, b = (n.expand(x, shape) for x in (self, other))
    axis = shape.index(3) if dim is None else n.axis(dim, len(shape))
    parts = [[n.cut(x, axis, k, 1) for k in range(3)] for x in (a, b)]
    sides = []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        left, right = (n.do("mul", parts[0][p], parts[1][q]) for p, q in ((i, j), (j, i)))
        sides.append(n.do("sub", left, right))
    return n.concat(sides, axis)


def _linalg_cross(n: TorchContext, self: Tensor, other: Tensor, *, dim: int = -1) -> str:
    return _cross(n, self, other, dim)


def _chain(n: TorchContext, matrices: Tensors) -> str:
    made = matrices[0]
    for m in matrices[1:]:
        made = n.do("matmul", made, m)
    return made


# -- normalisation


def _stretched(n: TorchContext, given: str | None, value: float, count: int, like: str) -> str:
    """A vector of parameters; ``value`` for each of ``count`` where it is absent."""
    return given or n.constant(np.full(count, value, n.dtype(like).numpy))


def _batch_norm_of(
    n: TorchContext, x: str, weight: str | None, bias: str | None, mean: str | None,
    variance: str | None, training: bool, eps: float,
) -> str:  # fmt: skip
    if n.rank(x) < 2:
        n.error("it takes [batch, channel, …] data.")
    channels = n.shape(x)[1]
    scale, shift = (_stretched(n, p, v, channels, x) for p, v in ((weight, 1), (bias, 0)))
    if training or not (mean and variance):
        axes = tuple(k for k in range(n.rank(x)) if k != 1)
        centre = n.do("reduce_mean", x, axes=axes)
        apart = n.do("sub", x, centre)
        variance = n.do("reduce_mean", n.do("mul", apart, apart), axes=axes, keepdims=False)
        mean = n.reshape(centre, (channels,))
    assert mean and variance
    return n.do("batch_norm", x, scale, shift, mean, variance, epsilon=eps)


def _batch_norm(
    n: TorchContext, input: Tensor, weight: Tensor | None, bias: Tensor | None,
    running_mean: Tensor | None, running_var: Tensor | None, training: bool, momentum: float,
    eps: float, cudnn_enabled: bool,
) -> str:  # fmt: skip
    return _batch_norm_of(n, input, weight, bias, running_mean, running_var, training, eps)


def _first(n: TorchContext, y: str) -> list[str]:
    """The result of an operator whose others only training wants."""
    if any(n.output_wanted(k) for k in range(1, n.n_outputs)):
        n.unsupported("what it keeps for training")
    return [y, *[""] * (n.n_outputs - 1)]


def _native_batch_norm(
    n: TorchContext, input: Tensor, weight: Tensor | None, bias: Tensor | None,
    running_mean: Tensor | None, running_var: Tensor | None, training: bool, momentum: float,
    eps: float,
) -> list[str]:  # fmt: skip
    return _first(
        n, _batch_norm_of(n, input, weight, bias, running_mean, running_var, training, eps)
    )


def _no_training(
    n: TorchContext, input: Tensor, weight: Tensor | None, bias: Tensor | None,
    running_mean: Tensor, running_var: Tensor, momentum: float, eps: float,
) -> list[str]:  # fmt: skip
    return _first(n, _batch_norm_of(n, input, weight, bias, running_mean, running_var, False, eps))


def _no_stats(
    n: TorchContext, input: Tensor, weight: Tensor | None, bias: Tensor | None, training: bool,
    momentum: float, eps: float,
) -> list[str]:  # fmt: skip
    return _first(n, _batch_norm_of(n, input, weight, bias, None, None, True, eps))


def _layer_norm_of(
    n: TorchContext, x: str, shape: Ints, weight: str | None, bias: str | None, eps: float
) -> str:
    if not shape or n.shape(x)[-len(shape) :] != shape:
        n.error(f"{list(n.shape(x))} does not end with {list(shape)}.")
    scale = weight or n.constant(np.ones(shape, n.dtype(x).numpy))
    inputs = [x, scale, *([bias] if bias else [])]
    return n.add("layer_norm", inputs, axis=-len(shape), epsilon=eps)


def _layer_norm(
    n: TorchContext, input: Tensor, normalized_shape: Ints, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enable: bool = True,
) -> str:  # fmt: skip
    return _layer_norm_of(n, input, normalized_shape, weight, bias, eps)


def _native_layer_norm(
    n: TorchContext, input: Tensor, normalized_shape: Ints, weight: Tensor | None,
    bias: Tensor | None, eps: float,
) -> list[str]:  # fmt: skip
    made = [_layer_norm_of(n, input, normalized_shape, weight, bias, eps), "", ""]
    if n.output_wanted(1) or n.output_wanted(2):
        axes = tuple(range(n.rank(input) - len(normalized_shape), n.rank(input)))
        mean = n.do("reduce_mean", input, axes=axes)
        apart = n.do("sub", input, mean)
        square = n.do("reduce_mean", n.do("mul", apart, apart), axes=axes)
        root = n.do("sqrt", n.do("add", square, n.number(eps, square)))
        made[1:] = [mean, n.do("reciprocal", root)]
    return made[: n.n_outputs]


def _rms_norm(
    n: TorchContext, input: Tensor, normalized_shape: Ints, weight: Tensor | None = None,
    eps: float | None = None,
) -> str:  # fmt: skip
    if not normalized_shape or n.shape(input)[-len(normalized_shape) :] != normalized_shape:
        n.error(f"{list(n.shape(input))} does not end with {list(normalized_shape)}.")
    d = n.dtype(input)
    eps = float(np.finfo(np.float32).eps if d.bits < 64 else np.finfo(np.float64).eps) \
        if eps is None else eps  # fmt: skip
    scale = weight or n.constant(np.ones(normalized_shape, d.numpy))
    return n.do("rms_norm", input, scale, axis=-len(normalized_shape), epsilon=eps)


def _group_norm(
    n: TorchContext, input: Tensor, num_groups: int, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enabled: bool = True,
) -> str:  # fmt: skip
    channels = n.shape(input)[1] if n.rank(input) > 1 else 0
    scale, shift = (_stretched(n, p, v, channels, input) for p, v in ((weight, 1), (bias, 0)))
    return n.do("group_norm", input, scale, shift, num_groups=num_groups, epsilon=eps)


def _native_group_norm(
    n: TorchContext, input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int,
    HxW: int, group: int, eps: float,
) -> list[str]:  # fmt: skip
    return _first(n, _group_norm(n, input, group, weight, bias, eps))


def _instance_norm(
    n: TorchContext, input: Tensor, weight: Tensor | None, bias: Tensor | None,
    running_mean: Tensor | None, running_var: Tensor | None, use_input_stats: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> str:  # fmt: skip
    if not use_input_stats:
        return _batch_norm_of(n, input, weight, bias, running_mean, running_var, False, eps)
    channels = n.shape(input)[1] if n.rank(input) > 1 else 0
    scale, shift = (_stretched(n, p, v, channels, input) for p, v in ((weight, 1), (bias, 0)))
    return n.do("instance_norm", input, scale, shift, epsilon=eps)


# -- softmax


def _softmax_of(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, dim: int, half_to_float: bool = False) -> str:
        x = n.cast(self, n.real(self))
        x = n.cast(x, "float32") if half_to_float else x
        return _along(n, op, x, dim)

    return convert


def _along(n: TorchContext, op: str, x: str, dim: int) -> str:
    if not n.rank(x):
        return n.reshape(n.do(op, n.reshape(x, (1,)), axis=0), ())
    return n.do(op, x, axis=n.axis(dim, n.rank(x)))


def _softmax_typed(op: str) -> Callable[..., str]:
    def convert(n: TorchContext, self: Tensor, dim: int, dtype: ScalarType | None = None) -> str:
        return _along(n, op, n.cast(self, n.scalar_type(dtype, n.real(self))), dim)

    return convert


def _safe_softmax(
    n: TorchContext, self: Tensor, dim: int, dtype: ScalarType | None = None
) -> str:  # fmt: skip
    """A row of which nothing counts is 0."""
    x = n.cast(self, n.scalar_type(dtype, n.real(self)))
    axis = n.axis(dim, n.rank(x))
    top = n.do("reduce_max", x, axes=(axis,))
    empty = n.do("equal", top, n.number(-math.inf, top))
    made = n.do("softmax", n.do("where", empty, n.number(0, x), x), axis=axis)
    return n.do("where", empty, n.number(0, x), made)


# -- what inference leaves alone


def _dropout(n: TorchContext, input: Tensor, p: float, train: bool) -> str:
    if train and p:
        n.unsupported("dropout in training draws random numbers")
    return input


def _native_dropout(n: TorchContext, input: Tensor, p: float, train: bool | None) -> list[str]:
    made = [_dropout(n, input, p, bool(train)), ""]
    if n.output_wanted(1):
        made[1] = n.expand(n.constant(np.ones((), bool)), n.shape(input))
    return made[: n.n_outputs]


# -- embedding


def _embedding(
    n: TorchContext, weight: Tensor, indices: Tensor, padding_idx: int = -1,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> str:  # fmt: skip
    return n.do("gather", weight, indices, axis=0, wrap=False)


def _one_hot(n: TorchContext, self: Tensor, num_classes: int = -1) -> str:
    if num_classes < 1:
        n.unsupported("as many classes as only data knows")
    values = n.constant(np.array([0, 1], np.int64))
    return n.do("one_hot", self, values, axis=n.rank(self), depth=num_classes)


def _distance(n: TorchContext, x1: Tensor, x2: Tensor, p: float = 2, eps: float = 1e-6,
              keepdim: bool = False) -> str:  # fmt: skip
    apart = n.do("abs", n.do("add", n.do("sub", x1, x2), n.number(eps, x1)))
    axes = (n.rank(apart) - 1,)
    if p in (1, 2):
        return n.do(f"reduce_l{int(p)}", apart, axes=axes, keepdims=keepdim)
    total = n.do("reduce_sum", n.do("pow", apart, n.number(p, apart)), axes=axes, keepdims=keepdim)
    return n.do("pow", total, n.number(1 / p, total))


def _cosine(n: TorchContext, x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> str:
    sides = []
    for x in (x1, x2):
        norm = n.do("reduce_l2", x, axes=(n.axis(dim, n.rank(x)),))
        sides.append(n.do("div", x, n.do("maximum", norm, n.number(eps, x))))
    made = n.do("mul", *sides)
    return n.do("reduce_sum", made, axes=(n.axis(dim, n.rank(made)),), keepdims=False)


CONVERTERS: dict[str, Row] = {
    **aten("convolution.default", _convolution),
    **aten("_convolution.default", _convolution),
    **aten("conv1d.default conv2d.default conv3d.default", _conv),
    **aten("conv1d.padding conv2d.padding conv3d.padding", _conv_padding),
    **aten("conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input",
           _conv_transpose),
    **aten("linear.default", _linear),
    **aten("matmul.default", _matmul),
    **aten("mm.default bmm.default", _product),
    **aten("mv.default", _mv),
    **aten("dot.default", _dot),
    **aten("outer.default ger.default", _outer),
    **aten("addmm.default", _addmm),
    **aten("baddbmm.default", _baddbmm),
    **aten("addbmm.default", _addbmm),
    **aten("addmv.default", _addmv),
    **aten("einsum.default", _einsum),
    **aten("bilinear.default", _bilinear),
    **aten("chain_matmul.default", _chain),
    **aten("_trilinear.default", _trilinear),
    **aten("cross.default", _cross),
    **aten("linalg_cross.default", _linalg_cross),
    **aten("batch_norm.default", _batch_norm),
    **aten("native_batch_norm.default _native_batch_norm_legit.default", _native_batch_norm),
    **aten("_native_batch_norm_legit.no_stats", _no_stats),
    **aten("_native_batch_norm_legit_no_training.default", _no_training),
    **aten("layer_norm.default", _layer_norm),
    **aten("native_layer_norm.default", _native_layer_norm),
    **aten("rms_norm.default", _rms_norm),
    **aten("group_norm.default", _group_norm),
    **aten("native_group_norm.default", _native_group_norm),
    **aten("instance_norm.default", _instance_norm),
    **aten("_softmax.default", _softmax_of("softmax")),
    **aten("_log_softmax.default", _softmax_of("log_softmax")),
    **aten("softmax.int", _softmax_typed("softmax")),
    **aten("log_softmax.int", _softmax_typed("log_softmax")),
    **aten("_safe_softmax.default", _safe_softmax),
    **aten("dropout.default alpha_dropout.default feature_dropout.default "
           "feature_alpha_dropout.default", _dropout),
    **aten("native_dropout.default", _native_dropout),
    **aten("embedding.default", _embedding),
    **aten("one_hot.default", _one_hot),
    **aten("pairwise_distance.default", _distance),
    **aten("cosine_similarity.default", _cosine),
}  # fmt: skip
