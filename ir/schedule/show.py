"""A schedule as text: its stages as nested loops, with the boxes that bound inference finds.

    # T: float32[4] in local, 16 bytes
    # computed here: T[i.outer * 4 : i.outer * 4 + 4]

stands in front of the loops that compute a stage: its storage, and the part of it that is computed
there. Halide's ``print_loop_nest`` shows the loops alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...runtime.errors import WeftError
from ..expr import Expr, IterVar, Reduce, as_int, is_const
from ..simplify import Analyzer
from ..tensor import ComputeOp, PlaceholderOp
from .bounds import StageBounds, bind_extent, infer_bounds
from .loops import Annotation

if TYPE_CHECKING:
    from .schedule import Schedule
    from .stage import Stage

WIDTH = 72  # characters of an expression; a longer one is cut


def schedule_text(schedule: Schedule) -> str:
    """The loops of a schedule, producers inside of the loops that they are computed at. Where
    bounds cannot be inferred yet the loops have the extents of whole tensors, and the last line
    says why."""
    return "\n".join(_Text(schedule).lines())


class _Text:
    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        self.bounds: dict[Stage, StageBounds] = {}
        self.why = ""
        try:
            self.bounds = infer_bounds(schedule)
        except WeftError as e:
            self.why = e.message.partition("\n")[0]
        self.shown: set[Stage] = set()

    def lines(self) -> list[str]:
        stages = [s for s in self.schedule.stages if not isinstance(s.op, PlaceholderOp)]
        made: list[str] = []
        for s in stages:
            if s.attach.kind == "inline":
                readers = ", ".join(r.name for r in self.schedule.consumers(s)) or "nothing"
                made.append(f"# {s.name} is computed inline, in {readers}")
                self.shown.add(s)
        for s in stages:
            if s.attach.kind == "root":
                made += self.nest(s, "")
        for s in stages:  # at a loop that is no more
            if s not in self.shown:
                made += self.nest(s, "")
        if self.why:
            made.append(f"# the boxes are not known: {self.why}")
        return made

    def nest(self, s: Stage, pad: str) -> list[str]:
        self.shown.add(s)
        made = [pad + line for line in self.head(s).splitlines()]
        if not isinstance(s.op, ComputeOp):
            return made + [pad + line for line in s.nest().splitlines()]
        known = self.bounds.get(s)
        for a in s.leaves:
            extent = known.extents[a] if known is not None else a.extent
            made.append(pad + self.loop(s, a, extent))
            pad += "  "
            for other in self.schedule.stages:
                at = other.attach
                if at.kind == "at" and at.axis is a and other not in self.shown:
                    made += self.nest(other, pad)
        return made + [pad + line for line in self.body(s, known)]

    def head(self, s: Stage) -> str:
        """What is stored of a stage, and which part of it is computed here."""
        known = self.bounds.get(s)
        box = known.box if known is not None else [(a.minimum, a.extent) for a in s.axes]
        an = Analyzer()
        for v, e in (known.outside if known is not None else {}).items():
            bind_extent(an, v, e)
        whole = s.is_output or not isinstance(s.op, ComputeOp)
        sizes = list(s.op.outputs[0].shape) if whole else [an.simplify(e) for _, e in box]
        types = ", ".join(dict.fromkeys(str(t.dtype) for t in s.op.outputs))
        text = f"# {s.name}: {types}[{', '.join(map(_cut, sizes))}]"
        text += ", a result" if s.is_output else f" in {s.scope}"
        numbers = [as_int(e) for e in sizes]
        if not s.is_output and None not in numbers:
            each = math.prod(n or 0 for n in numbers)
            text += f", {sum(each * t.dtype.bytes for t in s.op.outputs)} bytes"
        text += ", double buffered" if s.double_buffered else ""
        if s.layout is not None:
            text += f", laid out as {s.layout}"
        for k, (factor, offset) in s.alignment.items():
            text += f", stride of {s.axes[k].name} {offset} modulo {factor}"
        if s.attach.kind == "at":
            place = f"at {s.attach.axis.name}" if s.attach.axis is not None else ""
            if known is None:
                return f"{text}, computed {place}"
            parts = ", ".join(self.part(an, lo, e) for lo, e in box)
            return f"{text}\n# computed here: {s.name}[{parts}]"
        return text

    def part(self, an: Analyzer, low: Expr, extent: Expr) -> str:
        """``low : end`` of a box along one axis; one index alone."""
        begin = _cut(an.simplify(low))
        return begin if is_const(extent, 1) else f"{begin} : {_cut(an.simplify(low + extent))}"

    def loop(self, s: Stage, a: IterVar, extent: Expr) -> str:
        note = s.annotations.get(a, Annotation())
        kind = note.tag or note.kind.value
        marks = ["reduce"] if s.is_reduce(a) else []
        marks += [kind] if kind != "serial" else []
        marks += [f"{k}={v}" for k, v in note.pragmas.items()]
        if s.intrin is not None and s.intrin[0] is a:
            marks.append(f"tensorized by {s.intrin[1].name}")
        marks += [f"prefetch {p.tensor.name}" for p in s.prefetches.get(a, [])]
        return f"for {a.name} in {_cut(extent)}:" + (f"  # {', '.join(marks)}" if marks else "")

    def body(self, s: Stage, known: StageBounds | None) -> list[str]:
        names = ", ".join(a.name for a in s.axes) or "()"
        made = []
        for t, b in zip(s.op.outputs, known.body if known is not None else s.body):
            if isinstance(b, Reduce):
                value = ", ".join(map(str, b.sources)) if b.index == 0 else "…"
                sign = "+=" if b.reducer.name == "sum" else f"{b.reducer.name}="
                if not is_const(b.condition, 1):
                    value += f" if {b.condition}"
            else:
                sign, value = "=", str(b)
            made.append(f"{t.name}[{names}] {sign} {_cut(value)}")
        conditions = dict.fromkeys(_cut(c) for _, c in (known.guards if known is not None else []))
        if s.store_predicate is not None:
            conditions[_cut(s.store_predicate)] = None
        if conditions:
            made[-1] += "  # where " + " and ".join(conditions)
        return made


def _cut(e: Expr | str) -> str:
    text = str(e)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
