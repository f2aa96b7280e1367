"""How often the loops of a kernel turn in one thread, for devices that stop counting.

Mesa's llvmpipe (OpenGL, and lavapipe's Vulkan under WebGPU) leaves all loops of a shader, silently,
after 65,535 turns of a thread together (``LP_MAX_TGSI_LOOP_ITERATIONS``). Our own rules cut sums
that long (``schedules/measured.py``); a schedule of the user's own is refused in words.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.expr import as_int
from ...ir.stmt import For, ForKind, Function, Let, Stmt
from ...ir.target import Target
from ...ir.visit import children
from ...runtime.devices.probe import kinds, probe
from ...runtime.errors import DeviceError
from ..schedules.measured import MOST_TURNS


def turns(s: Stmt) -> int:
    """Turns of all loops of one thread, branches taken for granted; a loop whose extent only a call
    knows counts as one turn."""
    while isinstance(s, Let):  # hundreds may stand in a row
        s = s.body
    inner = sum(turns(c) for c in children(s) if isinstance(c, Stmt))
    if not isinstance(s, For) or s.kind is ForKind.BOUND:
        return inner
    n = as_int(s.extent)
    return inner + 1 if n is None else n * (inner + 1)


def check_turns(functions: Sequence[Function], target: Target) -> None:
    """Raises :class:`DeviceError` where this machine's device for ``target`` would leave a loop
    early; processors never do."""
    kind = target.kind
    if not (target.max_threads or target.texture_memory):
        return
    most = max((turns(f.body) for f in functions), default=0)
    if most < MOST_TURNS or kind not in kinds():
        return
    found = probe(kind)
    limit = found.limits.get("loop_turns", 0)
    if limit and most > limit:
        raise DeviceError(
            f"a thread of the kernel {functions[0].name} makes {most} turns of loops; "
            f"{found.description} leaves all loops after {limit}, and the result would be wrong.",
            hint="share the work: bind more of it to blocks and threads, rfactor or split the "
            "reduction into stages, unroll the innermost loop, or let te.auto_schedule do it",
        )


__all__ = ["check_turns", "turns"]
