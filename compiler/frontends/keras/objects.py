"""Models of Keras in memory: asked for their config and their weights, by methods of their own.
Nothing is imported: an object of Keras brings Keras along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....runtime.errors import InputError, ModelError
from ..model import FileModel
from .config import model_layer, parsed, version_of
from .layer import Layer
from .recognise import is_object
from .topology import file_model
from .weights import by_order


def model_of(given: Any) -> FileModel:
    """The model that an object is. Raises :class:`InputError` for one that is none of Keras,
    :class:`UnsupportedError` for a class whose code is all that it is."""
    if not is_object(given):
        raise InputError(
            f"{type(given).__name__} is no model of Keras.",
            hint="give a keras.Model, or the path of a file",
        )
    where = f"keras model {getattr(given, 'name', '')!r}"
    try:
        text = given.to_json()
    except Exception as e:  # of code that is not ours
        raise ModelError(
            f"its config cannot be had: {type(e).__name__}: {e}", where=where,
            hint="weft reads sequential and functional models",
        ) from None  # fmt: skip
    config = parsed(text, "its config", where)
    own = type(given).__mro__
    keras3 = any(c.__module__.startswith("keras.src.") for c in own)
    version = version_of(config.get("keras_version") if isinstance(config, Mapping) else None, 3)
    model = model_layer(config, 3 if keras3 else version, where)
    _give(model, given, where)
    return file_model(model, where, "keras model in memory", f"keras {version}")


def _give(model: Layer, given: Any, where: str) -> None:
    """The weights of each layer, as the objects have them."""
    objects = {layer.name: layer for layer in given.layers}
    for layer in model.layers:
        of = objects.get(layer.name)
        weights = list(getattr(of, "weights", ()))
        names = [str(getattr(w, "path", None) or w.name) for w in weights]
        by_order(layer, names, [np.asarray(w) for w in weights], where)


__all__ = ["model_of"]
