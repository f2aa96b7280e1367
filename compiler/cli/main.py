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
from . import check as cli_check
from . import commands
from . import tune as cli_tune
from .arguments import (
    Parser,
    bundle_options,
    compile_options,
    input_options,
    is_package,
    may_be,
    model_options,
    positive,
)

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

    p = sub.add_parser(
        "compile", help="compile a model into a package", formatter_class=raw,
        description="Compile an ONNX model into a package that needs no compiler to run, or into\n"
        "a web page. --target may list several targets: the graph is then read and simplified\n"
        "once, and there is a package for each (model.llvm.weft, model.opencl.weft), or a page\n"
        "that takes the first one that works.",
        epilog="examples:\n  weft compile model.onnx -o model.weft --shape N=1 --report\n"
        "  weft compile model.onnx -o phone.weft --target 'llvm -mtriple=aarch64-linux-gnu'\n"
        "  weft compile model.onnx --target webgpu,webgl,wasm --bundle dist/ --weights f16 \\\n"
        "      --image mean=0.5 std=0.5 --labels names.txt\n"
        "  weft compile model.onnx --target 'wasm -threads' --bundle dist/\n"
        "  weft compile model.onnx --target llvm,opencl -o out/model.weft",
    )  # fmt: skip
    p.add_argument("model", help="an ONNX file")
    p.add_argument("-o", "--output", help="the package (default: the model's name with .weft)")
    compile_options(p)
    p.add_argument(
        "--report", action="store_true",
        help="list the kernels with their layouts and schedules, and the memory",
    )  # fmt: skip
    bundle_options(p)
    p.set_defaults(run=commands.compile_model)

    p = sub.add_parser(
        "serve", help="show a bundle in a browser of this machine",
        description="Serve a bundle on this machine only, with all that its page can use.",
        epilog="example:\n  weft serve dist/ --port 8000", formatter_class=raw,
    )  # fmt: skip
    p.add_argument("folder", help="the bundle")
    p.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    p.set_defaults(run=commands.serve)

    p = sub.add_parser(
        "run", help="run a model on pictures or arrays", formatter_class=raw,
        description="Run a model once and show its outputs.",
        epilog="Inputs: pictures (any that Pillow reads), .npy (one array), .npz (arrays by input "
        "name).\nNAME= may be left out when the model has one input. Symbolic dimensions take "
        "their\nsizes from the arrays.\n\nA picture is made RGB (grey for one channel), scaled so "
        "that it covers --size and cut\nin the middle, divided by 255, then (x - mean) / std. "
        "Inputs of type uint8 get the\npixels as they are.\n\nexamples:\n"
        "  weft run model.onnx --input photo.jpg --top 5 --labels names.txt\n"
        "  weft run lite0.weft --input cat.png --mean 0.498 --std 0.502 --softmax --top 5\n"
        "  weft run model.onnx --input ids=ids.npy --input mask=mask.npy --output out.npz",
    )  # fmt: skip
    model_options(p)
    input_options(p, "repeat for each input")
    g = p.add_argument_group("results")
    g.add_argument("--top", type=positive, metavar="K", help="show the K best along the last axis")
    g.add_argument("--softmax", action="store_true", help="turn scores into probabilities first")
    g.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    g.add_argument("--output", metavar="OUT.npz", help="write all outputs to this file")
    p.counts_if(("labels",), lambda a: a.top, "it names the best classes and needs --top K")
    p.set_defaults(run=commands.run_model)

    p = sub.add_parser(
        "bench", help="time a model and each of its kernels", formatter_class=raw,
        description="Time a model on random input: whole calls, then each kernel, beside the\n"
        "measured peaks of this machine: floating-point operations (of the model's sums) and\n"
        "bytes (each parameter of a kernel once) per second.",
        epilog="example:\n  weft bench model.onnx --shape N=1 --threads 1 --repeat 50",
    )  # fmt: skip
    model_options(p)
    p.add_argument("--threads", type=positive, help="default: WEFT_NUM_THREADS, else all cores")
    p.add_argument("--repeat", type=positive, default=20, help="calls to time (default: 20)")
    p.add_argument("--by-kernel", action="store_true", help="add up the calls of equal kernels")
    p.counts_if(
        ("threads",), lambda a: is_package(a.model) or may_be(a, "llvm"),
        "only programs for this processor (--target llvm) have threads",
    )  # fmt: skip
    p.set_defaults(run=commands.bench_model)

    cli_check.add_parser(sub, raw)
    cli_tune.add_parser(sub, raw)

    p = sub.add_parser(
        "targets", help="what weft compiles for, and what runs here", formatter_class=raw,
        description="List the kinds of targets, what of this machine runs them or why nothing\n"
        "does, and what some processors offer.",
        epilog="example:\n  weft compile model.onnx --target 'llvm -mtriple=riscv64-linux-gnu'",
    )  # fmt: skip
    p.set_defaults(run=commands.targets)

    p = sub.add_parser(
        "doctor", help="versions, drivers, limits, what to install", formatter_class=raw,
        description="Check the installation: versions, processor, threads, cache, drivers and\n"
        "their limits, and whether kernels compile and give the right numbers; says what to\n"
        "install. The exit code is 1 if something that is needed is wrong.",
        epilog="example:\n  WEFT_NUM_THREADS=4 weft doctor",
    )  # fmt: skip
    p.set_defaults(run=commands.doctor)

    p = sub.add_parser(
        "cache", help="show or clear the kernel cache", formatter_class=raw,
        description="Show where compiled kernels are kept and how much room they take, or remove\n"
        "them. WEFT_CACHE_DIR moves the cache, WEFT_CACHE_MB bounds it, WEFT_CACHE=0 turns it off.",
        epilog="examples:\n  weft cache\n  weft cache --clear",
    )  # fmt: skip
    p.add_argument("--clear", action="store_true", help="remove all kernels from it")
    p.set_defaults(run=commands.cache)
    return top


def _version() -> str:
    return f"weft {__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
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
