"""Operators that only move elements: reshape, transpose, concat, slices, expand, tile"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...ir.builders import if_then_else, maximum, minimum
from ...ir.expr import ZERO, Expr, const
from ...ir.layout import Digit, Layout
from ...ir.tensor import Tensor
from ...runtime.dtype import INT32
from ...runtime.errors import GraphError
from ..types import TensorType
from .axes import carries, expands, regroups
from .facts import Facts, attribute
from .opdef import Attr, Attrs, Kind, OpDef, Types
from .windows import extents, stage


def _one(shape: Sequence[int], fn, name: str, **facts) -> list[Tensor]:
    return [stage(shape, fn, name, {"kind": "injective", **facts})]


def _first(types: Types) -> TensorType:
    t = types[0]
    assert t is not None
    return t


# --- reshape ----------------------------------------------------------------------------------


def _reshape_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, shape = _first(types), tuple(attrs["shape"])
    if any(d < 0 for d in shape) or math.prod(shape) != x.size:
        raise GraphError(
            f"reshape of {x} ({x.size} elements) to {list(shape)} ({math.prod(shape)} elements) "
            "would change the number of elements."
        )
    return [TensorType(x.dtype, shape)]


def reshape_groups(
    a: Sequence[int], b: Sequence[int]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Splits two shapes of one size (not 0) into the shortest runs of axes of equal size.

    Indices mix inside a run only: ``[N, C, H, W] -> [N, C*H*W]`` keeps N as it is.

    >>> reshape_groups((2, 3, 4), (2, 12))
    [((0, 1), (0, 1)), ((1, 3), (1, 2))]
    """
    runs = []
    i = j = 0
    while i < len(a) or j < len(b):
        i0, j0 = i, j
        if i < len(a) and j < len(b):
            left, right = a[i], b[j]
            i, j = i + 1, j + 1
            while left != right:
                if left < right:
                    left, i = left * a[i], i + 1
                else:
                    right, j = right * b[j], j + 1
        else:  # what is left over has extent 1
            i, j = len(a), len(b)
        runs.append(((i0, i), (j0, j)))
    return runs


def _flat(index: Sequence[Expr], shape: Sequence[int]) -> Expr:
    total: Expr = ZERO
    for i, n in zip(index, shape):
        if n != 1:
            total = i if total is ZERO else total * n + i
    return total


def _unflat(flat: Expr, shape: Sequence[int]) -> list[Expr]:
    index: list[Expr] = []
    rest = math.prod(shape)
    outer = True
    for n in shape:
        rest //= n
        if n == 1:
            index.append(ZERO)
            continue
        i = flat if rest == 1 else flat // rest
        index.append(i if outer else i % n)
        outer = False
    return index


def _reshape_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]
    shape, target = extents(x), out[0].shape

    def body(*o: Expr) -> Expr:
        if 0 in shape:
            return const(0, x.dtype)  # there is nothing to read
        at: list[Expr] = []
        for (a0, a1), (b0, b1) in reshape_groups(shape, target):
            at += _unflat(_flat(o[b0:b1], target[b0:b1]), shape[a0:a1])
        return x[tuple(at)]

    return _one(target, body, "reshape")


def _reshape_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    return [inputs[0].reshape(attrs["shape"])]


# --- transpose --------------------------------------------------------------------------------


def _transpose_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, perm = _first(types), attrs["perm"]
    if sorted(perm) != list(range(len(x.shape))):
        raise GraphError(f"transpose: {tuple(perm)} is not a permutation of the axes of {x}.")
    return [TensorType(x.dtype, tuple(x.shape[p] for p in perm))]


def _transpose_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, perm = inputs[0], attrs["perm"]
    source = [perm.index(k) for k in range(len(perm))]
    return _one(out[0].shape, lambda *o: x[tuple(o[k] for k in source)], "transpose")


def _as_it_lies(x: Sequence[int], attrs: Attrs) -> Layout:
    """The layout of a transpose's result whose elements lie as in the operand."""
    perm = attrs["perm"]
    axes = tuple((Digit(perm.index(k), 1, n),) for k, n in enumerate(x))
    return Layout(tuple(x[p] for p in perm), axes)


def _transpose_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    return [np.transpose(inputs[0], attrs["perm"])]


# --- concat -----------------------------------------------------------------------------------


