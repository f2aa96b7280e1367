"""What is said to those who write Python's own words on expressions, and what to write instead."""

from __future__ import annotations

from ..runtime.errors import ExprError

_NOT_AN_EXPRESSION = {  # by the name of the type
    "Tensor": "index it: A[i, j]",
    "TensorSlice": "give the indices that are missing: A[i, j]",
    "ndarray": "give arrays as te.placeholder and pass them when the kernel is called",
    "str": "a variable is te.var(name)",
}


_OF_NUMPY = {  # numpy's words that are others in te
    "add": "sum(x, axis=k)", "power": "pow", "absolute": "abs", "rint": "round",
    "where": "if_then_else", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "fmod": "truncmod",
    "logical_and": "all(a, b)", "logical_or": "any(a, b)", "logical_not": "if_then_else, or ~c",
    "square": "pow, or x * x",
}  # fmt: skip


def no_truth(e: object) -> ExprError:
    """``if``, ``and``, ``or``, ``not``, ``a < b < c``, ``max``, ``in`` ask for the truth."""
    return ExprError(
        f"the truth of {e} is known only when the kernel runs, not while it is built.",
        hint="write te.if_then_else(cond, a, b) for if; & | ~ or te.all, te.any for and, or, not; "
        "(a < b) & (b < c) for a < b < c; te.maximum, te.minimum for max, min; "
        "a is b to ask whether two names are one axis",
    )


def not_iterable(e: object) -> ExprError:
    """``for x in e``, ``a, b = e``, ``sum(e)``, ``max(e)``."""
    return ExprError(
        f"{e} is one value and cannot be iterated.",
        hint="for Python's sum, max, min, all, any write te.sum(x[k], axis=k), te.max, te.min, "
        "te.all, te.any with k = te.reduce_axis(n)",
    )


def no_number(e: object) -> ExprError:
    """``int(e)``, ``range(e)``, ``math.exp(e)``, ``a_list[e]``."""
    return ExprError(
        f"{e} has a value only when the kernel runs, not while it is built.",
        hint="Python's int, float, range, lists and the functions of math take constants; write "
        "te.exp(x), te.floor(x), … for math, x.astype(dtype) for int and float, te.reduce_axis for "
        "range, and a te.placeholder for a list",
    )


def no_ufunc(name: str) -> ExprError:
    """``np.exp(e)``."""
    ours = _OF_NUMPY.get(name, name)
    return ExprError(
        f"np.{name} computes with arrays, not with expressions.",
        hint=f"write te.{ours}; te's functions are in dir(te)",
    )


def no_power(base: object, exponent: object) -> ExprError:
    """``x ** y``."""
    return ExprError(
        f"** is not defined on expressions: {base} ** {exponent}",
        hint="write te.pow(x, y) for floats, and a product for small powers: x * x",
    )


def undefined(op: str, dtype: object, text: str) -> ExprError:
    """An operator that a type does not have."""
    return ExprError(
        f"{op} is not defined on {dtype}: {text}",
        hint=_INSTEAD.get((op, _family(dtype)), 'convert with .astype("float32") or another dtype'),
    )


def _family(dtype: object) -> str:
    return next((f for f in ("float", "bool") if f in str(dtype)), "int")


_INSTEAD = {  # (operator, kind of type)
    ("/", "int"): 'integers divide by //, rounding down; for a fraction x.astype("float32") / y',
    ("//", "float"): "write te.floor(x / y)",
    ("%", "float"): "write te.truncmod(x, y) for C's fmod, or x - te.floor(x / y) * y",
    ("truncdiv", "float"): "write te.trunc(x / y)",
    ("neg", "bool"): "the opposite of a condition is ~c",
    **{(op, "bool"): 'count conditions with c.astype("int32"), join them with & and |'
       for op in ("+", "-", "*", "/", "//", "%", "<", "<=", "min", "max")},
    **{(op, "float"): "conditions are joined, as in (x > 0) & (y > 0); for the bits of a float "
       'write te.reinterpret(x, "uint32")' for op in ("&", "|", "^", "not")},
}  # fmt: skip


def not_an_expression(value: object) -> ExprError:
    """Something else where an expression is wanted."""
    kind = type(value).__name__
    return ExprError(
        f"{value!r} ({kind}) is not an expression or a number.",
        hint=_NOT_AN_EXPRESSION.get(kind, "make numbers with te.const(value, dtype)"),
    )
