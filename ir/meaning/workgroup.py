"""What the interpreter knows of workgroups: threads in lock step, and cells that they race for.

A kernel is run workgroup by workgroup. Its threads are generators that stop at every barrier; each
has the hardware indices, variables and local storage of its own. Two threads that touch a cell
between two barriers, one of them to write it, have a race: whoever comes first on a device, the
interpreter says so. In global memory only barriers that say so order anything, and they order the
threads of one workgroup.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import LoweringError
from ..stmt import Barrier, Buffer, For, ForKind, Stmt
from ..visit import walk, written_by

Env = dict[Any, Any]
WORKGROUP = "shared buffers of the workgroup"  # keys of the environment of a thread
THREAD = "number of the thread"
PHASE = "barriers that the workgroup has passed"
SEVERAL = -1  # threads


def hardware_tags(s: Stmt) -> list[str]:
    """The indices of blocks and threads that loops below ``s`` are bound to."""
    bound = (n for n in walk(s) if isinstance(n, For) and n.kind is ForKind.BOUND)
    return sorted({n.tag for n in bound if n.tag.startswith(("blockIdx.", "threadIdx."))})


class Cells:
    """An array as one thread sees it, which notes who touches what. ``marks``, by cell, are the
    phase, and who wrote and who read it in that phase. What is before the last number of a phase
    is the workgroup, in memory that several have."""

    __slots__ = ("array", "marks", "phase", "shape", "thread", "where")

    def __init__(self, array: np.ndarray, marks: dict, phase: list[int], thread: int, where: str):
        self.array, self.marks, self.phase, self.thread = array, marks, phase, thread
        self.shape, self.where = array.shape, where

    def __getitem__(self, at: tuple) -> Any:
        for cell in _scalars(at):
            mark = self._mark(cell)
            if mark[1] not in (None, self.thread):
                self._race(cell, mark[1])
            mark[2] = self.thread if mark[2] in (None, self.thread) else SEVERAL
        return self.array[at]

    def __setitem__(self, at: tuple, value: Any) -> None:
        for cell in _scalars(at):
            mark = self._mark(cell)
            for other in mark[1:]:
                if other not in (None, self.thread):
                    self._race(cell, other)
            mark[1] = self.thread
        self.array[at] = value

    def _mark(self, cell: tuple) -> list:
        mark, now = self.marks.get(cell), tuple(self.phase)
        if mark is None or (mark[0] != now and mark[0][:-1] == now[:-1]):
            mark = self.marks[cell] = [now, None, None]
        elif mark[0] != now:
            mark[0] = ("several workgroups",)  # which no barrier orders
        return mark

    def _race(self, cell: tuple, other: int) -> None:
        who = f"thread {other}" if other != SEVERAL else "several threads"
        at = ", ".join(str(int(i)) for i in cell)
        raise LoweringError(
            f"thread {self.thread} and {who} touch {self.where}[{at}], one of them to write it, "
            "and nothing says who comes first.",
            where="interpreter",
        )


def _scalars(at: tuple) -> Sequence[tuple]:
    if all(np.ndim(i) == 0 for i in at):
        return (at,)
    return list(zip(*(np.ravel(i) for i in np.broadcast_arrays(*at))))


def launch(
    nest: Stmt, extents: Mapping[str, Callable[[Env], int]], body: Callable[[Env], Iterator[Stmt]]
) -> Callable[[Env], None]:
    """``nest`` as a launch of all its workgroups; ``body`` makes the generator of a thread, for an
    environment in which the hardware indices have their values."""
    written = {b for n in walk(nest) for b in written_by(n)}
    results = [b for b in written if b.scope == "global"]

    def run(env: Env) -> None:
        sizes = {tag: f(env) for tag, f in extents.items()}
        blocks = [t for t in sizes if t.startswith("block")]
        threads = [t for t in sizes if t.startswith("thread")]
        marks: dict[Buffer, dict] = {b: {} for b in results if b in env}
        number = itertools.count()
        for k, block in enumerate(itertools.product(*(range(sizes[t]) for t in blocks))):
            fence = [k, 0]
            group: Env = {**env, **dict(zip(blocks, block)), WORKGROUP: {}, PHASE: [0]}
            running = []
            for thread in itertools.product(*(range(sizes[t]) for t in threads)):
                own = {**group, **dict(zip(threads, thread)), THREAD: next(number)}
                for b, m in marks.items():
                    own[b] = Cells(env[b], m, fence, own[THREAD], b.name)
                running.append(body(own))
            _lock_step(running, group[PHASE], fence, threads)

    return run


def _lock_step(
    running: list[Iterator[Stmt]], phase: list[int], fence: list[int], tags: list[str]
) -> None:
    while True:
        at = [next(r, None) for r in running]
        if all(s is None for s in at):
            return
        if any(s is None for s in at):
            raise LoweringError(
                f"some threads of {', '.join(tags)} end before a barrier that others wait at.",
                where="interpreter",
            )
        if any(s is not at[0] for s in at):
            raise LoweringError(
                f"threads of {', '.join(tags)} wait at different barriers.", where="interpreter"
            )
        phase[0] += 1
        first = at[0]
        fence[1] += isinstance(first, Barrier) and first.scope == "global"
