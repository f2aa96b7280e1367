"""Mathematical functions where their ranges end, on every target: each exponent, what overflows
next, subnormal numbers, zeros of both signs, infinities, NaN."""

import numpy as np
import pytest
import weft
from kernels.math_cases import BOUNDS, SPECIAL, of_every_exponent, points, reference, ulp
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.ops import get
from weft.ir.passes.math import bounds
from weft.runtime.devices.probe import probe
from weft.runtime.errors import GraphError

TARGETS = (
    "llvm", "opencl", "webgpu", "opengl",
    pytest.param("wasm", marks=pytest.mark.slow), pytest.param("webgl", marks=pytest.mark.slow),
)  # fmt: skip
GRAPHICS = ("webgpu", "opengl", "webgl")
ODD = ("tanh", "erf", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh")
TINY = 2.0**-125  # below, graphics may take a number for 0

# Where results become 0, infinite, or their limits, and the numbers around.
EDGES = (
    88.72284, 89.41599, 87.33655, 103.97208, 16.63553, 9.01, 4.0, 0.95, 0.625, 0.5, 1.0, 2.0**-12,
    np.pi / 2, np.pi, 8192.0, 1e8, 3.4e38, 4.0998e-38,
)  # fmt: skip


def there(name):
    try:
        return get(name) is not None
    except GraphError:
        return False


FUNCTIONS = [name for name in BOUNDS if there(name)]


def arguments():
    around = np.array(EDGES, np.float32).view(np.int32)[:, None] + np.arange(-8, 9, dtype=np.int32)
    around = around.ravel().view(np.float32)
    return np.concatenate([SPECIAL, around, -around, of_every_exponent(12)])


def excused(target, want, got, *args):
    """Numbers that are too small for graphics."""
    near = (np.abs(want) < TINY) & (np.abs(got) < TINY)
    for a in args:
        near |= (np.abs(a) < TINY) & (a != 0)
    return near & (target in GRAPHICS)


@pytest.fixture(params=TARGETS)
def target(request):
    found = probe(request.param)
    if not found.ok:
        pytest.skip(found.reason)
    return request.param


def worst(error, *shown):
    k = int(error.argmax())
    return f"{error[k]:.2f} ULP at {[a[k] for a in shown]}"


def test_functions(target):
    x = arguments()
    b = GraphBuilder("functions")
    b.input("x", "float32", x.shape)
    outputs = [*(b.add(name, ["x"])[0] for name in FUNCTIONS)]
    assert {"exp", "log", "sinh", "cosh", "erf", *ODD} <= {*FUNCTIONS}
    zeros = np.flatnonzero(x == 0)
    assert {*np.signbit(x[zeros])} == {True, False}
    for name, got in zip(FUNCTIONS, weft.compile(b.finish(outputs), target)(x)):
        want = reference(name, x)
        error = np.where(excused(target, want, got, x), 0, ulp(got, want))
        limit = bounds.FLOAT32[name] + 2 * (target in GRAPHICS)
        if name == "exp" and target in GRAPHICS:  # their own
            error -= 2 * np.minimum(np.nan_to_num(np.abs(x)), 130)
        assert error.max() <= limit, f"{name}: {worst(error, x, got, want)}"
        if name in ODD:
            np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(x[zeros]), name)


def test_powers(target):
    """Two parts of a logarithm are two also where compilers reorder sums."""
    more = np.float32([3.4028235e38, 0.99999994, 1.0000001, 16777216, 1 / 3, 0.25, 126, -126])
    ends = np.concatenate([SPECIAL, more])
    pairs = [p[::-1] for p in points(1 << 10)[:2]]
    pairs += [tuple(a.ravel() for a in np.meshgrid(ends, ends))]
    rng = np.random.default_rng(4)
    near_one = rng.uniform(0.99, 1.01, 1 << 10), rng.uniform(-9e3, 9e3, 1 << 10)
    pairs += [tuple(a.astype(np.float32) for a in near_one)]
    x, y = (np.concatenate(a) for a in zip(*pairs))
    b = GraphBuilder("powers")
    b.input("x", "float32", x.shape), b.input("y", "float32", y.shape)
    got = weft.compile(b.finish(b.add("pow", ["x", "y"])), target)(x, y)
    want = reference("pow", x, y)
    error = np.where(excused(target, want, got, x, y), 0, ulp(got, want))
    assert error.max() <= bounds.FLOAT32["pow"], worst(error, x, y, got, want)


def test_remainders(target):
    """Exact, with the dividend's sign, zero's too."""
    x, y = (np.concatenate(a) for a in zip(*points(1 << 10)))
    b = GraphBuilder("remainders")
    b.input("x", "float32", x.shape), b.input("y", "float32", y.shape)
    got = weft.compile(b.finish(b.add("mod", ["x", "y"], {"fmod": True})), target)(x, y)
    with np.errstate(all="ignore"):
        want = np.fmod(x, y)
    same = (got == want) | (np.isnan(got) & np.isnan(want)) | excused(target, want, got, x, y)
    assert same.all(), worst(~same, x, y, got, want)
    zero = (want == 0) & same
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))
