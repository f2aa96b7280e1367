"""LLVM IR for statements and whole kernels.

A kernel ``NAME`` becomes three layers, so that LLVM sees what we know about the pointers::

    void NAME(int64* args)                 exported; unpacks args
    NAME.body(noalias ptr …, int64 …)      the loops
    NAME.parK(closure, begin, end)         one per outermost parallel loop; weft_parallel_for calls
    NAME.parK.body(noalias ptr …, …)       it on each thread with a part of the iterations

The bodies are not inlined: ``noalias`` on parameters is the strongest form LLVM has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ...ir.alu import Op
from ...ir.expr import Binary, Cast, Expr, Load, Var, as_int
from ...ir.stmt import (
    Alloc,
    Buffer,
    For,
    ForeignCall,
    ForKind,
    Function,
    If,
    Let,
    Prefetch,
    Seq,
    Stmt,
    Store,
)
from ...ir.target import Target
from ...ir.visit import walk, written_by
from ...runtime.dtype import INT64
from ...runtime.errors import CodegenError
from .memory import LLVMMemory
from .values import register

STACK_LIMIT = 64 << 10  # bytes; larger local buffers go to the heap


class Module:
    """Collects the functions, declarations and metadata of one LLVM module."""

    def __init__(
        self,
        target: Target,
        *,
        has_half: bool,
        wide: bool,
        size_bits: int = 64,
        unsigned_offsets: bool = False,
    ):
        self.target, self.has_half = target, has_half
        self.unsigned_offsets = unsigned_offsets
        self.size = f"i{size_bits}"  # C's size_t
        self.functions: list[str] = []
        self.declare: set[str] = set()
        self.metadata: dict[tuple[str, ...], int] = {}
        self._lines: list[str] = []
        extra = ' "prefer-vector-width"="512" "min-legal-vector-width"="512"' if wide else ""
        self.attributes = f"nounwind{extra}"

    def loop(self, *hints: str) -> str:
        """A new distinct loop id with the given hints."""
        n = len(self._lines)
        refs = []
        self._lines.append("")
        for h in hints:
            if (h,) not in self.metadata:
                self.metadata[(h,)] = len(self._lines)
                self._lines.append(f"!{{{h}}}")
            refs.append(f"!{self.metadata[(h,)]}")
        self._lines[n] = f"distinct !{{{', '.join([f'!{n}', *refs])}}}"
        return f"!llvm.loop !{n}"

    def text(self, header: str) -> str:
        """The whole module: ``header``, functions, declarations, metadata."""
        meta = [f"!{n} = {line}" for n, line in enumerate(self._lines)]
        return "\n".join([header, *self.functions, *sorted(self.declare), *meta, ""])


class Body(LLVMMemory):
    """Writes one LLVM function: the body of a kernel or of a parallel loop."""

    def __init__(self, module: Module, name: str, kernel: str, *, parallel: bool):
        super().__init__(
            f"kernel {kernel}", module.declare,
            has_fma=module.target.has_fma, has_half=module.has_half,
            unsigned_offsets=module.unsigned_offsets,
        )  # fmt: skip
        self.module, self.name, self.kernel = module, name, kernel
        self.languages = module.target.languages
        self.parallel = parallel  # already inside a parallel loop
        self.entry: list[str] = []  # allocas
        self.parts = 0
        self.sizes: dict[Buffer, int] = {}
        self.overlap: Collection[Buffer] = ()  # parameters that may be one and the same
        self.types: dict[Var, str] = {}
        self._statements: dict[type, Callable[[Any], None]] = {
            Store: self._store,
            For: self._for,
            If: self._if,
            Seq: self._seq,
            Alloc: self._alloc,
            Prefetch: self._prefetch,
            ForeignCall: self.foreign,
        }

    def stmt(self, s: Stmt) -> None:
        """Emit one statement; raises CodegenError for what a CPU does not have."""
        with ExitStack() as scopes:
            while isinstance(s, Let):  # hundreds may stand in a row
                self.fresh()
                value = self.value(s.value)
                scopes.enter_context(self.defined(s.var, value))
                self.ranges.bind(s.var, self.ranges.of(s.value) if s.var.dtype.is_int else None)
                s = s.body
            emit = self._statements.get(type(s))
            if emit is None:
                raise CodegenError(f"{type(s).__name__} has no meaning on a CPU.", where=self.where)
            emit(s)

    def _seq(self, s: Seq) -> None:
        for x in s.stmts:
            self.stmt(x)

    def _store(self, s: Store) -> None:
        self.fresh()
        self.store(s)
        self.fresh()

    def _prefetch(self, s: Prefetch) -> None:
        """Into the second-level cache: what is fetched ahead may be more than the first holds."""
        pointer = self.address(s.buffer, s.indices[0], inbounds=False)
        self.declare.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.put(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 2, i32 1)")

    def define(self, var: Var, operand: str) -> None:
        """Let ``operand`` be the value of ``var`` from here on."""
        self.vars[var], self.types[var] = operand, register(var.dtype)

    @contextmanager
    def defined(self, var: Var, operand: str) -> Iterator[None]:
        """The same, for a while: copies of a loop share their variables, and what one copy has
        computed does not dominate the others."""
        outer = self.vars.pop(var, None)
        self.define(var, operand)
        yield
        del self.vars[var]
        if outer is not None:
            self.vars[var] = outer

    @contextmanager
    def allocated(self, b: Buffer, pointer: str) -> Iterator[None]:
        """``b`` lies at ``pointer`` meanwhile."""
        self.buffers[b] = pointer
        yield
        del self.buffers[b]

    def _if(self, s: If) -> None:
        self.fresh()
        yes, end = self.label("if"), self.label("endif")
        no = self.label("else") if s.otherwise is not None else end
        self.put(f"br i1 {self.value(s.cond)}, label %{yes}, label %{no}")
        for label, body in ((yes, s.then), (no, s.otherwise)):
            if body is not None:
                self.fresh()
                self.start(label)
                self.stmt(body)
                self.put(f"br label %{end}")
        self.fresh()
        self.start(end)

    # -- loops ----------------------------------------------------------------------------------

    def _for(self, s: For) -> None:
        extent = as_int(s.extent)
        if extent is not None and extent <= 0:
            return
        if s.kind is ForKind.PARALLEL and not self.parallel and extent != 1:
            self._parallel(s)
        elif s.kind in (ForKind.SERIAL, ForKind.PARALLEL):
            self.fresh()
            low, t = self.index(s.minimum), register(s.var.dtype)
            high = self.op(f"add nsw {t} {low}, {self.index(s.extent)}")
            self.loop(s, low, high, extent is not None)
        else:
            raise CodegenError(
                f"the loop {s.var.name} is {s.kind.value}; vectorise and unroll come before code "
                "generation, and hardware indices do not exist on a CPU.",
                where=self.where,
            )

    def loop(self, s: For, low: str, high: str, runs: bool) -> None:
        """``for s.var in [low, high)``; ``runs``: at least once."""
        t = register(s.var.dtype)
        head, end = self.label("loop"), self.label("done")
        if runs:
            self.put(f"br label %{head}")
        else:
            some = self.op(f"icmp slt {t} {low}, {high}")
            self.put(f"br i1 {some}, label %{head}, label %{end}")
        before, stem = self.block, self.label("%i")
        self.start(head)
        place = len(self.lines)
        self.lines.append("")  # the phi: its second label is known after the body
        self._bind(s)
        self.fresh()
        outer, self.inner = self.inner, s.var
        with self.defined(s.var, stem):
            self.stmt(s.body)
        self.inner = outer
        self.fresh()
        following = self.op(f"add nsw {t} {stem}, 1")
        more = self.op(f"icmp slt {t} {following}, {high}")
        hint = self.module.loop(*self._hints(s))
        self.put(f"br i1 {more}, label %{head}, label %{end}, {hint}")
        self.lines[place] = (
            f"  {stem} = phi {t} [ {low}, %{before} ], [ {following}, %{self.block} ]"
        )
        self.start(end)

    def _bind(self, s: For) -> None:
        low, extent = self.ranges.of(s.minimum), self.ranges.of(s.extent)
        if low is None or extent is None:
            self.ranges.bind(s.var, None)
        else:
            self.ranges.bind(s.var, (low[0], low[1] + extent[1] - 1))

    def _hints(self, s: For) -> list[str]:
        """LLVM's unroller spills register tiles; its vectoriser has nothing to add where the
        schedule has vectorised, and takes an index that wraps (``i * 3 % 32``) for one that goes on
        (LLVM 22: the first vector reads behind the end)."""
        hints = ['!"llvm.loop.unroll.disable"']
        vectors = any(isinstance(n, Expr) and n.dtype.lanes > 1 for n in walk(s.body))
        if vectors or any(
            _wraps(i) for n in walk(s.body) if isinstance(n, Load | Store) for i in n.indices
        ):
            hints.append('!"llvm.loop.vectorize.enable", i1 false')
        return hints

    def _parallel(self, s: For) -> None:
        self.fresh()
        name = f"{self.name}.par{self.parts}"
        self.parts += 1
        nodes = list(walk(s.body))
        used = {n.buffer for n in nodes if isinstance(n, Load | Store | Prefetch)}
        named = {n for n in nodes if isinstance(n, Var)}
        buffers = [b for b in self.buffers if b in used]
        scalars = [v for v in self.vars if v in named and v is not s.var]
        written = {b for n in nodes for b in written_by(n)}
        inner = Body(self.module, f"{name}.body", self.kernel, parallel=True)
        inner.where, inner.ranges = self.where, self.ranges
        inner.sizes, inner.overlap, inner.given = self.sizes, self.overlap, self.given
        inner.addresses = self.addresses
        for v in scalars:
            inner.define(v, f"%{_name(v.name)}.s{len(inner.vars)}")
        low, high = self.index(s.minimum), self.index(s.extent)
        t = register(s.var.dtype)
        params = inner.pointers(buffers, written)
        params += [f"{inner.types[v]} {inner.vars[v]}" for v in scalars]
        params += ["i64 %begin", "i64 %end"]
        first = inner.op(f"trunc i64 %begin to {t}") if t != "i64" else "%begin"
        last = inner.op(f"trunc i64 %end to {t}") if t != "i64" else "%end"
        inner.loop(s, first, last, False)
        inner.finish(f"define internal void @{name}.body({', '.join(params)})", noinline=True)
        self._trampoline(name, inner, buffers, scalars)
        self._launch(name, buffers, scalars, t, low, high)

    def _trampoline(self, name: str, inner: Body, buffers: list, scalars: list) -> None:
        """``NAME.parK(closure, begin, end)``: unpacks the closure, an array of 8-byte slots."""
        lines, args = [], []
        types = ["ptr"] * len(buffers) + [self.types[v] for v in scalars]
        for k, t in enumerate(types):
            lines.append(f"  %p{k} = getelementptr i8, ptr %closure, i64 {64 * k}")
            lines.append(f"  %a{k} = load {t}, ptr %p{k}, align 64")
            args.append(f"{t} %a{k}")
        call = ", ".join([*args, "i64 %begin", "i64 %end"])
        lines.append(f"  call void @{name}.body({call})")
        self.module.functions.append(
            f"define internal void @{name}(ptr %closure, i64 %begin, i64 %end) "
            f"{self.module.attributes} {{\n" + "\n".join(lines) + "\n  ret void\n}\n"
        )

    def _launch(self, name: str, buffers: list, scalars: list, t: str, low: str, n: str) -> None:
        values = [("ptr", self.buffers[b]) for b in buffers]
        values += [(self.types[v], self.vars[v]) for v in scalars]
        closure = f"%closure{self.parts}"
        self.entry.append(f"  {closure} = alloca [{64 * max(1, len(values))} x i8], align 64")
        for k, (kind, v) in enumerate(values):
            slot = self.op(f"getelementptr i8, ptr {closure}, i64 {64 * k}")
            self.put(f"store {kind} {v}, ptr {slot}, align 64")
        begin = self.op(f"sext {t} {low} to i64") if t != "i64" else low
        count = self.op(f"sext {t} {n} to i64") if t != "i64" else n
        end = self.op(f"add nsw i64 {begin}, {count}")
        self.declare.add("declare void @weft_parallel_for(ptr, ptr, i64, i64)")
        self.put(
            f"call void @weft_parallel_for(ptr @{name}, ptr {closure}, i64 {begin}, i64 {end})"
        )

    # -- storage --------------------------------------------------------------------------------

    def _alloc(self, s: Alloc) -> None:
        b = s.buffer
        element = self.memory_element(b.dtype)
        count = 1
        for extent in b.shape:
            n = as_int(extent)
            count = None if n is None or count is None else count * n
        align = max(b.alignment, b.dtype.bytes)
        if count is not None and count * b.dtype.bytes <= STACK_LIMIT:
            slot = f"%{_name(b.name)}.{self.label('a')}"
            self.entry.append(f"  {slot} = alloca [{max(1, count)} x {element}], align {align}")
            self.sizes[b] = count * b.dtype.bytes
            with self.allocated(b, slot):
                self.stmt(s.body)
            return
        self.fresh()
        size = str(b.dtype.bytes)
        for extent in b.shape:
            wide = self.cast(self.index(extent), extent.dtype, INT64)
            size = self.op(f"mul nsw i64 {size}, {wide}")
        padded = self.op(f"and i64 {self.op(f'add i64 {size}, {align - 1}')}, {-align}")
        t = self.module.size
        if t != "i64":
            padded = self.op(f"trunc i64 {padded} to {t}")
        self.declare.add(f"declare noalias ptr @aligned_alloc({t}, {t}) nounwind")
        self.declare.add("declare void @free(ptr) nounwind")
        pointer = self.op(
            f"call noalias align {align} ptr @aligned_alloc({t} {align}, {t} {padded})"
        )
        with self.allocated(b, pointer):
            self.stmt(s.body)
        self.put(f"call void @free(ptr {pointer})")

    def pointers(
        self, buffers: list[Buffer], written: set[Buffer] | frozenset[Buffer]
    ) -> list[str]:
        """Parameter declarations for ``buffers``, which enter the scope."""
        params = []
        for b in buffers:
            operand = f"%{_name(b.name)}.p{len(self.buffers)}"
            self.buffers[b] = operand
            size = self.sizes.get(b, 0)
            apart = "" if b in self.overlap else "noalias "
            facts = f"{apart}nocapture nonnull align {self.base_alignment(b)}"
            if size:
                facts += f" dereferenceable({size})"
            params.append(f"ptr {facts}{'' if b in written else ' readonly'} {operand}")
        return params

    def finish(self, head: str, *, noinline: bool) -> None:
        """Append the finished function to the module."""
        extra = " noinline" if noinline else ""
        lines = [f"{head} {self.module.attributes}{extra} {{", "entry:", *self.entry, *self.lines]
        self.module.functions.append("\n".join([*lines, "  ret void", "}", ""]))


def _wraps(index: Expr) -> bool:
    """Whether there is a remainder or a narrower integer in an index."""
    return any(
        (isinstance(e, Binary) and e.op in (Op.FLOORMOD, Op.TRUNCMOD, Op.AND))
        or (isinstance(e, Cast) and e.dtype.bits < e.value.dtype.bits)
        for e in walk(index)
    )


def _name(text: str) -> str:
    """A name that LLVM reads without quotes."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._$") else "_" for c in text)


