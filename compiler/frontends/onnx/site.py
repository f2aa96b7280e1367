"""Where a node stands in a model, as the walk and the steps of control flow see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import NodeProto

from ...graph.graph import Source
from .functions import FunctionCall
from .scope import UNKNOWN, Scope


@dataclass(frozen=True)
class Surroundings:
    """Where a list of nodes stands: the values that it sees, the operator sets that it imports, how
    deep it is nested, and the call whose body it is."""

    scope: Scope
    opsets: Mapping[str, int]
    depth: int = 0
    call: FunctionCall | None = None


@dataclass(frozen=True)
class NodeSite:
    """One node: its domain (``""`` for ONNX's own), its input tensors, and what is around it."""

    node: NodeProto
    domain: str
    inputs: Sequence[str]
    around: Surroundings
    source: Source

    @property
    def opset(self) -> int:
        """The version of the node's domain that the model asks for."""
        return self.around.opsets[self.domain]

    @property
    def known(self) -> bool:
        """Whether all inputs were converted."""
        return UNKNOWN not in self.inputs

    @property
    def where(self) -> str:
        """The node, for errors."""
        return str(self.source)

    @property
    def operator(self) -> str:
        """The domain and version of its operator, for errors."""
        return f"(domain {self.domain or 'ai.onnx'}, opset {self.opset})"

    @property
    def unknown(self) -> list[str]:
        """Outputs that could not be converted."""
        return [UNKNOWN] * len(self.node.output)
