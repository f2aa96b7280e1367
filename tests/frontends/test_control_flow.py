"""Loops and branches that data decide, against ONNX Runtime, on every target."""

import numpy as np
import onnx
import onnxruntime
import pytest
import weft
from onnx import TensorProto, helper
from onnx.helper import make_graph, make_node, make_tensor_value_info
from support.against_ort import same_on
from weft.compiler.frontends.onnx import control, rows
from weft.compiler.frontends.warn import ModelWarning
from weft.runtime.devices.probe import probe
from weft.runtime.errors import InputError
from weft.runtime.flow import Loop

TARGETS = ("llvm", "opencl", "webgpu", "opengl", "wasm", "webgl")
FLOAT, LONG, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name, kind, *shape):
    return make_tensor_value_info(name, kind, shape)


def const(name, array):
    return make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array(array)))


def model_of(graph, opset=17):
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 8
    onnx.checker.check_model(made, full_check=True)
    return made


def doubling(cond):
    """x = 2 x + y while its sum is below a limit; ``cond`` are nodes that make 'go'."""
    return make_graph(
        [
            const("two", np.float32(2)),
            make_node("Mul", ["x", "two"], ["x2"]),
            make_node("Add", ["x2", "Y"], ["next"]),
            *cond,
            make_node("Cast", ["k"], ["kf"], to=FLOAT),
            make_node("Add", ["z", "kf"], ["zn"]),
        ],
        "body",
        [value("k", LONG), value("on", BOOL), value("x", FLOAT, 3, 5), value("z", FLOAT)],
        [value("go", BOOL), value("next", FLOAT, 3, 5), value("zn", FLOAT)],
    )


SUM = [
    make_node("ReduceSum", ["next"], ["sum"], keepdims=0),
    make_node("Less", ["sum", "L"], ["go"]),
]
X = np.random.default_rng(0).random((3, 5), np.float32)
Y = np.arange(5, dtype=np.float32)


@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_as_often_as_data_say(target):
    """By its trip count, by its condition, by both; not once, too."""
    graph = make_graph(
        [make_node("Loop", ["M", "C", "X", "Z"], ["xo", "zo"], body=doubling(SUM))],
        "g",
        [value("M", LONG), value("C", BOOL), value("X", FLOAT, 3, 5), value("Y", FLOAT, 5),
         value("L", FLOAT), value("Z", FLOAT)],
        [value("xo", FLOAT, 3, 5), value("zo", FLOAT)],
    )  # fmt: skip
    rest = {"X": X, "Y": Y, "Z": np.float32(3)}
    feeds = [
        {"M": np.int64(m), "C": np.bool_(c), "L": np.float32(limit), **rest}
        for m, c, limit in [(0, 1, 1e9), (1, 1, 1e9), (2, 1, 1e9), (7, 1, 1e9), (9, 1, 500),
                            (9, 0, 500), (9, 1, -1)]
    ]  # fmt: skip
    exe = same_on(target, model_of(graph), *map(as_arrays, feeds))
    assert exe.program.flow


def as_arrays(feed):
    return {k: np.asarray(v) for k, v in feed.items()}


