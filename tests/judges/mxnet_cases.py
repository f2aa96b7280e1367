"""Small symbols, one or more for each operator that weft converts."""

# ruff: noqa: E501
# fmt: off

import mxnet_files
import numpy as np

X = [2, 3, 4, 5]
IMAGE = [1, 4, 7, 8]


def value(name: str, spec) -> np.ndarray:
    """The input that a case states: ``[shape, low, high, dtype]``, of a shape alone in -1 … 1."""
    shape, low, high, dtype = spec if spec and isinstance(spec[0], list) else [spec, -1, 1, "float32"]
    made = mxnet_files.seeded(name, shape, low, high)
    return np.floor(made).astype(dtype[3:]) if dtype.startswith("as ") else made.astype(dtype)


def whole(shape, low, high, dtype="float32"):
    """Whole numbers from ``low`` to below ``high``, held as ``dtype``."""
    return [list(shape), low, high, f"as {dtype}"]


def between(shape, low, high):
    """Real numbers."""
    return [list(shape), low, high, "float32"]


def cases(S):
    """Name, a function that makes the symbol, and its inputs. ``S`` is ``mxnet.sym``."""
    v = S.Variable
    x, y = v("x"), v("y")
    for part in (_layers, _images, _math, _shapes, _indices, _reductions, _recurrent, _rest):
        yield from part(S, x, y)


def _layers(S, x, y):
    two = {"x": [2, 6]}
    yield "conv", lambda: S.Convolution(x, kernel=(3, 3), num_filter=6, stride=(2, 1), pad=(1, 0), num_group=2), {"x": IMAGE}
    yield "conv_dilated", lambda: S.Convolution(x, kernel=(3, 2), num_filter=5, dilate=(2, 3), no_bias=True), {"x": IMAGE}
    yield "conv_1d", lambda: S.Convolution(x, kernel=(3,), num_filter=5, pad=(1,)), {"x": [2, 3, 9]}
    yield "conv_3d", lambda: S.Convolution(x, kernel=(2, 2, 3), num_filter=2), {"x": [1, 2, 4, 5, 6]}
    yield "deconv", lambda: S.Deconvolution(x, kernel=(3, 3), num_filter=6, stride=(2, 2), pad=(1, 1), adj=(1, 0), num_group=2), {"x": IMAGE}
    yield "deconv_target", lambda: S.Deconvolution(x, kernel=(4, 4), num_filter=3, stride=(2, 2), target_shape=(14, 16), no_bias=False), {"x": IMAGE}
    yield "batch_norm", lambda: S.BatchNorm(x), {"x": X}
    yield "batch_norm_gamma", lambda: S.BatchNorm(x, fix_gamma=False, eps=1e-5), {"x": X}
    yield "batch_norm_last", lambda: S.BatchNorm(x, fix_gamma=False, axis=-1), {"x": X}
    yield "batch_norm_rows", lambda: S.BatchNorm(x, fix_gamma=False), {"x": [3, 5]}
    yield "fully", lambda: S.FullyConnected(x, num_hidden=7), {"x": X}
    yield "fully_kept", lambda: S.FullyConnected(x, num_hidden=7, flatten=False, no_bias=True), {"x": X}
    for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign"):
        yield f"act_{kind}", lambda kind=kind: S.Activation(x, act_type=kind), two
    for kind in ("leaky", "elu", "selu", "gelu", "rrelu"):
        yield f"leaky_{kind}", lambda kind=kind: S.LeakyReLU(x, act_type=kind, slope=0.3)[0], two
    yield "leaky_prelu", lambda: S.LeakyReLU(x, act_type="prelu"), {"x": X}
    yield "hard_sigmoid", lambda: S.hard_sigmoid(x, alpha=0.3, beta=0.4), {"x": between([3, 4], -3, 3)}
    yield "softmax", lambda: S.softmax(x, axis=1, temperature=0.5), {"x": X}
    yield "softmax_length", lambda: S.softmax(x, y, use_length=True, axis=1), {"x": [3, 4], "y": whole([3], 1, 5, "int32")}
    yield "log_softmax", lambda: S.log_softmax(x), {"x": X}
    yield "softmin", lambda: S.softmin(x, axis=2), {"x": X}
    yield "softmax_output", lambda: S.SoftmaxOutput(x, y), {"x": [3, 5]}
    yield "softmax_output_image", lambda: S.SoftmaxOutput(x, y, multi_output=True), {"x": X}
    yield "softmax_output_rows", lambda: S.SoftmaxOutput(x, y, preserve_shape=True), {"x": [2, 3, 4]}
    yield "softmax_activation", lambda: S.SoftmaxActivation(x), {"x": [3, 5]}
    yield "softmax_activation_channel", lambda: S.SoftmaxActivation(x, mode="channel"), {"x": X}
    yield "regression", lambda: S.LinearRegressionOutput(x, y), two
    yield "logistic", lambda: S.LogisticRegressionOutput(x, y), two
    yield "mae", lambda: S.MAERegressionOutput(x, y), two
    yield "svm", lambda: S.SVMOutput(x, y), two
    yield "make_loss", lambda: S.MakeLoss(S.square(S.BlockGrad(x))), two
    yield "lrn", lambda: S.LRN(x, nsize=3, alpha=0.5, beta=0.6, knorm=1.5), {"x": X}
    for mode in ("instance", "channel", "spatial"):
        yield f"l2_{mode}", lambda mode=mode: S.L2Normalization(x, mode=mode), {"x": X}
    yield "instance_norm", lambda: S.InstanceNorm(x), {"x": X}
    yield "layer_norm", lambda: S.LayerNorm(x), {"x": X}
    yield "layer_norm_1", lambda: S.LayerNorm(x, axis=1, eps=1e-3), {"x": X}
    yield "group_norm", lambda: S.GroupNorm(x, num_groups=2), {"x": IMAGE}
    yield "dropout", lambda: S.Dropout(x, p=0.4), two
    yield "embedding", lambda: S.Embedding(x, input_dim=9, output_dim=3), {"x": whole([2, 4], -1, 11)}


