"""Models that PyTorch has exported, and its answers: see tests/judges/pytorch.py."""

from pathlib import Path

import numpy as np
import weft
from weft.compiler.graph.evaluate import evaluate_graph

HERE = Path(__file__).parents[1] / "frontends/answers/pytorch"


def answers(name):
    """What PyTorch was given, and what it answered."""
    with np.load(HERE / f"{name}.npz") as found:
        arrays = dict(found)
    sides = ([k for k in arrays if k.startswith(s)] for s in ("in", "out"))
    return tuple([arrays[k] for k in sorted(side, key=lambda k: int(k.lstrip("inout")))]
                 for side in sides)  # fmt: skip


def close(got, want):
    """Equal; floats to a few roundings of sums. NaN and infinities where PyTorch has them."""
    if want.dtype.kind != "f":
        return np.array_equal(got, want)
    scale = np.abs(want[np.isfinite(want)]).max(initial=1)
    tolerance = 2e-3 if want.dtype == np.float16 else 1e-5
    return np.allclose(got, want, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def evaluated(graph, inputs):
    """The outputs of a graph by the numpy references of its operators."""
    values = dict(zip(graph.inputs, inputs, strict=True))
    table = {**graph.constants, **values, **evaluate_graph(graph, values)}
    return [np.asarray(table[o]) for o in graph.outputs]


def bound(path, inputs):
    """The graph of an archive for inputs of these shapes."""
    graph = weft.load(path)
    open_ = getattr(graph, "signature", None)
    return graph.bind({k: i.shape for k, i in zip(open_, inputs)}) if open_ else graph
