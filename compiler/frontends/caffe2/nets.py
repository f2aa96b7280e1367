"""The two nets of a model as one graph.

Blobs are variables: an operator may write one that it reads, or one that was written before. Each
writing makes a value of its own here; readers read the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....runtime.dtype import FLOAT32, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from ..model import FileModel, FileNode, live
from ..signature import SymbolicType
from .files import Pair, read_pair
from .fills import FILLS, RANDOM, filled
from .schema import parse_net

_WEIGHTED = frozenset(("Conv", "ConvTranspose", "FC", "SpatialBN", "PRelu", "InstanceNorm"))


def read(source: Any, whole: bool = True) -> FileModel:
    """What a pair of nets says. Raises :class:`ModelError` for damaged files, and where the weights
    are not to be found but ``whole``."""
    pair = read_pair(source)
    nets = [parse_net(pair.first, pair.file)]
    if pair.second is not None:
        nets.append(parse_net(pair.second, pair.second_file))
    files = [pair.file, pair.second_file]
    inits = [all(not op.input and op.type in FILLS for op in net.op) for net in nets]
    if inits == [True]:
        raise ModelError(
            "this net fills weights, and there is none that computes.", where=pair.file,
            hint="predict_net.pb belongs beside init_net.pb",
        )  # fmt: skip
    if len(nets) == 2 and inits[0] == inits[1]:
        which = "fill" if inits[0] else "compute"
        raise ModelError(
            f"both nets {which}: they are no pair.", where=f"{files[0]}, {files[1]}",
            hint="one of them is init_net.pb, the other predict_net.pb",
        )  # fmt: skip
    k = inits.index(False)
    blobs = _filled(nets[1 - k], files[1 - k]) if len(nets) == 2 else {}
    return _Reader(pair, nets[k], files[k], blobs).model(whole and len(nets) == 1)


def _filled(net: Any, file: str) -> dict[str, np.ndarray]:
    """The blobs of an init net."""
    drawn = {op.type for op in net.op if op.type in RANDOM}
    if drawn:
        names = [o for op in net.op if op.type in RANDOM for o in op.output]
        more = " …" if len(names) > 5 else ""
        raise UnsupportedError(
            f"{', '.join(sorted(drawn))} draw weights at random ({', '.join(names[:5])}{more}): "
            "this net was not trained.",
            where=file, hint="export the net after training: its init net has GivenTensorFill",
        )  # fmt: skip
    blobs = {}
    for op in net.op:
        if len(op.output) != 1:
            raise ModelError(f"{op.type} fills {len(op.output)} blobs.", where=file)
        blobs[op.output[0]] = filled(op.type, arguments(op), f"{file}, blob {op.output[0]!r}")
    return blobs


def arguments(op: Any) -> dict[str, Any]:
    """The arguments of an operator by their names."""
    return {a.name: a for a in op.arg}


class _Reader:
    def __init__(self, pair: Pair, net: Any, file: str, blobs: Mapping[str, np.ndarray]):
        self.pair, self.net, self.file, self.blobs = pair, net, file, dict(blobs)
        self.newest: dict[str, str] = {}  # of each blob that was written or read: its value
        self.taken = {*blobs}
        self.free: list[str] = []

    def model(self, need_weights: bool) -> FileModel:
        stated = self._placeholder()
        nodes = [self._node(k, op) for k, op in enumerate(self.net.op)]
        outputs = self._outputs(nodes)
        kept = live(nodes, outputs.values())
        used = {*outputs.values()}.union(*(n.inputs for n in kept))
        unknown = SymbolicType(FLOAT32, None)
        inputs = {name: stated.get(name, unknown) for name in self.free if name in used}
        if need_weights:
            self._need_weights(kept, inputs)
        return FileModel(
            "caffe2", self.file, self.net.name or self.pair.name, inputs, outputs, kept,
            {k: a for k, a in self.blobs.items() if k in used},
        )  # fmt: skip

    def _placeholder(self) -> dict[str, SymbolicType]:
        """Exporters fill the input, too, so that a net can be run at once: where the init net has
        a value for everything, the first external input is what a caller gives. Its fill has the
        input's shape, or one element and says nothing."""
        external = list(self.net.external_input)
        if not external or any(name not in self.blobs for name in external):
            return {}
        value = self.blobs.pop(external[0])
        self.taken.discard(external[0])
        if value.size <= 1:
            return {}
        return {external[0]: SymbolicType(dtype_of(value.dtype), value.shape)}

    def _node(self, k: int, op: Any) -> FileNode:
        inputs = tuple(self._read(name) for name in op.input)
        name = op.name or (op.output[0] if op.output else f"{op.type} {k}")
        outputs = tuple(self._written(o) if o else "" for o in op.output)
        return FileNode(op.type, name, inputs, outputs, arguments(op))

    def _read(self, blob: str) -> str:
        if blob not in self.newest:
            if blob not in self.blobs:
                self.free.append(blob)
            self.newest[blob] = blob
            self.taken.add(blob)
        return self.newest[blob]

    def _written(self, blob: str) -> str:
        name, k = blob, 1
        while name in self.taken:
            name, k = f"{blob}#{k}", k + 1
        self.newest[blob] = name
        self.taken.add(name)
        return name

    def _outputs(self, nodes: list[FileNode]) -> dict[str, str]:
        """The blobs that the net says are its results; else those that nobody reads."""
        stated: list[str] = [o for o in self.net.external_output if o]
        for o in stated:
            if o not in self.newest and o not in self.blobs:
                raise ModelError(f"nothing makes the external output {o!r}.", where=self.file)
        if stated:
            return {o: self.newest.get(o, o) for o in stated}
        read = {i for n in nodes for i in n.inputs}
        ends = [n.outputs[0] for n in nodes if n.outputs and n.outputs[0] not in read]
        return {o: o for o in ends}

    def _need_weights(self, nodes: list[FileNode], inputs: Mapping[str, Any]) -> None:
        for n in nodes:
            absent = [i for i in n.inputs[1:] if i in inputs]
            if n.op in _WEIGHTED and absent:
                raise ModelError(
                    f"the weights are not beside it: {n.name!r} ({n.op}) reads {absent[0]!r}.",
                    where=self.file,
                    hint="init_net.pb belongs beside predict_net.pb; load the model by a path",
                )


__all__ = ["arguments", "read"]
