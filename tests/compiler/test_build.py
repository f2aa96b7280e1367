"""``weft.build``: one kernel, from a schedule to numbers."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import weft
from support import toy_target
from support.pinned import FOREIGN
from weft import te
from weft.ir.layout import Layout
from weft.ir.target import kinds
from weft.runtime.devices.probe import probe
from weft.runtime.errors import (
    ClosedError,
    CodegenError,
    DeviceError,
    InputError,
    LoweringError,
    ScheduleError,
)
from weft.runtime.ndarray import is_ready


def add_one(shape=(8,), name="main"):
    a = te.placeholder(shape, name="A")
    b = te.compute(shape, lambda *i: a[i] + 1, name="B")
    return weft.build(te.create_schedule(b), [a, b], name=name)


def symbolic():
    n = te.var("n")
    a = te.placeholder((n, n * 2 + 1), name="A")
    b = te.compute((n,), lambda i: a[i, i * 2], name="B")
    return weft.build(te.create_schedule(b), [a, b, n], name="diagonal")


def test_it_computes():
    f = add_one()
    out = np.zeros(8, np.float32)
    assert f(np.arange(8, dtype=np.float32), out) is None
    assert out.tolist() == list(range(1, 9))


def test_it_shows_each_stage():
    f = add_one(name="plus")
    assert f.name == "plus" and f.function.name == "plus"
    assert "define" in f.source and "@plus" in f.source
    assert "plus" in f.assembly
    assert f.object[:4] == b"\x7fELF"
    assert repr(f) == "<KernelModule plus(A: float32[8], B: float32[8] (result)) for llvm>"
    assert "B" in str(f.function)


@pytest.mark.parametrize("order", ["C", "F", "strided", "offset"])
def test_arrays_that_do_not_suit_a_kernel_are_copied_in_and_out(order):
    def give(value):
        a = np.asarray(value, np.float32).reshape(3, 5)
        match order:
            case "F":
                return np.asfortranarray(a)
            case "strided":
                big = np.zeros((3, 10), np.float32)
                big[:, ::2] = a
                return big[:, ::2]
            case "offset":
                block = np.zeros(17, np.float32)
                start = 1 if is_ready(block[:15]) else 0
                view = block[start : start + 15].reshape(3, 5)
                view[...] = a
                return view
        return a.copy()

    f = add_one((3, 5))
    x, out = give(np.arange(15)), give(np.zeros(15))
    f(x, out)
    np.testing.assert_array_equal(out, np.arange(15).reshape(3, 5) + 1)
    np.testing.assert_array_equal(x, np.arange(15).reshape(3, 5))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("offset", [1, 3])
def test_arrays_at_any_address_are_worked_on_in_place(monkeypatch, dtype, offset):
    """Parallel loops, vectors, masks: nothing may rely on more than an element's alignment."""

    def refuse(*_):
        raise AssertionError("copied")

    a = te.placeholder((4, 37), dtype, name="A")
    b = te.compute((4, 37), lambda i, j: a[3 - i, 36 - j], name="B")
    s = te.create_schedule(b)
    s[b].parallel(b.op.axes[0])
    s[b].vectorize(s[b].split(b.op.axes[1], 16)[1])
    f = weft.build(s, [a, b])
    block = np.arange(400).astype(a.dtype.numpy)
    x = block[offset : offset + 148].reshape(4, 37)
    out = block[offset + 199 : offset + 347].reshape(4, 37)
    before = block.copy()
    monkeypatch.setattr("weft.runtime.devices.cpu.program.aligned_copy", refuse)
    monkeypatch.setattr("weft.runtime.devices.cpu.program.aligned_bytes", refuse)
    for _ in range(2):
        out[...] = 0
        f(x, out)
        before[offset + 199 : offset + 347] = x[::-1, ::-1].reshape(-1)
        np.testing.assert_array_equal(block, before)


def test_the_second_call_refuses_what_the_first_would():
    f, a, out = add_one(), np.zeros(16, np.float32), np.zeros(8, np.float32)
    f(a[:8], out)
    for args, words in (
        ((a[:8],), "1 arguments were given"),
        ((a[:7], out), r"A is float32\[7\]"),
        ((a[:8].astype(int), out), "A is int64"),
        ((a[:8], read_only()), "read-only"),
        ((a[:8], a[7:15]), "overlaps"),
        ((np.ma.masked_array(a[:8]), out), "masked"),
        (([0] * 8, out), "A is list"),
    ):
        with pytest.raises(InputError, match=words):
            f(*args)
    f(a[:8], a[8:])  # side by side
    f(read_only(), out)
    assert out.tolist() == [1] * 8 == a[8:].tolist()
    f.close()
    with pytest.raises(ClosedError):
        f(a[:8], out)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 33])
