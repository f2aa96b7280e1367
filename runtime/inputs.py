"""Checks what a user passes to an executable: names, number, shapes, dtypes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dtype import DType
from .errors import InputError
from .ndarray import host_array
from .sizes import Size, size_text


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of an executable. An extent of -1 is known only per call: what it then is,
    in terms of the size variables, stands in ``sizes``, which is empty where there is none. Along
    the axes ``bounded`` only data knows how many elements a result has; ``shape`` says how many at
    most."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    sizes: tuple[Size, ...] = ()
    bounded: tuple[int, ...] = ()

    def __str__(self) -> str:
        extents = [
            f"≤{size_text(n)}" if k in self.bounded else size_text(n)
            for k, n in enumerate(self.sizes or self.shape)
        ]
        return f"{self.name}: {self.dtype}[{', '.join(extents)}]"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array may have this shape."""
        return shape == self.shape or (
            len(shape) == len(self.shape) and all(n in (m, -1) for m, n in zip(shape, self.shape))
        )


def bind(
    specs: Mapping[str, TensorSpec],
    positional: Sequence[Any],
    by_name: Mapping[str, Any],
    where: str,
) -> list[np.ndarray]:
    """One array per spec, in order, of its dtype and shape. One mapping in ``positional``, and
    nothing else, is taken as ``by_name``.

    Raises :class:`InputError` that lists what was expected and what was given.
    """
    if not by_name and len(positional) == len(specs):
        for array, spec in zip(positional, specs.values()):
            if (
                type(array) is not np.ndarray
                or array.shape != spec.shape
                or array.dtype != spec.dtype.numpy
            ):
                break
        else:
            return list(positional)
    if not by_name and len(positional) == 1 and isinstance(positional[0], Mapping):
        positional, by_name = (), positional[0]

    def wrong(message: str, hint: str | None = None) -> InputError:
        expected = "".join(f"\n    {s}" for s in specs.values()) or "\n    nothing"
        given = [f"#{k}: {_describe(v)}" for k, v in enumerate(positional)]
        given += [f"{k}: {_describe(v)}" for k, v in by_name.items()]
        got = "".join(f"\n    {g}" for g in given) or "\n    nothing"
        return InputError(
            f"{message}\n  expected:{expected}\n  given:{got}", where=where, hint=hint
        )

    names = list(specs)
    if len(positional) > len(names):
        raise wrong(f"{len(positional)} arrays were given for {len(names)} inputs.")
    table = dict(zip(names, positional))
    for name, value in by_name.items():
        if name not in specs:
            raise wrong(f"there is no input {name!r}.", _near(name, names))
        if name in table:
            raise wrong(f"the input {name!r} was given twice, by position and by name.")
        table[name] = value
    missing = [n for n in names if n not in table]
    if missing:
        raise wrong(
            f"the input{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))} "
            f"{'are' if len(missing) > 1 else 'is'} missing."
        )
    arrays = []
    for name, spec in specs.items():
        try:
            arrays.append(convert(table[name], spec))
        except MismatchError as e:
            raise wrong(f"the input {name!r} {e}.", e.hint) from None
    return arrays


def _near(name: object, names: Sequence[str]) -> str | None:
    folded = {n.casefold(): n for n in names}
    near = difflib.get_close_matches(str(name).casefold(), folded, 1, 0.4)
    return f"did you mean {folded[near[0]]!r}?" if near else None


def check_out(
    specs: Mapping[str, TensorSpec], out: Sequence[Any], given: Sequence[Any], where: str
) -> None:
    """Refuse arrays that results cannot be written to.

    Raises :class:`InputError` for a wrong number, dtype or shape, for a read-only array and for one
    that overlaps another one or an input of ``given``.
    """

    def wrong(message: str) -> InputError:
        return InputError(message, where=where)

    if len(out) != len(specs):
        raise wrong(f"{len(out)} arrays were given for {len(specs)} outputs.")
    for k, (array, spec) in enumerate(zip(out, specs.values())):
        if not isinstance(array, np.ndarray):
            raise wrong(f"the output {spec.name!r} is {type(array).__name__}, not an array.")
        if array.dtype != spec.dtype.numpy or not spec.fits(array.shape):
            raise wrong(f"the output {spec} was given {_describe(array)}.")
        if not array.flags.writeable:
            raise wrong(f"the output {spec.name!r} was given a read-only array.")
        if isinstance(array, np.ma.MaskedArray):
            raise wrong(f"the output {spec.name!r} was given a masked array; give its .data.")
        for other in (*given, *out[:k]):
            if isinstance(other, np.ndarray) and np.may_share_memory(array, other):
                raise wrong(f"the array of the output {spec.name!r} overlaps another one.")


