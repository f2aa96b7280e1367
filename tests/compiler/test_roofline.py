"""Counting operations and bytes, and the table of a benchmark."""

import numpy as np
import pytest
import weft
from weft.codegen.llvm import generator as llvm
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.facts import count_flops, layout_name
from weft.compiler.kernels.roofline import Peaks, bytes_moved, measure_peaks, rows_of, table
from weft.ir import te
from weft.ir.layout import Layout
from weft.ir.target import Target
from weft.runtime.profile import Profile, ProfileRow


def compiled(op, shapes, attrs=None, after=()):
    b = GraphBuilder("g")
    names = [b.input(f"x{k}", "float32", s) for k, s in enumerate(shapes)]
    (y,) = b.add(op, names, attrs)
    for other in after:
        (y,) = b.add(other, [y])
    return weft.compile(b.finish([y]), cache=False, records=False, accuracy="strict")


def total(exe):
    return sum(f["flops"] for f in exe.program.meta["kernels"].values())


@pytest.mark.parametrize("after", [(), ("relu",)])
@pytest.mark.parametrize(
    ("n", "channels", "size", "window", "groups"),
    [(1, (3, 8), 9, (3, 1, 1), 1), (2, (16, 5), 7, (1, 1, 0), 1), (1, (8, 8), 8, (3, 2, 1), 8)],
)
def test_a_convolution_counts_its_multiply_adds(n, channels, size, window, groups, after):
    (ci, co), (kernel, stride, pad) = channels, window
    attrs = {"pads": (pad,) * 4, "strides": (stride,) * 2, "groups": groups}
    shapes = [(n, ci, size, size), (co, ci // groups, kernel, kernel), (co,)]
    out = (size + 2 * pad - kernel) // stride + 1
    want = 2 * n * co * out * out * (ci // groups) * kernel * kernel
    assert total(compiled("conv", shapes, attrs, after)) == want


@pytest.mark.parametrize(("m", "k", "n"), [(4, 5, 6), (1, 128, 33), (17, 1, 3)])
def test_a_product_counts_its_multiply_adds_and_its_operands(m, k, n):
    exe = compiled("matmul", [(m, k), (k, n)])
    assert total(exe) == 2 * m * k * n
    (kernel,) = exe.program.kernels
    assert bytes_moved(kernel) == 4 * (m * k + k * n + m * n)


def test_without_reductions_the_arithmetic_counts():
    a, b = te.placeholder((3, 5), name="a"), te.placeholder((3, 5), name="b")
    c = te.compute((3, 5), lambda i, j: te.exp(a[i, j]) * b[i, 4 - j] + 1.0, name="c")
    assert count_flops((c,)) == 3 * 15
    d = te.compute((3, 5), lambda i, j: a[i, 4 - j], name="d")
    assert count_flops((d,)) == 0


def test_rows_add_up():
    exe = compiled("matmul", [(8, 8), (8, 8)])
    (kernel,) = exe.program.kernels
    profile = Profile("g", (ProfileRow("mm", kernel.name, 1e-3),))
    (row,) = rows_of(exe.program, profile)
    assert (row.flops, row.bytes) == (1024, 768)
    assert row.gflops == pytest.approx(1.024) and row.gbytes == pytest.approx(0.768)
    text = table([row], Peaks(2.048e9, 1.536e9, 1))
    assert text.count("50.0%") == 4 and text.splitlines()[-1].endswith("all")  # row and sum
    assert text.splitlines()[1].split()[1:3] == ["100.0%", "100.0%"]


def test_calls_of_one_kernel_are_added():
    exe = compiled("matmul", [(8, 8), (8, 8)])
    (kernel,) = exe.program.kernels
    profile = Profile("g", tuple(ProfileRow("mm", kernel.name, 1.0) for _ in range(3)))
    assert len(rows_of(exe.program, profile)) == 3
    (row,) = rows_of(exe.program, profile, by_kernel=True)
    assert (row.ms, row.flops) == (3.0, 3 * 1024)


def test_peaks_are_numbers_of_this_machine():
    peaks = measure_peaks(llvm.resolve(Target.parse("llvm")), 1)
    assert 1e8 < peaks.flops < 1e13 and 1e8 < peaks.bandwidth < 1e13
    assert "1 thread" in str(peaks)


def test_layouts_have_short_names():
    assert layout_name(Layout.parse("NCHW16c", (1, 32, 7, 7))) == "aBcd16b"
    assert layout_name(Layout.parse("OIHW:OHWI", (4, 3, 2, 2))) == "acdb"
    assert np.prod(Layout.parse("NCHW16c", (1, 32, 7, 7)).physical_shape) == 32 * 49
