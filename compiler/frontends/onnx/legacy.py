"""Operators as the operator sets before 7 had them, made what their converters are written for.

A row of ``_UPGRADES`` changes the inputs and attributes of a node before its converter sees it:
attributes that became inputs, broadcasting that had to be asked for, names and defaults that were
others. What only lost an attribute without a meaning at inference (``consumed_inputs``) has no row.
Source: the schemas of these versions in the ``onnx`` library, and, where their text leaves a
reading open, that of its version converter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from .context import Converter, NodeContext
from .ops_conv import required
from .ops_math import scalar

Upgrade = Callable[[NodeContext], None]


def modern(op: str, opset: int, convert: Converter) -> Converter:
    """``convert``, for a node of ``op`` as the operator set ``opset`` had it."""
    steps = [step for last, step in _UPGRADES.get(op, ()) if opset <= last]
    if not steps:
        return convert

    def converted(n: NodeContext) -> str | Sequence[str]:
        for step in steps:
            step(n)
        return convert(n)

    return converted


# --- broadcasting -----------------------------------------------------------------------------


def _broadcast(n: NodeContext) -> None:
    """The second input, of the first one's shape or, with ``broadcast``, part of it: from ``axis``
    on, or the last axes."""
    a, b = required(n, 0), required(n, 1)
    if not n.attr("broadcast", 0):
        if a.shape != b.shape:
            n.error(
                f"it takes {a} and {b} without the attribute 'broadcast'.",
                hint="before the operator set 7, operands of two shapes need broadcast=1",
            )
        return
    shape, ndim = b.shape, len(a.shape)
    if n.has_attr("axis") and b.size != 1:
        axis = n.attr("axis")
        start = axis + ndim if axis < 0 else axis
        if not 0 <= start <= ndim - len(shape):
            n.error(f"{b} does not fit into {a} from axis {axis} on.")
        shape = (*shape, *(1,) * (ndim - len(shape) - start))
    if b.size == 1 and len(shape) > ndim:
        shape = ()
    if len(shape) > ndim or any(d not in (1, e) for d, e in zip(shape[::-1], a.shape[::-1])):
        n.error(f"{b} does not fit into {a}.")
    n.inputs[1] = _shaped(n, n.inputs[1], shape)


def _shaped(n: NodeContext, name: str, shape: Sequence[int]) -> str:
    same = n.typeof(name).shape == tuple(shape)
    return name if same else n.add("reshape", [name], shape=tuple(shape))


def _addend(n: NodeContext) -> None:
    """The matrix that Gemm adds has the shape of the product, unless ``broadcast`` is set."""
    a, b, c = (required(n, k) for k in range(3))
    if n.attr("broadcast", 0) or len(a.shape) != 2 or len(b.shape) != 2:
        return
    rows = a.shape[1 if n.attr("transA", 0) else 0]
    columns = b.shape[0 if n.attr("transB", 0) else 1]
    if c.shape != (rows, columns):
        n.error(
            f"it adds {c} to a product of [{rows}, {columns}] without the attribute 'broadcast'."
        )


def _slope(n: NodeContext) -> None:
    """The slopes of PRelu: one, or one for each channel, which is axis 1."""
    x, slope = required(n, 0), required(n, 1)
    if slope.size == 1:
        n.inputs[1] = _shaped(n, n.inputs[1], ())
    elif len(slope.shape) == 1 and len(x.shape) > 1:
        if slope.shape[0] != x.shape[1]:
            n.error(f"the slopes {slope} are not one for each channel of {x}.")
        n.inputs[1] = _shaped(n, n.inputs[1], (x.shape[1], *(1,) * (len(x.shape) - 2)))


def _same_shapes(n: NodeContext) -> None:
    """Before the operator set 8, operators of any number of inputs did not broadcast."""
    types = [required(n, k) for k in range(len(n))]
    if any(t.shape != types[0].shape for t in types):
        n.error(
            f"its inputs are {', '.join(map(str, types))}.",
            hint="before the operator set 8 they must have one shape",
        )


# --- inference and training -------------------------------------------------------------------


def _inference(n: NodeContext) -> None:
    """``is_test`` that is written as 0 asks for training. Left out, as by most who wrote models
    for inference, it means what the number of outputs says since the operator set 7."""
    if n.has_attr("is_test") and not n.attr("is_test"):
        n.unsupported("is_test=0, which asks for training,")


# --- attributes -------------------------------------------------------------------------------


def _cast_to(n: NodeContext) -> None:
    """The type by its name."""
    name, codes = n.attr("to"), dict(TensorProto.DataType.items())
    if name.upper() not in codes:
        n.error(f"there is no element type {name!r}.")
    n.state("to", codes[name.upper()])


def _selu(n: NodeContext) -> None:
    """The constants of the first version have fewer digits."""
    for name, value in (("alpha", 1.6732), ("gamma", 1.0507)):
        if not n.has_attr(name):
            n.state(name, value)


def _whole_order(n: NodeContext) -> None:
    """The order of a norm was a real number."""
    p = n.attr("p", 2.0)
    if p != int(p):
        n.unsupported(f"the norm of order {p}; whole numbers are supported")
    n.state("p", int(p))


def _lp_kernel(n: NodeContext) -> None:
    if not n.has_attr("kernel_shape"):
        n.error("the attribute 'kernel_shape' is missing.")


def _paddings(n: NodeContext) -> None:
    n.state("pads", n.attr("paddings"))


def _shape(n: NodeContext) -> None:
    shape = n.attr("shape", None)
    if shape is None:
        n.error("the attribute 'shape' is missing.")
    n.inputs[1:] = [n.constant(np.array(shape, np.int64))]


def _tiles(n: NodeContext) -> None:
    """How often, along one axis; both are numbers of the data's type."""
    ndim = len(required(n, 0).shape)
    tiles, axis = scalar(n, 1), scalar(n, 2)
    if tiles is None or axis is None or tiles != int(tiles) or axis != int(axis):
        n.error(f"the tiles {tiles} and the axis {axis} are no whole numbers.")
    if not -ndim <= axis < ndim:
        n.error(f"the axis {axis} is out of range for {ndim} axes.")
    repeats = np.ones(ndim, np.int64)
    repeats[int(axis)] = int(tiles)
    n.inputs[1:] = [n.constant(repeats)]


