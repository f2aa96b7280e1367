"""The memory plan: no two live tensors overlap, peaks are small, reshapes cost nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from weft.compiler.graph import GraphBuilder
from weft.compiler.group import Group
from weft.compiler.passes.memory import ALIGNMENT, Lifetime, place, plan_memory


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
