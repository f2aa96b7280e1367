"""One kernel from a schedule: ``weft.build``."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...codegen import resolve
from ...ir.expr import Expr, Var, as_int
from ...ir.layout import Layout
from ...ir.schedule.schedule import Schedule
from ...ir.simplify import simplify
from ...ir.stmt import Function
from ...ir.target import Target
from ...ir.tensor import PlaceholderOp, Tensor
from ...runtime.artifact import Param, Slot
from ...runtime.devices.table import runner_of
from ...runtime.dtype import dtype_of
from ...runtime.errors import ClosedError, InputError, ScheduleError
from ...runtime.executor import Executable
from ...runtime.guard import guarded
from ...runtime.inputs import MismatchError, TensorSpec, convert, has_mask
from ...runtime.lazy import lazy
from ...runtime.ndarray import host_array
from ...runtime.profile import Timing
from ...runtime.sizes import Binder, in_kernel, names_in, product
from ...runtime.uncopied import Uncopied
from ..schedules.choices import Choices
from .arguments import check_build, check_places
from .by_size import KernelBySize
from .calls import Calls, slot_of_param
from .export import export
from .facts import facts_of, trace_hash
from .foreign import bound
from .launches import Lowered, compiled_group, emit, lower_pieces
from .link import link
from .show import KernelText
from .sizes import KernelSizes, find_sizes, size_of_expr
from .turns import check_turns
from .untouched import warn_of_untouched


@guarded
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
    args : its parameters in order: placeholders, results, scalar variables (``te.var``). Variables
        that are all of an extent of an array need not be given: each call finds them there.
    layouts : how tensors lie in storage; their arrays are then given in physical shape.

    >>> A = te.placeholder((8,), name="A")
    >>> B = te.compute((8,), lambda i: A[i] + 1, name="B")
    >>> add_one = weft.build(te.create_schedule(B), [A, B])
    >>> add_one(np.zeros(8, np.float32), out)
    """
    if not name.isidentifier() or not name.isascii():
        raise ScheduleError(f"{name!r} cannot be the name of a kernel.", hint="use letters and _")
    check_build(schedule, args, name)
    goal = resolve(target)
    check_places(schedule, goal, name)
    # Words such as main, float and kernel are taken in the languages of devices.
    symbol = f"{name}_kernel" if goal.max_threads or goal.texture_memory else name
    warn_of_untouched(schedule, goal, name)
    known, sizes = dict(layouts or {}), find_sizes(schedule, args)
    if goal.texture_memory and (places := sizes.in_shapes(schedule, args)):

        def make(s: Schedule, given: list[Tensor | Var]) -> KernelModule:
            return build(s, given, goal, name)

        return KernelBySize(name, schedule, args, places, make)  # type: ignore[return-value]
    lowered = lower_pieces(schedule, (*args, *sizes.hidden), goal, symbol, known, sizes.names)
    return KernelModule(name, lowered, tuple(args), known, goal, sizes)


