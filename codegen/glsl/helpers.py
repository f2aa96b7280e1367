"""Functions that GLSL lacks, or whose meaning it leaves open, as text: data of the generator.

A helper takes scalars or vectors of four by overloading. Tests for NaN and infinity look at the
bits: drivers compile as if neither existed.
"""

from __future__ import annotations

_VECTOR = {"float": "vec4", "int": "ivec4", "uint": "uvec4", "bool": "bvec4"}


def _each(name: str, result: str, *types: str) -> str:
    """The overload for vectors of a function of scalars."""
    letters = "abc"[: len(types)]
    params = ", ".join(f"{_VECTOR[t]} {x}" for t, x in zip(types, letters))
    lanes = ", ".join(f"{name}({', '.join(f'{x}.{k}' for x in letters)})" for k in "xyzw")
    return f"{_VECTOR[result]} {name}({params}) {{\n  return {_VECTOR[result]}({lanes});\n}}"


def _both(name: str, result: str, types: tuple[str, ...], body: str) -> str:
    params = ", ".join(f"{t} {x}" for t, x in zip(types, "abc"))
    return f"{result} {name}({params}) {{\n{body}\n}}\n{_each(name, result, *types)}"


def _division(name: str, body: str) -> str:
    return _both(name, "int", ("int", "int"), body)


def _choose(kind: str) -> str:
    v = _VECTOR[kind]
    lanes = ", ".join(f"c.{k} ? a.{k} : b.{k}" for k in "xyzw")
    return f"{v} choose_{kind}(bvec4 c, {v} a, {v} b) {{\n  return {v}({lanes});\n}}"


def _logic(name: str, sign: str) -> str:
    lanes = ", ".join(f"a.{k} {sign} b.{k}" for k in "xyzw")
    return f"bvec4 logic_{name}(bvec4 a, bvec4 b) {{\n  return bvec4({lanes});\n}}"


_IS_NAN = """bool is_nan(float a) {
  return (floatBitsToUint(a) & 0x7fffffffu) > 0x7f800000u;
}
bvec4 is_nan(vec4 a) {
  return greaterThan(floatBitsToUint(a) & uvec4(0x7fffffffu), uvec4(0x7f800000u));
}"""
_IS_INF = """bool is_inf(float a) {
  return (floatBitsToUint(a) & 0x7fffffffu) == 0x7f800000u;
}
bvec4 is_inf(vec4 a) {
  return equal(floatBitsToUint(a) & uvec4(0x7fffffffu), uvec4(0x7f800000u));
}"""


def _extremum(name: str) -> str:
    return (
        f"float nan_{name}(float a, float b) {{\n"
        f"  return is_nan(a) ? a : is_nan(b) ? b : {name}(a, b);\n}}\n"
        f"vec4 nan_{name}(vec4 a, vec4 b) {{\n"
        f"  return mix(mix({name}(a, b), b, is_nan(b)), a, is_nan(a));\n}}"
    )


_KEEP_NAN = """float keep_nan(float a, float b) {
  return is_nan(a) ? a : b;
}
vec4 keep_nan(vec4 a, vec4 b) {
  return mix(b, a, is_nan(a));
}"""


def _of_nan(name: str) -> str:
    """A driver's function where NaN stays NaN (SwiftShader's exp makes infinity of it)."""
    return "\n".join(
        f"{t} nan_{name}({t} a) {{\n  return keep_nan(a, {name}(a));\n}}" for t in ("float", "vec4")
    )


