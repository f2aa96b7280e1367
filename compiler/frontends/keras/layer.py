"""A layer as a file describes it: its class, its config, its variables and the layers inside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....runtime.errors import ModelError

MODELS = frozenset({"Model", "Functional", "Sequential"})
MAX_DEPTH = 64  # of models and wrappers inside of each other


@dataclass(eq=False)
class Layer:
    """One layer, model or cell.

    Attributes
    ----------
    class_name, name, config : as the file has them.
    version : of Keras, whose layers mean different things: 1, 2 or 3.
    entry : what the file says beside the config: where its inputs come from, how it was built.
    parts : the layers in it by the attribute that Keras 3 keeps them as; lists for lists.
    values : its own variables by their names.
    """

    class_name: str
    name: str
    config: Mapping[str, Any]
    version: int
    entry: Mapping[str, Any] = field(default_factory=dict)
    parts: dict[str, Layer | list[Layer]] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def is_model(self) -> bool:
        """Whether it is a graph of layers."""
        return self.class_name in MODELS

    @property
    def layers(self) -> list[Layer]:
        """The layers of a model, the cells of a stack; none of any other."""
        found = self.parts.get("layers", self.parts.get("cells", []))
        return found if isinstance(found, list) else []

    def part(self, name: str) -> Layer:
        """The one layer that is kept as ``name``."""
        found = self.parts[name]
        assert isinstance(found, Layer)
        return found

    def inner(self) -> Iterator[Layer]:
        """The layers right inside of it, in Keras's order."""
        for p in self.parts.values():
            yield from p if isinstance(p, list) else [p]

    def everything(self) -> Iterator[Layer]:
        """Itself and all layers inside, each before those in it."""
        yield self
        for p in self.inner():
            yield from p.everything()

    def variables(self) -> tuple[list[str], list[str]]:
        """The names of its own variables: those that training changes, then the others."""
        made = _VARIABLES.get(self.class_name)
        return made(self.config) if made else ([], [])


_Config = Mapping[str, Any]
_Names = tuple[list[str], list[str]]


def _weights(*kernels: str) -> Any:
    return lambda c: ([*kernels, *(["bias"] if c.get("use_bias", True) else [])], [])


def _affine(c: _Config) -> list[str]:
    gamma = c.get("scale", True) or c.get("rms_scaling", False)
    return [*(["gamma"] if gamma else []), *(["beta"] if c.get("center", True) else [])]


def _group_norm(c: _Config) -> _Names:
    return _affine(c), []


def _batch_norm(c: _Config) -> _Names:
    extra = ["renorm_mean", "renorm_stddev"] if c.get("renorm") else []
    return _affine(c), ["moving_mean", "moving_variance", *extra]


def _attention(c: _Config) -> _Names:
    scale = ["scale"] if c.get("use_scale", False) else []
    return [*scale, *(["concat_score_weight"] if c.get("score_mode") == "concat" else [])], []


def _embedding(c: _Config) -> _Names:
    reverse = c.get("tie_weights") is False
    return ["embeddings", *(["reverse_embeddings"] if reverse else [])], []


_CELL = _weights("kernel", "recurrent_kernel")
_KERNEL = _weights("kernel")
_SEPARABLE = _weights("depthwise_kernel", "pointwise_kernel")
_VARIABLES: dict[str, Any] = {
    "Dense": _KERNEL,
    "EinsumDense": lambda c: (["kernel", *(["bias"] if c.get("bias_axes") else [])], []),
    **{f"Conv{d}D{t}": _KERNEL for d in (1, 2, 3) for t in ("", "Transpose")},
    **{f"DepthwiseConv{d}D": _KERNEL for d in (1, 2)},
    **{f"SeparableConv{d}D": _SEPARABLE for d in (1, 2)},
    **{f"{k}Cell": _CELL for k in ("SimpleRNN", "LSTM", "GRU", "ConvLSTM")},
    **dict.fromkeys(("BatchNormalization", "SyncBatchNormalization"), _batch_norm),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), _group_norm),
    "RMSNormalization": lambda c: (["scale"], []),
    "PReLU": lambda c: (["alpha"], []),
    **dict.fromkeys(("Embedding", "ReversibleEmbedding"), _embedding),
    "Attention": _attention,
    "AdditiveAttention": lambda c: (["scale"] if c.get("use_scale", True) else [], []),
    "Normalization": lambda c: ([], [] if c.get("mean") is not None else
                                ["mean", "variance", "count"]),
    "SpectralNormalization": lambda c: (["kernel"], ["vector_u"]),
}  # fmt: skip

