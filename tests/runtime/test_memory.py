"""Which tensors share memory on a device that places each by itself."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support import handmade_compute as handmade
from weft.runtime.devices.memory import BlockPlan, share_blocks
from weft.runtime.executor import Executable


def plan_of(exe: Executable) -> BlockPlan:
    slots = exe.program.slots
    return share_blocks(exe._storage, lambda root: slots[root].nbytes)


def line(sizes: list[int], kinds: dict[int, str] | None = None, outputs=()) -> Executable:
    """A chain of tensors of ``sizes`` floats, each computed from the one before it."""
    b = handmade.Builder("opencl")
    last = b.slot("x", "input", "float32", [sizes[0]])
    for k, n in enumerate(sizes[1:], 1):
        kind = (kinds or {}).get(k, "arena")
        here = b.slot(f"h{k}", kind, "float32", [n])
        b.step({"h": last}, here, "h[0]")
        last = here
    b.outputs |= {f"o{k}": k for k in outputs}
    return b.executable()


def alive(exe: Executable, root: int) -> range:
    """The steps from the first that touches a tensor to the last that does or reads it."""
    steps = [k for k, s in enumerate(exe.program.steps) if root in s.args]
    given = root in exe.program.outputs.values()
    return range(steps[0], len(exe.program.steps) + 1 if given else steps[-1] + 1)


def test_a_chain_takes_two_blocks_and_its_input():
    plan = plan_of(line([8] * 7))
    assert [b.size for b in plan.blocks] == [32, 32, 32]
    places = [plan.block_of[k] for k in range(7)]
    assert places == [0, 1, 2, 1, 2, 1, 2]


def test_small_tensors_fill_gaps_of_large_ones():
    #                   x  h1 h2 h3 h4
    plan = plan_of(line([1, 10, 5, 20, 4]))
    assert sorted(b.size for b in plan.blocks) == [4, 20, 80]
    assert plan.block_of[3] == plan.block_of[1]
    assert plan.block_of[4] == plan.block_of[2]


def test_best_fit():
    """When 9 is asked for, blocks of 100 and of 10 are free."""
    b = handmade.Builder("opencl")
    x = b.slot("x", "input", "float32", [1])
    large, small = b.slot("l", "arena", "float32", [100]), b.slot("s", "arena", "float32", [10])
    end = b.slot("e", "arena", "float32", [1])
    b.step({"x": x}, large, "0")
    b.step({"x": x}, small, "0")
    b.step({"a": large, "b": small}, end, "0")
    nine = b.slot("n", "arena", "float32", [9])
    b.step({"e": end}, nine, "0")
    plan = plan_of(b.executable())
    assert plan.block_of[nine] == plan.block_of[small]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 50), st.booleans()), min_size=1))
def test_tensors_that_live_at_the_same_time_never_share(tensors):
    """Each reads an earlier one, some are given out."""
    b = handmade.Builder("opencl")
    slots = [b.slot("x", "input", "float32", [4])]
    for k, (source, n, out) in enumerate(tensors):
        read = slots[source % len(slots)]
        slots.append(b.slot(f"t{k}", "output" if out else "arena", "float32", [n]))
        b.step({"a": read}, slots[-1], "a[0]")
    exe = b.executable()
    plan = plan_of(exe)
    for r, block in plan.block_of.items():
        assert plan.blocks[block].size >= exe.program.slots[r].nbytes
        for other, theirs in plan.block_of.items():
            if r < other and block == theirs:
                mine = alive(exe, r)
                assert not set(mine) & set(alive(exe, other))
                assert "input" not in (exe.program.slots[r].kind, exe.program.slots[other].kind)


def test_outputs_keep_their_blocks():
    """Also an intermediate tensor that is given out."""
    plan = plan_of(line([8] * 6, outputs=(1, 3)))
    kept = [plan.block_of[1], plan.block_of[3]]
    others = [plan.block_of[k] for k in (0, 2, 4, 5)]
    assert len(set(kept)) == 2 and not set(kept) & set(others)


def test_an_output_may_take_what_is_free():
    plan = plan_of(line([8] * 5, {3: "output"}))
    assert len(plan.blocks) == 3
    assert plan.block_of[3] not in (plan.block_of[2], plan.block_of[4])


def test_kinds_do_not_mix():
    exe = line([8] * 6)
    plan = share_blocks(exe._storage, lambda root: 32, lambda root: root % 2)
    for root, block in plan.block_of.items():
        assert plan.blocks[block].kind == root % 2


def test_a_constant_does_not_share():
    exe, *_ = handmade.everything("opencl")
    plan = plan_of(exe)
    constants = [k for k, s in enumerate(exe.program.slots) if s.kind == "constant"]
    for k in constants:
        assert [r for r, b in plan.block_of.items() if b == plan.block_of[k]] == [k]
