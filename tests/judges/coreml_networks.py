"""Layers that normalise, reduce or move elements, recurrent ones, and whole networks."""

import coreml_numpy as ref
import numpy as np
from coreml_layers import CHW, PLANE, X, floats, layer, one, several

# --- normalisation ----------------------------------------------------------------------------

MEAN, VAR, GAMMA, SHIFT = floats(4), floats(4, low=0.5), floats(4), floats(4)
PAIR = floats(2, 4, 3, 5)


def over(v):
    return v.reshape(4, 1, 1)


def batchnorm(axes):
    return lambda x: ref.normalised(x, axes, 1e-3) * over(GAMMA) + over(SHIFT)


told = {"channels": 4, "gamma": GAMMA, "beta": SHIFT, "epsilon": 1e-3}
one("batchnorm", "batchnorm", lambda x: (x - over(MEAN)) / np.sqrt(over(VAR) + 1e-3) * over(GAMMA)
    + over(SHIFT), PLANE[0], True, mean=MEAN, variance=VAR, **told)  # fmt: skip
one("batchnorm of each image", "batchnorm", batchnorm((2, 3)), PAIR, compute_mean_var=True,
    instance_normalization=True, **told)  # fmt: skip


def of_all(b):
    b.add_batchnorm("l", input_name="x", output_name="y", compute_mean_var=True,
                    instance_normalization=True, **told)  # fmt: skip
    b.nn_spec.layers[-1].batchnorm.instanceNormalization = False  # the builder refuses to say so


layer("batchnorm of all images", of_all, {"x": PAIR}, batchnorm((0, 2, 3)))
one("mvn", "mvn", lambda x: ref.normalised(x, (2, 3), 1e-3), PAIR, across_channels=False,
    epsilon=1e-3)  # fmt: skip
one("mvn across channels", "mvn", lambda x: x - x.mean((1, 2, 3), keepdims=True), PAIR,
    normalize_variance=False)  # fmt: skip
one("l2_normalize", "l2_normalize", lambda x: x / np.sqrt((x**2).sum((2, 3, 4), keepdims=True)
    + 1e-3), CHW, True, epsilon=1e-3)  # fmt: skip
one("lrn", "lrn", lambda x: ref.lrn(x, 3, 0.3, 0.75, 2.0), PLANE, alpha=0.3, beta=0.75,
    local_size=3, k=2.0)  # fmt: skip
one("softmax", "softmax", lambda x: ref.softmax(x, 2), CHW, True)
one("softmax_nd", "softmax_nd", lambda x: ref.softmax(x, 1), X, axis=1)
GN = floats(3, 4)
one("layer_normalization", "layer_normalization",
    lambda x: ref.normalised(x, (1, 2), 1e-3) * GN + GN * 2, X, normalized_shape=[3, 4],
    gamma=GN, beta=GN * 2, eps=1e-3)  # fmt: skip
one("bias", "bias", lambda x: x + GAMMA[:3].reshape(3, 1, 1), CHW, True, b=GAMMA[:3],
    shape_bias=[3])  # fmt: skip
FACE = floats(1, 4, 5)
one("scale", "scale", lambda x: x * FACE + 0.5, CHW, True, W=FACE, b=np.float32([0.5]),
    has_bias=True, shape_scale=[1, 4, 5], shape_bias=[1])  # fmt: skip

# --- reductions -------------------------------------------------------------------------------

AXES = {"C": 2, "H": 3, "W": 4, "HW": (3, 4), "CHW": (2, 3, 4)}
REDUCE = {
    "sum": np.sum, "avg": np.mean, "prod": np.prod, "max": np.max, "min": np.min,
    "logsum": lambda x, a, keepdims: np.log(x + 1e-6).sum(a, keepdims=True),
    "sumsquare": lambda x, a, keepdims: (x**2).sum(a, keepdims=True),
    "L1": lambda x, a, keepdims: abs(x).sum(a, keepdims=True),
    "L2": lambda x, a, keepdims: np.sqrt((x**2).sum(a, keepdims=True)),
}  # fmt: skip
for (mode, function), (axis, at) in zip(REDUCE.items(), [*AXES.items()] * 2):
    one(f"reduce {mode} {axis}", "reduce", lambda x, f=function, a=at: f(x, a, keepdims=True),
        abs(CHW), True, axis=axis, mode=mode)  # fmt: skip
