"""What an operator on quantised tensors becomes.

- an operator that only moves elements, or compares them, moves the integers (``MOVES``);
- one with arithmetic of its own for integers has a converter here or in ``ops_quantised``, which
  computes them as the reference kernels of TensorFlow Lite do, to the bit;
- a function of one 8-bit element is a table of 256, as there (``TABLES``);
- anything else is computed in floats between a ``dequantize_linear`` and a ``quantize_linear``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ....runtime.dtype import DType
from .context import BOUNDS, NONE, Converter, TfliteContext
from .tensors import Quant

MOVES = frozenset(
    {
        "ARG_MAX", "ARG_MIN", "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DENSIFY",
        "DEPTH_TO_SPACE", "DYNAMIC_UPDATE_SLICE", "EXPAND_DIMS", "GATHER", "GATHER_ND",
        "MAXIMUM", "MINIMUM", "MIRROR_PAD", "PACK", "PAD", "PADV2", "RANK", "REDUCE_MAX",
        "REDUCE_MIN", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_SEQUENCE", "REVERSE_V2",
        "SCATTER_ND", "SELECT", "SELECT_V2", "SHAPE", "SLICE", "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TOPK_V2",
        "TRANSPOSE", "UNPACK",
    }
)  # fmt: skip
TABLES = frozenset(
    {
        "COS", "ELU", "EXP", "GELU", "LOG", "LOGISTIC", "RSQRT", "SIN", "SQRT",
        "TANH",
    }
)  # fmt: skip


def multipliers(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real numbers as ``multiplier * 2^(shift - 31)``: int32 arrays, multipliers of 31 bits
    (``QuantizeMultiplier``)."""
    fraction, shift = np.frexp(np.asarray(real, np.float64))
    fixed = np.floor(fraction * (1 << 31) + 0.5).astype(np.int64)
    over = fixed == 1 << 31
    fixed, shift = np.where(over, fixed >> 1, fixed), np.where(over, shift + 1, shift)
    small = shift < -31
    fixed, shift = np.where(small, 0, fixed), np.where(small, 0, shift)
    if np.any(shift > 30) or np.any(fixed < 0):
        raise ValueError(f"a factor {real} between scales has no fixed-point number")
    return fixed.astype(np.int32), shift.astype(np.int32)


