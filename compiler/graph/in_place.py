"""Which inputs a kernel may overwrite with its result.

``conv(x, w) + r`` reads ``r`` where it writes, and nowhere else: the sum may take the bytes of
``r``. Such parameters are not promised to be apart from each other (``Function.attrs["overlap"]``),
and the memory plan decides whether they are (``passes/memory.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ops import Kind, get
from ..types import TensorType
from .group import Group


def overwritable(group: Group, types: Mapping[str, TensorType]) -> tuple[str, ...]:
    """The inputs of ``group`` that lie in storage as its only result does, and that are read by
    nothing but elementwise operators on the way to it, none of whose results is of another shape:
    element for element, the input is read before the result is written."""
    if len(group.outputs) != 1:
        return ()
    (out,) = group.outputs
    wanted = types[out]
    elsewhere: set[str] = set()  # read for other elements of the result, too
    for n in reversed(group.nodes):
        here = get(n.op).kind <= Kind.BROADCAST and not elsewhere.intersection(n.outputs)
        here = here and all(types[o].shape == wanted.shape for o in n.outputs)
        elsewhere.update(i for i in n.inputs if i and not (here and types[i].shape == wanted.shape))
    return tuple(i for i in group.inputs if i not in elsewhere and types[i] == wanted)
