"""Deals out the time to the fuzzers and collects what they find."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from fuzz.fuzzer import Fuzzer
from fuzz.report import Report
from fuzz.table import MODULES
from fuzz.worker import Outcome, Stopped, Worker

SLICE = 4  # seconds that a fuzzer has before another one's turn
TELL = 300  # seconds between two tables of a long run
SMALLER = 60  # seconds for making a finding smaller


class Driver:
    """Runs fuzzers until a time. Case ``k`` of a fuzzer has the seed ``seed + k``."""

    def __init__(
        self,
        fuzzers: Sequence[Fuzzer],
        scratch: Path,
        report: Report,
        seed: int,
        modules: Sequence[str] = MODULES,
    ):
        self.report, self.scratch, self.modules = report, scratch, modules
        self.fuzzers = {f.name: f for f in fuzzers}
        self.seeds = {f.name: itertools.count(seed) for f in fuzzers}
        self.used = {f.name: 0.0 for f in fuzzers}
        self.free = set(self.used)
        self.lock = threading.Lock()

    def run(self, end: float, most: float, jobs: int = 1) -> None:
        """Fuzz until ``time.monotonic()`` is ``end``, or until each fuzzer had ``most`` cases, in
        ``jobs`` lanes at a time."""
        errors: list[BaseException] = []
        lanes = [_Lane(self.scratch / f"{k}", self.modules) for k in range(jobs)]

        def go(lane: _Lane) -> None:
            try:
                while time.monotonic() < end and (name := self._take(most)):
                    self._turn(name, lane, end, most)
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=go, args=[lane], daemon=True) for lane in lanes]
        try:
            for t in threads:
                t.start()
            told = time.monotonic()
            while any(t.is_alive() for t in threads):
                for t in threads:
                    t.join(1)
                if time.monotonic() > told + TELL:
                    print(f"{self.report}\n", flush=True)
                    told = time.monotonic()
        finally:
            for lane in lanes:
                lane.close()
        if errors:
            raise errors[0]

    def _take(self, most: float) -> str:
        """The fuzzer whose turn it is: the first of those with the least time for their weight."""
        with self.lock:
            left = [n for n in self.fuzzers if n in self.free and self._left(n, most)]
            if not left:
                return ""
            name = min(left, key=lambda n: self.used[n] / self.fuzzers[n].weight)
            self.free.remove(name)
            return name

    def _left(self, name: str, most: float) -> bool:
        tally = self.report.tallies[name]
        return not tally.missing and tally.cases < most

    def _turn(self, name: str, lane: _Lane, end: float, most: float) -> None:
        fuzzer, begin = self.fuzzers[name], float("inf")
        worker = lane.worker(fuzzer.home)
        try:
            while time.monotonic() < min(end, begin + SLICE) and self._left(name, most):
                seed = next(self.seeds[name])
                outcome = worker.ask(fuzzer, {"seed": seed}, end)
                begin = min(begin, time.monotonic() - outcome.seconds)  # all has been loaded
                path = self.report.add(name, f"seed {seed}", outcome)
                if path is not None:
                    print(f"{name}, seed {seed}: {outcome.kind}: {outcome.mark}", flush=True)
                    smaller(worker, fuzzer, path, outcome, end)
        except Stopped:
            pass
        finally:
            with self.lock:
                self.used[name] += max(0.0, time.monotonic() - begin)
                self.free.add(name)


class _Lane:
    """The children that one thread of the driver asks, one of them at a time."""

    def __init__(self, scratch: Path, modules: Sequence[str]):
        self.scratch, self.modules = scratch, modules
        self.workers: dict[str, Worker] = {}

    def worker(self, home: str) -> Worker:
        if home not in self.workers:
            self.workers[home] = Worker(home, self.scratch / home, self.modules)
        return self.workers[home]

    def close(self) -> None:
        for w in self.workers.values():
            w.close()


def replay(worker: Worker, fuzzer: Fuzzer, path: Path) -> Outcome:
    """What becomes of the case in a file."""
    return worker.ask(fuzzer, {"file": str(path.resolve())})


def smaller(worker: Worker, fuzzer: Fuzzer, path: Path, outcome: Outcome, end: float) -> None:
    """Write the smallest case that shows the same fault beside ``path``, as far as it is cheap."""
    best, end = outcome.data, min(end, time.monotonic() + SMALLER)
    candidate = worker.scratch / f"smaller.{fuzzer.suffix}"
    again = True
    while again:
        again = False
        for data in fuzzer.smaller(best):
            if time.monotonic() > end:
                break
            candidate.write_bytes(data)
            got = replay(worker, fuzzer, candidate)
            if (got.kind, got.mark) == (outcome.kind, outcome.mark):
                best, again = data, True
                break
    if best is not outcome.data:
        path.with_name(f"{path.stem}.smaller{path.suffix}").write_bytes(best)