def _images(S, x, y):
    for kind in ("max", "avg", "sum", "lp"):
        for convention in ("valid", "full"):
            yield (
                f"pool_{kind}_{convention}",
                lambda kind=kind, convention=convention: S.Pooling(
                    x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=kind, p_value=2,
                    pooling_convention=convention,
                ),
                {"x": between(IMAGE, 0.1, 1)},
            )
        yield (
            f"pool_{kind}_global",
            lambda kind=kind: S.Pooling(x, global_pool=True, pool_type=kind, p_value=2, kernel=(2, 2)),
            {"x": IMAGE},
        )
    yield "pool_avg_inside", lambda: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False, pooling_convention="full"), {"x": IMAGE}
    yield "pool_1d", lambda: S.Pooling(x, kernel=(3,), stride=(2,), pool_type="max"), {"x": [1, 2, 9]}
    yield "pool_3d", lambda: S.Pooling(x, kernel=(2, 2, 2), pool_type="avg"), {"x": [1, 2, 4, 4, 5]}
    yield "upsampling", lambda: S.UpSampling(x, y, scale=2, sample_type="nearest", num_args=2), {"x": IMAGE, "y": [1, 2, 14, 16]}
    yield "upsampling_sum", lambda: S.UpSampling(x, y, scale=2, sample_type="nearest", num_args=2, multi_input_mode="sum"), {"x": IMAGE, "y": [1, 4, 7, 8]}
    yield "upsampling_bilinear", lambda: S.UpSampling(x, y, scale=3, sample_type="bilinear", num_filter=4, num_args=2), {"x": IMAGE, "y": [4, 1, 5, 5]}
    yield "resize", lambda: S.contrib.BilinearResize2D(x, height=11, width=5), {"x": IMAGE}
    yield "resize_half_pixel", lambda: S.contrib.BilinearResize2D(x, height=11, width=5, align_corners=False), {"x": IMAGE}
    yield "resize_scale", lambda: S.contrib.BilinearResize2D(x, scale_height=2.0, scale_width=1.5), {"x": IMAGE}
    yield "resize_like", lambda: S.contrib.BilinearResize2D(x, y, mode="like"), {"x": IMAGE, "y": [1, 1, 3, 9]}
    yield "adaptive", lambda: S.contrib.AdaptiveAvgPooling2D(x, output_size=(3, 5)), {"x": IMAGE}
    yield "adaptive_one", lambda: S.contrib.AdaptiveAvgPooling2D(x), {"x": IMAGE}
    for mode in ("constant", "edge", "reflect"):
        yield f"pad_{mode}", lambda mode=mode: S.Pad(x, mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=0.5), {"x": IMAGE}
    yield "crop", lambda: S.Crop(x, h_w=(3, 4), offset=(1, 2), num_args=1), {"x": IMAGE}
    yield "crop_like", lambda: S.Crop(x, y, center_crop=True, num_args=2), {"x": IMAGE, "y": [1, 1, 4, 5]}


