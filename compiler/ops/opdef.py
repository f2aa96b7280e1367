"""What an operator is: :class:`OpDef`, its attribute schema and its kind for fusion.

Nothing here, and nothing in any OpDef, knows a target, a layout or a schedule: adding an operator
is adding one OpDef, and the default schedule rules make it work everywhere.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.tensor import Tensor
from ...runtime.errors import GraphError, WeftError
from ..types import TensorType
from .facts import NO_FACTS, Facts


class Kind(enum.IntEnum):
    """How an operator may be fused (Chen et al., TVM, OSDI'18, §3)."""

    ELEMENTWISE = 0  # output[i] reads every input at i; all shapes equal
    BROADCAST = 1  # as elementwise, with inputs stretched along axes
    INJECTIVE = 2  # each output element reads a bounded number of input elements
    REDUCTION = 3  # sums or the like along axes
    COMPLEX = 4  # complex-out-fusable: convolution, matmul; takes epilogues into its nest
    OPAQUE = 5  # never fused; may compute in several stages


REQUIRED = object()


@dataclass(frozen=True)
class Attr:
    """One attribute: a Python type (or tuple of types), a default, and what it means.

    ``type`` is ``int``, ``float``, ``str``, ``bool``, ``tuple`` (of ints or floats), ``np.ndarray``
    or ``object``. ``None`` is accepted where it is the default.
    """

    type: type
    default: Any = REQUIRED
    doc: str = ""


Types = Sequence[TensorType | None]
Attrs = Mapping[str, Any]


@dataclass(frozen=True)
class OpDef:
    """One operator.

    Parameters
    ----------
    name : lower snake case, the ONNX name where there is one.
    kind : for fusion.
    infer : ``(input types, attrs) -> output types``; an absent optional input is None. Raises
        GraphError in the user's terms on contradicting shapes or dtypes.
    compute : ``(input tensors, attrs, output types) -> output tensors`` as tensor expressions.
    reference : ``(input arrays, attrs) -> output arrays`` with numpy; the judge in tests and the
        engine of constant folding. Outputs have exactly the inferred dtypes and shapes.
    attrs : the schema.
    min_inputs, max_inputs : how many inputs (max None: any number).
    facts : what passes may rely on.
    doc : one line for the list of operators (``docs/OPERATORS.md``).
    """

    name: str
    kind: Kind
    infer: Callable[[Types, Attrs], list[TensorType]]
    compute: Callable[[Sequence[Tensor | None], Attrs, Sequence[TensorType]], Sequence[Tensor]]
    reference: Callable[[Sequence[np.ndarray | None], Attrs], Sequence[np.ndarray]]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    min_inputs: int = 1
    max_inputs: int | None = 1
    facts: Facts = NO_FACTS
    doc: str = ""

    @property
    def is_cheap(self) -> bool:
        """Whether an element is worth computing again where its result is stretched."""
        stated = self.facts.cheap
        return self.kind is not Kind.ELEMENTWISE if stated is None else stated

    def check_attrs(self, given: Attrs, where: str = "") -> dict[str, Any]:
        """All attributes of the schema, defaults filled in; raises GraphError on a wrong one."""
        for k in given:
            if k not in self.attrs:
                raise GraphError(
                    f"{self.name} has no attribute {k!r}.",
                    where=where,
                    hint="attributes: " + (", ".join(self.attrs) or "none"),
                )
        full: dict[str, Any] = {}
        for k, spec in self.attrs.items():
            value = given.get(k, spec.default)
            if value is REQUIRED:
                raise GraphError(f"{self.name} needs the attribute {k!r}.", where=where)
            if isinstance(value, list):
                value = tuple(value)
            if isinstance(value, np.generic):
                value = value.item()
            accepted = (int, float) if spec.type is float else spec.type
            if value is not None and not isinstance(value, accepted):
                raise GraphError(
                    f"the attribute {k!r} of {self.name} is {value!r}, not {spec.type.__name__}.",
                    where=where,
                )
            full[k] = value
        return full

    def infer_checked(self, types: Types, attrs: Attrs, where: str = "") -> list[TensorType]:
        """``infer`` with the number of inputs checked and ``where`` on its errors."""
        n = len(types)
        if n < self.min_inputs or (self.max_inputs is not None and n > self.max_inputs):
            most = "any number of" if self.max_inputs is None else str(self.max_inputs)
            raise GraphError(
                f"{self.name} takes {self.min_inputs} to {most} inputs, not {n}.", where=where
            )
        for k, t in enumerate(types[: self.min_inputs]):
            if t is None:
                raise GraphError(f"{self.name} needs its input {k}.", where=where)
        try:
            return self.infer(types, attrs)
        except WeftError as e:
            if e.where or not where:
                raise
            raise type(e)(e.message, where=where, hint=e.hint) from None
