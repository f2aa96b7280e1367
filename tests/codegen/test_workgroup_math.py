"""Intrinsics on PoCL and lavapipe: error in units in the last place, special values."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import opencl_run, webgpu_run
from kernels.math_cases import BOUNDS, SPECIAL, kernel, points, reference, ulp
from weft.ir.passes.math.math import lower_math
from weft.ir.target import Target

N = 1 << 12
DEVICES = {"opencl": opencl_run, "webgpu": webgpu_run}


def check(target: str, name: str, args: list[np.ndarray], limit: float) -> None:
    f = lower_math(kernel(name, lanes=4, n=N), Target.parse(target))
    got = DEVICES[target].run(f, [*args, np.zeros(N, np.float32)], target)[-1]
    want = reference(name, *args)
    error = ulp(got, want)
    if target == "webgpu":  # results below the normal numbers may be 0, as may be arguments
        error[(np.abs(want) < 2.0**-125) & (np.abs(got) < 2.0**-125)] = 0
        if name in ("exp", "exp2"):  # what WGSL allows
            error -= 2 * np.minimum(np.nan_to_num(np.abs(args[0])), 130)
    k = int(error.argmax())
    assert error[k] <= limit, f"{name}{[a[k] for a in args]} = {got[k]}: {error[k]:.2f} ULP"


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("target", DEVICES)
def test_error(target: str, name: str):
    """Shaders have their own exp and may round a division by some units."""
    limit, low, high = BOUNDS[name]
    limit += 2 if target == "webgpu" else 0
    rng = np.random.default_rng(5)
    dense = rng.uniform(low, high, N).astype(np.float32)
    small = (dense * rng.uniform(0, 1e-3, N)).astype(np.float32)
    special = np.resize(SPECIAL, N)
    if target == "webgpu":
        tiny = (np.abs(special) < 2.0**-125) & (special != 0)
        special = np.where(tiny, np.float32(1), special)
    for x in (dense, small, special):
        check(target, name, [x], limit)


@pytest.mark.parametrize("target", ["opencl", "webgpu"])
def test_pow(target: str):
    """A logarithm in two parts is exact to more than float32, also where sums are reordered."""
    rng = np.random.default_rng(6)
    positive = rng.uniform(0, 30, N).astype(np.float32)
    for x, y in (
        (positive, rng.uniform(-20, 20, N).astype(np.float32)),
        (rng.uniform(-30, 30, N).astype(np.float32), rng.integers(-9, 9, N).astype(np.float32)),
    ):
        check(target, "pow", [x, y], 4)


@pytest.mark.parametrize("target, limit", [("opencl", 4), ("webgpu", 7)])
def test_atan2(target: str, limit: float):
    for y, x in points(N):
        if target == "webgpu":  # which may take what is below the normal numbers for 0
            y, x = (np.where((abs(v) < 2.0**-100) & (v != 0), np.float32(1), v) for v in (y, x))
        check(target, "atan2", [y, x], limit)


@pytest.mark.parametrize("target, lanes", [("opencl", 16), ("webgpu", 8), ("webgpu", 1)])
def test_large_angles_in_one_of_many_lanes(target: str, lanes: int):
    """The branch for them asks all lanes of a vector, of which WGSL makes several."""
    x = np.linspace(-9, 9, N, dtype=np.float32)
    x[5::32] *= np.float32(1e30)
    f = lower_math(kernel("sin", lanes=lanes, n=N), Target.parse(target))
    got = DEVICES[target].run(f, [x, np.zeros(N, np.float32)], target)[-1]
    assert ulp(got, reference("sin", x)).max() <= 4
