"""Cases of TensorFlow's operators: of elements, along axes, of matrices."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

raw, v1 = tf.raw_ops, tf.compat.v1
RNG = np.random.default_rng(5)
KEPT: dict[str, np.ndarray] = {}


def real(*shape: int, low: float = -2, high: float = 2) -> np.ndarray:
    """Seeded numbers."""
    return (RNG.random(shape) * (high - low) + low).astype(np.float32)


def whole(*shape: int, low: int = -9, high: int = 10, dtype=np.int32) -> np.ndarray:
    """Seeded integers."""
    return RNG.integers(low, high, shape).astype(dtype)


def case(label: str, build, *arrays: np.ndarray) -> None:
    """A graph of placeholders a, b, c … and what ``build`` makes of them; and its answers."""
    graph = tf.Graph()
    with graph.as_default():
        given = [
            raw.Placeholder(dtype=tf.as_dtype(a.dtype), shape=a.shape, name="abcdefg"[k])
            for k, a in enumerate(arrays)
        ]
        made = tf.nest.flatten(build(*given))
        outputs = [raw.Identity(input=t, name=f"out{k}") for k, t in enumerate(made)]
        with v1.Session(graph=graph) as session:
            answers = session.run(outputs, dict(zip(given, arrays)))
    data = graph.as_graph_def().SerializeToString()
    KEPT[f"{label}/graph"] = np.frombuffer(data, np.uint8)
    for k, a in enumerate(arrays):
        KEPT[f"{label}/in/{'abcdefg'[k]}"] = a
    for k, a in enumerate(answers):
        KEPT[f"{label}/out/{k}"] = np.asarray(a)


def element_wise() -> None:
    """One input, or two that broadcast."""
    x = real(3, 4)
    for name in (
        "Abs",
        "Atan",
        "Ceil",
        "Cos",
        "Cosh",
        "Erf",
        "Erfc",
        "Exp",
        "Expm1",
        "Floor",
        "IsFinite",
        "IsInf",
        "IsNan",
        "Neg",
        "OnesLike",
        "Reciprocal",
        "Rint",
        "Round",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Square",
        "Tan",
        "Tanh",
        "ZerosLike",
    ):
        case(name, lambda a, name=name: getattr(raw, name)(x=a), x)
    case("Round halves", lambda a: raw.Round(x=a), np.array([-2.5, -1.5, 0.5, 1.5], np.float32))
    odd = np.array([np.inf, -np.inf, np.nan, 0, 1], np.float32)
    for name in ("IsFinite", "IsInf", "IsNan"):
        case(f"{name} odd", lambda a, name=name: getattr(raw, name)(x=a), odd)
    small = np.array([1e-7, -1e-6, 1e-3, 0, 0.4, -0.6, 3, 20], np.float32)
    case("Expm1 small", lambda a: raw.Expm1(x=a), small)
    case("Log1p small", lambda a: raw.Log1p(x=a), np.abs(small))
    for name in ("Elu", "Relu", "Relu6", "Selu", "Softplus", "Softsign"):
        case(name, lambda a, name=name: getattr(raw, name)(features=a), x * 4)
    case("LeakyRelu", lambda a: raw.LeakyRelu(features=a, alpha=0.3), x)
    for name in ("Acos", "Asin", "Atanh"):
        case(name, lambda a, name=name: getattr(raw, name)(x=a), real(7, low=-0.9, high=0.9))
    for name in ("Acosh", "Log", "Log1p", "Rsqrt", "Sqrt"):
        case(name, lambda a, name=name: getattr(raw, name)(x=a), real(7, low=1.1, high=4))
    case("Asinh", lambda a: raw.Asinh(x=a), x)
    y = real(4)
    for name in (
        "Add",
        "AddV2",
        "Atan2",
        "Div",
        "DivNoNan",
        "Equal",
        "FloorDiv",
        "FloorMod",
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "Maximum",
        "Minimum",
        "Mod",
        "Mul",
        "NotEqual",
        "RealDiv",
        "SquaredDifference",
        "Sub",
        "Xdivy",
    ):
        key = ("y", "x") if name == "Atan2" else ("x", "y")
        case(name, lambda a, b, n=name, k=key: getattr(raw, n)(**{k[0]: a, k[1]: b}), x, y)
    for name in ("DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py"):
        case(
            f"{name} zero",
            lambda a, b, n=name: getattr(raw, n)(x=a, y=b),
            np.array([0, 1, 2, 0], np.float32),
            np.array([0, 0, 3, np.inf], np.float32),
        )
    p, q = whole(12), np.array([3, -3, 4, -5, 7, -2] * 2, np.int32)
    for name in (
        "FloorDiv",
        "FloorMod",
        "TruncateDiv",
        "TruncateMod",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
    ):
        case(f"{name} int", lambda a, b, n=name: getattr(raw, n)(x=a, y=b), p, q)
    case("Pow", lambda a, b: raw.Pow(x=a, y=b), real(3, 4, low=0.1), y)
    case("Invert", lambda a: raw.Invert(x=a), p)
    case("LeftShift", lambda a, b: raw.LeftShift(x=a, y=b), p, np.abs(q))
    case("RightShift", lambda a, b: raw.RightShift(x=a, y=b), p, np.abs(q))
    t, f = np.array([True, False, True]), np.array([True, True, False])
    case("LogicalAnd", lambda a, b: raw.LogicalAnd(x=a, y=b), t, f)
    case("LogicalOr", lambda a, b: raw.LogicalOr(x=a, y=b), t, f)
    case("LogicalNot", lambda a: raw.LogicalNot(x=a), t)
    case("ApproximateEqual", lambda a, b: raw.ApproximateEqual(x=a, y=b, tolerance=0.5), x, x + 0.4)
    case("AddN", lambda a, b: raw.AddN(inputs=[a, b, a]), x, x + 1)
    case("Cast", lambda a: [raw.Cast(x=a, DstT=tf.int32), raw.Cast(x=a, DstT=tf.bool)], x)
    case("Bitcast", lambda a: raw.Bitcast(input=a, type=tf.int32), x)
    case("ClipByValue", lambda a: raw.ClipByValue(t=a, clip_value_min=-0.5, clip_value_max=0.7), x)
    case("Prelu", lambda a, b: tf.nn.relu(a) + b * (a - tf.abs(a)) * 0.5, x, y)
    case("Select", lambda a, b, c: raw.Select(condition=a, x=b, y=c), t, x, -x)
    case("Select same", lambda a, b: raw.Select(condition=a > b, x=a, y=b), x, x[::-1])
    case("SelectV2", lambda a, b, c: raw.SelectV2(condition=a, t=b, e=c), t[:, None], x, y)
    case("Cross", lambda a, b: raw.Cross(a=a, b=b), real(4, 3), real(4, 3))


def reductions() -> None:
    """Along axes."""
    x = real(2, 3, 4)
    for name in ("Sum", "Mean", "Max", "Min", "Prod", "EuclideanNorm"):
        fn = getattr(raw, name)
        case(
            name,
            lambda a, fn=fn: [
                fn(input=a, axis=[-1, 0], keep_dims=False),
                fn(input=a, axis=1, keep_dims=True),
            ],
            x,
        )
    for name in ("All", "Any"):
        fn = getattr(raw, name)
        case(name, lambda a, fn=fn: fn(input=a > 0, axis=[1], keep_dims=False), x)
    case(
        "ArgMax",
        lambda a: [
            raw.ArgMax(input=a, dimension=1),
            raw.ArgMin(input=a, dimension=-1, output_type=tf.int32),
        ],
        x,
    )
    for name in ("Cumsum", "Cumprod"):
        fn = getattr(raw, name)
        case(
            name,
            lambda a, fn=fn: [
                fn(x=a, axis=1),
                fn(x=a, axis=-1, exclusive=True),
                fn(x=a, axis=0, reverse=True),
            ],
            x,
        )
    case("Softmax", lambda a: [raw.Softmax(logits=a), raw.LogSoftmax(logits=a)], x)
    ties = np.array([[3, 1, 3, 2], [0, 5, 5, 5]], np.float32)
    case("TopKV2", lambda a: list(raw.TopKV2(input=a, k=3)), ties)
    case(
        "InTopKV2",
        lambda a, b: raw.InTopKV2(predictions=a, targets=b, k=2),
        real(4, 5),
        whole(4, low=0, high=5),
    )
    ids = np.array([0, 0, 2, 3, 3], np.int32)
    for name in ("SegmentSum", "SegmentMean", "SegmentProd", "SegmentMax", "SegmentMin"):
        fn = getattr(raw, name)
        case(name, lambda a, fn=fn: fn(data=a, segment_ids=tf.constant(ids)), real(5, 3))
    for name in ("Sum", "Prod", "Max", "Min"):
        fn = getattr(raw, f"UnsortedSegment{name}")
        case(
            f"UnsortedSegment{name}",
            lambda a, b, fn=fn: fn(data=a, segment_ids=b, num_segments=5),
            real(5, 3),
            np.array([4, 0, -1, 0, 2], np.int32),
        )


def products() -> None:
    """Matrices."""
    a, b = real(2, 3, 4), real(2, 4, 5)
    case(
        "MatMul",
        lambda x, y: [
            raw.MatMul(a=x, b=y),
            raw.MatMul(a=x, b=x, transpose_b=True),
            raw.MatMul(a=x, b=x, transpose_a=True),
        ],
        a[0],
        b[0],
    )
    case(
        "BatchMatMulV2",
        lambda x, y: [raw.BatchMatMulV2(x=x, y=y), raw.BatchMatMulV2(x=x, y=x[:1], adj_y=True)],
        a,
        b,
    )
    case("BatchMatMul", lambda x, y: raw.BatchMatMul(x=x, y=y), a, b)
    case("Einsum", lambda x, y: raw.Einsum(inputs=[x, y], equation="bij,bjk->bki"), a, b)
