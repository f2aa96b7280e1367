"""Expressions: the typed, immutable scalars and vectors that kernels are made of.

A dozen node types serve both levels of the IR. Tensor expressions (``tensor.py``) contain
:class:`Read` and :class:`Reduce`; lowering replaces them by :class:`Load` and loops, and
vectorisation brings in :class:`Ramp` and :class:`Broadcast`. The meaning of every node is written
on the node, and ``ir/meaning/interp.py`` is that meaning as a program.

Equality: ``==`` and ``!=`` build the expression that compares two values, and hashing is by
identity. So weft's own code asks ``is`` (``identity.py``: of sequences) where it means the same
object, ``structural_equal`` (``visit.py``) where it means the same tree, and never ``==``, ``in``
or ``list.index`` of expressions. Dictionaries and sets of expressions are fine, as keys or inside
of tuples: Python looks at the whole hash and at identity first, and no two live objects have one
hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from ..runtime.dtype import BOOL, FLOAT32, INT32, DType, dtype_of
from ..runtime.errors import ExprError
from .alu import COMPARE, INT_ONLY, LOGIC, UFUNCS, UNARY, Op, of_integers
from .operators import Operators
from .printer import expr_text
from .refusals import no_number, no_truth, no_ufunc, not_an_expression, not_iterable, undefined

if TYPE_CHECKING:
    from .stmt import Buffer
    from .tensor import Reducer, Tensor

ExprLike = Union["Expr", int, float, bool, np.generic]


class Expr(Operators):
    """Base of all expressions; ``dtype`` is the type of the value."""

    __slots__ = ("__weakref__",)
    dtype: DType

    @staticmethod
    def _binary(op: Op, a: ExprLike, b: ExprLike) -> Expr:
        return binary(op, a, b)

    @staticmethod
    def _unary(op: Op, a: Expr) -> Expr:
        return Unary(op, a)

    def __eq__(self, o: object) -> Any:
        return binary(Op.EQ, self, o) if isinstance(o, _COMPARABLE) else NotImplemented

    def __ne__(self, o: object) -> Any:
        return binary(Op.NE, self, o) if isinstance(o, _COMPARABLE) else NotImplemented

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        """The truth where it is known already: of a constant, of two constants compared, and of an
        integer compared with itself (``A.shape[0] == B.shape[0]``)."""
        known = _truth(self)
        if known is None:
            raise no_truth(self)
        return known

    def __iter__(self):  # `for x in expr` and `a, b = expr` must not loop over __getitem__
        raise not_iterable(self)

    def __index__(self) -> int:
        """The value of an integer constant, such as an extent."""
        n = as_int(self)
        if n is None:
            raise no_number(self)
        return n

    __int__ = __index__

    def __float__(self) -> float:
        if not isinstance(self, Const):
            raise no_number(self)
        return float(self.value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **_: Any) -> Any:
        """numpy's numbers come here: ``np.float32(2) * expr``. numpy's functions are refused."""
        f = UFUNCS.get(ufunc.__name__)
        plain: list[Any] = [a[()] if isinstance(a, np.ndarray) and a.ndim == 0 else a for a in args]
        if f is None or method != "__call__":
            raise no_ufunc(ufunc.__name__)
        return f(*(to_expr(a, self.dtype) for a in plain))

    def astype(self, dtype: DType | str) -> Expr:
        """This value converted, see :class:`Cast`."""
        return cast(self, dtype)

    def __str__(self) -> str:
        return expr_text(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}: {self.dtype}>"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Const(Expr):
    """A constant scalar. ``value`` is a Python ``bool``, ``int`` or ``float`` that the type holds
    exactly (floats are rounded to the type when built)."""

    value: bool | int | float
    dtype: DType


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Var(Expr):
    """A scalar variable, by default an int32 index. Two variables of one name are two variables.
    What is passed for a ``nonnegative`` one is never below 0."""

    name: str
    dtype: DType = INT32
    nonnegative: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class IterVar(Var):
    """A loop variable with the domain ``[minimum, minimum + extent)``.

    ``kind`` is ``"data"`` (an axis of the result), ``"reduce"`` or ``"thread"`` (with ``tag`` such
    as ``"threadIdx.x"`` or ``"fragment.x"``).
    """

    minimum: Expr = field(default_factory=lambda: ZERO)
    extent: Expr = field(default_factory=lambda: ONE)
    kind: str = "data"
    tag: str = ""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Unary(Expr):
    """``NEG``, ``NOT`` or ``ABS`` of a value; see :class:`Op` for the meaning."""

    op: Op
    a: Expr
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        assert self.op in UNARY, self.op
        d = self.a.dtype
        if (self.op is Op.NOT and d.is_float) or (self.op is not Op.NOT and d.is_bool):
            raise undefined(self.op.value, d, str(self.a))
        object.__setattr__(self, "dtype", d)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Binary(Expr):
    """``a op b`` for operands of one type; comparisons yield bool. See :class:`Op`."""

    op: Op
    a: Expr
    b: Expr
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        op, d = self.op, self.a.dtype
        assert op not in UNARY, op
        if d != self.b.dtype:
            raise ExprError(
                f"{op.value} takes operands of one type, not {d} and {self.b.dtype}: "
                f"{self.a} {op.value} {self.b}",
                hint="convert one side with .astype(dtype)",
            )
        logic_on_float = op in LOGIC and d.is_float
        arithmetic_on_bool = d.is_bool and op not in LOGIC and op not in (Op.EQ, Op.NE)
        if (
            (op is Op.DIV and not d.is_float)
            or (op in INT_ONLY and not d.is_int)
            or logic_on_float
            or arithmetic_on_bool
        ):
            raise undefined(op.value, d, f"{self.a} {op.value} {self.b}")
        object.__setattr__(self, "dtype", BOOL.with_lanes(d.lanes) if op in COMPARE else d)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Cast(Expr):
    """A value converted to another type.

    Float to integer truncates towards zero, saturates at the limits of the type and is 0 for
    NaN. Integer to integer keeps the low bits. Float to float rounds to nearest even and overflows
    to infinity. Anything to bool is ``value != 0``; bool to a number is 0 or 1.
    """

    value: Expr
    dtype: DType

    def __post_init__(self) -> None:
        assert self.value.dtype.lanes == self.dtype.lanes


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Reinterpret(Expr):
    """The bits of a value read as another type of the same width (never bool)."""

    value: Expr
    dtype: DType

    def __post_init__(self) -> None:
        a, b = self.value.dtype, self.dtype
        assert a.lanes == b.lanes and a.bits == b.bits and not (a.is_bool or b.is_bool)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Select(Expr):
    """``if_true`` where ``cond`` holds, else ``if_false``.

    Only the chosen arm is evaluated: a load in an arm need be in bounds only where the arm is
    chosen. ``cond`` may be a scalar for vector arms; then it chooses for all lanes.
    """

    cond: Expr
    if_true: Expr
    if_false: Expr
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        c, t, f = self.cond.dtype, self.if_true.dtype, self.if_false.dtype
        if not c.is_bool:
            raise ExprError(
                f"the condition of a select is {c}, not bool: {self.cond}", hint="write x != 0"
            )
        if t != f:
            raise ExprError(
                f"the arms of a select differ in type: {t} and {f}",
                hint="convert one of them with .astype(dtype)",
            )
        assert c.lanes in (1, t.lanes)
        object.__setattr__(self, "dtype", t)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Call(Expr):
    """A pure element-wise intrinsic (``exp``, ``fma``, …) of the table in ``intrin.py``."""

    name: str
    args: tuple[Expr, ...]
    dtype: DType


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Read(Expr):
    """One element of a tensor, before lowering: ``indices`` are its logical coordinates."""

    tensor: Tensor
    indices: tuple[Expr, ...]
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", self.tensor.dtype)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Load(Expr):
    """Elements of a buffer, after lowering.

    Before the storage pass ``indices`` are logical coordinates, after it the physical ones that
    of the buffer's layout (one flat index in memory; x, y, layer, lane in a texture). The last
    index may be a vector, then so is the value. Lanes where ``predicate`` is false are not touched
    and are 0.
    """

    buffer: Buffer
    indices: tuple[Expr, ...]
    predicate: Expr | None = None
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        lanes = max((i.dtype.lanes for i in self.indices), default=1)
        object.__setattr__(self, "dtype", self.buffer.dtype.with_lanes(lanes))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Ramp(Expr):
    """The vector ``base, base + stride, …`` of ``lanes`` integers."""

    base: Expr
    stride: Expr
    lanes: int
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        assert self.base.dtype == self.stride.dtype and self.base.dtype.lanes == 1
        object.__setattr__(self, "dtype", self.base.dtype.with_lanes(self.lanes))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Broadcast(Expr):
    """A scalar in every one of ``lanes`` lanes."""

    value: Expr
    lanes: int
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        assert self.value.dtype.lanes == 1
        object.__setattr__(self, "dtype", self.value.dtype.with_lanes(self.lanes))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Reduce(Expr):
    """Component ``index`` of a reduction over ``axes``, only as the whole body of a compute.

    Starting from the reducer's identity, ``(acc…) = combine((acc…), (sources…))`` for every point
    of ``axes``, in any order, where ``condition`` holds.
    """

    reducer: Reducer
    sources: tuple[Expr, ...]
    axes: tuple[IterVar, ...]
    condition: Expr
    index: int
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", self.sources[self.index].dtype)


@lru_cache(maxsize=1 << 16)
def _shared(text: str, dtype: DType) -> Const:
    if dtype.is_bool:
        return Const(text == "True", dtype)
    return Const(float(text) if dtype.is_float else int(text), dtype)


def shared(value: bool | int | float, dtype: DType) -> Const:
    """The one object for a constant that ``dtype`` holds exactly: equal constants are mostly
    identical, so that a rewriter that replaces a constant by an equal one has changed nothing."""
    # The text tells 0.0 from -0.0 and finds NaN again, which the value as a key would not.
    return _shared(repr(bool(value) if dtype.is_bool else value), dtype)


def const(value: ExprLike, dtype: DType | str | None = None) -> Const:
    """A constant; without ``dtype`` bool, int32 (int64 where it must) or float32."""
    if isinstance(value, np.generic):
        dtype = dtype or dtype_of(value.dtype)
        value = value.item()
    if not isinstance(value, bool | int | float):
        raise not_an_expression(value)
    if dtype is None:
        fits = isinstance(value, bool) or not isinstance(value, int) or -(2**31) <= value < 2**31
        kind = BOOL if isinstance(value, bool) else FLOAT32 if isinstance(value, float) else INT32
        d = kind if fits else dtype_of("int64")
    else:
        d = dtype_of(dtype)
    assert d.lanes == 1
    if d.is_bool:
        return shared(bool(value), d)
    if d.is_int:
        if isinstance(value, float) and not value.is_integer():
            raise ExprError(
                f"the constant {value} is not an integer, but {d} is wanted",
                hint='write a whole number, or convert what it meets: x.astype("float32")',
            )
        number = int(value)
        if not d.min <= number <= d.max:
            raise ExprError(f"the constant {number} does not fit into {d}")
        return shared(number, d)
    with np.errstate(over="ignore"):
        return shared(float(np.asarray(value, dtype=np.float64).astype(d.numpy)), d)


def to_expr(value: ExprLike, like: DType | None = None) -> Expr:
    """An expression for a Python or numpy number; ``like`` is the type of a plain number."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, bool | np.bool_):
        return const(bool(value), like)
    if isinstance(value, int | float | np.generic):
        scalar = const(value, like.element if like is not None else None)
        return scalar if like is None or like.lanes == 1 else Broadcast(scalar, like.lanes)
    raise not_an_expression(value)


