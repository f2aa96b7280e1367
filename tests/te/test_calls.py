"""``te.call_c`` and ``te.call_python``: functions outside of weft, called by statements."""

import shutil
import subprocess

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.layout import Layout
from weft.ir.meaning.evaluate import evaluate
from weft.runtime.errors import (
    CodegenError,
    ExportError,
    ExprError,
    InputError,
    LoweringError,
    PackageError,
)

N, M = 6, 5
C = """
#include <math.h>
#include <stdint.h>
int32_t weft_test_row(const float *a, float *b, int32_t i, int64_t m, float c, double d) {
  for (int64_t j = 0; j < m; j++) b[i * m + j] = (float)hypot(a[i * m + j], c) + (float)d;
  return i;
}
"""
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    place = tmp_path_factory.mktemp("c")
    (place / "row.c").write_text(C)
    command = ["cc", "-shared", "-fPIC", "-o", "librow.so", "row.c", "-lm"]
    subprocess.run(command, cwd=place, check=True, timeout=60)
    return place / "librow.so"


def rows(library, kind="serial", symbol="weft_test_row"):
    """Each row by the C function, from a stage before and for a stage after."""
    a = te.placeholder((N, M), name="A")
    p = te.compute((N, M), lambda i, j: a[i, j] * 2.0, name="P")

    def body(ins, outs):
        ib = te.ir_builder()
        with ib.for_range(0, N, "i", kind=kind) as i:
            m, half = te.const(M, "int64"), te.exp(te.const(0.0, "float64")) / 2
            ib.emit(te.call_c(symbol, ins[0], outs[0], i, m, 3.0, half, library=library))
        return ib.get()

    e = te.extern((N, M), [p], body, name="E")
    c = te.compute((N, M), lambda i, j: e[i, j] + 1.0, name="C")
    return a, e, c


def given():
    return np.arange(N * M, dtype=np.float32).reshape(N, M)


EXPECTED = (np.hypot(given() * 2, np.float32(3)) + 0.5 + 1.0).astype(np.float32)


@needs_cc
@pytest.mark.parametrize("kind", ["serial", "parallel", "unroll"])
def test_a_c_function_gets_pointers_and_values(library, kind):
    a, _, c = rows(library, kind)
    x, out = given(), np.empty((N, M), np.float32)
    weft.build(te.create_schedule(c), [a, c])(x, out)
    np.testing.assert_allclose(out, EXPECTED, rtol=1e-6)
    np.testing.assert_allclose(evaluate([c], {a: x})[0], EXPECTED, rtol=1e-6)


def test_a_function_of_this_process_and_storage_of_the_kernel():
    a = te.placeholder((N,), name="A")

    def body(ins, outs):
        ib = te.ir_builder()
        held = ib.allocate("float32", (N,), "held")
        ib.emit(te.call_c("memcpy", held, ins[0], te.const(4 * N, "int64")))
        out = ib.buffer_ptr(outs[0])
        with ib.for_range(0, N, "i", kind="vectorize") as i:
            out[i] = held[N - 1 - i]
        return ib.get()

    b = te.extern((N,), [a], body, name="B")
    x, out = np.arange(N, dtype=np.float32), np.empty(N, np.float32)
    weft.build(te.create_schedule(b), [a, b])(x, out)
    np.testing.assert_array_equal(out, x[::-1])


def test_virtual_threads_call_one_after_another():
    a, calls = te.placeholder((N,), "int32", name="A"), []

    def body(ins, outs):
        ib = te.ir_builder()
        out = ib.buffer_ptr(outs[0])
        i = ib.thread("vthread", N)
        held = ib.allocate("int32", (1,), "held")
        ib.emit(te.call_c("memset", held, i, te.const(4, "int64")))
        ib.emit(te.call_python(lambda a: calls.append(a.sum()), [ins[0]], []))
        out[i] = held[0] + ins[0][i]
        return ib.get()

    b = te.extern((N,), [a], body, name="B")
    x, out = np.arange(N, dtype=np.int32), np.empty(N, np.int32)
    weft.build(te.create_schedule(b), [a, b])(x, out)
    np.testing.assert_array_equal(out, x * 0x01010101 + x)
    assert len(calls) == N