class KernelModule(Uncopied):
    """A compiled kernel: the program of one group. Call it with one array or number per parameter.

    ``functions`` are the lowered loop nests: one, and on a device as many as it launches or draws;
    ``function`` is the first. ``source`` is the code as text (for a processor the LLVM IR after
    optimisation), ``assembly`` the machine code as text, or the source again where a driver makes
    that, ``object`` the object file or text that is loaded.
    """

    reason = "holds machine code of its process"
    instead = "build it there, or save its executable: kernel.executable.save(path)"

    def __init__(
        self,
        name: str,
        lowered: Lowered,
        args: tuple[Tensor | Var, ...],
        layouts: Mapping[Tensor, Layout],
        target: Target,
        sizes: KernelSizes,
    ):
        self._sizes = sizes
        self.name, self.functions, self.args, self.target = name, lowered.functions, args, target
        self._layouts, self._schedules = layouts, lowered.schedules
        lowered, self._foreign, self._missing = bound(lowered, target)
        self._codes = emit(lowered, target)
        written = {
            n
            for piece in lowered.pieces
            for p, n in zip(piece.function.params, piece.args)
            if p in piece.function.writes
        }
        self._writes = [n in written for n in range(len(args) + len(sizes.hidden))]
        self._group = compiled_group(self.function.name, self._params(), lowered, self._codes)
        self._ready: Executable | None = None
        self._names = tuple(p.name for p in self._group.params[: len(args)])
        self._closed = False

    @lazy
    def _binder(self) -> Binder | None:
        """What finds and checks sizes in the arrays of a call; its words are about the names of
        the arguments, where a program has ``p0``, ``p1``, …"""
        names, places = self._sizes.names, self._sizes.places
        shapes = [(a.name, p.shape) for a, p in zip(self.args, self._group.params)]
        order = sorted(range(len(shapes)), key=lambda k: self._writes[k])  # inputs come first
        launches = self._group.launches
        limits = [(f"the argument {name}", product(shape)) for name, shape in shapes]
        limits += [("what lies between two kernels", product(s)) for _, s in self._group.scratch]
        limits += [(in_kernel(k.symbol), n) for k in launches for n in k.extents]
        limits += [(in_kernel(k.symbol), n) for k in launches for n in k.geometry.values()]
        used = names_in(*(n for _, shape in shapes for n in shape), *(n for _, n in limits))
        sources = {names[v]: (order.index(k), axis) for v, (k, axis) in places.items()}
        if not used:
            return None
        return Binder(
            self.name,
            [shapes[k] for k in order],
            self._writes[: len(self.args)].count(False),
            {name: place for name, place in sources.items() if name in used},
            limits,
        )

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

    def show(self, assembly: bool = False) -> KernelText:
        """What became of the kernel, to be printed or to be the last line of a notebook's cell: the
        schedule with its boxes, the lowered loop nests, the source, with ``assembly`` the machine
        code too."""
        parts = [("schedule", "\n\n".join(map(str, self._schedules)))]
        parts.append(("loop nest", "\n\n".join(map(str, self.functions))))
        parts.append((f"source for {self.target.kind}", self.source))
        if assembly and self.assembly != self.source:
            parts.append(("assembly", self.assembly))
        return KernelText(parts)

    @lazy
    def executable(self) -> Executable:
        """The program of this kernel: its inputs ``p0``, ``p1``, … are the parameters that it only
        reads, its outputs those that it writes. For profiles, and to be saved.

        Raises :class:`CodegenError` when the target's linker is missing or fails, or a C function,
        :class:`ClosedError` after :meth:`close`.
        """
        if self._closed:
            raise ClosedError("the kernel was closed.", where=self.name, hint="build it again")
        if self._missing is not None:
            raise self._missing
        codes, holders = link([self._group], self.target)
        calls = Calls(holders)
        public = self._group.params[: len(self.args)]
        slots = [calls.slot(slot_of_param(p, self._layers(a))) for p, a in zip(public, self.args)]
        named = {p.name: n for p, n in zip(public, slots)}
        names, places = self._sizes.names, self._sizes.places
        for p, v in zip(self._group.params[len(self.args) :], self._sizes.hidden):
            nbytes = dtype_of(p.dtype).bytes
            slots.append(calls.slot(Slot(p.name, "size", p.dtype, (), (), nbytes, 0, names[v])))
        calls.call(replace(self._group, facts=self._facts()), slots, self.name)
        results = {p.name: named.pop(p.name) for p in public if p.access == "w"}
        sizes = {names[v]: (slots[k], axis) for v, (k, axis) in places.items()}
        program = calls.program(self.name, self.target, named, results, {}, sizes)
        return Executable(program, codes, {}, self._foreign)

    def _layers(self, a: Tensor | Var) -> int:
        """The layers of the texture that an argument lies in."""
        layout = self._layouts.get(a) if isinstance(a, Tensor) else None
        return layout.layers if layout else 1

    def _facts(self) -> dict[str, Any]:
        tensors = [a for a in self.args if isinstance(a, Tensor)]
        results = tuple(a for a, w in zip(self.args, self._writes) if w and isinstance(a, Tensor))
        layouts = [self._layouts.get(t) for t in tensors]
        return facts_of(results, layouts, Choices(), trace_hash(*self._schedules))

    def _params(self) -> tuple[Param, ...]:
        """The parameters, and after them the sizes that a call finds."""
        made, names = [], self._sizes.names
        for k, (p, writes) in enumerate(zip((*self.args, *self._sizes.hidden), self._writes)):
            if isinstance(p, Var):
                made.append(Param(f"p{k}", str(p.dtype), (), "s"))
                continue
            layout = self._layouts.get(p)
            extents = (size_of_expr(simplify(n), names) for n in p.shape)
            shape = layout.physical_shape if layout else extents
            made.append(Param(f"p{k}", str(p.dtype), tuple(shape), "w" if writes else "r"))
        return tuple(made)

    def __call__(self, *args: np.ndarray | float) -> None:
        """Run; results are written into the arrays given for them.

        On a processor, arrays that are not C-contiguous are copied in, and out again when the
        kernel writes them; devices with a memory of their own copy all.

        Raises :class:`InputError` on a wrong number, shape or dtype, :class:`DeviceError` when this
        machine has no such device or nothing here runs the target's programs.
        """
        if self._ready is not None and self._ready.run_in_place(args, self._names):
            return
        inputs, results = self._given(args)
        if self._ready is None:
            check_turns(self.functions, self.target)
            runner_of(self.target.kind, self.name)  # before the work of linking
            self._ready = self.executable.prepare()
        self._ready.run_checked(inputs, results)

    @property
    def array_shapes(self) -> list[Sequence[Expr | int]]:
        """The shapes of the arrays that it is called with, in order: physical ones."""
        tensors = [a for a in self.args if isinstance(a, Tensor)]
        return [x.physical_shape if (x := self._layouts.get(t)) else t.shape for t in tensors]

    def export(self, path: str | os.PathLike[str], *, linker: str | None = None) -> list[Path]:
        """Write it for programs without Python: ``.o`` and ``.so`` with a C header for ``llvm``,
        ``.wasm``, ``.cl``, ``.wgsl``, ``.glsl``; see :func:`weft.export`, which puts several
        kernels into one file."""
        return export(self, path, linker=linker)

    @guarded
    def time(self, *args: Any, number: int = 1, repeat: int = 10) -> Timing:
        """How long the kernel takes on these arguments: ``repeat`` times, each the mean of
        ``number`` runs. Its results are written once, before.

        By the device's own clock where it has one (OpenCL, WebGPU with timestamps), else by the
        processor's around the launches alone (llvm) or around each launch and the wait for it:
        copies between the process and the device are never counted. Errors as for a call.
        """
        if number < 1 or repeat < 1:
            raise self._wrong(f"number = {number} and repeat = {repeat} must be at least 1")
        self(*args)
        inputs, results = self._given(args)
        runner = self.executable.runner
        more = (results,) if self._binder is not None else ()
        with self._foreign or nullcontext():
            rows = np.asarray(runner.time(inputs, number * repeat, *more))
        return Timing(tuple(rows.sum(axis=1).reshape(repeat, number).mean(axis=1).tolist()))

    def close(self) -> None:
        """Give code and the device's memory back, after the call that another thread is in; a later
        call is a :class:`ClosedError`. They also go with the last name of the kernel."""
        self._closed = True
        made: Executable | None = vars(self).get("executable")
        if made is not None:
            made.close()

    def __enter__(self) -> KernelModule:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _given(self, args: Sequence[Any]) -> tuple[list[Any], list[np.ndarray]]:
        """The checked arguments: what the kernel only reads, and the arrays that it writes."""
        if len(args) != len(self.args):
            raise self._wrong(f"{len(args)} arguments were given for {len(self.args)} parameters")
        inputs: list[Any] = []
        results: list[np.ndarray] = []
        for p, a, writes in zip(self.args, args, self._writes):
            if isinstance(p, Var):
                inputs.append(self._number(p, a))
            else:
                (results if writes else inputs).append(self._array(p, a, writes))
        if self._binder is not None:
            try:
                self._binder.bind(inputs, results)
            except InputError as e:
                raise self._wrong(e.message.removesuffix(".")) from None
        self._check_overlap(inputs, results)
        return inputs, results

    def _check_overlap(self, inputs: Sequence[Any], results: Sequence[np.ndarray]) -> None:
        """Kernels rely on nothing else lying where they write."""
        for k, a in enumerate(results):
            for b in (*inputs, *results[:k]):
                if isinstance(b, np.ndarray) and np.may_share_memory(a, b):
                    raise self._wrong("an array that is written overlaps another one")

    def _number(self, p: Var, value: Any) -> Any:
        """A number of the variable's type, as numpy has it, or an int."""
        if p.dtype.is_int:
            try:
                number = operator.index(value)
            except TypeError:
                raise self._wrong(f"{p.name} is {type(value).__name__}, not an integer") from None
            if not p.dtype.min <= number <= p.dtype.max:
                raise self._wrong(f"{p.name} = {number} does not fit into {p.dtype}")
            if p.nonnegative and number < 0:
                raise self._wrong(f"{p.name} = {number} is a size and cannot be below 0")
            return number
        if isinstance(value, np.generic):
            value = value.item()  # a float64 is what a Python float is
        try:
            return convert(value, TensorSpec(p.name, p.dtype, ()))[()]
        except MismatchError as e:
            raise self._wrong(f"{p.name} {e}") from None

    def _array(self, p: Tensor, value: Any, writes: bool) -> np.ndarray:
        given, value = value, host_array(value)
        if value is None:
            raise self._wrong(f"{p.name} is {type(given).__name__}, not an array")
        if has_mask(value):
            raise self._wrong(f"{p.name} is masked, and kernels know no masks: give .filled(value)")
        layout = self._layouts.get(p)
        # What an extent is that only a call knows is the binder's to judge.
        shape = layout.physical_shape if layout else tuple(map(as_int, p.shape))
        fits = len(shape) == value.ndim and all(
            n is None or n == have for n, have in zip(shape, value.shape)
        )
        if value.dtype != p.dtype.numpy or not fits:
            wanted = list(shape) if layout else f"[{', '.join(map(str, p.shape))}]"
            raise self._wrong(
                f"{p.name} is {value.dtype}{list(value.shape)}, not {p.dtype}{wanted}"
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
