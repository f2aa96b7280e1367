"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence

from .context import Converter, KerasContext


def _aligned(n: KerasContext, tensors: Sequence[str]) -> list[str]:
    """Tensors so that they stretch to each other as Keras has it: those of fewer axes get them
    behind their batch axis."""
    most = max(map(n.rank, tensors))
    made = []
    for t in tensors:
        shape = n.shape(t)
        if len(shape) < most and shape:
            t = n.add("reshape", [t], shape=(shape[0], *(1,) * (most - len(shape)), *shape[1:]))
        made.append(t)
    return made


def _masks(n: KerasContext, tensors: Sequence[str], y: str) -> None:
    """The result is masked where all of the tensors are."""
    masks = [n.mask_of(t) for t in tensors]
    if all(masks):
        whole = masks[0]
        for m in masks[1:]:
            whole = n.add("or", [whole, m])
        n.set_mask(y, whole)


def _fold(op: str) -> Converter:
    def convert(n: KerasContext) -> str:
        tensors = n.tensors
        if len(tensors) < (2 if n.version < 3 else 1):
            n.error(f"it is called on {len(tensors)} tensors.")
        parts = _aligned(n, _alike(n, tensors))
        y = parts[0]
        for p in parts[1:]:
            y = n.add(op, [y, p])
        y = n.add("identity", [y]) if len(parts) == 1 else y
        _masks(n, tensors, y)
        return y

    return convert


def _alike(n: KerasContext, tensors: Sequence[str]) -> list[str]:
    """Tensors of one element type: those of integers as the floats among them."""
    kinds = {str(n.typeof(t).dtype) for t in tensors}
    if len(kinds) == 1:
        return list(tensors)
    floats = [k for k in kinds if k.startswith(("float", "bfloat"))]
    return [n.to(t, floats[0] if floats else "int64") for t in tensors]


def _subtract(n: KerasContext) -> str:
    if len(n.tensors) != 2:
        n.error(f"it subtracts {len(n.tensors)} tensors.")
    return _fold("sub")(n)  # pyright: ignore[reportReturnType]


def _average(n: KerasContext) -> str:
    y = _fold("add")(n)
    assert isinstance(y, str)
    made = n.add("div", [y, n.scalar(len(n.tensors), y)])
    mask = n.mask_of(y)
    if mask:
        n.set_mask(made, mask)
    return made


def _concatenate(n: KerasContext) -> str:
    tensors = _alike(n, n.tensors)
    axis = n.axis(n.opt("axis", -1), n.rank(tensors[0]))
    y = n.add("concat", tensors, axis=axis)
    masks = [n.mask_of(t) for t in n.tensors]
    if any(masks):
        if axis == n.rank(y) - 1 and all(masks) and len(set(masks)) == 1:
            n.set_mask(y, masks[0])
        elif axis == 1 and all(masks):
            n.set_mask(y, n.add("concat", masks, axis=1))
        else:
            n.unsupported("tensors of which some are masked, put behind each other")
    return y


def _dot(n: KerasContext) -> str:
    tensors = n.tensors
    if len(tensors) != 2:
        n.error(f"it is called on {len(tensors)} tensors.")
    given = n.opt("axes")
    pair = given if isinstance(given, list | tuple) else [given, given]
    if len(pair) != 2:
        n.error(f"axes are {given!r}.")
    a, b = (n.axis(x, n.rank(t)) for x, t in zip(pair, tensors))
    if 0 in (a, b):
        n.error("it sums over the batch axis.")
    if n.flag("normalize", False):
        tensors = [_normalised(n, t, k) for t, k in zip(tensors, (a, b))]
    return dot(n, tensors, a, b)


def _normalised(n: KerasContext, x: str, axis: int) -> str:
    norm = n.add("reduce_l2", [x], axes=(axis,))
    return n.add("div", [x, n.add("maximum", [norm, n.scalar(1e-12, x)])])


def dot(n: KerasContext, tensors: Sequence[str], a: int, b: int) -> str:
    """The sums of products over axis ``a`` of one and ``b`` of the other, batch by batch; of two
    vectors [batch, 1]."""
    letters = iter("bcdefghijklmnopqrstuvw")
    first = ["z" if k == 0 else "y" if k == a else next(letters) for k in range(n.rank(tensors[0]))]
    other = ["z" if k == 0 else "y" if k == b else next(letters) for k in range(n.rank(tensors[1]))]
    out = [c for c in first + other[1:] if c != "y"]
    spelt = f"{''.join(first)},{''.join(other)}->{''.join(out)}"
    y = n.add("einsum", list(tensors), equation=spelt)
    return n.add("reshape", [y], shape=(*n.shape(y), 1)) if n.rank(y) == 1 else y


CONVERTERS: dict[str, Converter] = {
    "Add": _fold("add"),
    "Multiply": _fold("mul"),
    "Maximum": _fold("maximum"),
    "Minimum": _fold("minimum"),
    "Subtract": _subtract,
    "Average": _average,
    "Concatenate": _concatenate,
    "Dot": _dot,
}