@pytest.mark.parametrize("target", TARGETS)
def test_a_branch_inside_of_a_loop_and_a_loop_inside_of_it(target, monkeypatch):
    """Branches that cost much are not both computed."""
    monkeypatch.setattr(control, "MAX_EXTRA_WORK", 0)
    inner = make_graph(
        [
            make_node("Add", ["v", "Y"], ["vn"]),
            const("t", np.bool_(True)),
        ],
        "inner",
        [value("i", LONG), value("c", BOOL), value("v", FLOAT, 3, 5)],
        [value("t", BOOL), value("vn", FLOAT, 3, 5)],
    )
    then = make_graph(
        [make_node("Loop", ["k", "", "x"], ["y"], body=inner)],
        "then",
        [],
        [value("y", FLOAT, 3, 5)],
    )
    other = make_graph([make_node("Neg", ["x"], ["w"])], "other", [], [value("w", FLOAT, 3, 5)])
    body = make_graph(
        [
            const("two", np.int64(2)),
            const("zero", np.int64(0)),
            make_node("Mod", ["k", "two"], ["odd"]),
            make_node("Greater", ["odd", "zero"], ["is_odd"]),
            make_node("If", ["is_odd"], ["next"], then_branch=then, else_branch=other),
            make_node("Identity", ["on"], ["go"]),
        ],
        "body",
        [value("k", LONG), value("on", BOOL), value("x", FLOAT, 3, 5)],
        [value("go", BOOL), value("next", FLOAT, 3, 5)],
    )
    graph = make_graph(
        [make_node("Loop", ["M", "", "X"], ["out"], body=body)],
        "g",
        [value("M", LONG), value("X", FLOAT, 3, 5), value("Y", FLOAT, 5)],
        [value("out", FLOAT, 3, 5)],
    )
    feeds = [{"M": np.asarray(m, np.int64), "X": X, "Y": Y} for m in (0, 1, 2, 5)]
    same_on(target, model_of(graph), *feeds)


@pytest.mark.parametrize("target", TARGETS)
def test_a_long_scan(target):
    """A recurrence over many steps, forwards and backwards, whose rows are put together."""
    steps, n = 400, 4
    body = make_graph(
        [
            make_node("MatMul", ["h", "W"], ["hw"]),
            make_node("Add", ["hw", "x"], ["pre"]),
            make_node("Tanh", ["pre"], ["hn"]),
            make_node("Neg", ["hn"], ["row"]),
            *(make_node("Identity", ["row" if k == 9 else f"i{k}"], [f"i{k - 1}" if k else "r2"])
              for k in range(9, -1, -1)),
        ],
        "body",
        [value("h", FLOAT, 1, n), value("x", FLOAT, 1, n)],
        [value("hn", FLOAT, 1, n), value("row", FLOAT, 1, n), value("r2", FLOAT, 1, n)],
    )  # fmt: skip
    graph = make_graph(
        [
            make_node(
                "Scan", ["H", "S"], ["last", "rows", "back"], body=body, num_scan_inputs=1,
                scan_input_axes=[1], scan_input_directions=[1], scan_output_axes=[0, 1],
                scan_output_directions=[0, 1],
            )
        ],
        "g",
        [value("H", FLOAT, 1, n), value("S", FLOAT, 1, steps, n), value("W", FLOAT, n, n)],
        [value("last", FLOAT, 1, n), value("rows", FLOAT, steps, 1, n),
         value("back", FLOAT, 1, steps, n)],
    )  # fmt: skip
    rng = np.random.default_rng(1)
    feed = {
        "H": rng.standard_normal((1, n)).astype("f"),
        "S": rng.standard_normal((1, steps, n)).astype("f"),
        "W": rng.standard_normal((n, n)).astype("f") * 0.3,
    }
    exe = same_on(target, model_of(graph), feed)
    assert exe.program.flow and len(exe.program.steps) < 100
    # A loop that is counted carries nothing that says whether it goes on.
    assert not [s.name for s in exe.program.slots if s.dtype == "bool"]


def test_an_outcome_that_is_an_input_a_constant_or_the_same_twice(monkeypatch):
    monkeypatch.setattr(control, "MAX_EXTRA_WORK", 0)
    then = make_graph(
        [make_node("Identity", ["X"], ["a"]), make_node("Identity", ["X"], ["b"])],
        "then", [], [value("a", FLOAT, 3, 5), value("b", FLOAT, 3, 5)],
    )  # fmt: skip
    other = make_graph(
        [const("c", np.ones((3, 5), np.float32)), make_node("Exp", ["X"], ["d"])],
        "other", [], [value("c", FLOAT, 3, 5), value("d", FLOAT, 3, 5)],
    )  # fmt: skip
    graph = make_graph(
        [make_node("If", ["C"], ["p", "q"], then_branch=then, else_branch=other)],
        "g",
        [value("C", BOOL), value("X", FLOAT, 3, 5)],
        [value("p", FLOAT, 3, 5), value("q", FLOAT, 3, 5)],
    )  # fmt: skip
    feeds = [{"C": np.asarray(c), "X": X} for c in (True, False, True)]
    same_on("llvm", model_of(graph), *feeds)


