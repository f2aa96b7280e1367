"""Weights of TensorFlow.js models, of the layers and of the graph kind alike.

``model.json`` has a manifest: groups of files, which are read one behind the other, and of the
tensors that lie in them, in order. Some are quantised; they are here as TensorFlow.js decodes them.
(``tfjs-core/src/io/io_utils.ts``, ``decodeWeights``)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import ModelError, UnsupportedError
from ...runtime.files import read_file
from ..types import MAX_ELEMENTS
from .beside import confined, read_part
from .content import file_of, folder_of, json_keys

MODEL = "model.json"
_MOST = 1 << 28  # bytes of a model.json; weights are in files of their own
_TYPES = {"float32": "<f4", "int32": "<i4", "bool": "u1", "uint8": "u1", "float16": "<f2",
          "complex64": "<c8"}  # fmt: skip
_CODES = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}


def json_of(source: Any) -> Any:
    """The file ``model.json`` that a model is or has in its folder: a path, or bytes."""
    folder = folder_of(source)
    return source if folder is None else folder / MODEL


def is_kind(source: Any, head: bytes, kind: str) -> bool:
    """Whether a model is one of TensorFlow.js, ``kind`` being its ``format`` ("graph-model",
    "layers-model"); never raises."""
    source = json_of(source)
    if isinstance(source, str | Path) and not head:
        file = file_of(source)
        if file is None:
            return False
        with file:
            head = file.read(64)
    keys = json_keys(source, head)
    if "modelTopology" not in keys:
        return False
    try:
        found = read_json(source)
    except ModelError:
        return False
    if found.get("format"):
        return found["format"] == kind
    topology = found["modelTopology"]  # early converters do not say which kind it is
    is_layers = isinstance(topology, dict) and not {"node", "library"} & topology.keys()
    return is_layers == (kind == "layers-model")


def read_json(source: Any) -> dict[str, Any]:
    """``model.json``, of a path or bytes. Raises :class:`ModelError`."""
    if isinstance(source, str | Path):
        data, where = read_file(source, _MOST, error=ModelError, what="the model"), str(source)
    else:
        data, where = bytes(source), ""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise ModelError(f"model.json is not readable: {e}.", where=where) from None
    if not isinstance(found, dict):
        raise ModelError("model.json is no object.", where=where)
    return found


def shards(model: Mapping[str, Any], source: Any) -> list[str]:
    """The names of the files that hold the weights, as ``model.json`` has them."""
    where = str(source) if isinstance(source, str | Path) else ""
    return [p for group in _groups(model, where) for p in _paths(group, where)]


def read_weights(model: Mapping[str, Any], source: Any) -> dict[str, np.ndarray]:
    """The weights by their names, in the manifest's order; strings are arrays of ``bytes`` objects.

    ``model`` is what :func:`read_json` read of ``source``. The files are confined to its folder,
    and no tensor is larger than what they hold. Raises :class:`ModelError`.
    """
    where = str(source) if isinstance(source, str | Path) else ""
    groups = _groups(model, where)
    if not where and groups:
        raise ModelError(
            "the weights lie in other files, but the model was not loaded from a file.",
            hint="load model.json by its path, its weights beside it",
        )
    made: dict[str, np.ndarray] = {}
    for group in groups:
        folders = list(
            dict.fromkeys((Path(where).absolute().parent.resolve(), Path(where).resolve().parent))
        )
        parts = []
        for path in _paths(group, where):
            file = confined(folders, path, "the file of weights", where)
            parts.append(read_part(file, f"the file of weights {path!r}", 0, None, where))
        for name, array in _decoded(group, b"".join(parts), where):
            if name in made:
                raise ModelError(f"the weight {name!r} is there twice.", where=where)
            made[name] = array
    return made


def _groups(model: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    groups = model.get("weightsManifest") or []
    if not isinstance(groups, list) or not all(isinstance(g, dict) for g in groups):
        raise ModelError("weightsManifest is no list of groups.", where=where)
    return groups


def _paths(group: Mapping[str, Any], where: str) -> list[str]:
    paths = group.get("paths")
    if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
        raise ModelError("a group of weights has no paths.", where=where)
    return paths


def _decoded(group: Mapping[str, Any], data: bytes, where: str) -> Iterator[tuple[str, np.ndarray]]:
    entries = group.get("weights")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ModelError("a group of weights lists none.", where=where)
    at = 0
    for entry in entries:
        name, shape = entry.get("name"), entry.get("shape")
        if not isinstance(name, str) or not _is_shape(shape):
            raise ModelError(f"a weight has the name {name!r}, the shape {shape!r}.", where=where)
        size = math.prod(shape)
        if size > MAX_ELEMENTS:
            raise ModelError(f"the weight {name!r} has {size} elements.", where=where)
        site = f"{where}, weight {name!r}"
        if entry.get("dtype") == "string":
            array, at = _strings(data, at, size, site)
        else:
            code = _code(entry, site)
            end = at + size * code.itemsize
            if end > len(data):
                raise ModelError(f"its files have {len(data)} bytes, {end} are needed.", where=site)
            array = _values(np.frombuffer(data, code, size, at), entry, site)
            at = end
        yield name, array.reshape(shape)
    if at != len(data):
        raise ModelError(f"files of weights have {len(data)} bytes, for {at} of data.", where=where)


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(
        isinstance(d, int) and not isinstance(d, bool) and d >= 0 for d in shape
    )


def _code(entry: Mapping[str, Any], where: str) -> np.dtype:
    """How the elements are stored."""
    dtype, quantised = entry.get("dtype"), entry.get("quantization")
    table = _TYPES
    if quantised is not None:
        dtype, table = quantised.get("dtype") if isinstance(quantised, dict) else None, _CODES
    if not isinstance(dtype, str) or dtype not in table:
        raise UnsupportedError(f"weights stored as {dtype!r}.", where=where)
    return np.dtype(table[dtype])


def _values(stored: np.ndarray, entry: Mapping[str, Any], where: str) -> np.ndarray:
    dtype, quantised = entry.get("dtype"), entry.get("quantization")
    if quantised is None:
        return stored != 0 if dtype == "bool" else stored.astype(stored.dtype.newbyteorder("="))
    if dtype not in ("float32", "int32"):
        raise UnsupportedError(f"quantised weights of {dtype!r}.", where=where)
    if stored.dtype.kind == "f":
        return stored.astype(dtype)
    scale, low = quantised.get("scale"), quantised.get("min")
    try:  # JavaScript's numbers
        values = stored * np.float64(scale) + np.float64(low)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"scale {scale!r} or min {low!r} is no number.", where=where) from None
    if dtype == "float32":
        return values.astype(np.float32)
    whole = np.floor(values + 0.5)  # Math.round
    if not (np.abs(whole) < 2**31).all():
        raise ModelError("it has numbers that no int32 is.", where=where)
    return whole.astype(np.int32)


def _strings(data: bytes, at: int, count: int, where: str) -> tuple[np.ndarray, int]:
    """Strings: the length of each (uint32), then its bytes; and where they end."""
    if 4 * count > len(data) - at:
        raise ModelError(f"{count} strings do not fit into its files.", where=where)
    found = np.empty(count, object)
    for k in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise ModelError(f"string {k} reaches past the end of its files.", where=where)
        found[k] = data[at + 4 : end]
        at = end
    return found, at


__all__ = ["MODEL", "is_kind", "json_of", "read_json", "read_weights", "shards"]
