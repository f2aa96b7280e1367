"""Kernels that call functions outside of weft: which targets may, and where the functions lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ...ir.foreign import Foreign
from ...ir.operations.extern import ExternOp
from ...ir.schedule.schedule import Schedule
from ...ir.stmt import ForeignCall, Stmt
from ...ir.target import Target
from ...ir.visit import walk
from ...runtime.devices.cpu.cpu import CPUDevice
from ...runtime.errors import CodegenError
from ...runtime.foreign import ForeignCalls

if TYPE_CHECKING:
    from .launches import Lowered


def called(bodies: Iterable[Stmt]) -> list[Foreign]:
    """The functions outside of weft that statements call, each once."""
    nodes = (n for b in bodies for n in walk(b))
    return list(dict.fromkeys(n.function for n in nodes if isinstance(n, ForeignCall)))


def _by_stage(schedule: Schedule) -> Iterator[tuple[str, Foreign]]:
    """The stages whose statements call functions outside of weft, each with the first of them."""
    for s in schedule.stages:
        if isinstance(s.op, ExternOp) and (functions := called([s.op.body])):
            yield s.name, functions[0]


def check_calls(schedule: Schedule, target: Target, name: str) -> None:
    """Raise CodegenError where a stage calls a function outside of weft and the target has none."""
    for stage, function in () if target.has_calls else _by_stage(schedule):
        raise CodegenError(
            f"{stage} calls the function {function}, and kernels for {target.kind} cannot call "
            "functions outside of weft.",
            where=name,
            hint="build it for llvm, or write it as statements or te.compute",
        )


def refuse_calls(schedule: Schedule, name: str) -> None:
    """Raise CodegenError where a stage of a kernel that is stored calls a function outside of
    weft."""
    for _, function in _by_stage(schedule):
        raise CodegenError(
            f"the function {function} is one of this process, which a compiled model does not "
            "stay in.",
            where=name,
            hint="call functions from kernels that weft.build makes",
        )


def bound(
    lowered: Lowered, target: Target
) -> tuple[Lowered, ForeignCalls | None, CodegenError | None]:
    """``lowered`` with the addresses of the functions that it calls, where it is for this machine;
    what keeps them there; and what to say when it is run, because one is missing."""
    functions = called(f.body for f in lowered.functions)
    if not functions:
        return lowered, None, None
    calls, missing, addresses = ForeignCalls(), None, {}
    if CPUDevice.is_of(target.mtriple):
        for f in functions:
            try:
                addresses[f] = f.bind(calls)
            except CodegenError as e:
                missing = missing or e
    pieces = [
        replace(p, function=replace(p.function, attrs={**p.function.attrs, "addresses": addresses}))
        for p in lowered.pieces
    ]
    return replace(lowered, pieces=tuple(pieces)), calls, missing
