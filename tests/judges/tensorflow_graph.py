"""What TensorFlow says of operators, and of SavedModels.

Writes ``tests/frontends/answers/tensorflow_graph/``: ``operators.npz`` has a GraphDef for each
case, what it is asked, and the answers; an ``.npz`` for each trained SavedModel; and two small
SavedModels, of TensorFlow 2 and as TensorFlow 1 wrote them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

TESTS = Path(__file__).resolve().parents[1]
ANSWERS = TESTS / "frontends" / "answers" / "tensorflow_graph"
sys.path.insert(0, str(TESTS / "support"))

import tf_models  # noqa: E402

from . import graph_cases, graph_cases_images  # noqa: E402
from .graph_cases import KEPT, case, real, v1  # noqa: E402


def flow() -> None:
    """Loops and branches, in both ways that TensorFlow writes them."""
    x = real(3)
    for way, switch in (("v1", v1.disable_control_flow_v2), ("v2", v1.enable_control_flow_v2)):
        switch()
        case(
            f"while {way}",
            lambda a: tf.while_loop(
                lambda k, s: k < 4,
                lambda k, s: (k + 1, s * a + tf.cast(k, tf.float32)),
                [tf.constant(0), a],
            ),
            x,
        )
        case(
            f"while by data {way}",
            lambda a: tf.while_loop(
                lambda k, s: tf.reduce_sum(s) < 40.0,
                lambda k, s: (k + 1, s * 1.5 + a),
                [tf.constant(0), tf.abs(a) + 1],
            )[1:],
            x,
        )
        case(
            f"nested {way}",
            lambda a: tf.while_loop(
                lambda k, s: k < 3,
                lambda k, s: (
                    k + 1,
                    tf.while_loop(
                        lambda m, t: m < k, lambda m, t: (m + 1, t + a * 0.5), [tf.constant(0), s]
                    )[1],
                ),
                [tf.constant(0), a],
            )[1:],
            x,
        )
        for up in (True, False):
            y = np.abs(x) if up else -np.abs(x)
            case(
                f"cond {up} {way}",
                lambda a: tf.cond(
                    tf.reduce_sum(a) > 0,
                    lambda: (a * 2, tf.constant(1)),
                    lambda: (a - 1, tf.constant(2)),
                ),
                y,
            )
        case(
            f"cond constant {way}",
            lambda a: tf.cond(tf.shape(a)[0] > 2, lambda: a * 2, lambda: a - 1),
            x,
        )
        case(f"map {way}", lambda a: tf.map_fn(lambda r: tf.reduce_sum(r) * r, a), real(4, 3))
        case(f"scan {way}", lambda a: tf.scan(lambda s, r: s * 0.5 + r, a), real(5, 2))
        case(
            f"cond in while {way}",
            lambda a: tf.while_loop(
                lambda k, s: k < 4,
                lambda k, s: (
                    k + 1,
                    tf.cond(tf.reduce_sum(s) > 1.0, lambda: s * 0.5, lambda: s + a),
                ),
                [tf.constant(0), tf.abs(a)],
            )[1:],
            x,
        )
    case("function", tf.function(lambda a: tf.sin(a) + tf.function(lambda b: b * 2)(a)), x)


class Small(tf.Module):
    """A model of TensorFlow 2 with variables, functions and a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(real(4, 4), name="same")
        self.b = tf.Variable(real(4), name="same")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        """Three steps."""
        for _ in tf.range(3):
            x = tf.tanh(x @ self.w + self.b)
        return {"steps": x, "rows": tf.gather(self.w, [2, 0])}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def once(self, x):
        """One."""
        return {"y": x @ self.w - self.b}


def saved() -> None:
    """Small SavedModels, and answers of those that are trained."""
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    module = Small()
    shutil.rmtree(ANSWERS / "two", ignore_errors=True)
    tf.saved_model.save(
        module,
        str(ANSWERS / "two"),
        signatures={"serving_default": module.serve, "once": module.once},
    )
    (ANSWERS / "two" / "fingerprint.pb").unlink(missing_ok=True)
    found = {f"two/{k}": v.numpy() for k, v in module.serve(x).items()}
    found["once/y"] = module.once(x)["y"].numpy()
    shutil.rmtree(ANSWERS / "one", ignore_errors=True)
    v1.disable_control_flow_v2()
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.float32, [None, 4], name="given")
        w = v1.get_variable("w", initializer=real(4, 3), use_resource=False)
        b = v1.get_variable("b", initializer=real(3), use_resource=True)
        y = tf.nn.relu(given @ w + b)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(ANSWERS / "one"), {"x": given}, {"y": y})
        found["one/y"] = session.run(y, {given: x})
    np.savez_compressed(ANSWERS / "small.npz", x=x, **found)
    for c in tf_models.SAVED:
        model = tf.saved_model.load(str(c.path))
        results = model.signatures["serving_default"](
            **{k: tf.constant(v) for k, v in c.noise().items()}
        )
        kept = {}
        for k, name in enumerate(c.outputs):
            a = results[name].numpy()
            kept[f"noise_{k}"] = tf_models.sampled(a)
            kept[f"noise_{k}_shape"] = np.array(a.shape, np.int64)
            kept[f"noise_{k}_top"] = np.array(a.argmax())
        np.savez_compressed(ANSWERS / f"{c.name}.npz", **kept)


def main() -> None:
    """All answers."""
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for part in (
        graph_cases.element_wise, graph_cases.reductions, graph_cases.products,
        graph_cases_images.images, graph_cases_images.moves, graph_cases_images.indices, flow,
    ):  # fmt: skip
        part()
    np.savez_compressed(ANSWERS / "operators.npz", **KEPT)
    saved()
    print(len({k.split("/")[0] for k in KEPT}), "cases")
