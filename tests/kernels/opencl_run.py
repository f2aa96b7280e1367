"""Run one kernel with pyopencl, without the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest
from weft.codegen.opencl.generator import OpenCL
from weft.ir.stmt import Buffer, Function
from weft.ir.target import Target


@lru_cache
def _queue():
    cl = pytest.importorskip("pyopencl")
    try:
        devices = [d for p in cl.get_platforms() for d in p.get_devices()]
    except cl.LogicError:
        devices = []
    if not devices:
        pytest.skip("no OpenCL device (apt-get install pocl-opencl-icd)")
    context = cl.Context(devices[:1])
    return cl, context, cl.CommandQueue(context)


def global_size(f: Function) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Work-items and work-items of a group along x, y, z."""
    launch = dict(f.attrs.get("launch", {}))
    local = tuple(int(launch.get(f"threadIdx.{a}", 1)) for a in "xyz")
    return tuple(n * int(launch.get(f"blockIdx.{a}", 1)) for n, a in zip(local, "xyz")), local


def run(f: Function, args: Sequence, target: str = "opencl") -> list:
    """Run ``f`` on copies of ``args``, which are given back. Buffers are followed by memory that
    must not change."""
    cl, context, queue = _queue()
    f = Function("test_kernel", f.params, f.body, f.writes, f.attrs)  # "kernel" is a keyword
    text = OpenCL().emit([f], Target.parse(target)).source
    program = cl.Program(context, text).build()
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    given, buffers = [], []
    for p, a in zip(f.params, args, strict=True):
        if not isinstance(p, Buffer):
            given.append(p.dtype.numpy.type(a))
            buffers.append(None)
            continue
        assert a.dtype == p.dtype.numpy, (p, a.dtype)
        raw = np.concatenate([np.ascontiguousarray(a).view(np.uint8).ravel(), _GUARD])
        buffers.append(cl.Buffer(context, flags, hostbuf=raw))
        given.append(buffers[-1])
    everything, local = global_size(f)
    getattr(program, f.name)(queue, everything, local, *given)
    results: list = []
    for a, b in zip(args, buffers):
        if b is None:
            results.append(a)
            continue
        raw = np.empty(a.nbytes + _GUARD.size, np.uint8)
        cl.enqueue_copy(queue, raw, b)
        assert (raw[a.nbytes :] == _GUARD).all(), "written outside of a buffer"
        results.append(raw[: a.nbytes].view(a.dtype).reshape(a.shape))
    return results


_GUARD = np.full(64, 0xA5, np.uint8)
