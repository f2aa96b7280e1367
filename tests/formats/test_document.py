"""``docs/FORMATS.md`` says what is converted today; that it has a row for each real file is seen by
the tests of these files (``support/parity.py``)."""

from weft.compiler.frontends.table import FRONTENDS

from formats.table import FILE, operators, operators_text, stored_operators


def test_the_document_is_current():
    stored = stored_operators(FILE.read_text("utf-8"))
    assert stored == operators_text(operators()), "make docs (or: python -m formats --operators)"


def test_every_format_says_what_it_converts():
    assert all(row.operators and row.describe for row in FRONTENDS.values())