# name -> (text, the helpers that it calls)
HELPERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "is_nan": (_IS_NAN, ()),
    "is_inf": (_IS_INF, ()),
    "keep_nan": (_KEEP_NAN, ("is_nan",)),
    "nan_exp": (_of_nan("exp"), ("keep_nan",)),
    "nan_exp2": (_of_nan("exp2"), ("keep_nan",)),
    "nan_max": (_extremum("max"), ("is_nan",)),
    "nan_min": (_extremum("min"), ("is_nan",)),
    "nan_to_zero": (
        _both("nan_to_zero", "float", ("float",), "  return is_nan(a) ? 0.0 : a;"), ("is_nan",),
    ),
    "floordiv": (
        _division(
            "floordiv",
            "  if (b == 0) return 0;\n  if (b == -1) return -a;\n  int q = a / b;\n"
            "  return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;",
        ),
        (),
    ),
    "floormod": (
        _division(
            "floormod",
            "  if (b == 0 || b == -1) return 0;\n  int r = a - a / b * b;\n"
            "  return r != 0 && (r < 0) != (b < 0) ? r + b : r;",
        ),
        (),
    ),
    "truncdiv": (
        _division("truncdiv", "  return b == 0 ? 0 : b == -1 ? -a : a / b;"), (),
    ),
    "truncmod": (
        _division("truncmod", "  return b == 0 || b == -1 ? 0 : a - a / b * b;"), (),
    ),
    "ufloordiv": (
        _both("ufloordiv", "uint", ("uint", "uint"), "  return b == 0u ? 0u : a / b;"), (),
    ),
    "ufloormod": (
        _both("ufloormod", "uint", ("uint", "uint"), "  return b == 0u ? 0u : a % b;"), (),
    ),
    "utruncdiv": (
        _both("utruncdiv", "uint", ("uint", "uint"), "  return b == 0u ? 0u : a / b;"), (),
    ),
    "utruncmod": (
        _both("utruncmod", "uint", ("uint", "uint"), "  return b == 0u ? 0u : a % b;"), (),
    ),
    # Each turn takes away the divisor times a power of two, which is exact: a - b * trunc(a / b)
    # is off by a whole divisor where the quotient is rounded to the next integer.
    "fmod": (
        _both(
            "fmod", "float", ("float", "float"),
            "  uint m = floatBitsToUint(abs(b));\n  float r = abs(a);\n"
            "  uint n = floatBitsToUint(r);\n"
            "  if (n >= 0x7f800000u || m > 0x7f800000u || m == 0u)"
            " return uintBitsToFloat(0x7fc00000u);\n"
            "  uint s = floatBitsToUint(a) & 0x80000000u;\n"
            "  if (m == 0x7f800000u) return a;\n"
            "  if (m < 0x00800000u) return uintBitsToFloat(s);\n"
            "  while (r >= abs(b)) {\n"
            "    float t = uintBitsToFloat(m & 0x007fffffu | floatBitsToUint(r) & 0x7f800000u);\n"
            "    r -= t > r ? t * 0.5 : t;\n  }\n"
            "  return uintBitsToFloat(floatBitsToUint(r) | s);",
        ),
        (),
    ),
    # From 2^24 on by the bits: drivers take int(float(i)) for i, which has more bits than a float.
    "to_int": (
        _both(
            "to_int", "int", ("float",),
            "  if (is_nan(a)) return 0;\n  if (a <= -2147483648.0) return -2147483647 - 1;\n"
            "  if (a >= 2147483648.0) return 2147483647;\n"
            "  if (abs(a) < 16777216.0) return int(a);\n"
            "  int b = floatBitsToInt(a);\n"
            "  int m = (b & 0x7fffff | 0x800000) << ((b >> 23 & 255) - 150);\n"
            "  return b < 0 ? -m : m;",
        ),
        ("is_nan",),
    ),
    "to_uint": (
        _both(
            "to_uint", "uint", ("float",),
            "  if (is_nan(a) || a <= 0.0) return 0u;\n"
            "  if (a >= 4294967296.0) return 4294967295u;\n"
            "  if (a < 16777216.0) return uint(a);\n"
            "  uint b = floatBitsToUint(a);\n"
            "  return (b & 0x7fffffu | 0x800000u) << ((b >> 23) - 150u);",
        ),
        ("is_nan",),
    ),
    "to_half": (
        _both(
            "to_half", "float", ("float",),
            "  if (is_nan(a) || is_inf(a)) return a;\n"
            "  if (abs(a) >= 65520.0)\n"
            "    return uintBitsToFloat(a < 0.0 ? 0xff800000u : 0x7f800000u);\n"
            "  return unpackHalf2x16(packHalf2x16(vec2(a, 0.0))).x;",
        ),
        ("is_nan", "is_inf"),
    ),
    "to_bfloat": (
        _both(
            "to_bfloat", "float", ("float",),
            "  if (is_nan(a)) return a;\n  uint b = floatBitsToUint(a);\n"
            "  return uintBitsToFloat((b + 0x7fffu + (b >> 16 & 1u)) & 0xffff0000u);",
        ),
        ("is_nan",),
    ),
    "bit_count": (
        _both(
            "bit_count", "uint", ("uint",),
            "  a -= a >> 1 & 0x55555555u;\n  a = (a & 0x33333333u) + (a >> 2 & 0x33333333u);\n"
            "  return ((a + (a >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;",
        )
        + "\nint bit_count(int a) {\n  return int(bit_count(uint(a)));\n}"
        + "\nivec4 bit_count(ivec4 a) {\n  return ivec4(bit_count(uvec4(a)));\n}",
        (),
    ),
    "choose_int": (_choose("int"), ()),
    "choose_uint": (_choose("uint"), ()),
    "choose_bool": (_choose("bool"), ()),
    "logic_and": (_logic("and", "&&"), ()),
    "logic_or": (_logic("or", "||"), ()),
    "logic_xor": (_logic("xor", "!="), ()),
}  # fmt: skip

# Intrinsics that are functions of GLSL or of ours; the others are expanded by
# ir/passes/math.
INTRINSICS = {
    "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundEven",
    "exp": "nan_exp", "exp2": "nan_exp2", "isnan": "is_nan", "isinf": "is_inf", "any": "any",
    "popcount": "bit_count",
}  # fmt: skip
