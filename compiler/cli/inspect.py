"""``weft inspect``: what is in a model or a package, and what weft lacks for it."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from ...runtime.errors import UnsupportedError, WeftError
from ...runtime.executor import opened
from .arguments import MODEL, Parser, filename, is_package, reading_options
from .models import check_file, choices_of


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    p: Parser = sub.add_parser(
        "inspect", help="show what is in a model, and what weft lacks for it", formatter_class=raw,
        description="Show a model's format, who wrote it, its inputs and outputs, its operators\n"
        "and parameters, and all that weft has not got for it. The exit code is 1 if that is\n"
        "anything.",
        epilog="examples:\n  weft inspect model.onnx\n"
        "  weft inspect saved_model/ --signature serve",
    )  # fmt: skip
    p.add_argument("model", type=filename, help=f"{MODEL}, or a package")
    reading_options(p)
    p.set_defaults(run=inspect_model)


def inspect_model(args: argparse.Namespace) -> int:
    """``weft inspect``: exit code 1 where weft lacks something."""
    path = check_file(args.model)
    if is_package(path):
        _show_package(path)
        return 0
    from ..frontends import inspect, load

    found = inspect(path, **choices_of(args))
    print(found)
    if found.missing:
        return 1
    # What names of operators do not tell (an attribute, an element type) shows where shapes are
    # known; that a model cannot be read whole for another reason is said when it is compiled.
    with suppress(WeftError):
        try:
            load(path, **choices_of(args))
        except UnsupportedError as e:
            print(e)
            return 1
    return 0


def _show_package(path: Path) -> None:
    exe = opened(path)
    rows = [("package", exe.name), ("target", exe.program.target)]
    rows += [("input", str(s)) for s in exe.inputs.values()]
    rows += [("output", str(s)) for s in exe.outputs.values()]
    rows += [("kernels", f"{len(exe.program.kernels)} for {len(exe.program.steps)} calls")]
    rows += [("memory", str(exe.memory))]
    print("\n".join(f"{k:<11} {v}" for k, v in rows))
