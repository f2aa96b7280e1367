"""Whether this machine has what a test needs."""

import pytest
from weft.ir.target import Target
from weft.runtime.devices.probe import probe


def need(target: str) -> None:
    """Skip the test, with the reason, where programs of a target cannot run."""
    found = probe(Target.parse(target).kind)
    if not found.ok:
        pytest.skip(f"{found.reason} ({found.hint})")
