"""Reverse-mode differentiation of tensor expressions: ``te.gradient``.

``local`` differentiates the expression of one element by what it reads; ``preimage`` finds the
elements that read a given one, so that a gradient gathers and is a ``te.compute`` like any other;
``reverse`` goes from the result back to the inputs.
"""

from .reverse import gradient

__all__ = ["gradient"]
