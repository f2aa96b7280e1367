"""Functions that WGSL lacks, or whose meaning it leaves open, as text: data of the generator.

WGSL has no overloading, so each function is written for the type that it is needed for and named
after it: ``floordiv_vec4i``. Tests for NaN and infinity look at the bits, since implementations may
assume that neither exists; a float without a literal comes out of a function, because a constant
expression whose value is one is an error.
"""

from __future__ import annotations

from collections.abc import Callable

Type = tuple[str, int]  # kind of element, lanes
Helper = tuple[str, list[tuple[str, Type]]]  # the text, and what it calls

_ELEMENTS = {"float": "f32", "half": "f16", "int": "i32", "uint": "u32", "bool": "bool"}
_LETTERS = {"float": "f", "half": "h", "int": "i", "uint": "u"}


def type_name(t: Type) -> str:
    """WGSL's name of a type: ``f32``, ``vec4f``, ``vec4<bool>``."""
    kind, lanes = t
    if lanes == 1:
        return _ELEMENTS[kind]
    return f"vec{lanes}<bool>" if kind == "bool" else f"vec{lanes}{_LETTERS[kind]}"


def suffix(t: Type) -> str:
    """What a helper's name ends with: WGSL has no overloading."""
    return type_name(t).replace("<", "_").rstrip(">")


def _lanes(name: str, t: Type, result: str, operands: int) -> Helper:
    """The function for vectors of a function of scalars."""
    kind, n = t
    v, letters = type_name(t), "ab"[:operands]
    params = ", ".join(f"{x}: {v}" for x in letters)
    one = f"{name}_{suffix((kind, 1))}"
    calls = ", ".join(f"{one}({', '.join(f'{x}.{c}' for x in letters)})" for c in "xyzw"[:n])
    r = type_name((result, n))
    text = f"fn {name}_{suffix(t)}({params}) -> {r} {{\n  return {r}({calls});\n}}"
    return text, [(name, (kind, 1))]


def _scalar(
    name: str, result: str | None, operands: int, body: str, *calls: tuple[str, Type]
) -> Callable[[Type], Helper]:
    """A function with the body ``body`` for scalars; ``result`` None: of the operands' type."""

    def make(t: Type) -> Helper:
        kind, lanes = t
        r = result or kind
        if lanes > 1:
            return _lanes(name, t, r, operands)
        s = type_name(t)
        params = ", ".join(f"{x}: {s}" for x in "ab"[:operands])
        head = f"fn {name}_{suffix(t)}({params}) -> {type_name((r, 1))} {{"
        return f"{head}\n{body}\n}}", list(calls)

    return make


def _division(name: str, signed: str, unsigned: str) -> Callable[[Type], Helper]:
    def make(t: Type) -> Helper:
        return _scalar(name, None, 2, unsigned if t[0] == "uint" else signed)(t)

    return make


def _each(form: str, t: Type) -> str:
    """A literal beside a value of type ``t``."""
    return form if t[1] == 1 else f"vec{t[1]}u({form})"


def _bits_test(name: str, sign: str) -> Callable[[Type], Helper]:
    def make(t: Type) -> Helper:
        kind, n = t
        v, r, u = type_name(t), type_name(("bool", n)), type_name(("uint", n))
        head = f"fn {name}_{suffix(t)}(a: {v}) -> {r} {{"
        if kind == "half":
            wide = ("float", n)
            return (
                f"{head}\n  return {name}_{suffix(wide)}({type_name(wide)}(a));\n}}",
                [(name, wide)],
            )
        test = f"(bitcast<{u}>(a) & {_each('0x7fffffffu', t)}) {sign} {_each('0x7f800000u', t)}"
        return f"{head}\n  return {test};\n}}", []

    return make


def _extremum(name: str) -> Callable[[Type], Helper]:
    def make(t: Type) -> Helper:
        v, nan = type_name(t), f"is_nan_{suffix(t)}"
        return (
            f"fn nan_{name}_{suffix(t)}(a: {v}, b: {v}) -> {v} {{\n"
            f"  return select(select({name}(a, b), b, {nan}(b)), a, {nan}(a));\n}}",
            [("is_nan", t)],
        )

    return make


def _keep_nan(t: Type) -> Helper:
    v = type_name(t)
    return (
        f"fn keep_nan_{suffix(t)}(a: {v}, b: {v}) -> {v} {{\n"
        f"  return select(b, a, is_nan_{suffix(t)}(a));\n}}"
    ), [("is_nan", t)]


def _nan_to_zero(t: Type) -> Helper:
    v = type_name(t)
    return (
        f"fn nan_to_zero_{suffix(t)}(a: {v}) -> {v} {{\n"
        f"  return select(a, {v}(), is_nan_{suffix(t)}(a));\n}}"
    ), [("is_nan", t)]


def _of_bits(t: Type) -> Helper:
    if t[0] == "half":
        return "fn of_bits_f16(a: u32) -> f16 {\n  return bitcast<vec2h>(a).x;\n}", []
    return "fn of_bits_f32(a: u32) -> f32 {\n  return bitcast<f32>(a);\n}", []


