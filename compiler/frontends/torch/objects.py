"""Modules and programs in memory, as the archives that PyTorch itself writes of them.

The one module of weft that imports torch, and only when it is given one of its objects.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ....runtime.errors import InputError, ModelError, WeftError
from ....runtime.forks import load_module


def exported(source: Any, example_inputs: Sequence[Any] | None) -> bytes:
    """The archive of a ``torch.nn.Module``, traced by ``example_inputs`` (tensors or arrays; the
    last may be a mapping of keyword arguments), or of a ``torch.export.ExportedProgram``.

    Raises :class:`InputError` without inputs and where torch is not installed, :class:`ModelError`
    for what torch cannot export."""
    try:
        torch: Any = load_module("torch", None)
        load_module("torch.export", None)
    except ImportError as e:
        raise InputError(
            f"torch cannot be imported ({e}), which exports modules in memory.",
            hint='pip install torch, or pip install "weft[bench]"',
        ) from e
    try:
        if isinstance(source, torch.export.ExportedProgram):
            if example_inputs is not None:
                raise InputError("an exported program needs no example_inputs.",
                                 hint="leave them out")  # fmt: skip
            program = source
        else:
            program = _traced(torch, source, example_inputs)
        file = io.BytesIO()
        torch.export.save(program, file)
    except WeftError:
        raise
    except Exception as e:  # whatever the module's own code raises, and torch's tracer
        first = (str(e).strip().splitlines() or [""])[0]
        raise ModelError(
            f"torch cannot export the module ({type(e).__name__}: {first}).",
            where=type(source).__name__,
        ) from e
    return file.getvalue()


def _traced(torch: Any, module: Any, example_inputs: Sequence[Any] | None) -> Any:
    if example_inputs is None or isinstance(example_inputs, str | bytes):
        raise InputError(
            f"{type(module).__name__} is a module in memory, which is traced by example inputs.",
            hint="weft.load(module, example_inputs=(x, …))",
        )
    if not isinstance(example_inputs, tuple | list):
        example_inputs = (example_inputs,)
    inputs, keywords = list(example_inputs), {}
    if inputs and isinstance(inputs[-1], Mapping):
        keywords = {k: _tensor(torch, v) for k, v in inputs.pop().items()}
    args = tuple(_tensor(torch, a) for a in inputs)
    modes = [(m, m.training) for m in module.modules()]
    module.eval()  # a network as it answers, not as it learns
    try:
        with torch.no_grad():
            program = torch.export.export(module, args, keywords)
            return program.run_decompositions()
    finally:
        for m, training in modes:
            m.training = training


def _tensor(torch: Any, value: Any) -> Any:
    return torch.from_numpy(value) if type(value).__module__ == "numpy" else value
