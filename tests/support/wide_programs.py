"""Random programs that are heavy in vectors: loops vectorised by any number of lanes, guards,
casts between types of all widths, choices, values that all lanes share, gathers, storage of one
thread.

Integers wrap, floats are whole numbers kept small after every operation: results are exact on all
targets in any order. Only the last stage may end with a function whose result is rounded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import weft
from weft.ir import te
from weft.ir.expr import Expr, IterVar, as_int
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.schedule.loops import thread_axis
from weft.ir.schedule.schedule import Schedule, create_schedule
from weft.ir.schedule.stage import Stage
from weft.ir.tensor import ComputeOp, Tensor
from weft.runtime.dtype import DType, dtype_of

LANES = (2, 3, 3, 4, 5, 6, 7, 7, 8, 12, 14, 14, 16, 28, 56)
# What a target has and holds as wide as it says. (Shading languages keep 64 bits in 32, and their
# drivers lay no weight on the last bit of what is stored as half a float.)
_WORDS = ("float32", "float32", "int32", "int32", "uint32", "int8", "uint8", "int16", "uint16",
          "bool")  # fmt: skip
TYPES = {
    "opencl": (*_WORDS, "int64", "uint64", "float64", "float16", "bfloat16"),
    "webgpu": (*_WORDS, "float16"),
    "opengl": (*_WORDS, "float16"),
    "llvm": (*_WORDS, "int64", "uint64", "float64", "float16", "bfloat16"),
}
LIMIT = 64  # of floats after each operation


def _clip(e: Expr) -> Expr:
    d = e.dtype
    return te.maximum(te.minimum(e, te.const(LIMIT, d)), te.const(-LIMIT, d))


@dataclass
class _Body:
    """Makes the expression of one element at ``at``: row, column."""

    rng: random.Random
    types: Sequence[str]
    tensors: Sequence[Tensor]
    at: tuple[Expr, Expr]
    index: Tensor

    def make(self, d: DType, depth: int) -> Expr:
        rng = self.rng
        step = rng.random()
        if depth <= 0 or step < 0.15:
            return self.leaf(d)
        if step < 0.35:
            return self.convert(d, depth)
        if step < 0.55:
            return te.if_then_else(
                self.condition(depth - 1), self.make(d, depth - 1), self.make(d, depth - 1)
            )
        if d.is_bool:
            return self.condition(depth)
        value = rng.choice(_INTEGERS if d.is_int else _FLOATS)(self, d, depth - 1)
        return value if d.is_int else _clip(value)

    def convert(self, d: DType, depth: int) -> Expr:
        source = dtype_of(self.rng.choice(self.types))
        value = self.make(source, depth - 1)
        if source.is_int and d.is_float:
            # A number of more bits than the mantissa is rounded; back again it is what it was
            # rounded to.
            if d.bits == 32 and self.rng.random() < 0.4:
                back = te.cast(te.cast(value, d), self.rng.choice(("int32", "uint32", "int16")))
                return _clip(te.cast(back, d))
            return _clip(te.cast(value, d))
        return te.cast(value, d)

    def condition(self, depth: int) -> Expr:
        rng = self.rng
        if depth > 0 and rng.random() < 0.3:
            a, b = self.condition(depth - 1), self.condition(depth - 1)
            return rng.choice([lambda: a & b, lambda: a | b, lambda: ~a])()
        if rng.random() < 0.35:  # of the column, of the row, or the same in a whole launch
            i, j = self.at
            n = rng.randint(0, 20)
            return rng.choice([lambda: j < n, lambda: j * 3 % 7 < n, lambda: i < n % 3,
                               lambda: n % 9 <= j])()  # fmt: skip
        d = dtype_of(rng.choice([t for t in self.types if t != "bool"]))
        a, b = self.make(d, depth - 1), self.make(d, depth - 1)
        return rng.choice([lambda: a < b, lambda: a <= b, lambda: te.equal(a, b),
                           lambda: te.not_equal(a, b)])()  # fmt: skip

    def leaf(self, d: DType) -> Expr:
        rng = self.rng
        if rng.random() < 0.2:
            if d.is_bool:
                return te.const(rng.random() < 0.5, d)
            number = rng.randint(-5 if d.is_float or d.kind == "int" else 0, 9)
            if rng.random() < 0.2 and d.is_int and d.bits <= 32:
                i, j = self.at
                return te.cast(j * 2 + i - 3, d)
            return te.const(number, d)
        fit = [t for t in self.tensors if t.dtype == d]
        if not fit:
            t = rng.choice(self.tensors)
            value = te.cast(self.read(t), d)
            return _clip(value) if d.is_float else value
        return self.read(rng.choice(fit))

    def read(self, t: Tensor) -> Expr:
        rng, (i, j) = self.rng, self.at
        if t.ndim == 1:
            n = as_int(t.shape[0]) or 1
            return t[0] if n == 1 else t[i % n] if rng.random() < 0.5 else self.moved(t, (), j)
        r = as_int(t.shape[0]) or 1
        row = rng.choice([lambda: i % r, lambda: te.const(rng.randrange(r), "int32"),
                          lambda: r - 1 - i % r])()  # fmt: skip
        return self.moved(t, (row,), j)

    def moved(self, t: Tensor, row: tuple[Expr, ...], j: Expr) -> Expr:
        """An element of the line: the same one, one further on, every second, or looked up."""
        rng, n = self.rng, as_int(t.shape[-1]) or 1
        kind = rng.randrange(7)
        by = rng.choice([-3, -1, 1, 2])
        if kind == 0:
            return t[(*row, j * 2 % n)]
        if kind == 1:
            return t[(*row, n - 1 - j % n)]
        if kind == 2:
            at = j + by
            zero = te.const(False if t.dtype.is_bool else 0, t.dtype)
            return te.if_then_else((at >= 0) & (at < n), t[(*row, at)], zero)
        if kind == 3:
            at = self.index[j % (as_int(self.index.shape[0]) or 1)]
            return t[(*row, te.maximum(te.minimum(at, n - 1), 0))]
        if kind == 4:
            return te.if_then_else(j < n, t[(*row, j)], t[(*row, n - 1)])
        return t[(*row, te.minimum(j, n - 1) if kind == 5 else j % n)]


def _divisor(b: _Body, d: DType, depth: int) -> Expr:
    if b.rng.random() < 0.5:
        low = -7 if d.kind == "int" else 1
        return te.const(b.rng.choice([x for x in (low, 1, 2, 3, 4, 7, 8, 100) if x]), d)
    return b.make(d, depth)


def _two(form: Callable[[Expr, Expr], Expr]):
    return lambda b, d, depth: form(b.make(d, depth), b.make(d, depth))


def _one(form: Callable[[Expr], Expr]):
    return lambda b, d, depth: form(b.make(d, depth))


def _by(form: Callable[[Expr, Expr], Expr]):
    return lambda b, d, depth: form(b.make(d, depth), _divisor(b, d, depth))


_INTEGERS = (
    _two(lambda x, y: x + y), _two(lambda x, y: x - y), _two(lambda x, y: x * y),
    _two(te.minimum), _two(te.maximum), _two(lambda x, y: x & y), _two(lambda x, y: x | y),
    _two(lambda x, y: x ^ y), _two(lambda x, y: x << y), _two(lambda x, y: x >> y),
    _one(lambda x: -x), _one(abs), _one(lambda x: ~x), _one(te.popcount), _one(te.clz),
    _by(lambda x, y: x // y), _by(lambda x, y: x % y), _by(te.truncdiv), _by(te.truncmod),
)  # fmt: skip
_FLOATS = (
    _two(lambda x, y: x + y), _two(lambda x, y: x - y), _two(lambda x, y: x * y),
    _two(te.minimum), _two(te.maximum), _one(lambda x: -x), _one(abs),
    _one(lambda x: te.floor(x * 0.5)), _one(lambda x: te.ceil(x * 0.25)),
    _one(lambda x: te.trunc(x * 0.125)), _one(lambda x: te.round(x * 0.5)),
)  # fmt: skip
_ROUNDED: tuple[Callable[[Expr], Expr], ...] = (
    lambda x: te.exp(x * 0.05), te.tanh, te.sin, lambda x: te.sqrt(abs(x)),
    lambda x: te.log1p(abs(x)), lambda x: te.log10(abs(x) + 1.0),
    lambda x: te.atan2(x, x + 3.0), te.sigmoid, lambda x: 1.0 / (abs(x) + 1.0),
)  # fmt: skip


def vectors(rng: random.Random, types: Sequence[str]) -> tuple[list[Tensor], list[Tensor]]:
    """(inputs, outputs) of one to four stages."""
    types = list(dict.fromkeys(rng.sample(types, 3)))
    rows = rng.randint(1, 3)
    columns = rng.choice([3, 7, 8, 13, 16, 28])
    index = te.placeholder((rng.choice([5, 16, columns]),), "int32", name="I")
    inputs = [index]
    for k in range(rng.randint(2, 4)):
        d = rng.choice(types)
        shape = rng.choice([(rows, columns), (rows, columns), (1,), (rows,), (columns,)])
        inputs.append(te.placeholder(shape, d, name=f"A{k}"))
    made: list[Tensor] = []
    for k in range(rng.randint(1, 2)):
        d = dtype_of(rng.choice(types))
        shape = (rows, rng.choice([columns, columns, columns + 5]))
        known = [*inputs[1:], *made]
        made.append(_stage(rng, types, known, index, shape, d, f"T{k}"))
    if rng.random() < 0.3:
        made.append(_summed(rng, made[-1], f"T{len(made)}"))
    last = made[-1]
    if last.dtype == dtype_of("float32") and rng.random() < 0.4:
        form = rng.choice(_ROUNDED)
        made.append(te.compute(last.shape, lambda *i: form(last[i]), name="R"))  # type: ignore
    read = {id(t) for m in made for t in m.op.inputs}
    return [t for t in inputs if id(t) in read], [t for t in made if id(t) not in read]


def _stage(rng, types, known, index, shape, d, name) -> Tensor:
    depth = rng.randint(1, 3)

    def body(i: Expr, j: Expr) -> Expr:
        return _Body(rng, types, known, (i, j), index).make(d, depth)

    return te.compute(shape, body, name=name)  # type: ignore[return-value]


def _summed(rng: random.Random, t: Tensor, name: str) -> Tensor:
    """Over the rows of every column, or over the columns of every row."""
    axis = rng.randrange(2)
    k = te.reduce_axis(as_int(t.shape[axis]) or 1, "k")
    n, d = as_int(t.shape[1 - axis]) or 1, t.dtype

    def term(i: Expr, j: Expr) -> Expr:
        v = t[k, j] if axis == 0 else t[j, k]
        return te.cast(v, "int32") if d.is_bool else v

    make = rng.choice([te.sum, te.max, te.min])
    return te.compute((2, n), lambda i, j: make(term(i, j), k), name=name)  # type: ignore


def arrays(inputs: Sequence[Tensor], seed: int) -> list[np.ndarray]:
    """Numbers of the whole range of integers, most of them small; whole small floats."""
    rng = np.random.default_rng(seed)
    made = []
    for t in inputs:
        shape = [as_int(e) or 0 for e in t.shape]
        d = t.dtype
        small = rng.integers(-9 if d.is_float or d.kind == "int" else 0, 10, shape)
        if d.is_int:
            big = rng.integers(d.min, d.max, shape, d.numpy, endpoint=True)
            made.append(np.where(rng.random(shape) < 0.3, big, small.astype(d.numpy)))
        else:
            made.append((small > 3 if d.is_bool else small).astype(d.numpy))
    return made


# -- schedules ------------------------------------------------------------------------------------


def schedule(outputs: Sequence[Tensor], rng: random.Random, threads: bool = True) -> Schedule:
    """Every stage inlined, computed in registers or arrays of a thread, or a launch of its own;
    its last axis in vectors of any number of lanes, which need not divide it."""
    s = create_schedule(list(outputs))
    gone: set[Stage] = set()
    for stage in [x for x in reversed(s.stages) if isinstance(x.op, ComputeOp)]:
        consumers = s.consumers(stage)
        step = rng.random()
        if consumers and not stage.reduce_axes and step < 0.3:
            stage.compute_inline()
            gone.add(stage)
            continue
        if len(consumers) == 1 and step < 0.75 and consumers[0] not in gone:
            _inside(stage, consumers[0], rng)
            continue
        if len(stage.body) == 1 and rng.random() < (0.7 if stage.reduce_axes else 0.3):
            acc = s[s.cache_write(stage.op.outputs, "local")]
            at = _root(stage, rng, threads)
            acc.compute_at(stage, rng.choice(at))
            _lines(acc, rng)
        else:
            _root(stage, rng, threads)
    return s


def _inside(stage: Stage, consumer: Stage, rng: random.Random) -> None:
    """In storage of one thread, at a loop of the consumer that is no vector."""
    marked = consumer.annotations
    bound = [k for k, a in enumerate(consumer.leaves) if a in marked and marked[a].tag]
    loops = consumer.leaves[max(bound, default=0) :]
    stage.set_scope("local")
    stage.compute_at(consumer, rng.choice(loops[:-1]))
    _lines(stage, rng)


def _lanes(stage: Stage, axis: IterVar, rng: random.Random) -> tuple[IterVar, IterVar]:
    return stage.split(axis, factor=rng.choice(LANES))


def _lines(stage: Stage, rng: random.Random) -> None:
    """The loops of what one thread has for itself."""
    *rest, last = stage.axes
    if rest and rng.random() < 0.3:
        last = stage.fuse(*rest, last)
        rest = []
    outer, inner = _lanes(stage, last, rng)
    if rest and rng.random() < 0.3:
        outer = stage.fuse(*rest, outer)
        rest = []
    stage.reorder(*rest, outer, *stage.reduce_axes, inner)
    stage.vectorize(inner)
    if rng.random() < 0.3:
        stage.unroll(outer)


def _root(stage: Stage, rng: random.Random, threads: bool) -> list[IterVar]:
    """A launch of its own; gives the loops from that of the threads inwards, but the vector's."""
    *rest, last = stage.axes
    if rest and rng.random() < 0.2:
        last = stage.fuse(*rest, last)
        rest = []
    outer, inner = _lanes(stage, last, rng)
    more: list[IterVar] = []
    if rng.random() < 0.3:
        outer, extra = stage.split(outer, factor=rng.choice([2, 3]))
        more = [extra]
    stage.reorder(*rest, outer, *more, *stage.reduce_axes, inner)
    stage.vectorize(inner)
    loop = stage.fuse(*rest, outer) if rest else outer
    if not threads:
        return [loop, *more]
    block, thread = stage.split(loop, factor=rng.choice([1, 2, 3, 4, 8]))
    stage.bind(block, thread_axis("blockIdx.x"))
    stage.bind(thread, thread_axis("threadIdx.x"))
    if more and rng.random() < 0.5:
        stage.unroll(more[0])
    return [thread, *more]


