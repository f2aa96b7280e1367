"""The rules' kernels on other vector units: AVX2 in this process, NEON under qemu-user, each of the
pinned processors in the interpreter."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm_binding
import numpy as np
import pytest
from support.pinned import ON_X86, pinned
from weft import te
from weft.codegen.llvm import generator as llvm
from weft.compiler.kernels.build import build
from weft.compiler.schedules import schedule
from weft.ir.layout import Layout
from weft.ir.lower import lower
from weft.ir.meaning.interp import run
from weft.ir.target import Target
from weft.ir.tensor import Tensor
from weft.runtime.dtype import FLOAT32

# Reads all arrays from one file, each at a multiple of 64 bytes, calls the kernel and writes them.
MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
extern void kernel(int64_t* args);
void weft_parallel_for(void (*body)(void*, int64_t, int64_t), void* closure,
                       int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 3) body(closure, i, i + 3 < end ? i + 3 : end);
}
int main(int argc, char** argv) {
  int64_t args[16], place = 0;
  char* memory = aligned_alloc(64, 16 << 20);
  FILE* f = fopen(argv[1], "rb");
  size_t size = fread(memory, 1, 16 << 20, f);
  fclose(f);
  for (int k = 3; k < argc; k++) {
    args[k - 3] = (int64_t)(memory + place);
    place += (atoll(argv[k]) + 63) / 64 * 64;
  }
  kernel(args);
  f = fopen(argv[2], "wb");
  fwrite(memory, 1, size, f);
  fclose(f);
  return 0;
}
"""
Made = tuple[list[Tensor], dict[Tensor, Layout], Callable[..., np.ndarray]]


def product(m: int, n: int, depth: int, packed: bool) -> Callable[[int], Made]:
    def make(lanes: int) -> Made:
        a, b = te.placeholder((m, depth), name="A"), te.placeholder((depth, n), name="B")
        k = te.reduce_axis(depth, "k")
        c = te.compute((m, n), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
        d = te.compute((m, n), lambda i, j: te.maximum(c[i, j] + 1.0, 0.0), name="D")
        layouts = {b: Layout.blocked((depth, n), 1, lanes)} if packed else {}
        return [a, b, d], layouts, lambda x, y: np.maximum(x @ y + 1, 0)

    return make


def window(ci: int, co: int, h: int, w: int, stride: int, groups: int) -> Callable[[int], Made]:
    """A 3×3 convolution with one line of padding, blocked channels and a ReLU."""
    each = ci // groups

    def make(lanes: int) -> Made:
        x, f = te.placeholder((1, ci, h, w), name="X"), te.placeholder((co, each, 3, 3), name="F")
        p = te.compute(
            (1, ci, h + 2, w + 2),
            lambda n, c, i, j: te.if_then_else(
                (i >= 1) & (i < h + 1) & (j >= 1) & (j < w + 1), x[n, c, i - 1, j - 1], 0.0
            ),
            name="P",
        )
        ry, rx, rc = (te.reduce_axis(n, name) for n, name in ((3, "ry"), (3, "rx"), (each, "rc")))
        oh, ow = (h - 1) // stride + 1, (w - 1) // stride + 1

        def sums(n, o, i, j):
            row, column = i * stride + ry, j * stride + rx
            if groups == ci:
                return te.sum(p[n, o, row, column] * f[o, 0, ry, rx], [ry, rx])
            return te.sum(p[n, rc, row, column] * f[o, rc, ry, rx], [rc, ry, rx])

        y = te.compute((1, co, oh, ow), sums, name="Y")
        z = te.compute((1, co, oh, ow), lambda *i: te.maximum(y[i], 0.0), name="Z")
        shapes = {x: (1, ci, h, w), z: (1, co, oh, ow)}
        layouts = {t: Layout.blocked(s, 1, lanes) for t, s in shapes.items()}
        layouts[f] = Layout.blocked((co, each, 3, 3), 0, lanes)

        def expected(data: np.ndarray, weights: np.ndarray) -> np.ndarray:
            wide = np.pad(data, ((0, 0), (0, 0), (1, 1), (1, 1)))
            at = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(2, 3))
            at = at[:, :, ::stride, ::stride]
            same = "ncijyx,cyx->ncij"
            r = (
                np.einsum(same, at, weights[:, 0])
                if groups == ci
                else np.einsum("ncijyx,ocyx->noij", at, weights)
            )
            return np.maximum(r, 0)

        return [x, f, z], layouts, expected

    return make


