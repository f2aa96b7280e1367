"""What a classifier says: the label of the greatest probability, and all by their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import CoreContext


def classified(n: CoreContext, probabilities: str, labels: Sequence[str | int]) -> list[str]:
    """The label and the probabilities. A label that is a string is its index (int64, see
    :attr:`Emitter.strings`), else itself; the probabilities are a row, a column for each label."""
    size = n.typeof(probabilities).size
    if not labels or size != len(labels):
        n.error(f"{size} probabilities do not fit {len(labels)} labels.")
    if len({type(label) for label in labels}) > 1:
        n.error("its labels are strings and numbers.")
    row = n.reshaped(probabilities, (1, size))
    best = n.add("arg_max", [row], axis=1, keepdims=False)
    if isinstance(labels[0], str):
        best = n.as_strings(n.cast(best, "int64"), [str(label) for label in labels])
    else:
        best = n.add("gather", [n.constant(np.array(labels, np.int64)), best], axis=0, wrap=False)
    return [best, n.as_maps(row, labels)]


__all__ = ["classified"]
