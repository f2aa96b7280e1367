"""Statements in languages with C's syntax, and storage that belongs to one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from ...ir.expr import Broadcast, Const, Expr, Load, Ramp, as_int, is_const
from ...ir.stmt import Alloc, Barrier, Buffer, For, ForKind, Function, If, Let, Seq, Stmt, Store
from ...ir.target import Target
from ...ir.visit import walk
from ...runtime.dtype import INT32, DType
from ..text import Text
from .expressions import CLikeExpressions
from .scopes import Value, bare


class CLike(CLikeExpressions):
    """Writes the body of one function."""

    # Whether reads outside of a buffer do harm: then nothing is read that might not be wanted.
    lazy = False

    def __init__(self, f: Function, target: Target):
        super().__init__(f"kernel {f.name}")
        self.kernel, self.target = f, target
        self._local: dict[Buffer, tuple[str, int]] = {}  # name; lanes of a register, 0: an array
        self._statements: dict[type, Callable[[Any], None]] = {
            Store: self._store, For: self._for, If: self._if, Seq: self._seq,
            Alloc: self._alloc, Barrier: self.barrier,
        }  # fmt: skip

    # -- hooks ------------------------------------------------------------------------------------

    def declarations(self) -> list[str]:
        """The lines that stand before the functions of ours that are used."""
        return []

    def head(self) -> list[str]:
        """The lines up to the brace that opens the function."""
        raise NotImplementedError

    def opening(self) -> list[str]:
        """The first lines inside of the function, asked for when its statements are known."""
        return []

    def body(self) -> list[str]:
        """The statements of the function."""
        self.stmt(self.kernel.body)
        return self.scopes[0].lines

    @property
    def shared_bytes(self) -> int:
        """The memory that the threads of a workgroup share so far."""
        return 0

    def whole(self, index: Expr, b: Buffer) -> TypeGuard[Ramp]:
        """Whether the vector at ``index`` is read and written as a whole."""
        raise NotImplementedError

    def read_element(self, b: Buffer, index: Expr) -> Value:
        """One element of a parameter or of shared memory."""
        raise NotImplementedError

    def read_vector(self, b: Buffer, index: Ramp, d: DType) -> Value:
        """A vector that is read as a whole."""
        raise NotImplementedError

    def gather(self, e: Load) -> Value:
        """A vector that is read lane by lane."""
        d, lanes = e.dtype, range(e.dtype.lanes)
        parts = [self.load_memory(Load(e.buffer, (self.lane(e.indices[-1], k),))) for k in lanes]
        form = self.build(d, [f"{{{k}}}" for k in lanes])
        return self.join(form, parts, [d.element] * d.lanes)

    def store_memory(self, s: Store) -> None:
        """Write an element or a vector of a parameter or of shared memory."""
        raise NotImplementedError

    def hardware_loop(self, s: For) -> None:
        """The body of a loop whose variable is a hardware index."""
        raise NotImplementedError

    def shared(self, s: Alloc) -> None:
        """Make memory that the threads of a workgroup share."""
        raise self.error(f"the buffer {s.buffer!r} in shared memory has no place on this target")

    def barrier(self, s: Barrier) -> None:
        """Let the threads of a workgroup wait for each other."""
        raise self.error("Barrier does not exist on this target")

    def loop_head(self, t: str, name: str, low: str, end: str) -> str:
        """The head of a loop that counts ``name`` from ``low`` to before ``end``."""
        return f"for ({t} {name} = {low}; {name} < {end}; {name}++)"

    def array(self, t: str, name: str, size: int) -> str:
        """The statement that declares an array."""
        return f"{t} {name}[{size}];"

    def register_lanes(self, b: Buffer, uses: list[Expr]) -> int:
        """Lanes of the variables that hold a buffer whose indices are all known; 0 for an array."""
        return 4 if all(is_register(u, 4) for u in uses) else 0

    def buffer_stem(self, b: Buffer) -> str:
        """What names of a buffer begin with."""
        stem = "".join(c for c in b.name if c.isalnum() and c.isascii())
        return stem.lstrip("0123456789") or b.scope

    # -- the whole --------------------------------------------------------------------------------

    def text(self) -> Text:
        """The code of the function; raises :class:`CodegenError` when it cannot be expressed."""
        body, head = self.body(), self.head()
        inner = ["  " + line for line in (*self.opening(), *body)]
        helpers = [line for text in self.helpers.values() for line in text.splitlines()]
        # Declarations are asked for last: they depend on the types in all of the rest.
        lines = [*self.declarations(), *helpers, *head, *inner, "}", ""]
        return Text("\n".join(lines), self.shared_bytes)

    # -- memory of the device ---------------------------------------------------------------------

    def load_memory(self, e: Load) -> Value:
        """The value of a load from a parameter or from shared memory. Lanes that the predicate
        turns off may have any value, but must not be read where that does harm."""
        b, index, d = e.buffer, e.indices[-1], e.dtype
        if isinstance(index, Broadcast):
            v = self.load_memory(Load(b, (index.value,)))
            return self.spread(v, d, Load(b, (index.value,)))
        if d.lanes == 1:
            return self.read_element(b, index)
        return self.read_vector(b, index, d) if self.whole(index, b) else self.gather(e)

    def existing(self, b: Buffer, index: Expr) -> Expr:
        """One index of a buffer. A constant outside of it belongs to a lane that is off: any place
        will do, and compilers refuse what they see to be none."""
        k, size = as_int(index), as_int(b.shape[0])
        if k is None or (k >= 0 and (size is None or k < size)):
            return index
        return Const(0 if k < 0 or size is None else max(0, size - 1), INT32)

    def place(self, b: Buffer, index: Expr) -> Value:
        """The text of one index of a buffer."""
        return self.value(self.existing(b, index))

    # -- storage of one thread --------------------------------------------------------------------

    def load(self, e: Load) -> Value:
        """The value of a load, from local memory or that of the device."""
        if e.buffer not in self._local:
            return self.load_memory(e)
        return Value(self._local_text(e.buffer, e.indices[-1]), self.depth, False, False)

    def _local_text(self, b: Buffer, index: Expr) -> str:
        name, lanes = self._local[b]
        n = index.dtype.lanes
        if lanes:
            base = as_int(index.base if isinstance(index, Ramp) else index)
            assert base is not None
            text = f"{name}_{base // lanes}"
            return text if n > 1 or lanes == 1 else self._part(text, base % lanes, b.dtype, lanes)
        places = [bare(self.place(b, self.lane(index, k)).text) for k in range(n)]
        if n == 1:
            return f"{name}[{places[0]}]"
        return self.build(b.dtype.with_lanes(n), [f"{name}[{p}]" for p in places])

    def _part(self, text: str, k: int, d: DType, lanes: int) -> str:
        return self.component(text, k, d.with_lanes(lanes))

    def _alloc(self, s: Alloc) -> None:
        b = s.buffer
        if b.scope == "shared":
            self.shared(s)
            return
        size = as_int(b.shape[0]) if len(b.shape) == 1 else None
        if size is None or size > 4096:
            raise self.error(f"the buffer {b!r} in {b.scope} memory has no place on this target")
        uses = [
            n.indices[-1] for n in walk(s.body) if isinstance(n, Load | Store) and n.buffer is b
        ]
        lanes = self.register_lanes(b, uses)
        name = self.name(self.buffer_stem(b))
        self._local[b] = (name, lanes)
        if lanes:
            t = self.type(b.dtype.with_lanes(lanes))
            for k in range(-(-size // lanes)):
                self.put(self.variable(t, f"{name}_{k}"))
        else:
            self.put(self.array(self.type(b.dtype), name, max(1, size)))
        self.stmt(s.body)

    def _store(self, s: Store) -> None:
        self.count(s.value, s.predicate, *s.indices)
        if s.buffer in self._local:
            self._store_local(s)
        else:
            self.store_memory(s)

    def _store_local(self, s: Store) -> None:
        """A lane that is off is not touched: its place may be another lane's, or none at all."""
        b, index, p = s.buffer, s.indices[-1], s.predicate
        if p is None or is_same(p, True):
            v = self.value(s.value)
            if index.dtype.lanes == 1 or self._local[b][1]:
                self.put(f"{self._local_text(b, index)} = {bare(v.text)};")
            else:
                self._put_local_lanes(s, self.name_type(v, s.value.dtype), None)
        elif is_same(p, False):
            return
        elif p.dtype.lanes == 1:
            with self.when(bare(self.value(p).text)):
                self._store_local(Store(b, s.indices, s.value))
        else:
            self.masks.append(p)
            v = self.value(s.value)
            self.masks.pop()
            if self._local[b][1]:  # lanes of a register are its own
                d = s.value.dtype
                old = Value(self._local_text(b, index), self.depth, False, False)
                v = self.choose(self.value(p), v, old, p.dtype, d)
                self.put(f"{self._local_text(b, index)} = {bare(v.text)};")
            else:
                self._put_local_lanes(s, self.name_type(v, s.value.dtype), p)

    def _put_local_lanes(self, s: Store, v: Value, p: Expr | None) -> None:
        def put(at: str, k: int) -> None:
            part = self.component(v.text, k, s.value.dtype)
            self.put(f"{self._local[s.buffer][0]}[{at}] = {part};")

        self.each_lane(s.buffer, s.indices[-1], p, put)

    def each_lane(
        self, b: Buffer, index: Expr, p: Expr | None, put: Callable[[str, int], None]
    ) -> None:
        """``put(place, k)`` of every lane, in a branch where ``p`` says which are on."""
        for k in range(index.dtype.lanes):
            on = None if p is None else self.lane(p, k)
            if on is not None and is_const(on, False):
                continue
            at = bare(self.place(b, self.lane(index, k)).text)
            if on is None or is_const(on, True):
                put(at, k)
                continue
            with self.when(bare(self.value(on).text)):
                put(at, k)

    # -- statements -------------------------------------------------------------------------------

    def stmt(self, s: Stmt) -> None:
        """Write a statement of a loop nest."""
        while isinstance(s, Let):  # hundreds may stand in a row
            self._let(s)
            s = s.body
        self._statements[type(s)](s)

    def _seq(self, s: Seq) -> None:
        for x in s.stmts:
            self.stmt(x)

    def _let(self, s: Let) -> None:
        self.count(s.value)
        v = self.value(s.value)
        self.vars[s.var] = self.name_type(v, s.var.dtype)
        if s.var.dtype == INT32:
            known = self.analyzer.interval(s.value)
            self.analyzer.bind(s.var, known.lo, known.hi)

    def condition(self, text: str) -> str:
        """The condition of a branch."""
        return text

    def _if(self, s: If) -> None:
        self.count(s.cond)
        cond = self.value(s.cond)
        with self.when(self.condition(bare(cond.text))):
            self.stmt(s.then)
        if s.otherwise is not None:
            with self.otherwise():
                self.stmt(s.otherwise)

    def _for(self, s: For) -> None:
        if s.kind is ForKind.BOUND:
            self.hardware_loop(s)
            return
        if s.kind not in (ForKind.SERIAL, ForKind.PARALLEL):
            raise self.error(f"the loop {s.var.name} is {s.kind.value}")
        self.count(s.minimum, s.extent)
        low, end = self.value(s.minimum), self.value(self.analyzer.simplify(s.minimum + s.extent))
        name, t = self.name("k"), self.type(s.var.dtype)
        head = self.loop_head(t, name, bare(low.text), end.text)
        turns = self.analyzer.interval(s.extent).lo
        a, b = self.analyzer.interval(s.minimum).lo, self.analyzer.interval(s.minimum + s.extent).hi
        self.analyzer.bind(s.var, a, None if b is None else b - 1)
        with self.scope(head, branch=self.lazy and (turns is None or turns < 1)):
            self.vars[s.var] = Value(name, self.depth, True)
            self.stmt(s.body)


def is_register(index: Expr, lanes: int) -> bool:
    """Whether an index names a whole aligned vector or a component at compile time."""
    if isinstance(index, Ramp):
        base = as_int(index.base)
        aligned = base is not None and base % lanes == 0 and is_const(index.stride, 1)
        return aligned and index.lanes == lanes
    return as_int(index) is not None and index.dtype.lanes == 1


def is_contiguous(index: Expr) -> TypeGuard[Ramp]:
    """Whether lanes are neighbours."""
    return isinstance(index, Ramp) and is_const(index.stride, 1)


def is_same(p: Expr, value: bool) -> bool:
    """Whether a condition is ``value`` in all lanes."""
    return is_const(p.value if isinstance(p, Broadcast) else p, value)


__all__ = ["CLike", "is_contiguous", "is_register", "is_same"]
