"""From whatever PyTorch has made to a graph, and to what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....runtime.errors import InputError, ModelError, UnsupportedError, WeftError
from ....runtime.files import read_file
from ...graph.graph import Graph
from ..content import file_of
from ..describe import Description, described
from ..flat import import_model
from ..model import FileModel
from ..signature import by_name
from .archive import MOST_BYTES, Archive
from .context import TorchContext
from .converters import CONVERTERS
from .mutation import pure
from .pickles import load_archive, load_legacy, tensors
from .program import open_program
from .recognise import OBJECT, PROGRAM, SCRIPT, kind_of
from .script import called, open_script
from .script_run import run


def load(
    source: Any,
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    *,
    signature: str | None = None,
    example_inputs: Sequence[Any] | None = None,
) -> Graph:
    """See :func:`weft.compiler.frontends.load`. ``signature`` names the model of an archive that
    has several, and the method of TorchScript (``"forward"``, or ``"part.forward"`` of a part)."""
    model, _ = _opened(source, signature, example_inputs)
    given = by_name("shapes", shapes), by_name("constants", constants)
    return import_model(model, _TABLE, *given, context=TorchContext)


def describe(source: Any, *, signature: str | None = None) -> Description:
    """See :func:`weft.compiler.frontends.inspect`."""
    model, names = _opened(source, signature, None)
    found = described(model, _TABLE, names)
    if "script" not in found.operators:
        return found
    (node,) = model.nodes
    operators = called(node.attrs["script"], node.attrs["path"], node.attrs["method"])
    return replace(found, operators=operators)


def _script(n: TorchContext) -> list[str]:
    return run(n, CONVERTERS)


_TABLE = {**CONVERTERS, "script": _script}


def _opened(
    source: Any, signature: str | None, example_inputs: Sequence[Any] | None
) -> tuple[FileModel, list[str]]:
    kind = kind_of(source, _head(source))
    if kind == OBJECT:
        from .objects import exported

        source, kind = exported(source, example_inputs), PROGRAM
    elif example_inputs is not None:
        raise InputError("example_inputs are for a module in memory.", hint="leave them out")
    where = str(source) if isinstance(source, str | Path) else ""
    if kind == PROGRAM:
        model, names = open_program(Archive(source), signature)
        return pure(model), names
    if kind == SCRIPT:
        return open_script(Archive(source), signature), ["forward"]
    raise _refusal(source, where)


def _head(source: Any) -> bytes:
    file = file_of(source)
    if file is None:
        return b""
    with file:
        return file.read(64)


def _refusal(source: Any, where: str) -> WeftError:
    """What to say of a pickle, which is no network."""
    if kind_of(source, _head(source)) is None:
        return ModelError("it is no file of PyTorch.", where=where)
    try:
        if _head(source).startswith(b"PK"):
            found = load_archive(Archive(source))
        else:
            data = source if not isinstance(source, str | Path) else read_file(
                source, MOST_BYTES, error=ModelError
            )  # fmt: skip
            found = load_legacy(bytes(data), where)
        count = f"{len(tensors(found, where))} tensors"
    except ModelError as e:
        count = f"something that weft does not open ({e.message.rstrip('.')})"
    return UnsupportedError(
        f"a state dict holds weights and no network; this file holds {count}.",
        where=where,
        hint="load it into its module, and save torch.export.export(module, example_inputs) by "
        "torch.export.save",
    )
