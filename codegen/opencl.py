"""The ``opencl`` target: a lowered function becomes one kernel in OpenCL C 1.2.

    __kernel __attribute__((reqd_work_group_size(16, 16, 1)))
    void NAME(__global const float *restrict p0, int p1, __global float *restrict p2) {
      int bx = (int)get_group_id(0);
      int tx = (int)get_local_id(0);
      __local float tile[256];
      …

Parameters are those of the function in order. Elements lie in memory as on the host: bool as
uchar, float16 as half, bfloat16 as its bits in ushort. Nothing outside of a buffer is read: what
lies behind a condition is computed in a branch, and vectors of which lanes are off are read lane
by lane where they may leave the buffer.
"""

from __future__ import annotations

from typing import TypeGuard

from ..ir.expr import (
    Binary,
    Broadcast,
    Const,
    Expr,
    Load,
    Op,
    Ramp,
    Select,
    Unary,
    Var,
    is_const,
)
from ..ir.stmt import Buffer, Function, Store
from ..ir.target import Target
from ..ir.visit import structural_equal, walk
from ..runtime.dtype import DType
from .clike import Value, bare
from .clike_stmt import is_register, is_same
from .opencl_expr import OpenCLExpressions, held_bits
from .text import Text, TextGenerator

_SPACES = {"global": "__global", "shared": "__local"}
TRUE = "one"  # a variable that is 1, of which compilers know nothing


class OpenCL(TextGenerator):
    """OpenCL C 1.2: a function is one kernel."""

    def write(self, f: Function, target: Target) -> Text:
        """The code of ``f``; raises :class:`CodegenError` with the reason when the target cannot
        compute it."""
        return _Kernel(f, target).text()


