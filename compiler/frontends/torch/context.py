"""What converters of ATen's operators see, and PyTorch's rules for the types of elements.

A converter has the parameters of the operator's schema, by the same names and in the same order,
after the context: ``def leaky_relu(n, self: Tensor, negative_slope: Number = 0.01)``. :func:`aten`
makes a row of the table of it, which checks arguments by the annotations before it calls; so what
a damaged file says never reaches it with a wrong type.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ....runtime.dtype import DType, dtype_of
from ....runtime.errors import ModelError
from ..flat import FlatContext
from .archive import dtype_by_number
from .program import Ref, ScalarType, Unreadable


class Name(str):
    """The name of a weft tensor, as an argument: no text."""


Tensor: TypeAlias = str
Number: TypeAlias = "int | float | bool"
Ints: TypeAlias = "tuple[int, ...]"
Tensors: TypeAlias = "tuple[str, ...]"

# Arguments that say where and how elements lie in memory, which is no business of a model.
_PLACES = frozenset(("device", "layout", "pin_memory", "memory_format", "non_blocking", "implicit"))


def _ints(v: Any) -> Any:
    if isinstance(v, int) and not isinstance(v, bool):
        return (v,)
    whole = isinstance(v, tuple) and all(type(e) is int for e in v)
    return v if whole else NotImplemented


def _is(*types: type) -> Callable[[Any], Any]:
    def check(v: Any) -> Any:
        return v if isinstance(v, types) and not isinstance(v, Name) else NotImplemented

    return check


def _whole(v: Any) -> Any:
    return v if type(v) is int else NotImplemented


def _float(v: Any) -> Any:
    return float(v) if isinstance(v, int | float) and not isinstance(v, bool) else NotImplemented


def _bool(v: Any) -> Any:
    return bool(v) if v in (0, 1) and isinstance(v, int) else NotImplemented


def _tensors(v: Any) -> Any:
    named = isinstance(v, tuple) and all(isinstance(e, Name) for e in v)
    return v if named else NotImplemented


def _optional_tensors(v: Any) -> Any:
    named = isinstance(v, tuple) and all(e is None or isinstance(e, Name) for e in v)
    return v if named else NotImplemented


def _floats(v: Any) -> Any:
    if not isinstance(v, tuple) or any(_float(e) is NotImplemented for e in v):
        return NotImplemented
    return tuple(float(e) for e in v)


# The names that annotations of converters may have.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "Tensor": lambda v: v if isinstance(v, Name) else NotImplemented,
    "Tensors": _tensors,
    "OptionalTensors": _optional_tensors,
    "int": _whole,
    "Ints": _ints,
    "float": _float,
    "Floats": _floats,
    "bool": _bool,
    "str": _is(str),
    "Number": _is(int, float),
    "ScalarType": _is(ScalarType),
    "None": lambda v: v if v is None else NotImplemented,
    "Any": lambda v: v,
}
OptionalTensors: TypeAlias = "tuple[str | None, ...]"
Floats: TypeAlias = "tuple[float, ...]"


class Row:
    """A converter as the table has it: called with a context alone, it takes the arguments of the
    node from there."""

    def __init__(self, convert: Callable[..., Any]):
        self.convert = convert
        found = list(inspect.signature(convert).parameters.values())[1:]
        self.parameters = [p.name for p in found]
        self.required = [p.name for p in found if p.default is inspect.Parameter.empty]
        self.kinds = {p.name: str(p.annotation) for p in found}
        self.checks = {p.name: [_CHECKS[k.strip()] for k in str(p.annotation).split("|")]
                       for p in found}  # fmt: skip

    def __call__(self, n: TorchContext) -> Sequence[str] | str:
        given = self.checked(n, n.arguments())
        made = self.convert(n, **given)
        if not n.node.attrs.get("in_place"):
            return made
        first = made if isinstance(made, str) else made[0]
        return n.cast(first, n.dtype(given[self.parameters[0]]))  # what is changed keeps its type

    def checked(self, n: TorchContext, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, each of a type that its parameter may have."""
        for name in self.required:
            if name not in given:
                n.error(f"the argument {name!r} is missing.")
        found = {}
        for name, value in given.items():
            if name not in self.checks:
                if name in _PLACES:
                    continue
                n.error(f"there is no argument {name!r}.")
            for check in self.checks[name]:
                result = check(value)
                if result is not NotImplemented:
                    found[name] = result
                    break
            else:
                if isinstance(value, Unreadable):
                    n.unsupported(f"the argument {name!r} is {value.kind}")
                n.error(f"the argument {name!r} is {str(value)[:60]}.")
        return found