class MismatchError(Exception):
    """A value that does not suit its parameter: the words after its name."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def convert(value: Any, spec: TensorSpec) -> np.ndarray:
    """``value`` as an array of the spec's dtype and shape.

    Arrays (numpy's, or anything with ``__array__``) must have the dtype already: a silent
    conversion would hide a mistake and cost time. Python numbers and nested lists have no dtype of
    their own and are converted as numpy converts Python scalars: integers to any integer type that
    holds them and to floats that represent them exactly, floats to floats (rounded, never
    overflowing to infinity), bools to bool.
    """
    if has_mask(value):
        raise MismatchError("is masked, and kernels know no masks", "give .filled(value) of it")
    gives = any(hasattr(value, a) for a in ("__array__", "__array_interface__", "__dlpack__"))
    if isinstance(value, np.ndarray | np.generic) or gives:
        array = _from_array(value)
        if array.dtype != spec.dtype.numpy:
            number = array.dtype.kind in "biufcV"  # V: the small floats of ml_dtypes, too
            raise MismatchError(
                f"has dtype {array.dtype}, not {spec.dtype}",
                f"convert it with .astype({str(spec.dtype)!r})"
                if number
                else "make an array of numbers of it first",
            )
    else:
        array = _from_python(value, spec.dtype)
    if not spec.fits(array.shape):
        raise MismatchError(f"has shape {array.shape}, not {spec.shape}", _shape_hint(array, spec))
    return array


def has_mask(value: Any) -> bool:
    """Whether it is one of numpy's masked arrays, or a list with one in it. Whether the mask hides
    anything is not asked: what holds for today's data would not for tomorrow's."""
    if isinstance(value, list | tuple):
        return any(map(has_mask, value))
    return isinstance(value, np.ma.MaskedArray)  # np.ma.masked is one, too


def _from_array(value: Any) -> np.ndarray:
    """An array of numpy's, or what the ``__array__`` of another package's gives; it may refuse, for
    example where the memory is a device's."""
    given = host_array(value)
    if given is not None:
        return given
    try:
        return np.asarray(value)
    except Exception as e:
        raise MismatchError(f"is {type(value).__name__}, which gives no array: {e}") from None


def _shape_hint(array: np.ndarray, spec: TensorSpec) -> str | None:
    if array.size == int(np.prod(spec.shape)):
        return f"it has as many elements: .reshape({spec.shape}), or .transpose(…) first"
    if len(array.shape) == len(spec.shape):
        return "compile the model for this size: weft.compile(model, shapes={…})"
    return None


def _from_python(value: Any, dtype: DType) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        raise MismatchError("is a ragged list or no array at all") from None
    empty = array.size == 0
    if array.dtype.kind not in "biuf" and not empty:
        raise MismatchError(f"is {type(value).__name__}, not an array or numbers")
    if empty:
        return np.zeros(array.shape, dtype.numpy)
    kind = array.dtype.kind
    fits = (kind == "b") == dtype.is_bool and not (kind == "f" and not dtype.is_float)
    if fits and not dtype.is_float and not dtype.is_bool:
        fits = int(array.min()) >= dtype.min and int(array.max()) <= dtype.max
    if not fits:
        raise MismatchError(f"has values that {dtype} does not hold")
    with np.errstate(over="ignore"):
        result = array.astype(dtype.numpy)
    if dtype.is_float and not _holds(array, result.astype(np.float64)):
        raise MismatchError(f"has values that {dtype} does not hold")
    return result


def _holds(given: np.ndarray, stored: np.ndarray) -> bool:
    """Whether floats stand for the numbers given: integers exactly, floats without overflow."""
    finite = np.isfinite(stored)
    if given.dtype.kind == "f":
        return bool((finite == np.isfinite(given)).all())
    return bool(finite.all()) and all(int(a) == int(b) for a, b in zip(given.flat, stored.flat))


def _describe(value: Any) -> str:
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and shape is not None:
        return f"{dtype}[{', '.join(map(str, shape))}]"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
