"""The work for large models grows as the models do: lines of Python are counted, not seconds.

Kernels come from a cache, so that what is counted is the way of the whole graph.
"""

import numpy as np
import pytest
import weft
from onnx import TensorProto, helper, numpy_helper
from support.counting import lines
from weft.compiler.kernels.cache import KernelCache
from weft.runtime.devices.memory import share_blocks
from weft.runtime.storage import Storage

SMALL, LARGE = 100, 400
GROWTH = 1.25  # of lines for each node; a quadratic part of a fifth of the lines would be seen


def value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def model(nodes, inputs, outputs, constants=(), functions=(), shape=(1, 4, 4, 4)):
    graph = helper.make_graph(
        nodes, "g", [value(i, shape) for i in inputs], [value(o, None) for o in outputs],
        list(constants),
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=9)


def chain(n):
    ops = ("Relu", "Softmax", "Neg")
    nodes = [helper.make_node(ops[k % 3], [f"t{k}"], [f"t{k + 1}"]) for k in range(n)]
    return model(nodes, ["t0"], [f"t{n}"])


def residual(n):
    """Blocks that all read one weight."""
    nodes = []
    for k in range(n):
        nodes += [
            helper.make_node("Conv", [f"t{k}", "w"], [f"c{k}"]),
            helper.make_node("Relu", [f"c{k}"], [f"r{k}"]),
            helper.make_node("Add", [f"r{k}", f"t{k}"], [f"t{k + 1}"]),
        ]
    w = constant("w", np.full((4, 4, 1, 1), 0.1, np.float32))
    return model(nodes, ["t0"], [f"t{n}"], [w])


def convolutions(n):
    """A weight each, and layouts to choose all the way."""
    w = np.full((16, 16, 1, 1), 0.1, np.float32)
    nodes = [helper.make_node("Conv", [f"t{k}", f"w{k}"], [f"t{k + 1}"]) for k in range(n)]
    constants = [constant(f"w{k}", w + np.float32(k)) for k in range(n)]
    return model(nodes, ["t0"], [f"t{n}"], constants, shape=(1, 16, 4, 4))


def fan_out(n):
    nodes = [helper.make_node("Softmax", ["x"], ["s"])]
    nodes += [helper.make_node(("Neg", "Relu")[k % 2], ["s"], [f"y{k}"]) for k in range(n)]
    return model(nodes, ["x"], [f"y{k}" for k in range(n)])


def signature(n):
    """As many inputs, outputs and constants as nodes."""
    nodes = [helper.make_node("Add", [f"x{k}", f"c{k}"], [f"y{k}"]) for k in range(n)]
    constants = [constant(f"c{k}", np.full(4, k, np.float32)) for k in range(n)]
    names = range(n)
    return model(nodes, [f"x{k}" for k in names], [f"y{k}" for k in names], constants)


def ladder(n):
    """Every node also meets what all others come to in the end."""
    nodes = [helper.make_node("Softmax", [f"t{k}"], [f"t{k + 1}"]) for k in range(n)]
    nodes += [helper.make_node("Sum", [f"t{k}" for k in range(n + 1)], ["y"])]
    return model(nodes, ["t0"], ["y", f"t{n}"])


def functions(n):
    """A function of the model's own that is called again and again, and calls another."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = helper.make_function(
        "own", "inner", ["a"], ["b"], [helper.make_node("Softmax", ["a"], ["b"])], opsets
    )
    calls = [helper.make_node("inner", ["a"], ["b"], domain="own")]
    outer = helper.make_function("own", "outer", ["a"], ["b"], calls, opsets)
    nodes = [helper.make_node("outer", [f"t{k}"], [f"t{k + 1}"], domain="own") for k in range(n)]
    return model(nodes, ["t0"], [f"t{n}"], functions=[inner, outer])


def branches(n):
    def branch(op, k):
        nodes = [helper.make_node(op, [f"t{k}"], [f"{op}{k}"])]
        return helper.make_graph(nodes, "b", [], [value(f"{op}{k}", None)])

    nodes = [
        helper.make_node(
            "If", ["c"], [f"t{k + 1}"],
            then_branch=branch("Softmax", k), else_branch=branch("Neg", k),
        )
        for k in range(n)
    ]  # fmt: skip
    return model(nodes, ["t0"], [f"t{n}"], [constant("c", True)])


def backwards(n):
    """A chain whose nodes stand in the file from last to first."""
    proto = chain(n)
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    return proto


def split(n):
    nodes = [helper.make_node("Split", ["x"], [f"y{k}" for k in range(n)], num_outputs=n)]
    proto = model(nodes, ["x"], [f"y{k}" for k in range(n)], shape=(n, 4))
    proto.opset_import[0].version = 18
    return proto


def concat(n):
    nodes = [helper.make_node("Concat", [f"x{k}" for k in range(n)], ["y"], axis=0)]
    return model(nodes, [f"x{k}" for k in range(n)], ["y"])


MODELS = (
    chain, residual, convolutions, fan_out, signature, ladder, functions, branches, backwards,
    split, concat,
)  # fmt: skip


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_work_grows_as_the_model(make, tmp_path):
    cache = KernelCache(tmp_path, 1 << 26)

    def work(n):
        proto = make(n)
        weft.compile(proto, cache=cache, records=False)  # fills the cache
        _, count = lines(lambda: weft.compile(proto, cache=cache, records=False))
        return count

    small, large = work(SMALL), work(LARGE)
    assert large / small < GROWTH * LARGE / SMALL, (small, large)


@pytest.mark.parametrize(("make", "kernels"), [(split, 1), (concat, 3)])
def test_wide_operators_are_few_kernels(make, kernels):
    """A Split of 2000 parts and a Concat of 1000: what takes long is to compile each kernel."""
    exe = weft.compile(make(2000 if make is split else 1000), cache=False, records=False)
    assert len(exe.program.kernels) <= kernels


def test_devices_share_blocks_in_a_time_that_grows_as_the_program(tmp_path):
    """Two blocks take turns over the whole of a chain."""
    cache = KernelCache(tmp_path, 1 << 26)

    def work(n):
        program = weft.compile(chain(n), "opencl", cache=cache, records=False).program
        storage = Storage(program, {})
        plan, count = lines(lambda: share_blocks(storage, lambda k: storage.slots[k].nbytes))
        assert len(plan.blocks) < 6
        return count

    small, large = work(SMALL), work(LARGE)
    assert large / small < GROWTH * LARGE / SMALL, (small, large)
