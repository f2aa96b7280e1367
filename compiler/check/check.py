"""Accuracy across targets: every tensor that a target stores beside a reference's.

``weft.check`` runs the kernels of the real program - fused, scheduled and laid out as ever - but
keeps every tensor that passes between them, each in memory of its own:

    reference   conv1 ── bn1 ── relu1 ── pool1 ── …      node by node
    target     [conv1 + bn1 + relu1] ─ [pool1] ─ …       what lies between kernels is compared

The program as it is runs beside it: where only that one is wrong, memory is shared wrongly. For
tensors that differ, the reference of their kernel alone is computed from what the *target* gave it:
the kernel's own error, without what came down from earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ...ir.target import HOST, Target
from ...runtime.devices.pages import chromium
from ...runtime.devices.probe import kinds, probe
from ...runtime.devices.table import BROWSER, NODE
from ...runtime.dtype import DType
from ...runtime.errors import DeviceError, InputError
from ...runtime.executor import Executable
from ...runtime.guard import guarded
from ...runtime.inputs import bind as bind_inputs
from ...runtime.rpc.client import Remote
from ..driver import compile_options, resolved
from ..frontends import read_graph
from ..graph.evaluate import evaluate_nodes
from ..graph.graph import Graph
from ..graph.group import Group
from ..graph.skeleton import has_flow
from ..graph.watch import watched
from ..kernels.cache import KernelCache
from ..kernels.program import assemble
from ..options import CompileOptions, ProgressCallback
from ..passes.pipeline import GraphPipeline
from ..tune.records import Records
from ..web.remote import HERE, Job, in_pages, place_of, run_away
from . import judges
from .flow import FlowCheck
from .report import Report, TensorRow, distance
from .tolerances import Tolerance, of_models

AGAINST = ("interp", HOST, "onnxruntime")
SHOWN = 10  # rows of the table, and tensors whose kernel is looked at alone


@dataclass(frozen=True)
class CheckOptions:
    """How a target is judged; see :func:`check`.

    Raises :class:`InputError` for a reference that does not exist.
    """

    against: str = "interp"
    inputs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    in_browser: bool = False
    remote: Remote | None = None

    def __post_init__(self) -> None:
        if self.against not in AGAINST:
            raise InputError(f"there is no reference {self.against!r}.", hint=", ".join(AGAINST))

    def limit(self, target: Target) -> Tolerance:
        """The tolerance: what is not asked for is the target's."""
        usual = of_models(target)
        return Tolerance(
            usual.rtol if self.rtol is None else self.rtol,
            usual.atol if self.atol is None else self.atol,
        )


@guarded
def check(  # noqa: PLR0913 - public: keywords of compile and of CheckOptions
    model: Any,
    target: str | Target = "llvm",
    against: str = "interp",
    inputs: Mapping[str, Any] | None = None,
    *,
    shapes: Mapping[str, Sequence[int] | int] | None = None,
    constants: Mapping[str, Any] | None = None,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    every_node: bool = False,
    accuracy: str = "fast",
    in_browser: bool = False,
    remote: Remote | None = None,
    progress: ProgressCallback | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    opt_level: int | None = None,
) -> Report:
    """Compare a target's results with a reference's, tensor by tensor.

    Parameters
    ----------
    model, shapes, constants, opt_level, accuracy, progress, cache, records : as for
        :func:`weft.compile`, whose kernels are judged.
    target : ``webgl`` runs in a headless Chromium, ``wasm`` under Node, others in this process.
    against : ``"interp"``, the operators' numpy references; ``"llvm"``, one kernel of each operator
        on this processor; ``"onnxruntime"``, which compares what has a name in the model.
    inputs : arrays by name; those left out are random (floats are normal, integers 0 or 1, uint8
        0 to 255), as ``seed`` says.
    rtol, atol : of a tensor's largest element, and absolute; default: ``tolerances.py``.
    every_node : one kernel for each operator of the model, nothing fused or simplified (that is
        ``opt_level=0``): tells a wrong operator from a wrong fusion.
    in_browser : run ``webgpu`` and ``wasm`` in Chromium, too.
    remote : run on this device elsewhere, which :func:`weft.rpc.connect` returned; ``target`` is
        then best what ``remote.target(kind)`` says.

    Raises
    ------
    WeftError : a subclass; :class:`DeviceError` with what to install where nothing runs the target.
    """
    if every_node and opt_level not in (None, 0):
        raise InputError(f"every_node is the optimisation level 0, and opt_level is {opt_level}.")
    judge = CheckOptions(against, inputs or {}, seed, rtol, atol, in_browser, remote)
    options = compile_options(
        [target], shapes, constants, opt_level=0 if every_node else opt_level, progress=progress,
        cache=cache, records=records, accuracy=accuracy,
    )  # fmt: skip
    return compare(model, options, judge)


