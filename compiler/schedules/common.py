"""What the rules share: facts about stages, the axis to vectorise, how to run in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from ...ir.alu import Op
from ...ir.expr import Binary, Call, Cast, Expr, IterVar, Read, Reduce, as_int
from ...ir.identity import place_of, same_objects
from ...ir.layout import Layout
from ...ir.operations.scan import ScanOp
from ...ir.schedule.inlining import inline_body
from ...ir.schedule.schedule import Schedule
from ...ir.schedule.stage import Stage
from ...ir.target import Target
from ...ir.tensor import ComputeOp, Tensor
from ...ir.visit import children, tally, walk
from .choices import Choices, Value
from .measured import PARALLEL_WORK


@dataclass
class Context:
    """One scheduling job."""

    schedule: Schedule
    target: Target
    layouts: dict[Tensor, Layout]
    choices: Choices = field(default_factory=Choices)

    def choose(self, name: str, options: Sequence[Value], default: Value) -> Value:
        """An open question: ``default``, unless a tuner or a record says otherwise."""
        return self.choices.choose(name, options, default)

    def stored(self) -> list[Stage]:
        """The stages that have loops, producers first; without those that a recurrence computes
        step by step, which stay as they are."""
        return [
            s
            for s in self.schedule.stages
            if isinstance(s.op, ComputeOp) and s.attach.kind != "inline" and not _in_steps(s)
        ]

    def layout(self, stage: Stage) -> Layout | None:
        """The layout of a stage's first result."""
        return self.layouts.get(stage.op.outputs[0]) or stage.layout

    def layout_of(self, tensor: Tensor) -> Layout | None:
        """The layout of any tensor of the computation, None where it is row major."""
        return self.layouts.get(tensor) or self.schedule[tensor].layout

    def readers(self, stage: Stage) -> list[Stage]:
        """The stored stages that read ``stage``, through inlined ones too."""
        found: dict[Stage, None] = {}
        work = [stage]
        while work:
            for c in self.schedule.consumers(work.pop()):
                if c.attach.kind == "inline":
                    work.append(c)
                else:
                    found[c] = None
        return list(found)

    def takes_epilogue(self, stage: Stage) -> Stage | None:
        """The one stage that reads the reduction ``stage``, element by element of the same shape:
        it can be computed tile by tile together with it."""
        if stage.is_output or len(stage.op.outputs) != 1:
            return None
        readers = self.readers(stage)
        if any(not isinstance(r.op, ComputeOp) or _in_steps(r) for r in readers):
            return None
        if len(readers) != 1 or readers[0].reduce_axes or len(readers[0].body) != 1:
            return None
        reader = readers[0]
        if [as_int(a.extent) for a in reader.axes] != [as_int(a.extent) for a in stage.axes]:
            return None
        body = inlined_body(self, reader)[0]
        reads = [r for r in walk(body) if isinstance(r, Read) and r.tensor.op is stage.op]
        return (
            reader if reads and all(same_objects(r.indices, reader.axes) for r in reads) else None
        )


def outside_of_indices(bodies: Iterable[Expr]) -> Iterator[Expr]:
    """The nodes of expressions once, reads included, but nothing of what reads are indexed by."""
    below, seen = list(bodies), set[Expr]()
    while below:
        n = below.pop()
        if n in seen:
            continue
        seen.add(n)
        yield n
        if not isinstance(n, Read):
            below += [c for c in children(n) if isinstance(c, Expr)]


def _in_steps(stage: Stage) -> bool:
    return stage.attach.stage is not None and isinstance(stage.attach.stage.op, ScanOp)


def part_of(stage: Stage, kind: str) -> str:
    """The part that a stage has in an operator of several stages which has a rule of its own
    (``kind``, as its attributes say), or nothing."""
    facts = getattr(stage.op, "attrs", {})
    return str(facts.get("part", "")) if facts.get("kind") == kind else ""


def inlined_body(ctx: Context, stage: Stage) -> tuple[Expr, ...]:
    """The body of a stage with inlined producers written out."""
    return inline_body(ctx.schedule, stage)


