"""ML programs of one operation each, beside coremltools and numpy (``tests/judges/coreml.py``)."""

import pytest
from support.coreml_answers import arrays, check, computed, package, programs


@pytest.mark.parametrize("case", programs())
def test_an_operation(case, tmp_path):
    inputs = arrays(case, "in")
    graph, ours = computed(package(case, tmp_path), inputs)
    assert set(graph.inputs) == set(inputs)
    check(ours, arrays(case, "out"))
