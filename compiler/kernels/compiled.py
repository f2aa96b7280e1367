"""What one group becomes: :class:`CompiledGroup`, a list of launches, in one form for every target.

On a CPU a group is one launch without geometry; devices take one for each nest of bound loops or
for each draw. What passes between the launches of a group is its scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ...runtime.artifact import Param
from ...runtime.sizes import Size

Scratch = tuple[tuple[str, tuple[Size, ...]], ...]  # dtype and physical shape of each
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Launch:
    """One kernel of a group. ``args`` number the parameters of the group in order and, after them,
    its scratch; ``geometry`` is the extent of each hardware index, empty on a CPU; ``code`` is an
    object file or the text that a driver compiles, ``shared_bytes`` the memory that the threads of
    a workgroup share; ``extents`` are those of its loops that a call decides about."""

    symbol: str
    params: tuple[Param, ...]
    args: tuple[int, ...]
    geometry: Mapping[str, Size]
    code: bytes
    shared_bytes: int = 0
    extents: tuple[Size, ...] = ()


@dataclass(frozen=True)
class CompiledGroup:
    """A compiled group: its symbol, its parameters in order, the launches that compute it in order.

    ``device`` is the kind of target where it runs, when not on the device of its own, and
    ``reason`` says why. ``facts`` are for reports and records: operations, layouts, the answers to
    the open questions of its schedule.
    """

    symbol: str
    params: tuple[Param, ...]
    launches: tuple[Launch, ...]
    scratch: Scratch = ()
    device: str = ""
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def single(cls, symbol: str, params: tuple[Param, ...], code: bytes) -> CompiledGroup:
        """The group that is one kernel, without geometry."""
        args = tuple(range(len(params)))
        return cls(symbol, params, (Launch(symbol, params, args, _EMPTY, code),))

    @property
    def codes(self) -> dict[str, bytes]:
        """The code of each kernel by its symbol."""
        return {k.symbol: k.code for k in self.launches}

    @property
    def nbytes(self) -> int:
        """Bytes of code."""
        return sum(len(k.code) for k in self.launches)
