"""Models of one operator each, for LiteRT to say what it makes of them.

A case lists what an operator reads (``X``: an input of the model, drawn from a seed; ``K``: a
constant), what it makes, and its options by the names of the schema.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

TYPES = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7,
    "int8": 9,
}  # fmt: skip


@dataclass(frozen=True)
class X:
    """An input of the model: uniform from ``low`` to ``high``; ``q`` is (scale, zero point)."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float = -2
    high: float = 2
    q: Any = None


@dataclass(frozen=True)
class K:
    """A constant; ``q`` is (scale or scales, zero point, axis)."""

    value: Any
    dtype: str = "int32"
    q: Any = None


@dataclass(frozen=True)
class V:
    """A variable, which holds zeros at first."""

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Y:
    """A result."""

    dtype: str = "float32"
    q: Any = None


@dataclass(frozen=True)
class Case:
    """One operator; None among the inputs is one that is left out."""

    name: str
    op: str
    reads: tuple[Any, ...]
    makes: tuple[Y, ...] = (Y(),)
    options: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    graphs: tuple[Case, ...] = ()  # subgraphs 1, 2, … of one operator each


def feed(case: Case, k: int, x: X) -> np.ndarray:
    """What input ``k`` of a case is given."""
    rng = np.random.default_rng(zlib.crc32(f"{case.name}.{k}".encode()))
    if x.dtype == "bool":
        return rng.integers(0, 2, x.shape).astype(bool)
    if x.dtype.startswith("float"):
        return rng.uniform(x.low, x.high, x.shape).astype(x.dtype)
    low, high = x.low, x.high
    if x.q is not None:
        low, high = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
    return rng.integers(int(low), int(high), x.shape, np.int64, endpoint=True).astype(x.dtype)


def model(case: Case, version: int) -> bytes:
    """The file of a case."""
    m = schema.ModelT()
    m.version, m.buffers, m.operatorCodes = 3, [schema.BufferT()], []
    m.subgraphs = [_subgraph(m, c, version if c is case else 1) for c in (case, *case.graphs)]
    b = Builder(1024)
    b.Finish(m.Pack(b), b"TFL3")
    return bytes(b.Output())


def _subgraph(m: Any, case: Case, version: int) -> Any:
    g, op, code = schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    g.tensors, g.inputs, g.name = [], [], case.name.encode()

    def tensor(name: str, dtype: str, shape: Any, q: Any = None, data: Any = None) -> int:
        t = schema.TensorT()
        t.name, t.type, t.shape = name.encode(), TYPES[dtype], [int(d) for d in shape]
        t.hasRank = data is not None or bool(t.shape) or name.startswith("x")
        if data is not None:
            b = schema.BufferT()
            b.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            t.buffer = len(m.buffers)
            m.buffers.append(b)
        if q is not None:
            t.quantization = _quantised(*q)
        g.tensors.append(t)
        return len(g.tensors) - 1

    op.inputs = []
    for k, r in enumerate(case.reads):
        if r is None:
            op.inputs.append(-1)
        elif isinstance(r, K):
            value = np.asarray(r.value, r.dtype)
            op.inputs.append(tensor(f"k{k}", r.dtype, value.shape, r.q, value))
        elif isinstance(r, V):
            op.inputs.append(tensor(f"v{k}", r.dtype, r.shape))
            g.tensors[-1].isVariable = True
        else:
            op.inputs.append(tensor(f"x{k}", r.dtype, r.shape, r.q))
            g.inputs.append(op.inputs[-1])
    op.outputs = [tensor(f"y{k}", y.dtype, (), y.q) for k, y in enumerate(case.makes)]
    g.outputs = list(op.outputs)
    number = getattr(schema.BuiltinOperator, case.op)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version, op.opcodeIndex = version, len(m.operatorCodes)
    m.operatorCodes.append(code)
    if case.options:
        op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{case.options}Options")
        op.builtinOptions = getattr(schema, f"{case.options}OptionsT")()
        for name, v in case.fields.items():
            assert hasattr(op.builtinOptions, name), name
            setattr(op.builtinOptions, name, v)
    g.operators = [op]
    return g


def _quantised(scale: Any, zero: int, axis: int = 0) -> Any:
    p = schema.QuantizationParametersT()
    p.scale = np.atleast_1d(np.asarray(scale, np.float32)).tolist()
    p.zeroPoint = np.broadcast_to(zero, len(p.scale)).tolist()
    p.quantizedDimension = axis
    return p
