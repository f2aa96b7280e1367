"""Indices that come as data may be any numbers: what they name is inside, and nothing else is
touched. On a processor a read elsewhere would be the end of the process."""

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.ops import get

RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((5, 6), dtype=np.float32)
UPDATES = RNG.standard_normal((4, 6), dtype=np.float32)


def wild(dtype: str, *shape: int) -> np.ndarray:
    """The least and the greatest numbers, those beside the ends of small axes, and any others."""
    info = np.iinfo(dtype)
    edges = [0, -1, 4, 5, -5, -6, 6, 7, info.min, info.max, info.min + 1, info.max - 1]
    edges += [1 << 20, -(1 << 20)] + ([1 << 31, -(1 << 31), 1 << 32, 1 << 62] * (info.bits > 32))
    found = np.array(edges, dtype)
    return RNG.choice(np.concatenate([found, RNG.integers(info.min, info.max, 8, dtype)]), shape)


CASES = [
    ("gather", lambda t: [DATA, wild(t, 40)], {"axis": 0}),
    ("gather", lambda t: [DATA, wild(t, 3, 9)], {"axis": 1}),
    ("gather_elements", lambda t: [DATA, wild(t, 5, 9)], {"axis": 1}),
    ("gather_nd", lambda t: [DATA, wild(t, 40, 2)], {}),
    ("scatter_elements", lambda t: [DATA, wild(t, 4, 6), UPDATES], {"axis": 0}),
    ("scatter_nd", lambda t: [DATA, wild(t, 4, 1), UPDATES], {}),
    ("one_hot", lambda t: [wild(t, 40), np.array([0, 1], np.float32)], {"axis": 1, "depth": 5}),
    ("slice_at", lambda _: [DATA, wild("int32", 2)], {"shape": (2, 4)}),
    ("reverse_sequence", lambda t: [DATA, wild(t, 5)], {"batch_axis": 0, "time_axis": 1}),
]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("name, make, attrs", CASES, ids=[c[0] for c in CASES])
def test_any_index_names_an_element(name, make, attrs, dtype):
    arrays = make(dtype)
    b = GraphBuilder(name)
    inputs = [b.input(f"x{k}", str(a.dtype), a.shape) for k, a in enumerate(arrays)]
    exe = weft.compile(b.finish(list(b.add(name, inputs, attrs))))
    known = np.concatenate([a.reshape(-1) for a in arrays if a.dtype == np.float32])
    for _ in range(4):
        got = exe(*arrays)
        assert np.isin(got, known).all()
        if dtype == "int32":  # of others, the low 32 bits count
            (want,) = get(name).reference(arrays, get(name).check_attrs(attrs))
            np.testing.assert_array_equal(got, want)
        arrays = make(dtype)
