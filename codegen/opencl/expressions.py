"""Operators, conversions and constants in OpenCL C: the meaning of ``ir/expr.py`` in its types.

Integers have their own types. Signed arithmetic that may overflow, which C leaves undefined, is
done on unsigned values. 16-bit floats are held in ``float``; float16 is rounded after each
operation. A vector of bool is a vector of int with lanes 0 and -1, what comparisons make and
``select`` takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...ir.alu import COMPARE, LOGIC, Op
from ...ir.expr import Binary, Broadcast, Call, Cast, Const, Expr, Reinterpret
from ...ir.intrin import INTRINSICS as INTRINSICS_OF_ALL
from ...ir.stmt import Function
from ...ir.target import Target
from ...runtime.dtype import FLOAT32, INT32, DType
from ..clike.guards import Guarded
from ..clike.hooks import INFIX, LOGIC_SCALAR
from ..clike.scopes import Value
from ..clike.words import is_number
from .helpers import EXACT, HELPERS, INTRINSICS, type_name

_TYPES = [
    "char",
    "uchar",
    "short",
    "ushort",
    "int",
    "uint",
    "long",
    "ulong",
    "half",
    "float",
    "double",
]
_RESERVED = frozenset(f"{t}{n}" for t in _TYPES for n in (2, 3, 4, 8, 16)) | {
    "exp2", "exp10", "expm1", "log2", "log10", "atan2",
}  # fmt: skip
_OVERFLOWS = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.ABS})
_INEXACT = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV})


class OpenCLExpressions(Guarded):
    """The expressions of one kernel."""

    widths = (2, 3, 4, 8, 16)
    reserved = _RESERVED
    library = HELPERS
    intrinsics = INTRINSICS
    memory_varies = False

    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        self.doubles = False

    # -- types and constants ----------------------------------------------------------------------

    def type(self, d: DType) -> str:
        assert d.lanes == 1 or d.lanes in self.widths, d
        self.doubles |= d.is_float and d.bits == 64
        return type_name(d)

    def splat(self, d: DType, text: str) -> str:
        return f"({self.type(d)})({f'{text} ? -1 : 0' if d.is_bool else text})"

    def spread(self, v: Value, d: DType, e: Expr) -> Value:
        if isinstance(e, Const) and d.is_bool:
            return v.with_text(f"({self.type(d)})({-1 if e.value else 0})")
        made = super().spread(v, d, e)
        return made._replace(unsigned=f"(u{self.type(d)})({v.text})") if v.unsigned else made

    def build(self, d: DType, lanes: Sequence[str]) -> str:
        if d.is_bool:
            lanes = [f"{x} ? -1 : 0" for x in lanes]
        return f"({self.type(d)})({', '.join(lanes)})"

    def component(self, text: str, k: int, d: DType) -> str:
        part = f"{text}.{'xyzw'[k]}" if d.lanes <= 4 else f"{text}.s{k:x}"
        return f"({part} != 0)" if d.is_bool else part

    def literal(self, x: bool | int | float, d: DType) -> str:
        if d.is_bool:
            return "true" if x else "false"
        if d.is_float:
            return self._float(float(x), d)
        number = int(x)
        if d.bits < 32:
            return f"({type_name(d)})({number})"
        suffix = ("u" if d.kind == "uint" else "") + ("l" if d.bits == 64 else "")
        if d.kind == "int" and number == d.min:
            return f"(-{d.max}{suffix} - 1)"
        return f"{number}{suffix}" if number >= 0 else f"({number}{suffix})"

    def _float(self, x: float, d: DType) -> str:
        if math.isnan(x):
            return "(double)(NAN)" if d.bits == 64 else "NAN"
        if math.isinf(x):
            text = "INFINITY" if x > 0 else "-INFINITY"
            return f"(double)({text})" if d.bits == 64 else f"({text})" if x < 0 else text
        text = repr(x) if d.bits == 64 else f"{_shortest(x)}f"
        return f"({text})" if math.copysign(1, x) < 0 else text

    def _const(self, e: Const) -> Value:
        v = super()._const(e)
        plain = e.dtype == INT32 and int(e.value) >= 0
        return v._replace(unsigned=f"{v.text}u") if plain else v

    def function(self, name: str, d: DType) -> str:
        self.helper(name, d)
        return f"{name}_{self.type(d)}"

    # -- operators --------------------------------------------------------------------------------

    def apply(self, op: Op, d: DType, operands: Sequence[Value], types: Sequence[DType]) -> Value:
        """Signed arithmetic that may overflow is done on unsigned values."""
        if d.kind != "int" or (d.lanes == 1 and d.bits < 32) or op not in _OVERFLOWS:
            return super().apply(op, d, operands, types)
        if op is Op.ABS:  # C's result is unsigned
            return self._signed(self.join("abs({0})", operands, [d]), d)
        form = "-{0}" if op is Op.NEG else f"{{0}} {INFIX[op]} {{1}}"
        return self._signed(self._modular(form, operands, d), d)

    def _signed(self, v: Value, d: DType) -> Value:
        """An unsigned value as the type ``d``, which remembers what it was."""
        t = self.type(d)
        return v.with_text(f"as_{t}({v.text})", atom=False)._replace(unsigned=f"as_u{t}({v.text})")

    def _modular(
        self, form: str, signed: Sequence[Value], d: DType, *others: tuple[Value, DType]
    ) -> Value:
        """``form`` of the bits of values of type ``d`` as unsigned ones, and of ``others``."""
        unsigned = DType("uint", d.bits, d.lanes)
        places, values, types = [], [], []
        for k, v in enumerate(signed):
            known = bool(v.unsigned)
            places.append(f"{{{k}}}" if known else f"as_{self.type(unsigned)}({{{k}}})")
            values.append(v._replace(text=v.unsigned) if known else v)
            types.append(unsigned if known else d)
        places += [f"{{{k}}}" for k in range(len(signed), len(signed) + len(others))]
        values += [v for v, _ in others]
        types += [t for _, t in others]
        return self.join(form.format(*places), values, types)

    def mixes(self, op: Op, d: DType) -> bool:
        return d.is_float and super().mixes(op, d)

    def operator(self, op: Op, d: DType) -> str:
        if d.is_bool:
            return self._logic(op, d)
        t = self.type(d)
        if op in COMPARE:
            form = f"({{0}} {INFIX[op]} {{1}})"
            return form if d.lanes == 1 or held_bits(d) == 32 else f"convert_int{d.lanes}{form}"
        if d.is_float:
            return self._float_operator(op, d)
        if op in (Op.MIN, Op.MAX):
            narrow = d.lanes == 1 and d.bits < 32  # C made int of them
            return f"{op.value}(({t}){{0}}, ({t}){{1}})" if narrow else f"{op.value}({{0}}, {{1}})"
        return f"({{0}} {INFIX[op]} {{1}})" if op in LOGIC else self._wrapping(op, d, t)

    def _float_operator(self, op: Op, d: DType) -> str:
        if op is Op.TRUNCMOD:
            return f"{'fmod' if d.lanes == 1 else self.function('fmod', d)}({{0}}, {{1}})"
        return {Op.NEG: "(-{0})", Op.ABS: "fabs({0})"}.get(op) or f"({{0}} {INFIX[op]} {{1}})"

    def _logic(self, op: Op, d: DType) -> str:
        if op is Op.NOT:
            return "!{0}" if d.lanes == 1 else "(~{0})"
        sign = LOGIC_SCALAR.get(op) if d.lanes == 1 else INFIX[op] if op in LOGIC else None
        return f"({{0}} {sign or INFIX[op]} {{1}})"

    def _wrapping(self, op: Op, d: DType, t: str) -> str:
        """Integer arithmetic modulo 2^bits; what may overflow where C leaves that undefined, see
        :meth:`apply`."""
        narrow = d.lanes == 1 and d.bits < 32
        if op is Op.NOT:
            return f"({t})(~{{0}})" if narrow else "(~{0})"
        if op is Op.ABS:
            return f"as_{t}(abs(({t}){{0}}))"
        if narrow:  # exact in int but for the product of two ushort
            wide = "(uint)" if op is Op.MUL and d.bits == 16 else ""
            return f"({t})(-{{0}})" if op is Op.NEG else f"({t})({wide}{{0}} {INFIX[op]} {{1}})"
        return "(-{0})" if op is Op.NEG else f"({{0}} {INFIX[op]} {{1}})"

    def fit(self, op: Op, d: DType, v: Value) -> Value:
        if d.kind == "float" and d.bits == 16 and op in _INEXACT:
            return self._half(v, d)
        if d.is_int and d.lanes == 1 and d.bits < 32 and op in (Op.SHL, Op.SHR):
            return v.with_text(f"({self.type(d)}){v.text}")
        return v

    def _half(self, v: Value, d: DType) -> Value:
        like = FLOAT32.with_lanes(d.lanes)
        return v.with_text(f"{self.function('to_half', like)}({v.text})", atom=False)

    def _binary(self, e: Binary) -> Value:
        if e.op is Op.MUL and e.a.dtype == INT32 and self._bounded(e):
            return self.join("({0} * {1})", [self.value(e.a), self.value(e.b)], [INT32, INT32])
        return super()._binary(e)

    def _bounded(self, e: Expr) -> bool:
        known = self.analyzer.interval(e)
        return known.lo is not None and known.hi is not None and (
            known.lo >= -(2**31) and known.hi < 2**31
        )  # fmt: skip

    def plain_sum(self, e: Binary) -> bool:
        """Whether no partial sum can overflow."""
        total = 0
        stack: list[Expr] = [e]
        while stack:
            x = stack.pop()
            if isinstance(x, Binary) and x.op in (Op.ADD, Op.SUB):
                stack += [x.a, x.b]
                continue
            known = self.analyzer.interval(x)
            if known.lo is None or known.hi is None:
                return False
            total += max(abs(known.lo), abs(known.hi))
        return total < 2**31

    def _shift(self, e: Binary) -> Value:
        """A bit that leaves a signed integer is undefined in C."""
        d = e.dtype
        if e.op is Op.SHR or d.kind == "uint":
            return super()._shift(e)
        a = self.value(e.a)
        by = self.value(self.analyzer.simplify(Binary(Op.AND, e.b, _same(d.bits - 1, d))))
        if d.lanes > 1 or d.bits >= 32:
            return self._signed(self._modular("{0} << {1}", [a], d, (by, d)), d)
        return self.join(f"({self.type(d)})((uint){{0}} << {{1}})", [a, by], [d, d])

    def extremum(self, e: Binary) -> Value:
        a, b = (e.b, e.a) if is_number(e.a) else (e.a, e.b)
        d = e.dtype
        if not is_number(b):
            f = self.function(f"nan_{e.op.value}", d)
            return self.join(f"{f}({{0}}, {{1}})", [self.value(a), self.value(b)], [d, d])
        # False where a is NaN, which then is the result.
        sign = "<=" if e.op is Op.MAX else ">="
        x, y = self.name_type(self.value(a), d), self.value(b)
        form = f"({{0}} {sign} {{1}} ? {{1}} : {{0}})"
        if d.lanes > 1:
            form = f"select({{0}}, {{1}}, {{0}} {sign} {{1}})"
        return self.join(form, [x, y], [d, d])

    def _call(self, e: Call) -> Value:
        v, d = super()._call(e), e.args[0].dtype
        rounds = d.kind == "float" and d.bits == 16 and e.name not in EXACT
        return self._half(v, d) if rounds else v

    def intrinsic(self, name: str, d: DType) -> str:
        form = super().intrinsic(name, d)
        if d.is_int and d.lanes == 1 and d.bits < 32:
            form = form.format(f"({self.type(d)}){{0}}")
        if INTRINSICS_OF_ALL[name].result == "bool":
            wide = d.lanes > 1 and d.bits == 64
            return f"convert_int{d.lanes}({form})" if wide else form if d.lanes > 1 else (
                f"({form} != 0)"
            )  # fmt: skip
        return form

    # -- choice -----------------------------------------------------------------------------------

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType) -> Value:
        bits = held_bits(d)
        signed = {8: "char", 16: "short", 32: "int", 64: "long"}[bits]
        mask = "{0}" if bits == 32 else f"convert_{signed}{d.lanes}({{0}})"
        return self.join(f"select({{2}}, {{1}}, {mask})", [cond, a, b], [c, d, d])

    # -- conversions ------------------------------------------------------------------------------

    def cast(self, e: Cast) -> Value:
        s, d, v = e.value.dtype, e.dtype, self.value(e.value)
        form = self._conversion(s, d)
        return v if form == "{0}" else self.join(form, [v], [s])

    def _conversion(self, s: DType, d: DType) -> str:
        t = self.type(d)
        if d.is_bool:
            return "{0}" if s.is_bool else self.operator(Op.NE, s).format("{0}", self.zero(s).text)
        if s.is_bool:
            if s.lanes == 1:
                one, zero = self.literal(1, d), self.literal(0, d)
                return f"({{0}} ? {one} : {zero})"
            return f"convert_{t}({{0}} & 1)"
        if s == d and (d.is_int or d.bits == 64):
            return "{0}"
        if d.is_int or d.bits == 64:
            return f"convert_{t}{'_sat' if d.is_int and s.is_float else ''}({{0}})"
        return self._to_float(s, d, f"convert_{t}({{0}})")

    def _to_float(self, s: DType, d: DType, converted: str) -> str:
        """The form of a number as a float of at most 32 bits, rounded to what ``d`` holds;
        ``converted`` is the language's own conversion to the type that ``d`` is held in."""
        exact = s.is_int and s.bits == 8  # in any of them
        like = FLOAT32.with_lanes(s.lanes)
        if d.kind == "float" and d.bits == 16 and not exact:
            if s.kind == "float" and s.bits == 16:
                return "{0}"
            to_half = self.function("to_half", s if s.is_float and s.bits == 64 else like)
            return f"{to_half}({'{0}' if s.is_float else converted})"
        single = "{0}" if s.is_float and s.bits < 64 else converted
        if d.kind == "bfloat" and not exact:
            return f"{self.function('to_bfloat', like)}({single})"
        return single

    def reinterpret(self, e: Reinterpret) -> Value:
        s, d = e.value.dtype, e.dtype
        v = self.value(e.value)
        if s == d:
            return v
        bits = self.bits_of(v, s)
        raw = DType("uint", s.bits, s.lanes) if s.is_float and s.bits == 16 else s
        if d.is_float and d.bits == 16:
            if raw.kind == "int":
                bits = bits.with_text(f"as_u{self.type(raw)}({bits.text})", atom=False)
            return self.of_bits(bits, d)
        if raw == d:
            return bits
        cast = f"({self.type(raw)})" if raw.lanes == 1 and raw.bits < 32 else ""
        if d.kind == "uint" and raw.kind == "int" and not cast:
            return self._modular("{0}", [bits], raw)
        made = self.join(f"as_{self.type(d)}({cast}{{0}})", [bits], [raw])
        wide = d.kind == "int" and not cast
        return made._replace(unsigned=f"as_u{self.type(d)}({bits.text})") if wide else made

    def bits_of(self, v: Value, d: DType) -> Value:
        """The bits of a 16-bit float as ushort; other values as they are."""
        if not (d.is_float and d.bits == 16):
            return v
        f = self.function("half_bits" if d.kind == "float" else "bfloat_bits",
                          FLOAT32.with_lanes(d.lanes))  # fmt: skip
        return v.with_text(f"{f}({v.text})", atom=False)

    def of_bits(self, v: Value, d: DType) -> Value:
        """A 16-bit float of its bits, which are ushort."""
        like = FLOAT32.with_lanes(d.lanes)
        if d.kind == "float":
            return v.with_text(f"{self.function('of_half_bits', like)}({v.text})", atom=False)
        n = "" if d.lanes == 1 else str(d.lanes)
        return v._replace(
            text=f"as_{self.type(d)}(convert_uint{n}({v.text}) << 16)", atom=False
        )  # fmt: skip


def held_bits(d: DType) -> int:
    """Bits of one lane outside of memory."""
    return 32 if d.is_bool or (d.is_float and d.bits == 16) else d.bits


def _same(n: int, d: DType) -> Expr:
    c = Const(n, d.element)
    return c if d.lanes == 1 else Broadcast(c, d.lanes)


def _shortest(x: float) -> str:
    """The shortest decimal that a float32 reads back as ``x``."""
    return repr(float(str(np.float32(x))))


__all__ = ["OpenCLExpressions", "held_bits"]
