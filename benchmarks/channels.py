"""Networks whose images have their channels last, imported with transposes around each convolution,
beside the same networks with their channels first: the passes should make the same of both. They
are called in turn, so that what slows the machine down slows both."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from rich.table import Table

from .. import compile as compile_model
from .. import load
from ..runtime.devices.cpu.cpu import CPUDevice
from .zoo import random_model
from .zoo.channels_last import channels_last

NAMES = ("mobilenet_v1", "mobilenet_v2", "resnet18")
GOAL = 1.03
CALLS = 20  # of each in a round


def measure(threads: int, rounds: int) -> dict[str, Any]:
    """For each network the milliseconds of a call, and of the calls of transposes, both ways."""
    device = CPUDevice()
    before = device.num_threads
    device.set_num_threads(threads)
    try:
        found = {name: _network(name, rounds) for name in NAMES}
    finally:
        device.set_num_threads(before)
    return {"threads": threads, "networks": found}


def _network(name: str, rounds: int) -> dict[str, float]:
    first = load(random_model(name))
    image = np.random.default_rng(0).standard_normal(first.types["image"].shape, np.float32)
    ways = {
        "first": (compile_model(first, "llvm"), image),
        "last": (
            compile_model(channels_last(first), "llvm"),
            np.ascontiguousarray(image.transpose(0, 2, 3, 1)),
        ),
    }
    best = {way: float("inf") for way in ways}
    ratios = []
    for _ in range(rounds):
        turn = {way: float("inf") for way in ways}
        for _ in range(CALLS):
            for way, (exe, x) in ways.items():
                begin = time.perf_counter()
                exe(image=x)
                turn[way] = min(turn[way], 1e3 * (time.perf_counter() - begin))
        ratios.append(turn["last"] / turn["first"])
        best = {way: min(best[way], turn[way]) for way in ways}
    exe, x = ways["last"]
    kernels = [r.kernel for r in exe.profile(image=x).rows]
    moved = sum("transpose" in k for k in kernels)
    return {**best, "ratio": statistics.median(ratios), "transposes": float(moved)}


def table(result: dict[str, Any]) -> Table:
    threads = result["threads"]
    shown = Table(
        title=f"channels last beside channels first, {threads} thread{'s' * (threads > 1)}"
    )
    shown.add_column("network")
    for column in ("first", "last", "last / first", "goal", "transposes"):
        shown.add_column(column, justify="right")
    for name, r in result["networks"].items():
        ms = f"{r['first']:.2f} ms", f"{r['last']:.2f} ms"
        shown.add_row(name, *ms, f"{r['ratio']:.3f}", f"{GOAL}", f"{r['transposes']:.0f}")
    return shown
