"""ML programs over sequences, with compressed weights, and of several operations."""

import coreml_numpy as ref
import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
from coreml_programs import CASES, X, case, floats, write
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

# --- sequences --------------------------------------------------------------------------------

SEQ, H0, C0 = floats(4, 2, 3), floats(2, 2), floats(2, 2)


def gates(names, *shape):
    """A weight for each gate, small enough that nothing saturates."""
    return {n: floats(*shape, low=-0.8, high=0.8) for n in names}


def rows(weights, names):
    return np.concatenate([weights[n] for n in names])


WI, WH, WO = gates("ifoz", 2, 3), gates("ifoz", 2, 2), gates("ifoz", 2)
PEEP = gates("ifo", 2)
WI2, WH2, WO2 = gates("ifoz", 2, 3), gates("ifoz", 2, 2), gates("ifoz", 2)


def lstm_of(x, back=False):
    y, c = ref.lstm(x[::-1] if back else x, (WI, WH, WO), (H0, C0), p=PEEP, limits=(np.inf, 0.5))
    return [y[::-1] if back else y, y[-1], c]


for direction in ("forward", "reverse"):
    case(
        f"lstm {direction}",
        lambda x, d=direction: mb.lstm(
            x=x,
            initial_h=H0,
            initial_c=C0,
            weight_ih=rows(WI, "ifoz"),
            weight_hh=rows(WH, "ifoz"),
            bias=rows(WO, "ifoz"),
            peephole=rows(PEEP, "ifo"),
            clip=0.5,
            direction=d,
            output_sequence=True,
        ),
        {"x": SEQ},
        lambda x, d=direction: lstm_of(x, d == "reverse"),
    )


def both(x):
    y, c = ref.lstm(x, (WI, WH, WO), (H0, C0))
    z, e = ref.lstm(x[::-1], (WI2, WH2, WO2), (H0 * 2, C0 * 2))
    last = np.concatenate([y[-1], z[-1]], 1)
    return [last[None], last, np.concatenate([c, e], 1)]


case("lstm of both directions", lambda x: mb.lstm(
    x=x, initial_h=np.concatenate([H0, H0 * 2], 1), initial_c=np.concatenate([C0, C0 * 2], 1),
    weight_ih=rows(WI, "ifoz"), weight_hh=rows(WH, "ifoz"), bias=rows(WO, "ifoz"),
    weight_ih_back=rows(WI2, "ifoz"), weight_hh_back=rows(WH2, "ifoz"),
    bias_back=rows(WO2, "ifoz"), direction="bidirectional"), {"x": SEQ}, both)  # fmt: skip
GI, GH, GB = gates("roz", 2, 3), gates("roz", 2, 2), gates("roz", 2)


def gru_of(x):
    y = ref.gru(x, GI, GH, GB, H0)
    return [y, y[-1]]


case("gru", lambda x: mb.gru(
    x=x, initial_h=H0, weight_ih=rows(GI, "roz"), weight_hh=rows(GH, "roz"),
    bias=rows(GB, "roz"), output_sequence=True), {"x": SEQ}, gru_of)  # fmt: skip


def rnn_of(x):
    y = ref.rnn(x[::-1], WI["i"], WH["i"], WO["i"], H0, lambda v: np.maximum(v, 0))
    return [y[-1:], y[-1]]


case("rnn", lambda x: mb.rnn(
    x=x, initial_h=H0, weight_ih=WI["i"], weight_hh=WH["i"], bias=WO["i"], direction="reverse",
    activation="relu"), {"x": SEQ}, rnn_of)  # fmt: skip

# --- branches and loops -----------------------------------------------------------------------


def branched(x):
    positive = mb.greater(x=mb.reduce_sum(x=x), y=0.0)
    return mb.cond(
        pred=positive,
        _true_fn=lambda: mb.mul(x=x, y=2.0),
        _false_fn=lambda: mb.add(x=x, y=1.0),
    )


def looped(x):
    """Doubles, and counts, until the sum is above a limit."""
    return mb.while_loop(
        _cond=lambda a, k: mb.less(x=mb.reduce_sum(x=a), y=100.0),
        _body=lambda a, k: (mb.add(x=a, y=mb.square(x=x)), mb.add(x=k, y=1)),
        loop_vars=(x, np.int32(0)),
    )


