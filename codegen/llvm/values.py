"""LLVM IR for values: types, constants, arithmetic, conversions.

The text is written directly (opaque pointers); LLVM's own parser and verifier check it. A value is
its operand text; its type follows from the expression's dtype:

======================  ===================  ==================
dtype                   in a register        in memory
======================  ===================  ==================
float32, float64        float, double        the same
float16, bfloat16       float                half or i16
int8 … uint64           i8 … i64             the same
bool                    i1                   i8, 0 or 1
======================  ===================  ==================

float16 is computed in float32 and rounded after each operation, which for ``+ - * /`` and ``sqrt``
equals one rounding (24 ≥ 2·11 + 2 bits). bfloat16 is a storage type: its values are float32 until
they are stored or cast. Only ``contract`` is allowed of the fast-math
flags: NaN, infinities and signed zeros survive.
"""

from __future__ import annotations

import struct

from ...ir.alu import COMPARE, Op
from ...runtime.dtype import DType

FAST = "contract"
_COMPARE_INT = {Op.EQ: "eq", Op.NE: "ne", Op.LT: "slt", Op.LE: "sle"}
_COMPARE_FLOAT = {Op.EQ: "oeq", Op.NE: "une", Op.LT: "olt", Op.LE: "ole"}
_FLOAT_OP = {Op.ADD: "fadd", Op.SUB: "fsub", Op.MUL: "fmul", Op.DIV: "fdiv", Op.TRUNCMOD: "frem"}
_INT_OP = {
    Op.ADD: "add", Op.SUB: "sub", Op.MUL: "mul", Op.AND: "and", Op.OR: "or", Op.XOR: "xor",
}  # fmt: skip


