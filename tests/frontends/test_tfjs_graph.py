"""Trained models of TensorFlow.js, against what TensorFlow.js makes of them."""

import numpy as np
import pytest
import weft
from PIL import Image
from support import tf_models
from support.evaluated import evaluated
from support.parity import near
from weft.benchmarks.zoo import packages
from weft.compiler.frontends import table

ANSWERS = tf_models.TESTS / "frontends" / "answers" / "tfjs_graph"


def asked(case):
    """What the judge was shown."""
    return case.asked(lambda name: np.asarray(Image.open(packages.path(name)).convert("RGB")))


def in_order(case, results, answers, what):
    """Boxes in the judge's order. Of those whose scores it holds equal to 1e-5, each is the one
    nearest to the judge's in all that was kept whole; of others the order counts."""
    ranked = [case.outputs.index(name) for name in case.ranked]
    if not ranked:
        return results
    kept = {
        k: answers[f"{what}_{k}"] for k in ranked if answers[f"{what}_{k}"].size == results[k].size
    }
    count = results[ranked[0]].shape[1]
    have = np.concatenate([results[k].reshape(count, -1) for k in kept], 1)
    want = np.concatenate([a.reshape(count, -1) for a in kept.values()], 1)
    ends = np.flatnonzero(-np.diff(kept[ranked[0]]) > 1e-5) + 1
    order = []
    for group in np.split(np.arange(count), ends):
        left = list(group)
        for k in group:
            order.append(min(left, key=lambda j: np.abs(have[j] - want[k]).max()))
            left.remove(order[-1])
    return [a[:, order] if k in ranked else a for k, a in enumerate(results)]


def agree(case, results, answers, what):
    """Every output is the judge's: its shape, its largest element, its elements relative to it."""
    pairs = []
    for k, a in enumerate(in_order(case, results, answers, what)):
        assert list(a.shape) == answers[f"{what}_{k}_shape"].tolist()
        assert a.size == 0 or a.argmax() == answers[f"{what}_{k}_top"]
        pairs.append((tf_models.sampled(a), answers[f"{what}_{k}"]))
    near(case.format, case.file, "TensorFlow.js 4.22", pairs)


@pytest.mark.parity
@pytest.mark.parametrize("case", tf_models.TFJS, ids=lambda c: c.name)
def test_answers_are_those_of_tensorflow_js(case):
    packages.path(case.file)
    shown = asked(case)
    known = {name: shown["noise"][name] for name in case.known}
    shapes = {name: shape for name, (shape, _) in case.inputs.items() if name not in known}
    parts = {"outputs": case.outputs} if case.outputs else {}
    assert table.frontend_of(case.ready()).name == case.format
    graph = weft.load(case.ready(), shapes, known, **parts)
    answers = np.load(ANSWERS / f"{case.name}.npz")
    for what, inputs in shown.items():
        agree(case, evaluated(graph, inputs), answers, what)


@pytest.mark.parametrize(("name", "target"), [("blazeface-back", "llvm"), ("antispoof", "wasm")])
def test_compiled_models_have_the_same_answers(name, target):
    (case,) = (c for c in tf_models.TFJS if c.name == name)
    packages.path(case.file)
    shapes = {name: shape for name, (shape, _) in case.inputs.items()}
    exe = weft.compile(weft.load(case.path, shapes, outputs=case.outputs), target)
    results = exe(*asked(case)["photo"].values())
    results = results if isinstance(results, tuple | list) else [results]
    agree(case, results, np.load(ANSWERS / f"{name}.npz"), "photo")