def counted(x):
    """As often as a constant says: three times."""
    return mb.while_loop(
        _cond=lambda a, k: mb.less(x=k, y=3),
        _body=lambda a, k: (mb.mul(x=a, y=x), mb.add(x=k, y=1)),
        loop_vars=(x, np.int32(0)),
    )[0]


def sums(x):
    a, k = x.astype(np.float64), 0
    while a.sum() < 100:
        a, k = a + x**2, k + 1
    return [a, np.int32(k)]


case("cond that is true", branched, {"x": abs(X)}, lambda x: x * 2, own=False)
case("cond that is false", branched, {"x": -abs(X)}, lambda x: x + 1, own=False)
case("while_loop", looped, {"x": abs(X)}, sums, own=False)
case("while_loop that counts", counted, {"x": X}, lambda x: x**4, own=False)

# --- weights ----------------------------------------------------------------------------------

BYTES = np.random.default_rng(1).integers(0, 256, (5, 4)).astype(np.uint8)
SCALE, ZERO = np.float32([0.01, 0.02, 0.03, 0.04, 0.05]), np.uint8([1, 2, 3, 128, 255])
for bits in (1, 2, 4, 6, 8):
    LUT = floats(1 << bits)
    codes = np.random.default_rng(bits).integers(0, 1 << bits, 20).astype(np.uint8)
    stream = (codes[:, None] >> np.arange(bits)) & 1
    packed = np.packbits(stream.reshape(-1).astype(np.uint8), bitorder="little")
    case(f"palette of {bits} bits", lambda x, c=packed, t=LUT: mb.linear(
        x=x, weight=mb.constexpr_lut_to_dense(indices=c, lut=t, shape=np.uint32([5, 4]))),
        {"x": X}, lambda x, c=codes, t=LUT: x @ t[c].reshape(5, 4).T, 16, own=False)  # fmt: skip
case(
    "affine weights",
    lambda x: mb.linear(
        x=x,
        weight=mb.constexpr_affine_dequantize(
            quantized_data=BYTES, zero_point=ZERO, scale=SCALE, axis=np.int32(0)
        ),
    ),
    {"x": X},
    lambda x: x @ ((BYTES.astype(float) - ZERO[:, None]) * SCALE[:, None]).T,
    16,
    own=False,
)
MASK = np.random.default_rng(2).integers(0, 2, (5, 4)).astype(np.uint8)
KEPT = floats(int(MASK.sum()))
SPARSE = np.zeros((5, 4), np.float32)
SPARSE[MASK > 0] = KEPT
case("sparse weights", lambda x: mb.linear(x=x, weight=mb.constexpr_sparse_to_dense(
    nonzero_data=KEPT, mask=np.packbits(MASK.reshape(-1), bitorder="little"),
    shape=np.uint32([5, 4]))), {"x": X}, lambda x: x @ SPARSE.T, 16, own=False)  # fmt: skip
HALF = floats(5, 4).astype(np.float16)
case("halves cast", lambda x: mb.linear(x=x, weight=mb.constexpr_cast(
    source_val=HALF, output_dtype="fp32")), {"x": X},
    lambda x: x @ HALF.astype(np.float32).T, 16, own=False)  # fmt: skip
BLOCKS = floats(5, 2)
case("weights in blocks", lambda x: mb.linear(x=x, weight=mb.constexpr_blockwise_shift_scale(
    data=BYTES.view(np.int8), scale=BLOCKS, offset=np.zeros((5, 2), np.int8) + np.int8(3))),
    {"x": X}, lambda x: x @ ((BYTES.view(np.int8).astype(float) - 3)
                             * BLOCKS.repeat(2, 1)).T, 18, own=False)  # fmt: skip
TABLES = floats(5, 1, 4, 1)
CODES = np.random.default_rng(3).integers(0, 4, (5, 4)).astype(np.uint8)
case(
    "palettes of rows",
    lambda x: mb.linear(
        x=x,
        weight=mb.constexpr_lut_to_dense(
            indices=CODES.astype(types.nptype_from_builtin(types.uint2)), lut=TABLES
        ),
    ),
    {"x": X},
    lambda x: x @ np.take_along_axis(TABLES[:, 0, :, 0], CODES.astype(int), 1).T,
    18,
    own=False,
)
case("quantize and dequantize", lambda x: mb.dequantize(
    input=mb.quantize(input=x, scale=np.float32(0.05), zero_point=np.uint8(120),
                      output_dtype="uint8"),
    scale=np.float32(0.05), zero_point=np.uint8(120)), {"x": X},
    lambda x: (np.clip(np.round(x / np.float32(0.05)) + 120, 0, 255) - 120) * np.float32(0.05),
    17, own=False)  # fmt: skip

