"""Branches and loops of ML programs."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import FileModel
from ..tensorflow.ops_flow import choice, loop
from .mil_context import MilContext, MilConverter


def _block(n: MilContext, k: int) -> FileModel:
    found = n.attr(f"block{k}", None)
    if found is None:
        n.error(f"it has no block {k}.")
    return found


def _cond(n: MilContext) -> Sequence[str]:
    n.arg("pred")
    then, other = _block(n, 0), _block(n, 1)
    if len(then.outputs) != n.n_outputs or len(other.outputs) != n.n_outputs:
        n.error("its blocks make other numbers of values than it does.")
    return choice(n, then, other)


def _while_loop(n: MilContext) -> Sequence[str]:
    count = len(n.args("loop_vars"))
    going, body = _block(n, 0), _block(n, 1)
    if len(going.outputs) != 1 or len(body.outputs) != count:
        n.error(f"its blocks do not make a condition and {count} values.")
    return loop(n, going, body, count)


CONVERTERS: dict[str, MilConverter] = {"cond": _cond, "while_loop": _while_loop}
