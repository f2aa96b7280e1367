"""Kernels for programs that know nothing of Python: called from C, from WebAssembly, by OpenCL."""

import _ctypes
import ctypes
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import weft
from weft import te
from weft.runtime.errors import ExportError, InputError

ROWS, COLUMNS = 13, 7


def kernels(target="llvm"):
    """Two functions: a parallel sum of two arrays, and the sums of rows."""
    a, b = (te.placeholder((ROWS, COLUMNS), name=n) for n in ("A", "for"))
    k = te.reduce_axis(COLUMNS, "k")
    c = te.compute((ROWS, COLUMNS), lambda i, j: a[i, j] + 2 * b[i, j], name="C")
    r = te.compute((ROWS,), lambda i: te.sum(a[i, k], axis=k), name="C.sum")
    s = te.create_schedule(c)
    s[c].parallel(c.op.axes[0])
    return [
        weft.build(s, [a, b, c], target, name="blend"),
        weft.build(te.create_schedule(r), [a, r], target, name="rows"),
    ]


def data():
    a = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    return a, a[::-1] / 4


C = """
#include <stdio.h>
#include "k.h"
static float a[13 * 7], b[13 * 7], c[13 * 7], r[13];
int main(void) {
  for (int i = 0; i < 91; i++) { a[i] = i; b[i] = a[(12 - i / 7) * 7 + i % 7] * 0; }
  for (int i = 0; i < 91; i++) b[i] = ((12 - i / 7) * 7 + i % 7) * 0.25f;
  if (blend(a, 0, c) != 1 || c[5] != 0) return 1;
  if (k_set_num_threads(3) < 1) return 2;
  if (blend(a, b, c) || rows(a, r)) return 3;
  if (k_set_num_threads(1) != 1) return 4;
  for (int i = 0; i < 91; i++) printf("%.9g ", c[i]);
  for (int i = 0; i < 13; i++) printf("%.9g ", r[i]);
  return 0;
}
"""


