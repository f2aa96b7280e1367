"""``WEFT_TEST_COLUMN=opencl pytest tests/conformance`` runs one column of the grid; ``table`` is
what belongs to none."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = os.environ.get("WEFT_TEST_COLUMN")
    if wanted is None:
        return
    out = [i for i in items if _column(i) != wanted]
    config.hook.pytest_deselected(items=out)
    items[:] = [i for i in items if _column(i) == wanted]


def _column(item: pytest.Item) -> str:
    call = getattr(item, "callspec", None)
    return call.params.get("column", "table") if call is not None else "table"
