"""MXNet's symbols and parameters: its own answers (tests/judges/mxnet.py) are what is right."""

import json
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import weft
from support import mxnet_files
from support.front_ends import mutated, outputs_of
from support.parity import near
from weft.compiler.frontends import inspect
from weft.compiler.frontends.table import frontend_of
from weft.runtime.devices.probe import probe
from weft.runtime.errors import ModelError, UnsupportedError, WeftError

ANSWERS = Path(__file__).parent / "answers" / "mxnet"
CASES = {c["name"]: c for c in json.loads((ANSWERS / "ops.json").read_text())}
COMPILED = ("lenet", "squeezenet1.1", "mobilenet0.25")  # the others judge converters alone
NETS = (*COMPILED, "mobilenetv2_0.25", "resnet_v1", "resnet_v2", "densenet")


@cache
def answers(name):
    return dict(np.load(ANSWERS / name))


def written(folder, symbol, params, prefix="net", number=0):
    """A pair of files, with values of the parameters that their names decide."""
    arrays = {}
    for k, shape in params.items():
        kind = "aux" if k.endswith(("_mean", "_var")) else "arg"
        arrays[f"{kind}:{k}"] = mxnet_files.parameter(k, shape)
    path = folder / f"{prefix}-symbol.json"
    path.write_text(json.dumps(symbol))
    (folder / f"{prefix}-{number:04d}.params").write_bytes(mxnet_files.list_bytes(arrays))
    return path


def value(name, spec):
    stated = isinstance(spec[0], list)
    shape, low, high, dtype = spec if stated else [spec, -1, 1, "float32"]
    made = mxnet_files.seeded(name, shape, low, high)
    return np.floor(made).astype(dtype[3:]) if dtype.startswith("as ") else made.astype(dtype)


@pytest.mark.parametrize("name", CASES)
def test_operators(name, tmp_path):
    case = CASES[name]
    path = written(tmp_path, case["symbol"], case["params"])
    given = {k: value(f"{name}.{k}", spec) for k, spec in case["inputs"].items()}
    for entry in case["symbol"]["nodes"]:
        if entry["name"] in given and given[entry["name"]].dtype != np.float32:
            code = mxnet_files.CODES[str(given[entry["name"]].dtype)]
            entry["attrs"] = {**entry.get("attrs", {}), "__dtype__": str(code)}
    path.write_text(json.dumps(case["symbol"]))
    graph = weft.load(path)
    graph = graph.bind({k: v.shape for k, v in given.items() if k in graph.signature})
    made = outputs_of(graph, {k: given[k] for k in graph.inputs})
    wanted = [a for k, a in answers("ops.npz").items() if k.split(":")[0] == name]
    assert len(made) == len(wanted)
    for y, want in zip(made, wanted):
        assert y.shape == want.shape and y.dtype == want.dtype
        np.testing.assert_allclose(y, want, rtol=2e-5, atol=2e-5 * max(1e-3, np.abs(want).max()))


@cache
def net(name):
    with zipfile.ZipFile(ANSWERS / "nets.zip") as z:
        return json.loads(z.read(f"{name}.json"))


@pytest.mark.parity
@pytest.mark.parametrize("name", NETS)
def test_networks(name, tmp_path):
    made = net(name)
    path = written(tmp_path, made["symbol"], made["params"])
    graph = weft.load(path, {"data": made["shape"]})
    x = mxnet_files.seeded("data", made["shape"])
    if name in COMPILED:
        y = weft.compile(graph, target="llvm")(x)
    else:
        (y,) = outputs_of(graph, {"data": x})
    want = answers("nets.npz")[name]
    near("mxnet", f"{name}, narrow, seeded weights", "MXNet 1.9.1", [(y, want)], 1e-5)
    assert y.argmax() == want.argmax()


