"""Tensors as expressions: ``placeholder``, ``compute``, reductions.

A :class:`ComputeOp` says what each element of its results is, as a function of the element's
coordinates, and nothing about order, storage or target.
"""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from ..runtime.dtype import FLOAT32, INT32, DType, dtype_of
from ..runtime.errors import ExprError
from .alu import Op
from .expr import (
    TRUE,
    ZERO,
    Const,
    Expr,
    ExprLike,
    IterVar,
    Read,
    Reduce,
    Var,
    as_int,
    binary,
    to_expr,
)
from .visit import substitute, walk


class Tensor:
    """Result ``value_index`` of an operation; indexing yields one element as an expression."""

    __slots__ = ("dtype", "op", "shape", "value_index")

    def __init__(self, op: Operation, value_index: int, shape: tuple[Expr, ...], dtype: DType):
        self.op, self.value_index, self.shape, self.dtype = op, value_index, shape, dtype

    @property
    def name(self) -> str:
        """The operation's name, with ``.v0``, ``.v1``, … where that has several results."""
        many = isinstance(self.op, ComputeOp) and len(self.op.body) > 1
        return f"{self.op.name}.v{self.value_index}" if many else self.op.name

    @property
    def ndim(self) -> int:
        """The number of axes; 0 for a scalar."""
        return len(self.shape)

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        given = indices if isinstance(indices, tuple) else (indices,)
        if len(given) != self.ndim:
            raise ExprError(
                f"{self} has {self.ndim} axes and was indexed with {len(given)} indices"
            )
        exprs = tuple(to_expr(i, INT32) for i in given)
        for i in exprs:
            if i.dtype != INT32:
                raise ExprError(
                    f"an index of {self.name} is {i.dtype}, not int32: {i}",
                    hint="convert it with .astype('int32')",
                )
        return Read(self, exprs)

    def __call__(self, *indices: ExprLike) -> Expr:
        return self[indices]

    def __iter__(self):
        raise ExprError(f"{self} cannot be iterated; index it inside te.compute.")

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False, repr=False)
class Operation(ABC):
    """What produces tensors. ``attrs`` are target-free facts for schedule rules."""

    name: str
    attrs: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), kw_only=True)

    @property
    @abstractmethod
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors that it produces: one, or all results of one computation."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that it reads, each once, in the order of their first use."""
        return ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


@dataclass(frozen=True, eq=False, repr=False)
class PlaceholderOp(Operation):
    """A tensor that the caller provides."""

    shape: tuple[Expr, ...]
    dtype: DType

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensor itself, alone."""
        return (Tensor(self, 0, self.shape, self.dtype),)


@dataclass(frozen=True, eq=False, repr=False)
class ComputeOp(Operation):
    """``outputs[k][axes] = body[k]``. A body is free of :class:`Reduce`, or all bodies are the
    components of one reduction."""

    axes: tuple[IterVar, ...]
    body: tuple[Expr, ...]

    def __post_init__(self) -> None:
        reduces = [b for b in self.body if isinstance(b, Reduce)]
        if reduces and len(reduces) != len(self.body):
            raise ExprError(f"{self.name}: all results of a reduction must come from one reducer")
        for b in self.body:
            below = walk(b)
            next(below)
            if any(isinstance(n, Reduce) for n in below):
                raise ExprError(
                    f"{self.name}: a reduction must be the whole body of a compute: {b}",
                    hint="compute the reduction first, then a second compute that reads it",
                )

    @property
    def reduce_axes(self) -> tuple[IterVar, ...]:
        """The axes that the computation reduces over; none where it is no reduction."""
        first = self.body[0]
        return first.axes if isinstance(first, Reduce) else ()

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        """One tensor for each expression of ``body``, all of the extents of ``axes``."""
        shape = tuple(a.extent for a in self.axes)
        return tuple(Tensor(self, k, shape, b.dtype) for k, b in enumerate(self.body))

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that ``body`` reads, each once, in the order of their first use."""
        seen: dict[Tensor, None] = {}
        for n in itertools.chain.from_iterable(map(walk, self.body)):
            if isinstance(n, Read):
                seen[n.tensor] = None
        return tuple(seen)


@dataclass(frozen=True, eq=False)
class Reducer:
    """A commutative, associative combination of ``n``-tuples with an identity.

    ``result = combine`` applied to ``lhs`` (the accumulator) and ``rhs`` (an element).
    """

    name: str
    lhs: tuple[Var, ...]
    rhs: tuple[Var, ...]
    result: tuple[Expr, ...]
    identity: tuple[Const, ...]

    def combine(self, a: Sequence[Expr], b: Sequence[Expr]) -> tuple[Expr, ...]:
        """``result`` for accumulators ``a`` and elements ``b``, one of each per component."""
        mapping = dict(zip((*self.lhs, *self.rhs), (*a, *b)))
        return tuple(substitute(r, mapping) for r in self.result)


