"""Devices elsewhere: ``weft.rpc``. See ``docs/RPC.md``.

:func:`connect` gets a device of a hub, a browser or another machine, as a :class:`Remote`, which
loads programs and kernels and keeps arrays (:class:`KeptArray`). What goes wrong is an
:class:`RPCError` whose ``step`` says what failed. :class:`LocalHub` is a hub in a thread of this
process; ``weft rpc hub`` is one of its own.
"""

from __future__ import annotations

from ..errors import RPCError
from .arrays import KeptArray
from .client import Remote, RemoteKernel, connect
from .host import LocalHub

__all__ = ["KeptArray", "LocalHub", "RPCError", "Remote", "RemoteKernel", "connect"]
