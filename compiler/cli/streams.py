"""Standard output and error as they are: of any encoding, full, closed at the other end, or not
there at all."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ...runtime.errors import WeftError

_PLAIN = "weft.plain"
_SPELLED = {
    "×": "x", "…": "...", "≥": ">=", "≤": "<=", "·": "*", "—": "-", "–": "-", "→": "->", "µ": "u",
    "█": "#", "²": "^2",
}  # fmt: skip


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """What an encoding does not have, spelled out; bytes of a file's name as they were."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    with suppress(UnicodeError):
        return codecs.lookup_error("surrogateescape")(error)
    text = error.object[error.start : error.end]
    return "".join(_SPELLED.get(c, "?") for c in text), error.end


class _Sink(io.RawIOBase):
    """A descriptor that never complains: what it cannot take is dropped, and ``error`` says why."""

    def __init__(self, descriptor: int):
        super().__init__()
        self._descriptor = descriptor
        self.error: OSError | None = None

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        while self.error is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever started us shares a pipe that does not wait
                select.select([], [self._descriptor], [])
            except OSError as e:
                self.error = e
        return len(data)


@contextmanager
def plain_streams() -> Iterator[None]:
    """While it lasts, text goes to streams of any encoding, and a stream that takes no more stops
    nothing: a package is written though nobody reads what is said of it (``| head``).

    Raises :class:`WeftError` at the end where standard output was not written for another reason
    than that its reader has gone.
    """
    codecs.register_error(_PLAIN, _spell)
    before = sys.stdout, sys.stderr
    sys.stdout, out = _plain(sys.stdout)
    sys.stderr, _ = _plain(sys.stderr)
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            sys.stdout, sys.stderr = before
    except SystemExit as e:  # after --help
        if e.code:
            raise
        _check(out)
        raise
    _check(out)


def _plain(stream: Any) -> tuple[Any, _Sink | None]:
    """A stream in place of one of the process's own, and what stands behind it."""
    ours = stream is not None and (stream is sys.__stdout__ or stream is sys.__stderr__)
    if not ours or not isinstance(stream, io.TextIOWrapper) or stream.closed:
        return stream, None
    stream.reconfigure(errors=_PLAIN)
    if stream.isatty():
        return stream, None
    stream.flush()
    sink = _Sink(stream.fileno())
    lines = stream is sys.__stderr__
    text = io.TextIOWrapper(io.BufferedWriter(sink), stream.encoding, _PLAIN, line_buffering=lines)
    return text, sink


def _check(sink: _Sink | None) -> None:
    if sink is None or sink.error is None or isinstance(sink.error, BrokenPipeError):
        return
    raise WeftError(
        f"standard output takes no more: {sink.error.strerror or sink.error}.",
        hint="the command itself is done",
    )


def say(text: str) -> None:
    """A line on standard error, if that can be written."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
