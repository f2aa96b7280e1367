"""``@te.hybrid``: the function as an operation of te, and as plain Python over numpy's arrays."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import textwrap
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime.errors import ExprError
from ..expr import Expr
from ..intrin import INTRINSICS
from ..tensor import Tensor
from .parser import Parser


class HybridFunction:
    """A function in the language of :class:`~weft.ir.hybrid.parser.Parser`. Called with tensors (or
    variables) it is the operation that it describes; called with arrays and numbers it runs."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        if any(isinstance(a, Tensor | Expr) for a in args):
            return self._operation(args)
        return _plain(self.function)(*args)

    def _operation(self, args: tuple[Any, ...]) -> Tensor | tuple[Tensor, ...]:
        f = self.function
        name = f.__name__
        try:
            lines, first = inspect.getsourcelines(f)
        except (OSError, TypeError):
            raise ExprError(
                "the source of the function is not there to be read.",
                where=name,
                hint="write it in a file",
            ) from None
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
        if not isinstance(tree, ast.FunctionDef):
            raise ExprError("only a def can be a hybrid function.", where=name)
        ast.increment_lineno(tree, first - 1)
        file = inspect.getsourcefile(f) or name
        known = inspect.getclosurevars(f)
        outside = {**known.builtins, **known.globals, **known.nonlocals}
        return Parser(tree, file, outside).operation(args)


class Hybrid:
    """``te.hybrid``, or ``te.hybrid.script`` as TVM spells it: the decorator."""

    def __call__(self, function: Callable[..., Any]) -> HybridFunction:
        """``function`` as a hybrid one."""
        return HybridFunction(function)

    script = __call__


def _range(*limits: int) -> range:
    return range(*limits)


def _zeros(shape: Any, dtype: str = "float32", scope: str = "") -> np.ndarray:
    return np.zeros(shape, dtype)


def _bind(tag: str, extent: int) -> range:
    return range(extent)


_RUNTIME: dict[str, Any] = {
    **{name: spec.numpy for name, spec in INTRINSICS.items() if name != "any"},
    **{str(np.dtype(t)): t for t in (np.float32, np.float64, np.int8, np.int32, np.int64)},
    "output_tensor": _zeros,
    "allocate": _zeros,
    "parallel": _range,
    "vectorize": _range,
    "unroll": _range,
    "const_range": _range,
    "bind": _bind,
    "select": lambda cond, a, b: a if cond else b,
    "likely": lambda cond: cond,
}


def _plain(function: Any) -> Callable[..., Any]:
    """The function with what only the language knows among its globals."""
    known = {n: v for n, v in _RUNTIME.items() if not hasattr(builtins, n)}
    names = {**known, **function.__globals__}
    return types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