def test_symbolic_extents(n):
    f = symbolic()
    a = np.arange(n * (2 * n + 1), dtype=np.float32).reshape(n, 2 * n + 1)
    out = np.full(n, -1, np.float32)
    f(a, out, n)
    np.testing.assert_array_equal(out, [a[i, 2 * i] for i in range(n)])
    f(a, out, np.int64(n))


def test_layouts_take_physical_arrays():
    a = te.placeholder((2, 20), name="A")
    b = te.compute((20, 2), lambda i, j: a[j, i], name="B")
    layout = Layout.parse("AB16b", (2, 20))
    f = weft.build(te.create_schedule(b), [a, b], layouts={a: layout})
    x = np.arange(40, dtype=np.float32).reshape(2, 20)
    out = np.zeros((20, 2), np.float32)
    f(layout.pack(x), out)
    np.testing.assert_array_equal(out, x.T)
    with pytest.raises(InputError, match=r"A is float32\[2, 20\], not float32\[2, 2, 16\]"):
        f(x, out)


F32 = np.zeros(8, np.float32)


def read_only():
    a = np.zeros(8, np.float32)
    a.flags.writeable = False
    return a


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((F32,), r"1 arguments were given for 2 parameters(.|\n)*A: float32\[8\], B: float32\[8\]"),
        ((F32.astype(int), F32.copy()), r"A is int64\[8\], not float32\[8\]"),
        ((F32[:7], F32.copy()), r"A is float32\[7\], not float32\[8\]"),
        (([0] * 8, F32.copy()), r"A is list, not an array"),
        ((F32, read_only()), r"B is written and its array is read-only"),
        ((F32, F32), r"overlaps"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(InputError, match=words) as e:
        add_one()(*args)
    assert e.value.where == "main"


def test_inputs_may_be_read_only():
    out = F32.copy()
    add_one()(read_only(), out)
    assert out.tolist() == [1] * 8


@pytest.mark.parametrize(
    ("n", "words"), [("2", "n is str, not an integer"), (2**31, "does not fit into int32")]
)
def test_wrong_scalars(n, words):
    with pytest.raises(InputError, match=words):
        symbolic()(np.zeros((2, 5), np.float32), np.zeros(2, np.float32), n)


def test_names_that_are_no_symbols():
    with pytest.raises(ScheduleError, match="cannot be the name of a kernel"):
        add_one(name="a b")


def test_what_is_no_schedule_and_no_argument():
    a = te.placeholder((4,), name="A")
    b = te.compute((4,), lambda i: a[i] + 1, name="B")
    with pytest.raises(ScheduleError, match=r"NoneType is no schedule"):
        weft.build(None, [a, b])
    with pytest.raises(ScheduleError, match=r"the argument 'A' is str, neither a tensor nor a var"):
        weft.build(te.create_schedule(b), ["A", b])


def test_reads_that_are_certainly_outside_are_refused():
    a = te.placeholder((8, 4), name="A")
    k = te.reduce_axis(4, "k")
    for name, f in {
        "above": lambda i: a[i + 1, 0],
        "below": lambda i: a[i, 0] + a[i - 1, 0],
        "reduced": lambda i: te.sum(a[i, k + 2], k),
        "swapped": lambda i: te.if_then_else(a[0, i] > 0, 1.0, 0.0),
    }.items():
        b = te.compute((8,), f, name=name)
        with pytest.raises(LoweringError, match=rf"{name}: A\[.*\] reads outside of A: .*the axis"):
            weft.build(te.create_schedule(b), [a, b])


def test_guarded_reads_and_reads_of_nothing_are_not_judged():
    a = te.placeholder((8,), name="A")
    b = te.compute((9,), lambda i: te.if_then_else(i < 8, a[i], 5.0), name="B")
    got = np.zeros(9, np.float32)
    weft.build(te.create_schedule(b), [a, b])(np.ones(8, np.float32), got)
    assert got.tolist() == [1.0] * 8 + [5.0]
    c = te.compute((0,), lambda i: a[i + 99], name="C")
    weft.build(te.create_schedule(c), [a, c])(np.ones(8, np.float32), np.zeros(0, np.float32))
    d = te.compute((4,), lambda i: a[te.minimum(i * 9, 7)], name="D")
    weft.build(te.create_schedule(d), [a, d])


@pytest.mark.parametrize("outputs", [None, [], ["C"], 3])
def test_what_no_schedule_can_be_made_of(outputs):
    with pytest.raises(ScheduleError, match="create_schedule takes"):
        te.create_schedule(outputs)


@pytest.mark.parametrize("target", ["opencl", "webgpu", "opengl"])
def test_a_kernel_on_a_device(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    a = te.placeholder((33, 40), name="A")
    k = te.reduce_axis(40, "k")
    b = te.compute((33,), lambda i: te.sum(a[i, k], k), name="B")
    c = te.compute((33,), lambda i: b[i] * 2, name="C")
    f = weft.build(te.create_schedule(c), [a, c], target, "twice")
    # A fragment adds its sum up in registers; workgroups are launched once for each stage.
    assert f.name == "twice" and len(f.functions) == (1 if target == "opengl" else 2)
    assert f.function is f.functions[0] and f.assembly == f.source == f.object.decode()
    assert target == "opengl" or all(g.name in f.source for g in f.functions)
    x = np.arange(33 * 80, dtype=np.float32).reshape(33, 80)[:, ::2]
    out = np.zeros((2, 33), np.float32)
    for _ in range(2):
        f(x, out[1])
    np.testing.assert_array_equal(out[1], 2 * x.sum(1))
    assert not out[0].any()
    with pytest.raises(InputError, match=r"A is float64\[33, 40\], not float32\[33, 40\]"):
        f(x.astype(np.float64), out[1])
    with pytest.raises(InputError, match="overlaps"):
        f(x, x[:, 0])


def product(rows=5, inner=9, columns=7):
    a = te.placeholder((rows, inner), name="A")
    b = te.placeholder((inner, columns), name="B")
    k = te.reduce_axis(inner, "k")
    c = te.compute((rows, columns), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
    return a, b, c


def test_a_fragment_kernel_of_several_draws():
    found = probe("opengl")
    if not found.ok:
        pytest.skip(found.reason)
    a, b, c = product()
    k = te.reduce_axis(7, "k")
    d = te.compute((5,), lambda i: te.max(c[i, k], k), name="D")
    e = te.compute((5, 7), lambda i, j: c[i, j] - d[i], name="E")
    f = weft.build(te.create_schedule([e, d]), [a, b, e, d], "opengl")
    assert len(f.functions) == 3  # C is read twice, and is nobody's argument
    x, y = (np.random.default_rng(0).random(s, np.float32) for s in ((5, 9), (9, 7)))
    top, rest = np.zeros(5, np.float32), np.zeros((5, 7), np.float32)
    f(x, y, rest, top)
    np.testing.assert_allclose(top, (x @ y).max(1), rtol=1e-6)
    np.testing.assert_allclose(rest, x @ y - (x @ y).max(1)[:, None], atol=1e-6)


@pytest.mark.parametrize("target", ["opengl", "webgl"])
def test_draws_cannot_follow_a_schedule_of_ones_own(target):
    a, b, c = product()
    s = te.create_schedule(c)
    s[c].reorder(*reversed(s[c].axes))
    words = rf"{target} .*which weft schedules by itself: .*and not: .*reorder"
    with pytest.raises(ScheduleError, match=words) as e:
        weft.build(s, [a, b, c], target)
    assert "leave those steps out" in (e.value.hint or "")


@pytest.mark.parametrize(
    ("inlined", "stored", "count"),
    [("", "", 3), ("C", "", 2), ("", "E", 3), ("", "DE", 4), ("C", "DE", 3), ("CE", "", 2)],
)
def test_draws_follow_what_a_schedule_inlines_and_stores(inlined, stored, count):
    """Left alone, C has a draw of its own, since it is dear and read often; E is inlined.
    A product takes what follows it into its own."""
    a, b, _ = product(6, 50, 40)
    k, m = te.reduce_axis(50, "k"), te.reduce_axis(40, "m")
    c = te.compute((6, 50), lambda i, j: te.exp(te.tanh(a[i, j])), name="C")
    d = te.compute((6, 40), lambda i, j: te.sum(c[i, k] * b[k, j], k), name="D")
    e = te.compute((6, 40), lambda i, j: d[i, j] * 2 + a[i, j], name="E")
    f = te.compute((6,), lambda i: te.sum(e[i, m], m), name="F")
    s, named = te.create_schedule(f), {"C": c, "D": d, "E": e}
    for name in inlined:
        s[named[name]].compute_inline()
    for name in stored:
        s[named[name]].compute_root()
    kernel = weft.build(s, [a, b, f], "opengl")
    assert len(kernel.functions) == count
    if not probe("opengl").ok:
        pytest.skip("the rest needs OpenGL")
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 50), np.float32), rng.random((50, 40), np.float32)
    out = np.zeros(6, np.float32)
    kernel(x, y, out)
    want = (np.exp(np.tanh(x)) @ y * 2 + x[:, :40]).sum(1)
    np.testing.assert_allclose(out, want, rtol=1e-5)


def test_arguments_of_draws_are_the_inputs_and_results():
    a, b, c = product()
    d = te.compute((5, 7), lambda i, j: c[i, j] + 1, name="D")
    for args, words in (
        ([a, d], "B is an input of the schedule and is missing"),
        ([a, b], "D is a result of the schedule and is missing"),
        ([a, b, c, d], "C is computed, and is no result of the schedule"),
    ):
        for target in ("llvm", "opengl"):
            with pytest.raises(ScheduleError, match=words):
                weft.build(te.create_schedule(d), args, target)


@pytest.mark.parametrize(("target", "text"), [("webgl", "void main()"), ("wasm", "target triple")])
def test_building_for_pages_links_nothing(target, text, monkeypatch):
    monkeypatch.setenv("WEFT_EMCC", "emcc-that-is-not-there")
    a, b, c = product()
    f = weft.build(te.create_schedule(c), [a, b, c], target)
    assert text in f.source and f.assembly
    assert f.object.startswith(b"\0asm" if target == "wasm" else b"#version 300 es")
    x, y, out = (np.zeros(s, np.float32) for s in ((5, 9), (9, 7), (5, 7)))
    with pytest.raises(InputError, match=r"A is float32\[9, 7\], not float32\[5, 9\]"):
        f(y, y, out)
    if target == "wasm":
        with pytest.raises(CodegenError, match=r"emcc-that-is-not-there(.|\n)*apt-get install"):
            f(x, y, out)


def test_code_for_another_processor_is_not_called():
    a, b, c = product()
    f = weft.build(te.create_schedule(c), [a, b, c], FOREIGN)
    assert "mul" in f.assembly or "fmadd" in f.assembly
    x, y, out = (np.zeros(s, np.float32) for s in ((5, 9), (9, 7), (5, 7)))
    with pytest.raises(DeviceError, match="another processor"):
        f(x, y, out)


@pytest.mark.parametrize("runs", [True, False])
def test_a_registered_target(runs):
    """A target of text, with a row of the table of devices and without one."""
    if runs and shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    kind = "toybuilt" if runs else "toyshown"
    if kind not in kinds():
        goal = replace(toy_target.TARGET, kind=kind)
        program = toy_target.ToyProgram if runs else None
        weft.register_target(goal, toy_target.GENERATOR, program)
    a, b, c = product()
    f = weft.build(te.create_schedule(c), [a, b, c], kind, "product")
    assert f.source == f.assembly == f.object.decode() and "void product(" in f.source
    x, y = (np.random.default_rng(0).random(s, np.float32) for s in ((5, 9), (9, 7)))
    out = np.zeros((5, 7), np.float32)
    if not runs:
        with pytest.raises(DeviceError, match=f"{kind} have no runner"):
            f(x, y, out)
        return
    f(x, y, out)
    np.testing.assert_allclose(out, x @ y, rtol=1e-6)


def test_it_is_the_program_of_one_group():
    a, b, c = product()
    exe = weft.build(te.create_schedule(c), [a, b, c], name="product").executable
    x, y = (np.random.default_rng(0).random(s, np.float32) for s in ((5, 9), (9, 7)))
    np.testing.assert_allclose(exe(x, y), x @ y, rtol=1e-6)
    (row,) = exe.profile().rows
    assert (row.kernel, exe.name) == ("product", "product")
    assert exe.program.meta["kernels"]["product"]["flops"] == 2 * 5 * 9 * 7
