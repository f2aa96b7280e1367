"""The words of the command line that several commands share, and the one check that no option is
given in vain.

    p.counts_if(("title", "labels"), lambda a: a.bundle, "it needs --bundle FOLDER")

An option that was given where it would do nothing is a wrong command line (exit code 2): somebody
expects an effect of it.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ...ir.target import HOST, Target, kinds, split_targets
from ...runtime.devices.table import BROWSER, DEVICES
from ...runtime.errors import TargetError
from ...runtime.package import HEAD as PACKAGE_HEAD
from ...runtime.package import is_head_of_package

ELSEWHERE = ("key", "token", "token_file", "certificate", "rpc_timeout", "wait")
READING = ("format", "signature", "outputs")
COMPILATION = (
    *READING, "target", "shape", "opt_level", "accuracy", "no_cache", "records", "renderer"
)  # fmt: skip
MODEL = "a model: a file or a folder of any format that weft reads (docs/FORMATS.md)"
IMAGES = ("mean", "std", "size", "layout")
Condition = Callable[[argparse.Namespace], Any]


class Parser(argparse.ArgumentParser):
    """A parser that knows under which conditions its options count."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._rules: list[tuple[Collection[str], Condition, str]] = []

    def counts_if(self, names: Collection[str], condition: Condition, otherwise: str) -> None:
        """The options ``names`` (as attributes) have an effect only if ``condition`` holds of the
        parsed words; ``otherwise`` tells the user what they need."""
        self._rules.append((names, condition, otherwise))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse; ends with exit code 2 for an option that has no effect."""
        usual = {a: a.default for a in self._actions if a.default is not argparse.SUPPRESS}
        for action in usual:  # what is in the result then was given
            action.default = argparse.SUPPRESS
        try:
            found, rest = super().parse_known_args(args, namespace)
        finally:
            for action, default in usual.items():
                action.default = default
        given = [a for a in self._actions if a.option_strings and hasattr(found, a.dest)]
        for action, default in usual.items():
            if not hasattr(found, action.dest):
                setattr(found, action.dest, default)
        for names, condition, otherwise in self._rules:
            for action in given:
                if action.dest in names and not condition(found):
                    option = max(action.option_strings, key=len)
                    self.error(f"{option} has no effect here: {otherwise}")
        return found, rest


# ---- conditions ---------------------------------------------------------------------------------


def is_package(path: str | Path) -> bool:
    """Whether a model is one that ``weft compile`` made, seen from its name or its first bytes."""
    if Path(path).suffix.lower() == ".weft":
        return True
    try:
        if not Path(path).is_file():
            return False
        with open(path, "rb") as file:
            return is_head_of_package(file.read(PACKAGE_HEAD))
    except (OSError, ValueError):
        return False


def has_image(args: argparse.Namespace) -> bool:
    """Whether one of the inputs may be an image, seen from the names of the files."""
    return any(not i.lower().endswith((".npy", ".npz")) for i in args.input)


def any_target(args: argparse.Namespace, fact: Callable[[Target], bool]) -> bool:
    """Whether ``fact`` holds of one of the targets; True where one of them is no target at all,
    which is an error later."""
    try:
        return any(fact(Target.parse(t)) for t in split_targets(args.target))
    except TargetError:
        return True


def those(fact: Callable[[Target], bool]) -> str:
    """The kinds of targets of which ``fact`` holds, for messages: ``webgpu and webgl``."""
    return " and ".join(k for k in kinds() if fact(Target.parse(k)))


def has_threads(target: Target) -> bool:
    """Whether kernels share the threads of this process among them."""
    return DEVICES[target.kind].threads


def has_choice(target: Target) -> bool:
    """Whether programs run in a browser and elsewhere, too."""
    row = DEVICES[target.kind]
    return BROWSER in row.hosts and row.away != BROWSER


# ---- types of arguments -------------------------------------------------------------------------


def shape(text: str) -> tuple[str, int | tuple[int, ...]]:
    """``N=4`` is a dimension (or a vector's length), ``x=1,3,224,224`` a shape."""
    name, eq, sizes = text.rpartition("=")
    try:
        if not (name and eq):
            raise ValueError
        numbers = tuple(int(s) for s in sizes.split(",") if s.strip())
        if any(n < 0 for n in numbers) or not numbers:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=SIZE or NAME=SIZE,SIZE,… (such as N=1 or x=1,3,224,224)"
        ) from None
    return name, numbers[0] if "," not in sizes else numbers


