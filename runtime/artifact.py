"""What the compiler hands to a runtime: :class:`Kernel` and :class:`Program`.

Both are plain data with one versioned JSON form (``to_json``/``from_json``); the Python and the
JavaScript executors run the same Program. Code and parameters travel beside it (``package.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from . import flow as flows
from .crops import NO_CROPS, Crops, check_crops, read_crops
from .dtype import dtype_of
from .errors import PackageError
from .flow import Flow
from .sizes import Size, Values, is_known, names_in, read_size, size_of

# Version 2 has sizes that are known only per call, and numbers of any type as parameters. A program
# without them is written as version 1, which older runtimes read, too. Version 3 has control flow,
# version 4 outputs whose size only data knows.
VERSIONS = (1, 2, 3, 4)
IN_PLACE = (
    "any_address"  # in ``Program.meta``: kernels take parameters that are aligned to elements
)


@dataclass(frozen=True)
class Param:
    """One parameter of a kernel. ``access`` is ``"r"``, ``"w"`` or ``"s"``: a number of shape (),
    passed by value; its argument is an input or a size. ``shape`` is the physical shape."""

    name: str
    dtype: str
    shape: tuple[Size, ...]
    access: str


@dataclass(frozen=True)
class Kernel:
    """A compiled function. ``code`` names the code object of the program that holds it;
    ``launch`` maps hardware indices to extents (empty on a CPU); ``shared_bytes`` is the memory
    that the threads of a workgroup share. ``extents`` are those of its loops and buffers that
    depend on a call: none may be negative or pass 2³¹ - 1."""

    name: str
    params: tuple[Param, ...]
    code: str
    launch: Mapping[str, Size] = field(default_factory=lambda: MappingProxyType({}))
    shared_bytes: int = 0
    extents: tuple[Size, ...] = ()


@dataclass(frozen=True)
class Slot:
    """One tensor of a program.

    ``kind`` is ``"input"``, ``"output"``, ``"constant"`` (``source`` names it in the parameters),
    ``"arena"`` (at byte ``offset``), ``"alias"`` (the bytes of slot ``source``) or ``"size"`` (a
    number, the value of the program's size variable ``source``). ``shape`` is the logical shape,
    ``physical`` the shape in storage, ``nbytes`` its size. ``layout`` is the text of the layout
    (empty: row major), ``layers`` how many layers of a texture it takes.

    Where an extent is known only per call (:mod:`~weft.runtime.sizes`), ``nbytes`` and ``offset``
    are 0 until :meth:`Program.at` says them.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[Size, ...]
    physical: tuple[Size, ...]
    nbytes: int
    offset: int = 0
    source: str = ""
    layout: str = ""
    layers: int = 1


@dataclass(frozen=True)
class Step:
    """One kernel call: ``args`` are slot numbers in the kernel's parameter order. ``label`` is the
    graph nodes that the kernel computes, for profiles; ``device`` is where it runs (empty: on the
    program's own)."""

    kernel: str
    args: tuple[int, ...]
    label: str = ""
    device: str = ""


@dataclass(frozen=True)
class Program:
    """A compiled model: ordered kernel calls, memory plan, signature, target.

    ``inputs`` and ``outputs`` map public names to slot numbers, in order. An output may be an input
    or a constant slot (the executor copies). ``arena`` is the size of the activation arena in
    bytes, ``alignment`` its alignment and that of every offset.

    ``sizes`` says where a call finds the value of each size variable: the slot of an input or
    output and an axis of it, or an input that is a number and -1. ``flow`` says which steps run
    (:mod:`~weft.runtime.flow`); empty: all of them, in order.

    ``cropped`` are outputs of which only a part means something: for some axes, the name of the
    output, a number that is no result by itself, that says how much of it does. Runners give all of
    them whole; :class:`~weft.runtime.executor.Executable` cuts them.
    """

    name: str
    target: str
    slots: tuple[Slot, ...]
    kernels: tuple[Kernel, ...]
    steps: tuple[Step, ...]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    arena: int
    alignment: int = 64
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    flow: tuple[Flow, ...] = ()
    cropped: Crops = field(default_factory=lambda: NO_CROPS)

    @property
    def version(self) -> int:
        """The lowest version of the JSON form that can say this program."""
        if self.cropped:
            return 4
        if self.flow:
            return 3
        numbers = any(p.access == "s" for k in self.kernels for p in k.params)
        return 2 if self.sizes or numbers else 1

    def at(self, values: Values) -> Program:
        """This program for one value of each size variable: all extents are integers, and the
        tensors of the arena that had no place have one behind the others."""
        arena, slots = self.arena, []
        for s in self.slots:
            if is_known((*s.shape, *s.physical)):
                slots.append(s)
                continue
            shape = tuple(size_of(n, values) for n in s.shape)
            physical = tuple(size_of(n, values) for n in s.physical)
            nbytes, offset = math.prod(physical) * dtype_of(s.dtype).bytes, 0
            if s.kind == "arena":
                offset = arena
                arena += -(-nbytes // self.alignment) * self.alignment
            slots.append(replace(s, shape=shape, physical=physical, nbytes=nbytes, offset=offset))

        def known(p: Param) -> Param:
            return replace(p, shape=tuple(size_of(n, values) for n in p.shape))

        kernels = [
            replace(
                k,
                params=tuple(map(known, k.params)),
                launch={tag: size_of(n, values) for tag, n in k.launch.items()},
                extents=(),
            )
            for k in self.kernels
        ]
        return replace(self, slots=tuple(slots), kernels=tuple(kernels), arena=arena, sizes={})

    def to_json(self) -> dict[str, Any]:
        """The versioned JSON form (plain dicts, lists, strings, numbers)."""
        later = ("flow", "cropped")
        body = {k: _plain(getattr(self, k)) for k in self.__dataclass_fields__ if k not in later}
        if self.cropped:
            body["cropped"] = _plain(self.cropped)
        if self.flow:
            body["flow"] = flows.to_json(self.flow)
        if self.version == 1:
            del body["sizes"]
            for k in body["kernels"]:
                del k["extents"]
        return {"format": "weft-program", "version": self.version, **body}

    @classmethod
    def from_json(cls, data: Any) -> Program:
        """The program of a JSON form; raises :class:`PackageError` when it is not one."""
        if not isinstance(data, dict) or data.get("format") != "weft-program":
            raise PackageError("this is not a weft program.")
        if data.get("version") not in VERSIONS:
            raise PackageError(
                f"the program has version {data.get('version')!r}, this weft reads {VERSIONS[-1]}.",
                hint="compile the model again with this version of weft",
            )
        try:
            kernels = tuple(
                Kernel(
                    str(k["name"]),
                    tuple(_param(p) for p in k["params"]),
                    str(k["code"]),
                    {str(t): read_size(n) for t, n in k["launch"].items()},
                    int(k.get("shared_bytes", 0)),
                    tuple(map(read_size, k.get("extents", ()))),
                )
                for k in data["kernels"]
            )
            return cls(
                str(data["name"]),
                str(data["target"]),
                tuple(_slot(s) for s in data["slots"]),
                kernels,
                tuple(
                    Step(
                        str(s["kernel"]),
                        tuple(map(int, s["args"])),
                        str(s["label"]),
                        str(s.get("device", "")),
                    )
                    for s in data["steps"]
                ),
                {str(k): int(v) for k, v in data["inputs"].items()},
                {str(k): int(v) for k, v in data["outputs"].items()},
                int(data["arena"]),
                int(data["alignment"]),
                dict(data["meta"]),
                {str(k): (int(v[0]), int(v[1])) for k, v in data.get("sizes", {}).items()},
                flows.from_json(data.get("flow", ())),
                read_crops(data.get("cropped", {})),
            ).check()
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as e:
            raise PackageError(f"the program is damaged: {type(e).__name__}: {e}.") from None

    def check(self) -> Program:
        """This program, if its parts fit together; raises :class:`PackageError` otherwise."""
        kernels = {k.name: k for k in self.kernels}
        n = len(self.slots)
        if not self.target.strip():
            raise PackageError("the program names no target.")
        if len(kernels) != len(self.kernels):
            raise PackageError("two kernels have the same name.")
        for k in self.kernels:
            numbers = [n for n in (*k.launch.values(), k.shared_bytes) if isinstance(n, int)]
            if not all(0 <= extent < 1 << 31 for extent in numbers):
                raise PackageError(f"the launch of {k.name!r} is malformed: {dict(k.launch)}.")
        self._check_sizes()
        for s in self.slots:
            if s.kind == "arena" and not 0 <= s.offset <= self.arena - s.nbytes:
                raise PackageError(f"the slot {s.name!r} lies outside the arena.")
        for st in self.steps:
            k = kernels.get(st.kernel)
            if k is None:
                raise PackageError(f"the kernel {st.kernel!r} is missing.")
            if len(k.params) != len(st.args) or not all(0 <= a < n for a in st.args):
                raise PackageError(f"the call of {st.kernel!r} does not fit its parameters.")
        if not all(0 <= v < n for v in (*self.inputs.values(), *self.outputs.values())):
            raise PackageError("an input or output names no slot.")
        why = flows.check(self.flow, len(self.steps), self.slots) if self.flow else ""
        if why:
            raise PackageError(f"the control flow is damaged: {why}.")
        why = check_crops(self.cropped, {k: self.slots[s].shape for k, s in self.outputs.items()})
        if why:
            raise PackageError(f"the sizes of outputs are damaged: {why}.")
        return self

    def _check_sizes(self) -> None:
        used = [n for s in self.slots for n in (*s.shape, *s.physical)]
        used += [s.source for s in self.slots if s.kind == "size"]
        for k in self.kernels:
            used += [*k.launch.values(), *k.extents, *(n for p in k.params for n in p.shape)]
        unknown = names_in(*used) - set(self.sizes)
        if unknown:
            raise PackageError(f"nothing says what the size {min(unknown)!r} is.")
        public = {*self.inputs.values(), *self.outputs.values()}
        for name, (slot, axis) in self.sizes.items():
            axes = len(self.slots[slot].shape) if 0 <= slot < len(self.slots) else -1
            number = axis == -1 and axes == 0 and slot in self.inputs.values()
            if not (slot in public and (number or 0 <= axis < axes)):
                raise PackageError(f"the size {name!r} is nowhere in what a call is given.")


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {k: _plain(getattr(value, k)) for k in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _param(p: dict) -> Param:
    shape = tuple(map(read_size, p["shape"]))
    return Param(str(p["name"]), str(p["dtype"]), shape, str(p["access"]))


def _slot(s: dict) -> Slot:
    return Slot(
        str(s["name"]), str(s["kind"]), str(s["dtype"]), tuple(map(read_size, s["shape"])),
        tuple(map(read_size, s["physical"])), int(s["nbytes"]), int(s["offset"]), str(s["source"]),
        str(s.get("layout", "")), int(s.get("layers", 1)),
    )  # fmt: skip


__all__ = ["IN_PLACE", "VERSIONS", "Kernel", "Param", "Program", "Slot", "Step"]
