"""LLVM IR for memory: addresses, loads and stores, and what guards them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...ir.expr import (
    Binary,
    Broadcast,
    Const,
    Expr,
    Load,
    Op,
    Ramp,
    Var,
    as_int,
)
from ...ir.foreign import CFunction, Foreign
from ...ir.intrin import call
from ...ir.stmt import Buffer, ForeignCall, Store
from ...ir.visit import walk
from ...runtime.dtype import INT32
from ...runtime.errors import CodegenError
from .expressions import LLVMExpressions
from .ranges import multiple
from .values import literal, mangle, register, register_element, vector


class LLVMMemory(LLVMExpressions):
    """Reads and writes buffers, which are flat: one index for each access."""

    def __init__(
        self,
        where: str,
        declare: set[str],
        *,
        has_fma: bool,
        has_half: bool,
        unsigned_offsets: bool = False,
    ):
        super().__init__(where, declare, has_fma=has_fma, has_half=has_half)
        # The constant offset of a load must not wrap (WebAssembly): LLVM uses it only where it
        # sees that the rest of the address lies inside the buffer. What does not move with the
        # innermost loop is added first, so that it is computed outside.
        self.unsigned_offsets = unsigned_offsets
        self.inner: Var | None = None  # of the innermost loop
        self.given: Collection[Buffer] = ()  # parameters of the kernel
        self.addresses: Mapping[Foreign, int] = {}  # of functions in this process

    def _flat(self, node: Load | Store) -> Expr:
        if len(node.indices) > 1:
            raise CodegenError(
                f"{node.buffer.name} has {len(node.indices)} indices; the storage pass must come "
                "before code generation.",
                where=self.where,
            )
        return node.indices[0] if node.indices else Const(0, INT32)

    def address(self, buffer: Buffer, index: Expr, *, inbounds: bool = True) -> str:
        """The pointer to element ``index`` (a scalar) of ``buffer``, which may lie outside of it
        where not ``inbounds``."""
        pointer = self.buffers[buffer]
        n = as_int(index)
        if n == 0:
            return pointer
        element = self.memory_element(buffer.dtype)
        if not inbounds:
            i = self._extend(index)
            return self.op(f"getelementptr {element}, ptr {pointer}, i64 {i}")
        if n is not None:
            return self.op(f"getelementptr inbounds {element}, ptr {pointer}, i64 {n}")
        parts = _addends(index, self.inner) if self.unsigned_offsets else None
        if parts is None or any(self._may_be_negative(e) for e in parts[:2] if e is not None):
            i = self._extend(index)
            return self.op(f"getelementptr inbounds {element}, ptr {pointer}, i64 {i}")
        for part in parts[:2]:
            if part is not None:
                i = self._extend(part)
                pointer = self.op(f"getelementptr inbounds nuw {element}, ptr {pointer}, i64 {i}")
        if not parts[2]:
            return pointer
        return self.op(f"getelementptr inbounds nuw {element}, ptr {pointer}, i64 {parts[2]}")

    def _may_be_negative(self, e: Expr) -> bool:
        bounds = self.ranges.of(e)
        return bounds is None or bounds[0] < 0

    def _extend(self, index: Expr) -> str:
        value, d = self.index(index), index.dtype
        if d.bits == 64:
            return value
        name = "sext" if d.kind == "int" else "zext"
        return self.op(f"{name} {register(d)} {value} to {vector('i64', d.lanes)}")

    def alignment(self, buffer: Buffer, index: Expr) -> int:
        """Bytes that the address of ``buffer[index]`` is certainly a multiple of."""
        size, most = buffer.dtype.bytes, self.base_alignment(buffer)
        return min(most, multiple(index, most) * size)

    def base_alignment(self, buffer: Buffer) -> int:
        """The same of its first element. What a caller gives may lie anywhere: processors of this
        century read aligned data as fast with the instructions that take any, and to copy an array
        costs more than to compute with it."""
        return buffer.dtype.bytes if buffer in self.given else buffer.alignment

    def _guard(self, node: Load | Store, lanes: int) -> Expr | None:
        """The predicate of an access together with the guards of the selects around it."""
        guard = node.predicate
        if self.masks and isinstance(node, Load) and not self.ranges.inside(node):
            for m in self.masks:
                # A scalar is needed where any lane of a vector guard holds.
                wide = m if m.dtype.lanes in (1, lanes) else call("any", m)
                if wide.dtype.lanes != lanes:
                    wide = Broadcast(wide, lanes)
                guard = wide if guard is None else Binary(Op.AND, guard, wide)
        if guard is not None and guard.dtype.lanes == 1 and lanes > 1:
            guard = Broadcast(guard, lanes)
        if isinstance(guard, Const):
            return None if guard.value else guard
        if isinstance(guard, Broadcast) and isinstance(guard.value, Const) and guard.value.value:
            return None
        return guard

    def load(self, e: Load) -> str:
        index, buffer, lanes = self._flat(e), e.buffer, e.dtype.lanes
        guard = self._guard(e, lanes)
        memory = self.memory_element(buffer.dtype)
        if isinstance(index, Broadcast) and (guard is None or isinstance(guard, Broadcast)):
            scalar = guard.value if isinstance(guard, Broadcast) else None
            one = self.value(Load(buffer, (index.value,), scalar))
            return self.splat(register_element(buffer.dtype), one, lanes)
        if lanes == 1:
            d, align = buffer.dtype, self.alignment(buffer, index)

            def load() -> str:
                pointer = self.address(buffer, index)
                return self.op(f"load {memory}, ptr {pointer}, align {align}")

            if guard is None:
                return self.from_memory(load(), d)
            return self.branch(
                self.value(guard), register(d), lambda: self.from_memory(load(), d),
                lambda: literal(0, d),
            )  # fmt: skip
        t = vector(memory, lanes)
        stride = as_int(index.stride) if isinstance(index, Ramp) else None
        if isinstance(index, Ramp) and stride in (1, -1):
            return self.from_memory(self._contiguous(e, index, stride, guard, t), e.dtype)
        pointers, mask = self._scattered(buffer, index, guard)
        size = buffer.dtype.bytes
        raw = self.intrinsic(
            f"llvm.masked.gather.{mangle(t)}.v{lanes}p0", t,
            [(f"<{lanes} x ptr>", pointers), ("i32", str(size)), (f"<{lanes} x i1>", mask),
             (t, "zeroinitializer")],
        )  # fmt: skip
        return self.from_memory(raw, e.dtype)

    def _contiguous(self, e: Load, index: Ramp, stride: int, guard: Expr | None, t: str) -> str:
        """Neighbouring elements, upwards or (``stride`` -1) downwards."""
        n = index.lanes
        base = index.base if stride == 1 else index.base - (n - 1)
        align = self.alignment(e.buffer, base)
        pointer = self.address(e.buffer, base)
        if guard is None:
            raw = self.op(f"load {t}, ptr {pointer}, align {align}")
        else:
            mask = self.value(guard)
            if stride == -1:
                mask = self._reverse(mask, "i1", n)
            raw = self.intrinsic(
                f"llvm.masked.load.{mangle(t)}.p0", t,
                [("ptr", pointer), ("i32", str(align)), (f"<{n} x i1>", mask),
                 (t, "zeroinitializer")],
            )  # fmt: skip
        memory = self.memory_element(e.buffer.dtype)
        return raw if stride == 1 else self._reverse(raw, memory, n)

    def _reverse(self, value: str, element: str, lanes: int) -> str:
        order = ", ".join(f"i32 {k}" for k in reversed(range(lanes)))
        t = vector(element, lanes)
        return self.op(f"shufflevector {t} {value}, {t} poison, <{lanes} x i32> <{order}>")

    def _scattered(self, buffer: Buffer, index: Expr, guard: Expr | None) -> tuple[str, str]:
        lanes = index.dtype.lanes
        mask = "splat (i1 true)" if guard is None else self.value(guard)
        element = self.memory_element(buffer.dtype)
        pointers = self.op(
            f"getelementptr {element}, ptr {self.buffers[buffer]}, "
            f"<{lanes} x i64> {self._extend(index)}"
        )
        return pointers, mask

    def store(self, s: Store) -> None:
        """``buffer[index] = value`` under its predicate."""
        index, buffer, lanes = self._flat(s), s.buffer, s.value.dtype.lanes
        guard = self._guard(s, lanes)
        memory, d = self.memory_element(buffer.dtype), s.value.dtype
        if lanes == 1:
            if guard is None:
                self._plain_store(s, index, memory)
                return
            yes, end = self.label("store"), self.label("end")
            self.put(f"br i1 {self.value(guard)}, label %{yes}, label %{end}")
            self.start(yes)
            with self.scope():
                self._plain_store(s, index, memory)
            self.put(f"br label %{end}")
            self.start(end)
            return
        t = vector(memory, lanes)
        value = self.to_memory(self.value(s.value), d)
        stride = as_int(index.stride) if isinstance(index, Ramp) else None
        if isinstance(index, Ramp) and stride in (1, -1):
            base = index.base if stride == 1 else index.base - (lanes - 1)
            align, pointer = self.alignment(buffer, base), self.address(buffer, base)
            if stride == -1:
                value = self._reverse(value, memory, lanes)
            if guard is None:
                self.put(f"store {t} {value}, ptr {pointer}, align {align}")
                return
            mask = self.value(guard)
            if stride == -1:
                mask = self._reverse(mask, "i1", lanes)
            self.intrinsic(
                f"llvm.masked.store.{mangle(t)}.p0", "void",
                [(t, value), ("ptr", pointer), ("i32", str(align)), (f"<{lanes} x i1>", mask)],
            )  # fmt: skip
            return
        pointers, mask = self._scattered(buffer, index, guard)
        self.intrinsic(
            f"llvm.masked.scatter.{mangle(t)}.v{lanes}p0", "void",
            [(t, value), (f"<{lanes} x ptr>", pointers), ("i32", str(buffer.dtype.bytes)),
             (f"<{lanes} x i1>", mask)],
        )  # fmt: skip

    def foreign(self, s: ForeignCall) -> None:
        """The call of a function outside: by its address, or of the symbol that a linker finds."""
        self.fresh()
        args = []
        for a, mode in zip(s.args, s.modes):
            if mode != "value":
                assert isinstance(a, Load), a
                args.append(("ptr", self.address(a.buffer, self._flat(a))))
            else:
                args.append((register(a.dtype), self.value(a)))
        place = self.addresses.get(s.function)
        if place is not None:
            callee = f"inttoptr (i64 {place} to ptr)"
        elif isinstance(s.function, CFunction):
            callee = f"@{s.function.name}"
            head = f"declare void {callee}("
            declared = f"{head}{', '.join(t for t, _ in args)})"
            others = [d for d in self.declare if f" {callee}(" in d and d != declared]
            if others:
                raise CodegenError(
                    f"the C function {s.function} is called with {declared}, and otherwise "
                    f"declared as {others[0]}.",
                    where=self.where,
                    hint="a C function has one type: convert its arguments with te.cast",
                )
            self.declare.add(declared)
        else:
            raise CodegenError(
                f"the Python function {s.function} is one of this process, and the code is for "
                "another.",
                where=self.where,
                hint="write it in C, and call it with te.call_c",
            )
        self.put(f"call void {callee}({', '.join(f'{t} {v}' for t, v in args)})")
        self.fresh()

    def _plain_store(self, s: Store, index: Expr, memory: str) -> None:
        value = self.to_memory(self.value(s.value), s.value.dtype)
        align = self.alignment(s.buffer, index)
        pointer = self.address(s.buffer, index)
        self.put(f"store {memory} {value}, ptr {pointer}, align {align}")


def _addends(index: Expr, inner: Var | None) -> tuple[Expr | None, Expr | None, int] | None:
    """``index`` as a sum: what does not move with the loop ``inner``, what does, and a constant;
    None where the constant would be negative."""
    fixed: Expr | None = None
    moving: Expr | None = None
    constant, rest = 0, [index]
    while rest:
        e = rest.pop()
        n = as_int(e)
        if isinstance(e, Binary) and e.op is Op.ADD:
            rest += [e.b, e.a]
        elif n is not None:
            constant += n
        elif inner is not None and any(x is inner for x in walk(e)):
            moving = e if moving is None else moving + e
        else:
            fixed = e if fixed is None else fixed + e
    return (fixed, moving, constant) if constant >= 0 else None
