"""Neural networks of one layer each, and a few of several."""

import coreml_numpy as ref
import numpy as np
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder

rng = np.random.default_rng(17)
CASES = {}


def floats(*shape, low=-2.0, high=2.0):
    """Seeded float32."""
    return rng.uniform(low, high, shape).astype(np.float32)


def layer(name, add, inputs, reference, outputs=("y",), five=False):
    """A case: ``add`` takes the builder, ``reference`` arrays, which are of five axes where the
    layers' are."""
    assert name not in CASES, name

    def make():
        features = [(k, datatypes.Array(*a.shape)) for k, a in inputs.items()]
        builder = NeuralNetworkBuilder(
            features, [(o, None) for o in outputs], disable_rank5_shape_mapping=not five
        )
        add(builder)
        given = inputs
        if five:
            axes = {1: lambda a: a.reshape(1, 1, -1, 1, 1), 3: lambda a: a[None, None]}
            given = {k: axes[a.ndim](a) for k, a in inputs.items()}
        found = reference(*given.values())
        found = found if isinstance(found, (list, tuple)) else [found]
        values = {o: np.asarray(f, np.float32) for o, f in zip(outputs, found, strict=True)}
        return builder.spec, inputs, values

    CASES[name] = make


def cases():
    """Name to (spec, inputs, outputs). Raises for all that cannot be written at once."""
    made, wrong = {}, {}
    for name, make in CASES.items():
        try:
            made[name] = make()
        except Exception as e:
            wrong[name] = f"{type(e).__name__}: {str(e)[:300]}"
    if wrong:
        raise RuntimeError("\n".join(f"layer {k}: {v}" for k, v in wrong.items()))
    return made


def one(name, method, reference, x, five=False, **told):
    """A case of one layer from ``x`` to ``y``."""
    layer(
        name,
        lambda b: getattr(b, f"add_{method}")("l", input_name="x", output_name="y", **told),
        {"x": x},
        reference,
        five=five,
    )


def several(name, method, reference, inputs, outputs=("y",), **told):
    """A case of one layer that takes a list of inputs."""
    ends = {"output_names": list(outputs)} if len(outputs) > 1 else {"output_name": outputs[0]}
    layer(
        name,
        lambda b: getattr(b, f"add_{method}")("l", input_names=list(inputs), **ends, **told),
        inputs,
        reference,
        outputs,
    )


X, CHW, PLANE = floats(2, 3, 4), floats(3, 4, 5), floats(1, 4, 7, 6)

# --- activations and functions ----------------------------------------------------------------

ALPHA, BETA = np.float32([0.1, 0.2, 0.5]), np.float32([0.5, 1.0, 2.0])
A3, B3 = ALPHA.reshape(3, 1, 1), BETA.reshape(3, 1, 1)
ACTIVATIONS = {
    "RELU": (None, lambda x: np.maximum(x, 0)),
    "LEAKYRELU": ([0.2], lambda x: np.where(x < 0, 0.2 * x, x)),
    "PRELU": (ALPHA, lambda x: np.where(x < 0, A3 * x, x)),
    "TANH": (None, np.tanh),
    "SCALED_TANH": ([1.5, 0.5], lambda x: 1.5 * np.tanh(0.5 * x)),
    "SIGMOID": (None, ref.sigmoid),
    "SIGMOID_HARD": ([0.3, 0.4], lambda x: np.clip(0.3 * x + 0.4, 0, 1)),
    "ELU": (0.7, lambda x: np.where(x < 0, 0.7 * (np.exp(x) - 1), x)),
    "LINEAR": ([2.0, -0.5], lambda x: 2 * x - 0.5),
    "THRESHOLDEDRELU": (0.5, lambda x: np.where(x >= 0.5, x, 0)),
    "SOFTSIGN": (None, lambda x: x / (1 + abs(x))),
    "SOFTPLUS": (None, lambda x: np.log1p(np.exp(x))),
    "PARAMETRICSOFTPLUS": ([ALPHA, BETA], lambda x: A3 * np.log1p(np.exp(B3 * x))),
}
for kind, (told, function) in ACTIVATIONS.items():
    one(f"activation {kind}", "activation", function, CHW, True, non_linearity=kind, params=told)
