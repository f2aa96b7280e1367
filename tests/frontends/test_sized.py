"""Tensors whose size only data knows, against ONNX Runtime, on every target."""

import numpy as np
import pytest
import weft
from onnx import TensorProto, helper
from onnx.helper import make_node
from support.against_ort import same_on
from support.sized_models import COUNT, FAR, FLOAT, LONG, MASK, conditions, model_of, x_of
from weft.compiler.frontends.onnx import control
from weft.runtime.errors import InputError, WeftError

TARGETS = ("llvm", "opencl", "webgpu", "opengl", "wasm", "webgl")


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_chosen_and_what_is_made_of_it(target):
    nodes = [
        *MASK,
        make_node("Compress", ["x", "m"], ["y"], axis=0),
        make_node("NonZero", ["m"], ["where"]),
        make_node("Shape", ["y"], ["shape"]),
        make_node("Size", ["y"], ["size"]),
        make_node("ReduceSum", ["y", "ints0"], ["sum"]),
        make_node("Concat", ["y", "x", "y"], ["joined"], axis=0),
        make_node("Transpose", ["y"], ["turned"], perm=[1, 0]),
        make_node("MatMul", ["turned", "y"], ["gram"]),
        make_node("Gemm", ["y", "w"], ["gemm"], transB=1),
        make_node("Relu", ["y"], ["relu"]),
        make_node("Add", ["relu", "row"], ["added"]),
        make_node("Softmax", ["y"], ["softmax"], axis=0),
        make_node("CumSum", ["y", "int0"], ["run"], reverse=1),
    ]
    names = ("y", "sum", "joined", "turned", "gram", "gemm", "added", "softmax", "run")
    outputs = dict.fromkeys(names, FLOAT) | {"where": LONG, "shape": LONG, "size": LONG}
    inputs = {"x": (FLOAT, [7, 3]), "c": (FLOAT, [7])}
    model = model_of(nodes, inputs, outputs, w=x_of(5, 3), row=x_of(3))
    same_on(target, model, *conditions(7, ("x", x_of(7, 3))))


@pytest.mark.parametrize("target", TARGETS)
def test_new_shapes(target):
    """Axes joined before and behind one of an open size, and taken apart again."""
    nodes = [
        *MASK,
        make_node("Compress", ["x", "m"], ["y"], axis=1),
        make_node("Shape", ["y"], ["shape"]),
        make_node("Gather", ["shape", "int1"], ["n"], axis=0),
        make_node("Unsqueeze", ["n", "ints0"], ["n1"]),
        make_node("Concat", ["n1", "two3"], ["order"], axis=0),
        make_node("Reshape", ["y", "ints_1"], ["flat"]),
        make_node("Reshape", ["y", "keep"], ["kept"]),
        make_node("Reshape", ["y", "order"], ["dealt"], allowzero=1),
        make_node("Reshape", ["flat", "halves"], ["apart"]),
        make_node("Flatten", ["y"], ["flattened"], axis=1),
        make_node("Unsqueeze", ["y", "ints1"], ["more"]),
        make_node("Squeeze", ["more", "ints1"], ["less"]),
    ]
    names = ("flat", "kept", "dealt", "apart", "flattened", "more", "less")
    model = model_of(
        nodes,
        {"x": (FLOAT, [2, 5, 3]), "c": (FLOAT, [5])},
        dict.fromkeys(names, FLOAT),
        two3=np.array([2, 3]), keep=np.array([0, -1]), halves=np.array([-1, 2]),
    )  # fmt: skip
    same_on(target, model, *conditions(5, ("x", x_of(2, 5, 3))))


