"""Every case of the ONNX backend's node tests that weft claims, on the CPU against its data.

The quick tier runs the imported graph by the operators' numpy references, which tells a wrong
converter or reference from a wrong kernel; the other compiles for ``llvm``.
"""

from __future__ import annotations

import pytest
import weft
from node_cases import interpret, node_cases, not_claimed, reports

LISTED = not_claimed()
CLAIMED = [name for name in node_cases() if name not in LISTED]


def test_the_list_of_what_is_not_claimed_is_current() -> None:
    here = {name: why for name, why in LISTED.items() if name in node_cases()}
    assert reports() == here, "write it anew: PYTHONPATH=tests python -m node_cases"


def test_enough_cases_are_claimed() -> None:
    assert len(CLAIMED) >= 1500
    assert sum(name.endswith("_expanded") for name in CLAIMED) >= 300


@pytest.mark.parametrize("name", CLAIMED)
def test_reference(name: str) -> None:
    case = node_cases()[name]
    for k in range(len(case.data)):
        graph, feed, _ = case.bound(k)
        case.check(k, interpret(graph, feed))


@pytest.mark.parametrize("name", CLAIMED)
def test_llvm(name: str) -> None:
    case = node_cases()[name]
    for k in range(len(case.data)):
        graph, feed, _ = case.bound(k)
        exe = weft.compile(graph, target="llvm")
        results = exe.run(feed)
        case.check(k, [results[o] for o in exe.outputs])
