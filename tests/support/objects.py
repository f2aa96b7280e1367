"""Object files, sound and damaged: what a linker reads, changed by name or at random."""

import random
from collections.abc import Iterator

import llvmlite.binding as llvm
from weft.codegen.llvm import generator
from weft.ir.expr import Const, Load, Var
from weft.ir.stmt import Buffer, For, ForKind, Function, Store
from weft.runtime.dtype import FLOAT32, INT32

# What kernels have and more: constants, tables of addresses, zeros, calls, unwinding.
_IR = """
@t = internal constant [4 x i32] [i32 1, i32 2, i32 3, i32 4]
@p = internal constant [2 x ptr] [ptr @f, ptr @g]
@z = internal global [400 x i32] zeroinitializer
@w = global i32 7
declare void @free(ptr)
define void @f(ptr %a) nounwind {
  %x = load i32, ptr @w
  %q = getelementptr [4 x i32], ptr @t, i64 0, i32 %x
  %v = load i32, ptr %q
  %u = getelementptr [400 x i32], ptr @z, i64 0, i32 %x
  store i32 %v, ptr %u
  %r = getelementptr [2 x ptr], ptr @p, i64 0, i32 %v
  store ptr %r, ptr %a
  store ptr @free, ptr %a
  ret void
}
define void @g(ptr %a) {
  call void @f(ptr %a)
  store i32 5, ptr %a
  ret void
}
"""
# Fields of tables: where in a row, and how many bytes.
SECTION = {
    "name": (0, 4),
    "type": (4, 4),
    "flags": (8, 8),
    "address": (16, 8),
    "offset": (24, 8),
    "size": (32, 8),
    "link": (40, 4),
    "info": (44, 4),
    "align": (48, 8),
    "each": (56, 8),
}
SYMBOL = {"name": (0, 4), "info": (4, 1), "other": (5, 1), "place": (6, 2), "value": (8, 8),
          "size": (16, 8)}  # fmt: skip
RELOCATION = {"offset": (0, 8), "type": (8, 4), "symbol": (12, 4), "addend": (16, 8)}
HEADER = {"machine": (18, 2), "type": (16, 2), "entry": (24, 8), "table": (40, 8), "flags": (48, 4),
          "each": (58, 2), "count": (60, 2), "names": (62, 2)}  # fmt: skip


def scale(n: int = 64) -> Function:
    c = Const(n, INT32)
    x, y, i = Buffer("x", FLOAT32, (c,)), Buffer("y", FLOAT32, (c,)), Var("i")
    body = Store(y, (i,), Load(x, (i,)) * 1.5 + 0.25)
    loop = For(i, Const(0, INT32), c, ForKind.PARALLEL, body)
    return Function("scale", (x, y), loop, frozenset({y}))


def handmade() -> bytes:
    generator._initialise()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        opt=0, reloc="pic", codemodel="default"
    )
    return machine.emit_object(llvm.parse_assembly(f'target triple = "{triple}"\n{_IR}'))


class Object:
    """An object file whose fields can be set by name."""

    def __init__(self, data: bytes):
        self.data = bytearray(data)
        self.table, self.count = self.get(40, 8), self.get(60, 2)
        names = self.row("offset", self.get(62, 2))
        self.names = []
        for k in range(self.count):
            begin = names + self.row("name", k)
            self.names.append(self.data[begin : self.data.index(0, begin)].decode())

    def get(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], "little")

    def put(self, at: int, size: int, value: int) -> None:
        self.data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")

    def row(self, field: str, k: int) -> int:
        at, size = SECTION[field]
        return self.get(self.table + 64 * k + at, size)

    def section(self, name: str, field: str, value: int) -> bytes:
        at, size = SECTION[field]
        self.put(self.table + 64 * self.names.index(name) + at, size, value)
        return bytes(self.data)

    def rows(self, name: str) -> list[int]:
        """Where the rows of a table of symbols or relocations begin."""
        k = self.names.index(name)
        begin = self.row("offset", k)
        return [*range(begin, begin + self.row("size", k), 24)]

    def edit(self, at: int, field: tuple[int, int], value: int) -> bytes:
        self.put(at + field[0], field[1], value)
        return bytes(self.data)

    def spans(self) -> list[tuple[int, int]]:
        """Where a linker reads numbers."""
        tables = [
            (self.row("offset", k), self.row("size", k))
            for k in range(self.count)
            if self.row("type", k) in (2, 3, 4)
        ]
        return [(0, 64), (self.table, 64 * self.count), *tables]


HUGE = ((1 << 64) - 1, 1 << 63, 1 << 40, -8)

Damage = Iterator[tuple[str, bytes]]


