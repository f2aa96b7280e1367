"""The walk over the nodes of a model: :class:`Walk` adds them to the graph, functions inlined.

A node becomes what its converter makes of it; without one, the model's own function of that name or
the standard's definition is walked in its place. What is missing is collected, so that one error
can name all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import FunctionProto, GraphProto, NodeProto

from ....runtime.errors import ModelError, UnsupportedError
from ...graph.graph import Source
from ..emit import Emitter
from ..registered import ONNX_DOMAINS
from .context import Converter, NodeContext
from .converters import converter_of, run_converter
from .functions import (
    FunctionCall,
    default_attributes,
    library_function,
    needs_types,
    with_attributes,
)
from .reader import Model, opsets_of
from .schema import check_node, check_types
from .scope import UNKNOWN, Scope, ordered, reads
from .tensors import known_dtype

MAX_DEPTH = 40  # of subgraphs and function calls
MAX_INLINED = 100_000  # nodes out of functions: calls of calls can grow exponentially


@dataclass(frozen=True)
class Surroundings:
    """Where a list of nodes stands: the values that it sees, the operator sets that it imports, how
    deep it is nested, and the call whose body it is."""

    scope: Scope
    opsets: Mapping[str, int]
    depth: int = 0
    call: FunctionCall | None = None


@dataclass(frozen=True)
class _NodeSite:
    """One node: its domain (``""`` for ONNX's own), its input tensors, and what is around it."""

    node: NodeProto
    domain: str
    inputs: Sequence[str]
    around: Surroundings
    source: Source

    @property
    def opset(self) -> int:
        return self.around.opsets[self.domain]

    @property
    def known(self) -> bool:
        """Whether all inputs were converted."""
        return UNKNOWN not in self.inputs

    @property
    def operator(self) -> str:
        return f"(domain {self.domain or 'ai.onnx'}, opset {self.opset})"

    @property
    def unknown(self) -> list[str]:
        return [UNKNOWN] * len(self.node.output)


class Walk:
    """One walk over a model with static input types; it adds to ``emitter``."""

    def __init__(self, model: Model, emitter: Emitter):
        self.model, self.emitter = model, emitter
        self.functions: dict[tuple[str, str, str], FunctionProto] = {}
        for f in model.proto.functions:
            key = (_domain(f.domain), f.name, f.overload)
            if self.functions.setdefault(key, f) is not f:
                raise ModelError(f"the function {f.name!r} is defined twice.", where=model.file)
        self.declared = {
            v.name: v.type.tensor_type.elem_type
            for v in model.proto.graph.value_info
            if v.type.WhichOneof("value") == "tensor_type"
        }
        self.missing: dict[str, list[str]] = {}  # what weft has not got -> the nodes that need it
        self.inlined = 0

    def report(self) -> None:
        """Raises :class:`UnsupportedError` with all that was missing, if anything was."""
        if not self.missing:
            return
        lines = []
        for what, nodes in self.missing.items():
            names = ", ".join(map(repr, nodes[:8]))
            more = f" and {len(nodes) - 8} more" if len(nodes) > 8 else ""
            lines.append(f"  {what}: nodes {names}{more}")
        text = "the model needs what weft does not support:\n" + "\n".join(lines)
        raise UnsupportedError(text, where=self.model.file)

    def initializers(self, graph: GraphProto, scope: Scope, *, top: bool = False) -> None:
        """Define the constants of a graph in ``scope``; those of the ``top`` one keep their names.

        Raises :class:`ModelError` for a name that is used twice, :class:`UnsupportedError` for
        sparse ones.
        """
        where = self.model.file
        if graph.sparse_initializer:
            names = ", ".join(repr(s.values.name) for s in graph.sparse_initializer)
            raise UnsupportedError(f"sparse initializers are not supported: {names}.", where=where)
        seen: set[str] = set()
        for t in graph.initializer:
            if not t.name or t.name in seen:
                raise ModelError(f"the initializer {t.name!r} is unnamed or twice.", where=where)
            seen.add(t.name)
            if t.name in scope.values:  # an input with a default value that the caller has bound
                continue
            array = self.model.reader.array(t, where)
            tensor = (
                self.emitter.builder.constant(array, t.name)
                if top
                else self.emitter.constant(array, t.name)
            )
            scope.define(t.name, tensor, where)

    # -- one list of nodes

    def body(
        self, nodes: Sequence[NodeProto], outputs: Sequence[str], around: Surroundings
    ) -> None:
        """Add ``nodes`` in an order that works, and define what they make in ``around.scope``.

        ``outputs`` are the values that are wanted of them. Raises :class:`ModelError` for a list
        that is unsound: a cycle, a value made twice or by nothing.
        """
        scope, top = around.scope, not around.depth
        if around.depth > MAX_DEPTH:
            raise ModelError(
                f"subgraphs and functions are nested more than {MAX_DEPTH} deep.",
                where=self.model.file,
            )
        for o in (o for n in nodes for o in n.output if o in scope.values):
            raise ModelError(f"the value {o!r} is defined twice.", where=self.model.file)
        used = set(outputs).union(*(reads(n) for n in nodes))
        for node in ordered(nodes, self.model.file):
            if around.call:
                node = with_attributes(node, around.call, self.model.file)
            source = Source(
                self.model.file,
                node.name or next((o for o in node.output if o), ""),
                node.op_type,
            )
            start = len(self.emitter.builder.nodes)
            if top:
                self.emitter.made.clear()
            made = self._node(node, used, around, source)
            renamed: dict[str, str] = {}
            for name, tensor in zip(node.output, made):
                tensor = renamed.get(tensor, tensor)
                if name and tensor != UNKNOWN and top:
                    self._check_declared(name, tensor, source)
                    if tensor in self.emitter.made and name not in self.emitter.builder.types:
                        self.emitter.rename(tensor, name, start)
                        renamed[tensor] = tensor = name
                if name:
                    scope.define(name, tensor, str(source))

    def _check_declared(self, name: str, tensor: str, source: Source) -> None:
        """The element type in ``value_info``. Shapes there are often out of date; those of the
        outputs are checked by the importer."""
        code = self.declared.get(name, 0)
        have, want = self.emitter.builder.types[tensor].dtype, known_dtype(code)
        if code and want != have:
            raise ModelError(
                f"{name!r} is declared as {want or code}, but is {have}.", where=str(source)
            )

    # -- one node

    def _node(
        self, node: NodeProto, used: set[str], around: Surroundings, source: Source
    ) -> Sequence[str]:
        """The tensors for the outputs of ``node``."""
        where, domain = str(source), _domain(node.domain)
        site = _NodeSite(node, domain, self._inputs(node, around, where), around, source)
        local = self.functions.get((domain, node.op_type, node.overload))
        if local is not None:
            call = FunctionCall(local, node, opsets_of(local.opset_import, where))
            return self._call(call, site)
        self._check(site)
        if domain == "" and node.op_type == "If":
            return self._if(site)
        convert = converter_of(domain, node.op_type)
        if convert is None:
            return self._standard(site)
        return self._converted(convert, site, used) if site.known else site.unknown

    def _inputs(self, node: NodeProto, around: Surroundings, where: str) -> list[str]:
        inputs: list[str] = []
        for i in node.input:
            tensor = around.scope.get(i) if i else ""
            if tensor is None:
                raise ModelError(f"its input {i!r} is not defined.", where=where)
            inputs.append(tensor)
        return inputs

    def _check(self, site: _NodeSite) -> None:
        """The node against the schema of its operator."""
        where, domain = str(site.source), site.domain
        if domain not in site.around.opsets:
            raise ModelError(
                f"the operator set {domain or 'ai.onnx'!r} is not imported.", where=where
            )
        check_node(site.node, domain, site.opset, where)
        if site.known:
            types = self.emitter.builder.types
            dtypes = [types[i].dtype if i else None for i in site.inputs]
            check_types(site.node, domain, site.opset, dtypes, where)

    def _standard(self, site: _NodeSite) -> Sequence[str]:
        """A node without a converter, by the standard's definition of its operator."""
        node, domain, opset = site.node, site.domain, site.opset
        if not site.known and needs_types(node, domain, opset):
            return site.unknown
        types = [self.emitter.builder.types.get(i) for i in site.inputs]
        body = library_function(node, domain, opset, types)
        if body is None:
            self._miss(f"operator {node.op_type} {site.operator}", site)
            return site.unknown
        opsets = {**site.around.opsets, **opsets_of(body.opset_import, str(site.source))}
        defaults = default_attributes(node, domain, opset)
        return self._call(FunctionCall(body, node, opsets, defaults), site)

    def _converted(self, convert: Converter, site: _NodeSite, used: set[str]) -> Sequence[str]:
        """What ``convert`` makes of a node; ``UNKNOWN`` for outputs that it does not make."""
        node = site.node
        wanted = [bool(o) and o in used for o in node.output]
        context = NodeContext(
            self.emitter, self.model.reader, node, site.inputs, site.opset, wanted, site.source
        )
        try:
            names = run_converter(convert, context)
        except UnsupportedError as e:
            self._miss(f"{node.op_type} {site.operator}: {e.message}", site)
            return site.unknown
        for k, want in enumerate(wanted):
            if want and (k >= len(names) or not names[k]):
                self._miss(f"output {k} of {node.op_type} {site.operator}", site)
        names += [""] * (len(node.output) - len(names))
        return [n or UNKNOWN for n in names]

    def _miss(self, what: str, site: _NodeSite) -> None:
        self.missing.setdefault(what, []).append(site.source.node)

    # -- subgraphs and functions

    def _if(self, site: _NodeSite) -> Sequence[str]:
        """The branch that a constant condition chooses."""
        node, around, where = site.node, site.around, str(site.source)
        value = self.emitter.builder.constants.get(site.inputs[0])
        if value is None:
            if site.inputs[0] != UNKNOWN:
                self._miss("If whose condition depends on data", site)
            return site.unknown
        if value.size != 1:
            raise ModelError(f"the condition has {value.size} elements, not one.", where=where)
        wanted = "then_branch" if value.reshape(-1)[0] else "else_branch"
        branch = next(a.g for a in node.attribute if a.name == wanted)
        names = [o.name for o in branch.output]
        if len(names) != len(node.output):
            raise ModelError(
                f"the {wanted} has {len(names)} outputs, the node {len(node.output)}.", where=where
            )
        inner = Scope(around.scope)
        self.initializers(branch, inner)
        self.body(branch.node, names, Surroundings(inner, around.opsets, around.depth + 1))
        return self._results(names, inner, where)

    def _call(self, call: FunctionCall, site: _NodeSite) -> Sequence[str]:
        where = f"{self.model.file}, function {call.function.name!r}"
        f, inner, inputs = call.function, Scope(), site.inputs
        if len(inputs) > len(f.input) or len(call.node.output) > len(f.output):
            raise ModelError("it is called with too many inputs or outputs.", where=where)
        self.inlined += len(f.node)
        if self.inlined > MAX_INLINED:
            raise ModelError(f"functions expand to more than {MAX_INLINED} nodes.", where=where)
        for k, name in enumerate(f.input):
            inner.define(name, inputs[k] if k < len(inputs) else "", where)
        wanted = [formal if o else "" for formal, o in zip(f.output, call.node.output)]
        self.body(f.node, wanted, Surroundings(inner, call.opsets, site.around.depth + 1, call))
        return self._results(wanted, inner, where)

    def _results(self, names: Sequence[str], scope: Scope, where: str) -> list[str]:
        for name in names:
            if name and not scope.get(name):
                raise ModelError(f"the output {name!r} is not made by any node.", where=where)
        return [scope.get(name) or UNKNOWN for name in names]


def _domain(domain: str) -> str:
    return "" if domain in ONNX_DOMAINS else domain
