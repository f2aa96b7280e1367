"""``weft targets``, ``doctor``, ``cache``: what this machine can run, why not, what to install."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ...ir.target import HOST, Target
from ...runtime import knobs, private
from ...runtime.devices.probe import Probe, kinds, probe
from ...runtime.devices.table import DEVICES, Device
from ...runtime.errors import TargetError, WeftError
from ...runtime.forks import load_module
from ...runtime.version import __version__
from .arguments import Parser

NEEDED = ("numpy", "llvmlite", "networkx", "onnx", "ml_dtypes", "rich")
_OTHERS = {
    "pillow": ("images in 'weft run'", "weft[images]"),
    "onnxruntime": ("'weft check --against onnxruntime', tests, benchmarks", "onnxruntime"),
    "lightgbm": ("'weft tune'", "weft[tune]"),
    "segno": ("the QR code of 'weft rpc hub'", "weft[rpc]"),
    "distributed": ("'weft tune --dask'", "weft[dask]"),
}


def add_parsers(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the three commands."""
    p: Parser = sub.add_parser(
        "targets", help="what weft compiles for, and what runs here", formatter_class=raw,
        description="List the kinds of targets, what of this machine runs them or why nothing\n"
        "does, and what some processors offer.",
        epilog="example:\n  weft compile model.onnx --target 'llvm -mtriple=riscv64-linux-gnu'",
    )  # fmt: skip
    p.set_defaults(run=targets)

    p = sub.add_parser(
        "doctor", help="versions, drivers, limits, what to install", formatter_class=raw,
        description="Check the installation: versions, processor, threads, cache, drivers and\n"
        "their limits, and whether kernels compile and give the right numbers; says what to\n"
        "install. The exit code is 1 if something that is needed is wrong.",
        epilog="example:\n  WEFT_NUM_THREADS=4 weft doctor",
    )  # fmt: skip
    p.set_defaults(run=doctor)

    p = sub.add_parser(
        "cache", help="show or clear the kernel cache", formatter_class=raw,
        description="Show where compiled kernels are kept and how much room they take, or remove\n"
        "them. WEFT_CACHE_DIR moves the cache, WEFT_CACHE_MB bounds it, WEFT_CACHE=0 turns it off.",
        epilog="examples:\n  weft cache\n  weft cache --clear",
    )  # fmt: skip
    p.add_argument("--clear", action="store_true", help="remove all kernels from it")
    p.set_defaults(run=cache)


def optional() -> dict[str, tuple[str, str]]:
    """Packages that are not needed: what for, what pip calls it."""
    drivers = {
        row.package: (f"running {row.kind} from Python", f"weft[{row.extra}]")
        for row in DEVICES.values()
        if row.package
    }
    return {**_OTHERS, **drivers}


def machine() -> list[Probe]:
    """What runs each kind of target here, browsers included."""
    return [probe(kind) for kind in kinds()]


# ---- weft targets -------------------------------------------------------------------------------


def targets(args: argparse.Namespace) -> int:
    """``weft targets``: print what can be compiled for, and what can be run here."""
    from ...codegen import resolve
    from ...ir.target import kinds as compiled

    found = {p.kind: p for p in machine()}
    for kind in compiled():
        print(f"{kind:<8} {DEVICES.get(kind, Device(kind)).code or 'registered by a program'}")
        p = found.get(kind)
        if p is None:
            continue
        if p.ok:
            print(f"         runs here: {p.description}")
        else:
            print(f"         cannot run here: {p.reason}")
            if p.hint:
                print(f"         to change that: {p.hint}")
    print(f"\n{'processor':<34} {'vector bits':>11} {'registers':>9}  multiply-add  masked memory")
    examples = [f"{row.kind} {o}".rstrip() for row in DEVICES.values() for o in row.processors]
    for text in examples:
        t = resolve(text)
        fma, masked = ("yes" if f else "no" for f in (t.has_fma, t.has_masked_memory))
        print(f"{text:<34} {t.vector_bits:>11} {t.num_vector_registers:>9}  {fma:<12}  {masked}")
    host = resolve(HOST)
    print(f"\n{HOST!r} alone is this machine: {host.mtriple}, {host.mcpu}")
    return 0


# ---- weft doctor --------------------------------------------------------------------------------


def doctor(args: argparse.Namespace) -> int:
    """``weft doctor``: print one line a fact; exit code 1 when something that is needed fails."""
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
    for name, (use, install) in optional().items():
        try:
            print(f"  ok   {name:<12} {version(name)}")
        except PackageNotFoundError:
            print(f"  -    {name:<12} not installed (for {use}): pip install '{install}'")
    print("targets")
    for p in machine():
        if p.kind == HOST:  # said above
            continue
        print(f"  {'ok ' if p.ok else '-  '}  {p.kind:<12} {p.description or p.reason}")
        for line in _details(p):
            print(f"{'':20}{line}")
    print("everything that is needed works" if not bad else f"{bad} of {len(checks)} checks failed")
    return int(bad > 0)


