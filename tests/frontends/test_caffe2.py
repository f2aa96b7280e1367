"""Caffe2's pairs of nets; numpy functions that know nothing of weft are what is right."""

import numpy as np
import pytest
import weft
from support import caffe2_files, caffe2_nets
from support.caffe2_files import Net, seeded
from support.front_ends import mutated, outputs_of
from support.parity import near
from weft.compiler.frontends import inspect
from weft.compiler.frontends.table import frontend_of
from weft.runtime.errors import ModelError, UnsupportedError, WeftError

ORDERS = ("NCHW", "NHWC")
NETWORKS = {
    "alexnet": (lambda order: caffe2_nets.alexnet(order, 1 / 8, 10, pixels=1), 67),
    "resnet50": (lambda order: caffe2_nets.resnet50(order, 1 / 8, 10), 64),
    "densenet121": (lambda order: caffe2_nets.densenet121(order, 4, 10), 64),
}


def image(pixels, order):
    return seeded("data", [1, 3, pixels, pixels] if order == "NCHW" else [1, pixels, pixels, 3])


@pytest.mark.parity
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, order, tmp_path):
    make, pixels = NETWORKS[name]
    net, x = make(order), image(pixels, order)
    graph = weft.load(net.write(tmp_path), {"data": x.shape})
    assert graph.inputs == ("data",) and graph.outputs == ("prob",)
    if name == "alexnet":
        y = weft.compile(graph, target="llvm")(x)
    else:
        (y,) = outputs_of(graph, {"data": x})
    (want,) = caffe2_files.run(net, data=x)
    near("caffe2", f"{name}, {order}, narrow, random weights", "numpy", [(y, want)], 1e-5)
    assert y.argmax() == want.argmax()


# --- one operator at a time -------------------------------------------------------------------

X, IMAGE = [2, 3, 4], [2, 4, 5, 6]
NORM = {"size": 3, "alpha": 0.5, "beta": 0.7, "bias": 2.0, "order": "NHWC"}


def along(x, y, axis):
    """``y`` where it lies in ``x`` from ``axis`` on."""
    return y.reshape(*y.shape, *(1,) * (x.ndim - axis - y.ndim))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shuffled(x, groups):
    n, c, *rest = x.shape
    return x.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(x.shape)


def normed(x, axes, epsilon):
    d = x - x.mean(axes, keepdims=True)
    return d / np.sqrt((d * d).mean(axes, keepdims=True) + epsilon)


def spread(x, w, stride, pad):
    """A transposed convolution: each element puts its weights down."""
    n, _, h, v = x.shape
    k = w.shape[2]
    y = np.zeros((n, w.shape[1], (h - 1) * stride + k, (v - 1) * stride + k))
    for i in range(h):
        for j in range(v):
            at = slice(i * stride, i * stride + k), slice(j * stride, j * stride + k)
            y[(slice(None), slice(None), *at)] += np.tensordot(x[:, :, i, j], w, (1, 0))
    return y[:, :, pad : y.shape[2] - pad, pad : y.shape[3] - pad]


def nearest(x, tall, wide):
    rows, columns = (np.arange(int(m * s)) / s for m, s in zip(x.shape[2:], (tall, wide)))
    return x[:, :, rows.astype(int)][:, :, :, columns.astype(int)]


