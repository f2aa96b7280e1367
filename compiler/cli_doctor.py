"""``weft doctor``: is everything there, and does a kernel compile and run?"""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ..runtime import knobs
from ..runtime.errors import WeftError

NEEDED = ("numpy", "llvmlite", "networkx", "onnx", "ml_dtypes", "rich")
OPTIONAL = {"pillow": "pictures in 'weft run'", "onnxruntime": "tests, demo, benchmarks"}


def examine() -> int:
    """Print one line a fact; exit code 1 when something that is needed fails."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("weft", _weft),
        ("python", lambda: f"{platform.python_version()} ({sys.executable})"),
        *[(name, lambda name=name: _module(name)) for name in NEEDED],
        ("LLVM", _llvm),
        ("processor", _processor),
        ("threads", _threads),
        ("cache", _cache),
        ("test kernel", _kernel),
    ]
    bad = 0
    for name, check in checks:
        try:
            print(f"  ok   {name:<12} {check()}")
        except (WeftError, PackageNotFoundError, OSError, ImportError) as e:
            print(f"  BAD  {name:<12} {type(e).__name__}: {e}")
            bad += 1
    for name, use in OPTIONAL.items():
        try:
            print(f"  ok   {name:<12} {version(name)}")
        except PackageNotFoundError:
            print(f"  -    {name:<12} not installed (used for: {use})")
    try:
        print(f"  ok   {'emscripten':<12} {_emscripten()}")
    except WeftError as e:
        print(f"  -    {'emscripten':<12} {e.message} (used for: wasm in web pages)")
    print("everything works" if not bad else f"{bad} of {len(checks)} checks failed")
    return int(bad > 0)


def _weft() -> str:
    from .. import __version__

    return f"{__version__} ({Path(__file__).resolve().parents[1]})"


def _module(name: str) -> str:
    importlib.import_module(name)  # a package may be listed and broken
    return version(name)


def _llvm() -> str:
    import llvmlite.binding as llvm

    return ".".join(map(str, llvm.llvm_version_info))


def _emscripten() -> str:
    from ..codegen import emscripten

    return f"{'.'.join(map(str, emscripten.version()))} ({emscripten.find()})"


def _processor() -> str:
    from ..codegen import llvm
    from ..ir.target import Target

    t = llvm.resolve(Target.parse("llvm"))
    fma = "fused multiply-add" if t.has_fma else "no fused multiply-add"
    masked = "masked memory" if t.has_masked_memory else "no masked memory"
    registers = f"{t.num_vector_registers} registers of {t.vector_bits} bits"
    return f"{t.mcpu} ({t.mtriple}): {registers}, {fma}, {masked}"


def _threads() -> str:
    from ..runtime.devices.cpu import CPUDevice

    return f"{CPUDevice().num_threads} (WEFT_NUM_THREADS changes it)"


def _cache() -> str:
    from .cache import kernel_cache

    if not knobs.cache_enabled():
        return "switched off by WEFT_CACHE=0"
    folder = knobs.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".doctor"
    probe.write_bytes(b"")
    probe.unlink()
    stats = kernel_cache().stats()
    return f"{stats.folder}: writable, {stats.entries} kernels, {stats.bytes / 2**20:.1f} MiB"


def _kernel() -> str:
    from ..ir import te
    from ..ir.tensor import Tensor
    from .build import build

    a = te.placeholder((1000,), name="a")
    b = te.compute((1000,), lambda i: a[i] * 2.0 + 1.0, name="b")
    assert isinstance(b, Tensor)  # one result
    kernel = build(te.create_schedule(b), [a, b], name="doctor")
    x, y = np.arange(1000, dtype=np.float32), np.empty(1000, np.float32)
    kernel(x, y)
    if not np.array_equal(y, 2 * x + 1):
        raise WeftError("the test kernel gave wrong numbers.", hint="please report this")
    return "compiles, runs, right numbers"
