"""What a Dask worker does for a search: it has a child process of its own, in which candidates are
compiled and run. One that crashes, hangs or loops takes the child, never the worker."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import dataclass, field
from typing import Any

from ...codegen import resolve
from ...ir.target import HOST, Target
from ...runtime import forks, knobs
from ...runtime.errors import TuneError
from ...runtime.version import __version__
from ..kernels.cache import fingerprint
from .records import machine_name
from .worker import Answer, Worker

REST = 30.0  # seconds that a child without work is kept


@dataclass(frozen=True)
class About:
    """What a worker is: its weft, the resolved target of its processor, the threads that kernels
    may have there, its machine as records name it."""

    version: str
    fingerprint: str
    target: str
    threads: int
    machine: str


@dataclass(frozen=True)
class Needs:
    """What a worker must be for a search: to have the same weft, and a processor of one of the
    ``families`` of targets, where there are any."""

    version: str = __version__
    fingerprint: str = field(default_factory=fingerprint)
    triple: str = ""
    families: tuple[str, ...] = ()
    threads: int = 1

    @classmethod
    def to_run(cls, target: Target, threads: int = 1) -> Needs:
        """For kernels of a resolved target with so many threads. The target may be less than the
        processor is, where the processor is such as this machine's."""
        here = resolve(HOST)
        families = {target.family, *([here.family] if here.mtriple == target.mtriple else [])}
        return cls(triple=target.mtriple, families=tuple(sorted(families)), threads=threads)

    def unmet(self, worker: About) -> str:
        """Why a worker will not do, and what to do; empty where it will."""
        theirs = Target.parse(worker.target)
        if worker.version != self.version:
            return f"it has weft {worker.version}, this is {self.version}: install the same there"
        if worker.fingerprint != self.fingerprint:
            return (
                f"its weft {self.version} has other sources, or another numpy or llvmlite: kernels"
                " there are not those that are made here; install the same there"
            )
        if self.families and (theirs.mtriple, theirs.family) not in [
            (self.triple, family) for family in self.families
        ]:
            wanted = " or ".join(map(repr, self.families))
            return (
                f"its processor is {theirs.family!r} ({theirs.mtriple}), kernels are for"
                f" {wanted} ({self.triple}); for it one tunes with"
                f" --target 'llvm -mtriple={theirs.mtriple} -mcpu={theirs.mcpu}'"
            )
        if worker.threads < self.threads:
            return (
                f"it has {worker.threads} threads, kernels are to have {self.threads}:"
                f" --threads {worker.threads}"
            )
        return ""


def about() -> About:
    """What the worker that this runs in is."""
    target = str(resolve(HOST))
    return About(__version__, fingerprint(), target, knobs.num_threads(), machine_name())


class _Child:
    """The child of this Dask worker. It does one job at a time, whoever sends them and however
    many threads the worker has: what is timed has the machine for itself."""

    def __init__(self) -> None:
        self._worker = Worker()
        self._lock = forks.renewed(self, "_lock")
        self._search = ""
        self._jobs = 0
        self._given_up: set[str] = set()

    def run(self, search: str, job: bytes, timeout: float) -> Answer:
        """What :meth:`Worker.run` says of a pickled job of a search."""
        with self._lock:
            self._search = search
            self._jobs += 1
            try:
                if search in self._given_up:
                    return Answer("crashed", None, "it was given up")
                return self._worker.run(call, (job,), timeout)
            finally:
                self._search = ""

    def give_up(self, search: str) -> None:
        """End what runs for a search, and all of it that follows."""
        self._given_up.add(search)
        if self._search == search:
            self._worker.kill()

    async def rest(self) -> None:
        """End the child, where nobody has it do something for a while."""
        jobs = self._jobs
        await asyncio.sleep(REST)
        if self._jobs == jobs and self._lock.acquire(blocking=False):
            try:
                self._worker.stop()
            finally:
                self._lock.release()


_child = _Child()


def call(job: bytes) -> Any:
    """In the child: carry out a job, which is of who uses the cluster."""
    function, args = pickle.loads(job)
    return function(*args)


def run(search: str, needs: Needs, job: bytes, timeout: float) -> tuple[Answer, str]:
    """In the worker: what became of a job, and the machine that it ran on.

    Raises :class:`TuneError` where the worker is not what the job needs, or has no child.
    """
    this = about()
    why = needs.unmet(this)
    if why:
        raise TuneError(f"{why}.", where=f"a Dask worker on {this.machine}")
    return _child.run(search, job, timeout), this.machine


async def give_up(search: str) -> None:
    """In the worker, beside what it does: end what runs for a search."""
    _child.give_up(search)


async def rest(search: str) -> None:
    """In the worker, beside what it does: a search is over, its child is kept for the next one for
    a little while."""
    _child.give_up(search)
    await _child.rest()
