"""The user's module for writing kernels: ``from weft import te``.

All of ``weft.ir.te``, and what needs weft's own schedule rules: ``auto_schedule``, and ``template``
for schedules with open questions that ``weft.tune`` answers. Those are loaded when they are asked
for: whoever writes a schedule by hand need not wait for a tuner.

>>> A = placeholder((512, 512), name="A")
>>> k = reduce_axis(512, "k")
>>> B = compute((512, 512), lambda i, j: sum(A[i, k] * A[k, j], axis=k), name="B")
>>> s = auto_schedule(B, "llvm")        # doctest: +SKIP
"""

# ruff: noqa: F401
from typing import TYPE_CHECKING, Any

from ..ir.te import *  # noqa: F403

if TYPE_CHECKING:
    from .schedules.auto import auto_schedule
    from .tune.template import Template, template

_LAZY = {
    "auto_schedule": ".schedules.auto",
    "template": ".tune.template",
    "Template": ".tune.template",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'weft.te' has no attribute {name!r}")
    from ..runtime.forks import load_module

    value = getattr(load_module(_LAZY[name], __package__), name)
    globals()[name] = value
    return value
