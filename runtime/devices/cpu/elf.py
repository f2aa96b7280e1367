"""Object files, looked at before LLVM's linker sees them.

The linker believes what an object says about itself: it writes relocations wherever they point and
ends the process over what it does not expect. Therefore an object of a package or a cache, which
may be damaged in ways that its hash does not show, is only handed on if all of it is as LLVM writes
it: the header, each section (name, type, flags, place, alignment), each symbol and each relocation
(a kind that kernels have, inside of its section, at an instruction of that kind). What is in
sections stays what it is: an object is code, and this is no protection from code.

Tables for unwinding are left out: no kernel throws, and the linker parses them as well.
"""

from __future__ import annotations

import platform
import re
import struct
from dataclasses import dataclass

from ...errors import DeviceError
from .relocations import MACHINES, Machine

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")

_NULL, _CODE, _SYMTAB, _STRTAB, _RELA, _ZEROS = 0, 1, 2, 3, 4, 8
_ATTRIBUTES, _UNWIND = 0x70000003, 0x70000001  # of RISC-V; of x86-64
_WRITE, _ALLOC, _EXEC, _MERGE = 1, 2, 4, 0x30  # merge: of constants, of strings
_LOCAL, _GLOBAL = 0, 1
_NOTYPE, _OBJECT, _FUNC, _PLACE, _FILE = range(5)
_ABSOLUTE = 0xFFF1
_MAX_SECTIONS = 4096
_MAX_ALIGNMENT = 4096
_MAX_ZEROS = 64 << 20  # bytes that a file does not have to bring

# Name, and the flags that sections of that name have beside _MERGE.
_LOADED = {"text": _ALLOC | _EXEC, "rodata": _ALLOC, "data": _ALLOC | _WRITE}
_NAME = re.compile(r"\.(text|rodata|data|bss)(\.[\w.$]*)?")
_IGNORED = {".note.GNU-stack", ".comment", ".llvm_addrsig", ".riscv.attributes"}
_MARKS = {"$d", "$x"}
_SYMBOL_NAME = re.compile(r"[^\0-\x20\x7f][^\0-\x1f\x7f]*")

# What kernels call: the runtime, memory, and what LLVM makes of operations that a processor lacks.
_MATH = re.findall(
    r"\w+",
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp10 exp2"
    " expm1 fabs floor fma fmax fmaximum_num fmin fminimum_num fmod frexp hypot ldexp lgamma log"
    " log10 log1p log2 lrint lround modf nearbyint pow remainder rint round roundeven sin sincos"
    " sinh sqrt tan tanh tgamma trunc",
)
_CALLED = frozenset(
    ["weft_parallel_for", "aligned_alloc", "malloc", "calloc", "free"]
    + ["memcpy", "memmove", "memset", "memcmp", "bcmp"]
    + [name + suffix for name in _MATH for suffix in ("", "f")]
)
_HELPER = re.compile(  # of compiler-rt and libgcc: arithmetic and conversions in software
    r"__(?:gnu_)?(?:abs|add|sub|mul|div|udiv|mod|umod|divmod|udivmod|neg|ash|lsh|cmp|eq|ne|lt|le|gt"
    r"|ge|unord|pow|ctz|clz|popcount|bswap|extend|trunc|fix|fixuns|float|floatun|f2h|h2f)[a-z0-9]*"
    r"(?:_ieee)?|_GLOBAL_OFFSET_TABLE_"
)


class _Damage(ValueError):
    """What is wrong with an object."""


@dataclass(frozen=True, slots=True)
class CodeObject:
    """An object that the linker may see: its bytes, and the names of its global functions."""

    data: bytes
    functions: tuple[str, ...]


@dataclass(slots=True)
class _Section:
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    name: str = ""

    @property
    def loaded(self) -> bool:
        return self.kind in (_CODE, _ZEROS) and bool(self.flags & _ALLOC)


def check_object(name: str, data: bytes) -> CodeObject:
    """The code object ``name``, if it is one of this processor that the linker can take.

    Raises :class:`DeviceError` that says what is wrong with it.
    """
    if data[:4] == b"\0asm":
        raise DeviceError(
            f"the code object {name!r} is WebAssembly, which runs in web pages and under Node.",
            hint="make a bundle for a page, or compile for this machine: target 'llvm'",
        )
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < _HEADER.size:
        raise DeviceError(f"the code object {name!r} is damaged: it is no 64-bit ELF object.")
    machine = MACHINES.get(platform.machine())
    if machine is None or int.from_bytes(data[18:20], "little") != machine.number:
        raise DeviceError(
            f"the code object {name!r} is for another processor than this {platform.machine()}.",
            hint="compile for this machine: target 'llvm'",
        )
    try:
        return _Reader(data, machine).check()
    except _Damage as e:
        raise DeviceError(
            f"the code object {name!r} is damaged: {e}.", hint="compile the model again"
        ) from None


