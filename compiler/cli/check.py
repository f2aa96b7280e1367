"""``weft check``: a target's results beside a reference's, tensor by tensor."""

from __future__ import annotations

import argparse

from ...ir.target import HOST
from ...runtime.errors import InputError
from .arguments import (
    MODEL,
    Parser,
    any_target,
    compile_options,
    filename,
    has_choice,
    input_options,
    is_package,
    remote_options,
    seed,
    those,
    tolerance,
)
from .inputs import ImageOptions, read_inputs
from .models import check_file, choices_of, options_of, progress, source_of, unbound, wanted
from .remote import connected, target_there

EXAMPLES = """\
examples:
  weft check model.onnx --target webgl --against onnxruntime --shape N=1
  weft check model.onnx --target opencl --input photo.jpg
  weft check model.onnx --every-node --rtol 1e-3
  weft check model.onnx --target webgl --rpc ws://127.0.0.1:9190 --key chrome

The kernels are those of the real program; every tensor that passes between them is compared. The
first tensor that leaves the tolerance names the kernel to look at: 'alone' says whether that kernel
is wrong by itself, or the error grew in those before it. Then --every-node tells a wrong operator
from a wrong fusion. The exit code is 1 when a tensor leaves the tolerance.
"""


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    p: Parser = sub.add_parser(
        "check", help="compare a target with a reference, tensor by tensor", formatter_class=raw,
        description="Run a model on a target and on a reference, on the same input, and compare\n"
        "every tensor between kernels: which is the first that is wrong, and by how much.",
        epilog=EXAMPLES,
    )  # fmt: skip
    p.add_argument("model", type=filename, help=MODEL)
    compile_options(p, "what to judge; webgl runs in a headless Chromium, wasm under Node")
    p.add_argument(
        "--against", choices=["interp", HOST, "onnxruntime"], default="interp",
        help="interp: the operators' numpy references (default); llvm: each operator by itself on "
        "this processor; onnxruntime: ONNX Runtime on an ONNX model as written",
    )  # fmt: skip
    p.add_argument("--seed", type=seed, default=0, help="of the random inputs (default: 0)")
    p.add_argument(
        "--rtol", type=tolerance, help="relative to a tensor's largest element (default: the "
        "target's, 1e-4 on processors, 1e-3 in shaders)",
    )  # fmt: skip
    p.add_argument("--atol", type=tolerance, help="absolute (default: the target's)")
    p.add_argument(
        "--every-node", action="store_true",
        help="one kernel for each operator of the model, nothing fused: -O 0",
    )  # fmt: skip
    p.add_argument("--in-browser", action="store_true", help="run webgpu and wasm in Chromium, too")
    input_options(p, "an image, .npy or .npz, as for 'weft run'; inputs not given are random")
    remote_options(p, "run the kernels")
    p.counts_if(("in_browser",), lambda a: not a.rpc, "the kernels run on the device of --rpc")
    p.counts_if(
        ("in_browser",), lambda a: any_target(a, has_choice),
        f"only {those(has_choice)} run elsewhere without it",
    )  # fmt: skip
    p.counts_if(
        ("opt_level",), lambda a: not a.every_node or a.opt_level == 0, "--every-node is -O 0"
    )
    p.set_defaults(run=check_model)


def check_model(args: argparse.Namespace) -> int:
    """``weft check``: exit code 1 when a tensor leaves the tolerance."""
    from ..check.check import CheckOptions, compare
    from ..frontends import load

    path = check_file(args.model)
    if is_package(path):
        raise InputError(
            "a package has lost the tensors between its kernels.", where=str(path),
            hint="give the model that it was compiled from",
        )  # fmt: skip
    loaded = load(path, dict(args.shape), **choices_of(args))
    images = ImageOptions(args.mean, args.std, args.size, args.layout)
    feed = read_inputs(args.input, wanted(loaded), images)
    shapes = dict(args.shape)
    if unbound(loaded):
        shapes |= {k: a.shape for k, a in feed.items()}
    if args.every_node:
        args.opt_level = 0
    with connected(args) as remote:
        if remote is not None:
            args.target = target_there(args, remote)
        judge = CheckOptions(
            args.against, feed, args.seed, args.rtol, args.atol, args.in_browser, remote
        )
        with progress() as tell:
            report = compare(source_of(args), options_of(args, tell, shapes), judge)
    print(report)
    return 0 if report.ok else 1
