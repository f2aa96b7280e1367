"""Write tests/models/sklearn/*.onnx: pipelines of scikit-learn, as skl2onnx exports them.

They are files since neither package is needed for anything else. Needs
``pip install scikit-learn skl2onnx``; run ``python tools/export_sklearn.py``.
"""

# pyright: reportMissingImports=false
# These packages are in no environment of weft's.

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, StandardScaler

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "models" / "sklearn"
SEED = {"random_state": 0}


make_attribute = onnx.helper.make_attribute


def plain(name: str, value: Any, *rest: Any, **named: Any) -> onnx.AttributeProto:
    """``make_attribute`` of what skl2onnx 1.20 gives it: booleans among integers, which
    protobuf refuses."""
    if isinstance(value, list):
        value = [int(v) if isinstance(v, bool | np.bool | np.integer) else v for v in value]
    return make_attribute(name, value, *rest, **named)


def holes(x: np.ndarray) -> np.ndarray:
    """``x`` with a tenth of its numbers missing."""
    rng = np.random.default_rng(0)
    return np.where(rng.uniform(size=x.shape) < 0.1, np.float32(np.nan), x).astype(np.float32)


def main() -> None:
    """Train and write them all."""
    onnx.helper.make_attribute = plain
    iris, kinds = load_iris(return_X_y=True)
    tumours, benign = load_breast_cancer(return_X_y=True)
    people, disease = load_diabetes(return_X_y=True)
    iris, tumours, people = (x.astype(np.float32) for x in (iris, tumours, people))
    names = np.array(["setosa", "versicolor", "virginica"])[kinds]
    boosted = GradientBoostingClassifier(n_estimators=8, **SEED)
    forest = {"n_estimators": 6, "max_leaf_nodes": 20, **SEED}
    pipelines = {
        "gradient_boosting": (make_pipeline(StandardScaler(), boosted), iris, names),
        "gradient_boosting_binary": (make_pipeline(StandardScaler(), boosted), tumours, benign),
        "random_forest": (RandomForestClassifier(**forest), iris, kinds),
        "random_forest_binary": (RandomForestClassifier(**forest), tumours, benign),
        "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), iris, names),
        "imputed": (
            make_pipeline(SimpleImputer(), Normalizer("l1"), LogisticRegression()),
            holes(iris),
            kinds,
        ),
        "boosted_regressor": (
            GradientBoostingRegressor(n_estimators=8, **SEED), people, disease / 100
        ),
        "histogram": (HistGradientBoostingClassifier(max_iter=6, **SEED), holes(iris), kinds),
        "histogram_regressor": (
            HistGradientBoostingRegressor(max_iter=6, max_leaf_nodes=12, **SEED),
            holes(people),
            disease / 100,
        ),
        "columns": (
            make_pipeline(
                ColumnTransformer(
                    [
                        ("kinds", OneHotEncoder(handle_unknown="ignore"), [0, 1]),
                        ("sizes", StandardScaler(), [2, 3]),
                    ]
                ),
                LogisticRegression(),
            ),
            np.concatenate([np.floor(iris[:, :2]), iris[:, 2:]], 1),
            kinds,
        ),
        "ridge": (make_pipeline(MinMaxScaler(), Ridge()), people, disease / 100),
    }  # fmt: skip
    for name, (model, x, y) in pipelines.items():
        model.fit(x, y)
        write(name, to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}))


def write(name: str, proto) -> None:
    """Write a model, without what changes from run to run."""
    proto.graph.name = name
    (FOLDER / f"{name}.onnx").write_bytes(proto.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
