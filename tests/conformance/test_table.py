"""``docs/OPERATORS.md`` says what the grid says."""

import pytest

from conformance import table


@pytest.mark.slow
def test_the_document_is_current():
    assert table.FILE.is_file(), "make docs"
    assert table.FILE.read_text("utf-8") == table.table(), "run 'make docs' and commit the result"


@pytest.mark.parametrize(
    "message, text",
    [
        ("64-bit floats do not exist on this target.", "64-bit floats do not exist on this target"),
        (
            "the shader of cumsum_0a1b2c3d would have 40 branches; more than 36 take",
            "the kernel would have 40 branches; more than 36 take",
        ),
        ("the bits of float16x4 cannot be read", "the bits of float16 cannot be read"),
    ],
)
def test_reasons_are_those_of_many_kernels(message, text):
    assert table.reason(message) == text
