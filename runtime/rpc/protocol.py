"""The messages between a process that has programs and one that runs them.

A message is a *frame* of bytes, all numbers little-endian::

    "WEFT"                 4 bytes
    bytes of the header    4 bytes
    bytes of the payload   8 bytes
    header                 JSON, padded with spaces so that the payload starts at a multiple of 64
    payload                the parts, each padded with zeros to a multiple of 64

The header has ``kind`` (a row of :data:`KINDS`), ``id`` (an answer has that of its question),
``parts`` (the bytes of each) and the fields of its kind. Parts are the elements of tensors in
row-major order, or bytes of code; nothing is unpickled on either side. Frames lie end to end in a
stream, whatever carries it, so that they may be cut anywhere and no side needs a message whole
before it can take the next piece.

Whoever asks sends one message and waits for the one that answers it; ``close`` alone has no answer.
An answer may always be ``error``. Between a hub and those that it brings together (``hub.py``) go
the messages of :data:`CONTROL`, which answer nothing: they tell. The mirror of this module is
``runtime_js/rpc/frames.js``; its numbers are generated from here into ``runtime_js/rpc/numbers.js``
(:func:`numbers`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ..errors import DeviceError, InputError, RPCError, WeftError

VERSION = 2
ALIGNMENT = 64
PREFIX = struct.Struct("<4sIQ")
MAGIC = b"WEFT"
MOST_HEADER = 1 << 28  # bytes
MOST_PAYLOAD = 1 << 34
UPGRADE = "weft-frames"  # what an HTTP request names to become a bare stream of frames
CHUNK = 1 << 20  # bytes of one WebSocket message
DEFAULT_PORT = 9190  # of hubs
DEFAULT_KEY = "default"  # of devices and clients that say none
AHEAD = 16 << 20  # bytes that wait to be sent before a page waits, too


@dataclass(frozen=True)
class Kind:
    """A kind of messages: its fields beside ``kind`` and ``id``, what its parts are, and the kind
    that answers it."""

    name: str
    fields: tuple[str, ...] = ()
    parts: str = "none"
    answer: str = ""


_QUESTIONS = (
    Kind("hello", ("version",), answer="welcome"),
    # codes: {device, name, text} of each; params: {name, dtype, shape} of each, as they lie in
    # storage; inputs, outputs: names, in the order in which the parts of `run` and `results` come.
    Kind(
        "load",
        ("program", "flags", "codes", "params", "inputs", "outputs"),
        parts="the codes, then the parameters",
        answer="loaded",
    ),
    # arrays: for each input the handle of an array there, or 0 for the next of the parts; into: for
    # each output the handle of the array there that it becomes, or 0 to have it sent.
    Kind("run", ("handle", "arrays", "into"), parts="the inputs", answer="results"),
    # Whole runs, of inputs as above; without the transfers.
    Kind("bench", ("handle", "arrays", "number", "repeat"), parts="the inputs", answer="times"),
    Kind("time", ("handle", "arrays", "repeat"), parts="the inputs", answer="times"),
    Kind("put", (), parts="the elements of one array", answer="kept"),
    Kind("get", ("handle",), answer="results"),
    Kind("close", ("handles",)),
    Kind("state", answer="stated"),
)
_ANSWERS = (
    Kind("welcome", ("version", "platform")),
    Kind("loaded", ("handle", "devices")),
    Kind("kept", ("handle",)),
    Kind("results", parts="the outputs that are sent, or the array"),
    # Where loops and branches decide, a second part: how often each step ran, int32[steps].
    Kind("times", ("rows",), parts="milliseconds, float64[rows, steps]; of whole runs, one a row"),
    Kind("stated", ("programs", "arrays", "buffers", "bytes")),
    Kind("error", ("name", "message", "where", "hint")),
)
_CONTROL = (
    # A device to the hub: who it is. targets: for each kind of target {name, limits}.
    Kind("join", ("version", "key", "name", "targets")),
    Kind("joined", ("number",)),
    # The hub to a device, and back: a client's session begins; it ends; the device is free again,
    # for a reason of its own or none.
    Kind("begin", ("session", "client")),
    Kind("end", ("session",)),
    Kind("free", ("session", "why")),
    # A device to the hub: it goes, for this reason.
    Kind("leave", ("why",)),
    # A client to the hub: what it wants, and who it is; how many are before it; what it has got.
    Kind("want", ("version", "key", "client")),
    Kind("queued", ("ahead", "devices")),
    Kind("assigned", ("session", "name", "targets")),
    # The hub to anybody, before it closes: the step that failed (``RPCError.step``), and why.
    Kind("refused", ("step", "message", "hint")),
)
QUESTIONS: dict[str, Kind] = {k.name: k for k in _QUESTIONS}
ANSWERS: dict[str, Kind] = {k.name: k for k in _ANSWERS}
CONTROL: dict[str, Kind] = {k.name: k for k in _CONTROL}
KINDS: dict[str, Kind] = {**QUESTIONS, **ANSWERS, **CONTROL}

Parts = Sequence[np.ndarray | bytes]


class ProtocolError(Exception):
    """What came is no message: the stream that it came from is of no use any more."""


def padded(n: int) -> int:
    """``n`` bytes with their padding."""
    return -(-n // ALIGNMENT) * ALIGNMENT


def encode(kind: str, number: int, fields: Mapping[str, Any], parts: Parts = ()) -> list[Any]:
    """The bytes of a message, as buffers that share the memory of its parts."""
    assert set(fields) == set(KINDS[kind].fields), (kind, *fields)
    views = [memoryview(_flat(p)).cast("B") for p in parts]
    header = {"kind": kind, "id": number, **fields, "parts": [v.nbytes for v in views]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(padded(PREFIX.size + len(text)) - PREFIX.size)
    body = sum(padded(v.nbytes) for v in views)
    chunks: list[Any] = [PREFIX.pack(MAGIC, len(text), body) + text]
    for v in views:
        chunks.append(v)
        chunks.append(bytes(padded(v.nbytes) - v.nbytes))
    return [c for c in chunks if len(c)]


def _flat(part: np.ndarray | bytes) -> Any:
    """Memory that lies end to end; dtypes that buffers do not know are bytes."""
    if isinstance(part, np.ndarray):
        return np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    return part


def sizes(prefix: Any) -> tuple[int, int]:
    """The bytes of header and payload; raises :class:`ProtocolError`."""
    magic, header, payload = PREFIX.unpack(prefix)
    if magic != MAGIC or header > MOST_HEADER or payload > MOST_PAYLOAD:
        raise ProtocolError(f"what came is no message of weft: {bytes(prefix)!r}")
    return header, payload


def decode(header: Any, payload: np.ndarray) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Header and parts, which share the payload's memory; raises :class:`ProtocolError`."""
    try:
        fields = json.loads(bytes(header))
        lengths = [int(n) for n in fields["parts"]]
        kind = KINDS[fields["kind"]]
        complete = all(f in fields for f in kind.fields)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as e:
        raise ProtocolError(f"a header cannot be read: {type(e).__name__}: {e}") from None
    ends = [0, *accumulate(map(padded, lengths))]
    if not complete or min(lengths, default=0) < 0 or ends[-1] != payload.size:
        raise ProtocolError(f"the parts of a message '{kind.name}' do not fit together")
    return fields, [payload[e : e + n] for e, n in zip(ends, lengths)]