def _math(S, x, y):
    any_, positive = between([3, 5], -2, 2), between([3, 5], 0.2, 3)
    for name in (
        "abs", "sign", "ceil", "floor", "rint", "round", "fix", "trunc", "square", "exp", "expm1", "sin", "cos", "tan",
        "sinh", "cosh", "tanh", "arcsinh", "arctan", "degrees", "radians", "negative", "relu", "sigmoid", "softsign",
        "erf", "cbrt", "logical_not", "identity", "reciprocal",
    ):  # fmt: skip
        yield f"math_{name}", lambda name=name: getattr(S, name)(x), {"x": any_}
    for name in ("sqrt", "rsqrt", "rcbrt", "log", "log2", "log10", "log1p"):
        yield f"math_{name}", lambda name=name: getattr(S, name)(x), {"x": positive}
    for name in ("arcsin", "arccos", "arctanh"):
        yield f"math_{name}", lambda name=name: getattr(S, name)(x), {"x": between([3, 5], -0.9, 0.9)}
    yield "math_arccosh", lambda: S.arccosh(x), {"x": between([3, 5], 1.1, 4)}
    yield "expm1_small", lambda: S.expm1(x), {"x": between([9], -1e-4, 1e-4)}
    yield "expm1_large", lambda: S.expm1(x), {"x": between([9], -200, 80)}
    yield "log1p_small", lambda: S.log1p(x), {"x": between([9], -1e-4, 1e-4)}
    yield "log1p_large", lambda: S.log1p(x), {"x": between([9], 0, 1e30)}
    few = {"x": whole([2, 3, 4], -2, 3), "y": whole([2, 1, 4], -2, 3)}
    for name in (
        "add", "sub", "mul", "maximum", "minimum", "hypot", "equal", "not_equal", "greater", "greater_equal", "lesser",
        "lesser_equal", "logical_and", "logical_or", "logical_xor", "mod",
    ):  # fmt: skip
        yield f"broadcast_{name}", lambda name=name: getattr(S, f"broadcast_{name}")(x, y), few
    for name in ("div", "power"):
        yield f"broadcast_{name}", lambda name=name: getattr(S, f"broadcast_{name}")(x, y), {"x": between([2, 3], 0.5, 2), "y": between([1, 3], 0.5, 2)}
    one = {"x": any_, "y": between([3, 5], 0.5, 2)}
    for name, make in {
        "add": lambda: x + y, "sub": lambda: x - y, "mul": lambda: x * y, "div": lambda: x / y, "mod": lambda: x % y,
        "pow": lambda: y**x, "equal": lambda: x == y, "greater": lambda: x > y, "lesser_equal": lambda: x <= y,
        "maximum": lambda: S.maximum(x, y), "minimum": lambda: S.minimum(x, y), "hypot": lambda: S.hypot(x, y),
    }.items():  # fmt: skip
        yield f"elemwise_{name}", make, one
    for name, make in {
        "plus": lambda: x + 1.5, "minus": lambda: x - 1.5, "rminus": lambda: 1.5 - x, "mul": lambda: x * 2.5,
        "div": lambda: x / 3, "rdiv": lambda: 3 / x, "mod": lambda: x % 0.7, "rmod": lambda: 0.7 % x, "power": lambda: x**2,
        "equal": lambda: x == 1.5, "not_equal": lambda: x != 0, "greater": lambda: x > 0.5, "greater_equal": lambda: x >= 0.5,
        "lesser": lambda: x < 0.5, "lesser_equal": lambda: x <= 0.5, "maximum": lambda: S.maximum(x, 0.5),
        "minimum": lambda: S.minimum(x, 0.5), "hypot": lambda: S.hypot(x, 2), "negative": lambda: -x,
    }.items():  # fmt: skip
        yield f"scalar_{name}", make, {"x": any_}
    yield "scalar_rpower", lambda: S.pow(2.0, x), {"x": any_}
    yield "scalar_ints", lambda: (x + 3) * 2, {"x": whole([4], -5, 5, "int32")}
    yield "add_n", lambda: S.add_n(x, y, x), one
    yield "clip", lambda: S.clip(x, -0.5, 0.75), {"x": any_}
    yield "smooth_l1", lambda: S.smooth_l1(x, scalar=2.0), {"x": any_}
    yield "where", lambda: S.where(x, y, y * 2), {"x": whole([3, 4], 0, 2), "y": [3, 4]}
    yield "where_rows", lambda: S.where(x, y, y * 2), {"x": whole([3], 0, 2), "y": [3, 4]}
    yield "cast", lambda: S.cast(S.cast(x, "int32"), "float32"), {"x": between([9], -4, 4)}
    yield "amp", lambda: S.amp_cast(S.amp_multicast(S.amp_cast(x, "float16"), y, num_outputs=2)[0], "float32"), one


