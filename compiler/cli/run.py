"""``weft run`` and ``weft bench``: the outputs of a model, and how long it takes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.target import Target
from ...runtime.devices.table import DEVICES
from ...runtime.errors import InputError
from ...runtime.executor import Executable, opened
from ...runtime.files import check_output, written
from .arguments import (
    Parser,
    any_target,
    filename,
    has_threads,
    input_options,
    is_package,
    model_options,
    positive,
    remote_options,
    those,
)
from .inputs import ImageOptions, Wanted, read_inputs, read_labels
from .models import check_file, choices_of, executable, read_files, unbound, wanted
from .progress import messages_beside
from .remote import connected

if TYPE_CHECKING:
    from ...runtime.rpc.client import Remote

# ---- the words of the command line --------------------------------------------------------------


def add_parsers(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of both commands."""
    p: Parser = sub.add_parser(
        "run", help="run a model on images or arrays", formatter_class=raw,
        description="Run a model once and show its outputs.",
        epilog="Inputs: images (any that Pillow reads), .npy (one array), .npz (arrays by input "
        "name).\nNAME= may be left out when the model has one input. Symbolic dimensions take "
        "their\nsizes from the arrays.\n\nAn image is made RGB (grey for one channel), scaled so "
        "that it covers --size and cut\nin the middle, divided by 255, then (x - mean) / std. "
        "Inputs of type uint8 get the\npixels as they are.\n\nA .weft package is a program: its "
        "machine code runs with your rights. Run only those\nwhose origin you trust.\n\nexamples:\n"
        "  weft run model.onnx --input photo.jpg --top 5 --labels names.txt\n"
        "  weft run lite0.weft --input cat.png --mean 0.498 --std 0.502 --softmax --top 5\n"
        "  weft run model.onnx --input ids=ids.npy --input mask=mask.npy --output out.npz\n"
        "  weft run model.onnx --target webgl --rpc ws://127.0.0.1:9190 --key chrome",
    )  # fmt: skip
    model_options(p)
    input_options(p, "repeat for each input")
    _threads_option(p)
    remote_options(p, "run")
    g = p.add_argument_group("results")
    g.add_argument("--top", type=positive, metavar="K", help="show the K best along the last axis")
    g.add_argument("--softmax", action="store_true", help="turn scores into probabilities first")
    g.add_argument(
        "--labels", type=filename, metavar="FILE", help="names of the classes, one a line"
    )
    g.add_argument(
        "--output", type=filename, metavar="OUT.npz", help="write all outputs to this file"
    )
    p.counts_if(("labels",), lambda a: a.top, "it names the best classes and needs --top K")
    p.set_defaults(run=run_model)

    p = sub.add_parser(
        "bench", help="time a model and each of its kernels", formatter_class=raw,
        description="Time a model on random input: whole calls, then each kernel, beside the\n"
        "measured peaks of this machine: floating-point operations (of the model's sums) and\n"
        "bytes (each parameter of a kernel once) per second.",
        epilog="examples:\n  weft bench model.onnx --shape N=1 --threads 1 --repeat 50\n"
        "  weft bench model.onnx --target webgl --rpc ws://127.0.0.1:9190 --key chrome",
    )  # fmt: skip
    model_options(p)
    _threads_option(p)
    remote_options(p, "time it")
    p.add_argument("--repeat", type=positive, default=20, help="calls to time (default: 20)")
    p.add_argument("--by-kernel", action="store_true", help="add up the calls of equal kernels")
    p.set_defaults(run=bench_model)


def _threads_option(p: Parser) -> None:
    p.add_argument(
        "--threads", type=positive, metavar="N",
        help="of this processor (default: WEFT_NUM_THREADS, else one for each core)",
    )  # fmt: skip
    p.counts_if(
        ("threads",), lambda a: is_package(a.model) or any_target(a, has_threads),
        f"only programs for this processor (--target {those(has_threads)}) have threads",
    )  # fmt: skip
    p.counts_if(("threads",), lambda a: not a.rpc, "the device of --rpc has threads of its own")


def _use_threads(args: argparse.Namespace, exe: Executable) -> None:
    """Run the program on as many threads as ``--threads`` says."""
    if args.threads and not DEVICES[exe.kind].threads:
        raise InputError(
            f"--threads has no effect on a program for {exe.kind}.", where=args.model,
            hint="leave it out",
        )  # fmt: skip
    if args.threads:
        from ...runtime.devices.cpu.cpu import set_num_threads

        set_num_threads(args.threads)


# ---- run ----------------------------------------------------------------------------------------


def run_model(args: argparse.Namespace) -> int:
    """``weft run``: the outputs of one call."""
    path, model = check_file(args.model), None
    if args.output:
        check_output(args.output, read_files(args), what="the results")
    if is_package(path):
        exe = opened(path)
        inputs = {k: Wanted(s.dtype, s.shape) for k, s in exe.inputs.items()}
    else:
        from ..frontends import load

        exe, model = None, load(path, dict(args.shape), **choices_of(args))
        inputs = wanted(model)
    images = ImageOptions(args.mean, args.std, args.size, args.layout)
    feed = read_inputs(args.input, inputs, images)
    labels = read_labels(args.labels)
    with connected(args) as remote:
        if exe is None:
            # the arrays say what --shape leaves open
            shapes = {k: a.shape for k, a in feed.items()} if unbound(model) else {}
            exe = executable(args, shapes, model, remote)
        elif remote is not None:
            exe = remote.load(exe)
        _use_threads(args, exe)
        results = exe.run(feed)
    with messages_beside(args.output):
        if args.output:  # first: whoever reads the rest may leave
            with written(args.output, what="the results") as f:
                np.savez(f, **dict[str, Any](results))
        for name, array in results.items():
            show_output(name, array, args.top, args.softmax, labels)
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
    with connected(args) as remote:
        exe = executable(args, remote=remote)
        if remote is not None:
            return _bench_there(exe, remote, args)
    _use_threads(args, exe)
    from ...runtime.devices.cpu.cpu import CPUDevice

    device = CPUDevice()
    from ..kernels.roofline import measure_peaks, rows_of, table

    peaks = measure_peaks(Target.parse(exe.program.target), device.num_threads)
    times = exe.benchmark(repeat=args.repeat)
    profile = exe.profile(repeat=args.repeat)
    print(f"{exe.name}: {times}, {device.num_threads} threads")
    print(peaks)
    print(table(rows_of(exe.program, profile, args.by_kernel), peaks))
    return 0


def _bench_there(exe: Executable, remote: Remote, args: argparse.Namespace) -> int:
    """Whole runs by the clock there and by the one here, then each kernel. The peaks of a machine
    elsewhere are not known."""
    from ..kernels.roofline import rows_of, table

    there = remote.benchmark(exe, repeat=args.repeat)
    here = exe.benchmark(repeat=args.repeat)
    profile = exe.profile(repeat=args.repeat)
    print(f"{exe.name} for {exe.kind}")
    print(f"on {remote.name}")
    print(f"  there      {there}  (inputs there already, outputs left there)")
    print(f"  from here  {here}  (with the way there and back)")
    print(table(rows_of(exe.program, profile, args.by_kernel), None))
    return 0