one("reduce argmax", "reduce", lambda x: x.argmax(3)[..., None, :], CHW, True, axis="H",
    mode="argmax")  # fmt: skip
ND = {
    "sum": np.sum, "prod": np.prod, "mean": np.mean, "max": np.max, "min": np.min,
    "l2": lambda x, a, keepdims: np.sqrt((x**2).sum(a)),
    "l1": lambda x, a, keepdims: abs(x).sum(a),
    "sumsquare": lambda x, a, keepdims: (x**2).sum(a),
    "logsum": lambda x, a, keepdims: np.log(x.sum(a)),
    "logsumexp": lambda x, a, keepdims: np.log(np.exp(x).sum(a)),
}  # fmt: skip
for kind, function in ND.items():
    one(f"reduce_{kind}", f"reduce_{kind}", lambda x, f=function: f(x, (0, 2), keepdims=False),
        abs(X), axes=[0, -1], keepdims=False)  # fmt: skip
one("reduce_max of all", "reduce_max", lambda x: x.max().reshape(1), X, reduce_all=True,
    keepdims=False)  # fmt: skip
one("argmax", "argmax", lambda x: x.argmax(1)[:, None], X, axis=1)
one("argmin", "argmin", lambda x: x.argmin(2), X, axis=-1, keepdims=False)
several("topk", "topk", lambda x: (-np.sort(-x, 1)[:, :2], np.argsort(-x, 1)[:, :2]), {"x": X},
        ("v", "i"), k=2, axis=1)  # fmt: skip
several("topk from below", "topk", lambda x: (np.sort(x, 2)[..., :3], np.argsort(x, 2)[..., :3]),
        {"x": X}, ("v", "i"), k=3, axis=-1, use_bottom_k=True)  # fmt: skip
one("argsort", "argsort", lambda x: np.argsort(-x, 1), X, axis=1, descending=True)
several("cumsum", "cumsum", lambda x: np.cumsum(x, 1) - x, {"x": X}, axis=1, exclusive=True)

# --- movement ---------------------------------------------------------------------------------

one("flatten", "flatten", lambda x: x.reshape(1, 1, 60, 1, 1), CHW, True, mode=0)
one("flatten channels last", "flatten", lambda x: x.transpose(0, 1, 3, 4, 2).reshape(
    1, 1, 60, 1, 1), CHW, True, mode=1)  # fmt: skip
one("reshape", "reshape", lambda x: x.reshape(1, 1, 6, 5, 2), CHW, True, target_shape=(6, 5, 2),
    mode=0)  # fmt: skip
one(
    "reshape channels last",
    "reshape",
    lambda x: x.transpose(0, 1, 3, 4, 2).reshape(1, 1, 5, 2, 6).transpose(0, 1, 4, 2, 3),
    CHW,
    True,
    target_shape=(6, 5, 2),
    mode=1,
)
one("reshape to a sequence", "reshape", lambda x: x.reshape(3, 1, 4, 5, 1), CHW, True,
    target_shape=(3, 4, 5, 1), mode=0)  # fmt: skip
one("permute", "permute", lambda x: x.transpose(3, 1, 2, 0, 4), CHW, True, dim=(2, 1, 0, 3))
layer(
    "concat",
    lambda b: b.add_elementwise("l", ["x", "y"], "z", "CONCAT"),
    {"x": CHW, "y": floats(2, 4, 5)},
    lambda x, y: np.concatenate([x, y], 2),
    ("z",),
    True,
)
layer("split", lambda b: b.add_split("l", "x", ["y", "z"]), {"x": floats(4, 2, 3)},
      lambda x: (x[:, :, :2], x[:, :, 2:]), ("y", "z"), True)  # fmt: skip
