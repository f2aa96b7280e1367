"""Single kernels beside what the machine can do: direct 3×3 and depthwise convolutions of ResNet
and MobileNet, a large matrix product. Each stands in a small network, so that its operands lie as
they do in a model. In each turn a kernel is measured right after the peaks, both by their fastest
calls, as a shared machine changes from second to second; a kernel's share of the peak that binds it
(Williams et al., "Roofline", CACM'09) is the median of the turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from .. import compile as compile_model
from ..compiler.kernels.roofline import KernelTime, measure_peaks, rows_of
from ..ir.target import Target
from ..runtime.devices.cpu.cpu import CPUDevice
from ..runtime.profile import Profile
from .zoo.builder import Net

REPEAT = 20  # calls of each kernel in a turn


@dataclass(frozen=True)
class Case:
    """A network, the number of its kernel that is looked at, and the share of the peak that we ask
    of it."""

    name: str
    build: Callable[[], Any]
    step: int
    goal: float


def _middle(channels: int, side: int, group: int) -> Callable[[], Any]:
    """A 3×3 convolution between two others that give it blocked channels and take its result."""

    def build() -> Any:
        net = Net("kernel")
        x = net.input("x", (1, channels, side, side))
        for k in ("before", "middle", "after"):
            size = 3 if k == "middle" else 1
            groups = group if k == "middle" else 1
            x = net.act(net.conv(x, channels, size, group=groups, name=k), "Relu")
        return net.build(x, names=["y"])

    return build


def _product(n: int, constant: bool) -> Callable[[], Any]:
    def build() -> Any:
        net = Net("kernel")
        a = net.input("a", (n, n))
        b = net.const(net.normal((n, n), 0.03)) if constant else net.input("b", (n, n))
        return net.build(net.op("MatMul", a, b), names=["y"])

    return build


CASES = (
    *(
        Case(f"direct 3x3, {c} channels, {s}x{s}", _middle(c, s, 1), 1, 0.90)
        for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))
    ),
    *(
        Case(f"depthwise 3x3, {c} channels, {s}x{s}", _middle(c, s, c), 1, 0.60)
        for c, s in ((144, 56), (192, 28), (384, 14), (960, 7))
    ),
    Case("matrix product 1024^3, constant operand", _product(1024, True), 0, 0.85),
    Case("matrix product 1024^3", _product(1024, False), 0, 0.85),
)


def measure(threads: int, rounds: int, cases: tuple[Case, ...] = CASES) -> dict[str, Any]:
    """For each case GFLOP/s, GB/s, and the share of the peak that binds; and the peaks."""
    device = CPUDevice()
    before = device.num_threads
    device.set_num_threads(threads)
    try:
        programs = [compile_model(c.build(), "llvm", accuracy="strict") for c in cases]
        target = Target.parse(programs[0].program.target)
        found: dict[str, list[KernelTime]] = {c.name: [] for c in cases}
        shares: dict[str, list[float]] = {c.name: [] for c in cases}
        flops, bandwidth = [], []
        for _ in range(rounds):
            for case, exe in zip(cases, programs):
                peaks = measure_peaks(target, threads)
                flops.append(peaks.flops)
                bandwidth.append(peaks.bandwidth)
                calls = (exe.profile(repeat=1).rows[case.step] for _ in range(REPEAT))
                fastest = min(calls, key=lambda r: r.ms)
                (row,) = rows_of(exe.program, Profile(case.name, (fastest,)))
                found[case.name].append(row)
                least = max(row.flops / peaks.flops, row.bytes / peaks.bandwidth)
                shares[case.name].append(least / (row.ms * 1e-3))
    finally:
        device.set_num_threads(before)
    kernels = {
        c.name: {
            "gflops": statistics.median(r.gflops for r in found[c.name]),
            "gbytes": statistics.median(r.gbytes for r in found[c.name]),
            "share": statistics.median(shares[c.name]),
            "goal": c.goal,
        }
        for c in cases
    }
    return {
        "threads": threads,
        "peak_gflops": statistics.median(flops) * 1e-9,
        "peak_gbytes": statistics.median(bandwidth) * 1e-9,
        "kernels": kernels,
    }


def table(result: dict[str, Any]) -> Table:
    threads = result["threads"]
    found = Table(
        title=f"kernels, {threads} thread{'s' * (threads > 1)}; measured peaks: "
        f"{result['peak_gflops']:.0f} GFLOP/s, {result['peak_gbytes']:.1f} GB/s"
    )
    found.add_column("kernel")
    for column in ("GFLOP/s", "GB/s", "of the peak that binds", "goal"):
        found.add_column(column, justify="right")
    for name, k in result["kernels"].items():
        rates = f"{k['gflops']:.0f}", f"{k['gbytes']:.1f}"
        found.add_row(name, *rates, f"{k['share']:.0%}", f"{k['goal']:.0%}")
    return found
