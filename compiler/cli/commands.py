"""What the commands of the command line do; each takes the parsed words and gives an exit code."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...ir.target import Target
from ...runtime.errors import InputError, WeftError
from ...runtime.executor import Executable
from .arguments import is_package
from .inputs import Pictures, Wanted, read_inputs
from .models import check_file, executable, options_of, progress, read_labels, unbound, wanted

# ---- compile ------------------------------------------------------------------------------------


def compile_model(args: argparse.Namespace) -> int:
    """``weft compile``: a package for each target, or a bundle."""
    path = check_file(args.model)
    if is_package(path):
        raise InputError("this is compiled already.", where=str(path))
    if args.bundle:
        return _bundle(args, path)
    from ..driver import compile_all

    output = Path(args.output) if args.output else Path(path.name).with_suffix(".weft")
    begin = time.perf_counter()
    with progress() as tell:
        options = options_of(args, tell, several=True)
        made = compile_all(path, options)
    seconds = time.perf_counter() - begin
    for exe, file in zip(made, _package_names(output, options.targets)):
        try:
            exe.save(file)
        except OSError as e:
            raise WeftError(f"the package cannot be written: {e}.", where=str(file)) from None
        size = file.stat().st_size / 2**20
        print(f"{file}: {size:.1f} MiB, {len(exe.program.steps)} kernel calls, {seconds:.1f} s")
        if args.report:
            _report(exe)
    return 0


def _package_names(output: Path, targets: Sequence[Target]) -> list[Path]:
    """``m.weft`` for one target; ``m.llvm.weft``, ``m.opencl.weft`` for several."""
    if len(targets) == 1:
        return [output]
    from ..web.bundle import slug

    stem, kinds, names = output.name.removesuffix(".weft"), [], []
    for target in targets:
        kinds.append(slug(target))
        again = kinds.count(kinds[-1])
        names.append(kinds[-1] if again == 1 else f"{kinds[-1]}-{again}")
    return [output.with_name(f"{stem}.{name}.weft") for name in names]


def _bundle(args: argparse.Namespace, path: Path) -> int:
    from ..web.bundle import WebOptions, write_bundle
    from ..web.process import Classes, Image

    web = WebOptions(
        args.weights, args.shard_size,
        image=None if args.image is None else Image(**dict(args.image)),
        classes=Classes(args.top) if args.top else None,
        labels=read_labels(args.labels) or None, title=args.title,
    )  # fmt: skip
    begin = time.perf_counter()
    with progress() as tell:
        options = options_of(args, tell, several=True)
        goals = list(options.targets)
        if args.no_fallback:
            goals = [replace(g, fallback="none") if g.fallback else g for g in goals]
        elif all(g.fallback == "wasm" for g in goals):  # a module of wasm is beside them anyway
            goals.append(replace(Target.parse("wasm"), opt_level=goals[0].opt_level))
        done = write_bundle(path, Path(args.bundle), replace(options, targets=tuple(goals)), web)
    print(f"{done}\n  {time.perf_counter() - begin:.1f} s; to see it: weft serve {done.path}")
    return 0


def serve(args: argparse.Namespace) -> int:
    """``weft serve``: until it is interrupted."""
    from ..web.serve import serve as serve_folder

    serve_folder(args.folder, args.port)
    return 0


def _report(exe: Executable) -> None:
    program = exe.program
    print(f"target   {_short(program.target)}")
    print(f"inputs   {'; '.join(map(str, exe.inputs.values()))}")
    print(f"outputs  {'; '.join(map(str, exe.outputs.values()))}")
    print(f"memory   {exe.memory}")
    print(f"kernels  {len(program.kernels)} for {len(program.steps)} calls:")
    from ..kernels.roofline import bytes_moved, kernel_facts

    facts = kernel_facts(program)
    for k, step in enumerate(program.steps):
        print(f"  {k:4}  {step.kernel}  {step.label}")
    print("\nkernel: calls, operations, bytes, layouts of its parameters; schedule")
    for kernel in program.kernels:
        known = facts.get(kernel.name, {})
        calls = sum(s.kernel == kernel.name for s in program.steps)
        layouts = ", ".join(x or "row-major" for x in known.get("layouts", ()))
        print(
            f"  {kernel.name}: {calls} ×, {known.get('flops', 0) * 1e-6:.3f} MFLOP,"
            f" {bytes_moved(kernel) * 1e-6:.3f} MB; {layouts}"
        )
        answers = known.get("choices", {})
        if answers:
            how = "tuned" if known.get("tuned") else "by rule"
            print(f"        {how}: " + ", ".join(f"{a} {_answer(v)}" for a, v in answers.items()))


def _answer(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(target: str) -> str:
    """A resolved target without the long list of processor features."""
    words = [w for w in target.split() if not w.startswith("-mattr=")]
    return " ".join(words)


# ---- run ----------------------------------------------------------------------------------------


def run_model(args: argparse.Namespace) -> int:
    """``weft run``: the outputs of one call."""
    path, model = check_file(args.model), None
    if is_package(path):
        exe = executable(args)
        inputs = {k: Wanted(s.dtype, s.shape) for k, s in exe.inputs.items()}
    else:
        from ..frontends import load

        exe, model = None, load(path, dict(args.shape))
        inputs = wanted(model)
    pictures = Pictures(args.mean, args.std, args.size, args.layout)
    feed = read_inputs(args.input, inputs, pictures)
    labels = read_labels(args.labels)
    if exe is None:
        # the arrays say what --shape leaves open
        shapes = {k: a.shape for k, a in feed.items()} if unbound(model) else {}
        exe = executable(args, shapes, model)
    results = exe.run(feed)
    for name, array in results.items():
        show_output(name, array, args.top, args.softmax, labels)
    if args.output:
        output = Path(args.output)
        try:
            with output.open("wb") as f:  # np.savez would change a name that lacks .npz
                np.savez(f, **dict[str, Any](results))
        except OSError as e:
            raise WeftError(f"the results cannot be written: {e}.", where=str(output)) from None
    return 0


def show_output(
    name: str, array: np.ndarray, top: int | None, softmax: bool, labels: list[str]
) -> None:
    """One output: its type and some numbers, or the best along the last axis."""
    print(f"{name}: {array.dtype}[{', '.join(map(str, array.shape))}]")
    if array.size == 0:
        return
    values = array.astype(np.float64) if array.dtype.kind not in "iub" else array
    if softmax and array.ndim:
        e = np.exp(values - values.max(-1, keepdims=True))
        values = e / e.sum(-1, keepdims=True)
    if top is None or not array.ndim:
        first = ", ".join(f"{v:.6g}" for v in values.reshape(-1)[:6])
        more = ", …" if array.size > 6 else ""
        print(f"  least {values.min():.6g}, greatest {values.max():.6g}; {first}{more}")
        return
    for at, row in _rows(values):
        if at:
            print(f"  {at}")
        for k in np.argsort(-row.astype(np.float64), kind="stable")[:top]:
            label = labels[k] if k < len(labels) else f"#{k}"
            print(f"  {row[k]:12.6g}  {label}")


def _rows(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The vectors along the last axis, with their place where there is more than one."""
    flat = values.reshape(-1, values.shape[-1])
    for k, row in enumerate(flat):
        place = np.unravel_index(k, values.shape[:-1]) if values.ndim > 1 else ()
        yield (f"[{', '.join(str(int(p)) for p in place)}]" if len(flat) > 1 else ""), row


