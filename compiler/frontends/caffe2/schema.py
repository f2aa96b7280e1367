"""The messages of Caffe2's files that weft reads (pytorch 1.13, ``caffe2/proto/caffe2.proto``)."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format

from ....runtime.errors import ModelError
from ..messages import declare, parse

_MESSAGES = declare(
    "weft_caffe2",
    """
    Argument
      1 name string
      2 f float
      3 i int64
      4 s bytes
      5 floats float*
      6 ints int64*
      7 strings bytes*
    OperatorDef
      1 input string*
      2 output string*
      3 name string
      4 type string
      5 arg Argument*
    NetDef
      1 name string
      2 op OperatorDef*
      3 type string
      6 arg Argument*
      7 external_input string*
      8 external_output string*
    """,
)
NetDef = _MESSAGES["NetDef"]

# TensorProto.DataType to the names of weft's element types.
DTYPES = {
    1: "float32", 2: "int32", 3: "uint8", 5: "bool", 6: "uint8", 7: "int8", 8: "uint16",
    9: "int16", 10: "int64", 12: "float16", 13: "float64",
}  # fmt: skip


def parse_net(data: bytes, file: str) -> Any:
    """A net out of its bytes, or out of its text. Raises :class:`ModelError` for what is none."""
    if not is_text(data[:4096]):
        return parse(NetDef, data, file, "a net of Caffe2's")
    net = NetDef()
    try:
        text_format.Parse(data.decode(), net, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError, ValueError) as e:
        raise ModelError(
            f"it is not readable as the text of a net of Caffe2's ({e}).", where=file,
            hint="the file is damaged, or no net",
        ) from None  # fmt: skip
    return net


def is_text(head: bytes) -> bool:
    """Whether a file is readable by a person: protocol buffers have bytes that no text has."""
    return bool(head) and not any(b < 9 or 13 < b < 32 for b in head)


__all__ = ["DTYPES", "NetDef", "is_text", "parse_net"]