@pytest.mark.parametrize("name", ["box_nms_classes", "multibox_detection", "rnn_lstm_1"])
def test_operators_compiled(name, tmp_path):
    case = CASES[name]
    given = {k: value(f"{name}.{k}", spec) for k, spec in case["inputs"].items()}
    path = written(tmp_path, case["symbol"], case["params"])
    exe = weft.compile(weft.load(path, {k: v.shape for k, v in given.items()}), target="llvm")
    made = exe(**given)
    wanted = [a for k, a in answers("ops.npz").items() if k.split(":")[0] == name]
    for y, want in zip(made if isinstance(made, tuple) else (made,), wanted, strict=True):
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", ["wasm", "webgl"])
def test_a_network_on_targets_of_pages(target, tmp_path):
    found = probe(target)
    if not found.ok:
        pytest.skip(f"{found.reason} ({found.hint})")
    made = net("lenet")
    path = written(tmp_path, made["symbol"], made["params"])
    exe = weft.compile(weft.load(path, {"data": made["shape"]}), target=target)
    y, want = exe(mxnet_files.seeded("data", made["shape"])), answers("nets.npz")["lenet"]
    assert np.abs(y - want).max() <= 1e-4 * np.abs(want).max() and y.argmax() == want.argmax()


def test_states_whose_batch_is_worked_out(tmp_path):
    """Gluon writes zeros of the shape (layers, 0, units) where no state is given."""
    case = CASES["rnn_lstm_0"]
    symbol, zeros = json.loads(json.dumps(case["symbol"])), {"rnn_state", "rnn_state_cell"}
    for n in symbol["nodes"]:
        if n["name"] in zeros:
            n |= {"op": "_zeros", "attrs": {"shape": "(2, 0, 3)", "dtype": "float32"}}
    x = value("x", case["inputs"]["x"])
    params = {k: s for k, s in case["params"].items() if k not in zeros}
    without = weft.load(written(tmp_path, symbol, params), {"x": x.shape})
    given = weft.load(written(tmp_path, case["symbol"], params), {
        "x": x.shape, "rnn_state": (2, 2, 3), "rnn_state_cell": (2, 2, 3),
    })  # fmt: skip
    states = {k: np.zeros((2, 2, 3), np.float32) for k in zeros}
    for a, b in zip(outputs_of(without, {"x": x}), outputs_of(given, {"x": x, **states})):
        np.testing.assert_array_equal(a, b)


# --- files ------------------------------------------------------------------------------------

SMALL = {  # data and weights of one layer, with the loss that it was trained by
    "nodes": [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "fc_weight", "inputs": []},
        {"op": "null", "name": "fc_bias", "inputs": []},
        {"op": "FullyConnected", "name": "fc", "attrs": {"num_hidden": "3"},
         "inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0]]},
        {"op": "null", "name": "softmax_label", "inputs": []},
        {"op": "SoftmaxOutput", "name": "softmax", "inputs": [[3, 0, 0], [4, 0, 0]]},
    ],
    "arg_nodes": [0, 1, 2, 4],
    "heads": [[5, 0, 0]],
    "attrs": {"mxnet_version": ["int", 10901]},
}  # fmt: skip
WEIGHTS = {"fc_weight": [3, 4], "fc_bias": [3]}


def small_answer(x):
    w, b = (mxnet_files.parameter(k, s) for k, s in WEIGHTS.items())
    e = np.exp(x @ w.T + b)
    return e / e.sum(axis=1, keepdims=True)


def right(graph):
    x = mxnet_files.seeded("x", (2, 4))
    (y,) = outputs_of(graph, {"data": x})
    np.testing.assert_allclose(y, small_answer(x), rtol=1e-5)


def test_either_file_or_the_folder_will_do(tmp_path):
    symbol = written(tmp_path, SMALL, WEIGHTS)
    for source in (symbol, str(symbol), tmp_path / "net-0000.params", tmp_path):
        assert frontend_of(source).name == "mxnet"
        graph = weft.load(source, {"data": (2, 4)})
        assert graph.inputs == ("data",) and graph.outputs == ("softmax_output",)
        right(graph)
    assert frontend_of(symbol.read_bytes()).name == "mxnet"
    assert frontend_of((tmp_path / "net-0000.params").read_bytes()).name == "mxnet"


