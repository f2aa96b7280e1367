"""Functions that OpenCL C lacks, or whose meaning it leaves open, as text: data of the generator.

OpenCL C has no overloading of its own, so each function is written for the type that it is needed
for and named after it: ``floordiv_int4``. 16-bit floats are held in ``float``.
"""

from __future__ import annotations

from collections.abc import Callable

from ...runtime.dtype import DType

_INTS = {8: "char", 16: "short", 32: "int", 64: "long"}


def type_name(d: DType) -> str:
    """The type that holds values of ``d`` outside of memory. Lanes of bool are int: 0 or -1."""
    if d.is_bool:
        return "bool" if d.lanes == 1 else f"int{d.lanes}"
    if d.is_float:
        base = "double" if d.bits == 64 else "float"
    else:
        base = ("u" if d.kind == "uint" else "") + _INTS[d.bits]
    return base if d.lanes == 1 else f"{base}{d.lanes}"


def _lanes(name: str, d: DType, operands: int, scalar: str = "") -> str:
    """The function for vectors of a function of scalars, which is ours or called ``scalar``."""
    t, letters = type_name(d), "ab"[:operands]
    one = scalar or f"{name}_{type_name(d.element)}"
    params = ", ".join(f"{t} {x}" for x in letters)
    calls = ", ".join(f"{one}({', '.join(f'{x}.s{k:x}' for x in letters)})" for k in range(d.lanes))
    return f"{t} {name}_{t}({params}) {{\n  return ({t})({calls});\n}}"


def _division(name: str, signed: str, unsigned: str) -> Callable[[DType], tuple[str, list]]:
    def make(d: DType) -> tuple[str, list]:
        if d.lanes > 1:
            return _lanes(name, d, 2), [(name, d.element)]
        t, body = type_name(d), signed if d.kind == "int" else unsigned
        return f"{t} {name}_{t}({t} a, {t} b) {{\n{body.replace('T', t)}\n}}", []

    return make


# The lowest integer divided by -1 traps on some processors, so -1 is a case of its own; its
# negation wraps.
_UNSIGNED_DIV, _UNSIGNED_MOD = "  return b == 0 ? 0 : a / b;", "  return b == 0 ? 0 : a % b;"
_FLOORDIV = """  if (b == 0) return 0;
  if (b == -1) return as_T((uT)(-as_uT(a)));
  T q = a / b;
  return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;"""
_FLOORMOD = """  if (b == 0 || b == -1) return 0;
  T r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;"""
_TRUNCDIV = "  return b == 0 ? 0 : b == -1 ? as_T((uT)(-as_uT(a))) : a / b;"
_TRUNCMOD = "  return b == 0 || b == -1 ? 0 : a % b;"


def _nan_extremum(sign: str) -> Callable[[DType], tuple[str, list]]:
    """The first operand is taken where it is greater (less) or NaN; a NaN in the second one makes
    both tests false."""
    name = "nan_max" if sign == ">" else "nan_min"

    def make(d: DType) -> tuple[str, list]:
        t = type_name(d)
        if d.lanes == 1:
            body = f"a {sign} b || a != a ? a : b"
        else:
            body = f"select(b, a, a {sign} b | a != a)"
        return f"{t} {name}_{t}({t} a, {t} b) {{\n  return {body};\n}}", []

    return make


def _fmod(d: DType) -> tuple[str, list]:
    """Lane by lane: the one for vectors is not exact everywhere."""
    return _lanes("fmod", d, 2, scalar="fmod"), []


def _n(d: DType) -> str:
    return "" if d.lanes == 1 else str(d.lanes)


def _half_bits(d: DType) -> tuple[str, list]:
    """The bits of a float (or double) rounded to float16."""
    t, n = type_name(d), _n(d)
    size = d.lanes if d.lanes != 3 else 4
    array = "" if d.lanes == 1 else f"[{size}]"
    place = "&bits" if d.lanes == 1 else "bits"
    result = "bits" if d.lanes == 1 else f"vload{n}(0, bits)"
    return (
        f"ushort{n} half_bits_{t}({t} a) {{\n  ushort bits{array};\n"
        f"  vstore_half{n}_rte(a, 0, (__private half *){place});\n  return {result};\n}}"
    ), []


def _of_half_bits(d: DType) -> tuple[str, list]:
    t, n = type_name(d), _n(d)
    if d.lanes == 1:
        copy, place = "", "&a"
    else:
        size = d.lanes if d.lanes != 3 else 4
        copy, place = f"  ushort bits[{size}];\n  vstore{n}(a, 0, bits);\n", "bits"
    return (
        f"{t} of_half_bits_{t}(ushort{n} a) {{\n{copy}"
        f"  return vload_half{n}(0, (const __private half *){place});\n}}"
    ), []


def _to_half(d: DType) -> tuple[str, list]:
    """A float or double rounded to float16, as a float."""
    t, f = type_name(d), f"float{_n(d)}"
    body = f"of_half_bits_{f}(half_bits_{t}(a))"
    like = DType("float", 32, d.lanes)
    return (
        f"{f} to_half_{t}({t} a) {{\n  return {body};\n}}",
        [("half_bits", d), ("of_half_bits", like)],
    )


def _bfloat_bits(d: DType) -> tuple[str, list]:
    """The bits of a float rounded to bfloat16; a NaN stays one."""
    n = _n(d)
    f, u, i = f"float{n}", f"uint{n}", f"int{n}"
    rounded = "(b + 0x7fffu + ((b >> 16) & 1u)) >> 16"
    quiet = "(b >> 16) | 0x40u"
    nan = "a != a"
    value = f"{nan} ? {quiet} : {rounded}" if d.lanes == 1 else (
        f"select({rounded}, {quiet}, ({i})({nan}))"
    )  # fmt: skip
    return (
        f"ushort{n} bfloat_bits_{f}({f} a) {{\n  {u} b = as_{u}(a);\n"
        f"  return convert_ushort{n}({value});\n}}"
    ), []


def _to_bfloat(d: DType) -> tuple[str, list]:
    n = _n(d)
    f = f"float{n}"
    return (
        f"{f} to_bfloat_{f}({f} a) {{\n"
        f"  return as_{f}(convert_uint{n}(bfloat_bits_{f}(a)) << 16);\n}}"
    ), [("bfloat_bits", d)]


HELPERS: dict[str, Callable[[DType], tuple[str, list[tuple[str, DType]]]]] = {
    "floordiv": _division("floordiv", _FLOORDIV, _UNSIGNED_DIV),
    "floormod": _division("floormod", _FLOORMOD, _UNSIGNED_MOD),
    "truncdiv": _division("truncdiv", _TRUNCDIV, _UNSIGNED_DIV),
    "truncmod": _division("truncmod", _TRUNCMOD, _UNSIGNED_MOD),
    "nan_max": _nan_extremum(">"),
    "nan_min": _nan_extremum("<"),
    "fmod": _fmod,
    "half_bits": _half_bits,
    "of_half_bits": _of_half_bits,
    "to_half": _to_half,
    "bfloat_bits": _bfloat_bits,
    "to_bfloat": _to_bfloat,
}
"""Name -> for a type: the text, and the functions that it calls."""

# Intrinsics that are functions of OpenCL C; the others are expanded by ir/passes/math/math.py.
INTRINSICS = {
    "sqrt": "sqrt", "rsqrt": "rsqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "round": "rint", "isnan": "isnan", "isinf": "isinf", "any": "any", "popcount": "popcount",
    "clz": "clz",
}  # fmt: skip
EXACT = frozenset({"floor", "ceil", "trunc", "round", "isnan", "isinf", "popcount", "clz"})
