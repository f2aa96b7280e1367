"""Protocol buffers of other people's formats, declared as small tables of the fields that we read.

A declaration is text, a message a block and a field a line, as in a ``.proto`` file of ours:

    NodeDef
      1 name string
      3 input string*
      5 attr map AttrValue
    AttrValue
      2 s bytes
      3 i int64
      1 list ListValue

``*`` is repeated, ``map`` has strings as keys. Fields that a declaration leaves out are skipped by
the parser, which bounds the nesting and never executes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from ...runtime.errors import ModelError

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in (
        "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string",
        "bytes", "uint32", "sfixed32", "sfixed64", "sint32", "sint64",
    )
}  # fmt: skip


def declare(package: str, text: str, utf8: bool = False) -> Mapping[str, type[Any]]:
    """The message classes of a declaration, by name. ``package`` keeps their names apart from
    those that an installed framework may have registered: it has a pool of its own, too.

    Fields have presence (``HasField``), but for repeated ones, as in proto2; enumerations are
    declared as int32. With ``utf8`` a string that is none is an error of the parser, as in proto3;
    else the one who asks for it meets it."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto2"
    )
    if utf8:
        file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023
    names = []
    for line in filter(str.strip, text.splitlines()):
        words = line.split()
        if not line.strip()[0].isdigit():
            names.append(words[0])
            message = file.message_type.add(name=words[0])
            continue
        number, name, kind = int(words[0]), words[1], words[2]
        field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
        if kind == "map":
            entry = message.nested_type.add(name=f"{_camel(name)}Entry")
            entry.options.map_entry = True
            key = entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL)
            key.type = _Field.TYPE_STRING
            value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
            _set_type(value, words[3], package)
            field.label, field.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
            field.type_name = f".{package}.{message.name}.{entry.name}"
            continue
        if kind.endswith("*"):
            field.label = _Field.LABEL_REPEATED
        _set_type(field, kind.rstrip("*"), package)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{n}"))
        for n in names
    }


def parse(message: type[Any], data: bytes, file: str, what: str) -> Any:
    """A message out of its bytes. Raises :class:`ModelError`: the file is no ``what``."""
    made: Message = message()
    try:
        made.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ModelError(
            f"it is not readable as {what} ({e}).", where=file,
            hint=f"the file is damaged, or no {what}",
        ) from None  # fmt: skip
    return made


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _set_type(field: Any, kind: str, package: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"


__all__ = ["declare", "parse"]
