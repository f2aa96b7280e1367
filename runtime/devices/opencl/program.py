"""Runs programs of OpenCL kernels through pyopencl, on any device that has a driver.

Elements lie in buffers as they do in the process. On a processor, constants are not copied:
kernels read them where they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...artifact import Kernel
from ...dtype import DType
from ...errors import DeviceError
from ...ndarray import aligned_bytes
from ..memory import share_blocks
from ..program import AXES, DeviceProgram, dtypes_of, flag, launch
from . import cl as api
from .build import build


def passed_as(d: DType) -> np.dtype:
    """What a number of type ``d`` is passed to a kernel as: those of 16 bits or fewer that are no
    integers are held in others."""
    if d.is_bool:
        return np.dtype(np.int32)
    return np.dtype(np.float32) if d.is_float and d.bits == 16 else d.numpy


class CLProgram(DeviceProgram):
    """A program on the device: buffers, and a kernel with its arguments for each step."""

    def _clear(self) -> None:
        self._buffers: list[Any] = []
        self._copies: list[Any] = []  # events under way: pyopencl waits for one that is dropped
        self._calls: list[tuple[Any, tuple[int, ...], tuple[int, ...]]] = []
        self._numbers: list[tuple[Any, int, int]] = []  # kernel, number of its argument, slot
        self._passed = False
        self.built: dict[str, Any] = {}

    def _find(self) -> None:
        self.cl = api.module()
        self.device = api.shared()

    def _load(self) -> None:
        self._check_device()
        self.plan = share_blocks(self.storage, self._nbytes)
        for b in self.plan.blocks:
            self._need("bytes in one buffer", self.device.limits["max_allocation"], b.size,
                       self.device.name, self.program.name, "")  # fmt: skip
        if isinstance(self.like, CLProgram) and self.like.built:
            built = self.like.built
        else:
            used = {k.code: self._codes[k.code].decode() for k in self.program.kernels}
            built = build(self.device, used)
        self.built = built
        checked: set[str] = set()
        constants = dict(self._constants())
        for n, b in enumerate(self.plan.blocks):
            roots = [r for r, block in self.plan.block_of.items() if block == n]
            self._buffers.append(self._buffer(b.size, constants.get(roots[0])))
        for step in self.program.steps:
            kernel = self.kernels[step.kernel]
            call = self._kernel(built[kernel.code], kernel)
            if kernel.name not in checked:
                checked.add(kernel.name)
                self._check_kernel(call, kernel)
            for n, (p, a) in enumerate(zip(kernel.params, step.args)):
                if p.access == "s":
                    self._numbers.append((call, n, a))
                else:
                    call.set_arg(n, self.buffer(a))
            workgroups, threads = launch(kernel)
            self._calls.append((call, tuple(b * t for b, t in zip(workgroups, threads)), threads))

    @contextmanager
    def _entered(self) -> Iterator[None]:
        with api.errors(self.program.name):
            yield

    # -- limits -----------------------------------------------------------------------------------

    def _check_device(self) -> None:
        types, limits = dtypes_of(self.kernels.values()), self.device.limits
        for what, wanted, option in (
            ("64-bit floats", "float64" in types, "has_float64"),
            ("16-bit arithmetic", flag(self.options, "has_float16"), "has_float16"),
        ):
            if wanted and not limits[option]:
                raise DeviceError(
                    f"{self.device.name} has no {what}; the program uses them.",
                    where=self.program.name,
                    hint="compile for another target, for example llvm",
                )
        axes = [int(n) for n in self.device.device.max_work_item_sizes]
        for kernel in self.kernels.values():
            threads = launch(kernel)[1]
            where = f"kernel {kernel.name}"
            self._need("threads in a workgroup", limits["max_threads"], math.prod(threads),
                       self.device.name, where, "max_threads")  # fmt: skip
            self._need("bytes of local memory", limits["shared_bytes"], kernel.shared_bytes,
                       self.device.name, where, "shared_bytes")  # fmt: skip
            for axis, have, need in zip(AXES, axes, threads):
                self._need(
                    f"threads along {axis}", have, need, self.device.name, where, "max_threads"
                )

    def _kernel(self, built: Any, kernel: Kernel) -> Any:
        try:
            made = self.cl.Kernel(built, kernel.name)
            count = made.num_args
        except self.cl.LogicError:
            count = None
        if count != len(kernel.params):
            said = "is not in its code" if count is None else f"takes {count} arguments there"
            raise DeviceError(
                f"the kernel {said}; the program passes it {len(kernel.params)}.",
                where=f"kernel {kernel.name}",
                hint="compile the model again",
            )
        return made

    def _check_kernel(self, made: Any, kernel: Kernel) -> None:
        """What a device knows about a kernel only when it is built."""
        info, where = self.cl.kernel_work_group_info, f"kernel {kernel.name}"

        def ask(what: Any) -> int:
            return int(made.get_work_group_info(what, self.device.device))

        threads = math.prod(launch(kernel)[1])
        for what, have, need, option in (
            ("bytes of local memory", self.device.limits["shared_bytes"],
             ask(info.LOCAL_MEM_SIZE), "shared_bytes"),
            ("threads in a workgroup of this kernel", ask(info.WORK_GROUP_SIZE),
             threads, "max_threads"),
        ):  # fmt: skip
            self._need(what, have, need, self.device.name, where, option)

    # -- memory -----------------------------------------------------------------------------------

    def _nbytes(self, root: int) -> int:
        """Whole vectors of 16 bytes, at least one."""
        return max(16, -(-self.program.slots[root].nbytes // 16) * 16)

    def _buffer(self, size: int, constant: np.ndarray | None) -> Any:
        flags, context = self.cl.mem_flags, self.device.context
        if constant is None:
            return self.cl.Buffer(context, flags.READ_WRITE, size)
        data = constant.view(np.uint8)
        in_place = self.device.host_memory and data.nbytes == size
        if data.nbytes < size:
            whole = np.zeros(size, np.uint8)
            whole[: data.nbytes] = data
            data = whole
        how = flags.USE_HOST_PTR if in_place else flags.COPY_HOST_PTR
        return self.cl.Buffer(context, flags.READ_ONLY | how, hostbuf=data)

    def buffer(self, k: int) -> Any:
        """The buffer of a slot that a kernel touches."""
        return self._buffers[self.plan.block_of[self.storage.roots[k]]]

    def _send(self, root: int, flat: np.ndarray) -> None:
        if flat.size:
            self._copies.append(
                self.cl.enqueue_copy(
                    self.device.queue, self.buffer(root), flat.view(np.uint8), is_blocking=False
                )
            )

    def _fetch(self, roots: Sequence[int]) -> list[np.ndarray]:
        queue, flats = self.device.queue, []
        for r in roots:
            flats.append(aligned_bytes(self.program.slots[r].nbytes))
            if flats[-1].size:
                self._copies.append(
                    self.cl.enqueue_copy(queue, flats[-1], self.buffer(r), is_blocking=False)
                )
        queue.finish()  # the one wait: it flushes, and the queue is in order
        self._copies.clear()
        return [flat.view(self.storage.dtypes[r].numpy) for r, flat in zip(roots, flats)]

    # -- calls ------------------------------------------------------------------------------------

    def _pass_numbers(self) -> None:
        for call, n, k in self._numbers:
            call.set_arg(n, self.number(k).astype(passed_as(self.storage.dtypes[k]))[0])

    def _start(self, begin: int, end: int) -> None:
        self._enqueue(self.device.queue, begin, end)

    def _enqueue(self, queue: Any, begin: int, end: int) -> list[Any]:
        enqueue = self.cl.enqueue_nd_range_kernel
        return [
            enqueue(queue, kernel, total, threads) if 0 not in total else None
            for kernel, total, threads in self._calls[begin:end]
        ]

    def _measure(self, begin: int, end: int, repeat: int) -> np.ndarray:
        rows = np.zeros((repeat, end - begin))
        self.device.queue.finish()  # the inputs are there
        self._copies.clear()
        for row in rows:
            events = self._enqueue(self.device.timed, begin, end)
            self.device.timed.finish()
            for k, event in enumerate(events):
                if event is not None:
                    row[k] = event.profile.end - event.profile.start
        return rows

    def _free(self) -> None:
        buffers = self._buffers
        self._clear()
        for b in buffers:
            b.release()


__all__ = ["CLProgram"]
