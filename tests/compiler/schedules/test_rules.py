"""Schedule rules: the shape of what they make, and that it is right at awkward sizes."""

from dataclasses import replace

import numpy as np
import pytest
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.build import build
from weft.compiler.ops import get
from weft.compiler.schedules import schedule
from weft.compiler.schedules.blocking import Tile, choose_tile
from weft.compiler.schedules.choices import Choices
from weft.compiler.schedules.common import Context
from weft.ir import te
from weft.ir.layout import Layout
from weft.ir.lower import lower
from weft.ir.meaning.evaluate import evaluate
from weft.ir.meaning.interp import run
from weft.ir.schedule.schedule import create_schedule
from weft.ir.target import Target

SMALL = Target.parse("llvm -vector_bits=128 -num_vector_registers=16")
AVX2 = Target.parse("llvm -vector_bits=256 -num_vector_registers=16 -has_fma")
WIDE = Target.parse("llvm -vector_bits=512 -num_vector_registers=32 -has_fma")

GOLDEN_MATMUL = """\
def mm(A: float32[74], B: float32[296], C: float32[16]) -> C:
    alloc C.local: float32[16] in local
    C.local[ramp(0, 1, 4)] = broadcast(0.0, 4)
    C.local[ramp(4, 1, 4)] = broadcast(0.0, 4)
    C.local[ramp(8, 1, 4)] = broadcast(0.0, 4)
    C.local[ramp(12, 1, 4)] = broadcast(0.0, 4)
    for k in range(0, 37):  # pragma unroll_max=128
        C.local[ramp(0, 1, 4)] = C.local[ramp(0, 1, 4)] + broadcast(A[k], 4) * B[ramp(k * 8, 1, 4)]
        C.local[ramp(4, 1, 4)] = C.local[ramp(4, 1, 4)] + broadcast(A[k], 4) * B[ramp(k * 8 + 4, 1, 4)]
        C.local[ramp(8, 1, 4)] = C.local[ramp(8, 1, 4)] + broadcast(A[k + 37], 4) * B[ramp(k * 8, 1, 4)]
        C.local[ramp(12, 1, 4)] = C.local[ramp(12, 1, 4)] + broadcast(A[k + 37], 4) * B[ramp(k * 8 + 4, 1, 4)]
    C[ramp(0, 1, 4)] = C.local[ramp(0, 1, 4)]
    C[ramp(4, 1, 4)] = C.local[ramp(4, 1, 4)]
    C[ramp(8, 1, 4)] = C.local[ramp(8, 1, 4)]
    C[ramp(12, 1, 4)] = C.local[ramp(12, 1, 4)]"""  # noqa: E501


def matmul(n, m, depth):
    a, b = te.placeholder((n, depth), name="A"), te.placeholder((depth, m), name="B")
    k = te.reduce_axis(depth, "k")
    c = te.compute((n, m), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
    return a, b, c


def test_matmul_is_a_register_tile():
    a, b, c = matmul(2, 8, 37)
    f = lower(schedule([c], SMALL), [a, b, c], SMALL, "mm")
    assert str(f) == GOLDEN_MATMUL


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [(56, 64, Tile(14, 2, 16)), (7, 512, Tile(7, 2, 16)), (1, 1000, Tile(1, 4, 16))],
)
def test_register_tiles_fill_the_registers(rows, columns, tile):
    _, _, c = matmul(4, 4, 4)
    ctx = Context(create_schedule(c), WIDE, {})
    assert choose_tile(ctx, rows, columns, 16, block=16, shares_vector=False) == tile