def test_what_is_not_there_yet_is_said():
    """Rows whose number only data know; a state that grows."""
    grown = make_graph(
        [make_node("Concat", ["x", "x"], ["n"], axis=0), make_node("Identity", ["on"], ["go"])],
        "body",
        [value("k", LONG), value("on", BOOL), value("x", FLOAT, "a", 5)],
        [value("go", BOOL), value("n", FLOAT, "b", 5)],
    )
    graph = make_graph(
        [make_node("Loop", ["M", "", "X"], ["out"], body=grown)],
        "g", [value("M", LONG), value("X", FLOAT, 3, 5)], [value("out", FLOAT, "z", 5)],
    )  # fmt: skip
    with pytest.raises(weft.WeftError, match=r"state 0 changes from float32\[3, 5\] to float32\[6"):
        weft.compile(model_of(graph))


def cutting(shape):
    """An ``If`` of which one branch needs four columns, the other one five."""

    def branch(name, columns):
        return make_graph(
            [
                const(f"{name}_ones", np.ones((1, columns), np.float32)),
                make_node("Concat", ["x", f"{name}_ones"], [f"{name}_all"], axis=0),
                make_node("ReduceSum", [f"{name}_all"], [f"{name}_sum"], keepdims=0),
            ],
            name, [], [value(f"{name}_sum", FLOAT)],
        )  # fmt: skip

    return make_graph(
        [
            make_node("Identity", ["X"], ["x"]),
            make_node("If", ["C"], ["y"], name="choice", then_branch=branch("four", 4),
                      else_branch=branch("five", 5)),
        ],
        "g", [value("C", BOOL), value("X", FLOAT, *shape)], [value("y", FLOAT)],
    )  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("columns", [4, 5])
def test_a_branch_that_the_given_shapes_do_not_fit_fails_when_it_is_taken(target, columns):
    """As in ONNX Runtime; calls before and after it are as ever."""
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    model = model_of(cutting(("rows", "columns")))
    judge = onnxruntime.InferenceSession(model.SerializeToString())
    which = "else_branch" if columns == 4 else "then_branch"
    with pytest.warns(ModelWarning, match=rf"the {which} .* constants=\{{'C': value\}}"):
        exe = weft.compile(model, target, shapes={"X": (3, columns)})
    good, x = columns == 4, X[:, :columns]
    for cond in (good, not good, good):
        feed = {"C": np.asarray(cond), "X": x}
        if cond == good:
            np.testing.assert_allclose(exe.run(feed)["y"], judge.run(None, feed)[0], rtol=1e-6)
            continue
        with pytest.raises(Exception, match="Concat"):
            judge.run(None, feed)
        with pytest.raises(InputError, match=r"'\w+_all' \(Concat\): these inputs need a branch"):
            exe.run(feed)
    bound = weft.compile(model, target, shapes={"X": (3, columns)}, constants={"C": good})
    assert not bound.program.flow and list(bound.inputs) == ["X"]


def test_branches_that_fit_no_shapes_are_refused():
    """Both branches; one of a model that has no other shapes; values that only a call knows."""
    with pytest.raises(weft.WeftError, match=r"_all' \(Concat\)"):
        weft.compile(model_of(cutting(("rows", "columns"))), shapes={"X": (3, 6)})
    with pytest.raises(weft.WeftError, match=r"five_all' \(Concat\)"):
        weft.compile(helper.make_model(cutting((3, 4))))
    then = make_graph([make_node("Tile", ["X", "S"], ["a"])], "then", [], [value("a", FLOAT, "n")])
    other = make_graph([make_node("Identity", ["X"], ["b"])], "other", [], [value("b", FLOAT, "n")])
    graph = make_graph(
        [make_node("If", ["C"], ["y"], then_branch=then, else_branch=other)], "g",
        [value("C", BOOL), value("X", FLOAT, "n"), value("S", LONG, 1)], [value("y", FLOAT, "n")],
    )  # fmt: skip
    with pytest.raises(weft.WeftError, match=r"constants=\{'S': value\}"):
        weft.compile(model_of(graph), shapes={"X": (5,)})


