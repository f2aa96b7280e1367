"""The meaning of tensor expressions, vectorised with numpy and without any schedule.

Each compute is evaluated on a grid with one numpy axis for every axis of the result and, behind
them, one for every reduce axis; an expression is an array that broadcasts over that grid, so that
an index such as ``2 * h + r`` stays as small as the axes it depends on. The arms of a ``Select``
and the sources of a reduction with a condition are evaluated under a *mask*: only where it holds
must indices be in bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.dtype import DType
from ...runtime.errors import InputError, LoweringError
from ..alu import Op
from ..expr import (
    Binary,
    Call,
    Cast,
    Const,
    Expr,
    IterVar,
    Read,
    Reduce,
    Reinterpret,
    Select,
    Unary,
    Var,
    as_int,
    const,
    is_const,
)
from ..operations.extern import ExternOp
from ..operations.scan import ScanOp
from ..passes.loopnest import build_loop_nest
from ..schedule.schedule import Schedule
from ..stmt import Function
from ..tensor import ComputeOp, Operation, PlaceholderOp, Reducer, Tensor, is_ragged
from ..visit import substitute
from . import semantics
from .interp import poison
from .interp import run as interpret

_CHUNK = 1 << 20  # grid points that are evaluated at a time: the temporaries stay in a cache

Mask = np.ndarray | None  # broadcasts over the grid; None: everywhere

# Reductions that numpy has as the `reduce` of a ufunc.
_UFUNC: dict[Op, np.ufunc] = {
    Op.ADD: np.add,
    Op.MUL: np.multiply,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
    Op.AND: np.bitwise_and,
    Op.OR: np.bitwise_or,
    Op.XOR: np.bitwise_xor,
}


def evaluate(
    outputs: Sequence[Tensor],
    feed: Mapping[Tensor, np.ndarray],
    scalars: Mapping[Var, int] | None = None,
) -> list[np.ndarray]:
    """The values of ``outputs``.

    Parameters
    ----------
    feed : the array of every placeholder that is needed, in its shape and dtype. A computed tensor
        may be fed too; then it is not computed.
    scalars : the values of the variables that extents and bodies use.

    Raises
    ------
    InputError : a placeholder or a scalar is missing, or an array has another shape or dtype.
    LoweringError : an element outside of a tensor is read where its value is used.
    """
    env = {v: np.asarray(x, v.dtype.numpy)[()] for v, x in (scalars or {}).items()}
    values: dict[Tensor, np.ndarray] = {}
    with semantics.quiet():
        for tensor, array in feed.items():
            values[tensor] = _checked(tensor, np.asarray(array), env)
        for op in _order(outputs, values):
            if isinstance(op, PlaceholderOp):
                raise InputError(f"no value is fed for {op.outputs[0]}")
            if isinstance(op, ExternOp):
                made = _run(op, values, env)
            elif isinstance(op, ScanOp):
                made = _steps(op, values, env)
            else:
                made = _compute(op, values, env)
            for tensor, array in zip(op.outputs, made):
                values.setdefault(tensor, array)
    return [np.asarray(semantics.stored(values[t], t.dtype)) for t in outputs]


def _order(outputs: Sequence[Tensor], known: Mapping[Tensor, object]) -> list[Operation]:
    """The operations to evaluate, each after those that it reads."""
    done: dict[Operation, None] = {}
    stack = [(t.op, False) for t in reversed(outputs) if t not in known]
    while stack:
        op, ready = stack.pop()
        if ready:
            done[op] = None
        elif op not in done:
            stack.append((op, True))
            needed = (*op.init, *op.reads) if isinstance(op, ScanOp) else op.inputs
            stack.extend((t.op, False) for t in needed if t not in known)
    return list(done)


def _checked(tensor: Tensor, array: np.ndarray, env: dict[Var, Any]) -> np.ndarray:
    shape = tuple(int(_Grid(env).value(d)) for d in tensor.shape)
    if array.shape != shape or array.dtype != tensor.dtype.numpy:
        raise InputError(f"{tensor} of shape {shape} is fed with {array.dtype}{list(array.shape)}")
    return semantics.loaded(array, tensor.dtype)


def _run(
    op: ExternOp, values: Mapping[Tensor, np.ndarray], env: dict[Var, Any]
) -> list[np.ndarray]:
    """The results of statements, by the interpreter."""
    scalar = _Grid(env)
    reads = [semantics.stored(values[t], t.dtype) for t in op.reads]
    shapes = [tuple(int(scalar.value(n)) for n in b.shape) for b in op.outs]
    made = [poison(shape, b.dtype) for shape, b in zip(shapes, op.outs)]
    params = (*op.ins, *op.outs, *env)
    interpret(
        Function(op.name, params, op.body, frozenset(op.outs)), [*reads, *made, *env.values()]
    )
    return [semantics.loaded(a, b.dtype) for a, b in zip(made, op.outs)]


def _steps(
    op: ScanOp, values: Mapping[Tensor, np.ndarray], env: dict[Var, Any]
) -> list[np.ndarray]:
    """The results of a recurrence: its plain loop nest over what is known, by the interpreter."""
    given: dict[Tensor, Tensor] = {}
    for t in dict.fromkeys((*op.init, *op.reads)):
        given[t] = PlaceholderOp(t.name, t.shape, t.dtype).outputs[0]
    outputs = op.over(given)
    scalar = _Grid(env)
    rows = int(scalar.value(outputs[0].shape[0]))
    made = [poison((rows, *values[t].shape[1:]), t.dtype) for t in op.init]
    f = build_loop_nest(Schedule(outputs), [*given.values(), *outputs, *env], op.name)
    reads = [semantics.stored(values[t], t.dtype) for t in given]
    interpret(f, [*reads, *made, *env.values()])
    return [semantics.loaded(a, t.dtype) for a, t in zip(made, outputs)]


def _compute(
    op: Operation, values: Mapping[Tensor, np.ndarray], env: dict[Var, Any]
) -> list[np.ndarray]:
    assert isinstance(op, ComputeOp), op
    scalar = _Grid(env)
    extents = [int(scalar.value(a.extent)) for a in op.axes]
    if any(map(is_ragged, op.reduce_axes)):
        starts = [int(scalar.value(a.minimum)) for a in op.axes]
        op = _even(op, _Grid(env, op.axes, starts, extents, values, op.name))
    results = [np.empty(extents, semantics.work_dtype(b.dtype)) for b in op.body]
    starts = [int(scalar.value(a.minimum)) for a in op.axes]
    reach = [int(scalar.value(a.extent)) for a in op.reduce_axes]
    low = [int(scalar.value(a.minimum)) for a in op.reduce_axes]
    for box in _boxes(extents, math.prod(max(n, 1) for n in reach)):
        axes = [*op.axes, *op.reduce_axes]
        begins = [*(b + s for (b, _), s in zip(box, starts)), *low]
        sizes = [*(n for _, n in box), *reach]
        grid = _Grid(env, axes, begins, sizes, values, op.name)
        here = tuple(slice(b, b + n) for b, n in box)
        reduced: dict[int, list[np.ndarray]] = {}
        for body, result in zip(op.body, results):
            if isinstance(body, Reduce):
                parts = reduced.get(id(body.sources))
                if parts is None:
                    parts = reduced[id(body.sources)] = grid.reduce(body, len(op.axes))
                result[here] = parts[body.index]
            else:
                result[here] = grid.value(body)
    # What another compute reads is what was stored: rounded to the tensor's type.
    return [
        semantics.loaded(semantics.stored(r, b.dtype), b.dtype) for r, b in zip(results, op.body)
    ]


def _even(op: ComputeOp, grid: _Grid) -> ComputeOp:
    """A reduction whose axes are as long as the longest that data say, with a condition."""
    first = op.body[0]
    assert isinstance(first, Reduce)
    mapping: dict[Var, Expr] = {}
    axes, condition = [], first.condition
    for a in first.axes:
        longest = max(0, int(np.max(grid.value(a.extent), initial=0)))
        even = IterVar(a.name, a.dtype, const(0), const(longest), "reduce")
        axes.append(even)
        mapping[a] = even + a.minimum
        condition = Binary(Op.AND, even < a.extent, condition)
    sources = tuple(substitute(s, mapping) for s in first.sources)
    condition = substitute(condition, mapping)
    body = tuple(
        Reduce(first.reducer, sources, tuple(axes), condition, k) for k in range(len(op.body))
    )
    return ComputeOp(op.name, op.axes, body)


def _boxes(extents: Sequence[int], weight: int) -> list[list[tuple[int, int]]]:
    """A partition of a grid into boxes ``[(begin, size), …]`` of at most ``_CHUNK`` points of
    ``weight`` each, as far as possible, cut along the outer axes first."""
    if 0 in extents:
        return []
    boxes: list[list[tuple[int, int]]] = [[]]
    rest = math.prod(extents) * weight
    for n in extents:
        rest //= n
        step = min(n, max(1, _CHUNK // max(1, rest)))
        cuts = [(b, min(step, n - b)) for b in range(0, n, step)]
        boxes = [[*box, cut] for box in boxes for cut in cuts]
    return boxes


class _Grid:
    """Evaluates expressions on a box of points. Axis ``k`` of every array is ``axes[k]``, with the
    values ``begins[k] … begins[k] + sizes[k] - 1``."""

    def __init__(
        self,
        env: Mapping[Var, Any],
        axes: Sequence[IterVar] = (),
        begins: Sequence[int] = (),
        sizes: Sequence[int] = (),
        values: Mapping[Tensor, np.ndarray] | None = None,
        where: str = "an extent",
    ):
        self.env, self.axes, self.values, self.where = dict(env), axes, values or {}, where
        self.begins, self.sizes, self.rank = begins, sizes, len(axes)
        for k, (a, b, n) in enumerate(zip(axes, begins, sizes)):
            line = np.arange(b, b + n, dtype=a.dtype.numpy)
            self.env[a] = line.reshape([n if m == k else 1 for m in range(self.rank)])
        # Shared subtrees are evaluated once. Masks are kept alive beside their id.
        self.memo: dict[tuple[int, int], tuple[Any, Expr, Mask]] = {}

    def value(self, e: Expr, mask: Mask = None) -> Any:
        """An array that broadcasts over the grid, or a numpy scalar. Undefined outside of
        ``mask``."""
        key = (id(e), id(mask))
        hit = self.memo.get(key)
        if hit is None:
            hit = self.memo[key] = (_EVAL[type(e)](self, e, mask), e, mask)
        return hit[0]

    def const(self, e: Const, mask: Mask) -> Any:
        return semantics.work_dtype(e.dtype).type(e.value)

    def var(self, e: Var, mask: Mask) -> Any:
        value = self.env.get(e)
        if value is None:
            raise InputError(f"no value is given for the variable {e.name} of {self.where}")
        return value

    def unary(self, e: Unary, mask: Mask) -> Any:
        return semantics.UNARY[e.op](self.value(e.a, mask))

    def binary(self, e: Binary, mask: Mask) -> Any:
        return semantics.BINARY[e.op](self.value(e.a, mask), self.value(e.b, mask))

    def cast(self, e: Cast, mask: Mask) -> Any:
        return semantics.cast(self.value(e.value, mask), e.value.dtype, e.dtype)

    def reinterpret(self, e: Reinterpret, mask: Mask) -> Any:
        return semantics.reinterpret(self.value(e.value, mask), e.value.dtype, e.dtype)

    def call(self, e: Call, mask: Mask) -> Any:
        return semantics.intrinsic(e.name, [self.value(a, mask) for a in e.args], e.args[0].dtype)

    def select(self, e: Select, mask: Mask) -> Any:
        cond = np.asarray(self.value(e.cond, mask))
        if cond.size and cond.all():
            return self.value(e.if_true, mask)
        if cond.size and not cond.any():
            return self.value(e.if_false, mask)
        inside, outside = (cond, ~cond) if mask is None else (cond & mask, ~cond & mask)
        return np.where(cond, self.value(e.if_true, inside), self.value(e.if_false, outside))

    def read(self, e: Read, mask: Mask) -> Any:
        source = self.values[e.tensor]
        view = self.view(source, e)
        if view is not None:
            return view
        indices = []
        outside: Any = None
        for i, n in zip(e.indices, source.shape):
            index = self.value(i, mask)
            if index.size and not (index.min() >= 0 and index.max() < n):
                bad = (index < 0) | (index >= n)
                outside = bad if outside is None else outside | bad
                index = np.clip(index, 0, max(n - 1, 0))
            indices.append(index)
        if outside is not None:
            if mask is not None:
                outside = outside & mask
            if outside.any():
                self.fault(e, source, outside, mask)
            if source.size == 0:
                # Nothing is read where the mask holds; elsewhere any value will do.
                return np.zeros_like(source, shape=(1,) * self.rank)
        return source[tuple(indices)]

    def view(self, source: np.ndarray, e: Read) -> np.ndarray | None:
        """The common case without a gather: every index is a constant or an axis of the grid, each
        axis at most once, all in bounds. None otherwise."""
        cuts: list[Any] = []
        order: list[int] = []
        for i, n in zip(e.indices, source.shape):
            c = as_int(i)
            if c is not None:
                if not 0 <= c < n:
                    return None
                cuts.append(c)
                continue
            k = next((k for k, a in enumerate(self.axes) if a is i), None)
            if k is None or k in order:
                return None
            b, m = self.begins[k], self.sizes[k]
            if b < 0 or b + m > n:
                return None
            cuts.append(slice(b, b + m))
            order.append(k)
        part = source[tuple(cuts)].transpose(sorted(range(len(order)), key=order.__getitem__))
        return part.reshape([self.sizes[k] if k in order else 1 for k in range(self.rank)])

    def fault(self, e: Read, source: np.ndarray, outside: np.ndarray, mask: Mask) -> None:
        at = tuple(np.argwhere(np.broadcast_to(outside, tuple(self.sizes)))[0])
        whole = [np.broadcast_to(self.value(i, mask), tuple(self.sizes)) for i in e.indices]
        index = [int(w[at]) for w in whole]
        raise LoweringError(
            f"{e} reads {e.tensor.name}{index}, which is outside of its shape "
            f"{list(source.shape)}.",
            where=self.where,
            hint="guard the read with te.if_then_else",
        )

    # ------------------------------------------------------------------ reductions

    def reduce(self, e: Reduce, n_data: int) -> list[np.ndarray]:
        """All components of a reduction, over the axes of the grid from ``n_data`` on."""
        shape = tuple(self.sizes)
        if 0 in shape:  # nothing is read
            return [
                np.full(shape[:n_data], i.value, semantics.work_dtype(i.dtype))
                for i in e.reducer.identity
            ]
        mask = None if is_const(e.condition, True) else np.asarray(self.value(e.condition))
        sources = [np.asarray(self.value(s, mask)) for s in e.sources]
        axes = tuple(range(n_data, self.rank))
        ufunc = _ufunc(e.reducer)
        if ufunc is not None:
            # `initial` and `where` keep empty and conditional reductions in the same call; the
            # dtype is given because numpy would widen the sum of small integers.
            d = semantics.work_dtype(e.dtype)
            identity = d.type(e.reducer.identity[0].value)
            where: Any = True if mask is None else np.broadcast_to(mask, shape)
            whole = np.broadcast_to(sources[0], shape)
            return [ufunc.reduce(whole, axis=axes, dtype=d, initial=identity, where=where)]
        flat = (*shape[:n_data], math.prod(shape[n_data:]))
        parts = []
        for s, identity in zip(sources, e.reducer.identity):
            zero = semantics.work_dtype(identity.dtype).type(identity.value)
            chosen = s if mask is None else np.where(mask, s, zero)
            parts.append(np.broadcast_to(chosen, shape).reshape(flat))
        return _halve(e.reducer, parts)


def _ufunc(r: Reducer) -> np.ufunc | None:
    """The ufunc that combines as ``r`` does, when ``r`` is one operator on two values."""
    result = r.result[0]
    if len(r.result) == 1 and isinstance(result, Binary) and result.op in _UFUNC:
        operands = {result.a, result.b}
        if operands == {r.lhs[0], r.rhs[0]}:
            return _UFUNC[result.op]
    return None


def _halve(r: Reducer, parts: list[np.ndarray]) -> list[np.ndarray]:
    """Combines the last axis in halves: log2(n) steps, which a reducer must allow because it is
    associative. An odd element waits for the next step."""
    n = parts[0].shape[-1]
    while n > 1:
        h = n // 2
        env = dict(zip(r.lhs, (p[..., :h] for p in parts)))
        env |= dict(zip(r.rhs, (p[..., h : 2 * h] for p in parts)))
        grid = _Grid(env)
        combined = [grid.value(c) for c in r.result]
        if n % 2:
            combined = [np.concatenate([c, p[..., -1:]], -1) for c, p in zip(combined, parts)]
        parts, n = combined, n - h
    # The identity takes part once: an element may be worse than it (-inf against the lowest).
    last = [p[..., 0] for p in parts]
    grid = _Grid({**_identity(r), **dict(zip(r.rhs, last))})
    return [np.broadcast_to(grid.value(c), last[0].shape) for c in r.result]


def _identity(r: Reducer) -> dict[Var, Any]:
    def value(d: DType, x: object) -> Any:
        return semantics.work_dtype(d).type(x)

    return {v: value(i.dtype, i.value) for v, i in zip(r.lhs, r.identity)}


_EVAL: dict[type, Callable[[_Grid, Any, Mask], Any]] = {
    Const: _Grid.const,
    Var: _Grid.var,
    IterVar: _Grid.var,
    Unary: _Grid.unary,
    Binary: _Grid.binary,
    Cast: _Grid.cast,
    Reinterpret: _Grid.reinterpret,
    Select: _Grid.select,
    Call: _Grid.call,
    Read: _Grid.read,
}
