"""Damaged and hostile Core ML models: a WeftError in bounded time and memory, and nothing else."""

import json
import struct
import warnings

import numpy as np
import pytest
import weft
from support.coreml_answers import layers, network, package, programs
from support.front_ends import mutated
from weft.compiler.frontends import inspect
from weft.compiler.frontends.coreml.proto import MESSAGES, Model
from weft.runtime.errors import GraphError, InternalError, ModelError, UnsupportedError, WeftError

pytestmark = pytest.mark.timeout(120)
PARTS = ("Manifest.json", "Data/com.apple.CoreML/model.mlmodel",
         "Data/com.apple.CoreML/weights/weight.bin")  # fmt: skip


def attempt(source):
    """Whether a model is read; any error but weft's own for a model is the test's failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            weft.load(source, format="coreml")
            inspect(source, format="coreml")
        except WeftError as e:
            assert not isinstance(e, InternalError), e
            return False
    return True


def test_a_thousand_mutations_of_networks():
    rng, refused = np.random.default_rng(1), 0
    models = [network(n) for n in rng.choice(layers(), 60, replace=False)]
    for k in range(1000):
        refused += not attempt(mutated(rng, models[k % len(models)]))
    assert 200 < refused < 1000


def test_a_thousand_mutations_of_packages(tmp_path):
    rng, refused = np.random.default_rng(2), 0
    chosen = ["network, palette", "network, int4", "classifier of images", "lstm forward"]
    chosen += list(rng.choice(programs(), 30, replace=False))
    folders = [package(n, tmp_path) for n in chosen]
    for k in range(1000):
        folder = folders[k % len(folders)]
        part = folder / PARTS[0 if k % 10 == 0 else 1 + k % 2]
        if not part.exists():
            part = folder / PARTS[1]
        whole = part.read_bytes()
        part.write_bytes(mutated(rng, whole))
        refused += not attempt(folder)
        part.write_bytes(whole)
    assert 200 < refused < 1000


def test_truncated_everywhere():
    data = network("network")
    for length in range(0, len(data), 97):
        attempt(data[:length])


def program(*operations, inputs=("x",), outputs=("y",)):
    """A program of one function; inputs are float32[2]."""
    model = Model(specificationVersion=8)
    model.description.input.add(name="x")
    main = model.mlProgram.functions["main"]
    main.opset = "CoreML7"
    for name in inputs:
        tensor = main.inputs.add(name=name).type.tensorType
        tensor.dataType = 11
        tensor.dimensions.add().constant.size = 2
    block = main.block_specializations["CoreML7"]
    block.outputs.extend(outputs)
    for kind, ins, outs in operations:
        op = block.operations.add(type=kind)
        for key, value in ins.items():
            binding = op.inputs[key].arguments.add()
            if isinstance(value, str):
                binding.name = value
            else:
                binding.value.CopyFrom(value)
        for o in outs:
            op.outputs.add(name=o)
    return model


def ints(*values, shape=None):
    """A literal of int32."""
    v = MESSAGES["Value"]()
    v.type.tensorType.dataType = 23
    for d in (len(values),) if shape is None else shape:
        v.type.tensorType.dimensions.add().constant.size = d
    v.immediateValue.tensor.ints.values.extend(values)
    return v


def load(model):
    return weft.load(model.SerializeToString(), format="coreml")


def test_the_program_here_is_sound():
    graph = load(program(("relu", {"x": "x"}, ["y"])))
    assert [n.op for n in graph.nodes] == ["relu"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (program(("relu", {"x": "z"}, ["y"])), "'z' is not defined"),
        (program(("relu", {"x": "y"}, ["y"])), "cyclic"),
        (program(("relu", {"x": "x"}, ["y"]), ("exp", {"x": "x"}, ["y"])), "made twice"),
        (program(("relu", {}, ["y"])), "'x' is 0 values"),
        (program(("reshape", {"x": "x", "shape": ints(3)}, ["y"])), "change the number"),
        (program(("reshape", {"x": "x", "shape": ints(1, shape=(5,))}, ["y"])), "needs 5 elements"),
        (program(("reshape", {"x": "x", "shape": ints(shape=(1 << 40, 1 << 40))}, ["y"])), "most"),
        (program(("relu", {"x": "x"}, ["y"]), inputs=("x", "x")), "two inputs"),
        (program(outputs=()), "no outputs"),
    ],
)
def test_what_contradicts_itself(model, words):
    with pytest.raises((ModelError, GraphError), match=words):
        load(model)


@pytest.mark.parametrize(
    "operation",
    [
        ("fill", {"shape": ints(1 << 20, 1 << 20)}, ["y"]),
        ("tile", {"x": "x", "reps": ints(1 << 30)}, ["y"]),
        ("one_hot", {"indices": ints(1), "one_hot_vector_size": ints(1 << 30, shape=())}, ["y"]),
        ("resize_nearest_neighbor", {
            "x": "x", "target_size_height": ints(1, shape=()),
            "target_size_width": ints(1 << 30, shape=())}, ["y"]),
    ],
)  # fmt: skip
def test_size_is_checked_before_memory_is_taken(operation):
    with pytest.raises(WeftError):
        load(program(operation))


def test_all_that_is_missing_is_told_at_once():
    model = program(("odd", {"x": "x"}, ["a"]), ("even", {"x": "x"}, ["b"]),
                    ("add", {"x": "a", "y": "b"}, ["y"]))  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"(?s)operator odd.*'a'.*operator even.*'b'"):
        load(model)
    missing = inspect(model.SerializeToString(), format="coreml").missing
    assert missing == {"operator odd": ["a"], "operator even": ["b"]}


def test_blocks_in_blocks():
    model = program(("cond", {"pred": "x"}, ["y"]))
    op = model.mlProgram.functions["main"].block_specializations["CoreML7"].operations[0]
    for _ in range(20):
        inner = op.blocks.add().operations.add(type="cond")
        op = inner
    with pytest.raises(WeftError):
        load(model)


def test_other_kinds_of_models():
    model = Model(specificationVersion=1)
    with pytest.raises(UnsupportedError, match="none of them"):
        load(model)
    model.pipeline.models.add()
    with pytest.raises(UnsupportedError, match="a file of its own"):
        load(model)
    new = program(("relu", {"x": "x"}, ["y"]))
    new.specificationVersion = 99
    with pytest.raises(UnsupportedError, match="specification is 99"):
        load(new)


@pytest.mark.parametrize("offset", [0, 7, 1 << 40, (1 << 64) - 1])
def test_weights_at_no_place(tmp_path, offset):
    folder = package("network, palette", tmp_path)
    weights = folder / PARTS[2]
    header = struct.pack("<IIQQ", 0xDEADBEEF, 2, (1 << 64) - 1, offset)
    weights.write_bytes(weights.read_bytes()[:64] + header)
    with pytest.raises(ModelError):
        weft.load(folder)


def test_a_manifest_without_a_model(tmp_path):
    folder = package("relu", tmp_path)
    for text in ("", "[]", "{}", json.dumps({"itemInfoEntries": [], "rootModelIdentifier": 0})):
        (folder / PARTS[0]).write_text(text)
        with pytest.raises(ModelError):
            weft.load(folder, format="coreml")
