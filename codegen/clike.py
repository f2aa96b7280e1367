"""Expressions and statements in languages with C's syntax: shaders now, OpenCL and WGSL by the same
means.

:class:`CLike` walks a lowered function. What differs between languages is data (:class:`Dialect`)
and three hooks: how memory is read, how it is written, what a helper function looks like.

Shader compilers are weak at what C compilers do well, so it is done here. Every expression has a
*depth*: the number of the innermost scope (loop body, branch) whose variables it uses. Where two
depths meet, the shallower side becomes a variable of its own scope, and equal texts become one
variable: invariant code leaves loops, and common address arithmetic and fetches are shared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..ir.expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Op,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
    as_int,
    is_const,
)
from ..ir.simplify import Analyzer
from ..ir.stmt import Alloc, Buffer, For, ForKind, If, Let, Seq, Stmt, Store
from ..ir.visit import Mutator, children, walk
from ..runtime.dtype import FLOAT32, INT32, DType
from ..runtime.errors import CodegenError

COMPONENTS = "xyzw"


class Value(NamedTuple):
    """A text and the depth of the scope where it is valid. ``atom``: it needs no parentheses and
    costs nothing to repeat. ``fixed``: it means the same wherever its variables exist (what local
    memory holds does not)."""

    text: str
    depth: int
    atom: bool = False
    fixed: bool = True


@dataclass(frozen=True)
class Dialect:
    """What one language calls things. ``types``: (kind of element, lanes) to the type's name;
    ``intrinsics``: names of those that are functions; ``helpers``: text of functions of ours by
    name, with the names of those that each of them calls."""

    types: Mapping[tuple[str, int], str]
    intrinsics: Mapping[str, str]
    bits: Mapping[tuple[str, str], str]  # (from, to) -> function that keeps the bits
    helpers: Mapping[str, tuple[str, tuple[str, ...]]]


@dataclass
class Scope:
    lines: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # text -> variable that holds it
    branch: bool = False


class _Lane(Mutator):
    """The scalar expression of one lane of a vector expression. ``component`` gives that of a
    vector that is no expression of an index."""

    def __init__(self, k: int, component: Callable[[Expr, int], Expr]):
        super().__init__()
        self.k, self.component = k, component

    def __call__(self, node: Any) -> Any:
        return node if node.dtype.lanes == 1 else super().__call__(node)

    def rebuild(self, node: Any) -> Any:
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


_INFIX = {
    Op.ADD: "+", Op.SUB: "-", Op.MUL: "*", Op.DIV: "/", Op.EQ: "==", Op.NE: "!=", Op.LT: "<",
    Op.LE: "<=", Op.SHL: "<<", Op.SHR: ">>",
}  # fmt: skip
_LOGIC_SCALAR = {Op.AND: "&&", Op.OR: "||", Op.XOR: "!="}
_LOGIC_BITS = {Op.AND: "&", Op.OR: "|", Op.XOR: "^"}
_COMPARE_VECTOR = {
    Op.EQ: "equal", Op.NE: "notEqual", Op.LT: "lessThan", Op.LE: "lessThanEqual",
}  # fmt: skip
_DIVISION = {
    Op.FLOORDIV: "floordiv", Op.FLOORMOD: "floormod", Op.TRUNCDIV: "truncdiv",
    Op.TRUNCMOD: "truncmod",
}  # fmt: skip
_MAY_LEAVE = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.SHL, Op.NEG, Op.NOT, Op.ABS, Op.TRUNCDIV,
                        Op.FLOORDIV})  # fmt: skip


class CLike:
    """Writes the body of one function. Integers have 32 bits: 64-bit ones are kept in 32 (where the
    difference could be seen, it is a :class:`CodegenError`), shorter ones are wrapped after each
    operation that may leave their range."""

    def __init__(self, dialect: Dialect, where: str):
        self.dialect, self.where = dialect, where
        self.scopes = [Scope()]
        self.analyzer = Analyzer()
        self.vars: dict[Var, Value] = {}
        self.helpers: dict[str, None] = {}
        self.masks: list[Expr] = []
        self._names = Counter[str]()
        self._uses: Counter[Expr] = Counter()
        self._done: list[dict[Expr, Value]] = [{}]
        self._local: dict[Buffer, tuple[str, bool]] = {}  # name; whether it is vectors
        self._expressions: dict[type, Callable[[Any], Value]] = {
            Const: self._const, Var: self._var, Unary: self._unary, Binary: self._binary,
            Cast: self._cast, Reinterpret: self._reinterpret, Select: self._select,
            Call: self._call, Load: self._load, Ramp: self._ramp, Broadcast: self._broadcast,
        }  # fmt: skip
        self._statements: dict[type, Callable[[Any], None]] = {
            Store: self._store, For: self._for, If: self._if, Seq: self._seq, Let: self._let,
            Alloc: self._alloc,
        }  # fmt: skip

    # -- hooks ------------------------------------------------------------------------------------

    def load_memory(self, e: Load) -> Value:
        """The value of a load from a parameter, without its predicate."""
        raise NotImplementedError

    def store_memory(self, s: Store) -> None:
        """Write an element or a vector of a parameter."""
        raise NotImplementedError

    def hardware_loop(self, s: For) -> None:
        """The body of a loop whose variable is a hardware index."""
        raise NotImplementedError

    # -- names, scopes ----------------------------------------------------------------------------

    def error(self, message: str) -> CodegenError:
        return CodegenError(message, where=self.where)

    def type(self, d: DType) -> str:
        if d.is_float and d.bits == 64:
            raise self.error("64-bit floats do not exist on this target")
        kind = "float" if d.is_float else d.kind
        found = self.dialect.types.get((kind, d.lanes))
        if found is None:
            raise self.error(f"there is no type for {d}")
        return found

    def helper(self, name: str) -> str:
        """The name of a helper function, which will be part of the code."""
        if name not in self.helpers:
            for needed in self.dialect.helpers[name][1]:
                self.helper(needed)
            self.helpers[name] = None
        return name

    def name(self, stem: str) -> str:
        self._names[stem] += 1
        return f"{stem}{self._names[stem]}"

    @property
    def depth(self) -> int:
        return len(self.scopes) - 1

    def put(self, line: str) -> None:
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
                known = s.known.get(v.text)
                if known is not None:
                    return Value(known, depth, True)
        name = self.name(stem)
        scope = self.scopes[depth]
        scope.lines.append(f"{t} {name} = {_bare(v.text)};")
        if v.fixed:
            scope.known[v.text] = name
        return Value(name, depth, True)

    def _stem(self, d: DType) -> str:
        return "i" if d.is_int else "b" if d.is_bool else "v"

    def meet(self, values: Sequence[Value], types: Sequence[DType]) -> tuple[list[Value], int]:
        """Operands of one operation: shallower ones leave for their own scope."""
        depth = max(v.depth for v in values)
        met = [
            self.hold(v, self.type(d), self._stem(d)) if v.depth < depth and v.fixed else v
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

    # -- expressions ------------------------------------------------------------------------------

    def value(self, e: Expr) -> Value:
        """The text of ``e``. A node that is used several times becomes a variable."""
        for done in reversed(self._done):
            if e in done:
                return done[e]
        if e.dtype.bits == 64:
            self.type(e.dtype)  # raises where it does not exist
        v = self._expressions[self._kind(e)](e)
        if self._uses[e] > 1 and not v.atom:
            v = self.hold(v, self.type(e.dtype), self._stem(e.dtype))
        if self._uses[e] > 1:
            self._done[-1][e] = v
        return v

    def _kind(self, e: Expr) -> type:
        if isinstance(e, Var):
            return Var
        if type(e) not in self._expressions:
            raise self.error(f"{type(e).__name__} has no form in this language: {e}")
        return type(e)

    def count(self, *roots: Expr | None) -> None:
        """Start a statement: note which of its nodes are used more than once."""
        self._done = [{} for _ in self._done]
        self._uses = Counter()
        stack = [r for r in roots if r is not None]
        seen: set[Expr] = set(stack)
        while stack:
            for c in children(stack.pop()):
                assert isinstance(c, Expr)
                self._uses[c] += 1
                if c not in seen:
                    seen.add(c)
                    stack.append(c)

    def literal(self, x: bool | int | float, d: DType) -> str:
        if d.is_bool:
            return "true" if x else "false"
        if d.is_float:
            return self._float(float(x))
        number = int(x)
        if d.bits == 64:
            # The ends of the range stand for infinity and mean the ends of what there is.
            if number in (d.min, d.max):
                number = 2**32 - 1 if d.kind == "uint" and number else number >> 32
                number = number if d.kind == "uint" else max(-(2**31), min(2**31 - 1, number))
            low, high = (0, 2**32) if d.kind == "uint" else (-(2**31), 2**31)
            if not low <= number < high:
                raise self.error(f"the constant {number} does not fit into 32 bits")
        if d.kind == "uint":
            return f"{number}u"
        if number == -(2**31):
            return "(-2147483647 - 1)"
        return str(number) if number >= 0 else f"({number})"

    def _float(self, x: float) -> str:
        with np.errstate(over="ignore"):
            single = np.float32(x)
        if not math.isfinite(single):
            return self._float_bits(int(single.view(np.uint32)))
        text = repr(float(str(single)))
        return f"({text})" if text.startswith("-") else text

    def _float_bits(self, bits: int) -> str:
        return f"{self.dialect.bits['uint', 'float']}({bits}u)"

    def _const(self, e: Const) -> Value:
        return Value(self.literal(e.value, e.dtype), 0, True)

    def _var(self, v: Var) -> Value:
        return self.vars[v]

    def lane(self, e: Expr, k: int) -> Expr:
        """Lane ``k`` of a vector, simplified (a scalar is itself)."""
        return self.analyzer.simplify(_Lane(k, self._component)(e))

    def _component(self, e: Expr, k: int) -> Expr:
        """A variable that stands for lane ``k`` of a vector."""
        whole = self.hold(self.value(e), self.type(e.dtype), "v")
        part = Var(f"{whole.text}.{COMPONENTS[k]}", e.dtype.element)
        self.vars[part] = whole._replace(text=part.name, atom=True)
        return part

    def _broadcast(self, e: Broadcast) -> Value:
        v = self.value(e.value)
        return v._replace(text=f"{self.type(e.dtype)}({_bare(v.text)})")

    def _ramp(self, e: Ramp) -> Value:
        t = self.type(e.dtype)
        steps = ", ".join(str(k) for k in range(e.lanes))
        return self.join(
            f"({t}({{0}}) + {{1}} * {t}({steps}))",
            [self.value(e.base), self.value(e.stride)],
            [e.base.dtype, e.stride.dtype],
        )

    def _unary(self, e: Unary) -> Value:
        d, v = e.dtype, self.value(e.a)
        if e.op is Op.ABS and d.kind == "uint":
            return v
        if e.op is Op.NOT and d.kind == "uint" and d.bits == 64:
            raise self.error("bits of 64-bit integers do not exist on this target")
        if e.op is Op.NOT and d.is_bool:
            form = "!{0}" if d.lanes == 1 else "not({0})"
        else:
            form = {Op.NEG: "(-{0})", Op.NOT: "(~{0})", Op.ABS: "abs({0})"}[e.op]
        return self._wrapped(e.op, d, self.join(form, [v], [d]))

    def _wrapped(self, op: Op, d: DType, v: Value) -> Value:
        """``v`` brought back into a type of fewer than 32 bits."""
        if not d.is_int or d.bits >= 32 or op not in _MAY_LEAVE:
            return v
        return v._replace(text=self._low_bits(v.text, d))

    def _low_bits(self, text: str, d: DType) -> str:
        if d.kind == "uint":
            return f"({text} & {d.max}u)"
        return f"(({text} << {32 - d.bits}) >> {32 - d.bits})"

    def _binary(self, e: Binary) -> Value:
        d, op = e.a.dtype, e.op
        if op in (Op.ADD, Op.SUB) and d == INT32:
            return self._sum(e)
        if op in _DIVISION and d.is_int:
            return self._division(e)
        if d.is_float and op in (Op.MIN, Op.MAX):
            return self._extremum(e)
        if op in (Op.SHL, Op.SHR):
            return self._shift(e)
        a, b = self._operands(e)
        types = [d, d]
        if op in _LOGIC_BITS and d.is_bool and d.lanes > 1:
            return self.join(f"{self.helper('logic_' + op.name.lower())}({{0}}, {{1}})", [a, b],
                             types)  # fmt: skip
        if op in _LOGIC_BITS:
            sign = (_LOGIC_SCALAR if d.is_bool else _LOGIC_BITS)[op]
            return self.join(f"({{0}} {sign} {{1}})", [a, b], types)
        if op in _COMPARE_VECTOR and d.lanes > 1:
            return self.join(f"{_COMPARE_VECTOR[op]}({{0}}, {{1}})", [a, b], types)
        if op in (Op.MIN, Op.MAX):
            return self.join(f"{op.value}({{0}}, {{1}})", [a, b], types)
        if op is Op.TRUNCMOD:
            return self.join(f"{self.helper('fmod')}({{0}}, {{1}})", [a, b], types)
        return self._wrapped(op, d, self.join(f"({{0}} {_INFIX[op]} {{1}})", [a, b], types))

    def _operands(self, e: Binary) -> tuple[Value, Value]:
        """Arithmetic takes a scalar beside a vector as it is."""
        mixed = e.op in (Op.ADD, Op.SUB, Op.MUL, Op.DIV) and e.dtype.lanes > 1
        a, b = e.a, e.b
        if mixed and isinstance(a, Broadcast) and not isinstance(b, Broadcast):
            return self.value(a.value), self.value(b)
        if mixed and isinstance(b, Broadcast) and not isinstance(a, Broadcast):
            return self.value(a), self.value(b.value)
        return self.value(a), self.value(b)

    def _sum(self, e: Binary) -> Value:
        """A sum from the shallowest term to the deepest, so that its parts leave loops early."""
        terms: list[tuple[bool, Expr]] = []
        constant = 0

        def collect(x: Expr, minus: bool) -> None:
            nonlocal constant
            if isinstance(x, Binary) and x.op in (Op.ADD, Op.SUB) and self._uses[x] <= 1:
                collect(x.a, minus)
                collect(x.b, minus != (x.op is Op.SUB))
            elif (n := as_int(x)) is not None:
                constant += -n if minus else n
            else:
                terms.append((minus, x))

        collect(e.a, False)
        collect(e.b, e.op is Op.SUB)
        t = self.type(e.dtype)
        parts = sorted(
            ((minus, self.value(x)) for minus, x in terms), key=lambda p: (p[1].depth, p[0])
        )
        total: Value | None = None
        for minus, v in parts:
            if total is None:
                total = Value(f"(-{v.text})", v.depth, False, v.fixed) if minus else v
                continue
            if total.depth < v.depth:
                total = self.hold(total, t, "i")
            text = f"({_bare_sum(total.text)} {'-' if minus else '+'} {v.text})"
            total = Value(text, v.depth, False, total.fixed and v.fixed)
        constant = (constant + 2**31) % 2**32 - 2**31
        if total is None:
            return Value(self.literal(constant, INT32), 0, True)
        if constant == 0:
            return total
        total = self.hold(total, t, "i")
        sign = "-" if constant < 0 else "+"
        return Value(f"({total.text} {sign} {abs(constant)})", total.depth, False, total.fixed)

    def _division(self, e: Binary) -> Value:
        d, n = e.a.dtype, as_int(e.b.value if isinstance(e.b, Broadcast) else e.b)
        floor = e.op in (Op.FLOORDIV, Op.FLOORMOD)
        quotient = e.op in (Op.FLOORDIV, Op.TRUNCDIV)
        low = self.analyzer.interval(e.a).lo if d.lanes == 1 and d == INT32 else None
        plain = d.kind == "uint" or (low is not None and low >= 0)
        a = self.value(e.a)
        if n is not None and n > 0 and (floor or plain) and n & (n - 1) == 0:
            text = f"({{0}} >> {n.bit_length() - 1})" if quotient else f"({{0}} & {n - 1})"
            text = text.replace(f"& {n - 1}", f"& {n - 1}u") if d.kind == "uint" else text
            v = self.join(text, [a], [d])
        elif n is not None and n > 0 and plain:
            b = Value(self.literal(n, d), 0, True)
            v = self.join(f"({{0}} {'/' if quotient else '%'} {{1}})", [a, b], [d, d])
        else:
            f = self.helper(_DIVISION[e.op] if d.kind == "int" else f"u{_DIVISION[e.op]}")
            v = self.join(f"{f}({{0}}, {{1}})", [a, self.value(e.b)], [d, d])
            return self._wrapped(e.op, d, v)
        return self.hold(v, self.type(d), "i") if d.lanes == 1 else v

    def _shift(self, e: Binary) -> Value:
        d = e.dtype
        if d.bits == 64:
            raise self.error("shifts of 64-bit integers do not exist on this target")
        count = as_int(e.b.value if isinstance(e.b, Broadcast) else e.b)
        a = self.value(e.a)
        if count is not None:
            v = self.join(f"({{0}} {e.op.value} {count % d.bits})", [a], [d])
        else:
            mask = f"{d.bits - 1}u" if d.kind == "uint" else str(d.bits - 1)
            form = f"({{0}} {e.op.value} ({{1}} & {mask}))"
            v = self.join(form, [a, self.value(e.b)], [d, d])
        return self._wrapped(e.op, d, v)

    def _extremum(self, e: Binary) -> Value:
        """NaN wins, whatever the language's own function (and a driver) make of it."""
        a, b = (e.b, e.a) if _number(e.a) else (e.a, e.b)
        d = e.dtype
        if not _number(b):
            f = self.helper(f"nan_{e.op.value}")
            return self.join(f"{f}({{0}}, {{1}})", [self.value(a), self.value(b)], [d, d])
        x = self.hold(self.value(a), self.type(d), "v")
        text = f"{self.helper('keep_nan')}({x.text}, {e.op.value}({x.text}, {self.value(b).text}))"
        return x._replace(text=text, atom=False)

    # -- conversions ------------------------------------------------------------------------------

    def _cast(self, e: Cast) -> Value:
        s, d, v = e.value.dtype, e.dtype, self.value(e.value)
        t = self.type(d)
        if d.is_bool:
            if s.is_bool:
                return v
            zero = self.literal(0, s.element)
            form = f"({{0}} != {zero})" if d.lanes == 1 else f"notEqual({{0}}, {self.type(s)}(0))"
            return self.join(form, [v], [s])
        if s.is_float and d.is_int:
            return self._saturated(v, s, d)
        if d.is_float:
            form = "{0}" if s.is_float else f"{t}({{0}})"
            if d.bits == 16 and not (s.is_int and s.bits == 8) and s != d:
                form = f"{self.helper('to_half' if d.kind == 'float' else 'to_bfloat')}({form})"
            return v if form == "{0}" else self.join(form, [v], [s])
        wide = self.join(f"{t}({{0}})", [v], [s])
        fits = s.is_bool or (d.min <= s.min and s.max <= d.max)
        return wide if fits or d.bits >= 32 else wide._replace(text=self._low_bits(wide.text, d))

    def _saturated(self, v: Value, s: DType, d: DType) -> Value:
        if d.bits >= 32:
            return self.join(f"{self.helper(f'to_{d.kind}')}({{0}})", [v], [s])
        low, high = self._float(d.min), self._float(d.max)
        t = self.type(d)
        # clamp gives anything for NaN, the conversion gives 0 only if it still sees it
        zero = self.join(f"{self.helper('nan_to_zero')}({{0}})", [v], [s])
        whole = self.join(f"{self.helper('to_int')}(clamp({{0}}, {low}, {high}))", [zero], [s])
        return whole if d.kind == "int" else whole._replace(text=f"{t}({whole.text})")

    def _reinterpret(self, e: Reinterpret) -> Value:
        s, d = e.value.dtype, e.dtype
        if s.is_int and d.is_int and s.bits < 32:
            wide = self.join(f"{self.type(d)}({{0}})", [self.value(e.value)], [s])
            return wide._replace(text=self._low_bits(wide.text, d))
        if s.bits != 32:
            raise self.error(f"the bits of {s} cannot be read as {d} on this target")
        v = self.value(e.value)
        if s.kind == d.kind:
            return v
        function = self.dialect.bits.get((s.kind, d.kind), self.type(d))
        return self.join(f"{function}({{0}})", [v], [s])

    def _call(self, e: Call) -> Value:
        args = [self.value(a) for a in e.args]
        types = [a.dtype for a in e.args]
        if e.name == "fma":
            return self.join("({0} * {1} + {2})", args, types)
        if e.name == "popcount" and types[0].bits == 64:
            raise self.error("bits of 64-bit integers do not exist on this target")
        name = self.dialect.intrinsics.get(e.name)
        if name is None:
            raise self.error(f"the intrinsic {e.name!r} has no form in this language")
        if name in self.dialect.helpers:
            self.helper(name)
        return self.join(f"{name}({', '.join(f'{{{k}}}' for k in range(len(args)))})", args, types)

    # -- choice -----------------------------------------------------------------------------------

    def _select(self, e: Select) -> Value:
        d, t = e.dtype, self.type(e.dtype)
        if e.cond.dtype.lanes == 1 and self._worth_branch(e):
            return self._branch(e)
        cond = self.value(e.cond)
        self.masks.append(e.cond)
        a = self.value(e.if_true)
        self.masks.pop()
        b = self.value(e.if_false)
        types = [e.cond.dtype, d, d]
        if e.cond.dtype.lanes == 1:
            return self.join("({0} ? {1} : {2})", [cond, a, b], types)
        return self.choose(cond, a, b, e.cond.dtype, d, t)

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType, t: str) -> Value:
        """``a`` in the lanes where ``cond`` holds, ``b`` elsewhere."""
        if d.is_float:
            return self.join("mix({2}, {1}, {0})", [cond, a, b], [c, d, d])
        f = self.helper(f"choose_{'float' if d.is_float else d.kind}")
        return self.join(f"{f}({{0}}, {{1}}, {{2}})", [cond, a, b], [c, d, d])

    def _worth_branch(self, e: Select) -> bool:
        """A branch costs about as much as a fetch or two: it pays where both sides read memory, or
        one side does a lot."""
        costs = []
        for arm in (e.if_true, e.if_false):
            nodes = list(walk(arm))
            loads = sum(isinstance(n, Load) for n in nodes)
            costs.append((loads * max(1, arm.dtype.lanes // 2), len(nodes)))
        return min(costs)[0] >= 1 or max(n for _, n in costs) > 60

    def _branch(self, e: Select) -> Value:
        cond = self.value(e.cond)
        name, t = self.name("s"), self.type(e.dtype)
        self.put(f"{t} {name};")
        for head, arm in ((f"if ({_bare(cond.text)})", e.if_true), ("else", e.if_false)):
            with self.scope(head, branch=True):
                self.put(f"{name} = {_bare(self.value(arm).text)};")
        return Value(name, self.depth, True)

    # -- memory -----------------------------------------------------------------------------------

    def _load(self, e: Load) -> Value:
        if e.buffer in self._local:
            v = self._load_local(e)
        else:
            v = self.load_memory(e)
        p = e.predicate
        if p is None or is_const(p, True) or p in self.masks:
            return v
        d, t = e.dtype, self.type(e.dtype)
        zero = self.value(Const(False if d.is_bool else 0, d.element))
        if p.dtype.lanes == 1:
            nothing = zero if d.lanes == 1 else zero._replace(text=f"{t}({zero.text})")
            return self.join("({0} ? {1} : {2})", [self.value(p), v, nothing], [p.dtype, d, d])
        zero = zero._replace(text=f"{t}({zero.text})")
        return self.choose(self.value(p), v, zero, p.dtype, d, t)

    def _load_local(self, e: Load) -> Value:
        return Value(self._local_text(e.buffer, e.indices[-1]), self.depth, False, False)

    def _local_text(self, b: Buffer, index: Expr) -> str:
        name, vectors = self._local[b]
        n = index.dtype.lanes
        if vectors:
            base = as_int(index.base if isinstance(index, Ramp) else index)
            assert base is not None
            text = f"{name}_{base // 4}"
            return text if n > 1 else f"{text}.{COMPONENTS[base % 4]}"
        places = [_bare(self.value(self.lane(index, k)).text) for k in range(n)]
        if n == 1:
            return f"{name}[{places[0]}]"
        t = self.type(b.dtype.with_lanes(n))
        return f"{t}({', '.join(f'{name}[{p}]' for p in places)})"

    def _alloc(self, s: Alloc) -> None:
        b = s.buffer
        size = as_int(b.shape[0]) if len(b.shape) == 1 else None
        if b.scope == "shared" or size is None or size > 4096:
            raise self.error(f"the buffer {b!r} in {b.scope} memory has no place on this target")
        uses = [
            n.indices[-1] for n in walk(s.body) if isinstance(n, Load | Store) and n.buffer is b
        ]
        vectors = all(map(_is_register, uses))
        name = self.name("".join(c for c in b.name if c.isalnum()) or "local")
        self._local[b] = (name, vectors)
        if vectors:
            t = self.type(b.dtype.with_lanes(4))
            for k in range(-(-size // 4)):
                self.put(f"{t} {name}_{k};")
        else:
            self.put(f"{self.type(b.dtype)} {name}[{max(1, size)}];")
        self.stmt(s.body)

    # -- statements -------------------------------------------------------------------------------

    def stmt(self, s: Stmt) -> None:
        write = self._statements.get(type(s))
        if write is None:
            raise self.error(f"{type(s).__name__} does not exist on this target")
        write(s)

    def _seq(self, s: Seq) -> None:
        for x in s.stmts:
            self.stmt(x)

    def _store(self, s: Store) -> None:
        self.count(s.value, s.predicate, *s.indices)
        if s.buffer not in self._local:
            self.store_memory(s)
            return
        v, p, index = self.value(s.value), s.predicate, s.indices[-1]
        if p is not None and not is_const(p, True):
            d, t = s.value.dtype, self.type(s.value.dtype)
            old = Value(self._local_text(s.buffer, index), self.depth, False, False)
            cond = self.value(p)
            if p.dtype.lanes == 1:
                v = self.join("({0} ? {1} : {2})", [cond, v, old], [p.dtype, d, d])
            else:
                v = self.choose(cond, v, old, p.dtype, d, t)
        if index.dtype.lanes == 1 or self._local[s.buffer][1]:
            self.put(f"{self._local_text(s.buffer, index)} = {_bare(v.text)};")
            return
        v = self.hold(v, self.type(s.value.dtype), "v")
        name = self._local[s.buffer][0]
        for k in range(index.dtype.lanes):
            place = self.value(self.lane(index, k))
            self.put(f"{name}[{_bare(place.text)}] = {v.text}.{COMPONENTS[k]};")

    def _let(self, s: Let) -> None:
        self.count(s.value)
        v = self.value(s.value)
        self.vars[s.var] = self.hold(v, self.type(s.var.dtype), self._stem(s.var.dtype))
        if s.var.dtype == INT32:
            known = self.analyzer.interval(s.value)
            self.analyzer.bind(s.var, known.lo, known.hi)
        self.stmt(s.body)

    def _if(self, s: If) -> None:
        self.count(s.cond)
        cond = self.value(s.cond)
        with self.scope(f"if ({_bare(cond.text)})", branch=True):
            self.stmt(s.then)
        if s.otherwise is not None:
            with self.scope("else", branch=True):
                self.stmt(s.otherwise)

    def _for(self, s: For) -> None:
        if s.kind is ForKind.BOUND:
            self.hardware_loop(s)
            return
        if s.kind not in (ForKind.SERIAL, ForKind.PARALLEL):
            raise self.error(f"the loop {s.var.name} is {s.kind.value}")
        self.count(s.minimum, s.extent)
        low, end = self.value(s.minimum), self.value(self.analyzer.simplify(s.minimum + s.extent))
        name, t = self.name("k"), self.type(s.var.dtype)
        head = f"for ({t} {name} = {_bare(low.text)}; {name} < {end.text}; {name}++)"
        a, b = self.analyzer.interval(s.minimum).lo, self.analyzer.interval(s.minimum + s.extent).hi
        self.analyzer.bind(s.var, a, None if b is None else b - 1)
        with self.scope(head):
            self.vars[s.var] = Value(name, self.depth, True)
            self.stmt(s.body)


def _is_register(index: Expr) -> bool:
    """Whether an index names a whole aligned vector or a component at compile time."""
    if isinstance(index, Ramp):
        base = as_int(index.base)
        return base is not None and base % 4 == 0 and is_const(index.stride, 1) and index.lanes == 4
    return as_int(index) is not None and index.dtype.lanes == 1


def _number(e: Expr) -> bool:
    c = e.value if isinstance(e, Broadcast) else e
    return isinstance(c, Const) and c.value == c.value


def _bare(text: str) -> str:
    """``text`` without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    level = 0
    for k, c in enumerate(text):
        level += (c == "(") - (c == ")")
        if level == 0 and k < len(text) - 1:
            return text
    return text[1:-1]


def _bare_sum(text: str) -> str:
    """A sum may go on without parentheses."""
    inner = _bare(text)
    level, flat = 0, True
    for c in inner:
        level += (c == "(") - (c == ")")
        flat = flat and not (level == 0 and c in "<>&|^?")
    return inner if flat else text


__all__ = ["COMPONENTS", "FLOAT32", "CLike", "Dialect", "Scope", "Value"]
