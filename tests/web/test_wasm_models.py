"""Whole models on wasm under Node against ONNX Runtime."""

import pytest
import weft
from web.wasm_node import Answer, NodeRunner, need_tools
from weft.benchmarks import zoo
from weft.benchmarks.zoo import judge
from weft.compiler.check.tolerances import of_models
from weft.ir.target import Target

TOLERANCE = of_models(Target.parse("wasm")).rtol


def check(name: str, target: str, folder, threads: int = 1, repeat: int = 0) -> Answer:
    need_tools()
    model = zoo.random_model(name)
    exe = weft.compile(model, target, shapes=zoo.shapes(model))
    feed = zoo.feed(model)
    runner = NodeRunner(folder)
    runner.add_executable(exe, feed, repeat)
    [answer] = runner.run(threads)
    for output, array in judge.reference(model, feed).items():
        assert judge.relative_error(answer.outputs[output], array) <= TOLERANCE, output
    return answer


@pytest.mark.parametrize("target, threads", [("wasm", 1), ("wasm -threads", 2)])
def test_small_model(target, threads, tmp_path):
    answer = check("mnist_cnn", target, tmp_path, threads, repeat=50)
    assert answer.facts["device"].endswith("2 threads" if threads > 1 else "SIMD")
    assert answer.facts["before"] == answer.facts["after"], "memory grows from run to run"
    assert all(row["ms"] >= 0 for row in answer.facts["steps"])


def test_a_program_keeps_its_limit_of_threads(tmp_path):
    need_tools()
    model = zoo.random_model("mnist_cnn")
    exe = weft.compile(model, "wasm -threads", shapes=zoo.shapes(model), threads=2)
    runner = NodeRunner(tmp_path)
    runner.add_executable(exe, zoo.feed(model))
    [answer] = runner.run(4)
    assert answer.facts["device"].endswith("2 threads")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, target, threads",
    [
        ("resnet18", "wasm", 1),
        ("mobilenet_v2", "wasm -threads", 3),
        ("encoder", "wasm", 1),
        ("encoder", "wasm -threads", 3),
    ],
)
def test_model(name, target, threads, tmp_path):
    check(name, target, tmp_path, threads)