@pytest.mark.parametrize("target", TARGETS)
def test_arguments_that_are_computed(target):
    nodes = [
        *COUNT,
        make_node("TopK", ["c", "k1"], ["best", "places"], axis=0),
        make_node("Range", ["int1", "k", "int2"], ["odd"]),
        make_node("ConstantOfShape", ["k1"], ["nothing"]),
        make_node("Concat", ["k1", "ints3"], ["rows"], axis=0),
        make_node("Expand", ["row", "rows"], ["stretched"]),
        make_node("Tile", ["row", "k1"], ["tiled"]),
        make_node("Slice", ["c", "k1", "far"], ["tail"]),
        make_node("Slice", ["c", "ints_2", "k1"], ["part"]),
        make_node("Slice", ["tail", "ints_1", "near", "ints0", "ints_2"], ["back"]),
        make_node("Slice", ["c", "ints0", "k1"], ["head"]),
        make_node("Concat", ["tail", "head"], ["rolled"], axis=0),
    ]
    names = ("best", "nothing", "stretched", "tiled", "tail", "part", "back", "rolled")
    outputs = dict.fromkeys(names, FLOAT)
    model = model_of(
        nodes, {"c": (FLOAT, [9])}, {**outputs, "places": LONG, "odd": LONG},
        row=x_of(3), far=np.array([FAR]), near=np.array([-FAR]),
    )  # fmt: skip
    same_on(target, model, *conditions(9))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("in_order", [0, 1])
def test_distinct_elements_and_slices(target, in_order):
    nodes = [
        make_node("Unique", ["x"], ["y", "first", "back", "often"], sorted=in_order),
        make_node("Unique", ["x"], ["ys", "", "backs", ""], axis=1, sorted=in_order),
    ]
    names = ("y", "first", "back", "often", "ys", "backs")
    model = model_of(nodes, {"x": (LONG, [2, 13])}, dict.fromkeys(names, LONG))
    rng = np.random.default_rng(3)
    same_on(target, model, *({"x": rng.integers(0, n, (2, 13))} for n in (1, 3, 100)))


def test_reading_and_writing_by_open_indices():
    nodes = [
        *MASK,
        make_node("Compress", ["x", "m"], ["y"], axis=0),
        make_node("NonZero", ["m"], ["where"]),
        make_node("Squeeze", ["where", "ints0"], ["line"]),
        make_node("Transpose", ["where"], ["pairs"], perm=[1, 0]),
        make_node("GatherND", ["x", "pairs"], ["nd"]),
        make_node("ScatterND", ["x", "pairs", "y2"], ["written"]),
        make_node("Neg", ["y"], ["y2"]),
        make_node("Gather", ["z", "line"], ["picked"]),
        make_node("ReduceMax", ["y"], ["most"], keepdims=0),
        make_node("ReduceMean", ["x", ], ["mean"], keepdims=0),
        make_node("ArgMax", ["y"], ["arg"], axis=0),
    ]  # fmt: skip
    nodes.insert(5, nodes.pop(7))
    outputs = dict.fromkeys(("nd", "written", "picked", "most", "mean"), FLOAT) | {"arg": LONG}
    model = model_of(nodes, {"x": (FLOAT, [6, 2]), "c": (FLOAT, [6]), "z": (FLOAT, [6])}, outputs)
    feeds = conditions(6, ("x", x_of(6, 2)), ("z", x_of(6)))[1:]  # of nothing there is no maximum
    same_on("llvm", model, *feeds)


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def doubling():
    """x = 2 x until its sum reaches L; each step makes a row."""
    nodes = [
        make_node("Add", ["xi", "xi"], ["xn"]),
        make_node("ReduceSum", ["xn"], ["s"], keepdims=0),
        make_node("Less", ["s", "L"], ["go"]),
        make_node("Neg", ["xn"], ["row"]),
    ]
    inputs = [value("i", LONG), value("on", TensorProto.BOOL), value("xi", FLOAT, 3)]
    outputs = [value("go", TensorProto.BOOL), value("xn", FLOAT, 3), value("row", FLOAT, 3)]
    return helper.make_graph(nodes, "body", inputs, outputs)


@pytest.mark.parametrize("target", TARGETS)
def test_loops_that_make_as_many_rows_as_data_say(target):
    nodes = [
        *COUNT,
        make_node("Loop", ["int9", "on", "x"], ["until", "rows"], body=doubling()),
        make_node("Loop", ["k", "on", "x"], ["often", "few"], body=doubling()),
        make_node("Concat", ["rows", "few"], ["all"], axis=0),
        make_node("ReduceSum", ["all", "ints0"], ["total"], keepdims=0),
    ]
    names = ("until", "rows", "often", "few", "all", "total")
    inputs = {"x": (FLOAT, [3]), "c": (FLOAT, [4]), "L": (FLOAT, [])}
    model = model_of(nodes, inputs, dict.fromkeys(names, FLOAT), on=np.array(True))
    some, ones = np.array([1, -1, 1, 1], np.float32), np.ones(3, np.float32)
    feeds = [{"x": ones, "c": c, "L": np.array(limit, np.float32)}
             for c, limit in ((some, 0), (some, 100), (-some, 1e9), (-abs(some), 20))]  # fmt: skip
    same_on(target, model, *feeds)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("both", [True, False])