UNARY = {
    "sqrt": np.sqrt, "rsqrt": lambda v: 1 / np.sqrt(v + 0.1), "inverse": lambda v: 1 / (v + 0.1),
    "power": lambda v: v**1.5, "exp": np.exp, "log": np.log, "abs": abs,
    "threshold": lambda v: np.maximum(v, 1.5),
}  # fmt: skip
for kind, function in UNARY.items():
    one(f"unary {kind}", "unary", lambda x, f=function: f(2 * x + 0.5), abs(X), mode=kind,
        alpha=1.5, shift=0.5, scale=2.0, epsilon=0.1)  # fmt: skip
PLAIN = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
    "atanh": np.arctanh, "exp2": np.exp2, "erf": ref.erf, "ceil": np.ceil, "floor": np.floor,
    "round": np.round, "sign": np.sign,
}  # fmt: skip
for kind, function in PLAIN.items():
    one(kind, kind, lambda x, f=function: f(x), X / 3)
one("acosh", "acosh", np.arccosh, abs(X) + 1)
one("clip", "clip", lambda x: np.clip(x, -0.5, 0.7), X, min_value=-0.5, max_value=0.7)
one("clamped_relu", "clamped_relu", lambda x: np.minimum(np.where(x < 0, 0.3 * x, x), 1.0), X,
    alpha=0.3, beta=1.0)  # fmt: skip
one("gelu", "gelu", lambda x: x * ref.sigmoid(1.702 * x), X, mode="SIGMOID_APPROXIMATION")
one("gelu exact", "gelu", lambda x: x * (1 + ref.erf(x / np.sqrt(2))) / 2, X, mode="EXACT")

# --- of several inputs ------------------------------------------------------------------------

Y = floats(3, 1)
PAIRS = {
    "multiply_": np.multiply,
    "divide_": np.divide,
    "subtract_": np.subtract,
    "max_": np.maximum,
    "min_": np.minimum,
    "mod_": np.mod,
    "floor_div_": np.floor_divide,
}
for kind, function in PAIRS.items():
    method = f"{kind}broadcastable"
    several(method, method, lambda x, y, f=function: f(x, y), {"x": X, "y": Y}, ("z",))
layer("add_broadcastable", lambda b: b.add_add_broadcastable("l", ["x", "y"], "z"),
      {"x": X, "y": Y}, lambda x, y: x + y, ("z",))  # fmt: skip
several("pow_broadcastable", "pow_broadcastable", lambda x, y: x**y, {"x": abs(X), "y": Y}, ("z",))
layer("elementwise add", lambda b: b.add_elementwise("l", ["x", "y", "x"], "z", "ADD"),
      {"x": CHW, "y": floats(3, 1, 1)}, lambda x, y: x + y + x, ("z",), True)  # fmt: skip
for mode, function in (("MULTIPLY", np.multiply), ("MAX", np.maximum), ("MIN", np.minimum),
                       ("AVE", lambda x, y: (x + y) / 2)):  # fmt: skip
    layer(
        f"elementwise {mode}",
        lambda b, m=mode: b.add_elementwise("l", ["x", "y"], "z", m),
        {"x": CHW, "y": floats(3, 4, 5)},
        lambda x, y, f=function: f(x, y),
        ("z",),
        True,
    )
layer("add a number", lambda b: b.add_elementwise("l", ["x"], "y", "ADD", 1.5), {"x": CHW},
      lambda x: x + 1.5, five=True)  # fmt: skip
layer("multiply by a number", lambda b: b.add_elementwise("l", ["x"], "y", "MULTIPLY", 1.5),
      {"x": CHW}, lambda x: x * 1.5, five=True)  # fmt: skip
V1, V2 = floats(6), floats(6)


def cosine(x, y):
    return (x * y).sum(2, keepdims=True) / np.sqrt(
        (x**2).sum(2, keepdims=True) * (y**2).sum(2, keepdims=True)
    )


