"""The C header of a library, and the description that it carries of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....ir.expr import Expr, Var
from ....ir.stmt import Buffer, Function
from ....runtime.dtype import DType, dtype_of
from ....runtime.sizes import Size, size_text
from ....runtime.version import __version__
from ..sizes import size_of_expr

VERSION = 1  # of the description
_TYPES = {"float32": "float", "float64": "double", "bool": "uint8_t", "float16": "uint16_t"}


@dataclass(frozen=True)
class Argument:
    """A parameter of an exported function. ``shape`` is None for a scalar; its extents are numbers
    or, where a call decides, sizes of scalar parameters by their names."""

    name: str
    dtype: str
    shape: tuple[Size, ...] | None
    written: bool = False

    @property
    def numeric(self) -> DType:
        """The type of its elements."""
        return dtype_of(self.dtype)

    @property
    def declaration(self) -> str:
        """In C."""
        kind = c_type(self.numeric)
        if self.shape is None:
            return f"{kind} {self.name}"
        return f"{'' if self.written else 'const '}{kind} *{self.name}"

    @property
    def note(self) -> str:
        """In words."""
        if self.shape is None:
            return f"{self.name}: {self.dtype}"
        role = "written" if self.written else "read"
        shape = "".join(f"[{size_text(n)}]" for n in self.shape) or "[1]"
        return f"{self.name}: {self.dtype}{shape}, {role}"


@dataclass(frozen=True)
class Entry:
    """A function of a library."""

    name: str
    arguments: tuple[Argument, ...]

    @classmethod
    def of(cls, name: str, f: Function, shapes: Sequence[Sequence[Expr | int]]) -> Entry:
        """What C gives the kernel ``f``: its parameters, by names that C can use. ``shapes`` are
        those of the arrays, in order."""
        taken: set[str] = set()
        labels = {p: _identifier(p.name, taken) for p in f.params}
        names = {p: label for p, label in labels.items() if isinstance(p, Var)}
        left = iter(shapes)
        made = []
        for p, label in labels.items():
            if not isinstance(p, Buffer):
                made.append(Argument(label, str(p.dtype), None))
                continue
            extents = [e if isinstance(e, int) else size_of_expr(e, names) for e in next(left)]
            made.append(Argument(label, str(p.dtype), tuple(extents), p in f.writes))
        return cls(name, tuple(made))

    @property
    def prototype(self) -> str:
        """In C."""
        return f"int32_t {self.name}({', '.join(a.declaration for a in self.arguments) or 'void'});"


def c_type(d: DType) -> str:
    """C's name of a type in memory; 16-bit floats by their bits."""
    return _TYPES.get(str(d)) or ("uint16_t" if d.is_float else f"{d.kind}{d.bits}_t")


def description(entries: Sequence[Entry], target: str, threads: str) -> dict[str, Any]:
    """What a library says of itself: ``weft.load_library`` reads it."""
    return {
        "format": "weft-library",
        "version": VERSION,
        "weft": __version__,
        "target": target,
        "threads": threads,
        "functions": [
            {
                "name": e.name,
                "arguments": [
                    {
                        "name": a.name,
                        "dtype": a.dtype,
                        "shape": None if a.shape is None else list(a.shape),
                        "written": a.written,
                    }
                    for a in e.arguments
                ],
            }
            for e in entries
        ],
    }


def encoded(said: dict[str, Any]) -> bytes:
    """The description as JSON."""
    return json.dumps(said, separators=(",", ":")).encode()


def header(entries: Sequence[Entry], target: str, threads: str, stem: str) -> str:
    """The text of the header."""
    guard = f"WEFT_{stem.upper()}_H"
    lines = [
        f"/* {stem}: kernels by weft {__version__} for {target}.",
        " *",
        " * Arrays are row major and without gaps, aligned as their elements are. No array that is",
        " * written may overlap another.",
        " * Every function returns 0, or 1 without having done anything where a pointer is null.",
        *(_THREADS.format(threads).splitlines() if threads else ()),
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "#include <stdint.h>",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
    ]
    for e in entries:
        lines += [*(f"/* {a.note} */" for a in e.arguments), e.prototype, ""]
    if threads:
        lines += [
            "/* Have n threads, with the caller, run parallel loops; returns how many run. */",
            f"int32_t {threads}(int32_t n);",
            "",
        ]
    lines += [
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
        "",
    ]
    return "\n".join(lines)


_THREADS = """\
 * One call at a time shares its parallel loops among threads; others that come meanwhile
 * run on the thread that makes them. Until {0} was called
 * there is one thread. Call it with 1 before the library is unloaded."""
_WORDS = """
auto break case char class const continue default delete do double else enum extern float for goto
if inline int long new register restrict return short signed sizeof static struct switch template
this typedef typename union unsigned void volatile while
"""
_KEYWORDS = frozenset(_WORDS.split())


def _identifier(name: str, taken: set[str]) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name) or "p"
    if plain[0].isdigit() or plain in _KEYWORDS:
        plain = f"_{plain}" if plain[0].isdigit() else f"{plain}_"
    label, k = plain, 0
    while label in taken:
        k += 1
        label = f"{plain}_{k}"
    taken.add(label)
    return label
