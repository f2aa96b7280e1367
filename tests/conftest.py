"""What holds for all tests.

``WEFT_TEST_CPU=haswell`` runs them as on such a machine: ``llvm`` then means that processor in the
process of the tests. Any of LLVM's names will do whose instructions this machine has; ``x86-64`` is
the least that an x86 can be.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from support.pinned import PROCESSORS, pinned, pretend
from weft.ir.target import Target

OUTPUT = 4000  # characters that are shown of a test that fails again


@pytest.fixture(params=PROCESSORS)
def processor(request: pytest.FixtureRequest) -> Target:
    return pinned(request.param)


def pytest_configure() -> None:
    """Kernels are compiled for, and claims are made on, the processor that was asked for."""
    pretend()


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """A driver that crashes takes its process with it, and several drivers share one here. The test
    that met it runs once more, by itself: what crashes or fails again has failed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", crashitem]
    done = subprocess.run(
        command, cwd=sched.config.rootpath, capture_output=True, text=True, check=False
    )
    terminal = sched.config.pluginmanager.get_plugin("terminalreporter")
    if done.returncode == 0:
        report.outcome, report.longrepr = "passed", None
        terminal.write_line(f"\nthe worker of {crashitem} died; by itself the test passes")
    else:
        report.longrepr = f"{report.longrepr}\nand again:\n{done.stdout[-OUTPUT:]}"
