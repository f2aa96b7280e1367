"""Random ONNX models with nested control flow.

Everything is a matrix of whole numbers between -8 and 8, or made of one: results are exact.
"""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper
from onnx.helper import make_graph, make_node, make_tensor_value_info

FLOAT, LONG, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
SHAPE = (2, 3)
DEPTH = 3


class _Maker:
    def __init__(self, seed: int):
        self.rng, self.count = random.Random(seed), 0

    def name(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def constant(self, nodes: list[NodeProto], value: object) -> str:
        name = self.name("c")
        array = onnx.numpy_helper.from_array(np.asarray(value))
        nodes.append(make_node("Constant", [], [name], value=array))
        return name

    def plain(self, nodes: list[NodeProto], seen: list[str]) -> str:
        """One more matrix, of those that there are."""
        rng, out = self.rng, self.name("t")
        op = rng.choice(["Add", "Sub", "Max", "Min", "Neg", "Abs", "Relu"])
        count = 2 if op in ("Add", "Sub", "Max", "Min") else 1
        raw = self.name("r")
        nodes.append(make_node(op, [rng.choice(seen) for _ in range(count)], [raw]))
        low = self.constant(nodes, np.float32(-8))
        high = self.constant(nodes, np.float32(8))
        nodes.append(make_node("Clip", [raw, low, high], [out]))
        return out

    def condition(self, nodes: list[NodeProto], seen: list[str]) -> str:
        """Whether the sum of a matrix is below something."""
        total, cond = self.name("s"), self.name("b")
        nodes.append(make_node("ReduceSum", [self.rng.choice(seen)], [total], keepdims=0))
        limit = self.constant(nodes, np.float32(self.rng.randint(-10, 20)))
        nodes.append(make_node("Less", [total, limit], [cond]))
        return cond

    def number(self, nodes: list[NodeProto], seen: list[str]) -> str:
        """A number from 0 to 4 that depends on a matrix, or does not."""
        if self.rng.random() < 0.3:
            return self.constant(nodes, np.int64(self.rng.randint(0, 4)))
        total, small, kept, out = (self.name("n") for _ in range(4))
        nodes.append(make_node("ReduceMax", [self.rng.choice(seen)], [total], keepdims=0))
        low, high = self.constant(nodes, np.float32(0)), self.constant(nodes, np.float32(4))
        nodes.append(make_node("Clip", [total, low, high], [small]))
        nodes.append(make_node("Floor", [small], [kept]))
        nodes.append(make_node("Cast", [kept], [out], to=LONG))
        return out

    def block(self, nodes: list[NodeProto], seen: list[str], depth: int) -> None:
        """Some nodes more; what they make is appended to ``seen``."""
        for _ in range(self.rng.randint(1, 3)):
            kind = self.rng.choice(["plain", "plain", "if", "loop", "scan"] if depth else ["plain"])
            if kind == "plain":
                seen.append(self.plain(nodes, seen))
            else:
                getattr(self, f"_{kind}")(nodes, seen, depth - 1)

    def body(
        self, seen: list[str], depth: int, results: int, before: list[NodeProto]
    ) -> tuple[list[NodeProto], list[str]]:
        """The nodes of a graph inside, and names of its own for its results."""
        nodes, seen = [*before], [*seen]
        self.block(nodes, seen, depth)
        outs = []
        for _ in range(results):
            outs.append(self.name("o"))
            nodes.append(make_node("Identity", [self.rng.choice(seen[-4:])], [outs[-1]]))
        return nodes, outs

    def _if(self, nodes: list[NodeProto], seen: list[str], depth: int) -> None:
        cond, count = self.condition(nodes, seen), self.rng.randint(1, 2)
        graphs = {}
        for branch in ("then_branch", "else_branch"):
            inner, outs = self.body(seen, depth, count, [])
            graphs[branch] = make_graph(inner, self.name("g"), [], [_matrix(o) for o in outs])
        made = [self.name("i") for _ in range(count)]
        nodes.append(make_node("If", [cond], made, **graphs))
        seen += made

    def _loop(self, nodes: list[NodeProto], seen: list[str], depth: int) -> None:
        rng, count = self.rng, self.rng.randint(1, 3)
        trips = self.number(nodes, seen)
        first = self.condition(nodes, seen) if rng.random() < 0.4 else ""
        k, on, going = self.name("k"), self.name("on"), self.name("go")
        state = [self.name("x") for _ in range(count)]
        before: list[NodeProto] = []
        step, broad = self.name("kf"), self.name("kb")
        before.append(make_node("Cast", [k], [step], to=FLOAT))
        before.append(make_node("Add", [state[0], step], [broad]))
        inner, outs = self.body([*seen, *state, broad], depth, count, before)
        if first and rng.random() < 0.7:
            inner.append(make_node("Identity", [self.condition(inner, outs)], [going]))
        else:
            inner.append(make_node("Identity", [on], [going]))
        graph = make_graph(
            inner, self.name("g"),
            [_scalar(k, LONG), _scalar(on, BOOL), *map(_matrix, state)],
            [_scalar(going, BOOL), *map(_matrix, outs)],
        )  # fmt: skip
        made = [self.name("l") for _ in range(count)]
        given = [rng.choice(seen) for _ in range(count)]
        nodes.append(make_node("Loop", [trips, first, *given], made, body=graph))
        seen += made

    def _scan(self, nodes: list[NodeProto], seen: list[str], depth: int) -> None:
        """Over the lines of a matrix; each is made a matrix inside, and back."""
        state, line, wide = self.name("x"), self.name("line"), self.name("w")
        before = [make_node("Add", [state, line], [wide])]
        inner, outs = self.body([*seen, state, wide], depth, 1, before)
        row = self.name("row")
        inner.append(make_node("ReduceMax", [outs[0]], [row], axes=[0], keepdims=0))
        graph = make_graph(
            inner, self.name("g"), [_matrix(state), _value(line, FLOAT, SHAPE[1:])],
            [_matrix(outs[0]), _value(row, FLOAT, SHAPE[1:])],
        )  # fmt: skip
        last, rows, kept = self.name("q"), self.name("rows"), self.name("p")
        given = [self.rng.choice(seen) for _ in range(2)]
        nodes.append(make_node("Scan", given, [last, rows], body=graph, num_scan_inputs=1))
        low, high = self.constant(nodes, np.float32(-8)), self.constant(nodes, np.float32(8))
        nodes.append(make_node("Clip", [rows, low, high], [kept]))
        seen += [last, kept]


def _value(name: str, kind: int, shape: tuple[int, ...]):
    return make_tensor_value_info(name, kind, shape)


def _matrix(name: str):
    return _value(name, FLOAT, SHAPE)


def _scalar(name: str, kind: int):
    return _value(name, kind, ())


def model(seed: int) -> onnx.ModelProto:
    """The model of a seed: matrices A and B to one to three others."""
    maker = _Maker(seed)
    nodes: list[NodeProto] = []
    seen = ["A", "B"]
    while not any(n.op_type in ("If", "Loop", "Scan") for n in nodes):
        maker.block(nodes, seen, DEPTH)
    outs = []
    for k in range(maker.rng.randint(1, 3)):
        nodes.append(make_node("Identity", [maker.rng.choice(seen[-5:])], [f"Y{k}"]))
        outs.append(f"Y{k}")
    graph: GraphProto = make_graph(
        nodes, "flow", [_matrix("A"), _matrix("B")], list(map(_matrix, outs))
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


def feeds(seed: int) -> list[dict[str, np.ndarray]]:
    """Inputs to try it with."""
    rng = np.random.default_rng(seed)
    return [{k: rng.integers(-8, 9, SHAPE).astype(np.float32) for k in "AB"} for _ in range(3)]