def build(seed: int, target: str) -> tuple[list[Tensor], list[Tensor], Schedule]:
    """(inputs, outputs, schedule) of a seed. What takes fragments takes no other loops than its
    own: there the vectors are those of texels."""
    rng = random.Random(seed)
    inputs, outputs = vectors(rng, TYPES[target])
    if target == "opengl":
        return inputs, outputs, create_schedule(outputs)
    return inputs, outputs, schedule(outputs, rng, threads=target != "llvm")


class DiffersError(AssertionError):
    """A kernel gave other numbers than the interpreter."""


def judge(seed: int, target: str) -> None:
    """Run the program of ``seed``; raises :class:`DiffersError` where the results are others than
    the interpreter's by the default schedule."""
    inputs, outputs, s = build(seed, target)
    args = [*inputs, *outputs]
    given = arrays(inputs, seed)
    want = [np.zeros([as_int(e) or 0 for e in t.shape], t.dtype.numpy) for t in outputs]
    got = [np.full(w.shape, np.nan if w.dtype.kind in "fV" else 1, w.dtype) for w in want]
    run(build_loop_nest(create_schedule(outputs), args, "default"), [*given, *want])
    kernel = weft.build(s, args, target)
    kernel(*given, *got)
    for t, w, g in zip(outputs, want, got, strict=True):
        w, g = _wide(w), _wide(g)
        if not np.allclose(g, w, rtol=1e-5, atol=1e-6, equal_nan=True):
            raise DiffersError(
                f"{target} seed {seed}: {t.name} is\n{g}\n\nnot\n{w}\n{s.trace}\n{kernel.function}"
            )


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) if x.dtype.kind in "fV" else x
