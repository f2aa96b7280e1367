"""Judging models: weft's program beside the references of the operators, and ONNX Runtime."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import weft
from weft.compiler.frontends import UnboundGraph
from weft.compiler.graph.evaluate import evaluate_graph
from weft.compiler.graph.graph import Graph
from weft.compiler.types import TensorType
from weft.ir.target import Target
from weft.runtime.crops import crop
from weft.runtime.dtype import dtype_of
from weft.runtime.executor import Executable

from fuzz.fuzzer import Skip, WrongError

ELEMENTS = 1 << 16  # of all tensors of a model that is run
WORK = 1 << 26  # elements of results times elements read for one: what a reference may take
# Relative to the largest element of a tensor: sums in another order, minimal filtering.
_SCALE = {"float64": 1e-8, "float32": 2e-4, "float16": 2e-2, "bfloat16": 1e-1}
_EACH = {"float64": 1e-6, "float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
_EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, 1e-3, 30.0, -30.0, 100.0)
NARROW = ("webgpu", "opengl")  # targets that keep integers of 64 bits in 32
_WEIGHTED = (
    "conv", "conv_transpose", "matmul", "gemm", "attention", "einsum", "grid_sample", "resample",
    "resample_sum", "roi_align",
)  # fmt: skip
_WILD = (np.nan, np.inf, -np.inf)


def array(
    rng: np.random.Generator, t: TensorType, wild: bool = False, exact: bool = False
) -> np.ndarray:
    """Data of a type: small numbers with halves and zeros among them; ``wild``: NaN and infinities,
    and for integers the ends of the range; ``exact``: nothing but halves."""
    d = t.dtype
    if d.is_bool:
        return rng.integers(0, 2, t.shape).astype(bool)
    if d.is_float:
        if exact:
            return (rng.integers(-6, 6, t.shape, endpoint=True) / 2).astype(d.numpy)
        data = rng.uniform(-3, 3, t.shape)
        pool = np.array(_EDGES + _WILD * wild)
        data = np.where(rng.random(t.shape) < 0.2, rng.choice(pool, t.shape), data)
        return data.astype(d.numpy)
    low, high = max(-5, int(d.min)), min(6, int(d.max))
    data = rng.integers(low, high, t.shape, np.int64, endpoint=True).astype(d.numpy)
    if wild:
        ends = np.array([d.min, d.max, 0, 1], dtype=d.numpy)
        data = np.where(rng.random(t.shape) < 0.1, rng.choice(ends, t.shape), data)
    return data.astype(d.numpy)


def read(data: bytes, sizes: Sequence[int] = (2, 3, 1, 5)) -> Graph:
    """The graph of a model's bytes; dimensions that are not known become small, unknown ranks 2."""
    graph = weft.load(data)
    if isinstance(graph, UnboundGraph):
        shapes = {}
        for k, name in enumerate(graph.symbols):
            size = sizes[k % len(sizes)]
            shapes[name] = [size, size] if name in graph.signature else size
        graph = graph.bind(shapes)
    return graph


def check_size(graph: Graph) -> None:
    """Raise :class:`Skip` where running the model by references would take long."""
    if sum(t.size for t in graph.types.values()) > ELEMENTS:
        raise Skip("large tensors")
    for n in graph.nodes:
        most = max((graph.types[i].size for i in n.inputs if i), default=1)
        if sum(graph.types[o].size for o in n.outputs if o) * most > WORK:
            raise Skip("much work")


def feeds(
    graph: Graph, seed: int, wild: bool = False, exact: bool = False
) -> dict[str, np.ndarray]:
    """Inputs of a graph, the same for the same seed. What is multiplied by weights, or between
    elements, is never wild: whether zero times infinity is counted is nowhere said."""
    rng = np.random.default_rng(seed)
    wild = wild and not any(n.op in _WEIGHTED for n in graph.nodes)
    return {i: array(rng, graph.types[i], wild, exact) for i in graph.inputs}


