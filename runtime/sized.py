"""Programs whose sizes are known only per call, on devices that place tensors ahead of it.

:class:`Sized` is the runner of such a program: it has a runner for each of the last few sizes, made
of ``Program.at``, which share the code. A call with sizes that were there before is prepared
already.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .artifact import Program
from .runner import Runner, RunnerFactory
from .storage import Storage

MOST = 8  # runners that are kept; each holds memory of its sizes


def takes_sizes(make: RunnerFactory, storage: Storage) -> bool:
    """Whether runners of ``make`` take the program of ``storage`` as it is."""
    return storage.is_planned and getattr(make, "takes_sizes", False)


class Sized:
    """A :class:`~weft.runtime.runner.Runner` of a program with size variables.

    A runner whose class has ``again(program, storage)`` gives another one of its code for other
    sizes; any other kind is made anew.
    """

    def __init__(
        self,
        make: RunnerFactory,
        params: Mapping[str, np.ndarray],
        program: Program,
        codes: Mapping[str, bytes],
        storage: Storage,
    ):
        self._make, self._params = make, params
        self.program, self._codes, self.storage = program, codes, storage
        self._runners: OrderedDict[tuple[int, ...], Runner] = OrderedDict()

    @classmethod
    def of(cls, make: RunnerFactory, params: Mapping[str, np.ndarray]) -> RunnerFactory:
        """The factory of runners of programs with size variables."""
        return lambda program, codes, storage: cls(make, params, program, codes, storage)

    def run(
        self, arrays: Sequence[Any], out: Sequence[np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """See :meth:`Runner.run`."""
        return self._runner(arrays, out).run(arrays, out)

    def time(
        self, arrays: Sequence[Any], repeat: int, out: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """See :meth:`Runner.time`; ``out`` only says sizes that no input does."""
        return self._runner(arrays, out).time(arrays, repeat)

    def bench(self, arrays: Sequence[Any], number: int, repeat: int) -> np.ndarray:
        """See :meth:`~weft.runtime.rpc.program.AwayProgram.bench`."""
        return self._runner(arrays, None).bench(arrays, number, repeat)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close all of them."""
        while self._runners:
            self._runners.popitem()[1].close()

    def _runner(self, arrays: Sequence[Any], out: Sequence[Any] | None) -> Runner:
        assert self.storage.binder is not None
        values = self.storage.binder.values(arrays, out)
        key = tuple(values.values())
        found = self._runners.get(key)
        if found is None:
            program = self.program.at(values)
            storage = Storage(program, self._params, values)
            first = next(iter(self._runners.values()), None)
            again = getattr(first, "again", None)
            found = again(program, storage) if again else self._make(program, self._codes, storage)
            self._runners[key] = found
            if len(self._runners) > MOST:
                self._runners.popitem(last=False)[1].close()
        self._runners.move_to_end(key)
        return found


__all__ = ["Sized", "takes_sizes"]
