"""Long sums are sums of sums, on every kind of target: few roundings follow each other."""

import numpy as np
import pytest
import weft
from weft import te
from weft.compiler.schedules import schedule
from weft.compiler.schedules.columns import cut_in_blocks
from weft.compiler.schedules.fragment import draws
from weft.compiler.schedules.measured import MOST_TURNS
from weft.ir.expr import as_int
from weft.ir.target import Target
from weft.ir.tensor import ComputeOp

KINDS = ["llvm -vector_bits=512 -num_vector_registers=32", "llvm", "wasm", "opencl", "webgpu"]


def total(shape, axes, dtype="float32"):
    """The sum of a tensor of ``shape`` over ``axes``."""
    x = te.placeholder(shape, dtype, name="x")
    ks = [te.reduce_axis((0, shape[a]), f"k{a}") for a in axes]
    kept = [n for a, n in enumerate(shape) if a not in axes]

    def body(*i):
        free, terms = iter(i), iter(ks)
        return te.sum(x[tuple(next(terms if a in axes else free) for a in range(x.ndim))], axis=ks)

    return te.compute(tuple(kept), body, name="y")


def chain(stage):
    """How many terms one reduction of a stage adds up one after the other."""
    return int(np.prod([as_int(a.extent) for a in stage.reduce_axes], dtype=np.int64))


SHAPES = [
    ((1 << 20, 8), (0,)),
    ((1_000_003, 3), (0,)),
    ((4096, 4096), (0,)),
    ((64, 16, 56, 56), (0, 2, 3)),
    ((9000, 5000), (1,)),
    ((1 << 24,), (0,)),
    ((3, 700, 900, 20), (1, 2)),
]


@pytest.mark.parametrize("shape, axes", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_long_chain(kind, shape, axes):
    y = total(shape, axes)
    s = schedule([y], Target.parse(kind))
    terms = np.prod([shape[a] for a in axes])
    chains = [chain(st) for st in s.stages if isinstance(st.op, ComputeOp) and st.reduce_axes]
    assert max(chains) <= max(1024, 4 * np.sqrt(terms)), chains


@pytest.mark.parametrize("shape, axes", SHAPES[:4])
def test_fragments_share_them_in_draws(shape, axes):
    made = draws([total(shape, axes)], Target.parse("opengl"))
    terms = np.prod([shape[a] for a in axes])
    assert len(made) == 2
    for d in made:
        for st in d.schedule.stages:
            if isinstance(st.op, ComputeOp) and st.reduce_axes:
                assert chain(st) <= 4 * np.sqrt(terms)


def test_no_shader_turns_its_loops_more_often_than_drivers_do():
    x, w = te.placeholder((90, MOST_TURNS), name="x"), te.placeholder((MOST_TURNS, 130), name="w")
    k = te.reduce_axis((0, MOST_TURNS), "k")
    y = te.compute((90, 130), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k), name="y")
    for d in draws([y], Target.parse("webgl")):
        assert all(
            chain(st) < MOST_TURNS for st in d.schedule.stages if isinstance(st.op, ComputeOp)
        )


MEASURED = [
    ((1 << 17, 8), (0,)),
    ((5003, 70), (0,)),
    ((9, 11, 57, 59), (0, 2, 3)),
    ((3, 5000, 21), (1,)),
    ((2, 131, 67, 16), (1, 2)),
    ((1 << 20,), (0,)),
]


@pytest.mark.parametrize("shape, axes", MEASURED)
def test_the_digits_that_are_left(shape, axes):
    """A sum of 2^17 positive numbers in one go is off by some 1e-5."""
    x = np.random.default_rng(7).uniform(0.5, 1.5, shape).astype(np.float32)
    y = total(shape, axes)
    module = weft.build(schedule([y], Target.parse("llvm")), [y.op.inputs[0], y])
    got = np.zeros([as_int(n) for n in y.shape], np.float32)
    module(x, got)
    want = x.astype(np.float64).sum(axes)
    assert np.max(np.abs(got - want) / want) < 1e-6


def test_what_is_short_is_not_cut():
    stage = te.create_schedule(total((100, 8), (0,))).stages[-1]
    assert cut_in_blocks(stage, 512) is None
    assert [as_int(a.extent) for a in stage.leaves] == [8, 100]
