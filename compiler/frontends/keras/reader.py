"""The files that Keras and TensorFlow.js's layers API write, as a :class:`FileModel`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import ModelError
from ....runtime.files import read_file
from .. import tfjs_weights
from ..content import file_of, folder_of
from ..model import FileModel
from .config import model_layer, parsed, version_of
from .h5 import File, open_h5
from .layer import Layer
from .recognise import CONFIG, MAGIC, WEIGHTS
from .topology import file_model
from .weights import by_name, by_order, by_path, has_variables

_MOST_CONFIG = 1 << 28
_MOST_RATIO = 64  # of what a member of an archive holds to what it takes in it


def read(source: Any) -> FileModel:
    """The model at a path, in bytes, or in memory. Raises :class:`ModelError`, and
    :class:`UnsupportedError` for a class that is code."""
    try:
        return _read(source)
    except RecursionError:
        raise ModelError("the model is nested too deeply.", where=_where(source)) from None


def _read(source: Any) -> FileModel:
    folder = folder_of(source)
    if folder is not None and (folder / CONFIG).is_file():
        return _unpacked(folder)
    if folder is None and not isinstance(source, str | Path | bytes | bytearray | memoryview):
        from .objects import model_of

        return model_of(source)
    if folder is not None:
        return _layers_json(source)
    file = file_of(source)
    if file is None:
        raise ModelError("the model is no file that can be read.", where=_where(source))
    with file:
        head = file.read(len(MAGIC))
    if head == MAGIC:
        return _h5(source)
    if head[:2] == b"PK":
        return _archive(source)
    return _layers_json(source)


def _where(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else ""


def _h5(source: Any) -> FileModel:
    where = _where(source)
    file = open_h5(source if where else bytes(source), where)
    text = file.attribute("", "model_config")
    if text is None:
        what = "only weights" if file.names("", "layer_names") or file.keys("") else "nothing"
        raise ModelError(
            f"this HDF5 file has {what}, no description of a model.",
            where=where,
            hint="save the whole model: model.save(…), not model.save_weights(…)",
        )
    version = file.attribute("", "keras_version")
    root = "model_weights" if file.has("model_weights") else ""
    version = version or file.attribute(root, "keras_version")
    model = model_layer(parsed(text, "model_config", where), version_of(version, 1), where)
    _legacy_weights(file, root, model, where)
    return file_model(model, where, "keras h5", f"keras {version}" if version else "keras 1")


def _legacy_weights(file: File, root: str, model: Layer, where: str) -> None:
    """The weights that each layer has in a group of its name."""
    names = file.names(root, "layer_names")
    layers = {x.name: x for x in model.layers}
    groups: list[tuple[str, list[str]]] = []
    for name in names:
        weights = file.names(f"{root}/{name}", "weight_names")
        if weights:
            groups.append((name, weights))
    if not all(name in layers for name, _ in groups):
        # Names that do not fit are of no matter to Keras: it goes by the order.
        having = [x.name for x in model.layers if has_variables(x)]
        if len(having) != len(groups):
            raise ModelError(
                f"the file has weights for {len(groups)} layers, the model has {len(having)} with "
                "weights.",
                where=where,
            )
        groups = [(h, [f"{g}/{w}" for w in ws]) for h, (g, ws) in zip(having, groups)]
        paths = dict.fromkeys(having, "")
    else:
        paths = {name: f"{name}/" for name, _ in groups}
    given = dict(groups)
    for layer in model.layers:
        weights = given.get(layer.name, [])
        arrays = [file.array(f"{root}/{paths[layer.name]}{w}") for w in weights]
        by_order(layer, weights, arrays, where)


def _archive(source: Any) -> FileModel:
    where = _where(source)
    opened = file_of(source)
    assert opened is not None
    with opened:
        try:
            with zipfile.ZipFile(opened) as z:
                config = _member(z, CONFIG, _MOST_CONFIG, where)
                names = z.namelist()
                weights = _member(z, WEIGHTS, None, where) if WEIGHTS in names else None
                about = (
                    _member(z, "metadata.json", 1 << 20, where)
                    if "metadata.json" in names
                    else b"{}"
                )
        except (zipfile.BadZipFile, OSError, ValueError, LookupError, RuntimeError,
                NotImplementedError, EOFError, MemoryError, zipfile.LargeZipFile) as e:  # fmt: skip
            raise ModelError(f"the archive cannot be read ({e}).", where=where) from None
        except Exception as e:  # zlib.error and the like: modules that need not be there
            if type(e).__name__ not in ("error", "LZMAError"):
                raise
            raise ModelError(f"the archive cannot be read ({e}).", where=where) from None
    return _version3(config, weights, about, where)


def _member(z: zipfile.ZipFile, name: str, most: int | None, where: str) -> bytes:
    info = z.getinfo(name)
    bound = info.compress_size * _MOST_RATIO + (1 << 20) if most is None else most
    if info.file_size > bound:
        raise ModelError(f"{name} in the archive has {info.file_size} bytes.", where=where)
    with z.open(info) as member:
        data = member.read(bound + 1)
    if len(data) > bound:
        raise ModelError(f"{name} in the archive has more than {bound} bytes.", where=where)
    return data


def _unpacked(folder: Path) -> FileModel:
    """An archive that somebody unpacked."""
    where = str(folder)
    config = read_file(folder / CONFIG, _MOST_CONFIG, error=ModelError, what=CONFIG)
    about = folder / "metadata.json"
    text = read_file(about, 1 << 20, error=ModelError) if about.is_file() else b"{}"
    weights = folder / WEIGHTS
    return _version3(config, weights if weights.is_file() else None, text, where)


def _version3(config: bytes, weights: Any, about: bytes, where: str) -> FileModel:
    metadata = parsed(about, "metadata.json", where)
    version = metadata.get("keras_version") if isinstance(metadata, Mapping) else None
    model = model_layer(parsed(config, CONFIG, where), version_of(version, 3), where)
    if weights is None:
        raise ModelError(f"the archive has no {WEIGHTS}.", where=where)
    file = open_h5(weights, where)

    def variables(path: str) -> list[np.ndarray] | None:
        group = f"{path}/vars"
        if not file.has(group):
            return None
        return [file.array(f"{group}/{k}") for k in range(len(file.keys(group)))]

    by_path(model, variables, where)
    return file_model(model, where, "keras archive", f"keras {version or 3}")


def _layers_json(source: Any) -> FileModel:
    source = tfjs_weights.json_of(source)
    where = _where(source)
    given = tfjs_weights.read_json(source)
    topology = given.get("modelTopology")
    if not isinstance(topology, Mapping):
        raise ModelError("model.json has no modelTopology.", where=where)
    config = topology.get("model_config", topology)
    if isinstance(config, str):  # as it is in .h5
        config = parsed(config, "model_config", where)
    version = version_of(topology.get("keras_version"), 2)
    model = model_layer(config, version, where)
    by_name(model, tfjs_weights.read_weights(given, source), where)
    made = [given.get("generatedBy") or f"keras {topology.get('keras_version')}"]
    made += [given["convertedBy"]] if given.get("convertedBy") else []
    return file_model(model, where, "tfjs layers", ", ".join(map(str, made)))


__all__ = ["read"]
