"""Converters from outside: ONNX nodes of domains other than the standard's.

The table lies outside of the ``onnx`` folder, since the package of that name takes long to load,
and who registers an operator need not read models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.errors import GraphError

if TYPE_CHECKING:
    from .onnx.context import Converter

ONNX_DOMAINS = ("", "ai.onnx")  # both names of the standard's own domain
REGISTERED: dict[str, Converter] = {}  # by "domain::Operator"


def register_converter(name: str, convert: Converter) -> None:
    """Let ``convert`` take the nodes ``"domain::Operator"``; see :func:`weft.register_op`.

    Raises :class:`GraphError` for the standard's own domain, and for a node that has a converter.
    """
    domain, _, op = name.partition("::")
    if not domain or not op or domain in ONNX_DOMAINS or name in REGISTERED:
        raise GraphError(
            f"{name!r} cannot be given a converter.",
            hint="write 'domain::Operator', of a domain other than ONNX's, not yet converted",
        )
    REGISTERED[name] = convert
