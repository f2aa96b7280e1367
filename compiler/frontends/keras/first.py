"""Keras 1: its classes and configs in the words of Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Deconvolution2D": "Conv2DTranspose",
}
_WORDS = {
    "output_dim": "units",
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "stride": "strides",
    "filter_length": "kernel_size",
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "inner_activation": "recurrent_activation",
    "pool_length": "pool_size",
    "dim_ordering": "data_format",
}
_ORDERS = {"th": "channels_first", "tf": "channels_last"}
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum",
           "concat": "Concatenate", "dot": "Dot"}  # fmt: skip


def modernised(class_name: str, config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The class and the config that Keras 2 has for those of a layer of Keras 1."""
    made = {}
    keep = class_name in ("Embedding",)  # its output_dim is called so to this day
    for key, value in config.items():
        name = key if keep and key == "output_dim" else _WORDS.get(key, key)
        made[name] = _ORDERS.get(str(value), value) if name == "data_format" else value
    if class_name == "Merge":
        mode = str(config.get("mode", "sum"))
        class_name = _MERGES.get(mode, f"Merge of the mode {mode}")
        made["axis"], made["axes"] = config.get("concat_axis", -1), config.get("dot_axes", -1)
    return _CLASSES.get(class_name, class_name), made


__all__ = ["modernised"]
