"""Expressions and loop nests as readable pseudo-Python, stable enough to be golden text.

Parentheses follow Python's precedence. Two variables or buffers that share a name are told apart
by a suffix in the order of their first appearance: ``i``, ``i_1``.

The printer knows the nodes by the names of their types alone: it stands below ``expr.py`` and
``stmt.py``, whose ``__str__`` it is.

    def scale(A: float32[n, 8], B: float32[n, 8], n: int32) -> B:
        for i in parallel(0, n):
            for j in vectorized(0, 8):
                B[i, j] = A[i, j] * 2.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from .alu import Op

if TYPE_CHECKING:
    from .expr import (
        Binary,
        Broadcast,
        Call,
        Cast,
        Const,
        Expr,
        IterVar,
        Load,
        Ramp,
        Read,
        Reduce,
        Reinterpret,
        Select,
        Unary,
        Var,
    )
    from .stmt import (
        Alloc,
        Barrier,
        Buffer,
        For,
        ForeignCall,
        Function,
        If,
        Let,
        Prefetch,
        Seq,
        Stmt,
        Store,
    )
    from .tensor import Tensor

_WIDTH = 100  # columns: a longer parameter list is broken, one parameter a line

# Python's precedences, loosest first. A word operator stands for the symbol on bools.
_OR, _AND, _NOT, _COMPARE, _BITOR, _BITXOR, _BITAND, _SHIFT, _SUM, _PRODUCT, _UNARY, _ATOM = range(
    1, 13
)
_INFIX: dict[Op, tuple[str, int]] = {
    Op.ADD: ("+", _SUM),
    Op.SUB: ("-", _SUM),
    Op.MUL: ("*", _PRODUCT),
    Op.DIV: ("/", _PRODUCT),
    Op.FLOORDIV: ("//", _PRODUCT),
    Op.FLOORMOD: ("%", _PRODUCT),
    Op.EQ: ("==", _COMPARE),
    Op.NE: ("!=", _COMPARE),
    Op.LT: ("<", _COMPARE),
    Op.LE: ("<=", _COMPARE),
    Op.AND: ("&", _BITAND),
    Op.OR: ("|", _BITOR),
    Op.XOR: ("^", _BITXOR),
    Op.SHL: ("<<", _SHIFT),
    Op.SHR: (">>", _SHIFT),
}
_WORDS: dict[Op, tuple[str, int]] = {Op.AND: ("and", _AND), Op.OR: ("or", _OR)}


class _Names:
    """One name for each variable, buffer and tensor, given at its first appearance."""

    def __init__(self) -> None:
        self._of: dict[object, str] = {}
        self._taken: set[str] = set()

    def __call__(self, thing: Var | Buffer | Tensor) -> str:
        name = self._of.get(thing)
        if name is None:
            name, k = thing.name, 0
            while name in self._taken:
                k += 1
                name = f"{thing.name}_{k}"
            self._of[thing] = name
            self._taken.add(name)
        return name


_LONG = 4096  # nodes of a text from which on what is used twice is written once
_BARE = frozenset({"Const", "Var", "IterVar"})


class _TooLong(Exception):
    """The text of an expression is so long that it must be written with names. Never seen."""


class _Printer:
    def __init__(self) -> None:
        self.name = _Names()
        self._how: Callable[[Expr, int], str] | None = None  # the writer of a part of an expression
        self._left = 0
        self._uses: dict[Expr, int] = {}
        self._shared: dict[Expr, str] = {}

    # ------------------------------------------------------------------ expressions

    def expr(self, e: Expr, at_least: int = 0) -> str:
        """The text of ``e``, in parentheses when it binds looser than ``at_least``. In a very long
        one a value that is used several times is written once, with a name: ``(t1 := a * b)``."""
        if self._how is not None:
            return self._how(e, at_least)
        self._how, self._left = self._plain, _LONG
        try:
            return self._plain(e, at_least)
        except _TooLong:
            self._how, self._uses, self._shared = self._count, {}, {}
            self._count(e)
            self._how = self._named
            return self._named(e, at_least)
        finally:
            self._how = None

    def _plain(self, e: Expr, at_least: int = 0) -> str:
        self._left -= 1
        if self._left < 0:
            raise _TooLong
        text, precedence = _EXPR[type(e).__name__](self, e)
        return text if precedence >= at_least else f"({text})"

    def _count(self, e: Expr, at_least: int = 0) -> str:
        self._uses[e] = self._uses.get(e, 0) + 1
        if self._uses[e] == 1:
            _EXPR[type(e).__name__](self, e)
        return ""

    def _named(self, e: Expr, at_least: int = 0) -> str:
        name = self._shared.get(e)
        if name is not None:
            return name
        text, precedence = _EXPR[type(e).__name__](self, e)
        if self._uses[e] > 1 and type(e).__name__ not in _BARE:
            self._shared[e] = f"t{len(self._shared) + 1}"
            return f"({self._shared[e]} := {text})"
        return text if precedence >= at_least else f"({text})"

    def list(self, exprs: tuple[Expr, ...]) -> str:
        return ", ".join(map(self.expr, exprs))

    def const(self, e: Const) -> tuple[str, int]:
        d, v = e.dtype, e.value
        if d.is_float:
            text = str(float(v)) if d.kind == "bfloat" else str(d.numpy.type(v))
        else:
            text = str(v)
        plain = str(d) in ("int32", "float32", "bool")
        if not plain:
            return f"{d}({text})", _ATOM
        return text, _UNARY if text.startswith("-") else _ATOM

    def var(self, e: Var) -> tuple[str, int]:
        return self.name(e), _ATOM

    def unary(self, e: Unary) -> tuple[str, int]:
        if e.op is Op.ABS:
            return f"abs({self.expr(e.a)})", _ATOM
        if e.op is Op.NOT and e.dtype.is_bool:
            return f"not {self.expr(e.a, _NOT)}", _NOT
        return ("-" if e.op is Op.NEG else "~") + self.expr(e.a, _UNARY), _UNARY

    def binary(self, e: Binary) -> tuple[str, int]:
        infix = _WORDS.get(e.op) if e.dtype.is_bool else None
        infix = infix or _INFIX.get(e.op)
        if infix is None:
            return f"{e.op.value}({self.expr(e.a)}, {self.expr(e.b)})", _ATOM
        symbol, p = infix
        # Python chains comparisons, so that neither side of one may be another without brackets.
        left = p + 1 if p == _COMPARE else p
        return f"{self.expr(e.a, left)} {symbol} {self.expr(e.b, p + 1)}", p

    def cast(self, e: Cast) -> tuple[str, int]:
        return f"{e.dtype}({self.expr(e.value)})", _ATOM

    def reinterpret(self, e: Reinterpret) -> tuple[str, int]:
        return f"reinterpret({self.expr(e.value)}, {e.dtype})", _ATOM

    def select(self, e: Select) -> tuple[str, int]:
        return f"select({self.list((e.cond, e.if_true, e.if_false))})", _ATOM

    def call(self, e: Call) -> tuple[str, int]:
        return f"{e.name}({self.list(e.args)})", _ATOM

    def read(self, e: Read) -> tuple[str, int]:
        return f"{self.name(e.tensor)}[{self.list(e.indices) or '()'}]", _ATOM

    def access(self, e: Load | Store) -> str:
        inner = self.list(e.indices) or "()"
        if e.predicate is not None:
            inner += f", where={self.expr(e.predicate)}"
        return f"{self.name(e.buffer)}[{inner}]"

    def load(self, e: Load) -> tuple[str, int]:
        return self.access(e), _ATOM

    def ramp(self, e: Ramp) -> tuple[str, int]:
        return f"ramp({self.expr(e.base)}, {self.expr(e.stride)}, {e.lanes})", _ATOM

    def broadcast(self, e: Broadcast) -> tuple[str, int]:
        return f"broadcast({self.expr(e.value)}, {e.lanes})", _ATOM

    def reduce(self, e: Reduce) -> tuple[str, int]:
        one = len(e.sources) == 1
        source = self.expr(e.sources[0]) if one else f"({self.list(e.sources)})"
        loops = "".join(f" for {self.name(a)} in {self.range(a)}" for a in e.axes)
        where = "" if _is_const(e.condition, True) else f" if {self.expr(e.condition)}"
        return f"{e.reducer.name}({source}{loops}{where})" + ("" if one else f"[{e.index}]"), _ATOM

    def range(self, a: IterVar) -> str:
        return f"range({self.limits(a.minimum, a.extent)})"

    def limits(self, minimum: Expr, extent: Expr) -> str:
        """``begin, end`` of ``[minimum, minimum + extent)``."""
        end = extent if _is_const(minimum, 0) else minimum + extent
        return f"{self.expr(minimum)}, {self.expr(end)}"

    # ------------------------------------------------------------------ statements

    def block(self, s: Stmt, depth: int, last: bool = True) -> list[str]:
        """The lines of ``s``; ``last``: nothing follows in its block, so that what it declares may
        stand in line and not in a block of its own."""
        return _STMT[type(s).__name__](self, s, depth, last)

    def store(self, s: Store, depth: int, last: bool) -> list[str]:
        return [_pad(depth) + f"{self.access(s)} = {self.expr(s.value)}"]

    def loop(self, s: For, depth: int, last: bool) -> list[str]:
        limits, kind = self.limits(s.minimum, s.extent), s.kind.value
        if kind == "bound":
            domain = f'bound("{s.tag}", {limits})'
        else:
            domain = ("range" if kind == "serial" else kind) + f"({limits})"
            if s.tag:
                domain += f'  # tag "{s.tag}"'
        head = f"for {self.name(s.var)} in {domain}:" + _hints("pragma ", s.pragmas)
        return [_pad(depth) + head, *self.block(s.body, depth + 1)]

    def branch(self, s: If, depth: int, last: bool) -> list[str]:
        cond = f"likely({self.expr(s.cond)})" if s.likely else self.expr(s.cond)
        lines = [_pad(depth) + f"if {cond}:", *self.block(s.then, depth + 1)]
        if s.otherwise is not None:
            lines += [_pad(depth) + "else:", *self.block(s.otherwise, depth + 1)]
        return lines

    def seq(self, s: Seq, depth: int, last: bool) -> list[str]:
        if not s.stmts:
            return [_pad(depth) + "pass"]
        end = len(s.stmts) - 1
        return [ln for k, c in enumerate(s.stmts) for ln in self.block(c, depth, last and k == end)]

    def declare(self, head: str, body: Stmt, depth: int, last: bool) -> list[str]:
        if last:
            return [_pad(depth) + head, *self.block(body, depth)]
        return [_pad(depth) + head + ":", *self.block(body, depth + 1)]

    def let(self, s: Let, depth: int, last: bool) -> list[str]:
        value = self.expr(s.value)
        return self.declare(f"let {self.name(s.var)} = {value}", s.body, depth, last)

    def alloc(self, s: Alloc, depth: int, last: bool) -> list[str]:
        return self.declare(
            f"alloc {self.buffer(s.buffer)} in {s.buffer.scope}", s.body, depth, last
        )

    def barrier(self, s: Barrier, depth: int, last: bool) -> list[str]:
        return [_pad(depth) + f'barrier("{s.scope}")']

    def prefetch(self, s: Prefetch, depth: int, last: bool) -> list[str]:
        return [_pad(depth) + f"prefetch({self.name(s.buffer)}[{self.list(s.indices) or '()'}])"]

    def foreign(self, s: ForeignCall, depth: int, last: bool) -> list[str]:
        args = ", ".join(
            ("" if m == "value" else "&") + self.expr(a) for a, m in zip(s.args, s.modes)
        )
        return [_pad(depth) + f"call {s.function}({args})"]

    def buffer(self, b: Buffer) -> str:
        text = f"{self.name(b)}: {b.dtype}[{self.list(b.shape)}]"
        return text if b.layout is None else f"{text} as {b.layout}"

    def parameter(self, p: Buffer | Var) -> str:
        if type(p).__name__ == "Buffer":
            return self.buffer(cast("Buffer", p))
        return f"{self.name(p)}: {p.dtype}"

    def function(self, f: Function) -> str:
        # Parameters name the scalars before shapes refer to them, so that `n` keeps its name.
        for p in f.params:
            self.name(p)
        params = list(map(self.parameter, f.params))
        results = ", ".join(self.name(p) for p in f.params if p in f.writes)
        tail = (f") -> {results}:" if results else "):") + _hints("", f.attrs)
        head = f"def {f.name}(" + ", ".join(params) + tail
        if len(head) > _WIDTH:
            head = "\n".join([f"def {f.name}(", *(f"    {p}," for p in params), tail])
        return "\n".join([head, *self.block(f.body, 1)])


def _is_const(e: Expr, value: int) -> bool:
    return type(e).__name__ == "Const" and cast("Const", e).value == value


def _pad(depth: int) -> str:
    return "    " * depth


def _hints(title: str, items: Mapping[str, object]) -> str:
    return "  # " + title + ", ".join(f"{k}={v}" for k, v in items.items()) if items else ""


_EXPR: dict[str, Callable[[_Printer, Any], tuple[str, int]]] = {
    "Const": _Printer.const,
    "Var": _Printer.var,
    "IterVar": _Printer.var,
    "Unary": _Printer.unary,
    "Binary": _Printer.binary,
    "Cast": _Printer.cast,
    "Reinterpret": _Printer.reinterpret,
    "Select": _Printer.select,
    "Call": _Printer.call,
    "Read": _Printer.read,
    "Load": _Printer.load,
    "Ramp": _Printer.ramp,
    "Broadcast": _Printer.broadcast,
    "Reduce": _Printer.reduce,
}
_STMT: dict[str, Callable[[_Printer, Any, int, bool], list[str]]] = {
    "Store": _Printer.store,
    "For": _Printer.loop,
    "If": _Printer.branch,
    "Seq": _Printer.seq,
    "Let": _Printer.let,
    "Alloc": _Printer.alloc,
    "Barrier": _Printer.barrier,
    "Prefetch": _Printer.prefetch,
    "ForeignCall": _Printer.foreign,
}


def expr_text(e: Expr) -> str:
    """One expression on one line.

    >>> from weft.ir.expr import Var
    >>> i = Var("i")
    >>> expr_text((i + 1) * 2 - (i - 3))
    '(i + 1) * 2 - (i - 3)'
    """
    return _Printer().expr(e)


def stmt_text(s: Stmt) -> str:
    """A statement, without a newline at the end."""
    return "\n".join(_Printer().block(s, 0))


def function_text(f: Function) -> str:
    """A function: its parameters, the buffers that it writes, its attributes, its body."""
    return _Printer().function(f)
