"""Converters of sequences and optionals whose length is known: they fold into their tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import Converter, NodeContext
from .integers import axis_of
from .ops_conv import required
from .ops_cut import cut
from .ops_math import scalar
from .scope import NOTHING

MAX_LENGTH = 1 << 14  # elements of one sequence: each is a tensor of the graph


def _made(n: NodeContext, elements: Sequence[str]) -> str:
    if len(elements) > MAX_LENGTH:
        n.unsupported(f"a sequence of {len(elements)} tensors; {MAX_LENGTH} is the most")
    return n.make_sequence(elements)


def _place(n: NodeContext, i: int, length: int, extra: int = 0) -> int:
    """The position in input ``i``, from the front; negative ones count from the end."""
    at = scalar(n, i)
    assert at is not None
    if not -length <= at < length + extra:
        n.error(f"the position {int(at)} is out of range for a sequence of {length}.")
    return int(at) + (length if at < 0 else 0)


def _empty(n: NodeContext) -> str:
    return _made(n, ())


def _construct(n: NodeContext) -> str:
    return _made(n, n.inputs)


def _split(n: NodeContext) -> str:
    """Parts of equal extent, the last one may be smaller, or of the extents given. Parts of 1 that
    are not listed lose their axis if ``keepdims`` is 0: so does ONNX Runtime, where the standard
    speaks of parts that are not given at all."""
    x = required(n, 0)
    axis = axis_of(n, n.attr("axis", 0), len(x.shape))
    total, given, keep = x.shape[axis], n.const(1), n.attr("keepdims", 1)
    if given is None or given.ndim == 0:
        size = 1 if given is None else int(given)
        if size < 1:
            n.error(f"parts of the extent {size} are asked for.")
        if -(-total // size) > MAX_LENGTH:
            n.unsupported(f"a sequence of {-(-total // size)} tensors; {MAX_LENGTH} is the most")
        sizes = [min(size, total - at) for at in range(0, total, size)]
    else:
        sizes = [int(v) for v in given.reshape(-1)]
    if sum(sizes) != total or min(sizes, default=0) < 0:
        n.error(f"parts of {sizes} do not make up {total}.")
    parts = [
        cut(n, n.inputs[0], axis, int(start), size)
        for start, size in zip(np.cumsum([0, *sizes]), sizes)
    ]
    if (given is None or given.ndim == 0) and max(sizes, default=1) == 1 and not keep:
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        parts = [n.add("reshape", [p], shape=shape) for p in parts]
    return _made(n, parts)


def _at(n: NodeContext) -> str:
    """An element; where only the data says which, all must be of one shape."""
    elements = n.sequence(0)
    if n.is_const(1) or len({n.typeof(e) for e in elements}) != 1:
        return elements[_place(n, 1, len(elements))]
    shape = n.typeof(elements[0]).shape
    rows = [n.add("reshape", [e], shape=(1, *shape)) for e in elements]
    place = n.add("reshape", [n.inputs[1]], shape=())
    return n.add("gather", [n.add("concat", rows, axis=0), place], axis=0)


def _length(n: NodeContext) -> str:
    return n.constant(np.array(len(n.sequence(0)), np.int64))


def _insert(n: NodeContext) -> str:
    elements = list(n.sequence(0))
    at = _place(n, 2, len(elements), 1) if n.input(2) else len(elements)
    return _made(n, [*elements[:at], n.inputs[1], *elements[at:]])


def _erase(n: NodeContext) -> str:
    elements = list(n.sequence(0))
    at = _place(n, 1, len(elements)) if n.input(1) else len(elements) - 1
    if not elements:
        n.error("it erases an element of an empty sequence.")
    return _made(n, elements[:at] + elements[at + 1 :])


def _concat(n: NodeContext) -> str:
    elements, axis, new = n.sequence(0), n.attr("axis"), n.attr("new_axis", 0)
    if not elements:
        n.error("it joins an empty sequence.")
    shapes = [n.typeof(e).shape for e in elements]
    axis = axis_of(n, axis, len(shapes[0]) + new)
    if new:
        elements = [
            n.add("reshape", [e], shape=(*s[:axis], 1, *s[axis:])) for e, s in zip(elements, shapes)
        ]
    return n.add("concat", list(elements), axis=axis)


# --- optionals: the value itself, or nothing --------------------------------------------------


def _optional(n: NodeContext) -> str:
    return n.input(0) or NOTHING


def _has_element(n: NodeContext) -> str:
    return n.constant(np.array(n.input(0) not in ("", NOTHING)))


def _get_element(n: NodeContext) -> str:
    if n.inputs[0] == NOTHING:
        n.error("the optional holds no element.")
    return n.inputs[0]


CONVERTERS: dict[str, Converter] = {
    "ConcatFromSequence": _concat,
    "Optional": _optional,
    "OptionalGetElement": _get_element,
    "OptionalHasElement": _has_element,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SplitToSequence": _split,
}
# What may be given a sequence or an optional.
TAKERS = frozenset(CONVERTERS) | {"Identity"}