class _Kernel(OpenCLExpressions):
    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        self.uses_true = False
        self.guards: list[Expr] = []  # vector conditions under which something is computed

    # -- the whole --------------------------------------------------------------------------------

    def text(self) -> Text:
        """The code of the function."""
        f = self.kernel
        for p in f.params:
            if isinstance(p, Var):
                self.vars[p] = Value(self.names[p], 0, True)
        self.stmt(f.body)
        params = ",\n    ".join(self._param(p) for p in f.params)
        x, y, z = self.threads()
        lines = []
        if self.doubles:
            lines.append("#pragma OPENCL EXTENSION cl_khr_fp64 : enable")
        for text in self.helpers.values():
            lines += text.splitlines()
        lines += [
            f"__kernel __attribute__((reqd_work_group_size({x}, {y}, {z})))",
            f"void {f.name}(",
            f"    {params}",
            ") {",
        ]
        for tag, name in sorted(self.indices.items()):
            kind, _, axis = tag.partition(".")
            get = "get_group_id" if kind == "blockIdx" else "get_local_id"
            lines.append(f"  int {name} = (int){get}({'xyz'.index(axis)});")
        if self.uses_true:
            lines.append(f"  volatile int {TRUE} = 1;")
        for b, size in self.shared_arrays.items():
            lines.append(f"  __local {self._stored(b)} {self.names[b]}[{size}];")
        lines += ["  " + line for line in self.scopes[0].lines]
        return Text("\n".join([*lines, "}", ""]), self.shared_bytes)

    def opaque(self, text: str) -> str:
        """PoCL runs the threads of a workgroup one after another from barrier to barrier. It goes
        wrong where its optimiser leads those that fail a condition past the next test of the same
        condition, and so past the barriers in between: no test may tell about another."""
        self.uses_true = True
        return f"({text}) == {TRUE}"

    def _param(self, p: Buffer | Var) -> str:
        if isinstance(p, Var):
            return f"{self.type(p.dtype)} {self.names[p]}"
        const = "" if p in self.kernel.writes else "const "
        return f"__global {const}{self._stored(p)} *restrict {self.names[p]}"

    def _stored(self, b: Buffer) -> str:
        """The type of an element in memory. There can be no variables of type half."""
        d = b.dtype
        if d.is_bool:
            return "uchar"
        if d.is_float and d.bits == 16 and b.scope != "shared":
            return "half" if d.kind == "float" else "ushort"
        return self.type(d)

    def array_bytes(self, d: DType, n: int) -> int:
        return n * (1 if d.is_bool else held_bits(d) // 8)

    def barrier_text(self, scope: str) -> str:
        return f"barrier(CLK_{'LOCAL' if scope == 'shared' else 'GLOBAL'}_MEM_FENCE);"

    def register_lanes(self, b: Buffer, uses: list[Expr]) -> int:
        lanes = {u.dtype.lanes for u in uses} - {1}
        n = max(lanes, default=1)
        return n if len(lanes) <= 1 and all(is_register(u, n) for u in uses) else 0

    # -- loads ------------------------------------------------------------------------------------

    def select(self, e: Select) -> Value:
        """A vector condition guards what its arms read, lane by lane."""
        c = e.cond
        if c.dtype.lanes == 1 or not self.must_branch(e):
            return super().select(e)
        cond = self.hold(self.value(c), self.type(c.dtype), "b")
        arms = []
        for guard, arm in ((c, e.if_true), (Unary(Op.NOT, c), e.if_false)):
            self.guards.append(guard)
            self._done.append({})  # what is read under a guard serves nothing outside of it
            arms.append(self.name_type(self.value(arm), e.dtype))
            self._done.pop()
            self.guards.pop()
        yes, no = arms
        return self.choose(cond, yes, no, c.dtype, e.dtype)

    def must_branch(self, e: Select) -> bool:
        loads = (n for arm in (e.if_true, e.if_false) for n in walk(arm) if isinstance(n, Load))
        return not all(self.inside(n) for n in loads)

    def _load(self, e: Load) -> Value:
        p = e.predicate
        if p is None or p.dtype.lanes > 1 or is_const(p, True):
            return super()._load(e)
        zero: Expr = Const(False if e.dtype.is_bool else 0, e.dtype.element)
        zero = zero if e.dtype.lanes == 1 else Broadcast(zero, e.dtype.lanes)
        return self.select(Select(p, Load(e.buffer, e.indices), zero))

    def load_memory(self, e: Load) -> Value:
        index, d, p = e.indices[-1], e.dtype, e.predicate
        if not self.inside(e):
            p = self._whole_mask(p)
            if p is not None and is_same(p, False):
                return Value(self.literal(0, d), 0, True) if d.lanes == 1 else Value(
                    self.splat(d, self.literal(0, d.element)), 0, True)  # fmt: skip
            if p is not None:
                return self._masked_load(e, p) if d.lanes > 1 else self._any_lane(e, p)
        if isinstance(index, Broadcast):
            v = self.load_memory(Load(e.buffer, (index.value,)))
            return v._replace(text=self.splat(d, v.text), atom=False)
        if d.lanes == 1:
            at = self.value(index)
            return self._read(self._element(e.buffer, bare(at.text)), at, e.buffer, d)
        if _contiguous(index):
            return self._vector(e.buffer, index, d)
        parts = [self.load_memory(Load(e.buffer, (self.lane(index, k),))) for k in range(d.lanes)]
        form = self.build(d, [f"{{{k}}}" for k in range(d.lanes)])
        return self.join(form, parts, [d.element] * d.lanes)

    def _read(self, text: str, at: Value, b: Buffer, d: DType) -> Value:
        return self.read(Value(text, at.depth, False, at.fixed), b, self.type(d))

    def _element(self, b: Buffer, at: str) -> str:
        """The text of one element."""
        name, d = self.names[b], b.dtype
        if d.is_bool:
            return f"({name}[{at}] != 0)"
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                return f"vload_half({at}, {name})"
            return f"as_float((uint){name}[{at}] << 16)"
        return f"{name}[{at}]"

    def _vector(self, b: Buffer, index: Ramp, d: DType) -> Value:
        at = self.value(index.base)
        return self._read(self._vector_text(b, index, at.text, d), at, b, d)

    def _place(self, b: Buffer, at: str) -> str:
        return self.names[b] if at == "0" else f"{self.names[b]} + {at}"

    def _aligned(self, index: Ramp, d: DType) -> bool:
        """Whether a vector lies at a multiple of its size."""
        n = d.lanes
        return n != 3 and is_const(self.analyzer.simplify(index.base % n), 0)

    def _vector_text(self, b: Buffer, index: Ramp, at: str, d: DType) -> str:
        n, place = d.lanes, self._place(b, at)
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                return f"vload_half{n}(0, {place})"
            return f"as_float{n}(convert_uint{n}(vload{n}(0, {place})) << 16)"
        if self._aligned(index, d) and b.scope != "shared":
            stored = self._stored(b)
            text = f"*(__global const {stored}{n} *)({place})"
        else:
            text = f"vload{n}(0, {place})"
        return f"convert_int{n}({text} != (uchar{n})(0))" if d.is_bool else text

    def _whole_mask(self, p: Expr | None) -> Expr | None:
        """A load's own predicate and those of the choices around it; None: all lanes are on."""
        whole = None if p is None or is_same(p, True) else p
        for g in self.guards:
            if whole is None:
                whole = g
            elif not _implies(whole, g):
                whole = Binary(Op.AND, whole, g)
        return whole

    def _any_lane(self, e: Load, p: Expr) -> Value:
        """One element for all lanes, read where any is on."""
        mask = self.hold(self.value(p), self.type(p.dtype), "b")
        name = self.name("m")
        self.put(f"{self.type(e.dtype)} {name} = {self.literal(0, e.dtype)};")
        with self.scope(f"if (any({mask.text}))", branch=True):
            at = self.value(e.indices[-1])
            self.put(f"{name} = {bare(self._element(e.buffer, bare(at.text)))};")
        return Value(name, self.depth, True)

    def _masked_load(self, e: Load, p: Expr) -> Value:
        """Lanes that are off are not read. Where all are on, which is the rule, the vector is read
        as a whole."""
        index, d = e.indices[-1], e.dtype
        mask = self.hold(self.value(p), self.type(p.dtype), "b")
        name = self.name("m")
        self.put(self.variable(self.type(d), name))
        if _contiguous(index):
            with self.scope(f"if (all({mask.text}))", branch=True):
                at = self.value(index.base)
                self.put(f"{name} = {bare(self._vector_text(e.buffer, index, at.text, d))};")
            with self.scope("else", branch=True):
                self._lanes_into(name, e, p)
        else:
            self._lanes_into(name, e, p)
        return Value(name, self.depth, True)

    def _lanes_into(self, name: str, e: Load, p: Expr) -> None:
        index, d = e.indices[-1], e.dtype
        zero, lanes = self.literal(0, d.element), []
        for k in range(d.lanes):
            on, at = self.value(self.lane(p, k)), self.value(self.lane(index, k))
            lanes.append(f"({on.text} ? {self._element(e.buffer, bare(at.text))} : {zero})")
        self.put(f"{name} = {self.build(d, lanes)};")

    # -- stores -----------------------------------------------------------------------------------

    def store_memory(self, s: Store) -> None:
        index, d, p = s.indices[-1], s.value.dtype, s.predicate
        if p is not None and is_same(p, False):
            return
        if p is not None and not is_same(p, True):
            self._masked_store(s, p)
        elif d.lanes == 1:
            at, v = self.value(index), self.value(s.value)
            self._put_element(s.buffer, bare(at.text), v)
        elif _contiguous(index):
            at, v = self.value(index.base), self.value(s.value)
            self._put_vector(s.buffer, index, at.text, v, d)
        else:
            self._put_lanes(s, self.name_type(self.value(s.value), d), None)
        self.changed(s.buffer)

    def _masked_store(self, s: Store, p: Expr) -> None:
        """The value is only wanted where the predicate holds: a branch, in which it is computed."""
        index, d = s.indices[-1], s.value.dtype
        if p.dtype.lanes == 1:
            with self.scope(f"if ({bare(self.value(p).text)})", branch=True):
                self.store_memory(Store(s.buffer, s.indices, s.value))
            return
        mask = self.hold(self.value(p), self.type(p.dtype), "b")
        self.masks.append(p)
        v = self.name_type(self.value(s.value), d)
        self.masks.pop()
        if not _contiguous(index):
            self._put_lanes(s, v, p)
            return
        with self.scope(f"if (all({mask.text}))", branch=True):
            self._put_vector(s.buffer, index, self.value(index.base).text, v, d)
        with self.scope("else", branch=True):
            self._put_lanes(s, v, p)

    def _put_lanes(self, s: Store, v: Value, p: Expr | None) -> None:
        d = s.value.dtype
        for k in range(d.lanes):
            at = self.value(self.lane(s.indices[-1], k))
            part = v._replace(text=self.component(v.text, k, d))
            if p is None:
                self._put_element(s.buffer, bare(at.text), part)
                continue
            on = self.lane(p, k)
            if is_const(on, False):
                continue
            with self.scope(f"if ({bare(self.value(on).text)})", branch=True):
                self._put_element(s.buffer, bare(at.text), part)

    def _put_element(self, b: Buffer, at: str, v: Value) -> None:
        name, d = self.names[b], b.dtype
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                self.put(f"vstore_half_rte({bare(v.text)}, {at}, {name});")
                return
            v = self.bits_of(v, d)
        text = f"{v.text} ? 1 : 0" if d.is_bool else bare(v.text)
        self.put(f"{name}[{at}] = {text};")

    def _put_vector(self, b: Buffer, index: Ramp, at: str, v: Value, d: DType) -> None:
        n, place, text = d.lanes, self._place(b, at), bare(v.text)
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                self.put(f"vstore_half{n}_rte({text}, 0, {place});")
                return
            text = self.bits_of(v, d).text
        if d.is_bool:
            text = f"convert_uchar{n}({v.text} & 1)"
        if self._aligned(index, d) and b.scope != "shared":
            self.put(f"*(__global {self._stored(b)}{n} *)({place}) = {text};")
        else:
            self.put(f"vstore{n}({text}, 0, {place});")


def _implies(p: Expr, guard: Expr) -> bool:
    """Whether ``guard`` is one of the conditions that ``p`` is made of."""
    if isinstance(p, Binary) and p.op is Op.AND:
        return _implies(p.a, guard) or _implies(p.b, guard)
    return p is guard or structural_equal(p, guard)


def _contiguous(index: Expr) -> TypeGuard[Ramp]:
    return isinstance(index, Ramp) and is_const(index.stride, 1)


__all__ = ["OpenCL"]
