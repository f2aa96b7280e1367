"""ML programs of one operation each, and a few of several."""

import coreml_numpy as ref
import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Program, types

TARGETS = {15: ct.target.iOS15, 16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}
KINDS = {"float32": types.fp32, "int32": types.int32, "bool": types.bool, "float16": types.fp16}
rng = np.random.default_rng(26)
CASES = {}


def floats(*shape, low=-2.0, high=2.0):
    """Seeded float32."""
    return rng.uniform(low, high, shape).astype(np.float32)


def write(build, inputs, target=15, halves=False):
    """The model of a function of MIL variables."""

    def body(**given):
        found = build(**given)
        found = found if isinstance(found, (list, tuple)) else [found]
        return tuple(mb.identity(x=f, name=f"out{k}") for k, f in enumerate(found))

    specs = [mb.TensorSpec(a.shape, KINDS[str(a.dtype)]) for a in inputs.values()]
    names = ", ".join(inputs)
    made = eval(f"lambda {names}: body({', '.join(f'{n}={n}' for n in inputs)})", {"body": body})
    program = mb.program(input_specs=specs, opset_version=TARGETS[target])(made)
    return ct.convert(
        program,
        source="milinternal",
        convert_to="mlprogram",
        minimum_deployment_target=TARGETS[target],
        compute_precision=ct.precision.FLOAT16 if halves else ct.precision.FLOAT32,
        pass_pipeline=None if halves else ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )


def inferred(build, inputs, target=15):
    """What coremltools itself finds for constants, some of which it changes; None where it does
    not."""
    program = Program()
    with Function({}, opset_version=TARGETS[target]) as function:
        found = build(**{k: mb.const(val=a.copy()) for k, a in inputs.items()})
        found = found if isinstance(found, (list, tuple)) else [found]
        values = [f.val for f in found]
        function.set_outputs(list(found))
        program.add_function("main", function)
    return None if any(v is None for v in values) else values


def numbers(values):
    """Inputs and outputs as a model has them, which are never true or false."""
    return {k: a.astype(np.float32) if a.dtype == bool else a for k, a in values.items()}


def case(name, build, inputs, reference=None, target=15, own=True):
    """A case of one operation; ``reference`` is a function of the arrays."""
    assert name not in CASES, name

    def make():
        values = inferred(build, inputs, target) if own else None
        if reference is not None:
            mine = reference(**inputs)
            mine = mine if isinstance(mine, (list, tuple)) else [mine]
            if values is not None:
                for a, b in zip(values, mine, strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)
            values = mine
        assert values is not None, f"{name}: nobody says what it computes"
        outputs = {f"out{k}": np.asarray(v) for k, v in enumerate(values)}
        return write(build, inputs, target), numbers(inputs), numbers(outputs)

    CASES[name] = make


def cases():
    """Name to (model, inputs, outputs). Raises for all that cannot be written at once."""
    made, wrong = {}, {}
    for name, make in CASES.items():
        try:
            made[name] = make()
        except Exception as e:
            wrong[name] = f"{type(e).__name__}: {str(e)[:300]}"
    if wrong:
        raise RuntimeError("\n".join(f"case {k}: {v}" for k, v in wrong.items()))
    return made


# --- element by element -----------------------------------------------------------------------

X = floats(2, 3, 4)
UNARY = {
    "abs": X, "acos": X / 2, "asin": X / 2, "atan": X, "atanh": X / 3, "ceil": X, "cos": X,
    "cosh": X, "erf": X, "exp": X, "exp2": X, "floor": X, "round": X * 4, "sign": X, "sin": X,
    "sinh": X, "sqrt": abs(X), "square": X, "tan": X / 2, "tanh": X, "relu": X, "relu6": X * 4,
    "sigmoid": X, "softplus": X, "softsign": X, "silu": X,
}  # fmt: skip
OURS = {
    "silu": lambda x: x * ref.sigmoid(x), "softplus": lambda x: np.log1p(np.exp(x)),
    "relu6": lambda x: np.clip(x, 0, 6),
}  # fmt: skip
for op, data in UNARY.items():
    case(op, lambda x, op=op: getattr(mb, op)(x=x), {"x": data.astype(np.float32)}, OURS.get(op))
