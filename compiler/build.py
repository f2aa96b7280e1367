"""One kernel from a schedule: ``weft.build``."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..codegen import for_target
from ..ir.expr import Const, Expr, Var, as_int
from ..ir.layout import Layout
from ..ir.lower import KernelFunction, lower, lower_kernels
from ..ir.reads import check_reads
from ..ir.schedule import Schedule
from ..ir.simplify import simplify
from ..ir.stmt import Buffer, Function
from ..ir.target import Target
from ..ir.tensor import ComputeOp, PlaceholderOp, Tensor
from ..ir.visit import substitute
from ..runtime.artifact import Kernel, Param, Program, Slot, Step
from ..runtime.dtype import dtype_of
from ..runtime.errors import CodegenError, InputError, ScheduleError
from ..runtime.executor import Executable
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
    known = dict(layouts or {})
    if goal.max_threads:
        # Words such as main, float and kernel are taken in the languages of devices.
        kernels = lower_kernels(schedule, args, goal, f"{name}_kernel", layouts)
        return DeviceModule(name, kernels, tuple(args), known, goal)
    return KernelModule(lower(schedule, args, goal, name, layouts), tuple(args), known, goal)


class KernelModule:
    """A compiled kernel; call it with one array or integer per parameter.

    ``functions`` are the lowered loop nests: one, and on a device with workgroups as many as it
    launches; ``function`` is the first. ``source`` is the code as text (the LLVM IR after
    optimisation), ``assembly`` the machine code as text, ``object`` the object file.
    """

    def __init__(
        self,
        function: Function,
        args: tuple[Tensor | Var, ...],
        layouts: Mapping[Tensor, Layout],
        target: Target,
    ):
        self.functions, self.args, self.target = (function,), args, target
        self._layouts = layouts
        self._module = for_target(target).emit([function], target)
        self._writes = [isinstance(p, Buffer) and p in function.writes for p in function.params]
        self._native: NativeKernel | None = None

    @property
    def function(self) -> Function:
        return self.functions[0]

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
        scalars, arrays = self._given(args)
        ready = [a if is_ready(a) else aligned(a) for a in arrays]
        rest = iter(map(address, ready))
        values = [scalars[p] if isinstance(p, Var) else next(rest) for p in self.args]
        if self._native is None:
            self._native = NativeKernel(self.name, self.object)
        self._native(values)
        written = (w for p, w in zip(self.args, self._writes) if isinstance(p, Tensor))
        for array, own, writes in zip(arrays, ready, written):
            if writes and own is not array:
                array[...] = own

    def _given(self, args: Sequence[np.ndarray | int]) -> tuple[dict[Var, int], list[np.ndarray]]:
        """The checked arguments: scalars by variable, arrays in order."""
        if len(args) != len(self.args):
            raise self._wrong(f"{len(args)} arguments were given for {len(self.args)} parameters")
        scalars = {p: self._integer(p, a) for p, a in zip(self.args, args) if isinstance(p, Var)}
        arrays, written = [], []
        for p, a, writes in zip(self.args, args, self._writes):
            if isinstance(p, Tensor):
                arrays.append(self._array(p, a, scalars, writes))
                written.append(writes)
        self._check_overlap(arrays, written)
        return scalars, arrays

    def _check_overlap(self, given: Sequence[np.ndarray], written: Sequence[bool]) -> None:
        """Kernels rely on nothing else lying where they write."""
        for k, (a, a_written) in enumerate(zip(given, written)):
            for b, b_written in zip(given[:k], written):
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


class DeviceModule(KernelModule):
    """A kernel for a device with workgroups: one or several functions, launched in order.

    It runs on the device that executables for the target use. ``assembly`` is the source: machine
    code is made by the driver.
    """

    def __init__(
        self,
        name: str,
        kernels: Sequence[KernelFunction],
        args: tuple[Tensor | Var, ...],
        layouts: Mapping[Tensor, Layout],
        target: Target,
    ):
        for p in args:
            if isinstance(p, Var):
                raise CodegenError(
                    f"the parameter {p.name} is a number; kernels for {target.kind} take arrays.",
                    where=name,
                    hint="compile for constant extents, or for llvm",
                )
        self._name, self.args, self.target = name, args, target
        self._layouts = layouts
        self.functions = tuple(k.function for k in kernels)
        generator = for_target(target)
        self._sources = [generator.emit([f], target).source for f in self.functions]
        written = {
            k.args[n]
            for k in kernels
            for n, b in enumerate(k.function.buffers)
            if n < len(k.args) and b in k.function.writes
        }
        self._writes = [n in written for n in range(len(args))]
        codes = {f.name: s.encode() for f, s in zip(self.functions, self._sources)}
        linked, holders = generator.link(codes, target)
        self._program = self._assemble(kernels, holders)
        self._codes = linked
        self._executable: Executable | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def source(self) -> str:
        return "\n".join(self._sources)

    @property
    def assembly(self) -> str:
        return self.source

    @property
    def object(self) -> bytes:
        return self.source.encode()

    def __call__(self, *args: np.ndarray | int) -> None:
        """Run; results are written into the arrays given for them, after the last kernel.

        Raises :class:`InputError` on a wrong number, shape or dtype, :class:`DeviceError` when this
        machine has no such device.
        """
        _, arrays = self._given(args)
        if self._executable is None:
            self._executable = Executable(self._program, self._codes, {})
        feed = {f"p{k}": a for k, (a, w) in enumerate(zip(arrays, self._writes)) if not w}
        made = self._executable.run(feed)
        for k, (array, writes) in enumerate(zip(arrays, self._writes)):
            if writes:
                array[...] = made[f"p{k}"]

    def _assemble(self, kernels: Sequence[KernelFunction], holders: Mapping[str, str]) -> Program:
        """The program of these launches: parameters are its inputs and outputs."""
        slots = []
        for k, (t, writes) in enumerate(zip(self.args, self._writes)):
            assert isinstance(t, Tensor)
            layout = self._layouts.get(t)
            shape = layout.physical_shape if layout else tuple(as_int(n) or 0 for n in t.shape)
            slots.append(_slot(f"p{k}", "output" if writes else "input", str(t.dtype), shape))
        number: dict[Buffer, int] = {}
        made, steps = [], []
        for k in kernels:
            for b in k.scratch:
                if b not in number:
                    number[b] = len(slots)
                    slots.append(_slot(f"scratch{len(slots)}", "arena", str(b.dtype), k.shape(b)))
            f = k.function
            launch = {tag: as_int(n) or 0 for tag, n in f.attrs.get("launch", {}).items()}
            if 0 in launch.values():
                continue  # nothing to compute
            at = (*k.args, *(number[b] for b in k.scratch))
            params = tuple(
                Param(b.name, slots[n].dtype, slots[n].physical, "w" if b in f.writes else "r")
                for b, n in zip(f.buffers, at)
            )
            made.append(Kernel(f.name, params, holders[f.name], launch))
            steps.append(Step(f.name, at, f.name))
        arena = max((s.nbytes for s in slots if s.kind == "arena"), default=0)
        inputs = {s.name: n for n, s in enumerate(slots) if s.kind == "input"}
        outputs = {s.name: n for n, s in enumerate(slots) if s.kind == "output"}
        return Program(
            self.name, str(self.target), tuple(slots), tuple(made), tuple(steps), inputs, outputs,
            arena,
        )  # fmt: skip


def _slot(name: str, kind: str, dtype: str, shape: tuple[int, ...]) -> Slot:
    return Slot(name, kind, dtype, shape, shape, math.prod(shape) * dtype_of(dtype).bytes)


def _extent(e: Expr, scalars: Mapping[Var, int]) -> int:
    value = simplify(substitute(e, {v: Const(n, v.dtype) for v, n in scalars.items()}))
    assert isinstance(value, Const), f"the extent {e} depends on more than the scalar parameters"
    return int(value.value)
