"""Arrays that lie on the other side, by handle."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..dtype import dtype_of
from ..errors import RPCError
from .link import Link
from .peer import Peer, Session


class KeptArray:
    """An array that a device keeps, for kernels to read and write without a transfer.

    It goes with its last name, at :meth:`close`, and with the connection: what the device held is
    then gone, and its use an :class:`~weft.runtime.errors.RPCError` of step ``"peer gone"``.
    """

    def __init__(self, peer: Peer, array: np.ndarray):
        self._peer, self._link = peer, None
        self.shape, self.dtype = array.shape, array.dtype
        with peer.session("array") as session:
            said, _ = session.ask("put", {}, [array])
            self._link: Link | None = session.link
            self._handle = int(said["handle"])

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    def handle_in(self, session: Session) -> int:
        """The handle, in messages of a session; raises :class:`RPCError` where there is none."""
        if self._link is not session.link:
            raise RPCError.of(
                "peer gone",
                "the array was closed." if self._link is None
                else "the array went with the connection that it was made in.",
                where=f"array {dtype_of(self.dtype)}[{', '.join(map(str, self.shape))}]",
                hint="make it anew: remote.array(x)",
            )  # fmt: skip
        return self._handle

    def numpy(self) -> np.ndarray:
        """A copy of it here."""
        with self._peer.session("array") as session:
            _, (part,) = session.ask("get", {"handle": self.handle_in(session)})
        return part.view(self.dtype).reshape(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def close(self) -> None:
        """Free it there; once more does nothing."""
        link, self._link = self._link, None
        if link is not None:
            self._peer.drop(link, self._handle)

    def __del__(self) -> None:
        if not sys.is_finalizing() and hasattr(self, "_handle"):
            self.close()

    def __repr__(self) -> str:
        return f"<KeptArray {dtype_of(self.dtype)}[{', '.join(map(str, self.shape))}]>"


__all__ = ["KeptArray"]
