"""Converters of mathematical operators: what changed between operator sets, and their errors.

The newest forms are covered by the cases of the onnx library; here are the older ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from op_cases import assert_close
from weft.compiler.frontends.onnx import load
from weft.compiler.graph.graph import Graph
from weft.compiler.ops import get
from weft.ir.meaning.evaluate import evaluate
from weft.ir.tensor import placeholder
from weft.runtime.errors import GraphError, ModelError, UnsupportedError

RNG = np.random.default_rng(7)


def model(op: str, opset: int, arrays: Sequence[Any], n_outputs: int = 1, **attrs: Any) -> bytes:
    """A model of one node; inputs are ``x0, x1, …``, outputs ``y0, …``; None is absent."""
    names = ["" if a is None else f"x{k}" for k, a in enumerate(arrays)]
    inputs = [
        helper.make_tensor_value_info(
            n, helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype), np.shape(a)
        )
        for n, a in zip(names, arrays)
        if n
    ]
    outputs = [f"y{k}" for k in range(n_outputs)]
    node = helper.make_node(op, names, outputs, "node", **attrs)
    results = [helper.make_empty_tensor_value_info(o) for o in outputs]
    graph = helper.make_graph([node], "g", inputs, results)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    ).SerializeToString()


def run(graph: Graph, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The meaning of every node's tensor expressions."""
    values = {**graph.constants, **feed}
    for n in graph.nodes:
        arrays = [values[i] if i else None for i in n.inputs]
        holders = [
            None if a is None else placeholder(graph.types[i].shape, graph.types[i].dtype, i)
            for i, a in zip(n.inputs, arrays)
        ]
        outputs = get(n.op).compute(holders, n.attrs, [graph.types[o] for o in n.outputs])
        given = {h: a for h, a in zip(holders, arrays) if h is not None and a is not None}
        values.update(zip(n.outputs, evaluate(list(outputs), given)))
    return [values[o] for o in graph.outputs]


def check(op, opset, arrays, expected, constant=(), **attrs):
    """Inputs numbered in ``constant`` are bound at compile time, the others fed."""
    expected = expected if isinstance(expected, list) else [expected]
    feed = {f"x{k}": np.asarray(a) for k, a in enumerate(arrays) if a is not None}
    bound = {f"x{k}": feed.pop(f"x{k}") for k in constant}
    graph = load(model(op, opset, arrays, len(expected), **attrs), constants=bound)
    got = run(graph, feed)
    for g, e in zip(got, expected):
        e = np.asarray(e)
        assert (g.dtype, g.shape) == (e.dtype, e.shape)
        assert_close(g, e)


def f32(*shape: int) -> np.ndarray:
    return RNG.uniform(-2, 2, shape).astype(np.float32)


def softmax(x: np.ndarray, axis) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


X = f32(2, 3, 4)


@pytest.mark.parametrize(
    ("axis", "axes"), [(0, (0, 1, 2)), (1, (1, 2)), (2, (2,)), (-2, (1, 2)), (None, (1, 2))]
)
def test_softmax_before_13_flattens(axis, axes) -> None:
    given = {} if axis is None else {"axis": axis}
    check("Softmax", 11, [X], softmax(X, axes), **given)
    check("LogSoftmax", 11, [X], np.log(softmax(X, axes)), **given)


def test_softmax_since_13() -> None:
    check("Softmax", 13, [X], softmax(X, -1))
    check("Softmax", 13, [X], softmax(X, 1), axis=1)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_reduce_axes_as_attribute_or_input(opset: int) -> None:
    for op, fn, since in (("ReduceSum", np.sum, 13), ("ReduceMean", np.mean, 18)):
        expected = fn(X, axis=(0, 2), keepdims=True)
        if opset < since:
            check(op, opset, [X], expected, axes=[0, -1])
            check(op, opset, [X], fn(X), keepdims=0)
        else:
            axes = np.array([0, -1], np.int64)
            check(op, opset, [X, axes], expected, constant=[1])
            check(op, opset, [X, axes[:0]], X, constant=[1], noop_with_empty_axes=1)
            check(op, opset, [X, axes[:0]], fn(X), constant=[1], keepdims=0)
            check(op, opset, [X], X, noop_with_empty_axes=1)


def test_composite_reduction_without_axes_keeps_its_element_wise_part() -> None:
    check("ReduceSumSquare", 18, [X], X * X, noop_with_empty_axes=1)
    check("ReduceLogSum", 18, [np.abs(X)], np.log(np.abs(X)), noop_with_empty_axes=1)


def test_clip_bounds_as_attributes_or_inputs() -> None:
    check("Clip", 7, [X], np.clip(X, -0.5, 1), min=-0.5, max=1.0)
    check("Clip", 7, [X], np.maximum(X, 0), min=0.0)
    low, high = np.float32(-0.5), np.float32(1)
    for constant in ([], [1], [1, 2]):
        check("Clip", 11, [X, low, high], np.clip(X, -0.5, 1), constant=constant)
    check("Clip", 13, [X, None, high], np.minimum(X, 1), constant=[2])
    check("Clip", 13, [X], X)
    i = np.arange(-4, 5, dtype=np.int64)
    check("Clip", 13, [i, np.int64(-2), np.int64(3)], np.clip(i, -2, 3), constant=[1, 2])


def test_batch_normalization_variants() -> None:
    scale, bias, mean, var = f32(3), f32(3), f32(3), np.abs(f32(3)) + 1
    side = (1, 3, 1)
    y = (X - mean.reshape(side)) / np.sqrt(var + 1e-3).reshape(side)
    y = y * scale.reshape(side) + bias.reshape(side)
    for opset in (7, 9, 14, 15):
        check("BatchNormalization", opset, [X, scale, bias, mean, var], y, epsilon=1e-3)
    with pytest.raises(ModelError, match="spatial is 0"):
        load(model("BatchNormalization", 7, [X, scale, bias, mean, var], spatial=0))


