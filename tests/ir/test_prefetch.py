"""Stage.prefetch: which elements are asked for, and that results do not change."""

import numpy as np
import pytest
from weft import te
from weft.codegen import llvm
from weft.ir.interp import run
from weft.ir.lower import lower
from weft.ir.schedule import Schedule, create_schedule
from weft.ir.stmt import Prefetch
from weft.ir.target import Target
from weft.ir.tensor import Tensor
from weft.ir.trace import Trace
from weft.ir.visit import walk
from weft.runtime.errors import ScheduleError

V3 = Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v3")


def product(m: int, n: int, depth: int) -> tuple[Tensor, Tensor, Tensor]:
    a, b = te.placeholder((m, depth), name="A"), te.placeholder((depth, n), name="B")
    k = te.reduce_axis(depth, "k")
    return a, b, te.compute((m, n), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")


def tiled(b: Tensor, c: Tensor, rows: int, lanes: int, depth: int) -> Schedule:
    """Register tiles of ``rows`` vectors; the next columns of ``b`` are fetched ahead."""
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
    acc.prefetch(b, inner_k, j, lanes)
    return s


def test_row_tiles_share_what_is_fetched():
    a, b, c = product(8, 32, 8)
    f = lower(tiled(b, c, 4, 16, 4), [a, b, c])
    assert [str(n) for n in walk(f.body) if isinstance(n, Prefetch)] == [
        "prefetch(B[k.outer * 128 + i.outer * 64 + j.outer * 16 + 16])",
        "prefetch(B[k.outer * 128 + i.outer * 64 + j.outer * 16 + 48])",
    ]


def test_results_are_the_same_for_sizes_that_do_not_divide():
    a, b, c = product(7, 21, 10)
    s = tiled(b, c, 3, 8, 4)
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
    s[c].prefetch(b, outer, j, 1)