def test_register_tiles_count_what_is_left_at_the_ends():
    """Seven rows: five and two are as dear as two full tiles, four and three are not; wide panels
    that come from afar are dearer than narrow ones, where rows lie apart that come, too."""
    _, _, c = matmul(4, 4, 4)
    ctx = Context(create_schedule(c), AVX2, {})

    def tile(rows, vectors, depth=64, pitch=0):
        columns = 8 * vectors
        return choose_tile(
            ctx, rows, columns, 8, block=8, shares_vector=False, depth=depth, pitch=pitch
        )

    assert tile(7, 9) == Tile(4, 3, 8)
    assert tile(28, 8) == Tile(6, 2, 8)
    assert tile(49, 8) == Tile(5, 2, 8)
    assert tile(48, 9, depth=1024).vectors == 3
    assert tile(48, 9, depth=1024, pitch=4160).vectors == 2


def test_rows_that_have_one_set_of_the_cache_between_them():
    """Those a multiple of 4096 bytes apart: a tile of many more of them than a set has lines waits
    for what they push out."""
    _, _, c = matmul(4, 4, 4)
    wide = replace(AVX2, vector_bits=512, num_vector_registers=32)
    ctx = Context(create_schedule(c), wide, {})

    def rows(pitch):
        options = {"block": 16, "shares_vector": False, "depth": 1024, "pitch": pitch}
        return choose_tile(ctx, 1024, 1024, 16, **options).rows

    assert rows(4096) < rows(4160) == 13
    assert rows(2048) == 13  # every second one has another


@pytest.mark.parametrize("columns", [8 * 29, 8 * 29 - 3], ids=["whole vectors", "part of one"])
@pytest.mark.parametrize("parallel", [1, 3])
def test_panels_that_end_early_have_no_masks(columns, parallel):
    """29 vectors are pairs and a single one: what is left out is left out of all lanes, so that no
    accumulator has to live in memory."""
    x, f, z = convolution(16, columns, 4, 7, 1, 1, 0)
    layouts = {f: Layout.blocked((columns, 16, 1, 1), 0, 8)}
    layouts |= {x: Layout.blocked((1, 16, 4, 7), 1, 8), z: Layout.blocked((1, columns, 4, 7), 1, 8)}
    choices = Choices({"Y.tile": (5, 2), "Y.parallel": parallel})
    nest = lower(schedule([z], AVX2, layouts, choices), [x, f, z], AVX2, "conv", layouts)
    sums = [line for line in str(nest).splitlines() if line.strip().startswith("Y[")]
    assert sums and not any("where" in line for line in sums)
    assert "likely" not in str(nest)


def test_few_rows_are_joined_by_lines():
    """A 7×7 convolution has tiles of two lines: the weights are read half as often."""
    x, f, z = convolution(16, 32, 7, 7, 1, 1, 0)
    layouts = {f: Layout.blocked((32, 16, 1, 1), 0, 16)}
    layouts |= {x: Layout.blocked((1, 16, 7, 7), 1, 16), z: Layout.blocked((1, 32, 7, 7), 1, 16)}
    text = str(lower(schedule([z], WIDE, layouts), [x, f, z], WIDE, "conv", layouts))
    assert "alloc Y: float32[448] in local" in text  # 2 × 7 × 2 vectors