@pytest.mark.parametrize(
    ("target", "suffix", "compiler", "runner"),
    [
        ("llvm", ".o", "cc", []),
        ("llvm", ".so", "cc", []),
        (
            "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72",
            ".o",
            "aarch64-linux-gnu-gcc",
            ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
        ),
        (
            "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72",
            ".so",
            "aarch64-linux-gnu-gcc",
            ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", "LD_LIBRARY_PATH=."],
        ),
    ],
)
def test_a_program_in_c(tmp_path, target, suffix, compiler, runner):
    for tool in (compiler, *runner[:1]):
        assert shutil.which(tool), f"tools/setup.sh installs {tool}"
    written = weft.export(kernels(target), tmp_path / f"k{suffix}")
    assert [p.name for p in written] == [f"k{suffix}", "k.h"]
    (tmp_path / "main.c").write_text(C)
    flags = ["-std=c11", "-Wall", "-Werror", "main.c", f"./k{suffix}", "-lpthread", "-lm"]
    subprocess.run([compiler, *flags, "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [*runner, "./main"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done
    a, b = data()
    got = np.array(done.stdout.split(), np.float32)
    np.testing.assert_array_equal(got[: a.size].reshape(a.shape), a + 2 * b)
    np.testing.assert_allclose(got[a.size :], a.sum(1))


def test_a_library_in_python(tmp_path):
    weft.export(kernels(), tmp_path / "k.so")
    library = weft.load_library(tmp_path / "k.so")
    assert list(library.functions) == ["blend", "rows"] and "blend" in dir(library)
    a, b = data()
    c, r = np.empty_like(a), np.empty(ROWS, np.float32)
    for threads in (1, 2):
        assert library.set_num_threads(threads) == threads
        c[...] = np.nan
        library.blend(a, b, c)
        np.testing.assert_array_equal(c, a + 2 * b)
    library.set_num_threads(1)
    library.rows(a, r)
    np.testing.assert_allclose(r, a.sum(1))
    for wrong, why in (
        ((a, b), "2 arguments for 3"),
        ((a, b, a), "overlaps"),
        ((a, b.astype(np.float64), c), "for_ is float64"),
        ((a, [1.0], c), "list, not an array"),
        ((a, b[:, ::-1], c), "gaps"),
    ):
        with pytest.raises(InputError, match=why):
            library.blend(*wrong)


def test_sizes_and_numbers_are_arguments(tmp_path):
    n, c = te.var("n"), te.var("c", "float32")
    a = te.placeholder((n + 1,), name="A")
    b = te.compute((n,), lambda i: (a[i] + a[i + 1]) * c, name="B")
    weft.build(te.create_schedule(b), [c, a, b], name="pairs").export(tmp_path / "k.so")
    declared = "int32_t pairs(float c, const float *A, float *B, int32_t n);"
    assert declared in (tmp_path / "k.h").read_text()
    library = weft.load_library(tmp_path / "k.so")
    for size in (0, 1, 7):
        x, y = np.arange(size + 1, dtype=np.float32), np.empty(size, np.float32)
        for more in ((), (size,)):  # a size may be left to the arrays
            y[...] = np.nan
            library.pairs(0.5, x, y, *more)
            np.testing.assert_array_equal(y, (x[1:] + x[:-1]) * np.float32(0.5))
    with pytest.raises(InputError, match=r"axis 0 of A has 9 elements, not 8 \(n \+ 1"):
        library.pairs(0.5, np.zeros(9, np.float32), np.zeros(7, np.float32))
    with pytest.raises(InputError, match="axis 0 of A has 8 elements, not 71"):
        library.pairs(0.5, np.zeros(8, np.float32), np.zeros(7, np.float32), 70)


def test_numbers_of_all_types_are_arguments(tmp_path):
    """A float of 16 bits is its bits, a bool a byte."""
    half, flag, n = te.var("half", "float16"), te.var("flag", "bool"), te.var("n", "int8")
    out = te.compute(
        (3,), lambda i: te.if_then_else(flag, half.astype("float32") + n.astype("float32"), 0.0)
    )
    kernel = weft.build(te.create_schedule(out), [half, flag, n, out], name="numbers")
    kernel.export(tmp_path / "k.so")
    declared = "int32_t numbers(uint16_t half, uint8_t flag, int8_t n, float *compute);"
    assert declared in (tmp_path / "k.h").read_text()
    library = ctypes.CDLL(str(tmp_path / "k.so"))
    bits = ctypes.c_uint16(int(np.float16(-1.5).view(np.uint16)))
    got = np.full(3, np.nan, np.float32)
    place = ctypes.c_void_p(got.ctypes.data)
    assert library.numbers(bits, ctypes.c_uint8(1), ctypes.c_int8(-4), place) == 0
    np.testing.assert_array_equal(got, [-5.5] * 3)
    loaded = weft.load_library(tmp_path / "k.so")
    loaded.numbers(np.float16(0.25), True, 3, got)
    np.testing.assert_array_equal(got, [3.25] * 3)


def test_the_symbols_of_a_library_are_its_own(tmp_path):
    """Two libraries in one process do not take each other's thread pools or helpers."""
    weft.export(kernels(), tmp_path / "k.so")
    done = subprocess.run(
        ["nm", "-D", "--defined-only", "k.so"], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    names = {line.split()[-1] for line in done.stdout.splitlines()}
    assert names - {"_init", "_fini"} == {"blend", "rows", "k_set_num_threads", "weft_library"}


def test_only_the_runtime_is_needed_to_call_it(tmp_path):
    weft.export(kernels(), tmp_path / "k.so")
    code = (
        "import sys, weft; library = weft.load_library(sys.argv[1]);"
        "heavy = ('weft.compiler', 'weft.ir', 'llvmlite');"
        "assert not any(m.startswith(heavy) for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "k.so")], check=True)


NODE = """
const fs = require("node:fs");
const bytes = fs.readFileSync(process.argv[2]);
const none = new Proxy({}, { get: () => () => 0 });
WebAssembly.instantiate(bytes, { wasi_snapshot_preview1: none, env: none }).then(({ instance }) => {
  const { memory, malloc, blend, rows, _initialize } = instance.exports;
  if (_initialize) _initialize();
  const at = (n) => malloc(n * 4);
  const [a, b, c, r] = [at(91), at(91), at(91), at(13)];
  const view = (p, n) => new Float32Array(memory.buffer, p, n);
  for (let i = 0; i < 91; i++) {
    view(a, 91)[i] = i;
    view(b, 91)[i] = ((12 - Math.floor(i / 7)) * 7 + (i % 7)) / 4;
  }
  if (blend(a, 0, c) !== 1 || blend(a, b, c) !== 0 || rows(a, r) !== 0) process.exit(3);
  console.log(JSON.stringify([...view(c, 91), ...view(r, 13)]));
});
"""


def test_a_webassembly_module(tmp_path):
    written = weft.export(kernels("wasm"), tmp_path / "k.wasm")
    assert [p.name for p in written] == ["k.wasm", "k.h"]
    (tmp_path / "run.cjs").write_text(NODE)
    done = subprocess.run(
        ["node", "run.cjs", "k.wasm"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    a, b = data()
    got = np.array(json.loads(done.stdout), np.float32)
    np.testing.assert_array_equal(got[: a.size].reshape(a.shape), a + 2 * b)
    np.testing.assert_allclose(got[a.size :], a.sum(1))


def test_opencl_text_and_how_to_launch_it(tmp_path):
    """By pyopencl alone, from what the two files say."""
    cl = pytest.importorskip("pyopencl")
    a = te.placeholder((ROWS, COLUMNS), name="A")
    c = te.compute((ROWS, COLUMNS), lambda i, j: te.exp(a[i, j] * 0.01), name="C")
    kernel = weft.build(te.auto_schedule(c, "opencl"), [a, c], "opencl", name="shrink")
    text, launches = kernel.export(tmp_path / "k.cl")
    said = json.loads(launches.read_text())["kernels"][0]
    assert said["parameters"] == {"p0": "A", "p1": "C"} and said["outputs"] == ["p1"]
    context = cl.Context([cl.get_platforms()[0].get_devices()[0]])
    queue = cl.CommandQueue(context)
    program = cl.Program(context, text.read_text()).build()
    x, y = data()[0], np.full((ROWS, COLUMNS), np.nan, np.float32)
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    arrays = {
        "p0": cl.Buffer(context, flags, hostbuf=x),
        "p1": cl.Buffer(context, flags, hostbuf=y),
    }
    for step in said["launches"]:
        threads = [step["launch"].get(f"threadIdx.{d}", 1) for d in "xyz"]
        blocks = [step["launch"].get(f"blockIdx.{d}", 1) for d in "xyz"]
        size = [t * b for t, b in zip(threads, blocks)]
        run = getattr(program, step["kernel"])
        run(queue, size, threads, *(arrays[n] for n in step["arguments"]))
    cl.enqueue_copy(queue, y, arrays["p1"])
    np.testing.assert_allclose(y, np.exp(x * np.float32(0.01)), rtol=1e-5)


@pytest.mark.parametrize(("target", "suffix"), [("webgpu", ".wgsl"), ("opengl", ".glsl")])
def test_the_text_of_shaders(tmp_path, target, suffix):
    a = te.placeholder((ROWS,), name="A")
    c = te.compute((ROWS,), lambda i: a[i] + 1, name="C")
    kernel = weft.build(te.auto_schedule(c, target), [a, c], target, name="more")
    text, launches = kernel.export(tmp_path / f"k{suffix}")
    assert kernel.source.strip() in text.read_text()
    said = json.loads(launches.read_text())
    assert said["kernels"][0]["launches"][0]["launch"]


def test_what_cannot_be_exported_says_why(tmp_path):
    blend, rows = kernels()
    for wrong, path, why in (
        ([], "k.so", "no kernel"),
        ([blend, blend], "k.so", "two kernels are called 'blend'"),
        (blend, "k.cl", r"llvm cannot become '\.cl'[\s\S]*\.o, \.so"),
        (blend, "k", "without a suffix"),
        ([blend, *kernels("wasm")[1:]], "k.so", "one target"),
    ):
        with pytest.raises(ExportError, match=why):
            weft.export(wrong, tmp_path / path)
    with pytest.raises(ExportError, match="no linker 'no-such-linker'"):
        rows.export(tmp_path / "k.so", linker="no-such-linker")
    assert not list(tmp_path.iterdir())


def test_what_is_no_library_of_ours_says_so(tmp_path):
    (tmp_path / "text.so").write_text("not an object")
    with pytest.raises(ExportError, match="cannot be loaded"):
        weft.load_library(tmp_path / "text.so")
    with pytest.raises(ExportError, match=r"not written by weft\.export"):
        weft.load_library(_ctypes.__file__)


def test_arrays_of_other_packages_are_used_in_place():
    """What gives DLPack or ``__array_interface__`` alone is read and written without a copy."""

    class Packed:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **how):
            return self.array.__dlpack__(**how)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    class Described:
        def __init__(self, array):
            self.array = array
            self.__array_interface__ = array.__array_interface__

    blend, _ = kernels()
    a, b = data()
    for wrap in (Packed, Described):
        c = np.empty_like(a)
        blend(wrap(a), wrap(b), wrap(c))
        np.testing.assert_array_equal(c, a + 2 * b)
    with pytest.raises(InputError, match="is object, not an array"):
        blend(a, b, object())