EDGES = {"left": 1, "right": 2, "top": 2, "bottom": 1}
WIDTH = [(0, 0)] * 3 + [(2, 1), (1, 2)]
for kind, mode in (("constant", "constant"), ("reflection", "reflect"), ("replication", "edge")):
    more = {"constant_values": 0.5} if kind == "constant" else {}
    one(f"padding {kind}", "padding", lambda x, m=mode, t=more: np.pad(x, WIDTH, m, **t), CHW,
        True, padding_type=kind, value=0.5, **EDGES)  # fmt: skip
layer("crop", lambda b: b.add_crop("l", 1, 2, 1, 0, None, ["x"], "y"), {"x": CHW},
      lambda x: x[..., 1:, 1:-2], five=True)  # fmt: skip
layer("crop like another", lambda b: b.add_crop("l", 0, 0, 0, 0, [1, 2], ["x", "z"], "y"),
      {"x": CHW, "z": floats(3, 2, 2)}, lambda x, z: x[..., 1:3, 2:4], five=True)  # fmt: skip
one("upsample", "upsample", lambda x: x.repeat(2, -2).repeat(3, -1), CHW, True,
    scaling_factor_h=2, scaling_factor_w=3)  # fmt: skip
for mode, theirs in (("DEFAULT", "DEFAULT"), ("ALIGN_CORNERS_TRUE", "STRICT_ALIGN_CORNERS"),
                     ("ALIGN_CORNERS_FALSE", "UNALIGN_CORNERS")):  # fmt: skip
    one(f"upsample {mode}", "upsample", lambda x, m=theirs: ref.resize(x, (8, 10), m), CHW, True,
        scaling_factor_h=2, scaling_factor_w=2, mode="BILINEAR",
        linear_upsample_mode=mode)  # fmt: skip
MODES = {
    "STRICT_ALIGN_ENDPOINTS_MODE": "STRICT_ALIGN_CORNERS",
    "UPSAMPLE_MODE": "DEFAULT",
    "ALIGN_ENDPOINTS_MODE": "ALIGN_CORNERS",
    "ROI_ALIGN_MODE": "OFFSET_CORNERS",
}
BOXES = np.float32([[0.2, 0.1, 2.5, 3.0], [1.0, 0.0, 1.5, 2.0]])
for mode, theirs in MODES.items():
    one(f"resize_bilinear {mode}", "resize_bilinear", lambda x, m=theirs: ref.resize(
        x, (1, 7), m), CHW, True, target_height=1, target_width=7, mode=mode)  # fmt: skip
    several(f"crop_resize {mode}", "crop_resize", lambda x, b, m=theirs: np.stack([
        ref.crop(x[0, 1], r, (2, 3), m)[None] for r in BOXES]),
        {"x": floats(1, 2, 3, 4, 5), "b": np.concatenate([np.ones((2, 1)), BOXES], 1).astype(
            np.float32).reshape(2, 1, 5, 1, 1)}, target_height=2, target_width=3,
        mode=mode)  # fmt: skip
DEEP = floats(8, 4, 6)
one(
    "space to depth",
    "reorganize_data",
    lambda x: x.reshape(1, 1, 8, 2, 2, 3, 2).transpose(0, 1, 4, 6, 2, 3, 5).reshape(1, 1, 32, 2, 3),
    DEEP,
    True,
    mode="SPACE_TO_DEPTH",
)
one(
    "depth to space",
    "reorganize_data",
    lambda x: x.reshape(1, 1, 2, 2, 2, 4, 6).transpose(0, 1, 4, 5, 2, 6, 3).reshape(1, 1, 2, 8, 12),
    DEEP,
    True,
    mode="DEPTH_TO_SPACE",
)
one(
    "pixel shuffle",
    "reorganize_data",
    lambda x: x.reshape(1, 1, 2, 2, 2, 4, 6).transpose(0, 1, 2, 5, 3, 6, 4).reshape(1, 1, 2, 8, 12),
    DEEP,
    True,
    mode="PIXEL_SHUFFLE",
)
one("slice", "slice", lambda x: x[..., 1:-1:2], CHW, True, axis="width", start_index=1,
    end_index=-1, stride=2)  # fmt: skip
