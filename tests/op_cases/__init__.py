"""The grid of operator cases as data: every target runs the same ones against the references.

Each module of this package holds a literal ``CASES`` list; ``all_cases()`` has them all. The data
is seeded by the case itself, so that one case means the same arrays everywhere.
"""

from __future__ import annotations

import pkgutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from weft.compiler.ops import get
from weft.compiler.types import TensorType
from weft.runtime.dtype import DType, dtype_of

# Relative tolerance by result type: a few roundings of the type, and of the accumulation.
_RTOL = {"float64": 1e-9, "float32": 2e-5, "float16": 4e-3, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Spec:
    """Random data: uniform in ``[low, high]`` for floats and integers (bools ignore the range)."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None

    def array(self, rng: np.random.Generator) -> np.ndarray:
        d = dtype_of(self.dtype)
        if d.is_bool:
            return rng.integers(0, 2, self.shape).astype(bool)
        if d.is_float:
            low, high = (
                (-2 if self.low is None else self.low),
                (2 if self.high is None else self.high),
            )
            return rng.uniform(low, high, self.shape).astype(d.numpy)
        low = (0 if d.kind == "uint" else -9) if self.low is None else int(self.low)
        high = 9 if self.high is None else int(self.high)
        return rng.integers(low, high, self.shape, d.numpy, endpoint=True)


def rand(
    *shape: int, dtype: str = "float32", low: float | None = None, high: float | None = None
) -> Spec:
    """Short for a :class:`Spec`: ``rand(2, 3, dtype="int32", high=5)``."""
    return Spec(shape, dtype, low, high)


@dataclass(frozen=True)
class Case:
    """One call of operator ``op``. ``inputs`` are arrays, specs of random data, or None.

    ``rtol`` and ``atol`` judge float results (``rtol`` None: by dtype); integer and bool results
    must be equal, or differ by at most ``int_atol``.
    """

    op: str
    inputs: Sequence[np.ndarray | Spec | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    rtol: float | None = None
    atol: float = 1e-6
    int_atol: int = 0
    note: str = ""

    @property
    def id(self) -> str:
        """Readable, and unique enough for pytest: operator, inputs, attributes."""
        parts = [_input_text(i) for i in self.inputs]
        parts += [f"{k}={_attr_text(v)}" for k, v in self.attrs.items()]
        return "-".join([self.op, *([self.note] if self.note else []), *parts])

    def arrays(self) -> list[np.ndarray | None]:
        """The inputs as arrays; the same at every call."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        return [i.array(rng) if isinstance(i, Spec) else i for i in self.inputs]

    def types(self) -> list[TensorType | None]:
        return [
            None if a is None else TensorType(dtype_of(a.dtype), a.shape) for a in self.arrays()
        ]

    def full_attrs(self) -> dict[str, Any]:
        """The attributes, completed with the operator's defaults."""
        return get(self.op).check_attrs(self.attrs)

    def out_types(self) -> list[TensorType]:
        return list(get(self.op).infer_checked(self.types(), self.full_attrs()))

    def expected(self) -> list[np.ndarray]:
        """What the operator's numpy reference returns."""
        with np.errstate(all="ignore"):
            return list(get(self.op).reference(self.arrays(), self.full_attrs()))

    def check(self, got: Sequence[np.ndarray]) -> None:
        """Assert that ``got`` has the expected shapes, dtypes and values."""
        expected = self.expected()
        assert len(got) == len(expected), f"{len(got)} outputs, expected {len(expected)}"
        for k, (g, e) in enumerate(zip(got, expected)):
            assert (g.dtype, g.shape) == (e.dtype, e.shape), (k, g.dtype, g.shape, e.dtype, e.shape)
            assert_close(g, e, self.rtol, self.atol, self.int_atol, f"{self.id}, output {k}")


def assert_close(
    got: np.ndarray,
    expected: np.ndarray,
    rtol: float | None = None,
    atol: float = 1e-6,
    int_atol: int = 0,
    what: str = "",
) -> None:
    """Equality for bool, integers up to ``int_atol``, floats up to a tolerance; NaN equals NaN."""
    d = dtype_of(expected.dtype)
    if d.is_float:
        tolerance = _RTOL[str(d)] if rtol is None else rtol
        g, e = got.astype(np.float64), expected.astype(np.float64)
        np.testing.assert_allclose(g, e, rtol=tolerance, atol=atol, err_msg=what)
    elif int_atol:
        gap = np.abs(got.astype(np.int64) - expected.astype(np.int64))
        assert int(gap.max(initial=0)) <= int_atol, what
    else:
        np.testing.assert_array_equal(got, expected, err_msg=what)


@cache
def all_cases() -> tuple[Case, ...]:
    """The cases of every module of this package, in order of module name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    return tuple(c for n in names for c in import_module(f"{__name__}.{n}").CASES)


def _input_text(value: np.ndarray | Spec | None) -> str:
    if value is None:
        return "none"
    d: DType = dtype_of(value.dtype)
    return f"{d}[{','.join(map(str, value.shape))}]"


def _attr_text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return f"array{list(value.shape)}" if isinstance(value, np.ndarray) else str(value)
