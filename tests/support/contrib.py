"""One ONNX node of any domain beside ONNX Runtime: :class:`Node`, its model, and what it gives.

Models are built with free output types, so that the runtimes find them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import weft
from node_cases import interpret
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Node:
    """``op`` on ``inputs`` (None: absent).

    ``known`` are the positions of inputs that are initializers; ``outputs`` marks with 1 those that
    the model has, ``result`` is their dtype where ONNX Runtime cannot tell it. ``atol`` judges
    floats beside ``rtol``, ``int_atol`` integers.
    """

    op: str
    inputs: Sequence[np.ndarray | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    known: Collection[int] = ()
    outputs: Sequence[int] = (1,)
    domain: str = "com.microsoft"
    opset: int = 1
    rtol: float = 1e-4
    atol: float = 1e-5
    int_atol: int = 0
    note: str = ""
    result: str = ""

    def __str__(self) -> str:
        shapes = ",".join("-" if x is None else "x".join(map(str, x.shape)) for x in self.inputs)
        attrs = ",".join(f"{k}={v}" for k, v in self.attrs.items())
        return " ".join(filter(None, [self.op, self.note, shapes, attrs]))

    @property
    def model(self) -> onnx.ModelProto:
        names = ["" if x is None else f"x{k}" for k, x in enumerate(self.inputs)]
        made = [f"y{k}" if there else "" for k, there in enumerate(self.outputs)]
        attrs = {k: v for k, v in self.attrs.items() if v != []}  # onnx cannot tell what it holds
        node = helper.make_node(self.op, names, made, domain=self.domain, **attrs)
        given = [(k, x) for k, x in enumerate(self.inputs) if x is not None]
        graph = helper.make_graph(
            [node],
            "one",
            [
                helper.make_tensor_value_info(
                    f"x{k}", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape
                )
                for k, x in given
                if k not in self.known
            ],
            [self._declared(name) for name in made if name],
            [numpy_helper.from_array(np.asarray(x), f"x{k}") for k, x in given if k in self.known],
        )
        sets = [helper.make_opsetid("", 21 if self.domain else self.opset)]
        if self.domain:
            sets.append(helper.make_opsetid(self.domain, self.opset))
        return helper.make_model(graph, opset_imports=sets, ir_version=10)

    def _declared(self, name: str) -> onnx.ValueInfoProto:
        if not self.result:
            return onnx.ValueInfoProto(name=name)
        code = helper.np_dtype_to_tensor_dtype(np.dtype(self.result))
        return helper.make_tensor_value_info(name, code, None)

    @property
    def feed(self) -> dict[str, np.ndarray]:
        return {
            f"x{k}": np.asarray(x)
            for k, x in enumerate(self.inputs)
            if x is not None and k not in self.known
        }

    def onnx_runtime(self) -> list[np.ndarray]:
        """The outputs by ONNX Runtime's CPU provider, the node as it is."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return [np.asarray(y) for y in session.run(None, self.feed)]

    def check(self, expected: Sequence[np.ndarray] | None = None) -> None:
        """The references and ``llvm`` give ``expected`` (None: what ONNX Runtime gives)."""
        expected = self.onnx_runtime() if expected is None else expected
        graph = weft.load(self.model)
        results = weft.compile(graph, target="llvm").run(self.feed)
        for got in (interpret(graph, self.feed), list(results.values())):
            assert len(got) == len(expected)
            for g, e in zip(got, expected):
                assert (g.dtype, g.shape) == (e.dtype, e.shape)
                if e.dtype.kind == "f":
                    np.testing.assert_allclose(g, e, rtol=self.rtol, atol=self.atol)
                else:
                    gap = np.abs(g.astype(np.int64) - e.astype(np.int64))
                    assert int(gap.max(initial=0)) <= self.int_atol


class Data:
    """Arrays of a seed: float32 in ``[-1, 1)`` by ``data(2, 3)``, integers by :meth:`ints`."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        return self.rng.uniform(-1, 1, shape).astype(np.float32)

    def ints(self, low: int, high: int, *shape: int, dtype: str = "int32") -> np.ndarray:
        """In ``[low, high)``."""
        return self.rng.integers(low, high, shape).astype(dtype)
