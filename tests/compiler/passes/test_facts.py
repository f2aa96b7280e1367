"""Facts of operators: they are true, and an operator from outside that states them is treated as
one of weft's own."""

from dataclasses import replace

import numpy as np
import pytest
import weft
from support.pinned import pinned
from weft.compiler import ops
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.ops import Attr, Facts, OpDef
from weft.compiler.passes import fold_batch_norm, simplify
from weft.runtime.dtype import dtype_of

PROCESSOR = str(pinned("haswell"))
SPECIAL = np.float32([0.0, -0.0, 1.5, -2.5, 7.0, np.inf, -np.inf, np.nan, 1e-45, -1e38, 0.5, 1])

ALL = ops.all_ops()


def stating(fact):
    return sorted(n for n, op in ALL.items() if getattr(op.facts, fact))


def values(op, like=SPECIAL):
    """Values on which ``op`` is defined: floats, else integers, else truths."""
    for candidate in (like, np.int32([0, 1, -1, 7, -(2**31), 2**31 - 1]), np.array([True, False])):
        try:
            op.infer_checked(
                [ops.opdef.TensorType(dtype_of(candidate.dtype), candidate.shape)] * op.min_inputs,
                op.check_attrs({}),
            )
        except weft.WeftError:
            continue
        return candidate
    raise AssertionError(op.name)


def bits(a):
    return a.tobytes(), a.dtype


@pytest.mark.parametrize("name", stating("idempotent"))
def test_idempotent(name):
    op = ALL[name]
    attrs = op.check_attrs({"min": -1.0, "max": 6.0} if name == "clip" else {})
    (once,) = op.reference([values(op)], attrs)
    (twice,) = op.reference([once], attrs)
    assert bits(once) == bits(twice)


@pytest.mark.parametrize("name", stating("involution"))
def test_involution(name):
    op, attrs = ALL[name], ALL[name].check_attrs({})
    x = values(op)
    (once,) = op.reference([x], attrs)
    assert bits(op.reference([once], attrs)[0]) == bits(x)


@pytest.mark.parametrize("name", stating("commutative"))
def test_commutative(name):
    op, attrs = ALL[name], ALL[name].check_attrs({})
    x = values(op)
    a, b = np.repeat(x, len(x)), np.tile(x, len(x))
    np.testing.assert_array_equal(op.reference([a, b], attrs), op.reference([b, a], attrs))


@pytest.mark.parametrize("name", stating("neutral"))
def test_neutral(name):
    op = ALL[name]
    assert op.facts.neutral is not None
    constant = np.full_like(SPECIAL, op.facts.neutral.value)
    for side in op.facts.neutral.sides:
        inputs = [SPECIAL, constant] if side == 1 else [constant, SPECIAL]
        (y,) = op.reference(inputs, op.check_attrs({}))
        finite = ~np.isnan(SPECIAL)
        assert bits(y[finite]) == bits(SPECIAL[finite]) and np.isnan(y[~finite]).all()


def test_affine():
    rng = np.random.default_rng(3)
    x, *rest = (rng.standard_normal(s) for s in ((2, 3, 4), *[(3,)] * 3))
    rest.append(rng.random(3) + 0.5)
    op = ALL["batch_norm"]
    attrs = op.check_attrs({})
    assert op.facts.affine is not None
    scale, shift = op.facts.affine(rest, attrs)
    (y,) = op.reference([x, *rest], attrs)
    np.testing.assert_allclose(x * scale[:, None] + shift[:, None], y, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "x", "w", "attrs"),
    [
        ("conv", (1, 4, 5, 5), (6, 2, 3, 3), {"groups": 2}),
        ("conv_transpose", (1, 4, 5, 5), (4, 3, 3, 3), {"groups": 2}),
        ("gemm", (3, 4), (6, 4), {"trans_b": True, "alpha": 0.5, "beta": 2.0}),
        ("matmul", (3, 4), (4, 6), {}),
    ],
)
def test_rescaled_weights(name, x, w, attrs):
    op, rng = ALL[name], np.random.default_rng(4)
    full = op.check_attrs(attrs)
    c = op.facts.contraction
    assert c is not None and c.rescale is not None
    data, weights, bias = (rng.standard_normal(s) for s in (x, w, (6,)))
    rest = [] if name == "matmul" else [bias]
    scale, shift = rng.standard_normal(6), rng.standard_normal(6) * (name != "matmul")
    made = c.rescale(weights, rest[0] if rest else None, full, scale, shift)
    assert made is not None and (made.bias is None) == (not rest)
    (before,) = op.reference([data, weights, *rest], full)
    more = [] if made.bias is None else [made.bias]
    (after,) = op.reference([data, made.weights, *more], {**full, **made.attrs})
    side = (-1, *[1] * (before.ndim - 2)) if c.has_images else (-1,)
    np.testing.assert_allclose(after, before * scale.reshape(side) + shift.reshape(side), rtol=1e-9)


# --- operators from outside

OUTSIDE = {"clip": "klip", "max_pool": "mox_pool", "batch_norm": "botch_norm", "conv": "konv"}


