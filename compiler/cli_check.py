"""``weft check``: a target's results beside a reference's, tensor by tensor."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..runtime.errors import InputError
from .cli_commands import _check_file, _is_package, _unbound, _wanted, progress
from .cli_inputs import Pictures, read_inputs

EXAMPLES = """\
examples:
  weft check model.onnx --target webgl --against onnxruntime --shape N=1
  weft check model.onnx --target opencl --input photo.jpg
  weft check model.onnx --every-node --rtol 1e-3

The kernels are those of the real program; every tensor that passes between them is compared. The
first tensor that leaves the tolerance names the kernel to look at: 'alone' says whether that kernel
is wrong by itself, or the error grew in those before it. Then --every-node tells a wrong operator
from a wrong fusion. The exit code is 1 when a tensor leaves the tolerance.
"""


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    from .cli import _floats, _shape, _size

    p = sub.add_parser(
        "check", help="compare a target with a reference, tensor by tensor", formatter_class=raw,
        description="Run a model on a target and on a reference, on the same input, and compare\n"
        "every tensor between kernels: which is the first that is wrong, and by how much.",
        epilog=EXAMPLES,
    )  # fmt: skip
    p.add_argument("model", help="an ONNX file")
    p.add_argument(
        "--target", default="llvm",
        help="what to judge (default: llvm); webgl runs in a headless Chromium, wasm under Node",
    )  # fmt: skip
    p.add_argument(
        "--against", choices=["interp", "llvm", "onnxruntime"], default="interp",
        help="interp: the operators' numpy references (default); llvm: each operator by itself on "
        "this processor; onnxruntime: ONNX Runtime on the model as written",
    )  # fmt: skip
    p.add_argument(
        "--shape", action="append", type=_shape, default=[], metavar="NAME=SIZES",
        help="as for 'weft compile'",
    )  # fmt: skip
    p.add_argument(
        "--input", action="append", default=[], metavar="[NAME=]FILE",
        help="a picture, .npy or .npz, as for 'weft run'; inputs not given are random",
    )  # fmt: skip
    p.add_argument("--seed", type=int, default=0, help="of the random inputs (default: 0)")
    p.add_argument(
        "--rtol", type=_tolerance, help="relative to a tensor's largest element (default: the "
        "target's, 1e-4 on processors, 1e-3 in shaders)",
    )  # fmt: skip
    p.add_argument("--atol", type=_tolerance, help="absolute (default: the target's)")
    p.add_argument(
        "--every-node", action="store_true",
        help="one kernel for each operator of the model, nothing fused",
    )  # fmt: skip
    p.add_argument(
        "--accuracy", choices=["fast", "strict"], default="fast", help="as for 'weft compile'"
    )
    p.add_argument("--in-browser", action="store_true", help="run webgpu and wasm in Chromium, too")
    p.add_argument("--no-cache", action="store_true", help="compile every kernel anew")
    g = p.add_argument_group("pictures")
    g.add_argument("--mean", type=_floats, help="as for 'weft run'")
    g.add_argument("--std", type=_floats, help="as for 'weft run'")
    g.add_argument("--size", type=_size, help="as for 'weft run'")
    g.add_argument("--layout", choices=["NCHW", "NHWC"], help="as for 'weft run'")
    p.set_defaults(run=check_model)


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a tolerance such as 1e-4")
    return number


def check_model(args: argparse.Namespace) -> int:
    from .check import check
    from .frontends import load

    path = _check_file(Path(args.model))
    if _is_package(path):
        raise InputError(
            "a package has lost the tensors between its kernels.", where=str(path),
            hint="give the ONNX model that it was compiled from",
        )  # fmt: skip
    shapes = dict(args.shape)
    loaded = load(path, shapes)
    pictures = Pictures(args.mean, args.std, args.size, args.layout)
    feed = read_inputs(args.input, _wanted(loaded), pictures)
    if _unbound(loaded):
        shapes |= {k: a.shape for k, a in feed.items()}
    with progress() as tell:
        report = check(
            path, args.target, args.against, feed, shapes=shapes, seed=args.seed, rtol=args.rtol,
            atol=args.atol, every_node=args.every_node, accuracy=args.accuracy,
            in_browser=args.in_browser, progress=tell, cache=not args.no_cache,
        )  # fmt: skip
    print(report)
    return 0 if report.ok else 1