layer("dot", lambda b: b.add_elementwise("l", ["x", "y"], "z", "DOT"), {"x": V1, "y": V2},
      lambda x, y: (x * y).sum(2, keepdims=True), ("z",), True)  # fmt: skip
layer("cosine", lambda b: b.add_elementwise("l", ["x", "y"], "z", "COS"), {"x": V1, "y": V2},
      cosine, ("z",), True)  # fmt: skip
for method, told, function in (
    ("greater_than", {}, np.greater),
    ("greater_than", {"use_greater_than_equal": True}, np.greater_equal),
    ("less_than", {}, np.less),
    ("less_than", {"use_less_than_equal": True}, np.less_equal),
    ("equal", {}, np.equal),
    ("not_equal", {}, np.not_equal),
):
    several(f"{method} {len(told)}", method, lambda x, y, f=function: f(x, y),
            {"x": np.round(X), "y": np.round(Y)}, ("z",), **told)  # fmt: skip
several("greater_than a number", "greater_than", lambda x: x > 0.5, {"x": X}, alpha=0.5)
T, S = (X > 0).astype(np.float32), (X > 1).astype(np.float32)
for mode in ("AND", "OR", "XOR"):
    several(f"logical {mode}", "logical", lambda x, y, m=mode: getattr(np, f"logical_{m.lower()}")(
        x, y), {"x": T, "y": S}, ("z",), mode=mode)  # fmt: skip
layer("logical NOT", lambda b: b.add_logical("l", ["x"], "y", "NOT"), {"x": T}, lambda x: 1 - x)
several("where_broadcastable", "where_broadcastable", np.where,
        {"c": T, "x": X, "y": Y}, ("z",))  # fmt: skip

# --- windows and products ---------------------------------------------------------------------


def filters(w):
    """[F, C, H, W] as the builder takes it."""
    return w.transpose(2, 3, 1, 0)


def convolution(w, **told):
    more = {"stride_height": 1, "stride_width": 1, "border_mode": "valid", "groups": 1, "b": None}
    more |= told
    deconv = more.get("is_deconv", False)
    return lambda b: b.add_convolution(
        "l", w.shape[0] if deconv else w.shape[1],
        w.shape[1] * more["groups"] if deconv else w.shape[0], *w.shape[2:],
        W=w.transpose(2, 3, 0, 1) if deconv else filters(w), has_bias=more["b"] is not None,
        input_name="x", output_name="y", **more,
    )  # fmt: skip


W, WB = floats(6, 4, 3, 2), floats(6)
layer("convolution", convolution(W, b=WB, stride_height=2, dilation_factors=[1, 2],
                                 padding_top=1, padding_right=2), {"x": PLANE},
      lambda x: ref.conv(x, W, WB, [2, 1], [(1, 0), (0, 2)], [1, 2]))  # fmt: skip
for heavy in ("BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"):
    pads = ref.same((7, 6), (3, 2), (2, 1), None, heavy == "TOP_LEFT_HEAVY")
    layer(
        f"convolution {heavy}",
        convolution(W, border_mode="same", stride_height=2, same_padding_asymmetry_mode=heavy),
        {"x": PLANE[0]},
        lambda x, p=pads: ref.conv(x[0], W, None, [2, 1], p)[None],
        ("y",),
        True,
    )
WG = floats(4, 2, 3, 3)
layer("convolution in groups", convolution(WG, groups=2), {"x": PLANE},
      lambda x: ref.conv(x, WG, groups=2))  # fmt: skip
WT, WTB = floats(4, 3, 3, 2), floats(3)
layer("deconvolution", convolution(
    WT, is_deconv=True, b=WTB, stride_height=2, stride_width=3, padding_top=1, padding_right=1),
    {"x": PLANE}, lambda x: ref.conv_transpose(x, WT, WTB, [2, 3], [(1, 0), (0, 1)]))  # fmt: skip
layer("deconvolution same", convolution(
    WT, is_deconv=True, border_mode="same", stride_height=2), {"x": PLANE},
    lambda x: ref.conv_transpose(x, WT, None, [2, 1], [(0, 1), (0, 1)]))  # fmt: skip
