"""One fused group to its compiled form: schedule, lower, emit, and what is known about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...codegen import resolve
from ...ir.layout import Layout
from ...ir.schedule.schedule import Schedule
from ...ir.target import Target
from ...ir.tensor import Tensor
from ...runtime import knobs
from ...runtime.artifact import Param
from ...runtime.errors import CodegenError, LoweringError, WeftError
from ..graph.group import Group, GroupExpr, express
from ..graph.in_place import overwritable
from ..schedules import schedule
from ..schedules.choices import Choices, Config
from ..schedules.fragment import draws
from ..types import TensorType
from .compiled import CompiledGroup
from .facts import facts_of, trace_hash
from .flatten import flatten_places
from .foreign import refuse_calls
from .launches import Lowered, compiled_group, emit, lower_pieces

Types = Mapping[str, TensorType]
Constants = Mapping[str, np.ndarray]


def compile_kernel(
    group: Group,
    types: Types,
    constants: Constants,
    target: Target,
    symbol: str,
    config: Config | None = None,
) -> CompiledGroup:
    """One group, scheduled, lowered and emitted; ``config`` answers open questions of its schedule.

    What the target cannot compute is compiled for its fallback. Errors name the nodes of the group.
    """
    begin = time.perf_counter()
    choices = Choices(config)
    try:
        expr, s, layouts = schedule_group(group, types, constants, target, choices)
        refuse_calls(s, symbol)
        lowered = lower_group(expr, s, layouts, target, symbol, choices)
        if not target.distinct_buffers:
            lowered = _overlapping(lowered, expr, group, types)
        codes = emit(lowered, target)
    except WeftError as e:
        other = fallback(target)
        if other is not None and isinstance(e, CodegenError | LoweringError):
            made = compile_kernel(group, types, constants, other, symbol, config)
            return replace(made, device=other.kind, reason=e.message)
        where = group.where if e.where is None else f"{group.where}: {e.where}"
        raise type(e)(e.message, where=where, hint=e.hint) from e
    made = compiled_group(symbol, _params(expr, group, types), lowered, codes)
    if knobs.debug() >= 1:
        ms = (time.perf_counter() - begin) * 1e3
        text = f"weft: kernel {symbol} for {target.kind} {ms:.1f} ms: {group.label}"
        print(text, file=sys.stderr)
    stored = [types[n].layout for n in (*expr.inputs, *group.outputs)]
    facts = facts_of(expr.outputs, stored, choices, trace_hash(*lowered.schedules))
    return replace(made, facts=facts)


def _params(expr: GroupExpr, group: Group, types: Types) -> tuple[Param, ...]:
    accesses = [(n, "r") for n in expr.inputs] + [(n, "w") for n in group.outputs]
    return tuple(
        Param(f"p{k}", str(types[n].dtype), physical_shape(types[n]), access)
        for k, (n, access) in enumerate(accesses)
    )


def fallback(target: Target) -> Target | None:
    """The resolved target for what ``target`` cannot compute."""
    if not target.has_fallback:
        return None
    return resolve(replace(Target.parse(target.fallback), opt_level=target.opt_level))


def schedule_group(
    group: Group, types: Types, constants: Constants, target: Target, choices: Choices
) -> tuple[GroupExpr, Schedule, dict[Tensor, Layout]]:
    """The computation of a group, its schedule, and the layouts of what lies in memory."""
    if not (target.max_threads or target.texture_memory):
        types = flatten_places(group, types)
    expr = express(group, types, constants)
    layouts = layouts_of(expr, group, types)
    return expr, schedule(expr.outputs, target, layouts, choices), layouts


def layouts_of(expr: GroupExpr, group: Group, types: Types) -> dict[Tensor, Layout]:
    """The layouts of a group's inputs and results that are not row major."""
    return {
        tensor: layout
        for tensor, name in zip((*expr.placeholders, *expr.outputs), (*expr.inputs, *group.outputs))
        if (layout := types[name].layout) is not None
    }


def lower_group(
    expr: GroupExpr, s: Schedule, layouts: Mapping[Tensor, Layout], target: Target, symbol: str,
    choices: Choices | None = None,
) -> Lowered:  # fmt: skip
    """The loop nests of a scheduled group; ``choices`` answers what is open about draws."""
    args = (*expr.placeholders, *expr.outputs)
    return lower_pieces(s, args, target, symbol, layouts, choices=choices)


class Nest(NamedTuple):
    """A schedule that becomes one or more functions: its arguments, and their layouts."""

    schedule: Schedule
    args: tuple[Tensor, ...]
    layouts: Mapping[Tensor, Layout]


def nests_of(
    expr: GroupExpr, s: Schedule, layouts: Mapping[Tensor, Layout], target: Target, choices: Choices
) -> tuple[Nest, ...]:
    """The schedules that :func:`lower_group` carries out: that of the group, or of its draws."""
    if not target.texture_memory:
        return (Nest(s, (*expr.placeholders, *expr.outputs), layouts),)
    made = draws(expr.outputs, target, layouts, s.trace, choices)
    return tuple(Nest(d.schedule, d.args, d.layouts) for d in made)


def _overlapping(lowered: Lowered, expr: GroupExpr, group: Group, types: Types) -> Lowered:
    """``lowered``, told which of its parameters the memory plan may give the same bytes."""
    inputs = set(overwritable(group, types))
    if not inputs:
        return lowered
    names = (*expr.inputs, *group.outputs)
    return lowered.overlapping(
        frozenset(k for k, n in enumerate(names) if n in inputs or n in group.outputs)
    )


def physical_shape(t: TensorType) -> tuple[int, ...]:
    """The shape in storage."""
    return t.shape if t.layout is None else t.layout.physical_shape
