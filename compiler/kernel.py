"""One fused group to one native kernel, and what is known about it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..codegen import for_target
from ..ir.expr import Binary, Call, Const, Expr, Read, Reduce, Select, Unary, as_int
from ..ir.layout import Layout
from ..ir.lower import lower
from ..ir.schedule import Schedule
from ..ir.stmt import Function
from ..ir.target import Target
from ..ir.tensor import ComputeOp, Operation, Tensor
from ..ir.visit import children
from ..runtime import knobs
from ..runtime.artifact import Param
from ..runtime.errors import CodegenError, LoweringError, WeftError
from .cache import CachedKernel
from .flatten import flatten_places
from .group import Group, GroupExpr, express
from .in_place import overwritable
from .launches import compile_draws, compile_launches
from .schedules import schedule
from .schedules.choices import Choices, Config
from .types import TensorType

Types = Mapping[str, TensorType]
Constants = Mapping[str, np.ndarray]


def compile_kernel(
    group: Group,
    types: Types,
    constants: Constants,
    target: Target,
    symbol: str,
    config: Config | None = None,
) -> CachedKernel:
    """The kernel of one group; ``config`` answers open questions of its schedule.

    Errors name the nodes of the group.
    """
    begin = time.perf_counter()
    choices = Choices(config)
    try:
        if target.texture_memory:
            return _draws(group, types, constants, target, symbol)
        expr, s, layouts = schedule_group(group, types, constants, target, choices)
        trace = trace_hash(s)
        if target.max_threads:
            kernel = compile_launches(expr, group, types, layouts, s, target, symbol)
            return replace(kernel, facts=_facts(expr, group, types, choices, trace))
        function = lower_group(expr, s, layouts, target, symbol)
        if not target.distinct_buffers:
            function = _overlapping(function, expr, group, types)
        code = for_target(target).emit([function], target).object
    except WeftError as e:
        other = fallback(target)
        if other is not None and isinstance(e, CodegenError | LoweringError):
            kernel = compile_kernel(group, types, constants, other, symbol, config)
            return replace(kernel, device=other.kind, reason=e.message)
        where = group.where if e.where is None else f"{group.where}: {e.where}"
        raise type(e)(e.message, where=where, hint=e.hint) from e
    if knobs.debug() >= 1:
        ms = (time.perf_counter() - begin) * 1e3
        print(f"weft: kernel {symbol} {ms:.1f} ms: {group.label}", file=sys.stderr)
    params = []
    for name, access in [(n, "r") for n in expr.inputs] + [(n, "w") for n in group.outputs]:
        t = types[name]
        params.append(Param(f"p{len(params)}", str(t.dtype), physical_shape(t), access))
    facts = _facts(expr, group, types, choices, trace)
    return CachedKernel(symbol, tuple(params), code, facts=facts)


def _facts(
    expr: GroupExpr, group: Group, types: Types, choices: Choices, trace: str
) -> dict[str, Any]:
    """What reports and records want to know of a kernel."""
    layouts = [types[n].layout for n in (*expr.inputs, *group.outputs)]
    return {
        "flops": count_flops(expr.outputs),
        "layouts": ["" if x is None else layout_name(x) for x in layouts],
        "choices": {k: list(v) if isinstance(v, tuple) else v for k, v in choices.taken.items()},
        "tuned": not choices.is_default,
        "trace": trace,
    }


def fallback(target: Target) -> Target | None:
    """The resolved target for what ``target`` cannot compute."""
    if target.fallback in ("", "none"):
        return None
    other = Target.parse(target.fallback)
    return for_target(other).resolve(replace(other, opt_level=target.opt_level))


def _draws(
    group: Group, types: Types, constants: Constants, target: Target, symbol: str
) -> CachedKernel:
    """A group on a device that draws: one kernel for each of its results and intermediates."""
    expr = express(group, types, constants)
    layouts = layouts_of(expr, group, types)
    return compile_draws(expr, group, types, layouts, target, symbol)


def schedule_group(
    group: Group, types: Types, constants: Constants, target: Target, choices: Choices
) -> tuple[GroupExpr, Schedule, dict[Tensor, Layout]]:
    """The computation of a group, its schedule, and the layouts of what lies in memory."""
    if not target.max_threads:
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


def trace_hash(s: Schedule) -> str:
    """16 hexadecimal digits: equal for configurations that give the same schedule."""
    return hashlib.sha256(s.trace.to_json().encode()).hexdigest()[:16]


def lower_group(
    expr: GroupExpr, s: Schedule, layouts: Mapping[Tensor, Layout], target: Target, symbol: str
) -> Function:
    """The loop nest of a scheduled group."""
    return lower(s, (*expr.placeholders, *expr.outputs), target, symbol, layouts)


def _overlapping(f: Function, expr: GroupExpr, group: Group, types: Types) -> Function:
    """``f``, told which of its parameters the memory plan may give the same bytes."""
    inputs = set(overwritable(group, types))
    if not inputs:
        return f
    names = (*expr.inputs, *group.outputs)
    shared = frozenset(
        p for p, n in zip(f.params, names, strict=True) if n in inputs or n in group.outputs
    )
    return replace(f, attrs={**f.attrs, "overlap": shared})


def physical_shape(t: TensorType) -> tuple[int, ...]:
    """The shape in storage."""
    return t.shape if t.layout is None else t.layout.physical_shape


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
        if op in seen or not isinstance(op, ComputeOp):
            continue
        seen.add(op)
        work += [t.op for t in op.inputs]
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


def _arithmetic(e: Expr) -> int:
    """Operations on floats in an expression, outside of indices and conditions."""
    if isinstance(e, Read | Const):
        return 0
    if isinstance(e, Select):
        return max(_arithmetic(e.if_true), _arithmetic(e.if_false))
    own = isinstance(e, Binary | Unary | Call) and e.dtype.is_float
    below = (n for n in children(e) if isinstance(n, Expr))
    return int(own) + sum(map(_arithmetic, below))
