"""The ONNX backend's node cases as data: models, what to bind, and what weft does not claim.

A case is *not claimed* when weft itself reports, on import, that it does not support something in
it; the reports are checked in (``tests/frontends/not_claimed.txt``) for a reviewer to read. All
other cases must pass. Write the file anew with ``PYTHONPATH=tests python -m node_cases``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import weft
from onnx import ModelProto, TensorProto, numpy_helper
from weft.compiler.frontends.onnx.importer import ModelWarning
from weft.compiler.graph.graph import Graph
from weft.compiler.ops import get
from weft.runtime.crops import crop
from weft.runtime.errors import UnsupportedError

NOT_CLAIMED = Path(__file__).parent.parent / "frontends" / "not_claimed.txt"

# Half-precision results differ by where an implementation rounds; two units in the last place.
_COARSE = {"float16": 2.0**-9, "bfloat16": 2.0**-7}
# Frequencies that cancel to 0 are noise in the data itself, of the size of a float32's last place.
_NOISE = {"test_dft": 1e-6, "test_stft": 1e-6}


@dataclass(frozen=True)
class NodeCase:
    """One case of ``onnx.backend.test.case.node``: ``data`` has (inputs, outputs) in order."""

    name: str
    model: ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float

    def inputs(self, k: int = 0) -> dict[str, np.ndarray]:
        """The tensors among the inputs of data set ``k``, by name."""
        names = [i.name for i in self.model.graph.input]
        values = zip(names, self.data[k][0])
        return {n: held(to_array(v)) for n, v in values if not isinstance(v, list | None)}

    def bound(self, k: int = 0) -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The graph, the arrays to call it with, and those that are bound as constants: the inputs
        whose values weft says it must know, such as the shape of a Reshape."""
        inputs, constants = self.inputs(k), {}
        while True:
            free = {n: v for n, v in inputs.items() if n not in constants}
            shapes = {n: v.shape for n, v in free.items()}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ModelWarning)  # some declare odd shapes
                    return weft.load(self.model, shapes, constants), free, constants
            except weft.WeftError as e:
                named = re.findall(r"'([^']*)': value", e.hint or "")
                new = {n: inputs[n] for n in named if n in free}
                if not new:
                    raise
                constants.update(new)

    def reason(self) -> str | None:
        """Why weft does not claim the case; None when it does."""
        try:
            self.bound()
        except UnsupportedError as e:
            return re.sub(r": nodes '[^\n]*", "", e.message).replace("\n", " ").strip()
        except weft.WeftError:
            pass  # not an excuse: the case is claimed, and fails
        return None

    def check(self, k: int, got: Sequence[np.ndarray]) -> None:
        """Assert that the outputs of data set ``k`` are right."""
        expected = self.data[k][1]
        assert len(got) == len(expected)
        for have, value in zip(got, expected):
            want = held(to_array(value))
            assert (have.dtype, have.shape) == (want.dtype, want.shape)
            if self.name.startswith("test_bernoulli"):  # numpy's numbers; ours are others
                assert np.isin(have, (0, 1)).all()
                continue
            if want.dtype.kind in "iub":
                np.testing.assert_array_equal(have, want)
                continue
            coarse = _COARSE.get(want.dtype.name, 0.0)
            noise = max((v for k, v in _NOISE.items() if self.name.startswith(k)), default=0.0)
            np.testing.assert_allclose(
                have.astype(np.float64),
                want.astype(np.float64),
                rtol=max(self.rtol, coarse),
                atol=max(self.atol, coarse, noise),
            )


def to_array(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def held(array: np.ndarray) -> np.ndarray:
    """The same numbers in the type in which weft holds those of ``array``."""
    name = array.dtype.name
    if array.dtype.itemsize == 1 and name.startswith("float"):
        return array.astype(np.float32)
    if name in ("int2", "int4", "uint2", "uint4"):
        return array.astype(np.int8 if name.startswith("int") else np.uint8)
    return array


@cache
def node_cases() -> Mapping[str, NodeCase]:
    """All cases of the installed onnx, by name."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)  # pyright: ignore[reportArgumentType]
    return {
        c.name: NodeCase(c.name, c.model, c.data_sets or (), c.rtol, c.atol)
        for c in found
        if c.model is not None
    }


def not_claimed() -> dict[str, str]:
    """The checked-in list: name to reason."""
    lines = NOT_CLAIMED.read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def reports() -> dict[str, str]:
    """The list as weft reports it now."""
    found = {name: case.reason() for name, case in node_cases().items()}
    return {name: reason for name, reason in sorted(found.items()) if reason is not None}


def interpret(graph: Graph, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of ``graph`` by the numpy references of its operators."""
    values: dict[str, np.ndarray] = {**graph.constants, **feed}
    for n in graph.nodes:
        with np.errstate(all="ignore"):
            results = get(n.op).reference([values[i] if i else None for i in n.inputs], n.attrs)
        for o, value in zip(n.outputs, results):
            t = graph.types[o]
            assert (value.dtype, value.shape) == (t.dtype.numpy, t.shape), f"{n} gave {value.dtype}"
            values[o] = value
    return list(crop(graph.cropped, {o: values[o] for o in graph.outputs}).values())
