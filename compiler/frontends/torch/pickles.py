"""Pickles of PyTorch, read without PyTorch and without running any code of theirs.

A pickle can call anything. The unpickler here knows a few names: ordered dictionaries, the
functions that rebuild a tensor from a storage or wrap one as a parameter, storage types as mere
labels of an element type. Classes of TorchScript become :class:`Record`, which holds attributes and
does nothing. Every other name is refused.

Formats: a zip archive of ``data.pkl`` and a member ``data/KEY`` for each storage; before 1.6 five
pickles one after the other (magic number, version, facts of the machine, the object, the keys of
storages), and then for each key its number of elements as an int64 and its raw elements.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....runtime.dtype import BFLOAT16, DType, dtype_of
from ....runtime.errors import ModelError, UnsupportedError
from .archive import Archive, strided

_STORAGES = {
    "FloatStorage": dtype_of("float32"),
    "DoubleStorage": dtype_of("float64"),
    "HalfStorage": dtype_of("float16"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": dtype_of("int64"),
    "IntStorage": dtype_of("int32"),
    "ShortStorage": dtype_of("int16"),
    "CharStorage": dtype_of("int8"),
    "ByteStorage": dtype_of("uint8"),
    "BoolStorage": dtype_of("bool"),
}
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")  # they number an object
_LISTS = {"build_intlist", "build_doublelist", "build_boollist", "build_tensorlist"}


@dataclass(eq=False)
class Record:
    """An object of a class of TorchScript: the class's name and its attributes."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"an object of {self.kind} has no attributes")
        self.state = state


@dataclass(eq=False)
class Stored:
    """A window of a storage, whose elements are read when they are asked for."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def numpy(self, where: str) -> np.ndarray:
        """The tensor. Raises :class:`ModelError` where the storage is too small for it."""
        s = self.storage
        return strided(s.read(), s.dtype, self.shape, self.strides, self.offset, where)


class _Storage:
    def __init__(self, dtype: DType, read: Callable[[], bytes]):
        self.dtype, self._read, self._data = dtype, read, None

    def read(self) -> bytes:
        if self._data is None:
            self._data = self._read()
        return self._data


def _stored(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Stored:
    whole = all(isinstance(v, tuple) and all(type(d) is int for d in v) for v in (shape, strides))
    if not isinstance(storage, _Storage) or type(offset) is not int or not whole:
        raise pickle.UnpicklingError("a tensor is not made of a storage and sizes")
    return Stored(storage, offset, shape, strides)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _list(given: Any = (), *_: Any) -> list[Any]:
    if not isinstance(given, list):
        raise pickle.UnpicklingError("a list is not made of a list")
    return given


def _device(*_: Any) -> str:
    return "cpu"


_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "device"): _device,
    ("torch._utils", "_rebuild_tensor"): _stored,
    ("torch._utils", "_rebuild_tensor_v2"): _stored,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    **{("torch.jit._pickle", name): _list for name in _LISTS},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, storage: Callable[[DType, str, int], _Storage]):
        super().__init__(file)
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        known = _NAMES.get((module, name))
        if known is None and module == "torch":
            known = _STORAGES.get(name)  # a label only: see persistent_load
        if known is None and (module == "__torch__" or module.startswith("__torch__.")):
            known = _maker(f"{module}.{name}")
        if known is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}: refused")
        return known

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5:
            raise pickle.UnpicklingError("it refers to something that is no storage")
        kind, dtype, key, _, size = pid[:5]
        if kind != "storage" or not isinstance(dtype, DType) or type(size) is not int or size < 0:
            raise pickle.UnpicklingError("it refers to something that is no storage")
        return self.storage(dtype, str(key), size)


def _blank(cls: type[Record], *_: Any) -> Record:
    made = object.__new__(cls)
    made.state = {}
    return made


def _maker(kind: str) -> type[Record]:
    """A class for objects of one class of TorchScript; the pickle makes them without arguments."""
    return type("Named", (Record,), {"__init__": lambda self: Record.__init__(self, kind),
                                     "__new__": _blank,
                                     "kind": kind})  # fmt: skip


def _load(file: io.BytesIO, storage: Callable[[DType, str, int], _Storage], where: str) -> Any:
    """What the next pickle in ``file`` holds. A damaged one may raise anything: none of it is a
    fault of weft's."""
    start = file.tell()
    try:
        for op, arg, _ in pickletools.genops(file):
            # The unpickler's memo is an array that grows up to the number which the file states.
            if op.name in _PUT and int(arg or 0) > file.tell() - start:
                raise pickle.UnpicklingError(f"it numbers an object {arg}")
        file.seek(start)
        return _Unpickler(file, storage).load()
    except pickle.UnpicklingError as e:
        raise ModelError(f"the pickle is refused: {e}.", where=where) from e
    except Exception as e:
        raise ModelError(
            f"the pickle cannot be read ({type(e).__name__}: {e}).", where=where
        ) from e


