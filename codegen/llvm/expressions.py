"""LLVM IR for expressions and for memory: loads, stores, lazy selects, intrinsics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...ir.alu import Op
from ...ir.expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    Load,
    Ramp,
    Reinterpret,
    Select,
    Unary,
    Var,
    as_int,
)
from ...ir.stmt import Buffer, Store
from ...ir.visit import walk
from ...runtime.dtype import BOOL, INT32
from ...runtime.errors import CodegenError
from .ranges import MachineRanges, multiple
from .values import FAST, Values, literal, mangle, register, register_element, vector

_INTEGER_DIVISION = (Op.FLOORDIV, Op.FLOORMOD, Op.TRUNCDIV, Op.TRUNCMOD)
_NATIVE = {"sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
           "round": "roundeven"}  # fmt: skip


class Expressions(Values):
    """Evaluates expressions; ``vars`` and ``buffers`` map what is in scope to operands."""

    def __init__(
        self,
        where: str,
        declare: set[str],
        *,
        has_fma: bool,
        has_half: bool,
        unsigned_offsets: bool = False,
    ):
        super().__init__(declare, has_fma=has_fma, has_half=has_half)
        self.where = where
        # The constant offset of a load must not wrap (WebAssembly): LLVM uses it only where it
        # sees that the rest of the address lies inside the buffer. What does not move with the
        # innermost loop is added first, so that it is computed outside.
        self.unsigned_offsets = unsigned_offsets
        self.inner: Var | None = None  # of the innermost loop
        self.vars: dict[Var, str] = {}
        self.buffers: dict[Buffer, str] = {}
        self.ranges = MachineRanges()
        self.block = "entry"
        self._labels = 0
        self._memo: list[dict[Expr, str]] = [{}]
        self._mask: list[Expr] = []  # guards of vector selects that enclose the current arm
        self._index = 0  # > 0 inside the index of a load or store
        self._table: dict[type, Callable[[Any], str]] = {
            Const: lambda e: literal(e.value, e.dtype),
            Unary: lambda e: self.unary(e.op, e.dtype, self.value(e.a)),
            Binary: self._binary,
            Cast: lambda e: self.cast(self.value(e.value), e.value.dtype, e.dtype),
            Reinterpret: lambda e: self.reinterpret(self.value(e.value), e.value.dtype, e.dtype),
            Select: self._select,
            Call: self._call,
            Load: self._load,
            Ramp: self._ramp,
            Broadcast: self._broadcast,
        }

    # -- blocks ---------------------------------------------------------------------------------

    def label(self, stem: str) -> str:
        """A label that occurs once in the function."""
        self._labels += 1
        return f"{stem}{self._labels}"

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.block = label

    def fresh(self) -> None:
        """Forget values: what was loaded may have been overwritten by the last statement."""
        self._memo = [{}]

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Values computed inside do not dominate what comes after."""
        self._memo.append({})
        yield
        self._memo.pop()

    # -- expressions ----------------------------------------------------------------------------

    def value(self, e: Expr) -> str:
        """The operand that holds ``e``. Nodes shared by identity are computed once."""
        if isinstance(e, Var):
            return self.vars[e]
        if isinstance(e, Const):
            return literal(e.value, e.dtype)
        for memo in reversed(self._memo):
            if e in memo:
                return memo[e]
        emit = self._table.get(type(e))
        if emit is None:
            raise CodegenError(
                f"{type(e).__name__} cannot be written as LLVM IR: {e}", where=self.where
            )
        result = self._memo[-1][e] = emit(e)
        return result

    def index(self, e: Expr) -> str:
        """The value of the index of a load or store, whose arithmetic is known not to wrap."""
        self._index += 1
        result = self.value(e)
        self._index -= 1
        return result

    def _binary(self, e: Binary) -> str:
        d = e.a.dtype
        if e.op in _INTEGER_DIVISION and d.is_int:
            b = e.b.value if isinstance(e.b, Broadcast) else e.b
            bounds = self.ranges.of(e.a)
            positive = bounds is not None and bounds[0] >= 0
            x, y = self.value(e.a), self.value(e.b)
            return self.divide(e.op, d, x, y, as_int(b), positive)
        if e.op in (Op.MIN, Op.MAX) and d.is_float:
            a, b = (e.b, e.a) if _number(e.b) else (e.a, e.b)
            return self.extremum(e.op, d, self.value(a), self.value(b), a_is_number=_number(a))
        nsw = self.ranges.no_wrap(e, self._index > 0)
        return self.binary(e.op, d, self.value(e.a), self.value(e.b), nsw=nsw)

    def _ramp(self, e: Ramp) -> str:
        t, lane = register(e.dtype), register_element(e.dtype)
        steps = ", ".join(f"{lane} {k}" for k in range(e.lanes))
        offset = f"<{steps}>" if e.lanes > 1 else "0"
        base = self.splat(lane, self.value(e.base), e.lanes) if e.lanes > 1 else self.value(e.base)
        if as_int(e.stride) != 1:
            stride = self.value(e.stride)
            wide = self.splat(lane, stride, e.lanes) if e.lanes > 1 else stride
            offset = self.op(f"mul {t} {wide}, {offset}")
        return self.op(f"add {t} {base}, {offset}")

    def _broadcast(self, e: Broadcast) -> str:
        if isinstance(e.value, Const):
            return literal(e.value.value, e.dtype)
        value = self.value(e.value)
        return value if e.lanes == 1 else self.splat(register_element(e.dtype), value, e.lanes)

    def _select(self, e: Select) -> str:
        cond, t = self.value(e.cond), register(e.dtype)
        lazy = not (self.ranges.safe(e.if_true) and self.ranges.safe(e.if_false))
        if lazy and e.cond.dtype.lanes == 1:
            return self._branch(cond, t, lambda: self.value(e.if_true),
                                lambda: self.value(e.if_false))  # fmt: skip
        arms = []
        for arm, guard in ((e.if_true, e.cond), (e.if_false, Unary(Op.NOT, e.cond))):
            if not lazy:
                arms.append(self.value(arm))
                continue
            with self.scope():
                self._mask.append(guard)
                arms.append(self.value(arm))
                self._mask.pop()
        return self.select(register(e.cond.dtype), cond, t, arms[0], arms[1])

    def _branch(self, cond: str, t: str, then: Callable[[], str], other: Callable[[], str]) -> str:
        """A value from one of two blocks."""
        yes, no, end = self.label("then"), self.label("else"), self.label("end")
        self.put(f"br i1 {cond}, label %{yes}, label %{no}")
        arms = []
        for label, arm in ((yes, then), (no, other)):
            self.start(label)
            with self.scope():
                arms.append(f"[ {arm()}, %{self.block} ]")
            self.put(f"br label %{end}")
        self.start(end)
        return self.op(f"phi {t} {arms[0]}, {arms[1]}")

    # -- intrinsics -----------------------------------------------------------------------------

    def _call(self, e: Call) -> str:
        args = [self.value(a) for a in e.args]
        d = e.args[0].dtype
        t = register(d)

        if e.name in _NATIVE:
            name = f"llvm.{_NATIVE[e.name]}.{mangle(t)}"
            return self.rounded(self.intrinsic(name, t, [(t, args[0])]), d)
        if e.name == "fma":
            if self.has_fma:
                name = f"llvm.fma.{mangle(t)}"
                return self.rounded(self.intrinsic(name, t, [(t, a) for a in args]), d)
            product = self.op(f"fmul {t} {args[0]}, {args[1]}")
            return self.rounded(self.op(f"fadd {t} {product}, {args[2]}"), d)
        if e.name == "rsqrt":
            root = self.intrinsic(f"llvm.sqrt.{mangle(t)}", t, [(t, args[0])])
            return self.rounded(self.op(f"fdiv {FAST} {t} {literal(1, d)}, {root}"), d)
        if e.name == "isnan":
            return self.op(f"fcmp uno {t} {args[0]}, {args[0]}")
        if e.name == "isinf":
            size = self.intrinsic(f"llvm.fabs.{mangle(t)}", t, [(t, args[0])])
            return self.op(f"fcmp oeq {t} {size}, {literal(float('inf'), d)}")
        if e.name == "popcount":
            return self.intrinsic(f"llvm.ctpop.{mangle(t)}", t, [(t, args[0])])
        raise CodegenError(
            f"the intrinsic {e.name!r} has no LLVM form; the math pass must come before.",
            where=self.where,
        )

    # -- memory ---------------------------------------------------------------------------------

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
        size = buffer.dtype.bytes
        return min(buffer.alignment, multiple(index, buffer.alignment) * size)

    def _guard(self, node: Load | Store, lanes: int) -> Expr | None:
        """The predicate of an access together with the guards of the selects around it."""
        guard = node.predicate
        if self._mask and isinstance(node, Load) and not self.ranges.inside(node):
            for m in self._mask:
                wide = m if m.dtype.lanes == lanes else self._any(m)
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

    def _any(self, mask: Expr) -> Expr:
        """Whether any lane of ``mask`` holds: a scalar under a vector guard is needed then."""
        if mask.dtype.lanes == 1:
            return mask
        t = register(mask.dtype)
        name = f"llvm.vector.reduce.or.{mangle(t)}"
        var = Var("any", BOOL)
        self.vars[var] = self.intrinsic(name, "i1", [(t, self.value(mask))])
        return var

    def _load(self, e: Load) -> str:
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
            return self._branch(
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


def _number(e: Expr) -> bool:
    """Whether ``e`` is a constant that is not NaN."""
    c = e.value if isinstance(e, Broadcast) else e
    return isinstance(c, Const) and c.value == c.value