case("inverse", lambda x: mb.inverse(x=x, epsilon=0.1), {"x": abs(X)})
case("rsqrt", lambda x: mb.rsqrt(x=x, epsilon=0.1), {"x": abs(X)})
case("log", lambda x: mb.log(x=x), {"x": abs(X)})
case("log of a sum", lambda x: mb.log(x=x, epsilon=0.5), {"x": abs(X)})
case("threshold", lambda x: mb.threshold(x=x, alpha=0.5), {"x": X})
case("clip", lambda x: mb.clip(x=x, alpha=-0.5, beta=0.7), {"x": X})
case("logical_not", lambda x: mb.logical_not(x=x), {"x": X > 0})
for kind in ("int32", "bool", "fp32"):
    case(f"cast to {kind}", lambda x, k=kind: mb.cast(x=x, dtype=k), {"x": X})
case("cast of integers", lambda x: mb.cast(x=x, dtype="fp32"), {"x": np.int32([[1, -2], [3, 0]])})

A, B = floats(2, 3, 4), floats(3, 1)
for op in ("add", "sub", "mul", "real_div", "maximum", "minimum", "mod", "floor_div", "equal",
           "not_equal", "greater", "greater_equal", "less", "less_equal"):  # fmt: skip
    case(op, lambda x, y, op=op: getattr(mb, op)(x=x, y=y), {"x": A, "y": B})
case("pow", lambda x, y: mb.pow(x=x, y=y), {"x": abs(A), "y": B})
LEFT, RIGHT = np.int32([[7, -7], [8, 5]]), np.int32([[2, 2], [-3, 5]])
for op in ("floor_div", "mod", "add", "mul", "maximum"):
    case(
        f"{op} of integers", lambda x, y, op=op: getattr(mb, op)(x=x, y=y), {"x": LEFT, "y": RIGHT}
    )
for op in ("and", "or", "xor"):
    case(f"logical_{op}", lambda x, y, op=op: getattr(mb, f"logical_{op}")(x=x, y=y),
         {"x": A > 0, "y": A[::-1] > 0.5})  # fmt: skip
case("select", lambda c, a, b: mb.select(cond=c, a=a, b=b), {"c": A > 0, "a": A, "b": A * 2},
     lambda **given: np.where(*given.values()))  # fmt: skip

# --- activations ------------------------------------------------------------------------------

IMAGE = floats(2, 3, 4, 5)
ALPHA, BETA = np.float32([0.1, 0.2, 0.5]), np.float32([0.5, 1.0, 2.0])
case("clamped_relu", lambda x: mb.clamped_relu(x=x, alpha=0.3, beta=1.0), {"x": X},
     lambda x: np.where(x >= 0, np.minimum(x, 1.0), np.minimum(0.3 * x, 1.0)))  # fmt: skip
case("elu", lambda x: mb.elu(x=x, alpha=0.7), {"x": X},
     lambda x: np.where(x < 0, 0.7 * (np.exp(x) - 1), x))  # fmt: skip
for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
    case(f"gelu {mode}", lambda x, m=mode: mb.gelu(x=x, mode=m), {"x": X})
case("leaky_relu", lambda x: mb.leaky_relu(x=x, alpha=0.2), {"x": X})
case("linear_activation", lambda x: mb.linear_activation(x=x, alpha=2.0, beta=-0.5), {"x": X})
case("prelu", lambda x: mb.prelu(x=x, alpha=ALPHA), {"x": IMAGE},
     lambda x: np.where(x >= 0, x, x * ALPHA.reshape(3, 1, 1)))  # fmt: skip
case("scaled_tanh", lambda x: mb.scaled_tanh(x=x, alpha=1.5, beta=0.5), {"x": X})
case("sigmoid_hard", lambda x: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.4), {"x": X * 2})
case(
    "softplus_parametric",
    lambda x: mb.softplus_parametric(x=x, alpha=ALPHA, beta=BETA),
    {"x": IMAGE},
    lambda x: ALPHA.reshape(3, 1, 1) * np.log1p(np.exp(BETA.reshape(3, 1, 1) * x)),
)
case("softmax", lambda x: mb.softmax(x=x, axis=1), {"x": X})
case("thresholded_relu", lambda x: mb.thresholded_relu(x=x, alpha=0.5), {"x": X},
     lambda x: np.where(x >= 0.5, x, 0))  # fmt: skip

# --- windows and products ---------------------------------------------------------------------

PLANE, CUBE, LINE = floats(1, 4, 7, 6), floats(1, 2, 4, 5, 4), floats(2, 3, 9)
W, WB = floats(6, 4, 3, 2), floats(6)
for kind in ("valid", "same", "same_lower"):
    pads = {"valid": None}.get(kind, ref.same((7, 6), (3, 2), (2, 1), (1, 2), kind != "same"))
    case(f"conv {kind}", lambda x, k=kind: mb.conv(
        x=x, weight=W, bias=WB, strides=[2, 1], dilations=[1, 2], pad_type=k), {"x": PLANE},
        lambda x, p=pads: ref.conv(x, W, WB, [2, 1], p, [1, 2]),
        16 if kind == "same_lower" else 15)  # fmt: skip
