"""Nets of Caffe2 written byte by byte from ``caffe2/proto/caffe2.proto``, and what they compute.

:class:`Net` collects operators; :func:`run` is a workspace of blobs with a plain numpy function for
each operator, which knows nothing of weft.
"""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np


def seeded(name, shape, low=-1.0, high=1.0):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (low + (high - low) * rng.random(tuple(shape))).astype(np.float32)


# --- writing ----------------------------------------------------------------------------------


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def block(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def argument(name, value):
    """An ``Argument``: the field is the one of the value's type."""
    out = block(1, name)
    if isinstance(value, float):
        return out + varint(2 << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return out + varint(3 << 3) + varint(value)
    if isinstance(value, str | bytes):
        return out + block(4, value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        each = np.empty(value.size, [("tag", "u1"), ("value", "<f4")])
        each["tag"], each["value"] = 5 << 3 | 5, value.reshape(-1)
        return out + each.tobytes()
    return out + b"".join(varint(6 << 3) + varint(int(v)) for v in np.asarray(value).reshape(-1))


@dataclass
class Op:
    type: str
    inputs: list
    outputs: list
    args: dict

    def encoded(self):
        out = b"".join(block(1, i) for i in self.inputs)
        out += b"".join(block(2, o) for o in self.outputs) + block(4, self.type)
        return out + b"".join(block(5, argument(k, v)) for k, v in self.args.items())


@dataclass
class Net:
    """Operators, weights, and the blobs that a caller gives and gets."""

    order: str = "NCHW"
    ops: list = field(default_factory=list)
    blobs: dict = field(default_factory=dict)
    inputs: list = field(default_factory=lambda: ["data"])
    outputs: list = field(default_factory=list)

    def op(self, type, inputs, outputs, **args):
        """Add an operator; its first output."""
        inputs, outputs = (v.split() if isinstance(v, str) else v for v in (inputs, outputs))
        self.ops.append(Op(type, inputs, outputs, args))
        return outputs[0]

    def weight(self, name, shape, low=None, high=None):
        """A blob that its name decides; without bounds, one that keeps the size of values."""
        bound = np.sqrt(6 / max(np.prod(shape[1:]), 1)) * 0.9
        self.blobs[name] = seeded(name, shape, -bound if low is None else low, high or bound)
        return name

    def predict(self):
        """The bytes of predict_net.pb."""
        out = block(1, "net") + b"".join(block(2, op.encoded()) for op in self.ops)
        out += b"".join(block(7, i) for i in [*self.inputs, *self.blobs])
        return out + b"".join(block(8, o) for o in self.outputs)

    def init(self):
        """The bytes of init_net.pb."""
        fills = [
            Op("GivenTensorFill" if b.dtype.kind == "f" else "GivenTensorIntFill", [], [k],
               {"shape": list(b.shape), "values": b})
            for k, b in self.blobs.items()
        ]  # fmt: skip
        return block(1, "init") + b"".join(block(2, f.encoded()) for f in fills)

    def write(self, folder):
        """Both files; the path of predict_net.pb."""
        (folder / "init_net.pb").write_bytes(self.init())
        path = folder / "predict_net.pb"
        path.write_bytes(self.predict())
        return path


# --- computing --------------------------------------------------------------------------------


def run(net, **given):
    """The outputs of a net, blob by blob as Caffe2's workspace keeps them."""
    blobs = {**net.blobs, **given}
    for op in net.ops:
        results = OPERATORS[op.type](op.args, *(blobs[i] for i in op.inputs))
        results = results if isinstance(results, tuple) else (results,)
        blobs.update(zip(op.outputs, results))
    return [blobs[o] for o in net.outputs]


def in_channels_first(function):
    """``function(args, x, *rest)`` of images in NCHW, for either order."""

    def ordered(args, x, *rest):
        if args.get("order") != "NHWC":
            return function(args, x, *rest)
        return np.moveaxis(function(args, np.moveaxis(x, -1, 1), *rest), 1, -1)

    return ordered


def windows(args, x, kernel, fill):
    """Every window of an image: [batch, channel, row, column, height, width]."""
    stride, pad, dilation = args.get("stride", 1), args.get("pad", 0), args.get("dilation", 1)
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], constant_values=fill)
    reach = [(k - 1) * dilation + 1 for k in kernel]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))
    return view[:, :, ::stride, ::stride, ::dilation, ::dilation]


def conv(args, x, w, b=None):
    last = args.get("order") == "NHWC"
    x, w = (np.moveaxis(t, -1, 1) for t in (x, w)) if last else (x, w)
    groups, made = args.get("group", 1), []
    view = windows(args, x, w.shape[2:], 0)
    for part, weights in zip(np.split(view, groups, 1), np.split(w, groups, 0)):
        made.append(np.tensordot(part, weights, ([1, 4, 5], [1, 2, 3])))
    y = np.concatenate(made, -1)  # [batch, row, column, filter]
    y = y if b is None else y + b
    return y if last else np.moveaxis(y, -1, 1)


@in_channels_first
def max_pool(args, x):
    return windows(args, x, [args["kernel"]] * 2, -np.inf).max((4, 5))


@in_channels_first
def average_pool(args, x):
    if args.get("global_pooling"):
        return x.mean((2, 3), keepdims=True)
    total = windows(args, x, [args["kernel"]] * 2, 0).sum((4, 5))
    return total / windows(args, np.ones_like(x), [args["kernel"]] * 2, 0).sum((4, 5))


@in_channels_first
def spatial_bn(args, x, scale, bias, mean, variance):
    s, b, m, v = (t.reshape(-1, 1, 1) for t in (scale, bias, mean, variance))
    return (x - m) / np.sqrt(v + args["epsilon"]) * s + b


@in_channels_first
def lrn(args, x):
    half = args["size"] // 2
    square = np.pad(x * x, [(0, 0), (half, half), (0, 0), (0, 0)])
    total = sum(square[:, k : k + x.shape[1]] for k in range(args["size"]))
    return x / (args["bias"] + args["alpha"] / args["size"] * total) ** args["beta"]


def fc(args, x, w, b):
    return x.reshape(len(x), -1) @ w.reshape(len(w), -1).T + b


def concat(args, *parts):
    axis = args.get("axis", 3 if args.get("order") == "NHWC" else 1)
    return np.concatenate(parts, axis), np.array([p.shape[axis] for p in parts], np.int32)


def softmax(args, x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


OPERATORS = {
    "Reshape": lambda args, x: (x.reshape(len(x), -1), np.array(x.shape)),
    "AveragePool": average_pool,
    "Concat": concat,
    "Conv": conv,
    "Dropout": lambda args, x: (x, np.ones(x.shape, bool)),
    "FC": fc,
    "LRN": lrn,
    "MaxPool": max_pool,
    "Relu": lambda args, x: np.maximum(x, 0),
    "Softmax": softmax,
    "SpatialBN": spatial_bn,
    "Sum": lambda args, *parts: sum(parts),
}