def test_the_newest_parameters_of_its_own_prefix(tmp_path):
    symbol = written(tmp_path, SMALL, WEIGHTS, number=12)
    zeros = {f"arg:{k}": np.zeros(s, np.float32) for k, s in WEIGHTS.items()}
    for name in ("net-0003.params", "other-0099.params", "another.params"):
        (tmp_path / name).write_bytes(mxnet_files.list_bytes(zeros))
    right(weft.load(symbol, {"data": (2, 4)}))
    old = weft.load(tmp_path / "net-0003.params", {"data": (2, 4)})
    (y,) = outputs_of(old, {"data": np.ones((2, 4), np.float32)})
    np.testing.assert_allclose(y, np.full((2, 3), 1 / 3), rtol=1e-6)


@pytest.mark.parametrize("version", [0, mxnet_files.V1, mxnet_files.V2, mxnet_files.V3])
def test_every_version_of_arrays(version, tmp_path):
    symbol = written(tmp_path, SMALL, WEIGHTS)
    arrays = {f"arg:{k}": mxnet_files.parameter(k, s) for k, s in WEIGHTS.items()}
    (tmp_path / "net-0000.params").write_bytes(mxnet_files.list_bytes(arrays, version))
    right(weft.load(symbol, {"data": (2, 4)}))


def test_symbols_of_old_versions(tmp_path):
    """Attributes as ``param`` and ``attr``, no versions of inputs, statistics that are no nodes."""
    nodes = [
        {"op": "null", "param": {}, "name": n, "inputs": [], "backward_source_id": -1}
        for n in ("data", "bn_gamma", "bn_beta")
    ]
    nodes.append({
        "op": "BatchNorm", "param": {"eps": "0.01", "fix_gamma": "False", "momentum": "0.9"},
        "attr": {"lr_mult": "2"}, "name": "bn", "inputs": [[0, 0], [1, 0], [2, 0]],
        "backward_source_id": -1,
    })  # fmt: skip
    params = {f"bn_{k}": [3] for k in ("gamma", "beta", "moving_mean", "moving_var")}
    symbol = {"nodes": nodes, "arg_nodes": [0, 1, 2], "heads": [[3, 0]]}
    graph = weft.load(written(tmp_path, symbol, params), {"data": (2, 3)})
    x = mxnet_files.seeded("x", (2, 3))
    gamma, beta, mean, variance = (mxnet_files.parameter(k, s) for k, s in params.items())
    want = (x - mean) / np.sqrt(variance + 0.01) * gamma + beta
    np.testing.assert_allclose(outputs_of(graph, {"data": x})[0], want, rtol=1e-5)


def test_shapes_and_types_that_the_file_states(tmp_path):
    symbol = json.loads(json.dumps(SMALL))
    symbol["nodes"][0]["attrs"] = {"__shape__": "(0, 4)", "__dtype__": "0"}
    graph = weft.load(written(tmp_path, symbol, WEIGHTS))
    assert graph.symbols == ("data.0",)
    right(graph.bind({"data.0": 2}))
    assert weft.load(tmp_path).symbols == ("data.0",)


def test_half_precision_weights_decide_the_input(tmp_path):
    symbol = written(tmp_path, SMALL, WEIGHTS)
    arrays = {
        f"arg:{k}": mxnet_files.parameter(k, s).astype(np.float16) for k, s in WEIGHTS.items()
    }
    (tmp_path / "net-0000.params").write_bytes(mxnet_files.list_bytes(arrays))
    assert str(weft.load(symbol, {"data": (2, 4)}).types["data"]) == "float16[2, 4]"


