"""The numbers of schedule rules stand in one table, each with its source."""

import ast
import re
from pathlib import Path

import pytest
from weft.compiler.schedules import measured

FOLDER = Path(measured.__file__).parent
# Shapes of what is computed, not what something costs.
STRUCTURE = {"LANES", "ROWS", "READ"}


@pytest.mark.parametrize("row", measured.TABLE.values(), ids=lambda row: row.name)
def test_every_number_says_where_it_comes_from(row):
    assert row.value == eval(row.name, vars(measured))
    assert row.unit and row.decides
    known = row.source.startswith(("estimate", "x86", "latency", "LINE_BYTES"))
    assert known or re.search(r"20\d\d-\d\d-\d\d, [0-9a-f]{7}", row.source)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.py")), ids=lambda f: f.stem)
def test_rules_have_no_numbers_of_their_own(file):
    if file.name == "measured.py":
        return
    named = {
        t.id
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and holds_a_number(node.value)
        for t in ast.walk(node)
        if isinstance(t, ast.Name) and isinstance(t.ctx, ast.Store) and t.id.isupper()
    }
    assert named <= STRUCTURE


def holds_a_number(value):
    return any(
        isinstance(n, ast.Constant) and type(n.value) in (int, float) for n in ast.walk(value)
    )
