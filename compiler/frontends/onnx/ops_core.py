"""Converters of operators that only carry a value."""

from __future__ import annotations

import numpy as np

from .context import Converter, NodeContext


def _constant(n: NodeContext) -> str:
    """``Constant`` in each of its forms; strings are not supported."""
    if n.has_attr("value"):
        return n.hold(n.constant(n.attr("value")), n.attr_narrow("value"))
    if n.has_attr("sparse_value"):
        return n.constant(n.attr("sparse_value"))
    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if n.has_attr(name):
            return n.constant(np.asarray(n.attr(name), dtype))
    for name in ("value_string", "value_strings"):
        if n.has_attr(name):
            n.unsupported(f"a constant with {name}")
    return n.error("the constant has no value")


CONVERTERS: dict[str, Converter] = {"Constant": _constant}
