"""``python -m weft.benchmarks.web``: weft beside TensorFlow.js, ONNX Runtime Web and LiteRT.js.

All run in one headless Chromium, each in a page of its own. The pages of a model take turns in
short rounds, so that whatever slows the machine down slows all of them. An inference goes from
typed arrays to typed arrays: uploads and read-back count. A runtime whose numbers differ from those
on the CPU is reported as wrong, not timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...compiler.check.tolerances import of_models
from ...compiler.web.folder import LIST
from ...ir.target import Target
from ...runtime.files import write_file
from ..browser import browser
from ..zoo import judge, packages
from . import sizes
from .site import site
from .subjects import FILES, SUBJECTS

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
BACKENDS = ("webgpu", "webgl", "wasm")
PEERS = {
    "weft": "weft", "tfjs": "TensorFlow.js", "ort": "ONNX Runtime Web",
    "tfjs_file": "TensorFlow.js, its file", "litert": "LiteRT.js, its file",
}  # fmt: skip
TOLERANCE = of_models(Target.parse("webgl")).rtol


def prepare(
    model: str, scratch: Path, peers: Sequence[str], targets: Sequence[str], threads: int = 1
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What the pages of a model are told, and what is right. What they fetch from ``/models`` lies
    in ``scratch`` then."""
    folder = scratch / model.replace(" ", "-")
    folder.mkdir()
    job, expected = SUBJECTS[model].prepare(folder, peers, targets)
    return job | {"threads": threads, "model": f"/models/{folder.name}"}, expected


class Contender:
    """A runtime with a back-end, in its page."""

    def __init__(self, instance: Any, address: str, peer: str, backend: str):
        self.peer, self.backend = peer, backend
        self.figures: dict[str, Any] = {"peer": peer, "backend": backend}
        self.times: list[float] = []
        self.context = instance.new_context()
        self.page = self.context.new_page()
        self.page.set_default_timeout(300_000)
        self.page.goto(f"{address}/")
        self.page.wait_for_function("() => globalThis.bench")

    @property
    def able(self) -> bool:
        return "failed" not in self.figures

    def start(self, job: Mapping[str, Any], expected: Sequence[np.ndarray]) -> None:
        job = {**job, "peer": self.peer, "backend": self.backend}
        answer = self._ask("job => bench.start(job)", job)
        if answer is None:
            return
        outputs = answer.pop("outputs")
        error = max(
            judge.relative_error(np.array(got, np.float32).reshape(want.shape), want)
            for got, want in zip(outputs, expected, strict=True)
        )
        self.figures |= answer | {"error": error}
        if error > TOLERANCE:
            self.figures["failed"] = f"wrong numbers: relative error {error:.1e}"

    def turn(self, seconds: float) -> None:
        self.page.bring_to_front()
        times = self._ask("ms => bench.turn(ms)", seconds * 1e3) or []
        self.times += times[1:] or times  # caches are cold after another's turn

    def _ask(self, script: str, argument: Any) -> Any:
        from playwright.sync_api import Error

        try:
            return self.page.evaluate(script, argument)
        except Error as e:
            self.figures["failed"] = e.message.split("\n    at ")[0].removeprefix("Page.evaluate: ")
            return None

    def finish(self) -> dict[str, Any]:
        self.context.close()
        if self.times and self.able:
            self.figures["median"] = statistics.median(self.times)
            self.figures["best"] = min(self.times)
            self.figures["count"] = len(self.times)
        return self.figures


def compare(
    model: str, contenders: list[tuple[str, str]], args: argparse.Namespace, scratch: Path
) -> list[dict[str, Any]]:
    """Figures of each contender (milliseconds), or the reason why there are none."""
    subject = SUBJECTS[model]
    contenders = [
        (p, b) for p, b in contenders if p in ("weft", *subject.peers) and b in subject.backends
    ]
    peers = [p for p, _ in contenders]
    suffix = " -threads" if args.threads > 1 else ""
    targets = [f"{b}{suffix if b == 'wasm' else ''}" for b in BACKENDS if ("weft", b) in contenders]
    job, expected = prepare(model, scratch, peers, targets, args.threads)
    roots = {
        "/": HERE / "page", "/node_modules": MODULES, "/models": scratch, FILES: packages.cache(),
    }  # fmt: skip
    with site(roots, isolated=args.threads > 1) as address, browser() as instance:
        pages = [Contender(instance, address, p, b) for p, b in contenders]
        for page in pages:
            page.page.bring_to_front()
            page.start(job, expected)
        for k in range(args.rounds):
            able = [p for p in pages if p.able]
            for page in able[k % max(1, len(able)) :] + able[: k % max(1, len(able))]:
                page.turn(args.seconds)
        figures = [p.finish() for p in pages]
    for f in figures:
        f |= {"model": model, "threads": args.threads if f["backend"] == "wasm" else 1}
        f |= {"against": _ratios(f, figures)}
    return figures


