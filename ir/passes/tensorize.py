"""The statements of a stage that is computed by a tensor intrinsic."""

from __future__ import annotations

from collections.abc import Callable

from ...runtime.errors import LoweringError
from ..expr import ZERO, Expr, Load
from ..schedule.bounds import StageBounds
from ..schedule.intrinsics import TensorIntrin, View, matched_reads
from ..schedule.stage import Stage
from ..stmt import Buffer, Stmt
from ..visit import substitute


def emit(
    intrin: TensorIntrin,
    stage: Stage,
    bounds: StageBounds,
    to_load: Callable[[Expr], Expr],
    where: tuple[Expr, ...],
    output: Buffer,
) -> tuple[Stmt | None, Stmt]:
    """The statements (initialise, update) of a tensorised block."""
    assert stage.intrin is not None
    axis = stage.intrin[0]
    reads = matched_reads(stage, axis, intrin, bounds.extents)
    if bounds.guards:
        raise LoweringError(
            f"{stage.name} is tensorised by {intrin.name}, but its region is not a whole number of "
            f"blocks.\n{stage.nest()}"
        )
    inner = stage.leaves[stage.leaves.index(axis) :]
    data = [a for a in inner if a.kind != "reduce"]
    loops = dict(
        zip(
            (*intrin.op.axes, *intrin.op.reduce_axes),
            (*data, *(a for a in inner if a.kind == "reduce")),
        )
    )
    views = []
    for t in intrin.inputs:
        load = to_load(reads[t])
        assert isinstance(load, Load)
        axes = tuple(loops[a] for a in intrin.axes_of(t))
        still = {a: ZERO for a in inner if a not in axes}  # loops of one trip
        views.append(View(load.buffer, tuple(substitute(i, still) for i in load.indices), axes))
    return intrin.body(views, View(output, where, tuple(data)))
