"""Damaged files of TensorFlow: an error of weft's, in bounded time, and nothing read elsewhere."""

import base64
import copy
import json
import random
import shutil
import warnings

import numpy as np
import pytest
import weft
from support import tf_models
from weft.compiler.frontends import inspect
from weft.compiler.frontends.table import frontend_of
from weft.runtime.errors import ModelError, UnsupportedError, WeftError

ANSWERS = tf_models.TESTS / "frontends" / "answers" / "tensorflow_graph"
JUNK = (None, -1, 0, 1 << 40, 1e300, "", "x", "DT_STRING", "9" * 30, [], {}, [[]], True, "../x")
MOST = 1000


def node(name, op, *inputs, **attrs):
    return {"name": name, "op": op, "input": list(inputs), "attr": attrs}


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


def dims(*sizes):
    return {"shape": {"dim": [{"size": str(s)} for s in sizes]}}


def small_model():
    """A graph model of TensorFlow.js with the kinds of attributes that there are."""
    f, i = {"type": "DT_FLOAT"}, {"type": "DT_INT32"}
    ints = {"list": {"i": ["1", "1", "1", "1"]}}
    nodes = [
        node("x", "Placeholder", dtype=f, shape=dims(-1, 4, 4, 2)),
        node("w", "Const", dtype=f, value={"tensor": {"dtype": "DT_FLOAT", "tensorShape": {}}}),
        node("b", "Const", dtype=f),
        node("to", "Const", dtype=i),
        node("conv", "_FusedConv2D", "x", "w", "b", T=f, strides=ints, dilations=ints,
             padding=text("SAME"), fused_ops={"list": {"s": ["Qmlhc0FkZA==", "UmVsdTY="]}},
             epsilon={"f": 0}, num_args={"i": "1"}),
        node("flat", "Reshape", "conv", "to", "^x", T=f),
        node("first", "StridedSlice", "flat", "zero", "two", "one", begin_mask={"i": "1"}),
        *(node(n, "Const", dtype=i) for n in ("zero", "one", "two")),
        node("y", "Softmax", "first:0", T=f),
    ]  # fmt: skip
    weights = [("w", "float32", [1, 1, 2, 3]), ("b", "float32", [3]), ("to", "int32", [2]),
               ("zero", "int32", [1]), ("one", "int32", [1]), ("two", "int32", [1])]  # fmt: skip
    listed = [{"name": n, "dtype": d, "shape": s} for n, d, s in weights]
    listed[0]["quantization"] = {"dtype": "uint8", "scale": 0.1, "min": -3}
    info = {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": dims(-1, 4, 4, 2)["shape"]}
    return {
        "format": "graph-model", "generatedBy": "a test", "convertedBy": "nobody",
        "modelTopology": {"node": nodes, "library": {}, "versions": {"producer": 1}},
        "signature": {"inputs": {"x": info}, "outputs": {"y": {"name": "y:0"}}},
        "weightsManifest": [{"paths": ["shard"], "weights": listed}],
    }  # fmt: skip


SHARD = b"".join(
    [bytes(range(6)), np.ones(3, "<f4").tobytes(), np.array([-1, 3, 0, 1, 2], "<i4").tobytes()]
)


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for k, v in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(v, (*path, k))


def damaged(model, rng):
    """The model with one place replaced, removed, or doubled."""
    model = copy.deepcopy(model)
    path = rng.choice([p for p in places(model) if p])
    holder = model
    for k in path[:-1]:
        holder = holder[k]
    kind = rng.randrange(4)
    if kind == 0:
        del holder[path[-1]]
    elif kind == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[path[-1]]))
    else:
        holder[path[-1]] = copy.deepcopy(rng.choice(JUNK))
    return model


def mutated(data, rng):
    """Bytes with a few of them changed, removed, added, or the end cut off."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        if not data:
            break
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
        else:
            data[at] = rng.randrange(256)
    return bytes(data)


def survives(load):
    """Whether loading worked; errors that are not weft's are a failure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load()
    except WeftError:
        return False
    return True


def test_damaged_json(tmp_path):
    rng, model = random.Random(1), small_model()
    (tmp_path / "shard").write_bytes(SHARD)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(model))
    assert weft.load(file, {"x": (1, 4, 4, 2)}).types["y"].shape == (2, 3)
    sound = 0
    for k in range(MOST):
        if k % 4:
            file.write_text(json.dumps(damaged(model, rng)))
        else:
            file.write_bytes(mutated(json.dumps(model).encode(), rng))
        sound += survives(lambda: weft.load(file, {"x": (1, 4, 4, 2)}, format="tfjs-graph"))
    assert 0 < sound < MOST