def _details(p: Probe) -> Iterator[str]:
    """The device's limits beside those that programs are compiled for; a kernel that ran."""
    if not p.ok:
        if p.hint:
            yield f"to install: {p.hint}"
        return
    if p.limits:
        yield "limits: " + ", ".join(f"{k} {v}" for k, v in p.limits.items())
        yield from _too_small(p)
    if DEVICES[p.kind].runner is not None:
        try:
            yield _small_model(p.kind)
        except (WeftError, ImportError) as e:
            yield f"PROBLEM: a test model does not run: {e}"


def _too_small(p: Probe) -> Iterator[str]:
    """Limits that are below what programs for this kind are compiled for by default."""
    try:
        usual = Target.parse(p.kind)
    except TargetError:
        return
    for name, have in p.limits.items():
        want = getattr(usual, name, 0)
        if isinstance(want, int) and not isinstance(want, bool) and 0 < have < want:
            yield (
                f"programs are compiled for {name} {want} and will not run: "
                f"--target '{p.kind} -{name}={have}'"
            )


def _small_model(kind: str) -> str:
    """A matrix product and a softmax, on the device and by numpy."""
    from ..driver import compile as compile_model
    from ..graph.builder import GraphBuilder

    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((5, 33), (33, 17)))
    b = GraphBuilder("doctor")
    (y,) = b.add("matmul", [b.input("x", "float32", x.shape), b.constant(w, "w")])
    (y,) = b.add("softmax", [y])
    got = compile_model(b.finish([y]), kind)(x)
    e = np.exp(x @ w - (x @ w).max(-1, keepdims=True))
    if not np.allclose(got, e / e.sum(-1, keepdims=True), rtol=1e-3, atol=1e-5):
        raise WeftError("the results are wrong.", hint="please report this")
    return "a test model compiles, runs, right numbers"


def _weft() -> str:
    return f"{__version__} ({Path(__file__).resolve().parents[2]})"


def _module(name: str) -> str:
    load_module(name)  # a package may be listed and broken
    return version(name)


def _llvm() -> str:
    import llvmlite.binding as llvm

    return ".".join(map(str, llvm.llvm_version_info))


def _processor() -> str:
    from ...codegen.llvm import generator as llvm

    t = llvm.resolve(Target.parse(HOST))
    fma = "fused multiply-add" if t.has_fma else "no fused multiply-add"
    masked = "masked memory" if t.has_masked_memory else "no masked memory"
    registers = f"{t.num_vector_registers} registers of {t.vector_bits} bits"
    return f"{t.mcpu} ({t.mtriple}): {registers}, {fma}, {masked}"


def _threads() -> str:
    from ...runtime.devices.cpu.cpu import CPUDevice

    return f"{CPUDevice().num_threads} (WEFT_NUM_THREADS changes it)"


def _cache() -> str:
    from ..kernels.cache import kernel_cache

    if not knobs.cache_enabled():
        return "switched off by WEFT_CACHE=0"
    probe = private.checked_cache_folder("kernels") / f".doctor.{os.getpid()}"
    private.write_new(probe, b"")
    probe.unlink()
    stats = kernel_cache().stats()
    size = f"{stats.entries} kernels, {stats.bytes / 2**20:.1f} MiB"
    return f"{stats.folder}: writable by this user alone, {size}"


def _kernel() -> str:
    from ...ir import te
    from ...ir.tensor import Tensor
    from ..kernels.build import build

    a = te.placeholder((1000,), name="a")
    b = te.compute((1000,), lambda i: a[i] * 2.0 + 1.0, name="b")
    assert isinstance(b, Tensor)  # one result
    kernel = build(te.create_schedule(b), [a, b], name="doctor")
    x, y = np.arange(1000, dtype=np.float32), np.empty(1000, np.float32)
    kernel(x, y)
    if not np.array_equal(y, 2 * x + 1):
        raise WeftError("the test kernel computes wrong numbers.", hint="please report this")
    return "compiles, runs, right numbers"


# ---- weft cache ---------------------------------------------------------------------------------


def cache(args: argparse.Namespace) -> int:
    """``weft cache``."""
    from ..kernels.cache import kernel_cache

    if knobs.cache_enabled():
        private.checked_cache_folder("kernels")
    store = kernel_cache()
    if args.clear:
        print(f"removed {store.clear()} files")
    print(store.stats())
    return 0
