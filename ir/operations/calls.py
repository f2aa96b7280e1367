"""``te.call_c`` and ``te.call_python``: statements that call functions outside of weft."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ...runtime.dtype import INT64
from ...runtime.errors import ExprError
from ..expr import ZERO, Expr, ExprLike, Load, cast, to_expr
from ..foreign import C_TYPES, CFunction, PythonFunction
from ..stmt import Buffer, ForeignCall
from .builder import Pointer
from .views import BufferView

Operand = BufferView | Pointer


def call_c(
    symbol: str, *args: Operand | ExprLike, library: str | os.PathLike[str] | None = None
) -> ForeignCall:
    """The statement that calls a C function, for ``ib.emit``, on processors.

    Parameters
    ----------
    args : ``ins[k]``, ``outs[k]`` or what ``ib.allocate`` made are given as pointers to the first
        element (``const`` for inputs), int32, int64, float32 and float64 values as ``int32_t``,
        ``int64_t``, ``float`` and ``double``; a Python int is an int32, a Python float a float32.
    library : the shared library to look in; by default all that the process has loaded.

    What the function returns (``void`` or an integer) is not looked at. It must not write inputs.

    Raises
    ------
    ExprError : a symbol that C cannot have, an argument of another type.
    """
    if not isinstance(symbol, str) or not symbol.isidentifier() or not symbol.isascii():
        raise ExprError(f"{symbol!r} is no name of a C function.")
    given: list[Expr] = []
    modes: list[str] = []
    for a in args:
        if isinstance(a, Operand):
            given.append(_address(a))
            modes.append("any")
            continue
        e = to_expr(a)
        if str(e.dtype) not in C_TYPES:
            raise ExprError(
                f"{symbol}: a {e.dtype} cannot be given to a C function: {e}",
                hint=f"convert it: te.cast(x, …) to {', '.join(C_TYPES)}",
            )
        given.append(e)
        modes.append("value")
    place = None if library is None else os.fspath(library)
    return ForeignCall(CFunction(symbol, place), tuple(given), tuple(modes))


def call_python(
    fn: Callable[..., object], ins: Sequence[Operand], outs: Sequence[Operand]
) -> ForeignCall:
    """The statement that calls ``fn(*ins, *outs)`` with numpy arrays of the buffers' own memory,
    for ``ib.emit``, on the processor of this process.

    The arrays of ``ins`` are read-only; they are valid until ``fn`` returns, and its answer is not
    looked at. Calls from several threads come one after another (the GIL). What ``fn`` raises is
    raised by the call of the kernel, whose results are undefined then.

    Raises ExprError for what is no function or no operand.
    """
    if not callable(fn):
        raise ExprError(f"{fn!r} cannot be called.")
    name = getattr(fn, "__name__", type(fn).__name__)
    given: list[Expr] = []
    modes: list[str] = []
    for mode, operands in (("in", ins), ("out", outs)):
        for a in operands:
            if not isinstance(a, Operand):
                raise ExprError(f"{name}: {a!r} is none of ins, outs and allocations.")
            extents = [cast(n, INT64) for n in a.shape]
            given += [_address(a), *extents]
            modes += [mode, *["value"] * len(extents)]
    arrays = [(a.dtype, len(a.shape), False) for a in ins]
    arrays += [(a.dtype, len(a.shape), True) for a in outs]
    return ForeignCall(PythonFunction(name, fn, tuple(arrays)), tuple(given), tuple(modes))


def _address(a: Operand) -> Load:
    b: Buffer = a.buffer
    return Load(b, (ZERO,) * len(b.shape))
