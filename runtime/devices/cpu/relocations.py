"""The relocations that objects of weft's kernels have, by processor.

Position-independent code of LLVM for one module has few kinds: calls, addresses of what lies in the
same object, tables of constants. Where the linker writes into an instruction, it relies on what
stands there, and so do we before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relocation:
    """One kind: how many bytes are written, how many before them must be there, and, where they
    are an instruction, which of its bits have which values (``mask`` 0: it is none), and which are
    not all set (``never``). ``named``: the symbol has a name, under which the linker keeps its
    address in a table."""

    width: int
    before: int = 0
    mask: int = 0
    value: int = 0
    never: int = 0
    named: bool = False

    def fits(self, code: memoryview, at: int) -> bool:
        """Whether the instruction at ``at`` is one that such a relocation belongs to."""
        word = int.from_bytes(code[at : at + 4], "little")
        excluded = self.never and word & self.never == self.never
        return at % 4 == 0 and word & self.mask == self.value and not excluded


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor: its number in ELF, its relocations by number, whether headers have flags."""

    number: int
    relocations: Mapping[int, Relocation]
    has_flags: bool = False


_X86_64 = Machine(
    62,
    {
        1: Relocation(8),  # R_X86_64_64
        2: Relocation(4),  # PC32
        4: Relocation(4),  # PLT32
        9: Relocation(4, named=True),  # GOTPCREL
        24: Relocation(8),  # PC64
        41: Relocation(4, before=2, named=True),  # GOTPCRELX
        42: Relocation(4, before=3, named=True),  # REX_GOTPCRELX
    },
)

_ACCESS, _OFFSET_ACCESS, _WIDE = (
    0xFB3FFC00,
    0x39000000,
    0x04800000,
)  # its size stands in bits 30, 31


def _access(size: int) -> Relocation:
    """Loads and stores of 2**size bytes, whose offset is zero so far."""
    return Relocation(4, mask=_ACCESS, value=size << 30 | _OFFSET_ACCESS)


_AARCH64 = Machine(
    183,
    {
        257: Relocation(8),  # R_AARCH64_ABS64
        260: Relocation(8),  # PREL64
        261: Relocation(4),  # PREL32
        275: Relocation(4, mask=0xFFFFFFE0, value=0x90000000),  # ADR_PREL_PG_HI21: adrp
        277: Relocation(4, mask=0xFFFFFC00, value=0x91000000),  # ADD_ABS_LO12_NC: add
        278: Relocation(4, mask=_ACCESS, value=_OFFSET_ACCESS, never=_WIDE),  # LDST8_ABS_LO12_NC
        282: Relocation(4, mask=0xFFFFFFFF, value=0x14000000),  # JUMP26: b
        283: Relocation(4, mask=0xFFFFFFFF, value=0x94000000),  # CALL26: bl
        284: _access(1),
        285: _access(2),
        286: _access(3),
        299: Relocation(4, mask=_ACCESS | _WIDE, value=_OFFSET_ACCESS | _WIDE),  # LDST128
        311: Relocation(4, mask=0xFFFFFFE0, value=0x90000000, named=True),  # ADR_GOT_PAGE
        312: Relocation(4, mask=0xFFFFFC00, value=0xF9400000, named=True),  # LD64_GOT_LO12_NC: ldr
    },
)

_RISCV64 = Machine(
    243,
    {
        2: Relocation(8),  # R_RISCV_64
        16: Relocation(4),  # BRANCH
        17: Relocation(4),  # JAL
        19: Relocation(8),  # CALL_PLT
        20: Relocation(4, named=True),  # GOT_HI20
        23: Relocation(4),  # PCREL_HI20
        24: Relocation(4),  # PCREL_LO12_I
        25: Relocation(4),  # PCREL_LO12_S
        35: Relocation(4),  # ADD32
        39: Relocation(4),  # SUB32
        44: Relocation(2),  # RVC_BRANCH
        45: Relocation(2),  # RVC_JUMP
        57: Relocation(4),  # 32_PCREL
    },
    has_flags=True,
)

MACHINES: Mapping[str, Machine] = {  # by platform.machine()
    "x86_64": _X86_64,
    "AMD64": _X86_64,
    "aarch64": _AARCH64,
    "arm64": _AARCH64,
    "riscv64": _RISCV64,
}
