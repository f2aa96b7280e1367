"""``te.scan``: a recurrence over the first axis, as in TVM. Each step computes one row of the
states from the rows before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from ...runtime.dtype import INT32
from ...runtime.errors import ExprError
from ...runtime.lazy import lazy
from ..alu import Op
from ..expr import ZERO, Expr, IterVar, Read, as_int, binary
from ..tensor import ComputeOp, Operation, PlaceholderOp, Tensor, compute
from ..visit import Mutator, structural_equal


@dataclass(frozen=True, eq=False, repr=False)
class ScanOp(Operation):
    """Result ``k`` begins with the rows of ``init[k]``; row ``t`` after them is row ``t`` of
    ``update[k]``, which reads the rows before ``t`` as ``state[k]``. ``scan_axis`` counts the steps
    from 0, so that ``t`` is ``scan_axis + first``."""

    scan_axis: IterVar
    init: tuple[Tensor, ...]
    update: tuple[Tensor, ...]
    state: tuple[Tensor, ...]

    @property
    def first(self) -> Expr:
        """The row that the first step computes."""
        return self.init[0].shape[0]

    @lazy
    def outputs(self) -> tuple[Tensor, ...]:
        """One tensor for each state, of all its rows."""
        return tuple(Tensor(self, k, s.shape, s.dtype) for k, s in enumerate(self.state))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The first rows and the rows of a step; through these everything else."""
        return (*self.init, *self.update)

    @lazy
    def steps(self) -> tuple[ComputeOp, ...]:
        """The operations that are computed in each step, producers first: those that depend on the
        states, and the updates."""
        states = {s.op for s in self.state}
        last = {u.op for u in self.update}
        moves: dict[Operation, bool] = dict.fromkeys(states, True)
        order: list[Operation] = []
        stack = [(op, False) for op in dict.fromkeys(u.op for u in self.update)]
        while stack:
            op, done = stack.pop()
            if done:
                moves[op] = op in last or any(moves[t.op] for t in op.inputs)
                if moves[op]:
                    order.append(op)
            elif op not in moves:
                moves[op] = False
                stack.append((op, True))
                stack.extend((t.op, False) for t in op.inputs)
        for op in order:
            if not isinstance(op, ComputeOp):
                raise ExprError(
                    f"{op.name} depends on a state of the scan and is no te.compute: a step "
                    "cannot compute a part of it.",
                    where=self.name,
                )
        return tuple(op for op in order if isinstance(op, ComputeOp))

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """What the steps read that no step computes."""
        inside = {*self.steps, *(s.op for s in self.state)}
        found = (t for op in self.steps for t in op.inputs if t.op not in inside)
        return tuple(dict.fromkeys(found))

    def over(self, given: Mapping[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """The same recurrence over other tensors: ``given`` has one for each of ``init`` and of
        ``reads``."""
        known = dict(given)
        for s in self.state:
            known[s] = PlaceholderOp(s.name, s.shape, s.dtype).outputs[0]
        for op in self.steps:
            body = tuple(map(_Redirect(known), op.body))
            new = ComputeOp(op.name, op.axes, body, attrs=op.attrs)
            known |= dict(zip(op.outputs, new.outputs))
        states, updates = ([known[t] for t in ts] for ts in (self.state, self.update))
        made = scan([known[t] for t in self.init], updates, states, name=self.name)
        assert isinstance(made, tuple)
        return made


class _Redirect(Mutator):
    """Reads of some tensors become reads of others."""

    def __init__(self, tensors: Mapping[Tensor, Tensor]):
        super().__init__()
        self.tensors = tensors

    def visit_Read(self, n: Read) -> Expr:
        n = self.rebuild(n)
        return Read(self.tensors.get(n.tensor, n.tensor), n.indices)


Several = Tensor | Sequence[Tensor]


def scan(
    init: Several,
    update: Several,
    state: Several,
    inputs: Sequence[Tensor] | None = None,
    name: str = "scan",
    attrs: Mapping[str, object] | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The recurrence over the first axis; with several states the tuple of their results.

    Parameters
    ----------
    init : the first rows of each state, all of as many rows (mostly one).
    update : row ``t`` as a te.compute of the shape of ``state``, which may read the rows of the
        states before ``t``, other tensors, and other updates at ``t``.
    state : a te.placeholder of the whole shape for each, which stands for the result.
    inputs : the other tensors that the steps read, as TVM has it. They are found anyway.

    >>> X, S = te.placeholder((m, n)), te.placeholder((m, n))
    >>> first = te.compute((1, n), lambda _, i: X[0, i])
    >>> step = te.compute((m, n), lambda t, i: S[t - 1, i] + X[t, i])
    >>> cumsum = te.scan(first, step, S, inputs=[X])
    """
    inits, updates, states = (
        (x,) if isinstance(x, Tensor) else tuple(x) for x in (init, update, state)
    )
    for t in (*inits, *updates, *states, *(inputs or ())):
        if not isinstance(t, Tensor):
            raise ExprError(f"a scan is made of tensors, not of {t!r}.", where=name)
    if not len(inits) == len(updates) == len(states) >= 1:
        raise ExprError(
            f"{len(inits)} first rows, {len(updates)} updates and {len(states)} states were given; "
            "each state has one of each.",
            where=name,
        )
    _check(name, inits, updates, states)
    inits = tuple(t if isinstance(t.op, ComputeOp) else _copy(t, f"{name}.init") for t in inits)
    steps = binary(Op.SUB, states[0].shape[0], inits[0].shape[0])
    axis = IterVar(f"{name}.step", INT32, ZERO, steps, "scan")
    facts = MappingProxyType(dict(attrs or {}))
    op = ScanOp(name, axis, inits, updates, states, attrs=facts)
    assert op.steps is not None  # what cannot be a step is told here
    return op.outputs if not isinstance(state, Tensor) else op.outputs[0]


def _copy(t: Tensor, name: str) -> Tensor:
    made = compute(t.shape, lambda *i: t[i], name=name)
    assert isinstance(made, Tensor)
    return made


def _check(
    name: str, inits: Sequence[Tensor], updates: Sequence[Tensor], states: Sequence[Tensor]
) -> None:
    def fail(message: str, hint: str = "") -> NoReturn:
        raise ExprError(message, where=name, hint=hint or None)

    if len(set(updates)) < len(updates) or len(set(states)) < len(states):
        fail("two states have one update, or are one placeholder.")
    for first, step, whole in zip(inits, updates, states):
        if not isinstance(whole.op, PlaceholderOp):
            fail(f"the state {whole.name} is computed.", "give a te.placeholder for it")
        if not isinstance(step.op, ComputeOp):
            fail(f"the update {step.name} is no te.compute.", "copy it with one")
        if not all(t in updates for t in step.op.outputs):
            fail(f"results of {step.op.name} are no updates of a state.", "give each a state")
        if not whole.shape:
            fail(f"the state {whole.name} is a scalar and has no axis to step along.")
        if not (first.dtype == step.dtype == whole.dtype):
            fail(f"the state {whole.name} is {first.dtype}, {step.dtype} and {whole.dtype}.")
        if not _same(step.shape, whole.shape) or not _same(first.shape[1:], whole.shape[1:]):
            fail(
                f"the shapes differ: {first}, {step}, {whole}.",
                "an update has the shape of its state, the first rows that of its rows",
            )
        if not _same((first.shape[0], whole.shape[0]), (inits[0].shape[0], states[0].shape[0])):
            fail("all states have as many rows, and as many first rows.")
        rows, begin = as_int(whole.shape[0]), as_int(first.shape[0])
        if begin == 0 or (rows is not None and begin is not None and begin > rows):
            fail(f"{whole.name} of {whole.shape[0]} rows begins with {first.shape[0]}.")


def _same(a: Sequence[Expr], b: Sequence[Expr]) -> bool:
    return len(a) == len(b) and all(map(structural_equal, a, b))