def _shapes(S, x, y):
    for k, (shape, reverse) in enumerate([
        ((0, -1), False), ((0, 0, -1), False), ((-2,), False), ((2, -2), False), ((-3, -2), False), ((0, -3, 0), False),
        ((-4, 1, -1, -2), False), ((0, -4, -1, 3, 0, 0), False), ((-1, 0), True), ((5, 4, -1), False),
        ((-3, -3), False), ((-1, 10), True), ((0, 3, -1, -4, 0, 0), True),
    ]):  # fmt: skip
        yield f"reshape_{k}", lambda shape=shape, reverse=reverse: S.reshape(x, shape=shape, reverse=reverse), {"x": [2, 3, 4, 5]}
    yield "flatten", lambda: S.Flatten(x), {"x": X}
    yield "expand_dims", lambda: S.expand_dims(x, axis=-2), {"x": [2, 3]}
    yield "squeeze", lambda: S.squeeze(x), {"x": [2, 1, 3, 1]}
    yield "squeeze_axis", lambda: S.squeeze(x, axis=(1,)), {"x": [2, 1, 3, 1]}
    yield "transpose", lambda: S.transpose(x), {"x": [2, 3, 4]}
    yield "transpose_axes", lambda: S.transpose(x, axes=(1, 2, 0)), {"x": [2, 3, 4]}
    yield "swap", lambda: S.SwapAxis(x, dim1=0, dim2=2), {"x": [2, 3, 4]}
    yield "broadcast_to", lambda: S.broadcast_to(x, shape=(2, 0, 4)), {"x": [1, 3, 1]}
    yield "broadcast_axis", lambda: S.broadcast_axis(x, axis=(0, 2), size=(2, 4)), {"x": [1, 3, 1]}
    yield "broadcast_like", lambda: S.broadcast_like(x, y), {"x": [1, 3, 1], "y": [2, 3, 4]}
    yield "broadcast_like_axes", lambda: S.broadcast_like(x, y, lhs_axes=(0,), rhs_axes=(1,)), {"x": [1, 3], "y": [2, 5]}
    yield "reshape_like", lambda: S.reshape_like(x, y), {"x": [2, 6], "y": [3, 4]}
    yield "reshape_like_part", lambda: S.reshape_like(x, y, lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2), {"x": [6, 4], "y": [2, 3, 7]}
    yield "slice", lambda: S.slice(x, begin=(None, 1, -2), end=(2, None, None)), {"x": [3, 4, 5]}
    yield "slice_step", lambda: S.slice(x, begin=(3, None), end=(0, None), step=(-2, 2)), {"x": [4, 5]}
    yield "slice_axis", lambda: S.slice_axis(x, axis=-1, begin=-3, end=None), {"x": [3, 5]}
    yield "slice_like", lambda: S.slice_like(x, y, axes=(0, -1)), {"x": [4, 5, 6], "y": [2, 9, 3]}
    yield "split", lambda: S.Group(list(S.split(x, num_outputs=3, axis=1))), {"x": [2, 6, 2]}
    yield "split_squeezed", lambda: S.split(x, num_outputs=3, axis=1, squeeze_axis=True)[1], {"x": [2, 3, 2]}
    yield "split_v2", lambda: S.Group(list(S.split_v2(x, (1, 4), axis=1))), {"x": [2, 6]}
    yield "split_v2_even", lambda: S.split_v2(x, 3, axis=1)[2], {"x": [2, 6]}
    yield "concat", lambda: S.concat(x, y, x, dim=2), {"x": [1, 2, 3], "y": [1, 2, 5]}
    yield "stack", lambda: S.stack(x, y, axis=1), {"x": [2, 3], "y": [2, 3]}
    yield "tile", lambda: S.tile(x, reps=(2, 1, 3)), {"x": [2, 3]}
    yield "repeat", lambda: S.repeat(x, repeats=2, axis=1), {"x": [2, 3, 2]}
    yield "repeat_flat", lambda: S.repeat(x, repeats=3), {"x": [2, 2]}
    yield "flip", lambda: S.flip(x, axis=1), {"x": [2, 3]}
    yield "depth_to_space", lambda: S.depth_to_space(x, block_size=2), {"x": [1, 8, 2, 3]}
    yield "space_to_depth", lambda: S.space_to_depth(x, block_size=2), {"x": [1, 2, 4, 6]}
    yield "zeros_like", lambda: S.zeros_like(x) + S.ones_like(x) * 2, {"x": [2, 3]}
    yield "full", lambda: S.broadcast_add(x, S.full((2, 1), 1.5)), {"x": [2, 3]}
    yield "zeros", lambda: S.concat(x, S.zeros((2, 2)), S.ones((2, 1)), dim=1), {"x": [2, 3]}
    yield "arange", lambda: S.broadcast_mul(x, S.arange(1, 4, 0.5)), {"x": [2, 6]}
    yield "arange_like", lambda: S.contrib.arange_like(x, start=1, axis=1), {"x": [2, 6]}
    yield "arange_like_all", lambda: S.contrib.arange_like(x, step=2), {"x": [2, 3]}
    yield "shape_array", lambda: S.Group([S.shape_array(x), S.size_array(x)]), {"x": [2, 3]}
    yield "eye", lambda: S.broadcast_mul(x, S.eye(3, 4, 1)), {"x": [3, 1]}


