"""Renderers in software leave long loops early: kernels that have them are refused in words there,
and shared among threads they are right."""

import numpy as np
import pytest
import weft
from weft.compiler.kernels.turns import turns
from weft.ir import te
from weft.ir.lower import lower
from weft.runtime.devices.probe import probe
from weft.runtime.devices.software import unasked_limits
from weft.runtime.errors import DeviceError

N = 70000


def total(split: bool):
    """The sum of ``N`` ones: by one thread, or in 70 parts."""
    a = te.placeholder((N,), name="A")
    k = te.reduce_axis(N, "k")
    b = te.compute((1,), lambda i: te.sum(a[k], axis=k), name="B")
    s = te.create_schedule(b)
    if split:
        outer, _ = s[b].split(b.op.reduce_axes[0], nparts=70)
        part = s.rfactor(b, outer)
        s[part].bind(part.op.axes[0], te.thread_axis("threadIdx.x"))
    s[b].bind(b.op.axes[0], te.thread_axis("blockIdx.x"))
    return s, [a, b]


def test_turns_of_all_loops_count():
    a = te.placeholder((6, 5), name="A")
    b = te.compute((6, 5), lambda i, j: a[i, j] + 1.0, name="B")
    s = te.create_schedule(b)
    s[b].bind(b.op.axes[0], te.thread_axis("threadIdx.x"))
    assert turns(lower(s, [a, b], "opencl").body) == 5
    assert turns(lower(te.create_schedule(b), [a, b], "llvm").body) == 6 * (5 + 1)


def test_a_loop_that_would_be_left_early():
    found = probe("webgpu")
    if not found.ok:
        pytest.skip(found.reason)
    given, out = np.ones(N, np.float32), np.zeros(1, np.float32)
    s, args = total(split=True)
    weft.build(s, args, "webgpu")(given, out)
    assert out[0] == N
    s, args = total(split=False)
    kernel = weft.build(s, args, "webgpu")
    if "loop_turns" in found.limits:
        with pytest.raises(DeviceError, match=r"70000 turns of loops.*after 65535"):
            kernel(given, out)
    else:
        kernel(given, out)
        assert out[0] == N


@pytest.mark.parametrize("kind", ["opengl", "webgpu"])
def test_the_limit_is_named(kind):
    """``weft doctor`` prints the limits of a probe."""
    found = probe(kind)
    if not found.ok:
        pytest.skip(found.reason)
    assert found.limits.items() >= unasked_limits(found.description).items()
    assert ("llvmpipe" in found.description) == ("loop_turns" in found.limits)
