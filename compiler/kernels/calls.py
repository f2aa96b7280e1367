"""The calls of compiled groups, collected into a :class:`Program`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ...ir.target import Target
from ...runtime.artifact import IN_PLACE, Kernel, Param, Program, Slot, Step
from ...runtime.crops import NO_CROPS, Crops
from ...runtime.dtype import dtype_of
from ...runtime.sizes import is_known, known, names_in
from ...runtime.version import __version__
from ..passes.memory import aligned_size
from .compiled import CompiledGroup


class Calls:
    """The kernel calls of a program in the making, and the slots that they are about; ``holders``
    names the code object that has a kernel, ``arena`` is the memory plan's."""

    def __init__(self, holders: Mapping[str, str], arena: int = 0):
        self._holders = holders
        self._planned = self._arena = arena
        self._slots: list[Slot] = []
        self._steps: list[Step] = []
        self._groups: dict[str, CompiledGroup] = {}
        self._reasons: dict[str, str] = {}

    def slot(self, slot: Slot) -> int:
        """The number of a new slot."""
        self._slots.append(slot)
        return len(self._slots) - 1

    def call(self, group: CompiledGroup, args: Sequence[int], label: str) -> None:
        """Call a group with the slots ``args``; its scratch gets slots of its own, behind what the
        memory plan placed. Groups follow one another, so all have their scratch there."""
        numbers, end = [*args], self._planned
        for dtype, shape in group.scratch:
            name = f"scratch.{len(self._slots)}"
            if not is_known(shape):  # placed when a call says how large it is
                numbers.append(self.slot(Slot(name, "arena", dtype, shape, shape, 0)))
                continue
            nbytes = math.prod(known(shape)) * dtype_of(dtype).bytes
            numbers.append(self.slot(Slot(name, "arena", dtype, shape, shape, nbytes, end)))
            end += aligned_size(nbytes)
        self._arena = max(self._arena, end)
        for k, launch in enumerate(group.launches, 1):
            shown = f"{label} ({k}/{len(group.launches)})" if k > 1 else label
            given = tuple(numbers[a] for a in launch.args)
            self._steps.append(Step(launch.symbol, given, shown, group.device))
        if group.device:
            self._reasons[label] = group.reason
        self._groups[group.symbol] = group

    def program(
        self,
        name: str,
        target: Target,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        meta: Mapping[str, Any],
        sizes: Mapping[str, tuple[int, int]] | None = None,
        cropped: Crops = NO_CROPS,
    ) -> Program:
        """The program of all calls, with what is known of its kernels."""
        groups = self._groups.values()
        facts = {g.symbol: dict(g.facts) for g in groups if g.facts}
        known: dict[str, Any] = {"weft": __version__, IN_PLACE: True, **meta}
        known |= {"kernels": facts} if facts else {}
        known |= {"fallback": self._reasons} if self._reasons else {}
        used = names_in(*(n for s in self._slots for n in (*s.shape, *s.physical)))
        used |= {s.source for s in self._slots if s.kind == "size"}
        used |= names_in(
            *(n for g in groups for k in g.launches for n in (*k.extents, *k.geometry.values()))
        )
        return Program(
            name,
            str(target),
            tuple(self._slots),
            tuple(
                Kernel(
                    k.symbol,
                    k.params,
                    self._holders[k.symbol],
                    k.geometry,
                    k.shared_bytes,
                    k.extents,
                )
                for g in groups
                for k in g.launches
            ),
            tuple(self._steps),
            MappingProxyType({**inputs}),
            MappingProxyType({**outputs}),
            self._arena,
            meta=MappingProxyType(known),
            sizes=MappingProxyType({n: p for n, p in (sizes or {}).items() if n in used}),
            cropped=cropped,
        )


def slot_of_param(p: Param, layers: int = 1) -> Slot:
    """The slot of a public parameter, whose array is given in physical shape; ``layers`` are those
    of its texture."""
    nbytes = math.prod(known(p.shape)) * dtype_of(p.dtype).bytes if is_known(p.shape) else 0
    kind = "output" if p.access == "w" else "input"
    return Slot(p.name, kind, p.dtype, p.shape, p.shape, nbytes, layers=layers)