def fold_integers(op: Op, a: Const, b: Const) -> Const | None:
    """``a op b`` of integers of one type where it fits into that, for the operators of indices.
    They are folded at once: printed IR stays readable."""
    if a.dtype != b.dtype or not a.dtype.is_int:
        return None
    r = of_integers(op, int(a.value), int(b.value))
    return shared(r, a.dtype) if r is not None and a.dtype.min <= r <= a.dtype.max else None


def binary(op: Op, a: ExprLike, b: ExprLike) -> Expr:
    """``a op b``; a plain number takes the type of the other side."""
    left = to_expr(a, b.dtype if isinstance(b, Expr) else None)
    right = to_expr(b, left.dtype)
    if isinstance(left, Const) and isinstance(right, Const):
        folded = fold_integers(op, left, right)
        if folded is not None:
            return folded
    return Binary(op, left, right)


def cast(value: ExprLike, dtype: DType | str) -> Expr:
    """``value`` as ``dtype`` (see :class:`Cast`); the same object when it has that type."""
    d = dtype_of(dtype)
    v = to_expr(value)
    d = d.with_lanes(v.dtype.lanes)
    return v if v.dtype == d else Cast(v, d)


def is_const(e: Expr, value: int | float | None = None) -> bool:
    """Whether ``e`` is a constant (equal to ``value``, when given)."""
    return isinstance(e, Const) and (value is None or e.value == value)


def as_int(e: ExprLike) -> int | None:
    """The value of an integer constant, else None."""
    if isinstance(e, Const) and not e.dtype.is_float:
        return int(e.value)
    return e if isinstance(e, int) else None


def _truth(e: Expr) -> bool | None:
    if isinstance(e, Const):
        return bool(e.value)
    if isinstance(e, Binary) and e.op in COMPARE:
        if e.a is e.b and e.a.dtype.is_int:
            return e.op in (Op.EQ, Op.LE)
        if isinstance(e.a, Const) and isinstance(e.b, Const):
            x, y = e.a.value, e.b.value
            return {Op.EQ: x == y, Op.NE: x != y, Op.LT: x < y, Op.LE: x <= y}[e.op]
    return None


_COMPARABLE = (Expr, int, float, np.generic)

TRUE = shared(True, BOOL)
FALSE = shared(False, BOOL)
ZERO = shared(0, INT32)
ONE = shared(1, INT32)
