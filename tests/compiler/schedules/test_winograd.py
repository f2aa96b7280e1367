"""The schedule of convolutions by minimal filtering, at awkward sizes."""

from dataclasses import replace

import numpy as np
import pytest
from weft.compiler.ops import get
from weft.compiler.schedules import schedule
from weft.compiler.schedules.choices import Choices
from weft.compiler.types import TensorType
from weft.ir import te
from weft.ir.layout import Layout
from weft.ir.lower import lower
from weft.ir.meaning.evaluate import evaluate
from weft.ir.meaning.interp import run
from weft.ir.target import Target
from weft.runtime.dtype import FLOAT32

SMALL = Target.parse("llvm -vector_bits=128 -num_vector_registers=16")
WIDE = Target.parse("llvm -vector_bits=512 -num_vector_registers=32")


def filtering(batch, channels, filters, height, width, m, pads):
    x = te.placeholder((batch, channels, height, width), name="X")
    u = te.placeholder((m + 2, m + 2, channels, filters), name="U")
    attrs = {"tile": m, "pads": pads}
    op = get("winograd_conv")
    types = [TensorType(FLOAT32, tuple(int(e.value) for e in t.shape)) for t in (x, u)]
    out = op.infer_checked(types, attrs)
    (y,) = op.compute([x, u], attrs, out)
    z = te.compute(y.shape, lambda *i: te.maximum(y[i], 0.0), name="Z")
    return x, u, z


@pytest.mark.parametrize("target", [SMALL, WIDE], ids=["128", "512"])
@pytest.mark.parametrize("lies", ["blocked", "row major"])
@pytest.mark.parametrize(
    "case",
    [
        (1, 8, 16, 5, 6, 2, (1, 1, 1, 1)),
        (2, 5, 9, 4, 7, 2, (0, 1, 2, 0)),
        (1, 17, 20, 5, 9, 4, (1, 1, 1, 1)),
        (1, 1, 1, 3, 3, 4, (0, 0, 0, 0)),
    ],
    ids=str,
)
def test_any_size_is_right(case, lies, target):
    x, u, z = filtering(*case)
    lanes = target.lanes(FLOAT32)

    def shape(t):
        return tuple(int(e.value) for e in t.shape)

    layouts = {u: Layout.blocked(shape(u), 3, lanes)}
    if lies == "blocked":
        layouts |= {t: Layout.blocked(shape(t), 1, lanes) for t in (x, z)}
    rng = np.random.default_rng(3)
    # Small integers: every sum is exact, in whatever order.
    a, b = (rng.integers(-2, 3, shape(t)).astype(np.float32) for t in (x, u))
    (want,) = evaluate([z], {x: a, u: b})
    pack = {t: layouts[t].pack if t in layouts else np.array for t in (x, u, z)}
    fn = lower(schedule([z], target, layouts), [x, u, z], target, "winograd", layouts)
    out = pack[z](np.full(shape(z), 7, np.float32))
    run(fn, [pack[x](a), pack[u](b), out])
    got = layouts[z].unpack(out) if z in layouts else out
    np.testing.assert_array_equal(got, want)


def test_transforms_are_sums_without_choices():
    """Which row of a matrix, and coefficients of one, are decided when loops are unrolled."""
    x, u, z = filtering(1, 16, 16, 8, 8, 2, (0, 0, 0, 0))
    layouts = {x: Layout.blocked((1, 16, 8, 8), 1, 16), u: Layout.blocked((4, 4, 16, 16), 3, 16)}
    layouts[z] = Layout.blocked((1, 16, 6, 6), 1, 16)
    text = str(lower(schedule([z], WIDE, layouts), [x, u, z], WIDE, "winograd", layouts))
    assert "winograd.in[ramp(240, 1, 16)] = " in text  # unrolled
    for left in ("==", "select", "if ", "broadcast(1.0", "broadcast(-1.0"):
        assert left not in text, left


@pytest.mark.parametrize(
    ("channels", "size", "first", "rows"),
    [(256, 14, True, 4), (512, 28, True, 7), (64, 56, False, 1), (256, 56, False, 2)],
    ids=["weights are read once", "all data first", "rows in the cache", "several rows"],
)
def test_what_is_read_from_afar(channels, size, first, rows):
    """512 KiB for a core: V goes first where it stays near, and else block by block; blocks of a
    row that no cache of the core holds are made larger, so that weights are read less often."""
    target = replace(WIDE, vector_bits=256, num_vector_registers=16, cache_bytes=1 << 19)
    x, u, z = filtering(1, channels, channels, size, size, 4, (1, 1, 1, 1))
    layouts = {u: Layout.blocked((6, 6, channels, channels), 3, 8)}
    layouts |= {t: Layout.blocked((1, channels, size, size), 1, 8) for t in (x, z)}
    choices = Choices()
    schedule([z], target, layouts, choices)
    taken = {k.rpartition(".")[2]: v for k, v in choices.taken.items()}
    assert (taken["transform_first"], taken["tile_rows"]) == (first, rows)
