"""Facts about index expressions by which LLVM IR gets its flags."""

from __future__ import annotations

import pytest
from weft.codegen.llvm.ranges import MachineRanges, multiple
from weft.ir.alu import Op
from weft.ir.builders import maximum, minimum
from weft.ir.expr import Binary, Expr, Load, Ramp, Select, Var, cast, const
from weft.ir.stmt import Buffer
from weft.runtime.dtype import dtype_of

i, j, n = Var("i"), Var("j"), Var("n")
TABLE = Buffer("table", dtype_of("int32"), (const(8),))
BYTES = Buffer("bytes", dtype_of("int8"), (const(8),))


@pytest.fixture
def ranges() -> MachineRanges:
    found = MachineRanges()
    found.bind(i, (0, 7))
    found.bind(j, (-3, 100))
    found.bind(n, None)
    return found


@pytest.mark.parametrize(
    "e, bounds",
    [
        (i * 4 - j, (-100, 31)),
        (Ramp(i * 4, const(-1), 4), (-3, 28)),
        (Select(i < 3, i, j), (-3, 100)),
        (n % 8, (0, 7)),
        (i % 8, (0, 7)),
        (minimum(i, j), (-3, 7)),
        (j // 4, (-1, 25)),
        (cast(i, "int64") * 2**40, (0, 7 * 2**40)),
        # What may wrap, or is known on one side only, is unknown.
        (j * 2**25, None),
        (cast(j, "int8") * cast(j, "int8"), None),
        (n + 1, None),
        (maximum(minimum(n, const(7)), const(0)), None),
        (Load(TABLE, (i,)), None),
        (cast(Load(BYTES, (i,)), "int32"), None),
    ],
)  # fmt: skip
def test_bounds_without_overflow(
    ranges: MachineRanges, e: Expr, bounds: tuple[int, int] | None
) -> None:
    assert ranges.of(e) == bounds


def test_a_new_range_of_a_variable_is_used(ranges: MachineRanges) -> None:
    e = i + 1
    assert ranges.of(e) == (1, 8)
    ranges.bind(i, (5, 9))
    assert ranges.of(e) == (6, 10)
    ranges.bind(i, None)
    assert ranges.of(e) is None


def test_sums_of_indices_do_not_wrap(ranges: MachineRanges) -> None:
    symbolic, data = Binary(Op.ADD, n, i), Binary(Op.ADD, Load(TABLE, (i,)), i)
    assert ranges.no_wrap(Binary(Op.ADD, i, j), index=False)
    assert ranges.no_wrap(symbolic, index=True) and not ranges.no_wrap(symbolic, index=False)
    assert not ranges.no_wrap(data, index=True)
    # Known to overflow: the contract of indices with symbolic extents does not cover it.
    assert not ranges.no_wrap(Binary(Op.MUL, j, const(2**30)), index=True)


def test_loads_that_may_run_outside_of_their_guard(ranges: MachineRanges) -> None:
    assert ranges.safe(Load(TABLE, (i,)) + 1)
    assert not ranges.safe(Load(TABLE, (i + 1,)) + 1)
    assert not ranges.safe(Load(TABLE, (n,)))


@pytest.mark.parametrize(
    "e, power", [(i * 8, 8), (i * 8 + 4, 4), (const(0), 64), (i, 1), (i * 48, 16)]
)
def test_alignment(e: Expr, power: int) -> None:
    assert multiple(e) == power
