"""The formats that weft reads: one row each.

A format is known by its content, never by a file's name. Modules are named, not imported: a process
loads the one front-end, and the packages it needs, that the first model asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError, ModelError
from ...runtime.files import is_plain
from ...runtime.forks import load_module
from ..graph.graph import Graph

HEAD = 4096  # bytes of a file that a row may look at


@dataclass(frozen=True)
class FrontEnd:
    """One format.

    ``load`` makes the graph: a function of (source, shapes, constants), or ``"module:function"``
    relative to this folder. ``recognises`` is asked about a model: its source as it was given, and
    the first bytes of its file (empty for a folder or an object). ``files`` says, given as ``load``
    is, which other files a model at a path is read from: a function of the path. ``describe`` says
    what is in a model: a function of (source, choices as keywords) to
    :class:`~weft.compiler.frontends.describe.Description`. ``choices`` are the keywords of
    :func:`weft.load` that ``load`` takes beside those, and ``describe``; ``extra`` is the extra
    of ``pyproject.toml`` that brings the packages which reading needs. ``operators`` is a table
    of converters by the names of operators, or a function that says for each part of the format
    which operators are converted.
    """

    name: str
    load: str | Callable[..., Graph]
    recognises: Callable[[Any, bytes], bool]
    files: str | Callable[[Path], Sequence[Path]] | None = None
    describe: str | Callable[..., Any] | None = None
    choices: tuple[str, ...] = ()
    extra: str = ""
    operators: str = ""


def _asked(named: str) -> Callable[[Any, bytes], bool]:
    """A function of another module, which recognises a format and is imported when one asks."""

    def recognises(source: Any, head: bytes) -> bool:
        return _function(named)(source, head)

    return recognises


_ROWS = (
    FrontEnd(
        "caffe2",
        ".caffe2.importer:load",
        _asked(".caffe2.files:recognises"),
        ".caffe2.files:files_of",
        ".caffe2.importer:describe",
        operators=".caffe2.converters:CONVERTERS",
    ),
    FrontEnd(
        "tfjs-graph",
        ".tensorflow.importer:load_tfjs",
        _asked(".tensorflow.recognise:is_tfjs"),
        ".tensorflow.tfjs:files_of",
        ".tensorflow.importer:describe_tfjs",
        choices=("outputs",),
        operators=".tensorflow.converters:CONVERTERS",
    ),
    FrontEnd(
        "saved-model",
        ".tensorflow.importer:load_saved",
        _asked(".tensorflow.recognise:is_saved"),
        ".tensorflow.saved:files_of",
        ".tensorflow.importer:describe_saved",
        choices=("signature", "outputs"),
        operators=".tensorflow.converters:CONVERTERS",
    ),
    FrontEnd(
        "graph-def",
        ".tensorflow.importer:load_graph",
        _asked(".tensorflow.recognise:is_graph"),
        describe=".tensorflow.importer:describe_graph",
        choices=("outputs",),
        operators=".tensorflow.converters:CONVERTERS",
    ),
    FrontEnd(
        "coreml",
        ".coreml.importer:load",
        _asked(".coreml.package:recognises"),
        ".coreml.package:files_of",
        ".coreml.importer:describe",
        choices=("signature",),
        operators=".coreml.importer:operators",
    ),
    FrontEnd(
        "mxnet",
        ".mxnet.importer:load",
        _asked(".mxnet.files:recognises"),
        ".mxnet.files:files_of",
        ".mxnet.importer:describe",
        operators=".mxnet.converters:CONVERTERS",
    ),
    FrontEnd(
        "tflite",
        ".tflite:load",
        lambda source, head: head[4:8] == b"TFL3",
        describe=".tflite:describe",
        choices=("signature",),
        operators=".tflite.converters:CONVERTERS",
    ),
    FrontEnd(
        "torch",
        ".torch.load:load",
        _asked(".torch.recognise:recognises"),
        describe=".torch.load:describe",
        choices=("signature", "example_inputs"),
        operators=".torch.converters:CONVERTERS",
    ),
    FrontEnd(
        "keras",
        ".keras.importer:load",
        _asked(".keras.recognise:recognises"),
        ".keras.recognise:files_of",
        ".keras.importer:describe",
        operators=".keras.converters:CONVERTERS",
    ),
    # Protocol buffers have no mark at their beginning, so ONNX takes what nobody else knows; its
    # reader says what is wrong with a file that is none.
    FrontEnd(
        "onnx",
        ".onnx:load",
        lambda source, head: True,
        ".onnx.files:files_of",
        ".onnx.inspect:describe",
        operators=".onnx.inspect:operators",
    ),
)
FRONTENDS: dict[str, FrontEnd] = {row.name: row for row in _ROWS}


def register_frontend(row: FrontEnd) -> None:
    """Add a format, which is asked before those that are there.

    Raises :class:`ModelError` when there is one of this name.
    """
    if row.name in FRONTENDS:
        raise ModelError(
            f"there is a front-end called {row.name!r} already.",
            hint=f"a name other than {', '.join(FRONTENDS)}",
        )
    old = dict(FRONTENDS)
    FRONTENDS.clear()
    FRONTENDS.update({row.name: row, **old})


def frontend_of(source: Any, format: str | None = None) -> FrontEnd:
    """The front-end for a model: a path, the bytes of a file, or an object; that of ``format``
    where its content is not asked.

    Raises :class:`InputError` for a format that there is not."""
    if format is not None:
        if format not in FRONTENDS:
            raise InputError(
                f"there is no format {format!r}.", hint=f"one of {', '.join(FRONTENDS)}"
            )
        return FRONTENDS[format]
    head = _head(source)
    return next(row for row in FRONTENDS.values() if row.recognises(source, head))


def loader(row: FrontEnd) -> Callable[..., Graph]:
    """The function that reads models of a format."""
    return _function(row.load)


def describer(row: FrontEnd) -> Callable[..., Any] | None:
    """The function that says what is in a model of a format; None where it has none."""
    return None if row.describe is None else _function(row.describe)


def operators_of(row: FrontEnd) -> dict[str, list[str]]:
    """The operators of a format that are converted, by the parts of the format."""
    if not row.operators:
        return {}
    found = _function(row.operators)
    return {row.name: list(found)} if isinstance(found, Mapping) else found()


def files_of(path: Path, format: str | None = None) -> Sequence[Path]:
    """The files that the model at ``path`` is read from: itself, and those that it names."""
    row = frontend_of(path, format)
    return (path, *(_function(row.files)(path) if row.files else ()))


def _function(named: str | Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(named, str):
        return named
    module, _, function = named.partition(":")
    return getattr(load_module(module, __package__), function)


def _head(source: Any) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source[:HEAD])
    if not isinstance(source, str | Path) or not is_plain(source):  # reading a pipe takes from it
        return b""
    try:
        with open(source, "rb") as f:
            return f.read(HEAD)
    except (OSError, ValueError):  # the front-end says what is wrong with the path
        return b""


__all__ = [
    "FRONTENDS",
    "FrontEnd",
    "describer",
    "files_of",
    "frontend_of",
    "loader",
    "operators_of",
    "register_frontend",
]
