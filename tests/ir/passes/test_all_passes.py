"""Random schedules through all passes: every stage of lowering is well formed, and the last one
computes what numpy does."""

import contextlib
import random

import numpy as np
import pytest
from weft.ir.builders import if_then_else
from weft.ir.meaning.interp import run
from weft.ir.passes.barriers import insert_barriers
from weft.ir.passes.hoist import hoist_invariants
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.passes.partition import partition_loops
from weft.ir.passes.reuse import reuse_storage
from weft.ir.passes.split import split_host_device
from weft.ir.passes.storage import flatten_storage
from weft.ir.passes.unroll import unroll_loops
from weft.ir.passes.vectorize import vectorize_loops
from weft.ir.reducers import sum as reduce_sum
from weft.ir.schedule.schedule import create_schedule
from weft.ir.tensor import compute, placeholder, reduce_axis
from weft.ir.verify import verify
from weft.runtime.errors import ScheduleError

PASSES = (
    hoist_invariants,
    partition_loops,
    flatten_storage,
    reuse_storage,
    vectorize_loops,
    unroll_loops,
    insert_barriers,
    split_host_device,
)


class RandomSchedule:
    """``D = 2 C + 1`` with ``C[i, j] = sum_k (P[i, k] + P[i + 2, k]) B[k, j]`` and ``P`` the padded
    ``A``: three stages, a reduction, padding, and windows that overlap."""

    def __init__(self, seed):
        self.random = r = random.Random(seed)
        m, n, depth = (r.randint(1, 9) for _ in range(3))
        self.shape = m, n, depth
        A, B = placeholder((m, depth), name="A"), placeholder((depth, n), name="B")
        P = compute(
            (m + 2, depth),
            lambda i, k: if_then_else((i >= 1) & (i < m + 1), A[i - 1, k], 0.0),
            name="P",
        )
        k = reduce_axis(depth, "k")
        C = compute(
            (m, n), lambda i, j: reduce_sum((P[i, k] + P[i + 2, k]) * B[k, j], axis=k), name="C"
        )
        D = compute((m, n), lambda i, j: C[i, j] * 2.0 + 1.0, name="D")
        self.args, self.schedule = [A, B, D], create_schedule(D)
        self.attach(P, C, D, k)

    def attach(self, P, C, D, k):
        s, r = self.schedule, self.random
        outer = self.tile(D)
        if r.random() < 0.7:
            self.allowed(lambda: s[C].compute_at(s[D], r.choice(outer)))
        inner = self.tile(C, k)
        place = r.random()
        if place < 0.3:
            s[P].compute_inline()
        elif place < 0.7:
            self.allowed(lambda: s[P].compute_at(s[C], r.choice(inner)))
        for stage, leaves in ((s[D], outer), (s[C], inner)):
            for a in leaves:
                step = r.choice([stage.vectorize, stage.unroll, stage.parallel, None, None])
                if step is not None:
                    self.allowed(lambda step=step, a=a: step(a))

    def tile(self, tensor, *reduce_axes):
        """Split some axes and put the leaves in a random order."""
        stage, r = self.schedule[tensor], self.random
        leaves = []
        for a in (*tensor.op.axes, *reduce_axes):
            leaves += stage.split(a, factor=r.choice([1, 2, 3, 4, 8])) if r.random() < 0.6 else [a]
        r.shuffle(leaves)
        self.allowed(lambda: stage.reorder(*leaves))
        return leaves

    @staticmethod
    def allowed(step):
        # Not every random step is legal; that it says so is tested elsewhere.
        with contextlib.suppress(ScheduleError):
            step()

    def data(self):
        """Small integers as floats, so that sums are exact in any order."""
        m, n, depth = self.shape
        rng = np.random.default_rng(0)
        a = rng.integers(-4, 4, (m, depth)).astype("float32")
        b = rng.integers(-4, 4, (depth, n)).astype("float32")
        p = np.pad(a, ((1, 1), (0, 0)))
        return a, b, (p[:m] + p[2 : m + 2]) @ b * 2 + 1


@pytest.mark.parametrize("block", range(8))
def test_random_schedules(passes, block):
    vectors = 0
    for seed in range(block * 25, block * 25 + 25):
        case = RandomSchedule(seed)
        f = build_loop_nest(case.schedule, case.args, "f")
        for p in PASSES:
            f = p(f, passes.target)
            verify(f, flat=False, after=f"{p.__name__} of seed {seed}")
        verify(f, flat=True)
        vectors += "ramp" in str(f)
        a, b, want = case.data()
        got = np.full(want.size, np.nan, "float32")
        run(f, [a.reshape(-1), b.reshape(-1), got])
        np.testing.assert_array_equal(got.reshape(want.shape), want, f"seed {seed}")
    assert vectors >= 5  # the search reaches vector code, not only the fall-backs
