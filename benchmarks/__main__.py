"""``make bench``: weft beside ONNX Runtime, OpenVINO and PyTorch.

Each peer lives in a process of its own, so that no thread pool or environment variable of one
disturbs another. The processes of one comparison take turns in short rounds: whatever slows the
machine down for a while slows all of them. A peer whose numbers differ from ONNX Runtime's is
reported as wrong, not timed. ``--before FOLDER`` adds an older checkout of weft as one more peer:
what a change cost or gained, in the same run. Then single kernels beside the peaks of the machine
(``kernels.py``), networks with their channels last (``channels.py``), compile times and memory; one
model on all of weft's targets (``field.py``), what RPC costs (``rpc.py``) and the runtimes of the
browser (``benchmarks/web``), with sizes, which ``--no-web`` leaves out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import compile as compile_model
from ..runtime.files import write_file
from . import channels, kernels, te_kernels
from .zoo import ARCHITECTURES, judge, random_model, shapes

MODELS = ("resnet18", "resnet50", "mobilenet_v2", "mnist_cnn", "encoder")
PEER_NAMES = ("weft", "onnxruntime", "openvino", "torch")
BEFORE = "weft before"  # the peer of --before


class PeerProcess:
    """A child process that holds one peer; ``checkout`` is the weft that it imports, by default
    this one."""

    def __init__(
        self,
        peer: str,
        threads: int,
        env: Mapping[str, str] | None = None,
        checkout: Path | None = None,
    ):
        self.peer = peer
        variables = ("OMP_NUM_THREADS", "WEFT_NUM_THREADS", "MKL_NUM_THREADS")
        everything = {**os.environ, **dict.fromkeys(variables, str(threads)), **(env or {})}
        self._folder = tempfile.TemporaryDirectory(prefix="weft-before-")
        if checkout is not None:  # the package is called after its folder
            Path(self._folder.name, "weft").symlink_to(checkout.resolve())
            everything["PYTHONPATH"] = self._folder.name
        name = "weft" if checkout is not None else peer
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=everything,
        )

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": "the process died"}

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self._folder.cleanup()


def compare(
    model: str,
    peers: list[str],
    threads: int,
    rounds: int,
    seconds: float,
    before: Path | None = None,
) -> dict[str, Any]:
    """Median milliseconds per peer, or the reason why there is none."""
    workers = [PeerProcess(p, threads, checkout=before if p == BEFORE else None) for p in peers]
    result: dict[str, Any] = {"model": model, "threads": threads, "ms": {}, "failed": {}}
    try:
        samples: dict[str, np.ndarray] = {}
        for w in workers:
            answer = w.ask(load=model)
            if "error" in answer:
                result["failed"][w.peer] = answer["error"]
            else:
                samples[w.peer] = np.array(answer["sample"])
        truth = samples.get("onnxruntime")
        for peer, sample in samples.items():
            error = 0.0 if truth is None else judge.relative_error(sample, truth)
            if error > judge.TOLERANCE:
                result["failed"][peer] = f"wrong numbers: relative error {error:.1e}"
        able = [w for w in workers if w.peer not in result["failed"]]
        times: dict[str, list[float]] = {w.peer: [] for w in able}
        for k in range(rounds):
            for w in able[k % len(able) :] + able[: k % len(able)]:  # nobody is always first
                time.sleep(0.02)  # the pool of the one before stops spinning
                times[w.peer] += w.ask(time=seconds)["ms"]
        result["ms"] = {p: statistics.median(t) for p, t in times.items() if t}
    finally:
        for w in workers:
            w.close()
    ours = result["ms"].get("weft")
    others = [ms for p, ms in result["ms"].items() if p not in ("weft", BEFORE)]
    if others and ours:
        result["ratio"] = ours / min(others)
    if ours and BEFORE in result["ms"]:
        result["change"] = ours / result["ms"][BEFORE]
    return result


def compile_times(model: str, checkout: Path | None = None) -> dict[str, float]:
    """Seconds that ``weft.compile`` takes with an empty disk cache and, in the median of three more
    processes, with what the first one left there."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        found = []
        for _ in range(4):
            # Later processes have compiled Python modules, as with every installed package.
            kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/python"}
            cache = {"WEFT_CACHE_DIR": folder, "WEFT_CACHE": "1"}
            worker = PeerProcess("weft", 1, {**cache, **kept}, checkout)
            answer = worker.ask(load=model)
            worker.close()
            if "error" in answer:
                raise RuntimeError(f"weft cannot compile {model}: {answer['error']}")
            found.append(answer["seconds"])
    return {"cold": found[0], "warm": statistics.median(found[1:])}


def activation_memory(*models: str) -> dict[str, float]:
    """MiB of activations at their peak, by model."""
    found = {}
    for name in models:
        model = random_model(name)
        found[name] = compile_model(model, "llvm", shapes(model)).program.arena / 2**20
    return found


