"""Every operator: inference and compute against the numpy reference, on the whole grid of cases."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, all_cases
from weft.compiler.ops import all_ops, get
from weft.ir.evaluate import evaluate
from weft.ir.tensor import placeholder


def run_case(case: Case) -> list[np.ndarray]:
    """The outputs by the meaning of the tensor expressions, without schedule or target."""
    arrays = case.arrays()
    holders = [
        None if a is None else placeholder(t.shape, t.dtype, f"in{k}")
        for k, (a, t) in enumerate(zip(arrays, case.types()))
    ]
    outputs = get(case.op).compute(holders, case.full_attrs(), case.out_types())
    feed = {h: a for h, a in zip(holders, arrays) if h is not None}
    with np.errstate(all="ignore"):
        return evaluate(list(outputs), feed)


@pytest.mark.parametrize("case", all_cases(), ids=lambda c: c.id)
def test_case(case: Case) -> None:
    types, expected = case.out_types(), case.expected()
    assert [(t.dtype.numpy, t.shape) for t in types] == [(e.dtype, e.shape) for e in expected]
    case.check(run_case(case))


def test_every_operator_has_cases() -> None:
    assert set(all_ops()) == {c.op for c in all_cases()}
