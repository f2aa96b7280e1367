"""Random ensembles of decision trees, as attributes of the operators of ai.onnx.ml.

Thresholds are few, so that data of the same few numbers meets them exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
GRID = np.array([-1.5, -0.25, 0.0, 0.1, 0.75, 2.0], np.float32)


def rows(rng: np.random.Generator, count: int, features: int, nan: float = 0.2) -> np.ndarray:
    """Data on the grid of thresholds, with NaN and infinities among it."""
    x = rng.choice(np.append(GRID, [np.inf, -np.inf]).astype(np.float32), (count, features))
    return np.where(rng.uniform(size=x.shape) < nan, np.float32(np.nan), x)


@dataclass
class RandomTrees:
    """``count`` trees up to ``depth``, with weights of ``per_leaf`` targets in each leaf."""

    rng: np.random.Generator
    count: int = 5
    depth: int = 4
    features: int = 3
    modes: Sequence[str] = MODES[:1]
    missing: bool = False
    nodes: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for tree in range(self.count):
            self._grow(tree, 0, [0])

    def _grow(self, tree: int, depth: int, numbers: list[int]) -> int:
        """A node and what is below it; its number."""
        number = numbers[0]
        numbers[0] += 1
        leaf = depth == self.depth or (depth > 0 and self.rng.uniform() < 0.2)
        node = {"tree": tree, "number": number, "leaf": leaf, "true": 0, "false": 0}
        node["mode"] = "LEAF" if leaf else str(self.rng.choice(self.modes))
        node["feature"] = 0 if leaf else int(self.rng.integers(self.features))
        node["value"] = 0.0 if leaf else float(self.rng.choice(GRID))
        node["missing"] = int(self.missing and not leaf and self.rng.integers(2))
        self.nodes.append(node)
        if not leaf:
            node["true"] = self._grow(tree, depth + 1, numbers)
            node["false"] = self._grow(tree, depth + 1, numbers)
        return number

    def attributes(self) -> dict[str, Any]:
        """What opsets 1 and 3 say of the nodes."""
        names = {
            "treeids": "tree", "nodeids": "number", "featureids": "feature", "values": "value",
            "modes": "mode", "truenodeids": "true", "falsenodeids": "false",
        }  # fmt: skip
        if self.missing:
            names["missing_value_tracks_true"] = "missing"
        return {f"nodes_{k}": [n[v] for n in self.nodes] for k, v in names.items()}

    def weights(
        self, kind: str, targets: Sequence[int], low: float = -1.0, alone: bool = False
    ) -> dict[str, Any]:
        """Weights from ``low`` to 1 of ``targets`` in each leaf; ``alone``: of one of them, the
        same in all leaves of a tree."""
        listed = [
            (n["tree"], n["number"], t)
            for n in self.nodes
            if n["leaf"]
            for t in ([targets[n["tree"] % len(targets)]] if alone else targets)
        ]
        values = self.rng.uniform(low, 1, len(listed)).astype(np.float32)
        return {
            f"{kind}_treeids": [t for t, _, _ in listed],
            f"{kind}_nodeids": [n for _, n, _ in listed],
            f"{kind}_ids": [k for _, _, k in listed],
            f"{kind}_weights": [float(v) for v in values],
        }

    def opset5(
        self, dtype: str, targets: int, sets: Sequence[Sequence[float]] = ()
    ) -> dict[str, Any]:
        """What opset 5 says of the trees, all of whose roots are branches; with ``sets``, tests of
        equality become tests for members of one of them."""
        branches = [n for n in self.nodes if not n["leaf"]]
        leaves = [n for n in self.nodes if n["leaf"]]
        at = {
            (n["tree"], n["number"]): k for group in (branches, leaves) for k, n in enumerate(group)
        }
        is_leaf = {(n["tree"], n["number"]): int(n["leaf"]) for n in self.nodes}
        modes, members = [], []
        for n in branches:
            modes.append(MODES.index(n["mode"]))
            if sets and n["mode"] == "BRANCH_EQ":
                modes[-1] = len(MODES)
                members += [*sets[int(self.rng.integers(len(sets)))], np.nan]

        def tensor(name: str, values: Sequence[float], kind: str = dtype):
            return numpy_helper.from_array(np.array(values, kind), name)

        attrs: dict[str, Any] = {
            "tree_roots": [at[t, 0] for t in range(self.count)],
            "nodes_modes": tensor("modes", modes, "uint8"),
            "nodes_splits": tensor("splits", [n["value"] for n in branches]),
            "nodes_featureids": [n["feature"] for n in branches],
            "leaf_targetids": [int(self.rng.integers(targets)) for _ in leaves],
            "leaf_weights": tensor("weights", list(self.rng.uniform(-1, 1, len(leaves)))),
            "n_targets": targets,
        }
        for side in ("true", "false"):
            to = [(n["tree"], n[side]) for n in branches]
            attrs[f"nodes_{side}nodeids"] = [at[t] for t in to]
            attrs[f"nodes_{side}leafs"] = [is_leaf[t] for t in to]
        if self.missing:
            attrs["nodes_missing_value_tracks_true"] = [n["missing"] for n in branches]
        if members:
            attrs["membership_values"] = tensor("members", members)
        return attrs
