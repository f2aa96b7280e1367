"""Every compile ends: chains of 50 of every element-wise operator, on every target, counted.

A chain twice as long takes twice the work of every pass, schedule rule and writer of code. Work is
counted in Python calls, so that no machine and no neighbour decides; what a driver or LLVM does
with the code is judged by the length of the code.
"""

from __future__ import annotations

import numpy as np
import pytest
from conformance.columns import COLUMNS
from support.chains import SHAPE, chain, links
from support.counting import calls
from weft.codegen import for_target
from weft.codegen.llvm.kernel import Module, kernel
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.evaluate import evaluate_nodes
from weft.compiler.graph.group import structural_key
from weft.compiler.kernels.kernel import lower_group, schedule_group
from weft.compiler.kernels.program import assemble
from weft.compiler.options import CompileOptions
from weft.compiler.passes.fuse import fuse
from weft.compiler.schedules.choices import Choices
from weft.ir.target import Target

LINKS = {name: (dtype, link) for name, dtype, link in links()}
# What doubled or tripled with every link, and one of each other kind.
SELECTS = [
    "leaky_relu", "prelu", "shrink", "thresholded_relu", "sign", "x + leaky_relu(x)", "x + elu(x)",
    "where(x > y, x, y)", "where(y > 0, x + 1, x * 2)", "where(y > 0, x, 0) + where(y > 1, x, 1)",
]  # fmt: skip
OTHERS = ["x + sigmoid(x)", "pow", "clip", "sub", "sin"]
TEXTS = ("opencl", "webgpu", "webgl")
KINDS = ("llvm", "wasm", *TEXTS)
DEVICES = ("llvm", "opencl", "opengl", "webgpu")


def written(graph, target: Target) -> int:
    """The length of the code of a graph's kernels. LLVM's optimiser is left out."""
    length, seen = 0, set[str]()
    for group in fuse(graph, target.max_buffers):
        key = structural_key(group, graph.types, graph.constants)
        if key in seen:
            continue
        seen.add(key)
        expr, s, layouts = schedule_group(
            group, graph.types, graph.constants, target, Choices(None)
        )
        lowered = lower_group(expr, s, layouts, target, "k")
        for f in lowered.functions:
            if target.kind in TEXTS:
                length += len(for_target(target).emit([f], target).source)
            else:
                module = Module(resolved("llvm"), has_half=True, wide=False)
                kernel(module, f)
                length += len(module.text(""))
    return length


def resolved(kind: str) -> Target:
    target = Target.parse(kind)
    return for_target(target).resolve(target)


def steps(name: str, length: int, target: Target) -> tuple[int, int]:
    """Python calls that a chain takes to compile, and the length of its code."""
    dtype, link = LINKS[name]
    size, count = calls(written, chain(link, length, dtype), target)
    return count, size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SELECTS)
def test_selects_take_twice_the_work_for_twice_the_length(kind, name):
    target = resolved(kind)
    (few, short), (many, long) = (steps(name, n, target) for n in (8, 16))
    assert many < 2.5 * few, f"{few} calls for 8 links, {many} for 16"
    assert long < 2.5 * short, f"{short} characters for 8 links, {long} for 16"


@pytest.mark.slow
@pytest.mark.parametrize("name", LINKS)
def test_chains_of_fifty(name):
    """Each operator on one of the targets in turn: all have the passes and rules in common."""
    target = resolved(KINDS[list(LINKS).index(name) % len(KINDS)])
    (few, short), (many, long) = (steps(name, n, target) for n in (25, 50))
    assert many < 2.5 * few, f"{few} calls for 25 links, {many} for 50"
    assert long < 2.5 * short, f"{short} characters for 25 links, {long} for 50"


@pytest.mark.parametrize("device", DEVICES)
def test_the_numbers_are_those_of_the_reference(device):
    """Four links of each in one program."""
    column = COLUMNS[device]
    if column.missing():
        pytest.skip(column.missing())
    b = GraphBuilder("chains")
    b.input("x", "float32", SHAPE)
    b.input("y", "float32", SHAPE)
    names = [n for n in (*SELECTS, *OTHERS) if LINKS[n][0] == "float32"]
    ends = []
    for name in names:
        x = "x"
        for _ in range(4):
            x = LINKS[name][1](b, x)
        ends.append(x)
    graph = b.finish(ends)
    rng = np.random.default_rng(0)
    inputs = {n: rng.uniform(-1.5, 1.5, SHAPE).astype(np.float32) for n in graph.inputs}
    target = resolved(column.target)
    exe = assemble(graph, fuse(graph, target.max_buffers), target, CompileOptions())
    got, expected = exe.run(inputs), evaluate_nodes(graph, graph.nodes, inputs)
    for name, end in zip(names, ends):
        np.testing.assert_allclose(got[end], expected[end], 2e-4, 2e-5, err_msg=name)