def _indices(S, x, y):
    for mode in ("clip", "wrap"):
        yield f"take_{mode}", lambda mode=mode: S.take(x, y, axis=1, mode=mode), {"x": [2, 5, 3], "y": whole([2, 2], -4, 9)}
        yield f"pick_{mode}", lambda mode=mode: S.pick(x, y, axis=1, mode=mode), {"x": [2, 5, 3], "y": whole([2, 3], -4, 9)}
    yield "pick_kept", lambda: S.pick(x, y, keepdims=True), {"x": [4, 5], "y": whole([4], 0, 5)}
    yield "batch_take", lambda: S.batch_take(x, y), {"x": [4, 5], "y": whole([4], 0, 5, "int32")}
    yield "gather_nd", lambda: S.gather_nd(x, y), {"x": [3, 4, 2], "y": whole([2, 5], 0, 3)}
    yield "one_hot", lambda: S.one_hot(x, depth=4, on_value=2.0, off_value=-1.0), {"x": whole([5], -2, 6)}
    for kind in ("value", "indices", "both", "mask"):
        yield f"topk_{kind}", lambda kind=kind: S.Group(list(S.topk(x, k=2, axis=1, ret_typ=kind))), {"x": [3, 6, 2]}
    yield "topk_least", lambda: S.topk(x, k=3, is_ascend=True, ret_typ="value"), {"x": [3, 6]}
    yield "sort", lambda: S.sort(x, axis=0, is_ascend=False), {"x": [5, 2]}
    yield "sort_flat", lambda: S.sort(x, axis=None), {"x": [5, 2]}
    yield "argsort", lambda: S.argsort(x), {"x": [2, 5]}
    yield "argmax", lambda: S.argmax(x, axis=1), {"x": [3, 5]}
    yield "argmax_all", lambda: S.argmax(x), {"x": [3, 5]}
    yield "argmin_kept", lambda: S.argmin(x, axis=-1, keepdims=True), {"x": [3, 5]}
    yield "argmax_channel", lambda: S.argmax_channel(x), {"x": [3, 5]}


