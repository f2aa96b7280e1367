"""Computations and random schedules of them, for the property tests of every back-end."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import numpy as np
from weft.ir import te
from weft.ir.expr import IterVar, as_int
from weft.ir.identity import place_of
from weft.ir.schedule.schedule import Schedule, create_schedule
from weft.ir.schedule.stage import Stage
from weft.ir.tensor import ComputeOp, Tensor
from weft.runtime.errors import ScheduleError

Computation = tuple[list[Tensor], list[Tensor]]  # inputs, outputs


def elementwise(rng: random.Random) -> Computation:
    n, m = rng.randint(1, 9), rng.randint(1, 20)
    a, b = te.placeholder((n, m), name="A"), te.placeholder((m,), name="B")
    c = te.compute((n, m), lambda i, j: a[i, j] * 2 + b[j], name="C")
    d = te.compute((n, m), lambda i, j: te.maximum(c[i, j], 0) - a[i, j], name="D")
    return [a, b], [d]


def reduction(rng: random.Random) -> Computation:
    n, m = rng.randint(1, 7), rng.randint(1, 19)
    a = te.placeholder((n, m), name="A")
    k = te.reduce_axis(m, "k")
    make = rng.choice([te.sum, te.max, te.min])
    b = te.compute((n,), lambda i: make(a[i, k], k), name="B")
    c = te.compute((n,), lambda i: b[i] + 1, name="C")
    return [a], rng.choice([[c], [b], [b, c]])


def argmax(rng: random.Random) -> Computation:
    n, m = rng.randint(1, 5), rng.randint(1, 11)
    a = te.placeholder((n, m), name="A")
    k = te.reduce_axis(m, "k")
    index, value = te.compute((n,), lambda i: te.argmax(a[i, k], k), name="B")
    return [a], [index, value]


def matmul(rng: random.Random) -> Computation:
    n, m, depth = (rng.randint(1, 9) for _ in range(3))
    a, b = te.placeholder((n, depth), name="A"), te.placeholder((depth, m), name="B")
    k = te.reduce_axis(depth, "k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
    d = te.compute((n, m), lambda i, j: te.maximum(c[i, j], 0), name="D")
    return [a, b], rng.choice([[c], [d]])


def convolution(rng: random.Random) -> Computation:
    ci, co, h, w = rng.randint(1, 3), rng.randint(1, 5), rng.randint(2, 5), rng.randint(2, 6)
    kh, kw, stride, pad = rng.randint(1, 2), rng.randint(1, 3), rng.randint(1, 2), rng.randint(0, 1)
    if h + 2 * pad < kh or w + 2 * pad < kw:
        kh = kw = 1
    x, f = te.placeholder((ci, h, w), name="X"), te.placeholder((co, ci, kh, kw), name="F")
    p = te.compute(
        (ci, h + 2 * pad, w + 2 * pad),
        lambda c, i, j: te.if_then_else(
            (i >= pad) & (i < h + pad) & (j >= pad) & (j < w + pad), x[c, i - pad, j - pad], 0.0
        ),
        name="P",
    )
    rc, ry, rx = te.reduce_axis(ci, "rc"), te.reduce_axis(kh, "ry"), te.reduce_axis(kw, "rx")
    oh, ow = (h + 2 * pad - kh) // stride + 1, (w + 2 * pad - kw) // stride + 1
    y = te.compute(
        (co, oh, ow),
        lambda o, i, j: te.sum(
            p[rc, i * stride + ry, j * stride + rx] * f[o, rc, ry, rx], [rc, ry, rx]
        ),
        name="Y",
    )
    z = te.compute((co, oh, ow), lambda o, i, j: te.maximum(y[o, i, j], 0) * 0.5, name="Z")
    return [x, f], [z]


def softmax(rng: random.Random) -> Computation:
    n, m = rng.randint(1, 4), rng.randint(1, 9)
    a = te.placeholder((n, m), name="A")
    k, k2 = te.reduce_axis(m, "k"), te.reduce_axis(m, "k2")
    top = te.compute((n,), lambda i: te.max(a[i, k], k), name="top")
    e = te.compute((n, m), lambda i, j: (a[i, j] - top[i]) * 0.25, name="e")
    total = te.compute((n,), lambda i: te.sum(te.maximum(e[i, k2], -e[i, k2]), k2), name="total")
    out = te.compute((n, m), lambda i, j: e[i, j] / (total[i] + 1.0), name="out")
    return [a], [out]


Kinds = Mapping[str, Callable[[random.Random], Computation]]
KINDS: Kinds = {
    f.__name__: f for f in (elementwise, reduction, argmax, matmul, convolution, softmax)
}


def inputs_for(tensors: list[Tensor], seed: int) -> list[np.ndarray]:
    """Small integers as floats: sums are exact in any order."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(
            0 if t.dtype.kind == "uint" else -4, 5, [as_int(e) or 0 for e in t.shape]
        ).astype(t.dtype.numpy)
        for t in tensors
    ]


