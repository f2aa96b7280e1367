"""Where a model's time goes, beside what the machine can do (Williams et al., CACM'09).

The peaks are measured by two kernels of our own, compiled for the same target and run by the same
threads as the model: multiply-adds on a register tile whose operands stay in the first cache, and
``c = a + s·b`` over arrays that no cache holds. A kernel whose operands lie in a cache may
therefore move more than the measured bandwidth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...ir import te
from ...ir.schedule.schedule import Schedule, create_schedule
from ...ir.target import Target
from ...ir.tensor import Tensor
from ...runtime.artifact import Kernel, Program
from ...runtime.devices.cpu.cpu import CPUDevice
from ...runtime.dtype import FLOAT32, dtype_of
from ...runtime.ndarray import aligned_empty
from ...runtime.profile import Profile
from ...runtime.sizes import known
from .build import build


@dataclass(frozen=True)
class Peaks:
    """FLOP/s in float32 and bytes/s."""

    flops: float
    bandwidth: float
    threads: int

    def __str__(self) -> str:
        return (
            f"measured peak {self.flops * 1e-9:.1f} GFLOP/s, {self.bandwidth * 1e-9:.1f} GB/s,"
            f" {self.threads} thread{'s' if self.threads > 1 else ''}"
        )


def measure_peaks(target: Target, threads: int) -> Peaks:
    """The best of some runs of both kernels; about a second."""
    device = CPUDevice()
    before = device.num_threads
    device.set_num_threads(threads)
    try:
        flops = 0.0
        for vectors in (1, 2, 3):  # which shape of tile is best depends on the processor
            rows = (target.num_vector_registers - 2) // vectors - 1
            if rows >= 1:
                flops = max(flops, _multiply_adds(target, threads, rows, vectors))
        return Peaks(flops, _stream(target, threads), threads)
    finally:
        device.set_num_threads(before)


def _multiply_adds(target: Target, threads: int, rows: int, vectors: int) -> float:
    """FLOP/s of ``rows × vectors`` accumulators; both operands together are some kilobytes."""
    lanes = target.lanes(FLOAT32)
    depth, again, chunks = 64, 512, 2 * threads
    a = te.placeholder((depth, rows), name="a")
    b = te.placeholder((depth, vectors * lanes), name="b")
    r, k = te.reduce_axis(again, "r"), te.reduce_axis(depth, "k")
    c = te.compute(
        (chunks, rows, vectors * lanes),
        lambda n, i, j: te.sum(a[k, i] * b[k, j], [r, k]),
        name="c",
    )
    assert isinstance(c, Tensor)
    s = create_schedule(c)
    acc = s[s.cache_write(c, "local")]
    for stage in (s[c], acc):
        n, i, j = stage.axes
        if vectors > 1:
            outer, inner = stage.split(j, factor=lanes)
            tile = [i, outer]
        else:
            tile, inner = [i], j
        stage.reorder(n, *stage.reduce_axes, *tile, inner)
        for axis in tile:
            stage.unroll(axis)
        stage.vectorize(inner)
    acc.compute_at(s[c], s[c].axes[0])
    s[c].parallel(s[c].axes[0])
    seconds = _best_time(s, [a, b, c], target, "peak_flops", 60)
    return 2.0 * chunks * rows * vectors * lanes * depth * again / seconds


def _stream(target: Target, threads: int, n: int = 1 << 24) -> float:
    a, b = te.placeholder((n,), name="a"), te.placeholder((n,), name="b")
    c = te.compute((n,), lambda i: a[i] + b[i] * 3.0, name="c")
    assert isinstance(c, Tensor)
    s = create_schedule(c)
    stage = s[c]
    chunk, rest = stage.split(stage.axes[0], factor=n // (8 * threads) // 64 * 64)
    _, lane = stage.split(rest, factor=target.lanes(FLOAT32))
    stage.parallel(chunk)
    stage.vectorize(lane)
    return 12.0 * n / _best_time(s, [a, b, c], target, "peak_bandwidth", 12)


def _best_time(s: Schedule, args: list[Tensor], target: Target, name: str, n: int) -> float:
    """Seconds of the fastest of ``n`` calls, after one that warms up."""
    kernel = build(s, args, target, name)
    arrays = []
    for k in kernel.executable.inputs.values():
        array = aligned_empty(k.shape, k.dtype)
        array[...] = 1e-3
        arrays.append(array)
    return float(kernel.executable.runner.time(arrays, n).min()) * 1e-9


@dataclass(frozen=True)
class KernelTime:
    """One kernel call, or all calls of one kernel: milliseconds, operations, bytes moved."""

    name: str
    label: str
    ms: float
    flops: int
    bytes: int

    @property
    def gflops(self) -> float:
        """10^9 operations a second; 0 where no time was measured."""
        return self.flops / self.ms * 1e-6 if self.ms else 0.0

    @property
    def gbytes(self) -> float:
        """10^9 bytes a second; 0 where no time was measured."""
        return self.bytes / self.ms * 1e-6 if self.ms else 0.0


def rows_of(program: Program, profile: Profile, by_kernel: bool = False) -> list[KernelTime]:
    """A row per kernel call, or per kernel, slowest first."""
    kernels = {k.name: k for k in program.kernels}
    facts = kernel_facts(program)
    rows: dict[Any, KernelTime] = {}
    for number, p in enumerate(profile.rows):
        flops = int(facts.get(p.kernel, {}).get("flops", 0))
        key, label = (p.kernel, "") if by_kernel else (number, p.label)
        old = rows.get(key, KernelTime(p.kernel, label, 0.0, 0, 0))
        rows[key] = KernelTime(
            p.kernel, label, old.ms + p.ms, old.flops + p.count * flops,
            old.bytes + p.count * bytes_moved(kernels[p.kernel]),
        )  # fmt: skip
    return sorted(rows.values(), key=lambda r: -r.ms)


def kernel_facts(program: Program) -> Mapping[str, Any]:
    """What the compiler knew of each kernel; nothing for a package of an older weft."""
    found = program.meta.get("kernels", {})
    return found if isinstance(found, Mapping) else {}


def bytes_moved(kernel: Kernel) -> int:
    """Bytes that a kernel must at least move: each parameter once."""
    return sum(
        math.prod(known(p.shape)) * dtype_of(p.dtype).bytes
        for p in kernel.params
        if p.access != "s"
    )


def table(rows: list[KernelTime], peaks: Peaks | None) -> str:
    """The rows as text, with their shares of the total time and of the peaks, where those are
    known."""
    total = sum(r.ms for r in rows)
    wide = max([len(r.name) for r in rows], default=6)

    def rates(r: KernelTime) -> str:
        flops = bandwidth = ""
        if peaks is not None:
            flops = f"  {_share(r.gflops * 1e9, peaks.flops):6.1%}"
            bandwidth = f"  {_share(r.gbytes * 1e9, peaks.bandwidth):6.1%}"
        return f"{r.gflops:8.1f}{flops}  {r.bytes * 1e-6:8.3f}  {r.gbytes:7.1f}{bandwidth}"

    peak = "" if peaks is None else f"  {'peak':>6}"
    lines = [
        f"{'ms':>9}  {'share':>6}  {'cumul.':>6}  {'GFLOP/s':>8}{peak}  {'MB':>8}"
        f"  {'GB/s':>7}{peak}  {'kernel':<{wide}}  nodes"
    ]
    done = 0.0
    for r in rows:
        done += r.ms
        label = r.label if len(r.label) <= 60 else r.label[:57] + "..."
        lines.append(
            f"{r.ms:9.4f}  {_share(r.ms, total):6.1%}  {_share(done, total):6.1%}"
            f"  {rates(r)}  {r.name:<{wide}}  {label}".rstrip()
        )
    whole = KernelTime("", "", total, sum(r.flops for r in rows), sum(r.bytes for r in rows))
    lines.append(f"{total:9.4f}  100.0%  {'':6}  {rates(whole)}  all")
    return "\n".join(lines)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
