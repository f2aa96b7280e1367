"""What a file says of a model as a whole: JSON, the version of Keras, its layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ....runtime.errors import ModelError, UnsupportedError
from .layer import MODELS, Layer, make_layer


def parsed(text: Any, what: str, where: str) -> Any:
    """JSON. Raises :class:`ModelError` where it is none."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as e:
        raise ModelError(f"{what} is not readable as JSON: {e}.", where=where) from None


def version_of(given: Any, default: int) -> int:
    """1, 2 or 3, of a text such as ``"2.3.1"``; TensorFlow.js's layers are those of Keras 2."""
    text = str(given or "")
    return int(text[0]) if text[:1] in ("1", "2", "3") else default


def model_layer(config: Any, version: int, where: str) -> Layer:
    """The model that a config describes, its layers without weights. Raises
    :class:`UnsupportedError` for one that is more than its layers."""
    kind = config.get("class_name") if isinstance(config, Mapping) else None
    inner = config.get("config") if isinstance(config, Mapping) else None
    if not isinstance(kind, str) or not isinstance(inner, Mapping | list):
        raise ModelError("the file has no description of a model.", where=where)
    if kind.split(">")[-1] not in MODELS:
        if isinstance(inner, Mapping) and "layers" in inner and "output_layers" in inner:
            config = {**config, "class_name": "Functional"}  # a subclass with a graph of layers
        else:
            raise UnsupportedError(
                f"the model is a class {kind!r} whose code is not in the file.",
                where=where,
                hint="save it as a functional model, or export it as a SavedModel or to ONNX",
            )
    return make_layer(config, version, where)


__all__ = ["model_layer", "parsed", "version_of"]
