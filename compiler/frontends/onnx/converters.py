"""Which module converts what."""

from __future__ import annotations

from functools import cache

from ....runtime.forks import load_module
from ..registered import REGISTERED
from .context import Converter

# Each module has a literal CONVERTERS: dict[str, Converter], keyed by the operator of its domain
# ("Conv").
_MODULES: tuple[str, ...] = (
    "ops_core",
    "ops_conv",
    "ops_shape",
    "ops_cut",
    "ops_made",
    "ops_gather",
    "ops_image",
    "ops_resize_sized",
    "ops_rnn",
    "ops_math",
    "ops_reduce",
    "ops_nn",
    "ops_quantize",
    "ops_loss",
    "ops_linear",
    "ops_attention",
    "ops_signal",
    "ops_random",
    "ops_sequence",
    "ops_suppress",
    "ops_sized",
    "ops_text",
)
_CONTRIB: dict[str, tuple[str, ...]] = {  # by domain, operators of others than ONNX's main one
    "ai.onnx.ml": ("ml_features", "ml_labels", "ml_linear", "ml_svm", "ml_trees"),
    "ai.onnx.preview.training": ("ops_training",),
    "com.microsoft": (
        "ms_fused",
        "ms_norm",
        "ms_attention",
        "ms_decoder",
        "ms_quantize",
        "ms_rnn",
    ),
}


@cache
def converters(domain: str = "") -> dict[str, Converter]:
    """Every converter of weft's own for a domain (``""``: ONNX's), by operator."""
    table: dict[str, Converter] = {}
    for m in _CONTRIB.get(domain, ()) if domain else _MODULES:
        for op, convert in load_module(f".{m}", __package__).CONVERTERS.items():
            assert op not in table, f"two converters for {op}"
            table[op] = convert
    return table


def converter_of(domain: str, op: str) -> Converter | None:
    """The converter of an operator, ``domain`` being ``""`` for ONNX's own; None where there is
    none. One that was registered comes before weft's own."""
    own = converters(domain) if domain in _CONTRIB or not domain else {}
    return REGISTERED.get(f"{domain}::{op}") or own.get(op)