def test_branches_that_make_several_sizes(target, both, monkeypatch):
    """Computed both, and as one or the other."""
    if not both:
        monkeypatch.setattr(control, "MAX_EXTRA_WORK", 0)
    then = helper.make_graph(
        [make_node("Mul", ["y", "y"], ["a"]), make_node("Shape", ["y"], ["sa"])],
        "then", [], [value("a", FLOAT, None), value("sa", LONG, 1)],
    )  # fmt: skip
    other = helper.make_graph(
        [make_node("Concat", ["y", "c"], ["b"], axis=0), make_node("Shape", ["b"], ["sb"])],
        "other", [], [value("b", FLOAT, None), value("sb", LONG, 1)],
    )  # fmt: skip
    nodes = [
        *MASK,
        make_node("Compress", ["c", "m"], ["y"], axis=0),
        make_node("ReduceSum", ["c"], ["s"], keepdims=0),
        make_node("Greater", ["s", "zero"], ["q"]),
        make_node("If", ["q"], ["z", "sz"], then_branch=then, else_branch=other),
        make_node("ReduceSum", ["z"], ["total"], keepdims=0),
    ]
    outputs = {"z": FLOAT, "total": FLOAT, "sz": LONG}
    same_on(target, model_of(nodes, {"c": (FLOAT, [5])}, outputs), *conditions(5))


def test_a_shape_that_exporters_ask_for_minus_one_is_known_where_it_was():
    """``expand`` of torch: Where(shape == -1, 1, shape). Only the axis that was open is."""
    nodes = [
        *MASK,
        make_node("Compress", ["x", "m"], ["y"], axis=1),
        make_node("Shape", ["y"], ["shape"]),
        make_node("Equal", ["shape", "none"], ["left"]),
        make_node("Where", ["left", "ones", "shape"], ["target"]),
        make_node("Expand", ["row", "target"], ["z"]),
    ]
    inputs = {"x": (FLOAT, [2, 5, 3]), "c": (FLOAT, [5])}
    model = model_of(nodes, inputs, {"z": FLOAT}, none=np.full(3, -1), ones=np.ones(3, np.int64),
                     row=x_of(3))  # fmt: skip
    exe = same_on("llvm", model, *conditions(5, ("x", x_of(2, 5, 3))))
    assert exe.outputs["z"].bounded == (1,)


@pytest.mark.parametrize("begin", [-9, -4, -3, -1, 0, 2, 3, 9])
@pytest.mark.parametrize("step", [-2, -1, 1, 2])
def test_slices_count_as_onnx_does(begin, step):
    """Of fixed axes, and of such as only data knows: also from before the first place."""
    ends = [-FAR, -4, -3, -1, 0, 2, FAR]
    nodes = [*MASK, make_node("Compress", ["c", "m"], ["y"], axis=0)]
    for k in range(len(ends)):
        cuts = [f"ints{begin}".replace("-", "_"), f"e{k}", "ints0", f"ints{step}".replace("-", "_")]
        nodes += [make_node("Slice", [x, *cuts], [f"{x}{k}"]) for x in ("c", "y")]
    names = [f"{x}{k}" for k in range(len(ends)) for x in ("c", "y")]
    constants = {f"e{k}": np.array([end]) for k, end in enumerate(ends)}
    model = model_of(nodes, {"c": (FLOAT, [3])}, dict.fromkeys(names, FLOAT), **constants)
    same_on("llvm", model, *conditions(3))


def test_what_a_caller_may_know_is_asked_for_and_what_has_no_rule_is_named():
    model = model_of([make_node("Range", ["a", "b", "int1"], ["y"])],
                     {"a": (LONG, []), "b": (LONG, [])}, {"y": LONG})  # fmt: skip
    with pytest.raises(WeftError, match="must be known") as told:
        weft.compile(model)
    assert "constants=" in str(told.value)
    nodes = [*MASK, make_node("Compress", ["x", "m"], ["y"], axis=1),
             make_node("Trilu", ["y"], ["z"])]  # fmt: skip
    model = model_of(nodes, {"x": (FLOAT, [2, 4]), "c": (FLOAT, [4])}, {"z": FLOAT})
    with pytest.raises(WeftError, match=r"Trilu.*whose size only data knows"):
        weft.compile(model)


