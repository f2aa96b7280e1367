"""Schedules for fragment shaders: a group of stages becomes a list of draws.

Texture memory has no pointers to write through: a fragment writes the ``4 * layers`` neighbouring
elements of one result that belong to its position, and nothing else. So every stage that is stored
is one draw (one for each of its results), and its computation is rewritten over the axes that the
hardware has:

    out[n, c, h, w]   ->   for f in fragments:                    # bound to fragment.x
                             acc[layers, 4] = 0
                             for k.outer, ky:
                               for k.inner, kx, layer: acc[layer, 0:4] += data[…] * weights[…]
                             out[f, layer, 0:4] = epilogue(acc)   # inner loops unrolled, 4 a vector

The logical indices of an element follow from (f, layer, lane) by the result's layout, so that
there are no guards: fragments and lanes over the edge compute elements that nobody reads. What they
read is kept inside textures by the code generator.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ...ir.expr import Expr, IterVar, Read, Select, Var, as_int, const
from ...ir.identity import same_objects
from ...ir.layout import Digit, Layout
from ...ir.schedule.inlining import inline_bodies
from ...ir.schedule.loops import thread_axis
from ...ir.schedule.schedule import Schedule, create_schedule
from ...ir.schedule.stage import Stage
from ...ir.schedule.trace import Trace
from ...ir.simplify import stride
from ...ir.target import Target
from ...ir.tensor import ComputeOp, PlaceholderOp, Tensor
from ...ir.visit import Mutator, tally, walk
from ...runtime.errors import CodegenError
from .choices import Choices
from .columns import cut_in_blocks
from .common import Context, constant_domain, expensive, orders, size
from .growth import Growth
from .measured import LONG_SUM, MANY, MAX_REPEAT, MAX_UNROLLED, MOST_TURNS, WHOLE_WINDOW

LANES = 4  # of a texel
WISHES = ("compute_inline", "compute_root")  # primitives that say something about draws


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw. ``result`` and ``reads`` are tensors of the group; ``args`` are the tensors of
    ``schedule`` that stand for ``reads`` in order and for ``result``, with their ``layouts``."""

    result: Tensor
    reads: tuple[Tensor, ...]
    schedule: Schedule
    args: tuple[Tensor, ...]
    layouts: Mapping[Tensor, Layout]


def draws(
    outputs: Sequence[Tensor],
    target: Target,
    layouts: Mapping[Tensor, Layout] | None = None,
    wishes: Trace | None = None,
    choices: Choices | None = None,
) -> list[Draw]:
    """The draws that compute ``outputs``, in order. Tensors that one draw makes and another reads,
    and that are not in ``outputs``, are scratch; they lie in row-major order. ``wishes`` are steps
    of a user's schedule out of :data:`WISHES`: what is inlined, and what has a draw of its own.
    ``choices`` answers what is open about draws that reduce: see :func:`_schedule_accumulator`.

    Raises :class:`CodegenError` where extents are not known at compile time.
    """
    s = create_schedule(tuple(outputs))
    if wishes is not None:
        wishes.replay(s)
    ctx = Context(s, target, dict(layouts or {}), choices or Choices())
    own = {step.stage for step in wishes or () if step.primitive == "compute_root"}
    kept = {stage for stage in ctx.stored() if stage.name in own}
    inline_for_fragments(ctx, kept)
    for stage in list(ctx.stored()):
        if stage.reduce_axes and constant_domain(stage):
            _share_long_sum(ctx, stage)
    bodies = inline_bodies(s)
    joined: dict[Stage, Stage] = {}
    for stage in ctx.stored():
        if not constant_domain(stage):
            raise CodegenError(
                f"{stage.name} has extents that are known only when the kernel runs; a fragment "
                "shader has none."
            )
        reader = ctx.takes_epilogue(stage) if stage.reduce_axes else None
        if reader is not None and stage not in kept:
            joined[stage] = reader
    needed = set(outputs)
    for body in bodies.values():
        needed |= {n.tensor for b in body for n in walk(b) if isinstance(n, Read)}
    made = []
    for stage in ctx.stored():
        if stage in joined:
            continue
        inside = [p for p, reader in joined.items() if reader is stage]
        for k, t in enumerate(stage.op.outputs):
            if t in needed:
                made.append(_draw(ctx, stage, k, inside, bodies))
    return made


