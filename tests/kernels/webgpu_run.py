"""Run one kernel with wgpu-py, without the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest
from weft.codegen import for_target
from weft.ir.stmt import Buffer, Function
from weft.ir.target import Target
from weft.runtime.dtype import DType
from weft.runtime.texture import texel_dtype


@lru_cache
def device():
    wgpu = pytest.importorskip("wgpu")
    try:
        adapter = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
    except RuntimeError:
        adapter = None
    if adapter is None:
        pytest.skip("no WebGPU adapter (apt-get install mesa-vulkan-drivers)")
    features = [f for f in ("shader-f16",) if f in adapter.features]
    limits = {"max-storage-buffers-per-shader-stage": 32}
    return wgpu, adapter.request_device_sync(required_features=features, required_limits=limits)


def words(a: np.ndarray, d: DType, target: Target) -> np.ndarray:
    """Elements as the device holds them, filled up to whole vectors of four."""
    held = np.dtype(np.float16) if d == HALF and target.has_float16 else texel_dtype(d)
    with np.errstate(all="ignore"):
        flat = a.ravel().astype(held)
    return np.concatenate([flat, np.zeros(-flat.size % 8 or 8, held)])


HALF = DType("float", 16)


def run(f: Function, args: Sequence, target: str = "webgpu -max_buffers=32") -> list:
    """Run ``f`` on copies of ``args``, which are given back."""
    wgpu, gpu = device()
    goal = Target.parse(target)
    f = Function("test_kernel", f.params, f.body, f.writes, f.attrs)
    text = for_target(goal).emit([f], goal).source
    buffers = []
    usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC
    for p, a in zip(f.params, args, strict=True):
        assert isinstance(p, Buffer) and a.dtype == p.dtype.numpy
        buffers.append(gpu.create_buffer_with_data(data=words(a, p.dtype, goal), usage=usage))
    pipeline = gpu.create_compute_pipeline(
        layout="auto",
        compute={"module": gpu.create_shader_module(code=text), "entry_point": f.name},
    )
    group = gpu.create_bind_group(
        layout=pipeline.get_bind_group_layout(0),
        entries=[
            {"binding": k, "resource": {"buffer": b, "offset": 0, "size": b.size}}
            for k, b in enumerate(buffers)
        ],
    )
    launch = dict(f.attrs.get("launch", {}))
    encoder = gpu.create_command_encoder()
    step = encoder.begin_compute_pass()
    step.set_pipeline(pipeline)
    step.set_bind_group(0, group)
    step.dispatch_workgroups(*(int(launch.get(f"blockIdx.{a}", 1)) for a in "xyz"))
    step.end()
    gpu.queue.submit([encoder.finish()])
    results = []
    for p, a, b in zip(f.params, args, buffers):
        assert isinstance(p, Buffer)
        given = words(a, p.dtype, goal)
        raw = np.frombuffer(gpu.queue.read_buffer(b), given.dtype)
        assert (raw[a.size :] == 0).all(), "written outside of a buffer"
        with np.errstate(all="ignore"):
            results.append(raw[: a.size].astype(a.dtype).reshape(a.shape))
    return results