def python(fn, kind="serial", n=N):
    """``fn(a, held, b)`` in each iteration; every extent may be one of the call."""
    a = te.placeholder((n, M), name="A")

    def body(ins, outs):
        ib = te.ir_builder()
        at = ib.allocate("int32", (1,), "at")
        with ib.for_range(0, n, "i", kind=kind) as i:
            mine = at
            if kind == "parallel":
                mine = ib.allocate("int32", (1,), "mine")
            mine[0] = i
            ib.emit(te.call_python(fn, [ins[0], mine], [outs[0]]))
        return ib.get()

    b = te.extern((n, M), [a], body, name="B")
    return a, b, te.compute((n, M), lambda i, j: b[i, j] * 2.0, name="C")


def fill(a, at, b):
    assert not a.flags.writeable
    assert a.shape == b.shape
    b[at[0]] = a[at[0]][::-1] + 1


@pytest.mark.parametrize("kind", ["serial", "parallel"])
@pytest.mark.parametrize("n", [N, te.size_var("n")], ids=["fixed", "of_the_call"])
def test_a_python_function_gets_arrays(kind, n):
    a, _, c = python(fill, kind, n)
    x, out = given(), np.empty((N, M), np.float32)
    kernel = weft.build(te.create_schedule(c), [a, c])
    for _ in range(2):
        kernel(x, out)
        np.testing.assert_array_equal(out, (x[:, ::-1] + 1) * 2)
    if isinstance(n, int):
        np.testing.assert_array_equal(evaluate([c], {a: x})[0], out)
    else:
        short = np.empty((2, M), np.float32)
        kernel(x[:2], short)
        np.testing.assert_array_equal(short, out[:2])


class MineError(Exception):
    pass


@pytest.mark.parametrize("kind", ["serial", "parallel"])
def test_what_it_raises_comes_out_of_the_call(kind):
    fail = [True]

    def function(a, at, b):
        if fail[0] and at[0] >= 2:
            raise MineError(at[0])
        fill(a, at, b)

    a, _, c = python(function, kind)
    x, out = given(), np.empty((N, M), np.float32)
    kernel = weft.build(te.create_schedule(c), [a, c])
    for call in (kernel, kernel.time):
        with pytest.raises(MineError):
            call(x, out)
    with pytest.raises(MineError):
        kernel.executable(x)
    with pytest.raises(MineError):
        kernel.executable.run(x)
    fail[0] = False
    kernel(x, out)  # nothing of it is left
    np.testing.assert_array_equal(out, (x[:, ::-1] + 1) * 2)


@pytest.mark.parametrize("kind", ["serial", "parallel"])
def test_it_may_call_other_kernels_and_not_its_own(kind):
    a = te.placeholder((N, M), name="A")
    b = te.compute((N, M), lambda i, j: a[i, j] + 1.0, name="B")
    s = te.create_schedule(b)
    s[b].parallel(b.op.axes[0])
    other = weft.build(s, [a, b])
    own = []

    def function(a, at, b):
        made = np.empty_like(a)
        (own or [other])[0](a, made)
        b[at[0]] = made[at[0]]

    a, b, _ = python(function, kind)
    kernel = weft.build(te.create_schedule(b), [a, b])
    x, out = given(), np.empty((N, M), np.float32)
    kernel(x, out)
    np.testing.assert_array_equal(out, x + 1)
    own.append(kernel)
    with pytest.raises(InputError, match="calls the kernel that has called it"):
        kernel(x, out)


def emitted(make):
    """An extern operation of what ``make(ins, outs)`` returns."""
    a = te.placeholder((N,), name="A")

    def body(ins, outs):
        ib = te.ir_builder()
        with ib.for_range(0, 4, "i", kind="vectorize" if make is lanes else "serial"):
            ib.emit(make(ins, outs))
        return ib.get()

    return a, te.extern((N,), [a], body, name="B")