def test_description(tmp_path):
    symbol = json.loads(json.dumps(SMALL))
    symbol["nodes"].append({"op": "Strange", "name": "odd", "inputs": [[5, 0, 0]]})
    symbol["heads"] = [[6, 0, 0]]
    text = str(inspect(written(tmp_path, symbol, WEIGHTS)))
    for part in ("mxnet 1.9.1", "data: float32[...]", "odd_output", "15 (0.0 MB)", "Strange"):
        assert part in text
    with pytest.raises(UnsupportedError, match="operator Strange: nodes 'odd'"):
        weft.load(tmp_path, {"data": (2, 4)})
    assert "FullyConnected" in str(inspect(json.dumps(SMALL).encode()))


def test_what_is_wrong_with_a_pair(tmp_path):
    symbol = written(tmp_path, SMALL, WEIGHTS)
    params = tmp_path / "net-0000.params"
    with pytest.raises(ModelError, match="without its graph"):
        weft.load(params.read_bytes())
    with pytest.raises(ModelError, match=r"not beside it.*'fc' .*'fc_weight'"):
        weft.load(symbol.read_bytes())
    written(tmp_path, SMALL, WEIGHTS, "second")
    with pytest.raises(ModelError, match="2 symbols"):
        weft.load(tmp_path)
    sparse = mxnet_files.list_bytes({"arg:fc_weight": np.zeros((3, 4), np.float32)})
    params.write_bytes(sparse[:28] + b"\x01\0\0\0" + sparse[32:])
    with pytest.raises(UnsupportedError, match="row_sparse"):
        weft.load(symbol)
    huge = mxnet_files.array_bytes(np.zeros((3, 4), np.float32))
    huge = sparse[:24] + huge[:12] + (1 << 40).to_bytes(8, "little") + huge[20:]
    params.write_bytes(huge)
    with pytest.raises(UnsupportedError, match="too large"):
        weft.load(symbol)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": 3}, "no list"),
        ({"nodes": [3]}, "not objects"),
        ({"heads": [[9, 0, 0]]}, "no output 0 of node 9"),
        ({"heads": []}, "no outputs"),
        ({"nodes": [{"op": "relu", "name": "r", "inputs": [[0, 0, 0]]}], "heads": [[0, 0, 0]]},
         "cyclic"),
    ],
)  # fmt: skip
def test_unsound_symbols(change, message):
    with pytest.raises(ModelError, match=message):
        weft.load(json.dumps({**SMALL, **change}).encode())


def test_attributes_that_are_no_values(tmp_path):
    for text in ("three", "(1,", "1e400", "[2", "9" * 30):
        symbol = json.loads(json.dumps(SMALL))
        symbol["nodes"][3] = {
            "op": "Reshape", "name": "fc", "attrs": {"shape": text}, "inputs": [[0, 0, 0]],
        }  # fmt: skip
        with pytest.raises(ModelError, match="'shape' is"):
            weft.load(written(tmp_path, symbol, {}), {"data": (2, 4)})


def test_mutated_files_raise_errors_of_ours(tmp_path):
    """Of the symbol and of the parameters: bytes that change, go and come."""
    case = net("lenet")
    symbol = json.dumps(case["symbol"]).encode()
    params = mxnet_files.list_bytes(
        {
            f"arg:{k}": np.zeros([min(d, 2) for d in s], np.float32)
            for k, s in case["params"].items()
        }
    )
    files = {tmp_path / "net-symbol.json": symbol, tmp_path / "net-0000.params": params}
    rng = np.random.default_rng(17)
    refused = 0
    for k in range(1000):
        changed = dict(files)
        path = list(files)[k % 2]
        changed[path] = mutated(rng, files[path])
        for p, data in changed.items():
            p.write_bytes(data)
        try:
            weft.load(tmp_path / "net-symbol.json", {"data": (1, 1, 28, 28)}, format="mxnet")
        except WeftError:
            refused += 1
    assert refused > 600
