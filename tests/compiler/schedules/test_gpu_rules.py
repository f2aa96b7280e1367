"""Schedules for workgroups: the nests that the rules make, every operator in the interpreter, and
the limits of devices."""

import math

import numpy as np
import pytest
from op_cases import Case, all_cases
from support.random_gpu_schedules import run_kernels
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.group import Group, express
from weft.compiler.schedules import schedule
from weft.ir import te
from weft.ir.expr import Load
from weft.ir.layout import Layout
from weft.ir.lower import lower_kernels
from weft.ir.stmt import Alloc
from weft.ir.target import Target
from weft.ir.visit import walk
from weft.runtime.errors import LoweringError

OPENCL, WEBGPU = Target.parse("opencl"), Target.parse("webgpu")
# Less than any device has: every grid is folded, few threads, hardly any shared memory.
SMALL = Target.parse("webgpu -max_blocks=3 -max_threads=32 -shared_bytes=256")

# rows × columns of each thread; the reduction stays a loop, of which four terms are unrolled
GOLDEN_MATMUL = """\
# C: float32[4, 32], a result
for i.outer.outer in 1:  # blockIdx.x
  for i.outer.inner in 2:  # threadIdx.x
    # C.local: float32[2, 32] in local, 256 bytes
    # computed here: C.local[i.outer.inner * 2 : i.outer.inner * 2 + 2, 0 : 32]
    for k.outer in 2:  # reduce
      for k.inner in 4:  # reduce, unrolled
        for i in 2:  # unrolled
          for j.outer in 2:  # unrolled
            for j.inner in 16:  # vectorized
              C.local[i, j] += A[i, k] * B[k, j]
    for i.inner in 2:  # unrolled
      for j.outer in 2:  # unrolled
        for j.inner in 16:  # vectorized
          C[i, j] = C.local[i, j]"""
# the same with short vectors: the operand that all columns share is read in vectors, too
GOLDEN_MATMUL_VECTORS = """\
# C: float32[4, 32], a result
for j.outer.outer.outer in 1:  # blockIdx.x
  for j.outer.outer.inner in 8:  # threadIdx.x
    # C.local: float32[4, 4] in local, 64 bytes
    # computed here: C.local[0 : 4, j.outer.outer.inner * 4 : j.outer.outer.inner * 4 + 4]
    for k.outer in 2:  # reduce
      # A.local: float32[4, 4] in local, 64 bytes
      # computed here: A.local[0 : 4, k.outer * 4 : k.outer * 4 + 4]
      for i0 in 4:  # unrolled
        for i1.outer in 1:
          for i1.inner in 4:  # vectorized
            A.local[i0, i1] = A[i0, i1]
      for k.inner in 4:  # reduce, unrolled
        for i in 4:  # unrolled
          for j.outer in 1:  # unrolled
            for j.inner in 4:  # vectorized
              C.local[i, j] += A.local[i, k] * B[k, j]
    for i in 4:  # unrolled
      for j.outer.inner in 1:  # unrolled
        for j.inner in 4:  # vectorized
          C[i, j] = C.local[i, j]"""


def lowered(case: Case, target: Target):
    """The kernels of one operator, its inputs in order, and room for its results."""
    b = GraphBuilder("case")
    arrays, names = [], []
    for k, a in enumerate(case.arrays()):
        names.append("" if a is None else b.input(f"x{k}", str(a.dtype), a.shape))
        if a is not None:
            arrays.append(a)
    graph = b.finish(b.add(case.op, names, case.attrs))
    expr = express(Group.of(graph, graph.nodes), graph.types, graph.constants)
    args = (*expr.placeholders, *expr.outputs)
    kernels = lower_kernels(schedule(expr.outputs, target), args, target)
    made = [
        np.full([int(e.value) for e in t.shape], 7, t.dtype.numpy)  # type: ignore[attr-defined]
        for t in expr.outputs
    ]
    return kernels, [arrays[int(n[1:]) - _gaps(names, n)] for n in expr.inputs], made


def _gaps(names, name):
    return sum(n == "" for n in names[: names.index(name)])