WG, WD = floats(4, 2, 3, 3), floats(4, 1, 3, 3)
case("conv in groups", lambda x: mb.conv(
    x=x, weight=WG, groups=2, pad_type="custom", pad=[1, 0, 2, 1]), {"x": PLANE},
    lambda x: ref.conv(x, WG, None, None, [(1, 0), (2, 1)], None, 2))  # fmt: skip
case("conv of each channel", lambda x: mb.conv(x=x, weight=WD, groups=4), {"x": PLANE},
     lambda x: ref.conv(x, WD, groups=4))  # fmt: skip
W1, W3 = floats(4, 3, 3), floats(3, 2, 2, 3, 2)
case("conv of lines", lambda x: mb.conv(x=x, weight=W1, strides=[2]), {"x": LINE},
     lambda x: ref.conv(x, W1, None, [2]))  # fmt: skip
case("conv of cubes", lambda x: mb.conv(x=x, weight=W3), {"x": CUBE}, lambda x: ref.conv(x, W3))
WT = floats(4, 3, 3, 2)
case("conv_transpose", lambda x: mb.conv_transpose(
    x=x, weight=WT, bias=floats(3) * 0 + 0.5, strides=[2, 3], pad_type="custom",
    pad=[1, 0, 0, 1]), {"x": PLANE}, lambda x: ref.conv_transpose(
    x, WT, np.full(3, 0.5), [2, 3], [(1, 0), (0, 1)]))  # fmt: skip
case("conv_transpose same", lambda x: mb.conv_transpose(
    x=x, weight=WT, strides=[2, 1], pad_type="same"), {"x": PLANE},
    lambda x: ref.conv_transpose(x, WT, None, [2, 1], [(0, 1), (0, 1)]))  # fmt: skip
case("conv_transpose in groups", lambda x: mb.conv_transpose(
    x=x, weight=WT[:, :2], groups=2, strides=[2, 2]), {"x": PLANE},
    lambda x: ref.conv_transpose(x, WT[:, :2], None, [2, 2], groups=2))  # fmt: skip
case("conv_transpose to a shape", lambda x: mb.conv_transpose(
    x=x, weight=WT, strides=[2, 2], pad_type="same", output_shape=[1, 3, 13, 11]), {"x": PLANE},
    lambda x: ref.conv_transpose(x, WT, None, [2, 2], [(1, 1), (0, 1)], out=[13, 11]))  # fmt: skip
for op, kind in (("avg_pool", "average"), ("max_pool", "max"), ("l2_pool", "l2")):
    told = {"kernel_sizes": [3, 2], "strides": [2, 2]}
    case(op, lambda x, op=op, t=told: getattr(mb, op)(x=x, pad_type="valid", **t), {"x": PLANE},
         lambda x, k=kind: ref.pool(x, k, (3, 2), (2, 2)))  # fmt: skip
    case(f"{op} same", lambda x, op=op, t=told: getattr(mb, op)(x=x, pad_type="same", **t),
         {"x": PLANE}, lambda x, k=kind: ref.pool(
             x, k, (3, 2), (2, 2), ref.same((7, 6), (3, 2), (2, 2))))  # fmt: skip
    case(f"{op} ceil", lambda x, op=op, t=told: getattr(mb, op)(
        x=x, pad_type="custom", pad=[1, 1, 0, 0], ceil_mode=True, kernel_sizes=[3, 3],
        strides=[3, 2]), {"x": PLANE}, lambda x, k=kind: ref.pool(
        x, k, (3, 3), (3, 2), [(1, 1), (0, 0)], ceil=True))  # fmt: skip
case("avg_pool without padding", lambda x: mb.avg_pool(
    x=x, kernel_sizes=[3, 2], pad_type="custom", pad=[1, 1, 1, 0],
    exclude_padding_from_average=True), {"x": PLANE}, lambda x: ref.pool(
    x, "average", (3, 2), None, [(1, 1), (1, 0)], exclude=True))  # fmt: skip
case("max_pool of cubes", lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2, 2], pad_type="valid"),
     {"x": CUBE}, lambda x: ref.pool(x, "max", (2, 2, 2)))  # fmt: skip
case("max_pool of lines", lambda x: mb.max_pool(x=x, kernel_sizes=[2], pad_type="valid"),
     {"x": LINE}, lambda x: ref.pool(x, "max", (2,)))  # fmt: skip
