"""Models that are sound though odd: each runs, and gives what ONNX Runtime gives."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
import weft
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from support.against_ort import model, node, same, value
from weft.compiler.frontends import load
from weft.compiler.frontends.onnx.importer import ModelWarning
from weft.runtime.errors import ModelError, UnsupportedError

X = np.float32([[1, -2, 0], [4, 0, 6]])
I64 = TensorProto.INT64


# --- what is declared


@pytest.mark.parametrize("stale", [[1, 3], [2, 4], [6], [2, 3, 1]])
def test_a_stale_shape_is_told_and_ignored(stale) -> None:
    proto = model([node("Relu", "x", "y")], [value("x", [2, 3])], [value("y", stale)])
    with pytest.warns(ModelWarning, match=r"'y' is declared .* make float32\[2, 3\]"):
        found = weft.compile(proto, records=False).run({"x": X})
    np.testing.assert_array_equal(found["y"], np.maximum(X, 0))


def test_an_output_listed_twice_is_made_once() -> None:
    outputs = [value("y", [2, 3]), value("z", [2, 3]), value("y", [2, 3])]
    proto = model([node("Relu", "x", "y"), node("Neg", "x", "z")], [value("x", [2, 3])], outputs)
    with pytest.warns(ModelWarning, match="listed twice"):
        exe = weft.compile(proto, records=False)
    assert list(exe.outputs) == ["y", "z"]
    np.testing.assert_array_equal(exe.run({"x": X})["z"], -X)


def test_an_output_that_is_an_input_keeps_its_name() -> None:
    outputs = [value("x", [2, 3]), value("y", [2, 3]), value("c", [2])]
    proto = model([node("Neg", "x", "y")], [value("x", [2, 3])], outputs, {"c": np.float32([1, 2])})
    same(proto, {"x": X})


def test_an_input_of_another_type_that_nothing_reads() -> None:
    inputs = [value("x", [2, 3]), value("names", ["n"], TensorProto.STRING)]
    proto = model([node("Neg", "x", "y")], inputs, [value("y", [2, 3])])
    with pytest.warns(ModelWarning, match="'names', which nothing reads"):
        exe = weft.compile(proto, records=False)
    assert list(exe.inputs) == ["x"]
    proto.graph.node.append(node("Identity", "names", "z"))
    proto.graph.output.append(value("z", ["n"], TensorProto.STRING))
    with pytest.raises(UnsupportedError, match="string"):
        load(proto)


# --- what no output needs


def test_dead_nodes_are_not_converted() -> None:
    nodes = [
        node("NoSuchOperator", "x", "a"),
        node("NonZero", "a", "b"),
        node("Relu", "x", "y"),
        node("Gather", "y b", "c"),
    ]
    graph = load(model(nodes, [value("x", [2, 3])], [value("y", [2, 3])]))
    assert [n.op for n in graph.nodes] == ["relu"]
    with pytest.raises(UnsupportedError, match="NoSuchOperator"):
        load(model(nodes, [value("x", [2, 3])], [value("c")]))


def test_dead_nodes_must_still_be_sound() -> None:
    nodes = [node("Relu", "x", "y"), node("Neg", "nowhere", "z")]
    with pytest.raises(ModelError, match="'nowhere' is not defined"):
        load(model(nodes, [value("x", [2])], [value("y")]))


# --- what constants alone decide

RNG = np.random.default_rng(5)
SQUARE = RNG.normal(size=(3, 4, 4)).astype(np.float32)
NUMBERS = np.int64([[3, 1, 1], [2, 3, 2], [3, 1, 1]])
BOXES = RNG.random((2, 12, 4), np.float32)
SCORES = RNG.random((2, 3, 12), np.float32)
FOLDED = {
    "NonZero": ([(np.arange(12).reshape(3, 4) % 3).astype(np.float32)], {}, 1),
    "NonZero bool": ([np.array([True, False, True])], {}, 1),
    "Compress": ([X, np.array([True, False])], {"axis": 0}, 1),
    "Compress flat": ([X, np.array([False, True, True, False, True])], {}, 1),
    "Unique": ([np.float32([2, 1, 1, 3, 4, 3])], {}, 4),
    "Unique unsorted": ([np.float32([2, 1, 1, 3, 4, 3])], {"sorted": 0}, 4),
    "Unique rows": ([NUMBERS], {"axis": 0}, 4),
    "Unique columns": ([NUMBERS], {"axis": 1, "sorted": 0}, 4),
    "Det": ([SQUARE], {}, 1),
    "NonMaxSuppression": ([BOXES, SCORES, np.int64([4]), np.float32([0.2]), np.float32([0.3])],
                          {}, 1),
    "NonMaxSuppression centres": ([BOXES, SCORES, np.int64([9]), np.float32([0.1])],
                                  {"center_point_box": 1}, 1),
    "MelWeightMatrix": ([np.int64(v) for v in (8, 64, 8192)] + [np.float32(0), np.float32(4096)],
                        {}, 1),
}  # fmt: skip


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("name", FOLDED)
def test_operators_that_compute_from_constants(name, bound) -> None:
    """As initializers, and as inputs that the caller binds."""
    arrays, attrs, count = FOLDED[name]
    outs = [f"y{k}" for k in range(count)]
    ins = [f"c{k}" for k in range(len(arrays))]
    made = helper.make_node(name.split()[0], ins, outs, **attrs)
    known = dict(zip(ins, arrays))
    types = [helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype) for a in arrays]
    inputs = [value(i, np.shape(a), t) for i, a, t in zip(ins, arrays, types)] if bound else []
    outputs = [value(o, None, I64 if "Unique" not in name else types[0] if not k else I64)
               for k, o in enumerate(outs)]  # fmt: skip
    for o in outputs:
        if name.split()[0] in ("Compress", "Det", "MelWeightMatrix"):
            o.type.tensor_type.elem_type = types[0] if "Mel" not in name else TensorProto.FLOAT
    proto = model([made], inputs, outputs, None if bound else known)
    graph = load(proto, constants=known if bound else None)
    assert not graph.nodes
    want = ReferenceEvaluator(proto).run(None, known if bound else {})
    assert isinstance(want, list)
    for o, expected in zip(graph.outputs, want):
        got = graph.constants[o]
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


# --- how constants are stored


def sparse(name, values, at, dims):
    made = onnx.SparseTensorProto(dims=dims)
    made.values.CopyFrom(numpy_helper.from_array(np.asarray(values), name))
    made.indices.CopyFrom(numpy_helper.from_array(np.asarray(at, np.int64)))
    return made


@pytest.mark.parametrize("at", [[1, 3, 5], [[0, 1], [1, 0], [1, 2]]])
@pytest.mark.parametrize("form", ["initializer", "Constant"])
def test_sparse_constants(at, form) -> None:
    w = sparse("w", np.float32([5, 6, 7]), at, [2, 3])
    nodes = [node("Add", "x w", "y")]
    if form == "Constant":
        nodes.insert(0, node("Constant", "", "w", sparse_value=w))
    proto = model(nodes, [value("x", [2, 3])], [value("y", [2, 3])])
    if form == "initializer":
        proto.graph.sparse_initializer.append(w)
    found = weft.compile(proto, records=False).run({"x": X})["y"]
    np.testing.assert_array_equal(found, X + np.float32([[0, 5, 0], [6, 0, 7]]))


@pytest.mark.parametrize(
    ("values", "at", "dims"),
    [
        ([1.0, 2.0], [0], [2, 3]),
        ([1.0], [6], [2, 3]),
        ([1.0], [-1], [2, 3]),
        ([1.0], [[0, 3]], [2, 3]),
        ([1.0], [[0]], [2, 3]),
        ([1.0], [0], [-2, 3]),
        ([1.0], [0], [1 << 20, 1 << 20]),
        ([[1.0]], [0], [2, 3]),
    ],
)
def test_sparse_constants_that_contradict_themselves(values, at, dims) -> None:
    proto = model([node("Add", "x w", "y")], [value("x", [2, 3])], [value("y")])
    proto.graph.sparse_initializer.append(sparse("w", np.float32(values), at, dims))
    with pytest.raises(ModelError, match="sparse tensor 'w'"):
        load(proto)


@pytest.mark.parametrize("code", ["INT4", "UINT4"])
@pytest.mark.parametrize("packed", ["raw", "int32", "external"])
@pytest.mark.parametrize("zero", [True, False])
def test_weights_of_four_bits(code, packed, zero, tmp_path) -> None:
    """Seven columns: the last byte of the tensor is half full."""
    kind = getattr(TensorProto, code)
    low = -8 if code == "INT4" else 0
    numbers = np.random.default_rng(1).integers(low, low + 16, (3, 7))
    w = helper.make_tensor("w", kind, [3, 7], numbers.reshape(-1).tolist())
    flat = numbers.reshape(-1) & 15
    data = bytes((flat[0::2] | np.append(flat[1::2] << 4, 0)).astype(np.uint8))
    if packed != "int32":
        w.ClearField("int32_data")
        w.raw_data = data
    scale = np.float32([0.5, 0.25, 2])
    nodes = [
        node("DequantizeLinear", "w s" + " z" * zero, "d", axis=0),
        node("MatMul", "x d", "y"),
    ]
    proto = model(nodes, [value("x", [2, 3])], [value("y", [2, 7])], {"s": scale}, opset=21)
    proto.graph.initializer.append(w)
    proto.graph.initializer.append(helper.make_tensor("z", kind, [3], [1, 2, 3]))
    if packed == "external":
        t = proto.graph.initializer[1]
        t.ClearField("raw_data")
        t.data_location = TensorProto.EXTERNAL
        t.external_data.add(key="location", value="w.bin")
        (tmp_path / "w.bin").write_bytes(data)
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        found = weft.compile(tmp_path / "m.onnx", records=False).run({"x": X})["y"]
    else:
        found = weft.compile(proto, records=False).run({"x": X})["y"]
    shift = np.float32([[1], [2], [3]]) * zero
    np.testing.assert_allclose(found, X @ ((numbers - shift) * scale[:, None]), rtol=1e-5)


@pytest.mark.parametrize("code", ["INT4", "UINT4"])
def test_quantising_to_four_bits_saturates_there(code) -> None:
    kind, low = getattr(TensorProto, code), -8 if code == "INT4" else 0
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
    proto = model(nodes, [value("x", [9])], [value("y", [9])], {"s": np.float32(0.5)}, opset=21)
    proto.graph.initializer.append(helper.make_tensor("z", kind, [], [2]))
    x = np.linspace(-9, 9, 9, dtype=np.float32)
    found = weft.compile(proto, records=False).run({"x": x})["y"]
    steps = np.clip(np.rint(x / 0.5) + 2, low, low + 15)
    np.testing.assert_array_equal(found, (steps - 2) * np.float32(0.5))


def stored_outside(folder, location) -> bytes:
    tensor = TensorProto(name="w", data_type=1, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    proto = model([node("Add", "x w", "y")], [value("x", [2, 3])], [value("y", [2, 3])])
    proto.graph.initializer.append(tensor)
    return proto.SerializeToString()


def test_a_model_and_its_data_that_are_links_into_a_cache(tmp_path) -> None:
    """As the caches of hubs lie: names in ``snapshots`` lead to numbered files in ``blobs``."""
    blobs, shot = tmp_path / "blobs", tmp_path / "snapshots" / "0a1b" / "onnx"
    blobs.mkdir()
    shot.mkdir(parents=True)
    (blobs / "77").write_bytes(stored_outside(shot, "model.onnx_data"))
    (blobs / "88").write_bytes(np.float32([10, 20, 30]).tobytes())
    up = os.path.relpath(blobs, shot)
    (shot / "model.onnx").symlink_to(f"{up}/77")
    (shot / "model.onnx_data").symlink_to(f"{up}/88")
    found = weft.compile(shot / "model.onnx", records=False).run({"x": X})["y"]
    np.testing.assert_array_equal(found, X + np.float32([10, 20, 30]))
    # The folder of the real file is allowed, not what lies beside or above it.
    (tmp_path / "99").write_bytes(bytes(12))
    (shot / "model.onnx_data").unlink()
    (shot / "model.onnx_data").symlink_to(tmp_path / "99")
    with pytest.raises(ModelError, match="a link out of"):
        load(shot / "model.onnx")


def test_a_real_model_with_linked_data_is_still_refused(tmp_path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "88").write_bytes(bytes(12))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "m.onnx").write_bytes(stored_outside(tmp_path, "w.bin"))
    (tmp_path / "m" / "w.bin").symlink_to(tmp_path / "blobs" / "88")
    with pytest.raises(ModelError, match="a link out of"):
        load(tmp_path / "m" / "m.onnx")


# --- arguments that come at run time


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("shape", [(4, 5), (2, 5, 3)])
def test_a_triangle_from_a_diagonal_of_run_time(upper, shape) -> None:
    inputs = [value("x", shape), value("k", [], I64)]
    proto = model([node("Trilu", "x k", "y", upper=upper)], inputs, [value("y", shape)])
    exe = weft.compile(proto, records=False)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for k in (-7, -2, 0, 1, 9):
        want = (np.triu if upper else np.tril)(x, k)
        np.testing.assert_array_equal(exe.run({"x": x, "k": np.int64(k)})["y"], want)


# --- spectra of a constant length


@pytest.mark.parametrize("length", [16, 15])
@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("window", ["none", "constant", "data"])
def test_frames_of_a_constant_length(length, onesided, window) -> None:
    shape = [2, 70, 1]
    nodes = [node("STFT", f"x st {'_' if window == 'none' else 'w'} n", "y", onesided=onesided)]
    known = {"st": np.int64(7), "n": np.int64(length)}
    w = np.hanning(length).astype(np.float32)
    inputs, feed = [value("x", shape)], {"x": RNG.normal(size=shape).astype(np.float32)}
    if window == "constant":
        known["w"] = w
    elif window == "data":
        inputs.append(value("w", [length]))
        feed["w"] = w
    same(model(nodes, inputs, [value("y")], known), feed, 1e-4, 1e-4)
