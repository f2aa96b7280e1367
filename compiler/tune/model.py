"""The cost model: gradient-boosted trees over the features of loop nests and the cycles that the
analytical model (``estimate.py``) makes of them.

It learns, from every measurement of a session and of the records it continues, how fast a candidate
is beside the best of its task; the ranking is all that counts. LightGBM: small, no dependency but
numpy and scipy, and quick on a few hundred rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.errors import TuneError
from .features import NAMES

COLUMNS = (*NAMES, "log2_cycles")
ENOUGH = 12  # measurements before the first model


def boosting() -> Any:
    """The module lightgbm; raises :class:`TuneError` when it is not installed."""
    try:
        import lightgbm
    except ImportError as e:
        raise TuneError(
            f"the cost model needs LightGBM, which cannot be imported: {e}.",
            hint="pip install 'weft[tune]'",
        ) from None
    return lightgbm


class CostModel:
    """Predicts how fast candidates are, from those measured so far."""

    def __init__(self, seed: int = 0):
        self._library = boosting()
        self._seed = seed
        self._rows: dict[str, list[tuple[Sequence[float], float | None]]] = {}
        self._booster: Any = None
        self._stale = True

    def add(self, task: str, features: Sequence[float], seconds: float | None) -> None:
        """One measurement of a task; None for a candidate that failed."""
        self._rows.setdefault(task, []).append((features, seconds))
        self._stale = True

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def predict(self, features: Sequence[Sequence[float]]) -> np.ndarray | None:
        """A score per candidate, greater is faster; None while too little was measured."""
        if len(self) < ENOUGH or not len(features):
            return None
        if self._stale:
            self._train()
        return np.asarray(self._booster.predict(np.array(features), num_threads=1))

    def _train(self) -> None:
        x, y = [], []
        for rows in self._rows.values():
            best = min((s for _, s in rows if s is not None), default=math.inf)
            for f, s in rows:
                x.append(f)
                y.append(best / s if s is not None else 0.0)
        data = self._library.Dataset(
            np.array(x), np.array(y), feature_name=list(COLUMNS), params={"verbosity": -1}
        )
        options = {
            "objective": "l2", "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 3,
            "verbosity": -1, "num_threads": 1, "seed": self._seed, "deterministic": True,
        }  # fmt: skip
        self._booster = self._library.train(options, data, num_boost_round=120)
        self._stale = False
