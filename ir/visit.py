"""Walking and rewriting expressions and statements.

An expression is a graph: a value that is used twice is one object below two parents, and written
out as a tree a chain of such values doubles with every link. So whatever goes over expressions
looks at each node once, by identity: :func:`walk` yields it once, :class:`Mutator` rewrites it once
in a statement, and :func:`tally` adds up what the tree would hold without writing it out.

``Mutator`` returns the *same object* when nothing below it changed, so that a pass which does
nothing costs no memory and identity can be used as "unchanged". Dispatch is one dictionary look-up
on the node's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

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
from .identity import same_objects
from .stmt import Alloc, Barrier, Buffer, For, ForeignCall, If, Let, Prefetch, Seq, Stmt, Store

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
    # The ends of its axes may read tensors; a rewriter leaves them, which are whose axes they are.
    Reduce: lambda n: (
        *n.sources,
        n.condition,
        *(e for a in n.axes for e in (a.minimum, a.extent)),
    ),
    Store: lambda n: (*n.indices, n.value) + (() if n.predicate is None else (n.predicate,)),
    For: lambda n: (n.minimum, n.extent, n.body),
    If: lambda n: (n.cond, n.then) if n.otherwise is None else (n.cond, n.then, n.otherwise),
    Seq: lambda n: n.stmts,
    Let: lambda n: (n.value, n.body),
    Alloc: lambda n: (n.body,),
    Barrier: lambda n: (),
    Prefetch: lambda n: n.indices,
    ForeignCall: lambda n: n.args,
}


def walk(node: Node) -> Iterator[Node]:
    """Every node below and including ``node`` once, parents first, in the order of the text."""
    stack = [node]
    seen: set[Node] = set()
    while stack:
        n = stack.pop()
        if n not in seen:
            seen.add(n)
            yield n
            stack.extend(reversed(_CHILDREN[type(n)](n)))


def bottom_up(roots: Iterable[Node]) -> list[Node]:
    """Every node below and including ``roots`` once, children first."""
    done: dict[Node, None] = {}
    stack = list(roots)
    stack.reverse()
    while stack:
        n = stack[-1]
        below = [c for c in _CHILDREN[type(n)](n) if c not in done] if n not in done else ()
        if below:
            stack.extend(reversed(below))
        else:
            done[stack.pop()] = None
    return list(done)


def tally(node: Node, weight: Callable[[Any], int]) -> int:
    """The sum of ``weight`` over the tree: what is used several times counts each time. A number
    of hundreds of digits takes no longer than a small one."""
    total: dict[Node, int] = {}
    for n in bottom_up([node]):
        total[n] = weight(n) + sum([total[c] for c in _CHILDREN[type(n)](n)])
    return total[node]


def variables(node: Node) -> set[Var]:
    """All variables that occur in ``node``, bound ones included."""
    return {n for n in walk(node) if isinstance(n, Var)}


_LEAVES = frozenset({Const, Var, IterVar})
_INNER = frozenset(t for t in _CHILDREN if issubclass(t, Expr)) - _LEAVES


class Mutator:
    """Rewrites bottom-up. Subclasses override ``visit_<NodeType>`` methods (for example
    ``visit_Load``) and call ``self.rebuild(node)`` for the default: children first, then the node
    again if a child changed.

    Within one statement an expression is rewritten once and stays one object where it was one. What
    a subclass knows may change from statement to statement; where it changes inside of an
    expression (the arms of a select) the subclass says so with :meth:`apart`.
    """

    # By type of node. It is the class's: methods bound to an object that holds them are a cycle.
    _methods: ClassVar[dict[type, Callable[[Any, Any], Any]]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls._methods = {}

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}  # expressions of the current statement, rewritten

    def __call__(self, node: Any) -> Any:
        t = type(node)
        method = self._methods.get(t)
        if method is None:
            kind = type(self)
            method = getattr(kind, f"visit_{t.__name__}", kind.rebuild)
            self._methods[t] = method
        if t in _INNER:
            new = self._made.get(node)
            if new is None:
                new = method(self, node)
                self._made[node] = new
            return new
        if t in _LEAVES:
            return method(self, node)
        self._made = {}
        new = method(self, node)
        self._made = {}
        return new

    def visit_Let(self, s: Let) -> Any:
        """Without recursion from let to let: hundreds may stand in a row."""
        stack: list[tuple[Let, Sequence[tuple[Var, Expr]]]] = []
        body: Stmt = s
        while isinstance(body, Let):
            stack.append((body, self.lets(body)))
            self._made = {}
            body = body.body
        body = self(body)
        for let, made in reversed(stack):
            if body is let.body and len(made) == 1 and same_objects(made[0], (let.var, let.value)):
                body = let
                continue
            for var, value in reversed(made):
                body = Let(var, value, body)
        return body

    def lets(self, s: Let) -> Sequence[tuple[Var, Expr]]:
        """What becomes of the variable of a let and its value: :meth:`visit_Let` asks for it before
        it goes on to the body."""
        return ((s.var, self(s.value)),)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is rewritten inside of a ``with`` block is not that of the same node outside."""
        outer, self._made = self._made, {}
        try:
            yield
        finally:
            self._made = outer

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
    Alloc: _one(lambda n, b: Alloc(n.buffer, b), "body"),
    Barrier: _leaf,
    Prefetch: _tuple(lambda n, i: Prefetch(n.buffer, i), "indices"),
    ForeignCall: _tuple(lambda n, a: ForeignCall(n.function, a, n.modes), "args"),
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
        self.known: set[tuple[Expr, Expr]] = set()  # inner nodes that were found equal

    def same(self, a: object, b: object) -> bool:
        return self.pairs.get(a, a) is b

    def equal(self, a: Any, b: Any) -> bool:
        if type(a) is not type(b) or getattr(a, "dtype", None) != getattr(b, "dtype", None):
            return False
        if isinstance(a, Var):
            return self.same(a, b)
        if isinstance(a, Const):
            return a.value == b.value or (a.value != a.value and b.value != b.value)
        inner = type(a) in _INNER
        if inner and (a, b) in self.known:
            return True
        if not (self.bind(a, b) and self.same_fields(a, b)):
            return False
        x, y = children(a), children(b)
        same = len(x) == len(y) and all(map(self.equal, x, y))
        if same and inner:
            self.known.add((a, b))
        return same

    def bind(self, a: Any, b: Any) -> bool:
        """Pair what two nodes of one type introduce; False where that differs in kind."""
        if isinstance(a, For | Let | Alloc | Reduce):
            self.known.clear()  # names may stand for other things now
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
        plain = ("op", "name", "kind", "tag", "scope", "lanes", "likely", "function", "modes")
        things = ("buffer", "tensor")
        return (
            all(getattr(a, k, None) == getattr(b, k, None) for k in plain)
            and all(self.same(getattr(a, k, None), getattr(b, k, None)) for k in things)
            and dict(getattr(a, "pragmas", {})) == dict(getattr(b, "pragmas", {}))
        )


def written_by(node: Node) -> tuple[Buffer, ...]:
    """The buffers that a statement itself writes, or may write."""
    if isinstance(node, Store):
        return (node.buffer,)
    return node.writes if isinstance(node, ForeignCall) else ()


def uses_buffer(node: Node, buffer: Buffer) -> bool:
    """Whether ``node`` loads from or stores to ``buffer``."""
    return any(isinstance(n, Load | Store) and n.buffer is buffer for n in walk(node))
