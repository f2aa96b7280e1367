"""From the words of a command line to a model, its options and an executable."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...ir.target import split_targets
from ...runtime.errors import InputError
from ...runtime.executor import load as load_package
from .arguments import READING, is_package
from .inputs import Wanted
from .progress import progress
from .remote import target_there

if TYPE_CHECKING:
    from ...runtime.executor import Executable
    from ...runtime.rpc.client import Remote
    from ..options import CompileOptions, ProgressCallback


def check_file(path: str) -> Path:
    """The path of a model, a file or a folder. Raises :class:`InputError` where there is none."""
    if not Path(path).exists():
        raise InputError(f"there is no file {path!r}.", hint="give the path of a model")
    return Path(path)


def choices_of(args: argparse.Namespace) -> dict[str, Any]:
    """How ``args`` say that the model is to be read: keywords of ``weft.load``."""
    return {k: vars(args)[k] for k in READING if vars(args).get(k) is not None}


def source_of(args: argparse.Namespace) -> Any:
    """What a compilation is given as the model: its path, or its graph where ``args`` say how it
    is read."""
    path, chosen = check_file(args.model), choices_of(args)
    if not chosen:
        return path
    from ..frontends import load

    return load(path, **chosen)


def read_files(args: argparse.Namespace) -> Iterator[str | Path]:
    """The files that a command with a model reads: none of them is to be overwritten."""
    words = vars(args)
    if args.model is not None and is_package(args.model):
        yield args.model
    elif args.model is not None:
        from ..frontends.table import files_of

        yield from files_of(Path(args.model), vars(args).get("format"))
    yield from filter(None, (words.get("labels"), words.get("records")))
    for text in words.get("input", ()):
        yield from (text, text.partition("=")[2])
    yield from words.get("merge", ())


def options_of(
    args: argparse.Namespace,
    tell: ProgressCallback | None = None,
    shapes: Mapping[str, Any] | None = None,
    *,
    several: bool = False,
    stores: bool = True,
) -> CompileOptions:
    """What the words of ``cli_arguments.compile_options`` ask for, with ``shapes`` instead of those
    of ``--shape``.

    ``several``: the command can do with a list of targets. ``stores``: the command has
    ``--no-cache`` and the ``--records`` of a compilation; kernels of others come from neither.
    """
    from ..driver import compile_options

    return compile_options(
        split_targets(args.target) if several else [args.target],
        dict(args.shape) if shapes is None else shapes,
        opt_level=args.opt_level, threads=vars(args).get("most_threads"), progress=tell,
        cache=stores and not args.no_cache, records=stores and _records(args.records),
        renderer=vars(args).get("renderer", ""), accuracy=args.accuracy,
    )  # fmt: skip


def _records(file: str | None) -> Any:
    """What ``compile`` takes as its records: the default ones, none, or those of a file."""
    if file is None or file == "0":
        return file is None
    from ..tune.records import Records

    return Records(Path(file), must_exist=True)


def executable(
    args: argparse.Namespace,
    shapes: Mapping[str, Any] | None = None,
    model: Any = None,
    remote: Remote | None = None,
) -> Executable:
    """The executable that ``args`` asks for, of a device elsewhere where one is given; a model
    already loaded may be given, with the shapes that it still lacks."""
    path = check_file(args.model)
    if is_package(path):
        return load_package(path) if remote is None else remote.load(path)
    from ..driver import compile_all

    if remote is not None:
        args.target = target_there(args, remote)
    with progress() as tell:
        options = options_of(args, tell, shapes)
        exe = compile_all(source_of(args) if model is None else model, options)[0]
    return exe if remote is None else remote.load(exe)


def unbound(model: Any) -> bool:
    """Whether shapes of a model are still open."""
    from ..frontends import UnboundGraph

    return isinstance(model, UnboundGraph)


def wanted(model: Any) -> dict[str, Wanted]:
    """What is known of the inputs of a graph, bound or not."""
    if not unbound(model):
        return {i: Wanted(model.types[i].dtype, model.types[i].shape) for i in model.inputs}
    result = {}
    for name, t in model.signature.items():
        dims = t.dims if t.dims is not None else ()
        sizes = tuple(d if isinstance(d, int) else model.shapes.get(d) for d in dims)
        whole = model.shapes.get(name)
        result[name] = Wanted(t.dtype, tuple(whole) if isinstance(whole, tuple) else sizes)
    return result
