"""How long the code of a stage becomes with the stages that are inlined in it.

Inlining writes an element out at each place where it is read. A chain of stages that each read
several elements of the one before (three linear resizes) grows by that factor with every link, and
even one that reads a single element makes one kernel of any length: our own rules stop there and
store what is between.
"""

from __future__ import annotations

from ...ir.alu import Op
from ...ir.expr import Binary, Call
from ...ir.schedule.stage import Stage
from ...ir.visit import Node, bottom_up
from .measured import DEAR_OPERATION, MAX_INLINED


class Growth:
    """The lengths of stages, as they are decided about: producers first."""

    def __init__(self) -> None:
        self._lengths: dict[Stage, int] = {}

    def fits(self, stage: Stage) -> bool:
        """Whether ``stage``, with what is inlined in it, is short enough to be inlined."""
        return self._length(stage) <= MAX_INLINED

    def _length(self, stage: Stage) -> int:
        found = self._lengths.get(stage)
        if found is None:
            found = sum(map(_operations, bottom_up(stage.body)))
            # Elements that are read twice are computed once.
            for tensor, _ in {(r.tensor, r.indices) for r in stage.reads()}:
                producer = stage.schedule[tensor]
                if producer.attach.kind == "inline":
                    found += self._length(producer)
            self._lengths[stage] = found
        return found


def _operations(n: Node) -> int:
    dear = isinstance(n, Call) or (isinstance(n, Binary) and n.op is Op.DIV)
    return DEAR_OPERATION if dear else 1


__all__ = ["Growth"]
