"""``python -m weft.benchmarks.accuracy``: the errors of float32 expansions over all 2^32 floats.

What an expansion of ``ir/passes/math`` gives on this processor is compared with that of float64,
which is good to a few units of its own last place (``tests/codegen/test_llvm_math_double.py``
compares those with the 80-bit type), in one kernel: a minute or two for a function.
``--numpy`` compares with numpy's float64 functions instead, which takes some minutes each. The
bounds are those of ``ir/passes/math/bounds.py``; exit code 1 where one is exceeded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import build
from ..compiler.schedules import schedule
from ..ir import te
from ..ir.expr import Expr, Reinterpret
from ..ir.intrin import INTRINSICS, call
from ..ir.passes.math import basic, float32
from ..ir.passes.math.bounds import EXACT, FLOAT32
from ..ir.target import Target
from ..ir.tensor import Tensor
from ..runtime.dtype import FLOAT32 as F32
from ..runtime.dtype import FLOAT64 as F64
from ..runtime.dtype import INT64, UINT32

FIRST, END = 0, 1 << 32  # the bits of the floats that are tried
CHUNK = 1 << 22  # of one call
ROWS = 1 << 10  # of which one element of a kernel's result takes so many
# Second operands of pow: squares and roots, odd and even integers, fractions, the edges.
EXPONENTS = (2.0, 3.0, 0.5, -0.5, -1.0, 1 / 3, 2.4, -7.25, 11.0, 1e-3, -150.0)


class Case(NamedTuple):
    """A function of one float; ``bound`` in units in the last place."""

    label: str
    name: str
    bound: int
    exponent: float | None = None  # the second operand, if there is one

    def of(self, x: Expr) -> Expr:
        """The function of an expression."""
        if self.exponent is None:
            return call(self.name, x)
        return call(self.name, x, te.const(self.exponent, x.dtype))

    def exact(self, x: np.ndarray) -> np.ndarray:
        """The function in float64, by numpy (erf by the C library)."""
        wide = x.astype(np.float64)
        with np.errstate(all="ignore"):
            if self.name == "sigmoid":
                e = np.exp(-np.abs(wide))
                return np.where(wide < 0, e, 1) / (1 + e)
            if self.exponent is None:
                return INTRINSICS[self.name].numpy(wide)
            return INTRINSICS[self.name].numpy(wide, np.float64(np.float32(self.exponent)))


def cases() -> Iterator[Case]:
    """All expansions that there are, with the bound that each must have."""
    for name in float32.EXPANSIONS:
        if INTRINSICS[name].arity == 1:
            yield Case(name, name, FLOAT32[name])
            continue
        for e in EXPONENTS:
            yield Case(f"{name}(x, {e:.4g})", name, FLOAT32[name], float(np.float32(e)))
    for name in EXACT:
        assert name in basic.EXPANSIONS
        yield Case(name, name, 0)


def ulp(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The errors of float32 numbers in units in the last place of ``want`` (float64) rounded;
    infinite where only one of the two is finite or NaN."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        error = np.where(same, 0, np.inf)
        both = np.isfinite(got) & np.isfinite(rounded) & ~same
        unit = np.maximum(np.spacing(np.abs(rounded[both])).astype(np.float64), 2.0**-149)
        error[both] = np.abs(got[both].astype(np.float64) - want[both]) / unit
    return error


def _error(case: Case, x: Expr) -> Expr:
    """What :func:`ulp` says, as an expression of the argument."""
    got, want = case.of(x), case.of(x.astype("float64"))
    rounded = want.astype("float32")
    same = te.equal(got, rounded) | (te.isnan(got) & te.isnan(rounded))
    finite = (abs(got) <= float(np.finfo(np.float32).max)) & (
        abs(rounded) <= float(np.finfo(np.float32).max)
    )
    size = Reinterpret(rounded, UINT32) >> 23 & 255
    power = te.maximum(size.astype("int64"), te.const(1, INT64)) + (1023 - 127 - 23)
    off = abs(got.astype("float64") - want) / Reinterpret(power << 52, F64)
    infinite = te.const(float("inf"), F64)
    return te.if_then_else(same, te.const(0.0, F64), te.if_then_else(finite, off, infinite))


def _kernel(case: Case, wanted: Callable[[Case, Expr], Expr], columns: int, rows: int, dtype: str):
    """A kernel of (first argument's bits, results): ``wanted`` of ``columns`` arguments, of each
    the largest over ``rows``."""
    first = te.placeholder((1,), "uint32", name="first")

    def argument(number: Expr) -> Expr:
        return Reinterpret(first[0] + number.astype("uint32"), F32)

    if rows > 1:
        k = te.reduce_axis((0, rows), name="k")
        out = te.compute(
            (columns,),
            lambda i: te.max(wanted(case, argument(k * columns + i)), axis=k),
            name="out",
        )
    else:
        out = te.compute((columns,), lambda i: wanted(case, argument(i)).astype(dtype), name="out")
    assert isinstance(out, Tensor)  # of one component
    target = Target.parse("llvm -native_math=" if case.bound == 0 else "llvm")
    return build(schedule([out], target), [first, out], target, name="accuracy")


def every_float(case: Case) -> tuple[float, float]:
    """The largest error over all floats, and its argument; the reference is our own float64."""
    columns = CHUNK // ROWS
    kernel, errors = _kernel(case, _error, columns, ROWS, "float64"), np.zeros(columns)
    worst, place = -1.0, 0
    for begin in range(FIRST, END, CHUNK):
        kernel(np.array([begin], np.uint32), errors)
        here = int(np.nan_to_num(errors, nan=np.inf).argmax())
        if not errors[here] <= worst:
            worst, place = float(errors[here]), begin + here
    each = _kernel(case, _error, CHUNK, 1, "float64")
    errors = np.zeros(CHUNK)
    begin = place // CHUNK * CHUNK
    each(np.array([begin], np.uint32), errors)
    place = begin + int(errors.argmax())
    return worst, float(np.array([place], np.uint32).view(np.float32)[0])


def against_numpy(case: Case) -> tuple[float, float]:
    """The largest error over all floats, and its argument; the reference is numpy's float64."""
    kernel = _kernel(case, lambda c, x: c.of(x), CHUNK, 1, "float32")
    got, worst, place = np.zeros(CHUNK, np.float32), -1.0, 0.0
    for begin in range(FIRST, END, CHUNK):
        bits = np.arange(begin, begin + CHUNK, dtype=np.uint32)
        kernel(bits[:1], got)
        x = bits.view(np.float32)
        errors = ulp(got, case.exact(x))
        here = int(errors.argmax())
        if errors[here] > worst:
            worst, place = float(errors[here]), float(x[here])
    return worst, place


def main() -> int:
    """Print the table; 1 where a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m weft.benchmarks.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", help="functions, all by default")
    parser.add_argument("--numpy", action="store_true", help="compare with numpy's float64")
    options = parser.parse_args()
    console = Console(width=100)
    table = Table("function", "bound", "largest error, ulp", "at", "seconds")
    failed = False
    for case in cases():
        if options.names and case.name not in options.names:
            continue
        begin = time.perf_counter()
        found = against_numpy(case) if options.numpy else every_float(case)
        bad = not found[0] <= case.bound
        failed |= bad
        row = (case.label, str(case.bound), f"{found[0]:.3f}{' !' if bad else ''}",
               repr(np.float32(found[1]).item()), f"{time.perf_counter() - begin:.0f}")  # fmt: skip
        console.print("  ".join(row))
        table.add_row(*row)
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
