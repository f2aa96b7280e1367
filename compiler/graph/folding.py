"""Computing an operator on constants with its numpy reference, within bounds.

Both the front-ends (eagerly, while importing) and ``passes/fold.py`` fold through here, so that
the bounds on time and memory hold everywhere: a model file may describe a small graph whose
constants are enormous.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.errors import GraphError, WeftError
from ..ops.opdef import Attrs, Kind, OpDef
from ..types import TensorType

MAX_ELEMENTS = 1 << 26  # a larger result stays a node
MAX_WORK = 1 << 32  # outputs x inputs of an operator that sums
GROWTH = 8  # a large result this much larger than what it is made of (expand, tile) stays a node
LARGE = 1 << 20


def affordable(
    op: OpDef,
    inputs: Sequence[np.ndarray | None],
    outputs: Sequence[TensorType],
    attrs: Attrs,
) -> bool:
    """Whether computing ``op`` now is cheap enough, judged before anything is allocated."""
    made = sum(t.size for t in outputs)
    read = sum(math.prod(i.shape) for i in inputs if i is not None)
    if made > MAX_ELEMENTS or (made > LARGE and made > GROWTH * read):
        return False
    # References lay windows side by side in memory.
    if made * math.prod(op.facts.window(attrs)) > MAX_ELEMENTS:
        return False
    # The true cost of a convolution or window is outputs x kernel; outputs x inputs bounds it
    # where the kernel is an input. Padding may make a window larger than its input, which the
    # operators' inference refuses.
    return op.kind <= Kind.INJECTIVE or made * max(1, read) <= MAX_WORK


def evaluate(
    op: OpDef,
    inputs: Sequence[np.ndarray | None],
    attrs: Attrs,
    outputs: Sequence[TensorType],
    where: str = "",
) -> list[np.ndarray]:
    """The outputs of ``op``, of exactly the inferred types.

    Values that an operator cannot work on (an index out of bounds, a division of integers by
    zero) are the model's fault: what numpy raises then becomes :class:`GraphError`. An
    ``AssertionError`` or ``TypeError`` is a bug of the reference and passes through.
    """
    try:
        with np.errstate(all="ignore"):
            results: Any = op.reference(inputs, attrs)
    except WeftError as e:
        if e.where or not where:
            raise
        raise type(e)(e.message, where=where, hint=e.hint) from None
    except (ValueError, IndexError, ArithmeticError, MemoryError) as e:
        raise GraphError(
            f"{op.name} cannot be computed on these constants ({type(e).__name__}: {e}).",
            where=where,
        ) from e
    made = [np.asarray(r, order="C") for r in results]  # no views with strides; 0-d stays 0-d
    got = [(r.dtype, r.shape) for r in made]
    want = [(t.dtype.numpy, t.shape) for t in outputs]
    assert got == want, f"the reference of {op.name} returned {got}, inferred {want}"
    return made