# --- models of several operations -------------------------------------------------------------

W1, W2, W3, B3 = floats(8, 3, 3, 3), floats(16, 8, 3, 3) / 3, floats(10, 16) / 2, floats(10)


def network(image):
    y = mb.conv(x=image, weight=W1, strides=[2, 2], pad_type="same")
    y = mb.max_pool(x=mb.relu(x=y), kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    y = mb.relu(x=mb.conv(x=y, weight=W2, pad_type="same"))
    y = mb.reduce_mean(x=y, axes=[2, 3])
    return mb.softmax(x=mb.linear(x=y, weight=W3, bias=B3), axis=-1)


def computed(image, w1=W1, w2=W2, w3=W3):
    size = image.shape[2:]
    y = ref.conv(image, w1, None, [2, 2], ref.same(size, (3, 3), (2, 2)))
    y = ref.pool(np.maximum(y, 0), "max", (2, 2), (2, 2))
    y = np.maximum(ref.conv(y, w2, None, None, [(1, 1), (1, 1)]), 0).mean((2, 3))
    return ref.softmax(y @ w3.T + B3)


PHOTO = np.random.default_rng(5).integers(0, 256, (1, 3, 16, 12)).astype(np.uint8)
UNIT = {"image": floats(1, 3, 16, 12)}


def halves():
    """Computed in float16 by Core ML."""
    model = write(network, UNIT, 16, halves=True)
    return model, UNIT, {"out0": computed(UNIT["image"]).astype(np.float32)}


def compressed(how):
    """The weights as coremltools' own compression leaves them, and what it says that they are."""

    def make():
        model = write(network, UNIT, 18 if how == "int4" else 16)
        if how == "palette":
            told = cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=1)
            model = cto.palettize_weights(model, cto.OptimizationConfig(global_config=told))
        elif how == "pruned":
            told = cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=1)
            model = cto.prune_weights(model, cto.OptimizationConfig(global_config=told))
        else:
            more = {"dtype": "int4", "granularity": "per_block", "block_size": 2}
            told = cto.OpLinearQuantizerConfig(
                mode="linear_symmetric", weight_threshold=1, **(more if how == "int4" else {})
            )
            model = cto.linear_quantize_weights(model, cto.OptimizationConfig(global_config=told))
        plain = cto.decompress_weights(model)
        found = {w.shape: w for w in constants(plain)}
        ours = [found[w.shape] for w in (W1, W2, W3)]
        return model, UNIT, {"out0": computed(UNIT["image"], *ours).astype(np.float32)}

    return make


def constants(model):
    """The weights of a program."""
    for op in model._mil_program.functions["main"].operations:
        if op.op_type == "const" and op.outputs[0].val is not None:
            value = np.asarray(op.outputs[0].val)
            if value.ndim in (2, 4):
                yield value


def classifier():
    """An image in, scaled; a label and probabilities out."""
    made = mb.program(input_specs=[mb.TensorSpec((1, 3, 16, 12))], opset_version=ct.target.iOS15)(
        lambda image: mb.identity(x=network(image), name="probabilities")
    )
    model = ct.convert(
        made, source="milinternal", convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS15, compute_precision=ct.precision.FLOAT32,
        inputs=[ct.ImageType("image", (1, 3, 16, 12), 1 / 255, [-0.5, -0.4, -0.3],
                             color_layout=ct.colorlayout.BGR)],
        classifier_config=ct.ClassifierConfig([f"class {k}" for k in range(10)]),
        skip_model_load=True,
    )  # fmt: skip
    x = PHOTO / 255 + np.array([-0.5, -0.4, -0.3]).reshape(3, 1, 1)
    found = computed(x)
    outputs = {"classLabel": np.int64(found.argmax(1)), "classLabel_probs": found}
    return model, {"image": PHOTO}, outputs


CASES["network in halves"] = halves
CASES["classifier of images"] = classifier
for how in ("palette", "pruned", "int8", "int4"):
    CASES[f"network, {how}"] = compressed(how)
