"""Every primitive is one function: recorded as text, replayed from it, known from its signature."""

import pytest
from weft.ir import te
from weft.ir.schedule.primitives import PRIMITIVES, TraceStep, primitive
from weft.ir.schedule.schedule import Schedule, create_schedule
from weft.ir.schedule.stage import Stage
from weft.ir.schedule.trace import Trace
from weft.runtime.errors import ScheduleError

A = te.placeholder((32, 32), name="A")
B = te.placeholder((32, 32), name="B")


def computation():
    k = te.reduce_axis(32, "k")
    bias = te.compute((32, 32), lambda i, j: A[i, j] + 1.0, "bias")
    c = te.compute((32, 32), lambda i, j: te.sum(bias[i, k] * B[k, j], axis=k), "C")
    return te.compute((32, 32), lambda i, j: te.maximum(c[i, j], 0.0), "D")


X = te.placeholder((8,), name="X")
COPY = te.decl_tensor_intrin(
    te.compute((8,), lambda i: te.maximum(X[i], 0.0), "copy"),
    lambda inputs, out: (None, out.store(inputs[0].load(0), 0)),
    "relu8_of_the_test",
)


def everything(s: Schedule, d):
    """A schedule with nearly every primitive."""
    (c,), (bias,) = s.stage_named("C").op.outputs, s.stage_named("bias").op.outputs
    x, y = s[d].op.axes
    outer, inner = s[d].split(y, nparts=4)
    s[d].reorder(outer, x, inner)
    s[d].fuse(outer, x)
    s[d].tensorize(inner, COPY)
    acc = s.cache_write(c, "local")
    i, j, k = (*s[acc].op.axes, s[acc].reduce_axes[0])
    ko, ki = s[acc].split(k, factor=8)
    jo, ji = s[acc].split(j, 8)
    s[acc].reorder(i, jo, ko, ki, ji)
    s[acc].prefetch(B, ki, j, 8, {i: 4})
    s[acc].vectorize(ji)
    s[acc].unroll(ki)
    s[acc].pragma(i, "unroll_max", 4)
    local = s.cache_read(bias, "local", [acc])
    s[local].compute_at(s[acc], i)
    s[local].set_scope("local")
    s[local].storage_align(s[local].op.axes[0], 8, 4)
    s[bias].set_layout("AB8b")
    s[bias].parallel(s[bias].op.axes[0])
    s[c].compute_root()


def the_rest(s: Schedule):
    """What does not go together with the others."""
    c, bias = s.stage_named("C"), s.stage_named("bias")
    bias.compute_inline()
    ko, _ = c.split(c.reduce_axes[0], 8)
    partial = s[s.rfactor(c.op.outputs, ko)]
    partial.bind(partial.axes[1], te.thread_axis("blockIdx.x"))
    partial.double_buffer()
    partial.set_store_predicate(
        (partial.axes[2] < 20) & ~te.equal(te.thread_axis("threadIdx.x"), 1)
    )


def test_every_primitive_is_written_and_read_back():
    d = computation()
    s = create_schedule(d)
    everything(s, d)
    t = create_schedule(d)
    the_rest(t)
    used = set()
    for schedule in (s, t):
        text = schedule.trace.to_json()
        again = Trace.from_json(text).replay(create_schedule(d))
        assert again.trace.to_json() == text
        assert str(again) == str(schedule)
        used |= {step.primitive for step in schedule.trace}
    assert used == set(PRIMITIVES)


TEXT = [
    "s['D'].split('j', None, 4)",
    "s['D'].reorder(['j.outer', 'i', 'j.inner'])",
    "s['D'].fuse(['j.outer', 'i'])",
    "s['D'].tensorize('j.inner', 'relu8_of_the_test')",
    "s['C'].cache_write('local')",
    "s['C.local'].split('k', 8, None)",
    "s['C.local'].split('j', 8, None)",
    "s['C.local'].reorder(['i', 'j.outer', 'k.outer', 'k.inner', 'j.inner'])",
    "s['C.local'].prefetch('B', 0, 'k.inner', 'j', 8, ['i:4'])",
    "s['C.local'].vectorize('j.inner')",
    "s['C.local'].unroll('k.inner')",
    "s['C.local'].pragma('i', 'unroll_max', 4)",
    "s['bias'].cache_read(0, 'local', ['C.local'])",
    "s['bias.local'].compute_at('C.local', 'i')",
    "s['bias.local'].set_scope('local')",
    "s['bias.local'].storage_align('i0', 8, 4)",
    "s['bias'].set_layout('[a0:32 | a1/8:4 | a1:8]')",
    "s['bias'].parallel('i')",
    "s['C'].compute_root()",
    "s['bias'].compute_inline()",
    "s['C'].split('k', 8, None)",
    "s['C'].rfactor('k.outer')",
    "s['C.rf'].bind('i', 'blockIdx.x')",
    "s['C.rf'].double_buffer()",
    "s['C.rf'].set_store_predicate('(and (lt j 20) (not (eq threadIdx.x 1)))')",
]


def test_the_text_is_what_records_were_made_with():
    d = computation()
    s = create_schedule(d)
    everything(s, d)
    t = create_schedule(d)
    the_rest(t)
    assert [str(step) for step in (*s.trace, *t.trace)] == TEXT


def test_a_primitive_is_added_in_one_place():
    @primitive
    def halve(self: Stage, axis: "IterVar", times: "int" = 1) -> None:  # noqa: F821
        for _ in range(times):
            self.annotations.pop(axis, None)

    try:
        d = computation()
        s = create_schedule(d)
        halve(s[d], s[d].op.axes[1])
        assert s.trace.steps == (TraceStep("D", "halve", ("j", 1)),)
        again = Trace.from_json(s.trace.to_json()).replay(create_schedule(d))
        assert again.trace == s.trace
    finally:
        del PRIMITIVES["halve"]


def test_a_call_that_is_refused_is_not_recorded():
    d = computation()
    s = create_schedule(d)
    with pytest.raises(ScheduleError):
        s[d].split(s[d].op.axes[0], 0)
    with pytest.raises(ScheduleError):
        s.cache_read(A, "nowhere", [s[d]])
    assert len(s.trace) == 0


def test_a_step_of_the_wrong_form_is_refused():
    d = computation()
    for text, words in (
        ('[["D", "split", ["i", 2]]]', "split does not take 2 arguments"),
        ('[["D", "melt", ["i"]]]', "there is no primitive 'melt'"),
        ('[["D", "bind", ["i", "warp.x"]]]', "there is no thread axis 'warp.x'"),
        ('[["D", "tensorize", ["i", "nothing"]]]', "there is no tensor intrinsic 'nothing'"),
        ('[["D", "compute_at", ["E", "i"]]]', "there is no stage 'E'"),
    ):
        with pytest.raises(ScheduleError, match=words):
            Trace.from_json(text).replay(create_schedule(d))


def test_an_axis_that_was_split_is_found_again():
    """Prefetches name data axes, which may be loops no longer."""
    d = computation()
    s = create_schedule(d)
    c = s.stage_named("C")
    i, j = c.op.axes
    c.split(j, 8)
    c.prefetch(B, c.reduce_axes[0], j, 8, {i: 2})
    again = Trace.from_json(s.trace.to_json()).replay(create_schedule(d))
    assert again.trace == s.trace