class _Reader:
    def __init__(self, data: bytes, machine: Machine):
        self.data, self.machine = data, machine

    def check(self) -> CodeObject:
        self._header()
        self._sections()
        functions = self._symbols()
        for s in self.sections:
            if s.kind == _RELA and s.info not in self.unwinding:
                self._relocations(s)
        return CodeObject(self._without_unwinding(), tuple(functions))

    # -- the header and the table of sections ------------------------------------------------------

    def _header(self) -> None:
        (
            ident, kind, _, version, entry, segments, self.table, flags, size, _, _, each,
            self.count, self.names,
        ) = _HEADER.unpack_from(self.data)  # fmt: skip
        _need(ident[6:] == b"\1" + bytes(9) and version == 1, "its header")
        _need(kind == 1 and entry == segments == 0, "it is no relocatable object")
        _need(not flags or self.machine.has_flags, "its header")
        _need(size == _HEADER.size and each == _SECTION.size, "its header")
        _need(3 <= self.count <= _MAX_SECTIONS and self.table % 8 == 0, "its sections")
        _need(
            self.table + each * self.count <= len(self.data), "it goes on past the end of the file"
        )

    def _sections(self) -> None:
        rows = list(
            _SECTION.iter_unpack(
                memoryview(self.data)[self.table : self.table + self.count * _SECTION.size]
            )
        )
        self.sections = [_Section(r[1], r[2], r[4], r[5], r[6], r[7]) for r in rows]
        _need(not any(rows[0]), "its first section")
        _need(0 < self.names < self.count, "the names of its sections")
        stored, self.unwinding, self.symtab = 0, set(), 0
        for k, s in enumerate(self.sections[1:], 1):
            _, kind, _, address, _, _, _, _, alignment, _ = rows[k]
            aligned = alignment.bit_count() == 1 and alignment <= _MAX_ALIGNMENT
            _need(aligned and not address, f"the place of section {k}")
            if kind == _ZEROS:
                _need(s.size <= _MAX_ZEROS, f"the size of section {k}")
                continue
            stored += s.size
            _need(
                s.offset <= len(self.data) - s.size and stored <= len(self.data),
                f"section {k} reaches past the end of the file",
            )
        strings = self._strings(self.names)
        for k, row in enumerate(rows[1:], 1):
            self._section(k, row[0], row[9], strings)
        _need(self.symtab > 0, "it has no symbols")
        for s in self.sections:
            self._relocated(s)

    def _section(self, k: int, name: int, each: int, strings: str) -> None:
        s = self.sections[k]
        s.name = _name(strings, name)
        what = f"section {k} ({s.name!r})"
        if s.kind == _SYMTAB:
            _need(not self.symtab and s.name == ".symtab" and not s.flags, what)
            _need(each == _SYMBOL.size and s.size % each == 0 and s.offset % 8 == 0, what)
            self.symtab = k
        elif s.kind == _STRTAB:
            _need(s.name in (".strtab", ".shstrtab") and not s.flags, what)
        elif s.kind == _RELA:
            _need(s.name.startswith(".rela.") and s.flags in (0, 0x40), what)
            _need(each == _RELOCATION.size and s.size % each == 0 and s.offset % 8 == 0, what)
        elif s.name == ".eh_frame" and s.kind in (_CODE, _UNWIND):
            self.unwinding.add(k)
        elif s.name in _IGNORED:
            _need(s.kind in (_CODE, _ATTRIBUTES) and not s.flags & ~_MERGE, what)
        else:
            match = _NAME.fullmatch(s.name)
            _need(match is not None and not s.link and not s.info, what)
            assert match is not None
            zeros = match[1] == "bss"
            _need(s.kind == (_ZEROS if zeros else _CODE), what)
            _need(s.flags & ~_MERGE == _LOADED["data" if zeros else match[1]], what)
            _need(match[1] == "rodata" or not s.flags & _MERGE, what)

    def _relocated(self, s: _Section) -> None:
        """Whether a section of relocations is about a section that has bytes, and about it alone
        by its name."""
        if s.kind == _RELA:
            _need(s.link == self.symtab and 0 < s.info < self.count, f"the target of {s.name!r}")
            target = self.sections[s.info]
            _need(
                s.name == ".rela" + target.name
                and ((target.kind == _CODE and target.loaded) or s.info in self.unwinding),
                f"the target of {s.name!r}",
            )

    def _strings(self, k: int) -> str:
        """A table of strings, of which each byte is a character."""
        _need(0 < k < self.count and self.sections[k].kind == _STRTAB, "its names")
        s = self.sections[k]
        text = self.data[s.offset : s.offset + s.size].decode("latin-1")
        _need(text[:1] == "\0" and text[-1:] == "\0", "its names")
        return text

    # -- symbols -----------------------------------------------------------------------------------

    def _symbols(self) -> list[str]:
        """The global functions; keeps of each symbol whether relocations may mean it: 0 never, 1
        where a name is not needed."""
        table = self.sections[self.symtab]
        strings = self._strings(table.link)
        rows = list(
            _SYMBOL.iter_unpack(memoryview(self.data)[table.offset : table.offset + table.size])
        )
        _need(bool(rows) and not any(rows[0]), "its first symbol")
        _need(0 < table.info <= len(rows), "the number of its local symbols")
        self.usable = [0]
        found, seen = [], set()
        for k, (at, info, other, place, value, size) in enumerate(rows[1:], 1):
            binding, kind = info >> 4, info & 15
            name = _name(strings, at)
            what = f"symbol {k} ({name!r})"
            _need(binding == (_LOCAL if k < table.info else _GLOBAL), what)
            _need(kind <= _FILE and other in (0, 2), what)  # visible, or hidden from others
            if kind == _FILE:
                _need(binding == _LOCAL and place == _ABSOLUTE and not value and not size, what)
                self.usable.append(0)
                continue
            if name in _MARKS and self._ignores(place):  # of bytes that are data
                _need(binding == _LOCAL and not kind and not value and not size, what)
                self.usable.append(0)
                continue
            if kind != _PLACE:
                _need(_SYMBOL_NAME.fullmatch(name) is not None, what)
            if binding == _GLOBAL:
                _need(name not in seen and kind != _PLACE, what)
            seen.add(name)
            if not place:
                _need(binding == _GLOBAL and kind == _NOTYPE and not value and not size, what)
                _need(name in _CALLED or _HELPER.fullmatch(name) is not None,
                      f"it calls {name!r}, which kernels do not")  # fmt: skip
            else:
                self._defined(place, value, size, kind, what)
                if binding == _GLOBAL:
                    _need(name not in _CALLED, what)
                    if kind == _FUNC:
                        found.append(_text(name))
            self.usable.append(2 if kind != _PLACE else 1)
        return found

    def _ignores(self, k: int) -> bool:
        return 0 < k < self.count and self.sections[k].name in _IGNORED

    def _defined(self, place: int, value: int, size: int, kind: int, what: str) -> None:
        _need(place < self.count, what)
        s = self.sections[place]
        _need(s.loaded and place not in self.unwinding, what)
        _need(value + size <= s.size and (value < s.size or not value), what)
        _need(kind != _PLACE or (not value and not size), what)
        _need(kind != _FUNC or bool(s.flags & _EXEC), what)

    # -- relocations -------------------------------------------------------------------------------

    def _relocations(self, s: _Section) -> None:
        target, usable, kinds = self.sections[s.info], self.usable, self.machine.relocations
        code = memoryview(self.data)[target.offset : target.offset + target.size]
        rows = _RELOCATION.iter_unpack(memoryview(self.data)[s.offset : s.offset + s.size])
        for at, number, symbol, addend in rows:
            kind = kinds.get(number)
            if (
                kind is None
                or symbol >= len(usable)
                or not usable[symbol] > kind.named
                or not kind.before <= at <= target.size - kind.width
                or not -(1 << 31) <= addend < 1 << 31
                or (kind.mask and not kind.fits(code, at))
            ):
                raise _Damage(f"a relocation of {target.name!r} at {at}")

    def _without_unwinding(self) -> bytes:
        """The bytes without the tables for unwinding and what would relocate them."""
        if not self.unwinding:
            return self.data
        data = bytearray(self.data)
        for k, s in enumerate(self.sections):
            if k in self.unwinding or (s.kind == _RELA and s.info in self.unwinding):
                start = self.table + k * _SECTION.size
                data[start : start + _SECTION.size] = bytes(_SECTION.size)
        return bytes(data)


def _name(strings: str, at: int) -> str:
    _need(at < len(strings), "a name lies outside of its table")
    return strings[at : strings.index("\0", at)]


def _text(name: str) -> str:
    try:
        return name.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise _Damage(f"the symbol {name!r}") from None


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise _Damage(what)
