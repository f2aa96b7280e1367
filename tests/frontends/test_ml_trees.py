"""Ensembles of decision trees of ai.onnx.ml, beside ONNX Runtime."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import weft
from onnx import TensorProto, numpy_helper
from support.contrib import Node
from support.random_trees import MODES, RandomTrees, rows
from weft.compiler.frontends.onnx.importer import ModelWarning
from weft.runtime.errors import ModelError, UnsupportedError

ML = partial(Node, domain="ai.onnx.ml", opset=3)
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
AGGREGATES = ("SUM", "AVERAGE", "MIN", "MAX")
UNIT = {"low": 0.0}


def regressor(
    seed: int, targets: int, alone: bool = False, low: float = -1.0, **attrs: Any
) -> Node:
    """A random TreeEnsembleRegressor on random data."""
    rng = np.random.default_rng(seed)
    trees = RandomTrees(
        rng, modes=MODES if seed % 2 else MODES[seed % 3 :][:1], missing=seed % 4 > 1
    )
    weights = trees.weights("target", range(targets), low, alone)
    given = {"n_targets": targets, **trees.attributes(), **weights, **attrs}
    return ML("TreeEnsembleRegressor", [rows(rng, 9, 3)], given, note=f"seed {seed}")


def classifier(
    seed: int, ids: tuple[int, ...], labels: list[int], low: float = -1.0, alone: bool = False,
    opset: int = 3, **attrs: Any,
) -> Node:  # fmt: skip
    """A random TreeEnsembleClassifier with weights of the classes ``ids``."""
    rng = np.random.default_rng(seed)
    trees = RandomTrees(rng, count=6, missing=bool(seed % 2))
    weights = trees.weights("class", ids, low, alone)
    if len(ids) == 1:  # sums on both sides of the threshold
        weights["class_weights"] = [w / 3 for w in weights["class_weights"]]
    given = {"classlabels_int64s": labels, **trees.attributes(), **weights, **attrs}
    note = f"seed {seed} ids {ids}"
    return ML(
        "TreeEnsembleClassifier", [rows(rng, 17, 3)], given, outputs=(1, 1), note=note, opset=opset
    )


def short(node: Node) -> str:
    """The attributes that are numbers or few."""
    attrs = {k: v for k, v in node.attrs.items() if not isinstance(v, list) or len(v) < 4}
    return f"{node.op} {node.note} {node.inputs[0].dtype} " + ",".join(
        f"{k}={v}" for k, v in attrs.items() if isinstance(v, int | str | list)
    )


REGRESSORS = [
    *(regressor(seed, targets) for seed in range(12) for targets in (1, 3)),
    *(
        regressor(seed, targets, aggregate_function=a, base_values=[0.5, -1.0, 2.0][:targets])
        for seed, a in enumerate(AGGREGATES)
        for targets in (1, 3)
    ),
    *(regressor(seed, 3, alone=True, aggregate_function=a) for seed, a in enumerate(AGGREGATES)),
    *(
        regressor(4, t, low=0.0, post_transform=p, aggregate_function="AVERAGE")
        for p in TRANSFORMS
        for t in (1, 3)
    ),
]

CLASSIFIERS = [
    *(
        classifier(seed, (0, 1, 2, 3), [4, 0, 7, 2], post_transform=p, alone=bool(seed % 2))
        for seed, p in enumerate(TRANSFORMS[:4])
    ),
    classifier(1, (0, 1, 2), [0, 1, 2], base_values=[0.1, 0.2, -0.3], opset=1),
    classifier(2, (0, 2), [5, 6, 7], low=-1.0, alone=True),
    *(
        classifier(seed, (k,), [8, 3], low, post_transform=p)
        for seed in (1, 2)
        for k in (0, 1)
        for low in (-1.0, 0.0)
        for p in TRANSFORMS[:4]
    ),
    *(
        classifier(3, (0,), [0, 1], low, post_transform=p, base_values=[0.25])
        for low in (-1.0, 0.0)
        for p in TRANSFORMS[:4]
    ),
]


def typed(node: Node, x: np.ndarray) -> Node:
    """The node on other data."""
    return Node(node.op, [x], node.attrs, (), node.outputs, node.domain, node.opset, note="typed")


OTHER_DATA = [
    typed(node, x)
    for node in (regressor(0, 1), regressor(1, 3), classifier(2, (0, 1, 2), [3, 1, 2]))
    for x in (
        rows(np.random.default_rng(1), 6, 3).astype(np.float64),
        np.random.default_rng(1).normal(size=(6, 3)),
        rows(np.random.default_rng(3), 1, 3),
        rows(np.random.default_rng(3), 5, 7),
        rows(np.random.default_rng(3), 0, 3),
    )
]

SETS = ([0.0, 0.75], [2.0], [0.0, 2.0], [0.0, 0.1, 0.75, 2.0, 5.0, 30.0])
LARGE = ([*map(float, range(-40, 40, 2))], [-3.0, 1.0, 2.0], [1e6, -7.0])


def ensemble(seed: int, dtype: str, targets: int, **attrs: Any) -> Node:
    """A random TreeEnsemble, of opset 5."""
    rng = np.random.default_rng(seed)
    modes = ("BRANCH_LEQ", "BRANCH_EQ") if seed % 2 else MODES
    trees = RandomTrees(rng, modes=modes, missing=seed % 4 > 1)
    given = {**trees.opset5(dtype, targets, SETS if seed % 2 else ()), **attrs}
    return ML("TreeEnsemble", [rows(rng, 9, 3).astype(dtype)], given, opset=5, note=f"seed {seed}")


ENSEMBLES = [
    *(ensemble(s, d, t) for s in range(6) for d in ("float32", "float64") for t in (1, 3)),
    *(
        ensemble(7, "float32", 2, aggregate_function=a, post_transform=p)
        for a, p in enumerate((0, 3, 0, 3))
    ),
    *(ensemble(8, "float32", 1, aggregate_function=a, post_transform=a) for a in range(4)),
]


@pytest.mark.parametrize("node", [*REGRESSORS, *CLASSIFIERS, *OTHER_DATA, *ENSEMBLES], ids=short)
def test_as_onnx_runtime(node: Node) -> None:
    node.check()


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(dtype: str) -> None:
    """ONNX Runtime's regressor has no kernel for them: as float32."""
    node = regressor(5, 3)
    x = np.random.default_rng(2).integers(-2, 3, (6, 3), dtype)
    typed(node, x).check(typed(node, x.astype(np.float32)).onnx_runtime())
    typed(classifier(4, (0, 1, 2), [3, 1, 2]), x).check()


