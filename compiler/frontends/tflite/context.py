"""What a converter of TensorFlow Lite sees: :class:`TfliteContext`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....runtime.dtype import DType
from ...types import MAX_ELEMENTS, TensorType
from ..flat import FlatContext
from .tensors import Info, Quant

MAX_MADE = 1 << 26  # elements of a tensor that a node may ask for out of nothing

# ActivationFunctionType
NONE, RELU, RELU_N1_TO_1, RELU6, TANH, SIGN_BIT = range(6)
BOUNDS: dict[int, tuple[float | None, float | None]] = {
    NONE: (None, None), RELU: (0.0, None), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0),
}  # fmt: skip


class TfliteContext(FlatContext):
    """One operator while it is converted; see :class:`~weft.compiler.frontends.context.Context`.

    What the file says of a tensor beside its elements is :meth:`info`, :meth:`out_info`."""

    def required(self, i: int) -> TensorType:
        """The type of input ``i``, which the operator must have."""
        t = self.type(i)
        if t is None:
            self.error(f"its input {i} is absent.")
        return t

    def info(self, i: int) -> Info:
        """What the file says of input ``i``."""
        return self.model.extra[self.values[i]]

    def out_info(self, k: int = 0) -> Info:
        """What the file says of output ``k``."""
        if k >= len(self.node.outputs) or not self.node.outputs[k]:
            self.error(f"it has no output {k}.")
        return self.model.extra[self.node.outputs[k]]

    def out_dtype(self, k: int = 0) -> DType:
        """The element type of output ``k``."""
        found = self.out_info(k).dtype
        if found is None:
            self.unsupported(f"its result is of {self.out_info(k).kind}")
        return found

    def quant(self, i: int) -> Quant | None:
        """How input ``i`` is quantised; None where it is not, or is absent."""
        return self._quant(self.info(i)) if self.input(i) else None

    def out_quant(self, k: int = 0) -> Quant | None:
        """How output ``k`` is quantised."""
        if k >= len(self.node.outputs) or not self.node.outputs[k]:
            return None
        return self._quant(self.out_info(k))

    @staticmethod
    def _quant(facts: Info) -> Quant | None:
        d = facts.dtype
        return facts.quant if d is not None and d.is_int and d.bits <= 16 else None

    def ints(self, i: int) -> list[int]:
        """The integers of input ``i``, which must be known at compile time."""
        value = self.const(i)
        if value is None:
            self.error(f"its input {i} is absent.")
        if value.dtype.kind not in "iu":
            self.error(f"its input {i} is {value.dtype}, not integers.")
        return [int(v) for v in value.reshape(-1)]

    def number(self, i: int) -> int:
        """The one integer of input ``i``."""
        found = self.ints(i)
        if len(found) != 1:
            self.error(f"its input {i} has {len(found)} elements, not one.")
        return found[0]

    def axis(self, axis: int, ndim: int) -> int:
        """``axis`` counted from the front."""
        if not -ndim <= axis < ndim:
            self.error(f"the axis {axis} is out of range for {ndim} axes.")
        return axis % ndim

    def checked(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape out of the file of what is made of nothing. Raises for one that is too large."""
        if min(shape, default=0) < 0 or math.prod(shape) > MAX_MADE:
            self.error(f"it asks for a tensor of the shape {list(shape)}.")
        return tuple(shape)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """``x`` under another shape, one extent of which may be -1."""
        t, dims = self.typeof(x), list(shape)
        free = [k for k, d in enumerate(dims) if d == -1]
        rest = math.prod(d for d in dims if d != -1)
        if len(free) == 1 and rest > 0 and t.size % rest == 0:
            dims[free[0]] = t.size // rest
        if min(dims, default=0) < 0 or math.prod(dims) != t.size or t.size > MAX_ELEMENTS:
            self.error(f"{t} cannot become {list(shape)}.")
        return x if tuple(dims) == t.shape else self.add("reshape", [x], shape=tuple(dims))

    def activated(self, x: str, default: int = NONE) -> str:
        """``x`` behind the activation that the operator has in itself."""
        code = self.attr("fused_activation_function", default)
        if code == TANH:
            return self.add("tanh", [x])
        if code not in BOUNDS:
            self.unsupported(f"the fused activation is {code}")
        low, high = BOUNDS[code]
        if code == RELU:
            return self.add("relu", [x])
        return x if low is None else self.add("clip", [x], min=low, max=high)

    def full(self, value: Any, like: str) -> str:
        """One number of the element type of ``like``."""
        return self.constant(np.array(value, self.typeof(like).dtype.numpy))


Converter = Callable[[TfliteContext], "Sequence[str] | str"]

__all__ = ["BOUNDS", "MAX_MADE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1", "Converter",
           "TfliteContext"]  # fmt: skip
