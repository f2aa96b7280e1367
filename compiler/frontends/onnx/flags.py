"""Attributes that are yes or no, and written as integers: what other numbers than 0 and 1 mean.

The standard speaks of 0 and 1 alone. For all else the reading of ONNX Runtime is followed, which
differs from attribute to attribute: some compare with 1, some with 0, some refuse.
"""

from __future__ import annotations

from onnx import AttributeProto, NodeProto

from ....runtime.errors import ModelError

_ONE_IS_YES = frozenset(
    (
        "allowzero", "ceil_mode", "interleaved", "is_causal", "keepdims", "largest",
        "noop_with_empty_axes", "saturate", "sorted", "spatial",
    )
)  # fmt: skip
_ZERO_IS_NO = frozenset(
    (
        "align_corners", "antialias", "count_include_pad", "detect_negative", "detect_positive",
        "exclude_outside", "input_forget", "inverse", "linear_before_reset", "onesided", "periodic",
        "select_last_index", "training_mode", "transA", "transB", "upper",
    )
)  # fmt: skip
_NOTHING_ELSE = frozenset(
    (
        "center_point_box", "exclusive", "fmod", "is_case_sensitive", "layout", "new_axis",
        "reverse", "storage_order",
    )
)  # fmt: skip
FLAGS = _ONE_IS_YES | _ZERO_IS_NO | _NOTHING_ELSE


def with_plain_flags(node: NodeProto, where: str) -> NodeProto:
    """``node``, an operator of the standard, with 0 or 1 in all of its flags.

    Raises :class:`ModelError` for a number that has no reading.
    """
    if not any(_is_odd(a) for a in node.attribute):
        return node
    plain = NodeProto()
    plain.CopyFrom(node)
    for a in plain.attribute:
        if not _is_odd(a):
            continue
        if a.name in _NOTHING_ELSE:
            raise ModelError(f"the attribute {a.name!r} is {a.i}; it is 0 or 1.", where=where)
        a.i = int(a.name in _ZERO_IS_NO)
    return plain


def _is_odd(a: AttributeProto) -> bool:
    return a.type == AttributeProto.INT and a.i not in (0, 1) and a.name in FLAGS
