"""ONNX Runtime as another judge, for models that are well-formed. It may crash where weft does not:
the parent is told before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from onnx import ModelProto

from fuzz.fuzzer import Differs, WrongError
from fuzz.judging import compare

COARSE = 5.0  # times the tolerance
announce: Callable[[], object] = lambda: None  # noqa: E731 - set by the child


def ask(model: bytes, given: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> None:
    """Raise :class:`Differs` where ONNX Runtime takes the model and gives other numbers. What numpy
    has no type for is not asked."""
    try:
        import onnxruntime
    except ImportError:
        return
    if any(
        a.dtype.kind == "V" or a.dtype.name == "bfloat16" for a in (*given.values(), *want.values())
    ):
        return
    announce()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        got = dict(zip(names, session.run(None, dict(given)), strict=True))
    except Exception:
        return
    if any(a is None for a in got.values()):  # an output that it never made
        return
    try:
        compare({k: got[k] for k in want}, want, scale=COARSE)
    except WrongError as e:
        ops = {n.op_type for n in ModelProto.FromString(model).graph.node}
        raise Differs(f"{', '.join(sorted(ops))}: {e}") from None
