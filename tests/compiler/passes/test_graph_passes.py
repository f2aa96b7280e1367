"""Graph passes: what each does, and that none changes what a graph computes."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Graph
from weft.compiler.ops import get
from weft.compiler.passes import (
    eliminate_common,
    eliminate_dead,
    fold_batch_norm,
    fold_constants,
    simplify,
)
from weft.compiler.passes.pipeline import GraphPipeline

RNG = np.random.default_rng(0)


def builder(*shapes, dtype="float32") -> GraphBuilder:
    b = GraphBuilder()
    for k, shape in enumerate(shapes):
        b.input(f"x{k}", dtype, shape)
    return b


def one(b: GraphBuilder, op: str, *inputs: str, **attrs) -> str:
    (y,) = b.add(op, inputs, attrs)
    return y


def random(b: GraphBuilder, *shape) -> str:
    return b.constant(RNG.standard_normal(shape).astype(np.float32), "w")


def run(graph: Graph, feed) -> list[np.ndarray]:
    values = {**feed, **graph.constants}
    for n in graph.nodes:
        made = get(n.op).reference([values[i] if i else None for i in n.inputs], n.attrs)
        values.update(zip(n.outputs, made))
    return [values[o] for o in graph.outputs]


def same(before: Graph, after: Graph, rtol: float = 0.0):
    after.verify()
    assert after.inputs == before.inputs and after.outputs == before.outputs
    feed = {}
    for i in before.inputs:
        t = before.types[i]
        feed[i] = (RNG.standard_normal(t.shape) * 3).astype(t.dtype.numpy)
    for a, b in zip(run(before, feed), run(after, feed), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


def all_passes(graph: Graph) -> Graph:
    return GraphPipeline(graph).simplified


# --- folding, dead and common nodes


def test_constants_fold_through_the_reference():
    b = builder((2, 3))
    c = one(b, "transpose", b.constant(np.float32([[1, 2], [3, 4], [5, 6]])), perm=(1, 0))
    g = b.finish([one(b, "add", "x0", one(b, "neg", c))])
    folded = eliminate_dead(fold_constants(g))
    assert ops(folded) == ["add"] and len(folded.constants) == 1
    same(g, folded)


def test_large_growth_is_not_folded():
    b = builder((1,))
    big = one(b, "expand", b.constant(np.float32([1])), shape=(1 << 21,))
    g = b.finish([one(b, "add", "x0", big)])
    assert fold_constants(g) is g


def test_output_that_becomes_constant_keeps_its_name():
    b = builder((1,))
    g = b.finish([one(b, "neg", b.constant(np.float32([1])))])
    folded = eliminate_dead(fold_constants(g))
    assert ops(folded) == [] and folded.outputs == g.outputs
    same(g, folded)


def test_dead():
    b = builder((4,))
    one(b, "neg", one(b, "exp", "x0"))
    g = b.finish([one(b, "add", "x0", b.constant(np.float32([1])))])
    live = eliminate_dead(g)
    assert ops(live) == ["add"]
    same(g, live)
    assert eliminate_dead(live) is live


def test_common():
    b = builder((4,), (4,))
    one_a, one_b = (b.constant(np.float32([1])) for _ in range(2))
    y = one(b, "add", one(b, "mul", "x0", "x1"), one_a)
    z = one(b, "add", one(b, "mul", "x1", "x0"), one_b)
    g = b.finish([one(b, "sub", y, z)])
    assert ops(eliminate_common(g)) == ["mul", "add", "sub"]
    same(g, eliminate_common(g))


def test_common_tells_attributes_apart():
    b = builder((4,))
    g = b.finish([one(b, "clip", "x0", min=0.0), one(b, "clip", "x0", min=-0.0)])
    assert eliminate_common(g) is g
    two = b.finish([one(b, "neg", "x0"), one(b, "neg", "x0")])
    assert sorted(ops(eliminate_dead(eliminate_common(two)))) == ["identity", "neg"]
    same(two, eliminate_common(two))


# --- simplification


def after(build, *shapes, dtype="float32") -> list[str]:
    b = builder(*shapes, dtype=dtype)
    g = b.finish([build(b)])
    s = eliminate_dead(simplify(g))
    same(g, s)
    return ops(s)


def const(b: GraphBuilder, value, dtype=np.float32) -> str:
    return b.constant(np.asarray(value, dtype))


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (lambda b: one(b, "neg", one(b, "identity", "x0")), ["neg"]),
        (lambda b: one(b, "neg", one(b, "neg", "x0")), ["identity"]),
        (
            lambda b: one(b, "reshape", one(b, "reshape", "x0", shape=(8,)), shape=(4, 2)),
            ["reshape"],
        ),
        (
            lambda b: one(b, "transpose", one(b, "transpose", "x0", perm=(1, 0)), perm=(1, 0)),
            ["identity"],
        ),
        (lambda b: one(b, "relu", one(b, "relu", "x0")), ["relu"]),
        (lambda b: one(b, "clip", one(b, "relu", "x0"), max=6.0), ["clip"]),
        (lambda b: one(b, "relu", one(b, "clip", "x0", min=-1.0, max=2.0)), ["clip"]),
        (lambda b: one(b, "clip", one(b, "clip", "x0", min=0.0, max=1.0), min=2.0), ["clip"]),
        (lambda b: one(b, "clip", "x0", min=0.0), ["relu"]),
        (lambda b: one(b, "mul", "x0", const(b, 1)), ["identity"]),
        (lambda b: one(b, "mul", "x0", const(b, [[[1]]])), ["mul"]),
        (lambda b: one(b, "add", "x0", const(b, -0.0)), ["identity"]),
        (lambda b: one(b, "add", "x0", const(b, 0.0)), ["add"]),
        (lambda b: one(b, "sub", "x0", const(b, 0.0)), ["identity"]),
        (lambda b: one(b, "sub", const(b, 0.0), "x0"), ["sub"]),
        (lambda b: one(b, "pow", "x0", const(b, 2)), ["mul"]),
        (lambda b: one(b, "pow", "x0", const(b, 3)), ["pow"]),
        (lambda b: one(b, "div", "x0", const(b, 8)), ["mul"]),
        (lambda b: one(b, "div", "x0", const(b, 10)), ["div"]),
        (lambda b: one(b, "div", "x0", const(b, 2.0**-140)), ["div"]),
        (lambda b: one(b, "concat", "x0", axis=0), ["identity"]),
        (lambda b: one(b, "pad", "x0", pads=(0, 0, 0, 0)), ["identity"]),
        (lambda b: one(b, "slice", "x0", starts=(0, 0), shape=(2, 4)), ["identity"]),
        (lambda b: one(b, "slice", "x0", starts=(1, 0), shape=(2, 4), steps=(-1, 1)), ["slice"]),
        (
            lambda b: one(
                b,
                "slice",
                one(b, "slice", "x0", starts=(1, 3), shape=(2, 2), steps=(-1, -2)),
                starts=(1, 1),
                shape=(1, 2),
                steps=(1, -1),
            ),
            ["slice"],
        ),
        (lambda b: one(b, "cast", one(b, "cast", "x0", to="float64"), to="float32"), ["identity"]),
        (lambda b: one(b, "cast", one(b, "cast", "x0", to="float16"), to="float32"), ["cast"] * 2),
        (lambda b: one(b, "cast", one(b, "cast", "x0", to="float64"), to="float16"), ["cast"]),
    ],
)
def test_rules(build, left):
    assert after(build, (2, 4)) == left


def test_transpose_of_single_axes_is_a_reshape():
    assert after(lambda b: one(b, "transpose", "x0", perm=(0, 2, 3, 1)), (2, 1, 3, 4)) == [
        "reshape"
    ]


def test_exactness_of_neutral_elements_with_special_values():
    b = builder((6,))
    y = one(b, "sub", one(b, "add", one(b, "mul", "x0", const(b, 1)), const(b, -0.0)), const(b, 0))
    g = b.finish([one(b, "div", y, const(b, 0.5))])
    x = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45])
    (before,), (now,) = (run(k, {"x0": x}) for k in (g, simplify(g)))
    np.testing.assert_array_equal(before.view(np.uint32), now.view(np.uint32))
    assert ops(eliminate_dead(simplify(g))) == ["mul"]


@pytest.mark.parametrize("values, wraps", [([2, 0, 9], False), ([2, -1, 9], True), (None, True)])
@pytest.mark.parametrize("op", ["gather", "scatter_elements"])
def test_constant_indices_from_the_front_do_not_wrap(op, values, wraps):
    b = builder((4,), (3,))
    index = b.input("i", "int32", (3,)) if values is None else b.constant(np.int32(values), "i")
    y = one(b, op, "x0", index, *(["x1"] if op == "scatter_elements" else []), axis=0)
    before = b.finish([y])
    after = simplify(before)
    same(before, after)
    assert [n.attrs["wrap"] for n in after.nodes] == [wraps]


def test_pad_into_convolution():
    b = builder((1, 2, 5, 5))
    x = one(b, "pad", "x0", pads=(0, 0, 1, 2, 0, 0, 3, 0))
    g = b.finish([one(b, "conv", x, random(b, 3, 2, 3, 3), pads=(1, 0, 0, 1))])
    s = eliminate_dead(simplify(g))
    assert ops(s) == ["conv"] and s.nodes[0].attrs["pads"] == (2, 2, 3, 1)
    same(g, s, 1e-6)
    b = builder((1, 2, 5, 5))
    x = one(b, "pad", "x0", pads=(0, 0, 1, 2, 0, 0, 3, 0), value=1.0)
    g = b.finish([one(b, "conv", x, random(b, 3, 2, 3, 3))])
    assert simplify(g) is g


# --- scales into weights


def bn(b: GraphBuilder, x: str, channels: int) -> str:
    p = [random(b, channels) for _ in range(3)]
    p.append(b.constant(np.abs(RNG.standard_normal(channels)).astype(np.float32) + 0.1))
    return one(b, "batch_norm", x, *p)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_batch_norm_into_convolution(op, groups, bias):
    b = builder((1, 4, 5, 5))
    w = random(b, 6, 4 // groups, 3, 3) if op == "conv" else random(b, 4, 6 // groups, 3, 3)
    x = one(b, op, "x0", w, *([random(b, 6)] if bias else []), groups=groups)
    g = b.finish([bn(b, x, 6)])
    f = eliminate_dead(fold_batch_norm(g))
    assert ops(f) == [op]
    same(g, f, 1e-4)


def test_chain_of_scales_into_convolution():
    b = builder((1, 2, 5, 5))
    x = one(b, "conv", "x0", random(b, 3, 2, 3, 3))
    x = one(b, "mul", random(b, 3, 1, 1), x)
    x = one(b, "add", x, random(b, 1, 3, 1, 1))
    x = one(b, "div", one(b, "sub", const(b, 3), x), const(b, 7))
    g = b.finish([one(b, "relu", x)])
    f = eliminate_dead(fold_batch_norm(g))
    assert ops(f) == ["conv", "relu"]
    same(g, f, 1e-4)


@pytest.mark.parametrize("shape", [(5,), (1, 1, 5), (5, 5)])
def test_constants_along_other_axes_stay(shape):
    b = builder((1, 5, 5, 5))
    x = one(b, "conv", "x0", random(b, 5, 5, 1, 1))
    g = b.finish([one(b, "mul", x, random(b, *shape))])
    assert fold_batch_norm(g) is g


def test_weights_with_another_reader_stay():
    b = builder((1, 2, 5, 5))
    x = one(b, "conv", "x0", random(b, 3, 2, 3, 3))
    g = b.finish([one(b, "mul", x, random(b, 3, 1, 1)), one(b, "relu", x)])
    assert fold_batch_norm(g) is g


def test_batch_norm_of_an_input_becomes_arithmetic():
    b = builder((2, 3, 4))
    g = b.finish([one(b, "relu", bn(b, "x0", 3))])
    f = eliminate_dead(fold_batch_norm(g))
    assert ops(f) == ["mul", "add", "relu"]
    same(g, f, 1e-4)


@pytest.mark.parametrize("trans", [False, True])
@pytest.mark.parametrize("third", [None, (), (5,), (3, 5), (3, 1)])
def test_scale_into_gemm(trans, third):
    b = builder((3, 4))
    c = [] if third is None else [random(b, *third)]
    w = random(b, *((5, 4) if trans else (4, 5)))
    x = one(b, "gemm", "x0", w, *c, trans_b=trans, alpha=0.5, beta=2.0)
    g = b.finish([one(b, "add", one(b, "mul", x, random(b, 5)), random(b, 1))])
    f = eliminate_dead(fold_batch_norm(g))
    assert ops(f) == ["gemm"]
    same(g, f, 1e-4)


def test_scale_into_matmul_and_its_bias_stays_apart():
    b = builder((2, 3, 4))
    x = one(b, "matmul", "x0", random(b, 4, 5))
    g = b.finish([one(b, "add", one(b, "mul", x, random(b, 5)), random(b, 5))])
    f = eliminate_dead(fold_batch_norm(g))
    assert ops(f) == ["matmul", "add"]
    same(g, f, 1e-4)


# --- all of them, on random graphs


@st.composite
def graphs(draw) -> Graph:
    b = builder((2, 3), (1, 3))
    names = ["x0", "x1", const(b, [[2], [4]]), const(b, 1), const(b, np.ones((3, 3)))]
    for _ in range(draw(st.integers(1, 20))):
        op = draw(
            st.sampled_from(
                ["neg", "relu", "clip", "add", "mul", "sub", "div", "transpose", "reshape"]
                + ["matmul", "slice", "identity", "pad", "abs"]
            )
        )
        x = names[-1 - draw(st.integers(0, min(5, len(names) - 1)))]
        shape = b.types[x].shape
        if op in ("add", "mul", "sub"):
            fits = [n for n in names if _fit(b.types[n].shape, shape)]
            y = one(b, op, x, draw(st.sampled_from(fits)))
        elif op == "div":
            y = one(b, op, x, const(b, draw(st.sampled_from([1, 2, 3]))))
        elif op == "clip":
            y = one(b, op, x, min=draw(st.sampled_from([None, 0.0, -1.0])), max=2.0)
        elif op == "transpose":
            y = one(b, op, x, perm=tuple(draw(st.permutations(range(len(shape))))))
        elif op == "reshape":
            y = one(b, op, x, shape=tuple(reversed(shape)))
        elif op == "matmul":
            if len(shape) < 2:
                continue
            y = one(b, op, x, b.constant(np.full((shape[-1], 3), 0.5, np.float32)))
        elif op == "slice":
            step = draw(st.sampled_from([1, -1]))
            starts = tuple(0 if step == 1 else d - 1 for d in shape)
            y = one(b, op, x, starts=starts, shape=shape, steps=(step,) * len(shape))
        elif op == "pad":
            y = one(b, op, x, pads=(draw(st.integers(0, 1)),) * len(shape) + (0,) * len(shape))
        else:
            y = one(b, op, x)
        if b.types[y].size <= 200:
            names.append(y)
    made = [*b.inputs, *(n.outputs[0] for n in b.nodes)]
    return b.finish(draw(st.lists(st.sampled_from(made), min_size=1, max_size=4, unique=True)))


def _fit(a, b) -> bool:
    return all(x == y or 1 in (x, y) for x, y in zip(reversed(a), reversed(b)))


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_passes_keep_the_meaning(graph: Graph):
    result = all_passes(graph)
    assert len(result.nodes) <= len(graph.nodes) + len(graph.outputs)
    same(graph, result, 1e-4)
    again = all_passes(result)
    assert ops(again) == ops(result)
