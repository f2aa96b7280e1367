"""Reads that are certainly outside of a tensor, found before anything is lowered.

Generated loops stay inside of what they compute; what a kernel's author writes may not:
``compute((8,), lambda i: A[i + 1])`` of eight elements reads a ninth. Only reads that happen
whatever the data (under no ``if_then_else`` and no condition), by indices that are sums of loop
variables, are judged: the ends of their intervals are then really reached.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...runtime.errors import LoweringError
from ..expr import Const, Expr, Read, Reduce, Select, as_int
from ..simplify import Analyzer, is_index
from ..tensor import ComputeOp
from ..visit import children


def check_reads(op: ComputeOp, begin: int = 0) -> None:
    """Raise :class:`LoweringError` if a computation reads outside of what has a constant extent, as
    far as the extents of its own axes tell; its first axis goes from ``begin`` on."""
    loops = dict.fromkeys((*op.axes, *op.reduce_axes))
    analyzer = Analyzer()
    for v in loops:
        low, extent = as_int(v.minimum), as_int(v.extent)
        if extent == 0 or (v.kind == "reduce" and (low is None or extent is None)):
            return  # nothing is computed, or perhaps nothing
        if low is not None and extent is not None:
            analyzer.bind(v, low, low + extent - 1)
    length = as_int(op.axes[0].extent) if begin else None
    if length is not None:
        analyzer.bind(op.axes[0], begin, length - 1)
    for read in (r for b in op.body for r in certain_reads(b)):
        for k, (index, size) in enumerate(zip(read.indices, read.tensor.shape)):
            limit = as_int(size)
            if limit is None or not is_index(index.dtype):
                continue
            form = analyzer.linear(analyzer.simplify(index))
            low, high = analyzer.lower(form), analyzer.upper(form)
            if low is None or high is None or not all(t in loops for t in form.terms):
                continue
            if low < 0 or high >= limit:
                raise LoweringError(
                    f"{read} reads outside of {read.tensor}: the index {index} of axis {k} goes "
                    f"from {low} to {high}, the axis from 0 to {limit - 1}.",
                    where=op.name,
                    hint="change the shape, or guard the read with te.if_then_else",
                )


def certain_reads(e: Expr) -> Iterator[Read]:
    """The reads that happen whenever ``e`` is evaluated, each once."""
    stack, seen = [e], set[Expr]()
    while stack:
        n = stack.pop()
        if n in seen:
            continue
        seen.add(n)
        if isinstance(n, Reduce) and not (isinstance(n.condition, Const) and n.condition.value):
            continue
        if isinstance(n, Read):
            yield n
        for c in (n.cond,) if isinstance(n, Select) else reversed(children(n)):
            assert isinstance(c, Expr)
            stack.append(c)
