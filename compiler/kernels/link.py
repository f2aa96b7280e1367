"""From the kernels of a program to its code objects, through the cache where a linker is slow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ...codegen import for_target
from ...ir.target import Target
from .cache import KernelCache, kernel_key
from .compiled import CompiledGroup


def link(
    kernels: Iterable[CompiledGroup], target: Target, cache: KernelCache | None = None
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The code objects of a program by name, and the name of the one that holds each kernel.

    Raises :class:`CodegenError` when the target's linker is missing or fails.
    """
    generator = for_target(target)
    codes = {symbol: code for k in kernels for symbol, code in k.codes.items()}
    linker = generator.linker(target)
    if not linker or cache is None:
        return generator.link(codes, target)
    digest = hashlib.sha256()
    for symbol, code in codes.items():
        digest.update(f"{symbol} {hashlib.sha256(code).hexdigest()}\n".encode())
    place = kernel_key(f"link {digest.hexdigest()}", f"{target} {linker}")
    found = cache.get(place)
    if found is not None:
        return found.codes, dict.fromkeys(codes, found.symbol)
    linked, holders = generator.link(codes, target)
    if len(linked) == 1:
        [(name, code)] = linked.items()
        cache.put(place, CompiledGroup.single(name, (), code))
    return linked, holders
