"""Strings, of which weft has no tensors: indices into a table that is known when a model is read.

That is enough for what classifiers say (class labels) and for what picks among them. A tensor of
strings is int64 in the graph; :attr:`Emitter.strings` has its table. Operators that are not listed
here would take the indices for numbers, and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ....runtime.errors import ModelError

# Operators that may have strings as their first input; whether their result is of the same table.
TAKERS: dict[tuple[str, str], bool] = {
    **{
        ("", op): True
        for op in ("Cast", "Flatten", "Gather", "Identity", "Reshape", "Squeeze", "Transpose",
                   "Unsqueeze")
    },
    ("ai.onnx.ml", "ArrayFeatureExtractor"): True,
    ("ai.onnx.ml", "LabelEncoder"): False,
}  # fmt: skip


@dataclass(frozen=True)
class StringTable:
    """A constant tensor of strings: indices of ``labels``, in its shape."""

    indices: np.ndarray
    labels: tuple[str, ...]


def string_table(tensor: TensorProto, where: str) -> StringTable | None:
    """The value of a tensor of strings; None for one of numbers. Raises :class:`ModelError` when
    its parts contradict."""
    if tensor.data_type != TensorProto.STRING:
        return None
    shape = tuple(tensor.dims)
    if any(d < 0 for d in shape) or np.prod(shape, dtype=np.float64) != len(tensor.string_data):
        raise ModelError(
            f"the shape {list(shape)} does not fit {len(tensor.string_data)} strings.",
            where=f"{where}, tensor {tensor.name!r}",
        )
    try:
        texts = [s.decode() for s in tensor.string_data]
    except UnicodeDecodeError:
        raise ModelError(
            "a string is no UTF-8.", where=f"{where}, tensor {tensor.name!r}"
        ) from None
    labels = tuple(dict.fromkeys(texts))
    number = {text: k for k, text in enumerate(labels)}
    return StringTable(np.array([number[t] for t in texts], np.int64).reshape(shape), labels)
