"""Calls of functions, branches and loops.

A loop whose condition is constant before each step is unrolled, where it is not long; else it is a
node with a graph (``graph/skeleton.py``), as is a branch that data decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....runtime.dtype import BOOL, INT64
from ....runtime.errors import UnsupportedError, WeftError
from ...graph.skeleton import LOOP
from ...types import TensorType
from ..branches import add_branch, unlike
from ..flat import UNKNOWN
from ..inner import Inner, add_node
from ..model import FileModel
from .context import Converter, TFContext
from .lists import Rows, whole

UNROLLED = 3000  # nodes of the graph that a loop may become


def _model(n: TFContext, name: str) -> FileModel:
    found = n.attr(name)
    if not isinstance(found, FileModel):
        n.error(f"the attribute {name!r} is {found}, no function of the file.")
    return found


def _call(n: TFContext) -> Sequence[str]:
    return n.walk.inside(_model(n, "f"), n.inputs) or _unknown(n)


def _unknown(n: TFContext) -> list[str]:
    return [UNKNOWN] * n.n_outputs


# --- branches -------------------------------------------------------------------------------------


def _if(n: TFContext) -> Sequence[str]:
    then, other = _model(n, "then_branch"), _model(n, "else_branch")
    return choice(n, then, other)


def choice(n: Any, then: FileModel, other: FileModel) -> Sequence[str]:
    """One of two graphs of the inputs behind the first, which decides; ``n`` is a context of any
    :class:`FlatWalk`."""
    value = n.value_of(n.inputs[0])
    if value is not None:
        return n.walk.inside(then if _true(n, value) else other, n.inputs[1:]) or _unknown(n)
    condition = _condition(n, n.inputs[0])
    return _branch(n, condition, [then, other])


def _true(n: TFContext, value: np.ndarray) -> bool:
    if value.size != 1 and value.ndim:
        return bool(value.size)
    return bool(value.reshape(-1)[0])


def _condition(n: TFContext, name: str) -> str:
    """A tensor as a condition: one that is no bool is true where it is not 0."""
    if n.typeof(name).size != 1:
        n.unsupported(f"a condition that is {n.typeof(name)}")
    name = n.add("reshape", [name], shape=()) if n.typeof(name).shape else name
    if n.typeof(name).dtype.is_bool:
        return name
    return n.add("not_equal", [name, n.like(0, name)])


def _inner(n: TFContext, part: Inner, value: str) -> str:
    """What a value around a graph is inside of it."""
    held = n.walk.shared.objects.get(value)
    if isinstance(held, Rows):
        elements = tuple(part.capture(e) if e else "" for e in held.elements)
        tensor = part.capture(held.whole) if held.whole else ""
        return n.walk.hold(replace(held, elements=elements, whole=tensor))
    return value if held is not None else part.capture(value)


def _branch(n: TFContext, condition: str, models: Sequence[FileModel]) -> Sequence[str]:
    """A node that computes one of two graphs. One that the shapes do not fit fails when a call
    comes to it, as long as the other one can be computed."""
    parts, failed = [], {}
    for k, model in enumerate(models):
        part = Inner(n.walk.emitter, n.source)
        given = [_inner(n, part, i) for i in n.inputs[1:]]
        try:
            found = n.walk.inside(model, given, part.emitter)
        except WeftError as e:
            if failed or isinstance(e, UnsupportedError):
                raise
            failed[k], found = e, []
        if found is None:
            return _unknown(n)
        if any(f in n.walk.shared.objects for f in found):
            n.unsupported("a branch that data decide, and that makes lists of tensors")
        parts.append((part, found))
    for k, e in failed.items():
        part, (like, found) = Inner(n.walk.emitter, n.source), parts[1 - k]
        parts[k] = part, part.fail([like.type(name) for name in found], e)
        n.warn(f"branch {k} does not fit the given shapes ({e.message}); a call of it fails.")
    differ = unlike(*parts)
    if differ:
        n.unsupported(f"branches that make {differ[0]} and {differ[1]}")
    return add_branch(n.walk.emitter, n.source, n.node.outputs, condition, *parts)


# --- loops ----------------------------------------------------------------------------------------


def _while(n: TFContext) -> Sequence[str]:
    cond, body = _model(n, "cond"), _model(n, "body")
    # What follows is read by the loop, and does not change.
    return loop(n, cond, body, n.attr("state", len(n)))


def loop(n: Any, cond: FileModel, body: FileModel, count: int) -> Sequence[str]:
    """The first ``count`` inputs after the last step of a loop; ``n`` is as for :func:`choice`."""
    state, rest = list(n.inputs[:count]), list(n.inputs[count:])
    nodes = n.walk.emitter.builder.nodes
    start, missing = len(nodes), {k: list(v) for k, v in n.walk.missing.needs.items()}
    going = n.walk.inside(cond, [*state, *rest])
    now = list(state)
    while True:
        if going is None:
            return _unknown(n)
        value = n.value_of(going[0])
        if value is None or len(nodes) - start > UNROLLED:
            break
        if not _true(n, value):
            return now
        found = n.walk.inside(body, [*now, *rest])
        if found is None:
            return _unknown(n)
        now = found[:count]
        going = n.walk.inside(cond, [*now, *rest])
    del nodes[start:]
    n.walk.missing.needs = missing
    n.walk.shared.constants.clear()
    return _Loop(n, cond, body, state, rest).made() or _unknown(n)


def _unchanged(body: FileModel, k: int) -> bool:
    """Whether a body hands on its input ``k`` as it is."""
    value = list(body.outputs.values())[k]
    makers = {n.outputs[0]: n for n in body.nodes if n.op == "Identity" and n.outputs}
    for _ in range(len(makers) + 1):
        if value not in makers:
            break
        value = makers[value].inputs[0]
    return value == list(body.inputs)[k]


class _Loop:
    """A loop as a node with a graph: of the number of a step, whether it goes on, and the state.

    ``state`` are the values that a step changes, if only some of them do; ``rest`` those that the
    loop reads. Lists of tensors are one tensor each in the graph.
    """

    def __init__(
        self, n: TFContext, cond: FileModel, body: FileModel, state: list[str], rest: list[str]
    ):
        if len(body.outputs) < len(state):
            n.error(f"the body makes {len(body.outputs)} values, of {len(state)}.")
        self.n, self.cond, self.body, self.state, self.rest = n, cond, body, state, rest
        self.objects = n.walk.shared.objects
        self.moving = [k for k in range(len(state)) if not _unchanged(body, k)]
        self.before = [self._before(k) for k in self.moving]
        self.types = [TensorType(n.typeof(t).dtype, n.typeof(t).shape) for t in self.before]

    def _before(self, k: int) -> str:
        """The tensor that state ``k`` is when the loop begins."""
        n, name = self.n, self.state[k]
        rows = self.objects.get(name)
        if isinstance(rows, Rows):
            return whole(n, rows, _first_written(n, self.body, self.state, self.rest, k, rows))
        if rows is not None:
            n.unsupported("a loop whose state is neither tensors nor lists of them")
        if name in n.walk.emitter.sizes:
            n.unsupported("a loop whose state is a tensor whose size only data knows")
        return name

    def _as(self, k: int, tensor: str) -> str:
        """State ``k`` that is a tensor in the graph, as the value that it is."""
        rows = self.objects.get(self.state[k])
        if not isinstance(rows, Rows):
            return tensor
        count = self.types[self.moving.index(k)].shape[0]
        return self.n.walk.hold(replace(rows, elements=(), whole=tensor, count=count))

    def _end(self, part: Inner, value: str, t: TensorType) -> str:
        """The tensor that a value is behind a step."""
        rows = self.objects.get(value)
        if isinstance(rows, Rows):
            if not rows.whole:
                self.n.unsupported("a loop whose lists are made anew by each step")
            value = rows.whole
        if value in part.emitter.sizes or part.type(value) != t:
            self.n.unsupported(f"a loop whose state changes from {t} to {part.type(value)}")
        return value

    def made(self) -> Sequence[str] | None:
        """The values behind the loop; None where something could not be converted."""
        n = self.n
        first = n.walk.inside(self.cond, [*self.state, *self.rest])
        if first is None:
            return None
        begins = _condition(n, first[0])
        part = Inner(n.walk.emitter, n.source)
        heads = [
            part.input("step", TensorType(INT64, ())),
            part.input("going", TensorType(BOOL, ())),
        ]
        inside = [part.input("state", t) for t in self.types]
        given = {k: self._as(k, tensor) for k, tensor in zip(self.moving, inside)}
        entry = [given[k] if k in given else _inner(n, part, s) for k, s in enumerate(self.state)]
        around = [_inner(n, part, r) for r in self.rest]
        after = n.walk.inside(self.body, [*entry, *around], part.emitter)
        if after is None:
            return None
        now = [after[k] if k in given else entry[k] for k in range(len(self.state))]
        on = n.walk.inside(self.cond, [*now, *around], part.emitter)
        if on is None:
            return None
        ends = [self._end(part, after[k], t) for k, t in zip(self.moving, self.types)]
        graph = part.finish([_condition_inside(n, part, on[0]), *ends], [*heads, *inside])
        results = add_node(
            n.walk.emitter, n.source, [n.node.outputs[k] for k in self.moving if k < n.n_outputs],
            LOOP, ["", begins, *self.before, *part.captures], self.types,
            body=graph, count=-1, state=len(self.before),
        )  # fmt: skip
        behind = {k: self._as(k, tensor) for k, tensor in zip(self.moving, results)}
        return [behind.get(k, s) for k, s in enumerate(self.state)]


def _condition_inside(n: TFContext, part: Inner, name: str) -> str:
    t = part.type(name)
    if math.prod(t.shape) != 1:
        n.unsupported(f"a condition that is {t}")
    name = part.add("reshape", [name], shape=()) if t.shape else name
    if t.dtype.is_bool:
        return name
    return part.add("not_equal", [name, part.constant(np.zeros((), t.dtype.numpy))])


def _first_written(
    n: TFContext, body: FileModel, state: Sequence[str], rest: Sequence[str], k: int, rows: Rows
) -> str:
    """An element of the list that is state ``k``, where the list cannot say their shape: what one
    step, tried, writes to it."""
    known = rows.whole or any(rows.elements)
    if known or (rows.dims is not None and min(rows.dims, default=0) >= 0):
        return ""
    nodes = n.walk.emitter.builder.nodes
    start = len(nodes)
    found = n.walk.inside(body, [*state, *rest])
    made: Any = n.walk.shared.objects.get(found[k]) if found else None
    like = next((e for e in made.elements if e), "") if isinstance(made, Rows) else ""
    if not like:
        n.unsupported("a loop over a list whose elements have no known shape")
    t = n.typeof(like)
    del nodes[start:]
    n.walk.shared.constants.clear()
    zero = n.constant(np.zeros((), t.dtype.numpy))
    return n.add("expand", [zero], shape=t.shape) if t.shape else zero


CONVERTERS: dict[str, Converter] = {
    "If": _if,
    "PartitionedCall": _call,
    "StatefulPartitionedCall": _call,
    "StatelessIf": _if,
    "StatelessWhile": _while,
    "While": _while,
}

__all__ = ["CONVERTERS", "choice", "loop"]
