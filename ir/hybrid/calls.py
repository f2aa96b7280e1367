"""What a hybrid function may call, on expressions and on plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from ..builders import if_then_else, maximum, minimum
from ..expr import Expr, cast, to_expr
from ..intrin import INTRINSICS, call

_CASTS = (
    "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
)  # fmt: skip


def _pick(plain: Callable[..., Any], built: Callable[[Any, Any], Expr], *values: Any) -> Any:
    """The least or the greatest of numbers, as Python has it, or of expressions."""
    if not any(isinstance(v, Expr) for v in values):
        return plain(values)
    return reduce(built, values)


def _converted(name: str, value: Any) -> Expr:
    return cast(value, name)


def _chosen(cond: Any, a: Any, b: Any) -> Any:
    return if_then_else(cond, a, b) if isinstance(cond, Expr) else a if cond else b


def _intrinsic(name: str, *args: Any) -> Expr:
    like = next((a.dtype for a in args if isinstance(a, Expr)), None)
    return call(name, *(a if isinstance(a, Expr) or like else to_expr(float(a)) for a in args))


def _itself(value: Any) -> Any:
    return value


def callable_named(name: str) -> Callable[..., Any] | None:
    """What a name in a call means; intrinsics from outside may be registered at any time."""
    known = _CALLS.get(name)
    if known is None and name in INTRINSICS and name != "any":
        return partial(_intrinsic, name)
    return known


_CALLS: dict[str, Callable[..., Any]] = {
    **{name: partial(_converted, name) for name in _CASTS},
    "power": partial(_intrinsic, "pow"),
    "min": partial(_pick, min, minimum),
    "max": partial(_pick, max, maximum),
    "minimum": partial(_pick, min, minimum),
    "maximum": partial(_pick, max, maximum),
    "abs": abs,
    "select": _chosen,
    "if_then_else": _chosen,
    "likely": _itself,
}
