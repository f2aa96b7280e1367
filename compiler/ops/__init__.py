"""One OpDef per operator: attributes, inference, compute, kind, numpy reference.

``get(name)`` finds one; ``all_ops()`` lists them. Modules are listed in ``_MODULES``, each with a
literal ``OPS`` tuple; nothing registers itself by being imported.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from ...runtime.errors import GraphError
from .opdef import Attr, Kind, OpDef

__all__ = ["Attr", "Kind", "OpDef", "all_ops", "get"]

_MODULES: tuple[str, ...] = (
    "elementwise",
    "binary",
    "cast",
    "reduce",
    "matmul",
    "normalize",
    "softmax",
    "quantize",
    "scan",
    "topk",
    "einsum",
    "trilu",
    "conv",
    "winograd",
    "pool",
    "shape",
    "gather",
    "scatter",
    "image",
    "sample",
)


@cache
def all_ops() -> dict[str, OpDef]:
    """Every operator by name."""
    table: dict[str, OpDef] = {}
    for m in _MODULES:
        for op in import_module(f".{m}", __name__).OPS:
            assert op.name not in table, f"two operators are called {op.name}"
            table[op.name] = op
    return table


def get(name: str) -> OpDef:
    """The operator called ``name``."""
    op = all_ops().get(name)
    if op is None:
        raise GraphError(f"there is no operator {name!r}.", hint=", ".join(sorted(all_ops())))
    return op
