"""Models that coremltools wrote, with what they compute: ``tools/judge.sh coreml`` makes them."""

import warnings
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import weft
from weft.compiler.graph.evaluate import evaluate_graph

FOLDER = Path(__file__).parents[1] / "frontends" / "answers" / "coreml"


@cache
def _arrays():
    with np.load(FOLDER / "answers.npz") as found:
        return dict(found)


def arrays(case, side):
    """The inputs (``"in"``) or outputs (``"out"``) of a case by name."""
    start = f"{case}<{side}>"
    return {k.removeprefix(start): a for k, a in _arrays().items() if k.startswith(start)}


def programs():
    """The names of the cases that are ML programs."""
    with zipfile.ZipFile(FOLDER / "programs.zip") as z:
        return sorted({PurePosixPath(n).parts[0] for n in z.namelist()})


def layers():
    """The names of the cases that are neural networks."""
    with zipfile.ZipFile(FOLDER / "layers.zip") as z:
        return sorted(n.removesuffix(".mlmodel") for n in z.namelist())


def package(case, folder):
    """The package of an ML program, below ``folder``."""
    with zipfile.ZipFile(FOLDER / "programs.zip") as z:
        z.extractall(folder, [n for n in z.namelist() if n.startswith(f"{case}/")])
    return folder / case


def network(case):
    """The bytes of a neural network."""
    with zipfile.ZipFile(FOLDER / "layers.zip") as z:
        return z.read(f"{case}.mlmodel")


def computed(source, inputs, shapes=None):
    """What a model computes, by the numpy references of weft's operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = weft.load(source, shapes)
    values = {**graph.constants, **evaluate_graph(graph, inputs)}
    return graph, {o: values.get(o, inputs.get(o)) for o in graph.outputs}


def check(ours, theirs, tolerance=1e-4):
    """Each output is what the judge says: the same shape and kind of numbers, and the values."""
    assert list(ours) == list(theirs)
    for name, want in theirs.items():
        got = ours[name]
        assert got.shape == want.shape, name
        assert got.dtype.kind == want.dtype.kind, name
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(got, want, err_msg=name)
        elif want.size:
            scale = max(np.abs(want[np.isfinite(want)]).max(initial=0), 1e-3)
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale,
                                       err_msg=name)  # fmt: skip
