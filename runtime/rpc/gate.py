"""Looks at frames as they pass, without keeping them: a frame over the limit ends its stream."""

from __future__ import annotations

from . import protocol


class Gate:
    """One direction of a stream, cut anywhere.

    Parameters
    ----------
    limit : the most bytes of one frame.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._prefix = bytearray()
        self._rest = 0  # bytes of the frame that are still to pass

    def look(self, data: memoryview) -> None:
        """Let ``data`` pass; raises :class:`protocol.ProtocolError` for what is no frame, or is
        one over the limit, as soon as it is announced."""
        while data.nbytes:
            if not self._rest:
                n = min(protocol.PREFIX.size - len(self._prefix), data.nbytes)
                self._prefix += data[:n]
                data = data[n:]
                if len(self._prefix) < protocol.PREFIX.size:
                    return
                header, payload = protocol.sizes(self._prefix)
                self._prefix.clear()
                self._rest = header + payload
                if self._rest > self._limit:
                    raise protocol.ProtocolError(
                        f"a message of {self._rest} bytes was announced, and {self._limit} are the "
                        "most that pass"
                    )
            n = min(self._rest, data.nbytes)
            self._rest -= n
            data = data[n:]


__all__ = ["Gate"]