def _concat_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, axis = _first(types), attrs["axis"]
    if not 0 <= axis < len(x.shape):
        raise GraphError(f"concat: {x} has no axis {axis}.")
    total = 0
    for t in types:
        if (
            t is None
            or len(t.shape) != len(x.shape)
            or t.dtype != x.dtype
            or any(p != q for k, (p, q) in enumerate(zip(t.shape, x.shape)) if k != axis)
        ):
            raise GraphError(
                f"concat along axis {axis} takes tensors that agree in the rest, not {x} and {t}."
            )
        total += t.shape[axis]
    return [TensorType(x.dtype, (*x.shape[:axis], total, *x.shape[axis + 1 :]))]


def _concat_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    axis = attrs["axis"]
    parts: list[tuple[Tensor, int]] = []
    offset = 0
    for t in inputs:
        if extents(t)[axis]:
            parts.append((t, offset))
            offset += extents(t)[axis]
    if not parts:
        return _one(out[0].shape, lambda *o: const(0, inputs[0].dtype), "concat")

    def pick(some: list[tuple[Tensor, int]], o: tuple[Expr, ...]) -> Expr:
        if len(some) == 1:
            t, start = some[0]
            return t[(*o[:axis], o[axis] - start if start else o[axis], *o[axis + 1 :])]
        half = len(some) // 2  # a balanced tree: its depth is the logarithm of the inputs
        return if_then_else(o[axis] < some[half][1], pick(some[:half], o), pick(some[half:], o))

    return _one(out[0].shape, lambda *o: pick(parts, o), "concat")


def _concat_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    return [np.concatenate(inputs, axis=attrs["axis"])]


# --- slice ------------------------------------------------------------------------------------


def _slice_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x = _first(types)
    starts, shape = attrs["starts"], attrs["shape"]
    steps = _steps(attrs, len(starts))
    if not len(starts) == len(steps) == len(shape) == len(x.shape):
        raise GraphError(f"slice of {x} takes one start, step and extent for each axis.")
    for n, start, step, count in zip(x.shape, starts, steps, shape):
        last = start + (count - 1) * step
        if count < 0 or step == 0 or (count and not (0 <= start < n and 0 <= last < n)):
            raise GraphError(
                f"slice of {x}: {count} elements from {start} in steps of {step} leave an axis of "
                f"{n}."
            )
    return [TensorType(x.dtype, tuple(shape))]


def _steps(attrs: Attrs, rank: int) -> tuple[int, ...]:
    given = attrs["steps"]
    return (1,) * rank if given is None else tuple(given)


def _slice_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]

    def at(o: Expr, start: int, step: int) -> Expr:
        scaled = o if step == 1 else o * step
        return scaled + start if start else scaled

    return _one(
        out[0].shape,
        lambda *o: x[tuple(at(*p) for p in zip(o, attrs["starts"], _steps(attrs, x.ndim)))],
        "slice",
    )


def _slice_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    result = inputs[0]
    for axis, (start, step, count) in enumerate(
        zip(attrs["starts"], _steps(attrs, len(attrs["starts"])), attrs["shape"])
    ):
        result = np.take(result, np.arange(count) * step + start, axis=axis)
    return [result]


def _slice_at_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, at = _first(types), types[1]
    assert at is not None
    steps, shape = _steps(attrs, len(x.shape)), attrs["shape"]
    if at.dtype != INT32 or len(at.shape) != 1 or at.size < len(x.shape):
        raise GraphError(f"slice_at of {x} takes an int32 start for each axis, not {at}.")
    _slice_infer([x], {"starts": (0,) * len(x.shape), "steps": steps, "shape": shape})
    if any(step < 0 for step in steps):
        raise GraphError(f"slice_at of {x} takes no steps backwards, such as {steps}.")
    return [TensorType(x.dtype, tuple(shape))]


def _last_starts(x: Sequence[int], attrs: Attrs) -> list[int]:
    """The greatest start along every axis with which a slice does not leave it."""
    steps = _steps(attrs, len(x))
    return [max(0, n - 1 - (c - 1) * s) if c else 0 for n, s, c in zip(x, steps, attrs["shape"])]


def _slice_at_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x, starts = inputs
    steps, last = _steps(attrs, x.ndim), _last_starts(extents(x), attrs)

    def body(*o: Expr) -> Expr:
        if 0 in extents(x):
            return const(0, x.dtype)
        at: list[Expr] = []
        for k, (i, step, most) in enumerate(zip(o, steps, last)):
            scaled = i if step == 1 else i * step
            start = minimum(maximum(starts[(const(k),)], 0), most) if most else None
            at.append(scaled if start is None else scaled + start)
        return x[tuple(at)]

    return _one(out[0].shape, body, "slice_at")


def _slice_at_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    x, starts = inputs
    clamped = np.clip(starts[: x.ndim], 0, _last_starts(x.shape, attrs))
    return _slice_reference([x], {**attrs, "starts": tuple(map(int, clamped))})


