"""Which tensors of a program share memory on a device that places each tensor by itself.

Offsets in the arena are for devices with one address space; the others keep a block (a buffer, a
texture) for each tensor, and a tensor takes over the block of one that nothing reads any more.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..flow import lived
from ..storage import Storage


@dataclass(frozen=True)
class MemoryBlock:
    """Memory of ``size`` for one or, one after another, several tensors of a ``kind``."""

    kind: Any
    size: int


@dataclass(frozen=True)
class BlockPlan:
    """``block_of`` numbers the one of ``blocks`` for the root slot of every tensor that a kernel
    touches."""

    block_of: dict[int, int]
    blocks: list[MemoryBlock]


def share_blocks(
    storage: Storage,
    size: Callable[[int], int],
    kind: Callable[[int], Any] = lambda root: None,
) -> BlockPlan:
    """Blocks for the tensors of a program, by lifetime.

    Blocks are chosen for the largest tensor first, each the smallest block that is free all its
    life, so that small ones fill the gaps of large ones ("greedy by size for shared objects",
    Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020).
    Inputs and constants are there before the first kernel and have blocks of their own; outputs
    live to the end.
    """
    lives = _lifetimes(storage)
    sizes, kinds = {r: size(r) for r in lives}, {r: kind(r) for r in lives}
    plan = BlockPlan({}, [])
    taken: list[list[tuple[int, int]]] = []  # of each block, in order; nothing: never to be shared
    for root in sorted(lives, key=lambda r: (-sizes[r], lives[r])):
        given = storage.program.slots[root].kind in ("input", "constant")
        first, last = lives[root]
        free = [
            b
            for b, block in enumerate(plan.blocks)
            if block.kind == kinds[root] and taken[b] and _is_free(taken[b], first, last)
        ]
        if given or not free:
            plan.block_of[root] = len(plan.blocks)
            plan.blocks.append(MemoryBlock(kinds[root], sizes[root]))
            taken.append([] if given else [(first, last)])
        else:
            plan.block_of[root] = best = min(free, key=lambda b: plan.blocks[b].size)
            insort(taken[best], (first, last))
    return plan


def _is_free(taken: list[tuple[int, int]], first: int, last: int) -> bool:
    """Whether nothing of ``taken``, which do not meet and are in order, meets these steps."""
    after = bisect(taken, (last + 1, -1))
    return not after or taken[after - 1][1] < first


def _lifetimes(storage: Storage) -> dict[int, tuple[int, int]]:
    """The first and the last step of every tensor that a kernel touches."""
    program, roots = storage.program, storage.roots
    kernels = {k.name: k for k in program.kernels}
    lives: dict[int, tuple[int, int]] = {}
    for k, step in enumerate(program.steps):
        params = kernels[step.kernel].params
        for root in (roots[a] for p, a in zip(params, step.args) if p.access != "s"):
            lives[root] = (lives.get(root, (k, k))[0], k)
    lived(lives, program.flow, roots)
    for root in (roots[k] for k in program.outputs.values()):
        if root in lives:
            lives[root] = (lives[root][0], len(program.steps))
    return lives
