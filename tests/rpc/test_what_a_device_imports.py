"""A device server and a client need ``weft.runtime`` alone, and no web server."""

import subprocess
import sys

import pytest

TOLD = """
import sys, weft.runtime.rpc.{module}
print(*sorted(sys.modules))
"""
BEYOND = ("weft.ir", "weft.codegen", "weft.compiler", "onnx", "networkx", "rich", "jinja2")


@pytest.mark.parametrize("module", ["serve", "answer", "client", "stream", "protocol"])
def test_neither_a_web_server_nor_the_compiler(module):
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(module=module)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    names = set(done.stdout.split())
    assert f"weft.runtime.rpc.{module}" in names
    assert not names & {"aiohttp", *BEYOND}
