"""Operators and targets from outside: ``weft.register_op``, ``weft.register_target``.

What weft itself has stands in literal tables (``compiler/ops``, ``ir/target.py``, ``codegen``,
``runtime/devices/table.py``); nothing registers itself by being imported. These two functions add
to the tables, for a program that calls them.
"""

from __future__ import annotations

from typing import Any

from ..codegen import Generator, register_generator
from ..ir.target import Target, register_kind
from ..runtime.devices.table import Device, register_device
from ..runtime.errors import TargetError
from ..runtime.runner import RunnerFactory
from .frontends.registered import register_converter
from .ops import register
from .ops.opdef import OpDef


def register_op(op: OpDef, onnx: str | None = None) -> OpDef:
    """Make ``op`` an operator that graphs may use, on every target.

    Parameters
    ----------
    onnx : the node that it stands for in ONNX models, ``"domain::Operator"``: inputs in order, the
        attributes of the schema by name. Other correspondences: a function ``NodeContext ->
        tensor names`` given to :func:`weft.compiler.frontends.registered.register_converter`.

    Raises :class:`GraphError` when there is an operator of this name.
    """
    if onnx is not None:
        register_converter(onnx, lambda n: _convert(op, n))
    return register(op)


def _convert(op: OpDef, n: Any) -> tuple[str, ...]:
    attrs = {k: n.attr(k) for k in op.attrs if n.has_attr(k)}
    return n.add_many(op.name, n.inputs, n.n_outputs, **attrs)


def register_target(
    target: Target, generator: Generator, program: RunnerFactory | None = None
) -> Target:
    """Make ``target.kind`` a target that can be compiled for.

    Parameters
    ----------
    target : its capabilities, which schedules ask for; options in a target's text change them.
    generator : an object (or module) as :class:`weft.codegen.Generator` describes.
    program : what runs its programs in this process: called with the ``Program``, its code objects
        by name and its ``Storage``, it returns a :class:`~weft.runtime.runner.Runner`. None:
        programs can be saved, not run.

    Raises :class:`TargetError` when there is a target of this kind.
    """
    missing = [m for m in ("resolve", "emit", "linker", "link") if not hasattr(generator, m)]
    if missing:
        raise TargetError(
            f"the generator of {target.kind!r} has no {', '.join(missing)}.",
            hint="see weft.codegen.Generator",
        )
    register_kind(target)
    register_generator(target.kind, generator)
    register_device(Device(target.kind, runner=program))
    return target
