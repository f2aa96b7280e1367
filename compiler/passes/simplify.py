"""Algebraic simplification: a table of rules, each exact for every value (NaN, infinities and the
sign of zero included).

A rule takes the new graph so far and a node, and returns the tensor that stands for the node's
output, or None. Rules look back at producers that are simplified already, so one run through the
graph reaches a fixed point but for rare cases; dead nodes remain for the next pass.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...runtime.dtype import DType, dtype_of
from ..graph.graph import Graph, Node
from ..graph.group import attrs_key
from ..ops import get
from .rewrite import Rewrite

GraphRule = Callable[[Rewrite, Node], "str | None"]


def simplify(graph: Graph) -> Graph:
    """``graph`` with ``FACT_RULES`` and the rules of ``RULES`` applied."""
    return Rewrite(graph).run(_visit)


def _visit(r: Rewrite, n: Node) -> str | None:
    for rule in (*FACT_RULES, *RULES.get(n.op, ())):
        made = rule(r, n)
        if made is not None:
            return made
    return None


# --- operators that do nothing


def _identity(r: Rewrite, n: Node) -> str:
    return n.inputs[0]


def _same_type(r: Rewrite, n: Node) -> str | None:
    """A reshape, expansion, slice, tile, crop or cast to the type that the input has."""
    return n.inputs[0] if r.type(n.inputs[0]) == r.type(n.outputs[0]) else None


def _whole_slice(r: Rewrite, n: Node) -> str | None:
    """Equal shapes are not enough: with steps of -1 the order is reversed."""
    forward = all(s == 1 for s in n.attrs["steps"] or ())
    return _same_type(r, n) if forward else None


def _no_pad(r: Rewrite, n: Node) -> str | None:
    return n.inputs[0] if not any(n.attrs["pads"]) else None


def _one_input(r: Rewrite, n: Node) -> str | None:
    return n.inputs[0] if len(n.inputs) == 1 else None


def _neutral(r: Rewrite, n: Node) -> str | None:
    """``x op value`` is ``x`` (``Facts.neutral``)."""
    neutral = get(n.op).facts.neutral
    if neutral is None:
        return None
    value = neutral.value
    for side in neutral.sides:
        c = r.const(n.inputs[side])
        x = n.inputs[1 - side]
        if c is None or not c.size or r.type(x) != r.type(n.outputs[0]):
            continue
        same = c == c.dtype.type(value)
        if r.type(x).dtype.is_float and value == 0:
            same = same & (np.signbit(c) == np.signbit(value))
        if same.all():
            return x
    return None


# --- pairs that merge


def _reshape_reshape(r: Rewrite, n: Node) -> str | None:
    p = r.producer(n.inputs[0], "reshape")
    if p is None:
        return None
    if r.type(p.inputs[0]) == r.type(n.outputs[0]):
        return p.inputs[0]
    return r.add(n, "reshape", p.inputs[:1], n.attrs)


def _transpose(r: Rewrite, n: Node) -> str | None:
    """Merge with a transpose before; a transpose that only moves axes of one element is a
    reshape, one that moves none is nothing."""
    x, perm = n.inputs[0], n.attrs["perm"]
    p = r.producer(x, "transpose")
    if p is not None:
        x, perm = p.inputs[0], tuple(p.attrs["perm"][k] for k in perm)
    shape = r.type(x).shape
    if perm == tuple(range(len(perm))):
        return x
    long = [k for k in perm if shape[k] != 1]
    if long == sorted(long):
        return r.add(n, "reshape", [x], {"shape": tuple(shape[k] for k in perm)})
    return None if p is None else r.add(n, "transpose", [x], {"perm": perm})


def _slice_slice(r: Rewrite, n: Node) -> str | None:
    p = r.producer(n.inputs[0], "slice")
    if p is None:
        return None
    ones = (1,) * len(n.attrs["starts"])
    s1, t1 = p.attrs["starts"], p.attrs["steps"] or ones
    s2, t2 = n.attrs["starts"], n.attrs["steps"] or ones
    shape = n.attrs["shape"]
    if 0 in shape:  # starts of empty slices need not be positions
        return None
    starts = tuple(a + b * t for a, b, t in zip(s1, s2, t1))
    steps = tuple(a * b for a, b in zip(t1, t2))
    return r.add(n, "slice", p.inputs, {"starts": starts, "shape": shape, "steps": steps})


def _cast_cast(r: Rewrite, n: Node) -> str | None:
    """A cast that loses nothing, then another: the second alone. Between families it is left, as
    their rules for what is out of range differ."""
    p = r.producer(n.inputs[0], "cast")
    if p is None:
        return None
    first, middle = r.type(p.inputs[0]).dtype, r.type(n.inputs[0]).dtype
    last = r.type(n.outputs[0]).dtype
    if not _lossless(first, middle):
        return None
    if last == first:
        return p.inputs[0]
    if first.is_float != last.is_float:
        return None
    return r.add(n, "cast", p.inputs, n.attrs)


def _lossless(a: DType, b: DType) -> bool:
    """Whether every value of ``a`` is one of ``b``, in the same family."""
    if a.is_float or b.is_float:
        half = a.is_float and a.bits == 16
        return (
            a.is_float and b.is_float and (a == b or (b.bits > a.bits and (half or b.bits == 64)))
        )
    if b.is_bool:
        return a.is_bool
    return b.min <= a.min and a.max <= b.max


def _twice(r: Rewrite, n: Node) -> str | None:
    """An operator after itself (``Facts.idempotent``, ``Facts.involution``)."""
    facts = get(n.op).facts
    if not (facts.idempotent or facts.involution):
        return None
    p = r.producer(n.inputs[0], n.op)
    if p is None or attrs_key(p.attrs) != attrs_key(n.attrs):
        return None
    return p.inputs[0] if facts.involution else n.inputs[0]


def _abs_neg(r: Rewrite, n: Node) -> str | None:
    p = r.producer(n.inputs[0], "neg")
    return r.add(n, "abs", p.inputs) if p is not None else None


def _clamp(r: Rewrite, n: Node) -> str | None:
    """``relu`` and ``clip`` after one another are one ``clip``; from 0 up it is a ``relu``."""
    low, high = _bounds(n)
    x = n.inputs[0]
    p = r.producer(x, "relu") or r.producer(x, "clip")
    if p is not None:
        a, b = _bounds(p)
        if not (a <= b and low <= high):  # NaN included
            return None
        low, high = min(max(a, low), high), min(max(b, low), high)
        x = p.inputs[0]
    if low == -np.inf and high == np.inf:
        return x
    if low == 0 and high == np.inf:
        return None if p is None and n.op == "relu" else r.add(n, "relu", [x])
    if p is None:
        return None
    attrs = {
        "min": None if low == -np.inf else low,
        "max": None if high == np.inf else high,
    }
    return r.add(n, "clip", [x], attrs)


def _bounds(n: Node) -> tuple[float, float]:
    if n.op == "relu":
        return 0, np.inf
    low, high = n.attrs["min"], n.attrs["max"]
    return -np.inf if low is None else low, np.inf if high is None else high


# --- cheaper operators


def _power(r: Rewrite, n: Node) -> str | None:
    """x ** 1 is x; x ** 2 is x * x, both being rounded correctly."""
    x, c = n.inputs[0], r.const(n.inputs[1])
    if c is None or not c.size or r.type(x) != r.type(n.outputs[0]):
        return None
    if (c == 1).all():
        return x
    return r.add(n, "mul", [x, x]) if (c == 2).all() else None


def _divide(r: Rewrite, n: Node) -> str | None:
    """Division by powers of two is multiplication; by anything else that would round twice."""
    c = r.const(n.inputs[1])
    if c is None or not c.size or not r.type(n.inputs[1]).dtype.is_float:
        return None
    wide = c.astype(np.float64)
    if not np.isfinite(wide).all() or not (np.abs(np.frexp(wide)[0]) == 0.5).all():
        return None
    with np.errstate(all="ignore"):
        inverse = (1 / wide).astype(c.dtype)
    back = inverse.astype(np.float64)
    normal = np.abs(back) >= _smallest_normal(dtype_of(c.dtype))
    if not (np.isfinite(back) & normal & (back * wide == 1)).all():
        return None
    return r.add(n, "mul", [n.inputs[0], r.constant(inverse, f"{n.outputs[0]}.inverse")])


def _smallest_normal(d: DType) -> float:
    exponents = {("float", 64): -1022, ("float", 32): -126, ("float", 16): -14}
    return 2.0 ** exponents.get((d.kind, d.bits), -126)


def _pad_into_window(r: Rewrite, n: Node) -> str | None:
    """Zeros put around the image before a convolution are padding of the convolution."""
    p = r.producer(n.inputs[0], "pad")
    if p is None or p.attrs["mode"] != "constant":
        return None
    (x, *rest), fill = p.inputs, p.attrs["value"]
    if any(rest):
        value = r.const(rest[0])
        if value is None:
            return None
        fill = value.item()
    rank = len(r.type(n.inputs[0]).shape)
    pads: tuple[int, ...] = p.attrs["pads"]
    before, after = pads[:rank], pads[rank:]
    if fill != 0 or any(before[:2] + after[:2]) or min(before + after) < 0:
        return None
    around: list[int] = [*before[2:], *after[2:]]
    own = n.attrs["pads"] or [0] * len(around)
    attrs = {**n.attrs, "pads": tuple(a + b for a, b in zip(own, around))}
    return r.add(n, "conv", [x, *n.inputs[1:]], attrs)


def _no_wrap(r: Rewrite, n: Node) -> str | None:
    """Constant indices of which none is negative need not be asked, in every kernel that reads
    them, whether they are."""
    index = r.const(n.inputs[1])
    if index is None or not n.attrs["wrap"] or (index < 0).any():
        return None
    return r.add(n, n.op, n.inputs, {**n.attrs, "wrap": False})


# Rules of what operators state, and of one operator's own algebra.
FACT_RULES: tuple[GraphRule, ...] = (_neutral, _twice)
RULES: dict[str, tuple[GraphRule, ...]] = {
    "identity": (_identity,),
    "cast": (_same_type, _cast_cast),
    "reshape": (_same_type, _reshape_reshape),
    "transpose": (_transpose,),
    "expand": (_same_type,),
    "tile": (_same_type,),
    "slice": (_whole_slice, _slice_slice),
    "pad": (_no_pad,),
    "concat": (_one_input,),
    "div": (_divide,),
    "pow": (_power,),
    "relu": (_clamp,),
    "clip": (_clamp,),
    "abs": (_abs_neg,),
    "conv": (_pad_into_window,),
    "gather": (_no_wrap,),
    "gather_elements": (_no_wrap,),
    "gather_nd": (_no_wrap,),
    "scatter_elements": (_no_wrap,),
    "scatter_nd": (_no_wrap,),
}
