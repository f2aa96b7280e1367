"""A computation for given values of its size variables: the same with constants in their place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..expr import Expr, IterVar, Read, Reduce, Var, const
from ..simplify import simplify
from ..tensor import ComputeOp, Operation, PlaceholderOp, Tensor
from ..visit import Mutator, substitute
from .schedule import Schedule, create_schedule


def specialize(
    schedule: Schedule, values: Mapping[Var, int]
) -> tuple[Schedule, dict[Tensor, Tensor]]:
    """The schedule for ``values`` with the same steps, and what stands there for each tensor. Its
    operations are placeholders and computations."""
    constants: dict[Var, Expr] = {v: const(n, v.dtype) for v, n in values.items()}
    made: dict[Tensor, Tensor] = {}
    redirect = _Redirect(made)
    outputs = {t.op for t in schedule.outputs}
    for op in _operations(schedule):
        new = _operation(op, constants, redirect)
        made.update(zip(op.outputs, new.outputs))
    assert outputs <= {t.op for t in made}
    fresh = create_schedule([made[t] for t in schedule.outputs])
    schedule.trace.replay(fresh)
    return fresh, made


def _operations(schedule: Schedule) -> list[Operation]:
    """What the results are computed from and they themselves, producers first."""
    order: dict[Operation, None] = {}

    def visit(op: Operation) -> None:
        if op not in order:
            for t in op.inputs:
                visit(t.op)
            order[op] = None

    for t in schedule.outputs:
        visit(t.op)
    return list(order)


def _operation(op: Operation, constants: Mapping[Var, Expr], redirect: Mutator) -> Operation:
    def of(e: Expr, more: Mapping[Var, Expr] = MappingProxyType({})) -> Expr:
        return redirect(substitute(e, {**constants, **more}))

    if isinstance(op, PlaceholderOp):
        return PlaceholderOp(op.name, tuple(simplify(of(n)) for n in op.shape), op.dtype)
    assert isinstance(op, ComputeOp), op
    renamed: dict[Var, Expr] = {}

    def axis(a: IterVar) -> IterVar:
        begin, extent = simplify(of(a.minimum, renamed)), simplify(of(a.extent, renamed))
        made = IterVar(a.name, a.dtype, begin, extent, a.kind)
        renamed[a] = made
        return made

    axes = tuple(axis(a) for a in op.axes)
    over = tuple(axis(a) for a in op.reduce_axes)
    body = []
    for b in op.body:
        if isinstance(b, Reduce):
            sources = tuple(of(e, renamed) for e in b.sources)
            body.append(Reduce(b.reducer, sources, over, of(b.condition, renamed), b.index))
        else:
            body.append(of(b, renamed))
    return ComputeOp(op.name, axes, tuple(body), attrs=op.attrs)


class _Redirect(Mutator):
    """Reads of the tensors that others stand for."""

    def __init__(self, made: Mapping[Tensor, Tensor]):
        super().__init__()
        self.made = made

    def visit_Read(self, n: Read) -> Expr:
        return Read(self.made[n.tensor], tuple(self(i) for i in n.indices))


__all__ = ["specialize"]
