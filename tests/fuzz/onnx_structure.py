"""ONNX models that are well-formed as files and wrong, or odd, as models."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from fuzz.fuzzer import Fuzzer
from fuzz.judging import judge_model
from fuzz.seeds import parsed

INTEGERS = (
    0, 1, -1, 2, -2, 3, 5, -5, 7, 127, 128, 255, 256, 2**31 - 1, -(2**31), 2**31, 2**32, 2**40,
    2**63 - 1, -(2**63),
)  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "NOTSET", "SAME_UPPER", "linear", "ij,jk->ik", "\0", "ü" * 300, "../../etc")
DTYPES = (*range(24), 99, -1)
_NESTED = 3


def graphs(model: ModelProto) -> list[GraphProto]:
    """The main graph and those inside of nodes."""
    found = [model.graph]
    for g in found:
        found += [a.g for n in g.node for a in n.attribute if a.type == AttributeProto.GRAPH]
    return found


def _graph(m: ModelProto, rng: random.Random) -> GraphProto:
    return rng.choice(graphs(m))


def _node(m: ModelProto, rng: random.Random) -> NodeProto:
    nodes = [n for g in graphs(m) for n in g.node] + [n for f in m.functions for n in f.node]
    return rng.choice(nodes or [NodeProto(op_type="Neg")])


def _names(m: ModelProto) -> list[str]:
    found = [x for g in graphs(m) for n in g.node for x in (*n.input, *n.output)]
    found += [v.name for g in graphs(m) for v in (*g.input, *g.output)]
    return found + ["", "nowhere", "__proto__", "a/b", "x" * 300]


def _shuffle(values, rng: random.Random) -> None:
    """Drop, double, or move one of a repeated field."""
    have = list(values)
    if not have:
        return
    k = rng.randrange(len(have))
    change = rng.randrange(3)
    if change == 0:
        del have[k]
    elif change == 1:
        have.insert(rng.randrange(len(have) + 1), have[k])
    else:
        have.insert(rng.randrange(len(have)), have.pop(k))
    have = [type(v).FromString(v.SerializeToString()) if hasattr(v, "Clear") else v for v in have]
    del values[:]
    values.extend(have)


def names_of_a_node(m: ModelProto, rng: random.Random) -> None:
    n = _node(m, rng)
    values = rng.choice([n.input, n.input, n.output])
    if values and rng.random() < 0.5:
        values[rng.randrange(len(values))] = rng.choice(_names(m))
    elif rng.random() < 0.3:
        values.append(rng.choice(_names(m)))
    else:
        _shuffle(values, rng)


def lists_of_a_graph(m: ModelProto, rng: random.Random) -> None:
    g = _graph(m, rng)
    _shuffle(rng.choice([g.node, g.input, g.output, g.initializer, g.value_info]), rng)


def an_operator(m: ModelProto, rng: random.Random) -> None:
    n = _node(m, rng)
    if rng.random() < 0.8:
        n.op_type = _node(parsed(rng), rng).op_type
    else:
        n.domain = rng.choice(["", "ai.onnx", "ai.onnx.ml", "own", "com.microsoft", "ü"])


def an_attribute(m: ModelProto, rng: random.Random) -> None:
    """To another value: of the same type, and often of the same size."""
    n = _node(m, rng)
    if not n.attribute:
        return new_attribute(m, rng)
    a = rng.choice(n.attribute)
    if a.type == AttributeProto.INT:
        a.i = rng.choice(INTEGERS)
    elif a.type == AttributeProto.FLOAT:
        a.f = rng.choice(FLOATS)
    elif a.type == AttributeProto.STRING:
        a.s = rng.choice(TEXTS).encode()
    elif a.type == AttributeProto.INTS and a.ints and rng.random() < 0.7:
        a.ints[rng.randrange(len(a.ints))] = rng.choice(INTEGERS)
    elif a.type == AttributeProto.FLOATS and a.floats and rng.random() < 0.7:
        a.floats[rng.randrange(len(a.floats))] = rng.choice(FLOATS)
    elif a.type == AttributeProto.TENSOR:
        _tensor(a.t, rng)
    else:
        values = {AttributeProto.INTS: a.ints, AttributeProto.FLOATS: a.floats}.get(a.type)
        _shuffle(n.attribute if values is None else values, rng)
    return None


def new_attribute(m: ModelProto, rng: random.Random) -> None:
    """Of another type, another name, or of another model's node."""
    n = _node(m, rng)
    other = _node(parsed(rng), rng)
    if other.attribute and rng.random() < 0.5:
        n.attribute.append(rng.choice(other.attribute))
        return
    if n.attribute:
        a = rng.choice(n.attribute)
        if rng.random() < 0.5:
            a.type = rng.choice(AttributeProto.AttributeType.values())
            return
        name = a.name
        a.Clear()
        a.name = name
    else:
        a = n.attribute.add()
        a.name = rng.choice(["axis", "axes", "keepdims", "perm", "to", "value", "mode", "pads"])
    a.type = rng.choice([AttributeProto.INT, AttributeProto.INTS, AttributeProto.STRING])
    a.i, a.s = rng.choice(INTEGERS), rng.choice(TEXTS).encode()
    a.ints.extend(rng.choices(INTEGERS, k=rng.randint(0, 4)))


