"""A device server on another processor: Debian's Python for 64-bit ARM under qemu-user, with numpy,
llvmlite and ml_dtypes and nothing else. ``tools/foreign_python.sh build/aarch64`` unpacks it, which
``make test`` does."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import weft
from support.machines import machine
from weft import te
from weft.benchmarks import zoo
from weft.benchmarks.zoo import judge
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.host import LocalHub

ROOT = Path(weft.__file__).parent
FOREIGN = ROOT / "build" / "aarch64"


@contextmanager
def arm_machine(folder: Path):
    """One that has ``weft.runtime``, as a client has it."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("needs qemu-aarch64 (qemu-user)")
    if not (FOREIGN / "python").exists():
        pytest.skip("needs a Python for ARM (tools/foreign_python.sh build/aarch64)")
    (folder / "weft").mkdir()
    for part in ("__init__.py", "runtime"):  # the compiler is not there
        (folder / "weft" / part).symlink_to(ROOT / part)
    environment = {
        "PYTHONHOME": str(FOREIGN / "root" / "usr"),
        "PYTHONPATH": f"{FOREIGN / 'site'}:{folder}",
        "PYTHONPYCACHEPREFIX": str(FOREIGN / "compiled"),
    }
    python = (emulator, "-L", str(FOREIGN / "root"), str(FOREIGN / "python"))
    with (
        LocalHub() as hub,
        machine(hub.link, "arm", python=python, environment=environment),
        connect(hub.url, token=hub.token, key="arm", timeout=300) as remote,
    ):
        yield remote


@pytest.mark.slow
def test_a_kernel_and_a_model_that_were_compiled_here(tmp_path):
    with arm_machine(tmp_path) as remote:
        assert "aarch64" in remote.targets["llvm"]["name"]
        target = remote.target("llvm")
        assert "-mtriple=aarch64-" in target

        n = 1000
        a = te.placeholder((n,), name="A")
        b = te.compute((n,), lambda i: te.exp(a[i]) * 2 + 1, name="B")
        kernel = remote.load(weft.build(te.auto_schedule(b, target), [a, b], target))
        x = np.random.default_rng(0).standard_normal(n, np.float32)
        there, result = remote.array(x), remote.empty((n,))
        kernel(there, result)
        np.testing.assert_allclose(result.numpy(), np.exp(x) * 2 + 1, rtol=1e-5)
        assert len(kernel.time(there, result, number=2, repeat=3).nanoseconds) == 3

        model = zoo.random_model("mnist_cnn")
        feeds = zoo.feed(model)
        with remote.load(weft.compile(model, target)) as exe:
            got = exe.run(feeds)
        for name, expected in judge.reference(model, feeds).items():
            assert judge.relative_error(got[name], expected) < 1e-4
