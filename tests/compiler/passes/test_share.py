"""Many slices of one tensor share a kernel; wide concatenations are made of narrow ones."""

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.passes.narrow import narrow_concats
from weft.compiler.passes.share import share_slices
from weft.compiler.schedules.measured import JOINED, SHARED_SLICES
from weft.ir.target import Target


def sliced(count, axis=0, step=1):
    """``count`` slices of two elements along an axis, and the array that they are cut from."""
    extent = count + step
    shape = (extent, 3) if axis == 0 else (3, extent)
    b = GraphBuilder("g")
    x = b.input("x", "float32", shape)
    made = []
    for k in range(count):
        starts, cut, steps = [0, 0], list(shape), [1, 1]
        starts[axis], cut[axis], steps[axis] = k, 2, step
        attrs = {"starts": tuple(starts), "shape": tuple(cut), "steps": tuple(steps)}
        made += b.add("slice", [x], attrs)
    return b.finish(made), np.arange(3 * extent, dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("step", [1, 3])
def test_many_slices_are_one_kernel(axis, step):
    graph, x = sliced(SHARED_SLICES, axis, step)
    exe = weft.compile(graph, cache=False)
    assert len(exe.program.kernels) == 1
    assert len(exe.program.steps) == SHARED_SLICES
    want = evaluate_graph(graph, {"x": x})
    for name, found in zip(graph.outputs, exe(x)):
        np.testing.assert_array_equal(found, want[name])


def test_the_slices_of_one_dimension_are_shared_too():
    """Their starts have one element, which alone would be a literal in the kernel."""
    b = GraphBuilder("g")
    x = b.input("x", "int32", (SHARED_SLICES,))
    attrs = [{"starts": (k,), "shape": (1,)} for k in range(SHARED_SLICES)]
    exe = weft.compile(b.finish([n for a in attrs for n in b.add("slice", [x], a)]), cache=False)
    assert len(exe.program.kernels) == 1
    assert [int(y[0]) for y in exe(np.arange(SHARED_SLICES, dtype=np.int32))] == [
        *range(SHARED_SLICES)
    ]


def test_what_stays_a_slice():
    few, _ = sliced(SHARED_SLICES - 1)
    assert share_slices(few) is few
    backwards, _ = sliced(SHARED_SLICES)
    nodes = []
    for n in backwards.nodes:
        starts = (n.attrs["starts"][0] + 1, 0)
        nodes.append(type(n)(n.op, n.inputs, n.outputs, {**n.attrs, "starts": starts}, n.source))
        nodes[-1].attrs["steps"] = (-1, 1)
    backwards = backwards.replace(nodes=tuple(nodes)).verify()
    assert share_slices(backwards) is backwards


@pytest.mark.parametrize(
    ("target", "most"),
    [("llvm", JOINED), ("opencl", JOINED), ("wasm", JOINED), ("webgpu", 7), ("opengl", 16)],
)
def test_no_concatenation_asks_for_more_than_a_kernel_can_be_given(target, most):
    b = GraphBuilder("g")
    count = most * most + 1
    names = [b.input(f"x{k}", "float32", (1, 2)) for k in range(count)]
    graph = b.finish(b.add("concat", names, {"axis": 0}))
    narrow = narrow_concats(graph, Target.parse(target))
    assert max(len(n.inputs) for n in narrow.nodes) == most
    assert len(narrow.nodes) <= 2 * count / most + 3
    feed = {n: np.full((1, 2), k, np.float32) for k, n in enumerate(names)}
    found = evaluate_graph(narrow, feed)[narrow.outputs[0]]
    np.testing.assert_array_equal(found, np.concatenate([*feed.values()]))
    assert narrow_concats(narrow, Target.parse(target)) is narrow