def filename(text: str) -> str:
    """The name of a file or a folder; the empty one is what a script's unset variable leaves."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def names(text: str) -> tuple[str, ...]:
    """``scores,boxes``."""
    found = tuple(n.strip() for n in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of names such as scores,boxes")
    return found


def floats(text: str) -> tuple[float, ...]:
    """``0.5`` or ``0.485,0.456,0.406``."""
    try:
        return tuple(float(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number or a list of numbers such as 0.485,0.456,0.406"
        ) from None


def size(text: str) -> tuple[int, int]:
    """``224`` or ``HEIGHTxWIDTH``."""
    try:
        numbers = [int(v) for v in text.lower().split("x")]
        if len(numbers) > 2 or min(numbers) < 1:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 224 or 48x320") from None
    return numbers[0], numbers[-1]


def positive(text: str) -> int:
    """A positive integer."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return number


def seed(text: str) -> int:
    """An integer that is not negative, as numpy's generators take it."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 0 on")
    return number


def megabytes(text: str) -> float:
    """A positive number of MiB."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in MiB such as 4")
    return number


def byte_count(text: str) -> int:
    """``65536``, ``512M``, ``2G`` in bytes; units are powers of 1024."""
    m = re.fullmatch(r"(\d+)([kKMG]?)", text.strip())
    number = int(m[1]) << {"": 0, "k": 10, "M": 20, "G": 30}[m[2].replace("K", "k")] if m else 0
    if not 0 < number < 1 << 62:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes such as 512M or 1G")
    return number


