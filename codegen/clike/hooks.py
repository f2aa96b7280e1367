"""What expressions look like in one language with C's syntax: hooks, and texts that most share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.expr import Binary, Cast, Expr, Load, Op, Reinterpret, Select
from ...ir.intrin import INTRINSICS
from ...ir.target import Target
from ...runtime.dtype import DType
from .scopes import Scopes, Value

COMPONENTS = "xyzw"
INFIX = {
    Op.ADD: "+", Op.SUB: "-", Op.MUL: "*", Op.DIV: "/", Op.EQ: "==", Op.NE: "!=", Op.LT: "<",
    Op.LE: "<=", Op.AND: "&", Op.OR: "|", Op.XOR: "^",
}  # fmt: skip
LOGIC_SCALAR = {Op.AND: "&&", Op.OR: "||", Op.XOR: "!="}


class LanguageHooks(Scopes):
    """What ``expressions.py`` asks a language. A *form* is a text with ``{0}``, ``{1}`` for the
    operands."""

    # Functions of ours that the language lacks: what :meth:`helper_text` makes texts of.
    library: Mapping[str, Any] = {}
    # Intrinsic functions, and what the language or ``library`` calls them.
    intrinsics: Mapping[str, str] = {}
    target: Target

    def literal(self, x: bool | int | float, d: DType) -> str:
        """The text of a constant."""
        raise NotImplementedError

    def splat(self, d: DType, text: str) -> str:
        """A vector of type ``d`` with a scalar in every lane."""
        raise NotImplementedError

    def build(self, d: DType, lanes: Sequence[str]) -> str:
        """A vector of its lanes."""
        raise NotImplementedError

    def component(self, text: str, k: int, d: DType) -> str:
        """Lane ``k`` of a vector of type ``d``."""
        return f"{text}.{COMPONENTS[k]}"

    def operator(self, op: Op, d: DType) -> str:
        """The form of an operator on values of type ``d``: all but divisions, shifts and the
        extrema of floats."""
        raise NotImplementedError

    def fit(self, op: Op, d: DType, v: Value) -> Value:
        """``v``, the result of ``op``, brought back into what ``d`` holds."""
        return v

    def mixes(self, op: Op, d: DType) -> bool:
        """Whether ``op`` takes a scalar beside a vector of type ``d``."""
        return op in (Op.ADD, Op.SUB, Op.MUL, Op.DIV)

    def beside(self, text: str, d: DType) -> str:
        """A scalar as the right operand of a shift or mask of a vector of type ``d``."""
        return text

    def literal_beside(self, x: float, d: DType) -> str:
        """A constant as the right operand of a shift or mask of a vector of type ``d``."""
        return self.beside(self.literal(x, d.element), d)

    def count_of(self, form: str, d: DType) -> str:
        """A value of type ``d`` as the count of a shift."""
        return form

    def literal_count(self, n: int, d: DType) -> str:
        """A constant as the count of a shift of values of type ``d``."""
        return self.beside(str(n), d)

    def apply(self, op: Op, d: DType, operands: Sequence[Value], types: Sequence[DType]) -> Value:
        """``op`` on operands of type ``d``, of which one may be a scalar where ``op`` mixes."""
        made = self.join(self.operator(op, d), operands, types)
        return self.fit(op, d, made)

    def plain_sum(self, e: Binary) -> bool:
        """Whether the terms of an int32 sum may be added in any order."""
        return True

    def function(self, name: str, d: DType) -> str:
        """The name of a function of ours for values of type ``d``; it becomes part of the code."""
        raise NotImplementedError

    def helper_text(self, name: str, t: Any) -> tuple[str, Sequence[tuple[str, Any]]]:
        """The text of a function of ``library`` for operands of type ``t``, and what it calls:
        names and types."""
        return self.library[name](t)

    def extremum(self, e: Binary) -> Value:
        """The minimum or maximum of floats: NaN wins."""
        raise NotImplementedError

    def cast(self, e: Cast) -> Value:
        """The value of a conversion."""
        raise NotImplementedError

    def reinterpret(self, e: Reinterpret) -> Value:
        """The bits of a value as another type."""
        raise NotImplementedError

    def intrinsic(self, name: str, d: DType) -> str:
        """The form of an intrinsic function of values of type ``d``."""
        spec = INTRINSICS[name]
        if spec.own:  # the pass has followed all other rules
            rule = str(spec.rule(self.target.languages))
            places = ", ".join(f"{{{k}}}" for k in range(spec.arity))
            return f"({rule})" if "{0}" in rule else f"{rule}({places})"
        if name not in self.intrinsics:
            raise self.error(f"the intrinsic {name!r} has no form in this language")
        text = self.intrinsics[name]
        return f"{self.function(text, d) if text in self.library else text}({{0}})"

    def choice(self, d: DType) -> str:
        """The form of a choice by a scalar condition."""
        return "({0} ? {1} : {2})"

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType) -> Value:
        """``a`` in the lanes where ``cond`` holds, ``b`` elsewhere."""
        raise NotImplementedError

    def load(self, e: Load) -> Value:
        """The value of a load; its predicate is the caller's, see :meth:`_load`."""
        raise NotImplementedError

    def must_branch(self, e: Select) -> bool:
        """Whether computing both sides of a choice is not allowed."""
        return False

    def variable(self, t: str, name: str, text: str = "") -> str:
        """The statement that declares a variable, with or without a value."""
        return f"{t} {name} = {text};" if text else f"{t} {name};"

    def spread(self, v: Value, d: DType, e: Expr) -> Value:
        """``v``, which is the scalar ``e``, in every lane of a vector of type ``d``."""
        return v.with_text(self.splat(d, v.text))


__all__ = ["COMPONENTS", "INFIX", "LOGIC_SCALAR", "LanguageHooks"]
