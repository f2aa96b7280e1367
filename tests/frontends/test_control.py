"""Loops, branches and sequences that fold into a plain graph, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from onnx import TensorProto, helper
from support.against_ort import graph, model, node, same, value
from weft.compiler.frontends import load
from weft.compiler.frontends.onnx import bodies, control
from weft.runtime.errors import ModelError, UnsupportedError

I64, BOOL = TensorProto.INT64, TensorProto.BOOL
X = np.float32([[1, -2, 0], [4, 0, 6]])
STEP = [value("i", [], I64), value("c", [], BOOL)]


# --- Loop


def counted(trips=4, cond="t"):
    """Adds i * x to a state, and collects the states."""
    body = graph(
        [
            node("Cast", "i", "f", to=1),
            node("Mul", "f x", "p"),
            node("Add", "a p", "a2"),
            node("Mul", "a2 two", "s"),
            node("Identity", "c", "c2"),
        ],
        [*STEP, value("a", [2, 3])],
        [value("c2", [], BOOL), value("a2", [2, 3]), value("s", [2, 3])],
        {"two": np.float32(2)},
    )
    outputs = [value("y", [2, 3]), value("z", [trips, 2, 3])]
    known = {"n": np.int64(trips), "t": np.array(True)}
    return model([node("Loop", f"n {cond} x", "y z", body=body)], [value("x", [2, 3])], outputs,
                 known)  # fmt: skip


@pytest.mark.parametrize("trips", [0, 1, 4])
@pytest.mark.parametrize("cond", ["t", "_"])
def test_a_loop_of_a_constant_number_of_steps(trips, cond) -> None:
    same(counted(trips, cond), {"x": X})


def test_a_loop_whose_condition_constants_decide() -> None:
    """It counts to 5 by itself; the trip count is absent."""
    body = graph(
        [
            node("Add", "k one", "k2"),
            node("Less", "k2 five", "c2"),
            node("Add", "a x", "a2"),
        ],
        [*STEP, value("k", [], I64), value("a", [2, 3])],
        [value("c2", [], BOOL), value("k2", [], I64), value("a2", [2, 3])],
        {"one": np.int64(1), "five": np.int64(5)},
    )
    loop = node("Loop", "_ t zero x", "k_end y", body=body)
    proto = model([loop], [value("x", [2, 3])], [value("k_end", [], I64), value("y", [2, 3])],
                  {"t": np.array(True), "zero": np.int64(0)})  # fmt: skip
    same(proto, {"x": X})


def test_a_loop_that_changes_the_shape_of_its_state() -> None:
    body = graph(
        [node("Concat", "a x", "a2", axis=0), node("Identity", "c", "c2")],
        [*STEP, value("a")],
        [value("c2", [], BOOL), value("a2")],
    )
    proto = model([node("Loop", "n t x", "y", body=body)], [value("x", [2, 3])],
                  [value("y", [8, 3])], {"n": np.int64(3), "t": np.array(True)})  # fmt: skip
    same(proto, {"x": X})


def test_a_loop_in_a_loop() -> None:
    inner = graph(
        [node("Add", "b x", "b2"), node("Identity", "c", "c2")],
        [*STEP, value("b", [2, 3])],
        [value("c2", [], BOOL), value("b2", [2, 3])],
    )
    outer = graph(
        [
            helper.make_node("Loop", ["j", "d", "a"], ["a2"], body=inner),
            node("Identity", "d", "d2"),
        ],
        [value("j", [], I64), value("d", [], BOOL), value("a", [2, 3])],
        [value("d2", [], BOOL), value("a2", [2, 3])],
    )
    proto = model([node("Loop", "n t x", "y", body=outer)], [value("x", [2, 3])],
                  [value("y", [2, 3])], {"n": np.int64(4), "t": np.array(True)})  # fmt: skip
    same(proto, {"x": X})


def test_a_loop_that_grows_a_sequence() -> None:
    body = graph(
        [
            node("Cast", "i", "f", to=1),
            node("Mul", "x f", "e"),
            node("SequenceInsert", "s e", "s2"),
            node("Identity", "c", "c2"),
        ],
        [*STEP, helper.make_tensor_sequence_value_info("s", 1, None)],
        [value("c2", [], BOOL), helper.make_tensor_sequence_value_info("s2", 1, None)],
    )
    nodes = [
        node("SequenceEmpty", "", "s0"),
        node("Loop", "n t s0", "s9", body=body),
        node("ConcatFromSequence", "s9", "y", axis=0, new_axis=1),
        node("SequenceLength", "s9", "z"),
    ]
    outputs = [value("y", [3, 2, 3]), value("z", [], I64)]
    known = {"n": np.int64(3), "t": np.array(True)}
    same(model(nodes, [value("x", [2, 3])], outputs, known), {"x": X})


def test_what_no_loop_of_a_program_can_do_is_unrolled(monkeypatch) -> None:
    """However long it is: a state that grows, or is a sequence."""
    monkeypatch.setattr(control, "UNROLLED", 0)
    test_a_loop_that_grows_a_sequence()
    grown = [node("Concat", "a r", "a2", axis=0), node("Identity", "c", "c2")]
    body = graph(
        grown, [*STEP, value("a", ["n", 3])], [value("c2", [], BOOL), value("a2", ["m", 3])]
    )
    loop = model([node("Loop", "n _ x", "y", body=body)], [value("x", [2, 3]), value("r", [1, 3])],
                 [value("y", [5, 3])], {"n": np.int64(3)})  # fmt: skip
    same(loop, {"x": X, "r": X[:1]})


def test_constants_of_a_body_are_made_once() -> None:
    assert [c.shape for c in load(counted()).constants.values()].count(()) < 12


def test_growth_has_a_limit(monkeypatch) -> None:
    monkeypatch.setattr(bodies, "MAX_UNROLLED", 100)
    with pytest.raises(UnsupportedError, match=r"more than 100 nodes: nodes 'y'"):
        load(counted(trips=1 << 40))


def test_a_number_of_steps_that_only_the_data_knows() -> None:
    proto = counted()
    del proto.graph.initializer[0]
    proto.graph.input.append(value("n", [], I64))
    with pytest.raises(ModelError, match=r"\('n'\) must be known") as e:
        load(proto)
    assert "constants={'n': value}" in str(e.value)
    assert len(load(proto, constants={"n": np.int64(2)}).nodes) > 3
    proto.graph.node.insert(0, node("ReduceMax", "x", "most", keepdims=0))
    proto.graph.node.insert(1, node("Cast", "most", "n2", to=I64))
    proto.graph.node[2].input[0] = "n2"
    with pytest.raises(
        UnsupportedError, match="as many as data decide, without a bound: nodes 'y'"
    ):
        load(proto)


# --- If


def branch(op, *more):
    return graph([node(op, "x", f"{op}.out"), *more], [], [value(f"{op}.out")])


@pytest.mark.parametrize("shape", [[], [1]])
def test_a_branch_that_the_data_chooses(shape) -> None:
    choice = node("If", "c", "y", then_branch=branch("Neg"), else_branch=branch("Exp"))
    nodes = [node("ReduceSum", "x", "s", keepdims=0), node("Greater", "s zero", "c0"),
             node("Reshape", "c0 shape", "c"), choice]  # fmt: skip
    known = {"zero": np.float32(0), "shape": np.array(shape, np.int64)}
    proto = model(nodes, [value("x", [2, 3])], [value("y", [2, 3])], known)
    same(proto, {"x": X})
    same(proto, {"x": -X})


def test_branches_that_differ_are_refused() -> None:
    total = graph([node("ReduceSum", "x", "f", keepdims=0)], [], [value("f")])
    choice = node("If", "c", "y", then_branch=branch("Neg"), else_branch=total)
    proto = model([choice], [value("x", [2, 3]), value("c", [], BOOL)], [value("y")])
    with pytest.raises(UnsupportedError, match=r"make float32\[2, 3\] and float32\[\]"):
        load(proto)
    assert [n.op for n in load(proto, constants={"c": True}).nodes] == ["neg"]


def test_of_branches_that_cost_much_one_is_computed(monkeypatch) -> None:
    product = graph([node("MatMul", "x x", "f")], [], [value("f")])
    choice = node("If", "c", "y", then_branch=branch("Neg"), else_branch=product)
    proto = model([choice], [value("x", [64, 64]), value("c", [], BOOL)], [value("y")])
    assert "where" in [n.op for n in load(proto).nodes]
    monkeypatch.setattr(control, "MAX_EXTRA_WORK", 64**3 - 1)
    assert [n.op for n in load(proto).nodes][-1] == "if"


# --- Scan


@pytest.mark.parametrize("backward", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scan(backward, axis) -> None:
    body = graph(
        [node("Add", "a r", "a2"), node("Mul", "a2 r", "s")],
        [value("a", [3]), value("r", [3])],
        [value("a2", [3]), value("s", [3])],
    )
    shape = [3, 3]
    attrs = {"scan_input_axes": [axis], "scan_input_directions": [backward],
             "scan_output_axes": [axis], "scan_output_directions": [1 - backward]}  # fmt: skip
    scan = node("Scan", "h x", "y z", body=body, num_scan_inputs=1, **attrs)
    proto = model(
        [scan], [value("h", [3]), value("x", shape)], [value("y", [3]), value("z", shape)]
    )
    same(proto, {"h": np.float32([1, 2, 3]), "x": np.random.default_rng(0).random((3, 3), "f")})


# --- sequences

SEQUENCES = {
    "equal parts": [
        node("SplitToSequence", "x two", "s", axis=1),
        node("SequenceAt", "s one", "y"),
    ],
    "rows": [
        node("SplitToSequence", "x", "s", axis=0, keepdims=0),
        node("SequenceAt", "s m", "y"),
    ],
    "listed": [node("SplitToSequence", "x list", "s", axis=1), node("SequenceAt", "s m", "y")],
    "insert": [
        node("SequenceConstruct", "x", "s"),
        node("Neg", "x", "e"),
        node("SequenceInsert", "s e zero", "s2"),
        node("ConcatFromSequence", "s2", "y", axis=1),
    ],
    "insert before the last": [
        node("SequenceConstruct", "x x", "s"),
        node("Neg", "x", "e"),
        node("SequenceInsert", "s e m", "s2"),
        node("ConcatFromSequence", "s2", "y", axis=-1, new_axis=1),
    ],
    "erase": [
        node("Neg", "x", "e"),
        node("SequenceConstruct", "x e x", "s"),
        node("SequenceErase", "s zero", "s2"),
        node("ConcatFromSequence", "s2", "y", axis=0),
    ],
    "erase the last": [
        node("Neg", "x", "e"),
        node("SequenceConstruct", "x e", "s"),
        node("SequenceErase", "s", "s2"),
        node("SequenceAt", "s2 m", "y"),
    ],
    "identity": [
        node("SequenceConstruct", "x", "s"),
        node("Identity", "s", "s2"),
        node("SequenceLength", "s2", "l"),
        node("Cast", "l", "y", to=1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_fold_into_tensors(name) -> None:
    known = {"zero": np.int64(0), "one": np.int64(1), "two": np.int64(2), "m": np.int64(-1),
             "list": np.int64([1, 2])}  # fmt: skip
    proto = model(SEQUENCES[name], [value("x", [2, 3])], [value("y")], known)
    same(proto, {"x": X})


def test_a_position_that_the_data_knows() -> None:
    nodes = [node("Neg", "x", "e"), node("SequenceConstruct", "x e", "s"),
             node("SequenceAt", "s k", "y")]  # fmt: skip
    proto = model(nodes, [value("x", [2, 3]), value("k", [], I64)], [value("y", [2, 3])])
    for k in (-1, 0, 1):
        same(proto, {"x": X, "k": np.array(k, np.int64)})


def test_a_map_over_sequences() -> None:
    body = graph([node("Add", "a b", "r"), node("Mul", "a x", "t")], [value("a"), value("b")],
                 [value("r"), value("t")])  # fmt: skip
    nodes = [
        node("SplitToSequence", "x", "s", axis=1),
        node("SequenceMap", "s x", "u v", body=body),
        node("ConcatFromSequence", "u", "y", axis=1),
        node("ConcatFromSequence", "v", "z", axis=1),
    ]
    outputs = [value("y"), value("z")]
    proto = model(nodes, [value("x", [2, 3])], outputs)
    found = weft.compile(proto, records=False).run({"x": X})
    columns = [X[:, k : k + 1] for k in range(3)]
    np.testing.assert_array_equal(found["y"], np.concatenate([c + X for c in columns], 1))
    np.testing.assert_array_equal(found["z"], np.concatenate([c * X for c in columns], 1))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("SequenceAt", "x zero", "y")], "input 0 is not a sequence"),
        ([node("SequenceEmpty", "", "s"), node("SequenceAt", "s zero", "y")], "out of range"),
        ([node("SequenceEmpty", "", "s"), node("SequenceErase", "s", "u"),
          node("SequenceLength", "u", "y")], "empty sequence"),
        ([node("SequenceEmpty", "", "s"), node("ConcatFromSequence", "s", "y", axis=0)],
         "empty sequence"),
        ([node("SplitToSequence", "x zero", "s"), node("SequenceAt", "s zero", "y")], "extent 0"),
        ([node("Optional", "", "o", type=helper.make_tensor_type_proto(1, [])),
          node("OptionalGetElement", "o", "y")], "holds no element"),
    ],
)  # fmt: skip
def test_sequences_that_are_unsound(nodes, words) -> None:
    proto = model(nodes, [value("x", [2, 3])], [value("y")], {"zero": np.int64(0)}, opset=18)
    with pytest.raises(ModelError, match=words):
        load(proto)


def test_a_sequence_where_a_tensor_is_needed() -> None:
    nodes = [node("SequenceConstruct", "x x", "s"), node("Relu", "s", "y")]
    with pytest.raises(UnsupportedError, match=r"Relu .* of a sequence or an optional: nodes 'y'"):
        load(model(nodes, [value("x", [2, 3])], [value("y")]))