def lanes(ins, outs):
    return te.call_c("memcpy", outs[0], ins[0], te.const(4, "int64"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda i, o: te.call_c("f", o[0], i[0][0].astype("int8")), "a int8 cannot be given"),
        (lambda i, o: te.call_c("not a name", o[0]), "is no name of a C function"),
        (lambda i, o: te.call_python(fill, [], [i[0]]), "the input A is written"),
        (lambda i, o: te.call_python(fill, [i[0][0]], o), "is none of ins, outs and allocations"),
        (lambda i, o: te.call_python(3, i, o), "3 cannot be called"),
        (lanes, "memcpy is called in the vectorized loop i"),
    ],
)
def test_what_cannot_be_called(make, words):
    with pytest.raises(ExprError, match=words):
        emitted(make)


@pytest.mark.parametrize("target", ["wasm", "opencl", "webgpu", "opengl", "webgl"])
def test_other_targets_name_the_function(target):
    for make, name in (
        (lanes_once, "memcpy"),
        (lambda i, o: te.call_python(fill, i, o), "fill"),
    ):
        a, b = emitted(make)
        with pytest.raises(CodegenError, match=f"B calls the function {name}, and kernels for"):
            weft.build(te.create_schedule(b), [a, b], target)


def lanes_once(ins, outs):
    return lanes(ins, outs)


def test_a_function_that_is_missing_is_told_at_the_call(tmp_path):
    x, out = given(), np.empty((N, M), np.float32)
    for library, words in ((None, "what this process has loaded"), (tmp_path / "no.so", "no.so")):
        a, _, c = rows(library, symbol="weft_no_such_function")
        kernel = weft.build(te.create_schedule(c), [a, c])
        with pytest.raises(
            CodegenError, match=f"no C function 'weft_no_such_function' in.*{words}"
        ):
            kernel(x, out)


def test_one_symbol_has_one_type():
    def twice(ins, outs):
        ib = te.ir_builder()
        ib.emit(te.call_c("weft_no_such_function", outs[0]))
        ib.emit(te.call_c("weft_no_such_function", outs[0], 1))
        return ib.get()

    a, b = emitted(twice)
    with pytest.raises(CodegenError, match="has one type"):
        weft.build(te.create_schedule(b), [a, b])


def test_an_address_is_that_of_rows():
    a, b = emitted(lanes_once)
    with pytest.raises(LoweringError, match="A does not lie row-major in memory, and memcpy"):
        weft.build(te.create_schedule(b), [a, b], layouts={a: Layout.parse("A4a", (N,))})


def test_they_are_of_this_process(tmp_path):
    a, b, _ = python(fill)
    kernel = weft.build(te.create_schedule(b), [a, b])
    with pytest.raises(PackageError, match="functions of this process"):
        kernel.executable.save(tmp_path / "k.weft")
    with pytest.raises(ExportError, match="calls the Python function fill"):
        kernel.export(tmp_path / "k.o")


MAIN = """
#include <stdio.h>
#include "k.h"
static float a[30], c[30];
int main(void) {
  for (int i = 0; i < 30; i++) a[i] = i;
  if (k_set_num_threads(2) < 1 || rows(a, c)) return 1;
  for (int i = 0; i < 30; i++) printf("%.9g ", c[i]);
  return 0;
}
"""


@needs_cc
def test_an_exported_kernel_leaves_the_symbol_to_the_linker(tmp_path):
    a, _, c = rows(None, "parallel")  # unknown here
    weft.build(te.create_schedule(c), [a, c], name="rows").export(tmp_path / "k.o")
    (tmp_path / "main.c").write_text(MAIN + C)
    command = ["cc", "-o", "main", "main.c", "k.o", "-lpthread", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    said = subprocess.check_output(["./main"], cwd=tmp_path, text=True, timeout=60)
    found = np.array(said.split(), np.float32).reshape(N, M)
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-6)