def _split(n: NodeContext) -> None:
    """The axis had no default, and the lengths were an attribute or an input."""
    if not n.has_attr("axis"):
        n.error("the attribute 'axis' is missing, for which Split of opset 1 has no default.")
    if n.input(1):
        lengths = n.const(1)
        assert lengths is not None
        if not (lengths == np.trunc(lengths)).all():
            n.error(f"the lengths {lengths.tolist()} are no whole numbers.")
        n.state("split", [int(v) for v in lengths.reshape(-1)])
        del n.inputs[1:]


_BROADCASTING = (
    "Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor",
)  # fmt: skip

# By operator: the last operator set that needs a step, and the step.
_UPGRADES: dict[str, tuple[tuple[int, Upgrade], ...]] = {
    **dict.fromkeys(_BROADCASTING, ((6, _broadcast),)),
    **dict.fromkeys(("Max", "Mean", "Min", "Sum"), ((7, _same_shapes),)),
    "BatchNormalization": ((6, _inference),),
    "Cast": ((5, _cast_to),),
    "Dropout": ((6, _inference),),
    "Gemm": ((6, _addend),),
    "GlobalLpPool": ((1, _whole_order),),
    "LpPool": ((1, _lp_kernel), (1, _whole_order)),
    "PRelu": ((6, _slope),),
    "Pad": ((1, _paddings),),
    "Reshape": ((4, _shape),),
    "Selu": ((5, _selu),),
    "Split": ((1, _split),),
    "Tile": ((5, _tiles),),
}
