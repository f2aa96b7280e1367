"""Which tensors share memory on a device that places each by itself."""

import handmade_compute as handmade
from weft.runtime.executor import Executable
from weft.runtime.pool import Plan, share


def plan_of(exe: Executable) -> Plan:
    slots = exe.program.slots
    return share(exe._storage, lambda root: slots[root].nbytes)


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


def test_a_chain_takes_two_blocks_and_its_input():
    plan = plan_of(line([8] * 7))
    assert [b.size for b in plan.blocks] == [32, 32, 32]
    places = [plan.places[k] for k in range(7)]
    assert places == [0, 1, 2, 1, 2, 1, 2]


def test_best_fit():
    #        x  h1   h2  h3  h4: a block of 100 and one of 10 are free when 9 is asked for
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
    assert plan.places[nine] == plan.places[small]


def test_a_block_grows_rather_than_that_there_is_one_more():
    plan = plan_of(line([1, 10, 5, 20, 4]))
    assert sorted(b.size for b in plan.blocks) == [4, 20, 80]
    assert plan.places[3] == plan.places[1]


def test_outputs_keep_their_blocks():
    """Also an intermediate tensor that is given out."""
    plan = plan_of(line([8] * 6, outputs=(1, 3)))
    kept = [plan.places[1], plan.places[3]]
    others = [plan.places[k] for k in (0, 2, 4, 5)]
    assert len(set(kept)) == 2 and not set(kept) & set(others)


def test_an_output_may_take_what_is_free():
    plan = plan_of(line([8] * 5, {3: "output"}))
    assert plan.places[3] == plan.places[1]
    assert plan.places[3] not in (plan.places[2], plan.places[4])


def test_kinds_do_not_mix():
    exe = line([8] * 6)
    plan = share(exe._storage, lambda root: 32, lambda root: root % 2)
    for root, block in plan.places.items():
        assert plan.blocks[block].kind == root % 2


def test_a_constant_does_not_share():
    exe, *_ = handmade.everything("opencl")
    plan = plan_of(exe)
    constants = [k for k, s in enumerate(exe.program.slots) if s.kind == "constant"]
    for k in constants:
        assert [r for r, b in plan.places.items() if b == plan.places[k]] == [k]
