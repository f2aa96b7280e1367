"""What the compiler hands to a runtime: :class:`Kernel` and :class:`Program`.

Both are plain data with one versioned JSON form (``to_json``/``from_json``); the Python and the
JavaScript executors run the same Program. Code and parameters travel beside it (``package.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .errors import PackageError

VERSION = 1


@dataclass(frozen=True)
class Param:
    """One parameter of a kernel. ``access`` is ``"r"``, ``"w"`` or ``"s"``: a number, passed by
    value as int64, of an integer dtype and of shape (); its argument is an input. ``shape`` is the
    physical shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    access: str


@dataclass(frozen=True)
class Kernel:
    """A compiled function. ``code`` names the code object of the program that holds it;
    ``launch`` maps hardware indices to extents (empty on a CPU); ``shared_bytes`` is the memory
    that the threads of a workgroup share."""

    name: str
    params: tuple[Param, ...]
    code: str
    launch: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    shared_bytes: int = 0


@dataclass(frozen=True)
class Slot:
    """One tensor of a program.

    ``kind`` is ``"input"``, ``"output"``, ``"constant"`` (``source`` names it in the parameters),
    ``"arena"`` (at byte ``offset``) or ``"alias"`` (the bytes of slot ``source``). ``shape`` is the
    logical shape, ``physical`` the shape in storage, ``nbytes`` its size. ``layout`` is the text of
    the layout (empty: row major), ``layers`` how many layers of a texture it takes.

    On a CPU an extent of an input or output may be -1, which is known only per call: ``nbytes`` is
    then 0, and the caller brings the memory.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    physical: tuple[int, ...]
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

    def to_json(self) -> dict[str, Any]:
        """The versioned JSON form (plain dicts, lists, strings, numbers)."""
        body = {k: _plain(getattr(self, k)) for k in self.__dataclass_fields__}
        return {"format": "weft-program", "version": VERSION, **body}

    @classmethod
    def from_json(cls, data: Any) -> Program:
        """The program of a JSON form; raises :class:`PackageError` when it is not one."""
        if not isinstance(data, dict) or data.get("format") != "weft-program":
            raise PackageError("this is not a weft program.")
        if data.get("version") != VERSION:
            raise PackageError(
                f"the program has version {data.get('version')!r}, this weft reads {VERSION}.",
                hint="compile the model again with this version of weft",
            )
        try:
            kernels = tuple(
                Kernel(
                    str(k["name"]),
                    tuple(_param(p) for p in k["params"]),
                    str(k["code"]),
                    {str(t): int(n) for t, n in k["launch"].items()},
                    int(k.get("shared_bytes", 0)),
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
            ).check()
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise PackageError(f"the program is damaged: {type(e).__name__}: {e}.") from None

    def check(self) -> Program:
        """This program, if its parts fit together; raises :class:`PackageError` otherwise."""
        kernels = {k.name: k for k in self.kernels}
        n = len(self.slots)
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
        return self


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {k: _plain(getattr(value, k)) for k in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _param(p: dict) -> Param:
    return Param(str(p["name"]), str(p["dtype"]), tuple(map(int, p["shape"])), str(p["access"]))


def _slot(s: dict) -> Slot:
    return Slot(
        str(s["name"]), str(s["kind"]), str(s["dtype"]), tuple(map(int, s["shape"])),
        tuple(map(int, s["physical"])), int(s["nbytes"]), int(s["offset"]), str(s["source"]),
        str(s.get("layout", "")), int(s.get("layers", 1)),
    )  # fmt: skip


__all__ = ["VERSION", "Kernel", "Param", "Program", "Slot", "Step"]