def kernel(module: Module, f: Function) -> None:
    """Writes ``f`` into ``module``."""
    written = set(f.writes) | {b for n in walk(f.body) for b in written_by(n)}
    body = Body(module, f.name, f.name, parallel=False)
    for b in f.buffers:
        size = b.dtype.bytes
        for extent in b.shape:
            n = as_int(extent)
            size = 0 if n is None else size * n
        body.sizes[b] = size
    body.overlap, body.given = f.attrs.get("overlap", ()), frozenset(f.buffers)
    body.addresses = f.attrs.get("addresses", {})
    pointers = iter(body.pointers(list(f.buffers), written))
    params, lines, args = [], [], []
    for k, p in enumerate(f.params):
        lines.append(f"  %s{k} = getelementptr inbounds i64, ptr %args, i64 {k}")
        if isinstance(p, Buffer):
            params.append(next(pointers))
            lines.append(f"  %a{k} = load ptr, ptr %s{k}, align 8")
            args.append(f"ptr %a{k}")
            continue
        # A number lies in the lowest bits of its 64, in the form that memory has.
        t, name = body.memory_element(p.dtype), f"%{_name(p.name)}.s{k}"
        body.define(p, body.from_memory(name, p.dtype))
        params.append(f"{t} {name}")
        lines.append(f"  %w{k} = load i64, ptr %s{k}, align 8")
        bits = f"i{max(8, p.dtype.bits)}"
        narrow = f"trunc i64 %w{k} to {bits}" if bits != "i64" else f"or i64 %w{k}, 0"
        if t == bits:
            lines.append(f"  %a{k} = {narrow}")
        else:
            lines += [f"  %b{k} = {narrow}", f"  %a{k} = bitcast {bits} %b{k} to {t}"]
        args.append(f"{t} %a{k}")
    body.stmt(f.body)
    body.finish(f"define internal void @{f.name}.body({', '.join(params)})", noinline=True)
    module.functions.append(
        f"define void @{f.name}(ptr nocapture readonly %args) {module.attributes} {{\n"
        + "\n".join(lines)
        + f"\n  call void @{f.name}.body({', '.join(args)})\n  ret void\n}}\n"
    )
