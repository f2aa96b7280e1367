"""Walking and rewriting expressions and statements.

``Mutator`` returns the *same object* when nothing below it changed, so that a pass which does
nothing costs no memory and identity can be used as "unchanged". Dispatch is one dictionary look-up
on the node's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .expr import (
    Binary,
    Broadcast,
    Call,
    Cast,
    Const,
    Expr,
    IterVar,
    Load,
    Ramp,
    Read,
    Reduce,
    Reinterpret,
    Select,
    Unary,
    Var,
)
from .stmt import Alloc, Barrier, Buffer, For, If, Let, Prefetch, Seq, Stmt, Store

Node = Expr | Stmt


def children(node: Node) -> tuple[Node, ...]:
    """The expressions and statements directly below a node, in evaluation order."""
    return _CHILDREN[type(node)](node)


_CHILDREN: dict[type, Callable[[Any], tuple[Node, ...]]] = {
    Const: lambda n: (),
    Var: lambda n: (),
    IterVar: lambda n: (),
    Unary: lambda n: (n.a,),
    Binary: lambda n: (n.a, n.b),
    Cast: lambda n: (n.value,),
    Reinterpret: lambda n: (n.value,),
    Select: lambda n: (n.cond, n.if_true, n.if_false),
    Call: lambda n: n.args,
    Read: lambda n: n.indices,
    Load: lambda n: n.indices if n.predicate is None else (*n.indices, n.predicate),
    Ramp: lambda n: (n.base, n.stride),
    Broadcast: lambda n: (n.value,),
    Reduce: lambda n: (*n.sources, n.condition),
    Store: lambda n: (*n.indices, n.value) + (() if n.predicate is None else (n.predicate,)),
    For: lambda n: (n.minimum, n.extent, n.body),
    If: lambda n: (n.cond, n.then) if n.otherwise is None else (n.cond, n.then, n.otherwise),
    Seq: lambda n: n.stmts,
    Let: lambda n: (n.value, n.body),
    Alloc: lambda n: (n.body,),
    Barrier: lambda n: (),
    Prefetch: lambda n: n.indices,
}


def walk(node: Node) -> Iterator[Node]:
    """Every node below and including ``node``, parents first."""
    stack = [node]
    while stack:
        n = stack.pop()
        yield n
        stack.extend(reversed(_CHILDREN[type(n)](n)))


def variables(node: Node) -> set[Var]:
    """All variables that occur in ``node``, bound ones included."""
    return {n for n in walk(node) if isinstance(n, Var)}


class Mutator:
    """Rewrites a tree bottom-up. Subclasses override ``visit_<NodeType>`` methods (for example
    ``visit_Load``) and call ``self.rebuild(node)`` for the default: children first, then the node
    again if a child changed."""

    def __init__(self) -> None:
        self._table: dict[type, Callable[[Any], Any]] = {}

    def __call__(self, node: Any) -> Any:
        t = type(node)
        method = self._table.get(t)
        if method is None:
            method = getattr(self, f"visit_{t.__name__}", self.rebuild)
            self._table[t] = method
        return method(node)

    def rebuild(self, node: Any) -> Any:
        """``node`` with its children rewritten; the same object where none of them changed."""
        return _REBUILD[type(node)](node, self)


def _many(nodes: tuple, f: Callable) -> tuple:
    new = tuple(f(n) for n in nodes)
    return nodes if all(a is b for a, b in zip(new, nodes)) else new


def _select(n: Select, f: Callable) -> Expr:
    c, t, e = f(n.cond), f(n.if_true), f(n.if_false)
    return n if c is n.cond and t is n.if_true and e is n.if_false else Select(c, t, e)


def _load(n: Load, f: Callable) -> Expr:
    i = _many(n.indices, f)
    p = None if n.predicate is None else f(n.predicate)
    return n if i is n.indices and p is n.predicate else Load(n.buffer, i, p)


def _reduce(n: Reduce, f: Callable) -> Expr:
    s, c = _many(n.sources, f), f(n.condition)
    if s is n.sources and c is n.condition:
        return n
    return Reduce(n.reducer, s, n.axes, c, n.index)


def _store(n: Store, f: Callable) -> Stmt:
    i, v = _many(n.indices, f), f(n.value)
    p = None if n.predicate is None else f(n.predicate)
    same = i is n.indices and v is n.value and p is n.predicate
    return n if same else Store(n.buffer, i, v, p)


def _for(n: For, f: Callable) -> Stmt:
    lo, ext, body = f(n.minimum), f(n.extent), f(n.body)
    if lo is n.minimum and ext is n.extent and body is n.body:
        return n
    return For(n.var, lo, ext, n.kind, body, n.tag, n.pragmas)


def _if(n: If, f: Callable) -> Stmt:
    c, t = f(n.cond), f(n.then)
    e = None if n.otherwise is None else f(n.otherwise)
    same = c is n.cond and t is n.then and e is n.otherwise
    return n if same else If(c, t, e, n.likely)


def _one(make: Callable[[Any, Any], Any], attr: str) -> Callable[[Any, Callable], Any]:
    def rebuild(n: Any, f: Callable) -> Any:
        old = getattr(n, attr)
        new = f(old)
        return n if new is old else make(n, new)

    return rebuild


def _two(make: Callable[[Any, Any, Any], Any], a: str, b: str) -> Callable[[Any, Callable], Any]:
    def rebuild(n: Any, f: Callable) -> Any:
        x, y = getattr(n, a), getattr(n, b)
        u, v = f(x), f(y)
        return n if u is x and v is y else make(n, u, v)

    return rebuild


def _tuple(make: Callable[[Any, tuple], Any], attr: str) -> Callable[[Any, Callable], Any]:
    def rebuild(n: Any, f: Callable) -> Any:
        old = getattr(n, attr)
        new = _many(old, f)
        return n if new is old else make(n, new)

    return rebuild


def _leaf(n: Any, f: Callable) -> Any:
    return n


_REBUILD: dict[type, Callable[[Any, Callable], Any]] = {
    Const: _leaf,
    Var: _leaf,
    IterVar: _leaf,
    Unary: _one(lambda n, a: Unary(n.op, a), "a"),
    Binary: _two(lambda n, a, b: Binary(n.op, a, b), "a", "b"),
    Cast: _one(lambda n, v: Cast(v, n.dtype), "value"),
    Reinterpret: _one(lambda n, v: Reinterpret(v, n.dtype), "value"),
    Select: _select,
    Call: _tuple(lambda n, args: Call(n.name, args, n.dtype), "args"),
    Read: _tuple(lambda n, i: Read(n.tensor, i), "indices"),
    Load: _load,
    Ramp: _two(lambda n, b, s: Ramp(b, s, n.lanes), "base", "stride"),
    Broadcast: _one(lambda n, v: Broadcast(v, n.lanes), "value"),
    Reduce: _reduce,
    Store: _store,
    For: _for,
    If: _if,
    Seq: _tuple(lambda n, s: Seq(s), "stmts"),
    Let: _two(lambda n, v, b: Let(n.var, v, b), "value", "body"),
    Alloc: _one(lambda n, b: Alloc(n.buffer, b), "body"),
    Barrier: _leaf,
    Prefetch: _tuple(lambda n, i: Prefetch(n.buffer, i), "indices"),
}


class _Substitute(Mutator):
    def __init__(self, mapping: Mapping[Var, Expr]):
        super().__init__()
        self.mapping = mapping

    def visit_Var(self, v: Var) -> Expr:
        return self.mapping.get(v, v)

    visit_IterVar = visit_Var


def substitute(node: Any, mapping: Mapping[Any, Expr]) -> Any:
    """``node`` with variables (the keys) replaced; loop variables are not renamed."""
    return _Substitute(mapping)(node) if mapping else node


def structural_equal(a: Node, b: Node) -> bool:
    """Whether two trees are the same up to the names of the variables that their loops, lets and
    reductions bind. Free variables, tensors and buffers are compared by identity, but buffers that
    an Alloc inside the trees introduces correspond by position."""
    return _Equal().equal(a, b)


class _Equal:
    def __init__(self) -> None:
        self.pairs: dict[object, object] = {}

    def same(self, a: object, b: object) -> bool:
        return self.pairs.get(a, a) is b

    def equal(self, a: Any, b: Any) -> bool:
        if type(a) is not type(b) or getattr(a, "dtype", None) != getattr(b, "dtype", None):
            return False
        if isinstance(a, Var):
            return self.same(a, b)
        if isinstance(a, Const):
            return a.value == b.value or (a.value != a.value and b.value != b.value)
        if not (self.bind(a, b) and self.same_fields(a, b)):
            return False
        x, y = children(a), children(b)
        return len(x) == len(y) and all(map(self.equal, x, y))

    def bind(self, a: Any, b: Any) -> bool:
        """Pair what two nodes of one type introduce; False where that differs in kind."""
        if isinstance(a, For | Let):
            self.pairs[a.var] = b.var
        elif isinstance(a, Alloc):
            self.pairs[a.buffer] = b.buffer
            return (a.buffer.dtype, a.buffer.scope) == (b.buffer.dtype, b.buffer.scope)
        elif isinstance(a, Reduce):
            self.pairs.update(zip(a.axes, b.axes))
            return a.reducer is b.reducer and a.index == b.index and len(a.axes) == len(b.axes)
        return True

    def same_fields(self, a: Any, b: Any) -> bool:
        """Whether what is no child of two nodes of one type is the same."""
        plain = ("op", "name", "kind", "tag", "scope", "lanes", "likely")
        things = ("buffer", "tensor")
        return (
            all(getattr(a, k, None) == getattr(b, k, None) for k in plain)
            and all(self.same(getattr(a, k, None), getattr(b, k, None)) for k in things)
            and dict(getattr(a, "pragmas", {})) == dict(getattr(b, "pragmas", {}))
        )


def uses_buffer(node: Node, buffer: Buffer) -> bool:
    """Whether ``node`` loads from or stores to ``buffer``."""
    return any(isinstance(n, Load | Store) and n.buffer is buffer for n in walk(node))
