"""What tests of the wire share."""

import pytest
from weft.runtime.rpc.host import LocalHub


@pytest.fixture(scope="module")
def hub():
    """A hub in this process, for the tests of one file."""
    with LocalHub() as made:
        yield made
