"""``weft compile``: a model as packages, or as a web page."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...ir.target import Target
from ...runtime.errors import InputError, PackageError
from ...runtime.executor import Executable
from ...runtime.files import check_output, is_plain
from .arguments import (
    MODEL,
    Parser,
    any_target,
    compile_options,
    filename,
    has_threads,
    image,
    is_package,
    megabytes,
    positive,
    those,
)
from .inputs import read_labels
from .models import check_file, options_of, read_files, source_of
from .progress import messages_beside, progress


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    p: Parser = sub.add_parser(
        "compile", help="compile a model into a package", formatter_class=raw,
        description="Compile a model into a package that needs no compiler to run, or into a web\n"
        "page. --target may list several targets: the graph is then read and simplified\n"
        "once, and there is a package for each (model.llvm.weft, model.opencl.weft), or a page\n"
        "that takes the first one that works.",
        epilog="examples:\n  weft compile model.onnx -o model.weft --shape N=1 --report\n"
        "  weft compile model.onnx -o phone.weft --target 'llvm -mtriple=aarch64-linux-gnu'\n"
        "  weft compile model.onnx --target webgpu,webgl,wasm --bundle dist/ --weights f16 \\\n"
        "      --image mean=0.5 std=0.5 --labels names.txt\n"
        "  weft compile model.onnx --target 'wasm -threads' --bundle dist/\n"
        "  weft compile model.onnx --target llvm,opencl -o out/model.weft",
    )  # fmt: skip
    p.add_argument("model", type=filename, help=MODEL)
    p.add_argument(
        "-o", "--output", type=filename, metavar="FILE",
        help="the package (default: the model's name with .weft)",
    )  # fmt: skip
    compile_options(p)
    p.add_argument(
        "--threads", dest="most_threads", type=positive, metavar="N",
        help="threads that the program uses at most (default: all that its process has)",
    )  # fmt: skip
    p.counts_if(
        ("most_threads",), lambda a: any_target(a, lambda t: has_threads(t) or t.threads),
        "only programs for llvm and 'wasm -threads' have threads",
    )  # fmt: skip
    p.add_argument(
        "--report", action="store_true",
        help="list the kernels with their layouts and schedules, and the memory",
    )  # fmt: skip
    _bundle_options(p)
    p.set_defaults(run=compile_model)


def _bundle_options(p: Parser) -> None:
    """What a web page is."""
    g = p.add_argument_group("web pages")
    g.add_argument(
        "--bundle", type=filename, metavar="FOLDER", help="write a folder that is a web page"
    )
    g.add_argument(
        "--weights", choices=["f32", "f16", "int8"], default="f32",
        help="how weights are stored in the bundle (default: f32)",
    )  # fmt: skip
    g.add_argument(
        "--shard-size", type=megabytes, default=8, metavar="MIB",
        help="weights of one file (default: 8)",
    )  # fmt: skip
    g.add_argument(
        "--image", nargs="*", type=image, metavar="OPTION=VALUE",
        help="the input is an image, prepared inside the model: mean=, std= (of pixels in 0..1; "
        "default ImageNet's), size= (default: the model's), crop= (0.875), canvas=, input=, bgr",
    )  # fmt: skip
    g.add_argument(
        "--labels", type=filename, metavar="FILE", help="names of the classes, one a line"
    )
    g.add_argument("--top", type=positive, metavar="K", help="show the K best classes")
    g.add_argument("--title", help="what the page calls the model")
    g.add_argument(
        "--no-fallback", action="store_true",
        help="no wasm program beside those for webgpu and webgl (needs no Emscripten)",
    )  # fmt: skip
    p.counts_if(
        ("weights", "shard_size", "image", "labels", "top", "title", "no_fallback"),
        lambda a: a.bundle, "it is for web pages and needs --bundle FOLDER",
    )  # fmt: skip
    p.counts_if(
        ("output", "report"), lambda a: not a.bundle, "it is for packages; leave --bundle out"
    )
    p.counts_if(
        ("no_fallback",), lambda a: any_target(a, lambda t: t.has_fallback),
        f"only --target {those(lambda t: t.has_fallback)} have a fallback",
    )  # fmt: skip


def compile_model(args: argparse.Namespace) -> int:
    """``weft compile``: a package for each target, or a bundle."""
    path = check_file(args.model)
    if is_package(path):
        raise InputError("this is compiled already.", where=str(path))
    if args.bundle:
        return _bundle(args)
    from ..driver import compile_all

    output = Path(args.output) if args.output else Path(path.absolute().name).with_suffix(".weft")
    begin = time.perf_counter()
    with progress() as tell:
        options = options_of(args, tell, several=True)
        names = _package_names(output, options.targets)
        for file in names:
            check_output(file, read_files(args), error=PackageError, what="the package")
        made = compile_all(source_of(args), options)
    seconds = time.perf_counter() - begin
    with messages_beside(*names):
        for exe, file in zip(made, names):  # all before a word: whoever reads that may leave
            exe.save(file)
        for exe, file in zip(made, names):
            size = f"{file.stat().st_size / 2**20:.1f} MiB, " if file.is_file() else ""
            print(f"{file}: {size}{len(exe.program.steps)} kernel calls, {seconds:.1f} s")
            if args.report:
                _report(exe)
    return 0


def _package_names(output: Path, targets: Sequence[Target]) -> list[Path]:
    """``m.weft`` for one target; ``m.llvm.weft``, ``m.opencl.weft`` for several."""
    if len(targets) == 1:
        return [output]
    if not is_plain(output):
        raise PackageError(
            f"there is a package for each of {len(targets)} targets, and this is no plain file.",
            where=str(output), hint="name a file, or one target",
        )  # fmt: skip
    from ..web.bundle import slug

    stem, kinds, names = output.name.removesuffix(".weft"), [], []
    for target in targets:
        kinds.append(slug(target))
        again = kinds.count(kinds[-1])
        names.append(kinds[-1] if again == 1 else f"{kinds[-1]}-{again}")
    return [output.with_name(f"{stem}.{name}.weft") for name in names]


def _bundle(args: argparse.Namespace) -> int:
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
        elif all(g.has_fallback for g in goals):  # its module is beside them anyway
            spare = dict.fromkeys(g.fallback for g in goals)
            goals += [replace(Target.parse(s), opt_level=goals[0].opt_level) for s in spare]
        options = replace(options, targets=tuple(goals))
        done = write_bundle(source_of(args), args.bundle, options, web)
    print(f"{done}\n  {time.perf_counter() - begin:.1f} s; to see it: weft serve {done.path}")
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