W3, CUBE = floats(3, 2, 2, 3, 2), floats(1, 2, 4, 5, 4)
layer("convolution3d", lambda b: b.add_convolution3d(
    "l", 2, 3, 2, 3, 2, W3, None, False, stride_depth=2, padding_mode="custom", padding_top=1,
    input_name="x", output_name="y"), {"x": CUBE}, lambda x: ref.conv(
    x, W3, None, [2, 1, 1], [(0, 0), (1, 0), (0, 0)]))  # fmt: skip
for kind, name in (("MAX", "max"), ("AVERAGE", "average"), ("L2", "l2")):
    told = {"height": 3, "width": 2, "stride_height": 2, "stride_width": 2, "layer_type": kind,
            "exclude_pad_area": False}  # fmt: skip
    one(f"pooling {kind}", "pooling", lambda x, k=name: ref.pool(
        x, k, (3, 2), (2, 2), [(1, 1), (0, 1)]), PLANE, padding_type="VALID", padding_top=1,
        padding_bottom=1, padding_right=1, **told)  # fmt: skip
    one(f"pooling {kind} with the last pixel", "pooling", lambda x, k=name: ref.pool(
        x, k, (3, 2), (2, 2), [(1, 1), (1, 1)], ceil=True), PLANE,
        padding_type="INCLUDE_LAST_PIXEL", padding_top=1, padding_left=1, padding_bottom=1,
        padding_right=1, **told)  # fmt: skip
    one(f"pooling {kind} of all", "pooling", lambda x, k=name: ref.pool(
        x, k, (4, 5)), CHW, True, padding_type="VALID", is_global=True, **told)  # fmt: skip
one("pooling without padding", "pooling", lambda x: ref.pool(
    x, "average", (3, 2), None, [(1, 1), (0, 0)], exclude=True), PLANE, height=3, width=2,
    stride_height=1, stride_width=1, layer_type="AVERAGE", padding_type="VALID", padding_top=1,
    padding_bottom=1)  # fmt: skip
one("pooling3d", "pooling3d", lambda x: ref.pool(x, "average", (2, 2, 2), (2, 1, 1)), CUBE,
    pooling_type="AVERAGE", kernel_depth=2, kernel_height=2, kernel_width=2, stride_depth=2,
    stride_height=1, stride_width=1)  # fmt: skip
one("global_pooling3d", "global_pooling3d", lambda x: x.max((2, 3, 4), keepdims=True), CUBE,
    pooling_type="MAX")  # fmt: skip
WI, BI = floats(5, 4), floats(5)
one("inner_product", "inner_product", lambda x: x @ WI.T + BI, X, W=WI, b=BI, input_channels=4,
    output_channels=5, has_bias=True)  # fmt: skip
WF = floats(5, 60)
one("inner_product of an image", "inner_product",
    lambda x: (x.reshape(1, -1) @ WF.T + BI).reshape(1, 1, 5, 1, 1), CHW, True, W=WF, b=BI,
    input_channels=60, output_channels=5, has_bias=True)  # fmt: skip
several("batched_mat_mul", "batched_mat_mul", lambda x, y: x @ y.swapaxes(1, 2),
        {"x": X, "y": floats(2, 5, 4)}, ("z",), transpose_b=True)  # fmt: skip
WM = floats(4, 5)
several("batched_mat_mul by weights", "batched_mat_mul", lambda x: x @ WM + BI, {"x": X},
        weight_matrix_rows=4, weight_matrix_columns=5, W=WM, bias=BI)  # fmt: skip
WE, TOKENS = floats(3, 7), np.float32([[1], [6], [0]])
one("embedding", "embedding", lambda x: (WE.T[x[:, 0, 0, 0].astype(int)] + 0.5).reshape(
    3, 3, 1, 1), TOKENS.reshape(3, 1, 1, 1), W=WE, b=np.full(3, 0.5, np.float32), input_dim=7,
    output_channels=3, has_bias=True)  # fmt: skip
one("embedding_nd", "embedding_nd", lambda x: WE.T[x[:, 0].astype(int)], TOKENS, vocab_size=7,
    embedding_size=3, W=WE)  # fmt: skip
