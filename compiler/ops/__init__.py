"""One OpDef per operator: attributes, inference, compute, kind, numpy reference.

``get(name)`` finds one; ``all_ops()`` lists them. Modules are listed in ``_MODULES``, each with a
literal ``OPS`` tuple; nothing registers itself by being imported.
"""

from __future__ import annotations

from functools import cache

from ...runtime.errors import GraphError
from ...runtime.forks import load_module
from .facts import Contraction, Facts, Neutral, Rescaled, Stream
from .opdef import Attr, Kind, OpDef

__all__ = [
    "Attr",
    "Contraction",
    "Facts",
    "Kind",
    "Neutral",
    "OpDef",
    "Rescaled",
    "Stream",
    "all_ops",
    "get",
    "is_registered",
    "register",
]

_MODULES: tuple[str, ...] = (
    "elementwise",
    "binary",
    "cast",
    "reduce",
    "matmul",
    "normalize",
    "softmax",
    "attention",
    "quantize",
    "fixed_point",
    "small_float",
    "scan",
    "topk",
    "compact",
    "einsum",
    "trilu",
    "conv",
    "winograd",
    "pool",
    "shape",
    "pad",
    "gather",
    "scatter",
    "image",
    "sample",
    "trees",
    "suppress",
    "roi_adaptive",
    "deform",
)


@cache
def all_ops() -> dict[str, OpDef]:
    """Every operator of weft's own by name."""
    table: dict[str, OpDef] = {}
    for m in _MODULES:
        for op in load_module(f".{m}", __name__).OPS:
            assert op.name not in table, f"two operators are called {op.name}"
            table[op.name] = op
    return table


_registered: dict[str, OpDef] = {}


def register(op: OpDef) -> OpDef:
    """Add an operator to what :func:`get` finds; see :func:`weft.register_op`."""
    if op.name in all_ops() or op.name in _registered:
        raise GraphError(f"there is an operator {op.name!r} already.", hint="choose another name")
    _registered[op.name] = op
    return op


def is_registered(name: str) -> bool:
    """Whether an operator is not one of weft's own."""
    return name in _registered


def get(name: str) -> OpDef:
    """The operator called ``name``."""
    op = all_ops().get(name) or _registered.get(name)
    if op is None:
        known = ", ".join(sorted({*all_ops(), *_registered}))
        raise GraphError(f"there is no operator {name!r}.", hint=known)
    return op
