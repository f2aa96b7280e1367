"""Run compiled programs at a place of one's choice: in a page, under Node, on a device of a hub.

    results = run_away([Job(executable, inputs), …], "browser")

What :class:`~weft.runtime.executor.Executable` does for its target's usual place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.target import Target
from ...runtime.devices.table import BROWSER, DEVICES, NODE
from ...runtime.errors import InputError
from ...runtime.executor import Executable
from ...runtime.inputs import bind
from ...runtime.rpc.client import Remote
from ...runtime.rpc.peer import PEERS
from ...runtime.rpc.program import AwayProgram
from ...runtime.storage import Storage

HERE = "here"  # in this process


@dataclass(frozen=True)
class Job:
    """One run of a program. ``flags`` are those of the JavaScript runtime."""

    exe: Executable
    inputs: Mapping[str, np.ndarray]
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobResult:
    """``devices`` are what the program ran on, in words."""

    outputs: Mapping[str, np.ndarray]
    devices: tuple[str, ...]


def place_of(target: Target) -> str:
    """Where programs of a target run from Python: ``"here"``, ``"node"`` or ``"browser"``."""
    return DEVICES[target.kind].away or HERE


def in_pages(target: Target) -> bool:
    """Whether pages run programs of a target."""
    return BROWSER in DEVICES[target.kind].hosts


def run_away(jobs: Sequence[Job], place: str | Remote) -> list[JobResult]:
    """The outputs of each program, run one after another in a page (``"browser"``), under Node
    (``"node"``), or on what :func:`weft.rpc.connect` returned.

    Raises :class:`DeviceError` when the browser or Node is missing, or what the runtime said.
    """
    if isinstance(place, str) and place not in (NODE, BROWSER):
        raise InputError(f"programs run in a browser or under Node, not in {place!r}.")
    return [_run(job, place) for job in jobs]


def _run(job: Job, place: str | Remote) -> JobResult:
    exe = job.exe
    peer = PEERS[place] if isinstance(place, str) else place.peer
    runner = AwayProgram(exe.program, exe.codes, Storage(exe.program, exe.params), peer, job.flags)
    try:
        arrays = runner.run(bind(exe.inputs, (job.inputs,), {}, exe.name))
    finally:
        runner.close()
    return JobResult(exe.cropped(arrays), runner.devices)