def _reductions(S, x, y):
    for name in ("sum", "mean", "max", "min", "prod"):
        yield f"{name}_all", lambda name=name: getattr(S, name)(x), {"x": [2, 3, 4]}
        yield f"{name}_axes", lambda name=name: getattr(S, name)(x, axis=(0, -1), keepdims=True), {"x": [2, 3, 4]}
        yield f"{name}_rest", lambda name=name: getattr(S, name)(x, axis=1, exclude=True), {"x": [2, 3, 4]}
    yield "nansum", lambda: S.nansum(S.sqrt(x), axis=1), {"x": [3, 4]}
    yield "norm", lambda: S.norm(x), {"x": [2, 3]}
    yield "norm_1", lambda: S.norm(x, ord=1, axis=1, keepdims=True), {"x": [2, 3]}
    yield "moments", lambda: S.Group(list(S.moments(x, axes=(0, 2)))), {"x": [2, 3, 4]}
    yield "cumsum", lambda: S.cumsum(x, axis=1), {"x": [2, 4]}
    yield "cumsum_all", lambda: S.cumsum(x), {"x": [2, 4]}
    for a in (False, True):
        for b in (False, True):
            left, right = ([4, 3] if a else [3, 4]), ([5, 4] if b else [4, 5])
            turned = {"transpose_a": a, "transpose_b": b}
            yield f"dot_{a:d}{b:d}", lambda turned=turned: S.dot(x, y, **turned), {"x": left, "y": right}
            yield f"batch_dot_{a:d}{b:d}", lambda turned=turned: S.batch_dot(x, y, **turned), {"x": [2, *left], "y": [2, *right]}
    yield "dot_vectors", lambda: S.dot(x, y), {"x": [4], "y": [4]}
    yield "dot_more_axes", lambda: S.dot(x, y), {"x": [2, 3, 4], "y": [4, 5, 2]}
    yield "dot_more_turned", lambda: S.dot(x, y, transpose_a=True, transpose_b=True), {"x": [4, 2, 3], "y": [5, 2, 4]}
    yield "gemm2", lambda: S.linalg.gemm2(x, y, transpose_b=True, alpha=0.5), {"x": [2, 3, 4], "y": [2, 5, 4]}
    yield "gemm", lambda: S.linalg.gemm(x, y, S.Variable("c"), beta=2.0), {"x": [3, 4], "y": [4, 5], "c": [3, 5]}


def _recurrent(S, x, y):
    for mode in ("rnn_relu", "rnn_tanh", "gru", "lstm"):
        for both in (False, True):
            yield (
                f"rnn_{mode}_{both:d}",
                lambda mode=mode, both=both: S.RNN(
                    x, state_size=3, num_layers=2, mode=mode, bidirectional=both, state_outputs=True, name="rnn"
                ),
                {"x": [4, 2, 5]},
            )
    lengths = whole([3], 1, 5)
    data = {"x": [4, 3, 2], "y": lengths}
    swapped = {"x": [3, 4, 2], "y": lengths}
    used = {"use_sequence_length": True}
    yield "sequence_mask", lambda: S.SequenceMask(x, y, value=-1.0, **used), data
    yield "sequence_mask_1", lambda: S.SequenceMask(x, y, axis=1, **used), swapped
    yield "sequence_last", lambda: S.SequenceLast(x, y, **used), data
    yield "sequence_last_1", lambda: S.SequenceLast(x, y, axis=1, **used), swapped
    yield "sequence_last_whole", lambda: S.SequenceLast(x), {"x": [4, 3, 2]}
    yield "sequence_reverse", lambda: S.SequenceReverse(x, y, **used), data
    yield "sequence_reverse_whole", lambda: S.SequenceReverse(x), {"x": [4, 3]}


