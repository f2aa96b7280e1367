"""Schedules with open questions of a user's own."""

import warnings

import numpy as np
import pytest
import weft
from weft import te
from weft.compiler.kernels.untouched import UntouchedScheduleWarning
from weft.runtime.errors import ScheduleError, TuneError

pytest.importorskip("lightgbm", reason="the extra 'tune' is not installed")
N = 37


def matmul(knobs, rows=(1, 2, 4), columns=(8, 16)):
    a, b = te.placeholder((N, N), name="A"), te.placeholder((N, N), name="B")
    k = te.reduce_axis(N, "k")
    c = te.compute((N, N), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    s = te.create_schedule(c)
    i, j = c.op.axes
    io, jo, ii, ji = s[c].tile(
        i, j, knobs.choose("rows", rows, rows[0]), knobs.choose("columns", columns, columns[0])
    )
    s[c].reorder(io, jo, k, ii, ji)
    s[c].vectorize(ji)
    s[c].unroll(ii)
    return s, [a, b, c]


def right(kernel) -> bool:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((N, N)).astype(np.float32) for _ in range(2))
    c = np.full((N, N), np.nan, np.float32)
    kernel(a, b, c)
    return np.allclose(c, a @ b, atol=1e-4)


def test_a_search_over_a_template_of_a_prompt():
    """A closure, which no worker could import; the next build uses what was found."""

    @te.template
    def mine(knobs):
        return matmul(knobs)

    assert mine.knobs() == {"rows": (1, 2, 4), "columns": (8, 16)}
    assert mine.best() == {}
    done = weft.tune(mine, trials=5, threads=1)
    (state,) = done.states
    assert done.measured == 5 and done.states_count == {"ok": 5}
    assert state.champion is not None and mine.best() == dict(state.champion.config)
    assert right(mine.build()) and right(mine.build(config={"rows": 4, "columns": 16}))


def test_a_search_writes_into_the_records_that_it_is_given(tmp_path):
    """Also when they are empty yet."""

    @te.template
    def mine(knobs):
        return matmul(knobs)

    records = weft.Records(tmp_path / "records.sqlite")
    weft.tune(mine, trials=2, threads=1, records=records)
    assert len(records) >= 2 and not len(mine.records)
    assert mine.best(records=records)
    records.close()


def test_a_candidate_that_is_wrong_or_cannot_be_built_is_passed_over():
    @te.template
    def mine(knobs):
        s, (a, b, c) = matmul(knobs, columns=(8, 16, 0))
        if knobs.choose("broken", ["no", "scaled"], "no") == "scaled":
            c = te.compute((N, N), lambda i, j: a[i, j] * b[j, i], name="C")
            s = te.create_schedule(c)
        return s, [a, b, c]

    done = weft.tune(mine, trials=24, threads=1)
    assert done.states_count["ok"] and done.states_count["wrong"] and done.states_count["failed"]
    best = mine.best()
    assert best["broken"] == "no" and best["columns"] != 0


def test_what_is_no_template_is_told():
    @te.template
    def nothing(knobs):
        return knobs.choose("a", [1, 2], 1)

    with pytest.raises(ScheduleError, match=r"nothing[\s\S]*return \(schedule"):
        weft.tune(nothing, trials=1)
    with pytest.raises(TuneError, match="records="):
        weft.tune(object(), trials=1)


@pytest.mark.parametrize("target", ["llvm", "opencl", "opengl"])
def test_auto_schedule_is_what_models_get(target):
    a = te.placeholder((3, 50, 70), name="A")
    k = te.reduce_axis(70, "k")
    e = te.compute((3, 50, 70), lambda b, i, j: te.exp(a[b, i, j]), name="E")
    r = te.compute((3, 50), lambda b, i: te.sum(e[b, i, k], axis=k), name="R")
    s = te.auto_schedule(r, target)
    assert bool(len(s.trace)) is (target != "opengl")
    x = np.random.default_rng(0).standard_normal((3, 50, 70)).astype(np.float32)
    got = np.full((3, 50), np.nan, np.float32)
    weft.build(s, [a, r], target)(x, got)
    np.testing.assert_allclose(got, np.exp(x).sum(2), rtol=1e-5)


def test_a_product_of_a_matrix_with_itself():
    """Large enough for operands that are asked for ahead of their use: one input, read twice."""
    a = te.placeholder((300, 300), name="A")
    k = te.reduce_axis(300, "k")
    c = te.compute((300, 300), lambda i, j: te.sum(a[i, k] * a[j, k], axis=k), name="C")
    x = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
    got = np.full((300, 300), np.nan, np.float32)
    weft.build(te.auto_schedule(c), [a, c])(x, got)
    np.testing.assert_allclose(got, x @ x.T, atol=1e-3)


def test_a_schedule_without_steps_is_mentioned_where_it_matters():
    def built(n, schedule):
        a = te.placeholder((n, n), name="A")
        k = te.reduce_axis(n, "k")
        c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * a[j, k], axis=k), name="C")
        weft.build(schedule(c), [a, c])

    with pytest.warns(UntouchedScheduleWarning, match=r"te\.auto_schedule\(outputs, 'llvm'\)"):
        built(300, te.create_schedule)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(300, te.auto_schedule)
        built(30, te.create_schedule)