_RECURRENT = {
    **{k: f"{k}Cell" for k in ("SimpleRNN", "LSTM", "GRU")},
    **{f"ConvLSTM{d}D": "ConvLSTMCell" for d in (1, 2, 3)},
}
_DENSES = ("query_dense", "key_dense", "value_dense", "output_dense")


def make_layer(entry: Any, version: int, where: str, depth: int = 0) -> Layer:
    """The layer that ``entry`` describes, ``{"class_name": …, "config": …}``.

    Raises :class:`ModelError` where it describes none."""
    if depth > MAX_DEPTH:
        raise ModelError(f"more than {MAX_DEPTH} layers are inside of each other.", where=where)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
        raise ModelError(f"a layer is described as {_short(entry)}.", where=where)
    class_name, config = entry["class_name"].split(">")[-1], entry.get("config")
    if str(entry.get("module", "")).startswith("keras.src.ops"):
        class_name = f"ops.{class_name}"  # an operation has the name of a layer now and then
    if class_name == "Sequential" and isinstance(config, list):  # Keras before 2.2.3
        config = {"layers": config}
    if not isinstance(config, Mapping):
        raise ModelError(f"the config of a {class_name} is {_short(config)}.", where=where)
    if version == 1:
        from .first import modernised

        class_name, config = modernised(class_name, config)
    name = config.get("name", entry.get("name"))
    layer = Layer(class_name, name if isinstance(name, str) else snake(class_name), config, version,
                  entry)  # fmt: skip

    def make(what: Any) -> Layer:
        return make_layer(what, version, where, depth + 1)

    layer.parts.update(_parts(layer, make, where))
    return layer


def _parts(layer: Layer, make: Any, where: str) -> dict[str, Layer | list[Layer]]:
    """The layers inside of a layer, which ``make`` makes of what describes them."""
    config, kind = layer.config, layer.class_name

    def derived(name: str, of: str, **also: Any) -> Layer:
        return Layer(of, name, {**config, "name": name, **also}, layer.version)

    found: dict[str, Layer | list[Layer]] = {}
    if layer.is_model:
        found["layers"] = [make(e) for e in _listed(config.get("layers"), where)]
    elif kind == "StackedRNNCells":
        found["cells"] = [make(c) for c in _listed(config.get("cells"), where)]
    elif kind in _RECURRENT:
        found["cell"] = derived("cell", _RECURRENT[kind])
    elif kind == "RNN":
        found["cell"] = _cell(config.get("cell"), make)
    elif kind in ("TimeDistributed", "SpectralNormalization"):
        found["layer"] = make(config.get("layer"))
    elif kind in ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"):
        axes = "de" if config.get("use_bias", True) else None
        found.update({d: derived(d, "EinsumDense", bias_axes=axes) for d in _DENSES})
    elif kind == "Bidirectional":
        forward, given = make(config.get("layer")), config.get("backward_layer")
        backward = make(given) if given else _backward(forward, make)
        found.update(forward_layer=forward, backward_layer=backward)
    return found


def _cell(given: Any, make: Any) -> Layer:
    """A cell, or the list of them that Keras takes for a stack."""
    if isinstance(given, list):
        return make({"class_name": "StackedRNNCells", "config": {"cells": given}})
    return make(given)


def _backward(forward: Layer, make: Any) -> Layer:
    """The layer that Bidirectional makes of the one it was given."""
    back = not forward.config.get("go_backwards", False)
    name = f"backward_{forward.name.removeprefix('forward_')}"
    config = {**forward.config, "go_backwards": back, "name": name}
    return make({"class_name": forward.class_name, "config": config})


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"a list of layers is {_short(value)}.", where=where)
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


_STORED_AS = {"GroupQueryAttention": "GroupedQueryAttention"}  # its public name is not its class's


def snake(name: str) -> str:
    """``BatchNormalization`` as ``batch_normalization``, as Keras makes names of classes."""
    name = _STORED_AS.get(name, re.sub(r"\W+", "", name))
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


__all__ = ["MODELS", "Layer", "make_layer", "snake"]