LAYERS = ("Conv", "ConvTranspose", "FC", "FCTransposed", "InstanceNorm", "PRelu")  # have weights
CASES = [  # operator, shapes of inputs, arguments, what it makes of them
    ("Sigmoid", [X], {}, sigmoid),
    ("Tanh", [X], {}, np.tanh),
    ("Exp", [X], {}, np.exp),
    ("Softplus", [X], {}, lambda x: np.log1p(np.exp(x))),
    ("Abs", [X], {}, np.abs),
    ("Negative", [X], {}, np.negative),
    ("Sqr", [X], {}, np.square),
    ("Cube", [X], {}, lambda x: x**3),
    ("Swish", [X], {}, lambda x: x * sigmoid(x)),
    ("LeakyRelu", [X], {"alpha": 0.2}, lambda x: np.where(x < 0, 0.2 * x, x)),
    ("Elu", [X], {"alpha": 0.5}, lambda x: np.where(x < 0, 0.5 * np.expm1(x), x)),
    ("Selu", [X], {"alpha": 1.5, "scale": 2.0},
     lambda x: 2 * np.where(x < 0, 1.5 * np.expm1(x), x)),
    ("PRelu", [IMAGE, [4]], {}, lambda x, s: np.where(x < 0, x * along(x, s, 1), x)),
    ("PRelu", [IMAGE, [6]], {"order": "NHWC"}, lambda x, s: np.where(x < 0, x * s, x)),
    ("PRelu", [IMAGE, [1]], {}, lambda x, s: np.where(x < 0, x * s, x)),
    ("Clip", [X], {"min": -0.3, "max": 0.5}, lambda x: np.clip(x, -0.3, 0.5)),
    ("Clip", [X], {"min": 0.1}, lambda x: np.maximum(x, 0.1)),
    ("Scale", [X], {"scale": 3.0}, lambda x: 3 * x),
    ("Pow", [X], {"exponent": 2.0}, np.square),
    ("Copy", [X], {}, lambda x: x),
    ("StopGradient", [X], {}, lambda x: x),
    ("Add", [X, X], {}, np.add),
    ("Add", [X, [4]], {"broadcast": 1}, np.add),
    ("Mul", [X, [3]], {"broadcast": 1, "axis": 1}, lambda x, y: x * along(x, y, 1)),
    ("Mul", [X, [2, 3]], {"broadcast": 1, "axis": 0}, lambda x, y: x * along(x, y, 0)),
    ("Add", [IMAGE, [4]], {"broadcast": 1, "axis_str": "C"}, lambda x, y: x + along(x, y, 1)),
    ("Sub", [X, [3, 1]], {}, np.subtract),
    ("LT", [X, X], {}, np.less),
    ("GE", [X, X], {}, np.greater_equal),
    ("Sum", [X, X, X], {}, lambda *a: sum(a)),
    ("Mean", [X, X, X], {}, lambda *a: sum(a) / 3),
    ("Max", [X, X], {}, np.maximum),
    ("Min", [X, X], {}, np.minimum),
    ("Cast", [X], {"to": 2}, lambda x: x.astype(np.int32)),
    ("Cast", [X], {"to": "INT64"}, lambda x: x.astype(np.int64)),
    ("MatMul", [[3, 4], [5, 4]], {"trans_b": 1}, lambda x, y: x @ y.T),
    ("MatMul", [[2, 3, 4], [4, 5]], {"axis_a": 2}, lambda x, y: x.reshape(6, 4) @ y),
    ("BatchMatMul", [[2, 4, 3], [2, 4, 5]], {"trans_a": 1}, lambda x, y: x.swapaxes(1, 2) @ y),
    ("FC", [X, [5, 12], [5]], {}, lambda x, w, b: x.reshape(2, 12) @ w.T + b),
    ("FC", [X, [5, 4], [5]], {"axis": 2}, lambda x, w, b: x @ w.T + b),
    ("FC", [[2, 12], [5, 3, 4], [5]], {"axis_w": 1}, lambda x, w, b: x @ w.reshape(5, 12).T + b),
    ("FCTransposed", [[2, 4], [4, 5], [5]], {}, lambda x, w, b: x @ w + b),
    ("Softmax", [X], {}, lambda x: caffe2_files.softmax({}, x.reshape(2, 12)).reshape(X)),
    ("Softmax", [X], {"axis": 2}, lambda x: caffe2_files.softmax({}, x.reshape(6, 4)).reshape(X)),
    ("Normalize", [X], {"axis": 1}, lambda x: x / np.sqrt((x * x).sum(1, keepdims=True))),
    ("LayerNorm", [X], {"axis": 1, "epsilon": 1e-3}, lambda x: normed(x, (1, 2), 1e-3)),
    ("InstanceNorm", [IMAGE, [4], [4]], {"epsilon": 1e-3},
     lambda x, s, b: normed(x, (2, 3), 1e-3) * along(x, s, 1) + along(x, b, 1)),
    ("InstanceNorm", [IMAGE, [6], [6]], {"epsilon": 1e-3, "order": "NHWC"},
     lambda x, s, b: normed(x, (1, 2), 1e-3) * s + b),
    ("ChannelShuffle", [IMAGE], {"group": 2}, lambda x: shuffled(x, 2)),
    ("ChannelShuffle", [IMAGE], {"group": 3, "order": "NHWC"},
     lambda x: np.moveaxis(shuffled(np.moveaxis(x, -1, 1), 3), 1, -1)),
    ("ResizeNearest", [IMAGE], {"height_scale": 2.0, "width_scale": 1.5},
     lambda x: nearest(x, 2, 1.5)),
    ("UpsampleNearest", [IMAGE], {"scale": 2}, lambda x: nearest(x, 2, 2)),
    ("PadImage", [IMAGE], {"pad_t": 1, "pad_l": 0, "pad_b": 2, "pad_r": 1, "value": 0.5},
     lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 1)], constant_values=0.5)),
    ("ConvTranspose", [IMAGE, [4, 3, 3, 3]], {"kernel": 3, "stride": 2, "pad": 1},
     lambda x, w: spread(x, w, 2, 1)),
    ("ConvTranspose", [IMAGE, [6, 3, 3, 3]], {"kernel": 3, "stride": 2, "order": "NHWC"},
     lambda x, w: np.moveaxis(spread(np.moveaxis(x, -1, 1), np.moveaxis(w, -1, 1), 2, 0), 1, -1)),
    ("Conv", [IMAGE, [3, 4, 1, 3]], {"kernels": [1, 3], "strides": [1, 2], "pads": [0, 1, 0, 1]},
     lambda x, w: caffe2_files.conv({}, np.pad(x, [(0, 0)] * 3 + [(1, 1)]), w)[..., ::2]),
    ("Conv", [IMAGE, [3, 4, 3, 1]], {"kernel_h": 3, "kernel_w": 1, "stride_h": 2, "stride_w": 1},
     lambda x, w: caffe2_files.conv({}, x, w)[:, :, ::2]),
    ("MaxPool", [[1, 2, 6, 6]], {"kernel": 3, "stride": 2, "legacy_pad": 3},
     lambda x: caffe2_files.max_pool({"kernel": 3, "stride": 2},
                                     np.pad(x, [(0, 0)] * 2 + [(0, 1)] * 2, constant_values=-9))),
    ("AveragePool", [[1, 2, 6, 6]], {"kernel": 3, "stride": 2, "pad": 1},
     lambda x: caffe2_files.average_pool({"kernel": 3, "stride": 2, "pad": 1}, x)),
    ("MaxPool", [IMAGE], {"global_pooling": 1, "order": "NHWC"},
     lambda x: x.max((1, 2), keepdims=True)),
    ("LRN", [IMAGE], NORM, lambda x: caffe2_files.lrn(NORM, x)),
    ("Reshape", [X], {"shape": [0, -1]}, lambda x: (x.reshape(2, 12), np.array([2, 3, 4]))),
    ("Flatten", [X], {"axis": 2}, lambda x: x.reshape(6, 4)),
    ("FlattenToVec", [X], {}, np.ravel),
    ("Squeeze", [[2, 1, 3, 1]], {"dims": [1]}, lambda x: x[:, 0]),
    ("ExpandDims", [X], {"dims": [0, 2]}, lambda x: x[None, :, None]),
    ("Transpose", [X], {"axes": [1, 2, 0]}, lambda x: x.transpose(1, 2, 0)),
    ("Transpose", [X], {}, np.transpose),
    ("NCHW2NHWC", [IMAGE], {}, lambda x: np.moveaxis(x, 1, -1)),
    ("NHWC2NCHW", [IMAGE], {}, lambda x: np.moveaxis(x, -1, 1)),
    ("Shape", [X], {}, lambda x: np.array(x.shape)),
    ("Concat", [X, X], {"axis": 2}, lambda *a: caffe2_files.concat({"axis": 2}, *a)),
    ("Concat", [X, X], {"axis": 1, "add_axis": 1}, lambda *a: (np.stack(a, 1), np.array([1, 1]))),
    ("Concat", [IMAGE, IMAGE], {"order": "NHWC"}, lambda *a: caffe2_files.concat({"axis": 3}, *a)),
    ("Split", [[2, 6]], {"axis": 1}, lambda x: tuple(np.split(x, 2, 1))),
    ("Split", [[2, 6]], {"axis": 1, "split": [1, 5]}, lambda x: (x[:, :1], x[:, 1:])),
    ("Slice", [X], {"starts": [0, 1, -3], "ends": [-1, 2, -2]}, lambda x: x[:, 1:2, 2:3]),
    ("Tile", [X], {"tiles": 3, "axis": 1}, lambda x: np.tile(x, (1, 3, 1))),
    ("ReduceMean", [X], {"axes": [0, 2]}, lambda x: x.mean((0, 2), keepdims=True)),
    ("ReduceSum", [X], {"axes": [1], "keepdims": 0}, lambda x: x.sum(1)),
    ("ReduceL2", [X], {}, lambda x: np.sqrt((x * x).sum(keepdims=True))),
    ("ReduceFrontMean", [X], {"num_reduce_dim": 2}, lambda x: x.mean((0, 1))),
    ("ReduceBackMax", [X], {}, lambda x: x.max(2)),
    ("ArgMax", [X], {"axis": 1}, lambda x: x.argmax(1, keepdims=True)),
    ("TopK", [X], {"k": 2}, lambda x: (-np.sort(-x)[..., :2], np.argsort(-x)[..., :2])),
    ("LogSoftmax", [X], {"axis": 2},
     lambda x: np.log(caffe2_files.softmax({}, x.reshape(6, 4))).reshape(X)),
    ("Log", [X], {}, np.log), ("Sqrt", [X], {}, np.sqrt), ("Rsqrt", [X], {}, lambda x: x**-0.5),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_operators(case, tmp_path):
    op, shapes, args, expected = case
    given = {f"x{k}": seeded(f"{op}{k}", s) for k, s in enumerate(shapes)}
    if op in ("Log", "Sqrt", "Rsqrt"):
        given = {k: np.abs(v) + 0.1 for k, v in given.items()}
    wanted = expected(*given.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    net = Net(inputs=list(given), outputs=[f"y{k}" for k in range(len(wanted))])
    net.op(op, list(given), net.outputs, **args)
    if op in LAYERS:
        net.inputs, net.blobs = ["x0"], {k: v for k, v in given.items() if k != "x0"}
    net.blobs["unused"] = np.zeros(1, np.float32)
    graph = weft.load(net.write(tmp_path), {k: given[k].shape for k in net.inputs})
    for y, want in zip(outputs_of(graph, given), wanted, strict=True):
        assert y.shape == want.shape and y.dtype.kind == np.asarray(want).dtype.kind
        np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)


