"""ONNX's node cases on the targets beside the processor: of each, every so many, others on each."""

import pytest
import weft
from node_cases import node_cases, not_claimed
from weft.runtime.devices.probe import probe
from weft.runtime.errors import CodegenError, WeftError

SHARE = 47
TARGETS = ("opencl", "webgpu", "opengl", "wasm", "webgl")
CLAIMED = [name for name in node_cases() if name not in not_claimed()]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_share_of_the_cases(target):
    """Right, or refused for what the target has not got (64-bit floats, statements of an order)."""
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    names = CLAIMED[TARGETS.index(target) :: SHARE]
    refused = [name for name in names if not _is_right(target, name)]
    assert len(refused) < len(names) / 5, refused


def _is_right(target: str, name: str) -> bool:
    """Whether the target computes the case, rightly then; False where it says that it cannot."""
    case = node_cases()[name]
    for k in range(len(case.data)):
        graph, feed, _ = case.bound(k)
        try:
            exe = weft.compile(graph, target)
        except CodegenError:
            return False
        with exe:
            try:
                results = exe.run(feed)
            except WeftError as e:
                raise AssertionError(f"{name} on {target}: {e}") from e
            try:
                case.check(k, [results[o] for o in exe.outputs])
            except AssertionError as e:
                raise AssertionError(f"{name} on {target}: {e}") from e
    return True
