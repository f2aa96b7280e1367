"""The memory plan: no two live tensors overlap, peaks are small, reshapes cost nothing."""

from dataclasses import replace

import numpy as np
import pytest
import weft
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pinned import pinned
from weft.codegen.llvm import generator as llvm
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.group import Group
from weft.compiler.graph.in_place import overwritable
from weft.compiler.passes.memory import ALIGNMENT, Lifetime, place, plan_memory
from weft.ir import te
from weft.ir.lower import lower


@st.composite
def lifetimes(draw):
    steps = draw(st.integers(1, 30))
    lives = []
    for k in range(draw(st.integers(0, 40))):
        first = draw(st.integers(0, steps - 1))
        last = draw(st.integers(first, steps - 1))
        nbytes = draw(st.one_of(st.integers(0, 300), st.integers(0, 2**33)))
        lives.append(Lifetime(f"t{k}", nbytes, first, last))
    return lives


def demand(lives):
    """The most bytes alive at one step: no plan needs less."""
    steps = {t.first for t in lives}
    return max(
        (sum(-(-t.nbytes // 64) * 64 for t in lives if t.first <= s <= t.last) for s in steps),
        default=0,
    )


@settings(max_examples=300, deadline=None)
@given(lifetimes())
def test_no_two_live_tensors_overlap(lives):
    offsets, arena = place(lives)
    assert offsets.keys() == {t.name for t in lives}
    for k, a in enumerate(lives):
        begin = offsets[a.name]
        assert begin % ALIGNMENT == 0 and begin >= 0 and begin + a.nbytes <= arena
        for b in lives[:k]:
            if a.first <= b.last and b.first <= a.last and a.nbytes and b.nbytes:
                other = offsets[b.name]
                assert begin + a.nbytes <= other or other + b.nbytes <= begin, (a, b)
    assert demand(lives) <= arena <= sum(-(-t.nbytes // 64) * 64 for t in lives)


def test_a_chain_needs_two_tensors():
    lives = [Lifetime(f"t{k}", 640, k, k + 1) for k in range(50)]
    offsets, arena = place(lives)
    assert arena == 1280
    assert [offsets[f"t{k}"] for k in range(4)] == [0, 640, 0, 640]


def test_the_smallest_gap_that_fits_is_taken():
    lives = [
        Lifetime("a", 1024, 0, 1), Lifetime("keep1", 960, 0, 9), Lifetime("b", 832, 0, 1),
        Lifetime("keep2", 768, 0, 9), Lifetime("late", 500, 5, 6),
    ]  # fmt: skip
    offsets, arena = place(lives)
    assert offsets["late"] == offsets["b"]
    assert arena == demand(lives)


def chain(*nodes, outputs):
    """A graph of one input x float32[4, 6] and nodes (op, inputs, attrs, output)."""
    b = GraphBuilder("g")
    b.input("x", "float32", (4, 6))
    b.constant(np.ones((4, 6), np.float32), "c")
    for op, inputs, attrs, output in nodes:
        b.add(op, inputs, attrs, outputs=[output])
    return b.finish(outputs)


def planned(graph):
    return plan_memory(graph, [Group.of(graph, [n]) for n in graph.nodes])


def test_a_reshape_is_an_alias_that_keeps_its_source_alive():
    g = chain(
        ("relu", ["x"], {}, "a"),
        ("reshape", ["a"], {"shape": (24,)}, "flat"),
        ("reshape", ["flat"], {"shape": (2, 12)}, "again"),
        ("relu", ["x"], {}, "b"),
        ("relu", ["again"], {}, "late"),
        ("reshape", ["b"], {"shape": (2, 12)}, "b2"),
        ("add", ["late", "b2"], {}, "y"),
        outputs=["y"],
    )
    plan = planned(g)
    assert [s.nodes[0].outputs[0] for s in plan.steps] == ["a", "b", "late", "y"]
    assert plan.roots == {"flat": "a", "again": "a", "b2": "b"}
    assert plan.offsets.keys() == {"a", "b", "late"}
    assert len({plan.offsets[n] for n in ("a", "b", "late")}) == 3  # all live in step 2
    assert plan.arena == 3 * 128 == plan.without_reuse


def test_results_of_the_graph_take_no_arena_even_through_a_reshape():
    g = chain(
        ("relu", ["x"], {}, "a"),
        ("reshape", ["a"], {"shape": (24,)}, "y"),
        ("relu", ["a"], {}, "z"),
        outputs=["y", "z"],
    )
    plan = planned(g)
    assert plan.offsets == {} and plan.arena == 0
    assert plan.roots == {"y": "a"}


def test_a_reshape_of_an_input_or_a_constant_needs_no_kernel():
    g = chain(
        ("reshape", ["x"], {"shape": (24,)}, "y"),
        ("reshape", ["c"], {"shape": (24,)}, "z"),
        outputs=["y", "z"],
    )
    plan = planned(g)
    assert plan.steps == () and plan.roots == {"y": "x", "z": "c"}


def test_a_result_that_nobody_reads_still_has_its_bytes_while_it_is_made():
    g = chain(("relu", ["x"], {}, "a"), ("neg", ["a"], {}, "y"), outputs=["y"])
    unread = Group(g.nodes[:1], ("x",), ("a",))
    plan = plan_memory(g, [unread])
    assert plan.offsets == {"a": 0} and plan.arena == 128


# ---- results in place of operands ---------------------------------------------------------------


def in_place(graph):
    return plan_memory(graph, [Group.of(graph, [n]) for n in graph.nodes], in_place=True)


def test_a_result_takes_the_bytes_of_an_operand_that_nobody_needs_any_more():
    g = chain(
        ("relu", ["x"], {}, "a"),
        ("neg", ["a"], {}, "b"),
        ("reshape", ["b"], {"shape": (24,)}, "flat"),
        ("abs", ["flat"], {}, "k"),
        ("softmax", ["k"], {"axis": 0}, "d"),
        ("exp", ["d"], {}, "e"),
        ("neg", ["e"], {}, "y"),
        outputs=["y"],
    )
    plan = in_place(g)
    assert plan.roots == {"b": "a", "flat": "a", "k": "a", "e": "d"}
    assert plan.offsets.keys() == {"a", "d"}  # y is the caller's
    assert plan.without_reuse == planned(g).without_reuse == 5 * 128
    assert plan.arena <= planned(g).arena


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([("neg", ["x"], {}, "b"), ("abs", ["b"], {}, "y")], "an input"),
        ([("neg", ["c"], {}, "b"), ("abs", ["b"], {}, "y")], "a constant"),
        (
            [("relu", ["x"], {}, "a"), ("neg", ["a"], {}, "b"), ("add", ["a", "b"], {}, "y")],
            "read again",
        ),
        (
            [
                ("relu", ["x"], {}, "a"),
                ("reshape", ["a"], {"shape": (24,)}, "flat"),
                ("neg", ["a"], {}, "b"),
                ("concat", ["flat", "flat"], {"axis": 0}, "y"),
                ("abs", ["b"], {}, "z"),
            ],
            "read again through a reshape",
        ),
        (
            [
                ("relu", ["x"], {}, "a"),
                ("cumsum", ["a"], {"axis": 0}, "b"),
                ("abs", ["b"], {}, "y"),
            ],
            "not element by element",
        ),
        (
            [
                ("relu", ["x"], {}, "a"),
                ("transpose", ["a"], {"perm": (1, 0)}, "b"),
                ("abs", ["b"], {}, "y"),
            ],
            "another order",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_not_overwritten(nodes, why):
    outputs = [n[3] for n in nodes if n[3] in "yz"]
    plan = in_place(chain(*nodes, outputs=outputs))
    assert {k for k in plan.roots if k != "flat"} == set(), why


def test_a_residual_is_overwritten_unless_the_convolution_reads_it():
    b = GraphBuilder("residual")
    x = b.input("x", "float32", (1, 8, 4, 4))
    w = b.constant(np.ones((8, 8, 1, 1), np.float32), "w")
    b.add("relu", [x], outputs=["r"])
    b.add("conv", ["r", w], outputs=["p"])
    b.add("add", ["p", "r"], outputs=["a"])
    b.add("conv", ["a", w], outputs=["q"])
    b.add("add", ["q", "p"], outputs=["s"])
    b.add("conv", ["s", w], outputs=["y"])
    g = b.finish(["y"])
    relu, conv1, add1, conv2, add2, conv3 = g.nodes
    groups = [Group.of(g, n) for n in ([relu], [conv1], [add1], [conv2, add2], [conv3])]
    assert overwritable(groups[3], g.types) == ("p",)
    plan = plan_memory(g, groups, in_place=True)
    assert plan.roots == {"a": "r", "s": "p"}
    whole = Group.of(g, [conv1, add1])
    assert overwritable(whole, g.types) == ()
    both = Group(whole.nodes, whole.inputs, ("a",))
    assert overwritable(both, g.types) == ()


def test_an_operand_that_is_read_twice():
    """x·sigmoid(x) reads one element twice; x + reverse(x) reads another one."""
    b = GraphBuilder("twice")
    x = b.input("x", "float32", (3, 4))
    b.add("sigmoid", [x], outputs=["s"])
    b.add("mul", [x, "s"], outputs=["y"])
    b.add("slice", [x], {"starts": (2, 0), "shape": (3, 4), "steps": (-1, 1)}, outputs=["v"])
    b.add("add", [x, "v"], outputs=["z"])
    g = b.finish(["y", "z"])
    sigmoid, mul, reverse, add = g.nodes
    assert overwritable(Group.of(g, [sigmoid, mul]), g.types) == ("x",)
    assert overwritable(Group.of(g, [reverse, add]), g.types) == ()


def test_stretched_operands_stay():
    b = GraphBuilder("stretched")
    x = b.input("x", "float32", (4, 6))
    r = b.input("r", "float32", (6,))
    b.add("add", [x, r], outputs=["y"])
    g = b.finish(["y"])
    assert overwritable(Group.of(g, g.nodes), g.types) == ("x",)


def test_networks_whose_results_are_in_place_give_the_same():
    """Residual blocks, against kernels whose results all lie apart."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("blocks")
    x = b.input("x", "float32", (1, 24, 9, 11))
    (y,) = b.add("relu", [x])
    for _ in range(5):
        z = y
        for kernel in (3, 1):
            w = rng.standard_normal((24, 24, kernel, kernel)).astype(np.float32) / 10
            (z,) = b.add("conv", [z, b.constant(w)], {"pads": (kernel // 2,) * 4})
        (z,) = b.add("add", [z, y])
        (y,) = b.add("relu", [z])
    g = b.finish([y])
    exe = weft.compile(g)
    assert sum(s.kind == "alias" for s in exe.program.slots) >= 3
    feed = {"x": rng.standard_normal((1, 24, 9, 11)).astype(np.float32)}
    apart = weft.compile(g, "llvm -distinct_buffers")
    assert not any(s.kind == "alias" for s in apart.program.slots)
    for _ in range(2):  # the second run finds what the first one left
        (got,), (want,) = exe.run(feed).values(), apart.run(feed).values()
        np.testing.assert_array_equal(got, want)


def test_scratch_between_launches_overlaps_nothing_that_is_alive():
    """What passes between the kernels of a group has bytes beside the tensors around it."""
    b = GraphBuilder("chain")
    (h,) = b.add("softmax", [b.input("x", "float32", (8, 300))])
    (h,) = b.add("softmax", [h])
    (y,) = b.add("softmax", [h])
    program = weft.compile(b.finish([y]), "opengl -fallback=none", cache=False).program
    lives: dict[int, list[int]] = {}
    for k, step in enumerate(program.steps):
        for a in step.args:
            if program.slots[a].kind == "arena":
                lives.setdefault(a, []).append(k)
    assert any(program.slots[a].name.startswith("scratch.") for a in lives)
    spans = [(program.slots[a], min(ks), max(ks)) for a, ks in lives.items()]
    for n, (s, first, last) in enumerate(spans):
        assert s.offset % ALIGNMENT == 0 and s.offset + s.nbytes <= program.arena
        for t, begin, end in spans[:n]:
            apart = s.offset + s.nbytes <= t.offset or t.offset + t.nbytes <= s.offset
            assert apart or last < begin or end < first, (s, t)


def test_only_what_may_overlap_loses_the_promise():
    """``noalias`` stays on all parameters but the operand and the result that may be one."""
    x, r = (te.placeholder((64,), "float32", n) for n in "xr")
    y = te.compute((64,), lambda i: x[i] * 2.0 + r[i], name="y")
    target = pinned("haswell")
    f = lower(te.create_schedule(y), [x, r, y], target, "f")
    plain = llvm.emit([f], target).source
    shared = replace(f, attrs={"overlap": frozenset(f.buffers[1:])})
    text = llvm.emit([shared], target).source

    def body(source):
        return next(line for line in source.splitlines() if "@f.body(" in line and "define" in line)

    assert body(plain).count("noalias") == 3
    assert body(text).count("noalias") == 1
