"""What a converter sees of one call of a layer: :class:`KerasContext`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....runtime.errors import ModelError
from ..context import REQUIRED, run_converter
from ..flat import FlatContext, FlatWalk
from ..model import FileModel, FileNode
from .calls import Ref
from .layer import Layer
from .policy import Policy, policy_of
from .topology import Topology

MASK = "keras mask"  # what the walk notes of a tensor: the tensor that is its mask


class Tensor(str):
    """The name of a tensor, where an argument may also be a text."""

    __slots__ = ()


class KerasContext(FlatContext):
    """One call of a layer. Tensors of floats are cast to what the layer computes in, as Keras
    casts them.

    Attributes
    ----------
    layer, config, version : see :class:`Layer`.
    args, kwargs : what it is called with, a :class:`Tensor` for each tensor in it.
    """

    def __init__(
        self, walk: FlatWalk, node: FileNode, inputs: Sequence[str], wanted: Sequence[bool]
    ):
        super().__init__(walk, node, inputs, wanted)
        self.layer: Layer = node.attrs["layer"]
        self.config, self.version = self.layer.config, self.layer.version
        args, kwargs = node.attrs["call"]
        self.args: list[Any] = self._named(list(args))
        self.kwargs: dict[str, Any] = self._named(dict(kwargs))

    def _named(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return Tensor(self.inputs[value.index])
        if isinstance(value, Mapping):
            return {k: self._named(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._named(v) for v in value)
        return value

    # -- the config

    def opt(self, name: str, default: Any = REQUIRED) -> Any:
        """An entry of the config; the default, too, where it is null and has one. Raises
        :class:`ModelError` where it is not there and has none."""
        value = self.config.get(name)
        if value is None:
            if default is REQUIRED:
                self.error(f"the config has no {name!r}.")
            return default
        return value

    def integer(self, name: str, default: Any = REQUIRED) -> int:
        """An entry that is an integer."""
        value = self.opt(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.error(f"{name} is {value!r}, not an integer.")
        return value

    def number(self, name: str, default: Any = REQUIRED) -> float:
        """An entry that is a number."""
        value = self.opt(name, default)
        if isinstance(value, Mapping):  # a numpy number, as older versions write it
            value = value.get("value", value)
        try:
            return float(value)
        except (TypeError, ValueError):
            self.error(f"{name} is {value!r}, not a number.")

    def flag(self, name: str, default: bool) -> bool:
        """An entry that is true or false."""
        value = self.opt(name, default)
        if not isinstance(value, bool | int):
            self.error(f"{name} is {value!r}, not true or false.")
        return bool(value)

    def integers(self, name: str, count: int, default: Any = REQUIRED) -> tuple[int, ...]:
        """An entry that is ``count`` integers, or one for all of them."""
        value = self.opt(name, default)
        values = tuple(value) if isinstance(value, list | tuple) else (value,) * count
        if len(values) != count or not all(
            isinstance(v, int) and not isinstance(v, bool) for v in values
        ):
            self.error(f"{name} is {value!r}, not {count} integers.")
        return values

    @property
    def channels_last(self) -> bool:
        """Whether ``data_format`` says that channels are the last axis."""
        given = str(self.opt("data_format", "channels_last")).lower().replace("_", "")
        if given not in ("channelslast", "channelsfirst"):
            self.error(f"data_format is {given!r}.")
        return given == "channelslast"

    @property
    def policy(self) -> Policy:
        """Element types of its variables and of what it computes."""
        return policy_of(self.config.get("dtype"), self.where)

    @property
    def computes(self) -> np.dtype:
        """The element type that it computes in."""
        from ....runtime.dtype import dtype_of

        try:
            return dtype_of(self.policy.compute).numpy
        except Exception:
            self.error(f"the element type is {self.policy.compute!r}.")

    # -- tensors

    def cast(self, tensor: str) -> str:
        """A tensor of floats as what the layer computes in; others as they are."""
        from ....runtime.dtype import dtype_of

        want = dtype_of(self.policy.compute)
        t = self.typeof(tensor)
        if not t.dtype.is_float or not want.is_float or t.dtype == want:
            return tensor
        made = self.add("cast", [tensor], to=str(want))
        mask = self.mask_of(tensor)
        if mask:
            self.set_mask(made, mask)
        return made

    def to(self, tensor: str, dtype: str) -> str:
        """A tensor cast to an element type."""
        return tensor if str(self.typeof(tensor).dtype) == dtype else self.add(
            "cast", [tensor], to=dtype
        )  # fmt: skip

    def given(self, k: int, name: str) -> Any:
        """An argument, by its position or its name; None where it is not given."""
        return self.args[k] if k < len(self.args) else self.kwargs.get(name)

    def tensor(self, k: int, name: str) -> str:
        """An argument that is one tensor, cast; "" where it is not given."""
        value = self.given(k, name)
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if value is None:
            return ""
        if not isinstance(value, Tensor):
            self.error(f"its argument {name} is {value!r}, not a tensor.")
        return self.cast(value)

    @property
    def x(self) -> str:
        """The tensor that it is called on, cast."""
        found = self.tensors
        if len(found) != 1:
            self.error(f"it is called on {len(found)} tensors, not on one.")
        return found[0]

    @property
    def tensors(self) -> list[str]:
        """The tensors of its first argument, cast."""
        first = self.args[0] if self.args else next(iter(self.kwargs.values()), [])
        values = list(first) if isinstance(first, list | tuple) else [first]
        if isinstance(first, Mapping):
            values = list(first.values())
        for v in values:
            if not isinstance(v, Tensor):
                self.error(f"it is called on {v!r}, which is no tensor.")
        return [self.cast(v) for v in values]

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The extents of a tensor."""
        return self.typeof(tensor).shape

    def rank(self, tensor: str) -> int:
        """How many axes a tensor has."""
        return len(self.typeof(tensor).shape)

    def axis(self, value: Any, rank: int) -> int:
        """An axis, which may count from the end, of a tensor of this rank."""
        if not isinstance(value, int) or isinstance(value, bool) or not -rank <= value < rank:
            self.error(f"there is no axis {value!r} of {rank}.")
        return value % rank

    def scalar(self, value: float, like: str) -> str:
        """A number as a tensor of the element type of another one."""
        return self.constant(np.array(value, self.typeof(like).dtype.numpy))

    def weight(self, name: str) -> np.ndarray:
        """A variable, in the type that the layer computes in. Raises :class:`ModelError` where the
        file has none."""
        value = self.layer.values.get(name)
        if value is None:
            self.error(f"the file has no variable {name!r} for it.")
        kind = value.dtype.kind
        return value if kind in "iub" else value.astype(self.computes, copy=False)

    def bias(self) -> np.ndarray | None:
        """The variable ``bias``; None where the config says that there is none."""
        return self.weight("bias") if self.flag("use_bias", True) else None

    # -- masks

    def mask_of(self, tensor: str) -> str:
        """The mask of a tensor: [batch, time] of bool; "" where it has none."""
        return self.walk.notes.get((MASK, tensor), "")

    def set_mask(self, tensor: str, mask: str) -> None:
        """Let a tensor have a mask."""
        self.walk.notes[MASK, tensor] = mask

    def mask(self, k: int = 1) -> str:
        """The mask that the layer is to go by: one that it is called with, else that of the tensor
        it is called on; "" for none."""
        given = self.given(k, "mask")
        if isinstance(given, Tensor):
            return given
        found = self.tensors
        return self.mask_of(found[0]) if found else ""

    # -- layers inside of it

    def call(self, layer: Layer, tensors: Sequence[str], **kwargs: Any) -> list[str]:
        """What a layer inside of this one makes of tensors; for a model, see :meth:`model`."""
        if layer.is_model:
            return self.run_model(layer, tensors)
        given = [*tensors, *(v for v in kwargs.values() if isinstance(v, str))]
        found = {k: Ref(given.index(v)) if isinstance(v, str) else v for k, v in kwargs.items()}
        args: Any = [Ref(0)] if len(tensors) == 1 else [[Ref(k) for k in range(len(tensors))]]
        outputs = tuple(f"{self.node.name}/{layer.name}:{k}" for k in range(16))
        node = FileNode(
            layer.class_name, f"{self.node.name}/{layer.name}", tuple(given), outputs,
            {"layer": layer, "call": (args, found)},
        )  # fmt: skip
        context = type(self)(self.walk, node, given, [True] * len(outputs))
        convert = self.walk.table.get(layer.class_name)
        if convert is None:
            self.unsupported(f"the layer {layer.class_name} inside of it")
        return run_converter(convert, context)

    def run_model(self, layer: Layer, tensors: Sequence[str]) -> list[str]:
        """What a model inside of this layer makes of tensors."""
        t = Topology(layer, self.where)
        names = [f"{self.node.name}/{layer.name}/input:{k}" for k in range(len(tensors))]
        outputs = t.called(f"{self.node.name}/{layer.name}/", names)
        inner = FileModel("", self.model.file, layer.name, {}, {o: o for o in outputs}, t.nodes, {})
        walk = FlatWalk(
            inner, self.walk.emitter, self.walk.table, type(self), (), self.walk.missing
        )
        walk.notes = self.walk.notes
        walk.tensors.update(zip(names, tensors))
        before = len(self.walk.missing.needs)
        walk.run()
        if len(self.walk.missing.needs) > before:
            self.unsupported(f"the model {layer.name} inside of it")
        return [walk.tensor(o, self.where) for o in outputs]


Converter = Callable[[KerasContext], "Sequence[str] | str"]

__all__ = ["MASK", "Converter", "KerasContext", "ModelError", "Tensor"]