def pooling(name: str) -> OpDef:
    """Maxima of windows, under other names for its attributes."""
    ours = ALL["max_pool"]

    def theirs(a):
        return ours.check_attrs({"kernel": a["size"], "strides": a["step"]})

    return OpDef(
        name,
        ours.kind,
        lambda types, a: ours.infer(types, theirs(a)),
        lambda inputs, a, out: ours.compute(inputs, theirs(a), out),
        lambda arrays, a: ours.reference(arrays, theirs(a)),
        {"size": Attr(tuple), "step": Attr(tuple)},
        facts=Facts(channel_wise=True, window=lambda a: a["size"], steps=lambda a: a["step"]),
    )


@pytest.fixture(scope="module", autouse=True)
def outside():
    for ours, theirs in OUTSIDE.items():
        op = pooling(theirs) if ours == "max_pool" else replace(ALL[ours], name=theirs)
        weft.register_op(op)
    yield
    for theirs in OUTSIDE.values():
        del ops._registered[theirs]


def network(names):
    """A small network with a chain for each fact, of our operators or of those from outside."""
    b, rng = GraphBuilder("net"), np.random.default_rng(5)
    x = b.input("x", "float32", (1, 3, 26, 26))

    def add(op, inputs, **attrs):
        (y,) = b.add(names.get(op, op), inputs, attrs)
        return y

    def constant(*shape, hint="w"):
        return b.constant(rng.random(shape).astype(np.float32), hint)

    def pool(x):
        attrs = ("size", "step") if "max_pool" in names else ("kernel", "strides")
        return add("max_pool", [x], **dict(zip(attrs, ((3, 3), (2, 2)))))

    h = add("conv", [x, constant(16, 3, 5, 5)], pads=(2,) * 4)
    h = add("clip", [add("clip", [h], min=0.0, max=6.0)], min=0.0, max=6.0)
    h = add("conv", [h, constant(16, 1, 5, 5)], groups=16, pads=(2,) * 4)
    h = add("batch_norm", [h, *(constant(16, hint="bn") for _ in range(4))])
    h = pool(add("clip", [h], min=0.0, max=6.0))
    gate = add("reduce_mean", [h], axes=(2, 3), keepdims=True)
    h = add("mul", [h, add("clip", [gate], min=0.25, max=0.75)])
    h = add("conv", [h, constant(24, 16, 1, 1)])
    h = add("batch_norm", [pool(h), *(constant(24, hint="bn") for _ in range(4))])
    return b.finish([add("reduce_mean", [h], axes=(2, 3))])


def kernels(graph, target):
    """All that a program is but for the names of its kernels. Object code has tables that are made
    of names, so that of it only the length is compared, and the schedule."""
    exe = weft.compile(graph, target, cache=False, records=False)
    program, found = exe.program, []
    symbols = sorted({k.name for k in program.kernels}, key=len, reverse=True)
    for k in program.kernels:
        code = exe.codes[k.code]
        for s in symbols:
            code = code.replace(s.encode(), b"K" * len(s))
        schedule = program.meta.get("kernels", {}).get(k.name)
        if code.startswith(b"\x7fELF"):
            code = len(code)
        found.append((code, schedule, [tuple(p.shape) for p in k.params], dict(k.launch)))
    return found, [len(s.args) for s in program.steps], program.arena


@pytest.mark.parametrize("target", [PROCESSOR, "webgl -fallback=none", "opencl"])
def test_an_operator_from_outside_is_as_fast_as_ours(target):
    """The same fusion, the same layouts, the same code."""
    ours = kernels(network({}), target)
    assert kernels(network(OUTSIDE), target) == ours
    for one, theirs in OUTSIDE.items():
        assert kernels(network({one: theirs}), target) == ours, one


def test_an_operator_from_outside_may_have_arrays_as_attributes():
    """What stands twice is compared by its attributes, arrays included."""
    op = ALL["relu"]
    name = "relu_by_table"
    ops._registered[name] = replace(op, name=name, attrs={"table": Attr(np.ndarray)})
    try:
        b = GraphBuilder()
        x = b.input("x", "float32", (4,))
        for table in ([0, 1], [0, 1], [0, 2]):
            (x,) = b.add(name, [x], {"table": np.array(table)})
        left = simplify(b.finish([x])).nodes
        assert [n.attrs["table"].tolist() for n in left] == [[0, 1], [0, 2]]
    finally:
        del ops._registered[name]


def test_scales_follow_the_facts_of_what_makes_them():
    """A map along axis 1 is not folded into columns of a matrix product."""
    b = GraphBuilder()
    x = b.input("x", "float32", (2, 5, 4))
    (y,) = b.add("matmul", [x, b.constant(np.ones((4, 5), np.float32))])
    (y,) = b.add("botch_norm", [y, *(b.constant(np.full(5, 2.0, np.float32)) for _ in range(4))])
    assert [n.op for n in fold_batch_norm(b.finish([y])).nodes][-2:] == ["mul", "add"]
