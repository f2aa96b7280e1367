"""What the commands of the command line do; each takes the parsed words and gives an exit code."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import InputError, WeftError
from ..runtime.executor import Executable
from .cli_inputs import Pictures, Wanted, read_inputs


@contextmanager
def progress() -> Iterator[Any]:
    """A callback for ``compile``'s progress: a bar on a terminal, a line per stage elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=max(total, 1))
            bar.update(tasks[stage], completed=done if total else 1, total=max(total, 1))

        yield tell


class _Lines:
    """One line when a stage begins and, for the long one, one a few seconds."""

    def __init__(self) -> None:
        self.stage, self.last = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self.stage or (done < total and now - self.last > 5):
            count = f" {done}/{total}" if done else ""
            print(f"{stage}{count} …", file=sys.stderr, flush=True)
            self.stage, self.last = stage, now


def _is_package(path: Path) -> bool:
    return path.suffix.lower() == ".weft"


def _check_file(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}.", hint="give the path of a model")
    return path


def _executable(args: argparse.Namespace, shapes: Mapping[str, Any], model: Any = None) -> Any:
    """The executable that ``args`` asks for; a model already loaded may be given."""
    path = _check_file(Path(args.model))
    if _is_package(path):
        if args.shape:
            raise InputError(
                "a package has fixed shapes.", where=str(path), hint="leave --shape out"
            )
        from ..runtime.executor import load

        return load(path)
    from .driver import compile as compile_model

    with progress() as tell:
        return compile_model(
            path if model is None else model, args.target, dict(shapes),
            opt_level=args.opt_level, progress=tell, cache=not args.no_cache,
            records=_records(args.records), accuracy=args.accuracy,
        )  # fmt: skip


def _records(file: str | None) -> Any:
    """What ``compile`` takes as its records: the default ones, none, or those of a file."""
    if file is None or file == "0":
        return file is None
    from .tune.records import Records

    return Records(Path(file), must_exist=True)


# ---- compile ------------------------------------------------------------------------------------


def compile_model(args: argparse.Namespace) -> int:
    path = _check_file(Path(args.model))
    if _is_package(path):
        raise InputError("this is compiled already.", where=str(path))
    if args.bundle:
        return write_bundle(args, path)
    from ..ir.target import split_targets
    from .driver import compile_many

    targets = split_targets(args.target)
    output = Path(args.output) if args.output else Path(path.name).with_suffix(".weft")
    begin = time.perf_counter()
    with progress() as tell:
        made = compile_many(
            path, targets, dict(args.shape), opt_level=args.opt_level, progress=tell,
            cache=not args.no_cache, records=_records(args.records), accuracy=args.accuracy,
        )  # fmt: skip
    seconds = time.perf_counter() - begin
    for exe, file in zip(made, _package_names(output, targets)):
        try:
            exe.save(file)
        except OSError as e:
            raise WeftError(f"the package cannot be written: {e}.", where=str(file)) from None
        size = file.stat().st_size / 2**20
        print(f"{file}: {size:.1f} MiB, {len(exe.program.steps)} kernel calls, {seconds:.1f} s")
        if args.report:
            _report(exe)
    return 0


def _package_names(output: Path, targets: Sequence[str]) -> list[Path]:
    """``m.weft`` for one target; ``m.llvm.weft``, ``m.opencl.weft`` for several."""
    if len(targets) == 1:
        return [output]
    from ..ir.target import Target
    from .bundle import slug

    stem, kinds, names = output.name.removesuffix(".weft"), [], []
    for text in targets:
        kinds.append(slug(Target.parse(text)))
        again = kinds.count(kinds[-1])
        names.append(kinds[-1] if again == 1 else f"{kinds[-1]}-{again}")
    return [output.with_name(f"{stem}.{name}.weft") for name in names]


