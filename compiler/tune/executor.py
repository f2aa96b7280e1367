"""Where candidates are built and measured: on this machine, on a cluster, on devices elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ...codegen import resolve
from ...ir.target import HOST, Target
from ...runtime import forks
from ...runtime.devices.probe import kinds, probe
from ...runtime.errors import TuneError
from ..schedules.choices import Config
from .built import Built
from .measure import Measurement, measure
from .programs import device_name, measure_programs
from .task import AnyTask, Task
from .worker import Answer, Worker

STARTING = 180.0  # seconds for a browser to start, on a busy machine
Measure = Callable[[Task, Sequence[Config], int], list[Measurement]]
"""What a worker process does with a batch of configurations of a task and a number of threads."""


class Executor(Protocol):
    """What builds and measures candidates for a search.

    The search calls :meth:`measure` and :meth:`build` from as many threads at once as there are
    ``slots``, from its own where that is one. A batch is measured in one place: its candidates
    can be compared with each other. Whatever a candidate does (it does not compile, is wrong,
    hangs, crashes) is an answer; what is raised ends the search, which keeps its records.
    """

    @property
    def slots(self) -> int:
        """How many batches may run at once now, at least 1; asked before each round."""
        ...

    def resolve(self, target: Target) -> Target:
        """``target`` with the capabilities that it has where candidates run; of records.

        Raises :class:`TuneError` where kernels for it cannot be timed there.
        """
        ...

    def device(self, target: Target) -> str:
        """What runs candidates for a resolved target, as records name it, where the target does not
        say that (a renderer, a driver); empty for processors."""
        ...

    def measure(
        self, task: AnyTask, configs: Sequence[Config], threads: int, timeout: float
    ) -> list[Measurement]:
        """What became of each candidate of a batch. Those of several are timed in turns. Each must
        compute what the task's default schedule, the empty configuration, does.

        Parameters
        ----------
        threads : that run a kernel.
        timeout : seconds for the whole batch, its builds included; a batch that takes longer is
            given up, and its candidates have the state ``"timeout"``.

        Raises :class:`TuneError` when nothing can be measured any more.
        """
        ...

    def build(self, task: AnyTask, configs: Sequence[Config], timeout: float) -> list[Built]:
        """The package of each candidate, for what measures elsewhere; as :meth:`measure`."""
        ...

    def cancel(self) -> None:
        """Give up whatever is being measured or built: calls in other threads return or raise
        soon. Others may follow."""
        ...

    def close(self) -> None:
        """Give back what it holds; cancels first."""
        ...


class LocalExecutor:
    """One worker process on this machine, which may hang or die; a context manager.

    ``do`` is what it does with a batch: by default, times kernels of this machine's processor in
    its own process, and programs of other kinds through whatever runs them here.
    """

    slots = 1

    def __init__(self, do: Measure = measure):
        self._do, self._worker = do, Worker()
        self._lock = forks.renewed(self, "_lock")

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resolve(self, target: Target) -> Target:
        """As :meth:`Executor.resolve`: this machine's processor, or less of it, and what there is a
        driver or a browser for."""
        if target.kind == HOST:
            return host_like(target)
        found = probe(target.kind) if target.kind in kinds() else None
        if found is None or not found.ok:
            raise TuneError(
                f"kernels for {target.kind} cannot be timed on this machine"
                + (f": {found.reason}" if found is not None else "."),
                hint=(found.hint if found is not None else "") or "--rpc has them timed elsewhere",
            )
        return resolve(target)

    def device(self, target: Target) -> str:
        """As :meth:`Executor.device`. Raises :class:`TuneError` where it cannot be asked."""
        if target.kind == HOST:
            return ""
        answer = self._run(device_name, (str(target),), STARTING)
        if answer.state != "ok":
            raise TuneError(f"what runs {target.kind} here does not start: {answer.message}")
        return answer.value

    def measure(
        self, task: AnyTask, configs: Sequence[Config], threads: int, timeout: float
    ) -> list[Measurement]:
        """As :meth:`Executor.measure`."""
        other = self._do is measure and task.target.kind != HOST
        do = measure_programs if other else self._do
        answer = self._run(*task.measuring(do, configs, threads), timeout)
        return measurements(answer, len(configs))

    def build(self, task: AnyTask, configs: Sequence[Config], timeout: float) -> list[Built]:
        """As :meth:`Executor.build`; several threads wait for each other."""
        answer = self._run(*task.building(configs), timeout)
        return packages(answer, len(configs))

    def _run(self, do: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Answer:
        with self._lock:
            return self._worker.run(do, args, timeout)

    def cancel(self) -> None:
        """As :meth:`Executor.cancel`."""
        self._worker.kill()

    def close(self) -> None:
        """As :meth:`Executor.close`."""
        self._worker.stop()


def host_like(target: Target) -> Target:
    """A target of processors such as this machine's, resolved; raises :class:`TuneError` for
    others."""
    goal = resolve(target)
    if goal.kind != HOST:
        raise TuneError(
            f"kernels of models for {goal.kind} cannot be timed on a processor.",
            hint="tune for 'llvm', or without a cluster, here or on a device of a hub",
        )
    if goal.mtriple != resolve(HOST).mtriple:
        raise TuneError(
            f"kernels for {goal.mtriple} cannot be timed on this machine.",
            hint="tune on the machine that will run them, and merge its records",
        )
    return goal


def measurements(answer: Answer, count: int, machine: str = "") -> list[Measurement]:
    """What a worker answered to a batch of so many; a hang or a crash is of all of them."""
    if answer.state == "ok":
        return [replace(m, machine=m.machine or machine) for m in answer.value]
    return [Measurement(answer.state, None, answer.message, machine)] * count


def packages(answer: Answer, count: int) -> list[Built]:
    """As :func:`measurements`, of candidates that were built."""
    if answer.state == "ok":
        return answer.value
    return [Built(answer.state, b"", answer.message)] * count