def vector(element: str, lanes: int) -> str:
    """The type of ``lanes`` elements; a scalar's where there is one."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def small(d: DType) -> bool:
    """Whether ``d`` is a float of 16 bits."""
    return d.is_float and d.bits == 16


def register_element(d: DType) -> str:
    """The type of one element of ``d`` in a register: 16-bit floats are computed in 32."""
    if d.is_float:
        return "double" if d.bits == 64 else "float"
    return f"i{d.bits}"


def register(d: DType) -> str:
    """The LLVM type of a value of type ``d`` in a register."""
    return vector(register_element(d), d.lanes)


def mangle(text: str) -> str:
    """The suffix that an overloaded intrinsic has for a type: ``<4 x float>`` is ``v4f32``."""
    if text.startswith("<"):
        lanes, _, element = text[1:-1].partition(" x ")
        return f"v{lanes}{mangle(element)}"
    return {"float": "f32", "double": "f64", "half": "f16", "ptr": "p0"}.get(text, text)


def literal(value: float, d: DType) -> str:
    """A constant of type ``d``, splat over the lanes."""
    if d.is_bool:
        text = "true" if value else "false"
    elif d.is_float:
        bits = struct.unpack("<Q", struct.pack("<d", float(value)))[0]
        text = f"0x{bits:016X}"
    else:
        text = str(int(value))
    return text if d.lanes == 1 else f"splat ({register_element(d)} {text})"


def _comparison(op: Op, d: DType) -> str:
    """The instruction that compares values of type ``d``, and its condition."""
    if d.is_float:
        return f"fcmp {_COMPARE_FLOAT[op]}"
    signed = _COMPARE_INT[op]
    return f"icmp {signed if d.kind == 'int' else signed.replace('s', 'u')}"


class Values:
    """Writes instructions into the current block.

    ``declare`` collects the declarations that the module needs.
    """

    def __init__(self, declare: set[str], *, has_fma: bool, has_half: bool):
        self.lines: list[str] = []
        self.declare = declare
        self.has_fma, self.has_half = has_fma, has_half
        self._names = 0

    # -- instructions ---------------------------------------------------------------------------

    def put(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append("  " + text)

    def op(self, text: str) -> str:
        """Append an instruction; returns the name of its result."""
        self._names += 1
        name = f"%v{self._names}"
        self.lines.append(f"  {name} = {text}")
        return name

    def intrinsic(self, name: str, result: str, args: list[tuple[str, str]]) -> str:
        """The call of an LLVM intrinsic with (type, operand) pairs; ``void`` returns ``""``."""
        self.declare.add(f"declare {result} @{name}({', '.join(t for t, _ in args)})")
        text = f"call {result} @{name}({', '.join(f'{t} {v}' for t, v in args)})"
        if result == "void":
            self.put(text)
            return ""
        return self.op(text)

    def select(self, cond_type: str, cond: str, t: str, a: str, b: str) -> str:
        """``a`` where ``cond`` holds, else ``b``, both of type ``t``."""
        return self.op(f"select {cond_type} {cond}, {t} {a}, {t} {b}")

    def splat(self, element: str, value: str, lanes: int) -> str:
        """A vector whose lanes all are ``value``."""
        t = vector(element, lanes)
        one = self.op(f"insertelement {t} poison, {element} {value}, i64 0")
        return self.op(f"shufflevector {t} {one}, {t} poison, <{lanes} x i32> zeroinitializer")

    # -- sixteen-bit floats ---------------------------------------------------------------------

    def rounded(self, value: str, d: DType) -> str:
        """The result of an operation on values of type ``d``: float16 is rounded after each one,
        bfloat16 only when it is stored or cast (it is a storage type)."""
        return self.round_small(value, d) if small(d) and d.kind == "float" else value

    def round_small(self, value: str, d: DType) -> str:
        """A float32 rounded to the values of the 16-bit float ``d``, still in a float register."""
        return self.widen(self.narrow(value, d), d)

    def narrow(self, value: str, d: DType) -> str:
        """float32 to the memory form of a 16-bit float, to nearest even."""
        f, n = register(d), d.lanes
        i32, i16, i1 = vector("i32", n), vector("i16", n), vector("i1", n)

        def c(x: int) -> str:
            return str(x) if n == 1 else f"splat (i32 {x})"

        if d.kind == "float" and self.has_half:
            return self.op(f"fptrunc {f} {value} to {vector('half', n)}")
        u = self.op(f"bitcast {f} {value} to {i32}")
        if d.kind == "bfloat":
            odd = self.op(f"and {i32} {self.op(f'lshr {i32} {u}, {c(16)}')}, {c(1)}")
            up = self.op(f"add {i32} {u}, {self.op(f'add {i32} {odd}, {c(0x7FFF)}')}")
            quiet = self.op(f"or {i32} {u}, {c(0x400000)}")
            nan = self.op(f"fcmp uno {f} {value}, zeroinitializer" if n > 1
                          else f"fcmp uno {f} {value}, 0.0")  # fmt: skip
            bits = self.select(i1, nan, i32, quiet, up)
            return self.op(f"trunc {i32} {self.op(f'lshr {i32} {bits}, {c(16)}')} to {i16}")
        # float16 without hardware: round by integer addition (normal), by the float adder with a
        # magic constant whose last place is the smallest float16 (subnormal), or saturate.
        sign = self.op(f"and {i32} {u}, {c(-(2**31))}")
        a = self.op(f"xor {i32} {u}, {sign}")
        magic = 126 << 23  # 0.5
        af = self.op(f"bitcast {i32} {a} to {f}")
        half = literal(0.5, d)
        denormal = self.op(f"bitcast {f} {self.op(f'fadd {f} {af}, {half}')} to {i32}")
        denormal = self.op(f"sub {i32} {denormal}, {c(magic)}")
        odd = self.op(f"and {i32} {self.op(f'lshr {i32} {a}, {c(13)}')}, {c(1)}")
        normal = self.op(f"add {i32} {a}, {c(((15 - 127) << 23) + 0xFFF)}")
        normal = self.op(f"lshr {i32} {self.op(f'add {i32} {normal}, {odd}')}, {c(13)}")
        nan = self.op(f"icmp ugt {i32} {a}, {c(0x7F800000)}")
        special = self.select(i1, nan, i32, c(0x7E00), c(0x7C00))
        tiny = self.op(f"icmp ult {i32} {a}, {c(113 << 23)}")
        huge = self.op(f"icmp uge {i32} {a}, {c(0x47800000)}")
        bits = self.select(i1, tiny, i32, denormal, normal)
        bits = self.select(i1, huge, i32, special, bits)
        bits = self.op(f"or {i32} {bits}, {self.op(f'lshr {i32} {sign}, {c(16)}')}")
        return self.op(f"trunc {i32} {bits} to {i16}")

    def widen(self, value: str, d: DType) -> str:
        """The memory form of a 16-bit float to float32 (exact)."""
        f, n = register(d), d.lanes
        i32, i16, i1 = vector("i32", n), vector("i16", n), vector("i1", n)

        def c(x: int) -> str:
            return str(x) if n == 1 else f"splat (i32 {x})"

        if d.kind == "float" and self.has_half:
            return self.op(f"fpext {vector('half', n)} {value} to {f}")
        u = self.op(f"zext {i16} {value} to {i32}")
        if d.kind == "bfloat":
            return self.op(f"bitcast {i32} {self.op(f'shl {i32} {u}, {c(16)}')} to {f}")
        a = self.op(f"and {i32} {u}, {c(0x7FFF)}")
        shifted = self.op(f"bitcast {i32} {self.op(f'shl {i32} {a}, {c(13)}')} to {f}")
        # Multiplying by 2^112 moves the exponent from bias 15 to 127, subnormals included.
        scaled = self.op(f"fmul {f} {shifted}, {literal(2.0**112, d)}")
        bits = self.op(f"bitcast {f} {scaled} to {i32}")
        special = self.op(f"icmp uge {i32} {a}, {c(0x7C00)}")
        bits = self.select(i1, special, i32, self.op(f"or {i32} {bits}, {c(0x7F800000)}"), bits)
        sign = self.op(f"shl {i32} {self.op(f'and {i32} {u}, {c(0x8000)}')}, {c(16)}")
        return self.op(f"bitcast {i32} {self.op(f'or {i32} {bits}, {sign}')} to {f}")

    def memory_element(self, d: DType) -> str:
        """The type of one element of ``d`` in memory."""
        if small(d):
            return "half" if d.kind == "float" and self.has_half else "i16"
        return "i8" if d.is_bool else register_element(d)

    def to_memory(self, value: str, d: DType) -> str:
        """A value in the form that memory has."""
        if small(d):
            return self.narrow(value, d)
        if d.is_bool:
            return self.op(f"zext {register(d)} {value} to {vector('i8', d.lanes)}")
        return value

    def from_memory(self, value: str, d: DType) -> str:
        """A loaded value in the form that registers have."""
        if small(d):
            return self.widen(value, d)
        if d.is_bool:
            return self.op(f"icmp ne {vector('i8', d.lanes)} {value}, zeroinitializer"
                           if d.lanes > 1 else f"icmp ne i8 {value}, 0")  # fmt: skip
        return value

    # -- operators ------------------------------------------------------------------------------

    def unary(self, op: Op, d: DType, a: str) -> str:
        """``op`` of a value of type ``d``."""
        t = register(d)
        if op is Op.NEG:
            return self.op(f"fneg {t} {a}" if d.is_float else f"sub {t} {literal(0, d)}, {a}")
        if op is Op.NOT:
            return self.op(f"xor {t} {a}, {literal(1 if d.is_bool else -1, d)}")
        if d.kind == "uint":
            return a
        if d.is_float:
            return self.intrinsic(f"llvm.fabs.{mangle(t)}", t, [(t, a)])
        return self.intrinsic(f"llvm.abs.{mangle(t)}", t, [(t, a), ("i1", "false")])

    def binary(self, op: Op, d: DType, a: str, b: str, *, nsw: bool = False) -> str:
        """``a op b`` for operands of type ``d``; division is in :meth:`divide`."""
        t = register(d)
        if op in COMPARE:
            return self.op(f"{_comparison(op, d)} {t} {a}, {b}")
        if op in (Op.MIN, Op.MAX):
            if d.is_float:
                return self.extremum(op, d, a, b)
            name = ("s" if d.kind == "int" else "u") + op.value
            return self.intrinsic(f"llvm.{name}.{mangle(t)}", t, [(t, a), (t, b)])
        if op in (Op.SHL, Op.SHR):
            count = self.op(f"and {t} {b}, {literal(d.bits - 1, d)}")
            name = "shl" if op is Op.SHL else "ashr" if d.kind == "int" else "lshr"
            return self.op(f"{name} {t} {a}, {count}")
        if d.is_float:
            value = self.op(f"{_FLOAT_OP[op]} {FAST} {t} {a}, {b}")
            return self.rounded(value, d)
        return self.op(f"{_INT_OP[op]} {'nsw ' if nsw else ''}{t} {a}, {b}")

    def extremum(self, op: Op, d: DType, a: str, b: str, *, a_is_number: bool = False) -> str:
        """min or max; NaN when an operand is NaN.

        ``a > b ? a : b`` is one instruction on x86 and is ``b`` when either is NaN, so only a
        NaN in ``a`` needs a second look; a constant operand goes to ``a`` and needs none.
        """
        t, i1 = register(d), vector("i1", d.lanes)
        better = self.op(f"fcmp {'ogt' if op is Op.MAX else 'olt'} {t} {a}, {b}")
        value = self.select(i1, better, t, a, b)
        if a_is_number:
            return value
        nan = self.op(f"fcmp uno {t} {a}, {a}")
        return self.select(i1, nan, t, a, value)

    def divide(self, op: Op, d: DType, a: str, b: str, divisor: int | None, positive: bool) -> str:
        """Integer division or remainder. ``divisor`` is ``b`` where it is a constant; ``positive``
        says that ``a`` is known to be ≥ 0."""
        t, i1 = register(d), vector("i1", d.lanes)
        zero, one = literal(0, d), literal(1, d)
        quotient = op in (Op.FLOORDIV, Op.TRUNCDIV)
        if divisor == 0 or (not quotient and divisor in (1, -1)):
            return zero
        signed = d.kind == "int"
        if divisor == -1 and signed:
            return self.op(f"sub {t} {zero}, {a}")
        plain = positive and divisor is not None and divisor > 0
        floor = signed and op in (Op.FLOORDIV, Op.FLOORMOD) and not plain
        if floor and divisor is not None and divisor > 0 and divisor & (divisor - 1) == 0:
            if quotient:
                return self.op(f"ashr {t} {a}, {literal(divisor.bit_length() - 1, d)}")
            return self.op(f"and {t} {a}, {literal(divisor - 1, d)}")
        kind = "s" if signed and not plain else "u"
        is_zero = minus = ""
        if divisor is None:
            is_zero = self.op(f"icmp eq {t} {b}, {zero}")
            harmful = is_zero
            if signed:  # the lowest int over -1 traps on x86
                minus = self.op(f"icmp eq {t} {b}, {literal(-1, d)}")
                harmful = self.op(f"or {i1} {is_zero}, {minus}")
            safe = self.select(i1, harmful, t, one, b)
        else:
            safe = b
        if quotient:
            value = self.op(f"{kind}div {t} {a}, {safe}")
            rest = self.op(f"sub {t} {a}, {self.op(f'mul {t} {value}, {safe}')}") if floor else ""
        else:
            value = rest = self.op(f"{kind}rem {t} {a}, {safe}")
        if floor:
            inexact = self.op(f"icmp ne {t} {rest}, {zero}")
            signs = self.op(f"icmp slt {t} {self.op(f'xor {t} {rest}, {safe}')}, {zero}")
            wrong = self.op(f"and {i1} {inexact}, {signs}")
            fix = literal(-1, d) if quotient else safe
            value = self.op(f"add {t} {value}, {self.select(i1, wrong, t, fix, zero)}")
        if quotient and divisor is None:
            if minus:
                value = self.select(i1, minus, t, self.op(f"sub {t} {zero}, {a}"), value)
            value = self.select(i1, is_zero, t, zero, value)
        return value

    # -- conversions ----------------------------------------------------------------------------

    def cast(self, value: str, source: DType, d: DType) -> str:
        """``value`` converted as :class:`~weft.ir.expr.Cast` says."""
        if source == d:
            return value
        s, t = register(source), register(d)
        if d.is_bool:
            compare = "fcmp une" if source.is_float else "icmp ne"
            return self.op(f"{compare} {s} {value}, {literal(0, source)}")
        if source.is_float and d.is_float:
            return self._cast_float(value, source, d)
        if source.is_float:
            return self._float_to_int(value, source, d)
        if d.is_float:
            name = "sitofp" if source.kind == "int" else "uitofp"
            result = self.op(f"{name} {s} {value} to {t}")
            return self.round_small(result, d) if small(d) else result
        if source.bits != d.bits:
            longer = "sext" if source.kind == "int" else "zext"
            value = self.op(f"{'trunc' if source.bits > d.bits else longer} {s} {value} to {t}")
        return value

    def _cast_float(self, value: str, source: DType, d: DType) -> str:
        s, t = register(source), register(d)
        if source.bits == 64 and small(d):
            return self.round_small(self.odd_float(value, source), d)
        if (source.bits == 64) != (d.bits == 64):
            return self.op(f"{'fptrunc' if source.bits == 64 else 'fpext'} {s} {value} to {t}")
        return self.round_small(value, d) if small(d) else value

    def _float_to_int(self, value: str, source: DType, d: DType) -> str:
        """A float to an integer, saturated, NaN to 0.

        LLVM has an intrinsic for it, but must not see it of two widths of floats: where both sides
        of a shuffle are calls of one intrinsic, its pass VectorCombine shuffles their operands
        without a look at their types, and an assertion ends the process (LLVM 20 to 22).
        """
        s, t, i1 = register(source), register(d), vector("i1", d.lanes)
        if source.bits < 64:
            name = "fptosi" if d.kind == "int" else "fptoui"
            return self.intrinsic(f"llvm.{name}.sat.{mangle(t)}.{mangle(s)}", t, [(s, value)])
        low, beyond = literal(d.min, source), literal(float(d.max + 1), source)
        below = self.op(f"fcmp olt {s} {value}, {low}")
        above = self.op(f"fcmp oge {s} {value}, {beyond}")
        outside = self.op(f"or {i1} {below}, {above}")
        nan = self.op(f"fcmp uno {s} {value}, {value}")
        odd = self.op(f"or {i1} {outside}, {nan}")
        inside = self.select(i1, odd, s, literal(0, source), value)
        result = self.op(f"{'fptosi' if d.kind == 'int' else 'fptoui'} {s} {inside} to {t}")
        result = self.select(i1, above, t, literal(d.max, d), result)
        return self.select(i1, below, t, literal(d.min, d), result)

    def odd_float(self, value: str, d: DType) -> str:
        """float64 to float32 rounded to odd (Boldo and Melquiond 2008): inexact results get the
        last bit set, so that a further rounding to 16 bits equals one rounding."""
        n = d.lanes
        f64, f32 = vector("double", n), vector("float", n)
        i32, i1 = vector("i32", n), vector("i1", n)
        one = "1" if n == 1 else "splat (i32 1)"
        near = self.op(f"fptrunc {f64} {value} to {f32}")
        back = self.op(f"fpext {f32} {near} to {f64}")
        inexact = self.op(f"fcmp one {f64} {back}, {value}")
        size = [self.intrinsic(f"llvm.fabs.{mangle(f64)}", f64, [(f64, x)]) for x in (back, value)]
        above = self.op(f"fcmp ogt {f64} {size[0]}, {size[1]}")
        bits = self.op(f"bitcast {f32} {near} to {i32}")
        down = self.op(f"sub {i32} {bits}, {self.op(f'zext {i1} {above} to {i32}')}")
        odd = self.op(f"or {i32} {down}, {one}")
        return self.op(f"bitcast {i32} {self.select(i1, inexact, i32, odd, bits)} to {f32}")

    def reinterpret(self, value: str, source: DType, d: DType) -> str:
        """The bits of ``value`` as another type of the same width."""
        bits = vector(f"i{source.bits}", d.lanes)
        s = vector(self.memory_element(source), d.lanes)
        t = vector(self.memory_element(d), d.lanes)
        raw = self.to_memory(value, source)
        if s != bits:
            raw = self.op(f"bitcast {s} {raw} to {bits}")
        if t != bits:
            raw = self.op(f"bitcast {bits} {raw} to {t}")
        return self.from_memory(raw, d)
