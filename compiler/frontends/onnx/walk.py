"""The walk over the nodes of a model: :class:`Walk` adds them to the graph, functions inlined.

A node becomes what its converter makes of it; without one, the model's own function of that name or
the standard's definition is walked in its place. What is missing is collected, so that one error
can name all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from onnx import FunctionProto, GraphProto, NodeProto, SparseTensorProto, TensorProto

from ....runtime.errors import GraphError, ModelError, UnsupportedError, WeftError
from ...graph.graph import Source
from ..context import run_converter
from ..emit import Emitter
from ..missing import Missing
from ..registered import ONNX_DOMAINS
from . import ops_sized
from .bodies import Bodies
from .context import ByDefinition, Converter, NodeContext, UnknownValueError
from .control import CONTROL
from .converters import converter_of
from .flags import with_plain_flags
from .functions import (
    FunctionCall,
    default_attributes,
    library_function,
    needs_types,
    with_attributes,
)
from .legacy import modern
from .ops_sequence import TAKERS as TAKERS_OF_SEQUENCES
from .reader import Model, opsets_of
from .schema import check_node, check_types, like_inputs
from .scope import UNKNOWN, Scope, Sequences, is_tensor, live, ordered, reads
from .site import NodeSite, Surroundings
from .strings import TAKERS, string_table
from .tensors import narrow_type, stored_dtype

MAX_DEPTH = 40  # of subgraphs and function calls
MAX_INLINED = 100_000  # nodes out of functions: calls of calls can grow exponentially


@dataclass(frozen=True)
class _Listed:
    """Nodes in an order that works, and all names that they read and make."""

    nodes: Sequence[NodeProto]
    read: frozenset[str]
    made: frozenset[str]


class Walk:
    """One walk over a model with static input types; it adds to ``emitter``. ``open_shapes``: the
    model itself leaves some of their extents open."""

    def __init__(self, model: Model, emitter: Emitter, *, open_shapes: bool = False):
        self.model, self.emitter, self.open_shapes = model, emitter, open_shapes
        self._unfit: WeftError | None = None  # the last one
        self.functions: dict[tuple[str, str, str], FunctionProto] = {}
        for f in model.proto.functions:
            key = (_domain(f.domain), f.name, f.overload)
            if self.functions.setdefault(key, f) is not f:
                raise ModelError(f"the function {f.name!r} is defined twice.", where=model.file)
        # Of the model's functions that were called, by identity: their operator sets and nodes.
        self._imports: dict[int | None, Mapping[str, int]] = {}
        self._bodies: dict[int | None, _Listed] = {}
        self.declared = {
            v.name: v.type.tensor_type.elem_type
            for v in model.proto.graph.value_info
            if v.type.WhichOneof("value") == "tensor_type"
        }
        self.missing = Missing()
        self.inlined = 0
        self.sequences = Sequences()
        self.bodies = Bodies(self)
        self.depth = 0  # of graphs inside of one another: loops and branches

    @contextmanager
    def inside(self, emitter: Emitter) -> Iterator[None]:
        """Add to another graph for a while: that of a loop or a branch."""
        around = self.emitter, self.bodies
        self.depth += 1
        self.emitter, self.bodies = emitter, Bodies(self, self.bodies.unrolled)
        emitter.budget = around[0].budget
        try:
            yield
        finally:
            around[0].budget = emitter.budget
            around[1].unrolled = self.bodies.unrolled
            self.emitter, self.bodies = around
            self.depth -= 1

    def report(self) -> None:
        """Raises :class:`UnsupportedError` with all that was missing, if anything was."""
        self.missing.report(self.model.file)

    def initializers(self, graph: GraphProto, scope: Scope, *, top: bool = False) -> None:
        """Define the constants of a graph in ``scope``; those of the ``top`` one keep their names.

        Raises :class:`ModelError` for a name that is used twice.
        """
        where, read = self.model.file, self.model.reader
        seen: set[str] = set()
        for t in (*graph.initializer, *graph.sparse_initializer):
            sparse = isinstance(t, SparseTensorProto)
            strings = None if sparse else string_table(t, where)
            name = t.values.name if sparse else t.name
            if not name or name in seen:
                raise ModelError(f"the initializer {name!r} is unnamed or twice.", where=where)
            seen.add(name)
            if name in scope.values:  # an input with a default value that the caller has bound
                continue
            if strings is not None:
                array = strings.indices
            else:
                array = read.dense(t, where) if sparse else read.array(t, where)
            tensor = (
                self.emitter.builder.constant(array, name)
                if top
                else self.emitter.constant(array, name)
            )
            scope.define(name, tensor, where)
            if strings is not None:
                self.emitter.strings[tensor] = strings.labels
            narrow = narrow_type((t.values if sparse else t).data_type)
            if narrow:
                self.emitter.narrow[tensor] = narrow

    # -- one list of nodes

    def body(
        self, nodes: Sequence[NodeProto], outputs: Sequence[str], around: Surroundings
    ) -> None:
        """Add ``nodes`` in an order that works, and define what they make in ``around.scope``.

        ``outputs`` are the values that are wanted of them; nodes that nothing wanted depends on are
        left out. Raises :class:`ModelError` for a list that is unsound: a cycle, a value made twice
        or by nothing.
        """
        scope, top = around.scope, not around.depth
        if around.depth > MAX_DEPTH:
            raise ModelError(
                f"subgraphs and functions are nested more than {MAX_DEPTH} deep.",
                where=self.model.file,
            )
        for o in (o for n in nodes for o in n.output if o in scope.values):
            raise ModelError(f"the value {o!r} is defined twice.", where=self.model.file)
        listed = self._listed(nodes, around.call)
        for name in listed.read - listed.made:
            if name not in scope:
                reader = next(n for n in listed.nodes if name in reads(n))
                source = _source(reader, self.model.file)
                raise ModelError(f"its input {name!r} is not defined.", where=str(source))
        nodes = live(listed.nodes, outputs)
        used = frozenset(outputs).union(*map(reads, nodes))
        for node in nodes:
            if around.call:
                node = with_attributes(node, around.call, self.model.file)
            source = _source(node, self.model.file)
            start = len(self.emitter.builder.nodes)
            if top:
                self.emitter.made.clear()
            made = self._node(node, used, around, source)
            renamed: dict[str, str] = {}
            for name, tensor in zip(node.output, made):
                if name and is_tensor(tensor) and top:
                    self._check_declared(name, tensor, source)
                    free = tensor not in renamed and name not in self.emitter.builder.types
                    if free and tensor in self.emitter.made:
                        renamed[tensor] = name
                if name:
                    scope.define(name, renamed.get(tensor, tensor), str(source))
            if renamed:
                self.emitter.rename(renamed, start)

    def _listed(self, nodes: Sequence[NodeProto], call: FunctionCall | None) -> _Listed:
        """The nodes in order; of a function of the model, which may be called very often, once."""
        key = None if call is None else id(call.function)
        if key not in self._bodies:
            order = tuple(ordered(nodes, self.model.file))
            made = frozenset(o for n in order for o in n.output)
            found = _Listed(order, frozenset().union(*map(reads, order)), made)
            if key not in self._imports:
                return found
            self._bodies[key] = found
        return self._bodies[key]

    def _check_declared(self, name: str, tensor: str, source: Source) -> None:
        """The element type in ``value_info``. Shapes there are often out of date; those of the
        outputs are checked by the importer."""
        code, strings = self.declared.get(name, 0), tensor in self.emitter.strings
        have, want = self.emitter.element(tensor), narrow_type(code) or stored_dtype(code)
        fits = code == TensorProto.STRING if strings else want == have
        if code and not fits:
            raise ModelError(
                f"{name!r} is declared as {want or code}, but is {'string' if strings else have}.",
                where=str(source),
            )

    # -- one node

    def _node(
        self, node: NodeProto, used: Collection[str], around: Surroundings, source: Source
    ) -> Sequence[str]:
        """The tensors for the outputs of ``node``."""
        where, domain = str(source), _domain(node.domain)
        site = NodeSite(node, domain, self._inputs(node, around, where), around, source)
        local = self.functions.get((domain, node.op_type, node.overload))
        if local is not None:
            if id(local) not in self._imports:
                self._imports[id(local)] = opsets_of(local.opset_import, where)
            call = FunctionCall(local, node, self._imports[id(local)])
            return self._call(call, site)
        self._check(site)
        if domain == "" and (plain := with_plain_flags(node, where)) is not node:
            node, site = plain, replace(site, node=plain)
        control = CONTROL.get(node.op_type) if domain == "" else None
        if control is not None:
            return self._controlled(control, site) if site.known else site.unknown
        folds = domain == "" and node.op_type in TAKERS_OF_SEQUENCES
        if site.known and not folds and not all(is_tensor(i) for i in site.inputs if i):
            self.miss(f"{node.op_type} {site.operator} of a sequence or an optional", site)
            return site.unknown
        convert = converter_of(domain, node.op_type)
        if convert is None:
            return self._standard(site)
        if domain == "":
            convert = modern(node.op_type, site.opset, convert)
        if not (domain == "" and node.op_type in ops_sized.TAKERS):
            sizes = self.emitter.sizes
            if any(i in sizes for i in site.inputs):
                what = "of a tensor whose size only data knows"
                self.miss(f"{node.op_type} {site.operator} {what}", site)
                return site.unknown
        return self._converted(convert, site, used) if site.known else site.unknown

    def _inputs(self, node: NodeProto, around: Surroundings, where: str) -> list[str]:
        inputs: list[str] = []
        for i in node.input:
            tensor = around.scope.get(i) if i else ""
            if tensor is None:
                raise ModelError(f"its input {i!r} is not defined.", where=where)
            inputs.append(tensor)
        return inputs

    def _check(self, site: NodeSite) -> None:
        """The node against the schema of its operator."""
        where, domain = str(site.source), site.domain
        if domain not in site.around.opsets:
            raise ModelError(
                f"the operator set {domain or 'ai.onnx'!r} is not imported.", where=where
            )
        check_node(site.node, domain, site.opset, where)
        if site.known and all(is_tensor(i) for i in site.inputs if i):
            dtypes = [self.emitter.element(i) if i else None for i in site.inputs]
            check_types(site.node, domain, site.opset, dtypes, where)

    def _standard(self, site: NodeSite) -> Sequence[str]:
        """A node without a converter, by the standard's definition of its operator."""
        node, domain, opset = site.node, site.domain, site.opset
        if not site.known and needs_types(node, domain, opset):
            return site.unknown
        types = [self.emitter.builder.types.get(i) for i in site.inputs]
        body = library_function(node, domain, opset, types, str(site.source))
        if body is None:
            self.miss(f"operator {node.op_type} {site.operator}", site)
            return site.unknown
        opsets = {**site.around.opsets, **opsets_of(body.opset_import, str(site.source))}
        defaults = default_attributes(node, domain, opset)
        return self._call(FunctionCall(body, node, opsets, defaults), site)

    def _converted(
        self, convert: Converter, site: NodeSite, used: Collection[str]
    ) -> Sequence[str]:
        """What ``convert`` makes of a node; ``UNKNOWN`` for outputs that it does not make."""
        node = site.node
        given = [i for i in site.inputs if i in self.emitter.strings]
        if given and (given != list(site.inputs[:1]) or (site.domain, node.op_type) not in TAKERS):
            self.miss(f"{node.op_type} {site.operator} of strings", site)
            return site.unknown
        if any(i in self.emitter.columns for i in site.inputs) and node.op_type != "Identity":
            self.miss(f"{node.op_type} {site.operator} of a sequence of maps", site)
            return site.unknown
        wanted = [bool(o) and o in used for o in node.output]
        context = self.context(site, wanted)
        try:
            names = run_converter(convert, context)
        except ByDefinition:
            return self._standard(site)
        except UnsupportedError as e:
            self.miss(f"{node.op_type} {site.operator}: {e.message}", site)
            return site.unknown
        except UnknownValueError:
            raise
        except (ModelError, GraphError) as e:
            self._unfit = e
            raise
        narrow = self.emitter.narrow
        like = like_inputs(node, site.domain, site.opset, [narrow.get(i) for i in site.inputs])
        for name, t in zip(names, like):
            if t is not None and is_tensor(name):
                narrow.setdefault(name, t)
        if given and TAKERS[site.domain, node.op_type]:
            self.emitter.keep_labels(given[0], names[0])
        if self.depth and any(n in self.emitter.strings for n in names):
            self.miss(f"{node.op_type} {site.operator} of strings in a loop or a branch", site)
            return site.unknown
        for k, want in enumerate(wanted):
            if want and (k >= len(names) or not names[k]):
                self.miss(f"output {k} of {node.op_type} {site.operator}", site)
        names += [""] * (len(node.output) - len(names))
        return [n or UNKNOWN for n in names]

    def _controlled(self, control: Callable, site: NodeSite) -> Sequence[str]:
        """What a step of control flow becomes."""
        if any(site.around.scope.get(r) in self.emitter.strings for r in reads(site.node)):
            self.miss(f"{site.node.op_type} {site.operator} of strings", site)
            return site.unknown
        try:
            return run_converter(lambda _: control(self.bodies, site), self.context(site))
        except UnsupportedError as e:
            self.miss(f"{site.node.op_type} {site.operator}: {e.message}", site)
            return site.unknown

    def context(self, site: NodeSite, wanted: Sequence[bool] = ()) -> NodeContext:
        """What a converter sees of the node."""
        return NodeContext(
            self.emitter, self.model.reader, site.node, site.inputs, site.opset, wanted,
            site.source, self.sequences,
        )  # fmt: skip

    def cannot_fit(self, error: WeftError) -> bool:
        """Whether ``error`` says that a node cannot take its operands, and other extents of the
        model's inputs may change that."""
        return self.open_shapes and error is self._unfit

    def miss(self, what: str, site: NodeSite, hint: str = "") -> None:
        """Note that weft has not got ``what``, which the node needs."""
        self.missing.add(what, site.source.node, hint)

    # -- functions

    def _call(self, call: FunctionCall, site: NodeSite) -> Sequence[str]:
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
        return self.results(wanted, inner, where)

    def results(self, names: Sequence[str], scope: Scope, where: str) -> list[str]:
        """The tensors of ``names``, all of which ``scope`` must have."""
        for name in names:
            if name and not scope.get(name):
                raise ModelError(f"the output {name!r} is not made by any node.", where=where)
        return [scope.get(name) or UNKNOWN for name in names]


def _source(node: NodeProto, file: str) -> Source:
    return Source(file, node.name or next((o for o in node.output if o), ""), node.op_type)


def _domain(domain: str) -> str:
    return "" if domain in ONNX_DOMAINS else domain
