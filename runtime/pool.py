"""Which tensors of a program share memory on a device that places each tensor by itself.

Offsets in the arena are for devices with one address space; the others keep a block (a buffer, a
texture) for each tensor, and give the block of a tensor that nothing reads any more to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .storage import Storage


@dataclass
class Block:
    """Memory of ``size`` for one or, one after another, several tensors of a ``kind``."""

    kind: Any
    size: int


@dataclass(frozen=True)
class Plan:
    """``places`` maps the root slot of every tensor that a kernel touches to one of ``blocks``."""

    places: dict[int, int]
    blocks: list[Block]


def share(
    storage: Storage,
    size: Callable[[int], int],
    kind: Callable[[int], Any] = lambda root: None,
) -> Plan:
    """Blocks for the tensors of a program, by lifetime.

    Inputs and constants are there before the first kernel, and outputs are read after the last, so
    they keep their blocks all along. Of the free blocks a tensor takes the smallest that holds it;
    where none does, the largest grows, which costs less than a new one.
    """
    program, roots = storage.program, storage.roots
    last: dict[int, int] = {}
    for k, step in enumerate(program.steps):
        last.update(dict.fromkeys((roots[a] for a in step.args), k))
    last.update(dict.fromkeys((roots[k] for k in program.outputs.values()), len(program.steps)))
    plan = Plan({}, [])
    free: list[int] = []
    for k, step in enumerate(program.steps):
        touched = dict.fromkeys(roots[a] for a in step.args)
        for root in touched:
            if root not in plan.places:
                given = program.slots[root].kind in ("input", "constant")
                plan.places[root] = _take(plan, [] if given else free, size(root), kind(root))
        for root in touched:
            if last[root] == k and program.slots[root].kind in ("arena", "output"):
                free.append(plan.places[root])
    return plan


def _take(plan: Plan, free: list[int], size: int, kind: Any) -> int:
    fitting = [b for b in free if plan.blocks[b].kind == kind]
    if not fitting:
        plan.blocks.append(Block(kind, size))
        return len(plan.blocks) - 1
    large = [b for b in fitting if plan.blocks[b].size >= size]
    if large:
        best = min(large, key=lambda b: plan.blocks[b].size)
    else:
        best = max(fitting, key=lambda b: plan.blocks[b].size)
        plan.blocks[best].size = size
    free.remove(best)
    return best
