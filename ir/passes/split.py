"""``split_host_device``: what the host must know to launch a kernel with hardware-bound loops.

The body stays whole; ``attrs["launch"]`` gets the extent of every hardware index. A kernel without
bound loops (every CPU kernel) is left as it is.
"""

from __future__ import annotations

from types import MappingProxyType

from ...runtime.errors import LoweringError
from ..expr import Expr, Var, as_int, is_const
from ..simplify import simplify
from ..stmt import Attrs, For, ForKind, Function
from ..target import Target
from ..visit import structural_equal, variables, walk


def split_host_device(f: Function, target: Target) -> Function:
    """Record ``attrs["launch"]``: tag -> extent, an int or an expression of the parameters.

    Raises
    ------
    LoweringError : loops bound to one hardware index differ in extent, one does not start at 0,
        or an extent is not known before the launch.
    """
    launch: dict[str, Expr] = {}
    scalars = {p for p in f.params if isinstance(p, Var)}
    for s in walk(f.body):
        if not isinstance(s, For) or s.kind is not ForKind.BOUND:
            continue
        extent = simplify(s.extent)
        if not is_const(s.minimum, 0):
            raise _error(s, f"starts at {s.minimum}; a hardware index starts at 0")
        if not variables(extent) <= scalars:
            raise _error(s, f"has the extent {extent}, which is not known before the launch")
        first = launch.setdefault(s.tag, extent)
        if not structural_equal(first, extent):
            raise _error(s, f"has the extent {extent}, another one bound to {s.tag} has {first}")
    if not launch:
        return f
    plain = {tag: n if (number := as_int(n)) is None else number for tag, n in launch.items()}
    attrs: Attrs = {**f.attrs, "launch": MappingProxyType(plain)}
    return Function(f.name, f.params, f.body, f.writes, attrs)


def _error(s: For, problem: str) -> LoweringError:
    return LoweringError(
        f"the loop {s.var.name} bound to {s.tag} {problem}:\n{s}",
        where="split_host_device",
        hint="split the axis so that all loops bound to one index have the same constant extent",
    )