WL, BL = floats(5, 4), floats(5)
case("linear", lambda x: mb.linear(x=x, weight=WL, bias=BL), {"x": X[0]})
case("linear of more axes", lambda x: mb.linear(x=x, weight=WL, bias=BL), {"x": X})
M, N = floats(2, 3, 4), floats(2, 5, 4)
case("matmul", lambda x, y: mb.matmul(x=x, y=y, transpose_y=True), {"x": M, "y": N})
case("matmul turned", lambda x, y: mb.matmul(x=x, y=y, transpose_x=True),
     {"x": M, "y": floats(2, 3, 2)})  # fmt: skip
case("einsum", lambda x, y: mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"),
     {"x": floats(2, 3, 4, 5), "y": floats(2, 5, 4, 2)},
     lambda x, y: np.einsum("nchw,nwhu->nchu", x, y))  # fmt: skip
Q, K, V = floats(2, 3, 4), floats(2, 5, 4), floats(2, 5, 6)
case("attention", lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v),
     {"q": Q, "k": K, "v": V}, target=18)  # fmt: skip
case("attention with a mask", lambda q, k, v, m: mb.scaled_dot_product_attention(
    query=q, key=k, value=v, attn_mask=m),
    {"q": Q, "k": K, "v": V, "m": floats(3, 5) > -1.0}, target=18)  # fmt: skip

# --- normalisation and reductions -------------------------------------------------------------

MEAN, VAR, GAMMA, SHIFT = floats(3), floats(3, low=0.5), floats(3), floats(3)


def over(v):
    return v.reshape(3, 1, 1)


case("batch_norm", lambda x: mb.batch_norm(
    x=x, mean=MEAN, variance=VAR, gamma=GAMMA, beta=SHIFT, epsilon=1e-3), {"x": IMAGE},
    lambda x: (x - over(MEAN)) / np.sqrt(over(VAR) + 1e-3) * over(GAMMA) + over(SHIFT))  # fmt: skip
case(
    "instance_norm",
    lambda x: mb.instance_norm(x=x, gamma=GAMMA, beta=SHIFT, epsilon=1e-3),
    {"x": IMAGE},
    lambda x: ref.normalised(x, (2, 3), 1e-3) * over(GAMMA) + over(SHIFT),
)
case("layer_norm", lambda x: mb.layer_norm(
    x=x, axes=[2, 3], gamma=GN, beta=GN * 2, epsilon=1e-3), {"x": IMAGE},
    lambda x: ref.normalised(x, (2, 3), 1e-3) * GN + GN * 2)  # fmt: skip
GN = floats(4, 5)
case("layer_norm of an inner axis", lambda x: mb.layer_norm(
    x=x, axes=[1], gamma=GAMMA, beta=SHIFT, epsilon=1e-3), {"x": IMAGE},
    lambda x: ref.normalised(x, (1,), 1e-3) * over(GAMMA) + over(SHIFT))  # fmt: skip
case("l2_norm", lambda x: mb.l2_norm(x=x, epsilon=1e-3), {"x": IMAGE},
     lambda x: x / np.sqrt((x**2).sum((1, 2, 3), keepdims=True) + 1e-3))  # fmt: skip
case("local_response_norm", lambda x: mb.local_response_norm(
    x=x, size=3, alpha=0.3, beta=0.75, k=2.0), {"x": floats(1, 5, 3, 2)},
    lambda x: ref.lrn(x, 3, 0.3, 0.75, 2.0))  # fmt: skip
for op in ("l1_norm", "l2_norm", "log_sum", "log_sum_exp", "max", "mean", "min", "prod", "sum",
           "sum_square"):  # fmt: skip
    data = abs(X) if op == "log_sum" else X
    case(f"reduce_{op}", lambda x, op=op: getattr(mb, f"reduce_{op}")(
        x=x, axes=[0, -1], keep_dims=True), {"x": data})  # fmt: skip
case("reduce_sum of all", lambda x: mb.reduce_sum(x=x), {"x": X})
case("reduce_argmax", lambda x: mb.reduce_argmax(x=x, axis=1), {"x": X})
case("reduce_argmin", lambda x: mb.reduce_argmin(x=x, axis=-1, keep_dims=True), {"x": X})
case("topk", lambda x: mb.topk(x=x, k=2, axis=1), {"x": X})
case("topk ascending", lambda x: mb.topk(x=x, k=3, axis=-1, ascending=True), {"x": X})
case("argsort", lambda x: mb.argsort(x=x, axis=-1, ascending=True), {"x": X})
case("cumsum", lambda x: mb.cumsum(x=x, axis=1, exclusive=True, reverse=True), {"x": X},
     lambda x: np.flip(np.cumsum(np.flip(x, 1), 1), 1) - x, own=False)  # fmt: skip
