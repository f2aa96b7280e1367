"""Candidates on a Dask cluster: it decides which of its workers gets what, and gives the work of
one that died to another. Here is only what asks it, and what tells its errors."""

from __future__ import annotations

import pickle
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pkgutil import resolve_name
from threading import Thread
from types import ModuleType
from typing import Any
from uuid import uuid4

from ...codegen import resolve
from ...ir.target import HOST, Target
from ...runtime.errors import TuneError, WeftError
from ...runtime.forks import load_module
from ..schedules.choices import Config
from .built import Built
from .executor import Measure, measurements, packages
from .measure import Measurement, measure
from .on_worker import About, Needs, about, give_up, rest, run
from .task import AnyTask, Job
from .worker import START_TIMEOUT, Answer

CONNECT = 10.0  # seconds to reach a scheduler, or for it to say something
PATIENCE = 60.0  # seconds without any worker, as one that died is started again
DEATHS = 4  # workers that Dask lets a job kill: 1 + distributed.scheduler.allowed-failures


def distributed() -> ModuleType:
    """The module dask.distributed; raises :class:`TuneError` where it is not installed."""
    try:
        return load_module("distributed")
    except ImportError as e:
        raise TuneError(
            f"a Dask cluster needs dask.distributed, which cannot be imported: {e}.",
            hint="pip install 'weft[dask]', here and where the scheduler and the workers are",
        ) from None


