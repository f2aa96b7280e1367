"""Every operator × every case × every target, against the numpy reference of the operator.

One test is one operator on one target, with all of its cases. Cases run in batches, one program
each, so that a page or a driver starts once; a case that a target refuses must be refused with a
reason, and where there is a fallback that takes it, it must come out right all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from op_cases import Case, all_cases
from weft.compiler.ops import all_ops
from weft.ir.target import Target
from weft.runtime.errors import WeftError

from conformance.columns import COLUMNS, Column, refusal, too_wide

QUICK = ("interp", "llvm")
OPS = sorted(all_ops())


class Batches:
    """The outputs of all cases on one target, made chunk by chunk as they are asked for."""

    def __init__(self, column: Column):
        self.column = column
        self.outcomes: dict[str, list | WeftError] = {}
        cases = cases_of(column.name)
        self.chunks = [cases[k : k + column.chunk] for k in range(0, len(cases), column.chunk)]

    def outcome(self, case: Case) -> list | WeftError:
        if case.id not in self.outcomes:
            chunk = next(c for c in self.chunks if any(x.id == case.id for x in c))
            self._run(chunk)
        return self.outcomes[case.id]

    def _run(self, chunk: Sequence[Case]) -> None:
        """A batch that fails as a whole is halved, down to the case that is to blame."""
        try:
            results = self.column.run(chunk, self.column.target)
            self.outcomes |= {c.id: r for c, r in zip(chunk, results, strict=True)}
        except WeftError as e:
            if len(chunk) == 1:
                self.outcomes[chunk[0].id] = e
                return
            half = len(chunk) // 2
            self._run(chunk[:half])
            self._run(chunk[half:])


def runs(case: Case, column: Column) -> bool:
    """Whether a case is run: all but those that the target refuses and nothing else takes, and
    those whose numbers it does not hold."""
    if column.whole:
        return True
    if column.narrow and too_wide(case):
        return False
    goal = Target.parse(column.target)
    return goal.fallback not in ("", "none") or not refusal(case, column.target)


@cache
def cases_of(column: str) -> tuple[Case, ...]:
    """The cases that are run on a column, by its name."""
    target = COLUMNS[column]
    able = tuple(c for c in all_cases() if runs(c, target))
    if not target.first:
        return able
    chosen: dict[str, Case] = {}
    for case in able:
        chosen.setdefault(case.op, case)
    return tuple(chosen.values())


@pytest.fixture(scope="session")
def batches():
    made: dict[str, Batches] = {}

    def of(column: Column) -> Batches:
        if column.name not in made:
            why = column.missing()
            if why:
                pytest.skip(why)
            made[column.name] = Batches(column)
        return made[column.name]

    return of


def grid() -> list:
    return [
        pytest.param(
            op, name, id=f"{op}-{name}", marks=[] if name in QUICK else [pytest.mark.slow]
        )
        for name in COLUMNS
        for op in OPS
    ]  # fmt: skip


@pytest.mark.parametrize("op, column", grid())
def test_operator(op: str, column: str, batches) -> None:
    target = COLUMNS[column]
    made, wrong = batches(target), []
    for case in (c for c in cases_of(column) if c.op == op):
        got = made.outcome(case)
        try:
            if isinstance(got, WeftError):
                raise AssertionError(str(got))
            target.judge(case, got)
        except AssertionError as e:
            wrong.append(f"{case.id}: {str(e).strip()[:400]}")
    assert not wrong, f"{len(wrong)} cases:\n" + "\n".join(wrong[:20])


def test_every_operator_has_cases() -> None:
    assert set(OPS) == {c.op for c in all_cases()}


def test_ids_are_unique() -> None:
    ids = [c.id for c in all_cases()]
    assert len(set(ids)) == len(ids)
