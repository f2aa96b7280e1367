"""Element-wise stages: which axes become one loop."""

import numpy as np
import pytest
from weft import te
from weft.compiler.schedules import schedule
from weft.ir.lower import lower
from weft.ir.meaning.interp import run
from weft.ir.passes.loopnest import build_loop_nest
from weft.ir.stmt import Store
from weft.ir.target import Target
from weft.ir.visit import walk

AVX2 = Target.parse("llvm -vector_bits=256")


def lanes_of(operands, body, shape):
    """The lanes of the vectors that the kernel stores, which computes what the stage means."""
    rng = np.random.default_rng(0)
    tensors = [te.placeholder(s, name=f"A{k}") for k, s in enumerate(operands)]
    B = te.compute(shape, lambda *i: body(*tensors, *i), name="B")
    args = [*tensors, B]
    f = lower(schedule([B], AVX2), args, AVX2)
    arrays = [rng.standard_normal(s).astype("float32") for s in operands]
    got, want = np.zeros(shape, "float32"), np.zeros(shape, "float32")
    run(f, [*(a.reshape(-1) for a in arrays), got.reshape(-1)])
    run(build_loop_nest(te.create_schedule(B), args, "f"), [*arrays, want])
    np.testing.assert_array_equal(got, want)
    return [s.value.dtype.lanes for s in walk(f.body) if isinstance(s, Store)]


@pytest.mark.parametrize("h", [3, 5, 7, 14, 28])
def test_lines_of_an_image_are_one_where_a_bias_has_none(h):
    found = lanes_of(
        [(1, 6, h, h), (6, 1, 1)], lambda a, b, n, c, y, x: a[n, c, y, x] + b[c, 0, 0],
        (1, 6, h, h),
    )  # fmt: skip
    assert max(found) >= 8  # no line of an image but the last two are that long
    assert len([n for n in found if n < 8]) <= 1


@pytest.mark.parametrize(
    ("operands", "body"),
    [
        # a bias of lines, columns, a transposed and a shifted operand, the index itself
        ([(2, 5, 7), (5, 1)], lambda a, b, c, y, x: a[c, y, x] + b[y, 0]),
        ([(2, 5, 7), (7,)], lambda a, b, c, y, x: a[c, y, x] + b[x]),
        ([(2, 5, 7), (7, 5)], lambda a, b, c, y, x: a[c, y, x] + b[x, y]),
        ([(2, 5, 8)], lambda a, c, y, x: a[c, y, x]),
        ([(2, 5, 7)], lambda a, c, y, x: a[c, y, x] + te.cast(x, "float32")),
        ([(2, 5, 7)], lambda a, c, y, x: te.if_then_else(y < 2, a[c, y, x], 1.0)),
        ([(5, 7), (2,)], lambda a, b, c, y, x: a[y, x] + b[c]),
        ([(2, 2, 5, 7)], lambda a, c, y, x: a[c, 1 - c, y, x]),
        ([(35,), (2, 5, 7)], lambda a, b, c, y, x: a[y * 7 + x] * b[c, y, x]),
    ],
)
def test_any_other_operand_is_read_where_it_should_be(operands, body):
    lanes_of(operands, body, (2, 5, 7))