def compare(model: Any, options: CompileOptions, judge: CheckOptions) -> Report:
    """As :func:`check`, for the one target of ``options``."""
    (target,) = options.targets
    tell = options.progress
    goal = resolved(target)
    place = _place(goal, judge)
    # All that is computed is compared, up to bounds.
    graph = read_graph(model, options).replace(cropped={})
    if has_flow(graph):
        return _compare_flow(model, graph, options, judge, place)
    pipeline = GraphPipeline(graph, options)
    graph, groups = pipeline.cut(goal)
    names, watched = watch(graph, groups, goal, options)
    # After the other: what WEFT_DUMP is left with is about the real program.
    program = assemble(graph, groups, goal, options)
    _runs_whole(program, goal, place)
    feeds = complete(program, judge.inputs, judge.seed)

    tell("run", 0, 2)
    real, seen, devices = _run(program, watched, feeds, place)
    seen = {name: seen[public] for name, public in names.items()}
    tell("run", 1, 2)
    if judge.against == "interp":
        expected = judges.by_reference(graph, feeds)
    elif judge.against == HOST:
        expected = judges.by_llvm(pipeline.source(goal), feeds, options)
    else:
        plain, known = pipeline.graph, options.constants
        expected = judges.by_onnxruntime(model, plain, feeds, known, set(names))
    tell("run", 2, 2)

    limit = judge.limit(goal)
    rows = _rows(groups, seen, expected, limit)
    rows += _outputs(program, rows, real, expected, limit)
    rows = _own_errors(graph, groups, rows, {**feeds, **seen})
    return Report(
        pipeline.graph.name, str(target), judge.against, limit, tuple(rows),
        tuple(n for n in names if n not in expected), devices,
    )  # fmt: skip


def _compare_flow(
    model: Any, graph: Graph, options: CompileOptions, judge: CheckOptions, place: str | Remote
) -> Report:
    """As :func:`compare`, for a graph with loops or branches: the outputs of the whole, and what
    each kernel made when it ran last."""
    (target,) = options.targets
    goal, tell = resolved(target), options.progress
    flow = FlowCheck(graph, goal, options)
    _runs_whole(flow.program, goal, place)
    feeds = complete(flow.program, judge.inputs, judge.seed)
    tell("run", 0, 2)
    real, seen, devices = _run(flow.program, flow.watched, feeds, place)
    tell("run", 1, 2)
    if judge.against == "interp":
        outputs, values = flow.by_reference(feeds)
    elif judge.against == HOST:
        outputs, values = flow.by_llvm(feeds), {}
    else:
        known, names = options.constants, {*graph.outputs, *flow.at_top}
        outputs = judges.by_onnxruntime(model, graph, feeds, known, names)
        values = {key: outputs[key.name] for key in flow.at_top.values() if key.name in outputs}
    tell("run", 2, 2)
    limit = judge.limit(goal)
    rows = flow.rows(seen, values, limit)
    rows += [
        TensorRow(o, "the program as it is", f"output {o!r}", distance(real[o], outputs[o], limit))
        for o in graph.outputs
        if o in outputs
    ]
    missing = flow.missing(values) if judge.against != "interp" else ()
    return Report(graph.name, str(target), judge.against, limit, tuple(rows), missing, devices)


def _place(goal: Target, judge: CheckOptions) -> str | Remote:
    """Where the target's programs run: here, under Node, in a browser, on a device of a hub."""
    if judge.remote is not None:
        judge.remote.target(goal.kind)  # refuses what it does not run
        return judge.remote
    place = place_of(goal)
    if judge.in_browser and in_pages(goal):
        place = BROWSER
    if place == BROWSER:
        chromium()
    elif goal.kind in kinds():
        found = probe(goal.kind)
        if not found.ok:
            raise DeviceError(
                f"{goal.kind} cannot run here: {found.reason}", hint=found.hint or None
            )
    return place