def write_bundle(args: argparse.Namespace, path: Path) -> int:
    from ..ir.target import Target, split_targets
    from .bundle import bundle
    from .process import Classes, Image

    goals = [Target.parse(t) for t in split_targets(args.target)]
    if args.no_fallback:
        goals = [replace(g, fallback="none") if g.fallback else g for g in goals]
    elif all(g.fallback == "wasm" for g in goals):  # there is a module of wasm beside them anyway
        goals.append(Target.parse("wasm"))
    labels = _labels(args.labels) or None
    begin = time.perf_counter()
    with progress() as tell:
        done = bundle(
            path, args.bundle, goals,
            shapes=dict(args.shape), weights=args.weights, shard_mb=args.shard_size,
            image=None if args.image is None else Image(**dict(args.image)),
            classes=Classes(args.top) if args.top else None, labels=labels, title=args.title,
            opt_level=args.opt_level, progress=tell, cache=not args.no_cache,
            accuracy=args.accuracy,
        )  # fmt: skip
    print(f"{done}\n  {time.perf_counter() - begin:.1f} s; to see it: weft serve {done.path}")
    return 0


def serve(args: argparse.Namespace) -> int:
    from .serve import serve as serve_folder

    serve_folder(args.folder, args.port)
    return 0


def _report(exe: Executable) -> None:
    program = exe.program
    print(f"target   {_short(program.target)}")
    print(f"inputs   {'; '.join(map(str, exe.inputs.values()))}")
    print(f"outputs  {'; '.join(map(str, exe.outputs.values()))}")
    print(f"memory   {exe.memory}")
    print(f"kernels  {len(program.kernels)} for {len(program.steps)} calls:")
    from .roofline import bytes_moved, kernel_facts

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
    path, model = _check_file(Path(args.model)), None
    if _is_package(path):
        exe = _executable(args, {})
        wanted = {k: Wanted(s.dtype, s.shape) for k, s in exe.inputs.items()}
    else:
        from .frontends import load

        exe, model = None, load(path, dict(args.shape))
        wanted = _wanted(model)
    pictures = Pictures(args.mean, args.std, args.size, args.layout)
    feed = read_inputs(args.input, wanted, pictures)
    labels = _labels(args.labels)
    if exe is None:
        # the arrays say what --shape leaves open
        shapes = {k: a.shape for k, a in feed.items()} if _unbound(model) else {}
        exe = _executable(args, shapes, model)
    results = exe.run(feed)
    for name, array in results.items():
        show_output(name, array, args.top, args.softmax, labels)
    if args.output:
        output = Path(args.output)
        try:
            with output.open("wb") as f:  # np.savez would change a name that lacks .npz
                np.savez(f, **results)
        except OSError as e:
            raise WeftError(f"the results cannot be written: {e}.", where=str(output)) from None
    return 0


def _unbound(model: Any) -> bool:
    from .frontends import UnboundGraph

    return isinstance(model, UnboundGraph)


def _wanted(model: Any) -> dict[str, Wanted]:
    """What is known of the inputs of a graph, bound or not."""
    if not _unbound(model):
        return {i: Wanted(model.types[i].dtype, model.types[i].shape) for i in model.inputs}
    result = {}
    for name, t in model.signature.items():
        dims = t.dims if t.dims is not None else ()
        sizes = tuple(d if isinstance(d, int) else model.shapes.get(d) for d in dims)
        whole = model.shapes.get(name)
        result[name] = Wanted(t.dtype, tuple(whole) if isinstance(whole, tuple) else sizes)
    return result


def _labels(file: str | None) -> list[str]:
    if file is None:
        return []
    try:
        return Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"the labels cannot be read: {e}.", where=file) from None


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
    exe = _executable(args, dict(args.shape))
    from ..ir.target import Target
    from ..runtime.devices.cpu import CPUDevice

    device = CPUDevice()
    if args.threads:
        device.set_num_threads(args.threads)
    from .roofline import measure_peaks, rows_of, table

    peaks = measure_peaks(Target.parse(exe.program.target), device.num_threads)
    times = exe.benchmark(repeat=args.repeat)
    profile = exe.profile(repeat=args.repeat)
    print(f"{exe.name}: {times}, {device.num_threads} threads")
    print(peaks)
    print(table(rows_of(exe.program, profile, args.by_kernel), peaks))
    return 0


# ---- the machine --------------------------------------------------------------------------------


def targets(args: argparse.Namespace) -> int:
    from .cli_machine import targets as show

    return show()


def doctor(args: argparse.Namespace) -> int:
    from .cli_machine import doctor as examine

    return examine()


def cache(args: argparse.Namespace) -> int:
    from .cache import kernel_cache

    store = kernel_cache()
    if args.clear:
        print(f"removed {store.clear()} files")
    print(store.stats())
    return 0
