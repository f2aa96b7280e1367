"""Which memory a result really lies in, where the threads of a workgroup compute it.

``"global"`` is what a stage has by default, and inside of a kernel there is no such memory that
only it uses; so the scope follows from where the stage is computed, as in TVM: inside of a loop
over ``threadIdx`` it is the thread's own (``"local"``), inside of a kernel but outside of these
loops the workgroup's (``"shared"``). Whatever several threads compute together (a loop of the stage
itself is bound to ``threadIdx``) the workgroup shares, ``"local"`` or not; of a sum that they share
the terms of, each gets the result where that is ``"local"``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..expr import IterVar
from ..identity import place_of
from ..stmt import ForKind
from ..tensor import PlaceholderOp
from .scans import scan_of_update

if TYPE_CHECKING:
    from .schedule import Schedule
    from .stage import Stage


def tag_of(s: Stage, axis: IterVar) -> str:
    """The hardware index that a loop of ``s`` is bound to; empty where it is none."""
    ann = s.annotations.get(axis)
    return ann.tag if ann is not None and ann.kind is ForKind.BOUND else ""


def tags_of(s: Stage) -> dict[str, IterVar]:
    """The hardware indices that loops of ``s`` are bound to."""
    return {tag: a for a in s.leaves if (tag := tag_of(s, a)).startswith(("block", "thread"))}


def tags_around(s: Stage) -> dict[str, IterVar]:
    """The hardware indices that loops around ``s`` are bound to, and the outermost such loops."""
    found: dict[str, IterVar] = {}
    while s.attach.stage is not None and s.attach.axis is not None:
        parent, at = s.attach.stage, s.attach.axis
        leaves = parent.leaves[: place_of(at, parent.leaves) + 1]
        found |= {tag: a for a in leaves if (tag := tag_of(parent, a)).startswith(_HARDWARE)}
        s = parent
    return found


_HARDWARE = ("block", "thread")


def root_of(s: Stage) -> Stage:
    """The stage at the root that ``s`` is computed inside of."""
    while s.attach.kind == "at" and s.attach.stage is not None:
        s = s.attach.stage
    return s


def storage_scope(s: Stage) -> str:
    """``"global"``, ``"shared"`` or ``"local"``: see the module.

    Raises ScheduleError where each workgroup would compute a part of what it needs as a whole.
    """
    if s.is_output or not any(tags_of(x) for x in s.schedule.stages):
        return s.scope
    if s.attach.kind != "at" or scan_of_update(s) is not None:  # rows of a recurrence's result
        return _at_the_root(s)
    own = tags_of(s)
    blocks = [a for tag, a in own.items() if tag.startswith("block")]
    if blocks:
        raise ScheduleError(
            f"{s.name} is computed inside of a kernel of {root_of(s).name} and binds "
            f"{blocks[0].name} to blocks: each workgroup would have a part of it only.\n{s.nest()}",
            hint=f"compute {s.name} at the root, or bind its loops to threadIdx",
        )
    if s.scope == "shared" or any(a.kind != "reduce" for a in own.values()):
        return "shared"
    if s.scope != "global":
        return s.scope
    around = tags_around(s)
    if any(tag.startswith("thread") for tag in around):
        return "local"
    root = root_of(s)
    return (
        "shared" if any(tags_of(x) for x in s.schedule.stages if root_of(x) is root) else "global"
    )


def _at_the_root(s: Stage) -> str:
    """A result at the root that is not in global memory makes one kernel of its nest and those of
    all its readers, which goes as long as workgroups need not exchange anything there."""
    if s.scope == "global":
        return "global"
    merged = nests_together(s)
    for r in merged:
        if any(tag.startswith("block") for tag in tags_of(r)) and (r is s or len(merged) > 2):
            return "global"
        inside = [x for x in s.schedule.consumers(r) if any(root_of(x) is m for m in merged)]
        if r is not s and r.scope == "global" and inside:
            return "global"
    return "shared" if tags_of(s) else s.scope


def nests_together(s: Stage) -> list[Stage]:
    """The stages at the root from ``s`` to the last one that reads it."""
    order = [
        x
        for x in s.schedule.stages
        if x.attach.kind == "root" and not isinstance(x.op, PlaceholderOp)
    ]
    readers = [root_of(x) for x in _readers(s)]
    last = max([order.index(r) for r in readers if any(r is o for o in order)], default=-1)
    return order[order.index(s) : max(last, order.index(s)) + 1]


def _readers(s: Stage) -> Iterable[Stage]:
    """Stages that read ``s``, themselves or through stages that are inlined into them."""
    for x in s.schedule.consumers(s):
        if x.attach.kind == "inline":
            yield from _readers(x)
        else:
            yield x


def kernels(schedule: Schedule) -> dict[Stage, int]:
    """The number of the kernel that each stage at the root is a part of."""
    roots = [s for s in schedule.stages if s.attach.kind == "root"]
    number = {s: k for k, s in enumerate(roots)}
    for s in roots:
        if not s.is_output and storage_scope(s) != "global":
            together = [s, *nests_together(s)]
            least = min(number[m] for m in together)
            joined = {number[m] for m in together}
            number = {x: least if k in joined else k for x, k in number.items()}
    return number