def _runs_whole(program: Executable, target: Target, place: str | Remote) -> None:
    """Refuse a program of which a part runs on WebAssembly, outside of a page."""
    elsewhere = program.program.meta.get("fallback", {})
    pages = place != HERE if isinstance(place, str) else place.runs(target.fallback)
    if elsewhere and not pages:
        label, why = next(iter(elsewhere.items()))
        raise DeviceError(
            f"{len(elsewhere)} kernels of the program run on WebAssembly, which is for pages: "
            f"{label}: {why}",
            where=program.name,
            hint="--in-browser (in_browser=True) runs it in Chromium" if place == HERE
            else "open the hub's link in a browser, and give its --key",
        )  # fmt: skip


def watch(
    graph: Graph, groups: Sequence[Group], target: Target, options: CompileOptions
) -> tuple[dict[str, str], Executable]:
    """The program whose outputs are all tensors that its kernels make; each tensor's name, and the
    output that has its elements."""
    names, whole, steps = watched(graph, groups)
    return names, assemble(whole, steps, target, options)


def complete(exe: Executable, given: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """``given`` with random arrays for the inputs that it lacks."""
    rng = np.random.default_rng(seed)
    feeds = {n: _random(rng, s.dtype, s.shape) for n, s in exe.inputs.items()}
    arrays = bind_inputs(exe.inputs, (), {**feeds, **given}, exe.name)
    return dict(zip(exe.inputs, arrays))


def _random(rng: np.random.Generator, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    high = 255 if str(dtype) == "uint8" else 1
    return rng.integers(0, high, shape, endpoint=True).astype(dtype.numpy)


def _run(
    program: Executable, watched: Executable, feeds: Mapping[str, np.ndarray], place: str | Remote
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    if place == HERE:
        return program.run(feeds), watched.run(feeds), "in this process"
    first, second = run_away([Job(program, feeds), Job(watched, feeds)], place)
    if isinstance(place, str):
        where = {NODE: "under Node", BROWSER: "in Chromium"}[place]
    else:
        where = f"on {place.name}"
    return dict(first.outputs), dict(second.outputs), f"{where}: {'; '.join(first.devices)}"


def _rows(
    groups: Sequence[Group],
    seen: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    limit: Tolerance,
) -> list[TensorRow]:
    rows = []
    for group in groups:
        for o in group.outputs:
            if o in seen and o in expected:
                ops = " + ".join(n.op for n in group.nodes)
                d = distance(seen[o], expected[o], limit)
                rows.append(TensorRow(o, ops, group.label, d))
    return rows


def _outputs(
    program: Executable,
    rows: Sequence[TensorRow],
    real: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    limit: Tolerance,
) -> list[TensorRow]:
    """Outputs of the program as it is that are wrong where the watched program is right."""
    good = {r.tensor for r in rows if r.distance.ok}
    found = []
    for name, array in real.items():
        if name in good:
            d = distance(array, expected[name], limit)
            if not d.ok:
                found.append(
                    TensorRow(
                        name, "the program as it is", "memory shared between tensors", d, alone=0
                    )
                )
    return found


def _own_errors(
    graph: Graph,
    groups: Sequence[Group],
    rows: Sequence[TensorRow],
    values: Mapping[str, np.ndarray],
) -> list[TensorRow]:
    """The worst rows and the first that is wrong, with the error that their kernel itself makes."""
    maker = {o: g for g in groups for o in g.outputs}
    wanted = sorted(rows, key=lambda r: -r.distance.badness)[:SHOWN]
    wanted += [r for r in rows if not r.distance.ok][:1]
    chosen = {id(r) for r in wanted if r.alone is None}
    result = []
    for row in rows:
        if id(row) in chosen:
            group = maker[row.tensor]
            known = {i: values[i] for i in group.inputs if i in values}
            for i in group.inputs:  # a tensor without elements is stored nowhere
                if i not in known and i not in graph.constants:
                    known[i] = np.zeros(graph.types[i].shape, graph.types[i].dtype.numpy)
            table = evaluate_nodes(graph, group.nodes, known)
            own = distance(values[row.tensor], table[row.tensor], Tolerance(0, 0))
            row = replace(row, alone=own.relative)
        result.append(row)
    return result
