"""A call from inside of a call of the same executable, on the same thread: by a hook, by a handler
of a signal, by a finaliser. Each test has it happen at every step of Python's in turn."""

import signal
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import weft
from weft import te
from weft.runtime.executor import Executable
from weft.runtime.ndarray import aligned

from .test_executor import PARAMS, PROGRAM, X, codes

__all__ = ["codes"]  # a fixture


class Finalised:
    def __init__(self, do):
        self.do = do

    def __del__(self):
        self.do()


def by_a_hook(do):
    do()


def by_a_signal(do):
    before = signal.signal(signal.SIGTERM, lambda *_: do())
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def by_a_finaliser(do):
    thing = Finalised(do)
    del thing


def interrupted(call, at, do):
    """The result of ``call``, with ``do()`` before the step ``at`` of it; and whether there was
    such a step."""
    steps = 0

    def hook(frame, event, _):
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += 1
        if steps == at:
            sys.settrace(None)
            try:
                do()
            finally:
                sys.settrace(hook)
        return hook

    before = sys.gettrace()
    sys.settrace(hook)
    try:
        result = call()
    finally:
        sys.settrace(before)
    return result, steps >= at


def every_step(call, want, do):
    """``call`` gives ``want`` wherever it is interrupted."""
    at, more = 1, True
    while more:
        got, more = interrupted(call, at, do)
        assert got == want, f"step {at}"
        at += 1
    assert at > 50


@pytest.mark.parametrize("way", [by_a_hook, by_a_signal, by_a_finaliser])
def test_each_call_has_storage_of_its_own(codes, way):
    exe = Executable(PROGRAM, codes, PARAMS).prepare()
    got = []
    other = aligned(X * 3)
    every_step(
        lambda: exe(X).tolist(), [12, 24, 36, 48], lambda: way(lambda: got.append(exe(other)))
    )
    assert {tuple(g.tolist()) for g in got} == {(16, 32, 48, 64)}
    assert len(exe.runner.idle) == 1  # what others had for themselves is gone


def test_results_that_lie_in_the_arena_and_copies_of_inputs(codes):
    """Such results are read after the kernels have run; inputs out of line are copied before."""
    program = replace(PROGRAM, outputs={"y": 3, "t": 2})
    exe = Executable(program, codes, PARAMS).prepare()
    x, other = (np.repeat(a, 2)[::2] for a in (X, X * 3))

    def call():
        return [a.tolist() for a in exe(x)]

    want = call()
    inner = []
    every_step(call, want, lambda: inner.append(exe(other)[1].tolist()))
    assert all(t == [13, 26, 39, 52] for t in inner)


def test_arrays_of_the_caller(codes):
    exe = Executable(PROGRAM, codes, PARAMS).prepare()
    x, other, out, mine = aligned(X), aligned(X * 3), aligned(X * 0), aligned(X * 0)

    def call():
        out[:] = 0
        exe.call([x], [out])
        return out.tolist()

    every_step(call, [12, 24, 36, 48], lambda: exe.call([other], [mine]))
    assert mine.tolist() == [16, 32, 48, 64]


def test_a_profile_is_not_disturbed(codes):
    exe = Executable(PROGRAM, codes, PARAMS).prepare()
    rows, _ = interrupted(lambda: exe.profile(X, repeat=2).rows, 40, lambda: exe(X))
    assert len(rows) == 2
    got, _ = interrupted(lambda: exe(X).tolist(), 40, lambda: exe.profile(X, repeat=2))
    assert got == [12, 24, 36, 48]


def test_the_first_call_makes_what_it_needs(codes):
    """Loading code is interrupted, too."""
    for at in range(1, 2000, 97):
        exe = Executable(PROGRAM, codes, PARAMS)
        got, _ = interrupted(partial(exe, X), at, partial(exe, X * 3))
        assert got.tolist() == [12, 24, 36, 48]


def test_kernels_of_build():
    a = te.placeholder((4,), name="a")
    b = te.compute((4,), lambda i: a[i] + 1, name="b")
    kernel = weft.build(te.create_schedule(b), [a, b])
    x, other, mine = X.copy(), X * 3, np.empty(4, np.float32)

    def call():
        y = np.empty(4, np.float32)
        kernel(x, y)
        return y.tolist()

    call()
    every_step(call, [2, 3, 4, 5], lambda: kernel(other, mine))
    assert mine.tolist() == [4, 7, 10, 13]
