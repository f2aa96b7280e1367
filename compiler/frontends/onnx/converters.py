"""Which module converts what, and how one converter is run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ....runtime.errors import GraphError, ModelError
from ....runtime.forks import load_module
from ..registered import REGISTERED
from .context import Converter, NodeContext

# Each module has a literal CONVERTERS: dict[str, Converter], keyed by the operator of its domain
# ("Conv").
_MODULES: tuple[str, ...] = (
    "ops_core",
    "ops_conv",
    "ops_shape",
    "ops_gather",
    "ops_image",
    "ops_resize",
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


def run_converter(convert: Converter, context: NodeContext) -> list[str]:
    """The tensors for the node's outputs, as ``convert`` lists them.

    What Python and numpy raise for bad *values* (an index out of bounds, a mode that is in no
    table, shapes that do not fit) is the file's fault, as nothing else is unknown to a converter;
    it becomes a :class:`ModelError` that keeps the exception as its cause. What they raise for
    bad *code* (TypeError, AttributeError, NameError, AssertionError) is a bug of weft and is not
    hidden.
    """
    try:
        made: Sequence[str] | str = convert(context)
    except (ValueError, LookupError, ArithmeticError, MemoryError) as e:
        raise ModelError(
            f"weft could not read this node ({type(e).__name__}: {e}).", where=context.where
        ) from e
    except RecursionError as e:
        raise GraphError("the graph is nested too deeply.", where=context.where) from e
    return [made] if isinstance(made, str) else list(made)
