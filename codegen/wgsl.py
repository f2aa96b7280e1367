"""The ``webgpu`` target: a lowered function becomes one compute shader in WGSL.

    @group(0) @binding(0) var<storage, read> p0: array<vec4f>;
    @group(0) @binding(1) var<storage, read_write> p1: array<f32>;
    var<workgroup> tile1: array<f32, 256>;
    @compute @workgroup_size(16, 16, 1)
    fn NAME(@builtin(workgroup_id) block: vec3u, @builtin(local_invocation_id) thread: vec3u) {
      let bx: i32 = i32(block.x);
      …

Bindings are the function's parameters in order. Elements are words of 32 bits: float32, int32 (for
bool, too) and uint32; 64-bit integers are kept in 32. With ``target.has_float16`` float16 is f16.
A buffer is an array of vectors where all that reads or writes it takes whole aligned vectors, or
reads single components, and where neighbours are read one by one: one instruction in place of
four. (A store of one component may write the whole vector, so what is stored by elements is an
array of elements.)

WGSL keeps reads and writes inside of buffers, so both sides of a choice may be computed.
"""

from __future__ import annotations

from collections import Counter

from ..ir.expr import Broadcast, Expr, Load, Ramp, Var, as_int, is_const
from ..ir.stmt import Alloc, Buffer, For, Function, Store
from ..ir.target import Target
from ..ir.visit import walk
from ..runtime.dtype import INT32, DType
from .clike import Value, bare
from .clike_expr import COMPONENTS
from .clike_stmt import is_register, is_same
from .text import Text, TextGenerator
from .wgsl_expr import WGSLExpressions


class WGSL(TextGenerator):
    """WGSL: a function is one compute shader."""

    def write(self, f: Function, target: Target) -> Text:
        """The code of ``f``; raises :class:`CodegenError` with the reason when the target cannot
        compute it."""
        return _Kernel(f, target).text()


