"""LLVM IR for expressions: arithmetic, lazy selects, intrinsics; loads are ``memory.py``'s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
)
from ...ir.intrin import INTRINSICS
from ...ir.stmt import Buffer
from ...runtime.dtype import DType
from ...runtime.errors import CodegenError
from .ranges import MachineRanges
from .values import FAST, Values, literal, mangle, register, register_element

_INTEGER_DIVISION = (Op.FLOORDIV, Op.FLOORMOD, Op.TRUNCDIV, Op.TRUNCMOD)
_NATIVE = {"sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
           "round": "roundeven"}  # fmt: skip


class LLVMExpressions(Values):
    """Evaluates expressions; ``vars`` and ``buffers`` map what is in scope to operands."""

    def __init__(
        self,
        where: str,
        declare: set[str],
        *,
        has_fma: bool,
        has_half: bool,
    ):
        super().__init__(declare, has_fma=has_fma, has_half=has_half)
        self.where = where
        self.languages: tuple[str, ...] = ()  # of the target, as rules know it
        self.vars: dict[Var, str] = {}
        self.buffers: dict[Buffer, str] = {}
        self.ranges = MachineRanges()
        self.block = "entry"
        self._labels = 0
        self._memo: list[dict[Expr, str]] = [{}]
        self.masks: list[Expr] = []  # guards of vector selects that enclose the current arm
        self._index = 0  # > 0 inside the index of a load or store
        self._table: dict[type, Callable[[Any], str]] = {
            Const: lambda e: literal(e.value, e.dtype),
            Unary: lambda e: self.unary(e.op, e.dtype, self.value(e.a)),
            Binary: self._binary,
            Cast: lambda e: self.cast(self.value(e.value), e.value.dtype, e.dtype),
            Reinterpret: lambda e: self.reinterpret(self.value(e.value), e.value.dtype, e.dtype),
            Select: self._select,
            Call: self._call,
            Load: self.load,
            Ramp: self._ramp,
            Broadcast: self._broadcast,
        }
        self._intrinsics: dict[str, Callable[..., str]] = {
            "fma": self._fma,
            "rsqrt": self._rsqrt,
            "isnan": self._isnan,
            "isinf": self._isinf,
            "popcount": lambda d, a: self._native("ctpop", d, a),
            "clz": self._clz,
            "any": self._any,
        }

    # -- hooks ----------------------------------------------------------------------------------

    def load(self, e: Load) -> str:
        """The value of a load, zero where its predicate does not hold."""
        raise NotImplementedError

    # -- blocks ---------------------------------------------------------------------------------

    def label(self, stem: str) -> str:
        """A label that occurs once in the function."""
        self._labels += 1
        return f"{stem}{self._labels}"

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.block = label

    def fresh(self) -> None:
        """Forget values: what was loaded may have been overwritten by the last statement."""
        self._memo = [{}]

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Values computed inside do not dominate what comes after."""
        self._memo.append({})
        yield
        self._memo.pop()

    # -- expressions ----------------------------------------------------------------------------

    def value(self, e: Expr) -> str:
        """The operand that holds ``e``. Nodes shared by identity are computed once."""
        if isinstance(e, Var):
            return self.vars[e]
        if isinstance(e, Const):
            return literal(e.value, e.dtype)
        for memo in reversed(self._memo):
            if e in memo:
                return memo[e]
        emit = self._table.get(type(e))
        if emit is None:
            raise CodegenError(
                f"{type(e).__name__} cannot be written as LLVM IR: {e}", where=self.where
            )
        result = self._memo[-1][e] = emit(e)
        return result

    def index(self, e: Expr) -> str:
        """The value of the index of a load or store, whose arithmetic is known not to wrap."""
        self._index += 1
        result = self.value(e)
        self._index -= 1
        return result

    def _binary(self, e: Binary) -> str:
        d = e.a.dtype
        if e.op in _INTEGER_DIVISION and d.is_int:
            b = e.b.value if isinstance(e.b, Broadcast) else e.b
            bounds = self.ranges.of(e.a)
            positive = bounds is not None and bounds[0] >= 0
            x, y = self.value(e.a), self.value(e.b)
            return self.divide(e.op, d, x, y, as_int(b), positive)
        if e.op in (Op.MIN, Op.MAX) and d.is_float:
            a, b = (e.b, e.a) if _number(e.b) else (e.a, e.b)
            return self.extremum(e.op, d, self.value(a), self.value(b), a_is_number=_number(a))
        nsw = self.ranges.no_wrap(e, self._index > 0)
        return self.binary(e.op, d, self.value(e.a), self.value(e.b), nsw=nsw)

    def _ramp(self, e: Ramp) -> str:
        t, lane = register(e.dtype), register_element(e.dtype)
        steps = ", ".join(f"{lane} {k}" for k in range(e.lanes))
        offset = f"<{steps}>" if e.lanes > 1 else "0"
        base = self.splat(lane, self.value(e.base), e.lanes) if e.lanes > 1 else self.value(e.base)
        if as_int(e.stride) != 1:
            stride = self.value(e.stride)
            wide = self.splat(lane, stride, e.lanes) if e.lanes > 1 else stride
            offset = self.op(f"mul {t} {wide}, {offset}")
        return self.op(f"add {t} {base}, {offset}")

    def _broadcast(self, e: Broadcast) -> str:
        if isinstance(e.value, Const):
            return literal(e.value.value, e.dtype)
        value = self.value(e.value)
        return value if e.lanes == 1 else self.splat(register_element(e.dtype), value, e.lanes)

    def _select(self, e: Select) -> str:
        cond, t = self.value(e.cond), register(e.dtype)
        lazy = not (self.ranges.safe(e.if_true) and self.ranges.safe(e.if_false))
        if lazy and e.cond.dtype.lanes == 1:
            return self.branch(cond, t, lambda: self.value(e.if_true),
                                lambda: self.value(e.if_false))  # fmt: skip
        arms = []
        for arm, guard in ((e.if_true, e.cond), (e.if_false, Unary(Op.NOT, e.cond))):
            if not lazy:
                arms.append(self.value(arm))
                continue
            with self.scope():
                self.masks.append(guard)
                arms.append(self.value(arm))
                self.masks.pop()
        return self.select(register(e.cond.dtype), cond, t, arms[0], arms[1])

    def branch(self, cond: str, t: str, then: Callable[[], str], other: Callable[[], str]) -> str:
        """A value from one of two blocks."""
        yes, no, end = self.label("then"), self.label("else"), self.label("end")
        self.put(f"br i1 {cond}, label %{yes}, label %{no}")
        arms = []
        for label, arm in ((yes, then), (no, other)):
            self.start(label)
            with self.scope():
                arms.append(f"[ {arm()}, %{self.block} ]")
            self.put(f"br label %{end}")
        self.start(end)
        return self.op(f"phi {t} {arms[0]}, {arms[1]}")

    # -- intrinsics -----------------------------------------------------------------------------

    def _call(self, e: Call) -> str:
        args = [self.value(a) for a in e.args]
        d = e.args[0].dtype
        if e.name in _NATIVE:
            return self.rounded(self._native(_NATIVE[e.name], d, args[0]), d)
        spec = INTRINSICS[e.name]
        if spec.own and e.dtype == d:
            return self.rounded(self._native(str(spec.rule(self.languages)), d, *args), d)
        emit = self._intrinsics.get(e.name)
        if emit is None:
            raise CodegenError(
                f"the intrinsic {e.name!r} has no LLVM form; the math pass must come before.",
                where=self.where,
            )
        return emit(d, *args)

    def _native(self, name: str, d: DType, *args: str) -> str:
        """An intrinsic of LLVM whose operands and result are of type ``d``."""
        t = register(d)
        return self.intrinsic(f"llvm.{name}.{mangle(t)}", t, [(t, a) for a in args])

    def _clz(self, d: DType, a: str) -> str:
        t = register(d)
        return self.intrinsic(f"llvm.ctlz.{mangle(t)}", t, [(t, a), ("i1", "false")])

    def _fma(self, d: DType, a: str, b: str, c: str) -> str:
        if self.has_fma:
            return self.rounded(self._native("fma", d, a, b, c), d)
        t = register(d)
        product = self.op(f"fmul {t} {a}, {b}")
        return self.rounded(self.op(f"fadd {t} {product}, {c}"), d)

    def _rsqrt(self, d: DType, a: str) -> str:
        root = self._native("sqrt", d, a)
        return self.rounded(self.op(f"fdiv {FAST} {register(d)} {literal(1, d)}, {root}"), d)

    def _isnan(self, d: DType, a: str) -> str:
        return self.op(f"fcmp uno {register(d)} {a}, {a}")

    def _isinf(self, d: DType, a: str) -> str:
        size = self._native("fabs", d, a)
        return self.op(f"fcmp oeq {register(d)} {size}, {literal(float('inf'), d)}")

    def _any(self, d: DType, a: str) -> str:
        t = register(d)
        return self.intrinsic(f"llvm.vector.reduce.or.{mangle(t)}", "i1", [(t, a)])


def _number(e: Expr) -> bool:
    """Whether ``e`` is a constant that is not NaN."""
    c = e.value if isinstance(e, Broadcast) else e
    return isinstance(c, Const) and c.value == c.value