def test_check_compares_what_is_computed_up_to_bounds():
    nodes = [*MASK, make_node("Compress", ["x", "m"], ["y"], axis=0)]
    model = model_of(nodes, {"x": (FLOAT, [7, 3]), "c": (FLOAT, [7])}, {"y": FLOAT})
    for judge in ("interp", "onnxruntime"):
        report = weft.check(model, "llvm", against=judge)
        assert report.ok and report.rows


def test_results_are_new_arrays_of_the_true_size(tmp_path):
    model = model_of([*MASK, make_node("NonZero", ["m"], ["y"])], {"c": (FLOAT, [9])}, {"y": LONG})
    exe = weft.compile(model)
    assert str(exe.outputs["y"]) == "y: int64[1, ≤9]"
    with pytest.raises(InputError, match="only data knows"):
        exe.call([x_of(9)], [np.zeros((1, 9), np.int64)])
    exe.save(tmp_path / "m.weft")
    again = weft.runtime.load(tmp_path / "m.weft")
    for feed in conditions(9):
        got = again(feed["c"])
        np.testing.assert_array_equal(got, np.array(np.nonzero(feed["c"] > 0)))
        assert got.flags.owndata


def test_a_size_that_turns_out_to_be_one_is_stretched():
    """Against fixed axes, and against others of open sizes; none at all, too."""
    nodes = [
        *MASK,
        make_node("Compress", ["x", "m"], ["y"], axis=0),
        make_node("Less", ["c", "zero"], ["m2"]),
        make_node("Compress", ["x", "m2"], ["y2"], axis=0),
        make_node("Add", ["y", "whole"], ["fixed"]),
        make_node("Mul", ["y", "y2"], ["both"]),
        make_node("Shape", ["whole"], ["shape"]),
        make_node("Expand", ["y", "shape"], ["spread"]),
    ]
    model = model_of(
        nodes, {"x": (FLOAT, [4, 3]), "c": (FLOAT, [4]), "whole": (FLOAT, [4, 3])},
        dict.fromkeys(("fixed", "both", "spread"), FLOAT),
    )  # fmt: skip
    feeds = [{"x": x_of(4, 3), "whole": x_of(4, 3), "c": np.array([1, *rest], np.float32)}
             for rest in ([-1, -1, -1], [0, 0, -1], [0, 0, 0])]  # fmt: skip
    same_on("llvm", model, *feeds)


def test_negative_coordinates_of_what_is_written_count_along_their_own_axes():
    nodes = [
        *MASK,
        make_node("Compress", ["at", "m"], ["places"], axis=0),
        make_node("Compress", ["values", "m"], ["written"], axis=0),
        make_node("ScatterND", ["x", "places", "written"], ["y"]),
    ]
    inputs = {"x": (FLOAT, [5, 2]), "c": (FLOAT, [3]), "values": (FLOAT, [3])}
    model = model_of(nodes, inputs, {"y": FLOAT}, at=np.array([[0, -1], [-1, -2], [2, 1]]))
    feeds = conditions(3, ("x", x_of(5, 2)), ("values", x_of(3)))
    same_on("llvm", model, *feeds)


def test_scales_lie_along_an_axis_of_their_own():
    """The last axis is open, and as long as there are scales: for the second axis."""
    nodes = [
        *MASK,
        make_node("Compress", ["x", "m"], ["y"], axis=2),
        make_node("QuantizeLinear", ["y", "scales", "zeros"], ["q"], axis=1),
        make_node("DequantizeLinear", ["q", "scales", "zeros"], ["z"], axis=1),
    ]
    model = model_of(
        nodes, {"x": (FLOAT, [2, 3, 3]), "c": (FLOAT, [3])}, {"z": FLOAT},
        scales=np.array([0.5, 0.25, 0.125], np.float32), zeros=np.array([0, 3, 9], np.uint8),
    )  # fmt: skip
    same_on("llvm", model, *conditions(3, ("x", x_of(2, 3, 3))))
