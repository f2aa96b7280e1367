"""Chains of operators that use their operand several times: what grows with every link, if a pass
takes the graph of an expression for a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Graph
from weft.compiler.ops import Kind, all_ops
from weft.runtime.errors import WeftError

Link = Callable[[GraphBuilder, str], str]
DTYPES = ("float32", "bool", "int32", "uint8")
SHAPE = (3, 20)
_ATTRS = {
    "bitcast": {"to": "int32"},
    "cast": {"to": "float32"},
    "clip": {"min": -0.5, "max": 1.0},
    "expand": {"shape": SHAPE},
    "reshape": {"shape": SHAPE},
    "round_float": {"format": "float8e4m3fn"},
    "quantize_linear": {"axis": 1},
}


def chain(link: Link, length: int, dtype: str, shape: tuple[int, ...] = SHAPE) -> Graph:
    """``length`` links, one after another."""
    b = GraphBuilder("chain")
    x = b.input("x", dtype, shape)
    b.input("y", dtype, shape)
    for _ in range(length):
        x = link(b, x)
    return b.finish([x])


def links() -> Iterator[tuple[str, str, Link]]:
    """(name, type of the elements, link): each element-wise operator of the table as a link, with
    all of its operands the one value, and in a sum with that value; and selects by hand."""
    for op in all_ops().values():
        if op.kind > Kind.BROADCAST:
            continue
        dtype, link = _of_table(op.name, op.min_inputs)
        yield op.name, dtype, link
        if dtype == "float32" and op.kind is Kind.ELEMENTWISE:
            yield f"x + {op.name}(x)", dtype, _added(link)
    yield "where(x > y, x, y)", "float32", _greater
    yield "where(y > 0, x + 1, x * 2)", "float32", _both_arms
    yield "where(y > 0, x, 0) + where(y > 1, x, 1)", "float32", _one_arm


def _of_table(op: str, operands: int) -> tuple[str, Link]:
    """The first type of elements that the operator takes, and the link."""
    reasons = []
    for dtype in DTYPES:
        link = _link(op, operands, dtype)
        try:
            chain(link, 2, dtype)
        except WeftError as e:
            reasons.append(str(e))
        else:
            return dtype, link
    raise AssertionError(f"no chain of {op}: {reasons}")


def _link(op: str, operands: int, dtype: str) -> Link:
    def link(b: GraphBuilder, x: str) -> str:
        inputs = [x] * max(1, operands)
        if op == "where":
            (inputs[0],) = b.add("greater", [x, "y"])
        if op in ("quantize_linear", "dequantize_linear", "batch_norm", "fixed_point_multiply"):
            inputs[1:] = _parameters(b, op)
        (y,) = b.add(op, inputs, _ATTRS.get(op))
        if str(b.types[y].dtype) != dtype:
            (y,) = b.add("cast", [y], {"to": dtype})
        return y

    return link


def _parameters(b: GraphBuilder, op: str) -> list[str]:
    ones = np.ones(SHAPE[1], np.float32)
    if op == "batch_norm":
        return [b.constant(ones * k) for k in (1.5, 0.1, 0.2, 2.0)]
    if op == "fixed_point_multiply":
        return [b.constant(np.int32(k)) for k in (1518500250, 1)]
    zero = np.zeros(SHAPE[1], np.uint8 if op == "quantize_linear" else np.int32)
    return [b.constant(ones * 0.1), b.constant(zero)]


def _added(link: Link) -> Link:
    return lambda b, x: b.add("add", [x, link(b, x)])[0]


def _greater(b: GraphBuilder, x: str) -> str:
    return b.add("where", [b.add("greater", [x, "y"])[0], x, "y"])[0]


def _positive(b: GraphBuilder, limit: float) -> str:
    return b.add("greater", ["y", b.constant(np.float32(limit))])[0]


def _both_arms(b: GraphBuilder, x: str) -> str:
    one, two = (b.constant(np.float32(k)) for k in (1, 2))
    arms = b.add("add", [x, one]) + b.add("mul", [x, two])
    return b.add("where", [_positive(b, 0), *arms])[0]


def _one_arm(b: GraphBuilder, x: str) -> str:
    zero, one = (b.constant(np.float32(k)) for k in (0, 1))
    left = b.add("where", [_positive(b, 0), x, zero])
    return b.add("add", [*left, *b.add("where", [_positive(b, 1), x, one])])[0]
