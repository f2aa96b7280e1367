"""What kind of PyTorch file, or object, a model is, by its content."""

from __future__ import annotations

from typing import Any

from ..content import members

PROGRAM, SCRIPT, STATE, OBJECT = "exported program", "TorchScript", "state dict", "object"

# torch.save before 1.6: the pickle of a number that nothing else begins with.
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_OBJECTS = {
    ("torch.nn.modules.module", "Module"),
    ("torch.export.exported_program", "ExportedProgram"),
}


def kind_of(source: Any, head: bytes) -> str | None:
    """Which of the kinds above ``source`` is; None for what PyTorch has not made."""
    if not isinstance(source, str | bytes | bytearray | memoryview):
        mro = getattr(type(source), "__mro__", ())
        if any((c.__module__, c.__qualname__) in _OBJECTS for c in mro):
            return OBJECT
    if head.startswith(b"PK"):
        return _kind_of_archive(members(source))
    return STATE if head[:1] == b"\x80" and LEGACY in head[:32] else None


def _kind_of_archive(names: frozenset[str]) -> str | None:
    """Members lie in one folder, named as the file; exported programs before 2.8 had none."""
    if "serialized_exported_program.json" in names:
        return PROGRAM
    roots = {n.partition("/")[0] for n in names if "/" in n}
    if len(roots) != 1:
        return None
    root = roots.pop()
    if f"{root}/archive_format" in names and any(
        n.startswith(f"{root}/models/") and n.endswith(".json") for n in names
    ):
        return PROGRAM
    if f"{root}/data.pkl" in names:
        scripted = any(n.startswith(f"{root}/code/") for n in names)
        return SCRIPT if scripted else STATE
    return None


def recognises(source: Any, head: bytes) -> bool:
    """Whether PyTorch has made ``source``."""
    return kind_of(source, head) is not None
