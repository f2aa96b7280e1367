"""The client: a device elsewhere, from its connection to its end.

>>> with weft.rpc.connect(url, token="…", key="chrome") as remote:  # doctest: +SKIP
...     kernel = remote.load(weft.build(s, [A, B], target=remote.target("webgl")))
...     a, b = remote.array(x), remote.array(y)
...     kernel(a, b)
...     print(b.numpy(), kernel.time(a, b, number=20, repeat=3))
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..dtype import dtype_of
from ..errors import InputError, RPCError
from ..executor import Executable, opened
from ..profile import Benchmark, Timing
from ..runner import RunnerFactory
from .arrays import KeptArray
from .link import LinkLost, LinkTimeout
from .peer import Peer
from .program import AwayProgram
from .protocol import VERSION
from .stream import Address, StreamLink, key_of

# What of a device's limits a target may say. Whatever else a device tells is for people.
_OPTIONS = frozenset(
    {"max_texture_size", "max_draw_buffers", "texture_units", "float_bits", "max_threads",
     "max_blocks", "shared_bytes", "max_buffers", "mtriple", "mcpu", "mattr", "threads"}
)  # fmt: skip


def connect(
    url: str,
    *,
    token: str | None = None,
    key: str | None = None,
    timeout: float | None = 60.0,
    wait: float = 600.0,
    certificate: str | None = None,
    on_queue: Callable[[int, int], None] | None = None,
) -> Remote:
    """A device of a hub, for this client alone until it is closed.

    Parameters
    ----------
    url : ``"ws://host:port"``, or the link that the hub printed, with its token.
    token : by default the one in ``url``, else that of the environment (``WEFT_RPC_TOKEN``).
    key : what devices of this kind are called there: any of them that is free. By default the one
        in ``url`` (``…/?key=chrome``), else ``"default"``.
    timeout : seconds for each message: an upload, a compilation, a run. None: those of the
        environment (``WEFT_RPC_TIMEOUT``, 600 by default).
    wait : seconds to wait for a turn.
    certificate : a file of certificates to trust, for ``wss``.
    on_queue : told, whenever it changes, how many clients are before this one, and how many devices
        there are.

    Raises :class:`~weft.runtime.errors.RPCError` with its ``step``: ``"connect"``, ``"refused"``,
    ``"queue"``.
    """
    address = Address.parse(url, token, certificate)
    wanted = key or key_of(url)

    def start() -> _SessionLink:
        return _SessionLink(address, wanted, wait, on_queue)

    remote = Remote(address, wanted, Peer(start, timeout, remote=True))
    remote.reconnect()
    return remote


class _SessionLink(StreamLink):
    """A session with a device of a key."""

    def __init__(
        self, address: Address, key: str, wait: float,
        on_queue: Callable[[int, int], None] | None,
    ):  # fmt: skip
        super().__init__(address, "client")
        self.leave_nothing()
        try:
            self._await_turn(key, wait, on_queue)
        except BaseException:
            self.end()
            raise

    def _await_turn(
        self, key: str, wait: float, on_queue: Callable[[int, int], None] | None
    ) -> None:
        deadline = time.monotonic() + wait
        where = f"{self.address}, key {key!r}"
        ahead = devices = 0
        try:
            self.tell("want", deadline, version=VERSION, key=key, client=_own_name())
            while True:
                said, _ = self.hear(deadline)
                if said["kind"] == "refused":
                    raise RPCError.of(
                        said["step"], said["message"], where=where, hint=said["hint"] or None
                    )
                if said["kind"] == "assigned":
                    break
                ahead, devices = int(said["ahead"]), int(said["devices"])
                if on_queue is not None:
                    on_queue(ahead, devices)
        except LinkTimeout:
            there = f"devices with this key: {devices}, clients before this one: {ahead}"
            if not devices:
                there = f"there is none with this key, and {keys_at(self.address)}"
            raise RPCError.of(
                "queue",
                f"no device became free within {wait:g} seconds: {there}.",
                where=where,
                hint="weft rpc list shows who is there; wait=SECONDS (--wait) waits longer",
            ) from None
        except LinkLost as e:
            raise RPCError.of("peer gone", f"{e}.", where=where) from None
        self.session, self.name = said["session"], said["name"]
        self.targets: Mapping[str, Any] = said["targets"]


def keys_at(address: Address) -> str:
    """The keys of the devices of a hub, in words."""
    keys: set[str] = set()
    with suppress(RPCError):
        keys = {str(d["key"]) for d in address.json("list")["devices"]}
    if not keys:
        return "no other device"
    return f"the keys of others are {', '.join(sorted(map(repr, keys)))}"


def _own_name() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


class Remote:
    """A device elsewhere; see :func:`connect`.

    When its connection is lost (its tab was closed, the hub was restarted, a call took longer than
    the timeout), the call that meets it is an :class:`~weft.runtime.errors.RPCError`; the next one
    takes its turn again, and programs are sent there again. Arrays are gone.
    """

    def __init__(self, address: Address, key: str, peer: Peer):
        self.address, self.key, self.peer = address, key, peer
        self.name = ""  # the device, in words
        self.targets: Mapping[str, Any] = {}  # what it runs: {kind: {"name", "limits"}}

    def reconnect(self) -> None:
        """Take a turn again, if there is no session."""
        with self.peer.session("connect") as session:
            link = session.link
            assert isinstance(link, _SessionLink)
            self.targets, self.name = link.targets, link.name

    def target(self, kind: str) -> str:
        """A target of this kind with what this device has: ``"webgl -max_texture_size=16384"``.

        Raises :class:`RPCError`, step ``"refused"``, for a kind that it does not run.
        """
        found = self.targets.get(kind)
        if found is None or "limits" not in found:
            why = f": {found['name']}" if found else ""
            others = [k for k in self.targets if self.runs(k)]
            raise RPCError.of(
                "refused", f"it does not run {kind}{why}.", where=self.name,
                hint=f"it runs {', '.join(others)}" if others else None,
            )  # fmt: skip
        limits = {k: v for k, v in found["limits"].items() if k in _OPTIONS and v not in ("", None)}
        return " ".join([kind, *(f"-{k}={v}" for k, v in limits.items())])

    def runs(self, kind: str) -> bool:
        """Whether it runs programs of a kind of target."""
        return "limits" in self.targets.get(kind, {})

    def load(self, program: Any, **flags: Any) -> Any:
        """A compiled model as one that runs there, or a built kernel as a :class:`RemoteKernel`.

        ``program`` may be the path of a package, which need not run here. ``flags`` are for the
        JavaScript runtime. Raises :class:`RPCError`, step ``"compile"``, with the driver's log
        where its code is refused.
        """
        if isinstance(program, str | os.PathLike):
            program = opened(program)
        executable = getattr(program, "executable", program)
        if not isinstance(executable, Executable):
            raise InputError(
                f"{type(program).__name__} cannot be loaded there.",
                hint="load what weft.compile or weft.build return, or the path of a package",
            )
        made = executable.at(self.runner(**flags)).prepare()
        return made if executable is program else RemoteKernel(made)

    def runner(self, **flags: Any) -> RunnerFactory:
        """What makes the runners of programs there."""

        def make(program: Any, codes: Any, storage: Any) -> AwayProgram:
            return AwayProgram(program, codes, storage, self.peer, flags)

        return make

    def benchmark(
        self, exe: Executable, /, *arrays: Any, repeat: int = 10, number: int = 1, **by_name: Any
    ) -> Benchmark:
        """Times of whole runs of what :meth:`load` returned, by the clock there and with the inputs
        there already: ``repeat`` measurements of ``number`` runs each.

        :meth:`Executable.benchmark` has the times from here, transfers among them, and
        :meth:`Executable.profile` those of each kernel there. Inputs as for the latter.
        """
        runner: Any = exe.runner
        times = runner.bench(exe.feed(arrays, by_name), max(1, number), max(1, repeat))
        return Benchmark(tuple(times.tolist()))

    def array(self, x: Any) -> KeptArray:
        """A copy of ``x`` there."""
        return KeptArray(self.peer, np.ascontiguousarray(x))

    def empty(self, shape: Sequence[int], dtype: str = "float32") -> KeptArray:
        """An array of zeros there."""
        return self.array(np.zeros(tuple(shape), dtype_of(dtype).numpy))

    def state(self) -> Mapping[str, int]:
        """How many ``programs``, ``arrays``, ``buffers`` and ``bytes`` it holds for this client."""
        return self.peer.state()

    def close(self) -> None:
        """End the session; the device frees all that was made in it."""
        self.peer.end()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Remote {self.name} at {self.address}, key {self.key!r}>"


class RemoteKernel:
    """A kernel that runs elsewhere; its arguments are arrays here or :class:`KeptArray` s there, in
    the order of its parameters."""

    def __init__(self, executable: Executable):
        self.executable = executable
        specs = {**executable.inputs, **executable.outputs}
        self._order = sorted(specs, key=lambda name: int(name[1:]))
        self._specs = specs

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.executable.name

    def _given(self, args: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        if len(args) != len(self._order):
            raise InputError(
                f"{len(args)} arguments were given for {len(self._order)} parameters.",
                where=self.name,
            )
        named = dict(zip(self._order, args))
        for name, a in named.items():
            spec = self._specs[name]
            shape = getattr(a, "shape", ())
            if isinstance(a, np.ndarray | KeptArray) and (
                tuple(shape) != tuple(spec.shape) or a.dtype != spec.dtype.numpy
            ):
                raise InputError(
                    f"argument {self._order.index(name)} is {a.dtype}{list(shape)}, "
                    f"not {spec.dtype}{list(spec.shape)}.",
                    where=self.name,
                )
            if name in self.executable.outputs and not isinstance(a, np.ndarray | KeptArray):
                raise InputError(
                    f"argument {self._order.index(name)} is written: it has to be an array.",
                    where=self.name,
                )
        inputs = [named[n] if isinstance(named[n], KeptArray) else _contiguous(named[n])
                  for n in self.executable.inputs]  # fmt: skip
        return inputs, [named[n] for n in self.executable.outputs]

    def __call__(self, *args: Any) -> None:
        """Run; results are written into the arrays given for them, wherever they lie.

        Raises :class:`InputError` on a wrong number, shape or dtype, and
        :class:`~weft.runtime.errors.RPCError`.
        """
        self.executable.run_checked(*self._given(args))

    def time(self, *args: Any, number: int = 1, repeat: int = 10) -> Timing:
        """How long it takes there: ``repeat`` times, each the mean of ``number`` runs, by the
        device's own clock where it has one, without the transfers."""
        inputs, _ = self._given(args)
        rows = self.executable.runner.time(inputs, number * repeat).sum(axis=1)
        return Timing(tuple(rows.reshape(repeat, number).mean(axis=1).tolist()))

    def close(self) -> None:
        """Free it there."""
        self.executable.close()


def _contiguous(a: Any) -> Any:
    return np.ascontiguousarray(a) if isinstance(a, np.ndarray) and a.ndim else a


__all__ = ["Remote", "RemoteKernel", "connect", "keys_at"]