class _Kernel(WGSLExpressions):
    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        for p in f.params:
            if isinstance(p, Var):
                raise self.error(f"the parameter {p.name} is a scalar; shaders take buffers only")
            self.type(p.dtype)  # raises where it does not exist
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
        vectors, alone = Counter[str](), 0
        for i in indices:
            if as_int(self.analyzer.simplify(i % 4)) is None:
                alone += 1
            else:
                vectors[str(self.analyzer.simplify(i // 4))] += 1
        saved = sum(n - 1 for n in vectors.values())
        return saved > len(vectors) + alone

    def _aligned(self, index: Expr) -> bool:
        if not isinstance(index, Ramp) or index.lanes != 4 or not is_const(index.stride, 1):
            return False
        return is_const(self.analyzer.simplify(index.base % 4), 0)

    # -- the whole --------------------------------------------------------------------------------

    def text(self) -> Text:
        """The code of the function."""
        f = self.kernel
        self.stmt(f.body)
        lines = ["enable f16;"] if self._has_half() else []
        for k, b in enumerate(f.buffers):
            access = "read_write" if b in f.writes else "read"
            lines.append(
                f"@group(0) @binding({k}) var<storage, {access}> {self.names[b]}: "
                f"array<{self._element_type(b)}>;"
            )
        for b, size in self.shared_arrays.items():
            count = -(-size // 4) if b in self.vectors else size
            element = self._element_type(b)
            lines.append(f"var<workgroup> {self.names[b]}: array<{element}, {count}>;")
        for text in self.helpers.values():
            lines += text.splitlines()
        x, y, z = self.threads()
        used = {tag.partition(".")[0] for tag in self.indices}
        builtins = []
        if "blockIdx" in used:
            builtins.append("@builtin(workgroup_id) block: vec3u")
        if "threadIdx" in used:
            builtins.append("@builtin(local_invocation_id) thread: vec3u")
        lines += [
            f"@compute @workgroup_size({x}, {y}, {z})",
            f"fn {f.name}({', '.join(builtins)}) {{",
        ]
        for tag, name in sorted(self.indices.items()):
            kind, _, axis = tag.partition(".")
            lines.append(f"  let {name}: i32 = i32({kind.removesuffix('Idx')}.{axis});")
        touched = {n.buffer for n in walk(f.body) if isinstance(n, Load | Store)}
        for b in f.buffers:
            if b not in touched:  # else it would not be among the bindings that a host must give
                lines.append(f"  _ = {self.names[b]}[0];")
        lines += ["  " + line for line in self.scopes[0].lines]
        return Text("\n".join([*lines, "}", ""]), self.shared_bytes)

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
        return "workgroupBarrier();" if scope == "shared" else "storageBarrier();"

    def register_lanes(self, b: Buffer, uses: list[Expr]) -> int:
        lanes = {u.dtype.lanes for u in uses} - {1}
        n = max(lanes, default=1)
        return n if len(lanes) <= 1 and all(is_register(u, n) for u in uses) else 0

    # -- loads ------------------------------------------------------------------------------------

    def load_memory(self, e: Load) -> Value:
        b, index, d = e.buffer, e.indices[-1], e.dtype
        if isinstance(index, Broadcast):
            v = self.load_memory(Load(b, (index.value,)))
            return v._replace(text=self.splat(d, v.text), atom=False)
        if d.lanes == 1:
            return self._element(b, index)
        if b in self.vectors:
            assert isinstance(index, Ramp)
            return self._of_word(self._whole(b, index.base), d)
        parts = [self.value(self.lane(index, k)) for k in range(d.lanes)]
        form = ", ".join(f"{self.names[b]}[{{{k}}}]" for k in range(d.lanes))
        held = INT32.with_lanes(d.lanes) if d.is_bool else d
        bare_parts = [p._replace(text=bare(p.text)) for p in parts]
        v = self.join(f"{self.type(held)}({form})", bare_parts, [INT32] * d.lanes)
        return self._of_word(self.read(v, b, self.type(held)), d)

    def _whole(self, b: Buffer, base: Expr) -> Value:
        """The vector of four that element ``base`` is in."""
        at = self.value(self.analyzer.simplify(base // 4))
        v = Value(f"{self.names[b]}[{bare(at.text)}]", at.depth, False, at.fixed)
        return self.read(v, b, self._element_type(b))

    def _element(self, b: Buffer, index: Expr) -> Value:
        index = self.analyzer.simplify(index)
        if b not in self.vectors:
            at = self.value(index)
            v = Value(f"{self.names[b]}[{bare(at.text)}]", at.depth, False, at.fixed)
            held = self.type(INT32) if b.dtype.is_bool else self.type(b.dtype)
            return self._of_word(self.read(v, b, held), b.dtype)
        which = self.analyzer.simplify(index % 4)
        k = as_int(which)
        if k is not None:
            v = self._whole(b, index)
            return self._of_word(v._replace(text=f"{v.text}.{COMPONENTS[k]}"), b.dtype)
        at, part = self.value(self.analyzer.simplify(index // 4)), self.value(which)
        form = f"{self.names[b]}[{{0}}][{{1}}]"
        operands = [x._replace(text=bare(x.text)) for x in (at, part)]
        v = self.join(form, operands, [INT32, INT32])
        held = self.type(INT32) if b.dtype.is_bool else self.type(b.dtype)
        return self._of_word(self.read(v, b, held), b.dtype)

    def _of_word(self, v: Value, d: DType) -> Value:
        """A value of what lies in memory."""
        if not d.is_bool:
            return v
        return v._replace(text=f"({v.text} != {self.beside('0', INT32.with_lanes(d.lanes))})",
                          atom=False)  # fmt: skip

    # -- stores -----------------------------------------------------------------------------------

    def store_memory(self, s: Store) -> None:
        b, index, d, p = s.buffer, s.indices[-1], s.value.dtype, s.predicate
        if p is not None and is_same(p, False):
            return
        if p is not None and not is_same(p, True) and p.dtype.lanes == 1:
            with self.scope(f"if ({bare(self.value(p).text)})", branch=True):
                self.store_memory(Store(b, s.indices, s.value))
            self.changed(b)
            return
        if d.lanes == 1:
            at, v = self.value(index), self.value(s.value)
            self._put(f"{self.names[b]}[{bare(at.text)}]", v, d)
        elif b in self.vectors:
            assert isinstance(index, Ramp)
            at = self.value(self.analyzer.simplify(index.base // 4))
            self._put(f"{self.names[b]}[{bare(at.text)}]", self.value(s.value), d)
        else:
            self._put_lanes(s, None if p is None or is_same(p, True) else p)
        self.changed(b)

    def _put_lanes(self, s: Store, p: Expr | None) -> None:
        b, index, d = s.buffer, s.indices[-1], s.value.dtype
        if p is not None:
            self.masks.append(p)
        v = self.name_type(self.value(s.value), d)
        if p is not None:
            self.masks.pop()
        for k in range(d.lanes):
            at, part = self.value(self.lane(index, k)), self.component(v.text, k, d)
            place = f"{self.names[b]}[{bare(at.text)}]"
            if p is None:
                self._put(place, v._replace(text=part), d.element)
                continue
            on = self.lane(p, k)
            if is_const(on, False):
                continue
            with self.scope(f"if ({bare(self.value(on).text)})", branch=True):
                self._put(place, v._replace(text=part), d.element)

    def _put(self, place: str, v: Value, d: DType) -> None:
        text = f"{self.type(INT32.with_lanes(d.lanes))}({bare(v.text)})" if d.is_bool else (
            bare(v.text)
        )  # fmt: skip
        self.put(f"{place} = {text};")


__all__ = ["WGSL"]
