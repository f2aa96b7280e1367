"""Device servers in processes of their own, by any interpreter of Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

_SERVE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from weft.runtime.rpc.serve import serve
from weft.runtime.rpc.stream import Address
assert "aiohttp" not in sys.modules
link, key, certificate, *kinds = sys.argv[1:]
serve(Address.parse(link, certificate=certificate or None), key, kinds)
"""


def serving(
    link: str,
    key: str,
    kinds: Sequence[str] = ("llvm",),
    python: Sequence[str] = (sys.executable,),
    environment: Mapping[str, str] | None = None,
    certificate: str = "",
) -> subprocess.Popen[bytes]:
    """A device of a hub for kinds of targets."""
    return subprocess.Popen(
        [*python, "-c", _SERVE, link, key, certificate, *kinds],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )


@contextmanager
def machine(link: str, key: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """As :func:`serving`, until the end of the block."""
    child = serving(link, key, **options)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(60)