def _tensor(t: TensorProto, rng: random.Random) -> None:
    change = rng.randrange(6)
    if change == 0:
        t.data_type = rng.choice(DTYPES)
    elif change == 1 and t.dims:
        t.dims[rng.randrange(len(t.dims))] = rng.choice(INTEGERS)
    elif change == 2:
        _shuffle(t.dims, rng)
    elif change == 3:
        t.raw_data = t.raw_data[: rng.randint(0, len(t.raw_data))]
    elif change == 4:
        _shuffle(rng.choice([t.float_data, t.int32_data, t.int64_data, t.string_data]), rng)
    elif change == 5 and t.raw_data:
        data = bytearray(t.raw_data)
        data[rng.randrange(len(data))] = rng.choice([0, 1, 127, 128, 255])
        t.raw_data = bytes(data)


def an_initializer(m: ModelProto, rng: random.Random) -> None:
    g = _graph(m, rng)
    if g.initializer:
        t = rng.choice(g.initializer)
        if rng.random() < 0.1:
            t.data_location = TensorProto.EXTERNAL
            entry = t.external_data.add()
            entry.key, entry.value = "location", rng.choice([*TEXTS, "n" * 300, "/dev/zero"])
        elif rng.random() < 0.1:
            t.name = rng.choice(_names(m))
        else:
            _tensor(t, rng)
    elif g.input:  # a constant in place of an input
        v = rng.choice(g.input)
        kind = v.type.tensor_type
        dims = [d.dim_value for d in kind.shape.dim]
        count = 1
        for d in dims:
            count *= max(0, d)
        if count < 4096 and kind.elem_type in (1, 6, 7):
            size = {1: 4, 6: 4, 7: 8}[kind.elem_type]
            t = g.initializer.add(name=v.name, data_type=kind.elem_type, dims=dims)
            small = bytes([rng.choice([0, 1, 2, 3])])
            t.raw_data = (
                (small + bytes(size - 1)) * count if kind.elem_type != 1 else bytes(4) * count
            )


def a_type(m: ModelProto, rng: random.Random) -> None:
    g = _graph(m, rng)
    values: list[ValueInfoProto] = [*g.input, *g.input, *g.output, *g.value_info]
    if not values:
        return
    kind = rng.choice(values).type.tensor_type
    if rng.random() < 0.35:
        kind.elem_type = rng.choice(DTYPES[:-1])
    elif not kind.shape.dim or rng.random() < 0.15:
        if rng.random() < 0.5:
            kind.ClearField("shape")
        else:
            kind.shape.dim.add().dim_value = rng.choice([0, 1, 2, 3])
    else:
        d = rng.choice(kind.shape.dim)
        change = rng.randrange(4)
        if change == 0:
            d.dim_param = rng.choice(["N", "M", "", "ü"])
        elif change == 1:
            _shuffle(kind.shape.dim, rng)
        else:
            d.dim_value = rng.choice([0, 1, 1, 2, 3, 4, 7, *INTEGERS])


