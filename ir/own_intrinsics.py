"""Intrinsics from outside: ``te.register_intrinsic``.

What weft itself has is the literal table of ``intrin.py``; this adds to it, for a program that
calls it. ``passes/math/math.py`` follows the rules, and what is spelled in a target's language is
left to its code generator.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..runtime.errors import ExprError
from .expr import Expr, ExprLike
from .intrin import INTRINSICS, Intrinsic, Rule, call

_DOMAINS, _RESULTS = ("float", "int", "bool", "any"), ("same", "bool")


def register_intrinsic(
    name: str,
    arity: int,
    *,
    numpy: Callable[..., Any],
    rules: Mapping[str, Rule] | None = None,
    lower: Callable[..., Expr] | None = None,
    domain: str = "float",
    result: str = "same",
) -> Callable[..., Expr]:
    """Make ``name`` an intrinsic: an element-wise function of ``arity`` operands of one type.

    >>> cube = register_intrinsic("cube", 1, numpy=lambda x: x**3, lower=lambda x: x * x * x)
    >>> B = compute((8,), lambda i: cube(A[i]))

    Parameters
    ----------
    numpy : its meaning, which the interpreter computes. Operands are arrays or scalars of numpy;
        floats come in double precision, and the result is rounded once.
    rules : by kind of target, how it is computed there: a *spelling* or a function. A spelling is
        the name of a function of the target's language (``"native_sin"``) or a text with ``{0}``,
        ``{1}`` for the operands (``"mix({0}, {1}, 0.5)"``); it has to take vectors, too. On
        ``"llvm"`` it is an overloaded intrinsic of LLVM that becomes instructions (``"copysign"``
        for ``llvm.copysign.*``). A function builds the expression of the result from those of the
        operands, which are vectors in vectorised loops. ``"webgl"`` takes the rule of ``"opengl"``
        where it has none, ``"wasm"`` that of ``"llvm"``.
    lower : such a function for all other targets.
    domain : what operands may be: ``"float"``, ``"int"``, ``"bool"`` or ``"any"``.
    result : ``"same"`` type as the operands, or ``"bool"``.

    Returns the function that builds calls of it. A target without a rule refuses kernels that call
    it (``CodegenError``). Raises ``ExprError`` where there is an intrinsic of this name.
    """
    if name in INTRINSICS:
        raise ExprError(f"there is an intrinsic {name!r} already.", hint="choose another name")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ExprError(f"{name!r} is no name of an intrinsic: small letters, digits and _")
    if arity < 1 or domain not in _DOMAINS or result not in _RESULTS:
        raise ExprError(
            f"the intrinsic {name!r} has arity {arity}, domain {domain!r}, result {result!r}.",
            hint=f"at least one operand, one of {', '.join(_DOMAINS)}, and {' or '.join(_RESULTS)}",
        )
    for kind, rule in (rules or {}).items():
        if not isinstance(rule, str) and not callable(rule):
            raise ExprError(
                f"the rule of {name!r} for {kind!r} is a {type(rule).__name__}.",
                hint="a text in the target's language, or a function that builds an expression",
            )
    INTRINSICS[name] = Intrinsic(
        name, arity, numpy, domain, result, own=True, rules=dict(rules or {}), lower=lower
    )

    def intrinsic(*args: ExprLike) -> Expr:
        return call(name, *args)

    intrinsic.__name__ = name
    intrinsic.__doc__ = f"The element-wise intrinsic ``{name}``."
    return intrinsic


def identity() -> str:
    """What tells these intrinsics and their rules apart, as a key for caches. Empty where there are
    none: ours are in the fingerprint of every cache."""
    own = [i for i in INTRINSICS.values() if i.own]
    if not own:
        return ""
    digest = hashlib.sha256()
    for i in sorted(own, key=lambda i: i.name):
        digest.update(f"{i.name} {i.arity} {i.domain} {i.result}\n".encode())
        for kind, rule in sorted({**i.rules, "": i.lower or ""}.items()):
            digest.update(f"{kind} ".encode())
            digest.update(rule.encode() if isinstance(rule, str) else _code(rule))
    return digest.hexdigest()


def _code(f: Callable[..., Any]) -> bytes:
    """The function and the file in which it stands, for what it calls there; what has none lives as
    long as the process."""
    code = getattr(f, "__code__", None)
    try:
        file = inspect.getsourcefile(f)
        text = Path(file).read_bytes() if file else b""
    except (OSError, TypeError):
        text = b""
    if code is None or not text:
        return f"{os.getpid()} {id(f)}".encode()
    return f"{f.__qualname__} {code.co_firstlineno} ".encode() + code.co_code + text


__all__ = ["identity", "register_intrinsic"]
