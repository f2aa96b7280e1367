"""Objects for other processors, run under qemu-user: the same kernel, the same numbers."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from weft.codegen.llvm import generator as llvm
from weft.ir.alu import Op
from weft.ir.expr import Cast, Const, Load, Ramp, Var, binary
from weft.ir.intrin import call
from weft.ir.passes.math.math import lower_math
from weft.ir.stmt import Buffer, For, ForKind, Function, Store, seq
from weft.ir.target import Target
from weft.runtime.dtype import FLOAT16, FLOAT32, INT32

N = 64
PLATFORMS = {
    "aarch64": ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72", "aarch64-linux-gnu-gcc"),
    "riscv64": ("llvm -mtriple=riscv64-linux-gnu", "riscv64-linux-gnu-gcc"),
}
# The caller of the kernel: one table of addresses, and a parallel loop that is serial.
MAIN = """
#include <stdint.h>
#include <stdio.h>
extern void kernel(int64_t* args);
void weft_parallel_for(void (*body)(void*, int64_t, int64_t), void* closure,
                       int64_t begin, int64_t end) {
  body(closure, begin, end);
}
static float x[64] __attribute__((aligned(64))), y[64] __attribute__((aligned(64)));
static uint16_t h[64] __attribute__((aligned(64)));
int main(void) {
  for (int i = 0; i < 64; i++) x[i] = (i - 32) * 0.25f;
  int64_t args[] = {(int64_t)x, (int64_t)y, (int64_t)h, 60};
  kernel(args);
  for (int i = 0; i < 64; i++) printf("%.9g %u\\n", y[i], h[i]);
  return 0;
}
"""


def kernel() -> Function:
    """y = tanh(x) and its float16 bits for the first ``n`` elements; vectors of 4 with a mask."""
    x, y = Buffer("x", FLOAT32, (Const(N, INT32),)), Buffer("y", FLOAT32, (Const(N, INT32),))
    h, n, i = Buffer("h", FLOAT16, (Const(N, INT32),)), Var("n"), Var("i")
    at = Ramp(i * 4, Const(1, INT32), 4)
    mask = binary(Op.LT, at, Ramp(n, Const(0, INT32), 4))
    value = call("tanh", Load(x, (at,), mask))
    body = Store(y, (at,), value, mask)
    half = Store(h, (at,), Cast(value, FLOAT16.with_lanes(4)), mask)
    four = Const(N // 4, INT32)
    loops = (
        For(i, Const(0, INT32), four, ForKind.PARALLEL, body),
        For(i, Const(0, INT32), four, ForKind.SERIAL, half),
    )
    return Function("kernel", (x, y, h, n), seq(*loops), frozenset({y, h}))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_runs_under_qemu(platform: str, tmp_path: Path):
    text, compiler = PLATFORMS[platform]
    emulator = shutil.which(f"qemu-{platform}") or shutil.which(f"qemu-{platform}-static")
    if emulator is None or shutil.which(compiler) is None:
        pytest.skip(f"needs qemu-{platform} and {compiler} (qemu-user, gcc-{platform}-linux-gnu)")
    target = Target.parse(text)
    code = llvm.emit([lower_math(kernel(), target)], target)
    (tmp_path / "kernel.o").write_bytes(code.object)
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "program"
    command = [compiler, "-static", "-O1", "main.c", "kernel.o", "-o", str(program)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    done = subprocess.run([emulator, program], capture_output=True, check=True, timeout=60)
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    got = np.array([float(a) for a, _ in rows], np.float32)
    half = np.array([int(b) for _, b in rows], np.uint16).view(np.float16)
    want = np.tanh((np.arange(N) - 32) * 0.25).astype(np.float32)
    want[60:] = 0
    np.testing.assert_allclose(got, want, rtol=4e-7)
    np.testing.assert_array_equal(half, got.astype(np.float16))


def test_objects_have_the_processor_asked_for():
    machines = {"aarch64": 183, "riscv64": 243}
    for platform, (text, _) in PLATFORMS.items():
        target = Target.parse(text)
        data = llvm.emit([lower_math(kernel(), target)], target).object
        assert (
            data[:4] == b"\x7fELF" and int.from_bytes(data[18:20], "little") == machines[platform]
        )