def test_indices_and_conditions():
    net = Net(inputs=["x", "c"], outputs=["y", "z"])
    net.blobs["i"] = np.array([2, 0, 2], np.int32)
    net.op("Gather", "x i", "y", axis=1)
    net.op("LT", "x c", "less")
    net.op("Where", "less x c", "z")
    x, c = seeded("x", X), seeded("c", X)
    y, z = outputs_of(weft.load(both(net), {"x": X, "c": X}), {"x": x, "c": c})
    np.testing.assert_array_equal(y, x[:, [2, 0, 2]])
    np.testing.assert_array_equal(z, np.where(x < c, x, c))


def both(net):
    """One net with its fills in front, as bytes."""
    fills = net.init()
    start = len(caffe2_files.block(1, "init"))
    name = len(caffe2_files.block(1, "net"))
    whole = net.predict()
    return whole[:name] + fills[start:] + whole[name:]


# --- files ------------------------------------------------------------------------------------


def small(**args):
    """A layer, and a rectifier in its place."""
    net = Net(outputs=["fc"])
    net.weight("w", [3, 4])
    net.weight("b", [3])
    net.op("FC", "data w b", "fc", **args)
    net.op("Relu", "fc", "fc")
    return net


def right(graph):
    x, net = seeded("x", [2, 4]), small()
    want = np.maximum(x @ net.blobs["w"].T + net.blobs["b"], 0)
    np.testing.assert_allclose(outputs_of(graph, {"data": x})[0], want, rtol=1e-5)


