"""Read the named tensors of a PyTorch checkpoint without PyTorch and without running its code.

A checkpoint is a pickle, and a pickle can call anything. The unpickler here knows four names: the
ordered dictionary that a state dict is, the function that rebuilds a tensor from a storage, and the
storage types as mere labels of a dtype. Every other name is refused.

Format (``torch.save`` before 1.6, "legacy"): five pickles one after the other - magic number,
protocol version, facts of the machine, the object itself, the list of storage keys - and then for
each key in that order its number of elements as an int64 and its raw elements. Newer files are zip
archives: ``*/data.pkl`` and one member ``*/data/KEY`` per storage.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C

_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


class _Storage:
    """A flat run of elements that is filled in after the object that refers to it was read."""

    def __init__(self, dtype: np.dtype, size: int):
        self.dtype, self.size = dtype, size
        self.data: np.ndarray | None = None


class _Tensor:
    """A strided window of a storage."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def numpy(self) -> np.ndarray:
        data = self.storage.data
        if data is None:
            raise pickle.UnpicklingError("a tensor refers to a storage that the file lacks")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if self.offset < 0 or min(self.strides, default=0) < 0 or last >= max(data.size, 1):
            raise pickle.UnpicklingError("a tensor reaches outside its storage")
        step = data.itemsize
        view = np.lib.stride_tricks.as_strided(
            data[self.offset :], self.shape, [s * step for s in self.strides]
        )
        return np.ascontiguousarray(view).reshape(self.shape)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, storages: dict[str, _Storage]):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]  # a label only: see persistent_load
        raise pickle.UnpicklingError(f"the checkpoint asks for {module}.{name}: refused")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, size = pid[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError("the checkpoint refers to something that is no storage")
        return self.storages.setdefault(key, _Storage(dtype, int(size)))


def state_dict(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name.

    Raises :class:`pickle.UnpicklingError` when the file is something else or asks for more.
    """
    storages: dict[str, _Storage] = {}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as z:
            root = next(n for n in z.namelist() if n.endswith("data.pkl"))[: -len("data.pkl")]
            tensors = _Unpickler(io.BytesIO(z.read(root + "data.pkl")), storages).load()
            for key, s in storages.items():
                s.data = np.frombuffer(z.read(f"{root}data/{key}"), s.dtype, s.size)
    else:
        with open(path, "rb") as f:
            if _Unpickler(f, {}).load() != MAGIC:
                raise pickle.UnpicklingError(f"{path} is no PyTorch checkpoint")
            _Unpickler(f, {}).load()  # protocol version
            _Unpickler(f, {}).load()  # facts of the machine
            tensors = _Unpickler(f, storages).load()
            for key in _Unpickler(f, {}).load():
                s = storages[key]
                if int.from_bytes(f.read(8), "little") != s.size:
                    raise pickle.UnpicklingError(f"storage {key} has a wrong size")
                s.data = np.frombuffer(f.read(s.size * s.dtype.itemsize), s.dtype, s.size)
    if not isinstance(tensors, dict):
        raise pickle.UnpicklingError(f"{path} holds no state dict")
    return {k: v.numpy() for k, v in tensors.items() if isinstance(v, _Tensor)}
