"""What TorchScript has for numbers, lists and texts, and its numbers of element types."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

# c10::ScalarType -> the number in the export schema, and weft's name.
C10: dict[int, tuple[int, str]] = {
    0: (1, "uint8"), 1: (2, "int8"), 2: (3, "int16"), 3: (4, "int32"), 4: (5, "int64"),
    5: (6, "float16"), 6: (7, "float32"), 7: (8, "float64"), 11: (12, "bool"),
    15: (13, "bfloat16"),
}  # fmt: skip

# What returns the tensor that it is given.
SAME = frozenset(("cpu", "cuda", "data", "detach", "contiguous", "requires_grad_",
                  "unchecked_unwrap_optional"))  # fmt: skip


# Those of PYTHON that lists and tuples of tensors have, too.
LISTS = frozenset(("__is__", "__isnot__", "__getitem__", "len", "list", "slice", "extend",
                   "insert", "pop"))  # fmt: skip


def _range_length(start: int, stop: int, step: int) -> int:
    return len(range(start, stop, step))


def _format(text: str, *values: Any) -> str:
    for v in values:
        text = text.replace("{}", str(v), 1)
    return text


def _times(a: Any, b: Any) -> Any:
    if isinstance(a, list | str) and len(a) * b > 1 << 20:
        raise ValueError(f"{b} times a list of {len(a)} items")
    return a * b


def _power(a: Any, b: Any) -> Any:
    return a ** min(b, 64) if isinstance(a, int) and isinstance(b, int) else float(a) ** b


PYTHON: dict[str, Callable[..., Any]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge, "add": operator.add, "sub": operator.sub,
    "mul": _times,
    "div": operator.truediv, "floordiv": operator.floordiv, "remainder": operator.mod,
    "pow": _power, "neg": operator.neg, "abs": abs, "sqrt": math.sqrt, "log": math.log,
    "exp": math.exp, "floor": math.floor, "ceil": math.ceil, "__not__": operator.not_,
    "__and__": lambda a, b: a and b, "__or__": lambda a, b: a or b,
    "__is__": lambda a, b: a is b, "__isnot__": lambda a, b: a is not b,
    "__contains__": lambda a, b: b in a, "__getitem__": lambda a, b: a[b], "len": len,
    "list": list, "format": _format, "__range_length": _range_length,
    "__derive_index": lambda i, start, step: start + i * step, "Int": int, "Float": float,
    "Bool": bool, "min": min, "max": max, "is_grad_enabled": lambda: False,
    "set_grad_enabled": lambda on: None, "warn": lambda *_: None, "is_scripting": lambda: True,
    "slice": lambda a, start=None, end=None, step=1: a[start:end:step], "str": str,
    "extend": lambda a, b: a.extend(b), "insert": lambda a, k, v: a.insert(k, v),
    "pop": lambda a, k=-1: a.pop(k), "unchecked_unwrap_optional": lambda a: a,
}  # fmt: skip