def convolution(ci, co, h, w, kernel, stride, pad, groups=1):
    x = te.placeholder((1, ci, h, w), name="X")
    f = te.placeholder((co, ci // groups, kernel, kernel), name="F")
    p = te.compute(
        (1, ci, h + 2 * pad, w + 2 * pad),
        lambda n, c, i, j: te.if_then_else(
            (i >= pad) & (i < h + pad) & (j >= pad) & (j < w + pad),
            x[n, c, i - pad, j - pad],
            0.0,
        ),
        name="P",
    )
    ry, rx = te.reduce_axis(kernel, "ry"), te.reduce_axis(kernel, "rx")
    oh, ow = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
    if groups == ci:
        y = te.compute(
            (1, co, oh, ow),
            lambda n, o, i, j: te.sum(
                p[n, o, i * stride + ry, j * stride + rx] * f[o, 0, ry, rx], [ry, rx]
            ),
            name="Y",
        )
    else:
        rc = te.reduce_axis(ci, "rc")
        y = te.compute(
            (1, co, oh, ow),
            lambda n, o, i, j: te.sum(
                p[n, rc, i * stride + ry, j * stride + rx] * f[o, rc, ry, rx], [rc, ry, rx]
            ),
            name="Y",
        )
    z = te.compute((1, co, oh, ow), lambda n, o, i, j: te.maximum(y[n, o, i, j], 0.0), name="Z")
    return x, f, z


@pytest.mark.parametrize("target", [SMALL, WIDE], ids=["128", "512"])
@pytest.mark.parametrize("blocked_data", [True, False])
@pytest.mark.parametrize(
    "case",
    [
        (3, 5, 5, 7, 3, 1, 1),
        (6, 9, 4, 15, 1, 1, 0),
        (5, 20, 6, 6, 3, 2, 1),
        (9, 40, 5, 3, 3, 1, 1),
        (20, 20, 5, 9, 3, 1, 1, 20),
    ],
)
def test_convolutions_at_awkward_sizes(case, blocked_data, target):
    x, f, z = convolution(*case)
    lanes = target.lanes(z.dtype)

    def shape(t):
        return tuple(int(e.value) for e in t.shape)

    layouts = {f: Layout.blocked(shape(f), 0, lanes)}
    if blocked_data:
        layouts |= {t: Layout.blocked(shape(t), 1, lanes) for t in (x, z)}
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-3, 4, shape(t)).astype(np.float32) for t in (x, f))
    (want,) = evaluate([z], {x: a, f: b})
    pack = {t: layouts[t].pack if t in layouts else np.array for t in (x, f, z)}
    fn = lower(schedule([z], target, layouts), [x, f, z], target, "conv", layouts)
    out = pack[z](np.full(shape(z), 7, np.float32))
    run(fn, [pack[x](a), pack[f](b), out])
    got = layouts[z].unpack(out) if z in layouts else out
    np.testing.assert_array_equal(got, want)


def test_reduction_of_many_channels_keeps_to_one_vector():
    """A reduction over a blocked operand with more channels than a vector may ever have."""
    n = 1280
    x = te.placeholder((1, n, 2, 3), name="X")
    ry, rx = te.reduce_axis(2, "ry"), te.reduce_axis(3, "rx")
    y = te.compute((1, n, 1, 1), lambda b, c, i, j: te.sum(x[b, c, ry, rx], [ry, rx]), name="Y")
    layouts = {x: Layout.blocked((1, n, 2, 3), 1, 16)}
    fn = lower(schedule([y], WIDE, layouts), [x, y], WIDE, "mean", layouts)
    a = np.arange(n * 6, dtype=np.float32).reshape(1, n, 2, 3)
    out = np.zeros((1, n, 1, 1), np.float32)
    run(fn, [layouts[x].pack(a), out])
    np.testing.assert_array_equal(out[0, :, 0, 0], a.sum((0, 2, 3)))


def rowwise_softmax(*shape):
    x = te.placeholder(shape, name="X")
    n = shape[-1]
    k, r = te.reduce_axis(n, "k"), te.reduce_axis(n, "r")
    top = te.compute(shape[:-1], lambda *i: te.max(x[(*i, k)], k), name="top")
    e = te.compute(shape, lambda *i: te.exp(x[i] - top[i[:-1]]), name="e")
    total = te.compute(shape[:-1], lambda *i: te.sum(e[(*i, r)], r), name="total")
    return x, te.compute(shape, lambda *i: e[i] / total[i[:-1]], name="Y")


def test_stages_of_one_row_share_a_loop():
    x, y = rowwise_softmax(8, 64, 128)
    text = str(lower(schedule([y], WIDE), [x, y], WIDE, "softmax"))
    assert text.count("parallel(") == 1
    assert "alloc e: float32[128]" in text  # a row: exponentials are computed once
    assert text.count("alloc total.rf") == 6  # 4 vectors of partial sums are added in halves


