"""Counts of n-grams, against ONNX Runtime."""

import numpy as np
import pytest
import weft
from onnx.helper import make_node
from support.against_ort import same_on
from support.sized_models import FLOAT, LONG, model_of
from weft.runtime.errors import WeftError


def random_grams(seed: int):
    """A node with a pool of up to four n-grams of each length, and lines for it."""
    rng = np.random.default_rng(seed)
    longest, starts, pool, count = int(rng.integers(1, 4)), [], [], 0
    for length in range(1, longest + 1):
        starts.append(len(pool))
        rows = {tuple(map(int, rng.integers(0, 4, length))) for _ in range(rng.integers(1, 5))}
        pool += [item for row in sorted(rows) for item in row]
        count += len(rows)
    least = int(rng.integers(1, longest + 1))
    attributes = {
        "mode": str(rng.choice(["TF", "IDF", "TFIDF"])),
        "min_gram_length": least,
        "max_gram_length": int(rng.integers(least, longest + 1)),
        "max_skip_count": int(rng.integers(0, 3)),
        "ngram_counts": starts,
        "ngram_indexes": [int(v) for v in rng.permutation(count + 2)[:count]],
        "pool_int64s": pool,
    }
    if rng.integers(2):
        attributes["weights"] = [float(v) for v in rng.random(count)]
    shape = [int(v) for v in (rng.integers(1, 4), rng.integers(1, 9))][rng.integers(2) :]
    node = make_node("TfIdfVectorizer", ["x"], ["y"], **attributes)
    return node, shape, [{"x": rng.integers(0, 4, shape)} for _ in range(2)]


@pytest.mark.parametrize("seed", range(24))
def test_random_pools(seed):
    node, shape, feeds = random_grams(seed)
    same_on("llvm", model_of([node], {"x": (LONG, shape)}, {"y": FLOAT}), *feeds)


def test_a_pool_that_does_not_fall_into_grams():
    node = make_node("TfIdfVectorizer", ["x"], ["y"], mode="TF", min_gram_length=1,
                     max_gram_length=2, max_skip_count=0, ngram_counts=[0, 1],
                     ngram_indexes=[0, 1], pool_int64s=[1, 2, 3, 4])  # fmt: skip
    with pytest.raises(WeftError, match="does not cut a pool of 4"):
        weft.compile(model_of([node], {"x": (LONG, [3])}, {"y": FLOAT}))
