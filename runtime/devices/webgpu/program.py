"""Runs programs of WGSL kernels through wgpu-py: the same code as in a page, without one.

Elements lie in buffers as 32-bit words (``texture.py::texel_dtype``); 16-bit floats as they are
where the target has them.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from ... import forks
from ...artifact import Kernel
from ...dtype import DType
from ...errors import DeviceError
from ...ndarray import aligned_empty
from ...texture import texel_dtype
from ..memory import share_blocks
from ..program import (
    AXES,
    DeviceProgram,
    buffers_of,
    dtypes_of,
    flag,
    inside,
    launch,
    narrow,
)
from . import adapter as api

_lock = forks.renewed(
    sys.modules[__name__], "_lock"
)  # one queue: what is submitted together stays together
_busy = False  # whether the thread that has the lock is inside
forks.in_child(sys.modules[__name__], lambda module: setattr(module, "_busy", False))
_BINDINGS = {"r": "read-only-storage", "w": "storage", "s": "uniform"}
# Pipeline, bindings, workgroups along x, y, z.
_Call = tuple[Any, Any, tuple[int, int, int]]
_QUERIES = 4096  # timestamps of one query set, by the standard


class WebGPUProgram(DeviceProgram):
    """A program on the device: buffers, pipelines, and a group of bindings for each step."""

    def _clear(self) -> None:
        self.gpu: Any = None
        self._buffers: list[Any] = []
        self._staging: Any = None
        self._encoder: Any = None  # of the run that is being put together
        self._pipelines: dict[str, Any] = {}
        self._uniforms: list[tuple[Any, list[int]]] = []  # a buffer, the slots of its words
        self._passed = False
        self._layouts: dict[tuple[str, ...], Any] = {}
        self._calls: list[_Call] = []

    def _find(self) -> None:
        self.wgpu = api.module()
        self.half = flag(self.options, "has_float16")
        self.plan = share_blocks(self.storage, self._nbytes)

    def _load(self) -> None:
        """Nothing more: to enter loads, so that a device that was lost is replaced."""

    @contextmanager
    def _entered(self) -> Iterator[None]:
        global _busy
        with _lock:
            if _busy:
                raise inside(self.program.name)
            gpu, _busy = self.gpu, True
            try:
                with api.errors(self.program.name):
                    if gpu is None and self._open:
                        gpu = self.gpu = api.shared()
                        self._make()
                    yield
            except api.DeviceLost:
                api.forget(gpu)
                self._free()  # and load anew at the next call
                raise
            finally:
                _busy = False

    def _give_back(self) -> None:
        with _lock:
            self._free()

    def _make(self) -> None:
        try:
            self._fill()
        except BaseException:
            self._free()  # what is half made must not run
            raise

    def _fill(self) -> None:
        self._check_limits()
        device, usage = self.gpu.device, self.wgpu.BufferUsage
        other = self.like
        if isinstance(other, WebGPUProgram) and other.gpu is self.gpu and other._pipelines:
            self._pipelines, self._layouts = other._pipelines, other._layouts
        else:
            for kernel in self.program.kernels:
                code = self._codes[kernel.code].decode()
                self._pipelines[kernel.name] = self._pipeline(kernel, code)
        for b in self.plan.blocks:
            self._buffers.append(
                self._buffer(b.size, usage.STORAGE | usage.COPY_SRC | usage.COPY_DST)
            )
        for k, flat in self._constants():
            self._send(k, flat)
            device.queue.submit([])  # copies now, so that the memory of the copy can go
        for step in self.program.steps:
            kernel = self.kernels[step.kernel]
            workgroups, _ = launch(kernel)
            group = self._bind(kernel, step.args)
            workgroups = (0, 1, 1) if 0 in workgroups else workgroups
            self._calls.append((self._pipelines[kernel.name], group, workgroups))

    # -- limits and code --------------------------------------------------------------------------

    def _check_limits(self) -> None:
        limits, name = self.gpu.limits, self.gpu.name
        for b in self.plan.blocks:
            self._need("bytes in one buffer", limits["max_allocation"], b.size, name,
                       self.program.name, "")  # fmt: skip
        if "float64" in dtypes_of(self.kernels.values()):
            raise DeviceError(
                "WebGPU has no 64-bit floats; the program uses them.",
                where=self.program.name,
                hint="compile for another target, for example llvm",
            )
        if self.half and not limits["has_float16"]:
            raise DeviceError(
                f"{name} has no 16-bit floats; the program uses them.",
                where=self.program.name,
                hint="compile for webgpu without -has_float16",
            )
        for kernel in self.kernels.values():
            workgroups, threads = launch(kernel)
            where = f"kernel {kernel.name}"
            needs = [
                ("bytes of workgroup memory", kernel.shared_bytes, "shared_bytes", "shared_bytes"),
                ("threads in a workgroup", math.prod(threads), "max_threads", "max_threads"),
                ("storage buffers", len(buffers_of(kernel)), "max_buffers", "max_buffers"),
            ]
            for axis, n, count in zip(AXES, threads, workgroups):
                needs.append((f"threads along {axis}", n, f"max_threads_{axis}", "max_threads"))
                needs.append((f"workgroups along {axis}", count, "max_blocks", "max_blocks"))
            for what, need, limit, option in needs:
                self._need(what, limits[limit], need, name, where, option)

    def _layout(self, kernel: Kernel) -> Any:
        """What a kernel is bound to: a buffer for each parameter, to read or also to write, and one
        for all its numbers."""
        access = tuple(p.access for p in buffers_of(kernel))
        access += ("s",) * (len(access) < len(kernel.params))
        if access not in self._layouts:
            entries = [
                {
                    "binding": k,
                    "visibility": self.wgpu.ShaderStage.COMPUTE,
                    "buffer": {"type": _BINDINGS[a]},
                }
                for k, a in enumerate(access)
            ]
            self._layouts[access] = self.gpu.device.create_bind_group_layout(entries=entries)
        return self._layouts[access]

    def _pipeline(self, kernel: Kernel, code: str) -> Any:
        device = self.gpu.device
        try:
            layout = device.create_pipeline_layout(bind_group_layouts=[self._layout(kernel)])
            module = device.create_shader_module(label=kernel.name, code=code)
            return device.create_compute_pipeline(
                label=kernel.name,
                layout=layout,
                compute={"module": module, "entry_point": kernel.name},
            )
        except (self.wgpu.GPUError, RuntimeError) as e:
            if api.is_lost(e):
                raise
            raise DeviceError(
                f"{self.gpu.name} refused the kernel: {str(e).strip()[-4000:]}",
                where=f"kernel {kernel.name}",
                hint="this is a fault of weft or of the driver; the llvm target will work",
            ) from None

    def _bind(self, kernel: Kernel, args: Sequence[int]) -> Any:
        numbers = [a for p, a in zip(kernel.params, args) if p.access == "s"]
        buffers = [self.buffer(a) for p, a in zip(kernel.params, args) if p.access != "s"]
        if numbers:
            usage = self.wgpu.BufferUsage
            size = -(-4 * len(numbers) // 16) * 16
            buffers.append(self._buffer(size, usage.UNIFORM | usage.COPY_DST))
            self._uniforms.append((buffers[-1], numbers))
        entries = [
            {"binding": k, "resource": {"buffer": b, "offset": 0, "size": b.size}}
            for k, b in enumerate(buffers)
        ]
        return self.gpu.device.create_bind_group(layout=self._layout(kernel), entries=entries)

    # -- memory -----------------------------------------------------------------------------------

    def _kind(self, d: DType) -> np.dtype:
        """What a buffer holds for elements of ``d``."""
        half = self.half and d.kind == "float" and d.bits == 16
        return np.dtype(np.float16) if half else texel_dtype(d)

    def _nbytes(self, root: int) -> int:
        """Whole vectors of 16 bytes, at least one: kernels may read whole ones."""
        d = self.storage.dtypes[root]
        nbytes = self.program.slots[root].nbytes // d.bytes * self._kind(d).itemsize
        return max(16, -(-nbytes // 16) * 16)

    def _buffer(self, size: int, usage: int) -> Any:
        return self.gpu.device.create_buffer(size=size, usage=usage)

    def buffer(self, k: int) -> Any:
        """The buffer of a slot that a kernel touches."""
        return self._buffers[self.plan.block_of[self.storage.roots[k]]]

    def _send(self, root: int, flat: np.ndarray) -> None:
        if not flat.size:
            return
        d = self.storage.dtypes[root]
        words = narrow(flat, d, self.program.slots[root]).astype(self._kind(d), copy=False)
        if words.nbytes % 4:  # an odd number of 16-bit floats
            words = np.append(words, np.zeros(1, words.dtype))
        self.gpu.device.queue.write_buffer(self.buffer(root), 0, words)

    def _fetch(self, roots: Sequence[int]) -> list[np.ndarray]:
        """All in one buffer that the process can map."""
        sizes = [self._nbytes(r) for r in roots]
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        encoder = self._encoder or self.gpu.device.create_command_encoder()
        self._encoder = None
        if self._staging is None or self._staging.size < sum(sizes):
            usage = self.wgpu.BufferUsage
            self._staging = self._buffer(max(16, sum(sizes)), usage.MAP_READ | usage.COPY_DST)
        for r, start, size in zip(roots, starts, sizes):
            encoder.copy_buffer_to_buffer(self.buffer(r), 0, self._staging, start, size)
        self.gpu.device.queue.submit([encoder.finish()])
        if not roots:
            return []
        self._staging.map_sync(self.wgpu.MapMode.READ)
        try:
            view = np.frombuffer(self._staging.read_mapped(copy=False), np.uint8)
            return [self._words(r, view[start:]) for r, start in zip(roots, starts)]
        finally:
            self._staging.unmap()

    def _words(self, root: int, data: np.ndarray) -> np.ndarray:
        """The elements of a tensor out of the bytes of its buffer."""
        d, kind = self.storage.dtypes[root], self._kind(self.storage.dtypes[root])
        count = self.program.slots[root].nbytes // d.bytes
        flat = aligned_empty((count,), d)
        words = data[: count * kind.itemsize].view(kind)
        if d.is_bool:
            np.not_equal(words, 0, out=flat)
        else:
            flat[...] = words.astype(d.numpy, copy=False)
        return flat

    # -- calls ------------------------------------------------------------------------------------

    def _pass_numbers(self) -> None:
        """Each in a word of 32 bits, in the order of the kernel's parameters."""
        for buffer, slots in self._uniforms:
            words = []
            for k in slots:
                d = self.storage.dtypes[k]
                word = narrow(self.number(k), d, self.program.slots[k]).astype(texel_dtype(d))
                words.append(word.view(np.uint32))
            self.gpu.device.queue.write_buffer(buffer, 0, np.concatenate(words))

    def _start_all(self) -> None:
        self._encoder = None  # there is one where the run before was interrupted
        super()._start_all()

    def _start(self, begin: int, end: int) -> None:
        if self._encoder is None:
            self._encoder = self.gpu.device.create_command_encoder()
        group = self._encoder.begin_compute_pass()
        for call in self._calls[begin:end]:
            self._dispatch(group, call)
        group.end()  # submitted with the copies of the outputs

    @staticmethod
    def _dispatch(group: Any, call: _Call) -> None:
        pipeline, bindings, workgroups = call
        group.set_pipeline(pipeline)
        group.set_bind_group(0, bindings)
        group.dispatch_workgroups(*workgroups)

    def _measure(self, begin: int, end: int, repeat: int) -> np.ndarray:
        rows = np.zeros((repeat, end - begin))
        if end > begin:
            with self._clock(self._calls[begin:end]) as clock:
                for row in rows:
                    row[:] = clock()
        return rows

    @contextmanager
    def _clock(self, calls: Sequence[_Call]) -> Iterator[Callable[[], np.ndarray]]:
        """A function that makes the calls once and returns the nanoseconds of each."""
        if not self.gpu.has_timestamps:
            yield lambda: self._clock_on_host(calls)
            return
        device, usage = self.gpu.device, self.wgpu.BufferUsage
        count, per_set = len(calls), _QUERIES // 2
        sets = [
            device.create_query_set(type="timestamp", count=2 * min(per_set, count - first))
            for first in range(0, count, per_set)
        ]
        size = 16 * count
        resolved = self._buffer(size, usage.QUERY_RESOLVE | usage.COPY_SRC)
        mapped = self._buffer(size, usage.MAP_READ | usage.COPY_DST)

        def clock() -> np.ndarray:
            encoder = device.create_command_encoder()
            for k, call in enumerate(calls):
                at = 2 * (k % per_set)
                group = encoder.begin_compute_pass(
                    timestamp_writes={
                        "query_set": sets[k // per_set],
                        "beginning_of_pass_write_index": at,
                        "end_of_pass_write_index": at + 1,
                    }
                )
                self._dispatch(group, call)
                group.end()
            for k, queries in enumerate(sets):
                encoder.resolve_query_set(queries, 0, queries.count, resolved, 16 * per_set * k)
            encoder.copy_buffer_to_buffer(resolved, 0, mapped, 0, size)
            device.queue.submit([encoder.finish()])
            mapped.map_sync(self.wgpu.MapMode.READ)
            ticks = np.frombuffer(mapped.read_mapped(), np.uint64).reshape(-1, 2)
            mapped.unmap()
            return self.gpu.nanoseconds(np.diff(ticks.astype(np.int64), axis=1)[:, 0])

        try:
            yield clock
        finally:
            for thing in (*sets, resolved, mapped):
                thing.destroy()

    def _clock_on_host(self, calls: Sequence[_Call]) -> np.ndarray:
        queue, times = self.gpu.device.queue, []

        def wait() -> None:  # wgpu 0.32 cannot wait for a queue alone
            queue.read_buffer(self._buffers[0], 0, 16)

        wait()
        for call in calls:
            begin = time.perf_counter_ns()
            encoder = self.gpu.device.create_command_encoder()
            group = encoder.begin_compute_pass()
            self._dispatch(group, call)
            group.end()
            queue.submit([encoder.finish()])
            wait()
            times.append(time.perf_counter_ns() - begin)
        return np.array(times)

    def _free(self) -> None:
        uniforms = [b for b, _ in self._uniforms]
        for b in (*self._buffers, *uniforms, *([self._staging] if self._staging else [])):
            with suppress(Exception):  # a lost device has none to give back
                b.destroy()
        self._clear()


__all__ = ["WebGPUProgram"]