@pytest.mark.parametrize("target", [SMALL, WIDE], ids=["128", "512"])
@pytest.mark.parametrize("shape", [(40, 33), (3, 300, 37), (1, 5), (2000, 3), (1, 1)], ids=str)
def test_rows_of_any_length(shape, target):
    x, y = rowwise_softmax(*shape)
    a = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    (want,) = evaluate([y], {x: a})
    out = np.zeros(shape, np.float32)
    run(lower(schedule([y], target), [x, y], target, "softmax"), [a, out])
    np.testing.assert_allclose(out, want, rtol=1e-5)


def test_deep_products_pack_the_operand_that_lies_across():
    """Lines of B are far apart: B is copied once, panel by panel. Rows are taken in blocks that
    stay in a private cache."""
    _a, _b, c = matmul(1024, 1024, 1024)
    s = schedule([c], WIDE)
    copy = next(x for x in s.stages if x.name == "B.global")
    assert copy.layout is not None and copy.layout.physical_shape == (64, 1024, 16)
    names = [x.name for x in s[c].leaves]
    assert names[:2] == ["i.outer.outer.j.outer.outer.fused", "i.outer.inner"]


@pytest.mark.parametrize("shape", [(30, 70, 600), (61, 200, 1030), (450, 50, 700)])
def test_packed_products_of_sizes_that_do_not_divide(shape):
    n, m, depth = shape
    a, b, c = matmul(n, m, depth)
    kernel = build(schedule([c], Target.parse("llvm")), [a, b, c])
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-3, 4, s).astype(np.float32) for s in ((n, depth), (depth, m)))
    out = np.full((n, m), np.nan, np.float32)
    kernel(x, y, out)
    np.testing.assert_array_equal(out, x @ y)


@pytest.mark.parametrize(("groups", "stages"), [(32, 0), (1, 1)])
def test_padding_of_a_depthwise_window_is_no_copy(groups, stages):
    x, _f, y = convolution(32, 32, 9, 9, 3, 1, 1, groups)
    layouts = {t: Layout.blocked([int(e.value) for e in t.shape], 1, 16) for t in (x, y)}
    s = schedule([y], WIDE, layouts)
    stored = [t for t in s.stages if t.name == "P" and t.attach.kind != "inline"]
    assert len(stored) == stages


@pytest.mark.parametrize("kernel", [2, 3, 5, 7])
def test_windows_over_blocks_have_vectors_of_channels(kernel):
    """Padding is a stage of its own, but it lies nowhere: what it reads decides."""
    b = GraphBuilder("pool")
    x = b.input("x", "float32", (1, 32, 9, 9))
    pads = ((kernel - 1) // 2,) * 2 + (kernel // 2,) * 2
    graph = b.finish(b.add("max_pool", [x], {"kernel": (kernel, kernel), "pads": pads}))
    (node,) = graph.nodes
    p = te.placeholder((1, 32, 9, 9), name="p")
    (y,) = get("max_pool").compute([p], node.attrs, [graph.types[graph.outputs[0]]])
    layout = Layout.blocked((1, 32, 9, 9), 1, 16)
    layouts = {p: layout, y: layout}
    text = str(lower(schedule([y], WIDE, layouts), [p, y], WIDE, "pool", layouts))
    assert "alloc max_pool.local: float32[16]" in text  # one register, no partial results


def test_windows_in_rows_that_move_by_one_have_vectors_of_places():
    b = GraphBuilder("pool")
    x = b.input("x", "float32", (1, 3, 40, 40))
    graph = b.finish(b.add("average_pool", [x], {"kernel": (5, 5)}))
    (node,) = graph.nodes
    p = te.placeholder((1, 3, 40, 40), name="p")
    (y,) = get("average_pool").compute([p], node.attrs, [graph.types[graph.outputs[0]]])
    text = str(lower(schedule([y], WIDE), [p, y], WIDE, "pool"))
    assert ".rf" not in text