one("sequence_repeat", "sequence_repeat", lambda x: np.tile(x, (3, 1, 1, 1, 1)), CHW, True, nrep=3)
layer("load_constant", lambda b: (
    b.add_load_constant("c", "c", CHW, (3, 4, 5)), b.add_elementwise("l", ["x", "c"], "y", "ADD")),
    {"x": CHW}, lambda x: x + CHW, five=True)  # fmt: skip
one("transpose", "transpose", lambda x: x.transpose(2, 0, 1), X, axes=[2, 0, 1])
several("concat_nd", "concat_nd", lambda x, y: np.concatenate([x, y], -1), {"x": X, "y": X}, ("z",),
        axis=-1)  # fmt: skip
several("concat_nd interleaved", "concat_nd", lambda x, y: np.stack([x, y], 2).reshape(2, 6, 4),
        {"x": X, "y": X * 2}, ("z",), axis=1, interleave=True)  # fmt: skip
several("stack", "stack", lambda x, y: np.stack([x, y], 1), {"x": X, "y": X * 2}, ("z",), axis=1)
layer("split_nd", lambda b: b.add_split_nd("l", "x", ["y", "z"], 1, split_sizes=[1, 2]), {"x": X},
      lambda x: (x[:, :1], x[:, 1:]), ("y", "z"))  # fmt: skip
one("reverse", "reverse", lambda x: x[::-1, :, ::-1], X, reverse_dim=[True, False, True])
several("reverse_sequence", "reverse_sequence", lambda x, k: np.stack([x[0], x[1][[1, 0, 2]]]),
        {"x": X, "k": np.float32([1, 2])}, ("z",), batch_axis=0, seq_axis=1)  # fmt: skip
one("slice_static", "slice_static", lambda x: x[1, ::-1, 1:3], X, begin_ids=[1, 0, 1],
    end_ids=[2, 0, 3], strides=[1, -1, 1], begin_masks=[False, True, False],
    end_masks=[False, True, False], squeeze_masks=[True, False, False])  # fmt: skip
layer("slice_dynamic", lambda b: (
    b.add_load_constant_nd("c", "c", np.float32([0, 1, 1]), (3,)),
    b.add_slice_dynamic("l", ["x", "c"], "y", end_ids=[2, 3, 4], strides=[1, 1, 2],
                        begin_masks=[False] * 3, end_masks=[False] * 3)), {"x": X},
    lambda x: x[0:2, 1:3, 1:4:2])  # fmt: skip
layer("slice_by_size", lambda b: (
    b.add_load_constant_nd("c", "c", np.float32([1]), (1,)),
    b.add_slice_by_size("l", ["x", "c"], "y", 1, 2)), {"x": X}, lambda x: x[:, 1:3])  # fmt: skip
one("sliding_windows", "sliding_windows", lambda x: np.stack([x[:, k : k + 2] for k in (0, 1)], 1),
    X, axis=1, window_size=2)  # fmt: skip
one("tile", "tile", lambda x: np.tile(x, (1, 2, 3)), X, reps=[1, 2, 3])
one("get_shape", "get_shape", lambda x: np.float32(x.shape), X)
one("fill_like", "fill_like", lambda x: x * 0 + 0.5, X, value=0.5)
layer("fill_static", lambda b: (
    b.add_fill_static("c", "c", (3, 1), 0.5), b.add_multiply_broadcastable("l", ["x", "c"], "y")),
    {"x": X}, lambda x: x * 0.5)  # fmt: skip
one("broadcast_to_static", "broadcast_to_static", lambda x: np.broadcast_to(x, (2, 3, 4)),
    floats(3, 1), output_shape=(2, 3, 4))  # fmt: skip
several("broadcast_to_like", "broadcast_to_like", lambda x, y: np.broadcast_to(x, y.shape),
        {"x": floats(3, 1), "y": X}, ("z",))  # fmt: skip
one("expand_dims", "expand_dims", lambda x: x[None, :, :, None], floats(3, 4), axes=[0, -1])
one("squeeze", "squeeze", lambda x: x[0, :, 0], floats(1, 3, 1, 2), axes=[0, 2])
one("squeeze of all", "squeeze", lambda x: x[0, :, 0], floats(1, 3, 1, 2), squeeze_all=True)
one("flatten_to_2d", "flatten_to_2d", lambda x: x.reshape(6, 4), X, axis=-1)
one("reshape_static", "reshape_static", lambda x: x.reshape(4, 6), X, output_shape=(4, -1))
several("reshape_like", "reshape_like", lambda x, y: x.reshape(y.shape),
        {"x": X, "y": floats(4, 6)}, ("z",))  # fmt: skip