def _share_long_sum(ctx: Context, stage: Stage) -> None:
    """Few results of a long reduction: partial results are a draw of their own, so that more
    fragments have work and roundings do not add up. A very long one must be: llvmpipe stops a
    shader, without a word, after 65,536 turns of its loops."""
    few = size(stage.axes) < MANY and not _is_product(stage)
    blocks = cut_in_blocks(stage, LONG_SUM if few else MOST_TURNS)
    if blocks is not None:
        ctx.schedule.rfactor(stage.op.outputs, blocks)


def _is_product(stage: Stage) -> bool:
    """Whether what is reduced is made of two tensors or more."""
    return len({n.tensor for b in stage.body for n in walk(b) if isinstance(n, Read)}) > 1


def inline_for_fragments(ctx: Context, kept: Collection[Stage] = ()) -> None:
    """Inline intermediate stages that are no reductions and cheap to recompute, but for ``kept``. A
    store and a fetch are dear here, so that padding is inlined into convolutions, too."""
    s, growth = ctx.schedule, Growth()
    for stage in list(ctx.stored()):
        readers = s.consumers(stage)
        if stage.reduce_axes or stage.is_output or not readers or len(stage.body) != 1:
            continue
        if stage in kept:
            continue
        if not growth.fits(stage):
            continue
        points = max(1, size(stage.axes))
        repeat = 0.0
        for reader in readers:
            times = reader.read_count(stage)
            repeat += times * size(reader.axes) * size(reader.reduce_axes) / points
        inline = _moves_only(stage.body[0]) or repeat <= MAX_REPEAT or not _costs(stage, repeat)
        if any(r.reduce_axes for r in readers):
            inline = bool(ctx.choose(f"{stage.name}.inline", (False, True), inline))
        if inline:
            stage.compute_inline()


def _moves_only(e: Expr) -> bool:
    """At most one element is read, and given as it is (or a constant instead)."""
    if isinstance(e, Select):
        return _moves_only(e.if_true) and _moves_only(e.if_false)
    if isinstance(e, Read):
        return not any(isinstance(n, Read) for i in e.indices for n in walk(i))
    return not any(isinstance(n, Read) for n in walk(e))


def _costs(stage: Stage, repeat: float) -> bool:
    reads = sum(tally(b, lambda n: isinstance(n, Read)) for b in stage.body)
    return any(map(expensive, stage.body)) or reads * repeat > 4 * MAX_REPEAT


