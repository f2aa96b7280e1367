"""Integers in words of 32 bits, for shading languages: GLSL and WGSL have no others.

64-bit integers are kept in 32 bits (where the difference could be seen, it is a
:class:`CodegenError`), shorter ones are wrapped after each operation that may leave their range.
Floats of 16 bits lie in 32 bits and are rounded where they are cast.
"""

from __future__ import annotations

import math

import numpy as np

from ...ir.alu import LOGIC, Op
from ...ir.expr import Binary, Broadcast, Cast, Const, Expr, Reinterpret
from ...runtime.dtype import DType
from .hooks import INFIX, LOGIC_SCALAR
from .scopes import Value
from .statements import CLike

_PREFIX = {Op.NEG: "(-{0})", Op.NOT: "(~{0})", Op.ABS: "abs({0})"}
_MAY_LEAVE = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.SHL, Op.NEG, Op.NOT, Op.ABS, Op.TRUNCDIV,
                        Op.FLOORDIV})  # fmt: skip


class Words(CLike):
    """What shading languages have in common."""

    types: dict[tuple[str, int], str]

    # -- hooks ------------------------------------------------------------------------------------

    def float_of_bits(self, bits: int) -> str:
        """A float that has no literal."""
        raise NotImplementedError

    def bits(self, source: DType, target: DType) -> str:
        """The form that reads the bits of one 32-bit type as another."""
        raise NotImplementedError

    def logic_vector(self, op: Op, d: DType) -> str:
        """The form of NOT, AND, OR or XOR on vectors of bool."""
        raise NotImplementedError

    # -- types and constants ----------------------------------------------------------------------

    def type(self, d: DType) -> str:
        if d.is_float and d.bits == 64:
            raise self.error("64-bit floats do not exist on this target")
        found = self.types.get((self.kind(d), d.lanes))
        if found is None:
            raise self.error(f"there is no type for {d}")
        return found

    def kind(self, d: DType) -> str:
        """What the values of ``d`` are held in."""
        return "float" if d.is_float else d.kind

    def splat(self, d: DType, text: str) -> str:
        return f"{self.type(d)}({text})"

    def build(self, d: DType, lanes) -> str:
        return f"{self.type(d)}({', '.join(lanes)})"

    def literal(self, x: bool | int | float, d: DType) -> str:
        if d.is_bool:
            return "true" if x else "false"
        if d.is_float:
            return self.float_literal(float(x), d)
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

    def float_literal(self, x: float, d: DType) -> str:
        """The text of a constant of type ``d``."""
        with np.errstate(over="ignore"):
            single = np.float32(x)
        if not math.isfinite(single):
            return self.float_of_bits(int(single.view(np.uint32)))
        text = repr(float(str(single)))
        return f"({text})" if math.copysign(1, x) < 0 else text

    # -- arithmetic -------------------------------------------------------------------------------

    def fit(self, op: Op, d: DType, v: Value) -> Value:
        if op in (Op.SHL, Op.SHR) and d.bits == 64:
            raise self.error("shifts of 64-bit integers do not exist on this target")
        if not d.is_int or d.bits >= 32 or op not in _MAY_LEAVE:
            return v
        return v.with_text(self._low_bits(v.text, d))

    def _low_bits(self, text: str, d: DType) -> str:
        if d.kind == "uint":
            return f"({text} & {self.beside(f'{d.max}u', d)})"
        by = self.literal_count(32 - d.bits, d)
        return f"(({text} << {by}) >> {by})"

    def extremum(self, e: Binary) -> Value:
        """NaN wins, whatever the language's own function (and a driver) make of it."""
        a, b = (e.b, e.a) if is_number(e.a) else (e.a, e.b)
        d = e.dtype
        if not is_number(b):
            f = self.function(f"nan_{e.op.value}", d)
            return self.join(f"{f}({{0}}, {{1}})", [self.value(a), self.value(b)], [d, d])
        x = self.hold(self.value(a), self.type(d), "v")
        keep = self.function("keep_nan", d)
        text = f"{keep}({x.text}, {e.op.value}({x.text}, {self.value(b).text}))"
        return x.with_text(text, atom=False)

    # -- conversions ------------------------------------------------------------------------------

    def to_bool(self, s: DType) -> str:
        """The form of ``value != 0``."""
        return f"({{0}} != {self.literal(0, s.element)})"

    def cast(self, e: Cast) -> Value:
        s, d, v = e.value.dtype, e.dtype, self.value(e.value)
        t = self.type(d)
        if d.is_bool:
            return v if s.is_bool else self.join(self.to_bool(s), [v], [s])
        if s.is_float and d.is_int:
            return self._saturated(v, s, d)
        if d.is_float:
            form = self.to_float(s, d)
            return v if form == "{0}" else self.join(form, [v], [s])
        wide = self.join(f"{t}({{0}})", [v], [s])
        fits = s.is_bool or (d.min <= s.min and s.max <= d.max)
        return wide if fits or d.bits >= 32 else wide.with_text(self._low_bits(wide.text, d))

    def to_float(self, s: DType, d: DType) -> str:
        """The form of a conversion to a type of floats."""
        form = "{0}" if s.is_float else f"{self.type(d)}({{0}})"
        if d.bits == 16 and not (s.is_int and s.bits == 8) and s != d:
            form = f"{self.function('to_half' if d.kind == 'float' else 'to_bfloat', d)}({form})"
        return form

    def _saturated(self, v: Value, s: DType, d: DType) -> Value:
        if d.bits >= 32:
            return self.join(f"{self.function(f'to_{d.kind}', s)}({{0}})", [v], [s])
        low, high = (self.literal_beside(x, s) for x in (d.min, d.max))
        # clamp of NaN may be anything, and the conversion makes 0 of it only if it still sees it
        zero = self.join(f"{self.function('nan_to_zero', s)}({{0}})", [v], [s])
        whole = self.join(f"{self.function('to_int', s)}(clamp({{0}}, {low}, {high}))", [zero], [s])
        return whole if d.kind == "int" else whole.with_text(f"{self.type(d)}({whole.text})")

    def reinterpret(self, e: Reinterpret) -> Value:
        s, d = e.value.dtype, e.dtype
        if s.is_int and d.is_int and s.bits < 32:
            wide = self.join(f"{self.type(d)}({{0}})", [self.value(e.value)], [s])
            return wide.with_text(self._low_bits(wide.text, d))
        if s.bits != 32:
            raise self.error(f"the bits of {s} cannot be read as {d} on this target")
        v = self.value(e.value)
        return v if s.kind == d.kind else self.join(self.bits(s, d), [v], [s])

    # -- operators --------------------------------------------------------------------------------

    def operator(self, op: Op, d: DType) -> str:
        if op is Op.NOT:
            if d.is_bool:
                return self.logic_vector(op, d) if d.lanes > 1 else "!{0}"
            if d.kind == "uint":
                self.no_bits_of_64(d)
        if op in _PREFIX:
            return _PREFIX[op]
        if op in LOGIC and d.is_bool:
            return self.logic_vector(op, d) if d.lanes > 1 else f"({{0}} {LOGIC_SCALAR[op]} {{1}})"
        if op in (Op.MIN, Op.MAX):
            return f"{op.value}({{0}}, {{1}})"
        if op is Op.TRUNCMOD:
            return f"{self.function('fmod', d)}({{0}}, {{1}})"
        return f"({{0}} {INFIX[op]} {{1}})"

    def intrinsic(self, name: str, d: DType) -> str:
        form = super().intrinsic(name, d)
        if name == "popcount":
            self.no_bits_of_64(d)
            if d.kind == "int" and d.bits < 32:  # the sign fills the word
                return form.format(f"{{0}} & {self.beside(str(2**d.bits - 1), d)}")
        return form

    def no_bits_of_64(self, d: DType) -> None:
        """Refuse what would see the upper half of a 64-bit integer."""
        if d.bits == 64:
            raise self.error("bits of 64-bit integers do not exist on this target")


def is_number(e: Expr) -> bool:
    """Whether ``e`` is a constant other than NaN."""
    c = e.value if isinstance(e, Broadcast) else e
    return isinstance(c, Const) and c.value == c.value


__all__ = ["Words", "is_number"]