def test_branches_of_several_types_say_what_would_decide():
    then = make_graph([make_node("Identity", ["X"], ["a"])], "then", [], [value("a", FLOAT, "n")])
    two = const("axes", np.array([0]))
    other = make_graph(
        [two, make_node("ReduceSum", ["X", "axes"], ["b"], keepdims=0)],
        "other",
        [],
        [value("b", FLOAT)],
    )
    graph = make_graph(
        [
            const("rate", np.int64(8000)),
            make_node("Equal", ["sr", "rate"], ["c"]),
            make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
        ],
        "g", [value("sr", LONG), value("X", FLOAT, 5)], [value("y", FLOAT, "m")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(weft.WeftError, match=r"(?s)branches make .* hint: bind it: .*'sr': value"):
        weft.compile(model)
    assert weft.compile(model, constants={"sr": 16000})(np.ones(5, "f")) == 5


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("steps", [67, 72, 37])
def test_many_rows_are_made_in_blocks(target, steps, monkeypatch):
    """Of steps that do and do not divide; along other axes, backwards, of several types; the number
    of a step is that of the whole loop."""
    monkeypatch.setattr(control, "UNROLLED", 0)
    monkeypatch.setattr(rows, "BLOCKED_ROWS", 0)
    body = make_graph(
        [
            make_node("Add", ["h", "x"], ["sum"]),
            make_node("Mul", ["sum", "W"], ["hn"]),
            make_node("Neg", ["hn"], ["row"]),
            make_node("Greater", ["hn", "x"], ["more"]),
        ],
        "body", [value("h", FLOAT, 2, 3), value("x", FLOAT, 2, 3)],
        [value("hn", FLOAT, 2, 3), value("row", FLOAT, 2, 3), value("more", BOOL, 2, 3)],
    )  # fmt: skip
    scan = make_node(
        "Scan", ["H", "S"], ["last", "lines", "back"], body=body, num_scan_inputs=1,
        scan_input_directions=[1], scan_output_axes=[1, 2], scan_output_directions=[0, 1],
    )  # fmt: skip
    counting = make_graph(
        [
            make_node("Cast", ["k"], ["kf"], to=FLOAT),
            make_node("Add", ["v", "kf"], ["vn"]),
            make_node("Identity", ["on"], ["go"]),
            make_node("Identity", ["k"], ["which"]),
            make_node("Mul", ["vn", "W"], ["line"]),
        ],
        "counting", [value("k", LONG), value("on", BOOL), value("v", FLOAT)],
        [value("go", BOOL), value("vn", FLOAT), value("which", LONG), value("line", FLOAT, 3)],
    )  # fmt: skip
    graph = make_graph(
        [
            scan, const("N", np.int64(steps)), const("zero", np.float32(0)),
            make_node("Loop", ["N", "", "zero"], ["total", "numbers", "products"], body=counting),
        ],
        "g", [value("H", FLOAT, 2, 3), value("S", FLOAT, steps, 2, 3), value("W", FLOAT, 3)],
        [value("last", FLOAT, 2, 3), value("lines", FLOAT, 2, steps, 3),
         value("back", BOOL, 2, 3, steps), value("total", FLOAT), value("numbers", LONG, steps),
         value("products", FLOAT, steps, 3)],
    )  # fmt: skip
    rng = np.random.default_rng(2)
    feed = {
        "H": rng.standard_normal((2, 3)).astype("f"),
        "S": rng.standard_normal((steps, 2, 3)).astype("f"),
        "W": np.float32([0.3, -0.5, 0.7]),
    }
    exe = same_on(target, model_of(graph), feed, feed)
    loops = [f for f in exe.program.flow if isinstance(f, Loop)]
    assert len(loops) == 2 and all(any(isinstance(f, Loop) for f in x.even) for x in loops)
    assert max(x.count for x in loops) < steps // 4