layer("reshape_dynamic", lambda b: (
    b.add_get_shape("s", "z", "s"), b.add_reshape_dynamic("l", ["x", "s"], "y")),
    {"x": X, "z": floats(4, 6)}, lambda x, z: x.reshape(z.shape))  # fmt: skip
one("rank_preserving_reshape", "rank_preserving_reshape", lambda x: x.reshape(2, 6, 2), X,
    output_shape=(0, 6, -1))  # fmt: skip
several("constant_pad", "constant_pad", lambda x: np.pad(
    x, [(0, 0), (1, 2), (2, 0)], constant_values=0.5), {"x": X}, value=0.5,
    pad_amounts=[0, 0, 1, 2, 2, 0])  # fmt: skip
one("matrix_band_part", "matrix_band_part", lambda x: np.triu(np.tril(x, 1), -1), X, num_lower=1,
    num_upper=1)  # fmt: skip
one("lower_triangular", "lower_triangular", lambda x: np.tril(x, 1), X, k=1)
one("upper_triangular", "upper_triangular", lambda x: np.triu(x, -1), X, k=-1)
AT = np.float32([1, -1])
several("gather", "gather", lambda x, i: np.take(x, i.astype(int), 1), {"x": X, "i": AT}, ("z",),
        axis=1)  # fmt: skip
ALONG = np.float32([[[1, 0, 2, 1]], [[2, 2, 0, 1]]])
several("gather_along_axis", "gather_along_axis", lambda x, i: np.take_along_axis(
    x, i.astype(int), 1), {"x": X, "i": ALONG}, ("z",), axis=1)  # fmt: skip
several("gather_nd", "gather_nd", lambda x, i: x[[1, 0], [2, 1]],
        {"x": X, "i": np.float32([[1, 2], [0, 1]])}, ("z",))  # fmt: skip
NEW = floats(2, 2, 4, low=0.5)


def scattered(x, mode):
    y = x.copy()
    for k, at in enumerate((2, 0)):
        y[:, at] = {"UPDATE": NEW[:, k], "ADD": y[:, at] + NEW[:, k], "MUL": y[:, at] * NEW[:, k],
                    "DIV": y[:, at] / NEW[:, k]}[mode]  # fmt: skip
    return y


for mode in ("UPDATE", "ADD", "MUL", "DIV"):
    several(f"scatter {mode}", "scatter", lambda x, i, u, m=mode: scattered(x, m),
            {"x": X, "i": np.float32([2, 0]), "u": NEW}, ("z",), axis=1, mode=mode)  # fmt: skip


def scattered_nd(x, i, u):
    y = x.copy()
    y[1, 2], y[0, 1] = u
    return y


several("scatter_nd", "scatter_nd", scattered_nd,
        {"x": X, "i": np.float32([[1, 2], [0, 1]]), "u": NEW[0]}, ("z",))  # fmt: skip
several("one_hot", "one_hot", lambda i: np.where(np.eye(4)[i.astype(int)] > 0, 2.0, -1.0),
        {"i": np.float32([[0, 3], [2, 1]])}, one_hot_vector_size=4, axis=-1, on_value=2.0,
        off_value=-1.0)  # fmt: skip
layer("range_static", lambda b: (
    b.add_range_static("r", "r", end=2, start=0, step=0.5),
    b.add_multiply_broadcastable("l", ["x", "r"], "y")), {"x": X},
    lambda x: x * np.float32([0, 0.5, 1, 1.5]))  # fmt: skip
layer("copy", lambda b: (
    b.add_copy("c", "x", "z"), b.add_activation("a", "RELU", "x", "y"), b.add_copy("d", "y", "z")),
    {"x": X}, lambda x: np.maximum(x, 0), ("z",))  # fmt: skip

# --- recurrent layers -------------------------------------------------------------------------

