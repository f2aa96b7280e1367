"""What reports and tuning records want to know of a kernel: its operations, the layouts of what it
reads and writes, the answers to the open questions of its schedule, the schedule itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ...ir.expr import Binary, Call, Const, Expr, Read, Reduce, Select, Unary, as_int
from ...ir.layout import Layout
from ...ir.schedule.schedule import Schedule
from ...ir.tensor import ComputeOp, Operation, Tensor
from ...ir.visit import Node, bottom_up, children
from ..schedules.choices import Choices


def facts_of(
    outputs: tuple[Tensor, ...], layouts: Sequence[Layout | None], choices: Choices, trace: str
) -> dict[str, Any]:
    """The facts of a computation, as plain data. ``layouts`` are those of its parameters in order,
    ``choices`` the answers given, ``trace`` what :func:`trace_hash` says of its schedules."""
    return {
        "flops": count_flops(outputs),
        "layouts": ["" if x is None else layout_name(x) for x in layouts],
        "choices": {k: list(v) if isinstance(v, tuple) else v for k, v in choices.taken.items()},
        "tuned": not choices.is_default,
        "trace": trace,
    }


def trace_hash(*schedules: Schedule) -> str:
    """16 hexadecimal digits: equal for configurations that lead to the same schedules."""
    digest = hashlib.sha256()
    for s in schedules:
        digest.update(s.trace.to_json().encode())
    return digest.hexdigest()[:16]


def layout_name(layout: Layout) -> str:
    """A layout in short, in the notation of oneDNN: ``aBcd16b`` has axis b in blocks of 16."""
    text = []
    for axis in layout.axes:
        for d in axis:
            letter = "abcdefghijklmnopqrstuvwxyz"[d.axis]
            if d.stride > 1:
                text.append(letter.upper())
            elif d.extent >= layout.shape[d.axis] and layout.block(d.axis) == 1:
                text.append(letter)
            else:
                text.append(f"{d.extent}{letter}")
    return "".join(text)


def count_flops(outputs: tuple[Tensor, ...]) -> int:
    """Floating-point operations of a computation.

    Where it has reductions of floats, their operations: each point of a sum of products is one
    multiplication and one addition, whatever a padded operand is worth there. What happens once per
    element of the result (bias, activation) is not counted beside them. A computation without
    reductions counts its arithmetic per element.
    """
    reduced = elementwise = 0
    seen: set[Operation] = set()
    work = [t.op for t in outputs]
    while work:
        op = work.pop()
        if op in seen:
            continue
        seen.add(op)
        work += [t.op for t in op.inputs]
        if not isinstance(op, ComputeOp):
            continue
        points = 1
        for a in (*op.axes, *op.reduce_axes):
            points *= as_int(a.extent) or 0
        if not op.body[0].dtype.is_float:
            continue
        first = op.body[0]
        if isinstance(first, Reduce):
            reduced += points * (len(first.sources) + sum(map(_arithmetic, first.sources)))
        else:
            elementwise += points * sum(map(_arithmetic, op.body))
    return reduced or elementwise


def _arithmetic(root: Expr) -> int:
    """Operations on floats in an expression, outside of indices and conditions; what is used twice
    counts twice."""
    found: dict[Node, int] = {}
    for e in bottom_up([root]):
        if isinstance(e, Read | Const):
            found[e] = 0
        elif isinstance(e, Select):
            found[e] = max(found[e.if_true], found[e.if_false])
        else:
            own = isinstance(e, Binary | Unary | Call) and e.dtype.is_float
            found[e] = int(own) + sum(found[c] for c in children(e))
    return found[root]
