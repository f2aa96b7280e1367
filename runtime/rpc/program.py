"""Programs that run elsewhere, as if here: the runners of ``wasm`` and ``webgl``."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import knobs
from ..artifact import Program
from ..devices.table import BROWSER, NODE, code_kind
from ..errors import DeviceError
from ..runner import deliver
from ..sizes import known
from ..storage import Storage
from .arrays import KeptArray
from .link import Link
from .peer import PEERS, Peer, Session

_NS = 1e6  # nanoseconds of a millisecond


class AwayProgram:
    """A program at another process, here or elsewhere; a :class:`~weft.runtime.runner.Runner`.

    It is loaded there at its first call, and again after the other side was replaced: one that died
    is an error of the call that it died in, and of no other. In a fork it is loaded at a process
    of the fork's own.

    Parameters
    ----------
    peer : where it runs.
    flags : those of the JavaScript runtime (``runtime_js/flags.js``).
    """

    def __init__(
        self,
        program: Program,
        codes: Mapping[str, bytes],
        storage: Storage,
        peer: Peer,
        flags: Mapping[str, Any] | None = None,
    ):
        assert not storage.dynamic, "sizes are known here: see runtime/sized.py"
        self.program, self._codes, self._storage = program, codes, storage
        # Sizes are inputs there: numbers like others.
        self._sizes = [k for k, s in enumerate(program.slots) if s.kind == "size"]
        self._peer = peer
        # 0: as many as that machine has.
        threads = 0 if self._peer.remote else knobs.num_threads()
        self._flags = {"pollMs": 0, "blocking": True, "threads": threads, **(flags or {})}
        self._link: Link | None = None
        self._handle = 0
        self.devices: tuple[str, ...] = ()  # what it runs on, in words
        self.counts: np.ndarray | None = None
        with self._peer.session(program.name) as session:
            self._load(session)

    def _load(self, session: Session) -> None:
        if self._link is session.link:
            return
        program, storage = self.program, self._storage
        own = program.target.split(maxsplit=1)[0]
        kinds = {name: code_kind(name) for name in self._codes}
        codes = [
            {"device": kind or own, "name": name, "text": not kind} for name, kind in kinds.items()
        ]
        names: dict[str, tuple[int, np.ndarray]] = {}
        for k, array in storage.constants.items():
            names.setdefault(program.slots[k].source, (k, array))
        params = [
            {"name": n, "dtype": program.slots[k].dtype, "shape": program.slots[k].physical}
            for n, (k, _) in names.items()
        ]
        there = self._there()
        fields = {
            "program": there.to_json(), "flags": self._flags, "codes": codes, "params": params,
            "inputs": list(there.inputs), "outputs": list(program.outputs),
        }  # fmt: skip
        parts = [*self._codes.values(), *(array for _, array in names.values())]
        said, _ = session.ask("load", fields, parts)
        self._link, self._handle = session.link, int(said["handle"])
        self.devices = tuple(map(str, said["devices"]))

    def _there(self) -> Program:
        """The program as the other side has it."""
        slots = [replace(s, kind="input") if s.kind == "size" else s for s in self.program.slots]
        sizes = {self.program.slots[k].name: k for k in self._sizes}
        return replace(self.program, slots=tuple(slots), inputs={**self.program.inputs, **sizes})

    def _given(self, session: Session, arrays: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
        """What a message says of its inputs, and what is sent: numbers as arrays of one element,
        nothing of arrays that are there."""
        slots, dtypes, values = self.program.slots, self._storage.dtypes, self._storage.values
        handles, parts = [], []
        for k, a in zip(self.program.inputs.values(), arrays):
            handles.append(a.handle_in(session) if isinstance(a, KeptArray) else 0)
            if not handles[-1]:
                parts.append(a if slots[k].shape else np.asarray(a, dtypes[k].numpy).reshape(1))
        for k in self._sizes:
            handles.append(0)
            parts.append(np.asarray([values[slots[k].source]], dtypes[k].numpy))
        return {"handle": self._handle, "arrays": handles}, parts

    def run(self, arrays: Sequence[Any], out: Sequence[Any] | None = None) -> list[Any]:
        """The program's outputs for its inputs, both in order; see :meth:`Runner.run`. Either may
        be arrays that are kept there."""
        with self._peer.session(self.program.name) as session:
            self._load(session)
            fields, parts = self._given(session, arrays)
            into = [
                a.handle_in(session) if isinstance(a, KeptArray) else 0
                for a in out or [None] * len(self.program.outputs)
            ]
            _, came = session.ask("run", {**fields, "into": into}, parts)
        sent = [k for k, handle in zip(self.program.outputs.values(), into) if not handle]
        results = []
        for k, part in zip(sent, came, strict=True):
            slot, dtype = self.program.slots[k], self._storage.dtypes[k]
            shape = known(slot.shape)
            if part.size != math.prod(shape) * dtype.bytes:
                raise DeviceError(f"{part.size} bytes came for '{slot.name}'.")
            results.append(part.view(dtype.numpy).reshape(shape))
        if out is None:
            return results
        deliver(results, [a for a, handle in zip(out, into) if not handle])
        return list(out)

    def time(self, arrays: Sequence[Any], repeat: int) -> np.ndarray:
        """Nanoseconds of each step there, one row a run; see :meth:`Runner.time`."""
        with self._peer.session(self.program.name) as session:
            self._load(session)
            fields, parts = self._given(session, arrays)
            _, (part, *counts) = session.ask("time", {**fields, "repeat": repeat}, parts)
        self.counts = counts[0].view(np.int32).astype(np.int64) if counts else None
        return part.view(np.float64).reshape(repeat, len(self.program.steps)) * _NS

    def bench(self, arrays: Sequence[Any], number: int, repeat: int) -> np.ndarray:
        """Milliseconds of a whole run there, with its inputs there already: ``repeat`` means of
        ``number`` runs each."""
        with self._peer.session(self.program.name) as session:
            self._load(session)
            fields, parts = self._given(session, arrays)
            _, (part,) = session.ask("bench", {**fields, "number": number, "repeat": repeat}, parts)
        return part.view(np.float64)

    def close(self) -> None:
        """Free the program there; see :meth:`Runner.close`."""
        link, self._link = self._link, None
        if link is not None:
            self._peer.drop(link, self._handle)

    def __del__(self) -> None:
        if not sys.is_finalizing() and hasattr(self, "_link"):
            self.close()


class NodeProgram(AwayProgram):
    """A program under the Node of this process."""

    def __init__(self, program: Program, codes: Mapping[str, bytes], storage: Storage):
        super().__init__(program, codes, storage, PEERS[NODE])


class BrowserProgram(AwayProgram):
    """A program in a page of the Chromium of this process."""

    def __init__(self, program: Program, codes: Mapping[str, bytes], storage: Storage):
        super().__init__(program, codes, storage, PEERS[BROWSER])


__all__ = ["AwayProgram", "BrowserProgram", "NodeProgram"]
