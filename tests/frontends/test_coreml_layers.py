"""Neural networks of one layer each, beside numpy (``tests/judges/coreml.py``)."""

import pytest
from support.coreml_answers import arrays, check, computed, layers, network


@pytest.mark.parametrize("case", layers())
def test_a_layer(case):
    inputs = arrays(f"layer {case}", "in")
    graph, ours = computed(network(case), inputs)
    assert set(graph.inputs) == set(inputs)
    check(ours, arrays(f"layer {case}", "out"))
