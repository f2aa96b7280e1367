"""What is said about the targets of this machine."""

import pytest
from weft.runtime.devices import probe as probes
from weft.runtime.devices.probe import kinds, probe
from weft.runtime.errors import DeviceError


@pytest.mark.parametrize("kind", kinds())
def test_probe(kind):
    found = probe(kind)
    assert found.kind == kind
    if found.ok:
        assert found.description and not found.reason
        assert all(isinstance(n, int) for n in found.limits.values())
    else:
        assert found.reason and found.hint


def test_the_processor_is_always_there():
    assert probe("llvm").limits["threads"] >= 1


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("WEFT_EMCC", "no-such-emcc")
    found = probe("wasm")
    assert not found.ok and "'no-such-emcc' cannot be found" in found.reason
    assert "emscripten" in found.hint


def test_an_unknown_kind():
    with pytest.raises(DeviceError, match=r"'fpga'.*\n.*llvm"):
        probes.probe("fpga")
