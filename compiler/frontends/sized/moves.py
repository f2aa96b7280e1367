"""Rules of operators that move elements of tensors whose size only data knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...ops.shape import reshape_groups
from .sizing import Extent, Sizing

Attrs = Mapping[str, Any]
Rule = Callable[[Sizing, str, Sequence[str], Attrs], Sequence[str]]


def _transpose(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    sizes = {list(a["perm"]).index(k): size for k, size in s.sizes(inputs[0]).items()}
    return [s.declare(s.add(op, inputs, **a), sizes)]


# --- reshape ----------------------------------------------------------------------------------


def _reshape(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    """To a shape of bounds, as what drops, adds and joins axes makes it: axes that stay alone keep
    their size, of several that become one, the first may have one."""
    x, shape = inputs[0], tuple(a["shape"])
    target = [Extent(n) for n in shape]
    if shape == s.shape(x):
        return [x]
    if 0 in (*s.shape(x), *shape) or any(s.shape(x)[k] == 1 for k in s.sizes(x)):
        s.unsupported("a new shape of a tensor of one element or none, as only data knows")
    for (i0, i1), (o0, o1) in reshape_groups(s.shape(x), shape):
        open_axes = [k for k in range(i0, i1) if k in s.sizes(x)]
        if not open_axes:
            continue
        places = [k for k in range(o0, o1) if shape[k] != 1] or [o0]
        if len(places) == 1 and o1 > o0:
            target[places[0]] = s.product([s.extent(x, k) for k in range(i0, i1)])
            continue
        first, rest = open_axes[0], math.prod(shape[places[0] + 1 : o1])
        if len(open_axes) > 1 or math.prod(s.shape(x)[i0:first]) != 1:
            s.unsupported(f"a new shape {list(shape)} whose parts only data knows")
        whole = s.product([s.extent(x, k) for k in range(i0, i1)])
        target[places[0]] = s.over(whole, Extent(rest))
    return [reshaped(s, x, target)]


def reshaped(s: Sizing, x: str, target: Sequence[Extent]) -> str:
    """``x`` in another shape: its elements within the sizes, in their order, are those of the
    result within ``target``, which has as many of them."""
    given = s.extents(x)
    if any(n == Extent(0) for n in (*given, *target)):
        zero = s.constant(0, s.dtype(x))
        empty = s.add("expand", [zero], shape=tuple(n.bound for n in target))
        return s.shaped(empty, target)
    a, b = ([n for n in e if n != Extent(1)] for e in (given, target))
    first = next((k for k, (m, n) in enumerate(zip(a, b)) if m != n), min(len(a), len(b)))
    # Behind what is equal, only the outermost axis of either may be open: then elements lie in the
    # same order at the bounds.
    if any(n.size for n in (*a[first + 1 :], *b[first + 1 :])):
        return _dealt(s, x, given, target)
    before, after = ([n.bound for n in e] for e in (a, b))
    whole, rest = math.prod(before[first:]), math.prod(after[first + 1 :])
    rows = -(-max(whole, math.prod(after[first:])) // rest)
    flat = s.add("reshape", [x], shape=(*before[:first], whole))
    if rows * rest > whole:
        flat = s.add("pad", [flat], pads=(*(0,) * (2 * first + 1), rows * rest - whole))
    made = s.add("reshape", [flat], shape=(*before[:first], rows, *after[first + 1 :]))
    made = s.cut(made, first, after[first] if first < len(after) else 1)
    made = s.add("reshape", [made], shape=tuple(n.bound for n in target))
    return s.shaped(made, target)


def _dealt(s: Sizing, x: str, given: Sequence[Extent], target: Sequence[Extent]) -> str:
    """Element by element: the place of each among those within the sizes says where it lies."""
    shape = tuple(n.bound for n in target)
    place = s.constant(0)
    for axis in range(len(target)):
        stride = s.number(s.product(target[axis + 1 :]))
        place = s.add("add", [place, s.add("mul", [s.positions(shape, axis), stride])])
    source, bound = s.constant(0), 1
    for axis in reversed(range(len(given))):
        length = s.add("maximum", [s.number(given[axis]), s.constant(1)])
        index = place
        if axis:
            index = s.add("mod", [place, length])
            place = s.add("div", [place, length])
        step = s.add("mul", [index, s.constant(bound)])
        source, bound = s.add("add", [source, step]), bound * given[axis].bound
    source = s.add("expand", [source], shape=shape) if s.shape(source) != shape else source
    flat = s.add("reshape", [x], shape=(math.prod(s.shape(x)),))
    made = s.add("gather", [flat, source], axis=0, wrap=False)
    return s.shaped(made, target)


# --- joining and cutting ----------------------------------------------------------------------


def _concat(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    axis, ndim = a["axis"], len(s.shape(inputs[0]))
    inputs, sizes = list(inputs), {}
    for k in range(ndim):
        if k == axis:
            continue
        extents = [s.extent(i, k) for i in inputs]
        if any(e.size for e in extents):
            least = min(e.bound for e in extents)
            if all(e.size for e in extents):
                sizes[k] = extents[0].size
            inputs = [s.shortened(i, k, least) for i in inputs]
    ends = [s.extent(i, axis) for i in inputs]
    joined = s.add(op, inputs, **a)
    if any(e.size for e in ends[:-1]):
        joined = _closed_up(s, joined, axis, ends)
    total = Extent(0)
    for e in ends:
        total = s.plus(total, e)
    if total.size:
        sizes[axis] = total.size
    return [s.declare(joined, sizes)]


def _closed_up(s: Sizing, joined: str, axis: int, parts: Sequence[Extent]) -> str:
    """Parts that lie behind one another at their bounds, behind one another at their sizes."""
    length = sum(e.bound for e in parts)
    source = s.constant(range(length))
    index, begin, bound = source, Extent(0), 0
    for part in parts[:-1]:
        begin, bound = s.plus(begin, part), bound + part.bound
        if not begin.size:
            continue
        beyond = s.add("less_or_equal", [begin.size, source])
        moved = s.add("sub", [s.constant(range(bound, bound + length)), begin.size])
        index = s.add("where", [beyond, moved, index])
    return s.add("gather", [joined, index], axis=axis, wrap=False)


def _slice(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    """Along axes that are fixed; ``arguments.py`` cuts along others."""
    x, sizes = inputs[0], s.sizes(inputs[0])
    for k in sizes:
        if a["starts"][k] or a["shape"][k] != s.shape(x)[k] or (a["steps"] or {k: 1})[k] != 1:
            s.unsupported(f"a slice along axis {k}, whose size only data knows")
    return [s.declare(s.add(op, inputs, **a), sizes)]


def _pad(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, ndim, sizes = inputs[0], len(s.shape(inputs[0])), {}
    for k, size in s.sizes(x).items():
        before, after = a["pads"][k], a["pads"][ndim + k]
        if not before and not after:
            sizes[k] = size
            continue
        if a["mode"] != "constant" or min(before, after) < 0:
            s.unsupported(f"{a['mode']} padding along axis {k}, whose size only data knows")
        if len(inputs) > 1 and inputs[1]:
            rest = inputs[1]
        else:
            rest = s.constant(a["value"], s.dtype(x))
        x = s.declare(s.add("where", [s.within(x, [k]), x, rest]), s.sizes(x))
        sizes[k] = s.plus(s.extent(x, k), Extent(before + after)).size
    return [s.declare(s.add(op, [x, *inputs[1:]], **a), sizes)]


def _expand(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x = inputs[0]
    more = len(a["shape"]) - len(s.shape(x))
    sizes = {k + more: size for k, size in s.sizes(x).items()}
    for k in sizes:
        if a["shape"][k] != s.shape(x)[k - more]:
            s.unsupported(f"a broadcast along axis {k}, whose size only data knows")
    return [s.declare(s.add(op, inputs, **a), sizes)]


def _tile(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    x, sizes = inputs[0], dict(s.sizes(inputs[0]))
    for k in s.sizes(x):
        if a["repeats"][k] == 1:
            continue
        e = s.extent(x, k)
        length = s.add("maximum", [e.size, s.constant(1)])
        whole = s.times(e, Extent(a["repeats"][k]))
        index = s.add("mod", [s.constant(range(whole.bound)), length])
        others = {j: size for j, size in s.sizes(x).items() if j != k}
        x = s.declare(s.add("gather", [x, index], axis=k, wrap=False), others)
        sizes[k] = whole.size
    repeats = tuple(1 if k in s.sizes(inputs[0]) else r for k, r in enumerate(a["repeats"]))
    return [s.declare(s.add(op, [x], repeats=repeats), sizes)]


# --- by index ---------------------------------------------------------------------------------


def _counted(s: Sizing, index: str, lengths: str, wrap: bool) -> str:
    """Indices of which none is negative any more: those were counted from the ends, at
    ``lengths``, a scalar or one for each coordinate in the last axis."""
    low, _ = s.emitter.values.interval(index)
    if not wrap or low >= 0 or s.dtype(index).kind == "uint":
        return index
    zero = s.constant(0, s.dtype(index))
    ends = s.add("cast", [lengths], to=str(s.dtype(index)))
    back = s.add("add", [index, ends])
    return s.add("where", [s.add("less", [index, zero]), back, index])


def _lengths(s: Sizing, x: str, axes: Sequence[int]) -> str:
    """How long axes of a tensor are, as a line."""
    lined = [s.add("reshape", [s.number(s.extent(x, k))], shape=(1,)) for k in axes]
    return s.add("concat", lined, axis=0)


def _gather(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    (x, index), axis, wrap = inputs, a["axis"], a["wrap"]
    sizes, more = {}, len(s.shape(index)) - 1
    for k, size in s.sizes(x).items():
        if k != axis:
            sizes[k + more * (k > axis)] = size
    sizes |= {axis + k: size for k, size in s.sizes(index).items()}
    if axis in s.sizes(x):
        index, wrap = _counted(s, index, s.sizes(x)[axis], wrap), False
    return [s.declare(s.add(op, [x, index], axis=axis, wrap=wrap), sizes)]


def _gather_elements(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    (x, index), axis, wrap = inputs, a["axis"], a["wrap"]
    sizes = dict(s.sizes(index))
    if axis in s.sizes(x):
        index, wrap = _counted(s, index, s.sizes(x)[axis], wrap), False
    for k in range(len(s.shape(x))):  # indices of a greater bound, and of a size that fits
        if k != axis and s.shape(index)[k] > s.shape(x)[k]:
            index = s.cut(index, k, s.shape(x)[k])
    return [s.declare(s.add(op, [x, index], axis=axis, wrap=wrap), sizes)]


def _gather_nd(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    (x, index), batch = inputs, a["batch_dims"]
    outer, depth = len(s.shape(index)) - 1, s.shape(index)[-1]
    if outer in s.sizes(index) or any(k < batch for k in s.sizes(x)):
        s.unsupported(f"{op} in batches, or of coordinates, as many as only data knows")
    sizes = dict(s.sizes(index))
    for k, size in s.sizes(x).items():
        if k >= batch + depth:
            sizes[outer + k - batch - depth] = size
    wrap, addressed = a["wrap"], range(batch, batch + depth)
    if any(k in s.sizes(x) for k in addressed):
        index, wrap = _counted(s, index, _lengths(s, x, addressed), wrap), False
    return [s.declare(s.add(op, [x, index], batch_dims=batch, wrap=wrap), sizes)]


def _scatter(s: Sizing, op: str, inputs: Sequence[str], a: Attrs) -> Sequence[str]:
    """What lies beyond the size of the updates is written to a place more, which is cut off."""
    x, index, updates = inputs
    coordinates, axis = op == "scatter_nd", a.get("axis", 0)
    rows = coordinates or len(s.shape(index)) == 1
    if any(k != (0 if rows else axis) for k in s.sizes(index)):
        s.unsupported(f"{op} at places that only data knows along more than one axis")
    shape, n = s.shape(x), s.shape(x)[axis]
    held = s.sizes(index) or {k: v for k, v in s.sizes(updates).items() if k < 1}
    for k in held:  # as many updates as places, of bounds that need not be the same
        least = min(s.shape(index)[k], s.shape(updates)[k])
        index, updates = s.cut(index, k, least), s.cut(updates, k, least)
    addressed = range(s.shape(index)[-1]) if coordinates else [axis]
    wrap, whole = a["wrap"], x
    if held or any(k in s.sizes(x) for k in addressed):
        ends = _lengths(s, x, addressed) if coordinates else s.number(s.extent(x, axis))
        index, wrap = _counted(s, index, ends, wrap), False
    if held:
        index = s.masked(s.declare(s.add("identity", [index]), held), list(held), n)
        pads = [0] * (2 * len(shape))
        pads[len(shape) + axis] = 1
        whole = s.add("pad", [x], pads=tuple(pads))
    made = s.add(op, [whole, index, updates], **{**a, "wrap": wrap})
    return [s.declare(s.cut(made, axis, n), s.sizes(x))]


MOVES: Mapping[str, Rule] = {
    "concat": _concat,
    "expand": _expand,
    "gather": _gather,
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
    "pad": _pad,
    "reshape": _reshape,
    "scatter_elements": _scatter,
    "scatter_nd": _scatter,
    "slice": _slice,
    "tile": _tile,
    "transpose": _transpose,
}

__all__ = ["MOVES", "Attrs", "Rule", "reshaped"]