def damages(data: bytes) -> dict[str, bytes]:
    """Objects that are wrong in one place each, by what that is."""
    parts = (_headers, _sections, _symbols, _relocations)
    found = {what: wrong for part in parts for what, wrong in part(data)}
    cuts = (64, 200, len(data) // 2, len(data) - 1)
    return found | {f"cut to {n}": data[:n] for n in cuts}


def _headers(data: bytes) -> Damage:
    values = {
        "type": (0, 2, 3), "entry": (1,), "table": (4, len(data) - 64, *HUGE), "each": (0, 63, 65),
        "count": (0, 1, 0xFF00, 0xFFFF), "names": (0, 0xFFFF, 2),
    }  # fmt: skip
    for field, v in _each(values):
        yield f"header {field} {v}", Object(data).edit(0, HEADER[field], v)


def _sections(data: bytes) -> Damage:
    values = {
        "name": (1 << 31, 0), "type": (5, 6, 11, 14, 17, 18, 0x6FFFFFF6), "address": (64,),
        "flags": (0x400, 0x800, 0x200, 0x80000000, 1 << 63), "offset": HUGE, "size": HUGE,
        "align": (0, 3, 1 << 20, 1 << 63), "link": (0xFFFFFF,), "info": (0xFFFFFF,),
    }  # fmt: skip
    unread = {("link", ".strtab"), ("info", ".strtab"), ("offset", ".bss")}
    for name in Object(data).names[1:]:
        for field, v in _each(values):
            left_out = name.endswith(".eh_frame") and field in ("link", "flags", "info")
            ignored = field in ("link", "info") and name.startswith((".note", ".riscv", ".comment"))
            if not left_out and not ignored and (field, name) not in unread:
                yield f"{name} {field} {v}", Object(data).section(name, field, v)
    more = {"each": (0, 8), "size": (25,), "info": (0,), "type": (11,), "link": (2,)}
    for field, v in _each(more):
        yield f".symtab {field} {v}", Object(data).section(".symtab", field, v)


def _symbols(data: bytes) -> Damage:
    o = Object(data)
    values = {
        "name": (1 << 31, -1), "info": (0x25, 0x06, 0x0A, 0x20, 0xA2, 0x13), "other": (1, 3, 0x60),
        "place": (0xFFF2, 0xFFFF, 0xFF00, len(o.names)), "value": HUGE, "size": HUGE,
    }  # fmt: skip
    rows = o.rows(".symtab")
    public = next(o.get(at, 4) for at in rows if o.get(at + 4, 1) == 0x12)
    for k, at in enumerate(rows[1:], 1):
        kind, place = o.get(at + 4, 1), o.get(at + 6, 2)
        for field, v in _each(values):
            yield f"symbol {k} {field} {v}", Object(data).edit(at, SYMBOL[field], v)
        if kind >> 4 == 1:
            yield f"symbol {k} without name", Object(data).edit(at, SYMBOL["name"], 0)
        if place == 0:
            yield f"symbol {k} of somewhere else", Object(data).edit(at, SYMBOL["value"], 8)
        elif kind in (0, 1, 2) and place != 0xFFF1:  # a local one of the name of a global one
            yield f"two of a name {k}", Object(data).edit(at, SYMBOL["name"], public)


def _relocations(data: bytes) -> Damage:
    o = Object(data)
    for name in (n for n in o.names if n.startswith(".rela") and n != ".rela.eh_frame"):
        size = o.row("size", o.names.index(name[len(".rela") :]))
        values = {
            "offset": (size, size - 1, -4, *HUGE), "type": (0, 3, 7, 99, 1 << 31),
            "symbol": (0, 1 << 24, -1), "addend": (1 << 40, -(1 << 63)),
        }  # fmt: skip
        for k, at in enumerate(o.rows(name)):
            for field, v in _each(values):
                yield f"{name} {k} {field} {v}", Object(data).edit(at, RELOCATION[field], v)


def _each(values: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, int]]:
    return ((field, v) for field, several in values.items() for v in several)


def mutant(data: bytes, rng: random.Random) -> bytes:
    """One to eight numbers of an object replaced, copied or changed by little."""
    out, spans = bytearray(data), Object(data).spans()
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        begin, length = rng.choice(spans)
        size = rng.choice((1, 1, 2, 4, 8))
        at = begin + rng.randrange(length) // size * size
        old = int.from_bytes(out[at : at + size], "little")
        other, reach = rng.choice(spans)
        begin = other + rng.randrange(reach) // size * size
        copied = int.from_bytes(out[begin : begin + size], "little")
        new = rng.choice((
            old ^ 1 << rng.randrange(8 * size), rng.getrandbits(8 * size), -1, 0, 1 << 8 * size - 1,
            old + rng.choice((-24, -8, -4, -1, 1, 4, 8, 24)), copied, rng.randrange(16),
        ))  # fmt: skip
        out[at : at + size] = (new % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(out[: rng.randrange(len(out))] if rng.random() < 0.02 else out)
