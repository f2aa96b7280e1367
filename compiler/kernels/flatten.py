"""Pointwise convolutions over positions: a kernel that works on every place alike sees one axis of
places instead of several.

A register tile of rows is then cut from all places of an image, not from one line of it: 7 × 7
places are 49 rows, where lines of 7 would leave half of a tile empty. Storage stays as it is, so
the kernel's parameters do, and nothing outside of the kernel knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from ...ir.layout import Digit, Layout
from ..graph.graph import Node
from ..graph.group import Group
from ..ops import Kind, get
from ..types import TensorType

Types = Mapping[str, TensorType]


def flatten_places(group: Group, types: Types) -> Types:
    """``types`` with [N, C, 1, …, H·W] in the place of [N, C, …, H, W] for all tensors of a group
    that is one pointwise convolution and what follows element by element; else ``types``."""
    convs = [n for n in group.nodes if get(n.op).kind > Kind.BROADCAST]
    if len(convs) != 1 or not _is_pointwise(convs[0], types):
        return types
    shape = types[convs[0].outputs[0]].shape
    if sum(n > 1 for n in shape[2:]) < 2:
        return types
    weights = convs[0].inputs[1]
    flat = {weights: types[weights]}
    for name in {*group.inputs, *(o for n in group.nodes for o in n.outputs if o)} - {weights}:
        made = _flat(types[name], shape)
        if made is None:
            return types
        flat[name] = made
    for n in group.nodes:
        inferred = get(n.op).infer([flat[i] if i else None for i in n.inputs], n.attrs)
        if [(t.dtype, t.shape) for t in inferred] != [
            (flat[o].dtype, flat[o].shape) for o in n.outputs if o
        ]:
            return types
    return flat


def _is_pointwise(n: Node, types: Types) -> bool:
    c = get(n.op).facts.contraction
    return c is not None and c.pointwise(types[n.inputs[1]].shape, n.attrs)


def _flat(t: TensorType, whole: tuple[int, ...]) -> TensorType | None:
    """The type with one axis of places; None where they do not follow each other in storage, or
    only some of the axes are stretched."""
    rank, places = len(whole), whole[2:]
    if len(t.shape) < rank - 1 or all(n == 1 for n in t.shape[-len(places) :]):
        return t  # the same for all places
    if t.shape[-len(places) :] != places or len(t.shape) > rank:
        return None
    first = len(t.shape) - len(places)
    ones = (1,) * (len(places) - 1)
    shape = (*t.shape[:first], *ones, math.prod(places))
    if t.layout is None:
        return replace(t, shape=shape)
    layout = _flat_layout(t.layout, first, shape)
    return None if layout is None else replace(t, shape=shape, layout=layout)


def _flat_layout(layout: Layout, first: int, shape: tuple[int, ...]) -> Layout | None:
    """``layout`` with the axes from ``first`` on as one, if they lie beside each other."""
    where = [k for k, axis in enumerate(layout.axes) if any(d.axis >= first for d in axis)]
    wanted = [(Digit(a, 1, n),) for a, n in enumerate(layout.shape) if a >= first]
    if [layout.axes[k] for k in where] != wanted or any(b - a != 1 for a, b in pairwise(where)):
        return None
    flat = [(Digit(a, 1, shape[a]),) for a in range(first, len(shape))]
    return replace(
        layout,
        shape=shape,
        axes=(*layout.axes[: where[0]], *flat, *layout.axes[where[-1] + 1 :]),
    )
