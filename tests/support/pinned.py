"""Processors that tests of schedules, features and generated code are about: a claim on numbers
names the processor that has them, a claim on rules holds for each (the fixture ``processor``).

A test that runs kernels compiles for ``llvm``, and what it claims is true on any machine
(``WEFT_TEST_CPU``, see ``conftest.py``, shows it), or for ``PLAIN``, where that can run.
"""

from __future__ import annotations

import os
import platform
from functools import cache

import pytest
from llvmlite import binding
from weft.codegen.llvm import generator as llvm
from weft.ir.target import Target

PROCESSORS = {
    "haswell": "x86_64-unknown-linux-gnu",  # 16 registers of 256 bits, 256 KiB of cache
    "znver3": "x86_64-unknown-linux-gnu",  # 16 of 256 bits, 512 KiB
    "znver5": "x86_64-unknown-linux-gnu",  # 32 of 512 bits, 1 MiB
    "cortex-a72": "aarch64-unknown-linux-gnu",  # 32 of 128 bits, 512 KiB
}

# Every x86 of the last fifteen years: no fused multiply-add, no conversion of float16.
PLAIN = "llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v2"
ON_X86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="runs the code of an x86"
)
# What cannot run here.
FOREIGN = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
if platform.machine() in ("aarch64", "arm64"):
    FOREIGN = PLAIN
RUNNING = ("llvm", pytest.param(PLAIN, marks=ON_X86))


@cache
def pinned(name: str) -> Target:
    """The resolved target of one of ``PROCESSORS``."""
    return llvm.resolve(Target.parse(f"llvm -mtriple={PROCESSORS[name]} -mcpu={name}"))


class _Features(dict[str, bool]):
    """What this machine has, so that only what it can run is run; the processor's name says what
    code is made for."""

    def flatten(self, sort: bool = True) -> str:
        return ""


def pretend() -> None:
    """Make ``llvm`` mean the processor that ``WEFT_TEST_CPU`` names, in this process."""
    if cpu := os.environ.get("WEFT_TEST_CPU"):
        features = _Features(binding.get_host_cpu_features())
        binding.get_host_cpu_name = lambda: cpu
        binding.get_host_cpu_features = lambda: features
