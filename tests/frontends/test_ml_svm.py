"""Support vector machines of ai.onnx.ml, beside ONNX Runtime."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import weft
from support.contrib import Data, Node
from weft.runtime.errors import ModelError, UnsupportedError

data = Data(3)
ML = partial(Node, domain="ai.onnx.ml", opset=1)
X = data(7, 3)
KERNELS = (
    ("LINEAR", [0.0, 0.0, 0.0]),
    ("POLY", [0.5, 2.0, 3.0]),
    ("POLY", [0.5, 2.0, 2.0]),
    ("POLY", [0.5, 2.5, 1.5]),
    ("RBF", [0.7, 0.0, 0.0]),
    ("SIGMOID", [0.5, 0.2, 0.0]),
)


def regressor(x: np.ndarray = X, supports: int = 5, **attrs: Any) -> Node:
    given = {
        "n_supports": supports,
        "support_vectors": list(data(supports * 3)),
        "coefficients": list(data(max(supports, 1) * (1 if supports else 3))),
        "rho": [0.3],
        "kernel_params": [0.0, 0.0, 0.0],
    }
    return ML("SVMRegressor", [x], {**given, **attrs})


def classifier(counts: list[int], x: np.ndarray = X, **attrs: Any) -> Node:
    total, pairs = sum(counts), len(counts) * (len(counts) - 1) // 2
    given = {
        "vectors_per_class": counts,
        "support_vectors": list(data(total * 3)),
        "coefficients": list(data((len(counts) - 1) * total)),
        "rho": list(data(pairs)),
        "classlabels_ints": [7, 0, 4, 2][: len(counts)],
        "kernel_type": "RBF",
        "kernel_params": [0.7, 0.0, 0.0],
    }
    return ML("SVMClassifier", [x], {**given, **attrs}, outputs=(1, 1))


NODES = [
    *(regressor(kernel_type=k, kernel_params=p) for k, p in KERNELS),
    *(regressor(x, kernel_type="RBF", kernel_params=[0.7, 0, 0]) for x in (X[0], X[:1])),
    regressor(supports=0),
    regressor(one_class=1),
    *(
        classifier(c, kernel_type=k, kernel_params=p)
        for c in ([3, 2], [2, 3, 1])
        for k, p in KERNELS
    ),
    classifier([2, 1, 3, 2]),
    *(classifier([2, 1, 2], post_transform=p) for p in ("SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")),
    *(classifier([2, 3], post_transform=p) for p in ("SOFTMAX", "LOGISTIC")),
    classifier([2, 1, 2], data.ints(-3, 3, 5, 3, dtype="int64")),
    classifier([2, 1, 2], data(5, 3).astype(np.float64)),
]


@pytest.mark.parametrize("k", range(len(NODES)))
def test_as_onnx_runtime(k: int) -> None:
    NODES[k].check()


def test_refused() -> None:
    proba = classifier([2, 3], prob_a=[0.1], prob_b=[0.2])
    with pytest.raises(UnsupportedError, match="prob_a"):
        weft.load(proba.model)
    with pytest.raises(ModelError, match="coefficients"):
        weft.load(regressor(coefficients=[1.0]).model)
    with pytest.raises(ModelError, match="CUBE"):
        weft.load(regressor(kernel_type="CUBE").model)
