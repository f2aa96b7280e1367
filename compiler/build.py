"""One kernel from a schedule: ``weft.build``."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..codegen import for_target
from ..ir.expr import Const, Expr, Var
from ..ir.layout import Layout
from ..ir.lower import lower
from ..ir.reads import check_reads
from ..ir.schedule import Schedule
from ..ir.simplify import simplify
from ..ir.stmt import Buffer, Function
from ..ir.target import Target
from ..ir.tensor import ComputeOp, PlaceholderOp, Tensor
from ..ir.visit import substitute
from ..runtime.errors import InputError, ScheduleError
from ..runtime.kernel import NativeKernel
from ..runtime.ndarray import address, aligned, is_ready


def build(
    schedule: Schedule,
    args: Sequence[Tensor | Var],
    target: str | Target = "llvm",
    name: str = "main",
    layouts: Mapping[Tensor, Layout] | None = None,
) -> KernelModule:
    """Compile one kernel.

    Parameters
    ----------
    args : its parameters in order: placeholders, results, scalar variables (``te.var``).
    layouts : how tensors lie in storage; their arrays are then given in physical shape.

    >>> A = te.placeholder((8,), name="A")
    >>> B = te.compute((8,), lambda i: A[i] + 1, name="B")
    >>> add_one = weft.build(te.create_schedule(B), [A, B])
    >>> add_one(np.zeros(8, np.float32), out)
    """
    if not name.isidentifier() or not name.isascii():
        raise ScheduleError(f"{name!r} cannot be the name of a kernel.", hint="use letters and _")
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            f"{type(schedule).__name__} is no schedule.",
            hint="see te.create_schedule",
        )
    for a in args:
        if not isinstance(a, (Tensor, Var)):
            raise ScheduleError(
                f"the argument {a!r} is {type(a).__name__}, neither a tensor nor a variable.",
                hint="give the placeholders, the results and the te.var of the computation",
            )
    for stage in schedule.stages:
        if isinstance(stage.op, ComputeOp):
            check_reads(stage.op)
    goal = Target.parse(target)
    goal = for_target(goal).resolve(goal)
    function = lower(schedule, args, goal, name, layouts)
    return KernelModule(function, tuple(args), dict(layouts or {}), goal)


class KernelModule:
    """A compiled kernel; call it with one array or integer per parameter.

    ``function`` is the lowered loop nest, ``source`` the LLVM IR after optimisation, ``assembly``
    the machine code as text, ``object`` the object file.
    """

    def __init__(
        self,
        function: Function,
        args: tuple[Tensor | Var, ...],
        layouts: Mapping[Tensor, Layout],
        target: Target,
    ):
        self.function, self.args, self.target = function, args, target
        self._layouts = layouts
        self._module = for_target(target).emit([function], target)
        self._writes = [isinstance(p, Buffer) and p in function.writes for p in function.params]
        self._native: NativeKernel | None = None

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def source(self) -> str:
        return self._module.source

    @property
    def assembly(self) -> str:
        return self._module.assembly

    @property
    def object(self) -> bytes:
        return self._module.object

    def __call__(self, *args: np.ndarray | int) -> None:
        """Run; results are written into the arrays given for them.

        Arrays that are not C-contiguous and 64-byte aligned are copied in, and out again when the
        kernel writes them. Raises :class:`InputError` on a wrong number, shape or dtype.
        """
        if len(args) != len(self.args):
            raise self._wrong(f"{len(args)} arguments were given for {len(self.args)} parameters")
        scalars = {p: self._integer(p, a) for p, a in zip(self.args, args) if isinstance(p, Var)}
        values: list[int] = []
        keep: list[tuple[np.ndarray, np.ndarray, bool]] = []
        for p, a, writes in zip(self.args, args, self._writes):
            if isinstance(p, Var):
                values.append(scalars[p])
                continue
            array = self._array(p, a, scalars, writes)
            ready = array if is_ready(array) else aligned(array)
            keep.append((array, ready, writes))
            values.append(address(ready))
        self._check_overlap(keep)
        if self._native is None:
            self._native = NativeKernel(self.name, self.object)
        self._native(values)
        for array, ready, writes in keep:
            if writes and ready is not array:
                array[...] = ready

    def _check_overlap(self, given: Sequence[tuple[np.ndarray, np.ndarray, bool]]) -> None:
        """Kernels rely on nothing else lying where they write."""
        for k, (a, _, a_written) in enumerate(given):
            for b, _, b_written in given[:k]:
                if (a_written or b_written) and np.may_share_memory(a, b):
                    raise self._wrong("an array that is written overlaps another one")

    def _integer(self, p: Var, value: Any) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            raise self._wrong(f"{p.name} is {type(value).__name__}, not an integer") from None
        if not p.dtype.min <= number <= p.dtype.max:
            raise self._wrong(f"{p.name} = {number} does not fit into {p.dtype}")
        return number

    def _array(self, p: Tensor, value: Any, scalars: Mapping[Var, int], writes: bool) -> np.ndarray:
        if not isinstance(value, np.ndarray):
            raise self._wrong(f"{p.name} is {type(value).__name__}, not a numpy array")
        layout = self._layouts.get(p)
        shape = layout.physical_shape if layout else tuple(_extent(d, scalars) for d in p.shape)
        if value.dtype != p.dtype.numpy or value.shape != shape:
            raise self._wrong(
                f"{p.name} is {value.dtype}{list(value.shape)}, not {p.dtype}{list(shape)}"
            )
        if writes and not value.flags.writeable:
            raise self._wrong(f"{p.name} is written and its array is read-only")
        return value

    def _wrong(self, message: str) -> InputError:
        return InputError(f"{message}.\n  parameters: {self._signature()}", where=self.name)

    def _signature(self) -> str:
        def text(p: Tensor | Var) -> str:
            if isinstance(p, Var):
                return f"{p.name}: {p.dtype}"
            role = "" if isinstance(p.op, PlaceholderOp) else " (result)"
            return f"{p}{role}"

        return ", ".join(map(text, self.args))

    def __repr__(self) -> str:
        return f"<KernelModule {self.name}({self._signature()}) for {self.target.kind}>"


def _extent(e: Expr, scalars: Mapping[Var, int]) -> int:
    value = simplify(substitute(e, {v: Const(n, v.dtype) for v, n in scalars.items()}))
    assert isinstance(value, Const), f"the extent {e} depends on more than the scalar parameters"
    return int(value.value)
