"""Support vector machines of ai.onnx.ml: SVMRegressor and SVMClassifier."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from .compose import cast, number, op, reshape
from .context import Converter, NodeContext
from .ml_features import matrix
from .ml_labels import ClassLabels, both, transform_of, transformed


def _kernel(n: NodeContext, vectors: np.ndarray) -> str:
    """The kernel of each row with each of ``vectors``: ``[rows, vectors]``, float32."""
    kind, parameters = n.attr("kernel_type", "LINEAR"), n.attr("kernel_params", ())
    if len(parameters) not in (0, 3):
        n.error(f"it has {len(parameters)} kernel_params, not gamma, coef0 and degree.")
    gamma, shift, degree = parameters or (0.0, 0.0, 0.0)
    x, rows, features = matrix(n)
    x = cast(n, x, "float32")
    if kind == "RBF":
        apart = op(n, "sub", reshape(n, x, (rows, 1, features)), n.constant(vectors))
        far = n.add("reduce_sum_square", [apart], axes=(2,), keepdims=False)
        return op(n, "exp", op(n, "mul", far, number(n, -gamma, x)))
    product = n.add("gemm", [x, n.constant(vectors)], trans_b=True)
    if kind == "LINEAR":
        return product
    scaled = op(n, "add", op(n, "mul", product, number(n, gamma, x)), number(n, shift, x))
    if kind == "SIGMOID":
        return op(n, "tanh", scaled)
    if kind != "POLY":
        n.error(f"the kernel {kind!r} is none of LINEAR, POLY, RBF and SIGMOID.")
    if degree in (2, 3):
        square = op(n, "mul", scaled, scaled)
        return square if degree == 2 else op(n, "mul", square, scaled)
    return op(n, "pow", scaled, number(n, degree, x))


def _floats(n: NodeContext, name: str, count: int) -> np.ndarray:
    values = np.array(n.attr(name, ()), np.float32)
    if len(values) < count or not count:
        n.error(f"{name!r} has {len(values)} numbers; {count} are needed.")
    return values[:count]


def _regressor(n: NodeContext) -> str:
    """One column; of one class, 1 where it is positive and -1 elsewhere. The post-transform is
    not applied, as in ONNX Runtime."""
    count, (_, _, features) = n.attr("n_supports", 0), matrix(n)
    rho = n.constant(_floats(n, "rho", 1))
    if count > 0:
        vectors = _floats(n, "support_vectors", count * features).reshape(count, features)
        inputs = [_kernel(n, vectors), n.constant(_floats(n, "coefficients", count)[:, None])]
    else:
        x = cast(n, matrix(n)[0], "float32")
        inputs = [x, n.constant(_floats(n, "coefficients", features)[:, None])]
    y = n.add("gemm", [*inputs, rho])
    if not n.attr("one_class", 0):
        return y
    return op(n, "where", op(n, "greater", y, number(n, 0, y)), number(n, 1, y), number(n, -1, y))


def _classifier(n: NodeContext) -> list[str]:
    """A score for each pair of classes, which votes for one of both; the first class of the most
    votes wins (Chang, Lin, "LIBSVM", 2011, §7). Of two classes both get the score."""
    labels, transform = ClassLabels.of(n, "classlabels_ints"), transform_of(n)
    if n.attr("prob_a", ()):
        n.unsupported("probabilities of pairs (prob_a, prob_b), which are coupled by iteration")
    counts, (_, _, features) = n.attr("vectors_per_class", ()), matrix(n)
    if not sum(counts):
        n.unsupported("a classifier without support vectors")
    if len(labels) < 2 or len(counts) != len(labels) or min(counts) < 0:
        n.error(f"it has {len(labels)} labels and vectors_per_class {list(counts)}.")
    pairs, total = list(combinations(range(len(labels)), 2)), sum(counts)
    vectors = _floats(n, "support_vectors", total * features).reshape(total, features)
    given = _floats(n, "coefficients", (len(labels) - 1) * total).reshape(-1, total)
    of_class = np.repeat(np.arange(len(labels)), counts)
    weights = np.zeros((total, len(pairs)), np.float32)
    for_first, for_second = (np.zeros((len(pairs), len(labels)), np.float32) for _ in range(2))
    for p, (i, j) in enumerate(pairs):
        weights[of_class == i, p] = given[j - 1, of_class == i]
        weights[of_class == j, p] = given[i, of_class == j]
        for_first[p, i] = for_second[p, j] = 1
    rho = n.constant(_floats(n, "rho", len(pairs)))
    scores = n.add("gemm", [_kernel(n, vectors), n.constant(weights), rho])
    first = cast(n, op(n, "greater", scores, number(n, 0, scores)), "float32")
    second = op(n, "sub", number(n, 1, first), first)
    votes = op(n, "add", op(n, "matmul", first, n.constant(for_first)),
               op(n, "matmul", second, n.constant(for_second)))  # fmt: skip
    label = labels.at(n, n.add("arg_max", [votes], axis=1, keepdims=False))
    if len(labels) > 2:
        return [label, transformed(n, scores, transform)]
    if transform == "PROBIT":
        n.unsupported("PROBIT of one score of two classes")
    if transform == "LOGISTIC":
        return [label, op(n, "sigmoid", both(n, op(n, "neg", scores), scores))]
    if transform == "NONE":
        return [label, both(n, op(n, "neg", scores), scores)]
    return [label, both(n, op(n, "sub", number(n, 1, scores), scores), scores)]


CONVERTERS: dict[str, Converter] = {"SVMClassifier": _classifier, "SVMRegressor": _regressor}
