"""Inlined stages written out where they are read.

Each element of an inlined stage is written out once in a body, however often it is read: two reads
at the same indices (up to simplification) are one object. A chain of stages that read their
producer several times at one place thus grows with its length, and one whose reads wander with the
places that it reaches. What still grows beyond ``MAX_EXPRESSIONS`` is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..expr import Expr, Read
from ..simplify import Analyzer
from ..tensor import ComputeOp, PlaceholderOp, Tensor
from ..visit import Mutator, bottom_up, substitute

if TYPE_CHECKING:
    from .schedule import Schedule
    from .stage import Stage

MAX_EXPRESSIONS = 1 << 15  # nodes that one body may come to: more no compiler of a target bears


def inline_bodies(schedule: Schedule) -> dict[Stage, tuple[Expr, ...]]:
    """The bodies of all stages that are stored, with inlined ones written out in them.

    Raises ScheduleError where a body comes to more than ``MAX_EXPRESSIONS`` nodes.
    """
    inlined = _inlined(schedule)
    return {
        s: _written_out(s, inlined)
        for s in schedule.stages
        if not isinstance(s.op, PlaceholderOp) and s.attach.kind != "inline"
    }


def inline_body(schedule: Schedule, stage: Stage) -> tuple[Expr, ...]:
    """The body of one stored stage, as :func:`inline_bodies` has it."""
    return _written_out(stage, _inlined(schedule))


def _inlined(schedule: Schedule) -> dict[Tensor, tuple[Stage, Expr]]:
    return {
        t: (s, b)
        for s in schedule.stages
        if isinstance(s.op, ComputeOp) and s.attach.kind == "inline"
        for t, b in zip(s.op.outputs, s.body)
    }


def _written_out(s: Stage, inlined: Mapping[Tensor, tuple[Stage, Expr]]) -> tuple[Expr, ...]:
    if not any(r.tensor in inlined for r in s.reads()):
        return s.body
    return tuple(map(_Writer(s, inlined), s.body))


class _Replace(Mutator):
    """Reads become what is ``known`` of them."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[Expr, Expr] = {}

    def visit_Read(self, n: Read) -> Expr:
        known = self.known.get(n)
        return self.rebuild(n) if known is None else known


@dataclass
class _Frame:
    """A body in which reads of inlined stages are still to be replaced, inner ones at the end."""

    key: tuple[object, ...]
    body: Expr
    pending: list[Read]
    replace: _Replace = field(default_factory=_Replace)


class _Writer:
    """Writes out the bodies of one stage, not recursively from stage to stage: chains are long."""

    def __init__(self, stage: Stage, inlined: Mapping[Tensor, tuple[Stage, Expr]]):
        self.stage, self.inlined = stage, inlined
        self.analyzer = Analyzer()
        self.made: dict[tuple[object, ...], Expr] = {}
        self.nodes = 0

    def __call__(self, body: Expr) -> Expr:
        frames = [self._frame((), body)]
        while True:
            frame = frames[-1]
            called = self._step(frame)
            if called is not None:
                frames.append(called)
                continue
            result = frame.replace(frame.body)
            frames.pop()
            if not frames:
                return result
            self.made[frame.key] = result

    def _frame(self, key: tuple[object, ...], body: Expr) -> _Frame:
        nodes = bottom_up([body])
        self.nodes += len(nodes)
        pending = [n for n in nodes if isinstance(n, Read) and n.tensor in self.inlined]
        pending.reverse()
        return _Frame(key, body, pending)

    def _step(self, frame: _Frame) -> _Frame | None:
        """Replace reads until one has to be written out first: that one's frame."""
        while frame.pending:
            read = frame.pending[-1]
            indices = tuple(map(frame.replace, read.indices))
            key = (read.tensor, *map(self.analyzer.simplify, indices))
            found = self.made.get(key)
            if found is None:
                return self._written(key, read.tensor, indices)
            frame.replace.known[read] = found
            frame.pending.pop()
        return None

    def _written(
        self, key: tuple[object, ...], tensor: Tensor, indices: tuple[Expr, ...]
    ) -> _Frame:
        producer, body = self.inlined[tensor]
        if self.nodes > MAX_EXPRESSIONS:
            raise ScheduleError(
                f"with the stages that are inlined in it, {self.stage.name} comes to more than "
                f"{MAX_EXPRESSIONS} expressions; the last one written out is {producer.name}.",
                where="compute_inline",
                hint=f"store {producer.name} or another stage on the way: leave out its "
                f"compute_inline(), or compute_at a loop of {self.stage.name}",
            )
        return self._frame(key, substitute(body, dict(zip(producer.axes, indices))))
