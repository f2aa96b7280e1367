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
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from ..runtime.dtype import FLOAT32, INT32, DType, dtype_of
from ..runtime.errors import ExprError
from ..runtime.lazy import lazy
from ..runtime.uncopied import Uncopied
from .alu import Op
from .expr import (
    ZERO,
    Const,
    Expr,
    ExprLike,
    IterVar,
    Load,
    Read,
    Reduce,
    Var,
    as_int,
    binary,
    to_expr,
)
from .visit import Node, substitute, walk

_REASON = "is what others refer to: a copy would be another one"
_INSTEAD = "use it itself; in another process, write the computation again"


class _Whole:
    """What is no value by itself: arithmetic on it says what to write."""

    __array_ufunc__ = None
    __hash__ = object.__hash__

    def _refuse(self, *_: object) -> NoReturn:
        raise ExprError(
            f"{self} is an array, and expressions are made of single elements.",
            hint="give it one index for each axis, inside of a compute: "
            "te.compute(A.shape, lambda *i: A(*i) + 1)",
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = __abs__ = __invert__ = _refuse
    __and__ = __rand__ = __or__ = __ror__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __iter__ = __len__ = __float__ = __int__ = __index__ = _refuse

    def __bool__(self) -> bool:
        return True


class Tensor(_Whole, Uncopied):
    """Result ``value_index`` of an operation; indexing yields one element as an expression."""

    reason = _REASON
    instead = _INSTEAD

    __slots__ = ("dtype", "op", "shape", "value_index")

    def __init__(self, op: Operation, value_index: int, shape: tuple[Expr, ...], dtype: DType):
        self.op, self.value_index, self.shape, self.dtype = op, value_index, shape, dtype

    @property
    def name(self) -> str:
        """The operation's name, with ``.v0``, ``.v1``, … where that has several results."""
        many = len(self.op.outputs) > 1
        return f"{self.op.name}.v{self.value_index}" if many else self.op.name

    @property
    def ndim(self) -> int:
        """The number of axes; 0 for a scalar."""
        return len(self.shape)

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Any:
        """One element, or with fewer indices than axes a part to index further: ``A[i][j]``."""
        given = indices if isinstance(indices, tuple) else (indices,)
        if len(given) < self.ndim and given:
            return TensorSlice(self, given)
        if len(given) != self.ndim:
            raise ExprError(
                f"{self} has {self.ndim} axes and was indexed with {len(given)} indices."
            )
        return Read(self, tuple(map(self._index, given)))

    def _index(self, given: Any) -> Expr:
        if given is None or given is Ellipsis or isinstance(given, slice):
            raise ExprError(
                f"{self.name} cannot be indexed with {given}: te reads one element at a time.",
                hint="give one index for each axis, as in te.compute(shape, lambda i, j: A[i, j])",
            )
        i = to_expr(given, INT32)
        if i.dtype != INT32:
            raise ExprError(
                f"an index of {self.name} is {i.dtype}, not int32: {i}",
                hint="convert it with .astype('int32')",
            )
        return i

    def __call__(self, *indices: ExprLike) -> Any:
        return self[indices]

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


class TensorSlice(_Whole):
    """A tensor with indices for its first axes: ``A[i]`` of ``A[i][j]``."""

    def __init__(self, tensor: Tensor, indices: tuple[ExprLike, ...]):
        self.tensor, self.indices = tensor, indices

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Any:
        given = indices if isinstance(indices, tuple) else (indices,)
        return self.tensor[(*self.indices, *given)]

    def __call__(self, *indices: ExprLike) -> Any:
        return self[indices]

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The extents of the axes that have no index yet."""
        return self.tensor.shape[len(self.indices) :]

    def __repr__(self) -> str:
        given = ", ".join(map(str, self.indices))
        return f"{self.tensor.name}[{given}], which has {len(self.shape)} axes more"


@dataclass(frozen=True, eq=False, repr=False)
class Operation(Uncopied, ABC):
    """What produces tensors. ``attrs`` are target-free facts for schedule rules."""

    reason = _REASON
    instead = _INSTEAD

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

    def output(self, index: int) -> Tensor:
        """Result ``index``."""
        return self.outputs[index]

    @property
    def tag(self) -> str:
        """The tag that ``te.compute`` was given."""
        return str(self.attrs.get("tag", ""))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


@dataclass(frozen=True, eq=False, repr=False)
class PlaceholderOp(Operation):
    """A tensor that the caller provides."""

    shape: tuple[Expr, ...]
    dtype: DType

    @lazy
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

        data, own = set(self.axes), set(self.reduce_axes)
        for a in self.reduce_axes:
            used = {v for v in ends_of(a) if isinstance(v, IterVar)}
            if used & own:
                other = min(v.name for v in used & own)
                raise ExprError(
                    f"{self.name}: how long the reduce axis {a.name} is depends on the reduce axis "
                    f"{other}; it may depend on the axes of the result only.",
                    hint="compute the inner sum first, as a tensor with an axis more",
                )
            if used - data:
                raise ExprError(
                    f"{self.name}: how long the reduce axis {a.name} is depends on "
                    f"{min(v.name for v in used - data)}, which is no axis of the result."
                )

    @property
    def reduce_axes(self) -> tuple[IterVar, ...]:
        """The axes that the computation reduces over; none where it is no reduction."""
        first = self.body[0]
        return first.axes if isinstance(first, Reduce) else ()

    # TVM's names of the same.
    axis = property(lambda self: self.axes)
    reduce_axis = property(lambda self: self.reduce_axes)

    @lazy
    def outputs(self) -> tuple[Tensor, ...]:
        """One tensor for each expression of ``body``, all of the extents of ``axes``."""
        shape = tuple(a.extent for a in self.axes)
        return tuple(Tensor(self, k, shape, b.dtype) for k, b in enumerate(self.body))

    @lazy
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that ``body`` reads, each once, in the order of their first use."""
        seen: dict[Tensor, None] = {}
        for n in itertools.chain.from_iterable(map(walk, self.body)):
            if isinstance(n, Read):
                seen[n.tensor] = None
        return tuple(seen)


def ends_of(axis: IterVar) -> list[Node]:
    """The variables and reads in the minimum and the extent of an axis."""
    nodes = itertools.chain(walk(axis.minimum), walk(axis.extent))
    return [n for n in nodes if isinstance(n, Var | Read)]


def is_ragged(axis: IterVar) -> bool:
    """Whether an axis is not as long for all elements of the result, or as data say."""
    return any(isinstance(n, IterVar | Read) for n in ends_of(axis))


def is_unknown(extent: Expr) -> bool:
    """Whether data, or other loops, decide how long a loop is."""
    return any(isinstance(n, Read | Load | IterVar) for n in walk(extent))


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


def shape_of(shape: ExprLike | Sequence[ExprLike], name: str) -> tuple[Expr, ...]:
    """Extents as expressions; raises ExprError where one is no non-negative int32."""
    dims = shape if isinstance(shape, Sequence) else (shape,)
    if isinstance(shape, str) or not all(
        isinstance(d, Expr | int | float | np.generic) for d in dims
    ):
        raise ExprError(
            f"{name}: {shape!r} is no shape.", hint="a shape is a tuple of integers and te.var"
        )
    result = tuple(to_expr(d, INT32) for d in dims)
    for d in result:
        n = as_int(d)
        if d.dtype != INT32 or (n is not None and n < 0):
            raise ExprError(
                f"{name}: the extent {d} ({d.dtype}) is not a non-negative int32.",
                hint='te.var("n") is int32 where nothing else is said',
            )
    return result


def var(name: str = "n", dtype: DType | str = INT32) -> Var:
    """A scalar parameter of a kernel, for example a symbolic extent."""
    return Var(name, dtype_of(dtype))


def size_var(name: str = "n", dtype: DType | str = INT32) -> Var:
    """A scalar parameter that is never below 0, as sizes are: what divides or compares by it is
    simplified further than with :func:`var`. A call checks it."""
    return Var(name, dtype_of(dtype), nonnegative=True)


def placeholder(
    shape: ExprLike | Sequence[ExprLike], dtype: DType | str = FLOAT32, name: str = "placeholder"
) -> Tensor:
    """A tensor that the caller provides."""
    return PlaceholderOp(name, shape_of(shape, name), dtype_of(dtype)).outputs[0]


def compute(
    shape: ExprLike | Sequence[ExprLike],
    fn: Callable[..., ExprLike | Sequence[ExprLike]],
    name: str = "compute",
    attrs: Mapping[str, object] | None = None,
    tag: str = "",
) -> Any:
    """The tensor of ``shape`` whose element at ``(i, j, …)`` is ``fn(i, j, …)``.

    ``fn`` may return a sequence: the result is a tuple of tensors over the same axes. ``attrs`` and
    ``tag`` are target-free facts for those who write rules; ``tag`` is ``attrs["tag"]``.

    >>> A = placeholder((4, 8), name="A")
    >>> compute((8, 4), lambda i, j: A[j, i] * 2, name="B")
    B: float32[8, 4]
    """
    dims = shape_of(shape, name)
    labels = _labels(fn, len(dims), name)
    axes = tuple(IterVar(n, INT32, ZERO, d, "data") for n, d in zip(labels, dims))
    value = _called(fn, axes, name)
    many = isinstance(value, Sequence)
    several = value if isinstance(value, Sequence) else (value,)
    if value is None or not several:
        raise ExprError(
            f"{name}: the function of te.compute returned {value!r}, not the value of an element.",
            hint="return the expression: a def needs its return",
        )
    body = tuple(_element(e, k if many else None, name) for k, e in enumerate(several))
    about = {**(attrs or {}), **({"tag": tag} if tag else {})}
    op = ComputeOp(name, axes, body, attrs=MappingProxyType(about))
    _check_axes(name, axes, body)
    return op.outputs if many else op.outputs[0]


def _labels(fn: Callable[..., object], ndim: int, name: str) -> list[str]:
    """The names of the axes: those of the function's parameters."""
    if not callable(fn):
        raise ExprError(
            f"{name}: te.compute takes a function of the indices, not {fn!r}.",
            hint="te.compute(shape, lambda i, j: A[i, j] + 1)",
        )
    given = list(inspect.signature(fn).parameters.values())
    plain = [p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in given) and len(plain) <= ndim:
        return plain + [f"i{k}" for k in range(ndim - len(plain))]
    if len(plain) != ndim:
        raise ExprError(
            f"{name}: the shape has {ndim} axes, the function takes {len(plain)}.",
            hint="give the function one parameter for each axis, or write lambda *i: A(*i)",
        )
    return plain


def _called(fn: Callable[..., Any], axes: Sequence[IterVar], name: str) -> Any:
    try:
        return fn(*axes)
    except IndexError as e:
        if "only integers, slices" not in str(e):
            raise
        raise ExprError(
            f"{name}: a numpy array cannot be indexed with an expression.",
            hint="give the array as te.placeholder and pass it when the kernel is called",
        ) from None


def _element(value: object, number: int | None, name: str) -> Expr:
    try:
        return to_expr(value)  # type: ignore[arg-type]
    except ExprError as e:
        what = "the value of an element" if number is None else f"result {number}"
        raise ExprError(f"{what} is {e.message}", where=name, hint=e.hint) from None


def _check_axes(name: str, axes: Sequence[IterVar], body: Sequence[Expr]) -> None:
    """What runs in a computation are its own axes."""
    for b in body:
        own = {*axes, *(b.axes if isinstance(b, Reduce) else ())}
        for n in walk(b):
            if not isinstance(n, IterVar) or n in own:
                continue
            if n.kind == "reduce":
                raise ExprError(
                    f"{name}: the reduce axis {n.name} is used outside of a reduction.",
                    hint=f"wrap what runs over it: te.sum(…, axis={n.name}), te.max, te.min, …; of "
                    "several reductions each is a te.compute of its own",
                )
            raise ExprError(
                f"{name}: {n.name} is the axis of another computation, not of {name}.",
                hint=f"use the parameters of the function: {', '.join(a.name for a in axes)}",
            )


def reduce_axis(dom: tuple[ExprLike, ExprLike] | ExprLike, name: str = "k") -> IterVar:
    """An axis to reduce over, ``(begin, end)`` or an extent. Both may depend on the data axes of
    the computation, and on what tensors hold there: it is then made inside of ``compute``.

    >>> P, V = placeholder((4,), "int32", name="P"), placeholder((7,), name="V")
    >>> def row(i):
    ...     k = reduce_axis((P[i], P[i + 1]), "k")
    ...     return sum(V[k], axis=k)
    >>> compute((3,), row, name="rows")                               # doctest: +SKIP
    """
    if not isinstance(name, str) or (isinstance(dom, Sequence) and len(dom) != 2):
        raise ExprError(
            f"te.reduce_axis({dom!r}, {name!r}) does not say where the axis begins and ends.",
            hint='te.reduce_axis(n, "k") or te.reduce_axis((begin, end), "k")',
        )
    lo, hi = dom if isinstance(dom, Sequence) else (0, dom)
    low, high = to_expr(lo, INT32), to_expr(hi, INT32)
    return IterVar(name, INT32, low, binary(Op.SUB, high, low), "reduce")
