"""Kernels as text in the language of their target, and how to launch them, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....runtime.artifact import Kernel, Program

if TYPE_CHECKING:
    from ..build import KernelModule


def text_of(kernels: Sequence[KernelModule]) -> tuple[str, str]:
    """The text of all launches, and a description: for each kernel its arguments and its launches
    in order, each with the arguments that it takes and its workgroups and threads."""
    texts: list[str] = []
    said: list[dict[str, Any]] = []
    for k in kernels:
        program = k.executable.program
        for step in program.steps:
            code = k.executable.codes[_kernel(program, step.kernel).code].decode()
            texts.append(f"// -- {step.kernel}, a launch of {k.name}\n{code.rstrip()}\n")
        said.append(_description(k, program))
    document = {"format": "weft-kernels", "version": 1, "target": str(kernels[0].target)}
    return "\n".join(texts), json.dumps({**document, "kernels": said}, indent=2) + "\n"


def _kernel(program: Program, name: str) -> Kernel:
    return next(k for k in program.kernels if k.name == name)


def _description(kernel: KernelModule, program: Program) -> dict[str, Any]:
    slots = [
        {"name": s.name, "kind": s.kind, "dtype": s.dtype, "shape": list(s.physical)}
        for s in program.slots
    ]
    launches = []
    for step in program.steps:
        k = _kernel(program, step.kernel)
        launches.append({
            "kernel": k.name,
            "arguments": [program.slots[a].name for a in step.args],
            "access": [p.access for p in k.params],
            "launch": dict(k.launch),
            "shared_bytes": k.shared_bytes,
        })  # fmt: skip
    return {
        "name": kernel.name,
        "parameters": {f"p{n}": a.name for n, a in enumerate(kernel.args)},
        "inputs": [program.slots[n].name for n in program.inputs.values()],
        "outputs": [program.slots[n].name for n in program.outputs.values()],
        "arrays": slots,
        "launches": launches,
    }