SEQ, LIMIT = floats(4, 2, 3, 1, 1), 50.0
H0, C0 = floats(1, 2, 2, 1, 1), floats(1, 2, 2, 1, 1)


def gates(names, *shape):
    return {n: floats(*shape, low=-0.8, high=0.8) for n in names}


def flat(x):
    return x[..., 0, 0]


def full(x):
    return x.reshape(-1, *x.shape[-2:], 1, 1)


WX, WH, WB = gates("ifoz", 2, 3), gates("ifoz", 2, 2), gates("ifoz", 2)
WX2, WH2, WB2 = gates("ifoz", 2, 3), gates("ifoz", 2, 2), gates("ifoz", 2)
PEEP = gates("ifo", 2)
LSTM = {"hidden_size": 2, "input_size": 3, "input_names": ["x", "h", "c"],
        "W_h": [*WH.values()], "W_x": [*WX.values()], "b": [*WB.values()]}  # fmt: skip


def lstm_of(x, h, c):
    y, last = ref.lstm(flat(x)[::-1], (WX, WH, WB), (flat(h)[0], flat(c)[0]), p=PEEP,
                       limits=(LIMIT, 0.4))  # fmt: skip
    return full(y[::-1]), full(y[-1]), full(last)


layer(
    "unilstm",
    lambda b: b.add_unilstm(
        "l",
        output_names=["y", "k", "d"],
        peep=[*PEEP.values()],
        output_all=True,
        reverse_input=True,
        cell_clip_threshold=0.4,
        **LSTM,
    ),
    {"x": SEQ, "h": H0, "c": C0},
    lstm_of,
    ("y", "k", "d"),
)


def coupled(x, h, c):
    bias = {**WB, "f": WB["f"] + 1}
    y, last = ref.lstm(flat(x), (WX, WH, bias), (flat(h)[0], flat(c)[0]), coupled=True,
                       functions=(ref.sigmoid, lambda v: np.maximum(v, 0), np.tanh))  # fmt: skip
    return full(y[-1]), full(y[-1]), full(last)


layer("unilstm of coupled gates", lambda b: b.add_unilstm(
    "l", output_names=["y", "k", "d"], forget_bias=True, coupled_input_forget_gate=True,
    cell_state_update_activation="RELU", **LSTM), {"x": SEQ, "h": H0, "c": C0}, coupled,
    ("y", "k", "d"))  # fmt: skip


def both(x):
    zero = np.zeros((2, 2))
    y, _ = ref.lstm(flat(x), (WX, WH, WB), (zero, zero))
    z, _ = ref.lstm(flat(x)[::-1], (WX2, WH2, WB2), (zero, zero))
    return full(np.concatenate([y, z[::-1]], 2))


layer("bidirlstm", lambda b: b.add_bidirlstm(
    "l", [*WH.values()], [*WX.values()], [*WB.values()], [*WH2.values()], [*WX2.values()],
    [*WB2.values()], 2, 3, ["x"], ["y"], output_all=True), {"x": SEQ}, both)  # fmt: skip
GX, GH, GB = gates("zro", 2, 3), gates("zro", 2, 2), gates("zro", 2)


def gru_of(x, h):
    hard = lambda v: np.clip(0.2 * v + 0.5, 0, 1)  # noqa: E731
    y = ref.gru(flat(x), GX, GH, GB, flat(h)[0], f=hard)
    return full(y), full(y[-1])


layer("gru", lambda b: b.add_gru(
    "l", [*GH.values()], [*GX.values()], [*GB.values()], 2, 3, ["x", "h"], ["y", "k"],
    output_all=True), {"x": SEQ, "h": H0}, gru_of, ("y", "k"))  # fmt: skip
layer("simple_rnn", lambda b: b.add_simple_rnn(
    "l", WH["i"], WX["i"], WB["i"], 2, 3, "TANH", ["x", "h"], ["y", "k"], reverse_input=True),
    {"x": SEQ, "h": H0}, lambda x, h: [full(ref.rnn(
        flat(x)[::-1], WX["i"], WH["i"], WB["i"], flat(h)[0])[-1])] * 2, ("y", "k"))  # fmt: skip
