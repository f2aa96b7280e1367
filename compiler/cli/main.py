"""The command line: ``weft compile``, ``run``, ``check``, ``tune``, ``inspect`` and so on.

Exit codes: 0 done, 1 an error of the model, the input or the machine (one line ``error: …`` on
standard error), 2 a wrong command line, 130 interrupted. Answers go to standard output, progress to
standard error.

Modules of the command line import the compiler inside of their functions: ``weft --help`` and a
command that only runs a package would otherwise wait for it.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Sequence
from contextlib import suppress

from ...runtime import knobs
from ...runtime.errors import WeftError
from ...runtime.guard import internal
from ...runtime.version import __version__
from . import check, compile, inspect, machine, rpc, run, serve, tune
from .arguments import Parser
from .streams import plain_streams, say

COMMANDS = (
    inspect.add_parser,
    compile.add_parser,
    serve.add_parser,
    run.add_parsers,
    check.add_parser,
    tune.add_parser,
    rpc.add_parser,
    machine.add_parsers,
)  # in the order of the help

EXAMPLES = """\
examples:
  weft inspect model.tflite
  weft compile model.onnx -o model.weft --shape N=1
  weft run model.weft --input photo.jpg --top 5 --labels names.txt
  weft run model.onnx --input ids=ids.npy --input mask=mask.npy --output out.npz
  weft compile model.onnx --target webgl --bundle dist/ --image --labels names.txt
  weft serve dist/
  weft check model.onnx --target webgl --against onnxruntime
  weft tune model.onnx --shape N=1 --time 10m
  weft bench model.onnx --shape image=1,3,224,224 --threads 1
  weft rpc hub
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
    try:
        with plain_streams():
            args = parser().parse_args(argv)
            return args.run(args)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except WeftError as e:
        return _failed(e)
    except Exception as e:
        if _is_interrupt(e):
            say("interrupted")
            return 130
        return _failed(internal(e), e)


def _failed(error: WeftError, cause: BaseException | None = None) -> int:
    say(f"error: {error}")
    cause = cause or error.__cause__
    with suppress(WeftError):  # of a WEFT_DEBUG that is no number
        if cause is not None and knobs.debug():
            say("".join(traceback.format_exception(cause)))
    return 1


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt is behind an error: modules in C make an ImportError of it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
