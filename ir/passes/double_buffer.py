"""``double_buffer`` of a stage: the next tile is copied while the present one is used.

    for k in n:                       if 0 < n: X0 = tile(0)
        X = tile(k)                   for p in n // 2:
        use(X, k)              ->         X1 = tile(2·p + 1)
                                          use(X0, 2·p)
                                          if 2·p + 2 < n: X0 = tile(2·p + 2)
                                          use(X1, 2·p + 1)
                                      if n % 2 == 1: use(X0, n - 1)

The two halves are two buffers, so that registers may hold them, and so that it is plain to see that
a copy and the use beside it do not meet: threads wait once a tile where one buffer takes two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..builders import equal
from ..expr import ZERO, Expr, IterVar, Load, Var, as_int, binary, const
from ..schedule.stage import Stage
from ..stmt import Buffer, For, ForKind, If, Stmt, Store, allocated, seq
from ..visit import Mutator, substitute


def in_turns(
    loop: Stmt,
    stages: Sequence[Stage],
    copies: Stmt,
    buffers: Sequence[Buffer],
) -> Stmt:
    """``loop``, each iteration of which uses what ``copies`` writes into ``buffers`` of the
    ``stages``.

    Raises ScheduleError where the iterations of the loop do not come one after another.
    """
    names = ", ".join(s.name for s in stages)
    if not isinstance(loop, For) or loop.kind not in (ForKind.SERIAL, ForKind.UNROLLED):
        what = f"bound to {loop.tag}" if isinstance(loop, For) and loop.tag else "no serial loop"
        raise ScheduleError(
            f"double_buffer of {names}: the loop that it is computed at is {what}; its "
            "iterations do not come one after another.",
            hint="compute the stage at a serial loop, such as the outer part of a reduction",
        )
    use = loop.body
    n, second = loop.extent, [replace(b, name=f"{b.name}.next") for b in buffers]
    if as_int(n) == 1:
        body = seq(copies, use)
        return allocated(buffers, replace(loop, body=body))
    other = _Renamed(dict(zip(buffers, second)))

    def at(s: Stmt, index: Expr, odd: bool = False) -> Stmt:
        s = substitute(s, {loop.var: index})
        return other(s) if odd else s

    pair = Var(f"{loop.var.name}.pair")
    even = pair * 2
    body = seq(
        at(copies, even + 1, True),
        at(use, even),
        _where(binary(Op.LT, even + 2, n), at(copies, even + 2)),
        at(use, even + 1, True),
    )
    turns = For(pair, ZERO, n // 2, loop.kind, body, "", loop.pragmas)
    first = _where(binary(Op.LT, ZERO, n), at(copies, ZERO))
    last = _where(equal(n % 2, const(1)), at(use, n - 1))
    return allocated([*buffers, *second], seq(first, turns, last))


def _where(cond: Expr, s: Stmt) -> Stmt | None:
    known = as_int(cond)
    return If(cond, s) if known is None else s if known else None


def turns_of(children: Sequence[Stage], axis: IterVar) -> tuple[list[Stage], list[Stage]]:
    """The stages that are computed at a loop, as (copied ahead, part of the use).

    Raises ScheduleError where a stage that is copied ahead needs one that is not.
    """
    ahead = [c for c in children if c.double_buffered]
    rest = [c for c in children if not c.double_buffered]
    for c in rest:
        for d in ahead:
            if c.feeds(d):
                raise ScheduleError(
                    f"double_buffer of {d.name}: it is computed ahead from {c.name}, which the "
                    f"same loop {axis.name} computes.",
                    hint=f"double_buffer {c.name} as well, or compute it further out",
                )
    return ahead, rest


class _Renamed(Mutator):
    def __init__(self, buffers: dict[Buffer, Buffer]):
        super().__init__()
        self.buffers = buffers

    def visit_Load(self, e: Load) -> Expr:
        new = self.rebuild(e)
        other = self.buffers.get(e.buffer)
        return new if other is None else Load(other, new.indices, new.predicate)

    def visit_Store(self, s: Store) -> Stmt:
        new = self.rebuild(s)
        other = self.buffers.get(s.buffer)
        return new if other is None else Store(other, new.indices, new.value, new.predicate)
