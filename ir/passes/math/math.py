"""Expand the intrinsics that a target lacks.

Without this pass LLVM would call libm once per element. What a target computes itself is a
capability (``Target.native_math``), and whether its compiler keeps the order of sums, too
(``Target.ieee_floats``). The expansions are in ``float32.py`` and ``float64.py``, those of
what nearly every language has in ``basic.py``; here is how the expansions of float32 serve the
narrower types, and where their intermediate values go: into ``Let`` statements around the statement
that uses them, so that the tree stays a tree.

How large their errors may be is said in ``bounds.py``. float16 and bfloat16 are computed in float32
and rounded. What is rarely needed and costs a lot (large angles) is a branch, see ``forms.rarely``.

One operation of floats still is a call per element: ``truncmod``, C's ``fmod``. It is exact, and
an exact remainder needs as many steps as the exponents of its operands are apart (up to 2098 bits
in float64): a loop that depends on the data, which expressions do not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ....runtime.dtype import FLOAT32
from ....runtime.errors import CodegenError
from ...alu import Op
from ...expr import Broadcast, Call, Const, Expr, Load, Ramp, Select, Unary, Var, cast, to_expr
from ...intrin import INTRINSICS, Intrinsic, call
from ...stmt import Alloc, Buffer, For, ForeignCall, Function, If, Let, Stmt, Store, seq
from ...target import Target
from ...visit import Mutator, children, walk
from . import basic, float32, float64
from .forms import sums_reordered

# IEEE 754 counts the square root among the operations that everything has, as + - * /; whether a
# condition holds in any lane is asked of vectors only.
_EVERYWHERE = frozenset({"sqrt", "any"})
# What the expansions of the others are made of.
_BASIC = frozenset(basic.EXPANSIONS) - {"isfinite", "clz"}


def lower_math(f: Function, target: Target) -> Function:
    """``f`` with every intrinsic that ``target`` lacks expanded into arithmetic.

    Raises :class:`CodegenError` for one from outside that has no rule for this target.
    """
    native = _EVERYWHERE.union(target.native_math)
    if all(n.name in native for n in walk(f.body) if isinstance(n, Call)):
        return f
    return f.with_body(_LowerMath(native, target)(f.body))


def _expansion(name: str, args: Sequence[Expr]) -> Expr:
    """One intrinsic of float32, float64 or, where it is about bits, of any integer."""
    if name in basic.EXPANSIONS:
        return basic.EXPANSIONS[name](*args)
    table = float64.EXPANSIONS if args[0].dtype.bits == 64 else float32.EXPANSIONS
    return table[name](*args)


class _LowerMath(Mutator):
    """Rewrites statements; ``bindings`` put around the current statement what it needs."""

    def __init__(self, native: frozenset[str], target: Target):
        super().__init__()
        self.native, self.target = native, target
        self.expanding: list[str] = []  # intrinsics from outside whose rules are being followed
        self.bindings: list[Callable[[Stmt], Stmt]] = []
        self.guards: list[Expr] = []
        self.count = 0

    # -- statements -----------------------------------------------------------------------------

    def _around(self, rewrite) -> Stmt:
        """The statement that ``rewrite()`` returns, inside the bindings that it asked for."""
        outer, self.bindings = self.bindings, []
        result = rewrite()
        for bind in reversed(self.bindings):
            result = bind(result)
        self.bindings = outer
        return result

    def visit_Store(self, s: Store) -> Stmt:
        return self._around(lambda: self.rebuild(s))

    def visit_ForeignCall(self, s: ForeignCall) -> Stmt:
        return self._around(lambda: self.rebuild(s))

    def visit_Let(self, s: Let) -> Stmt:
        body = self(s.body)

        def rewrite() -> Stmt:
            value = self(s.value)
            return s if value is s.value and body is s.body else Let(s.var, value, body)

        return self._around(rewrite)

    def visit_If(self, s: If) -> Stmt:
        then = self(s.then)
        other = None if s.otherwise is None else self(s.otherwise)

        def rewrite() -> Stmt:
            cond = self(s.cond)
            if cond is s.cond and then is s.then and other is s.otherwise:
                return s
            return If(cond, then, other, s.likely)

        return self._around(rewrite)

    def visit_For(self, s: For) -> Stmt:
        body = self(s.body)

        def rewrite() -> Stmt:
            low, extent = self(s.minimum), self(s.extent)
            if low is s.minimum and extent is s.extent and body is s.body:
                return s
            return For(s.var, low, extent, s.kind, body, s.tag, s.pragmas)

        return self._around(rewrite)

    # -- expressions ----------------------------------------------------------------------------

    def visit_Select(self, e: Select) -> Expr:
        cond = self(e.cond)
        arms = []
        for arm, guard in ((e.if_true, cond), (e.if_false, None)):
            self.guards.append(guard if guard is not None else Unary(Op.NOT, cond))
            with self.apart():  # a value computed under a guard is of no use outside of it
                arms.append(self(arm))
            self.guards.pop()
        if cond is e.cond and arms[0] is e.if_true and arms[1] is e.if_false:
            return e
        return Select(cond, arms[0], arms[1])

    def visit_Call(self, e: Call) -> Expr:
        same = self.rebuild(e)
        if INTRINSICS[e.name].own:
            return self._own(INTRINSICS[e.name], same)
        return same if e.name in self.native else self._expand(e.name, same.args)

    def _own(self, spec: Intrinsic, e: Call) -> Expr:
        """By the rule of whoever registered it; what that is made of is expanded in turn."""
        rule, kind = spec.rule(self.target.languages), self.target.kind
        if isinstance(rule, str):
            return e
        if rule is None:
            raise CodegenError(
                f"the intrinsic {spec.name!r} has no rule for the target {kind!r}.",
                hint=f"te.register_intrinsic({spec.name!r}, …, rules={{{kind!r}: …}}), or "
                "lower=: a function that builds its expression for every target",
            )
        if spec.name in self.expanding:
            raise CodegenError(
                f"the rule of the intrinsic {spec.name!r} for {kind!r} calls "
                f"{' -> '.join([*self.expanding, spec.name])}, and so itself."
            )
        made = rule(*(self._hoist(spec.name, a) for a in e.args))
        if not isinstance(made, Expr) or made.dtype != e.dtype:
            got = made.dtype if isinstance(made, Expr) else type(made).__name__
            raise CodegenError(
                f"the rule of the intrinsic {spec.name!r} for {kind!r} gives {got} where its "
                f"operands are {e.args[0].dtype}: it should be {e.dtype}.",
                hint="operands are vectors in vectorised loops: take types from them (x.dtype)",
            )
        self.expanding.append(spec.name)
        result = self(made)
        self.expanding.pop()
        return self._bind(spec.name, self._share(spec.name, result))

    def _expand(self, name: str, args: tuple[Expr, ...]) -> Expr:
        d = args[0].dtype
        inputs = [self._hoist(name, a) for a in args]
        narrow = d.is_float and d.bits < 32
        if narrow:
            inputs = [cast(i, FLOAT32.with_lanes(d.lanes)) for i in inputs]
        with sums_reordered(not self.target.ieee_floats):
            result = _expansion(name, inputs)
        if not self.native >= _BASIC:
            result = _ExpandBasic(self.native)(result)
        if narrow and result.dtype.is_float:
            result = cast(result, d)
        return self._bind(name, self._share(name, result))

    def _hoist(self, name: str, arg: Expr) -> Expr:
        """A variable for ``arg``. Where loads in it are only valid under the guards around, the
        variable is zero outside of them."""
        if isinstance(arg, Const | Var):
            return arg
        if self.guards and any(isinstance(n, Load) for n in walk(arg)):
            for g in reversed(self.guards):
                if g.dtype.lanes > 1 and arg.dtype.lanes == 1:
                    g = call("any", g)
                assert g.dtype.lanes in (1, arg.dtype.lanes), "a guard of other lanes than its arm"
                nothing = False if arg.dtype.is_bool else 0.0 if arg.dtype.is_float else 0
                arg = Select(g, arg, to_expr(nothing, arg.dtype))
        return self._bind(name, arg)

    def _bind(self, name: str, value: Expr) -> Expr:
        if isinstance(value, Const | Var):
            return value
        self.count += 1
        var = Var(f"{name}_{self.count}", value.dtype)
        self.bindings.append(lambda body: Let(var, value, body))
        return var

    def rarely(self, name: str, cond: Expr, usual: Expr, rare: Callable[[], Expr]) -> Expr:
        """A variable that is ``rare()`` where ``cond`` holds and ``usual`` where it does not. What
        ``rare`` binds is bound for that case alone."""
        d = usual.dtype
        self.count += 1
        var, place = Var(f"{name}_{self.count}", d), Buffer(
            f"{name}_{self.count}_value", d.element, (to_expr(d.lanes),), "local"
        )  # fmt: skip
        at = (to_expr(0) if d.lanes == 1 else Ramp(to_expr(0), to_expr(1), d.lanes),)
        outer, self.bindings = self.bindings, []
        then: Stmt = Store(place, at, rare())
        for bind in reversed(self.bindings):
            then = bind(then)
        self.bindings = outer
        choice = seq(Store(place, at, usual), If(cond, then))
        self.bindings.append(
            lambda body: Alloc(place, seq(choice, Let(var, Load(place, at), body)))
        )
        return var

    def _share(self, name: str, root: Expr) -> Expr:
        """Bind what ``root`` uses more than once to variables."""
        uses: Counter[Expr] = Counter()
        stack, seen = [root], {root}
        while stack:
            for c in children(stack.pop()):
                assert isinstance(c, Expr)
                uses[c] += 1
                if c not in seen:
                    seen.add(c)
                    stack.append(c)
        share = _Share(self, name, uses)
        return share(root)


class _ExpandBasic(Mutator):
    """Expands the simple intrinsics that an expansion is made of. Nodes stay shared."""

    def __init__(self, native: frozenset[str]):
        super().__init__()
        self.native = native

    def visit_Call(self, e: Call) -> Expr:
        same = self.rebuild(e)
        return same if e.name in self.native else self(_expansion(e.name, same.args))


class _Share(Mutator):
    """Binds what is used more than once; ``made`` is what has been rewritten."""

    def __init__(
        self,
        owner: _LowerMath,
        name: str,
        uses: Counter[Expr],
        made: Mapping[Expr, Expr] | None = None,
    ):
        super().__init__()
        self.owner, self.name, self.uses = owner, name, uses
        self.made = dict(made or {})

    def visit_Select(self, e: Select) -> Expr:
        """A choice by ``any`` becomes a statement (see ``forms.rarely``)."""
        if not (isinstance(e.cond, Call) and e.cond.name == "any"):
            return self.rebuild(e)
        (far,) = e.cond.args
        for node in (far, e.if_false):
            self.made[node] = self.owner._bind(self.name, self(node))
        cond = self.made[far]
        cond = cond if cond.dtype.lanes == 1 else call("any", cond)
        inner = _Share(self.owner, self.name, self.uses, self.made)
        return self.owner.rarely(self.name, cond, self.made[e.if_false], lambda: inner(e.if_true))

    def __call__(self, node: Expr) -> Expr:
        if isinstance(node, Const | Var):
            return node
        if node not in self.made:
            new = super().__call__(node)
            constant = isinstance(node, Broadcast) and isinstance(node.value, Const)
            if self.uses[node] > 1 and not constant:
                new = self.owner._bind(self.name, new)
            self.made[node] = new
        return self.made[node]
