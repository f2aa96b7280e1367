"""The command: python -m fuzz [--minutes N] [--seed N] [--only NAME …] [--case FILE …]"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fuzz.driver import Driver, replay
from fuzz.report import Report
from fuzz.table import fuzzers
from fuzz.worker import Worker


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("make fuzz", description="Fuzz weft.")
    parser.add_argument("--minutes", type=float, help="how long; without it and --cases: 10")
    parser.add_argument("--cases", type=int, help="how many of each fuzzer at most")
    parser.add_argument("--seed", type=int, help="of the first case; else a new one each time")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=fuzzers(), help="these fuzzers"
    )
    parser.add_argument("--case", nargs="+", type=Path, metavar="FILE", help="judge these files")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="children at a time")
    parser.add_argument(
        "--findings", type=Path, default=Path("build/fuzz"), help="folder for what is found"
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command with the arguments ``words``; exit code 1 where there are findings."""
    given = arguments(words)
    chosen = {n: f for n, f in fuzzers().items() if not given.only or n in given.only}
    with tempfile.TemporaryDirectory(prefix="weft-fuzz-") as scratch:
        if given.case:
            return judge_files(given.case, given.only, Path(scratch))
        seed = secrets.randbelow(10**9) if given.seed is None else given.seed
        print(f"fuzz: seed {seed}, findings go to {given.findings}", flush=True)
        report = Report(chosen, given.findings.resolve())
        driver = Driver(list(chosen.values()), Path(scratch), report, seed)
        minutes = given.minutes or (float("inf") if given.cases else 10)
        end = time.monotonic() + 60 * minutes
        try:
            driver.run(end, given.cases or float("inf"), max(1, given.jobs))
        except KeyboardInterrupt:
            print("fuzz: interrupted")
        print(report, flush=True)
        return int(report.failed)


def judge_files(paths: list[Path], only: list[str] | None, scratch: Path) -> int:
    """Judge cases: of the fuzzer that ``only`` names, or that a folder or file is named after."""
    report = Report(fuzzers(), scratch / "findings")
    workers: dict[str, Worker] = {}
    for path in paths:
        names = [n for n in fuzzers() if path.parent.name == n or path.name.startswith(f"{n}-")]
        name = (only or sorted(names, key=len)[-1:] or [""])[0]
        if name not in fuzzers():
            sys.exit(f"fuzz: {path}: which fuzzer? --only {' | '.join(fuzzers())}")
        fuzzer = fuzzers()[name]
        worker = workers.setdefault(fuzzer.home, Worker(fuzzer.home, scratch / fuzzer.home))
        outcome = replay(worker, fuzzer, path)
        report.add(name, path.name, outcome)
        print(f"{path}: {outcome.kind} {outcome.mark}\n{outcome.text}", flush=True)
    for worker in workers.values():
        worker.close()
    return int(report.failed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the table is shown all the same
    sys.exit(main())
