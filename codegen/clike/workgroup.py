"""What kernels for workgroups have in common, in OpenCL C and in WGSL.

Loops bound to ``blockIdx`` and ``threadIdx`` become the indices of the hardware, memory of
scope ``"shared"`` is declared once for the kernel, and limits of the target are checked here.

What a kernel only reads is read once for equal indices (``Scopes.hold``). What it writes, shared
memory and results, may change: a value that was read is used again until the next store to that
buffer or the next barrier, which both start a new *epoch* of the buffer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ...ir.expr import Broadcast, Const, Expr, Load, Ramp, Var, as_int
from ...ir.stmt import Alloc, Barrier, Buffer, For, Function, If, Let, Stmt, Store
from ...ir.target import Target
from ...ir.visit import walk
from ...runtime.dtype import INT32, DType
from .lanes import split_vectors
from .masks import branch_on_masks
from .scopes import Value, bare
from .statements import CLike, is_register, is_same

_AXES = "xyz"


class Workgroup(CLike):
    """The body of one kernel."""

    widths: tuple[int, ...] = ()  # lanes of the vectors that the language has
    # Kind of hardware index -> its text, with {0} for the axis (x, y, z), {1} for its number.
    hardware: Mapping[str, str] = {}
    # Whether what comes out of memory counts as different for each thread of a workgroup.
    memory_varies = True

    def __init__(self, f: Function, target: Target):
        f = split_vectors(branch_on_masks(f), self.widths)
        super().__init__(f, target)
        self.extents = self._extents(f)
        self.names: dict[Buffer | Var, str] = {p: f"p{k}" for k, p in enumerate(f.params)}
        self._names["p"] = len(f.params)
        self.written = set(f.writes)
        self.indices: dict[str, str] = {}  # hardware index -> its variable
        self.shared_arrays: dict[Buffer, int] = {}  # shared memory -> elements
        self._epochs = Counter[Buffer]()
        self.waits = any(isinstance(s, Barrier) for s in walk(f.body))
        self._varying: set[Var] = set()
        self._divergent: list[Stmt] = []
        self._limits()

    # -- hooks ------------------------------------------------------------------------------------

    def array_bytes(self, d: DType, n: int) -> int:
        """Bytes of an array of ``n`` elements in shared memory."""
        return n * d.bytes

    def address(self, b: Buffer, index: Ramp) -> Expr:
        """Where a vector lies that is written as a whole."""
        raise NotImplementedError

    def put_element(self, b: Buffer, at: str, v: Value) -> None:
        """Write an element."""
        raise NotImplementedError

    def put_vector(self, b: Buffer, index: Ramp, at: str, v: Value) -> None:
        """Write a vector as a whole, where :meth:`address` says."""
        raise NotImplementedError

    # -- limits -----------------------------------------------------------------------------------

    def _extents(self, f: Function) -> dict[str, int | Expr]:
        return dict(f.attrs.get("launch", {}))

    def threads(self) -> tuple[int, int, int]:
        """Threads of a workgroup along x, y, z."""
        counts = []
        for axis in _AXES:
            n = self.extents.get(f"threadIdx.{axis}", 1)
            if not isinstance(n, int):
                raise self.error(f"the number of threads along {axis} is {n}, not a constant")
            counts.append(n)
        return counts[0], counts[1], counts[2]

    def opening(self) -> list[str]:
        lines = []
        for tag, name in sorted(self.indices.items()):
            kind, _, axis = tag.partition(".")
            text = self.hardware[kind].format(axis, _AXES.index(axis))
            lines.append(self.constant(self.type(INT32), name, text))
        return lines

    def _limits(self) -> None:
        x, y, z = self.threads()
        if x * y * z > self.target.max_threads:
            raise self.error(
                f"a workgroup would have {x * y * z} threads; the target allows "
                f"{self.target.max_threads}"
            )
        for axis in _AXES:
            n = self.extents.get(f"blockIdx.{axis}", 1)
            if isinstance(n, int) and n > self.target.max_blocks:
                raise self.error(
                    f"{n} workgroups along {axis}; the target allows {self.target.max_blocks}"
                )
        buffers = len(self.kernel.buffers)
        if self.target.max_buffers and buffers > self.target.max_buffers:
            raise self.error(
                f"the kernel has {buffers} buffers; the target allows {self.target.max_buffers}"
            )

    def hardware_loop(self, s: For) -> None:
        kind, _, axis = s.tag.partition(".")
        if kind not in ("blockIdx", "threadIdx") or axis not in ("x", "y", "z"):
            raise self.error(f"there is no hardware index {s.tag} on this target")
        n = as_int(s.extent)
        if n == 1:
            self.vars[s.var] = self._const(Const(0, INT32))
        else:
            name = f"{kind[0]}{axis}"  # bx, ty
            self.indices[s.tag] = name
            self.vars[s.var] = Value(name, 0, True)
            if kind == "threadIdx":
                self._varying.add(s.var)
        self.analyzer.bind(s.var, 0, None if n is None else n - 1)
        self.stmt(s.body)

    # -- shared memory ----------------------------------------------------------------------------

    def shared(self, s: Alloc) -> None:
        b = s.buffer
        size = as_int(b.shape[0])
        if size is None:
            raise self.error(f"the size of shared memory {b!r} is known only when the kernel runs")
        if b not in self.shared_arrays:  # copies of an unrolled loop take turns
            self.names[b] = self.name(self.buffer_stem(b))
        self.shared_arrays[b] = max(1, size)
        self.written.add(b)
        total = self.shared_bytes
        if total > self.target.shared_bytes:
            raise self.error(
                f"a workgroup would share {total} bytes; the target has {self.target.shared_bytes}"
            )
        self.stmt(s.body)

    @property
    def shared_bytes(self) -> int:
        """The memory that the threads of a workgroup share so far."""
        return sum(self.array_bytes(b.dtype, n) for b, n in self.shared_arrays.items())

    def barrier(self, s: Barrier) -> None:
        if self._divergent:
            raise self.error(
                "a barrier stands where it is not certain that all threads of a workgroup arrive, "
                f"in\n{self._divergent[-1]}"
            )
        for b in self.written:
            self._epochs[b] += 1
        self.put(self.barrier_text(s.scope))

    def barrier_text(self, scope: str) -> str:
        """Wait, and see what other threads wrote to memory of ``scope``."""
        raise NotImplementedError

    # -- what was read ----------------------------------------------------------------------------

    def read(self, v: Value, b: Buffer, t: str) -> Value:
        """``v``, what lies in ``b`` somewhere, in a variable of type ``t``."""
        if b not in self.written:
            return self.hold(v, t, "t")
        key = t, f"{v.text} {self._epochs[b]}"
        for k, s in enumerate(self.scopes):
            if v.fixed and key in s.known:
                return Value(s.known[key], k, True)
        name = self.name("t")
        self.put(self.constant(t, name, v.text))
        if v.fixed:  # an index out of local memory may be another one the next time
            self.scopes[-1].known[key] = name
        return Value(name, self.depth, True)

    def changed(self, b: Buffer) -> None:
        """``b`` was written."""
        self._epochs[b] += 1

    def load_memory(self, e: Load) -> Value:
        v = super().load_memory(e)
        return v._replace(atom=False) if isinstance(e.indices[-1], Broadcast) else v

    # -- stores -----------------------------------------------------------------------------------

    def store_memory(self, s: Store) -> None:
        b, index, p = s.buffer, s.indices[-1], s.predicate
        if p is not None and is_same(p, False):
            return
        if p is not None and not is_same(p, True):
            self._masked_store(s, p)
        elif index.dtype.lanes == 1:
            at, v = self.place(b, index), self.value(s.value)
            self.put_element(b, bare(at.text), v)
        elif self.whole(index, b):
            at, v = self.value(self.address(b, index)), self.value(s.value)
            self.put_vector(b, index, at.text, v)
        else:
            self._put_lanes(s, self.name_type(self.value(s.value), s.value.dtype), None)
        self.changed(b)

    def _masked_store(self, s: Store, p: Expr) -> None:
        """The value is only wanted where the predicate holds: a branch, in which it is computed."""
        b, index, d = s.buffer, s.indices[-1], s.value.dtype
        if p.dtype.lanes == 1:
            with self.when(bare(self.value(p).text)):
                self.store_memory(Store(b, s.indices, s.value))
            return
        mask = self.name_type(self.value(p), p.dtype) if self.lazy else None
        self.masks.append(p)
        v = self.name_type(self.value(s.value), d)
        self.masks.pop()
        if mask is None or not self.whole(index, b):
            self._put_lanes(s, v, p)
            return
        with self.when(f"all({mask.text})"):
            self.put_vector(b, index, self.value(self.address(b, index)).text, v)
        with self.otherwise():
            self._put_lanes(s, v, p)

    def _put_lanes(self, s: Store, v: Value, p: Expr | None) -> None:
        def put(at: str, k: int) -> None:
            part = v.with_text(self.component(v.text, k, s.value.dtype))
            self.put_element(s.buffer, at, part)

        self.each_lane(s.buffer, s.indices[-1], p, put)

    # -- storage of one thread --------------------------------------------------------------------

    def register_lanes(self, b: Buffer, uses: list[Expr]) -> int:
        lanes = {u.dtype.lanes for u in uses} - {1}
        n = max(lanes, default=1)
        return n if len(lanes) <= 1 and all(is_register(u, n) for u in uses) else 0

    # -- statements -------------------------------------------------------------------------------

    def _differs(self, *exprs: Expr) -> bool:
        """Whether threads of a workgroup may see different values."""
        for x in exprs:
            for e in walk(x):
                if isinstance(e, Var) and e in self._varying:
                    return True
                if isinstance(e, Load) and (
                    e.buffer in self._local or (self.memory_varies and e.buffer in self.written)
                ):
                    return True
        return False

    def condition(self, text: str) -> str:
        return self.opaque(text) if self.waits and self._divergent else text

    def opaque(self, text: str) -> str:
        """The condition ``text``, on which threads differ, in a kernel with barriers."""
        return text

    def _let(self, s: Let) -> None:
        if self._differs(s.value):
            self._varying.add(s.var)
        super()._let(s)

    def _if(self, s: If) -> None:
        differs = self._differs(s.cond)
        if differs:
            self._divergent.append(s)
        super()._if(s)
        if differs:
            self._divergent.pop()

    def _for(self, s: For) -> None:
        for n in walk(s.body):  # what its end writes, its beginning reads anew
            if isinstance(n, Store):
                self._epochs[n.buffer] += 1
            elif isinstance(n, Barrier):
                for b in self.written:
                    self._epochs[b] += 1
        differs = not s.tag and self._differs(s.minimum, s.extent)
        if differs:
            self._divergent.append(s)
            self._varying.add(s.var)
        super()._for(s)
        if differs:
            self._divergent.pop()

    def inside(self, e: Load | Store) -> bool:
        """Whether an access is certainly within its buffer."""
        known, size = self.analyzer.interval(e.indices[-1]), as_int(e.buffer.shape[0])
        if known.lo is None or known.hi is None or size is None:
            return False
        return known.lo >= 0 and known.hi < size


__all__ = ["Workgroup"]
