"""Softmax of 16-bit integers as the reference kernel has it: tables of exp and of 1 / (1 + x)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from . import ops_nn
from .context import Converter, TfliteContext
from .quantised import per_tensor, scaled, through_floats

_F = np.float32
_STEPS = 512  # of a table, which has a last value besides
_MOST_ROW = 1 << 16  # elements of which the sum fits 32 bits


def _rounded(v: np.ndarray) -> np.ndarray:
    return np.sign(v) * np.floor(np.abs(v) + _F(0.5))


def _table(scale: float, zero: int, f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """``LUTPopulate``: a function of real numbers from int16 to int16, moved at each step so that
    what lies between two of them is nearer. All in float32, as there."""
    low, high = _F(scale) * _F(-32768 - zero), _F(scale) * _F(32767 - zero)
    made = _F(65536) / (_F(2 / 65535) * _F(32767) - _F(2 / 65535) * _F(-32768))
    step = _F((high - low) / _F(_STEPS))
    k = np.arange(_STEPS, dtype=_F)
    here, between, after = (
        f((low + i * step + more).astype(_F)) * made
        for i, more in ((k, _F(0)), (k, _F(step / 2)), (k + 1, _F(0)))
    )
    guessed = _rounded((after + _rounded(here)) / 2)
    moved = _rounded(here) - _rounded((guessed - _rounded(between)) / 2)
    last = _rounded(f(np.array([high], _F)) * made)
    return np.clip(np.concatenate([moved, last]), -32768, 32767).astype(np.int32)


@cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """exp over [-10, 0] and 1 / (1 + x) over [0, 1], int32 ``[513]``."""
    return _table(10 / 65535, 32767, np.exp), _table(1 / 65535, -32768, lambda x: 1 / (1 + x))


def _looked_up(n: TfliteContext, table: np.ndarray, at: str) -> str:
    """Between the two values of a table that int16 numbers, held as int32, lie between."""
    values, seven = n.constant(table), n.full(7, at)
    index = n.add("bit_shift", [at, seven], direction="right")
    index = n.add("add", [index, n.full(256, at)])
    offset = n.add("bitwise_and", [at, n.full(127, at)])
    low = n.add("gather", [values, index], axis=0, wrap=False)
    high = n.add("gather", [values, n.add("add", [index, n.full(1, at)])], axis=0, wrap=False)
    rise = n.add("mul", [n.add("sub", [high, low]), offset])
    rise = n.add("bit_shift", [n.add("add", [rise, n.full(64, at)]), seven], direction="right")
    return n.add("add", [low, rise])


def _softmax(n: TfliteContext) -> str:
    t, q = n.required(0), n.quant(0)
    if t.dtype.bits != 16 or n.out_dtype().bits != 16 or not t.shape or t.shape[-1] >= _MOST_ROW:
        return through_floats(n, ops_nn.CONVERTERS["SOFTMAX"])[0]
    scale, _ = per_tensor(n, q, "its input")
    x = n.add("cast", n.inputs[:1], to="int32")
    last = (len(t.shape) - 1,)
    below = n.add("sub", [x, n.add("reduce_max", [x], axes=last, keepdims=True)])
    steps = scaled(n, below, np.float64(scale) * n.attr("beta", 1.0) / (10 / 65535))
    steps = n.add("add", [steps, n.full(32767, steps)])
    parts = _looked_up(n, tables()[0], n.add("clip", [steps], min=-32768, max=32767))
    total = n.add("reduce_sum", [parts], axes=last, keepdims=True)
    # The bits of the sum say by how much it is shifted so that it lies between 1 and 2.
    powers = n.constant((1 << np.arange(31)).astype(np.int32))
    reached = n.add("cast", [n.add("greater_or_equal", [total, powers])], to="int32")
    bits = n.add("reduce_sum", [reached], axes=last, keepdims=True)
    up = n.add("sub", [n.full(31, bits), bits])
    high = n.add("bit_shift", [total, up], direction="left")
    high = n.add("bit_shift", [high, n.full(1, high)], direction="right")
    high = n.add("add", [high, n.full(1 << 12, high)])
    high = n.add("bit_shift", [high, n.full(13, high)], direction="right")
    high = n.add("sub", [high, n.full((1 << 15) + (1 << 16), high)])
    inverse = _looked_up(n, tables()[1], n.add("clip", [high], min=-32768, max=32767))
    one = n.full(1, bits)
    down = n.add("sub", [bits, one])
    half = n.add("bit_shift", [one, n.add("sub", [down, one])], direction="left")
    y = n.add("add", [n.add("mul", [parts, inverse]), half])
    y = n.add("clip", [n.add("bit_shift", [y, down], direction="right")], min=0, max=32767)
    return n.add("cast", [y], to="int16")


CONVERTERS: dict[str, Converter] = {"SOFTMAX": _softmax}