def load_archive(archive: Archive, name: str = "data.pkl", folder: str = "data/") -> Any:
    """What the member ``name`` holds, tensors as :class:`Stored` whose storages lie in ``folder``.

    Raises :class:`ModelError` for a damaged pickle and one that asks for more than data."""
    kept: dict[str, _Storage] = {}

    def storage(dtype: DType, key: str, size: int) -> _Storage:
        member = f"{archive.root}{folder}{key}"
        nbytes = size * dtype.numpy.itemsize
        if key not in kept:
            kept[key] = _Storage(dtype, lambda: archive.storage(member, nbytes))
        if kept[key].dtype != dtype:
            raise pickle.UnpicklingError(f"the storage {key!r} has two element types")
        return kept[key]

    order = f"{archive.root}byteorder"
    if order in archive.names and archive.read(order, 16).strip() != b"little":
        raise UnsupportedError(
            "tensors with the byte order of another machine.", where=archive.where
        )
    data = archive.read(archive.root + name)
    return _load(io.BytesIO(data), storage, archive.where)


MAGIC = 0x1950A86A20F9469CFC6C


def load_legacy(data: bytes, where: str) -> Any:
    """What a file holds that ``torch.save`` has written before 1.6, as :func:`load_archive`."""
    file, kept = io.BytesIO(data), {}

    def storage(dtype: DType, key: str, size: int) -> _Storage:
        if key not in kept:
            kept[key] = (_Storage(dtype, lambda: found[key]), size * dtype.numpy.itemsize)
        return kept[key][0]

    def none(dtype: DType, key: str, size: int) -> _Storage:
        raise pickle.UnpicklingError("a storage is where none can be")

    found: dict[str, bytes] = {}
    if _load(file, none, where) != MAGIC:
        raise ModelError("it is no file of torch.save.", where=where)
    for _ in range(2):  # version, facts of the machine
        _load(file, none, where)
    result = _load(file, storage, where)
    keys = _load(file, none, where)
    if not isinstance(keys, list):
        raise ModelError("the keys of storages are missing.", where=where)
    for key in keys:
        if key not in kept:
            raise ModelError(f"nothing has the storage {key!r}.", where=where)
        nbytes, head = kept[key][1], file.read(8)
        size = struct.unpack("<q", head)[0] if len(head) == 8 else -1
        found[key] = file.read(nbytes)
        if size * kept[key][0].dtype.numpy.itemsize != nbytes or len(found[key]) < nbytes:
            raise ModelError(f"the storage {key!r} has a wrong size.", where=where)
    if kept.keys() - found.keys():
        raise ModelError("storages are missing.", where=where)
    return result


def tensors(given: Any, where: str) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, nested ones with their path.

    Raises :class:`ModelError` where ``given`` is no mapping of names."""
    found: dict[str, np.ndarray] = {}
    stack = [("", given)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Stored):
            found[path] = value.numpy(where)
        elif isinstance(value, dict):
            stack += [(f"{path}.{k}" if path else str(k), v) for k, v in value.items()]
        elif not path:
            raise ModelError("it holds no mapping of names to tensors.", where=where)
    return found
