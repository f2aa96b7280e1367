"""Memory outside of which nothing may be read: what lies behind a condition is read in a branch.

y[i] = select(i > 0, x[i - 1], 0)
->
float s1;
if (i > 0) {
  s1 = x[i - 1];
} else {
  s1 = 0.0f;
}

A vector of which lanes may be off is read as a whole where all are on, which is the rule, and lane
by lane elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from ...ir.alu import Op
from ...ir.expr import Binary, Broadcast, Const, Expr, Load, Ramp, Select, Unary, is_const
from ...ir.stmt import Buffer, Function
from ...ir.target import Target
from ...ir.visit import children, structural_equal
from ...runtime.dtype import DType
from .scopes import Value, bare
from .statements import is_same
from .workgroup import Workgroup


class Guarded(Workgroup):
    """The body of one kernel in a language that does not keep reads inside of buffers."""

    lazy = True

    def __init__(self, f: Function, target: Target):
        self._inside: dict[Expr, bool] = {}
        super().__init__(f, target)
        self.guards: list[Expr] = []  # vector conditions under which something is computed

    # -- hooks ------------------------------------------------------------------------------------

    def element_text(self, b: Buffer, at: str) -> str:
        """The text of one element."""
        raise NotImplementedError

    def vector_text(self, b: Buffer, index: Ramp, at: str, d: DType) -> str:
        """The text of a vector that begins at ``at``."""
        raise NotImplementedError

    # -- loads ------------------------------------------------------------------------------------

    def read_element(self, b: Buffer, index: Expr) -> Value:
        at = self.place(b, index)
        return self._read(self.element_text(b, bare(at.text)), at, b, b.dtype)

    def read_vector(self, b: Buffer, index: Ramp, d: DType) -> Value:
        at = self.value(index.base)
        return self._read(self.vector_text(b, index, at.text, d), at, b, d)

    def _read(self, text: str, at: Value, b: Buffer, d: DType) -> Value:
        return self.read(at.with_text(text, atom=False), b, self.type(d))

    def select(self, e: Select) -> Value:
        """A vector condition guards what its arms read, lane by lane."""
        c = e.cond
        if c.dtype.lanes == 1 or not self.must_branch(e):
            return super().select(e)
        cond = self.name_type(self.value(c), c.dtype)
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
        return not (self._reads_inside(e.if_true) and self._reads_inside(e.if_false))

    def count(self, *roots: Expr | None) -> None:
        super().count(*roots)
        self._inside.clear()  # loops may have begun or ended

    def _reads_inside(self, e: Expr) -> bool:
        """Whether all that ``e`` may read lies inside of its buffer."""
        found = self._inside.get(e)
        if found is None:
            found = not isinstance(e, Load) or self.inside(e)
            for c in children(e):
                assert isinstance(c, Expr)
                found = found and self._reads_inside(c)
            self._inside[e] = found
        return found

    def _load(self, e: Load) -> Value:
        p = e.predicate
        if p is None or p.dtype.lanes > 1 or is_const(p, True):
            return super()._load(e)
        zero: Expr = Const(False if e.dtype.is_bool else 0, e.dtype.element)
        zero = zero if e.dtype.lanes == 1 else Broadcast(zero, e.dtype.lanes)
        return self.select(Select(p, Load(e.buffer, e.indices), zero))

    def load(self, e: Load) -> Value:
        """Lanes that are off are not read from the arrays of a thread, either."""
        b, d = e.buffer, e.dtype
        if b not in self._local or self._local[b][1] or d.lanes == 1 or self.inside(e):
            return super().load(e)
        p = self._whole_mask(e.predicate)
        if p is None:
            return super().load(e)
        name = self._local[b][0]
        return self.name_type(
            Value(self._lanes_where(e, p, lambda at: f"{name}[{at}]"), self.depth, False, False),
            d,
        )

    def load_memory(self, e: Load) -> Value:
        if not self.inside(e):
            p, d = self._whole_mask(e.predicate), e.dtype
            if p is not None and is_same(p, False):
                return self.zero(d)
            if p is not None:
                return self._masked_load(e, p) if d.lanes > 1 else self._any_lane(e, p)
        return super().load_memory(e)

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
        mask = self.name_type(self.value(p), p.dtype)
        name = self.name("m")
        self.put(self.variable(self.type(e.dtype), name, self.literal(0, e.dtype)))
        with self.when(f"any({mask.text})"):
            at = self.value(e.indices[-1])
            self.put(f"{name} = {bare(self.element_text(e.buffer, bare(at.text)))};")
        return Value(name, self.depth, True)

    def _masked_load(self, e: Load, p: Expr) -> Value:
        """Lanes that are off are not read. Where all are on, which is the rule, the vector is read
        as a whole."""
        b, index, d = e.buffer, e.indices[-1], e.dtype
        mask = self.name_type(self.value(p), p.dtype)
        name = self.name("m")
        self.put(self.variable(self.type(d), name))
        if self.whole(index, b):
            with self.when(f"all({mask.text})"):
                at = self.value(index.base)
                self.put(f"{name} = {bare(self.vector_text(b, index, at.text, d))};")
            with self.otherwise():
                self._lanes_into(name, e, p)
        else:
            self._lanes_into(name, e, p)
        return Value(name, self.depth, True)

    def _lanes_into(self, name: str, e: Load, p: Expr) -> None:
        text = self._lanes_where(e, p, lambda at: self.element_text(e.buffer, at))
        self.put(f"{name} = {text};")

    def _lanes_where(self, e: Load, p: Expr, element: Callable[[str], str]) -> str:
        """The vector of elements in the lanes where ``p`` holds, 0 elsewhere."""
        index, d = e.indices[-1], e.dtype
        zero, lanes = self.literal(0, d.element), []
        for k in range(d.lanes):
            on, at = self.value(self.lane(p, k)), self.place(e.buffer, self.lane(index, k))
            lanes.append(self.choice(d.element).format(on.text, element(bare(at.text)), zero))
        return self.build(d, lanes)


def _implies(p: Expr, guard: Expr) -> bool:
    """Whether ``guard`` is one of the conditions that ``p`` is made of."""
    if isinstance(p, Binary) and p.op is Op.AND:
        return _implies(p.a, guard) or _implies(p.b, guard)
    return p is guard or structural_equal(p, guard)


__all__ = ["Guarded"]
