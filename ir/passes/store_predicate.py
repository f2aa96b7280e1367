"""``set_store_predicate``: the condition under which a stage stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...runtime.errors import ScheduleError
from ..expr import ZERO, Expr, IterVar, Var
from ..schedule.bounds import StageBounds
from ..schedule.stage import Stage
from ..stmt import For, ForKind, If, Stmt
from ..visit import substitute, variables
from .workgroup import Missing

if TYPE_CHECKING:
    from .loopnest import NestBuilder


def guarded_store(
    builder: NestBuilder,
    s: Stage,
    b: StageBounds,
    stmt: Stmt,
    missing: Missing,
    renamed: Mapping[Var, Expr] | None = None,
) -> Stmt:
    """``stmt``, which stores elements of ``s``, where the predicate of ``s`` holds. ``renamed``:
    loops of ``s`` that have other names around ``stmt``; ``missing``: hardware indices that have
    variables around ``s`` besides those of loops.

    Raises ScheduleError where the predicate is about something that is not there.
    """
    if s.store_predicate is None:
        return stmt
    groups = builder.workgroups
    values: dict[Var, Expr] = {a: builder.alias.get(a, a) for a in s.leaves if a.kind != "reduce"}
    values |= renamed or {}
    by_tag: dict[str, Expr] = {tag: a for tag, (a, _) in groups.around(s).items()}
    by_tag |= {tag: builder.alias.get(a, a) for tag, a in groups.tags[s].items()}
    by_tag |= {tag: v for v, tag in missing}
    others = groups.indices(s)
    opened: list[tuple[Var, Expr, str]] = []
    for v in variables(s.store_predicate):
        if isinstance(v, IterVar) and v.kind == "thread":
            if v.tag not in by_tag and v.tag in others:
                opened.append((Var(v.tag), others[v.tag], v.tag))
                by_tag[v.tag] = opened[-1][0]
            if v.tag in by_tag:
                values[v] = by_tag[v.tag]
        if v not in values:
            raise ScheduleError(
                f"set_store_predicate: {v.name} in {s.store_predicate} is neither a data loop of "
                f"{s.name} nor a hardware index that its kernel is bound to.\n{s.nest()}"
            )
    stmt = If(substitute(s.store_predicate, values), stmt)
    for v, n, tag in opened:
        stmt = For(v, ZERO, n, ForKind.BOUND, stmt, tag)
    return stmt
