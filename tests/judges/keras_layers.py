"""One small model for each class of Keras's layers, and more where a class has several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import keras
from keras import layers as L

Case = tuple[str, Any, list[tuple[tuple[int, ...], str]]]  # its name, the model, the inputs


def _model(call: Callable[..., Any], specs: list[tuple[tuple[int, ...], str]]) -> Any:
    inputs = [
        keras.Input(shape[1:], dtype="int32" if kind.startswith("int") else
                    "bool" if kind == "bool" else "float32", name=f"in{k}")
        for k, (shape, kind) in enumerate(specs)
    ]  # fmt: skip
    return keras.Model(inputs, call(*inputs))


SEQ, IMG, VOL, VEC = (2, 7, 5), (2, 9, 8, 4), (2, 5, 6, 4, 3), (2, 6)
_ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "softmax", "log_softmax", "softplus",
    "softsign", "soft_shrink", "hard_shrink", "tanh_shrink", "sparse_plus", "sparse_sigmoid",
    "squareplus", "sparsemax", "silu", "gelu", "glu", "tanh", "hard_tanh", "sigmoid",
    "hard_sigmoid", "log_sigmoid", "hard_silu", "exponential", "mish", "linear"
)  # fmt: skip


def cases() -> Iterator[Case]:
    """All of them."""
    for name, layer, *shapes in chain.from_iterable(part() for part in _PARTS):
        specs = [s if isinstance(s[1], str) else (s, "normal") for s in shapes]
        many = len(specs) > 1
        yield name, _model((lambda *x, f=layer: f(list(x))) if many else layer, specs), specs
    for name, call, *shapes in _calls():
        specs = [s if isinstance(s[1], str) else (s, "normal") for s in shapes]
        yield name, _model(call, specs), specs
    yield from _models()


def _plain() -> Iterator[tuple[Any, ...]]:
    """A layer on its inputs."""
    for a in _ACTIVATIONS:
        yield f"activation_{a}", L.Activation(a), VEC
    yield "activation_object", L.Dense(3, activation=L.LeakyReLU(negative_slope=0.17)), VEC
    yield "relu", L.ReLU(), VEC
    yield "relu_all", L.ReLU(max_value=1.1, negative_slope=0.2, threshold=0.3), VEC
    yield "relu_max", L.ReLU(max_value=0.7), VEC
    yield "leaky_relu", L.LeakyReLU(negative_slope=0.15), VEC
    yield "prelu", L.PReLU(), SEQ
    yield "prelu_shared", L.PReLU(shared_axes=[1, 2]), IMG
    yield "elu", L.ELU(alpha=0.7), VEC
    yield "softmax", L.Softmax(axis=1), SEQ
    yield "softmax_axes", L.Softmax(axis=[1, 2]), SEQ
    yield "dense", L.Dense(5, activation="tanh"), VEC
    yield "dense_rank3", L.Dense(4, use_bias=False), SEQ
    yield "einsum_dense", L.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"), SEQ
    yield "einsum_dense_dots", L.EinsumDense("...x,xy->...y", 4, activation="relu"), SEQ
    yield "einsum_dense_heads", L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), SEQ
    yield "embedding", L.Embedding(11, 4), ((2, 6), "int:11")
    for name in ("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout"):
        yield name.lower(), getattr(L, name)(0.4), VEC
    yield "spatialdropout1d", L.SpatialDropout1D(0.4), SEQ
    yield "spatialdropout2d", L.SpatialDropout2D(0.4), IMG
    yield "spatialdropout3d", L.SpatialDropout3D(0.4), VOL
    yield "activityregularization", L.ActivityRegularization(l2=0.1), VEC
    yield "identity", L.Identity(), VEC
    yield "masking", L.Masking(0.0), SEQ


def _convolutions() -> Iterator[tuple[Any, ...]]:
    yield "conv1d", L.Conv1D(4, 3, activation="relu"), SEQ
    yield "conv1d_causal", L.Conv1D(4, 3, padding="causal", dilation_rate=2), SEQ
    yield "conv1d_same", L.Conv1D(3, 4, padding="same", strides=2), SEQ
    yield "conv2d", L.Conv2D(5, 3), IMG
    yield "conv2d_same", L.Conv2D(5, (3, 2), strides=2, padding="same", use_bias=False), IMG
    yield "conv2d_dilated", L.Conv2D(4, 3, dilation_rate=(2, 1), padding="same"), IMG
    yield "conv2d_groups", L.Conv2D(6, 3, groups=2, activation="swish"), IMG
    yield "conv2d_first", L.Conv2D(5, 3, padding="same", data_format="channels_first"), IMG
    yield "conv3d", L.Conv3D(4, (2, 3, 2), strides=(1, 2, 1), padding="same"), VOL
    yield "conv1d_transpose", L.Conv1DTranspose(4, 3, strides=2), SEQ
    yield "conv1d_transpose_same", L.Conv1DTranspose(4, 2, strides=3, padding="same"), SEQ
    yield "conv2d_transpose", L.Conv2DTranspose(3, 3, strides=2, padding="same"), IMG
    yield "conv2d_transpose_out", L.Conv2DTranspose(3, 3, strides=2, output_padding=1), IMG
    yield "conv2d_transpose_small", L.Conv2DTranspose(3, 2, strides=3), IMG
    yield "conv2d_transpose_wide", L.Conv2DTranspose(3, (5, 4), strides=(2, 1), padding="same"), IMG
    yield "conv3d_transpose", L.Conv3DTranspose(2, 3, strides=2, padding="same"), VOL
    yield "depthwise_conv1d", L.DepthwiseConv1D(3, depth_multiplier=2), SEQ
    yield "depthwise_conv2d", L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), IMG
    yield "depthwise_conv2d_strided", L.DepthwiseConv2D(3, strides=2, activation="relu6"), IMG
    yield "separable_conv1d", L.SeparableConv1D(6, 3, padding="same"), SEQ
    yield "separable_conv2d", L.SeparableConv2D(6, 3, depth_multiplier=2, strides=2), IMG


def _pools() -> Iterator[tuple[Any, ...]]:
    for kind in ("Max", "Average"):
        low = kind.lower()
        yield f"{low}_pooling1d", getattr(L, f"{kind}Pooling1D")(3, strides=2, padding="same"), SEQ
        yield f"{low}_pooling2d", getattr(L, f"{kind}Pooling2D")(2), IMG
        same = getattr(L, f"{kind}Pooling2D")((3, 2), strides=2, padding="same")
        yield f"{low}_pooling2d_same", same, IMG
        yield f"{low}_pooling3d", getattr(L, f"{kind}Pooling3D")(2, padding="same"), VOL
        for d, shape in ((1, SEQ), (2, IMG), (3, VOL)):
            yield f"global_{low}_pooling{d}d", getattr(L, f"Global{kind}Pooling{d}D")(), shape
            adaptive = getattr(L, f"Adaptive{kind}Pooling{d}D")(3)
            yield f"adaptive_{low}_pooling{d}d", adaptive, shape
    yield "global_average_keep", L.GlobalAveragePooling2D(keepdims=True), IMG
    first = L.GlobalMaxPooling2D(data_format="channels_first")
    yield "global_max_first", first, IMG
    yield "max_pooling2d_first", L.MaxPooling2D(2, data_format="channels_first"), IMG


def _normalisations() -> Iterator[tuple[Any, ...]]:
    yield "batch_normalization", L.BatchNormalization(), IMG
    yield "batch_normalization_axis", L.BatchNormalization(axis=1, scale=False), IMG
    yield "batch_normalization_vector", L.BatchNormalization(center=False, epsilon=0.01), VEC
    yield "layer_normalization", L.LayerNormalization(), SEQ
    yield "layer_normalization_axes", L.LayerNormalization(axis=[1, 2], center=False), IMG
    yield "layer_normalization_last", L.LayerNormalization(axis=[-2, -1]), IMG
    yield "group_normalization", L.GroupNormalization(groups=2), IMG
    yield "group_normalization_first", L.GroupNormalization(groups=3, axis=1), IMG
    yield "group_normalization_instance", L.GroupNormalization(groups=-1, scale=False), IMG
    yield "rms_normalization", L.RMSNormalization(), SEQ
    yield "rms_normalization_axes", L.RMSNormalization(axis=[1, 2]), SEQ
    yield "unit_normalization", L.UnitNormalization(), SEQ
    yield "unit_normalization_axis", L.UnitNormalization(axis=[1, 2]), SEQ
    yield "spectral_normalization", L.SpectralNormalization(L.Dense(3)), VEC


def _shapes() -> Iterator[tuple[Any, ...]]:
    yield "flatten", L.Flatten(), IMG
    yield "flatten_first", L.Flatten(data_format="channels_first"), IMG
    yield "reshape", L.Reshape((-1, 2)), IMG
    yield "permute", L.Permute((3, 1, 2)), IMG
    yield "repeat_vector", L.RepeatVector(3), VEC
    yield "zero_padding1d", L.ZeroPadding1D((1, 2)), SEQ
    yield "zero_padding2d", L.ZeroPadding2D(((1, 2), (0, 1))), IMG
    yield "zero_padding3d", L.ZeroPadding3D(1), VOL
    yield "cropping1d", L.Cropping1D((1, 2)), SEQ
    yield "cropping2d", L.Cropping2D(((1, 2), (0, 1))), IMG
    yield "cropping3d", L.Cropping3D(1), VOL
    yield "up_sampling1d", L.UpSampling1D(3), SEQ
    yield "up_sampling2d", L.UpSampling2D((2, 3)), IMG
    yield "up_sampling2d_bilinear", L.UpSampling2D((2, 3), interpolation="bilinear"), IMG
    yield "up_sampling2d_bicubic", L.UpSampling2D(2, interpolation="bicubic"), IMG
    yield "up_sampling2d_lanczos3", L.UpSampling2D(2, interpolation="lanczos3"), IMG
    yield "up_sampling3d", L.UpSampling3D((1, 2, 3)), VOL


def _merges() -> Iterator[tuple[Any, ...]]:
    for name in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
        yield name.lower(), getattr(L, name)(), SEQ, SEQ, SEQ
    yield "add_stretched", L.Add(), SEQ, (2, 5)
    yield "subtract", L.Subtract(), SEQ, SEQ
    yield "concatenate", L.Concatenate(), SEQ, (2, 7, 3)
    yield "concatenate_axis", L.Concatenate(axis=1), SEQ, (2, 3, 5)
    yield "dot", L.Dot(axes=(1, 2)), (2, 4, 3), (2, 5, 4)
    yield "dot_vectors", L.Dot(axes=1, normalize=True), VEC, VEC


def _preprocessing() -> Iterator[tuple[Any, ...]]:
    yield "rescaling", L.Rescaling(1 / 127.5, offset=-1.0), IMG
    yield "rescaling_channels", L.Rescaling([0.5, 2.0, 1.0, 3.0], offset=[1.0, 0.0, 2.0, 0.0]), IMG
    yield "normalization", L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 0.25, 4, 9]), IMG
    yield "normalization_learnt", L.Normalization(), IMG
    yield (
        "normalization_invert",
        L.Normalization(mean=2.0, variance=4.0, invert=True, axis=None),
        IMG,
    )
    yield "center_crop", L.CenterCrop(5, 4), IMG
    yield "center_crop_grown", L.CenterCrop(12, 10), IMG
    for how in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"):
        yield f"resizing_{how}", L.Resizing(13, 5, interpolation=how), IMG
    yield "resizing_antialias", L.Resizing(4, 5, antialias=True), IMG
    yield "resizing_crop", L.Resizing(6, 4, crop_to_aspect_ratio=True), IMG
    yield "discretization", L.Discretization(bin_boundaries=[-1.0, 0.0, 0.5]), VEC
    hot = L.Discretization(bin_boundaries=[-1.0, 0.0, 0.5], output_mode="one_hot")
    yield "discretization_one_hot", hot, (2, 1)
    for mode in ("multi_hot", "count"):
        yield f"category_{mode}", L.CategoryEncoding(7, output_mode=mode), ((2, 6), "int:7")
    yield "category_one_hot", L.CategoryEncoding(7, output_mode="one_hot"), ((2, 1), "int:7")
    for name in ("RandomFlip", "RandomZoom", "RandomRotation", "RandomContrast"):
        arguments = () if name == "RandomFlip" else (0.3,)
        yield name.lower(), getattr(L, name)(*arguments), IMG


def _recurrent() -> Iterator[tuple[Any, ...]]:
    for name in ("SimpleRNN", "LSTM", "GRU"):
        low, layer = name.lower(), getattr(L, name)
        yield low, layer(4), SEQ
        yield f"{low}_sequences", layer(4, return_sequences=True, return_state=True), SEQ
        yield f"{low}_backwards", layer(4, go_backwards=True, return_sequences=True), SEQ
    yield "lstm_options", L.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid",
                                 use_bias=False, return_sequences=True), SEQ  # fmt: skip
    yield "gru_reset_before", L.GRU(4, reset_after=False, return_sequences=True), SEQ
    for mode in ("concat", "sum", "mul", "ave"):
        both = L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode=mode)
        yield f"bidirectional_{mode}", both, SEQ
    yield "bidirectional_none", L.Bidirectional(L.GRU(3), merge_mode=None), SEQ
    state = L.Bidirectional(L.LSTM(3, return_state=True))
    yield "bidirectional_state", state, SEQ
    given = L.Bidirectional(L.GRU(3), backward_layer=L.LSTM(3, go_backwards=True))
    yield "bidirectional_two", given, SEQ
    yield "time_distributed", L.TimeDistributed(L.Dense(3)), SEQ
    yield "time_distributed_conv", L.TimeDistributed(L.Conv2D(3, 2)), (2, 3, 5, 4, 2)
    yield "rnn_cell", L.RNN(L.GRUCell(3), return_sequences=True), SEQ
    cells = [L.LSTMCell(3), L.GRUCell(4), L.SimpleRNNCell(2)]
    yield "rnn_stacked", L.RNN(L.StackedRNNCells(cells), return_state=True), SEQ
    yield "conv_lstm1d", L.ConvLSTM1D(3, 3, padding="same", return_sequences=True), (2, 4, 6, 2)
    yield "conv_lstm2d", L.ConvLSTM2D(3, 3, strides=2, return_state=True), (2, 3, 7, 6, 2)
    yield "conv_lstm3d", L.ConvLSTM3D(2, 2, padding="same"), (2, 3, 4, 3, 4, 2)


_PARTS = (
    _plain,
    _convolutions,
    _pools,
    _normalisations,
    _shapes,
    _merges,
    _preprocessing,
    _recurrent,
)


def _calls() -> Iterator[tuple[Any, ...]]:
    """Layers that are called in ways of their own."""
    heads = L.MultiHeadAttention(2, 3)
    yield "multi_head_attention", heads, SEQ, (2, 4, 5)
    more = L.MultiHeadAttention(2, 3, value_dim=4, output_shape=6, use_bias=False)
    yield "multi_head_attention_all", more, SEQ, (2, 4, 6), (2, 4, 5)
    seen = L.MultiHeadAttention(2, 3)
    yield ("multi_head_attention_scores",
           lambda q, m: seen(q, q, attention_mask=m, return_attention_scores=True),
           SEQ, ((2, 7, 7), "bool"))  # fmt: skip
    causal = L.MultiHeadAttention(2, 3)
    yield "multi_head_attention_causal", lambda q: causal(q, q, use_causal_mask=True), SEQ
    grouped = L.GroupQueryAttention(3, 4, 2)
    yield "group_query_attention", grouped, SEQ, (2, 4, 5)
    dots = L.Attention(use_scale=True)
    yield "attention", lambda q, v: dots([q, v]), SEQ, (2, 4, 5)
    concat = L.Attention(score_mode="concat")
    yield "attention_concat", lambda q, v, k: concat([q, v, k]), SEQ, (2, 4, 5), (2, 4, 5)
    scores = L.Attention()
    options = {"use_causal_mask": True, "return_attention_scores": True}
    yield "attention_scores", lambda q: scores([q, q], **options), SEQ
    adds = L.AdditiveAttention()
    yield "additive_attention", lambda q, v: adds([q, v]), SEQ, (2, 4, 5)
    lstm = L.LSTM(4)
    yield "lstm_initial", lambda x, h, c: lstm(x, initial_state=[h, c]), SEQ, (2, 4), (2, 4)
    gru = L.GRU(4)
    yield "gru_masked", lambda x, m: gru(x, mask=m), SEQ, ((2, 7), "bool")
    # masks that flow
    tokens = ((2, 7), "int:4")
    for name in ("LSTM", "GRU", "SimpleRNN"):
        layer = getattr(L, name)(3, return_sequences=True)
        yield (f"masked_{name.lower()}",
               lambda t, f=layer: f(L.Embedding(4, 5, mask_zero=True)(t)), tokens)  # fmt: skip
    both = L.Bidirectional(L.LSTM(3))

    def embedded(t: Any) -> Any:
        return L.Embedding(4, 5, mask_zero=True)(t)

    yield "masked_bidirectional", lambda t: both(L.Dropout(0.2)(embedded(t))), tokens
    yield "masked_average", lambda t: L.GlobalAveragePooling1D()(embedded(t)), tokens
    hidden = L.MultiHeadAttention(2, 3)

    def attends(t: Any) -> Any:
        x = L.Embedding(4, 6, mask_zero=True)(t)
        return hidden(x, x)

    yield "masked_attention", attends, tokens
    dotted = L.Attention()

    def dotted_mask(t: Any) -> Any:
        x = L.Embedding(4, 6, mask_zero=True)(t)
        return dotted([x, x])

    yield "masked_dot_attention", dotted_mask, tokens
    zeroed = L.Masking(0.0)
    yield "masked_zeroed", lambda x: L.GRU(3)(zeroed(L.ReLU(threshold=1.2)(x))), SEQ


def _functional() -> Any:
    """Several inputs and outputs, a shared layer, a model inside of it that is called twice."""
    inner_in = keras.Input((6,), name="inner_in")
    h = L.Dense(5, activation="relu", name="inner_dense")(inner_in)
    inner = keras.Model(inner_in, [h, L.Dense(2, name="inner_out")(h)], name="inner")
    tail = keras.Sequential([keras.Input((5,)), L.Dense(3), L.BatchNormalization()], name="tail")
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    shared = L.Dense(6, activation="tanh", name="shared")
    p, q = inner(shared(a))
    r, s = inner(shared(b))
    total = L.Concatenate(name="both")([tail(p), tail(r)])
    return keras.Model([a, b], {"total": total, "other": L.Subtract(name="diff")([q, s])})


def _operations() -> Any:
    """Keras 3's operations as nodes of the graph."""
    ops = keras.ops
    x, y = keras.Input((7, 5), name="x"), keras.Input((7, 5), name="y")
    z = (x * 2.0 + y) / 3.0 - 1.0
    z = ops.relu(z) + ops.sigmoid(-y) * ops.exp(ops.minimum(x, 1.0))
    t = ops.transpose(z, (0, 2, 1))
    m = ops.matmul(z, t)
    first = m[:, 1:4, ::2]
    pooled = ops.mean(z, axis=1) + ops.max(y, axis=-2)
    joined = ops.concatenate([x, ops.square(y)], axis=-1)
    flat = ops.reshape(joined, (-1, 70))
    where = ops.where(x > y, ops.abs(x), ops.sqrt(ops.abs(y) + 0.5))
    stack = ops.stack([x[..., 0], y[:, :, 1]], axis=1)
    spread = ops.expand_dims(pooled, 1) ** 2
    lengths = ops.softmax(ops.sum(where, axis=-1, keepdims=True), axis=1)
    return keras.Model([x, y], [first, flat, stack, spread, lengths, ops.squeeze(spread, 1)])


def _models() -> Iterator[Case]:
    dense = L.TimeDistributed(keras.Sequential([L.Dense(4, activation="relu"), L.Dense(2)]))
    specs = [(SEQ, "normal")]
    yield "time_distributed_model", _model(dense, specs), specs
    frozen = keras.Sequential(
        [keras.Input((6,)), L.Dense(4, trainable=False), L.BatchNormalization(), L.Dense(2)]
    )
    yield "sequential", frozen, [(VEC, "normal")]
    late = keras.Sequential([L.Dense(3), L.LeakyReLU()])
    late.build((None, 6))
    yield "sequential_late", late, [(VEC, "normal")]
    yield "functional", _functional(), [(VEC, "normal"), (VEC, "normal")]
    yield "operations", _operations(), [(SEQ, "normal"), (SEQ, "normal")]
