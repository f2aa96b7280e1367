"""``reuse_storage``: scratch buffers that are never alive together share one piece of storage.

    alloc T0; alloc T1; alloc T2                  alloc T0; alloc T1
    T0 = f(A); T1 = g(T0); T2 = h(T1); B = T2  -> T0 = f(A); T1 = g(T0); T0 = h(T1); B = T0

Statements are numbered in order. A buffer lives from its first to its last access, over the whole
of every loop that it is accessed in but declared outside of. Intervals are coloured greedily by
their start, which is optimal for equal sizes (Poletto & Sarkar, "Linear Scan Register Allocation").
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..expr import Load, as_int
from ..stmt import Alloc, Buffer, For, ForKind, Function, Stmt, Store
from ..target import Target
from ..visit import Mutator, children, walk

# Smaller scratch may live in registers, where sharing an address only hinders the code generator.
MIN_BYTES = 4096


def reuse_storage(f: Function, target: Target) -> Function:
    """Let Allocs of constant size, one dtype and one scope share storage where lifetimes allow.

    Works on flat buffers, and before flattening on buffers with one axis. Only Allocs of the same
    thread and loop are considered: none lies inside a parallel, bound, vectorized or unrolled loop
    that the other is outside of.
    """
    body = _Regions()(f.body)
    return f.with_body(body)


@dataclass
class _Life:
    """An Alloc and the numbers of the first and last statement that use it."""

    alloc: Alloc
    first: int
    last: int

    @property
    def size(self) -> int:
        return as_int(self.alloc.buffer.shape[0]) or 0


class _Regions(Mutator):
    """Finds regions that one thread runs (a function's body, a parallel loop's body), inner ones
    first, and shares storage in each."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def __call__(self, node):
        if self.depth or not isinstance(node, Stmt):
            return super().__call__(node)
        self.depth += 1
        node = super().__call__(node)
        self.depth -= 1
        return _share(node)

    def visit_For(self, s: For) -> Stmt:
        if s.kind is ForKind.SERIAL:
            return self.rebuild(s)
        outer, self.depth = self.depth, 0
        new = self.rebuild(s)
        self.depth = outer
        return new

    def visit_Store(self, s: Store) -> Stmt:
        return s  # no statement below


def _share(region: Stmt) -> Stmt:
    while True:  # a merge rebuilds the region, so lifetimes are taken anew after each
        group = _find_group(_lifetimes(region))
        if group is None:
            return region
        region = _merge(region, group)


def _find_group(lives: list[_Life]) -> list[_Life] | None:
    """The first slot that more than one buffer fits into."""
    slots: list[list[_Life]] = []
    for life in sorted(lives, key=lambda x: (x.first, -x.size)):
        fitting = [g for g in slots if _can_join(g, life)]
        if fitting:  # the slot whose size is nearest wastes least
            min(fitting, key=lambda g: abs(max(x.size for x in g) - life.size)).append(life)
        else:
            slots.append([life])
    return next((g for g in slots if len(g) > 1), None)


def _can_join(group: list[_Life], life: _Life) -> bool:
    a, b = group[0].alloc.buffer, life.alloc.buffer
    same_kind = a.dtype == b.dtype and a.scope == b.scope
    return same_kind and all(x.last < life.first or life.last < x.first for x in group)


def _shareable(b: Buffer) -> bool:
    size = as_int(b.shape[0]) if len(b.shape) == 1 and b.layout is None else None
    return size is not None and size * b.dtype.bytes >= MIN_BYTES


def _lifetimes(region: Stmt) -> list[_Life]:
    """The shareable Allocs of a region with their lifetimes; unused ones are left out."""
    lives: list[_Life] = []
    alive: dict[Buffer, _Life] = {}
    clock = 0

    def use(b: Buffer, at: int) -> None:
        life = alive.get(b)
        if life is not None:
            life.first = at if life.first < 0 else life.first
            life.last = max(life.last, at)

    def visit(s: Stmt, here: bool) -> None:
        nonlocal clock
        if isinstance(s, Alloc) and here and _shareable(s.buffer):
            life = _Life(s, -1, -1)
            outer = alive.get(s.buffer)
            alive[s.buffer] = life
            visit(s.body, here)
            if outer is None:
                del alive[s.buffer]
            if life.first >= 0:
                lives.append(life)
            return
        clock += 1
        for c in children(s):
            if not isinstance(c, Stmt):
                for e in walk(c):
                    if isinstance(e, Load):
                        use(e.buffer, clock)
        if isinstance(s, Store):
            use(s.buffer, clock)
        if isinstance(s, For):
            _loop(s, here)
            return
        for c in children(s):
            if isinstance(c, Stmt):
                visit(c, here)

    def _loop(s: For, here: bool) -> None:
        nonlocal clock
        start = clock
        outside = dict(alive)
        visit(s.body, here and s.kind is ForKind.SERIAL)
        clock += 1
        for b, life in outside.items():
            if life.last > start:  # used in the loop: alive in all its iterations
                life.first = min(life.first, start)
                use(b, clock)

    visit(region, True)
    return lives


def _merge(region: Stmt, group: list[_Life]) -> Stmt:
    """Put one Alloc for the group around the smallest statement that holds all of its Allocs."""
    size = max(group, key=lambda x: x.size).alloc.buffer
    first = group[0].alloc.buffer
    align = max(x.alloc.buffer.alignment for x in group)
    shared = replace(first, shape=size.shape, alignment=align)
    return _Merge({id(x.alloc) for x in group}, shared)(region)


class _Merge(Mutator):
    def __init__(self, allocs: set[int], shared: Buffer):
        super().__init__()
        self.allocs, self.shared = allocs, shared
        self.inside: dict[Buffer, int] = {}
        self.placed = False

    def __call__(self, node):
        if self.placed or not isinstance(node, Stmt):
            return super().__call__(node)
        held = [c for c in children(node) if isinstance(c, Stmt) and self._holds(c)]
        here = id(node) in self.allocs or len(held) > 1
        if not here or not self._holds(node):
            return super().__call__(node)
        self.placed = True
        return Alloc(self.shared, super().__call__(node))

    def _holds(self, s: Stmt) -> bool:
        return any(id(n) in self.allocs for n in walk(s))

    def visit_Alloc(self, s: Alloc) -> Stmt:
        if id(s) not in self.allocs:
            return self.rebuild(s)
        count = self.inside.get(s.buffer, 0)
        self.inside[s.buffer] = count + 1
        body = self(s.body)
        self.inside[s.buffer] = count
        return body

    def visit_Load(self, e: Load) -> Load:
        new = self.rebuild(e)
        if self.inside.get(e.buffer):
            return Load(self.shared, new.indices, new.predicate)
        return new

    def visit_Store(self, s: Store) -> Stmt:
        new = self.rebuild(s)
        if self.inside.get(s.buffer):
            return Store(self.shared, new.indices, new.value, new.predicate)
        return new
