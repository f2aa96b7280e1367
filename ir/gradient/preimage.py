"""Which points of a computation read a given element: an index map turned round.

The point ``a`` reads ``T[f(a)]``. Of the element ``t`` all ``a`` with ``f(a) = t`` are wanted, as
loops over what stays free and conditions: each equation ``f_d(a) = t_d`` is solved for a variable
of ``a``, and the variables that none decides become axes of a reduction.

* Sums with constant coefficients are solved exactly: ``t = 2y + k - 1`` for ``y``, where
  ``t - k + 1`` is even. Of several variables the longest loop goes.
* Quotients and remainders by constants, of which reshapes are made, are taken apart first:
  ``x // 8 = t`` is ``x = 8t + r`` for an ``r`` in ``[0, 8)``. Where several are of one sum ``x``,
  that is found first, from all its digits.
* Any other equation stays a condition over all points: right, and slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...runtime.dtype import INT32
from ..alu import Op
from ..builders import all_of, equal
from ..expr import FALSE, ZERO, Binary, Expr, IterVar, Read, Select, Var, as_int, binary, const
from ..simplify import Analyzer, linear_form
from ..visit import Mutator, structural_equal, substitute, variables, walk


@dataclass(frozen=True)
class Preimage:
    """``values`` are the loops of the computation in terms of the element and of ``free``, new
    reduction axes; ``condition`` holds for the points that there are."""

    values: dict[Var, Expr]
    free: tuple[IterVar, ...]
    condition: Expr


def preimage(
    loops: Sequence[IterVar], indices: Sequence[Expr], element: Sequence[IterVar]
) -> Preimage:
    """The points of ``loops`` at which ``indices`` are those of ``element``."""
    return _Solver(loops, element).solve(list(zip(indices, element)))


class _Solver:
    def __init__(self, loops: Sequence[IterVar], element: Sequence[IterVar]):
        self.loops = tuple(loops)
        self.analyzer = Analyzer()
        self.free: dict[Var, tuple[Expr, Expr]] = {}  # (minimum, extent)
        self.values: dict[Var, Expr] = {}
        self.conditions: list[Expr] = []
        self.equations: list[tuple[Expr, Expr]] = []
        for v in element:
            self._bind(v, v.minimum, v.extent)
        for v in loops:
            self.introduce(v, v.minimum, v.extent)

    def solve(self, equations: list[tuple[Expr, Expr]]) -> Preimage:
        digits = _Digits(self)
        self.equations = [(digits(a), b) for a, b in equations]
        self.equations += digits.sums
        while self.equations:
            self.equations = [(self.analyzer.simplify(a), b) for a, b in self.equations]
            k = min(range(len(self.equations)), key=lambda k: self._rank(*self.equations[k]))
            left, right = self.equations.pop(k)
            if not (self._solve_sum(left, right) or self._take_apart(left, right)):
                self._require(equal(left, right))
        fresh: dict[Var, IterVar] = {
            v: IterVar(v.name, INT32, low, extent, "reduce")
            for v, (low, extent) in self.free.items()
        }
        values: dict[Var, Expr] = {v: substitute(self.values.get(v, v), fresh) for v in self.loops}
        return Preimage(values, tuple(fresh.values()), substitute(self._condition(), fresh))

    def _condition(self) -> Expr:
        """What reads tensors is asked only where all else holds: else it may read outside."""
        data = [c for c in self.conditions if any(isinstance(n, Read) for n in walk(c))]
        plain = all_of([c for c in self.conditions if not any(c is d for d in data)])
        return Select(plain, all_of(data), FALSE) if data else plain

    # ------------------------------------------------------------------ what is known

    def _bind(self, v: Var, low: Expr, extent: Expr) -> None:
        self.analyzer.bind(v, low, binary(Op.SUB, binary(Op.ADD, low, extent), 1))

    def introduce(self, v: Var, low: Expr, extent: Expr) -> None:
        """``v`` is a variable that is still to be decided."""
        self.free[v] = (low, extent)
        self._bind(v, low, extent)

    def _require(self, condition: Expr) -> None:
        if not self.analyzer.prove(condition):
            self.conditions.append(self.analyzer.simplify(condition))

    def _free_in(self, e: Expr) -> list[Var]:
        return [v for v in variables(e) if v in self.free]

    def _rank(self, left: Expr, right: Expr) -> tuple[int, int, int]:
        """Those with the smallest are solved first: what is not known of the right side is."""
        unknown = len(self._free_in(right))
        if self._candidates(left):
            return (unknown, 0, len(self._free_in(left)))
        digit = self._quotient(left)
        if digit is None:
            return (unknown, 2, 0)
        term = digit[0]
        by = as_int(term.b) or 0
        return (unknown, 1, -by if term.op is Op.FLOORDIV else 0)  # the first digit first

    def _candidates(self, left: Expr) -> list[tuple[Var, int]]:
        """The free variables that a sum is linear in, each with its coefficient."""
        terms = linear_form(left).terms
        nested = {v for t in terms if not isinstance(t, Var) for v in variables(t)}
        return [
            (t, k)
            for t, k in terms.items()
            if isinstance(t, Var) and t in self.free and t not in nested
        ]

    def _length(self, v: Var) -> float:
        n = as_int(self.free[v][1])
        return float("inf") if n is None else n

    # ------------------------------------------------------------------ steps

    def _decide(self, v: Var, value: Expr) -> None:
        """``v`` is ``value``, where that lies in its range."""
        low, extent = self.free.pop(v)
        value = self.analyzer.simplify(value)
        point = {v: value}
        self.values = {u: substitute(e, point) for u, e in self.values.items()} | point
        self.equations = [(substitute(a, point), substitute(b, point)) for a, b in self.equations]
        self.conditions = [substitute(c, point) for c in self.conditions]
        self._require(binary(Op.LE, low, value))
        self._require(binary(Op.LT, value, binary(Op.ADD, low, extent)))

    def _solve_sum(self, left: Expr, right: Expr) -> bool:
        """Solve for the variable of the longest loop; and where that has a coefficient ``c``, for
        one that is a digit below ``c``, too."""
        candidates = self._candidates(left)
        if not candidates:
            return False
        v, c = max(candidates, key=lambda vc: self._length(vc[0]))
        rest = right - substitute(left, {v: ZERO})  # c * v
        if abs(c) == 1:
            self._decide(v, rest if c == 1 else -rest)
            return True
        size = abs(c)
        for w, k in candidates:
            low, extent = self.free[w]
            n = as_int(extent)
            if w is not v and abs(k) == 1 and n is not None and n <= size:
                others = substitute(rest, {w: low})  # k * (w - low), modulo c
                digit = self.analyzer.simplify((others if k == 1 else -others) % size)
                self._decide(w, digit + low)
                rest = others if k == 1 and c > 0 else substitute(rest, {w: self.values[w]})
                break
        else:
            self._require(equal(rest % size, 0))
        quotient = rest // size
        self._decide(v, quotient if c > 0 else -quotient)
        return True

    def _quotient(self, left: Expr) -> tuple[Binary, int] | None:
        """The one term of a sum with free variables where it is a quotient or a remainder by a
        constant, and its sign."""
        open_ = [(t, k) for t, k in linear_form(left).terms.items() if self._free_in(t)]
        if len(open_) != 1 or abs(open_[0][1]) != 1:
            return None
        t, k = open_[0]
        if not isinstance(t, Binary) or t.op not in (Op.FLOORDIV, Op.FLOORMOD):
            return None
        c = as_int(t.b)
        return (t, k) if c is not None and c > 0 else None

    def _take_apart(self, left: Expr, right: Expr) -> bool:
        found = self._quotient(left)
        if found is None:
            return False
        t, sign = found
        c = as_int(t.b)
        assert c is not None
        others = left - t if sign == 1 else left + t  # the sum without its open term
        result = self.analyzer.simplify(right - others if sign == 1 else others - right)
        if t.op is Op.FLOORDIV:
            digit = Var("r")
            self.introduce(digit, ZERO, const(c))
            self._equate(t.a, result * c + digit)
            return True
        span = self.analyzer.interval(t.a)
        if span.lo is None or span.hi is None:
            return False
        times = Var("q")
        low = span.lo // c
        self.introduce(times, const(low), const(span.hi // c - low + 1))
        self._require(binary(Op.LE, ZERO, result))
        self._require(binary(Op.LT, result, const(c)))
        self._equate(t.a, times * c + result)
        return True

    def _equate(self, left: Expr, right: Expr) -> None:
        if isinstance(left, Var) and left in self.free:
            self._decide(left, right)
        else:
            self.equations.append((left, right))


class _Digits(Mutator):
    """Sums that quotients and remainders are taken of become variables; ``sums`` are the equations
    that say which."""

    def __init__(self, solver: _Solver):
        super().__init__()
        self.solver = solver
        self.sums: list[tuple[Expr, Expr]] = []

    def visit_Binary(self, n: Binary) -> Expr:
        by = as_int(n.b) if n.op in (Op.FLOORDIV, Op.FLOORMOD) else None
        if by is None or isinstance(n.a, Var) or _is_digit(n.a):
            return self.rebuild(n)
        return Binary(n.op, self._variable(n.a), n.b)

    def _variable(self, x: Expr) -> Expr:
        for known, v in self.sums:
            if structural_equal(known, x):
                return v
        span = self.solver.analyzer.interval(self.solver.analyzer.simplify(x))
        if span.lo is None or span.hi is None or any(isinstance(n, Read) for n in walk(x)):
            return x
        v = Var("sum")
        self.solver.introduce(v, const(span.lo), const(span.hi - span.lo + 1))
        self.sums.append((x, v))
        return v


def _is_digit(e: Expr) -> bool:
    return isinstance(e, Binary) and e.op in (Op.FLOORDIV, Op.FLOORMOD) and as_int(e.b) is not None
