"""The schedule of attention, at awkward sizes and for every block of rows."""

import math

import numpy as np
import pytest
from weft.compiler.ops import get
from weft.compiler.schedules import schedule
from weft.compiler.schedules.choices import Choices
from weft.compiler.types import TensorType
from weft.ir import te
from weft.ir.lower import lower
from weft.ir.meaning.evaluate import evaluate
from weft.ir.meaning.interp import run
from weft.ir.stmt import Alloc
from weft.ir.target import Target
from weft.ir.visit import walk
from weft.runtime.dtype import FLOAT32

SMALL = Target.parse("llvm -vector_bits=128 -num_vector_registers=16")
WIDE = Target.parse("llvm -vector_bits=512 -num_vector_registers=32")


def attention(batch, rows, depth, keys, columns, mask=None):
    shapes = [(*batch, rows, depth), (*batch, depth, keys), (*batch, keys, columns)]
    inputs = [te.placeholder(s, name=n) for s, n in zip(shapes, "QKV")]
    if mask is not None:
        inputs.append(te.placeholder(mask, name="M"))
    op, attrs = get("attention"), {"scale": 0.5}
    types = [TensorType(FLOAT32, tuple(int(e.value) for e in t.shape)) for t in inputs]
    (y,) = op.compute(inputs, attrs, op.infer_checked(types, attrs))
    z = te.compute(y.shape, lambda *i: te.maximum(y[i], 0.0), name="Z")
    return inputs, z


@pytest.mark.parametrize("target", [SMALL, WIDE], ids=["128", "512"])
@pytest.mark.parametrize(
    "case, block",
    [
        (((2, 2), 5, 3, 7, 4, (2, 1, 1, 7)), None),
        (((), 19, 4, 33, 18, (33,)), 4),
        (((), 19, 4, 33, 18, None), 8),
        (((3,), 6, 8, 16, 16, (6, 16)), 4),
        (((1,), 1, 2, 5, 1, None), None),
    ],
    ids=str,
)
def test_any_size_is_right(case, block, target):
    inputs, z = attention(*case)
    rng = np.random.default_rng(3)
    arrays = [
        rng.standard_normal([int(e.value) for e in t.shape]).astype(np.float32) for t in inputs
    ]
    (want,) = evaluate([z], dict(zip(inputs, arrays)))
    config = {} if block is None else {"attention.scores.rows": block}
    choices = Choices(config)
    s = schedule([z], target, choices=choices)
    if block is not None:
        assert choices.taken["attention.scores.rows"] == block
    fn = lower(s, [*inputs, z], target, "attention")
    out = np.full(want.shape, 7, np.float32)
    run(fn, [*arrays, out])
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)


def test_scores_are_never_there_as_a_whole():
    """Scratch is for a block of rows, and heads and blocks run in parallel."""
    inputs, z = attention((2, 4), 256, 16, 256, 16)
    fn = lower(schedule([z], WIDE), [*inputs, z], WIDE, "attention")
    text = str(fn)
    assert "parallel" in text
    buffers = [n.buffer for n in walk(fn.body) if isinstance(n, Alloc)]
    sizes = [math.prod(int(e.value) for e in b.shape) for b in buffers]
    assert sizes and max(sizes) <= 64 * 256
