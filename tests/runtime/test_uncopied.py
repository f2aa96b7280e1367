"""What is of its process says so, and what to do, where it is copied or sent to another one."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import weft
from weft import te
from weft.compiler.graph.builder import GraphBuilder
from weft.runtime.errors import InputError


def graph():
    b = GraphBuilder("small")
    (y,) = b.add("relu", [b.input("x", "float32", (4,))])
    return b.finish([y])


def schedule():
    A = te.placeholder((8,), name="A")
    return te.create_schedule(te.compute((8,), lambda i: A[i] + 1, name="B"))


def kernel():
    s = schedule()
    return weft.build(s, [s.stages[0].op.outputs[0], *s.outputs])


OBJECTS = {
    "executable": (lambda: weft.compile(graph()), r"small: .*Executable .*(.|\n)*hint: save it"),
    "kernel": (kernel, r"main: .*KernelModule .*(.|\n)*hint: build it there"),
    "graph": (graph, r"small: .*Graph .*(.|\n)*hint: use the graph itself"),
    "records": (lambda: weft.Records(None), r"Records .*(.|\n)*hint: open"),
    "schedule": (schedule, r"Schedule .*(.|\n)*hint: .*trace"),
    "stage": (lambda: schedule().stages[1], r"B: .*Stage .*(.|\n)*hint: .*trace"),
    "tensor": (lambda: schedule().outputs[0], r"B: .*Tensor .*(.|\n)*hint: "),
    "operation": (lambda: schedule().outputs[0].op, r"B: .*ComputeOp .*(.|\n)*hint: "),
}
WAYS = {"pickle": pickle.dumps, "copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OBJECTS)
def test_it_says_what_to_do(name, way):
    make, words = OBJECTS[name]
    with pytest.raises(InputError, match=words):
        WAYS[way](make())


def test_it_says_so_where_a_process_is_started():
    exe = weft.compile(graph())
    process = multiprocessing.get_context("spawn").Process(target=print, args=(exe,))
    with pytest.raises(InputError, match=r"hint: save it, and weft\.runtime\.load"):
        process.start()


def test_what_is_data_can_be_sent():
    exe = weft.compile(graph())
    x = np.zeros(4, np.float32)
    for value in (exe.profile(x), exe.benchmark(x), exe.memory, exe.inputs["x"],
                  weft.Target.parse("llvm -opt_level=2")):  # fmt: skip
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
