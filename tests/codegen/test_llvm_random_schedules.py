"""Random schedules in machine code compute what the interpreter computes by the default one."""

import numpy as np
import pytest
import weft
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_programs import ALL
from support.random_schedules import KINDS, build, inputs_for, unwritten
from support.random_vectors import VECTORS, build_vectors
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.schedule.schedule import create_schedule
from weft.runtime.errors import ScheduleError


def compare(kind: str, seed: int) -> bool:
    """Whether the schedule of ``seed`` is legal; if so its kernel must agree in every element.

    The inputs are small integers, sums of them are exact in any order: no tolerance is needed.
    The results start as NaN, -1 or 77, so that an element that is never written shows.
    """
    inputs, outputs, s = build_vectors(seed) if kind == VECTORS else build(kind, seed, kinds=ALL)
    args = [*inputs, *outputs]
    arrays = inputs_for(inputs, seed)
    want = [np.zeros([int(e.value) for e in t.shape], t.dtype.numpy) for t in outputs]
    got = [unwritten(w) for w in want]
    run(build_loop_nest(create_schedule(outputs), args, "default"), [*arrays, *want])
    try:
        kernel = weft.build(s, args)
    except ScheduleError:
        return False  # a reader outside of its producer's loop: seen only when all steps are known
    kernel(*arrays, *got)
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(
            g, w, err_msg=f"{kind} seed {seed}\n{s.trace}\n{kernel.function}"
        )
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_seeds(kind):
    """The quick tier's share; at least half of the schedules must be legal."""
    assert sum(compare(kind, seed) for seed in range(8)) >= 4


@pytest.mark.parametrize("first", range(0, 225, 25))
@pytest.mark.parametrize("kind", ["program", VECTORS])
def test_random_programs(kind, first):
    """With those above 500 of them; ``make fuzz`` goes on from there."""
    legal = sum(compare(kind, seed) for seed in range(first, first + 25))
    assert legal >= 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_schedule_equals_the_interpreter(kind, seed):
    compare(kind, seed)
