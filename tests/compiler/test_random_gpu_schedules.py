"""Random schedules for workgroups compute what the default schedule computes: lowered, in the
interpreter, whose threads run in lock step, and as kernels on the devices of this machine."""

import numpy as np
import pytest
import weft
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_gpu_schedules import build_gpu, build_shared, run_kernels
from support.random_programs import ALL
from support.random_schedules import KINDS, inputs_for
from weft.ir.lower import lower, lower_kernels
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.schedule.schedule import create_schedule
from weft.ir.stmt import Barrier, Seq, seq
from weft.ir.target import Target
from weft.ir.verify import verify
from weft.ir.visit import Mutator, walk
from weft.runtime.devices.probe import probe
from weft.runtime.errors import LoweringError, ScheduleError


def arrays_like(tensors, value=0):
    return [np.full([int(e.value) for e in t.shape], value, t.dtype.numpy) for t in tensors]


def compare(kind: str, seed: int, device: str = "") -> bool:
    """Whether the schedule of ``seed`` is legal; if so it must agree in every element: inputs are
    small integers, whose sums are exact in any order, and results start as -1."""
    inputs, outputs, s = build_gpu(kind, seed)
    args = [*inputs, *outputs]
    try:
        kernels = lower_kernels(s, args, device or "webgpu")
    except LoweringError as e:
        assert "only some threads" in e.message  # shared memory is filled behind a guard
        return False
    given, want, got = inputs_for(inputs, seed), arrays_like(outputs), arrays_like(outputs, -1)
    run(build_loop_nest(create_schedule(outputs), args, "default"), [*given, *want])
    if device:
        weft.build(s, args, device)(*given, *got)
    else:
        run_kernels(kernels, [*given, *got])
    text = "\n".join(str(k.function) for k in kernels)
    for w, g in zip(want, got, strict=True):
        # a division need not be rounded correctly on a device
        rtol = 1e-6 if device and w.dtype.kind == "f" else 0
        np.testing.assert_allclose(
            g, w, rtol=rtol, err_msg=f"{kind} seed {seed}\n{s.trace}\n{text}"
        )
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_seeds(kind):
    """The quick tier's share; nearly all schedules must be legal."""
    assert sum(compare(kind, seed) for seed in range(12)) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_lowered_schedule_equals_default(kind, seed):
    compare(kind, seed)


@pytest.mark.parametrize("device", ["opencl", "webgpu"])
@pytest.mark.parametrize("kind", KINDS)
def test_fixed_seeds_on_devices(kind, device):
    found = probe(device)
    if not found.ok:
        pytest.skip(found.reason)
    assert sum(compare(kind, seed, device) for seed in range(3)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("device", ["opencl", "webgpu"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_kernels_equal_the_interpreter(kind, device, seed):
    found = probe(device)
    if not found.ok:
        pytest.skip(found.reason)
    compare(kind, seed, device)


def shared(first: int, count: int, device: str = "") -> int:
    """How many of the schedules of :func:`build_shared` are refused; the others must compute what
    the default schedule computes, in the interpreter without a race between threads."""
    refused = 0
    for seed in range(first, first + count):
        kind = list(ALL)[seed % len(ALL)]
        inputs, outputs, s = build_shared(kind, seed, ALL)
        args = [*inputs, *outputs]
        try:
            kernels = lower_kernels(s, args, device or "opencl")
        except ScheduleError:  # a stage at a loop that does not enclose all of its readers
            continue
        except LoweringError as e:
            assert "only some threads" in e.message
            refused += 1
            continue
        given, want, got = inputs_for(inputs, seed), arrays_like(outputs), arrays_like(outputs, -1)
        run(build_loop_nest(create_schedule(outputs), args, "default"), [*given, *want])
        if device:
            weft.build(s, args, device)(*given, *got)
        else:
            run_kernels(kernels, [*given, *got])
        for w, g in zip(want, got, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-6, err_msg=f"{kind} seed {seed}\n{s.trace}")
    return refused


@pytest.mark.parametrize("part", range(4))
def test_shared_memory_in_the_interpreter(part):
    """Threads race nowhere; hardly a schedule is refused."""
    assert shared(part * 20, 20) <= 2


@pytest.mark.parametrize("part", range(10))
def test_shared_memory_on_opencl(part):
    if not probe("opencl").ok:
        pytest.skip(probe("opencl").reason)
    assert shared(1000 + part * 20, 20, "opencl") <= 3


@pytest.mark.parametrize("part", range(5))
def test_shared_memory_on_webgpu(part):
    if not probe("webgpu").ok:
        pytest.skip(probe("webgpu").reason)
    assert shared(2000 + part * 20, 20, "webgpu") <= 3


def test_workgroups_on_a_processor():
    """The same schedules, bound loops run as plain ones."""
    for seed in range(12):
        kind = list(KINDS)[seed % len(KINDS)]
        inputs, outputs, s = build_shared(kind, seed)
        given, want, got = inputs_for(inputs, seed), arrays_like(outputs), arrays_like(outputs, -1)
        args = [*inputs, *outputs]
        run(build_loop_nest(create_schedule(outputs), args, "default"), [*given, *want])
        try:
            f = lower(s, args, "llvm")
        except ScheduleError:
            continue
        run(f, [*given, *got])
        for w, g in zip(want, got, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-6, err_msg=f"{kind} seed {seed}\n{s.trace}")


class _Without(Mutator):
    """A body without its ``number``-th barrier."""

    def __init__(self, number: int):
        super().__init__()
        self.number, self.seen = number, -1

    def visit_Barrier(self, s: Barrier):
        self.seen += 1
        return Seq(()) if self.seen == self.number else s

    def visit_Seq(self, s: Seq):
        return seq(*(self(c) for c in s.stmts))


def test_no_barrier_can_be_left_out():
    """``insert_barriers`` puts no more barriers than are needed, and ``verify`` misses any of
    them."""
    dropped = 0
    for kind in ("reduction", "matmul", "convolution", "softmax"):
        for seed in range(6):
            inputs, outputs, s = build_gpu(kind, seed)
            try:
                kernels = lower_kernels(s, [*inputs, *outputs], Target.parse("opencl"))
            except LoweringError:
                continue
            for f in (k.function for k in kernels):
                count = sum(isinstance(n, Barrier) for n in walk(f.body))
                for k in range(min(count, 4)):
                    with pytest.raises(LoweringError, match="a barrier is missing"):
                        verify(f.with_body(_Without(k)(f.body)), flat=True)
                    dropped += 1
    assert dropped > 20
