"""Expressions in languages with C's syntax; what differs between them is in ``hooks.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ...ir.alu import Op
from ...ir.expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
    as_int,
    is_const,
)
from ...ir.identity import among
from ...ir.visit import children
from ...runtime.dtype import INT32, DType
from .hooks import LanguageHooks
from .scopes import Lane, Value, bare, bare_sum

_DIVISION = {
    Op.FLOORDIV: "floordiv", Op.FLOORMOD: "floormod", Op.TRUNCDIV: "truncdiv",
    Op.TRUNCMOD: "truncmod",
}  # fmt: skip


class CLikeExpressions(LanguageHooks):
    """Texts of expressions. A *form* is a text with ``{0}``, ``{1}`` for the operands."""

    def __init__(self, where: str):
        super().__init__(where)
        self.helpers: dict[tuple[str, Any], str] = {}  # name and type -> text
        self.masks: list[Expr] = []
        self._uses: Counter[Expr] = Counter()
        self._costs: dict[Expr, tuple[int, int]] = {}
        self._expressions: dict[type, Callable[[Any], Value]] = {
            Const: self._const, Var: self._var, Unary: self._unary, Binary: self._binary,
            Cast: self.cast, Reinterpret: self.reinterpret, Select: self.select,
            Call: self._call, Load: self._load, Ramp: self._ramp, Broadcast: self._broadcast,
        }  # fmt: skip

    # -- values -----------------------------------------------------------------------------------

    def helper(self, name: str, t: Any) -> None:
        """Make a function of ``library`` for operands of type ``t`` part of the code, after those
        that it calls."""
        if (name, t) not in self.helpers:
            text, needed = self.helper_text(name, t)
            for other, its in needed:
                self.helper(other, its)
            self.helpers[name, t] = text

    def zero(self, d: DType) -> Value:
        """Zero of type ``d``, in all lanes."""
        zero = Const(False if d.is_bool else 0, d.element)
        v = self._const(zero)
        return v if d.lanes == 1 else self.spread(v, d, zero)

    def name_type(self, v: Value, d: DType) -> Value:
        """``v`` in a variable of type ``d``."""
        return self.hold(v, self.type(d), self.stem(d))

    def value(self, e: Expr) -> Value:
        """The text of ``e``. A node that is used several times becomes a variable."""
        for done in reversed(self._done):
            if e in done:
                return done[e]
        if e.dtype.bits == 64:
            self.type(e.dtype)  # raises where it does not exist
        v = self._expressions[self._kind(e)](e)
        if self._uses[e] > 1 and not v.atom:
            v = self.name_type(v, e.dtype)
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

    def _const(self, e: Const) -> Value:
        return Value(self.literal(e.value, e.dtype), 0, True)

    def _var(self, v: Var) -> Value:
        return self.vars[v]

    def lane(self, e: Expr, k: int) -> Expr:
        """Lane ``k`` of a vector, simplified (a scalar is itself)."""
        return self.analyzer.simplify(Lane(k, self._component)(e))

    def _component(self, e: Expr, k: int) -> Expr:
        """A variable that stands for lane ``k`` of a vector."""
        whole = self.hold(self.value(e), self.type(e.dtype), "v")
        part = Var(self.component(whole.text, k, e.dtype), e.dtype.element)
        self.vars[part] = whole.with_text(part.name, atom=True)
        return part

    def _broadcast(self, e: Broadcast) -> Value:
        v = self.value(e.value)
        return self.spread(v._replace(text=bare(v.text)), e.dtype, e.value)

    def _ramp(self, e: Ramp) -> Value:
        steps = self.build(e.dtype, [str(k) for k in range(e.lanes)])
        base, t = self.value(e.base), e.base.dtype
        start = self.splat(e.dtype, "{0}")
        if is_const(e.stride, 1):
            base = base.with_text(bare(base.text))
            return self.join(f"({start} + {steps})", [base], [t])
        form = f"({start} + {{1}} * {steps})"
        return self.join(form, [base, self.value(e.stride)], [t, t])

    def _unary(self, e: Unary) -> Value:
        d, v = e.dtype, self.value(e.a)
        if e.op is Op.ABS and d.kind == "uint":
            return v
        return self.apply(e.op, d, [v], [d])

    def _binary(self, e: Binary) -> Value:
        d, op = e.a.dtype, e.op
        if op in (Op.ADD, Op.SUB) and d == INT32 and self.plain_sum(e):
            return self._sum(e)
        if op in _DIVISION and d.is_int:
            return self._division(e)
        if d.is_float and op in (Op.MIN, Op.MAX):
            return self.extremum(e)
        if op in (Op.SHL, Op.SHR):
            return self._shift(e)
        a, b = self._operands(e)
        return self.apply(op, d, [self.value(a), self.value(b)], [a.dtype, b.dtype])

    def _operands(self, e: Binary) -> tuple[Expr, Expr]:
        """Arithmetic takes a scalar beside a vector as it is."""
        mixed = e.dtype.lanes > 1 and self.mixes(e.op, e.dtype)
        a, b = e.a, e.b
        if mixed and isinstance(a, Broadcast) and not isinstance(b, Broadcast):
            return a.value, b
        if mixed and isinstance(b, Broadcast) and not isinstance(a, Broadcast):
            return a, b.value
        return a, b

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
            text = f"({bare_sum(total.text)} {'-' if minus else '+'} {v.text})"
            total = Value(text, v.depth, False, total.fixed and v.fixed)
        constant = (constant + 2**31) % 2**32 - 2**31
        if total is None:
            return self._const(Const(constant, INT32))
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
            if quotient:
                text = f"({{0}} >> {self.literal_count(n.bit_length() - 1, d)})"
            else:
                text = f"({{0}} & {self.literal_beside(n - 1, d)})"
            v = self.join(text, [a], [d])
        elif n is not None and n > 0 and plain:
            b = Value(self.literal(n, d.element), 0, True)
            v = self.join(f"({{0}} {'/' if quotient else '%'} {{1}})", [a, b], [d, d])
        else:
            f = self.function(_DIVISION[e.op], d)
            v = self.join(f"{f}({{0}}, {{1}})", [a, self.value(e.b)], [d, d])
            return self.fit(e.op, d, v)
        return self.hold(v, self.type(d), "i") if d.lanes == 1 else v

    def _shift(self, e: Binary) -> Value:
        d = e.dtype
        count = as_int(e.b.value if isinstance(e.b, Broadcast) else e.b)
        a = self.value(e.a)
        if count is not None:
            by = self.literal_count(count % d.bits, d)
            v = self.join(f"({{0}} {e.op.value} {by})", [a], [d])
        else:
            by = self.count_of(f"({{1}} & {self.literal_beside(d.bits - 1, d)})", d)
            v = self.join(f"({{0}} {e.op.value} {by})", [a, self.value(e.b)], [d, d])
        return self.fit(e.op, d, v)

    def _call(self, e: Call) -> Value:
        args = [self.value(a) for a in e.args]
        types = [a.dtype for a in e.args]
        form = "({0} * {1} + {2})" if e.name == "fma" else self.intrinsic(e.name, types[0])
        return self.join(form, args, types)

    # -- choice -----------------------------------------------------------------------------------

    def select(self, e: Select) -> Value:
        """The value of a choice: by a branch, or of both sides."""
        d = e.dtype
        if e.cond.dtype.lanes == 1 and (self.must_branch(e) or self._worth_branch(e)):
            return self._branch(e)
        cond = self.value(e.cond)
        self.masks.append(e.cond)
        a = self.value(e.if_true)
        self.masks.pop()
        b = self.value(e.if_false)
        if e.cond.dtype.lanes == 1:
            return self.join(self.choice(d), [cond, a, b], [e.cond.dtype, d, d])
        return self.choose(cond, a, b, e.cond.dtype, d)

    def _worth_branch(self, e: Select) -> bool:
        """A branch costs about as much as a fetch or two: it pays where both sides read memory, or
        one side does a lot."""
        costs = []
        for arm in (e.if_true, e.if_false):
            loads, nodes = self._cost(arm)
            costs.append((loads * max(1, arm.dtype.lanes // 2), nodes))
        return min(costs)[0] >= 1 or max(n for _, n in costs) > 60

    def _cost(self, e: Expr) -> tuple[int, int]:
        """Loads and nodes of an expression written as a tree."""
        found = self._costs.get(e)
        if found is None:
            loads, nodes = int(isinstance(e, Load)), 1
            for c in children(e):
                assert isinstance(c, Expr)
                below = self._cost(c)
                loads, nodes = loads + below[0], nodes + below[1]
            found = self._costs[e] = loads, nodes
        return found

    def _branch(self, e: Select) -> Value:
        cond = self.value(e.cond)
        name, t = self.name("s"), self.type(e.dtype)
        self.put(self.variable(t, name))
        with self.when(bare(cond.text)):
            self.put(f"{name} = {bare(self.value(e.if_true).text)};")
        with self.otherwise():
            self.put(f"{name} = {bare(self.value(e.if_false).text)};")
        return Value(name, self.depth, True)

    # -- loads ------------------------------------------------------------------------------------

    def _load(self, e: Load) -> Value:
        v, p = self.load(e), e.predicate
        if p is None or is_const(p, True) or among(p, self.masks):
            return v
        d = e.dtype
        nothing = self.zero(d)
        if p.dtype.lanes == 1:
            return self.join(self.choice(d), [self.value(p), v, nothing], [p.dtype, d, d])
        return self.choose(self.value(p), v, nothing, p.dtype, d)


__all__ = ["CLikeExpressions"]
