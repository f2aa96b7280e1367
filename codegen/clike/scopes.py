"""Texts, scopes and variables of code in languages with C's syntax.

Three layers write the body of one function: :class:`Scopes` here knows names, scopes and which
values are held in which variable; ``expressions.py`` writes expressions, ``statements.py`` the
statements. What differs between languages are hooks (methods that only return a text) of the
classes in ``glsl/``, ``wgsl/`` and ``opencl/``.

Shader compilers are weak at what C compilers do well, so it is done here. Every expression has a
*depth*: the number of the innermost scope (loop body, branch) whose variables it uses. Where two
depths meet, the shallower side becomes a variable of its own scope, and equal texts become one
variable: invariant code leaves loops, and common address arithmetic and fetches are shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...ir.expr import Binary, Broadcast, Cast, Expr, Load, Ramp, Select, Unary, Var
from ...ir.simplify import Analyzer
from ...ir.visit import Mutator
from ...runtime.dtype import DType
from ...runtime.errors import CodegenError


class Value(NamedTuple):
    """A text and the depth of the scope where it is valid. ``atom``: it needs no parentheses and
    costs nothing to repeat. ``fixed``: it means the same wherever its variables exist (what local
    memory holds does not). ``unsigned``: the text of the same bits as an unsigned number, where
    that is known without a conversion."""

    text: str
    depth: int
    atom: bool = False
    fixed: bool = True
    unsigned: str = ""

    def with_text(self, text: str, atom: bool | None = None) -> Value:
        """Another text of what this one is made of."""
        return Value(text, self.depth, self.atom if atom is None else atom, self.fixed)


@dataclass
class Scope:
    """The code between two braces while it is written."""

    lines: list[str] = field(default_factory=list)
    # type and text -> the variable that holds it
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    branch: bool = False  # what is computed here may not be computed at all


class Lane(Mutator):
    """The scalar expression of one lane of a vector expression. ``component`` makes that of a
    vector that is no expression of an index."""

    def __init__(self, k: int, component: Callable[[Expr, int], Expr]):
        super().__init__()
        self.k, self.component = k, component

    def __call__(self, node: Any) -> Any:
        return node if node.dtype.lanes == 1 else super().__call__(node)

    def rebuild(self, node: Any) -> Any:
        """The lane of a node that has no ``visit_`` method: the caller's ``component``."""
        return self.component(node, self.k)

    def visit_Ramp(self, e: Ramp) -> Expr:
        return e.base + e.stride * self.k

    def visit_Broadcast(self, e: Broadcast) -> Expr:
        return e.value

    def visit_Binary(self, e: Binary) -> Expr:
        return Binary(e.op, self(e.a), self(e.b))

    def visit_Unary(self, e: Unary) -> Expr:
        return Unary(e.op, self(e.a))

    def visit_Cast(self, e: Cast) -> Expr:
        return Cast(self(e.value), e.dtype.element)

    def visit_Select(self, e: Select) -> Expr:
        return Select(self(e.cond), self(e.if_true), self(e.if_false))

    def visit_Load(self, e: Load) -> Expr:
        predicate = None if e.predicate is None else self(e.predicate)
        return Load(e.buffer, tuple(map(self, e.indices)), predicate)


