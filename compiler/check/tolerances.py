"""How far results may be from the reference: tolerances by what a target can do.

``weft check``, the tests of whole models and the grid of operators (``tests/conformance``) judge by
it. Numbers are relative to the largest element of a tensor (whole models, :func:`of_models`), or to
each element (single operators, :func:`of_operators`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.target import Target


@dataclass(frozen=True)
class Tolerance:
    """``|got - want| <= atol + rtol * scale`` for floats; integers and booleans must be equal."""

    rtol: float
    atol: float

    def __str__(self) -> str:
        return f"{self.rtol:g} relative, {self.atol:g} absolute"


# Sums in another order and fused multiply-adds, a model deep; on processors minimal
# filtering too, with up to 1e-4 in a layer (``accuracy="fast"``).
_IEEE = Tolerance(1e-4, 1e-6)
# Shading languages allow functions such as exp a few units of 2^-21, and drivers reorder sums.
_SHADER = Tolerance(1e-3, 1e-5)
# Results of kernels rounded to 11 bits, many layers deep.
_HALF = Tolerance(3e-2, 1e-3)
# One operator whose sums the threads of a workgroup share; drivers divide to 2.5 units.
_WORKGROUP = Tolerance(1e-4, 1e-5)


def of_models(target: Target) -> Tolerance:
    """For the tensors of a whole model, relative to the largest element of each."""
    if target.texture_memory and target.float_bits == 16:
        return _HALF
    return _IEEE if target.ieee_floats else _SHADER


def of_operators(target: Target) -> Tolerance | None:
    """For one operator, element by element; None: a few roundings of the result's type."""
    if not target.ieee_floats:
        return _SHADER
    return _WORKGROUP if target.max_threads else None
