"""From the syntax tree of a Python function to the statements of an extern operation.

What is known while the function is read (numbers, shapes, conditions on them) is computed then, as
Python does. A variable is a cell of its own, in the block where it is first assigned.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ...runtime.dtype import dtype_of
from ...runtime.errors import ExprError, WeftError
from ..alu import Op
from ..builders import if_then_else
from ..expr import Binary, Expr, Load, as_int, binary, to_expr
from ..intrin import call
from ..operations.builder import IRBuilder, Pointer
from ..operations.check import check_statements
from ..operations.extern import ExternOp
from ..operations.views import whole
from ..stmt import Buffer
from ..tensor import Tensor, shape_of
from .calls import callable_named

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: call("pow", a, b) if isinstance(a, Expr) else a**b,
    ast.LShift: lambda a, b: a << b,
    ast.RShift: lambda a, b: a >> b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
}
_COMPARE: dict[type, tuple[Op, bool]] = {  # the operator, and whether its sides change places
    ast.Eq: (Op.EQ, False),
    ast.NotEq: (Op.NE, False),
    ast.Lt: (Op.LT, False),
    ast.LtE: (Op.LE, False),
    ast.Gt: (Op.LT, True),
    ast.GtE: (Op.LE, True),
}
_PLAIN: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
_LOOPS = {
    "range": "serial",
    "parallel": "parallel",
    "vectorize": "vectorize",
    "unroll": "unroll",
    "const_range": "unroll",
}
Number = int | float | bool


@dataclass(frozen=True, eq=False)
class _Cell:
    """A variable: one element of storage, and how many concurrent loops are around it."""

    place: Pointer
    loops: int


class Parser:
    """Reads one function for one list of arguments.

    The language: ``for`` over ``range``, ``parallel``, ``vectorize``, ``unroll`` and
    ``bind(tag, extent)``; ``if`` and ``else``; assignments to variables and elements;
    ``output_tensor(shape, dtype)`` and ``allocate(shape, dtype, scope)``; arithmetic, comparisons,
    ``and``, ``or``, ``not``, ``a if c else b``; intrinsics, ``min``, ``max``, ``abs``, ``len``,
    casts such as ``int32(x)``, and ``.shape``. The ``return`` at the end names the results.
    """

    def __init__(self, tree: ast.FunctionDef, file: str, outside: Mapping[str, Any]):
        self.tree, self.file, self.outside = tree, file, outside
        self.ib = IRBuilder()
        self.scopes: list[dict[str, Any]] = [{}]
        self.gone: set[str] = set()  # variables of blocks that have ended
        self.loops = 0  # around: those whose iterations are not one after the other
        self.outs: list[Buffer] = []
        self.results: list[Buffer] = []

    def fail(self, node: ast.AST, message: str, hint: str = "") -> NoReturn:
        """Raise ExprError at the line of ``node``."""
        raise ExprError(message, where=self._where(node), hint=hint or None)

    def _where(self, node: ast.AST) -> str:
        return f"{self.file}:{getattr(node, 'lineno', self.tree.lineno)}"

    def operation(self, args: Sequence[Any]) -> Tensor | tuple[Tensor, ...]:
        """The results for these arguments: tensors, expressions, numbers, or sequences of them."""
        a, name = self.tree.args, self.tree.name
        if a.vararg or a.kwarg or a.kwonlyargs or a.defaults:
            self.fail(self.tree, "the parameters must be plain names.")
        names = [p.arg for p in (*a.posonlyargs, *a.args)]
        if len(names) != len(args):
            self.fail(self.tree, f"{name} takes {len(names)} arguments, not {len(args)}.")
        ins: list[Buffer] = []
        for n, value in zip(names, args):
            if isinstance(value, Tensor):
                ins.append(Buffer(value.name, value.dtype, value.shape))
                self.scopes[0][n] = Pointer(self.ib, ins[-1])
            else:
                self.scopes[0][n] = value
        self.block(self.tree.body, top=True)
        if not self.results:
            self.fail(self.tree, f"{name} returns nothing.", "end it with: return out")
        if any(b not in self.results for b in self.outs):
            self.fail(self.tree, f"{name} makes an output_tensor that it does not return.")
        body = self.ib.get()
        check_statements(name, ins, self.results, body)
        reads = tuple(x for x in args if isinstance(x, Tensor))
        op = ExternOp(name, reads, tuple(ins), tuple(self.results), body)
        return op.outputs if len(self.results) > 1 else op.outputs[0]

    # ------------------------------------------------------------------ statements

    def block(self, stmts: Sequence[ast.stmt], top: bool = False) -> None:
        """The statements of a block, which has variables of its own."""
        for k, s in enumerate(stmts):
            if isinstance(s, ast.Return):
                if not top or k + 1 < len(stmts):
                    self.fail(s, "return must be the last statement of the function.")
                self.returned(s)
                continue
            visit = _STATEMENTS.get(type(s))
            if visit is None:
                self.fail(s, f"{_word(s)} is not a part of the language of hybrid functions.")
            try:
                visit(self, s)
            except WeftError as e:
                if e.where and e.where.startswith(f"{self.file}:"):
                    raise
                raise ExprError(e.message, where=self._where(s), hint=e.hint) from e

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A block with variables of its own."""
        self.scopes.append({})
        yield
        self.gone |= set(self.scopes.pop())

    def returned(self, s: ast.Return) -> None:
        """The results."""
        names = s.value.elts if isinstance(s.value, ast.Tuple) else [s.value]
        for n in names:
            value = self.look_up(n) if isinstance(n, ast.Name) else None
            if not isinstance(value, Pointer) or value.buffer not in self.outs:
                self.fail(s, "return names what output_tensor(shape, dtype) has made.")
            self.results.append(value.buffer)

    def assign(self, s: ast.Assign) -> None:
        """``a = b``, ``a[i] = b`` and ``a, b = b, a``."""
        if len(s.targets) != 1:
            self.fail(s, "a = b = c is not a part of the language.", "write two assignments")
        target = s.targets[0]
        if isinstance(target, ast.Tuple) and isinstance(s.value, ast.Tuple):
            values = [self.expr(v) for v in s.value.elts]
            if len(values) != len(target.elts):
                self.fail(s, "both sides must have as many parts.")
            kept = [self.ib.let("kept", v) if isinstance(v, Expr) else v for v in values]
            for t, v in zip(target.elts, kept):
                self.store(t, v)
            return
        self.store(target, self.made(target, s.value))

    def made(self, target: ast.expr, value: ast.expr) -> Any:
        """The value of an assignment: storage where it makes some."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            name = target.id if isinstance(target, ast.Name) else "buffer"
            args = [self.expr(x) for x in value.args]
            keys = {k.arg: self.expr(k.value) for k in value.keywords}
            if value.func.id == "allocate":
                given = dict(zip(("shape", "dtype", "scope"), args)) | keys
                return self.ib.allocate(
                    given.get("dtype", "float32"),
                    given.get("shape", ()),
                    name,
                    given.get("scope", "local"),
                )
            if value.func.id == "output_tensor":
                if len(self.scopes) > 1:
                    self.fail(value, "output_tensor stands outside of all loops and branches.")
                given = dict(zip(("shape", "dtype"), args)) | keys
                shape, dtype = given.get("shape", ()), given.get("dtype", "float32")
                buffer = Buffer(name, dtype_of(dtype), shape_of(shape, name))
                self.outs.append(buffer)
                return Pointer(self.ib, buffer)
        return self.expr(value)

    def augment(self, s: ast.AugAssign) -> None:
        """``a += b`` and its like."""
        made = ast.BinOp(_as_load(s.target), s.op, s.value)
        ast.copy_location(made, s)
        self.store(s.target, self.expr(made))

    def store(self, target: ast.expr, value: Any) -> None:
        """``target`` becomes ``value``."""
        if isinstance(target, ast.Subscript):
            place, indices = self.element(target)
            if not isinstance(place, Pointer):
                self.fail(target, "only elements of tensors and allocated storage are assigned.")
            place[indices] = value
            return
        if not isinstance(target, ast.Name):
            self.fail(target, f"{_word(target)} cannot be assigned.")
        known = self.known(target.id)
        if isinstance(value, Pointer | str | tuple):
            if known is not None:
                self.fail(target, f"{target.id} is there already.")
            self.scopes[-1][target.id] = value
            return
        if known is None:
            v = to_expr(value)
            cell = _Cell(self.ib.allocate(v.dtype, (1,), target.id), self.loops)
            self.scopes[-1][target.id] = cell
            cell.place[0] = v
            return
        if not isinstance(known, _Cell):
            self.fail(target, f"{target.id} is no variable that can be assigned.")
        if known.loops != self.loops:
            self.fail(
                target,
                f"{target.id} is assigned in a loop whose iterations run together, and belongs to "
                "the block around it: they would overwrite one another's.",
                "assign it first inside of the loop, or write to an element of a tensor",
            )
        known.place[0] = value

    def branch(self, s: ast.If) -> None:
        """``if``, at once where the condition is known."""
        cond = self.expr(s.test)
        if not isinstance(cond, Expr):
            with self.inside():
                self.block(s.body if cond else s.orelse)
            return
        with self.ib.if_scope(cond), self.inside():
            self.block(s.body)
        if s.orelse:
            with self.ib.else_scope(), self.inside():
                self.block(s.orelse)

    def loop(self, s: ast.For) -> None:
        """``for i in range(…)`` and its kinds."""
        it = s.iter
        if s.orelse or not isinstance(s.target, ast.Name):
            self.fail(s, "a loop is: for name in range(…), without else.")
        if not (isinstance(it, ast.Call) and isinstance(it.func, ast.Name)) or it.keywords:
            self.fail(s, f"a loop is over {', '.join(_LOOPS)} or bind(tag, extent).")
        args, name, kind = [self.expr(x) for x in it.args], s.target.id, it.func.id
        if self.known(name) is not None:
            self.fail(s, f"{name} is a variable already.", "call the loop's another name")
        if kind == "bind" and len(args) == 2:
            tag = getattr(args[0], "tag", args[0])
            with self.ib.bind(tag, args[1]) as i:
                self.iterations(s, name, i, True)
            return
        if kind not in _LOOPS or not 1 <= len(args) <= 3:
            self.fail(s, f"a loop is over {', '.join(_LOOPS)} or bind(tag, extent).")
        low, high = (0, args[0]) if len(args) == 1 else args[:2]
        step = args[2] if len(args) == 3 else 1
        if not isinstance(step, int) or step == 0:
            self.fail(s, f"the step of a loop must be a constant, not {step}.")
        if step == 1:
            with self.ib.for_range(low, high, name, _LOOPS[kind]) as i:
                self.iterations(s, name, i, _LOOPS[kind] in ("parallel", "vectorize"))
            return
        trips = (high - low + (step - 1 if step > 0 else step + 1)) // step
        with self.ib.for_range(0, trips, name, _LOOPS[kind]) as i:
            at = to_expr(low) + i * step
            self.iterations(s, name, at, _LOOPS[kind] in ("parallel", "vectorize"))

    def iterations(self, s: ast.For, name: str, value: Expr, together: bool) -> None:
        """The body of a loop, in which ``name`` is ``value``."""
        self.loops += together
        with self.inside():
            self.scopes[-1][name] = value
            self.block(s.body)
        self.loops -= together

    def nothing(self, s: ast.stmt) -> None:
        """``pass``."""

    def alone(self, s: ast.Expr) -> None:
        """An expression as a statement: a docstring."""
        if not isinstance(s.value, ast.Constant):
            self.fail(s, f"{ast.unparse(s)} does nothing here.")

    # ------------------------------------------------------------------ expressions

    def known(self, name: str) -> Any:
        """What a name stands for inside of the function, or None."""
        return next((c[name] for c in reversed(self.scopes) if name in c), None)

    def look_up(self, n: ast.Name) -> Any:
        """What a name stands for, inside or outside of the function."""
        found = self.known(n.id)
        if found is not None:
            return found
        if n.id in self.gone:
            self.fail(
                n,
                f"{n.id} is used outside of the block in which it is first assigned.",
                "assign it before the loop or branch",
            )
        if n.id not in self.outside:
            self.fail(n, f"{n.id} is not defined.")
        return self.outside[n.id]

    def expr(self, e: ast.expr) -> Any:
        """The value of an expression: an expression of te, or what is known already."""
        visit = _EXPRESSIONS.get(type(e))
        if visit is None:
            self.fail(e, f"{_word(e)} is not a part of the language of hybrid functions.")
        value = visit(self, e)
        if isinstance(value, _Cell):
            return Load(value.place.buffer, (to_expr(0),))
        return value

    def constant(self, e: ast.Constant) -> Any:
        """A number or a text."""
        if not isinstance(e.value, bool | int | float | str):
            self.fail(e, f"{e.value!r} is no number.")
        return e.value

    def parts(self, e: ast.Tuple | ast.List) -> tuple:
        """A tuple, of a shape."""
        return tuple(self.expr(x) for x in e.elts)

    def arithmetic(self, e: ast.BinOp) -> Any:
        """``a + b``; plain numbers as Python computes them."""
        a, b = self.expr(e.left), self.expr(e.right)
        if type(e.op) not in _BINARY:
            self.fail(e, f"{_word(e.op)} is not a part of the language of hybrid functions.")
        self.numbers(e, a, b)
        if isinstance(e.op, ast.Div) and any(
            isinstance(x, Expr) and x.dtype.is_int for x in (a, b)
        ):
            self.fail(e, "/ of integers is not defined here.", "write //, or float32(a) / b")
        return _BINARY[type(e.op)](a, b)

    def numbers(self, e: ast.AST, *values: Any) -> None:
        """Raise unless all are numbers or expressions."""
        for v in values:
            if not isinstance(v, Expr | int | float | np.generic):
                self.fail(e, f"{v!r} is no number.", "index tensors: a[i, j]")

    def sign(self, e: ast.UnaryOp) -> Any:
        """``-a``, ``not a``, ``~a``."""
        a = self.expr(e.operand)
        self.numbers(e, a)
        if isinstance(e.op, ast.Not):
            return ~a if isinstance(a, Expr) else not a
        if isinstance(e.op, ast.USub):
            return -a
        return a if isinstance(e.op, ast.UAdd) else ~a

    def compare(self, e: ast.Compare) -> Any:
        """``a < b <= c``."""
        values = [self.expr(x) for x in (e.left, *e.comparators)]
        self.numbers(e, *values)
        found: Any = True
        for a, b, op in zip(values, values[1:], e.ops):
            if type(op) not in _COMPARE:
                self.fail(e, f"{_word(op)} is not a part of the language of hybrid functions.")
            if not isinstance(a, Expr) and not isinstance(b, Expr):
                found = _both(found, _PLAIN[type(op)](a, b))
                continue
            kind, turned = _COMPARE[type(op)]
            found = _both(found, binary(kind, b, a) if turned else binary(kind, a, b))
        return found

    def logic(self, e: ast.BoolOp) -> Any:
        """``a and b``, ``a or b``: both are evaluated where they are not known."""
        values = [self.expr(x) for x in e.values]
        either = isinstance(e.op, ast.Or)
        found = values[0]
        for v in values[1:]:
            if isinstance(found, Expr) and isinstance(v, Expr):
                found = Binary(Op.OR, found, v) if either else if_then_else(found, v, False)
            elif isinstance(found, Expr):
                found = (True if v else found) if either else (found if v else False)
            else:
                found = (found or v) if either else (found and v)
        return found

    def choice(self, e: ast.IfExp) -> Any:
        """``a if c else b``: only the chosen side is evaluated."""
        cond = self.expr(e.test)
        if not isinstance(cond, Expr):
            return self.expr(e.body if cond else e.orelse)
        return if_then_else(cond, self.expr(e.body), self.expr(e.orelse))

    def element(self, e: ast.Subscript) -> tuple[Any, Any]:
        """What is indexed and by what; ``a[i][j]`` is ``a[i, j]``."""
        indices: list[Any] = []
        inner: ast.expr = e
        while isinstance(inner, ast.Subscript):
            index = self.expr(inner.slice)
            indices = [*(index if isinstance(index, tuple) else (index,)), *indices]
            inner = inner.value
        return self.expr(inner), tuple(indices)

    def read(self, e: ast.Subscript) -> Any:
        """``a[i, j]``, or a part of a shape."""
        place, indices = self.element(e)
        if isinstance(place, Pointer):
            return whole(place.buffer)[indices]
        part = isinstance(place, Sequence) and len(indices) == 1 and isinstance(indices[0], int)
        if not part:
            self.fail(e, f"{ast.unparse(e.value)} cannot be indexed by {ast.unparse(e.slice)}.")
        return place[indices[0]]

    def attribute(self, e: ast.Attribute) -> Any:
        """``a.shape`` and ``a.dtype``, and what modules have."""
        value = self.expr(e.value)
        if isinstance(value, Pointer) and e.attr == "shape":
            return tuple(n if (c := as_int(n)) is None else c for n in value.shape)
        if isinstance(value, Pointer) and e.attr == "dtype":
            return str(value.dtype)
        if isinstance(value, Pointer | Expr) or not hasattr(value, e.attr):
            self.fail(e, f"{ast.unparse(e)} is not a part of the language of hybrid functions.")
        return getattr(value, e.attr)

    def called(self, e: ast.Call) -> Any:
        """A call of what the language has, or of a function of te."""
        name = e.func.id if isinstance(e.func, ast.Name) else ""
        name = e.func.attr if isinstance(e.func, ast.Attribute) else name
        args = [self.expr(x) for x in e.args]
        if e.keywords:
            self.fail(e, "calls take no keywords here.")
        if name == "len" and len(args) == 1 and isinstance(args[0], Pointer):
            return self.attribute(ast.Attribute(e.args[0], "shape"))[0]
        self.numbers(e, *args)
        function = callable_named(name)
        if function is None:
            self.fail(e, f"{ast.unparse(e.func)} cannot be called in a hybrid function.")
        try:
            return function(*args)
        except TypeError as wrong:
            self.fail(e, f"{name} cannot be called with {len(args)} arguments: {wrong}.")


def _both(a: Any, b: Any) -> Any:
    if isinstance(a, Expr) and isinstance(b, Expr):
        return Binary(Op.AND, a, b)
    if isinstance(a, Expr):
        return a if b else False
    return b if a else False


def _as_load(target: ast.expr) -> ast.expr:
    new = ast.parse(ast.unparse(target), mode="eval").body
    return ast.copy_location(new, target)


def _word(node: ast.AST) -> str:
    return type(node).__name__.lower()


_STATEMENTS: dict[type, Callable[[Parser, Any], None]] = {
    ast.Assign: Parser.assign,
    ast.AugAssign: Parser.augment,
    ast.If: Parser.branch,
    ast.For: Parser.loop,
    ast.Pass: Parser.nothing,
    ast.Expr: Parser.alone,
}
_EXPRESSIONS: dict[type, Callable[[Parser, Any], Any]] = {
    ast.Constant: Parser.constant,
    ast.Name: Parser.look_up,
    ast.Tuple: Parser.parts,
    ast.List: Parser.parts,
    ast.BinOp: Parser.arithmetic,
    ast.UnaryOp: Parser.sign,
    ast.Compare: Parser.compare,
    ast.BoolOp: Parser.logic,
    ast.IfExp: Parser.choice,
    ast.Subscript: Parser.read,
    ast.Attribute: Parser.attribute,
    ast.Call: Parser.called,
}