CASES = {
    "product": product(21, 50, 70, packed=False),
    "packed columns": product(21, 50, 300, packed=True),
    "deep product": product(41, 90, 600, packed=False),
    "product with a vector": product(1, 300, 150, packed=True),
    "convolution": window(24, 40, 9, 11, 1, 1),
    "convolution of stride 2": window(16, 24, 13, 10, 2, 1),
    "depthwise": window(24, 24, 9, 11, 1, 24),
    "depthwise of stride 2": window(40, 40, 15, 14, 2, 40),
}


def arrays_of(made: Made) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Small whole numbers, so that sums are exact, and the same as they lie in storage; the last
    is the result, not computed yet."""
    args, layouts, expected = made
    rng = np.random.default_rng(0)
    shapes = [tuple(int(e.value) for e in t.shape) for t in args]  # type: ignore[attr-defined]
    plain = [rng.integers(-3, 4, s).astype(np.float32) for s in shapes[:-1]]
    plain.append(expected(*plain).astype(np.float32))
    stored = [layouts[t].pack(a) if t in layouts else a for t, a in zip(args, plain)]
    stored[-1] = np.full_like(stored[-1], np.nan)
    return plain, [np.ascontiguousarray(a) for a in stored]


def logical(made: Made, result: np.ndarray) -> np.ndarray:
    layout = made[1].get(made[0][-1])
    return result if layout is None else layout.unpack(result)


@pytest.mark.parametrize("case", ["product", "convolution of stride 2", "depthwise"])
def test_each_processor(case: str, processor: Target):
    made = CASES[case](processor.lanes(FLOAT32))
    args, layouts, _ = made
    plain, stored = arrays_of(made)
    run(lower(schedule([args[-1]], processor, layouts), args, processor, "f", layouts), stored)
    np.testing.assert_array_equal(logical(made, stored[-1]), plain[-1])


@ON_X86
@pytest.mark.skipif(
    not llvm_binding.get_host_cpu_features().get("avx2"), reason="needs a processor with AVX2"
)
@pytest.mark.parametrize("case", CASES)
def test_avx2(case: str):
    target = pinned("haswell")
    assert target.vector_bits == 256
    made = CASES[case](target.lanes(FLOAT32))
    args, layouts, _ = made
    plain, stored = arrays_of(made)
    build(schedule([args[-1]], target, layouts), args, target, "kernel", layouts)(*stored)
    np.testing.assert_array_equal(logical(made, stored[-1]), plain[-1])


@pytest.mark.parametrize("case", CASES)
def test_neon(case: str, tmp_path: Path):
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if compiler is None or emulator is None:
        pytest.skip("needs qemu-aarch64 and aarch64-linux-gnu-gcc (qemu-user, gcc-aarch64-…)")
    target = pinned("cortex-a72")
    made = CASES[case](target.lanes(FLOAT32))
    args, layouts, _ = made
    plain, stored = arrays_of(made)
    f = lower(schedule([args[-1]], target, layouts), args, target, "kernel", layouts)
    (tmp_path / "kernel.o").write_bytes(llvm.emit([f], target).object)
    (tmp_path / "main.c").write_text(MAIN)
    files = [tmp_path / n for n in ("main.c", "kernel.o")]
    program, given, taken = (tmp_path / n for n in ("program", "in", "out"))
    command = [compiler, "-O1", "-static", *files, "-lm", "-o", program]
    subprocess.run(command, check=True, timeout=120)
    padded = [a.tobytes().ljust(-(-a.nbytes // 64) * 64, b"\0") for a in stored]
    given.write_bytes(b"".join(padded))
    sizes = [str(a.nbytes) for a in stored]
    subprocess.run([emulator, program, given, taken, *sizes], check=True, timeout=120)
    data = taken.read_bytes()[sum(map(len, padded[:-1])) :]
    result = np.frombuffer(data, np.float32)[: stored[-1].size].reshape(stored[-1].shape)
    np.testing.assert_array_equal(logical(made, result), plain[-1])