def reference(
    graph: Graph, given: Mapping[str, np.ndarray], narrow: bool = False
) -> dict[str, np.ndarray]:
    """The outputs by the numpy references of the operators.

    Raises :class:`Skip` where the order of operations decides whether numbers are infinite, and,
    for targets that keep integers of 64 bits in 32 (``narrow``), where those do not suffice.
    """
    table = {**graph.constants, **given, **evaluate_graph(graph, given)}
    for name in graph.outputs:
        t, a = graph.types[name], table[name]
        if (a.dtype, a.shape) != (t.dtype.numpy, t.shape):
            raise WrongError(f"reference: {a.dtype}{a.shape} and not {t}\n{graph}")
    if len(graph.nodes) > 1 and any(_overflows(a) for a in table.values()):
        raise Skip("overflow")
    if narrow and any(_is_wide(a) for a in table.values()):
        raise Skip("integers beyond 32 bits")
    return crop(graph.cropped, {o: table[o] for o in graph.outputs})


def _overflows(a: np.ndarray) -> bool:
    """Whether elements are infinite, or nearly so."""
    d = dtype_of(a.dtype)
    if not d.is_float:
        return False
    most = 1e4 if str(d) == "float16" else 1e30
    return bool((np.abs(a.astype(np.float64)) > most).any())


def _is_wide(a: np.ndarray) -> bool:
    if a.dtype not in (np.int64, np.uint64) or not a.size:
        return False
    limits = np.iinfo(np.int32 if a.dtype == np.int64 else np.uint32)
    return int(a.min()) < limits.min or int(a.max()) > limits.max


def here(exe: Executable, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a program on a device of this process."""
    with exe, np.errstate(all="ignore"):
        return exe.run(given)


def judge_model(
    data: bytes,
    target: str = "llvm",
    *,
    wild: bool = False,
    exact: bool = False,
    scale: float = 1,
    run: Callable[[Executable, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = here,
) -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Compile a model and compare a run with the references; (graph, inputs, references).

    Half of the models, by their bytes, are not optimised or do without minimal filtering: passes
    and kernels are judged apart. ``scale`` widens the tolerances; ``run`` runs the program.
    """
    seed = zlib.crc32(data)
    graph = read(data)
    level, accuracy = ((None, "fast"), (0, "fast"), (None, "strict"), (None, "fast"))[seed % 4]
    exe = weft.compile(graph, target, opt_level=level, accuracy="strict" if wild else accuracy)
    check_size(graph)
    given = feeds(graph, seed, wild, exact)
    want = reference(graph, given, Target.parse(target).kind in NARROW)
    compare(run(exe, given), want, str(graph), scale)
    return graph, given, want


def compare(
    got: Mapping[str, np.ndarray],
    want: Mapping[str, np.ndarray],
    about: str = "",
    scale: float = 1,
) -> None:
    """Raise :class:`WrongError` where outputs differ in type, in integers, or in floats beyond the
    tolerance. ``about`` is shown with it."""
    if list(got) != list(want):
        raise WrongError(f"other outputs\n{list(got)}, not {list(want)}")
    for name, w in want.items():
        g = got[name]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            raise WrongError(f"another type\n{name}: {g.dtype}{g.shape}, not {w.dtype}{w.shape}")
        worst = difference(g, w) / scale
        if worst > 1:
            words = about.splitlines()
            ops = sorted({x.split(" = ")[1].split("(")[0] for x in words if " = " in x})
            at = np.unravel_index(np.argmax(excess(g, w)), w.shape) if w.ndim else ()
            raise WrongError(
                f"{', '.join(ops)}\n{name}{list(map(int, at))}: {g[at]!r}, not {w[at]!r}; "
                f"{worst:.3g} times the tolerance\n{about}"
            )


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """The largest error in units of the tolerance: up to 1 is right."""
    return float(excess(got, want).max(initial=0.0))


def excess(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The error of each element in units of its tolerance; infinite where one is NaN or infinite
    and the other is not so."""
    d = dtype_of(want.dtype)
    if not d.is_float:
        return np.where(got == want, 0.0, np.inf)
    g, w = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(w)
    largest = np.abs(w[finite]).max(initial=0.0)
    limit = 1e-6 + _SCALE[str(d)] * largest + _EACH[str(d)] * np.abs(w)
    with np.errstate(all="ignore"):
        errors = np.where(finite, np.abs(g - w) / np.where(finite, limit, 1), np.inf)
    same = (g == w) | (np.isnan(g) & np.isnan(w))
    return np.where(same, 0.0, np.where(np.isnan(errors), np.inf, errors))