class TorchContext(FlatContext):
    """One node of an exported program while it is converted; see :class:`FlatContext`."""

    def arguments(self) -> dict[str, Any]:
        """The arguments that the node states, by name: tensors as :class:`Name`, numbers that
        follow from shapes as what they are."""
        return {k: self._resolved(v) for k, v in self.attr("args", {}).items()}

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Ref):
            if not value.number:
                return Name(self.inputs[value.index])
            known = self.const(value.index)
            if known is None or known.size != 1:
                self.error("a number of it is a tensor.")
            return known.reshape(()).item()
        return tuple(map(self._resolved, value)) if isinstance(value, tuple) else value

    # -- short names for what converters compose

    def do(self, name: str, *inputs: str, **attrs: Any) -> str:
        """The operator ``name`` on ``inputs``."""
        return self.add(name, list(inputs), **attrs)

    def shape(self, x: str) -> tuple[int, ...]:
        """The extents of a tensor."""
        return self.typeof(x).shape

    def rank(self, x: str) -> int:
        """How many axes a tensor has."""
        return len(self.typeof(x).shape)

    def dtype(self, x: str) -> DType:
        """The element type of a tensor."""
        return self.typeof(x).dtype

    def number(self, value: Number, like: str | DType) -> str:
        """``value`` as a scalar of an element type, or of that of a tensor."""
        dtype = self.dtype(like) if isinstance(like, str) else like
        with np.errstate(over="ignore"):
            return self.constant(np.asarray(value).astype(dtype.numpy))

    def cast(self, x: str, to: str | DType) -> str:
        """``x`` as ``to``; itself when it is that already."""
        return x if str(self.dtype(x)) == str(to) else self.add("cast", [x], to=str(to))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """``x`` with other extents; itself when it has them."""
        same = self.shape(x) == tuple(shape)
        return x if same else self.add("reshape", [x], shape=tuple(shape))

    def transpose(self, x: str, perm: Sequence[int]) -> str:
        """``x`` with its axes in the order ``perm``; itself when that is theirs."""
        same = list(perm) == sorted(perm)
        return x if same else self.add("transpose", [x], perm=tuple(perm))

    def expand(self, x: str, shape: Sequence[int]) -> str:
        """``x`` stretched to ``shape``; itself when it has it."""
        same = self.shape(x) == tuple(shape)
        return x if same else self.add("expand", [x], shape=tuple(shape))

    def cut(self, x: str, axis: int, start: int, count: int, step: int = 1) -> str:
        """``count`` elements from ``start`` along ``axis``."""
        shape = list(self.shape(x))
        if count == shape[axis] and step == 1:
            return x
        starts, steps = [0] * len(shape), [1] * len(shape)
        starts[axis], shape[axis], steps[axis] = start, count, step
        return self.add("slice", [x], starts=tuple(starts), shape=tuple(shape), steps=tuple(steps))

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """``parts`` one after another along ``axis``."""
        return parts[0] if len(parts) == 1 else self.add("concat", list(parts), axis=axis)

    def axis(self, dim: int, rank: int) -> int:
        """``dim`` counted from the front; a scalar has the axes 0 and -1."""
        rank = max(rank, 1)
        if not -rank <= dim < rank:
            self.error(f"the axis {dim} is out of range for {rank} axes.")
        return dim % rank

    def axes(self, dim: Sequence[int] | None, rank: int) -> tuple[int, ...]:
        """Axes counted from the front, all of them for none."""
        found = tuple(range(rank)) if not dim else tuple(self.axis(d, rank) for d in dim)
        if len(set(found)) < len(found):
            self.error(f"the axes {dim} name one twice.")
        return found if rank else ()

    # -- types of elements

    def scalar_type(self, given: ScalarType | None, default: DType) -> DType:
        """An element type as an argument."""
        return default if given is None else dtype_by_number(given.number, self.where)

    def promoted(self, *operands: str | Number) -> DType:
        """The type that tensors (by name) and numbers are computed in (torch.result_type)."""
        full: DType | None = None
        scalar: DType | None = None
        number: DType | None = None
        for o in operands:
            if isinstance(o, str):
                d = self.dtype(o)
                if self.rank(o):
                    full = d if full is None else promote(full, d)
                else:
                    scalar = d if scalar is None else promote(scalar, d)
            else:
                d = _PYTHON[type(o)]
                number = d if number is None else promote(number, d)
        found = _combine(full, _combine(scalar, number))
        assert found is not None
        return found

    def real(self, *operands: str | Number) -> DType:
        """The type that functions of real numbers are computed in: float32 for integers."""
        d = self.promoted(*operands)
        return d if d.is_float else _FLOAT32

    def operand(self, x: str | Number, dtype: DType) -> str:
        """A tensor, or a number, as a tensor of the type ``dtype``."""
        return self.cast(x, dtype) if isinstance(x, str) else self.number(x, dtype)


_FLOAT32 = dtype_of("float32")
_PYTHON = {bool: dtype_of("bool"), int: dtype_of("int64"), float: _FLOAT32}


def _category(d: DType) -> int:
    return 2 if d.is_float else 1 if d.is_int else 0


@functools.cache
def promote(a: DType, b: DType) -> DType:
    """torch.promote_types."""
    if _category(a) != _category(b):
        return max(a, b, key=_category)
    if a == b:
        return a
    if a.is_float:
        return _FLOAT32 if a.bits == b.bits else max(a, b, key=lambda d: d.bits)
    if a.kind == b.kind:
        return max(a, b, key=lambda d: d.bits)
    signed, unsigned = (a, b) if a.kind == "int" else (b, a)
    if unsigned.bits != 8:
        raise ModelError(f"{a} and {b} have no type in common.")
    return max(signed, dtype_of("int16"), key=lambda d: d.bits)


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    """Of tensors with axes, scalars and numbers, the earlier decide unless the later are of a
    higher category."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_float:
        return higher
    if higher.is_bool or lower.is_float:
        return promote(higher, lower)
    return higher


def aten(names: str, convert: Callable[..., Any]) -> dict[str, Row]:
    """Rows of the table for overloads of operators, whose ``names`` are listed with spaces."""
    row = Row(convert)
    return dict.fromkeys(names.split(), row)
