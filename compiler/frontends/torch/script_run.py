"""Following a method of TorchScript while the graph is made: see ``script.py``."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ....runtime.errors import ModelError, UnsupportedError
from ..model import FileNode
from ..warn import warn
from .context import Name, Row, TorchContext
from .mutation import VIEWS
from .pickles import Record, Stored
from .program import ScalarType
from .script import Script, part_of
from .script_values import C10, LISTS, PYTHON, SAME

MOST_STEPS = 1 << 20  # statements of one method, loops unrolled
MOST_ADDED = 1 << 15  # operators, loops unrolled
MOST_DEEP = 64  # calls inside of calls
_VIEW_NAMES = {v.partition(".")[0] for v in VIEWS}


class T:
    """A tensor of the code, by its name in the graph; what changes it in place renames it.
    ``shared``: it is a view, or has views, which weft does not follow here."""

    def __init__(self, name: str, shared: bool = False):
        self.name, self.shared = name, shared


class _Return(Exception):
    def __init__(self, value: Any):
        self.value = value


@dataclass(frozen=True)
class _Function:
    """A function of the archive, or a class, by its qualified name."""

    path: str


class Run:
    """One run of a method. ``table`` has the converters by overload."""

    def __init__(self, n: TorchContext, script: Script, table: dict[str, Row]):
        self.n, self.script, self.table = n, script, table
        self.constants = script.constants()
        self.steps, self.added, self.deep = 0, 0, 0
        self.tensors: dict[int, T] = {}
        self.kept: list[Any] = []  # so that no number of an object is given twice
        self.warned = False
        self.packets: dict[str, list[Row]] = {}
        for key, row in table.items():
            rows = self.packets.setdefault(key.partition(".")[0], [])
            if row not in rows:
                rows.append(row)

    # -- functions and statements

    def call(self, f: ast.FunctionDef, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
        """What a function of the archive returns."""
        names = [a.arg for a in f.args.args]
        local = {**dict(zip(names, args)), **keywords}
        for name, default in zip(names[len(names) - len(f.args.defaults) :], f.args.defaults):
            if name not in local:
                local[name] = self.value(default, {})
        if len(args) > len(names) or set(names) - local.keys():
            self.n.error(f"{f.name} is called with other arguments than it has.")
        self.deep += 1
        if self.deep > MOST_DEEP:
            self.n.unsupported(f"calls that are nested deeper than {MOST_DEEP}")
        try:
            self.block(f.body, local)
        except _Return as e:
            return e.value
        finally:
            self.deep -= 1
        return None

    def block(self, body: Sequence[ast.stmt], local: dict[str, Any]) -> None:
        """Follow statements one after another."""
        for s in body:
            self.steps += 1
            if self.steps > MOST_STEPS:
                self.n.unsupported(f"code of more than {MOST_STEPS} steps")
            self.statement(s, local)

    def statement(self, s: ast.stmt, local: dict[str, Any]) -> None:
        """Follow one statement."""
        if isinstance(s, ast.Assign) and len(s.targets) == 1:
            count = len(s.targets[0].elts) if isinstance(s.targets[0], ast.Tuple) else None
            self.assign(s.targets[0], self.value(s.value, local, count), local)
        elif isinstance(s, ast.AnnAssign):
            if s.value is not None:
                self.assign(s.target, self.value(s.value, local), local)
        elif isinstance(s, ast.Expr):
            self.value(s.value, local)
        elif isinstance(s, ast.If):
            self.block(s.body if self.truth(self.value(s.test, local)) else s.orelse, local)
        elif isinstance(s, ast.For):
            for item in self.items(self.value(s.iter, local)):
                self.assign(s.target, item, local)
                self.block(s.body, local)
        elif isinstance(s, ast.While):
            while self.truth(self.value(s.test, local)):
                self.block(s.body, local)
        elif isinstance(s, ast.With):
            self.block(s.body, local)  # no_grad, profiling: nothing that an answer shows
        elif isinstance(s, ast.Return):
            raise _Return(None if s.value is None else self.value(s.value, local))
        elif not isinstance(s, ast.Pass):
            self.n.unsupported(f"the statement {type(s).__name__}")

    def assign(self, target: ast.expr, value: Any, local: dict[str, Any]) -> None:
        """Let a name, an attribute, or several of them be a value."""
        if isinstance(target, ast.Name):
            local[target.id] = value
        elif isinstance(target, ast.Tuple):
            values = self.items(value)
            if len(values) != len(target.elts):
                self.n.error(f"{len(values)} values for {len(target.elts)} names.")
            for t, v in zip(target.elts, values):
                self.assign(t, v, local)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, local)
            if not isinstance(owner, Record):
                self.n.error("an attribute of what has none.")
            owner.state[target.attr] = value
            if isinstance(value, T) and not self.warned:
                self.warned = True
                warn(f"{self.n.where}: the module keeps {target.attr!r} from call to call; weft's "
                     "graph answers every call as the first one.", 4)  # fmt: skip
        else:
            self.n.unsupported(f"an assignment to {type(target).__name__}")

    def items(self, value: Any) -> list[Any]:
        """The items of a list, or of a tensor along its first axis."""
        if isinstance(value, T):
            n = self.n
            count = n.shape(value.name)[0] if n.rank(value.name) else 0
            return [self.operator("select", [value, 0, k], {}, None) for k in range(count)]
        if not isinstance(value, list | tuple | range):
            self.n.error("it takes items of what has none.")
        return list(value)

    def truth(self, value: Any) -> bool:
        """What a condition is, which must be known."""
        return bool(self.number(value) if isinstance(value, T) else value)

    def number(self, value: T) -> Any:
        """The one number of a tensor, which must be known."""
        known = self.n.value_of(value.name)
        if known is None or known.size != 1:
            self.n.unsupported("a branch or a number that only data decides")
        return known.reshape(()).item()

    # -- expressions

    def value(  # noqa: PLR0911 - a kind of expression each
        self, e: ast.expr, local: dict[str, Any], count: int | None = None
    ) -> Any:
        """What an expression is; ``count``: how many values are taken of it."""
        if isinstance(e, ast.Constant):
            return e.value
        if isinstance(e, ast.Name):
            return self.variable(e.id, local)
        if isinstance(e, ast.Attribute):
            return self.attribute(e, local)
        if isinstance(e, ast.Call):
            return self.called(e, local, count)
        if isinstance(e, ast.List):
            return [self.value(x, local) for x in e.elts]
        if isinstance(e, ast.Tuple):
            return tuple(self.value(x, local) for x in e.elts)
        if isinstance(e, ast.Subscript):
            owner, key = self.value(e.value, local), self.value(e.slice, local)
            if not isinstance(owner, list | tuple | dict | str):
                self.n.error("an item of what has none.")
            return owner[key]
        if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
            return -self.value(e.operand, local)
        if isinstance(e, ast.IfExp):
            chosen = e.body if self.truth(self.value(e.test, local)) else e.orelse
            return self.value(chosen, local)
        if isinstance(e, ast.Dict) and None not in e.keys:
            return {self.value(k, local): self.value(v, local)
                    for k, v in zip(e.keys, e.values) if k is not None}  # fmt: skip
        return self.n.unsupported(f"the expression {type(e).__name__}")

    def variable(self, name: str, local: dict[str, Any]) -> Any:
        """The value of a name."""
        if name in local:
            return self.tensor(local[name])
        known = {"inf": math.inf, "nan": math.nan}
        if name not in known:
            self.n.error(f"the code reads {name!r} before it is set.")
        return known[name]

    def tensor(self, value: Any) -> Any:
        """A stored tensor as one of the graph, the same each time."""
        if not isinstance(value, Stored):
            return value
        if id(value) not in self.tensors:
            self.kept.append(value)
            array = value.numpy(self.script.where)
            self.tensors[id(value)] = T(self.n.constant(array))
        return self.tensors[id(value)]

    def attribute(self, e: ast.Attribute, local: dict[str, Any]) -> Any:
        """An attribute, a function of the archive, or one of its constants."""
        path = _dotted(e)
        if path and path.startswith("__torch__."):
            return _Function(path)
        if path and path.startswith("CONSTANTS.c") and path[11:].isdigit():
            return self.tensor(self.constants[int(path[11:])])
        return self.member(self.value(e.value, local), e.attr)

    def member(self, owner: Any, name: str) -> Any:
        """An attribute of an object, stored or stated by its class."""
        if not isinstance(owner, Record):
            self.n.error(f"{name!r} is asked of what has no attributes.")
        if name in owner.state:
            return self.tensor(owner.state[name])
        stated = self.script.constant(owner.kind, name)
        if stated is None:
            self.n.error(f"{owner.kind} has no {name!r}.")
        return self.value(stated, {})

    # -- calls

    def called(  # noqa: PLR0911 - a kind of call each
        self, e: ast.Call, local: dict[str, Any], count: int | None
    ) -> Any:
        """What a call returns; ``count`` as for :meth:`value`."""
        path = _dotted(e.func)
        if path in ("annotate", "unchecked_cast"):
            return self.value(e.args[1], local)
        if path in ("uninitialized", "ops.prim.device"):
            return None
        args = [self.value(a, local) for a in e.args]
        keywords = {k.arg: self.value(k.value, local) for k in e.keywords if k.arg}
        if isinstance(e.func, ast.Attribute):
            if path and path.startswith(("torch.", "ops.")) and path.partition(".")[0] not in local:
                return self.builtin(e.func.attr, args, keywords, count)
            if path is None or not path.startswith("__torch__."):
                owner = self.value(e.func.value, local)
                return self.method(owner, e.func.attr, args, keywords)
        if path and path not in local and not path.startswith("__torch__."):
            return self.python(path, args)
        function = self.value(e.func, local)
        if not isinstance(function, _Function):
            self.n.error("the code calls what is no function.")
        owner, _, name = function.path.rpartition(".")
        if name == "__new__":
            return Record(owner)
        f = self.script.named(function.path)
        if not isinstance(f, ast.FunctionDef):
            self.n.unsupported(f"objects of {function.path}")
        return self.call(f, args, keywords)

    def method(self, owner: Any, name: str, args: list[Any], keywords: dict[str, Any]) -> Any:
        """What a method of an object returns."""
        if not isinstance(owner, Record):
            self.n.error(f"{name!r} is called on what has no methods.")
        f = self.script.method(owner.kind, name)
        if f is None:
            self.n.error(f"{owner.kind} has no method {name!r}.")
        return self.call(f, [owner, *args], keywords)

    def python(self, name: str, args: list[Any]) -> Any:
        """What a function without a module returns: conversions, ranges, getattr."""
        if name == "getattr" and len(args) == 2:
            return self.member(args[0], args[1])
        plain = [self.number(a) if isinstance(a, T) else a for a in args]
        functions: dict[str, Callable[..., Any]] = {"int": int, "float": float, "bool": bool,
                                                    "range": range, "str": str}  # fmt: skip
        if name not in functions:
            self.n.unsupported(f"the function {name!r} of TorchScript")
        if name == "range" and max(map(abs, plain), default=0) > MOST_STEPS:
            self.n.unsupported(f"a loop of more than {MOST_STEPS} steps")
        return functions[name](*plain)

    def builtin(
        self, name: str, args: list[Any], keywords: dict[str, Any], count: int | None
    ) -> Any:
        """An operator, or what TorchScript has for numbers, lists and texts under its name."""
        if name == "RaiseException":
            raise ModelError(f"the model refuses this call: {args[0]}", where=self.n.where)
        first = args[0] if args else None
        if isinstance(first, T):
            if name in SAME:
                return first
            if name in ("size", "len", "dim", "numel", "dtype", "item"):
                return self.asked(name, first, args[1:])
            if name in ("__is__", "__isnot__"):
                return (name == "__isnot__") == (args[1] is not first)
        listed = name in LISTS and not isinstance(first, T)
        if name in PYTHON and (listed or not _has_tensor((*args, *keywords.values()))):
            return self.bounded(PYTHON[name](*args))
        if name == "append" and isinstance(first, list):
            first.append(args[1])
            return first
        return self.operator(name, args, keywords, count)

    def bounded(self, made: Any) -> Any:
        """A result, if no loop can make it grow beyond all bounds."""
        if isinstance(made, int) and not -(1 << 63) <= made < 1 << 63:
            self.n.error("a number has more than 64 bits.")
        if isinstance(made, list | tuple | str) and len(made) > MOST_STEPS:
            self.n.unsupported(f"a list of more than {MOST_STEPS} items")
        return made

    def asked(self, name: str, x: T, rest: Sequence[Any]) -> Any:
        """What the code asks of a tensor: extents, type, its number."""
        n, shape = self.n, self.n.shape(x.name)
        if name == "size":
            return shape[n.axis(rest[0], len(shape))] if rest else list(shape)
        if name == "dtype":
            d = str(n.dtype(x.name))
            return next(k for k, v in C10.items() if v[1] == d)
        if name == "item":
            return self.number(x)
        return {"len": shape[0] if shape else 0, "dim": len(shape), "numel": math.prod(shape)}[name]

    def operator(
        self, name: str, args: Sequence[Any], keywords: dict[str, Any], count: int | None
    ) -> Any:
        """An operator of ATen: the overload whose parameters take the arguments."""
        self.added += 1
        if self.added > MOST_ADDED:
            self.n.unsupported(f"more than {MOST_ADDED} operators, loops unrolled,")
        changes = name.endswith("_") and not name.endswith("__")
        packet = name.removesuffix("_") if changes else name
        rows = self.packets.get(packet, [])
        if not rows:
            self.n.unsupported(f"operator {name}")
        for row in rows:
            if len(args) > len(row.parameters):
                continue
            given = {**dict(zip(row.parameters, args)), **keywords}
            named = {k: _plain(v, row.kinds[k]) if k in row.kinds else v for k, v in given.items()}
            n = self.context(packet, named, count)
            try:
                checked = row.checked(n, n.arguments())
            except (ModelError, UnsupportedError):
                continue
            return self.wrapped(row.convert(n, **checked), args, name if changes else packet)
        return self.n.unsupported(f"operator {name} with these arguments")

    def context(self, op: str, named: dict[str, Any], count: int | None) -> TorchContext:
        """A node for one operator, as its converter sees it."""
        outputs = tuple(f"{op}:{k}" for k in range(count or 4))
        node = FileNode(op, op, (), outputs, {"args": named})
        return TorchContext(self.n.walk, node, [], [count is not None or k < 1 for k in range(4)])

    def wrapped(self, made: Any, args: Sequence[Any], name: str) -> Any:
        """What a converter has made, as values of the code."""
        if name.endswith("_") and isinstance(args[0], T):
            target = args[0]
            if target.shared:
                self.n.unsupported(f"{name} of a tensor that shares its elements with another")
            first = made if isinstance(made, str) else made[0]
            target.name = self.n.cast(first, self.n.dtype(target.name))
            return target
        shared = name in _VIEW_NAMES
        if shared and args and isinstance(args[0], T):
            args[0].shared = True
        if isinstance(made, str):
            same = [a for a in args if isinstance(a, T) and a.name == made]
            if same and not shared:
                same[0].shared = True
            return T(made, shared or bool(same))
        return [T(m, shared) for m in made if m]


def _plain(value: Any, kinds: Sequence[str]) -> Any:
    """A value of the code as an argument of a converter."""
    if isinstance(value, T):
        return Name(value.name)
    if "ScalarType" in kinds and type(value) is int and value in C10:
        return ScalarType(C10[value][0])
    return tuple(_plain(v, ()) for v in value) if isinstance(value, list | tuple) else value


def _has_tensor(values: Sequence[Any]) -> bool:
    return any(isinstance(v, T) or (isinstance(v, list | tuple) and _has_tensor(v)) for v in values)


def _dotted(e: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(e, ast.Attribute):
        parts.append(e.attr)
        e = e.value
    return ".".join([e.id, *reversed(parts)]) if isinstance(e, ast.Name) else None


def run(n: TorchContext, table: dict[str, Row]) -> list[str]:
    """The results of the method that a node of ``script.py`` stands for."""
    script, path, name = n.attr("script"), n.attr("path"), n.attr("method")
    owner = part_of(script.root(), path, script.where)
    f = script.method(owner.kind, name)
    assert f is not None
    r = Run(n, script, table)
    kinds = {a.arg: a.annotation.id for a in f.args.args if isinstance(a.annotation, ast.Name)}
    given: dict[str, Any] = {}
    for k, value in enumerate(n.values):
        tensor = T(n.inputs[k], shared=True)
        if kinds.get(value) == "Tensor":
            given[value] = tensor
        else:
            known = n.const(k)
            assert known is not None
            given[value] = known.reshape(()).item()
    try:
        result = r.call(f, [owner], given)
    except (TypeError, AttributeError, KeyError, IndexError) as e:
        raise ModelError(f"the code is wrong ({type(e).__name__}: {e}).", where=n.where) from e
    return [v.name if isinstance(v, T) else n.number(v, n.promoted(v)) for v in _flat(result, n)]


def _flat(value: Any, n: TorchContext) -> list[Any]:
    if isinstance(value, list | tuple):
        return [v for e in value for v in _flat(e, n)]
    if not isinstance(value, T | int | float):
        n.unsupported("a result that is neither a tensor nor a number")
    return [value]
