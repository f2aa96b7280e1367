"""Processors that tests of schedules, features and generated code are about: a claim on numbers
names the processor that has them, a claim on rules holds for each (the fixture ``processor``).

Nothing here asks what this machine is. A test that runs kernels compiles for ``llvm``, and what it
claims is true on any machine (``WEFT_TEST_CPU``, see ``conftest.py``, shows it).
"""

from __future__ import annotations

from functools import cache

from weft.codegen import llvm
from weft.ir.target import Target

PROCESSORS = {
    "haswell": "x86_64-unknown-linux-gnu",  # 16 registers of 256 bits, 256 KiB of cache
    "znver3": "x86_64-unknown-linux-gnu",  # 16 of 256 bits, 512 KiB
    "znver5": "x86_64-unknown-linux-gnu",  # 32 of 512 bits, 1 MiB
    "cortex-a72": "aarch64-unknown-linux-gnu",  # 32 of 128 bits, 512 KiB
}


@cache
def pinned(name: str) -> Target:
    """The resolved target of one of ``PROCESSORS``."""
    return llvm.resolve(Target.parse(f"llvm -mtriple={PROCESSORS[name]} -mcpu={name}"))
