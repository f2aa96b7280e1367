"""What only Keras 2 has, or means otherwise: TensorFlow's functions as nodes, layers' old words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras as keras

L = keras.layers
Case = tuple[str, Any, list[tuple[tuple[int, ...], str]]]
SEQ, VEC = ((2, 7, 5), "normal"), ((2, 6), "normal")


def _functions() -> Any:
    x, y = keras.Input((7, 5), name="x"), keras.Input((7, 5), name="y")
    z = (x * 2.0 + y) / 3.0 - 1.0
    z = tf.nn.relu(z) + tf.sigmoid(-y) * tf.exp(tf.minimum(x, 1.0))
    m = tf.matmul(z, tf.transpose(z, (0, 2, 1)))
    pooled = tf.reduce_mean(z, axis=1)
    joined = tf.concat([x, tf.square(y)], axis=-1)
    where = tf.where(x > y, tf.abs(x), tf.sqrt(tf.abs(y) + 0.5))
    stack = tf.stack([x[..., 0], y[:, :, 1]], axis=1)
    spread = tf.expand_dims(pooled, 1) ** 2
    padded = tf.nn.softmax(tf.pad(x, [[0, 0], [1, 1], [0, 0]]))
    outputs = [m[:, 1:4, ::2], tf.reshape(joined, (-1, 70)), where, stack, spread, padded]
    outputs += [tf.squeeze(spread, 1), tf.clip_by_value(x, -1.0, 1.0), 1.0 - x]
    outputs += [tf.image.resize(x[:, :, :, None], (3, 4)), tf.nn.leaky_relu(y), tf.nn.gelu(x)]
    outputs += tf.split(tf.cast(tf.argmax(joined, axis=-1), tf.float32), [3, 4], axis=1)
    return keras.Model([x, y], outputs)


def _nested() -> Any:
    """A model in a model, called twice: its calls are counted from another number on."""
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    inner = keras.Sequential([L.Dense(4, input_shape=(6,)), L.BatchNormalization()], name="inner")
    deep_in = keras.Input((4,))
    deep = keras.Model(deep_in, L.Dense(3, activation="hard_sigmoid")(deep_in), name="deep")
    return keras.Model([a, b], L.Concatenate()([deep(inner(a)), deep(inner(b))]))


def cases() -> Iterator[Case]:
    """All of them."""
    yield "v2_functions", _functions(), [SEQ, SEQ]
    yield "v2_nested", _nested(), [VEC, VEC]
    layers = {
        "hard_sigmoid": (L.Activation("hard_sigmoid"), VEC),
        "thresholded": (L.ThresholdedReLU(0.4), VEC),
        "leaky": (L.LeakyReLU(0.2), VEC),
        "gru": (L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid"), SEQ),
        "gru_after": (L.GRU(4, return_sequences=True), SEQ),
        "lstm": (L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True), SEQ),
        "bidirectional": (L.Bidirectional(L.LSTM(3, return_sequences=True)), SEQ),
        "stacked": (L.RNN([L.LSTMCell(3), L.GRUCell(4)]), SEQ),
        "attention": (L.MultiHeadAttention(2, 3), SEQ),
        "normal": (L.LayerNormalization(axis=[1, 2]), SEQ),
        "sync": (L.BatchNormalization(axis=[2]), SEQ),
        "softmax": (L.Softmax(axis=1), SEQ),
    }
    for name, (layer, spec) in layers.items():
        x = keras.Input(spec[0][1:], name="in0")
        y = layer(x, x) if name == "attention" else layer(x)
        yield f"v2_{name}", keras.Model(x, y), [spec]
    tokens = keras.Input((7,), dtype="int32", name="in0")
    masked = L.LSTM(3)(L.Dropout(0.1)(L.Embedding(4, 5, mask_zero=True)(tokens)))
    yield "v2_masked", keras.Model(tokens, masked), [((2, 7), "int:4")]
    x, h, c = keras.Input((7, 5)), keras.Input((4,)), keras.Input((4,))
    yield "v2_initial", keras.Model([x, h, c], L.LSTM(4)(x, initial_state=[h, c])), [
        SEQ, ((2, 4), "normal"), ((2, 4), "normal")]  # fmt: skip
