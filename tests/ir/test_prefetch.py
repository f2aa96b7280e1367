"""Stage.prefetch: which elements are asked for, and that results do not change."""

import numpy as np
import pytest
from weft import te
from weft.codegen.llvm import generator as llvm
from weft.ir.layout import Digit, Layout
from weft.ir.lower import lower
from weft.ir.meaning.interp import run
from weft.ir.schedule.schedule import Schedule, create_schedule
from weft.ir.schedule.trace import Trace
from weft.ir.stmt import Prefetch
from weft.ir.target import Target
from weft.ir.tensor import Tensor
from weft.ir.visit import walk
from weft.runtime.errors import ScheduleError

V3 = Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v3")


def product(m: int, n: int, depth: int) -> tuple[Tensor, Tensor, Tensor]:
    a, b = te.placeholder((m, depth), name="A"), te.placeholder((depth, n), name="B")
    k = te.reduce_axis(depth, "k")
    return a, b, te.compute((m, n), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")


def tiled(b: Tensor, c: Tensor, rows: int, lanes: int, depth: int, share: int = 0) -> Schedule:
    """Register tiles of ``rows`` vectors; the next columns of ``b`` are fetched ahead, by ``share``
    rows together."""
    s = create_schedule(c)
    acc = s[s.cache_write(c, "local")]
    i, j = s[c].axes
    outer_i, inner_i = s[c].split(i, factor=rows)
    outer_j, lane = s[c].split(j, factor=lanes)
    s[c].reorder(outer_j, outer_i, inner_i, lane)
    s[c].vectorize(lane)
    acc.compute_at(s[c], outer_i)
    i, j = acc.axes
    outer_k, inner_k = acc.split(acc.reduce_axes[0], factor=depth)
    acc.reorder(outer_k, inner_k, i, j)
    acc.unroll(i)
    acc.vectorize(j)
    acc.prefetch(b, inner_k, j, lanes, {i: share} if share else None)
    return s


def hints(f) -> list[str]:
    return [str(n) for n in walk(f.body) if isinstance(n, Prefetch)]


def test_row_tiles_share_what_is_fetched():
    a, b, c = product(8, 32, 8)
    f = lower(tiled(b, c, 4, 16, 4, share=8), [a, b, c])
    assert hints(f) == [
        "prefetch(B[k.outer * 128 + i.outer * 64 + j.outer * 16 + 16])",
        "prefetch(B[k.outer * 128 + i.outer * 64 + j.outer * 16 + 48])",
    ]


def test_blocks_of_row_tiles_share_among_themselves():
    a, b, c = product(32, 32, 8)
    f = lower(tiled(b, c, 4, 16, 4, share=8), [a, b, c])
    assert hints(f)[0] == ("prefetch(B[k.outer * 128 + i.outer % 2 * 64 + j.outer * 16 + 16])")


def test_without_sharing_every_line_is_asked_for_once():
    a, b, c = product(8, 32, 8)
    vectors = hints(lower(tiled(b, c, 4, 16, 4), [a, b, c]))  # a line each
    assert vectors == [
        f"prefetch(B[k.outer * 128 + j.outer * 16 + {16 + 32 * k}])" for k in range(4)
    ]


def test_the_share_runs_over_all_loops_inside():
    a, b, c = product(8, 32, 8)
    s = tiled(b, c, 4, 16, 4)
    acc = s.stages[-2]
    acc.prefetches.clear()
    i, j = acc.axes
    acc.prefetch(b, acc.leaves[0], j, 16, {i: 8})
    assert hints(lower(s, [a, b, c])) == [
        f"prefetch(B[i.outer * 128 + j.outer * 16 + {16 + 32 * k}])" for k in range(4)
    ]


def test_tiles_of_rows_that_lie_in_blocks():
    """The next four places of each block of eight channels: two lines, wherever vectors lie."""
    x, w = te.placeholder((32, 16), name="X"), te.placeholder((16, 8), name="W")
    k = te.reduce_axis(16, "k")
    c = te.compute((32, 8), lambda i, j: te.sum(x[i, k] * w[k, j], k), name="C")
    s = create_schedule(c)
    acc = s[s.cache_write(c, "local")]
    i, j = s[c].axes
    outer, _ = s[c].split(i, factor=4)
    s[c].vectorize(j)
    acc.compute_at(s[c], outer)
    i, j = acc.axes
    outer_k, inner_k = acc.split(acc.reduce_axes[0], factor=8)
    acc.reorder(outer_k, inner_k, i, j)
    acc.unroll(i)
    acc.vectorize(j)
    acc.prefetch(x, inner_k, i, 4)
    blocks = Layout((32, 16), ((Digit(1, 8, 2),), (Digit(0, 1, 32),), (Digit(1, 1, 8),)))
    f = lower(s, [x, w, c], layouts={x: blocks})
    assert hints(f) == [f"prefetch(X[k.outer * 256 + i.outer * 32 + {32 + n}])" for n in (0, 16)]


def test_results_are_the_same_for_sizes_that_do_not_divide():
    a, b, c = product(7, 21, 10)
    s = tiled(b, c, 3, 8, 4, share=7)
    x = np.arange(70, dtype=np.float32).reshape(7, 10)
    y = np.arange(210, dtype=np.float32).reshape(10, 21)
    out, replayed = np.zeros((7, 21), np.float32), np.zeros((7, 21), np.float32)
    run(lower(s, [a, b, c]), [x, y, out])
    np.testing.assert_array_equal(out, x @ y)
    again = Trace.from_json(s.trace.to_json()).replay(create_schedule(c))
    run(lower(again, [a, b, c]), [x, y, replayed])
    np.testing.assert_array_equal(replayed, out)


def test_it_becomes_an_instruction():
    a, b, c = product(8, 32, 8)
    module = llvm.emit([lower(tiled(b, c, 4, 8, 4), [a, b, c], V3)], V3)
    assert "prefetcht1" in module.assembly


def test_what_a_kernel_makes_itself_is_not_fetched():
    a, b, _ = product(8, 32, 8)
    twice = te.compute((8, 32), lambda k, j: b[k, j] * 2.0, name="twice")
    k = te.reduce_axis(8, "k")
    d = te.compute((8, 32), lambda i, j: te.sum(a[i, k] * twice[k, j], k), name="D")
    f = lower(tiled(twice, d, 4, 16, 4), [a, b, d])
    assert not any(isinstance(n, Prefetch) for n in walk(f.body))


def test_mistakes():
    _, b, c = product(8, 32, 8)
    s = create_schedule(c)
    i, j = s[c].axes
    (k,) = s[c].reduce_axes
    with pytest.raises(ScheduleError, match="k is not a data axis of C"):
        s[c].prefetch(b, k, k, 1)
    with pytest.raises(ScheduleError, match="C does not read other"):
        s[c].prefetch(te.placeholder((8,), name="other"), k, j, 1)
    outer, _ = s[c].split(i, factor=2)
    with pytest.raises(ScheduleError, match="i is not a loop of C"):
        s[c].prefetch(b, i, j, 1)
    with pytest.raises(ScheduleError, match="2 elements of j cannot share what is read of B"):
        s[c].prefetch(b, outer, j, 1, {j: 2})
    s[c].prefetch(b, outer, j, 1)