def constant_domain(stage: Stage) -> bool:
    """Whether all extents are known (kernels of symbolic extents keep their plain loops)."""
    return all(as_int(a.extent) is not None for a in (*stage.axes, *stage.reduce_axes))


def size(axes: Sequence[IterVar]) -> int:
    """Iterations of ``axes`` together, a symbolic one counted as 1."""
    n = 1
    for a in axes:
        n *= as_int(a.extent) or 1
    return n


def expensive(e: Expr) -> bool:
    """Whether an element costs much more than a load: transcendental functions, divisions."""
    return any(isinstance(n, Call) or (isinstance(n, Binary) and n.op is Op.DIV) for n in walk(e))


def work(stage: Stage) -> int:
    """Scalar operations of a stage, roughly."""
    per_point = sum(tally(b, lambda n: 5 if isinstance(n, Call) else 1) for b in stage.body)
    return size(stage.axes) * size(stage.reduce_axes) * per_point


def lane_axis(stage: Stage, layout: Layout | None) -> int | None:
    """The number of the axis along which neighbouring elements of the result lie in memory, None
    for a result of one element. Axes of extent 1 at the end of a row-major shape do not count."""
    if layout is not None and layout.block(layout.lane.axis) > 1:
        return layout.lane.axis
    long = [k for k, a in enumerate(stage.axes) if (as_int(a.extent) or 0) > 1]
    return long[-1] if long else None


def vectorize_along(stage: Stage, axis: int, block: int, layout: Layout | None) -> list[IterVar]:
    """Put the loops of a result in the order of its storage and run the innermost, of at most
    ``block`` iterations, as a vector; returns all its data loops, outermost first."""
    loop = stage.axes[axis]
    others = [a for a in stage.axes if a is not loop]
    if (as_int(loop.extent) or 0) > block:
        outer, inner = stage.split(loop, factor=block)
        place = axis if layout is not None else len(others)
        order = [*others[:place], outer, *others[place:], inner]
    else:
        order = [*others, loop]
    if len(order) > 1:
        stage.reorder(*order)
    stage.vectorize(order[-1])
    return order


def run_parallel(
    ctx: Context, stage: Stage, loops: Sequence[IterVar], operations: int
) -> IterVar | None:
    """Fuse outer loops (neighbours, outermost first) into one parallel loop, if it pays;
    returns that loop."""
    long = [a for a in loops if as_int(a.extent) != 1]
    if operations < PARALLEL_WORK or not long:
        return None
    first, last = place_of(long[0], stage.leaves), place_of(long[-1], stage.leaves)
    span = stage.leaves[first : last + 1]
    loop = stage.fuse(*span) if len(span) > 1 else span[0]
    stage.parallel(loop)
    return loop


def split_axis(stage: Stage, axis: IterVar, factor: int) -> tuple[IterVar | None, IterVar]:
    """(outer, inner); no outer loop when one tile covers the axis."""
    if (as_int(axis.extent) or 0) <= factor:
        return None, axis
    return stage.split(axis, factor=factor)


def even_part(n: int, most: int, least: int) -> int:
    """The largest part of ``n`` from ``most`` down to above ``least`` that divides it; where none
    does, one that leaves parts of about the same length, and as few of them as possible."""
    balanced = -(-n // -(-n // most))
    return next((k for k in range(most, least, -1) if n % k == 0), balanced)


def orders(items: Sequence[int]) -> list[tuple[int, ...]]:
    """Options for an order of loops, the given one first: all orders of up to four, else those
    that move one of them to the front or to the back."""
    if len(items) <= 4:
        return list(permutations(items))
    moved = [tuple(items)]
    for k in items:
        rest = [i for i in items if i != k]
        moved += [(k, *rest), (*rest, k)]
    return list(dict.fromkeys(moved))


def strip_casts(e: Expr) -> Expr:
    """``e`` without the conversions around it."""
    while isinstance(e, Cast):
        e = e.value
    return e


def reduce_source(stage: Stage) -> Reduce | None:
    """The reduction that a stage is, if that is all of it."""
    first = stage.body[0]
    return first if isinstance(first, Reduce) and len(stage.body) == 1 else None
