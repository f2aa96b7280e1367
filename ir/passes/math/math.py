"""Expand the intrinsics that a target lacks.

Without this pass LLVM would call libm once per element. What a target computes itself is a
capability (``Target.native_math``), and whether its compiler keeps the order of sums, too
(``Target.ieee_floats``). The expansions are in ``float32.py`` and ``float64.py``, those of
what nearly every language has in ``basic.py``; here is how the expansions of float32 serve the
narrower types, and where their intermediate values go: into ``Let`` statements around the statement
that uses them, so that the tree stays a tree.

Largest error in units in the last place, over all binades of the argument, as asserted by
``tests/codegen/test_llvm_math.py`` (against float64) and ``test_llvm_math_double.py`` (against the
80-bit type):

==============  =======  =======  =================================================================
                float32  float64
==============  =======  =======  =================================================================
exp             2        1        subnormal results are rounded correctly, too
exp2            2        2        likewise
expm1           3        2
log             2        1
log2            2        1
log1p           2        2
tanh            3        3
sigmoid         4        2
erf             3        2
sin cos         2        1        float32: |x| ≤ 1e4, beyond, the absolute error grows as |x|·2^-50;
                                  float64: |x| ≤ 1e6, beyond as |x|·2^-52; results stay in [-1, 1]
tan             4        3        in the same ranges
asin            3        3
acos            3        2
atan            3        3
sinh cosh       4        3
asinh acosh     4        3
atanh           4        3
pow             4        2        signs, zeros, infinities, NaN as in C
==============  =======  =======  =================================================================

float16 and bfloat16 are computed in float32 and rounded.

One operation of floats still is a call per element: ``truncmod``, C's ``fmod``. It is exact, and
an exact remainder needs as many steps as the exponents of its operands are apart (up to 2098 bits
in float64): a loop that depends on the data, which expressions do not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ....runtime.dtype import FLOAT32
from ...alu import Op
from ...expr import Broadcast, Call, Const, Expr, Load, Select, Unary, Var, cast, to_expr
from ...stmt import For, Function, If, Let, Stmt, Store
from ...target import Target
from ...visit import Mutator, children, walk
from . import basic, float32, float64
from .forms import sums_reordered

# IEEE 754 counts the square root among the operations that everything has, as + - * /.
_EVERYWHERE = frozenset({"sqrt"})
# What the expansions of the others are made of.
_BASIC = frozenset(basic.EXPANSIONS)


def lower_math(f: Function, target: Target) -> Function:
    """``f`` with every intrinsic that ``target`` lacks expanded into arithmetic."""
    native = _EVERYWHERE.union(target.native_math)
    if all(n.name in native for n in walk(f.body) if isinstance(n, Call)):
        return f
    return f.with_body(_LowerMath(native, not target.ieee_floats)(f.body))


def _expansion(name: str, args: Sequence[Expr]) -> Expr:
    """One intrinsic of float32, float64 or, where it is about bits, of any integer."""
    if name in basic.EXPANSIONS:
        return basic.EXPANSIONS[name](*args)
    table = float64.EXPANSIONS if args[0].dtype.bits == 64 else float32.EXPANSIONS
    return table[name](*args)


class _LowerMath(Mutator):
    """Rewrites statements; ``bindings`` are the lets that the current statement needs."""

    def __init__(self, native: frozenset[str], reorders: bool):
        super().__init__()
        self.native, self.reorders = native, reorders
        self.bindings: list[tuple[Var, Expr]] = []
        self.guards: list[Expr] = []
        self.done: dict[Expr, Expr] = {}
        self.count = 0

    # -- statements -----------------------------------------------------------------------------

    def _around(self, rewrite) -> Stmt:
        """The statement that ``rewrite()`` returns, inside the lets that it asked for."""
        outer, self.bindings, self.done = (self.bindings, self.done), [], {}
        result = rewrite()
        for var, value in reversed(self.bindings):
            result = Let(var, value, result)
        self.bindings, self.done = outer
        return result

    def visit_Store(self, s: Store) -> Stmt:
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
            arms.append(self(arm))
            self.guards.pop()
        if cond is e.cond and arms[0] is e.if_true and arms[1] is e.if_false:
            return e
        return Select(cond, arms[0], arms[1])

    def visit_Call(self, e: Call) -> Expr:
        if e in self.done:
            return self.done[e]
        same = self.rebuild(e)
        if e.name in self.native:
            return same
        result = self._expand(e.name, same.args)
        # A value computed under a guard is not shared with uses outside of it.
        if not self.guards:
            self.done[e] = result
        return result

    def _expand(self, name: str, args: tuple[Expr, ...]) -> Expr:
        d = args[0].dtype
        hoisted = [self._hoist(name, a) for a in args]
        inputs = [h if h is not None else a for h, a in zip(hoisted, args)]
        narrow = d.is_float and d.bits < 32
        if narrow:
            inputs = [cast(i, FLOAT32.with_lanes(d.lanes)) for i in inputs]
        with sums_reordered(self.reorders):
            result = _expansion(name, inputs)
        if not self.native >= _BASIC:
            result = _ExpandBasic(self.native)(result)
        if narrow and result.dtype.is_float:
            result = cast(result, d)
        if any(h is None for h in hoisted):
            return result  # cannot leave its guard: stays a graph with shared nodes
        return self._bind(name, self._share(name, result))

    def _hoist(self, name: str, arg: Expr) -> Expr | None:
        """A variable for ``arg``. Where loads in it are only valid under the guards around, the
        variable is zero outside of them; None if the guards do not fit."""
        if isinstance(arg, Const | Var):
            return arg
        if self.guards and any(isinstance(n, Load) for n in walk(arg)):
            for g in reversed(self.guards):
                if g.dtype.lanes not in (1, arg.dtype.lanes):
                    return None
                arg = Select(g, arg, to_expr(0.0, arg.dtype))
        return self._bind(name, arg)

    def _bind(self, name: str, value: Expr) -> Expr:
        if isinstance(value, Const | Var):
            return value
        self.count += 1
        var = Var(f"{name}_{self.count}", value.dtype)
        self.bindings.append((var, value))
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
        self.made: dict[Expr, Expr] = {}

    def __call__(self, node: Expr) -> Expr:
        if node not in self.made:
            self.made[node] = super().__call__(node)
        return self.made[node]

    def visit_Call(self, e: Call) -> Expr:
        same = self.rebuild(e)
        return same if e.name in self.native else self(_expansion(e.name, same.args))


class _Share(Mutator):
    def __init__(self, owner: _LowerMath, name: str, uses: Counter[Expr]):
        super().__init__()
        self.owner, self.name, self.uses = owner, name, uses
        self.made: dict[Expr, Expr] = {}

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