def _ratios(mine: dict[str, Any], figures: list[dict[str, Any]]) -> dict[str, float]:
    """weft's median over that of each peer on the same back-end."""
    if mine["peer"] != "weft" or "median" not in mine:
        return {}
    others = {f["peer"]: f for f in figures if f["backend"] == mine["backend"] and f is not mine}
    return {p: mine["median"] / f["median"] for p, f in others.items() if "median" in f}


def bundle_size(bundle: Path, backend: str) -> int:
    """Brotli bytes of what a bundle for one back-end holds, without weights: page, all runtime
    modules, program and kernels; not the list of files, which no page loads."""
    others = [b for b in BACKENDS if b != backend]
    skip = (*(f"{part}.{b}" for part in ("program", "kernels") for b in others), "params-", LIST)
    files = [f for f in sorted(bundle.rglob("*")) if f.is_file() and not f.name.startswith(skip)]
    return sizes.brotli(f for f in files if f.suffix in (".js", ".wasm", ".json", ".html", ".css"))


def code_size(bundle: Path) -> int:
    """Brotli bytes of all JavaScript and WebAssembly of a bundle, for all its back-ends."""
    return sizes.brotli(f for f in sorted(bundle.rglob("*")) if f.suffix in (".js", ".wasm"))


def measure_sizes(contenders: list[tuple[str, str]], bundle: Path) -> dict[str, int]:
    found = {
        f"{p} {b}": bundle_size(bundle, b) if p == "weft" else sizes.peer_size(p, b, MODULES)
        for p, b in contenders
        if p == "weft" or (p, b) in sizes.PEERS
    }
    if any(p == "weft" for p, _ in contenders):
        found["weft, all JS and WASM"] = code_size(bundle)
    return found


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(figures: list[dict[str, Any]], peers: list[str]) -> Table:
    table = Table(title="milliseconds per inference in Chromium (SwiftShader), f32, batch 1")
    for column in ("model", "back-end", "runtime"):
        table.add_column(column)
    for column in ("load", "first", "best", "median", "error"):
        table.add_column(column, justify="right")
    rivals = [p for p in peers if p != "weft"]
    for p in rivals:
        table.add_column(f"weft / {p}", justify="right")
    for f in figures:
        backend = f["backend"] + (f", {f['threads']} threads" if f["threads"] > 1 else "")
        if "failed" in f:
            cells = ["[red]failed[/]", "-", "-", "-", "-"]
        else:
            cells = [_number(f.get(k)) for k in ("load", "first", "best", "median")]
            cells.append(f"{f['error']:.0e}")
        ratios = [_number(f["against"].get(p), 2) for p in rivals]
        table.add_row(f["model"], backend, PEERS[f["peer"]], *cells, *ratios)
    return table


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m weft.benchmarks.web", description=__doc__)
    p.add_argument("--models", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS))
    p.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    p.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    p.add_argument("--threads", type=int, default=1, help="of the wasm back-ends (default 1)")
    p.add_argument("--rounds", type=int, default=5, help="turns of each page (default 5)")
    p.add_argument("--seconds", type=float, default=0.5, help="length of a turn (default 0.5)")
    p.add_argument("--no-sizes", action="store_true", help="leave the download sizes out")
    p.add_argument("--json", type=Path, help="write the numbers to this file")
    return p.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 120)
    if not MODULES.is_dir() and set(args.peers) != {"weft"}:
        console.print(f"the peers are not installed: cd {HERE} && npm ci --ignore-scripts")
        return 2
    contenders = [(p, b) for b in args.backends for p in args.peers]
    figures: list[dict[str, Any]] = []
    report: dict[str, Any] = {"figures": figures}
    with tempfile.TemporaryDirectory(prefix="weft-bench-web-") as folder:
        scratch = Path(folder)
        for model in args.models:
            console.print(f"{model} …", style="dim")
            found = compare(model, contenders, args, scratch)
            for f in found:
                if "failed" in f:
                    text = f"  {PEERS[f['peer']]} on {f['backend']}: {f['failed']}"
                    console.print(text, style="red", markup=False)
            figures += found
        console.print(_table(figures, args.peers))
        if not args.no_sizes:
            console.print("compressing …", style="dim")
            report["bytes"] = measure_sizes(contenders, scratch / args.models[0] / "weft")
            table = Table(title="before the first inference, without weights: brotli, KiB")
            table.add_column("runtime")
            table.add_column("KiB", justify="right")
            for name, size in report["bytes"].items():
                table.add_row(name, f"{size / 1024:.1f}")
            console.print(table)
    if args.json:
        write_file(args.json, json.dumps(report, indent=1) + "\n")
    return int(any("failed" in f for f in figures if f["peer"] == "weft"))


if __name__ == "__main__":
    raise SystemExit(main())