def _show_compile_times(console: Console, when: str, times: Mapping[str, float]) -> None:
    console.print(
        f"compiling ResNet-18{when}: {times['cold']:.1f} s with an empty cache, "
        f"{times['warm']:.1f} s from the disk cache"
    )


def _cell(result: dict[str, Any], peer: str) -> str:
    if peer in result["failed"]:
        return "[red]failed[/]"
    return f"{result['ms'][peer]:.3f}"


def _table(results: list[dict[str, Any]], peers: list[str]) -> Table:
    table = Table(title="median milliseconds per inference, f32, batch 1")
    table.add_column("model")
    for column in ("threads", *peers, "weft / best peer"):
        table.add_column(column, justify="right")
    for r in results:
        ratio = f"{r['ratio']:.2f}" if "ratio" in r else "-"
        table.add_row(r["model"], str(r["threads"]), *[_cell(r, p) for p in peers], ratio)
    return table


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m weft.benchmarks", description=__doc__)
    p.add_argument("--models", nargs="+", default=list(MODELS), choices=list(ARCHITECTURES))
    p.add_argument("--peers", nargs="+", default=list(PEER_NAMES), choices=PEER_NAMES)
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--rounds", type=int, default=10, help="turns of each peer (default 10)")
    p.add_argument("--seconds", type=float, default=0.3, help="length of a turn (default 0.3)")
    p.add_argument("--quick", action="store_true", help="ResNet-18 and MNIST, one thread, 4 turns")
    p.add_argument(
        "--no-compile-time", action="store_true", help="leave compile times and memory out"
    )
    p.add_argument("--no-kernels", action="store_true", help="leave the single kernels out")
    p.add_argument(
        "--before",
        type=Path,
        metavar="FOLDER",
        help="a checkout of an older weft: one more peer",
    )
    p.add_argument("--json", type=Path, help="write the numbers to this file")
    p.add_argument("--no-web", action="store_true", help="leave the browser out")
    args = p.parse_args(argv)
    if args.quick:
        args.models, args.threads, args.rounds = ["resnet18", "mnist_cnn"], [1], 4
    if args.before is not None:
        if not (args.before / "benchmarks" / "worker.py").is_file():
            p.error(f"--before: {args.before} is no checkout of weft")
        args.peers.insert(1, BEFORE)
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 110)
    results, failed = [], False
    for threads in args.threads:
        for model in args.models:
            console.print(f"{model}, {threads} thread{'s' * (threads > 1)} …", style="dim")
            r = compare(model, args.peers, threads, max(1, args.rounds), args.seconds, args.before)
            for peer, why in r["failed"].items():
                console.print(f"  {peer}: {why}", style="red", markup=False)
                failed = True
            results.append(r)
    console.print(_table(results, args.peers))
    ratios = [r["ratio"] for r in results if "ratio" in r]
    if ratios:
        mean = statistics.geometric_mean(ratios)
        console.print(f"weft / best peer, geometric mean: {mean:.2f}")
    changes = [r["change"] for r in results if "change" in r]
    if changes:
        mean = statistics.geometric_mean(changes)
        console.print(f"weft / weft before, geometric mean: {mean:.3f}")
    report: dict[str, Any] = {"results": results}
    if not args.no_compile_time and "weft" in args.peers:
        report["compile_seconds"] = times = compile_times("resnet18")
        _show_compile_times(console, "", times)
        if args.before is not None:
            report["compile_seconds_before"] = times = compile_times("resnet18", args.before)
            _show_compile_times(console, " before", times)
        report["activation_mib"] = memory = activation_memory("alexnet", "resnet18")
        console.print(
            "activations at their peak: " + ", ".join(f"{k} {v:.1f} MiB" for k, v in memory.items())
        )
    if not args.no_kernels and "weft" in args.peers:
        report["kernels"], report["channels"] = [], []
        for threads in args.threads:
            report["kernels"].append(kernels.measure(threads, max(1, args.rounds)))
            console.print(kernels.table(report["kernels"][-1]))
            report["channels"].append(channels.measure(threads, max(1, args.rounds)))
            console.print(channels.table(report["channels"][-1]))
        report["te"] = te_kernels.measure(max(1, args.rounds))
        console.print(te_kernels.table(report["te"]))
    if not args.no_web:
        from . import field, rpc
        from .web.__main__ import main as web

        console.print("one model on all targets …", style="dim")
        most = max(args.threads)
        report["field"] = found = field.compare(
            PeerProcess, most, max(1, args.rounds), args.seconds
        )
        for target, why in found["failed"].items():
            console.print(f"  {target}: {why}", style="red", markup=False)
            failed = True
        console.print(field.table(found))
        console.print("over RPC …", style="dim")
        report["rpc"] = rpc.measure(max(1, args.rounds), args.seconds)
        console.print(rpc.table(report["rpc"]))
        failed |= bool(web(["--rounds", "3"] if args.quick else []))
    if args.json:
        write_file(args.json, json.dumps(report, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