class Scopes:
    """Names, scopes and the variables that hold values."""

    # Names with a number at their end that mean something else.
    reserved: frozenset[str] = frozenset()

    def __init__(self, where: str):
        self.where = where
        self.scopes = [Scope()]
        self.analyzer = Analyzer()
        self.vars: dict[Var, Value] = {}
        self._names = Counter[str]()
        self._done: list[dict[Expr, Value]] = [{}]
        self.branches = 0  # conditional statements so far

    # -- hooks ------------------------------------------------------------------------------------

    def type(self, d: DType) -> str:
        """The name of a type; :class:`CodegenError` where it does not exist."""
        raise NotImplementedError

    def constant(self, t: str, name: str, text: str) -> str:
        """The statement that makes ``name`` stand for a value from here on."""
        return f"{t} {name} = {text};"

    # -- names, scopes ----------------------------------------------------------------------------

    def error(self, message: str) -> CodegenError:
        """What is raised for a function that this target cannot compute."""
        return CodegenError(message, where=self.where)

    def name(self, stem: str) -> str:
        """A new name that begins with ``stem``."""
        while True:
            self._names[stem] += 1
            name = f"{stem}{self._names[stem]}"
            if name not in self.reserved:
                return name

    @property
    def depth(self) -> int:
        """The number of the innermost scope."""
        return len(self.scopes) - 1

    def put(self, line: str) -> None:
        """Write a statement."""
        self.scopes[-1].lines.append(line)

    @contextmanager
    def scope(self, head: str, *, branch: bool = False) -> Iterator[None]:
        """``head { … }`` around what is written meanwhile."""
        self.scopes.append(Scope(branch=branch))
        self._done.append({})
        yield
        self._done.pop()
        inner = self.scopes.pop()
        self.put(head + " {")
        self.scopes[-1].lines += ["  " + line for line in inner.lines]
        self.put("}")

    def when(self, condition: str) -> AbstractContextManager[None]:
        """A branch: what is written meanwhile is done where ``condition`` holds."""
        self.branches += 1
        return self.scope(f"if ({condition})", branch=True)

    def otherwise(self) -> AbstractContextManager[None]:
        """The other side of the branch that was just written."""
        return self.scope("else", branch=True)

    def _floor(self) -> int:
        """Nothing moves out of a branch: it would be computed where it is not wanted."""
        return max((k for k, s in enumerate(self.scopes) if s.branch), default=0)

    def hold(self, v: Value, t: str, stem: str) -> Value:
        """``v`` in a variable of the scope that it belongs to."""
        if v.atom:
            return v
        depth = max(v.depth, self._floor()) if v.fixed else self.depth
        if v.fixed:
            for s in self.scopes[: self.depth + 1]:
                known = s.known.get((t, v.text))
                if known is not None:
                    return Value(known, depth, True)
        name = self.name(stem)
        scope = self.scopes[depth]
        scope.lines.append(self.constant(t, name, bare(v.text)))
        if v.fixed:
            scope.known[t, v.text] = name
        return Value(name, depth, True)

    def stem(self, d: DType) -> str:
        """What names of variables of type ``d`` begin with."""
        return "i" if d.is_int else "b" if d.is_bool else "v"

    def meet(self, values: Sequence[Value], types: Sequence[DType]) -> tuple[list[Value], int]:
        """Operands of one operation: shallower ones leave for their own scope."""
        depth = max(v.depth for v in values)
        met = [
            self.hold(v, self.type(d), self.stem(d)) if v.depth < depth and v.fixed else v
            for v, d in zip(values, types)
        ]
        return met, depth

    def join(
        self, form: str, values: Sequence[Value], types: Sequence[DType], atom: bool = False
    ) -> Value:
        """``form`` with operands written in; a call or a parenthesised expression."""
        met, depth = self.meet(values, types)
        text = form.format(*(v.text for v in met))
        return Value(text, depth, atom, all(v.fixed for v in values))


def bare(text: str) -> str:
    """``text`` without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    level = 0
    for k, c in enumerate(text):
        level += (c == "(") - (c == ")")
        if level == 0 and k < len(text) - 1:
            return text
    return text[1:-1]


def bare_sum(text: str) -> str:
    """A sum may go on without parentheses."""
    inner = bare(text)
    level, flat = 0, True
    for c in inner:
        level += (c == "(") - (c == ")")
        flat = flat and not (level == 0 and c in "<>&|^?")
    return inner if flat else text


__all__ = ["Lane", "Scope", "Scopes", "Value", "bare", "bare_sum"]
