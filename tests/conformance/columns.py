"""The columns of the grid: how a target runs a batch of cases, and what it cannot do."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from op_cases import Case
from support.machines import machine
from weft.codegen import for_target
from weft.codegen.wasm import emscripten
from weft.compiler.check.tolerances import of_operators
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Graph
from weft.compiler.graph.group import Group, structural_key
from weft.compiler.kernels import program as programs
from weft.compiler.kernels.cache import kernel_cache
from weft.compiler.ops import get
from weft.compiler.options import CompileOptions
from weft.ir.meaning.evaluate import evaluate
from weft.ir.target import Target
from weft.ir.tensor import placeholder
from weft.runtime.devices.probe import probe
from weft.runtime.errors import CodegenError, DeviceError, LoweringError
from weft.runtime.rpc.chrome import Chromium
from weft.runtime.rpc.client import Remote, connect
from weft.runtime.rpc.host import LocalHub

Arrays = list[np.ndarray]
CHUNK = 120  # cases of one program


@dataclass(frozen=True)
class Column:
    """One target. ``run`` takes cases and gives the outputs of each; ``missing`` says why nothing
    here runs them, or gives an empty text."""

    name: str
    target: str
    run: Callable[[Sequence[Case], str], list[Arrays]]
    missing: Callable[[], str]
    chunk: int = CHUNK
    whole: bool = False  # it must refuse nothing
    narrow: bool = False  # 64-bit integers are kept in 32 bits
    first: bool = False  # one case of each operator: others show that the target is right

    def judge(self, case: Case, got: Arrays) -> None:
        """Assert that the outputs of a case are right, within the tolerance of the target."""
        limit = of_operators(Target.parse(self.target)) if self.target else None
        if limit is not None:
            half = any(t.dtype.is_float and t.dtype.bits < 32 for t in case.out_types())
            rtol = case.rtol if half else max(case.rtol or 0, limit.rtol)
            case = replace(case, rtol=rtol, atol=max(case.atol, limit.atol))
        case.check(got)


# ---- what a target cannot do --------------------------------------------------------------------


def case_graph(cases: Sequence[Case]) -> tuple[Graph, dict[str, np.ndarray]]:
    """A graph with one node for each case, and what to feed it. Output ``k`` of case ``i`` is named
    ``case{i}.{k}``."""
    b = GraphBuilder("cases")
    feeds: dict[str, np.ndarray] = {}
    outputs: list[str] = []
    for i, case in enumerate(cases):
        names = []
        for k, array in enumerate(case.arrays()):
            if array is None:
                names.append("")
                continue
            name = f"in{i}.{k}"
            names.append(b.input(name, str(array.dtype), array.shape))
            feeds[name] = array
        made = [f"case{i}.{k}" for k in range(len(case.out_types()))]
        b.add(case.op, names, case.attrs, outputs=made)
        outputs += made
    return b.finish(outputs), feeds


@cache
def resolved(text: str) -> Target:
    target = Target.parse(text)
    return for_target(target).resolve(target)


OPTIONS = CompileOptions(cache=kernel_cache())
_refusals: dict[tuple[str, str], str] = {}


def refusal(case: Case, text: str) -> str:
    """Why the target cannot compute a case, or hands it to its fallback; empty where it computes
    it. Nothing is run."""
    graph, _ = case_graph([case])
    group = Group.of(graph, graph.nodes)
    if not any(graph.types[o].size for o in group.outputs):
        return ""
    key = (structural_key(group, graph.types, graph.constants), text)
    if key not in _refusals:
        try:
            made, _ = programs.compile_groups(graph, [group], resolved(text), OPTIONS)
            _refusals[key] = next(iter(made.values())).reason
        except (CodegenError, LoweringError) as e:
            _refusals[key] = e.message
    return _refusals[key]


def too_wide(case: Case) -> bool:
    """Whether a case is about integers that 32 bits do not hold: a target that keeps 64-bit
    integers in 32 refuses such inputs when it is run."""
    for a in (*case.arrays(), *case.expected()):
        if a is not None and a.dtype in (np.int64, np.uint64) and a.size:
            limits = np.iinfo(np.int32 if a.dtype == np.int64 else np.uint32)
            if int(a.min()) < limits.min or int(a.max()) > limits.max:
                return True
    return False


# ---- running ------------------------------------------------------------------------------------


def interpret(cases: Sequence[Case], text: str) -> list[Arrays]:
    """By the meaning of the tensor expressions, without schedule or target."""
    results = []
    for case in cases:
        arrays = case.arrays()
        holders = [
            None if a is None else placeholder(t.shape, t.dtype, f"in{k}")
            for k, (a, t) in enumerate(zip(arrays, case.types()))
        ]
        outputs = get(case.op).compute(holders, case.full_attrs(), case.out_types())
        with np.errstate(all="ignore"):
            feed = {h: a for h, a in zip(holders, arrays) if h is not None}
            results.append(evaluate(list(outputs), feed))
    return results


def program(cases: Sequence[Case], text: str):
    """One program with a kernel for each case, and its inputs."""
    graph, feeds = case_graph(cases)
    groups = [Group.of(graph, [n]) for n in graph.nodes]
    return programs.assemble(graph, groups, resolved(text), OPTIONS), feeds


def split(cases: Sequence[Case], outputs: Mapping[str, np.ndarray]) -> list[Arrays]:
    return [
        [outputs[f"case{i}.{k}"] for k in range(len(c.out_types()))] for i, c in enumerate(cases)
    ]


def here(cases: Sequence[Case], text: str) -> list[Arrays]:
    """On a device of this process."""
    exe, feeds = program(cases, text)
    return split(cases, exe.run(feeds))


def away(place: str):
    """In a page or under Node."""

    def run(cases: Sequence[Case], text: str) -> list[Arrays]:
        from weft.compiler.web.remote import Job, run_away

        exe, feeds = program(cases, text)
        flags = {"threads": 3} if "-threads" in text else {}
        (result,) = run_away([Job(exe, feeds, flags)], place)
        return split(cases, result.outputs)

    return run


_remotes: dict[str, Remote] = {}


def _remote(device: str) -> Remote:
    """A client of a hub of this process, on a device that has nothing else to do; all of it lasts
    as long as the process."""
    if device not in _remotes:
        stack = ExitStack()
        atexit.register(stack.close)
        hub = stack.enter_context(LocalHub())
        link = f"{hub.link}?key={device}"
        there = Chromium(link) if device == "browser" else machine(hub.link, device)
        stack.enter_context(there)
        made = connect(hub.url, token=hub.token, key=device, timeout=300)
        _remotes[device] = stack.enter_context(made)
    return _remotes[device]


def rpc(device: str):
    """Through a hub, on a browser that has opened its link or at a device server."""

    def run(cases: Sequence[Case], text: str) -> list[Arrays]:
        remote = _remote(device)
        exe, feeds = program(cases, remote.target(text))
        with remote.load(exe) as there:
            return split(cases, there.run(feeds))

    return run


def _probe(kind: str) -> Callable[[], str]:
    def missing() -> str:
        found = probe(kind)
        return "" if found.ok else f"{found.reason} ({found.hint})"

    return missing


def _browser() -> str:
    from weft.runtime.devices.pages import chromium

    try:
        chromium()
        emscripten.version()  # what takes the cases that shaders cannot do
    except (DeviceError, CodegenError) as e:
        return str(e)
    return ""


COLUMNS = {
    c.name: c
    for c in (
        Column("interp", "", interpret, lambda: "", whole=True),
        Column("llvm", "llvm", here, lambda: "", whole=True),
        Column("opencl", "opencl", here, _probe("opencl")),
        Column("opengl", "opengl", here, _probe("opengl"), narrow=True),
        Column("webgl", "webgl", away("browser"), _browser, narrow=True),
        Column("webgpu", "webgpu -fallback=none", here, _probe("webgpu"), narrow=True),
        Column("wasm", "wasm", away("node"), _probe("wasm"), 600, whole=True),
        Column("wasm -threads", "wasm -threads", away("node"), _probe("wasm"), 600, whole=True),
        Column("rpc webgl", "webgl", rpc("browser"), _browser, narrow=True, first=True),
        Column("rpc webgpu", "webgpu", rpc("browser"), _browser, narrow=True, first=True),
        Column("rpc wasm", "wasm", rpc("browser"), _browser, 600, whole=True, first=True),
        Column("rpc llvm", "llvm", rpc("server"), lambda: "", whole=True, first=True),
    )
}

if __name__ == "__main__":  # for tools/test.sh; those that take longest first
    order = ("opencl", "webgl", "opengl", "llvm", "webgpu", "wasm", "wasm -threads", "interp")
    order += tuple(name for name, column in COLUMNS.items() if column.first)
    assert set(order) == set(COLUMNS)
    print(*order, "table", sep="\n")