def test_dropout_is_the_identity() -> None:
    check("Dropout", 7, [X], [X, np.ones_like(X)], ratio=0.5)
    check("Dropout", 10, [X], [X, np.ones(X.shape, bool)], ratio=0.5)
    check("Dropout", 13, [X, np.float32(0.5)], X)
    check("Dropout", 13, [X, np.float32(0), np.bool_(True)], X, constant=[1, 2])
    with pytest.raises(UnsupportedError, match="training mode"):
        load(
            model("Dropout", 13, [X, np.float32(0.5), np.bool_(True)]),
            constants={"x1": np.float32(0.5), "x2": np.bool_(True)},
        )


def test_top_k_count_as_attribute_or_input() -> None:
    order = np.argsort(-X, axis=1)[:, :2]
    expected = [np.take_along_axis(X, order, 1), order]
    check("TopK", 9, [X], expected, k=2, axis=1)
    check("TopK", 10, [X, np.array([2])], expected, constant=[1], axis=1)
    check("TopK", 11, [X, np.array([2])], expected, constant=[1], axis=1, sorted=0)
    graph = load(model("TopK", 11, [X[0], np.array([2])], 2))  # as many as data say, at most all
    assert all(graph.types[o].shape == X[0].shape for o in graph.cropped)


def test_group_normalization_parameters_per_group_then_per_channel() -> None:
    x, scale, bias = f32(2, 6, 5), f32(3), f32(3)
    g = x.reshape(2, 3, 10)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + 1e-5)
    y = y.reshape(x.shape) * np.repeat(scale, 2)[:, None] + np.repeat(bias, 2)[:, None]
    check("GroupNormalization", 18, [x, scale, bias], y.astype(np.float32), num_groups=3)
    more = [np.repeat(scale, 2), np.repeat(bias, 2)]
    check("GroupNormalization", 21, [x, *more], y.astype(np.float32), num_groups=3)


def test_pow_with_an_exponent_of_another_type() -> None:
    i = np.array([1, 2, 3], np.int32)
    check("Pow", 12, [X[0, 0, :3], i], (X[0, 0, :3] ** i).astype(np.float32))
    check("Pow", 12, [i, np.float32(2)], i * i)
    check("Pow", 12, [i, np.int64(3)], i**3)


def test_variadic_operators() -> None:
    xs = [f32(2, 3), f32(3), f32(2, 1)]
    check("Sum", 8, xs, xs[0] + xs[1] + xs[2])
    check("Mean", 8, xs, (xs[0] + xs[1] + xs[2]) / np.float32(3))
    check("Max", 8, xs, np.maximum(np.maximum(*xs[:2]), xs[2]))
    check("Min", 12, xs[:1], xs[0])


def test_gemm_variants() -> None:
    a, b, c = f32(4, 3), f32(5, 4), f32(5)
    check("Gemm", 7, [a, b, c], a.T @ b.T * np.float32(0.5) + c, transA=1, transB=1, alpha=0.5)
    check("Gemm", 11, [a, b], a.T @ b.T, transA=1, transB=1)


def test_scan_axis_must_be_known() -> None:
    check("CumSum", 11, [X, np.int64(-1)], np.cumsum(X, 2), constant=[1])
    with pytest.raises(ModelError, match="known at compile time"):
        load(model("CumSum", 11, [X, np.int64(0)]))


def test_zero_rows_stay_zero_when_normalised() -> None:
    x = np.array([[3, 4], [0, 0]], np.float32)
    check("LpNormalization", 22, [x], np.array([[0.6, 0.8], [0, 0]], np.float32), axis=1)


@pytest.mark.parametrize(
    ("op", "opset", "arrays", "attrs", "text"),
    [
        ("Add", 14, [f32(2, 3), f32(4)], {}, r"add: the shapes \[2, 3\], \[4\] do not broadcast"),
        ("MatMul", 13, [f32(2, 3), f32(2, 3)], {}, "do not multiply: the sums run over 3 and 2"),
        ("Gemm", 13, [f32(2, 3), f32(3)], {}, "gemm takes matrices"),
        ("Softmax", 13, [X], {"axis": 3}, "axis 3 is out of range for 3 axes"),
        ("ReduceMax", 13, [X], {"axes": [1, -2]}, "name one axis twice"),
        ("ArgMax", 13, [np.zeros((2, 0), np.float32)], {"axis": 1}, "is empty"),
        ("LRN", 13, [X], {"size": 0}, "size of the window is 0"),
        ("Einsum", 12, [X], {"equation": "ij->i"}, "names a tensor of 3 axes"),
        ("Einsum", 12, [f32(2), f32(3)], {"equation": "i,i"}, "stands for 2 and for 3"),
        ("GroupNormalization", 21, [X, f32(3), f32(3)], {"num_groups": 2}, "do not divide"),
        ("BitShift", 11, [np.ones(2, np.uint8)] * 2, {"direction": "UP"}, "neither LEFT nor RIGHT"),
        ("Cast", 13, [X], {"to": TensorProto.STRING}, "no element type string"),
    ],
)
def test_errors_name_the_node_and_the_reason(op, opset, arrays, attrs, text) -> None:
    with pytest.raises((GraphError, ModelError), match=text) as e:
        load(model(op, opset, arrays, **attrs))
    assert "node" in str(e.value)