def check_limits(kernels, target: Target):
    for k in kernels:
        launch = k.function.attrs.get("launch", {})
        threads = math.prod(n for tag, n in launch.items() if tag.startswith("threadIdx"))
        assert threads <= target.max_threads
        assert all(n <= target.max_blocks for t, n in launch.items() if t.startswith("blockIdx"))
        shared = [
            s.buffer
            for s in walk(k.function.body)
            if isinstance(s, Alloc) and s.buffer.scope == "shared"
        ]
        assert sum(b.dtype.bytes * math.prod(int(e.value) for e in b.shape) for b in shared) <= (
            target.shared_bytes
        )


def smallest():
    """The smallest case of each operator that has elements at all."""
    found = {}
    for c in all_cases():
        size = sum(a.size for a in c.arrays() if a is not None)
        size *= max((t.size for t in c.out_types()), default=0)
        if size and (c.op not in found or size < found[c.op][0]):
            found[c.op] = (size, c)
    return [c for _, c in found.values()]


@pytest.mark.parametrize("target", [OPENCL, WEBGPU, SMALL], ids=["opencl", "webgpu", "small"])
@pytest.mark.parametrize("case", smallest(), ids=lambda c: c.op)
def test_every_operator(case, target):
    kernels, arrays, made = lowered(case, target)
    check_limits(kernels, target)
    run_kernels(kernels, [*arrays, *made])
    case.check(made)