@pytest.mark.parametrize("missing", [False, True])
def test_members_of_large_sets(missing: bool) -> None:
    """Of integers alone: ONNX Runtime takes 2.5 for 2, against the standard."""
    rng = np.random.default_rng(6)
    trees = RandomTrees(rng, modes=("BRANCH_EQ",), missing=missing)
    x = rng.integers(-9, 9, (40, 3)).astype(np.float32)
    ML("TreeEnsemble", [x], trees.opset5("float32", 2, LARGE), opset=5).check()
    attrs = trees.opset5("float32", 2, LARGE)
    nowhere = ML("TreeEnsemble", [x + np.float32(0.5)], attrs, opset=5)
    outside = ML("TreeEnsemble", [np.full_like(x, 77)], attrs, opset=5)
    nowhere.check(outside.onnx_runtime())


@pytest.mark.parametrize("number", [1, 2])
def test_the_numbers_of_transforms_are_the_standards(number: int) -> None:
    """1 is SOFTMAX and 2 LOGISTIC; ONNX Runtime has them the other way round."""
    ours, theirs = (ensemble(9, "float32", 3, post_transform=p) for p in (number, 3 - number))
    with pytest.warns(ModelWarning, match="as the standard says"):
        ours.check(theirs.onnx_runtime())


def test_half_precision() -> None:
    """ONNX Runtime has no kernel for it: in float32, rounded at the end."""
    half = ensemble(2, "float16", 1)
    attrs = {
        k: numpy_helper.from_array(numpy_helper.to_array(v).astype(np.float32), k)
        if isinstance(v, TensorProto) and v.data_type == TensorProto.FLOAT16
        else v
        for k, v in half.attrs.items()
    }
    (x,) = half.feed.values()
    single = ML("TreeEnsemble", [x.astype(np.float32)], attrs, opset=5)
    half.check([y.astype(np.float16) for y in single.onnx_runtime()])


@pytest.mark.parametrize("labels", [[0, 1], [8, 3]])
def test_two_classes_of_weights_take_the_greater(labels: list[int]) -> None:
    """Here ONNX Runtime gives 0 and 1 whatever the labels, against the standard; scores agree."""
    node = classifier(5, (0, 1), labels)
    with pytest.warns(ModelWarning, match="two classes with weights of their own"):
        exe = weft.compile(node.model, target="llvm")
    label, score = exe.run(node.feed).values()
    np.testing.assert_allclose(score, node.onnx_runtime()[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(label, np.array(labels)[score.argmax(1)])


def changed(node: Node, **attrs: Any) -> Node:
    return ML(node.op, node.inputs, {**node.attrs, **attrs}, outputs=node.outputs, opset=node.opset)


SOUND, TWO = regressor(0, 1), classifier(1, (0,), [0, 1])
LOOP = {
    "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.0] * 3, "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
    "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 2, 0],
    "target_treeids": [0], "target_nodeids": [2], "target_ids": [0], "target_weights": [1.0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("node", "error", "message"),
    [
        (ML("TreeEnsembleRegressor", [rows(np.random.default_rng(0), 2, 3)], LOOP),
         UnsupportedError, "cyclic"),
        (changed(SOUND, nodes_values=[1.0]), ModelError, "1 thresholds"),
        (changed(SOUND, nodes_featureids=[9] * len(SOUND.attrs["nodes_values"])),
         ModelError, "feature 9"),
        (changed(SOUND, target_ids=[1] * len(SOUND.attrs["target_ids"])), ModelError, "target"),
        (changed(SOUND, nodes_truenodeids=[77] * len(SOUND.attrs["nodes_values"])),
         ModelError, "leads to 77"),
        (changed(SOUND, nodes_modes=["BRANCH_MEMBER"] * len(SOUND.attrs["nodes_values"])),
         UnsupportedError, "BRANCH_MEMBER"),
        (changed(SOUND, aggregate_function="PRODUCT"), ModelError, "PRODUCT"),
        (changed(TWO, post_transform="PROBIT"), UnsupportedError, "PROBIT"),
        (changed(TWO, base_values=[0.1, 0.2]), UnsupportedError, "2 base values"),
        (changed(TWO, classlabels_int64s=[4]), UnsupportedError, "one class"),
        (changed(ensemble(0, "float32", 1), tree_roots=[99]), ModelError, "root"),
    ],
    ids=lambda v: "" if not isinstance(v, str) else v,
)  # fmt: skip
def test_refused(node: Node, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        weft.load(node.model)