class _Axes:
    """The axes (fragment, layer…, lane) of a tensor, and its logical indices in terms of them."""

    def __init__(self, shape: Sequence[int], layout: Layout | None):
        plain = Layout.row_major(shape)
        layout = layout or plain
        digits = [d for axis in layout.axes for d in axis]
        total = LANES * layout.layers
        self.count = -(-layout.size // total)
        self.f = IterVar("f", extent=const(self.count))
        self.lane = IterVar("lane", extent=const(LANES))
        inner = _inner_digits(digits, layout.layers)
        self.layers: tuple[IterVar, ...] = ()
        self.index: list[Expr] = [const(0) for _ in shape]
        if inner is not None:
            outer = digits[: len(digits) - inner]
            own = digits[len(outer) : -1]
            self.layers = tuple(
                IterVar(f"layer{k}", extent=const(d.extent)) for k, d in enumerate(own)
            )
            self._spread(self.f, outer)
            for d, v in zip((*own, digits[-1]), (*self.layers, self.lane)):
                self._add(d, v)
        else:
            assert layout.layers == 1, f"the layers of {layout} are no digits"
            last = next((k for k in reversed(range(len(digits))) if digits[k].extent > 1), None)
            if last is not None and digits[last].extent % LANES == 0:
                per_row = digits[last].extent // LANES
                self._add(digits[last], _mod(self.f, per_row) * LANES + self.lane)
                self._spread(_div(self.f, per_row), digits[:last])
            else:
                self._spread(self.f * LANES + self.lane, digits)
        self.all = (self.f, *self.layers, self.lane)
        shape_here = tuple(as_int(a.extent) or 0 for a in self.all)
        row = Layout.row_major(shape_here)
        self.layout = Layout(row.shape, row.axes, layout.layers)

    def _add(self, d: Digit, value: Expr) -> None:
        have = self.index[d.axis]
        term = value if d.stride == 1 else value * d.stride
        self.index[d.axis] = term if as_int(have) == 0 else have + term

    def _spread(self, value: Expr, digits: Sequence[Digit]) -> None:
        """Add the digits of a mixed-radix number to the indices."""
        long = [d for d in digits if d.extent > 1]
        step = 1
        for k, d in enumerate(reversed(long)):
            e = _div(value, step)
            step *= d.extent
            self._add(d, e if k == len(long) - 1 else _mod(e, d.extent))


def _div(e: Expr, n: int) -> Expr:
    return e if n == 1 else e // n


def _mod(e: Expr, n: int) -> Expr:
    return const(0) if n == 1 else e % n


def _inner_digits(digits: Sequence[Digit], layers: int) -> int | None:
    """How many of the last digits are the layers and the lane; None when they are not digits."""
    if not digits or digits[-1].extent != LANES:
        return None
    count, k = 1, len(digits) - 1
    while count < layers and k > 0:
        k -= 1
        count *= digits[k].extent
    return len(digits) - k if count == layers else None


class _Rewrite(Mutator):
    """The body of a stage in terms of ``axes``; collects the placeholders of what it reads."""

    def __init__(self, kernel: _DrawKernel, stage: Stage, axes: _Axes):
        super().__init__()
        self.kernel, self.stage, self.axes = kernel, stage, axes
        self.index: dict[Var, Expr] = dict(zip(stage.axes, axes.index))

    def visit_IterVar(self, v: IterVar) -> Expr:
        return self.index.get(v, v)

    def visit_Read(self, r: Read) -> Expr:
        local = self.kernel.local.get(r.tensor)
        if local is not None:
            return Read(local, self.axes.all)
        if same_objects(r.indices, self.stage.axes) and self.kernel.lies_like_result(r.tensor):
            return Read(self.kernel.parameter(r.tensor, self.axes), self.axes.all)
        indices = tuple(self(i) for i in r.indices)
        return Read(self.kernel.parameter(r.tensor, None), indices)


class _DrawKernel:
    """What one draw reads and makes, as it is gathered: its parameters, the layouts of these, and
    what is held in registers (``local``)."""

    def __init__(self, ctx: Context, result: Tensor):
        self.ctx, self.result = ctx, result
        self.shape = tuple(as_int(e) or 0 for e in result.shape)
        self.layout = ctx.layouts.get(result)
        self.parameters: dict[tuple[Tensor, bool], Tensor] = {}
        self.local: dict[Tensor, Tensor] = {}
        self.layouts: dict[Tensor, Layout] = {}

    def lies_like_result(self, t: Tensor) -> bool:
        shape = tuple(as_int(e) or 0 for e in t.shape)
        mine = self.layout or Layout.row_major(self.shape)
        other = self.ctx.layouts.get(t) or Layout.row_major(shape)
        return shape == self.shape and mine.axes == other.axes and mine.layers == other.layers

    def parameter(self, t: Tensor, axes: _Axes | None) -> Tensor:
        """The placeholder of ``t``, over its own axes or over the result's fragments."""
        key = (t, axes is not None)
        if key not in self.parameters:
            name = f"p{len(self.parameters)}"
            shape = axes.layout.shape if axes is not None else t.shape
            sizes = tuple(const(as_int(e) or 0) for e in shape)
            made = PlaceholderOp(name, sizes, t.dtype).outputs[0]
            layout = axes.layout if axes is not None else self.ctx.layouts.get(t)
            if layout is not None:
                self.layouts[made] = layout
            self.parameters[key] = made
        return self.parameters[key]

    def accumulate(self, stage: Stage, body: Sequence[Expr]) -> None:
        """A reduction in registers, one fragment's part of it."""
        axes = _Axes(self.shape, self.layout)
        rewrite = _Rewrite(self, stage, axes)
        made = ComputeOp("acc", axes.all, tuple(rewrite(b) for b in body)).outputs
        self.local.update(zip(stage.op.outputs, made))


def _draw(
    ctx: Context,
    stage: Stage,
    k: int,
    inside: Sequence[Stage],
    bodies: Mapping[Stage, tuple[Expr, ...]],
) -> Draw:
    result = stage.op.outputs[k]
    kernel = _DrawKernel(ctx, result)
    for producer in inside:
        kernel.accumulate(producer, bodies[producer])
    body = bodies[stage]
    axes = _Axes(kernel.shape, kernel.layout)
    if stage.reduce_axes:
        kernel.accumulate(stage, body)
        value: Expr = Read(kernel.local[result], axes.all)
    else:
        value = _Rewrite(kernel, stage, axes)(body[k])
    out = ComputeOp("out", axes.all, (value,)).outputs[0]
    kernel.layouts[out] = axes.layout
    schedule = create_schedule(out)
    last = schedule[out]
    last.bind(axes.f, thread_axis("fragment.x"))
    for a in axes.layers:
        last.unroll(a)
    last.vectorize(axes.lane)
    made = {t.op: ctx.schedule[source].name for source, t in kernel.local.items()}
    for op, name in made.items():
        if op.outputs[0] in schedule:
            name = f"{name}.{k}" if k else name
            _schedule_accumulator(kernel, schedule[op.outputs[0]], last, axes.f, name)
    reads = tuple(t for t, _ in kernel.parameters)
    return Draw(result, reads, schedule, (*kernel.parameters.values(), out), kernel.layouts)


def _schedule_accumulator(
    kernel: _DrawKernel, acc: Stage, last: Stage, at: IterVar, name: str
) -> None:
    """The loops of a sum in registers.

    Open questions, named after the stage: the order of the reduction's loops, how much of them is
    unrolled (short ones as a whole, of one along storage some neighbours, of all together so many
    statements), and how many axes of the tile lie outside of the reduction: that part of the tile
    is then computed piece by piece, in fewer registers.
    """
    acc.set_scope("local")
    acc.compute_at(last, at)
    f, *layers, lane = acc.axes
    loops: list[IterVar] = []
    unrolled: list[IterVar] = []
    copies = size(layers) * max(1, len(acc.body))
    along = {a for a in acc.reduce_axes if _contiguous(kernel, acc, a)}
    plain = sorted(acc.reduce_axes, key=lambda a: a in along)
    order = tuple(range(len(plain)))
    choose = kernel.ctx.choose
    if len(plain) > 1:
        order = choose(f"{name}.order", orders(order), order)
        assert isinstance(order, tuple)
    window = choose(f"{name}.window", (1, 2, 4, WHOLE_WINDOW, 16, 32), WHOLE_WINDOW)
    limits = (8, 26, 52, 104, MAX_UNROLLED, 2 * MAX_UNROLLED)
    most = choose(f"{name}.statements", limits, MAX_UNROLLED)
    step = choose(f"{name}.step", (2, LANES, 8, 16), LANES) if along else LANES
    assert isinstance(window, int) and isinstance(most, int) and isinstance(step, int)
    for a in (plain[k] for k in reversed(order)):
        n = as_int(a.extent) or 1
        if n <= window and copies * n <= most:
            unrolled.insert(0, a)
            copies *= n
        elif a in along and n > step and copies * step <= most:
            outer, inner = acc.split(a, factor=step)
            loops.insert(0, outer)
            unrolled.insert(0, inner)
            copies *= step
        else:
            loops.insert(0, a)
    outside = choose(f"{name}.outside", range(len(layers) + 1), 0)
    assert isinstance(outside, int)
    acc.reorder(f, *layers[:outside], *loops, *unrolled, *layers[outside:], lane)
    for a in (*unrolled, *layers):
        acc.unroll(a)
    acc.vectorize(lane)


def _contiguous(kernel: _DrawKernel, acc: Stage, a: IterVar) -> bool:
    """Whether steps of a reduce axis are neighbours in the storage of something that is read."""
    for r in acc.reads():
        layout = kernel.layouts.get(r.tensor)
        if layout is not None:
            position = layout.lane.axis
        else:
            long = [k for k, e in enumerate(r.tensor.shape) if as_int(e) != 1]
            position = long[-1] if long else len(r.indices) - 1
        if r.indices and stride(r.indices[position], a) == 1:
            return True
    return False


__all__ = ["LANES", "WISHES", "Draw", "draws", "inline_for_fragments"]
