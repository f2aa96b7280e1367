"""A program that changes tensors in place, as one that makes new ones.

    y = view(x)          y = view(x)
    relu_(y)      ->     y' = relu(y);  x' = view_as(y', x)
    z = x + y            z = x' + y'

A value is a base, a tensor with elements of its own, behind a chain of views. What changes a value
changes its base, through the inverses of the views from the last to the first; another value of
that base is made again, from the changed base, when it is next read. (Weft's graphs have no
storage that two tensors share, so nothing else can see the difference.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ....runtime.errors import UnsupportedError
from ..model import FileModel, FileNode
from ..warn import warn
from .program import Ref

_SAME = {"alias.default", "detach.default", "contiguous.default", "dropout.default",
         "feature_dropout.default", "alpha_dropout.default"}  # fmt: skip
_RESHAPED = {"view.default", "reshape.default", "flatten.using_ints", "unflatten.int",
             "squeeze.default", "squeeze.dim", "squeeze.dims", "unsqueeze.default",
             "view_as.default", "reshape_as.default"}  # fmt: skip
_OWN_INVERSE = {"transpose.int", "t.default", "swapdims.default", "swapaxes.default", "mT.default",
                "numpy_T.default"}  # fmt: skip
_PARTS = {"select.int", "slice.Tensor", "narrow.default", "permute.default", "diagonal.default",
          "unbind.int", "split.Tensor", "split_with_sizes.default", "split.sizes",
          "chunk.default", "expand.default", "expand_as.default", "as_strided.default",
          "movedim.intlist", "movedim.int"}  # fmt: skip
VIEWS = _SAME | _RESHAPED | _OWN_INVERSE | _PARTS
_NO_CHANGE = {"detach_.default": "alias.default", "requires_grad_.default": "alias.default"}


@dataclass(frozen=True)
class _Link:
    """One view of a chain: its node, and which of the node's outputs it is."""

    node: FileNode
    output: int


@dataclass
class _Value:
    """A value of the file: its base, the views in between, the name that has its elements, and
    as of which change of the base that is so."""

    base: str
    chain: tuple[_Link, ...]
    name: str
    version: int = 0


