"""The command line: ``weft compile``, ``run``, ``check``, ``serve``, ``tune``, ``bench`` and so on.

Exit codes: 0 done, 1 an error of the model, the input or the machine (one line ``error: …`` on
standard error), 2 a wrong command line. Answers go to standard output, progress to standard error.

Modules of the command line import the compiler inside of their functions: ``weft --help`` and a
command that only runs a package would otherwise wait for it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ...runtime.errors import WeftError
from ...runtime.version import __version__
from . import check, compile, machine, run, serve, tune
from .arguments import Parser

COMMANDS = (
    compile.add_parser,
    serve.add_parser,
    run.add_parsers,
    check.add_parser,
    tune.add_parser,
    machine.add_parsers,
)  # in the order of the help

EXAMPLES = """\
examples:
  weft compile model.onnx -o model.weft --shape N=1
  weft run model.weft --input photo.jpg --top 5 --labels names.txt
  weft run model.onnx --input ids=ids.npy --input mask=mask.npy --output out.npz
  weft compile model.onnx --target webgl --bundle dist/ --image --labels names.txt
  weft serve dist/
  weft check model.onnx --target webgl --against onnxruntime
  weft tune model.onnx --shape N=1 --time 10m
  weft bench model.onnx --shape image=1,3,224,224 --threads 1
  weft doctor

'weft COMMAND --help' says more. Targets are strings such as
'llvm' (this machine) or 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72'.
"""


def parser() -> Parser:
    """The words of all commands."""
    raw = argparse.RawDescriptionHelpFormatter
    top = Parser(
        prog="weft", description="Compile trained models and run them.", epilog=EXAMPLES,
        formatter_class=raw,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=_version())
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    for declare in COMMANDS:
        declare(sub, raw)
    return top


def _version() -> str:
    return f"weft {__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except WeftError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has had enough
        sys.stderr.close()
        return 0
