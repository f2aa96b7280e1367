"""Single operators with parts that are missing, unnamed or out of range: a WeftError, or right."""

import os
import signal

import numpy as np
import onnx
import pytest
import weft
from node_cases import node_cases
from onnx import TensorProto, helper, numpy_helper
from weft.compiler.frontends import load
from weft.runtime.errors import GraphError, InputError, ModelError, UnsupportedError

F = TensorProto.FLOAT


def value(name, shape=None, dtype=F):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs, outputs, constants=(), opset=18):
    graph = helper.make_graph(
        nodes, "g", [value(n, s) for n, s in inputs.items()], [value(o) for o in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in dict(constants).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


# --- arity, once for all operators


def single_operators():
    """The smallest case of each operator of the standard."""
    found = {}
    for _, case in sorted(node_cases().items()):
        nodes = case.model.graph.node
        if len(nodes) != 1 or any(a.HasField("g") for a in nodes[0].attribute):
            continue
        old = found.get(nodes[0].op_type)
        if old is None or case.model.ByteSize() < old.model.ByteSize():
            found[nodes[0].op_type] = case
    return found


def without(case, change):
    """The case's model, its node changed; all inputs that are still there are constants."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    change(proto.graph.node[0])
    feed = case.inputs()
    names = {i.name for i in proto.graph.input}
    return proto, {n: v for n, v in feed.items() if n in names}


def refused_or_right(proto, constants):
    """Loaded with and without the values of its inputs."""
    for bound in (constants, {}):
        shapes = {n: v.shape for n, v in constants.items() if n not in bound}
        try:
            load(proto, shapes, bound).verify()
        except (GraphError, InputError, ModelError, UnsupportedError) as e:
            assert str(e)


def test_inputs_and_outputs_that_are_missing_or_unnamed():
    """Every operator: each input blank, and all from each on cut off; each output blank."""
    tried = 0
    for case in single_operators().values():
        node = case.model.graph.node[0]
        changes = []
        for k in range(len(node.input)):
            changes.append(lambda n, k=k: n.input.__setitem__(k, ""))
            changes.append(lambda n, k=k: n.input.__delitem__(slice(k, None)))
        for k in range(len(node.output)):
            changes.append(lambda n, k=k: n.output.__setitem__(k, ""))
        for change in changes:
            refused_or_right(*without(case, change))
            tried += 1
    assert tried > 800


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "opset"),
    [
        ("Einsum", ["x", ""], {"equation": "i,i->i"}, 18),
        ("Concat", ["x", ""], {"axis": 0}, 18),
        ("Sum", ["", "x"], {}, 18),
        ("CumProd", ["x"], {}, 26),
        ("CumProd", ["", "x"], {}, 26),
        ("CumProd", ["x"], {}, 18),
        ("CumSum", ["x", ""], {}, 18),
        ("LayerNormalization", ["x", ""], {}, 16),
    ],
)
def test_required_inputs(op, inputs, attrs, opset):
    proto = model([helper.make_node(op, inputs, ["y"], **attrs)], {"x": [3]}, ["y"], opset=opset)
    with pytest.raises(ModelError):
        load(proto)


@pytest.mark.parametrize("unnamed", ["node", "branch", "both"])
def test_if_with_an_output_without_a_name(unnamed):
    def branch(op):
        inner = "" if unnamed != "node" else f"{op}.out"
        nodes = [helper.make_node(op, ["x"], [f"{op}.out"])]
        return helper.make_graph(nodes, "b", [], [value(inner), value(f"{op}.out")])

    outer = ["", "y"] if unnamed != "branch" else ["z", "y"]
    node = helper.make_node(
        "If", ["c"], outer, then_branch=branch("Neg"), else_branch=branch("Abs")
    )
    outputs = ["y"] if unnamed != "branch" else ["y", "z"]
    proto = model([node], {"x": [3]}, outputs, {"c": np.array(True)})
    if unnamed == "node":
        found = weft.compile(proto, records=False)(np.float32([1, -2, 3]))
        np.testing.assert_array_equal(found, np.float32([-1, 2, -3]))
    else:
        with pytest.raises(ModelError, match="output 0 of its then_branch is unnamed"):
            load(proto)


# --- numbers out of range


def image(op, extra=(), opset=18, **attrs):
    names = [n for n, _ in extra]
    nodes = [helper.make_node(op, ["x", *names], ["y"], **attrs)]
    return model(nodes, {"x": [1, 4, 6, 6]}, ["y"], extra, opset)


W = ("w", np.ones((4, 4, 3, 3), np.float32))
POOL = {"kernel_shape": [2, 2]}
OUT_OF_RANGE = {
    "GlobalLpPool p 0": image("GlobalLpPool", p=0),
    "LpPool p 0": image("LpPool", p=0, **POOL),
    "LpPool p negative": image("LpPool", p=-(2**62), **POOL),
    "Conv strides 0": image("Conv", [W], strides=[0, 0]),
    "Conv dilations 0": image("Conv", [W], dilations=[0, 1]),
    "Conv group 0": image("Conv", [W], group=0),
    "Conv group negative": image("Conv", [W], group=-1),
    "Conv pads huge": image("Conv", [W], pads=[2**62] * 4),
    "ConvTranspose strides huge": image("ConvTranspose", [W], strides=[2**40] * 2),
    "MaxPool kernel 0": image("MaxPool", kernel_shape=[0, 0]),
    "AveragePool strides 0": image("AveragePool", strides=[0, 0], **POOL),
    "DepthToSpace blocksize 0": image("DepthToSpace", blocksize=0),
    "SpaceToDepth blocksize negative": image("SpaceToDepth", blocksize=-2),
    "LRN size 0": image("LRN", size=0),
    "Softmax axis": image("Softmax", axis=4),
    "Flatten axis": image("Flatten", axis=-(2**62)),
    "Gather axis": image("Gather", [("i", np.array([0]))], axis=99),
    "Split num_outputs 0": image("Split", axis=1, num_outputs=0),
    "Transpose perm": image("Transpose", perm=[0, 0, 0, 0]),
    "Cast to nothing": image("Cast", to=2**20),
    "GroupNormalization": image(
        "GroupNormalization", [("s", np.ones(4, np.float32)), ("b", np.ones(4, np.float32))],
        opset=21, num_groups=0,
    ),
    "RoiAlign samples": image(
        "RoiAlign", [("r", np.float32([[0, 0, 3, 3]])), ("b", np.array([0]))],
        sampling_ratio=2**31,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_numbers_out_of_range(name):
    proto = OUT_OF_RANGE[name]
    for constants in ({}, {"x": np.ones((1, 4, 6, 6), np.float32)}):
        with pytest.raises((GraphError, ModelError)):
            load(proto, constants=constants)


def test_many_samples_are_not_taken_while_compiling():
    """A hundred million samples of a region are left to the run, where the user waits for it."""
    regions = [("r", np.float32([[0, 0, 3, 3]])), ("b", np.array([0]))]
    proto = image("RoiAlign", regions, sampling_ratio=10_000)
    graph = load(proto, constants={"x": np.ones((1, 4, 6, 6), np.float32)})
    assert [n.op for n in graph.nodes] == ["roi_align"]


# --- external data


def external(folder, location, make=None):
    """A model whose constant lies at ``location`` in ``folder``, where ``make`` puts something."""
    if make is not None:
        make(folder / location)
    tensor = TensorProto(name="w", data_type=F, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", [value("x", [4])], [value("y")], [tensor]
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    return folder / "m.onnx"


FILES = {
    "a long name": ("w" * 256, None),
    "a long path": ("/".join(["w" * 200] * 40), None),
    "a file that is not there": ("w.bin", None),
    "a folder": ("w.bin", os.mkdir),
    "a pipe": ("w.bin", getattr(os, "mkfifo", None)),
    "a device": ("w.bin", lambda p: p.symlink_to("/dev/zero")),
    "a link to itself": ("w.bin", lambda p: p.symlink_to(p)),
    "a file as a folder": ("m.onnx/w.bin", None),
    "the folder itself": (".", None),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FILES)
def test_external_data_that_is_no_file(name, tmp_path):
    path = external(tmp_path, *FILES[name])
    for call in (weft.load, weft.compile):
        with pytest.raises(ModelError, match="external data"):
            call(path)


def test_external_data_that_becomes_a_pipe(tmp_path, monkeypatch):
    """Between the look and the opening; nobody writes, and nobody waits."""
    path = external(tmp_path, "w.bin", lambda p: p.write_bytes(bytes(16)))
    opened = os.open

    def swapped(name, flags, *rest, **more):
        if str(name).endswith("w.bin"):
            os.remove(name)
            os.mkfifo(name)
        return opened(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", swapped)
    signal.alarm(30)  # an open that waits cannot be interrupted by a thread
    try:
        with pytest.raises(ModelError, match="is not a file"):
            weft.load(path)
    finally:
        signal.alarm(0)


def test_external_data_that_may_not_be_read(tmp_path, monkeypatch):
    """Told by the system, whoever runs the test."""
    path = external(tmp_path, "w.bin", lambda p: p.write_bytes(bytes(16)))

    def refuse(name, flags, *rest, **more):
        if str(name).endswith("w.bin"):
            raise PermissionError(13, "Permission denied", str(name))
        return opened(name, flags, *rest, **more)

    opened = os.open
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        weft.load(path)
