"""ONNX model to graph: the walk over the nodes, and which module converts what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

import numpy as np
from onnx import FunctionProto, GraphProto, NodeProto

from ....runtime.errors import GraphError, ModelError, UnsupportedError
from ...graph.graph import Graph, Source
from ...types import TensorType
from ..emit import Emitter
from ..signature import SymbolicType, UnboundGraph, solve
from .context import Converter, NodeContext
from .functions import Call, default_attributes, library_function, needs_types, with_attributes
from .reader import DEFAULT_DOMAINS, Model, opsets_of, symbolic_type
from .schema import check_node, check_types
from .scope import UNKNOWN, Scope, all_names, ordered, reads
from .tensors import known_dtype

# Each module has a literal CONVERTERS: dict[str, Converter], keyed by the ONNX operator
# ("Conv"), or "domain::Operator" for one outside of the ai.onnx domain.
_MODULES: tuple[str, ...] = (
    "ops_core",
    "ops_conv",
    "ops_shape",
    "ops_gather",
    "ops_image",
    "ops_rnn",
    "ops_math",
    "ops_reduce",
    "ops_nn",
    "ops_quantize",
    "ops_loss",
)

MAX_DEPTH = 40  # of subgraphs and function calls
MAX_INLINED = 100_000  # nodes out of functions: calls of calls can grow exponentially


@cache
def converters() -> dict[str, Converter]:
    """Every converter by operator."""
    table: dict[str, Converter] = {}
    for m in _MODULES:
        for op, convert in import_module(f".{m}", __package__).CONVERTERS.items():
            assert op not in table, f"two converters for {op}"
            table[op] = convert
    return table


def register_converter(name: str, convert: Converter) -> None:
    """Let ``convert`` take the nodes ``"domain::Operator"``; see :func:`weft.register_op`."""
    domain, _, op = name.partition("::")
    if not domain or not op or domain in DEFAULT_DOMAINS or name in converters():
        raise GraphError(
            f"{name!r} cannot be given a converter.",
            hint="write 'domain::Operator', of a domain other than ONNX's, not yet converted",
        )
    converters()[name] = convert


def import_model(model: Model, shapes: Mapping, constants: Mapping) -> Graph:
    """The graph of ``model``; an :class:`UnboundGraph` while input shapes are missing."""
    graph = model.proto.graph
    initialized = {t.name for t in graph.initializer}
    signature: dict[str, SymbolicType] = {}
    for value in graph.input:
        if not value.name or value.name in signature:
            raise ModelError(f"the input {value.name!r} is unnamed or twice.", where=model.file)
        signature[value.name] = symbolic_type(value, model.file)
    results = _results(model)
    # Before IR version 4 every initializer had to be an input too; since then, an input with an
    # initializer has a default value. In both cases it is a constant unless somebody binds it.
    bound = {**shapes, **constants}
    signature = {k: t for k, t in signature.items() if k not in initialized or k in bound}
    name = graph.name or "graph"

    def rebuild(types: Mapping[str, TensorType], values: Mapping[str, np.ndarray]) -> Graph:
        return _Import(model, results, strict=False).run(name, types, values)

    types, values, missing = solve(signature, shapes, constants, model.file or name)
    if not missing:
        symbolic = any(isinstance(d, str) for t in signature.values() for d in t.dims or ("?",))
        return _Import(model, results, strict=not symbolic).run(name, types, values)
    return UnboundGraph(
        name,
        tuple(k for k in signature if k not in values),
        tuple(v.name for v in graph.output),
        (),
        {},
        {},
        _metadata(model),
        signature=signature,
        results=results,
        rebuild=rebuild,
        shapes=dict(shapes),
        given=dict(constants),
    )


def _results(model: Model) -> dict[str, SymbolicType]:
    """The declared types of the outputs, of those that have one that weft knows.

    Others (sequences, strings) can only come from operators that will be reported.
    """
    table: dict[str, SymbolicType] = {}
    for v in model.proto.graph.output:
        if v.type.WhichOneof("value") == "tensor_type" and v.type.tensor_type.elem_type:
            with suppress(UnsupportedError):
                table[v.name] = symbolic_type(v, model.file)
    return table


def _metadata(model: Model) -> dict[str, str]:
    return {p.key: p.value for p in model.proto.metadata_props}


@dataclass
class _Missing:
    """One thing that the model needs and weft has not got."""

    what: str
    nodes: list[str] = field(default_factory=list)


class _Import:
    """One walk over a model with static input types."""

    def __init__(self, model: Model, results: Mapping[str, SymbolicType], *, strict: bool):
        self.model, self.results, self.strict = model, results, strict
        graph = model.proto.graph
        self.functions: dict[tuple[str, str, str], FunctionProto] = {}
        for f in model.proto.functions:
            key = (_domain(f.domain), f.name, f.overload)
            if self.functions.setdefault(key, f) is not f:
                raise ModelError(f"the function {f.name!r} is defined twice.", where=model.file)
        reserved = all_names(graph.node) | {v.name for v in graph.output}
        reserved |= {v.name for v in graph.input} | {t.name for t in graph.initializer}
        self.emitter = Emitter(graph.name or "graph", reserved)
        self.missing: dict[str, _Missing] = {}
        self.inlined = 0

    # -- the whole

    def run(
        self, name: str, types: Mapping[str, TensorType], values: Mapping[str, np.ndarray]
    ) -> Graph:
        graph, b, scope = self.model.proto.graph, self.emitter.builder, Scope()
        b.meta = _metadata(self.model)
        for k, t in types.items():
            if k not in values:
                b.input(k, t.dtype, t.shape)
            else:
                b.constant(values[k], k)
            scope.define(k, k, self.model.file)
        self._initializers(graph, scope, top=True)
        self.declared = {
            v.name: v.type.tensor_type.elem_type
            for v in graph.value_info
            if v.type.WhichOneof("value") == "tensor_type"
        }
        wanted = [o.name for o in graph.output]
        if not wanted:
            raise ModelError("the graph has no outputs.", where=self.model.file)
        if len(set(wanted)) < len(wanted):
            raise ModelError("an output is listed twice.", where=self.model.file)
        self._body(graph.node, wanted, scope, self.model.opsets, 0)
        if self.missing:
            self._report()
        outputs = [self._output(o, scope) for o in wanted]
        used = {i for n in b.nodes for i in n.inputs} | set(outputs)
        b.constants = {k: c for k, c in b.constants.items() if k in used}
        return b.finish(outputs)

    def _initializers(self, graph: GraphProto, scope: Scope, *, top: bool = False) -> None:
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

    def _output(self, name: str, scope: Scope) -> str:
        """The tensor for the graph output ``name``, which must have just that name."""
        b = self.emitter.builder
        tensor = scope.get(name)
        if tensor is None:
            raise ModelError(f"the output {name!r} is not made by any node.", where=self.model.file)
        if name in b.inputs:
            # A graph's input cannot also be its output: a consumer of the program would have to
            # know that no kernel writes it. The copy takes the name, the input keeps its own.
            name = self.emitter.fresh(f"{name}.out")
        if tensor != name or name not in b.types:
            source = Source(self.model.file, name, "")
            if tensor in b.constants:
                b.constant(b.constants[tensor], name)
            else:
                b.add("identity", [tensor], outputs=[name], source=source)
        self._check_output(name, b.types[name])
        return name

    def _check_output(self, name: str, have: TensorType) -> None:
        want = self.results.get(name)
        if want is None:
            return
        dims = want.dims if self.strict else None
        wrong = want.dtype != have.dtype or (
            dims is not None
            and (
                len(dims) != len(have.shape)
                or any(isinstance(d, int) and d != n for d, n in zip(dims, have.shape))
            )
        )
        if wrong:
            raise ModelError(
                f"the output {name!r} is declared {want}, but the nodes make {have}.",
                where=self.model.file,
            )

    # -- what is missing is collected, and reported at once

    def _miss(self, what: str, node: str) -> None:
        self.missing.setdefault(what, _Missing(what)).nodes.append(node)

    def _report(self) -> None:
        lines = []
        for m in self.missing.values():
            names = ", ".join(map(repr, m.nodes[:8]))
            more = f" and {len(m.nodes) - 8} more" if len(m.nodes) > 8 else ""
            lines.append(f"  {m.what}: nodes {names}{more}")
        text = "the model needs what weft does not support:\n" + "\n".join(lines)
        raise UnsupportedError(text, where=self.model.file)

    # -- one list of nodes

    def _body(
        self,
        nodes: Sequence[NodeProto],
        outputs: Sequence[str],
        scope: Scope,
        opsets: Mapping[str, int],
        depth: int,
        call: Call | None = None,
    ) -> None:
        if depth > MAX_DEPTH:
            raise ModelError(
                f"subgraphs and functions are nested more than {MAX_DEPTH} deep.",
                where=self.model.file,
            )
        for o in (o for n in nodes for o in n.output if o in scope.values):
            raise ModelError(f"the value {o!r} is defined twice.", where=self.model.file)
        used = set(outputs).union(*(reads(n) for n in nodes))
        for node in ordered(nodes, self.model.file):
            if call:
                node = with_attributes(node, call, self.model.file)
            source = Source(
                self.model.file,
                node.name or next((o for o in node.output if o), ""),
                node.op_type,
            )
            start = len(self.emitter.builder.nodes)
            if not depth:
                self.emitter.made.clear()
            made = self._node(node, used, scope, opsets, depth, source)
            renamed: dict[str, str] = {}
            for name, tensor in zip(node.output, made):
                tensor = renamed.get(tensor, tensor)
                if name and tensor != UNKNOWN and not depth:
                    self._check_declared(name, tensor, source)
                    if tensor in self.emitter.made and name not in self.emitter.builder.types:
                        self.emitter.rename(tensor, name, start)
                        renamed[tensor] = tensor = name
                if name:
                    scope.define(name, tensor, str(source))

    def _check_declared(self, name: str, tensor: str, source: Source) -> None:
        """The element type in ``value_info``. Shapes there are often out of date; those of the
        outputs are checked (:meth:`_check_output`)."""
        code = self.declared.get(name, 0)
        have, want = self.emitter.builder.types[tensor].dtype, known_dtype(code)
        if code and want != have:
            raise ModelError(
                f"{name!r} is declared as {want or code}, but is {have}.", where=str(source)
            )

    def _node(
        self,
        node: NodeProto,
        used: set[str],
        scope: Scope,
        opsets: Mapping[str, int],
        depth: int,
        source: Source,
    ) -> Sequence[str]:
        """The tensors for the outputs of ``node``."""
        where, domain = str(source), _domain(node.domain)
        inputs: list[str] = []
        for i in node.input:
            tensor = scope.get(i) if i else ""
            if tensor is None:
                raise ModelError(f"its input {i!r} is not defined.", where=where)
            inputs.append(tensor)
        unknown = [UNKNOWN] * len(node.output)
        local = self.functions.get((domain, node.op_type, node.overload))
        if local is not None:
            return self._call(
                Call(local, node, opsets_of(local.opset_import, where)), inputs, depth
            )
        if domain not in opsets:
            raise ModelError(
                f"the operator set {domain or 'ai.onnx'!r} is not imported.", where=where
            )
        opset = opsets[domain]
        check_node(node, domain, opset, where)
        b = self.emitter.builder
        dtypes = [b.types[i].dtype if i and i != UNKNOWN else None for i in inputs]
        known = UNKNOWN not in inputs
        if known:
            check_types(node, domain, opset, dtypes, where)
        if domain == "" and node.op_type == "If":
            return self._if(node, inputs[0], scope, opsets, depth, source)
        convert = converters().get(f"{domain}::{node.op_type}" if domain else node.op_type)
        if convert is None:
            if not known and needs_types(node, domain, opset):
                return unknown
            body = library_function(node, domain, opset, [b.types.get(i) for i in inputs])
            if body is not None:
                imports = {**opsets, **opsets_of(body.opset_import, where)}
                call = Call(body, node, imports, default_attributes(node, domain, opset))
                return self._call(call, inputs, depth)
            name = domain or "ai.onnx"
            self._miss(f"operator {node.op_type} (domain {name}, opset {opset})", source.node)
            return unknown
        if not known:
            return unknown
        wanted = [bool(o) and o in used for o in node.output]
        context = NodeContext(self.emitter, self.model.reader, node, inputs, opset, wanted, source)
        try:
            made = _convert(convert, context)
        except UnsupportedError as e:
            self._miss(
                f"{node.op_type} (domain {domain or 'ai.onnx'}, opset {opset}): {e.message}",
                source.node,
            )
            return unknown
        names = [made] if isinstance(made, str) else list(made)
        for k, want in enumerate(wanted):
            if want and (k >= len(names) or not names[k]):
                what = f"output {k} of {node.op_type} (domain {domain or 'ai.onnx'}, opset {opset})"
                self._miss(what, source.node)
                names += [""] * (k + 1 - len(names))
                names[k] = UNKNOWN
        return [n or UNKNOWN for n in names] + [UNKNOWN] * (len(node.output) - len(names))

    # -- subgraphs and functions

    def _if(
        self,
        node: NodeProto,
        condition: str,
        scope: Scope,
        opsets: Mapping[str, int],
        depth: int,
        source: Source,
    ) -> Sequence[str]:
        value = self.emitter.builder.constants.get(condition)
        if value is None:
            if condition != UNKNOWN:
                self._miss("If whose condition depends on data", source.node)
            return [UNKNOWN] * len(node.output)
        where = str(source)
        if value.size != 1:
            raise ModelError(f"the condition has {value.size} elements, not one.", where=where)
        wanted = "then_branch" if value.reshape(-1)[0] else "else_branch"
        branch = next(a.g for a in node.attribute if a.name == wanted)
        names = [o.name for o in branch.output]
        if len(names) != len(node.output):
            raise ModelError(
                f"the {wanted} has {len(names)} outputs, the node {len(node.output)}.", where=where
            )
        inner = Scope(scope)
        self._initializers(branch, inner)
        self._body(branch.node, names, inner, opsets, depth + 1)
        return self._results(names, inner, where)

    def _call(self, call: Call, inputs: Sequence[str], depth: int) -> Sequence[str]:
        where = f"{self.model.file}, function {call.function.name!r}"
        f, inner = call.function, Scope()
        if len(inputs) > len(f.input) or len(call.node.output) > len(f.output):
            raise ModelError("it is called with too many inputs or outputs.", where=where)
        self.inlined += len(f.node)
        if self.inlined > MAX_INLINED:
            raise ModelError(f"functions expand to more than {MAX_INLINED} nodes.", where=where)
        for k, name in enumerate(f.input):
            inner.define(name, inputs[k] if k < len(inputs) else "", where)
        wanted = [formal if o else "" for formal, o in zip(f.output, call.node.output)]
        self._body(f.node, wanted, inner, call.opsets, depth + 1, call)
        return self._results(wanted, inner, where)

    def _results(self, names: Sequence[str], scope: Scope, where: str) -> list[str]:
        for name in names:
            if name and not scope.get(name):
                raise ModelError(f"the output {name!r} is not made by any node.", where=where)
        return [scope.get(name) or UNKNOWN for name in names]


def _domain(domain: str) -> str:
    return "" if domain in DEFAULT_DOMAINS else domain


def _convert(convert: Converter, context: NodeContext) -> Sequence[str] | str:
    """Run one converter.

    What Python and numpy raise for bad *values* (an index out of bounds, a mode that is in no
    table, shapes that do not fit) is the file's fault, as nothing else is unknown to a converter;
    it becomes a :class:`ModelError` that keeps the exception as its cause. What they raise for
    bad *code* (TypeError, AttributeError, NameError, AssertionError) is a bug of weft and is not
    hidden.
    """
    try:
        return convert(context)
    except (ValueError, LookupError, ArithmeticError, MemoryError) as e:
        raise ModelError(
            f"weft could not read this node ({type(e).__name__}: {e}).", where=context.where
        ) from e
    except RecursionError as e:
        raise GraphError("the graph is nested too deeply.", where=context.where) from e