@dataclass
class _Pass:
    model: FileModel
    nodes: list[FileNode] = field(default_factory=list)
    values: dict[str, _Value] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    fresh: int = 0

    def value(self, name: str) -> _Value:
        return self.values.setdefault(name, _Value(name, (), name))

    def read(self, name: str) -> str:
        """The name under which the elements of a value are now."""
        v = self.value(name)
        version = self.versions.get(v.base, 0)
        if v.version != version:
            x = self.current[v.base]
            for link in v.chain:
                x = self.again(link, x)
            v.name, v.version = x, version
        return v.name

    def named(self, like: str) -> str:
        self.fresh += 1
        return f"{like}~{self.fresh}"

    def emit(self, like: FileNode, op: str, inputs: Sequence[str], args: Mapping[str, Any]) -> str:
        made = self.named(like.name)
        self.nodes.append(FileNode(op, like.name, tuple(inputs), (made,), {"args": dict(args)}))
        return made

    def again(self, link: _Link, x: str) -> str:
        """The view once more, of ``x``."""
        n = link.node
        outputs = [self.named(n.name) for _ in n.outputs]
        inputs = (x, *map(self.read, n.inputs[1:]))
        self.nodes.append(FileNode(n.op, n.name, inputs, tuple(outputs), n.attrs))
        return outputs[link.output]

    def change(self, name: str, made: str) -> None:
        """Let the value have the elements of ``made``."""
        v = self.value(name)
        if v.base in self.model.constants or v.base in self.model.inputs:
            warn(
                f"{self.model.file or 'the program'} changes its tensor {v.base!r} when it is "
                "called; weft's graph reads what is stored, or given, at every call.",
                4,
            )
        befores = [self.current.get(v.base, v.base)]
        for link in v.chain[:-1]:
            befores.append(self.again(link, befores[-1]))
        y = made
        for link, before in zip(reversed(v.chain), reversed(befores[: len(v.chain)])):
            y = self.back(link, before, y)
        self.current[v.base] = y
        self.versions[v.base] = v.version = self.versions.get(v.base, 0) + 1
        v.name = made

    def back(self, link: _Link, x: str, y: str) -> str:
        """``x`` in which what the view shows is ``y``."""
        n = link.node
        args = {k: a for k, a in n.attrs["args"].items() if k not in ("self", "input")}
        if n.op in _SAME:
            return y
        if n.op in _RESHAPED:
            return self.emit(n, "view_as.default", [y, x], {"self": Ref(0), "other": Ref(1)})
        if n.op in _OWN_INVERSE:
            return self.emit(n, n.op, [y], {"self": Ref(0), **args})
        part = self.part(link, args)
        if part is None or any(isinstance(a, Ref) for a in part[1].values()):
            raise UnsupportedError(
                f"{n.op} of a tensor that is then changed in place.", where=self.model.file
            )
        op, more = part
        if op == "permute.default":
            return self.emit(n, op, [y], {"self": Ref(0), **more})
        return self.emit(n, op, [x, y], {"self": Ref(0), "src": Ref(1), **more})

    def part(self, link: _Link, args: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """The operator that puts a part back, and its arguments beside the two tensors."""
        op, k = link.node.op, link.output
        dim = args.get("dim", 0)
        if op in _SCATTERS:
            return _SCATTERS[op], args
        if op == "unbind.int":
            return "select_scatter.default", {"dim": dim, "index": k}
        if op == "permute.default":
            return _permuted_back(args.get("dims"))
        places = _places(op, k, args)
        if places is None:
            return None
        return "slice_scatter.default", {"dim": dim, "start": places[0], "end": places[1]}

    def run(self) -> FileModel:
        for node in self.model.nodes:
            op = _NO_CHANGE.get(node.op, node.op)
            name, _, overload = op.partition(".")
            if op == node.op and _in_place(node):
                self.in_place(node, f"{name.removesuffix('_')}.{overload}")
                continue
            made = replace(node, op=op, inputs=tuple(map(self.read, node.inputs)))
            self.nodes.append(made)
            if op in VIEWS and node.inputs:
                source = self.value(node.inputs[0])
                for k, o in enumerate(node.outputs):
                    self.values[o] = _Value(
                        source.base, (*source.chain, _Link(replace(node, op=op), k)), o,
                        self.versions.get(source.base, 0),
                    )  # fmt: skip
        outputs = {k: self.read(v) for k, v in self.model.outputs.items()}
        return replace(self.model, nodes=tuple(self.nodes), outputs=outputs)

    def in_place(self, node: FileNode, op: str) -> None:
        """``node`` as the operator that makes a new tensor."""
        args = dict(node.attrs["args"])
        if op == "zero.default":
            op, args["value"] = "fill.Scalar", 0
        if op.endswith("dropout.default"):  # its schema has another name for what it takes
            args["input"] = args.pop("self")
        target = node.inputs[0]
        made = self.named(node.outputs[0] if node.outputs else node.name)
        inputs = tuple(map(self.read, node.inputs))
        attrs = {"args": args, "in_place": True}
        self.nodes.append(FileNode(op, node.name, inputs, (made,), attrs))
        self.change(target, made)
        for o in node.outputs[:1]:
            v = self.value(target)
            self.values[o] = _Value(v.base, v.chain, made, v.version)


_SCATTERS = {
    "select.int": "select_scatter.default",
    "slice.Tensor": "slice_scatter.default",
    "diagonal.default": "diagonal_scatter.default",
}


def _permuted_back(dims: Any) -> tuple[str, dict[str, Any]] | None:
    if not isinstance(dims, tuple) or not all(isinstance(d, int) for d in dims):
        return None
    order = [d % len(dims) for d in dims]
    if sorted(order) != list(range(len(dims))):
        return None
    return "permute.default", {"dims": tuple(order.index(d) for d in range(len(dims)))}


def _places(op: str, k: int, args: Mapping[str, Any]) -> tuple[int, int | None] | None:
    """Where output ``k`` of a view lies along its axis; None where that is not known."""
    if op == "narrow.default":
        start, length = args.get("start"), args.get("length")
        if not isinstance(start, int) or not isinstance(length, int):
            return None
        end = start + length
        return start, end if end or start >= 0 else None
    size = args.get("split_size", args.get("split_sizes"))
    if op == "split.Tensor" and isinstance(size, int):
        return k * size, (k + 1) * size
    whole = isinstance(size, tuple) and all(isinstance(s, int) for s in size)
    if op.startswith("split") and whole and k < len(size):
        return sum(size[:k]), sum(size[: k + 1])
    return None


def _in_place(node: FileNode) -> bool:
    """Whether an operator changes its first argument, as those do whose names end with ``_``."""
    name = node.op.partition(".")[0]
    return name.endswith("_") and not name.endswith("__") and bool(node.inputs) and (
        node.attrs["args"].get("self") == Ref(0)
    )  # fmt: skip


def pure(model: FileModel) -> FileModel:
    """``model`` without changes in place.

    Raises :class:`UnsupportedError` for views through which weft cannot write."""
    if not any(n.op in _NO_CHANGE or _in_place(n) for n in model.nodes):
        return model
    return _Pass(model).run()
