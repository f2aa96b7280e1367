"""Symbolic sizes of a kernel: which variables a call must find, where, and extents as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...ir.alu import Op
from ...ir.expr import Binary, Const, Expr, IterVar, Var
from ...ir.operations.extern import ExternOp
from ...ir.schedule.schedule import Schedule
from ...ir.simplify import simplify
from ...ir.stmt import Alloc, For, Function, Let
from ...ir.tensor import ComputeOp, Tensor
from ...ir.visit import variables, walk
from ...runtime.errors import LoweringError, ScheduleError
from ...runtime.sizes import Size

_OPERATORS = {
    Op.ADD: "+", Op.SUB: "-", Op.MUL: "*", Op.FLOORDIV: "//", Op.FLOORMOD: "%", Op.MIN: "min",
    Op.MAX: "max",
}  # fmt: skip

Names = Mapping[Var, str]


def size_of_expr(e: Expr, names: Names) -> Size:
    """An extent as data, its variables by ``names``.

    Raises :class:`LoweringError` where it is more than arithmetic of size variables.
    """
    if isinstance(e, Const) and e.dtype.is_int:
        return int(e.value)
    if isinstance(e, Var) and e in names:
        return names[e]
    if isinstance(e, Binary) and e.op in _OPERATORS:
        return (_OPERATORS[e.op], size_of_expr(e.a, names), size_of_expr(e.b, names))
    raise LoweringError(
        f"the extent {e} cannot be computed before a kernel is launched.",
        hint="extents of tensors are sums, products, quotients and extrema of te.var's",
    )


@dataclass(frozen=True)
class KernelSizes:
    """The variables of a kernel. ``hidden`` are those that are no argument: a call finds them by
    itself, which makes them parameters behind the arguments. ``names`` are all that an extent may
    depend on; ``places`` says where a call finds each: an argument's number and an axis of it, -1
    where it is the argument."""

    hidden: tuple[Var, ...]
    names: Names
    places: Mapping[Var, tuple[int, int]]

    def in_shapes(
        self, schedule: Schedule, args: Sequence[Tensor | Var]
    ) -> dict[Var, tuple[int, int]]:
        """The ``places`` of those that an extent depends on."""
        tensors = [a for a in args if isinstance(a, Tensor)]
        tensors += [t for s in schedule.stages for t in s.op.outputs]
        extents = [n for t in tensors for n in t.shape]
        extents += [a.extent for s in schedule.stages for a in s.reduce_axes]
        used = {v for n in extents for v in variables(n)}
        return {v: place for v, place in self.places.items() if v in used}


def find_sizes(schedule: Schedule, args: Sequence[Tensor | Var]) -> KernelSizes:
    """The size variables of a kernel with the parameters ``args``.

    Raises :class:`ScheduleError` for a variable that is no argument and that no array says: it
    must be all of an extent of an argument.
    """
    given = {a: k for k, a in enumerate(args) if isinstance(a, Var)}
    places: dict[Var, tuple[int, int]] = {v: (k, -1) for v, k in given.items() if v.dtype.is_int}
    # Inputs first: without arrays for its results, a call still knows what they say.
    results = set(schedule.outputs)
    tensors = [(k, a) for k, a in enumerate(args) if isinstance(a, Tensor)]
    for k, a in sorted(tensors, key=lambda item: item[1] in results):
        for axis, extent in enumerate(a.shape):
            if isinstance(extent, Var) and extent not in places:
                places[extent] = (k, axis)
    needed: dict[Var, None] = {}
    for e in _expressions(schedule, args):
        for v in sorted(variables(e), key=lambda v: v.name):
            if not isinstance(v, IterVar):
                needed[v] = None
    for v in needed:
        if v not in given and v not in places:
            raise _nowhere(v, args)
    hidden = tuple(v for v in needed if v not in given)
    return KernelSizes(hidden, _named(places), places)


def _nowhere(v: Var, args: Sequence[Tensor | Var]) -> ScheduleError:
    shapes = ", ".join(str(a) for a in args if isinstance(a, Tensor)) or "none"
    within = any(v in variables(n) for a in args if isinstance(a, Tensor) for n in a.shape)
    why = "no axis of an array is just that" if within else "no array has an axis of that size"
    return ScheduleError(
        f"the variable {v.name} ({v.dtype}) is not among the arguments, and {why}.\n"
        f"  arrays: {shapes}",
        hint=f"give it: weft.build(s, [{v.name}, …]), and its value at each call",
    )


def _expressions(schedule: Schedule, args: Iterable[Tensor | Var]) -> Iterable[Expr]:
    for a in args:
        if isinstance(a, Tensor):
            yield from a.shape
    for s in schedule.stages:
        for t in s.op.outputs:
            yield from t.shape
        if isinstance(s.op, ComputeOp):
            for axis in (*s.axes, *s.reduce_axes):
                yield axis.minimum
                yield axis.extent
            yield from s.body
        elif isinstance(s.op, ExternOp):
            nodes = list(walk(s.op.body))
            own = {n.var for n in nodes if isinstance(n, For | Let)}
            yield from (n for n in nodes if isinstance(n, Var) and n not in own)


def _named(variables: Iterable[Var]) -> dict[Var, str]:
    """A name of its own for each variable."""
    names: dict[Var, str] = {}
    for v in variables:
        name, k = v.name, 0
        while name in names.values():
            k += 1
            name = f"{v.name}_{k}"
        names[v] = name
    return names


def extents_of(f: Function, names: Names) -> tuple[Size, ...]:
    """The extents of loops and buffers inside of a function that a call decides about; those that
    depend on loops or on data are the kernel's own business."""
    found: dict[Size, None] = {}
    for n in walk(f.body):
        shape = (
            (n.extent,) if isinstance(n, For) else n.buffer.shape if isinstance(n, Alloc) else ()
        )
        for e in shape:
            used = variables(e)
            if used and used <= names.keys():
                try:
                    found[size_of_expr(simplify(e), names)] = None
                except LoweringError:
                    continue
    return tuple(n for n in found if isinstance(n, tuple))


__all__ = ["KernelSizes", "Names", "extents_of", "find_sizes", "size_of_expr"]
