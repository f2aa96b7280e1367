"""Candidates as packages: built in one place, to be measured in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...runtime.errors import WeftError
from ...runtime.executor import Executable
from ..schedules.choices import Config


@dataclass(frozen=True)
class Built:
    """A candidate's package, or no bytes and why: ``state`` is ``"ok"``, else as in a record."""

    state: str
    package: bytes = b""
    message: str = ""

    def executable(self) -> Executable:
        """The program; raises :class:`WeftError` where there is none."""
        if not self.package:
            raise WeftError(self.message)
        return Executable.unpacked(self.package, "a candidate")


class Builds(Protocol):
    """What has candidates: see ``Task.build``."""

    def build(self, config: Config) -> Executable:
        """The program of a candidate."""
        ...


def build_all(task: Builds, configs: Sequence[Config]) -> list[Built]:
    """The packages of candidates, in order."""
    return [_built(task, c) for c in configs]


def _built(task: Builds, config: Config) -> Built:
    try:
        with task.build(config) as exe:
            return Built("ok", exe.packed())
    except WeftError as e:
        return Built("failed", b"", str(e))
