"""Expressions as closures, for the interpreter of loop nests (``interp.py``).

A closure takes the environment and a mask: the lanes of a vector whose value is wanted, None for
all. What lies outside of the mask is not evaluated where that could fail: loads, lazy selects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import LoweringError
from ..expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    IterVar,
    Load,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
)
from ..stmt import Store
from ..visit import bottom_up, children, tally
from . import semantics

Env = dict[Any, Any]  # Var -> value, Buffer -> array
Mask = Any  # lanes whose value is wanted; None: all
Eval = Callable[[Env, Mask], Any]


_GROWTH = 4  # times the graph that a tree may be before values are kept
_VALUES = object()  # under this key of an environment: what was computed for the expression


def _once(e: Expr, f: Eval) -> Eval:
    """``f``, whose value is kept for the time of one evaluation; the mask is kept with it, so that
    its id stays its own."""

    def once(env: Env, mask: Mask) -> Any:
        values = env[_VALUES]
        hit = values.get((e, id(mask)))
        if hit is None:
            hit = values[e, id(mask)] = f(env, mask), mask
        return hit[0]

    return once


class ExpressionClosures:
    """Turns expressions into closures; ``where`` names the kernel in errors."""

    def __init__(self, where: str):
        self.where = where
        self._closures: dict[Expr, Eval] | None = None  # of the expression that is being turned
        self._shared: set[Expr] = set()  # nodes of it whose values are kept

    def expr(self, e: Expr) -> Eval:
        """The closure that computes ``e``. Where the tree of an expression is much larger than its
        graph, what is used several times is computed once."""
        if self._closures is not None:
            return self._part(e)
        nodes = bottom_up([e])
        uses = Counter(c for n in nodes for c in children(n))
        long = tally(e, lambda n: 1) > _GROWTH * len(nodes)
        self._closures, self._shared = {}, {n for n in nodes if long and uses[n] > 1}  # type: ignore
        whole = self._part(e)
        self._closures = None
        if not long:
            return whole

        def fresh(env: Env, mask: Mask) -> Any:
            env[_VALUES] = {}
            return whole(env, mask)

        return fresh

    def _part(self, e: Expr) -> Eval:
        assert self._closures is not None
        found = self._closures.get(e)
        if found is None:
            found = _EXPR[type(e)](self, e)
            if e in self._shared and not isinstance(e, Const | Var):
                found = _once(e, found)
            self._closures[e] = found
        return found

    def _const(self, e: Const) -> Eval:
        value = semantics.work_dtype(e.dtype).type(e.value)
        return lambda env, mask: value

    def _var(self, e: Var) -> Eval:
        def var(env: Env, mask: Mask) -> Any:
            try:
                return env[e]
            except KeyError:
                raise LoweringError(
                    f"the variable {e.name} is not defined here.", where=self.where
                ) from None

        return var

    def _unary(self, e: Unary) -> Eval:
        f, a = semantics.UNARY[e.op], self.expr(e.a)
        return lambda env, mask: f(a(env, mask))

    def _binary(self, e: Binary) -> Eval:
        f, a, b = semantics.BINARY[e.op], self.expr(e.a), self.expr(e.b)
        return lambda env, mask: f(a(env, mask), b(env, mask))

    def _cast(self, e: Cast) -> Eval:
        a, source, target = self.expr(e.value), e.value.dtype, e.dtype
        return lambda env, mask: semantics.cast(a(env, mask), source, target)

    def _reinterpret(self, e: Reinterpret) -> Eval:
        a, source, target = self.expr(e.value), e.value.dtype, e.dtype
        return lambda env, mask: semantics.reinterpret(a(env, mask), source, target)

    def _call(self, e: Call) -> Eval:
        args, name, d = [self.expr(a) for a in e.args], e.name, e.args[0].dtype
        return lambda env, mask: semantics.intrinsic(name, [a(env, mask) for a in args], d)

    def _select(self, e: Select) -> Eval:
        c, t, f = self.expr(e.cond), self.expr(e.if_true), self.expr(e.if_false)
        if e.cond.dtype.lanes == 1:
            return lambda env, mask: t(env, mask) if c(env, mask) else f(env, mask)

        def lanes(env: Env, mask: Mask) -> Any:
            cond = c(env, mask)
            yes, no = (cond, ~cond) if mask is None else (cond & mask, ~cond & mask)
            if not yes.any():
                return f(env, no)
            if not no.any():
                return t(env, yes)
            return np.where(cond, t(env, yes), f(env, no))

        return lanes

    def _load(self, e: Load) -> Eval:
        at, buffer, d, n = self.index(e), e.buffer, e.buffer.dtype, e.dtype.lanes
        p = None if e.predicate is None else self.expr(e.predicate)
        zero = semantics.work_dtype(d).type(0)
        if n == 1:

            def scalar(env: Env, mask: Mask) -> Any:
                if p is not None and not p(env, mask):
                    return zero
                value = env[buffer][at(env, None)]
                return semantics.loaded(value, d)

            return scalar

        def vector(env: Env, mask: Mask) -> Any:
            chosen = mask
            if p is not None:
                chosen = np.broadcast_to(p(env, mask), (n,))
                chosen = chosen if mask is None else chosen & mask
            if chosen is None:
                return semantics.loaded(env[buffer][at(env, None)], d)
            result = np.full(n, zero)
            if chosen.any():
                result[chosen] = semantics.loaded(env[buffer][at(env, chosen)], d)
            return result

        return vector

    def _ramp(self, e: Ramp) -> Eval:
        base, stride = self.expr(e.base), self.expr(e.stride)
        steps = np.arange(e.lanes).astype(e.dtype.numpy)
        return lambda env, mask: base(env, None) + stride(env, None) * steps

    def _broadcast(self, e: Broadcast) -> Eval:
        value, n = self.expr(e.value), e.lanes
        return lambda env, mask: np.full(n, value(env, None))

    def index(self, e: Load | Store) -> Callable[[Env, Mask], tuple]:
        """The checked physical index; of a vector, the lanes that are chosen."""
        b = e.buffer
        layout = b.layout if b.layout is not None and len(e.indices) == len(b.shape) else None
        lanes = max((i.dtype.lanes for i in e.indices), default=1)
        logical = [self.expr(i) for i in e.indices]
        variables = [Var(f"i{k}", i.dtype.element) for k, i in enumerate(e.indices)]
        physical = [self.expr(x) for x in layout.map(variables)] if layout else None

        def check(index: list[Any], limits: Sequence[int]) -> None:
            if len(index) == len(limits) and all(
                (0 <= i < n) if lanes == 1 else ((i >= 0) & (i < n)).all()
                for i, n in zip(index, limits)
            ):
                return
            shown = ", ".join(str(np.asarray(i).tolist()) for i in index)
            raise LoweringError(
                f"{e if isinstance(e, Load) else str(e).split(' = ')[0]} is {b.name}[{shown}], "
                f"outside of the shape {list(limits)}.",
                where=self.where,
            )

        def at(env: Env, chosen: Mask) -> tuple:
            index = [f(env, chosen) for f in logical]
            if chosen is not None:
                index = [np.broadcast_to(i, (lanes,))[chosen] for i in index]
            if physical is None:
                check(index, env[b].shape)
                return tuple(index)
            assert layout is not None
            check(index, layout.padded)
            inner = dict(zip(variables, index))
            return tuple(f(inner, None) for f in physical)

        def scalar(env: Env, mask: Mask) -> tuple:
            """The common case, without temporaries."""
            index = tuple([f(env, None) for f in logical])
            limits = env[b].shape
            inside = len(index) == len(limits)
            for i, n in zip(index, limits):
                inside = inside and 0 <= i < n
            if not inside:
                check(list(index), limits)
            return index

        return scalar if lanes == 1 and layout is None else at


_EXPR: dict[type, Callable[[ExpressionClosures, Any], Eval]] = {
    Const: ExpressionClosures._const,
    Var: ExpressionClosures._var,
    IterVar: ExpressionClosures._var,
    Unary: ExpressionClosures._unary,
    Binary: ExpressionClosures._binary,
    Cast: ExpressionClosures._cast,
    Reinterpret: ExpressionClosures._reinterpret,
    Call: ExpressionClosures._call,
    Select: ExpressionClosures._select,
    Load: ExpressionClosures._load,
    Ramp: ExpressionClosures._ramp,
    Broadcast: ExpressionClosures._broadcast,
}