def an_opset(m: ModelProto, rng: random.Random) -> None:
    if m.opset_import and rng.random() < 0.8:
        o = rng.choice(m.opset_import)
        o.version = rng.choice([*range(1, 27), 0, -1, 1000, 2**40])
    elif rng.random() < 0.5:
        _shuffle(m.opset_import, rng)
    else:
        m.ir_version = rng.choice([*range(1, 15), 0, -1, 2**40])


def another_node(m: ModelProto, rng: random.Random) -> None:
    """A node of another model, reading and making what is here."""
    g, n = _graph(m, rng), NodeProto()
    n.CopyFrom(_node(parsed(rng), rng))
    names = _names(m)
    for k in range(len(n.input)):
        if rng.random() < 0.9:
            n.input[k] = rng.choice(names)
    place = rng.randrange(len(g.node) + 1)
    nodes = [NodeProto.FromString(x.SerializeToString()) for x in g.node]
    nodes.insert(place, n)
    del g.node[:]
    g.node.extend(nodes)
    if g.output and n.output and rng.random() < 0.5:
        n.output[0] = f"new.{n.output[0]}"
        g.output.add(name=n.output[0]).type.tensor_type.elem_type = TensorProto.FLOAT


def a_subgraph(m: ModelProto, rng: random.Random) -> None:
    """The whole of a graph as an arm or a body of a node in it, or of a function."""
    if len(graphs(m)) > _NESTED:
        return
    g = _graph(m, rng)
    inner = GraphProto.FromString(g.SerializeToString())
    if rng.random() < 0.7:
        del inner.input[:]
    names = [*(i.name for i in g.input), *(i.name for i in g.initializer), ""]
    op, arms = rng.choice([("If", ("then_branch", "else_branch")), ("Loop", ("body",))])
    n = g.node.add(op_type=op, output=[f"arm.{o.name}" for o in inner.output])
    n.input.extend(rng.choices(names, k=rng.randint(0, 3)))
    for arm in arms:
        a = n.attribute.add(name=arm, type=AttributeProto.GRAPH)
        a.g.CopyFrom(inner)
    if rng.random() < 0.5 and n.output:
        n.output[0] = rng.choice(["", *_names(m)])


CHANGES: tuple[Callable[[ModelProto, random.Random], None], ...] = (
    names_of_a_node, lists_of_a_graph, an_operator, an_attribute, an_attribute, an_attribute,
    new_attribute, an_initializer, an_initializer, a_type, a_type, an_opset, another_node,
    a_subgraph,
)  # fmt: skip


def make(rng: random.Random) -> bytes:
    model = parsed(rng)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
        try:
            rng.choice(CHANGES)(model, rng)
        except (ValueError, TypeError):  # out of the range of a field
            continue
    return model.SerializeToString(deterministic=True)


def judge(data: bytes) -> None:
    judge_model(data)


def _parts(model: ModelProto) -> list:
    """The repeated fields that a smaller model may have less of, large ones first."""
    found = [model.functions, model.metadata_props]
    for g in graphs(model):
        found += [g.node, g.initializer, g.output, g.input, g.value_info]
    for g in graphs(model):
        found += [x for n in g.node for x in (n.attribute, n.input, n.output)]
    return found


def smaller(data: bytes) -> Iterator[bytes]:
    """The model without one of its parts."""
    try:
        sizes = [len(p) for p in _parts(ModelProto.FromString(data))]
    except DecodeError:
        return
    for k, size in enumerate(sizes):
        for j in reversed(range(size)):
            model = ModelProto.FromString(data)
            del _parts(model)[k][j]
            yield model.SerializeToString(deterministic=True)


FUZZERS = (Fuzzer("onnx-structure", make, judge, smaller=smaller, weight=2),)
