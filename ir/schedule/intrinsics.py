"""Tensor intrinsics: a block of loops replaced by statements that compute the same.

A :class:`TensorIntrin` is a small computation over placeholders (what it means) and a function that
builds statements from views of the operands (how it is done). ``stage.tensorize(axis, intrin)``
checks, when it is called, that the loops from ``axis`` inwards are that computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...runtime.errors import ScheduleError
from ..expr import (
    Const,
    Expr,
    ExprLike,
    IterVar,
    Load,
    Ramp,
    Read,
    Reduce,
    Var,
    as_int,
    is_const,
    to_expr,
)
from ..identity import among, place_of
from ..simplify import stride
from ..stmt import Buffer, Stmt, Store
from ..tensor import ComputeOp, PlaceholderOp, Tensor
from ..visit import children, substitute, variables, walk

if TYPE_CHECKING:
    from .transforms import ScheduledLoops


@dataclass(frozen=True)
class View:
    """An operand of a tensor intrinsic: a window of a buffer, indexed from 0 in each axis."""

    buffer: Buffer
    indices: tuple[Expr, ...]
    axes: tuple[Var, ...]

    def at(self, *index: ExprLike) -> tuple[Expr, ...]:
        """The buffer's indices of one element of the window, or of a vector where one of ``index``
        is a ramp."""
        assert len(index) == len(self.axes), f"{self.buffer.name} has {len(self.axes)} axes here"
        where = {v: to_expr(i, v.dtype) for v, i in zip(self.axes, index)}
        return tuple(_at(e, where) for e in self.indices)

    def load(self, *index: ExprLike) -> Expr:
        """The element of the window at ``index``, or a vector where that is a ramp."""
        return Load(self.buffer, self.at(*index))

    def store(self, value: Expr, *index: ExprLike) -> Stmt:
        """The statement that writes ``value`` at ``index`` of the window."""
        return Store(self.buffer, self.at(*index), value)


def _at(e: Expr, where: Mapping[Var, Expr]) -> Expr:
    """An index at values of its variables. In one that is a ramp it must be linear."""
    lanes = [(v, r) for v, r in where.items() if isinstance(r, Ramp) and among(v, variables(e))]
    if not lanes:
        return substitute(e, where)
    (v, ramp), *others = lanes
    step = stride(e, v)
    if step is None or others:
        raise ScheduleError(
            f"the index {e} at {ramp} is no vector of neighbours.",
            where="tensorize",
            hint="give the window's elements one by one",
        )
    return Ramp(substitute(e, {**where, v: ramp.base}), ramp.stride * step, ramp.lanes)


Body = Callable[[Sequence[View], View], tuple[Stmt | None, Stmt]]


@dataclass(frozen=True, eq=False)
class TensorIntrin:
    """``op`` says what is computed from its placeholders, each of which is indexed by plain axes;
    ``body(inputs, output)`` returns the statements (initialise, update); initialise is None when
    ``op`` is no reduction."""

    name: str
    op: ComputeOp
    body: Body
    inputs: tuple[Tensor, ...] = field(default=())

    def axes_of(self, tensor: Tensor) -> tuple[IterVar, ...]:
        """The axes that index an input."""
        for b in self.op.body:
            for n in walk(b):
                if isinstance(n, Read) and n.tensor is tensor:
                    return tuple(i for i in n.indices if isinstance(i, IterVar))
        raise AssertionError(tensor)


_REGISTRY: dict[str, TensorIntrin] = {}


def decl_tensor_intrin(result: Tensor, body: Body, name: str) -> TensorIntrin:
    """Declare a tensor intrinsic; ``name`` is what a trace records.

    Raises ScheduleError when ``result`` is not one compute of placeholders indexed by plain axes.
    """
    op = result.op
    if not isinstance(op, ComputeOp) or len(op.body) != 1:
        raise ScheduleError(f"the intrinsic {name} must be declared by one te.compute.")
    for n in walk(op.body[0]):
        if isinstance(n, Read):
            plain = all(isinstance(i, IterVar) for i in n.indices)
            if not isinstance(n.tensor.op, PlaceholderOp) or not plain:
                raise ScheduleError(
                    f"the intrinsic {name} reads {n}: only placeholders indexed by axes can be "
                    "matched."
                )
    intrin = TensorIntrin(name, op, body, op.inputs)
    _REGISTRY[name] = intrin
    return intrin


def find_intrin(name: str) -> TensorIntrin:
    """The declared intrinsic called ``name``."""
    if name not in _REGISTRY:
        raise ScheduleError(
            f"there is no tensor intrinsic {name!r}.", hint=", ".join(_REGISTRY) or "none declared"
        )
    return _REGISTRY[name]


def check_match(stage: ScheduledLoops, axis: IterVar, intrin: TensorIntrin) -> None:
    """Raise ScheduleError unless the loops from ``axis`` inwards are ``intrin``, as far as that is
    known when the primitive is called: how long they are follows from where the stage is computed,
    and is asked for when the schedule is lowered."""
    matched_reads(stage, axis, intrin, None)


def matched_reads(
    stage: ScheduledLoops,
    axis: IterVar,
    intrin: TensorIntrin,
    extents: Mapping[IterVar, Expr] | None,
) -> dict[Tensor, Read]:
    """The read of the stage that each input of the intrinsic stands for. ``extents`` are those of
    the loops, None as long as they are not known."""
    inner = stage.leaves[place_of(axis, stage.leaves) :]
    data = [a for a in inner if a.kind != "reduce"]
    reduce = [a for a in inner if a.kind == "reduce"]

    def fail(why: str) -> ScheduleError:
        return ScheduleError(
            f"tensorize: the loops of {stage.name} from {axis.name} inwards are not {intrin.name}: "
            f"{why}.\n{stage.nest()}",
            hint=f"{intrin.name} computes {intrin.op.body[0]}",
        )

    wanted = [*intrin.op.axes, *intrin.op.reduce_axes]
    have = [*data, *reduce]
    if len(data) != len(intrin.op.axes) or len(reduce) != len(intrin.op.reduce_axes):
        raise fail(f"{len(data)} data and {len(reduce)} reduce loops are there")
    moving: set[Var] = set()
    if extents is not None:
        for a, w in zip(have, wanted):
            if as_int(extents[a]) != as_int(w.extent):
                raise fail(f"{a.name} has extent {extents[a]}, {w.extent} is needed")
        moving.update(a for a in inner if as_int(extents[a]) != 1)
    values, _ = stage.index_values(extents)
    match = _Match(dict(zip(wanted, have)), values, moving)
    if len(stage.body) != 1 or not match.same(intrin.op.body[0], stage.body[0]):
        raise fail(f"it computes {stage.body[0]}")
    return match.found


class _Match:
    """Compares the expression of an intrinsic with that of a stage. ``pairs``: the loop for each
    axis of the intrinsic; ``values``: the axes of the stage in terms of loops; ``moving``: the
    loops that take more than one value; ``found``: the read for each input, so far."""

    def __init__(self, pairs: Mapping[Var, Var], values: Mapping[IterVar, Expr], moving: Set[Var]):
        self.pairs, self.values, self.moving = pairs, values, moving
        self.found: dict[Tensor, Read] = {}

    def same(self, p: Any, q: Any) -> bool:
        """Whether ``q`` of the stage is ``p`` of the intrinsic."""
        if type(p) is not type(q) or p.dtype != q.dtype:
            return False
        if isinstance(p, Read):
            return self._same_read(p, q)
        if isinstance(p, Reduce):
            alike = p.reducer is q.reducer and is_const(q.condition, 1)
            return alike and all(map(self.same, p.sources, q.sources))
        if isinstance(p, Const):
            return p.value == q.value
        if isinstance(p, Var):
            return False  # indices occur only inside reads
        alike = all(getattr(p, k, None) == getattr(q, k, None) for k in ("op", "name"))
        x, y = children(p), children(q)
        return alike and len(x) == len(y) and all(map(self.same, x, y))

    def _same_read(self, p: Read, q: Read) -> bool:
        """Whether ``q`` moves only with the loops that ``p`` moves with, and is the only read that
        stands for its tensor."""
        used = {v for i in q.indices for v in walk(substitute(i, self.values)) if v in self.moving}
        if not used <= {self.pairs[i] for i in p.indices if isinstance(i, IterVar)}:
            return False
        return self.found.setdefault(p.tensor, q) is q