# The errors of runtime_js/errors.js and what they are here; any other is a fault of that runtime.
_ERRORS: dict[str, type[WeftError]] = {
    "WeftError": DeviceError,
    "BundleError": DeviceError,
    "InputError": InputError,
    "DeviceError": DeviceError,
    "ContextLostError": DeviceError,
    "AbortError": DeviceError,
    "DisposedError": DeviceError,
    "NumericError": DeviceError,
}


def error_of(fields: Mapping[str, Any], where: str, step: str = "") -> WeftError:
    """The exception that an ``error`` means, in the call of the program ``where``; with ``step``,
    a failure of the device is an :class:`RPCError` of that step."""
    place = ", ".join(dict.fromkeys(w for w in (where, str(fields["where"])) if w))
    message, name = str(fields["message"]), str(fields["name"])
    made = _ERRORS.get(name)
    text = message if made else f"the runtime says: {name}: {message}"
    hint = str(fields["hint"]) or None
    if step and made in (None, DeviceError):
        return RPCError.of(step, text, where=place, hint=hint)
    return (made or DeviceError)(text, where=place, hint=hint)


def numbers() -> str:
    """The text of ``runtime_js/rpc/numbers.js``."""
    magic = int.from_bytes(MAGIC, "little")
    lines = [
        "// Generated by tools/protocol.py from runtime/rpc/protocol.py: change that one.",
        "",
        f"export const VERSION = {VERSION};",
        f"export const MAGIC = 0x{magic:x}; // {MAGIC.decode()!r}, little-endian",
        f"export const PREFIX = {PREFIX.size}; // magic, bytes of header and payload",
        f"export const ALIGNMENT = {ALIGNMENT};",
        f"export const MOST_HEADER = {MOST_HEADER};",
        f"export const MOST_PAYLOAD = {MOST_PAYLOAD};",
        f"export const CHUNK = {CHUNK}; // bytes of one WebSocket message",
        f"export const AHEAD = {AHEAD}; // bytes that may wait to be sent",
        "/** What answers each question; empty: nothing does. */",
        "export const QUESTIONS = Object.freeze({",
        *(f"  {k.name}: '{k.answer}'," for k in QUESTIONS.values()),
        "});",
        "/** The fields of each kind of messages beside kind, id and parts. */",
        "export const FIELDS = Object.freeze({",
        *(f"  {k.name}: [{', '.join(map(_quoted, k.fields))}]," for k in KINDS.values()),
        "});",
    ]
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    return f"'{word}'"


__all__ = [
    "AHEAD",
    "ALIGNMENT",
    "ANSWERS",
    "CHUNK",
    "CONTROL",
    "DEFAULT_KEY",
    "DEFAULT_PORT",
    "KINDS",
    "MAGIC",
    "PREFIX",
    "QUESTIONS",
    "UPGRADE",
    "VERSION",
    "Kind",
    "Parts",
    "ProtocolError",
    "decode",
    "encode",
    "error_of",
    "numbers",
    "padded",
    "sizes",
]
