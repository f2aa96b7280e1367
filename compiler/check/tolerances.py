"""How far results may be from the reference: the one table of tolerances, by kind of target.

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


# Sums in another order and fused multiply-adds, a model deep; on ``llvm`` and ``wasm`` minimal
# filtering too, with up to 1e-4 in a layer (``accuracy="fast"``).
_PROCESSOR = Tolerance(1e-4, 1e-6)
# Shading languages allow functions such as exp a few units of 2^-21, and drivers reorder sums.
_SHADER = Tolerance(1e-3, 1e-5)

_MODELS = {
    "interp": _PROCESSOR,
    "llvm": _PROCESSOR,
    "wasm": _PROCESSOR,
    "opencl": _PROCESSOR,
    "webgpu": _SHADER,
    "opengl": _SHADER,
    "webgl": _SHADER,
}
# Results of kernels rounded to 11 bits, many layers deep.
_HALF = Tolerance(3e-2, 1e-3)

# One operator, element by element; ``None`` stands for a few roundings of the result's type.
_OPERATORS: dict[str, Tolerance | None] = {
    "interp": None,
    "llvm": None,
    "wasm": None,
    "opencl": Tolerance(1e-4, 1e-5),
    "webgpu": _SHADER,
    "opengl": _SHADER,
    "webgl": _SHADER,
}


def of_models(target: Target) -> Tolerance:
    """For the tensors of a whole model, relative to the largest element of each."""
    found = _MODELS.get(target.kind, _PROCESSOR)
    return _HALF if target.texture_memory and target.float_bits == 16 else found


def of_operators(kind: str) -> Tolerance | None:
    """For one operator, element by element; None: a few roundings of the result's type."""
    return _OPERATORS.get(kind)
