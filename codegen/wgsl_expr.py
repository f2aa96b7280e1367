"""Operators, conversions and constants in WGSL."""

from __future__ import annotations

import math
import re

from ..ir.expr import LOGIC, Binary, Broadcast, Const, Expr, Op, Reinterpret
from ..ir.stmt import Function
from ..ir.target import Target
from ..runtime.dtype import FLOAT32, DType
from .clike import Value
from .clike_expr import INFIX, LOGIC_SCALAR
from .clike_words import Words
from .wgsl_helpers import HELPERS, INTRINSICS, Type, suffix, type_name
from .workgroup import Workgroup

_TYPES = {
    (kind, lanes): type_name((kind, lanes))
    for kind in ("float", "half", "int", "uint", "bool")
    for lanes in (1, 2, 3, 4)
}
_RESERVED = frozenset(
    {"f16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "vec2", "vec3",
     "vec4", "exp2", "log2", "atan2"}
)  # fmt: skip
_PREFIX = {Op.NEG: "(-{0})", Op.NOT: "(~{0})", Op.ABS: "abs({0})"}
_LOGIC_VECTOR = {Op.AND: "&", Op.OR: "|", Op.XOR: "!="}


class WGSLExpressions(Workgroup, Words):
    """The expressions of one kernel."""

    types = _TYPES
    widths = (2, 3, 4)
    reserved = _RESERVED

    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        self.helpers: dict[tuple[str, Type], str] = {}

    def name(self, stem: str) -> str:
        found = super().name(stem)
        # A variable named like a type would hide it: the 32nd index is not called i32.
        return super().name(stem) if found in ("i32", "u32", "f32", "f16") else found

    # -- the syntax of declarations ---------------------------------------------------------------

    def constant(self, t: str, name: str, text: str) -> str:
        return f"let {name}: {t} = {text};"

    def variable(self, t: str, name: str) -> str:
        return f"var {name}: {t};"

    def array(self, t: str, name: str, size: int) -> str:
        return f"var {name}: array<{t}, {size}>;"

    def loop_head(self, t: str, name: str, low: str, end: str) -> str:
        return f"for (var {name}: {t} = {low}; {name} < {end}; {name}++)"

    # -- types and constants ----------------------------------------------------------------------

    def kind(self, d: DType) -> str:
        if d.kind == "float" and d.bits == 16 and self.target.has_float16:
            return "half"
        return super().kind(d)

    def native_half(self, d: DType) -> bool:
        return self.kind(d) == "half"

    def literal(self, x: bool | int | float, d: DType) -> str:
        text = super().literal(x, d)
        if text.startswith("of_bits_f32") and self.native_half(d):
            bits = int(d.numpy.type(x).view("u2"))
            return f"{self._helper('of_bits', ('half', 1))}({bits}u)"
        return text

    def float_of_bits(self, bits: int) -> str:
        return f"{self._helper('of_bits', ('float', 1))}({bits}u)"

    def beside(self, text: str, d: DType) -> str:
        return text if d.lanes == 1 else self.splat(d, text)

    def count_of(self, form: str, d: DType) -> str:
        n = re.fullmatch(r"(?:vec\d[iu]\()?(\d+)u?\)?", form)
        t = type_name(("uint", d.lanes))
        if n is not None:
            return f"{n[1]}u" if d.lanes == 1 else f"{t}({n[1]}u)"
        return form if d.kind == "uint" else f"{t}{form}"

    def function(self, name: str, d: DType) -> str:
        return self._helper(name, (self.kind(d), d.lanes))

    def _helper(self, name: str, t: Type) -> str:
        if (name, t) not in self.helpers:
            text, needed = HELPERS[name](t)
            for n, other in needed:
                self._helper(n, other)
            self.helpers[name, t] = text
        return f"{name}_{suffix(t)}"

    # -- operators --------------------------------------------------------------------------------

    def operator(self, op: Op, d: DType) -> str:
        if op is Op.NOT and d.kind == "uint":
            self.no_bits_of_64(d)
        if op in _PREFIX:
            if op is Op.NOT and d.is_bool:
                return "!{0}"
            if op is Op.NEG and d.kind == "uint":
                return f"({self.beside('0u', d)} - {{0}})"
            return _PREFIX[op]
        if op in LOGIC and d.is_bool:
            return f"({{0}} {(LOGIC_SCALAR if d.lanes == 1 else _LOGIC_VECTOR)[op]} {{1}})"
        if op in (Op.MIN, Op.MAX):
            return f"{op.value}({{0}}, {{1}})"
        if op is Op.TRUNCMOD:
            if self.native_half(d):
                wide = FLOAT32.with_lanes(d.lanes)
                t, f = self.type(wide), self.function("fmod", wide)
                return f"{self.type(d)}({f}({t}({{0}}), {t}({{1}})))"
            return f"{self.function('fmod', d)}({{0}}, {{1}})"
        if op is Op.NE and d.is_float:
            return "!({0} == {1})"  # != of NaN is false in some implementations
        return f"({{0}} {INFIX[op]} {{1}})"

    def bits(self, source: DType, target: DType) -> str:
        return f"bitcast<{self.type(target)}>({{0}})"

    def intrinsic(self, name: str, d: DType) -> str:
        if name not in INTRINSICS:
            raise self.error(f"the intrinsic {name!r} has no form in this language")
        if name == "popcount":
            self.no_bits_of_64(d)
            if d.kind == "int" and d.bits < 32:  # the sign fills the word
                return f"countOneBits({{0}} & {self.beside(str(2**d.bits - 1), d)})"
        text = INTRINSICS[name]
        return f"{self.function(text, d) if text in HELPERS else text}({{0}})"

    # -- choice and conversions -------------------------------------------------------------------

    def _binary(self, e: Binary) -> Value:
        """A quotient by a literal zero is a product with infinity: compilers fold the former."""
        by = e.b.value if isinstance(e.b, Broadcast) else e.b
        if e.op is Op.DIV and e.dtype.is_float and isinstance(by, Const) and by.value == 0:
            inf: Expr = Const(math.copysign(math.inf, by.value), e.dtype.element)
            lanes = e.dtype.lanes
            e = Binary(Op.MUL, e.a, inf if lanes == 1 else Broadcast(inf, lanes))
        return super()._binary(e)

    def choice(self, d: DType) -> str:
        return "select({2}, {1}, {0})"

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType) -> Value:
        return self.join("select({2}, {1}, {0})", [cond, a, b], [c, d, d])

    def to_bool(self, s: DType) -> str:
        return self.operator(Op.NE, s).replace("{1}", self.beside(self.literal(0, s.element), s))

    def to_float(self, s: DType, d: DType) -> str:
        if self.native_half(s) and not self.native_half(d):
            wide = FLOAT32.with_lanes(s.lanes)
            return super().to_float(wide, d).replace("{0}", f"{self.type(wide)}({{0}})")
        if self.native_half(d):
            return "{0}" if s == d else f"{self.type(d)}({{0}})"
        return super().to_float(s, d)

    def _saturated(self, v: Value, s: DType, d: DType) -> Value:
        if self.native_half(s):
            wide = FLOAT32.with_lanes(s.lanes)
            return super()._saturated(self.join(f"{self.type(wide)}({{0}})", [v], [s]), wide, d)
        return super()._saturated(v, s, d)

    def reinterpret(self, e: Reinterpret) -> Value:
        if self.native_half(e.value.dtype) or self.native_half(e.dtype):
            raise self.error(f"the bits of {e.value.dtype} cannot be read as {e.dtype} in words")
        return super().reinterpret(e)


__all__ = ["WGSLExpressions"]