def matmul(n, m, depth):
    a, b = te.placeholder((n, depth), name="A"), te.placeholder((depth, m), name="B")
    k = te.reduce_axis(depth, "k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
    return a, b, c


@pytest.mark.parametrize(
    ("target", "golden"),
    [("opencl", GOLDEN_MATMUL), ("webgpu", GOLDEN_MATMUL_VECTORS)],
)
def test_matmul_is_a_tile_of_each_thread(target, golden):
    a, b, c = matmul(4, 32, 8)
    s = schedule([c], Target.parse(target))
    assert str(s) == golden
    (k,) = lower_kernels(s, [a, b, c], target, "mm")
    assert k.args == (0, 1, 2) and k.scratch == ()
    rng = np.random.default_rng(1)
    x, y = (rng.integers(-4, 5, n).astype(np.float32) for n in ((4, 8), (8, 32)))
    got = np.zeros((4, 32), np.float32)
    run_kernels([k], [x, y, got])
    np.testing.assert_array_equal(got, x @ y)


def test_what_lies_between_two_nests_is_a_parameter_of_both():
    a = te.placeholder((40, 300), name="A")
    k = te.reduce_axis(300, "k")
    top = te.compute((40,), lambda i: te.max(a[i, k], k), name="top")
    out = te.compute((40, 300), lambda i, j: te.exp(a[i, j] - top[i]), name="out")
    first, second = lower_kernels(schedule([out], OPENCL), [a, out], OPENCL, "f")
    assert first.args == (0,) and second.args == (0, 1)
    assert first.scratch == second.scratch and first.shape(first.scratch[0]) == (40,)
    assert [f.function.name for f in (first, second)] == ["f", "f_1"]
    assert {b.name for b in first.function.writes} == {"top"}
    # a workgroup for each row; threads meet in shared memory
    assert first.function.attrs["launch"] == {"blockIdx.x": 40, "threadIdx.x": 32}
    assert 'barrier("shared")' in str(first.function)


def test_many_short_reductions_have_a_thread_each():
    a = te.placeholder((10000, 7), name="A")
    k = te.reduce_axis(7, "k")
    b = te.compute((10000,), lambda i: te.sum(a[i, k], k), name="B")
    (kernel,) = lower_kernels(schedule([b], WEBGPU), [a, b], WEBGPU)
    assert kernel.function.attrs["launch"] == {"blockIdx.x": 157, "threadIdx.x": 64}
    assert "shared" not in str(kernel.function)


def test_long_grids_are_folded():
    a = te.placeholder((1000,), name="A")
    b = te.compute((1000,), lambda i: a[999 - i] * 2, name="B")
    target = Target.parse("webgpu -max_blocks=5 -max_threads=8")
    (kernel,) = lower_kernels(schedule([b], target), [a, b], target)
    launch = kernel.function.attrs["launch"]
    assert launch == {"blockIdx.x": 5, "blockIdx.y": 5, "blockIdx.z": 2, "threadIdx.x": 8}
    x, out = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
    run_kernels([kernel], [x, out])
    np.testing.assert_array_equal(out, 2 * x[::-1])


@pytest.mark.parametrize(
    "shape", [(5, 20, 6, 6, 3, 2, 1), (16, 24, 7, 7, 3, 1, 1), (4, 6, 5, 3, 1, 1, 0)]
)
def test_data_of_blocked_channels_comes_in_vectors(shape):
    ci, co, h, w, kernel, stride, pad = shape
    target = WEBGPU
    x = te.placeholder((1, ci, h, w), name="X")
    f = te.placeholder((co, ci, kernel, kernel), name="F")
    p = te.compute(
        (1, ci, h + 2 * pad, w + 2 * pad),
        lambda n, c, i, j: te.if_then_else(
            (i >= pad) & (i < h + pad) & (j >= pad) & (j < w + pad), x[n, c, i - pad, j - pad], 0.0
        ),
        name="P",
    )
    rc, ry, rx = (te.reduce_axis(n, r) for n, r in ((ci, "rc"), (kernel, "ry"), (kernel, "rx")))
    oh, ow = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
    y = te.compute(
        (1, co, oh, ow),
        lambda n, o, i, j: te.sum(
            p[n, rc, i * stride + ry, j * stride + rx] * f[o, rc, ry, rx], [rc, ry, rx]
        ),
        name="Y",
    )
    layouts = {f: Layout.blocked((co, ci, kernel, kernel), 0, 4)}
    layouts |= {x: Layout.blocked((1, ci, h, w), 1, 4), y: Layout.blocked((1, co, oh, ow), 1, 4)}
    kernels = lower_kernels(schedule([y], target, layouts), [x, f, y], target, "c", layouts)
    rng = np.random.default_rng(2)
    a, b = rng.integers(-3, 4, (1, ci, h, w)), rng.integers(-3, 4, (co, ci, kernel, kernel))
    out = layouts[y].pack(np.zeros((1, co, oh, ow), np.float32))
    run_kernels(kernels, [layouts[x].pack(a.astype("f4")), layouts[f].pack(b.astype("f4")), out])
    big = np.pad(a, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    windows = np.lib.stride_tricks.sliding_window_view(big, (kernel, kernel), (2, 3))
    want = np.einsum("nchwyx,ocyx->nohw", windows[:, :, ::stride, ::stride], b)
    np.testing.assert_array_equal(layouts[y].unpack(out), want)
    if ci % 4 == 0:
        loads = [n for n in walk(kernels[-1].function.body) if isinstance(n, Load)]
        data = [n for n in loads if n.buffer.name in ("X", "P")]
        assert data and all(n.indices[0].dtype.lanes == 4 for n in data)


def test_shared_memory_is_never_filled_behind_a_guard():
    a = te.placeholder((64, 64), name="A")
    s_out = te.compute((64, 64), lambda i, j: a[j, i], name="B")
    s = te.create_schedule(s_out)
    stage = s[s_out]
    copy = s[s.cache_read(a, "shared", [s_out])]
    i, j = stage.axes
    block, thread = stage.split(i, factor=24)  # does not divide: some threads have nothing to do
    stage.bind(block, te.thread_axis("blockIdx.x"))
    stage.bind(thread, te.thread_axis("threadIdx.x"))
    copy.compute_at(stage, j)
    lower_kernels(s, [a, s_out], OPENCL)  # a thread copies what it needs itself
    _, own = copy.split(copy.axes[1], factor=24)
    copy.bind(own, te.thread_axis("threadIdx.x"))
    try:
        kernels = lower_kernels(s, [a, s_out], OPENCL)
    except LoweringError as e:
        assert "only some threads" in e.message
        return
    x = np.arange(4096, dtype=np.float32).reshape(64, 64)
    got = np.zeros((64, 64), np.float32)
    run_kernels(kernels, [x, got])
    np.testing.assert_array_equal(got, x.T)