class DaskExecutor:
    """A Dask cluster by the address of its scheduler, such as ``"tcp://host:8786"``; a context
    manager. ``do`` is what a worker's child does with a batch.

    A worker measures one batch at a time. Two on one machine disturb each other's times, unless
    each has cores of its own: start one for each machine.

    Raises :class:`TuneError` when dask.distributed is missing, the scheduler cannot be reached, or
    it has no workers.
    """

    def __init__(self, address: str, do: Measure = measure):
        self.address, self._do = address, do
        self._dask = distributed()
        self._name = f"weft-tune-{uuid4().hex}"  # of what it has submitted; another after a cancel
        try:
            self._client = self._dask.Client(
                address, timeout=CONNECT, set_as_default=False, name="weft-tune"
            )
        except (OSError, ValueError, RuntimeError) as e:
            raise TuneError(
                f"the Dask scheduler cannot be reached: {e}.",
                where=address,
                hint="start one: 'dask scheduler'; it prints its address, as tcp://HOST:8786",
            ) from None
        try:
            self._await_workers()
        except BaseException:
            self._client.close(CONNECT)
            raise

    def __enter__(self) -> DaskExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def slots(self) -> int:
        """As :attr:`Executor.slots`: the workers that there are now."""
        return max(1, len(self._workers()))

    def resolve(self, target: Target) -> Target:
        """As :meth:`Executor.resolve`. The target is that of this machine's processor where it
        names none.

        Raises :class:`TuneError` for others than processors, and where a worker has another weft
        or a processor of another family.
        """
        goal = resolve(target)
        if goal.kind != HOST:
            raise TuneError(
                f"a Dask cluster times kernels for processors, none for {goal.kind}.",
                where=self.address,
                hint="devices of a hub can, and the cluster builds for them: --rpc with --dask",
            )
        needs = Needs.to_run(goal)
        bad = [(a, why) for a, it in sorted(self._about().items()) if (why := needs.unmet(it))]
        if bad:
            lines = "\n".join(f"  {worker}: {why}" for worker, why in bad)
            raise TuneError(
                f"{len(bad)} of its workers cannot measure for this search:\n{lines}",
                where=self.address,
            )
        return goal

    def device(self, target: Target) -> str:
        """As :meth:`Executor.device`: targets of processors say all."""
        return ""

    def measure(
        self, task: AnyTask, configs: Sequence[Config], threads: int, timeout: float
    ) -> list[Measurement]:
        """As :meth:`Executor.measure`: on one of the workers."""
        needs = Needs.to_run(task.target, threads)
        answer, machine = self._run(task.measuring(self._do, configs, threads), needs, timeout)
        return measurements(answer, len(configs), machine)

    def build(self, task: AnyTask, configs: Sequence[Config], timeout: float) -> list[Built]:
        """As :meth:`Executor.build`, for any target: on one of the workers."""
        answer, _ = self._run(task.building(configs), Needs(), timeout)
        return packages(answer, len(configs))

    def cancel(self) -> None:
        """As :meth:`Executor.cancel`: what waits is withdrawn, what runs is ended."""
        name, self._name = self._name, f"weft-tune-{uuid4().hex}"
        self._tell_all(give_up, name)

    def close(self) -> None:
        """As :meth:`Executor.close`; the cluster goes on, the workers' children end soon."""
        name, self._name = self._name, ""
        self._tell_all(rest, name)
        self._client.close(CONNECT)

    def _run(self, job: Job, needs: Needs, timeout: float) -> tuple[Answer, str]:
        """What became of a job, and where."""
        name = self._name
        if not name:
            raise TuneError("the cluster was closed.", where=self.address)
        try:
            future = self._client.submit(
                run, name, needs, pickle.dumps(job), timeout,
                key=f"{name}-{uuid4().hex}", pure=False, retries=0,
            )  # fmt: skip
            try:
                self._await(future, name, DEATHS * (START_TIMEOUT + timeout))
                found = future.result(timeout=CONNECT)
            finally:
                if not future.done():
                    future.cancel()
        except self._dask.KilledWorker as e:
            return Answer("crashed", None, f"{DEATHS} Dask workers died of it: {e}"), ""
        except WeftError:
            raise
        except Exception as e:
            raise self._lost(e) from None
        self._check(name)  # what a cancel has killed did not crash by itself
        return found

    def _check(self, name: str) -> None:
        if self._name != name:
            raise TuneError("the search was cancelled.", where=self.address)

    def _await(self, future: Any, name: str, limit: float) -> None:
        """Until a future is done; raises :class:`TuneError` when it was cancelled, when there are
        no workers any more, or after ``limit`` seconds."""
        begin = lonely = time.monotonic()
        while not self._done_within(future, 1.0):
            now = time.monotonic()
            self._check(name)
            if self._workers():
                lonely = now
            if now - lonely > PATIENCE:
                raise self._no_workers(PATIENCE)
            if now - begin > limit:
                raise TuneError(f"no worker answered in {limit:.0f} s.", where=self.address)

    def _done_within(self, future: Any, seconds: float) -> bool:
        with self._client.as_current():
            try:
                self._dask.wait(future, timeout=seconds)
            except TimeoutError:
                return False
        return True

    def _workers(self) -> Mapping[str, int]:
        """The threads of each worker by its address."""
        try:
            return self._client.sync(self._client.scheduler.ncores, callback_timeout=CONNECT)
        except Exception as e:
            raise self._lost(e) from None

    def _await_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError:
            raise self._no_workers(CONNECT) from None

    def _about(self) -> dict[str, About]:
        """What each worker is. A worker without weft ends when it is sent a function of weft's, so
        it is asked first for what only weft has, by its name."""
        workers = list(self._workers())
        self._ask(workers, resolve_name, f"{about.__module__}:{about.__name__}")
        return self._ask(workers, about)

    def _ask(self, workers: Sequence[str], do: Callable[..., Any], *args: str) -> dict[str, Any]:
        """What ``do`` returns on each worker."""
        asked = {
            w: self._client.submit(
                do, *args, workers=[w], pure=False, key=f"weft-about-{uuid4().hex}"
            )
            for w in workers
        }
        end = time.monotonic() + START_TIMEOUT
        found: dict[str, Any] = {}
        for worker, future in asked.items():
            where = f"the Dask worker {worker}"
            while not self._done_within(future, 1.0):
                if worker not in self._workers() or time.monotonic() > end:
                    raise TuneError(
                        "it does not answer.", where=where, hint="see what it has logged"
                    )
            try:
                found[worker] = future.result(timeout=CONNECT)
            except Exception as e:
                raise TuneError(
                    f"weft cannot be used there: {type(e).__name__}: {e}.",
                    where=where,
                    hint="install the same weft where the workers are",
                ) from None
        return found

    def _tell_all(self, do: Callable[[str], Awaitable[None]], name: str) -> None:
        """Have each worker ``do`` something, now, whatever else it does. Nobody waits long for one
        that does not answer, and a cluster that is gone does nothing any more."""

        def tell() -> None:
            with suppress(Exception):
                self._client.run(do, name, wait=False)

        thread = Thread(target=tell, daemon=True)
        thread.start()
        thread.join(CONNECT)

    def _no_workers(self, seconds: float) -> TuneError:
        return TuneError(
            f"the Dask scheduler had no workers for {seconds:.0f} s.",
            where=self.address,
            hint=f"start one on each machine: 'dask worker {self.address} --nthreads 1'",
        )

    def _lost(self, e: BaseException) -> TuneError:
        return TuneError(
            f"the Dask cluster failed: {type(e).__name__}: {e}.",
            where=self.address,
            hint="what was measured is stored; the search goes on where it stopped when it is"
            " started again",
        )
