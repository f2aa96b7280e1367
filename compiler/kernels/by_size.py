"""Kernels of symbolic sizes where tensors lie in textures: one for each of the last few sizes.

What texel an element lies in follows from the extents, and shaders compute that with constants.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...ir.expr import Var
from ...ir.schedule.schedule import Schedule
from ...ir.schedule.specialize import specialize
from ...ir.tensor import Tensor
from ...runtime.errors import InputError
from ...runtime.profile import Timing
from ...runtime.uncopied import Uncopied

MOST = 8  # kernels that are kept


class KernelBySize(Uncopied):
    """A kernel that is compiled for the sizes of a call at the first call that has them. Called as
    a :class:`~weft.KernelModule` is; :meth:`at` gives that for the arrays of a call."""

    reason = "holds machine code of its process"
    instead = "build it there"

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        args: Sequence[Tensor | Var],
        places: Mapping[Var, tuple[int, int]],
        make: Callable[[Schedule, list[Tensor | Var]], Any],
    ):
        self.name, self.args = name, tuple(args)
        self._schedule, self._places, self._make = schedule, places, make
        self._kernels: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def at(self, *args: Any) -> Any:
        """The kernel for the sizes of these arguments; it takes no numbers for them."""
        if len(args) != len(self.args):
            raise InputError(
                f"{len(args)} arguments were given for {len(self.args)} parameters.",
                where=self.name,
            )
        values: dict[Var, int] = {}
        for v, (k, axis) in self._places.items():
            shape = getattr(args[k], "shape", ())
            if axis >= len(shape):
                raise InputError(
                    f"{self.args[k].name} has {len(shape)} axes, and {v.name} is axis {axis}.",
                    where=self.name,
                )
            values[v] = int(args[k] if axis < 0 else shape[axis])
        key = tuple(values.values())
        if key not in self._kernels:
            schedule, made = specialize(self._schedule, values)
            rest = [made.get(a, a) if isinstance(a, Tensor) else a for a in self.args]
            self._kernels[key] = self._make(schedule, [a for a in rest if a not in values])
            if len(self._kernels) > MOST:
                self._kernels.popitem(last=False)[1].close()
        self._kernels.move_to_end(key)
        return self._kernels[key]

    def _rest(self, args: Sequence[Any]) -> list[Any]:
        return [a for p, a in zip(self.args, args) if p not in self._places]

    def __call__(self, *args: Any) -> None:
        """As :meth:`KernelModule.__call__`."""
        self.at(*args)(*self._rest(args))

    def time(self, *args: Any, number: int = 1, repeat: int = 10) -> Timing:
        """As :meth:`KernelModule.time`."""
        return self.at(*args).time(*self._rest(args), number=number, repeat=repeat)

    def close(self) -> None:
        """Close all of them."""
        while self._kernels:
            self._kernels.popitem()[1].close()

    def __enter__(self) -> KernelBySize:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["KernelBySize"]
