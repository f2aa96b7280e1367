"""The program of one group: what is timed by itself, here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.target import Target
from ...runtime.executor import Executable
from .calls import Calls, slot_of_param
from .compiled import CompiledGroup
from .kernel import fallback
from .link import link


def single(group: CompiledGroup, layers: Sequence[int], target: Target, label: str) -> Executable:
    """The executable of ``group`` for a resolved target. Its inputs are the parameters that the
    group reads, its outputs those that it writes, each an array in physical shape; ``layers`` are
    those of the textures that hold the parameters (1 elsewhere).

    Raises :class:`CodegenError` where a linker is missing or fails.
    """
    assert len(layers) == len(group.params), (group, layers)
    goal = fallback(target) if group.device else target
    assert goal is not None
    codes, holders = link([group], goal)
    calls = Calls(holders)
    slots = [calls.slot(slot_of_param(p, n)) for p, n in zip(group.params, layers)]
    calls.call(group, slots, label)
    named = {
        access: {p.name: k for p, k in zip(group.params, slots) if p.access == access}
        for access in "rw"
    }
    program = calls.program(group.symbol, target, named["r"], named["w"], {})
    return Executable(program, codes, {})
