"""Candidates that are built here, or on a cluster, and measured on devices of a hub: in browsers,
on boards.

A connection is a device of the search's own until it ends. What is known of a candidate comes from
the device alone: it compiles its code, its results are compared with the default schedule's there,
its clock is read. Several devices under one key share the work; they have to be alike.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from ...codegen import resolve
from ...ir.target import Target
from ...runtime import forks
from ...runtime.devices.table import BROWSER, DEVICES
from ...runtime.errors import RPCError, TuneError
from ...runtime.rpc.client import Remote
from ..schedules.choices import Config
from .built import Built, build_all
from .executor import Executor
from .measure import Measurement
from .programs import Lost, Place, Workbench, renderer
from .task import AnyTask

AT_ONCE = 1.0  # seconds within which a further device is there, or is not waited for
BLAMED = 2  # losses of a device by one candidate, in a row, that are the candidate's fault


class RemoteExecutor:
    """An :class:`~.executor.Executor` of devices of a hub; a context manager.

    Parameters
    ----------
    connect : a connection to one of them, which waits so many seconds for its turn. The timeout of
        its messages is that of a candidate's compilation and of its runs.
    devices : how many to use at most, of those that are free when the search begins.
    wait : seconds to wait for the first one, and for one that comes back.
    builder : what builds candidates, as a cluster does; this process where None. While a device
        measures one, others are built. It stays open.

    Raises :class:`~weft.runtime.errors.RPCError` as ``connect`` does for the first one.
    """

    def __init__(
        self,
        connect: Callable[[float], Remote],
        devices: int = 64,
        wait: float = 600.0,
        builder: Executor | None = None,
    ):
        self._connect, self._wait, self._most = connect, wait, devices
        self._builder, self._limit = builder, threading.local()
        self._first = connect(wait)
        self._all: set[Remote] = {self._first}
        self._free: queue.Queue[Remote] = queue.Queue()
        self._kind = self._device = ""
        self._workbench = Workbench(self._build if builder is not None else None)
        self._lock = forks.renewed(self, "_lock")
        self._cancelled = 0
        self.refused: tuple[str, ...] = ()  # devices of the key that are of another kind

    def __enter__(self) -> RemoteExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def slots(self) -> int:
        """How many devices there are, and how many more candidates are built meanwhile."""
        ahead = self._builder.slots if self._builder is not None else 0
        return max(1, len(self._all)) + ahead

    def resolve(self, target: Target) -> Target:
        """As :meth:`Executor.resolve`. For what pages run, ``target`` as it stands, which is what
        bundles are compiled for; for others, all that the device has.

        Raises :class:`RPCError`, step ``"refused"``, for a kind that it does not run, and
        :class:`TuneError` where it has less than ``target`` says.
        """
        there = self._first.target(target.kind)
        self._kind, self._device = target.kind, _renderer(self._first, target.kind)
        self._free.put(self._first)
        self._find_others()
        has = resolve(there)
        if BROWSER not in DEVICES[target.kind].hosts and target == Target.parse(target.kind):
            return has
        goal = resolve(target)
        for f in fields(Target):
            wanted, limit = getattr(goal, f.name), getattr(has, f.name)
            if f"-{f.name}=" in there and isinstance(limit, int) and 0 < limit < wanted:
                raise TuneError(
                    f"the device has {f.name} {limit}, and kernels for {goal.kind} take {wanted}.",
                    where=self._device, hint=f"--target '{goal.kind} -{f.name}={limit}'",
                )  # fmt: skip
        return goal

    def device(self, target: Target) -> str:
        """As :meth:`Executor.device`: the renderer, or the driver."""
        return self._device

    def _find_others(self) -> None:
        while len(self._all) < self._most:
            try:
                other = self._connect(AT_ONCE)
            except RPCError as e:
                if e.step == "queue":
                    return
                raise
            if not self._alike(other):
                return
            self._all.add(other)
            self._free.put(other)

    def _alike(self, remote: Remote) -> bool:
        name = _renderer(remote, self._kind)
        if name == self._device:
            return True
        self.refused = (*self.refused, name)
        remote.close()
        return False

    def measure(
        self, task: AnyTask, configs: Sequence[Config], threads: int, timeout: float
    ) -> list[Measurement]:
        """As :meth:`Executor.measure`. Each message has the time of the connection. A candidate
        that a device does not answer to is given up; when a device goes away, another one (or the
        same, once it is back) takes what it had, and who is there when that happens again is to
        blame."""
        self._limit.seconds = timeout
        self._workbench.prepare(task, configs)  # before a device is taken
        results: dict[int, Measurement] = {}
        left, losses = list(range(len(configs))), Counter[int | None]()
        while left:
            remote, cancelled = self._take(), self._cancelled
            place = Place(remote.runner(), remote.array)
            try:
                self._check(remote)
                found = self._workbench.measure(task, [configs[k] for k in left], place)
            except Lost as e:
                if self._cancelled != cancelled:
                    self._free.put(remote)
                    raise TuneError("the search was given up.") from None
                self._renew(remote)
                k = None if e.candidate is None else left[e.candidate]
                losses[k] += 1
                if e.error.step == "timeout" or losses[k] >= BLAMED:
                    state = "timeout" if e.error.step == "timeout" else "crashed"
                    said = Measurement(state, None, str(e.error), remote.name)
                    gone = left if k is None else [k]
                    results |= dict.fromkeys(gone, said)
                    left = [n for n in left if n not in gone]
                continue
            except BaseException:
                self._free.put(remote)
                raise
            self._free.put(remote)
            results |= {k: replace(m, machine=remote.name) for k, m in zip(left, found)}
            break
        return [results[k] for k in range(len(configs))]

    def _check(self, remote: Remote) -> None:
        """See that a device is there before a candidate is blamed, and that it is none of another
        kind: a connection that was lost meanwhile takes a turn again by itself."""
        try:
            remote.reconnect()
        except RPCError as e:
            raise Lost(None, e) from None
        if _renderer(remote, self._kind) != self._device:
            why = f"another device came: {_renderer(remote, self._kind)}"
            raise Lost(None, RPCError.of("peer gone", why))

    def build(self, task: AnyTask, configs: Sequence[Config], timeout: float) -> list[Built]:
        """As :meth:`Executor.build`: by the builder, else in this process."""
        if self._builder is None:
            return build_all(task, configs)
        return self._builder.build(task, configs, timeout)

    def _build(self, task: AnyTask, configs: Sequence[Config]) -> list[Built]:
        """For the workbench, within the time of the batch that this thread measures."""
        return self.build(task, configs, self._limit.seconds)

    def _take(self) -> Remote:
        """A device that is free; raises :class:`TuneError` when none is left."""
        while self._all:
            try:
                return self._free.get(timeout=1.0)
            except queue.Empty:
                continue
        raise TuneError(
            "no device is left.", where=self._device, hint="what was measured is in the records"
        )

    def _renew(self, remote: Remote) -> None:
        """Take a turn again in place of a connection that is lost."""
        with self._lock:
            self._all.discard(remote)
        remote.close()
        # Where others go on, nobody waits for long for one that may never come back.
        try:
            made = self._connect(min(self._wait, 30.0) if self._all else self._wait)
        except RPCError as e:
            if self._all:
                return
            raise TuneError(
                f"the last device is gone, and none came back: {e.message}", where=self._device,
                hint="what was measured is in the records: the same command goes on",
            ) from None  # fmt: skip
        if not self._alike(made):
            if self._all:
                return
            raise TuneError(
                f"another device came in place of {self._device}: {self.refused[-1]}.",
                hint="give each kind of device a key of its own",
            )
        with self._lock:
            self._all.add(made)
        self._free.put(made)

    def cancel(self) -> None:
        """As :meth:`Executor.cancel`."""
        self._cancelled += 1
        if self._builder is not None:
            self._builder.cancel()
        for remote in tuple(self._all):
            remote.close()

    def close(self) -> None:
        """As :meth:`Executor.close`."""
        self.cancel()
        self._first.close()


def _renderer(remote: Remote, kind: str) -> str:
    """What runs programs of a kind there, in words, or nothing where nothing does."""
    return renderer(str(remote.targets.get(kind, {}).get("name", "")))


__all__ = ["RemoteExecutor"]
