"""Opening a model: bytes to ``ModelProto``, versions, and the signature of its graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TypeProto, ValueInfoProto

from ....runtime.errors import ModelError, UnsupportedError
from ....runtime.files import read_file
from ..narrow import EXPONENTS
from ..registered import ONNX_DOMAINS
from ..signature import SymbolicType
from ..table import FRONTENDS
from .tensors import TensorReader, narrow_type, onnx_dtype

OLDEST_IR, OLDEST_OPSET = 3, 1
MOST_BYTES = 1 << 31  # protobuf reads no more; larger models keep their data beside them
MAX_NESTING = 100  # of protobuf messages, as in its own parsers


@dataclass(frozen=True)
class Model:
    """A model that can be walked: its proto, the name for messages, opsets by domain."""

    proto: ModelProto
    file: str
    reader: TensorReader
    opsets: dict[str, int]


def open_model(source: str | Path | bytes | ModelProto) -> Model:
    """Read and check the frame of a model. Raises :class:`ModelError`."""
    folder, file = None, ""
    if isinstance(source, ModelProto):
        proto = source
    elif isinstance(source, (bytes, bytearray, memoryview)):
        proto = _parse(bytes(source), file)
    elif not isinstance(source, (str, PathLike)):
        raise ModelError(
            f"{type(source).__name__} is no model.",
            hint="give a path, the bytes of a file, or an onnx.ModelProto",
        )
    else:
        path = Path(source)
        if path.is_dir():
            raise ModelError(
                "there is no model in this folder that weft knows.", where=str(source),
                hint=f"name one of its files; the formats are {', '.join(FRONTENDS)}",
            )  # fmt: skip
        folder, file = path.absolute().parent, path.name
        data = read_file(path, MOST_BYTES, error=ModelError, what="the model")
        proto = _parse(data, file)
    _check_text(proto, file)
    _check_versions(proto, file)
    if not proto.HasField("graph"):
        raise ModelError("the file holds no graph.", where=file, hint="is it an ONNX model?")
    return Model(proto, file, TensorReader(folder, file), opsets_of(proto.opset_import, file))


def _parse(data: bytes, file: str) -> ModelProto:
    hint = "the file is damaged, or of no format that weft reads: " + ", ".join(FRONTENDS)
    if data.startswith(b"PK"):
        hint = "this is a zip file; a package of weft is opened by weft.runtime.load"
    if not data:
        raise ModelError("the model is empty.", where=file, hint=hint)
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, UnicodeDecodeError) as e:
        raise ModelError(f"it is not readable as ONNX ({e}).", where=file, hint=hint) from None


def _is_repeated(field: Any) -> bool:
    new = getattr(field, "is_repeated", None)  # protobuf < 6.31 has only ``label``
    return field.label == field.LABEL_REPEATED if new is None else new


@cache
def _fields(descriptor: Any) -> tuple[tuple[str, bool, bool], ...]:
    """The fields of a message that hold text or messages: name, is text, is repeated."""
    return tuple(
        (f.name, f.type == f.TYPE_STRING, _is_repeated(f))
        for f in descriptor.fields
        if f.type in (f.TYPE_STRING, f.TYPE_MESSAGE)
    )


def _check_text(proto: Message, file: str) -> None:
    """Raise :class:`ModelError` unless all text is UTF-8 and the nesting is bounded.

    protobuf does not check text in messages of this version, and returns ``bytes`` for what is not.
    It bounds the nesting when it parses, but a message built in memory may be deeper.
    """
    stack = [(proto, 0)]
    while stack:
        message, depth = stack.pop()
        if depth > MAX_NESTING:
            raise ModelError(f"it is nested more than {MAX_NESTING} deep.", where=file)
        for name, is_text, repeated in _fields(message.DESCRIPTOR):
            if not repeated and not message.HasField(name):
                continue
            value = getattr(message, name)
            values = value if repeated else (value,)
            if not is_text:
                stack.extend((v, depth + 1) for v in values)
            elif not all(isinstance(v, str) for v in values):
                raise ModelError(
                    f"a {name} of a {message.DESCRIPTOR.name} is no UTF-8.",
                    where=file,
                    hint="the file is damaged, or not an ONNX model",
                )


def _check_versions(proto: ModelProto, file: str) -> None:
    if proto.ir_version <= 0:
        raise ModelError(
            "the IR version is missing.",
            where=file,
            hint="the file is damaged, or not an ONNX model",
        )
    if not OLDEST_IR <= proto.ir_version <= onnx.IR_VERSION:
        raise UnsupportedError(
            f"the IR version is {proto.ir_version}; weft reads {OLDEST_IR} to {onnx.IR_VERSION}.",
            where=file,
        )


def opsets_of(imports, file: str) -> dict[str, int]:
    """Version by domain (``""`` is ai.onnx) of an ``opset_import``, checked."""
    table: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain in ONNX_DOMAINS else entry.domain
        if table.setdefault(domain, entry.version) != entry.version:
            raise ModelError(f"two versions of the operator set {domain!r}.", where=file)
    if "" in table:
        newest = onnx.defs.onnx_opset_version()
        if not OLDEST_OPSET <= table[""] <= newest:
            raise UnsupportedError(
                f"the operator set is {table['']}; {OLDEST_OPSET} to {newest} are supported.",
                where=file,
            )
    return table


def symbolic_type(value: ValueInfoProto, file: str) -> SymbolicType:
    """The declared type of a graph input or output.

    An anonymous dimension gets the name ``input[axis]``. -1 is written for an unknown dimension
    by several exporters, against the standard, and understood so. Where weft has not the element
    type but holds its numbers in another one, that is the type.
    """
    where = f"{file}, {value.name!r}" if file else repr(value.name)
    kind = value.type.WhichOneof("value")
    if kind is None:
        raise ModelError("it has no type.", where=where)
    if kind != "tensor_type":
        raise UnsupportedError(f"it is a {kind}; weft has only tensors.", where=where)
    code = value.type.tensor_type.elem_type
    narrow = narrow_type(code)
    if narrow is None:
        return SymbolicType(onnx_dtype(code, where), _dims(value, where))
    if narrow == EXPONENTS:
        raise UnsupportedError(f"weft has {narrow} only in constants.", where=where)
    return SymbolicType(narrow.held, _dims(value, where))


def _dims(value: ValueInfoProto, where: str) -> tuple[int | str, ...] | None:
    tensor: TypeProto.Tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    dims: list[int | str] = []
    for axis, d in enumerate(tensor.shape.dim):
        if d.HasField("dim_value") and d.dim_value != -1:
            if d.dim_value < 0:
                raise ModelError(f"dimension {axis} is {d.dim_value}.", where=where)
            dims.append(d.dim_value)
        else:
            # Exporters write "?" for every unknown extent: that is no name, two of them may differ.
            named = any(c.isalnum() for c in d.dim_param)
            dims.append(d.dim_param if named else f"{value.name}[{axis}]")
    return tuple(dims)