def test_either_file_or_the_folder_will_do(tmp_path):
    predict = small().write(tmp_path)
    for source in (predict, str(predict), tmp_path / "init_net.pb", tmp_path):
        assert frontend_of(source).name == "caffe2"
        graph = weft.load(source, {"data": (2, 4)})
        assert graph.outputs == ("fc",)
        right(graph)
    for name in ("predict_net.pb", "init_net.pb"):
        assert frontend_of((tmp_path / name).read_bytes()).name == "caffe2"
    (tmp_path / "predict_net.pb").rename(tmp_path / "squeeze_predict_net.pb")
    (tmp_path / "init_net.pb").rename(tmp_path / "squeeze_init_net.pb")
    (tmp_path / "other.pb").write_bytes(small().init())
    right(weft.load(tmp_path / "squeeze_predict_net.pb", {"data": (2, 4)}))


def test_what_is_no_net_is_not_taken(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", 1, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [value])
    model = onnx.helper.make_model(graph, producer_name="op { type: }").SerializeToString()
    for data in (model, b"", b"\x12", b"\x0a\x03net", b"{}", bytes(100), bytes(range(256))):
        assert frontend_of(data).name == "onnx"
    assert frontend_of(tmp_path).name == "onnx"


def test_a_net_as_text(tmp_path):
    text = """
        name: "net"
        op { input: "data" input: "w" output: "y" type: "Mul"
             arg { name: "broadcast" i: 1 } device_option { device_type: 0 } }
        external_input: "data" external_input: "w" external_output: "y"
    """
    (tmp_path / "predict_net.pbtxt").write_text(text)
    (tmp_path / "init_net.pbtxt").write_text(
        'op { output: "w" type: "GivenTensorFill" arg { name: "shape" ints: 2 }\n'
        'arg { name: "values" floats: 2 floats: 3.5 } }'
    )
    x = seeded("x", [3, 2])
    (y,) = outputs_of(weft.load(tmp_path, {"data": (3, 2)}), {"data": x})
    np.testing.assert_allclose(y, x * np.float32([2, 3.5]))
    with pytest.raises(ModelError, match="not readable as the text"):
        weft.load(text.replace("}", "]", 1).encode())


@pytest.mark.parametrize("shape", [[1], [2, 4]])
def test_inputs_that_the_init_net_fills(shape, tmp_path):
    """As exporters do, so that the net runs at once; a fill of one number says nothing."""
    net = small()
    predict = net.predict()
    net.blobs["data"] = np.zeros(shape, np.float32)
    (tmp_path / "init_net.pb").write_bytes(net.init())
    (tmp_path / "predict_net.pb").write_bytes(predict)
    graph = weft.load(tmp_path)
    right(graph.bind({"data": (2, 4)}) if shape == [1] else graph)


def test_description(tmp_path):
    net = small()
    net.op("Mystery", "fc", "out")
    net.outputs = ["out"]
    text = str(inspect(net.write(tmp_path)))
    for part in ("caffe2", "data: float32[...]", "15 (0.0 MB)", "operator Mystery: nodes 'out'"):
        assert part in text
    with pytest.raises(UnsupportedError, match="Mystery"):
        weft.load(tmp_path, {"data": (2, 4)})
    assert "FC" in str(inspect(small().predict()))


def test_what_is_wrong_with_a_pair(tmp_path):
    net = small()
    with pytest.raises(ModelError, match=r"'fc' \(FC\) reads 'w'"):
        weft.load(net.predict())
    with pytest.raises(ModelError, match="none that computes"):
        weft.load(net.init())
    net.write(tmp_path)
    (tmp_path / "predict_net.pb").write_bytes(net.init())
    with pytest.raises(ModelError, match="both nets fill"):
        weft.load(tmp_path)
    (tmp_path / "third.pb").write_bytes(net.init())
    with pytest.raises(ModelError, match="3 nets"):
        weft.load(tmp_path, format="caffe2")


def test_random_weights_and_training_are_refused(tmp_path):
    net = small()
    path = net.write(tmp_path)
    drawn = caffe2_files.Op("XavierFill", [], ["w"], {"shape": [3, 4]})
    given = caffe2_files.Op("ConstantFill", [], ["b"], {"shape": [3], "value": 0.5})
    (tmp_path / "init_net.pb").write_bytes(
        b"".join(caffe2_files.block(2, op.encoded()) for op in (drawn, given))
    )
    with pytest.raises(UnsupportedError, match=r"XavierFill draw weights at random \(w\)"):
        weft.load(path)
    net = Net(outputs=["y"])
    net.op("Dropout", "data", ["y", "mask"], ratio=0.5)
    with pytest.raises(UnsupportedError, match="still in training"):
        weft.load(net.predict(), {"data": (2, 4)})


def test_fills_take_no_memory_before_they_are_checked():
    huge = caffe2_files.Op("ConstantFill", [], ["w"], {"shape": [1 << 20, 1 << 20]})
    wrong = caffe2_files.Op("GivenTensorFill", [], ["w"], {"shape": [5], "values": np.ones(3)})
    for fill in (huge, wrong):
        net = Net(outputs=["y"])
        net.ops.append(fill)
        net.op("Add", "data w", "y")
        with pytest.raises(ModelError, match="shape"):
            weft.load(net.predict(), {"data": (2, 4)})


def test_mutated_files_raise_errors_of_ours(tmp_path):
    """Of both nets: bytes that change, go and come."""
    net = caffe2_nets.alexnet(width=1 / 48, classes=3, pixels=1)
    path = net.write(tmp_path)
    files = {p: p.read_bytes() for p in (path, tmp_path / "init_net.pb")}
    rng, refused, shapes = np.random.default_rng(18), 0, {"data": (1, 3, 67, 67)}
    for k in range(1000):
        broken = list(files)[k % 2]
        for p, data in files.items():
            p.write_bytes(
                mutated(rng, data[:4000] if k % 4 == 3 else data) if p == broken else data
            )
        try:
            weft.load(path, shapes if k % 3 else None, format="caffe2")
        except WeftError:
            refused += 1
    assert refused > 400
