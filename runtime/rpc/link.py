"""What carries messages to another process and back: a stream of bytes each way."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ndarray import aligned_bytes
from . import protocol

_WORDS = 4000  # characters that are kept of what the other side printed


class LinkLost(Exception):
    """The other side is gone, or cannot be understood; ``step`` is that of an
    :class:`~weft.runtime.errors.RPCError`."""

    def __init__(self, why: str, step: str = "peer gone"):
        super().__init__(why)
        self.step = step


class LinkTimeout(Exception):
    """The other side took too long."""


class Link(ABC):
    """One other process, from its start to its end; not shared by threads.

    ``name`` is what it is, in words. ``numbers`` of programs that nobody wants any more are told to
    the other side at the next opportunity, since a finaliser may run in the middle of a message.
    """

    name: str

    def __init__(self) -> None:
        self.unwanted: deque[int] = deque()
        self._words = ""
        self._last = 0

    @abstractmethod
    def send(self, chunks: Sequence[Any], deadline: float) -> None:
        """Send buffers; raises :class:`LinkLost`, and :class:`LinkTimeout` when the clock
        (``time.monotonic``) reaches ``deadline``."""

    @abstractmethod
    def receive(self, into: memoryview, deadline: float) -> None:
        """Fill ``into``; raises as :meth:`send` does."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the other side is there, as far as is known without asking it."""

    @abstractmethod
    def end(self) -> None:
        """End the other side, at once, whatever it is doing; once more does nothing."""

    @abstractmethod
    def abandon(self) -> None:
        """In a fork: let go of what belongs to the parent, without ending anything."""

    def keep_words(self, text: bytes) -> None:
        """Keep the end of what the other side prints."""
        self._words = (self._words + text.decode("utf-8", "replace"))[-_WORDS:]

    @property
    def last_words(self) -> str:
        """The end of what the other side printed."""
        return self._words.strip()

    def ask(
        self, kind: str, fields: dict[str, Any], parts: protocol.Parts, timeout: float
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Send a message and wait for its answer: its header and its parts, in memory of their own.

        Raises :class:`LinkLost`, :class:`LinkTimeout`. After any exception but these, too, the link
        is of no use: an answer may be on its way.
        """
        deadline = time.monotonic() + timeout
        self.tell_unwanted(deadline)
        self._last += 1
        self.send(protocol.encode(kind, self._last, fields, parts), deadline)
        expected = protocol.KINDS[kind].answer
        if not expected:
            return {}, []
        answer, arrays = self.hear(deadline)
        if answer["id"] != self._last or answer["kind"] not in (expected, "error"):
            raise LinkLost(f"the answer to '{kind}' was '{answer['kind']}'")
        return answer, arrays

    def tell(self, kind: str, deadline: float, **fields: Any) -> None:
        """Send a message that nothing answers; raises as :meth:`send` does."""
        self.send(protocol.encode(kind, 0, fields), deadline)

    def hear(self, deadline: float) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The next message: its header and its parts, in memory of their own; raises as
        :meth:`receive` does."""
        try:
            prefix = memoryview(bytearray(protocol.PREFIX.size))
            self.receive(prefix, deadline)
            length, size = protocol.sizes(prefix)
            header = memoryview(bytearray(length))
            self.receive(header, deadline)
            payload = aligned_bytes(size)
            self.receive(payload.data, deadline)
            return protocol.decode(header, payload)
        except protocol.ProtocolError as e:
            raise LinkLost(str(e)) from None

    def tell_unwanted(self, deadline: float) -> None:
        """Have the other side free the programs that nobody wants any more."""
        handles = [self.unwanted.popleft() for _ in range(len(self.unwanted))]
        if handles:
            self.tell("close", deadline, handles=handles)


def left(deadline: float) -> float:
    """Seconds until a deadline; raises :class:`LinkTimeout` when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise LinkTimeout
    return seconds


__all__ = ["Link", "LinkLost", "LinkTimeout", "left"]
