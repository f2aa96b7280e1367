"""Operators, conversions and constants in WGSL."""

from __future__ import annotations

import math

from ...ir.alu import Op
from ...ir.expr import Binary, Broadcast, Const, Expr, Ramp, Reinterpret, as_int
from ...runtime.dtype import FLOAT32, DType
from ..clike.scopes import Value
from ..clike.words import Words
from ..clike.workgroup import Workgroup
from .helpers import HELPERS, INTRINSICS, Type, suffix, type_name

_TYPES = {
    (kind, lanes): type_name((kind, lanes))
    for kind in ("float", "half", "int", "uint", "bool")
    for lanes in (1, 2, 3, 4)
}
_RESERVED = frozenset(
    {"f16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "vec2", "vec3",
     "vec4", "exp2", "log2", "atan2"}
)  # fmt: skip
_LOGIC_VECTOR = {Op.AND: "&", Op.OR: "|", Op.XOR: "!="}


class WGSLExpressions(Workgroup, Words):
    """The expressions of one kernel."""

    types = _TYPES
    widths = (2, 3, 4)
    reserved = _RESERVED
    library = HELPERS
    intrinsics = INTRINSICS

    # -- the syntax of declarations ---------------------------------------------------------------

    def constant(self, t: str, name: str, text: str) -> str:
        return f"let {name}: {t} = {text};"

    def variable(self, t: str, name: str, text: str = "") -> str:
        return f"var {name}: {t} = {text};" if text else f"var {name}: {t};"

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
        """Whether values of ``d`` are held in f16, which needs the device's extension."""
        return self.kind(d) == "half"

    def literal(self, x: bool | int | float, d: DType) -> str:
        """A negative integer says its type: without it, it is a number that u32 does not have, and
        conversions to that are errors instead of the same bits."""
        text = super().literal(x, d)
        return f"i32{text}" if d.kind == "int" and text.startswith("(") else text

    def float_literal(self, x: float, d: DType) -> str:
        if self.native_half(d) and not math.isfinite(x):
            bits = int(d.numpy.type(x).view("u2"))
            return f"{self._called('of_bits', ('half', 1))}({bits}u)"
        return super().float_literal(x, d)

    def float_of_bits(self, bits: int) -> str:
        return f"{self._called('of_bits', ('float', 1))}({bits}u)"

    def beside(self, text: str, d: DType) -> str:
        return text if d.lanes == 1 else self.splat(d, text)

    def count_of(self, form: str, d: DType) -> str:
        return form if d.kind == "uint" else f"{type_name(('uint', d.lanes))}{form}"

    def literal_count(self, n: int, d: DType) -> str:
        return f"{n}u" if d.lanes == 1 else f"{type_name(('uint', d.lanes))}({n}u)"

    def function(self, name: str, d: DType) -> str:
        return self._called(name, (self.kind(d), d.lanes))

    def _called(self, name: str, t: Type) -> str:
        self.helper(name, t)
        return f"{name}_{suffix(t)}"

    # -- operators --------------------------------------------------------------------------------

    def operator(self, op: Op, d: DType) -> str:
        if op is Op.NEG and d.kind == "uint":
            return f"({self.literal_beside(0, d)} - {{0}})"
        if op is Op.TRUNCMOD and self.native_half(d):
            wide = FLOAT32.with_lanes(d.lanes)
            t, f = self.type(wide), self.function("fmod", wide)
            return f"{self.type(d)}({f}({t}({{0}}), {t}({{1}})))"
        if op is Op.NE and d.is_float:
            return "!({0} == {1})"  # != of NaN is false in some implementations
        return super().operator(op, d)

    def logic_vector(self, op: Op, d: DType) -> str:
        return "!{0}" if op is Op.NOT else f"({{0}} {_LOGIC_VECTOR[op]} {{1}})"

    def bits(self, source: DType, target: DType) -> str:
        return f"bitcast<{self.type(target)}>({{0}})"

    # -- choice and conversions -------------------------------------------------------------------

    def _binary(self, e: Binary) -> Value:
        """A quotient by a literal zero is a product with infinity: compilers fold the former."""
        by = e.b.value if isinstance(e.b, Broadcast) else e.b
        if e.op is Op.DIV and e.dtype.is_float and isinstance(by, Const) and by.value == 0:
            inf: Expr = Const(math.copysign(math.inf, by.value), e.dtype.element)
            lanes = e.dtype.lanes
            e = Binary(Op.MUL, e.a, inf if lanes == 1 else Broadcast(inf, lanes))
        return super()._binary(e)

    def _ramp(self, e: Ramp) -> Value:
        """Numbers that are all known, in a variable: what is computed of constants alone must not
        overflow in WGSL, where values of variables wrap."""
        base, stride = as_int(e.base), as_int(e.stride)
        if base is None or stride is None or not e.dtype.is_int:
            return super()._ramp(e)
        d = e.dtype.element
        half, size = (0 if d.kind == "uint" else 2 ** (d.bits - 1)), 2**d.bits
        lanes = [(base + stride * k + half) % size - half for k in range(e.lanes)]
        text = self.build(e.dtype, [self.literal(n, d) for n in lanes])
        return self.name_type(Value(text, 0), e.dtype)

    def choice(self, d: DType) -> str:
        return "select({2}, {1}, {0})"

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType) -> Value:
        return self.join("select({2}, {1}, {0})", [cond, a, b], [c, d, d])

    def to_bool(self, s: DType) -> str:
        return self.operator(Op.NE, s).format("{0}", self.literal_beside(0, s))

    def to_float(self, s: DType, d: DType) -> str:
        if self.native_half(s) and not self.native_half(d):
            wide = FLOAT32.with_lanes(s.lanes)
            return super().to_float(wide, d).format(f"{self.type(wide)}({{0}})")
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
