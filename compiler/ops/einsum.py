"""Einstein summation: products of tensors over labelled axes, summed over those not in the result.

Three operands or more are contracted from left to right, two at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...ir import reducers
from ...ir.expr import Expr, cast, to_expr
from ...ir.tensor import Tensor, reduce_axis
from ...runtime.dtype import DType, dtype_of
from ...runtime.errors import GraphError
from ..types import TensorType
from .common import (
    check_domain,
    convert_array,
    ints,
    make,
    required,
    round_to,
    same_dtype,
    wide,
    widen_array,
)
from .matmul import MATMUL
from .opdef import Attr, Kind, OpDef

_MOST = 32  # operands; numpy has such a limit too
Labels = tuple[str, ...]  # one per axis: a letter, or "...k" for the k-th axis from the right


def parse(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of the operands and of the result; raises GraphError on a malformed equation."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) > _MOST:
        raise GraphError(f"einsum: {len(terms)} operands; {_MOST} is the most.")
    if len(terms) != len(ranks):
        raise GraphError(f"einsum: {equation!r} has {len(terms)} operands, {len(ranks)} are given.")

    def labels(term: str, rank: int | None) -> Labels:
        head, dots, tail = term.partition("...")
        letters = head + tail
        if not all(c.isascii() and c.isalpha() for c in letters):
            raise GraphError(f"einsum: {term!r} in {equation!r} is not letters and one ellipsis.")
        extra = rank - len(letters) if rank is not None else widest
        if extra < 0 or (extra and rank is not None and not dots):
            raise GraphError(f"einsum: {term!r} in {equation!r} names a tensor of {rank} axes.")
        middle = tuple(f"...{k}" for k in range(extra, 0, -1)) if dots else ()
        return (*head, *middle, *tail)

    widest = 0
    operands = [labels(t, r) for t, r in zip(terms, ranks)]
    widest = max((sum(c[0] == "." for c in o) for o in operands), default=0)
    counts = Counter(c for o in operands for c in o)
    if arrow:
        result = labels(right, None)
    else:
        dots = tuple(f"...{k}" for k in range(widest, 0, -1))
        once = sorted(c for c, n in counts.items() if n == 1 and c[0] != ".")
        result = (*dots, *once)
    dropped = [c for c in counts if c[0] == "." and c not in result]
    if len(set(result)) != len(result) or any(c not in counts for c in result) or dropped:
        raise GraphError(
            f"einsum: the result of {equation!r} must name labels of the operands, each once, and "
            f"their ellipsis."
        )
    return operands, result


def _extents(operands: Sequence[tuple[Labels, Sequence[int]]], equation: str) -> dict[str, int]:
    extents: dict[str, int] = {}
    for labels, shape in operands:
        own: dict[str, int] = {}
        for c, n in zip(labels, shape):
            old = extents.setdefault(c, n)
            if own.setdefault(c, n) != n:
                raise GraphError(f"einsum: {c!r} in {equation!r} is the diagonal of {list(shape)}.")
            if 1 not in (old, n) and old != n:
                raise GraphError(f"einsum: {c!r} in {equation!r} stands for {old} and for {n}.")
            extents[c] = n if old == 1 else old
    return extents


def _infer(types, a):
    d = same_dtype("einsum", types)
    check_domain("einsum", "number", types[0])
    operands, result = parse(a["equation"], [len(t.shape) for t in types])
    extents = _extents([(o, t.shape) for o, t in zip(operands, types)], a["equation"])
    return [TensorType(d, tuple(extents[c] for c in result))]


def _contract(operands: Sequence[tuple[Labels, Tensor]], result: Labels, d: DType) -> Tensor:
    extents = _extents([(labels, ints(t.shape)) for labels, t in operands], "")
    summed = [c for c in extents if c not in result]

    def body(*i):
        ks = [reduce_axis(extents[c], f"k{n}") for n, c in enumerate(summed)]
        at: dict[str, Expr] = dict(zip((*result, *summed), (*i, *ks)))
        value: Expr | None = None
        for labels, t in operands:
            index = (
                at[c] if n == extents[c] else to_expr(0) for c, n in zip(labels, ints(t.shape))
            )
            factor = cast(t[tuple(index)], d)
            value = factor if value is None else value * factor
        assert value is not None
        return reducers.sum(value, axis=ks) if ks else value

    plain = len(operands) == 2 and summed and all(len(set(o)) == len(o) for o, _ in operands)
    shape = tuple(extents[c] for c in result)
    return make(shape, body, "einsum", MATMUL if plain else None)


def _einsum(inputs, a, out):
    tensors = required(inputs)
    d = wide(out[0].dtype)
    labels, result = parse(a["equation"], [t.ndim for t in tensors])
    operands = list(zip(labels, tensors))
    while len(operands) > 2:
        later = {*result, *(c for o, _ in operands[2:] for c in o)}
        keep = tuple(dict.fromkeys(c for o, _ in operands[:2] for c in o if c in later))
        operands[:2] = [(keep, _contract(operands[:2], keep, d))]
    return [round_to(_contract(operands, result, d), out[0].dtype, "einsum.round")]


def _np_einsum(arrays, a):
    xs = [widen_array(x) for x in required(arrays)]
    with np.errstate(all="ignore"):
        y = np.asarray(np.einsum(a["equation"].replace(" ", ""), *xs))
    return [convert_array(np.ascontiguousarray(y).reshape(y.shape), dtype_of(arrays[0].dtype))]


OPS: tuple[OpDef, ...] = (
    OpDef("einsum", Kind.OPAQUE, _infer, _einsum, _np_einsum, {"equation": Attr(str)}, 1, None),
)
