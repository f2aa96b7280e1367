"""The thread pool's code, for this process and for libraries."""

from __future__ import annotations

from importlib import resources

_RELAX = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}


def pool_source(triple: str) -> str:
    """``threadpool.ll`` with what differs between processors and systems."""
    assert __package__
    folder = resources.files(__package__)
    text = "\n".join(
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("threadpool.ll", "at_most.ll")
    )
    arch = triple.split("-", maxsplit=1)[0]
    arch = {"AMD64": "x86_64", "arm64": "aarch64"}.get(arch, arch)
    declare, call = _RELAX.get(arch, ("", ""))
    clock = 6 if "darwin" in triple or "macos" in triple else 1  # CLOCK_MONOTONIC
    return "\n".join((
        f'target triple = "{triple}"', text, declare,
        f"define internal void @weft_relax() {{\n  {call}\n  ret void\n}}",
        f"@weft_clock_id = internal constant i32 {clock}\n",
    ))  # fmt: skip