def scaled(n: TfliteContext, x: str, real: np.ndarray | float, axis: int = 1, over: int = 1) -> str:
    """int32 or int64 ``x`` times real numbers, one or one an index of ``axis``, as int32; divided
    by ``over``, a number that the multiplier takes in as means have it."""
    fixed, shift = multipliers(np.asarray(real))
    if over > 1:
        more = min(over.bit_length() - 1, 32, 31 + int(shift))
        fixed = ((fixed.astype(np.int64) << more) // over).astype(np.int32)
        shift = (shift - more).astype(np.int32)
    if fixed.size == 1:
        fixed, shift = fixed.reshape(()), shift.reshape(())
    inputs = [x, n.constant(fixed), n.constant(shift)]
    return n.add("fixed_point_multiply", inputs, axis=axis)


def per_tensor(n: TfliteContext, q: Quant | None, what: str) -> tuple[np.float32, int]:
    """The scale and the zero point of a tensor that must have one of each."""
    if q is None:
        n.error(f"{what} is not quantised, other tensors of it are.")
    if not q.is_scalar:
        n.unsupported(f"{what} with a scale for each index of an axis")
    return q.one


def activation_range(n: TfliteContext, q: Quant, dtype: DType, code: int) -> tuple[int, int]:
    """The integers that the operator's activation leaves (``CalculateActivationRange``)."""
    scale, zero = q.one
    if code not in BOUNDS:
        n.unsupported(f"the fused activation is {code} on integers")
    low, high = BOUNDS[code]
    bottom, top = int(dtype.min), int(dtype.max)
    if low is not None:
        bottom = max(bottom, zero + _round(np.float32(low) / scale))
    if high is not None:
        top = min(top, zero + _round(np.float32(high) / scale))
    return bottom, top


def _round(value: np.float32) -> int:
    """The nearest integer, halves away from 0."""
    v = float(value)
    return math.floor(abs(v) + 0.5) * (1 if v >= 0 else -1) if math.isfinite(v) else 0


def stored(n: TfliteContext, x: str, k: int = 0, code: int | None = None) -> str:
    """int32 sums without a zero point as output ``k`` stores them: shifted, and no further than the
    activation and the type let them go."""
    q, dtype = n.out_quant(k), n.out_dtype(k)
    _, zero = per_tensor(n, q, f"output {k}")
    assert q is not None
    fused: int = n.attr("fused_activation_function", NONE) if code is None else code
    low, high = activation_range(n, q, dtype, fused)
    if zero:
        x = n.add("add", [x, n.full(zero, x)])
    return n.add("cast", [n.add("clip", [x], min=low, max=high)], to=str(dtype))


def shifted(n: TfliteContext, i: int, to: str = "int32") -> str:
    """Input ``i`` as wide integers less its zero point."""
    q = n.quant(i)
    x = n.add("cast", [n.input(i)], to=to)
    if q is None or not np.any(q.zero):
        return x
    if q.is_scalar:
        return n.add("sub", [x, n.full(q.one[1], x)])
    shape = [-1 if k == q.axis else 1 for k in range(len(n.typeof(x).shape))]
    return n.add("sub", [x, n.constant(q.zero.reshape(shape).astype(to))])


def dequantised(n: TfliteContext, x: str, q: Quant) -> str:
    """The real numbers of a quantised tensor, float32."""
    dtype = n.typeof(x).dtype
    scale = q.scale[0] if q.is_scalar else q.scale
    zero = q.zero[0] if q.is_scalar else q.zero
    inputs = [x, n.constant(np.asarray(scale, np.float32))]
    if np.any(zero):
        inputs.append(n.constant(np.asarray(zero).astype(dtype.numpy)))
    return n.add("dequantize_linear", inputs, axis=q.axis)


def quantised(n: TfliteContext, x: str, k: int = 0) -> str:
    """Real numbers as output ``k`` stores them; halves go away from 0."""
    q, dtype = n.out_quant(k), n.out_dtype(k)
    assert q is not None
    scale, zero = (v[0] if q.is_scalar else v for v in (q.scale, q.zero))
    inputs = [n.constant(np.asarray(scale)), n.constant(np.asarray(zero).astype(dtype.numpy))]
    return n.add("quantize_linear", [x, *inputs], to=str(dtype), axis=q.axis, ties="away")


def through_floats(n: TfliteContext, convert: Converter) -> Sequence[str]:
    """The operator on the real numbers that its quantised inputs stand for."""
    given = list(n.inputs)
    for i in range(len(given)):
        q = n.quant(i)
        if q is not None:
            n.inputs[i] = dequantised(n, given[i], q)
    try:
        made = convert(n)
    finally:
        n.inputs = given
    made = [made] if isinstance(made, str) else list(made)
    return [
        quantised(n, y, k) if n.out_quant(k) is not None and n.typeof(y).dtype.is_float else y
        for k, y in enumerate(made)
    ]


def by_table(n: TfliteContext, convert: Converter) -> Sequence[str]:
    """A function of one 8-bit element, by the table of what it makes of each."""
    x, dtype = n.inputs[0], n.required(0).dtype
    if dtype.bits != 8:
        return through_floats(n, convert)
    n.inputs[0] = n.constant(np.arange(dtype.min, dtype.max + 1).astype(dtype.numpy))
    try:
        (table,) = through_floats(n, convert)
    finally:
        n.inputs[0] = x
    return [table_of(n, table)]


def table_of(n: TfliteContext, table: str) -> str:
    """What a table of 256 has for each element of the first, 8-bit input."""
    at, low = n.add("cast", n.inputs[:1], to="int32"), n.required(0).dtype.min
    if low:
        at = n.add("sub", [at, n.full(low, at)])
    return n.add("gather", [table, at], axis=0, wrap=False)


def alike(n: TfliteContext) -> bool:
    """Whether all quantised inputs and outputs have one scale and zero point."""
    found = [q for i in range(len(n)) if (q := n.quant(i)) is not None]
    found += [q for k in range(n.n_outputs) if (q := n.out_quant(k)) is not None]
    return all(
        np.array_equal(q.scale, found[0].scale) and np.array_equal(q.zero, found[0].zero)
        for q in found
    )


def for_all(real: Mapping[str, Converter], integer: Mapping[str, Converter]) -> dict:
    """Converters that look at the tensors, of those for floats and those for integers."""

    def chosen(op: str) -> Converter:
        convert = real.get(op)

        def converter(n: TfliteContext) -> Sequence[str] | str:
            any_in = any(n.quant(i) is not None for i in range(len(n)))
            if not any_in and all(n.out_quant(k) is None for k in range(n.n_outputs)):
                if convert is None:
                    n.unsupported("tensors that are not quantised")
                return convert(n)
            if op in integer:
                return integer[op](n)
            assert convert is not None
            if op in MOVES and alike(n):
                return convert(n)
            if op in TABLES and len(n) == 1:
                return by_table(n, convert)
            return through_floats(n, convert)

        return converter

    return {op: chosen(op) for op in sorted({*real, *integer})}


__all__ = [
    "MOVES", "TABLES", "activation_range", "alike", "by_table", "dequantised", "for_all",
    "multipliers", "per_tensor", "quantised", "scaled", "shifted", "stored", "table_of",
    "through_floats",
]  # fmt: skip
