"""The names of functions that are nodes of a graph: Keras 3's operations, and TensorFlow's in
functional models of Keras 2 (``TFOpLambda``). Neither holds code: a name, and arguments."""

from __future__ import annotations

from collections.abc import Sequence

from .activations import ACTIVATIONS
from .context import Converter, KerasContext
from .operations import (
    any_or_all,
    applied,
    binary,
    broadcast,
    cast,
    clip,
    concat,
    copied,
    einsum,
    expand,
    filled_with,
    first,
    floor_div,
    gather,
    gelu,
    item,
    leaky,
    logical,
    matmul,
    moved,
    padded,
    position,
    reduced,
    relu_of,
    reshape,
    resize,
    rsqrt,
    softmax,
    split,
    square,
    squeeze,
    stack,
    tile,
    transpose,
    unary,
    variance,
    where_of,
)


def _lambda(n: KerasContext) -> Sequence[str] | str:
    """``TFOpLambda`` and ``SlicingOpLambda``: the function that it names."""
    name = str(n.opt("function")).replace("compat.v1.", "")
    convert = TENSORFLOW.get(name)
    if convert is None:
        n.unsupported(f"TensorFlow's function {name!r}")
    n.op = f"tf.{name}"
    return convert(n)


_UNARY = {
    "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Sin": "sin", "Cos": "cos", "Tan": "tan",
    "Tanh": "tanh", "Sinh": "sinh", "Cosh": "cosh", "Arcsin": "asin", "Arccos": "acos",
    "Arctan": "atan", "Arcsinh": "asinh", "Arccosh": "acosh", "Arctanh": "atanh", "Erf": "erf",
    "Sigmoid": "sigmoid", "Softplus": "softplus", "Softsign": "softsign", "Reciprocal":
    "reciprocal",
}  # fmt: skip
_ANY_TYPE = {
    "Absolute": "abs", "Abs": "abs", "Fabs": "abs", "Negative": "neg", "Floor": "floor",
    "Ceil": "ceil", "Round": "round", "Sign": "sign",
}  # fmt: skip
_BINARY = {
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "Power": "pow", "Maximum": "maximum",
    "Minimum": "minimum", "Mod": "mod", "Equal": "equal", "NotEqual": "not_equal",
    "Greater": "greater", "GreaterEqual": "greater_or_equal", "Less": "less",
    "LessEqual": "less_or_equal",
}  # fmt: skip
_ALIKE = {
    "Relu6": "relu6", "Silu": "silu", "Selu": "selu", "Elu": "elu", "Celu": "celu",
    "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu", "HardTanh": "hard_tanh",
    "LogSigmoid": "log_sigmoid", "Squareplus": "squareplus", "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid", "TanhShrink": "tanh_shrink", "SoftShrink": "soft_shrink",
    "HardShrink": "hard_shrink", "Mish": "mish",
}  # fmt: skip
OPERATIONS: dict[str, Converter] = {
    **{k: unary(op) for k, op in _UNARY.items()},
    **{k: unary(op, float_only=False) for k, op in _ANY_TYPE.items()},
    **{k: binary(op) for k, op in _BINARY.items()},
    **{k: applied(ACTIVATIONS[name]) for k, name in _ALIKE.items()},
    "Divide": binary("div", float_only=True),
    "TrueDivide": binary("div", float_only=True),
    "FloorDivide": floor_div,
    "LogicalAnd": logical("and"),
    "LogicalOr": logical("or"),
    "LogicalXor": logical("xor"),
    "LogicalNot": lambda n: n.add("not", [n.to(first(n), "bool")]),
    "Sum": reduced("reduce_sum"),
    "Mean": reduced("reduce_mean"),
    "Max": reduced("reduce_max"),
    "Min": reduced("reduce_min"),
    "Prod": reduced("reduce_prod"),
    "Logsumexp": reduced("reduce_log_sum_exp"),
    "Any": any_or_all("reduce_max"),
    "All": any_or_all("reduce_min"),
    "Var": variance(False),
    "Std": variance(True),
    "Argmax": position("arg_max"),
    "Argmin": position("arg_min"),
    "Reshape": reshape,
    "Transpose": transpose,
    "Swapaxes": moved,
    "Moveaxis": moved,
    "ExpandDims": expand,
    "Squeeze": squeeze,
    "Concatenate": concat,
    "Stack": stack,
    "Split": split,
    "Where": where_of,
    "Matmul": matmul,
    "Einsum": einsum,
    "GetItem": item,
    "Clip": clip,
    "Pad": padded,
    "Cast": cast,
    "Take": gather,
    "Tile": tile,
    "BroadcastTo": broadcast,
    "Relu": relu_of,
    "LeakyRelu": leaky,
    "Gelu": gelu,
    "Softmax": softmax("softmax"),
    "LogSoftmax": softmax("log_softmax"),
    "Resize": resize,
    "Square": applied(square),
    "Rsqrt": applied(rsqrt),
    "StopGradient": copied,
    "Copy": copied,
    "ConvertToTensor": copied,
    "ZerosLike": filled_with(0),
    "OnesLike": filled_with(1),
}
_NAMES = {
    "math.add": "Add", "__operators__.add": "Add", "math.subtract": "Subtract",
    "math.multiply": "Multiply", "math.truediv": "TrueDivide", "math.divide": "Divide",
    "math.floordiv": "FloorDivide", "math.pow": "Power", "math.maximum": "Maximum",
    "math.minimum": "Minimum", "math.floormod": "Mod", "math.equal": "Equal",
    "math.not_equal": "NotEqual", "__operators__.eq": "Equal", "__operators__.ne": "NotEqual",
    "math.greater": "Greater", "math.greater_equal": "GreaterEqual", "math.less": "Less",
    "math.less_equal": "LessEqual", "math.logical_and": "LogicalAnd",
    "math.logical_or": "LogicalOr", "math.logical_not": "LogicalNot", "math.abs": "Absolute",
    "math.negative": "Negative", "math.floor": "Floor", "math.ceil": "Ceil",
    "math.round": "Round", "math.sign": "Sign", "math.exp": "Exp", "math.log": "Log",
    "math.sqrt": "Sqrt", "math.rsqrt": "Rsqrt", "math.square": "Square", "math.sin": "Sin",
    "math.cos": "Cos", "math.tan": "Tan", "math.tanh": "Tanh", "math.erf": "Erf",
    "math.sigmoid": "Sigmoid", "math.softplus": "Softplus", "nn.softsign": "Softsign",
    "math.reciprocal": "Reciprocal", "math.reduce_sum": "Sum", "math.reduce_mean": "Mean",
    "math.reduce_max": "Max", "math.reduce_min": "Min", "math.reduce_prod": "Prod",
    "math.reduce_any": "Any", "math.reduce_all": "All", "math.reduce_variance": "Var",
    "math.reduce_std": "Std", "math.reduce_logsumexp": "Logsumexp", "math.argmax": "Argmax",
    "math.argmin": "Argmin", "reshape": "Reshape", "transpose": "Transpose",
    "expand_dims": "ExpandDims", "squeeze": "Squeeze", "concat": "Concatenate",
    "stack": "Stack", "split": "Split", "where": "Where", "linalg.matmul": "Matmul",
    "__operators__.getitem": "GetItem", "clip_by_value": "Clip", "pad": "Pad", "cast": "Cast",
    "gather": "Take", "tile": "Tile", "broadcast_to": "BroadcastTo", "nn.relu": "Relu",
    "nn.relu6": "Relu6", "nn.leaky_relu": "LeakyRelu", "nn.gelu": "Gelu", "nn.silu": "Silu",
    "nn.swish": "Silu", "nn.elu": "Elu", "nn.selu": "Selu", "nn.softmax": "Softmax",
    "nn.log_softmax": "LogSoftmax", "image.resize": "Resize", "identity": "Copy",
    "stop_gradient": "StopGradient", "zeros_like": "ZerosLike", "ones_like": "OnesLike",
    "convert_to_tensor": "ConvertToTensor", "nn.sigmoid": "Sigmoid", "nn.tanh": "Tanh",
}  # fmt: skip
TENSORFLOW: dict[str, Converter] = {k: OPERATIONS[v] for k, v in _NAMES.items()}
CONVERTERS: dict[str, Converter] = {
    **{f"ops.{k}": c for k, c in OPERATIONS.items()},
    "TFOpLambda": _lambda,
    "SlicingOpLambda": _lambda,
}