# --- expand, tile -----------------------------------------------------------------------------


def _expand_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, shape = _first(types), tuple(attrs["shape"])
    lead = len(shape) - len(x.shape)
    if lead < 0 or any(d not in (1, s) for d, s in zip(x.shape, shape[max(lead, 0) :])):
        raise GraphError(f"expand: {x} cannot be broadcast to {list(shape)}.")
    return [TensorType(x.dtype, shape)]


def _expand_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]
    lead = len(out[0].shape) - x.ndim

    def body(*o: Expr) -> Expr:
        return x[tuple(ZERO if n == 1 else i for i, n in zip(o[lead:], extents(x)))]

    return _one(out[0].shape, body, "expand")


def _expand_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    return [np.broadcast_to(inputs[0], attrs["shape"])]


def _tile_infer(types: Types, attrs: Attrs) -> list[TensorType]:
    x, repeats = _first(types), attrs["repeats"]
    if len(repeats) != len(x.shape) or any(r < 0 for r in repeats):
        raise GraphError(f"tile: {tuple(repeats)} is not one count for each axis of {x}.")
    return [TensorType(x.dtype, tuple(d * r for d, r in zip(x.shape, repeats)))]


def _tile_compute(inputs, attrs: Attrs, out) -> list[Tensor]:
    x = inputs[0]

    def body(*o: Expr) -> Expr:
        if 0 in extents(x):
            return const(0, x.dtype)
        return x[
            tuple(
                i if r == 1 else ZERO if n == 1 else i % n
                for i, n, r in zip(o, extents(x), attrs["repeats"])
            )
        ]

    return _one(out[0].shape, body, "tile")


def _tile_reference(inputs, attrs: Attrs) -> list[np.ndarray]:
    return [np.tile(inputs[0], attrs["repeats"])]


OPS: tuple[OpDef, ...] = (
    OpDef(
        "reshape",
        Kind.INJECTIVE,
        _reshape_infer,
        _reshape_compute,
        _reshape_reference,
        attrs={"shape": Attr(tuple, doc="the new shape, every extent given")},
        facts=Facts(reinterprets=lambda x, a: Layout.row_major(a["shape"]), carries=regroups),
        doc="The same elements in row-major order under another shape.",
    ),
    OpDef(
        "transpose",
        Kind.INJECTIVE,
        _transpose_infer,
        _transpose_compute,
        _transpose_reference,
        attrs={"perm": Attr(tuple, doc="axis k of the result is axis perm[k] of the input")},
        facts=Facts(reinterprets=_as_it_lies),
    ),
    OpDef(
        "concat",
        Kind.INJECTIVE,
        _concat_infer,
        _concat_compute,
        _concat_reference,
        attrs={"axis": Attr(int, doc="not negative")},
        max_inputs=None,
        facts=Facts(joins=lambda a: a["axis"], carries=carries(along=("axis",))),
    ),
    OpDef(
        "slice",
        Kind.INJECTIVE,
        _slice_infer,
        _slice_compute,
        _slice_reference,
        attrs={
            "starts": Attr(tuple, doc="first position along every axis"),
            "shape": Attr(tuple, doc="extents of the result"),
            "steps": Attr(tuple, None, "distance along every axis, may be negative; None: ones"),
        },
        facts=Facts(
            channel_wise=True,
            steps=attribute("steps"),
            carries=carries(each=("starts", "shape", "steps")),
        ),
        doc="result[i] = x[start + i * step] along every axis.",
    ),
    OpDef(
        "slice_at",
        Kind.INJECTIVE,
        _slice_at_infer,
        _slice_at_compute,
        _slice_at_reference,
        attrs={
            "shape": Attr(tuple, doc="extents of the result"),
            "steps": Attr(tuple, None, "distance along every axis, positive; None: ones"),
        },
        min_inputs=2,
        max_inputs=2,
        facts=Facts(channel_wise=True, steps=attribute("steps")),
        doc="slice, its starts being an input: int32, one for each axis, more are ignored. One "
        "that would leave the data is clamped.",
    ),
    OpDef(
        "expand",
        Kind.BROADCAST,
        _expand_infer,
        _expand_compute,
        _expand_reference,
        attrs={"shape": Attr(tuple, doc="the new shape; axes of extent 1 are stretched")},
        facts=Facts(carries=expands),
    ),
    OpDef(
        "tile",
        Kind.INJECTIVE,
        _tile_infer,
        _tile_compute,
        _tile_reference,
        attrs={"repeats": Attr(tuple, doc="how often along every axis")},
        facts=Facts(carries=carries(each=("repeats",))),
    ),
)
