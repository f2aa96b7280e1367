"""The type of a tensor: what operators infer, graphs check and kernels are compiled for."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.layout import Layout
from ..runtime.dtype import DType

MAX_ELEMENTS = 2**31 - 1  # indices are int32


@dataclass(frozen=True)
class TensorType:
    """Element type, logical shape, and how the elements lie in storage (None: row major)."""

    dtype: DType
    shape: tuple[int, ...]
    layout: Layout | None = None

    @property
    def size(self) -> int:
        """Number of logical elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        """Bytes in storage, padding included."""
        return (self.layout.size if self.layout else self.size) * self.dtype.bytes

    def __str__(self) -> str:
        text = f"{self.dtype}[{', '.join(map(str, self.shape))}]"
        return f"{text}@{self.layout}" if self.layout else text
