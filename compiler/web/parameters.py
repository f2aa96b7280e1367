"""The parameters of several programs in one set of files: equal ones once, in logical order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ...ir.layout import Layout
from ...runtime.artifact import Program
from ...runtime.sizes import known
from . import weights as coding
from .derived import Derived


def logical(
    program: Program, params: Mapping[str, np.ndarray]
) -> tuple[Program, dict[str, np.ndarray]]:
    """Parameters in logical row-major order, whatever the target stores: targets share them, and
    their codings know what a channel is. The slots' layouts say how to pack them."""
    if program.meta.get("params") == "logical":
        return program, dict(params)
    tensors: dict[str, np.ndarray] = {}
    for s in program.slots:
        if s.kind == "constant":
            array = params[s.source]
            if s.layout:
                array = Layout.from_text(s.layout, known(s.shape)).unpack(array)
            tensors[s.source] = np.ascontiguousarray(array).reshape(known(s.shape))
    return replace(program, meta={**program.meta, "params": "logical"}), tensors


class ParameterPool:
    """Tensors of several programs, equal ones once."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self._names: dict[tuple, str] = {}

    def add(
        self,
        program: Program,
        tensors: Mapping[str, np.ndarray],
        derived: Mapping[str, Derived] = MappingProxyType({}),
        plain: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> tuple[Program, tuple[str, ...]]:
        """The program with its constants' names in the pool, and those names. What is ``derived``
        from a parameter in ``plain`` keeps its name; that parameter is stored in its place."""
        renamed = {n: self._name(n, tensors[n]) for n in sorted(tensors.keys() - derived.keys())}
        sources = {n: self._name(d.source, plain[d.source]) for n, d in sorted(derived.items())}
        slots = tuple(
            replace(s, source=renamed.get(s.source, s.source)) if s.kind == "constant" else s
            for s in program.slots
        )
        meta = dict(program.meta)
        if derived:
            made = {n: replace(d, source=sources[n]).to_json() for n, d in derived.items()}
            meta["derived"] = dict(sorted(made.items()))
        names = {*renamed.values(), *sources.values()}
        return replace(program, slots=slots, meta=meta), tuple(sorted(names))

    def _name(self, name: str, tensor: np.ndarray) -> str:
        """The name in the pool of a tensor, which is added if it is not there."""
        array = np.ascontiguousarray(tensor).reshape(tensor.shape)
        key = (str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._names:
            free, k = name, 1
            while free in self.tensors or free.endswith(coding.SCALE):
                k += 1
                free = f"{name}.{k}"
            self._names[key], self.tensors[free] = free, array
        return self._names[key]


def shards(
    stored: Mapping[str, np.ndarray], users: Sequence[Sequence[str]], limit: int
) -> list[tuple[list[str], tuple[int, ...]]]:
    """Names of each file, and the programs that need it: nobody downloads what he does not use."""
    by: dict[str, tuple[int, ...]] = {
        n: tuple(u for u, names in enumerate(users) if n.removesuffix(coding.SCALE) in names)
        for n in stored
    }
    files: list[tuple[list[str], tuple[int, ...]]] = []
    room = -1
    for name in sorted(stored, key=lambda n: (by[n], n)):
        need = stored[name].nbytes
        if need > room or by[name] != files[-1][1]:
            files.append(([], by[name]))
            room = limit
        files[-1][0].append(name)
        room -= need
    return files
