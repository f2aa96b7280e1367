"""Inlined stages: what is written out, how often, and where it ends."""

import numpy as np
import pytest
from support.counting import calls
from weft.ir import te
from weft.ir.builders import if_then_else
from weft.ir.expr import Read
from weft.ir.lower import lower, lower_kernels
from weft.ir.meaning.interp import run
from weft.ir.schedule import inlining
from weft.ir.schedule.inlining import inline_body
from weft.ir.schedule.schedule import create_schedule
from weft.ir.target import Target
from weft.ir.visit import bottom_up
from weft.runtime.errors import LoweringError, ScheduleError

N = 16


def same_place(a, k):
    return te.compute((N,), lambda i: a[i] * a[i] - a[i], name=f"S{k}")


def neighbours(a, k):
    """Three places of the stage before; the row goes round."""
    return te.compute(
        (N,), lambda i: (a[(i + 15) % N] + a[i] * 2.0 + a[(i + 1) % N]) * 0.25, name=f"S{k}"
    )


def leaky(a, k):
    return te.compute((N,), lambda i: if_then_else(a[i] > 0.0, a[i], a[i] * 0.5), name=f"S{k}")


def far(a, k):
    """Three places that no other stage reads."""
    return te.compute(
        (N,), lambda i: a[i * 3 % N] + a[(i * 5 + k) % N] * a[(i * 7 + 1) % N], name=f"S{k}"
    )


def scheduled(link, length):
    a = x = te.placeholder((N,), name="A")
    for k in range(length):
        x = link(x, k)
    s = create_schedule(x)
    for stage in s.stages:
        if stage.op not in (a.op, x.op):
            stage.compute_inline()
    return s, a, x


def lowered(link, length):
    s, a, x = scheduled(link, length)
    return lower(s, [a, x], Target.parse("llvm"))


@pytest.mark.parametrize("link", [same_place, leaky])
def test_reads_of_one_place_are_one_value(link):
    _, few = calls(lowered, link, 12)
    _, many = calls(lowered, link, 24)
    assert many < 2.5 * few
    s, _, x = scheduled(link, 24)
    (body,) = inline_body(s, s[x])
    assert sum(isinstance(n, Read) for n in bottom_up([body])) <= 3


def test_eighteen_stages_that_read_three_places_each():
    """387 million ways lead to the first stage, and 37 places of it."""
    f, steps = calls(lowered, neighbours, 18)
    assert steps < 3_000_000
    array = np.random.default_rng(0).standard_normal(N).astype(np.float32)
    out = np.zeros(N, np.float32)
    run(f, [array, out])
    for _ in range(18):
        array = (np.roll(array, 1) + array * 2 + np.roll(array, -1)) * np.float32(0.25)
    np.testing.assert_allclose(out, array, 1e-5, 1e-6)


@pytest.mark.parametrize("link", [same_place, leaky, neighbours])
def test_numbers(link):
    array = np.random.default_rng(0).uniform(-1, 1, N).astype(np.float32)
    results = []
    for length in (4, 4):
        s, a, x = scheduled(link, length)
        f = lower(s, [a, x]) if results else lower(create_schedule(x), [a, x])
        results.append(np.zeros(N, np.float32))
        run(f, [array, results[-1]])
    np.testing.assert_allclose(results[1], results[0], 1e-6, 1e-7)


def test_growth_ends_in_an_error_that_names_the_stage():
    s, a, x = scheduled(far, 18)
    with pytest.raises(ScheduleError, match=r"S17 comes to more than 32768 expressions.*S\d") as e:
        lower(s, [a, x])
    assert "store S" in str(e.value)
    assert inlining.MAX_EXPRESSIONS == 32768
    s, a, x = scheduled(far, 5)
    lower(s, [a, x])


def test_an_expression_that_is_nested_too_deep_is_refused():
    a = te.placeholder((N,), name="A")

    def deep(i):
        value = a[i]
        for _ in range(3000):
            value = value + 1.0
        return value

    b = te.compute((N,), deep, name="B")
    for target in ("llvm", "opencl"):
        with pytest.raises(LoweringError, match="nested too deep"):
            (lower if target == "llvm" else lower_kernels)(create_schedule(b), [a, b], target)
