"""The largest error of every expansion, in units in the last place of the exact result rounded.

Over all arguments, of all binades; NaN, infinities, zeros and subnormal numbers must be right, too.
``python -m weft.benchmarks.accuracy`` goes over all 2^32 arguments of the float32 ones;
``tests/codegen/test_llvm_math.py`` and ``test_llvm_math_double.py`` take some of each exponent.
"""

from __future__ import annotations

FLOAT32: dict[str, int] = {
    "exp": 2, "exp2": 2, "expm1": 3, "log": 2, "log2": 2, "log10": 2, "log1p": 2, "tanh": 3,
    "sigmoid": 4, "erf": 3, "sin": 2, "cos": 2, "tan": 4, "asin": 3, "acos": 3, "atan": 3,
    "atan2": 4, "sinh": 4, "cosh": 4,
    "asinh": 4, "acosh": 4, "atanh": 4, "pow": 4, "rsqrt": 2,
}  # fmt: skip
FLOAT64: dict[str, int] = {
    "exp": 1, "exp2": 2, "expm1": 2, "log": 1, "log2": 1, "log10": 2, "log1p": 2, "tanh": 3,
    "sigmoid": 2,
    "erf": 2, "sin": 1, "cos": 1, "tan": 3, "asin": 3, "acos": 2, "atan": 3, "atan2": 4, "sinh": 3,
    "cosh": 3,
    "asinh": 3, "acosh": 3, "atanh": 3, "pow": 2, "rsqrt": 2,
}  # fmt: skip
EXACT = ("floor", "ceil", "trunc", "round")
"""Functions whose expansions, of both widths, have no error at all."""
