"""ML programs: a function of MIL as a :class:`FileModel`.

An operation has named arguments, each a list of values or of literals. A node's attributes are

- ``args``: the argument's name to the positions of its values among the node's inputs,
- ``texts``: the argument's name to its string, or a tuple of strings,
- ``types``: the ``ValueType`` of each output,
- ``block0``, ``block1``: graphs inside of the operation, as :class:`FileModel`. What they read of
  their surroundings are inputs of the node, behind its arguments, and of both graphs.

float16 is held as float32: see ``docs/LIMITS.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....runtime.dtype import FLOAT16, FLOAT32
from ....runtime.errors import InputError, ModelError, UnsupportedError
from ..model import FileModel, FileNode
from ..signature import SymbolicType
from .features import Features, image_type
from .values import Stored, Values, element_type

NESTING = 32  # blocks in blocks
WIDEN, NARROW = "weft.widen", "weft.narrow"  # what a float16 input and output go through


def function_names(model: Any) -> list[str]:
    """The functions of a program, the one first that is meant where none is named."""
    names = sorted(model.mlProgram.functions)
    default = model.description.defaultFunctionName or "main"
    return sorted(names, key=lambda n: n != default)


def program_model(
    model: Any, values: Values, signature: str | None = None, wide: bool = True
) -> FileModel:
    """A function of an ML program. Raises :class:`ModelError`, and :class:`InputError` for the name
    of a function that there is not."""
    names, file = function_names(model), values.file
    if signature is not None and signature not in names:
        raise InputError(f"there is no function {signature!r}.", hint=f"one of {', '.join(names)}")
    if not names:
        raise ModelError("the program has no functions.", where=file)
    name = signature or names[0]
    function = model.mlProgram.functions[name]
    if function.opset not in function.block_specializations:
        raise ModelError(f"function {name!r} has no block for {function.opset!r}.", where=file)
    features = Features.of(model.description, name, file)
    reader = _Blocks(values)
    inputs: dict[str, SymbolicType] = {}
    for given in function.inputs:
        kind = _signature(given, f"{file}, input {given.name!r}")
        image = features.images.get(given.name)
        if image is not None:
            kind = image_type(image, kind.dims)
        if given.name in inputs:
            raise ModelError(f"there are two inputs {given.name!r}.", where=file)
        inputs[given.name] = kind
    block = function.block_specializations[function.opset]
    renamed = {n: f"{n}\0wide" for n, t in inputs.items() if t.dtype == FLOAT16 or
               n in features.images}  # fmt: skip
    nodes, outputs = reader.block(block, renamed, 0)
    widening = [FileNode(WIDEN, n, (n,), (w,), {"args": {"x": (0,)}}) for n, w in renamed.items()]
    narrowing: list[FileNode] = []
    results: dict[str, str] = {}
    for o, value in zip(block.outputs, outputs, strict=True):
        results[o] = value
        if o in features.halves:
            narrowing.append(FileNode(NARROW, o, (value,), (f"{o}\0half",), {"args": {"x": (0,)}}))
            results[o] = f"{o}\0half"
    return FileModel(
        f"Core ML program, specification {model.specificationVersion} ({function.opset})",
        file, name, inputs, results, [*widening, *nodes, *narrowing],
        Stored(values, reader.constants, wide), features.producer, features.metadata, features,
    )  # fmt: skip


class _Blocks:
    """Reads blocks; ``constants`` are the literals of all of them, by name."""

    def __init__(self, values: Values):
        self.values, self.file = values, values.file
        self.constants: dict[str, Any] = {}
        self.texts: dict[str, Any] = {}

    def block(
        self, block: Any, renamed: Mapping[str, str], depth: int
    ) -> tuple[list[FileNode], list[str]]:
        """The nodes of a block, and the values that are its outputs."""
        if depth > NESTING:
            raise ModelError("the program is nested too deeply.", where=self.file)
        nodes = [
            node for op in block.operations if (node := self._node(op, renamed, depth)) is not None
        ]
        return nodes, [renamed.get(o, o) for o in block.outputs]

    def _node(self, op: Any, renamed: Mapping[str, str], depth: int) -> FileNode | None:
        outputs = [o.name for o in op.outputs]
        name = next((o for o in outputs if o), op.type)
        where = f"{self.file}, {op.type} {name!r}"
        if op.type == "const":
            self._constant(op, name, where)
            return None
        args: dict[str, tuple[int, ...]] = {}
        texts: dict[str, Any] = {}
        inputs: list[str] = []
        for key in sorted(op.inputs):
            found = [
                self._bound(b, renamed, f"{name}/{key}{k}" if k else f"{name}/{key}", where)
                for k, b in enumerate(op.inputs[key].arguments)
            ]
            self._argument(key, found, args, texts, inputs)
        for key in sorted(op.attributes):
            if key != "name":  # a literal, as some operations have them (constexpr_ ones)
                found = [self._literal(op.attributes[key], f"{name}/{key}", where)]
                self._argument(key, found, args, texts, inputs)
        attrs: dict[str, Any] = {
            "args": args,
            "texts": texts,
            "types": [o.type for o in op.outputs],
        }
        if op.blocks:
            own = [self._block_inputs(b) for b in op.blocks]
            parts = [
                self.block(b, {k: v for k, v in renamed.items() if k not in mine}, depth + 1)
                for b, mine in zip(op.blocks, own)
            ]
            around = list(dict.fromkeys(
                name for part, mine in zip(parts, own) for name in self._read(*part, mine)
            ))  # fmt: skip
            inputs += around
            for k, (mine, (nodes, results)) in enumerate(zip(own, parts)):
                unknown = SymbolicType(FLOAT32, None)
                attrs[f"block{k}"] = FileModel(
                    "", self.file, f"{name}, block {k}", dict.fromkeys([*mine, *around], unknown),
                    {str(n): o for n, o in enumerate(results)}, nodes,
                    Stored(self.values, self.constants),
                )  # fmt: skip
        return FileNode(op.type, name, tuple(inputs), tuple(outputs), attrs)

    def _block_inputs(self, block: Any) -> list[str]:
        names = [i.name for i in block.inputs]
        if len(set(names)) < len(names):
            raise ModelError("a block has two inputs of one name.", where=self.file)
        return names

    def _read(
        self, nodes: Sequence[FileNode], outputs: Sequence[str], own: Sequence[str]
    ) -> list[str]:
        """The values around a block that it reads."""
        made = {*own, *(o for n in nodes for o in n.outputs), *self.constants}
        read = [*(i for n in nodes for i in n.inputs), *outputs]
        return [name for name in dict.fromkeys(read) if name not in made]

    @staticmethod
    def _argument(
        key: str,
        found: Sequence[str | tuple[Any]],
        args: dict[str, tuple[int, ...]],
        texts: dict[str, Any],
        inputs: list[str],
    ) -> None:
        """Sorts what was found for an argument: names of values, and texts in tuples of one."""
        tensors = [f for f in found if isinstance(f, str)]
        words = [f[0] for f in found if not isinstance(f, str)]
        if words:
            texts[key] = words[0] if len(words) == 1 else tuple(words)
        if tensors or not words:
            args[key] = tuple(range(len(inputs), len(inputs) + len(tensors)))
            inputs.extend(tensors)

    def _bound(
        self, binding: Any, renamed: Mapping[str, str], name: str, where: str
    ) -> str | tuple[Any]:
        if binding.HasField("value"):
            return self._literal(binding.value, name, where)
        if binding.name in self.texts:
            return (self.texts[binding.name],)
        return renamed.get(binding.name, binding.name)

    def _literal(self, value: Any, name: str, where: str) -> str | tuple[Any]:
        text = self.values.text(value, where)
        if text is not None:
            return (text,)
        name = f"{name}\0"  # no value of a file has such a name
        self.constants[name] = value
        return name

    def _constant(self, op: Any, name: str, where: str) -> None:
        if "val" not in op.attributes:
            raise ModelError("a constant has no value.", where=where)
        if name in self.constants or name in self.texts:
            raise ModelError(f"the value {name!r} is made twice.", where=where)
        text = self.values.text(op.attributes["val"], where)
        if text is not None:
            self.texts[name] = text
        else:
            self.constants[name] = op.attributes["val"]


def _signature(value: Any, where: str) -> SymbolicType:
    """The type of an input; an extent that is not known is called after the input and its axis."""
    if not value.type.HasField("tensorType"):
        what = (
            "a state, which is kept between calls" if value.type.HasField("stateType") else "none"
        )
        raise UnsupportedError(f"an input is a tensor in weft; this is {what}.", where=where)
    tensor = value.type.tensorType
    dims = tuple(
        d.constant.size if d.HasField("constant") else f"{value.name}.{k}"
        for k, d in enumerate(tensor.dimensions)
    )
    return SymbolicType(element_type(tensor.dataType, where), dims)


__all__ = ["NARROW", "WIDEN", "function_names", "program_model"]
