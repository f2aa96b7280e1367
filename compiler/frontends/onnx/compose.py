"""What converters compose operators of: short names for what they add most.

Tensors are weft names, as everywhere in converters; numbers become constants of a tensor's type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...types import TensorType
from .context import Converter, NodeContext


def op(n: NodeContext, name: str, *inputs: str) -> str:
    """The operator ``name``, without attributes."""
    return n.add(name, list(inputs))


def number(n: NodeContext, value: float, like: str) -> str:
    """``value`` as a scalar of the element type of ``like``."""
    return n.constant(np.asarray(value, n.typeof(like).dtype.numpy))


def scaled(n: NodeContext, x: str, by: float) -> str:
    """``x * by``; ``x`` itself for 1."""
    return x if by == 1 else op(n, "mul", x, number(n, by, x))


def reshape(n: NodeContext, x: str, shape: Sequence[int]) -> str:
    """``x`` with the extents ``shape``; itself when it has them."""
    same = n.typeof(x).shape == tuple(shape)
    return x if same else n.add("reshape", [x], shape=tuple(shape))


def transpose(n: NodeContext, x: str, perm: Sequence[int]) -> str:
    """``x`` with its axes in the order ``perm``; itself when that is theirs."""
    return x if list(perm) == sorted(perm) else n.add("transpose", [x], perm=tuple(perm))


def swapped(n: NodeContext, x: str) -> str:
    """``x`` with its last two axes swapped."""
    ndim = len(n.typeof(x).shape)
    return transpose(n, x, (*range(ndim - 2), ndim - 1, ndim - 2))


def expand(n: NodeContext, x: str, shape: Sequence[int]) -> str:
    """``x`` stretched to ``shape``; itself when it has it."""
    same = n.typeof(x).shape == tuple(shape)
    return x if same else n.add("expand", [x], shape=tuple(shape))


def concat(n: NodeContext, parts: Sequence[str], axis: int) -> str:
    """``parts`` one after another along ``axis``, those without elements left out."""
    some = [p for p in parts if n.typeof(p).size] or list(parts[:1])
    return some[0] if len(some) == 1 else n.add("concat", some, axis=axis)


def cast(n: NodeContext, x: str, to: str) -> str:
    """``x`` as ``to``; itself when it is that already."""
    return x if str(n.typeof(x).dtype) == to else n.add("cast", [x], to=to)


def shape_of(n: NodeContext, i: int, *ndims: int) -> tuple[int, ...]:
    """The extents of input ``i``, which must be there and have one of ``ndims`` axes."""
    t = n.type(i)
    if t is None:
        n.error(f"its input {i} is absent.")
    if ndims and len(t.shape) not in ndims:
        n.error(f"its input {i} is {t}; it must have {' or '.join(map(str, ndims))} axes.")
    return t.shape


def expect(n: NodeContext, i: int, shape: Sequence[int], what: str) -> None:
    """Raise :class:`ModelError` unless input ``i`` is absent or has the extents ``shape``."""
    t = n.type(i)
    if t is not None and t.shape != tuple(shape):
        n.error(f"its input {i} ({what}) is {t}, not {list(shape)}.")


def one_number(n: NodeContext, i: int) -> bool:
    """Whether input ``i`` holds one number, in whatever shape."""
    t = n.type(i)
    return t is not None and math.prod(t.shape) == 1


def row(convert: Converter, inputs: str, **attributes: type) -> Converter:
    """``convert`` behind a check of the node, for operators whose schema ``onnx`` has not got.

    Parameters
    ----------
    inputs : the names of the inputs; ``?`` marks those that may be absent, ``*`` the last one that
        may come any number of times.
    attributes : the attributes that there are, and what each is: int, float, str, or tuple.
    """
    names = inputs.split()
    many = names[-1].endswith("*")
    least = max((k + 1 for k, name in enumerate(names) if name[-1] not in "?*"), default=0)

    def checked(n: NodeContext) -> str | Sequence[str]:
        if len(n) < least or (len(n) > len(names) and not many):
            most = "any number of" if many else str(len(names))
            n.error(f"it has {len(n)} inputs; {least} to {most} are allowed ({inputs}).")
        for k, name in enumerate(names):
            if name[-1] not in "?*" and not n.input(k):
                n.error(f"the input {k} ({name}) is absent.")
        for name in n.attributes:
            if name not in attributes:
                n.unsupported(f"the attribute {name!r}, which weft does not know,")
            if not isinstance(n.attr(name), attributes[name]):
                n.error(f"the attribute {name!r} is not of type {attributes[name].__name__}.")
        return convert(n)

    return checked


def typed(n: NodeContext, i: int) -> TensorType:
    """The type of input ``i``, which a row has checked to be there."""
    t = n.type(i)
    assert t is not None
    return t