def tolerance(text: str) -> float:
    """A number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a tolerance such as 1e-4")
    return number


def duration(text: str) -> float:
    """``90``, ``90s``, ``10m``, ``1.5h`` in seconds."""
    m = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|)", text.strip())
    seconds = float(m[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[m[2]] if m else 0.0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 10m or 2h")
    return seconds


def image(text: str) -> tuple[str, object]:
    """One word of ``--image``: ``mean=0.5,0.5,0.5``, ``size=224``, ``bgr``."""
    kinds = {
        "mean": floats, "std": floats, "size": size, "canvas": positive, "crop": float,
        "input": str,
    }  # fmt: skip
    name, _, value = text.partition("=")
    if text == "bgr":
        return "bgr", True
    if name not in kinds or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {'=…, '.join(kinds)}=…, bgr")
    try:
        return name, kinds[name](value)
    except (ValueError, argparse.ArgumentTypeError) as e:
        raise argparse.ArgumentTypeError(f"{name}: {e}") from None


# ---- groups of options --------------------------------------------------------------------------


def model_options(p: Parser) -> None:
    """A model, compiled or not, and how to compile it if it is not."""
    p.add_argument("model", type=filename, help=f"{MODEL}, or a package made by 'weft compile'")
    compile_options(p)
    p.counts_if(
        COMPILATION, lambda a: not is_package(a.model),
        "a package is compiled already; give the model",
    )  # fmt: skip


def compile_options(p: Parser, target: str = "what to compile for") -> None:
    """What a compilation is asked for."""
    graph_options(p, target)
    p.add_argument("--no-cache", action="store_true", help="compile every kernel anew")
    p.add_argument(
        "--records", type=filename, metavar="FILE",
        help="tuning records to use (default: WEFT_RECORDS, else the user's own; 0 for none)",
    )  # fmt: skip
    p.add_argument(
        "--renderer", default="", metavar="TEXT",
        help="whose records to use: devices with TEXT in their names (default: what is best for "
        "all devices that were tuned)",
    )  # fmt: skip


def graph_options(p: Parser, target: str) -> None:
    """What decides which kernels a model has."""
    reading_options(p)
    p.add_argument(
        "--target", default=HOST, help=f"{target} (default: {HOST}; 'weft targets' lists them)"
    )
    p.add_argument(
        "--shape", action="append", type=shape, default=[], metavar="NAME=SIZES",
        help="the size of a symbolic dimension (N=1) or the shape of an input (x=1,3,224,224)",
    )  # fmt: skip
    p.add_argument(
        "-O", dest="opt_level", type=int, choices=range(4), default=None,
        help="optimisation level; 0 makes one kernel of each operator (default: 3)",
    )  # fmt: skip
    p.add_argument(
        "--accuracy", choices=["fast", "strict"], default="fast",
        help="fast: convolutions may be computed by minimal filtering, up to 1e-4 of a layer's "
        "largest result off; strict: never (default: fast)",
    )  # fmt: skip


def reading_options(p: Parser) -> None:
    """How a model is read, where its content does not say it."""
    g = p.add_argument_group("reading")
    g.add_argument(
        "--format", metavar="NAME", help="the model's format (default: known by its content)"
    )
    g.add_argument(
        "--signature", metavar="NAME",
        help="which of a model's functions, where it has several (a SavedModel's signatures)",
    )  # fmt: skip
    g.add_argument(
        "--outputs", type=names, metavar="NAME,NAME",
        help="the values that are wanted, where a file does not say what its outputs are",
    )  # fmt: skip


def input_options(p: Parser, help: str) -> None:
    """Files for inputs, and how images become arrays."""
    p.add_argument(
        "--input", action="append", type=filename, default=[], metavar="[NAME=]FILE", help=help
    )
    g = p.add_argument_group("images")
    g.add_argument("--mean", type=floats, help="default: 0.485,0.456,0.406 (ImageNet); grey: 0")
    g.add_argument("--std", type=floats, help="default: 0.229,0.224,0.225 (ImageNet); grey: 1")
    g.add_argument("--size", type=size, help="HEIGHTxWIDTH; default: the model's, else 224")
    g.add_argument(
        "--layout", choices=["NCHW", "NHWC"], help="default: seen from the input's shape"
    )
    p.counts_if(IMAGES, has_image, "it is for images, and no --input is one")


def remote_options(p: Parser, does: str, timeout: str = "--timeout") -> None:
    """Where else the command ``does`` what it does: a device of a hub. ``timeout`` is what the
    option is called where ``--timeout`` is taken."""
    g = p.add_argument_group(
        "elsewhere", f"{does} on a device of a hub ('weft rpc hub'): a browser, another machine"
    )
    g.add_argument(
        "--rpc", metavar="URL", help="the hub: ws://HOST:PORT, or the link that it printed"
    )
    g.add_argument(
        "--key", help="what devices of the wanted kind are called there (default: that of the "
        "link, else 'default')",
    )  # fmt: skip
    token_options(g)
    g.add_argument(
        timeout, dest="rpc_timeout", type=duration, metavar="TIME",
        help="give up what takes longer there: an upload, a compilation, a run (default: "
        "WEFT_RPC_TIMEOUT, else 10m)",
    )  # fmt: skip
    g.add_argument(
        "--wait", type=duration, default=600.0, metavar="TIME",
        help="give up when no device has become free by then (default: 10m)",
    )  # fmt: skip
    p.counts_if(ELSEWHERE, lambda a: a.rpc, "it is about a device elsewhere and needs --rpc URL")


def token_options(g: argparse._ActionsContainer) -> None:
    """How somebody shows to a hub that they may use it."""
    one = g.add_mutually_exclusive_group()
    one.add_argument(
        "--token-file", type=filename, metavar="FILE",
        help="a file with the hub's token (default: the token in URL, else WEFT_RPC_TOKEN)",
    )  # fmt: skip
    one.add_argument(
        "--token", help="the token itself; other users of this machine can read it while the "
        "command runs, and so they can a token in URL",
    )  # fmt: skip
    g.add_argument(
        "--certificate", type=filename, metavar="FILE",
        help="certificates to trust for https:// and wss:// (default: the system's)",
    )  # fmt: skip