# ---- bench --------------------------------------------------------------------------------------


def bench_model(args: argparse.Namespace) -> int:
    """``weft bench``: whole calls, then each kernel, beside the peaks of this machine."""
    exe = executable(args)
    if args.threads and exe.kind != "llvm":
        raise InputError(
            f"--threads has no effect on a program for {exe.kind}.", where=args.model,
            hint="leave it out",
        )  # fmt: skip
    from ...runtime.devices.cpu.cpu import CPUDevice

    device = CPUDevice()
    if args.threads:
        device.set_num_threads(args.threads)
    from ..kernels.roofline import measure_peaks, rows_of, table

    peaks = measure_peaks(Target.parse(exe.program.target), device.num_threads)
    times = exe.benchmark(repeat=args.repeat)
    profile = exe.profile(repeat=args.repeat)
    print(f"{exe.name}: {times}, {device.num_threads} threads")
    print(peaks)
    print(table(rows_of(exe.program, profile, args.by_kernel), peaks))
    return 0


# ---- the machine --------------------------------------------------------------------------------


def targets(args: argparse.Namespace) -> int:
    """``weft targets``."""
    from .machine import targets as show

    return show()


def doctor(args: argparse.Namespace) -> int:
    """``weft doctor``."""
    from .machine import doctor as examine

    return examine()


def cache(args: argparse.Namespace) -> int:
    """``weft cache``."""
    from ..kernels.cache import kernel_cache

    store = kernel_cache()
    if args.clear:
        print(f"removed {store.clear()} files")
    print(store.stats())
    return 0
