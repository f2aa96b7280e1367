"""Loops and branches: those that a graph without control flow can say become one.

``If`` takes the branch of a constant condition, or computes both and selects where that is cheap.
``Loop`` and ``Scan`` of few steps, and ``SequenceMap``, are unrolled: a body is walked once for
each step. All else becomes a node whose attributes are graphs (``flow.py``), where that can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import GraphProto, TypeProto

from ....runtime.errors import ModelError, WeftError
from ...graph.skeleton import FLOW
from ...ops import get
from ...ops.opdef import Kind
from ..sized import choices
from .bodies import Bodies
from .context import NodeContext
from .flow import Item, Trips, branch, repeat, undecided
from .rows import Row
from .scope import UNKNOWN, is_tensor
from .site import NodeSite
from .tensors import narrow_type, stored_dtype

if TYPE_CHECKING:
    from .walk import Walk

UNROLLED = 2000  # nodes that a loop of known steps may become: it is then a part of the graph
MAX_EXTRA_WORK = 1 << 26  # multiplications that a branch may cost which is not taken

Converted = Sequence[str]


# --- If ---------------------------------------------------------------------------------------


def _if(bodies: Bodies, site: NodeSite) -> Converted:
    walk, where = bodies.walk, site.where
    branches = {a.name: a.g for a in site.node.attribute}
    for name, g in branches.items():
        if len(g.output) != len(site.node.output):
            raise ModelError(
                f"the {name} has {len(g.output)} outputs, the node {len(site.node.output)}.",
                where=where,
            )
    n = walk.context(site)
    value = n.const(0) if n.is_const(0) else None
    if value is None:
        return _both(bodies, site, n, branches)
    if value.size != 1:
        raise ModelError(f"the condition has {value.size} elements, not one.", where=where)
    taken = branches["then_branch" if value.reshape(-1)[0] else "else_branch"]
    return bodies.run(site, taken, ()) or site.unknown


def _both(
    bodies: Bodies, site: NodeSite, n: NodeContext, branches: Mapping[str, GraphProto]
) -> Converted:
    """Both branches, and a choice by the data; for those that cost little and agree in shape."""
    walk, nodes = bodies.walk, bodies.walk.emitter.builder.nodes
    if math.prod(n.typeof(n.inputs[0]).shape) != 1:
        n.error(f"the condition is {n.type(0)}, not one element.")
    found = []
    for name in ("then_branch", "else_branch"):
        start = len(nodes)
        try:
            found.append(bodies.run(site, branches[name], ()))
        except WeftError as e:
            if not walk.cannot_fit(e):
                raise
            del nodes[start:]
            return branch(walk, site, branches["then_branch"], branches["else_branch"])
        if sum(_work(walk, k) for k in range(start, len(nodes))) > MAX_EXTRA_WORK:
            del nodes[start:]
            return branch(walk, site, branches["then_branch"], branches["else_branch"])
    yes, no = found
    if yes is None or no is None:
        undecided(walk, site, ", with such a node in a branch")
        return site.unknown
    condition = n.add("reshape", [n.inputs[0]], shape=())
    chosen = [_select(walk, n, condition, a, b) for a, b in zip(yes, no)]
    for a, b, c in zip(yes, no, chosen):
        if c == UNKNOWN:
            kinds = " and ".join(_described(walk, v) for v in (a, b))
            undecided(walk, site, f", and whose branches make {kinds}")
    return chosen


def _select(walk: Walk, n: NodeContext, condition: str, a: str, b: str) -> str:
    """``a`` where ``condition`` holds, else ``b``; ``UNKNOWN`` where they are not alike."""
    if a == b:
        return a
    one, two = walk.sequences.get(a), walk.sequences.get(b)
    if one is not None and two is not None and len(one) == len(two):
        parts = [_select(walk, n, condition, x, y) for x, y in zip(one, two)]
        return UNKNOWN if UNKNOWN in parts else walk.sequences.make(parts)
    s = n.sizing
    if not (is_tensor(a) and is_tensor(b) and choices.alike(s, a, s, b)):
        return UNKNOWN
    return choices.select(s, condition, a, b)


def _described(walk: Walk, name: str) -> str:
    elements = walk.sequences.get(name)
    if elements is not None:
        return f"a sequence of {len(elements)}"
    return str(walk.emitter.builder.types[name]) if is_tensor(name) else "nothing"


def _work(walk: Walk, k: int) -> int:
    """About the multiplications of node ``k`` of the graph: of a product, the root of the sizes of
    its sides and result multiplied (MK x KN x MN is the square of MNK)."""
    types, node = walk.emitter.builder.types, walk.emitter.builder.nodes[k]
    if node.op in FLOW:
        return MAX_EXTRA_WORK + 1
    made = sum(types[o].size for o in node.outputs if o)
    read = [types[i].size for i in node.inputs if i]
    if get(node.op).kind < Kind.COMPLEX or len(read) < 2:
        return max(made, *read, 0) * math.prod(get(node.op).facts.window(node.attrs))
    return max(made, math.isqrt(read[0] * read[1] * made))


# --- Loop -------------------------------------------------------------------------------------


def _loop(bodies: Bodies, site: NodeSite) -> Converted:
    """Unrolled where constants decide how often, and that is not often; else a node."""
    walk, n = bodies.walk, bodies.walk.context(site)
    carried = len(site.inputs) - 2
    graph = bodies.body(site, carried + 2)
    scans = len(graph.output) - 1 - carried
    if scans < 0 or len(site.node.output) > carried + scans:
        n.error(f"the body has {len(graph.output)} outputs, too few for the node.")
    trips, going = _known(n, 0, "trip count"), _known(n, 1, "condition")
    given, rows, unknown = site.inputs[2:], [Row()] * scans, _UNKNOWN in (trips, going)
    most = math.inf if trips is None else trips
    if trips is _UNKNOWN:
        most = n.sizing.emitter.values.interval(n.inputs[0], 0)[1]
    if unknown and scans and most == math.inf:
        for i in (0, 1):
            _ask(walk, n, i)
    as_data = Trips(
        -1 if trips is None or trips is _UNKNOWN else trips,
        n.inputs[0] if trips is _UNKNOWN else "",
        n.inputs[1] if going is _UNKNOWN else "",
        bool(n.input(1)) or trips is None,
        -1 if most == math.inf else max(int(most), 0),
    )
    before = _Before(walk)
    if (unknown or (trips or 0) * len(graph.node) > UNROLLED) and 0 not in (trips, going):
        made = repeat(walk, site, graph, as_data, given, rows)
        if made is not None or unknown:
            return _outputs(site, made)
        before.restore()  # its state may change its shape, or be a sequence
    elif unknown:
        trips, going = 0, 0
    state, grown, step = list(given), [[] for _ in range(scans)], 0
    held = n.inputs[1] if n.input(1) else n.constant(np.array(True))
    while (trips is None or step < trips) and (going is None or going):
        results = bodies.step(site, graph, [n.constant(np.array(step, np.int64)), held, *state])
        if results is None:
            return site.unknown
        held, state = results[0], results[1 : 1 + carried]
        for line, row in zip(grown, results[1 + carried :]):
            line.append(row)
        value = walk.emitter.builder.constants.get(held)
        step += 1
        if n.input(1) or trips is None or value is not None:
            if value is None:
                before.restore()
                return _outputs(site, repeat(walk, site, graph, as_data, given, rows))
            going = bool(value.reshape(-1)[0])
    shapes = [o.type.tensor_type for o in graph.output[1 + carried :]]
    stacked = [_stack(walk, site, n, r, 0, t) for r, t in zip(grown, shapes)]
    return [*state, *stacked][: len(site.node.output)]


_UNKNOWN = -1


def _known(n: NodeContext, i: int, what: str) -> int | None:
    """The number in input ``i``; None when it is absent, ``_UNKNOWN`` when only data knows it."""
    if not n.input(i):
        return None
    if not n.is_const(i):
        return _UNKNOWN
    value = n.const(i)
    assert value is not None
    if value.size != 1:
        n.error(f"the {what} has {value.size} elements, not one.")
    return max(int(value.reshape(-1)[0]), 0)


def _ask(walk: Walk, n: NodeContext, i: int) -> None:
    """What the caller may know, a number that follows from numbers that are inputs of the model, he
    is asked for."""
    if n.input(i) and not n.is_const(i):
        types = walk.emitter.builder.types
        roots = walk.emitter.ancestors(n.inputs[i])
        if roots and all(types[r].size <= 1 for r in roots):
            n.const(i)  # raises, and says how to bind them


class _Before:
    """The graph before something is tried that may not work out."""

    def __init__(self, walk: Walk):
        self._walk, self._nodes = walk, len(walk.emitter.builder.nodes)
        self._missing = {k: list(v) for k, v in walk.missing.needs.items()}

    def restore(self) -> None:
        """Forget what was added since."""
        del self._walk.emitter.builder.nodes[self._nodes :]
        self._walk.missing.needs = self._missing


def _outputs(site: NodeSite, made: Sequence[str] | None) -> Converted:
    """Those that the node names, of what a loop makes."""
    return site.unknown if made is None else made[: len(site.node.output)]


def _stack(
    walk: Walk,
    site: NodeSite,
    n: NodeContext,
    rows: Sequence[str],
    axis: int,
    declared: TypeProto.Tensor,
) -> str:
    """The results of all steps along a new axis. Of no steps only the declared type is known."""
    if not rows:
        dims = [d.dim_value if d.HasField("dim_value") else -1 for d in declared.shape.dim]
        dtype = stored_dtype(declared.elem_type)
        if dtype is None or not declared.HasField("shape") or min(dims, default=0) < 0:
            walk.miss(f"{site.node.op_type} {site.operator} of no steps, of unknown shapes", site)
            return UNKNOWN
        dims.insert(axis, 0)
        made = n.constant(np.zeros(dims, dtype.numpy))
        return n.hold(made, narrow_type(declared.elem_type))
    shape = n.typeof(rows[0]).shape
    if any(n.typeof(r) != n.typeof(rows[0]) for r in rows):
        walk.miss(f"{site.node.op_type} {site.operator} whose steps make several shapes", site)
        return UNKNOWN
    axis = axis + len(shape) + 1 if axis < 0 else axis
    if not 0 <= axis <= len(shape):
        n.error(f"the axis {axis} of a scan output is out of range for {len(shape) + 1} axes.")
    lines = [n.add("reshape", [r], shape=(*shape[:axis], 1, *shape[axis:])) for r in rows]
    whole = lines[0] if len(lines) == 1 else n.add("concat", lines, axis=axis)
    return n.hold(whole, n.narrow_of(rows[0]))


# --- Scan and SequenceMap ---------------------------------------------------------------------


def _item(n: NodeContext, name: str, axis: int, at: int) -> str:
    """``name[..., at, ...]`` along ``axis``."""
    shape, narrow = n.typeof(name).shape, n.narrow_of(name)
    starts = tuple(at if k == axis else 0 for k in range(len(shape)))
    cut = tuple(1 if k == axis else d for k, d in enumerate(shape))
    if cut != shape:
        name = n.add("slice", [name], starts=starts, shape=cut)
    item = n.add("reshape", [name], shape=shape[:axis] + shape[axis + 1 :])
    return n.hold(item, narrow)


def _scan(bodies: Bodies, site: NodeSite) -> Converted:
    """A body over the slices of inputs; before opset 9 for each item of a batch."""
    n = bodies.walk.context(site)
    if site.opset >= 9:
        return _scanned(bodies, site, n, list(n.inputs)) or site.unknown
    if n.inputs[0]:
        lengths = n.const(0)
        assert lengths is not None
        if any(v != n.typeof(n.inputs[-1]).shape[1] for v in lengths.reshape(-1)):
            n.unsupported("sequences of several lengths")
    items = []
    for k in range(n.typeof(n.inputs[-1]).shape[0]):
        one = _scanned(bodies, site, n, [_item(n, i, 0, k) for i in n.inputs[1:]])
        if one is None:
            return site.unknown
        items.append(one)
    if not items:
        n.error("the batch is empty.")
    untyped = TypeProto.Tensor()
    return [_stack(bodies.walk, site, n, rows, 0, untyped) for rows in zip(*items)]


def _scanned(bodies: Bodies, site: NodeSite, n: NodeContext, inputs: list[str]) -> list[str] | None:
    count = n.attr("num_scan_inputs")
    carried = len(inputs) - count
    if count < 1 or carried < 0:
        n.error(f"num_scan_inputs is {count}, of {len(inputs)} inputs.")
    if any(i in bodies.walk.emitter.sizes for i in inputs):
        n.unsupported("a tensor whose size only data knows")
    graph = bodies.body(site, len(inputs))
    outs = len(graph.output) - carried
    if outs < 0 or len(site.node.output) > carried + outs:
        n.error(f"the body has {len(graph.output)} outputs, too few for the node.")
    state, scanned = inputs[:carried], inputs[carried:]
    axes = [a % max(len(n.typeof(s).shape), 1) for a, s in zip(
        _listed(n, "scan_input_axes", count), scanned)]  # fmt: skip
    backward = _listed(n, "scan_input_directions" if site.opset >= 9 else "directions", count)
    lengths = {n.typeof(s).shape[a] for s, a in zip(scanned, axes)}
    if len(lengths) != 1:
        n.error(f"the scanned inputs have {sorted(lengths)} slices.")
    (steps,) = lengths
    places = _listed(n, "scan_output_axes", outs)
    reverse = _listed(n, "scan_output_directions", outs)
    if steps * len(graph.node) > UNROLLED:
        rows = [Row(axis, bool(back)) for axis, back in zip(places, reverse)]
        taken = [Item(s, a, bool(b)) for s, a, b in zip(scanned, axes, backward)]
        made = repeat(bodies.walk, site, graph, Trips(steps, decides=False), state, rows, taken)
        return None if made is None else list(_outputs(site, made))
    grown: list[list[str]] = [[] for _ in range(outs)]
    for t in range(steps):
        rows = [
            _item(n, s, a, steps - 1 - t if back else t)
            for s, a, back in zip(scanned, axes, backward)
        ]
        results = bodies.step(site, graph, [*state, *rows])
        if results is None:
            return None
        state = results[:carried]
        for line, row in zip(grown, results[carried:]):
            line.append(row)
    types = [o.type.tensor_type for o in graph.output[carried:]]
    stacked = [
        _stack(bodies.walk, site, n, r[::-1] if back else r, axis, t)
        for r, axis, back, t in zip(grown, places, reverse, types)
    ]
    return [*state, *stacked][: len(site.node.output)]


def _listed(n: NodeContext, name: str, count: int) -> Sequence[int]:
    given = n.attr(name, None) or (0,) * count
    if len(given) != count:
        n.error(f"{name} has {len(given)} numbers, not {count}.")
    return given


def _sequence_map(bodies: Bodies, site: NodeSite) -> Converted:
    """The body for each element of the first sequence, and of others beside it."""
    walk, n = bodies.walk, bodies.walk.context(site)
    graph = bodies.body(site, len(site.inputs))
    lists = [walk.sequences.get(i) for i in site.inputs]
    first = lists[0]
    if first is None or any(s is not None and len(s) != len(first) for s in lists):
        n.error("its first input is no sequence, or they differ in length.")
    rows = []
    for k in range(len(first)):
        inputs = [i if s is None else s[k] for i, s in zip(site.inputs, lists)]
        results = bodies.step(site, graph, inputs)
        if results is None:
            return site.unknown
        rows.append(results)
    return [walk.sequences.make(r[k] for r in rows) for k in range(len(site.node.output))]


CONTROL: Mapping[str, Callable[[Bodies, NodeSite], Converted]] = {
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
    "SequenceMap": _sequence_map,
}