def _shape(shape: ExprLike | Sequence[ExprLike], name: str) -> tuple[Expr, ...]:
    dims = shape if isinstance(shape, Sequence) else (shape,)
    result = tuple(to_expr(d, INT32) for d in dims)
    for d in result:
        n = as_int(d)
        if d.dtype != INT32 or (n is not None and n < 0):
            raise ExprError(f"{name}: the extent {d} is not a non-negative int32")
    return result


def var(name: str, dtype: DType | str = INT32) -> Var:
    """A scalar parameter of a kernel, for example a symbolic extent."""
    return Var(name, dtype_of(dtype))


def placeholder(
    shape: ExprLike | Sequence[ExprLike], dtype: DType | str = FLOAT32, name: str = "placeholder"
) -> Tensor:
    """A tensor that the caller provides."""
    return PlaceholderOp(name, _shape(shape, name), dtype_of(dtype)).outputs[0]


def compute(
    shape: ExprLike | Sequence[ExprLike],
    fn: Callable[..., ExprLike | Sequence[ExprLike]],
    name: str = "compute",
    attrs: Mapping[str, object] | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The tensor of ``shape`` whose element at ``(i, j, …)`` is ``fn(i, j, …)``.

    ``fn`` may return a sequence: the result is a tuple of tensors over the same axes.

    >>> A = placeholder((4, 8), name="A")
    >>> compute((8, 4), lambda i, j: A[j, i] * 2, name="B")
    B: float32[8, 4]
    """
    dims = _shape(shape, name)
    names = list(inspect.signature(fn).parameters.values())
    if len(names) == 1 and names[0].kind is inspect.Parameter.VAR_POSITIONAL:
        labels = [f"i{k}" for k in range(len(dims))]
    elif len(names) == len(dims):
        labels = [p.name for p in names]
    else:
        raise ExprError(f"{name}: the shape has {len(dims)} axes, the function takes {len(names)}")
    axes = tuple(IterVar(n, INT32, ZERO, d, "data") for n, d in zip(labels, dims))
    value = fn(*axes)
    many = isinstance(value, Sequence)
    body = tuple(map(to_expr, value if isinstance(value, Sequence) else (value,)))
    op = ComputeOp(name, axes, body, attrs=MappingProxyType(dict(attrs or {})))
    return op.outputs if many else op.outputs[0]


def reduce_axis(dom: tuple[ExprLike, ExprLike] | ExprLike, name: str = "k") -> IterVar:
    """An axis to reduce over, ``(begin, end)`` or an extent."""
    lo, hi = dom if isinstance(dom, tuple) else (0, dom)
    low, high = to_expr(lo, INT32), to_expr(hi, INT32)
    return IterVar(name, INT32, low, binary(Op.SUB, high, low), "reduce")


def comm_reducer(
    combine: Callable[..., Expr | Sequence[Expr]],
    identity: Callable[..., Const | Sequence[Const]],
    name: str = "reduce",
) -> Callable[..., Expr | tuple[Expr, ...]]:
    """A reduction from a combining function and its identity.

    ``combine(x, y)`` takes two values (or two tuples) and ``identity(dtype, …)`` one dtype per
    component. The result is called as ``r(sources, axis=k, where=None)``; with a tuple of sources
    it returns the tuple of components, to be passed to one ``compute``.

    >>> mul = comm_reducer(lambda x, y: x * y, lambda t: const(1, t), name="prod")
    """
    made: dict[tuple[DType, ...], Reducer] = {}

    def reducer_for(dtypes: tuple[DType, ...]) -> Reducer:
        if dtypes not in made:
            lhs = tuple(Var(f"x{k}", d) for k, d in enumerate(dtypes))
            rhs = tuple(Var(f"y{k}", d) for k, d in enumerate(dtypes))
            one = len(dtypes) == 1
            result = combine(lhs[0], rhs[0]) if one else combine(lhs, rhs)
            ident = identity(*dtypes)
            results = (result,) if isinstance(result, Expr) else tuple(result)
            idents = (ident,) if isinstance(ident, Const) else tuple(ident)
            if [r.dtype for r in results] != list(dtypes) or len(idents) != len(dtypes):
                raise ExprError(f"reducer {name} must return one value of {dtypes} per component")
            made[dtypes] = Reducer(name, lhs, rhs, results, idents)
        return made[dtypes]

    def reduce(
        sources: ExprLike | Sequence[ExprLike],
        axis: IterVar | Sequence[IterVar],
        where: Expr | None = None,
    ) -> Expr | tuple[Expr, ...]:
        many = isinstance(sources, Sequence)
        exprs = tuple(map(to_expr, sources if isinstance(sources, Sequence) else (sources,)))
        axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
        for a in axes:
            if not isinstance(a, IterVar) or a.kind != "reduce":
                raise ExprError(f"{name} reduces over axes made by te.reduce_axis, not {a!r}")
        reducer = reducer_for(tuple(e.dtype for e in exprs))
        cond = TRUE if where is None else where
        out = tuple(Reduce(reducer, exprs, axes, cond, k) for k in range(len(exprs)))
        return out if many else out[0]

    reduce.__name__ = name
    return reduce
