"""Whether the boxes of a result that is computed at a loop come to the whole result.

A result has storage of its own, all of it, wherever it is computed. Inside of a loop each iteration
computes a box; together they must be the whole domain, and should be it once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ...runtime.errors import ScheduleError
from ..alu import Op
from ..expr import Binary, Const, Expr, IterVar, Var, as_int, binary, is_const
from ..simplify import Analyzer
from ..stmt import ForKind
from ..visit import variables
from .bounds import Box, bind_extent
from .stage import Stage

MAX_POINTS = 1 << 20  # iterations that are looked at one by one


def check_result(s: Stage, box: Box, outside: Mapping[IterVar, Expr]) -> None:
    """Raise ScheduleError unless the result ``s`` is computed completely by the iterations of the
    loops ``outside``, and once where computing it again would be a race."""
    assert s.attach.stage is not None and s.attach.axis is not None
    where = f"{s.name} is a result and is computed at {s.attach.axis.name} of {s.attach.stage.name}"
    an = Analyzer()
    for v, e in outside.items():
        bind_extent(an, v, e)
    box = [(an.simplify(low), an.simplify(extent)) for low, extent in box]
    times = _by_form(s, box, outside, an) or _by_counting(s, box, outside)
    shown = ", ".join(f"{a.name} from {low} on, {n} long" for a, (low, n) in zip(s.axes, box))
    if times is None or times == "partly":
        found = "do not come to" if times else "cannot be shown to come to"
        raise ScheduleError(
            f"{where}, but the parts that are computed there ({shown}) {found} the whole of it.\n"
            f"{s.attach.stage.nest()}",
            hint=f"leave {s.name} at the root, or compute a copy there: cache_write",
        )
    racing = [
        a.name for a in outside
        if any(
            o.annotations[a].kind in (ForKind.PARALLEL, ForKind.BOUND)
            for o in s.schedule.stages if a in o.annotations
        )
    ]  # fmt: skip
    if times == "again" and s.reduce_axes and racing:
        raise ScheduleError(
            f"{where}, where elements are computed more than once ({shown}); threads of "
            f"{', '.join(racing)} would race for its sums.\n{s.attach.stage.nest()}",
            hint=f'sum in registers: cache_write of {s.name} in "local" scope, computed at the '
            "same loop",
        )


def _by_form(s: Stage, box: Box, outside: Mapping[IterVar, Expr], an: Analyzer) -> str | None:
    """Once or again, where each axis is whole or is cut into equal parts by one loop."""
    used: set[Var] = set()
    again = False
    for a, (low, extent) in zip(s.axes, box):
        if is_const(low, 0) and an.prove(binary(Op.LE, a.extent, extent)):
            continue
        step, loop = (as_int(low.b), low.a) if _is(low, Op.MUL) else (1, low)  # type: ignore[attr-defined]
        size = as_int(extent)
        if not isinstance(loop, IterVar) or loop not in outside or loop in used:
            return None
        if step is None or size is None or not 0 < step <= size:
            return None
        last = (outside[loop] - 1) * step + size
        if not an.prove(binary(Op.LE, a.extent, last)) and not _parts(
            outside[loop], a.extent, step, an
        ):
            return None
        used.add(loop)
        again = again or step < size
    rest = [e for v, e in outside.items() if v not in used]
    return "again" if again or any(as_int(e) != 1 for e in rest) else "once"


def _parts(count: Expr, whole: Expr, step: int, an: Analyzer) -> bool:
    """Whether ``count`` is ``whole / step`` rounded up, as a split makes it."""
    up = isinstance(count, Binary) and count.op is Op.FLOORDIV and as_int(count.b) == step
    return up and an.prove(binary(Op.LE, whole, count.a - (step - 1)))  # type: ignore[attr-defined]


def _is(e: Expr, op: Op) -> bool:
    return isinstance(e, Binary) and e.op is op


def _by_counting(s: Stage, box: Box, outside: Mapping[IterVar, Expr]) -> str | None:
    """Once, again, or partly, from the boxes of all iterations; None where they cannot be had."""
    sizes = {v: as_int(e) for v, e in outside.items()}
    lengths = [as_int(e) for _, e in box]
    wanted = [as_int(a.extent) for a in s.axes]
    known = [n for n in (*sizes.values(), *lengths, *wanted) if n is not None]
    if len(known) < len(sizes) + 2 * len(box):
        return None
    used = [v for v in outside if any(v in variables(low) for low, _ in box)]
    shape = [sizes[v] or 0 for v in used]
    if math.prod(shape) > MAX_POINTS:
        return None
    at: dict[Var, np.ndarray] = dict(zip(used, np.indices(shape).reshape(len(used), -1)))
    lows = [_value(low, at) for low, _ in box]
    if any(x is None for x in lows):
        return None
    table = np.stack([np.broadcast_to(x, (math.prod(shape),)) for x in lows if x is not None])
    distinct = np.unique(table, axis=1)
    places = [np.unique(row) for row in distinct]
    if math.prod(map(len, places)) != distinct.shape[1]:
        return "partly"  # not every combination
    again = distinct.shape[1] < math.prod(n or 0 for n in sizes.values())
    for row, length, end in zip(places, lengths, wanted):
        assert length is not None and end is not None
        steps = np.diff(row)
        if row[0] > 0 or row[-1] + length < end or np.any(steps > length):
            return "partly"
        again = again or bool(np.any(steps < length))
    return "again" if again else "once"


_NUMPY: dict[Op, Callable] = {
    Op.ADD: np.add, Op.SUB: np.subtract, Op.MUL: np.multiply, Op.FLOORDIV: np.floor_divide,
    Op.FLOORMOD: np.mod, Op.MIN: np.minimum, Op.MAX: np.maximum,
}  # fmt: skip


def _value(e: Expr, at: Mapping[Var, np.ndarray]) -> np.ndarray | None:
    if isinstance(e, Const):
        return np.array(int(e.value))
    if isinstance(e, Var):
        return at.get(e)
    if not isinstance(e, Binary) or e.op not in _NUMPY:
        return None
    a, b = _value(e.a, at), _value(e.b, at)
    return None if a is None or b is None else _NUMPY[e.op](a, b)
