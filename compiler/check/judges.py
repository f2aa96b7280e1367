"""What the tensors of a model are, by three judges: numpy, this processor, ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...ir.target import HOST, Target
from ...runtime.errors import InputError, WeftError
from ..driver import resolved
from ..frontends.table import frontend_of
from ..graph.evaluate import evaluate_graph
from ..graph.graph import Graph
from ..graph.group import Group
from ..kernels.program import assemble
from ..options import CompileOptions

_PROTOBUF_LIMIT = 2**31 - 1  # bytes of a model in one file


def by_reference(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor by the numpy references of the operators."""
    return evaluate_graph(graph, feeds)


def by_llvm(
    graph: Graph, feeds: Mapping[str, np.ndarray], options: CompileOptions
) -> dict[str, np.ndarray]:
    """Every tensor by one kernel for each operator on this processor, scheduled by rule."""
    names = [o for n in graph.nodes for o in n.outputs if o and graph.types[o].size]
    whole = graph.replace(outputs=tuple(dict.fromkeys([*names, *graph.outputs])))
    groups = [Group.of(whole, [n]) for n in whole.nodes]
    plain = CompileOptions(cache=options.cache)
    return assemble(whole, groups, resolved(Target.parse(HOST)), plain).run(feeds)


def by_onnxruntime(
    model: Any,
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    constants: Mapping[str, Any],
    wanted: Collection[str],
) -> dict[str, np.ndarray]:
    """The tensors of ``wanted`` that have a name in the ONNX model.

    Raises :class:`InputError` for a model that is no ONNX file, :class:`WeftError` when ONNX
    Runtime is not installed or refuses the model.
    """
    try:
        import onnxruntime as ort
    except ImportError:
        raise WeftError(
            "ONNX Runtime is not installed.", where="--against onnxruntime",
            hint="pip install onnxruntime, or compare with --against interp",
        ) from None  # fmt: skip
    if isinstance(model, Graph):
        raise InputError(
            "ONNX Runtime needs the ONNX model, and this is a graph of weft.",
            hint="give the path, or against='interp'",
        )
    row = frontend_of(model)
    if row.name != "onnx":
        raise InputError(
            f"ONNX Runtime reads ONNX models, and this one's format is {row.name}.",
            hint="against='interp'",
        )
    import onnx

    proto = onnx.ModelProto()
    if isinstance(model, onnx.ModelProto):
        proto.CopyFrom(model)
    elif isinstance(model, bytes | bytearray | memoryview):
        proto.ParseFromString(bytes(model))
    else:
        proto = onnx.load(str(model))
    known = {o.name for o in proto.graph.output}
    made = {o for n in proto.graph.node for o in n.output if o}
    extra = [n for n in wanted if n in made and n not in known]
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in extra)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # some published models hold unused initialisers
    # Fusions would round elsewhere; it is the model as written that judges.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory(prefix="weft-check-") as folder:
        source: Any = proto
        if proto.ByteSize() > _PROTOBUF_LIMIT:
            source = str(Path(folder) / "model.onnx")
            onnx.save(proto, source, save_as_external_data=True)
        else:
            source = proto.SerializeToString()
        try:
            session: Any = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            outputs = [o.name for o in session.get_outputs()]
            given = {**{k: np.asarray(v) for k, v in constants.items()}, **feeds}
            arrays = session.run(outputs, given)
        except Exception as e:  # its errors have no base class of their own
            raise WeftError(f"ONNX Runtime cannot run the model: {e}.", where=graph.name) from e
    found = dict(zip(outputs, arrays))
    same = {n for n in found if n in graph.types}
    return {
        n: found[n]
        for n in same
        if (found[n].dtype, found[n].shape) == (graph.types[n].dtype.numpy, graph.types[n].shape)
    }