def test_damaged_graphs():
    rng, kept = random.Random(2), np.load(ANSWERS / "operators.npz")
    labels = ["Conv2D SAME 1", "map v1", "cond in while v1", "cond in while v2", "StridedSlice new"]
    graphs = [kept[f"{label}/graph"].tobytes() for label in labels]
    sound = 0
    for k in range(MOST):
        data = mutated(graphs[k % len(graphs)], rng)
        sound += survives(lambda d=data: weft.load(d, format="graph-def", outputs=["out0"]))
    assert 0 < sound < MOST


def test_damaged_saved_models(tmp_path):
    rng, sound = random.Random(3), 0
    names = ["saved_model.pb", "variables/variables.index",
             "variables/variables.data-00000-of-00001"]  # fmt: skip
    for folder in ("one", "two"):
        shutil.copytree(ANSWERS / folder, tmp_path / folder)
    for k in range(MOST):
        folder, name = ("one", "two")[k % 2], names[(0, 0, 1, 0, 1, 2)[k // 2 % 6]]
        whole = (ANSWERS / folder / name).read_bytes()
        (tmp_path / folder / name).write_bytes(mutated(whole, rng))
        sound += survives(
            lambda f=folder: weft.load(tmp_path / f, {"x": (2, 4)}, format="saved-model")
        )
        (tmp_path / folder / name).write_bytes(whole)
    assert 0 < sound < MOST


def test_recognition_never_raises_and_is_by_content(tmp_path):
    rng, kept = random.Random(4), np.load(ANSWERS / "operators.npz")
    graph = kept["MatMul/graph"].tobytes()
    other = tmp_path / "no.onnx"
    other.write_bytes(graph)
    assert frontend_of(other).name == frontend_of(graph).name == "graph-def"
    model = json.dumps(small_model()).encode()
    assert frontend_of(model).name == "tfjs-graph"
    saved = (ANSWERS / "two" / "saved_model.pb").read_bytes()
    assert frontend_of(ANSWERS / "two").name == frontend_of(saved).name == "saved-model"
    for k in range(300):
        assert frontend_of(mutated((graph, model, saved)[k % 3], rng)).name


@pytest.mark.parametrize("path", ["../shard", "/etc/hostname", "link", "a/../../shard", ""])
def test_shards_lie_in_the_folder(tmp_path, path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "shard").write_bytes(SHARD)
    (folder / "link").symlink_to(tmp_path / "shard")
    model = small_model()
    model["weightsManifest"][0]["paths"] = [path]
    (folder / "model.json").write_text(json.dumps(model))
    with pytest.raises(ModelError, match="folder"):
        weft.load(folder / "model.json", {"x": (1, 4, 4, 2)})


def test_variables_lie_in_the_folder(tmp_path):
    shutil.copytree(ANSWERS / "two", tmp_path / "m")
    data = tmp_path / "m" / "variables" / "variables.data-00000-of-00001"
    shutil.move(data, tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="out of the model's folder"):
        weft.load(tmp_path / "m", {"x": (2, 4)})


def test_all_that_is_missing_is_said_at_once(tmp_path):
    model = small_model()
    for n in model["modelTopology"]["node"]:
        n["op"] = {"Softmax": "Frobnicate", "Reshape": "Defenestrate"}.get(n["op"], n["op"])
    (tmp_path / "shard").write_bytes(SHARD)
    (tmp_path / "model.json").write_text(json.dumps(model))
    said = str(inspect(tmp_path / "model.json"))
    assert "operator Frobnicate: nodes 'y'" in said and "Defenestrate" in said


def test_a_compressed_index_is_named(tmp_path):
    shutil.copytree(ANSWERS / "two", tmp_path / "m")
    index = tmp_path / "m" / "variables" / "variables.index"
    data = bytearray(index.read_bytes())
    # The footer's second pair of numbers says where the block is that lists the others.
    at, numbers = len(data) - 48, []
    for _ in range(4):
        value, shift = 0, 0
        while data[at] >= 0x80:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
        numbers.append(value | data[at] << shift)
        at += 1
    data[numbers[2] + numbers[3]] = 1
    index.write_bytes(data)
    with pytest.raises(UnsupportedError, match="Snappy"):
        weft.load(tmp_path / "m", {"x": (2, 4)})
