"""Helpers of the pass tests: golden text, and equivalence by the interpreter."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from weft.ir.expr import Var, as_int
from weft.ir.printer import function_text
from weft.ir.stmt import Buffer
from weft.ir.target import Target

CPU = Target.parse("llvm")


class Passes:
    """What a pass test does: apply, print, compare results on random data."""

    target = CPU

    @staticmethod
    def golden(function, text):
        assert function_text(function) == textwrap.dedent(text).strip("\n")

    @staticmethod
    def arguments(function, scalars=None, seed=0):
        """Random physical arrays for the parameters; scalars by variable."""
        rng = np.random.default_rng(seed)
        scalars = scalars or {}
        args = []
        for p in function.params:
            if isinstance(p, Var):
                args.append(scalars[p])
                continue
            shape = [scalars[n] if isinstance(n, Var) else as_int(n) for n in p.shape]
            if p.layout is not None:
                shape = p.layout.physical_shape
            d = p.dtype.numpy
            if p.dtype.is_float:
                args.append(rng.standard_normal(shape).astype(d))
            else:
                args.append(rng.integers(0, 2 if p.dtype.is_bool else 100, shape).astype(d))
        return args

    def same_results(self, before, after, scalars=None, seed=0):
        """Both functions turn the same random arguments into the same bits."""
        from weft.ir.meaning.interp import run

        first = self.arguments(before, scalars, seed)
        second = [a.copy() if isinstance(a, np.ndarray) else a for a in first]
        for k, p in enumerate(after.params):
            if isinstance(p, Buffer) and len(p.shape) == 1:
                second[k] = second[k].reshape(-1)
        run(before, first)
        run(after, second)
        for a, b, p in zip(first, second, before.params):
            if isinstance(p, Buffer):
                np.testing.assert_array_equal(np.asarray(b).reshape(-1), a.reshape(-1), str(p))


@pytest.fixture
def passes():
    return Passes()
