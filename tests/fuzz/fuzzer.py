"""What a fuzzer is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

CPU = "cpu"


class WrongError(Exception):
    """Weft gave other numbers than the reference."""


class Skip(Exception):
    """There is nothing to judge: whatever weft did with the case was allowed."""


class Differs(Exception):
    """Weft gives what its references say, and ONNX Runtime gives something else: for a person to
    look at, and no finding, as ONNX leaves much open and ONNX Runtime has faults of its own."""


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """One way to make cases and to judge them.

    Parameters
    ----------
    make : the bytes of a case out of random choices, the same for the same seed.
    judge : returns where the case came out right. Raises ``WeftError`` where weft refuses it,
        :class:`WrongError` for wrong numbers, :class:`Skip` where there is nothing to compare;
        any other exception is a finding, as is the end of the process.
    suffix : of a case's file.
    smaller : cases that are a little smaller, for minimising a finding.
    missing : why this machine cannot run it; empty where it can.
    seconds : of the processor, that a case may take. Generous: a hang is what never ends.
    megabytes : that a case may add to the memory of the process.
    home : fuzzers of one home share a process. ``"cpu"`` has a limit on addresses; in others are
        drivers and other programs, which map more memory than they use.
    weight : its share of the time, beside the others'.
    """

    name: str
    make: Callable[[random.Random], bytes]
    judge: Callable[[bytes], None]
    suffix: str = "onnx"
    smaller: Callable[[bytes], Iterable[bytes]] = lambda data: ()
    missing: Callable[[], str] = lambda: ""
    seconds: float = 60
    megabytes: int = 1500
    home: str = CPU
    weight: float = 1