def _to_float16(t: Type) -> Helper:
    """Rounded to nearest even by the bits; the subnormal range by an addition that shifts out."""
    if t[1] > 1:
        return _lanes("to_half", t, "float", 1)
    return (
        "fn to_half_f32(a: f32) -> f32 {\n"
        "  let b = bitcast<u32>(a);\n"
        "  let sign = b & 0x80000000u;\n"
        "  let m = b & 0x7fffffffu;\n"
        "  if (m > 0x7f800000u) { return a; }\n"
        "  if (m >= 0x477ff000u) { return bitcast<f32>(sign | 0x7f800000u); }\n"
        "  if (m < 0x38800000u) {\n"
        "    let steps = u32(round(abs(a) * 16777216.0));\n"
        "    let small = f32(steps) * 5.9604644775390625e-08;\n"
        "    return bitcast<f32>(sign | bitcast<u32>(small));\n"
        "  }\n"
        "  return bitcast<f32>((b + 0xfffu + ((b >> 13u) & 1u)) & 0xffffe000u);\n}"
    ), []


_UNSIGNED_DIV = "  if (b == 0u) { return 0u; }\n  return a / b;"
_UNSIGNED_MOD = "  if (b == 0u) { return 0u; }\n  return a % b;"
# Each turn takes away the divisor times a power of two, which is exact: the difference of two
# numbers of which neither is twice the other.
_FMOD = """  let m = bitcast<u32>(abs(b));
  var r = abs(a);
  let n = bitcast<u32>(r);
  if (n >= 0x7f800000u || m > 0x7f800000u || m == 0u) { return of_bits_f32(0x7fc00000u); }
  if (m == 0x7f800000u) { return a; }
  let s = bitcast<u32>(a) & 0x80000000u;
  if (m < 0x00800000u) { return of_bits_f32(s); }
  while (r >= abs(b)) {
    var t = bitcast<f32>((m & 0x007fffffu) | (bitcast<u32>(r) & 0x7f800000u));
    if (t > r) { t *= 0.5; }
    r -= t;
  }
  return bitcast<f32>(bitcast<u32>(r) | s);"""
_TO_INT = """  if (is_nan_f32(a)) { return 0; }
  if (a <= -2147483648.0) { return -2147483647 - 1; }
  if (a >= 2147483648.0) { return 2147483647; }
  return i32(a);"""
_TO_UINT = """  if (is_nan_f32(a) || a <= 0.0) { return 0u; }
  if (a >= 4294967296.0) { return 4294967295u; }
  return u32(a);"""
_TO_BFLOAT = """  if (is_nan_f32(a)) { return a; }
  let b = bitcast<u32>(a);
  return bitcast<f32>((b + 0x7fffu + ((b >> 16u) & 1u)) & 0xffff0000u);"""
_NAN: tuple[str, Type] = ("is_nan", ("float", 1))

HELPERS: dict[str, Callable[[Type], Helper]] = {
    "is_nan": _bits_test("is_nan", ">"),
    "is_inf": _bits_test("is_inf", "=="),
    "keep_nan": _keep_nan,
    "nan_max": _extremum("max"),
    "nan_min": _extremum("min"),
    "nan_to_zero": _nan_to_zero,
    "floordiv": _division(
        "floordiv",
        "  if (b == 0) { return 0; }\n  if (b == -1) { return -a; }\n  let q = a / b;\n"
        "  return select(q, q - 1, q * b != a && (a < 0) != (b < 0));",
        _UNSIGNED_DIV,
    ),
    "floormod": _division(
        "floormod",
        "  if (b == 0 || b == -1) { return 0; }\n  let r = a % b;\n"
        "  return select(r, r + b, r != 0 && (r < 0) != (b < 0));",
        _UNSIGNED_MOD,
    ),
    "truncdiv": _division(
        "truncdiv",
        "  if (b == 0) { return 0; }\n  if (b == -1) { return -a; }\n  return a / b;",
        _UNSIGNED_DIV,
    ),
    "truncmod": _division(
        "truncmod", "  if (b == 0 || b == -1) { return 0; }\n  return a % b;", _UNSIGNED_MOD,
    ),
    "fmod": _scalar("fmod", None, 2, _FMOD, ("of_bits", ("float", 1))),
    "to_int": _scalar("to_int", "int", 1, _TO_INT, _NAN),
    "to_uint": _scalar("to_uint", "uint", 1, _TO_UINT, _NAN),
    "to_half": _to_float16,
    "to_bfloat": _scalar("to_bfloat", None, 1, _TO_BFLOAT, _NAN),
    "of_bits": _of_bits,
}  # fmt: skip

# Intrinsics that are functions of WGSL or of ours; the others are expanded by
# ir/passes/math.
INTRINSICS = {
    "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "round",
    "exp": "exp", "exp2": "exp2", "isnan": "is_nan", "isinf": "is_inf", "any": "any",
    "popcount": "countOneBits",
}  # fmt: skip
