"""One kernel from a schedule: ``weft.build``."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ...codegen import for_target
from ...ir.expr import Const, Expr, Var, as_int
from ...ir.layout import Layout
from ...ir.schedule.reads import check_reads
from ...ir.schedule.schedule import Schedule
from ...ir.simplify import simplify
from ...ir.stmt import Function
from ...ir.target import Target
from ...ir.tensor import ComputeOp, PlaceholderOp, Tensor
from ...ir.visit import substitute
from ...runtime.artifact import Param, Slot
from ...runtime.devices.table import runner_of
from ...runtime.dtype import dtype_of
from ...runtime.errors import CodegenError, InputError, ScheduleError
from ...runtime.executor import Executable
from ...runtime.runner import Runner
from ..schedules.choices import Choices
from .calls import Calls
from .facts import facts_of, trace_hash
from .launches import Lowered, compiled_group, emit, lower_pieces
from .link import link


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
    symbol = name
    if goal.max_threads or goal.texture_memory:
        _refuse_numbers(args, name, goal)
        # Words such as main, float and kernel are taken in the languages of devices.
        symbol = f"{name}_kernel"
    known = dict(layouts or {})
    lowered = lower_pieces(schedule, args, goal, symbol, known)
    return KernelModule(name, lowered, tuple(args), known, goal)


def _refuse_numbers(args: Sequence[Tensor | Var], name: str, target: Target) -> None:
    for p in args:
        if isinstance(p, Var):
            raise CodegenError(
                f"the parameter {p.name} is a number; kernels for {target.kind} take arrays.",
                where=name,
                hint="compile for constant extents, or for llvm",
            )


class KernelModule:
    """A compiled kernel: the program of one group. Call it with one array or integer per parameter.

    ``functions`` are the lowered loop nests: one, and on a device as many as it launches or draws;
    ``function`` is the first. ``source`` is the code as text (for a processor the LLVM IR after
    optimisation), ``assembly`` the machine code as text, or the source again where a driver makes
    that, ``object`` the object file or text that is loaded.
    """

    def __init__(
        self,
        name: str,
        lowered: Lowered,
        args: tuple[Tensor | Var, ...],
        layouts: Mapping[Tensor, Layout],
        target: Target,
    ):
        self.name, self.functions, self.args, self.target = name, lowered.functions, args, target
        self._layouts, self._schedules = layouts, lowered.schedules
        self._codes = emit(lowered, target)
        written = {
            n
            for piece in lowered.pieces
            for p, n in zip(piece.function.params, piece.args)
            if p in piece.function.writes
        }
        self._writes = [n in written for n in range(len(args))]
        self._group = compiled_group(self.function.name, self._params(), lowered, self._codes)
        self._lock = threading.Lock()
        self._runner: Runner | None = None

    @property
    def function(self) -> Function:
        """The first (on a CPU: the only) loop nest, lowered."""
        return self.functions[0]

    @property
    def source(self) -> str:
        """What the generator wrote for all launches: LLVM IR, or text in the target's language."""
        return "\n".join(c.source for c in self._codes)

    @property
    def assembly(self) -> str:
        """The assembly of all launches, where the target has one; see ``KernelCode.assembly``."""
        return "\n".join(c.assembly for c in self._codes)

    @property
    def object(self) -> bytes:
        """What a package stores of all launches: object code, or the text again."""
        return b"\n".join(c.object for c in self._codes)

    @cached_property
    def executable(self) -> Executable:
        """The program of this kernel: its inputs ``p0``, ``p1``, … are the parameters that it only
        reads, its outputs those that it writes. For profiles, and to be saved.

        Raises :class:`CodegenError` when the target's linker is missing or fails.
        """
        codes, holders = link([self._group], self.target)
        calls = Calls(holders)
        slots = [
            calls.slot(_slot(p, self._layouts.get(a) if isinstance(a, Tensor) else None))
            for p, a in zip(self._group.params, self.args)
        ]
        calls.call(replace(self._group, facts=self._facts()), slots, self.name)
        named = {p.name: n for p, n in zip(self._group.params, slots)}
        results = {p.name: named.pop(p.name) for p in self._group.params if p.access == "w"}
        return Executable(calls.program(self.name, self.target, named, results, {}), codes, {})

    def _facts(self) -> dict[str, Any]:
        tensors = [a for a in self.args if isinstance(a, Tensor)]
        results = tuple(a for a, w in zip(self.args, self._writes) if w and isinstance(a, Tensor))
        layouts = [self._layouts.get(t) for t in tensors]
        return facts_of(results, layouts, Choices(), trace_hash(*self._schedules))

    def _params(self) -> tuple[Param, ...]:
        """The parameters; an extent that only a call knows is -1."""
        made = []
        for k, (p, writes) in enumerate(zip(self.args, self._writes)):
            if isinstance(p, Var):
                made.append(Param(f"p{k}", str(p.dtype), (), "s"))
                continue
            layout = self._layouts.get(p)
            extents = (as_int(n) for n in p.shape)
            shape = layout.physical_shape if layout else (-1 if n is None else n for n in extents)
            made.append(Param(f"p{k}", str(p.dtype), tuple(shape), "w" if writes else "r"))
        return tuple(made)

    def __call__(self, *args: np.ndarray | int) -> None:
        """Run; results are written into the arrays given for them.

        On a processor, arrays that are not C-contiguous and 64-byte aligned are copied in, and out
        again when the kernel writes them; devices with a memory of their own copy all.

        Raises :class:`InputError` on a wrong number, shape or dtype, :class:`DeviceError` when this
        machine has no such device or nothing here runs the target's programs.
        """
        inputs, results = self._given(args)
        if self._runner is None:
            runner_of(self.target.kind, self.name)  # before the work of linking
            self._runner = self.executable.runner
        with self._lock:
            self._runner.run(inputs, results)

    def _given(self, args: Sequence[Any]) -> tuple[list[Any], list[np.ndarray]]:
        """The checked arguments: what the kernel only reads, and the arrays that it writes."""
        if len(args) != len(self.args):
            raise self._wrong(f"{len(args)} arguments were given for {len(self.args)} parameters")
        scalars = {p: self._integer(p, a) for p, a in zip(self.args, args) if isinstance(p, Var)}
        inputs: list[Any] = []
        results: list[np.ndarray] = []
        for p, a, writes in zip(self.args, args, self._writes):
            if isinstance(p, Var):
                inputs.append(scalars[p])
            else:
                (results if writes else inputs).append(self._array(p, a, scalars, writes))
        self._check_overlap(inputs, results)
        return inputs, results

    def _check_overlap(self, inputs: Sequence[Any], results: Sequence[np.ndarray]) -> None:
        """Kernels rely on nothing else lying where they write."""
        for k, a in enumerate(results):
            for b in (*inputs, *results[:k]):
                if isinstance(b, np.ndarray) and np.may_share_memory(a, b):
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


def _slot(p: Param, layout: Layout | None) -> Slot:
    """A parameter's slot; its array is given in physical shape."""
    known = -1 not in p.shape
    nbytes = math.prod(p.shape) * dtype_of(p.dtype).bytes if known else 0
    kind = "output" if p.access == "w" else "input"
    layers = layout.layers if layout else 1
    return Slot(p.name, kind, p.dtype, p.shape, p.shape, nbytes, layers=layers)


def _extent(e: Expr, scalars: Mapping[Var, int]) -> int:
    value = simplify(substitute(e, {v: Const(n, v.dtype) for v, n in scalars.items()}))
    assert isinstance(value, Const), f"the extent {e} depends on more than the scalar parameters"
    return int(value.value)