def unwritten(like: np.ndarray) -> np.ndarray:
    """An array of the kind, in which an element that is never written shows."""
    return np.full_like(like, {"f": np.nan, "i": -1}.get(like.dtype.kind, 77))


def scramble(s: Schedule, rng: random.Random, steps: int, threads: bool = False) -> int:
    """Call ``steps`` random primitives; those that are refused are passed over. Returns how
    many were taken."""
    taken = 0
    for _ in range(steps):
        try:
            _one(s, rng, threads)
            taken += 1
        except ScheduleError:
            continue
    return taken


def _one(s: Schedule, rng: random.Random, threads: bool) -> None:
    stages = [x for x in s.stages if isinstance(x.op, ComputeOp) and x.leaves]
    stage = rng.choice(stages)
    axis = rng.choice(stage.leaves)
    what = rng.choice(
        ["split", "split", "split", "nparts", "fuse", "reorder", "reorder", "vectorize", "unroll",
         "parallel", "compute_at", "compute_at", "compute_inline", "compute_root", "cache_write",
         "cache_read", "rfactor", "set_scope", "storage_align", "tile", "pragma"]
        + ["bind"] * (3 if threads else 0)
    )  # fmt: skip
    _CALLS[what](stage, axis, rng)


def _fuse(stage: Stage, axis: IterVar, rng: random.Random) -> None:
    at = place_of(axis, stage.leaves)
    stage.fuse(*stage.leaves[at : at + rng.randint(2, 3)])


def _tile(stage: Stage, axis: IterVar, rng: random.Random) -> None:
    other = rng.choice(stage.leaves)
    if other is not axis:
        stage.tile(axis, other, rng.randint(1, 4), rng.randint(1, 4))


def _compute_at(stage: Stage, axis: IterVar, rng: random.Random) -> None:
    consumer = rng.choice(stage.schedule.consumers(stage) or [stage])
    stage.compute_at(consumer, rng.choice(consumer.leaves))


def _cache_read(stage: Stage, axis: IterVar, rng: random.Random) -> None:
    producers = stage.producers()
    if not producers:  # it reads nothing but its indices
        return
    tensor = rng.choice(rng.choice(producers).op.outputs)
    stage.schedule.cache_read(tensor, rng.choice(_SCOPES), [stage])


_SCOPES = ["local", "global"]
_TAGS = ["blockIdx.x", "threadIdx.x", "threadIdx.y"]
_CALLS: dict[str, Callable[[Stage, IterVar, random.Random], object]] = {
    "split": lambda s, a, rng: s.split(a, factor=rng.choice([1, 2, 3, 4, 5, 8])),
    "nparts": lambda s, a, rng: s.split(a, nparts=rng.choice([1, 2, 3, 5])),
    "fuse": _fuse,
    "reorder": lambda s, a, rng: s.reorder(*rng.sample(s.leaves, rng.randint(1, len(s.leaves)))),
    "vectorize": lambda s, a, rng: s.vectorize(a),
    "unroll": lambda s, a, rng: s.unroll(a),
    "parallel": lambda s, a, rng: s.parallel(a),
    "tile": _tile,
    "compute_at": _compute_at,
    "compute_inline": lambda s, a, rng: s.compute_inline(),
    "compute_root": lambda s, a, rng: s.compute_root(),
    "cache_write": lambda s, a, rng: s.schedule.cache_write(s.op.outputs, rng.choice(_SCOPES)),
    "cache_read": _cache_read,
    "rfactor": lambda s, a, rng: s.schedule.rfactor(s.op.outputs[0], a),
    "set_scope": lambda s, a, rng: s.set_scope(rng.choice(_SCOPES)),
    "storage_align": lambda s, a, rng: s.storage_align(
        rng.choice(s.axes), rng.choice([2, 4]), rng.randint(0, 1)
    ),
    "pragma": lambda s, a, rng: s.pragma(a, "partition", True),
    "bind": lambda s, a, rng: s.bind(a, te.thread_axis(rng.choice(_TAGS))),
}


def build(kind: str, seed: int, steps: int = 8, threads: bool = False, kinds: Kinds = KINDS):
    """(inputs, outputs, scrambled schedule) for a seed."""
    rng = random.Random(seed)
    inputs, outputs = kinds[kind](rng)
    s = create_schedule(outputs)
    scramble(s, rng, rng.randint(1, steps), threads)
    return inputs, outputs, s
