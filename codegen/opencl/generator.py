"""The ``opencl`` target: a lowered function becomes one kernel in OpenCL C 1.2.

    __kernel __attribute__((reqd_work_group_size(16, 16, 1)))
    void NAME(__global const float *restrict p0, int p1, __global float *restrict p2) {
      int bx = (int)get_group_id(0);
      int tx = (int)get_local_id(0);
      __local float tile[256];
      …

Parameters are those of the function in order; numbers are passed as the types that hold them: int
for bool, float for floats of 16 bits. Elements lie in memory as on the host: bool as uchar, float16
as half, bfloat16 as its bits in ushort. Nothing outside of a buffer is read: what
lies behind a condition is computed in a branch, and vectors of which lanes are off are read lane
by lane where they may leave the buffer.
"""

from __future__ import annotations

from typing import TypeGuard

from ...ir.expr import Expr, Ramp, Var, is_const
from ...ir.stmt import Buffer, Function
from ...ir.target import Target
from ...runtime.dtype import DType
from ..clike.scopes import Value, bare
from ..clike.statements import is_contiguous
from ..text import Text, TextGenerator
from .expressions import OpenCLExpressions, held_bits

TRUE = "one"  # a variable that is 1, of which compilers know nothing
_HARDWARE = {"blockIdx": "(int)get_group_id({1})", "threadIdx": "(int)get_local_id({1})"}


class OpenCL(TextGenerator):
    """OpenCL C 1.2: a function is one kernel."""

    def write(self, f: Function, target: Target) -> Text:
        """The code of ``f``; raises :class:`CodegenError` with the reason when the target cannot
        compute it."""
        return _OpenCLKernel(f, target).text()


class _OpenCLKernel(OpenCLExpressions):
    hardware = _HARDWARE

    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        self.uses_true = False

    # -- the whole --------------------------------------------------------------------------------

    def body(self) -> list[str]:
        for p in self.kernel.params:
            if isinstance(p, Var):
                text = f"({self.names[p]} != 0)" if p.dtype.is_bool else self.names[p]
                self.vars[p] = Value(text, 0, True)
        return super().body()

    def declarations(self) -> list[str]:
        return ["#pragma OPENCL EXTENSION cl_khr_fp64 : enable"] if self.doubles else []

    def head(self) -> list[str]:
        params = ",\n    ".join(self._param(p) for p in self.kernel.params)
        x, y, z = self.threads()
        return [
            f"__kernel __attribute__((reqd_work_group_size({x}, {y}, {z})))",
            f"void {self.kernel.name}(",
            f"    {params}",
            ") {",
        ]

    def opening(self) -> list[str]:
        lines = super().opening()
        if self.uses_true:
            lines.append(f"volatile int {TRUE} = 1;")
        for b, size in self.shared_arrays.items():
            lines.append(f"__local {self._stored(b)} {self.names[b]}[{size}];")
        return lines

    def opaque(self, text: str) -> str:
        """PoCL runs the threads of a workgroup one after another from barrier to barrier. It goes
        wrong where its optimiser leads those that fail a condition past the next test of the same
        condition, and so past the barriers in between: no test may tell about another."""
        self.uses_true = True
        return f"({text}) == {TRUE}"

    def _param(self, p: Buffer | Var) -> str:
        if isinstance(p, Var):
            return f"{'int' if p.dtype.is_bool else self.type(p.dtype)} {self.names[p]}"
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
        local = "CLK_LOCAL_MEM_FENCE"
        return f"barrier({local if scope == 'shared' else f'{local} | CLK_GLOBAL_MEM_FENCE'});"

    # -- loads and stores -------------------------------------------------------------------------

    def whole(self, index: Expr, b: Buffer) -> TypeGuard[Ramp]:
        return is_contiguous(index)

    def address(self, b: Buffer, index: Ramp) -> Expr:
        return index.base

    def element_text(self, b: Buffer, at: str) -> str:
        name, d = self.names[b], b.dtype
        if d.is_bool:
            return f"({name}[{at}] != 0)"
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                return f"vload_half({at}, {name})"
            return f"as_float((uint){name}[{at}] << 16)"
        return f"{name}[{at}]"

    def _place(self, b: Buffer, at: str) -> str:
        return self.names[b] if at == "0" else f"{self.names[b]} + {at}"

    def _aligned(self, index: Ramp) -> bool:
        """Whether a vector lies at a multiple of its size."""
        n = index.lanes
        return n != 3 and is_const(self.analyzer.simplify(index.base % n), 0)

    def vector_text(self, b: Buffer, index: Ramp, at: str, d: DType) -> str:
        n, place = d.lanes, self._place(b, at)
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float" and (self._aligned(index) or b.scope != "global"):
                return f"vload_half{n}(0, {place})"
            if d.kind == "float":
                # LLVM 15 takes halves of which one of two is chosen by lanes (AVX-512) for aligned
                # ones, and the instruction that it then uses ends the process.
                bits = f"vload{n}(0, (__global const ushort *)({place}))"
                return self.of_bits(Value(bits, 0), d).text
            return f"as_float{n}(convert_uint{n}(vload{n}(0, {place})) << 16)"
        if self._aligned(index) and b.scope != "shared":
            stored = self._stored(b)
            text = f"*(__global const {stored}{n} *)({place})"
        else:
            text = f"vload{n}(0, {place})"
        return f"convert_int{n}({text} != (uchar{n})(0))" if d.is_bool else text

    def put_element(self, b: Buffer, at: str, v: Value) -> None:
        name, d = self.names[b], b.dtype
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                self.put(f"vstore_half_rte({bare(v.text)}, {at}, {name});")
                return
            v = self.bits_of(v, d)
        text = f"{v.text} ? 1 : 0" if d.is_bool else bare(v.text)
        self.put(f"{name}[{at}] = {text};")

    def put_vector(self, b: Buffer, index: Ramp, at: str, v: Value) -> None:
        n, d = index.lanes, b.dtype.with_lanes(index.lanes)
        place, text = self._place(b, at), bare(v.text)
        if d.is_float and d.bits == 16 and b.scope != "shared":
            if d.kind == "float":
                self.put(f"vstore_half{n}_rte({text}, 0, {place});")
                return
            text = self.bits_of(v, d).text
        if d.is_bool:
            text = f"convert_uchar{n}({v.text} & 1)"
        if self._aligned(index) and b.scope != "shared":
            self.put(f"*(__global {self._stored(b)}{n} *)({place}) = {text};")
        else:
            self.put(f"vstore{n}({text}, 0, {place});")


__all__ = ["OpenCL"]