def _rest(S, x, y):
    yield "grid_affine", lambda: S.GridGenerator(x, transform_type="affine", target_shape=(3, 4)), {"x": [2, 6]}
    yield "grid_warp", lambda: S.GridGenerator(x, transform_type="warp"), {"x": [1, 2, 3, 4]}
    yield "bilinear_sampler", lambda: S.BilinearSampler(x, y), {"x": [1, 2, 5, 6], "y": between([1, 2, 3, 4], -1.3, 1.3)}
    yield "spatial_transformer", lambda: S.SpatialTransformer(x, y, target_shape=(3, 4), transform_type="affine", sampler_type="bilinear"), {"x": [2, 2, 5, 6], "y": [2, 6]}
    for aligned in (False, True):
        for samples in (2, -1):
            yield (
                f"roi_align_{aligned:d}_{samples}",
                lambda aligned=aligned, samples=samples: S.contrib.ROIAlign(
                    x, S.concat(S.zeros((3, 1)), y, y + 5.5, dim=1), pooled_size=(2, 3), spatial_scale=0.5, sample_ratio=samples, aligned=aligned
                ),
                {"x": [1, 2, 8, 9], "y": between([3, 2], 0, 9)},
            )
    yield "prior", lambda: S.contrib.MultiBoxPrior(x, sizes=(0.4, 0.2), ratios=(1, 2, 0.5)), {"x": [1, 2, 3, 4]}
    yield "prior_clipped", lambda: S.contrib.MultiBoxPrior(x, sizes=(0.9,), ratios=(2,), clip=True, steps=(0.3, 0.2), offsets=(0.1, 0.7)), {"x": [1, 2, 3, 4]}
    yield "iou", lambda: S.contrib.box_iou(x, y), {"x": [2, 5, 4], "y": [3, 4]}
    yield "iou_centre", lambda: S.contrib.box_iou(x, y, format="center"), {"x": between([5, 4], 0.2, 1), "y": between([3, 4], 0.2, 1)}
    yield "div_sqrt_dim", lambda: S.contrib.div_sqrt_dim(x), {"x": [2, 5]}
    yield "self_scores", lambda: S.contrib.interleaved_matmul_selfatt_qk(x, heads=2), {"x": [3, 2, 24]}
    yield "self_values", lambda: S.contrib.interleaved_matmul_selfatt_valatt(x, y, heads=2), {"x": [3, 2, 24], "y": [4, 3, 3]}
    yield "diag", lambda: S.diag(x, k=1), {"x": [3, 5]}
    yield "diag_below", lambda: S.diag(x, k=-1), {"x": [3, 5]}
    yield "diag_axes", lambda: S.diag(x, axis1=0, axis2=2), {"x": [3, 2, 3]}
    yield "diag_vector", lambda: S.diag(x, k=-2), {"x": [3]}
    yield "diag_vector_above", lambda: S.diag(x, k=1), {"x": [3]}
    boxes = {"x": between([2, 12, 2], 0.1, 0.9), "y": between([2, 12, 4], 0, 1)}
    for name, args in {
        "": {}, "_classes": {"id_index": 0}, "_forced": {"id_index": 0, "force_suppress": True}, "_few": {"topk": 4},
        "_valid": {"valid_thresh": 0.5}, "_centre": {"in_format": "center", "out_format": "corner"}, "_background": {"id_index": 0, "background_id": 1},
        "_to_centre": {"out_format": "center"},
    }.items():  # fmt: skip
        yield (
            f"box_nms{name}",
            lambda args=args: S.contrib.box_nms(
                S.concat(S.floor(S.slice_axis(x, axis=2, begin=0, end=1) * 3), S.slice_axis(x, axis=2, begin=1, end=2), y, dim=2),
                overlap_thresh=0.1, **args
            ),
            boxes,
        )
    anchors = {"x": between([2, 4, 9], 0, 1), "y": [2, 36]}
    for name, args in {"": {}, "_forced": {"force_suppress": True}, "_sure": {"threshold": 0.7, "clip": False}}.items():
        yield (
            f"multibox_detection{name}",
            lambda args=args: S.contrib.MultiBoxDetection(
                x, y, S.contrib.MultiBoxPrior(S.zeros((1, 1, 3, 3)), sizes=(0.6,)), nms_threshold=0.3, **args
            ),
            anchors,
        )
    yield "deformable_modulated", lambda: S.contrib.ModulatedDeformableConvolution(x, y, S.Variable("mask"), kernel=(3, 3), num_filter=3, pad=(1, 1), stride=(2, 2)), {"x": [1, 4, 7, 8], "y": [[1, 18, 4, 4], -1.5, 1.5, "float32"], "mask": between([1, 9, 4, 4], 0, 1)}
    yield "cross_scores", lambda: S.contrib.interleaved_matmul_encdec_qk(x, y, heads=2), {"x": [3, 2, 8], "y": [5, 2, 16]}
    yield "cross_values", lambda: S.contrib.interleaved_matmul_encdec_valatt(x, y, heads=2), {"x": [5, 2, 16], "y": [4, 3, 5]}
    yield "scatter_nd", lambda: S.scatter_nd(x, S.Concat(y, S.broadcast_add(S.zeros((1, 4)), S.slice_axis(y, axis=0, begin=0, end=1)), dim=0), shape=(4, 5)), {"x": [4], "y": whole([1, 4], 0, 4)}
