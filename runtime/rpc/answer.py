"""Answers the messages of one client with the devices of this process.

The mirror of ``runtime_js/rpc/answer.js``, for processors, OpenCL and the rest of ``table.py``.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..artifact import Program
from ..devices.table import runner_of
from ..dtype import dtype_of
from ..errors import InputError, WeftError
from ..executor import Executable
from ..ndarray import aligned
from ..runner import Runner
from . import protocol

Answer = tuple[str, dict[str, Any], protocol.Parts]


class Answering:
    """What one client has made here.

    Parameters
    ----------
    platform : what this is, in words.
    kinds : the kinds of targets whose programs it runs.
    """

    def __init__(self, platform: str, kinds: Sequence[str]):
        self._platform, self._kinds = platform, kinds
        self._programs: dict[int, _Held] = {}
        self._arrays: dict[int, np.ndarray] = {}
        self._last = 0

    def answer(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer | None:
        """The answer's kind, fields and parts; None for a message that has none."""
        try:
            kind = header["kind"]
            if kind not in protocol.QUESTIONS:
                raise InputError(f"there are no messages '{kind}'.")
            return getattr(self, f"_{kind}")(header, parts)
        except WeftError as e:
            words = {"message": e.message, "where": e.where or "", "hint": e.hint or ""}
            return "error", {"name": type(e).__name__, **words}, ()
        except Exception as e:
            text = traceback.format_exception_only(e)[-1].strip()
            return "error", {"name": type(e).__name__, "message": text, "where": "", "hint": ""}, ()

    # -- messages -----------------------------------------------------------------------------

    def _hello(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        version = header["version"]
        if version != protocol.VERSION:
            raise InputError(f"version {version} is spoken there, and {protocol.VERSION} here.")
        return "welcome", {"version": protocol.VERSION, "platform": self._platform}, ()

    def _load(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        program = Program.from_json(header["program"])
        kind = program.target.split(maxsplit=1)[0]
        if kind not in self._kinds:
            raise InputError(
                f"programs for {kind} do not run here, but for {', '.join(self._kinds)}.",
                where=self._platform,
            )
        codes, params = header["codes"], header["params"]
        made = Executable(
            program,
            {c["name"]: part.tobytes() for c, part in zip(codes, parts)},
            {
                p["name"]: aligned(part).view(dtype_of(p["dtype"]).numpy).reshape(p["shape"])
                for p, part in zip(params, parts[len(codes) :], strict=True)
            },
            None,
            runner_of(kind, program.name),
        )
        held = _Held(made.prepare(), list(header["inputs"]), list(header["outputs"]))
        return "loaded", {"handle": self._keep(self._programs, held), "devices": [kind]}, ()

    def _run(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        held = self._program(header)
        feeds = self._feeds(held, header, parts)
        into = [self._array(h) if h else None for h in header["into"]]
        results = held.exe.run(feeds)
        sent = []
        for name, handle, kept in zip(held.outputs, header["into"], into, strict=True):
            data = results[name]
            if kept is None:
                sent.append(data)
            elif kept.nbytes != data.nbytes:
                raise InputError(f"array {handle} has {kept.nbytes} bytes, not {data.nbytes}.")
            else:
                kept[...] = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        return "results", {}, sent

    def _bench(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        held = self._program(header)
        feeds = self._feeds(held, header, parts)
        held.exe.run(feeds)
        times = np.empty(int(header["repeat"]))
        for k in range(times.size):
            begin = time.perf_counter()
            for _ in range(int(header["number"])):
                held.exe.run(feeds)
            times[k] = (time.perf_counter() - begin) * 1e3 / int(header["number"])
        return "times", {"rows": times.size}, [times]

    def _time(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        held = self._program(header)
        feeds = self._feeds(held, header, parts)
        arrays = [feeds[name] for name in held.exe.inputs]
        rows = held.runner.time(arrays, int(header["repeat"])) * 1e-6
        sent = [np.ascontiguousarray(rows)]
        counts = getattr(held.runner, "counts", None)
        if counts is not None:
            sent.append(counts.astype(np.int32))
        return "times", {"rows": len(rows)}, sent

    def _put(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        return "kept", {"handle": self._keep(self._arrays, parts[0])}, ()

    def _get(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        return "results", {}, [self._array(header["handle"])]

    def _close(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> None:
        for handle in header["handles"]:
            held = self._programs.pop(handle, None)
            if held is not None:
                held.exe.close()
            self._arrays.pop(handle, None)

    def _state(self, header: Mapping[str, Any], parts: list[np.ndarray]) -> Answer:
        reports = [held.exe.memory for held in self._programs.values()]
        nbytes = sum(r.arena + r.constants for r in reports)
        nbytes += sum(a.nbytes for a in self._arrays.values())
        counts = {"programs": len(self._programs), "arrays": len(self._arrays)}
        return "stated", {**counts, "buffers": sum(counts.values()), "bytes": nbytes}, ()

    # -- what is kept -------------------------------------------------------------------------

    def _keep(self, table: dict[int, Any], value: Any) -> int:
        self._last += 1
        table[self._last] = value
        return self._last

    def _program(self, header: Mapping[str, Any]) -> _Held:
        try:
            return self._programs[header["handle"]]
        except KeyError:
            raise InputError(f"there is no program {header['handle']}.") from None

    def _array(self, handle: int) -> np.ndarray:
        try:
            return self._arrays[handle]
        except KeyError:
            raise InputError(f"there is no array {handle}.") from None

    def _feeds(
        self, held: _Held, header: Mapping[str, Any], parts: list[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The inputs of a message by name: arrays that are here, and its parts."""
        given = iter(parts)
        feeds = {}
        for name, handle in zip(held.inputs, header["arrays"], strict=True):
            spec = held.exe.inputs[name]
            data = self._array(handle) if handle else next(given)
            count = int(np.prod(spec.shape, dtype=np.int64))
            if data.nbytes != count * spec.dtype.bytes:
                raise InputError(f"'{name}' has {data.nbytes} bytes, not {count} of {spec.dtype}.")
            feeds[name] = data.view(spec.dtype.numpy).reshape(spec.shape)
        return feeds


class _Held:
    """A program, and the order in which its inputs and outputs come in messages."""

    def __init__(self, exe: Executable, inputs: list[str], outputs: list[str]):
        self.exe, self.inputs, self.outputs = exe, inputs, outputs

    @property
    def runner(self) -> Runner:
        return self.exe.runner


__all__ = ["Answering"]
