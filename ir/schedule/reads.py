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


def check_reads(op: ComputeOp) -> None:
    """Raise :class:`LoweringError` if a computation of constant extents reads outside."""
    loops = (*op.axes, *op.reduce_axes)
    analyzer = Analyzer()
    for v in loops:
        low, extent = as_int(v.minimum), as_int(v.extent)
        if low is None or not extent:
            return  # symbolic, or nothing is computed
        analyzer.bind(v, low, low + extent - 1)
    for read in (r for b in op.body for r in _certain(b)):
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


def _certain(e: Expr) -> Iterator[Read]:
    """The reads that happen whenever ``e`` is evaluated."""
    if isinstance(e, Reduce) and not (isinstance(e.condition, Const) and e.condition.value):
        return
    if isinstance(e, Read):
        yield e
    for c in (e.cond,) if isinstance(e, Select) else children(e):
        assert isinstance(c, Expr)
        yield from _certain(c)
