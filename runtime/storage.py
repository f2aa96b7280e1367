"""Where the tensors of a program lie: its slots resolved and checked.

A package may be damaged in ways that its hashes do not show (a faulty writer), so nothing here
trusts a number: whatever does not fit together is a :class:`PackageError` before memory is touched.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .artifact import Param, Program, Slot
from .dtype import DType, dtype_of
from .errors import PackageError, WeftError
from .inputs import TensorSpec
from .ndarray import ALIGNMENT, aligned
from .sizes import Binder, Values, is_known

_KINDS = ("input", "output", "constant", "arena", "alias", "size")


@dataclass(frozen=True)
class MemoryReport:
    """Bytes that an executable needs. ``arena`` holds all intermediate tensors and is their peak;
    ``without_reuse`` is what they would need without sharing."""

    arena: int
    without_reuse: int
    constants: int
    inputs: int
    outputs: int

    def __str__(self) -> str:
        def mib(n: int) -> str:
            return f"{n / 2**20:.2f} MiB" if n >= 1 << 17 else f"{n / 2**10:.1f} KiB"

        saved = max(0.0, 1 - self.arena / self.without_reuse) if self.without_reuse else 0.0
        return (
            f"arena {mib(self.arena)} ({mib(self.without_reuse)} without reuse, {saved:.0%} saved),"
            f" constants {mib(self.constants)}, inputs {mib(self.inputs)},"
            f" outputs {mib(self.outputs)}"
        )


class Storage:
    """The slots of a program, each with its dtype and its root: the slot that owns its bytes.
    ``dynamic`` are those whose extents are known only per call, ``binder`` finds them then.
    ``values`` are those of the size variables where ``program`` is made for one of each.

    Raises :class:`PackageError` when slots, kernels and parameters do not fit together.
    """

    def __init__(
        self,
        program: Program,
        params: Mapping[str, np.ndarray],
        values: Values = MappingProxyType({}),
    ):
        self.program, self.values = program, values
        self.slots = program.slots
        self.index = {s.name: k for k, s in enumerate(self.slots)}
        if len(self.index) != len(self.slots):
            raise self.error("two slots have the same name")
        if program.alignment != ALIGNMENT or program.arena < 0:
            raise self.error(f"arena {program.arena}, alignment {program.alignment}")
        self.dynamic = frozenset(
            k for k, s in enumerate(self.slots) if not is_known((*s.shape, *s.physical))
        )
        self.dtypes = [self._dtype(k, s) for k, s in enumerate(self.slots)]
        self.roots = [self._root(k) for k in range(len(self.slots))]
        self.constants = {
            k: self._constant(s, params) for k, s in enumerate(self.slots) if s.kind == "constant"
        }
        self.inputs = self._specs(program.inputs)
        self.outputs = self._specs(program.outputs)  # also those that say the size of others
        self._check_inputs()
        self._check_calls()
        self.binder = Binder.of(program) if program.sizes else None

    @property
    def is_planned(self) -> bool:
        """Whether all that kernels pass on to one another has its place, whatever the call."""
        return all(self.slots[k].kind in ("input", "output") for k in self.dynamic)

    def error(self, why: str) -> PackageError:
        """What is raised for a program that contradicts itself: ``why`` says in what."""
        return PackageError(
            f"the program does not fit together: {why}.",
            where=self.program.name,
            hint="compile the model again",
        )

    def _dtype(self, k: int, s: Slot) -> DType:
        try:
            dtype = dtype_of(s.dtype)
        except WeftError as e:
            raise self.error(f"the slot {s.name!r}: {e.message}") from None
        extents = [n for n in (*s.shape, *s.physical) if isinstance(n, int)]
        if (
            s.kind not in _KINDS
            or dtype.lanes != 1
            or min(extents, default=0) < 0
            or min(s.nbytes, s.offset) < 0
        ):
            raise self.error(f"the slot {s.name!r} is malformed")
        if s.kind == "size" and (s.shape or s.physical or not dtype.is_int):
            raise self.error(f"the slot {s.name!r} is no number")
        if k in self.dynamic:
            public = s.kind in ("input", "output")
            if s.nbytes or s.kind in ("constant", "alias") or (public and s.physical != s.shape):
                raise self.error(f"the slot {s.name!r} has no size and {s.nbytes} bytes")
            return dtype
        if math.prod(extents[len(s.shape) :]) * dtype.bytes != s.nbytes:
            raise self.error(f"the slot {s.name!r} has {s.nbytes} bytes for {list(s.physical)}")
        if s.kind == "arena" and s.offset % ALIGNMENT:
            raise self.error(f"the slot {s.name!r} is not aligned")
        return dtype

    def _root(self, k: int) -> int:
        for _ in range(len(self.slots)):
            s = self.slots[k]
            if s.kind != "alias":
                return k
            source = self.index.get(s.source, -1)
            if source < 0 or self.slots[source].nbytes < s.nbytes:
                raise self.error(f"the slot {s.name!r} is no alias of {s.source!r}")
            k = source
        raise self.error(f"the slot {self.slots[k].name!r} is an alias of itself")

    def _constant(self, s: Slot, params: Mapping[str, np.ndarray]) -> np.ndarray:
        array = params.get(s.source)
        if array is None:
            raise self.error(f"the parameter {s.source!r} is missing")
        if array.nbytes != s.nbytes:
            raise self.error(f"the parameter {s.source!r} has {array.nbytes} bytes, not {s.nbytes}")
        return aligned(array)

    def _specs(self, table: Mapping[str, int]) -> dict[str, TensorSpec]:
        specs, outputs = {}, self.program.outputs
        for name, k in table.items():
            s = self.slots[k]
            shape = tuple(n if isinstance(n, int) else -1 for n in s.shape)
            if k not in self.dynamic and math.prod(shape) * self.dtypes[k].bytes != s.nbytes:
                raise self.error(f"{name!r} is not stored plainly")
            sizes = s.shape if k in self.dynamic else ()
            bounded = tuple(self.program.cropped.get(name, ())) if table is outputs else ()
            specs[name] = TensorSpec(name, self.dtypes[k], shape, sizes, bounded)
        return specs

    def _check_inputs(self) -> None:
        places = list(self.program.inputs.values())
        if len(set(places)) != len(places) or any(self.slots[k].kind != "input" for k in places):
            raise self.error("an input has no slot of its own")
        given = set(places)
        for k, s in enumerate(self.slots):
            if s.kind == "input" and k not in given:
                raise self.error(f"no input fills the slot {s.name!r}")

    def _check_calls(self) -> None:
        kernels = {k.name: k for k in self.program.kernels}
        for step in self.program.steps:
            for param, k in zip(kernels[step.kernel].params, step.args):
                s, root = self.slots[k], self.slots[self.roots[k]]
                if param.dtype != s.dtype or not self._fits(param, k):
                    raise self.error(f"{step.kernel!r} cannot take the slot {s.name!r}")
                if param.access not in ("r", "w", "s") or (
                    param.access == "w" and root.kind in ("input", "constant", "size")
                ):
                    raise self.error(f"{step.kernel!r} must not write the slot {s.name!r}")

    def _fits(self, param: Param, k: int) -> bool:
        """Whether slot ``k`` has what a parameter of its dtype asks for."""
        s = self.slots[k]
        if param.access == "s" or s.kind == "size":
            number = s.kind in ("input", "size") and s.shape == param.shape == ()
            return number and param.access == "s"
        extents = [n for n in param.shape if isinstance(n, int)]
        if k in self.dynamic or len(extents) < len(param.shape):
            return param.shape == s.physical
        return math.prod(extents) * self.dtypes[k].bytes <= s.nbytes

    def without_constants(self) -> Storage:
        """A copy for who only wants to know: the constants go with the original."""
        made = copy.copy(self)
        made.constants = {}
        return made

    def report(self) -> MemoryReport:
        """The bytes of the program's slots by kind."""

        def total(kind: str) -> int:
            return sum(s.nbytes for s in self.slots if s.kind == kind)

        return MemoryReport(
            self.program.arena,
            total("arena"),
            total("constant"),
            total("input"),
            total("output"),
        )
