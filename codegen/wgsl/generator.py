"""The ``webgpu`` target: a lowered function becomes one compute shader in WGSL.

    @group(0) @binding(0) var<storage, read> p0: array<vec4f>;
    @group(0) @binding(1) var<storage, read_write> p1: array<f32>;
    var<workgroup> tile1: array<f32, 256>;
    @compute @workgroup_size(16, 16, 1)
    fn NAME(@builtin(workgroup_id) block: vec3u, @builtin(local_invocation_id) thread: vec3u) {
      let bx: i32 = i32(block.x);
      …

Bindings are the function's buffers in order; behind them lie its numbers, if any, in the order of
the parameters, each in a word of 32 bits (f32, i32, u32): ``var<uniform> scalars``. Elements are
words of 32 bits, too: float32, int32 (for bool, too) and uint32; 64-bit integers are kept in 32.
With ``target.has_float16`` float16 is f16.
A buffer is an array of vectors where all that reads or writes it takes whole aligned vectors, or
reads single components, and where neighbours are read one by one: one instruction in place of
four. (A store of one component may write the whole vector, so what is stored by elements is an
array of elements.)

WGSL keeps reads and writes inside of buffers, so both sides of a choice may be computed.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeGuard

from ...ir.expr import Broadcast, Expr, Load, Ramp, Var, as_int, is_const
from ...ir.stmt import Alloc, Buffer, For, Function, Store
from ...ir.target import Target
from ...ir.visit import walk
from ...runtime.dtype import INT32, DType
from ..clike.hooks import COMPONENTS
from ..clike.scopes import Value, bare
from ..text import Text, TextGenerator
from .expressions import WGSLExpressions

_BUILTINS = {
    "blockIdx": "@builtin(workgroup_id) block: vec3u",
    "threadIdx": "@builtin(local_invocation_id) thread: vec3u",
}
_HARDWARE = {"blockIdx": "i32(block.{0})", "threadIdx": "i32(thread.{0})"}


class WGSL(TextGenerator):
    """WGSL: a function is one compute shader."""

    def write(self, f: Function, target: Target) -> Text:
        """The code of ``f``; raises :class:`CodegenError` with the reason when the target cannot
        compute it."""
        return _ComputeShader(f, target).text()


class _ComputeShader(WGSLExpressions):
    hardware = _HARDWARE

    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        for p in f.params:
            self.type(p.dtype)  # raises where it does not exist
        self.scalars = [p for p in f.params if isinstance(p, Var)]
        self.vectors = self._vectors()

    def _vectors(self) -> set[Buffer]:
        """The buffers that are arrays of vectors of four."""
        accesses: dict[Buffer, list[Load | Store]] = {}
        for n in walk(self.kernel.body):
            if isinstance(n, For):  # alignment may follow from ranges
                low, count = as_int(n.minimum), as_int(n.extent)
                high = None if low is None or count is None else low + count - 1
                self.analyzer.bind(n.var, low, high)
            elif isinstance(n, Load | Store):
                accesses.setdefault(n.buffer, []).append(n)
        return {b for b, uses in accesses.items() if b.scope != "local" and self._suits(b, uses)}

    def _suits(self, b: Buffer, uses: list[Load | Store]) -> bool:
        size = as_int(b.shape[0])
        if size is None or (b.scope == "shared" and size % 4):
            return False
        whole, parts = 0, []
        for n in uses:
            index = n.indices[-1]
            index = index.value if isinstance(index, Broadcast) and isinstance(n, Load) else index
            if self._aligned(index):
                masked = n.predicate is not None and n.predicate.dtype.lanes > 1
                if isinstance(n, Store) and masked:
                    return False
                whole += 1
            elif index.dtype.lanes > 1 or isinstance(n, Store):
                return False
            else:
                parts.append(index)
        return whole > 0 or self._neighbours(parts)

    def _neighbours(self, indices: list[Expr]) -> bool:
        """Whether most scalar loads share their vector of four with others."""
        vectors, alone = Counter[Expr](), 0
        for i in indices:
            if as_int(self.analyzer.simplify(i % 4)) is None:
                alone += 1
            else:
                vectors[self.analyzer.simplify(i // 4)] += 1  # equal ones are one object
        saved = sum(n - 1 for n in vectors.values())
        return saved > len(vectors) + alone

    def _aligned(self, index: Expr) -> bool:
        if not isinstance(index, Ramp) or index.lanes != 4 or not is_const(index.stride, 1):
            return False
        return is_const(self.analyzer.simplify(index.base % 4), 0)

    # -- the whole --------------------------------------------------------------------------------

    def body(self) -> list[str]:
        for p in self.scalars:
            self.vars[p] = Value(self._scalar(p), 0, True)
        return super().body()

    def _scalar(self, p: Var) -> str:
        """What a number is in terms of its word."""
        text = f"scalars.{self.names[p]}"
        if p.dtype.is_bool:
            return f"({text} != 0)"
        return text if self.type(p.dtype) == _word(p.dtype) else f"{self.type(p.dtype)}({text})"

    def declarations(self) -> list[str]:
        f = self.kernel
        lines = ["enable f16;"] if self._has_half() else []
        for k, b in enumerate(f.buffers):
            access = "read_write" if b in f.writes else "read"
            lines.append(
                f"@group(0) @binding({k}) var<storage, {access}> {self.names[b]}: "
                f"array<{self._element_type(b)}>;"
            )
        if self.scalars:
            words = ", ".join(f"{self.names[p]}: {_word(p.dtype)}" for p in self.scalars)
            place = f"@group(0) @binding({len(f.buffers)})"
            lines += [f"struct Scalars {{ {words} }}", f"{place} var<uniform> scalars: Scalars;"]
        for b, size in self.shared_arrays.items():
            count = -(-size // 4) if b in self.vectors else size
            element = self._element_type(b)
            lines.append(f"var<workgroup> {self.names[b]}: array<{element}, {count}>;")
        return lines

    def head(self) -> list[str]:
        used = {tag.partition(".")[0] for tag in self.indices}
        builtins = ", ".join(text for kind, text in _BUILTINS.items() if kind in used)
        x, y, z = self.threads()
        return [f"@compute @workgroup_size({x}, {y}, {z})", f"fn {self.kernel.name}({builtins}) {{"]

    def opening(self) -> list[str]:
        f = self.kernel
        touched = {n.buffer for n in walk(f.body) if isinstance(n, Load | Store)}
        # else they would not be among the bindings that a host must give
        unused = [f"_ = {self.names[b]}[0];" for b in f.buffers if b not in touched]
        unused += [f"_ = scalars.{self.names[p]};" for p in self.scalars[:1]]
        return super().opening() + unused

    def _has_half(self) -> bool:
        types = {b.dtype for b in self.kernel.buffers}
        types |= {n.dtype.element for n in walk(self.kernel.body) if isinstance(n, Expr)}
        types |= {n.buffer.dtype for n in walk(self.kernel.body) if isinstance(n, Alloc)}
        return any(self.native_half(d) for d in types)

    def _element_type(self, b: Buffer) -> str:
        """Of the array of a buffer in memory, which bool cannot be in."""
        d = INT32 if b.dtype.is_bool else b.dtype
        return self.type(d.with_lanes(4) if b in self.vectors else d)

    def array_bytes(self, d: DType, n: int) -> int:
        """WGSL lets every variable begin at a multiple of 16 bytes."""
        return -(-n * (2 if self.native_half(d) else 4) // 16) * 16

    def barrier_text(self, scope: str) -> str:
        shared = "workgroupBarrier();"
        return shared if scope == "shared" else f"{shared} storageBarrier();"

    # -- loads ------------------------------------------------------------------------------------

    def whole(self, index: Expr, b: Buffer) -> TypeGuard[Ramp]:
        return b in self.vectors

    def read_vector(self, b: Buffer, index: Ramp, d: DType) -> Value:
        return self._of_word(self._vector_at(b, index.base), d)

    def gather(self, e: Load) -> Value:
        b, d = e.buffer, e.dtype
        parts = [self.place(b, self.lane(e.indices[-1], k)) for k in range(d.lanes)]
        places = [f"{self.names[b]}[{{{k}}}]" for k in range(d.lanes)]
        held = INT32.with_lanes(d.lanes) if d.is_bool else d
        operands = [p._replace(text=bare(p.text)) for p in parts]
        v = self.join(self.build(held, places), operands, [INT32] * d.lanes)
        return self._of_word(self.read(v, b, self.type(held)), d)

    def _vector_at(self, b: Buffer, base: Expr) -> Value:
        """The vector of four that element ``base`` is in."""
        at = self.value(self.analyzer.simplify(self.existing(b, base) // 4))
        v = Value(f"{self.names[b]}[{bare(at.text)}]", at.depth, False, at.fixed)
        return self.read(v, b, self._element_type(b))

    def read_element(self, b: Buffer, index: Expr) -> Value:
        index = self.existing(b, self.analyzer.simplify(index))
        if b not in self.vectors:
            at = self.value(index)
            v = Value(f"{self.names[b]}[{bare(at.text)}]", at.depth, False, at.fixed)
            held = self.type(INT32) if b.dtype.is_bool else self.type(b.dtype)
            return self._of_word(self.read(v, b, held), b.dtype)
        which = self.analyzer.simplify(index % 4)
        k = as_int(which)
        if k is not None:
            v = self._vector_at(b, index)
            return self._of_word(v.with_text(f"{v.text}.{COMPONENTS[k]}"), b.dtype)
        at, part = self.value(self.analyzer.simplify(index // 4)), self.value(which)
        form = f"{self.names[b]}[{{0}}][{{1}}]"
        operands = [x.with_text(bare(x.text)) for x in (at, part)]
        v = self.join(form, operands, [INT32, INT32])
        held = self.type(INT32) if b.dtype.is_bool else self.type(b.dtype)
        return self._of_word(self.read(v, b, held), b.dtype)

    def _of_word(self, v: Value, d: DType) -> Value:
        """A value of what lies in memory."""
        if not d.is_bool:
            return v
        return v.with_text(f"({v.text} != {self.beside('0', INT32.with_lanes(d.lanes))})",
                          atom=False)  # fmt: skip

    # -- stores -----------------------------------------------------------------------------------

    def address(self, b: Buffer, index: Ramp) -> Expr:
        return self.analyzer.simplify(index.base // 4)

    def put_element(self, b: Buffer, at: str, v: Value) -> None:
        self._put(b, at, v, 1)

    def put_vector(self, b: Buffer, index: Ramp, at: str, v: Value) -> None:
        self._put(b, bare(at), v, index.lanes)

    def _put(self, b: Buffer, at: str, v: Value, lanes: int) -> None:
        text = bare(v.text)
        if b.dtype.is_bool:
            text = f"{self.type(INT32.with_lanes(lanes))}({text})"
        self.put(f"{self.names[b]}[{at}] = {text};")


def _word(d: DType) -> str:
    """The type of the word that holds a number of type ``d`` among the uniforms."""
    return "f32" if d.is_float else "u32" if d.kind == "uint" else "i32"


__all__ = ["WGSL"]
