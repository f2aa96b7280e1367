"""Programs of fragment shaders on OpenGL: memory, errors. Operators: ``tests/conformance``."""

import os
import re

import numpy as np
import pytest
import weft
from support import compute_checks as checks
from weft.compiler.graph.builder import GraphBuilder
from weft.runtime.errors import DeviceError, InputError


@pytest.fixture(scope="module", autouse=True)
def device():
    from weft.runtime.devices.opengl.gl import shared

    try:
        return shared()
    except DeviceError as e:
        pytest.skip(str(e))


def network(target="opengl", **options):
    """Convolutions of several shapes, a residual, a product: tiles, padding and the pool."""
    rng = np.random.default_rng(3)

    def weights(*shape):
        return b.constant(rng.standard_normal(shape).astype(np.float32) / 8, "w")

    b = GraphBuilder("network")
    x = b.input("x", "float32", (2, 5, 13, 18))
    (h,) = b.add("conv", [x, weights(12, 5, 3, 3), weights(12)], {"strides": (2, 2)})
    (h,) = b.add("relu", [h])
    (r,) = b.add("conv", [h, weights(12, 1, 3, 3)], {"groups": 12, "pads": (1, 1, 1, 1)})
    (h,) = b.add("add", [h, r])
    (h,) = b.add("concat", [h, r], {"axis": 1})
    (h,) = b.add("max_pool", [h], {"kernel": (2, 2), "strides": (2, 2)})
    (h,) = b.add("conv", [h, weights(7, 24, 1, 1)])
    size = int(np.prod(b.types[h].shape[1:]))
    (h,) = b.add("reshape", [h], {"shape": (2, size)})
    (h,) = b.add("gemm", [h, weights(11, size)], {"trans_b": True})
    (y,) = b.add("softmax", [h])
    return weft.compile(b.finish([y]), target, cache=False, **options)


def test_network_with_tiles():
    x = np.random.default_rng(0).standard_normal((2, 5, 13, 18)).astype(np.float32)
    exe, cpu = network(), network("llvm")
    assert {s.layers for s in exe.program.slots} > {1, 8}
    for _ in range(2):
        np.testing.assert_allclose(exe(x), cpu(x), rtol=1e-4, atol=1e-6)
    few = network("opengl -max_draw_buffers=4 -max_texture_size=64")
    assert max(s.layers for s in few.program.slots) == 4
    np.testing.assert_allclose(few(x), cpu(x), rtol=1e-4, atol=1e-6)


def test_profile_names_the_draws():
    rows = network().profile(repeat=1).rows
    assert any(re.search(r"softmax \(\d/\d\)", r.label) for r in rows)
    assert all(r.ms >= 0 for r in rows)


def test_intermediates_share_textures():
    b = GraphBuilder("chain")
    h = b.input("x", "float32", (8, 64))
    for _ in range(6):
        (h,) = b.add("softmax", [h])
    exe = weft.compile(b.finish([h]), "opengl", cache=False)
    exe.prepare()
    names = {t.name for t in exe.runner.textures.values()}
    slots = sum(s.kind == "arena" for s in exe.program.slots)
    assert slots == 5 + 2 * 6  # results and two scratch tensors of each
    assert len(names) <= 2 + 2 + 3  # input and output; two of each shape, and those in use


def test_a_constant_does_not_share():
    """A weight that is used late keeps its texture from the first kernel on."""
    rng = np.random.default_rng(2)
    b = GraphBuilder("late")
    h = b.input("x", "float32", (16, 16))
    for _ in range(4):
        (h,) = b.add("softmax", [h])
    w = b.constant(rng.standard_normal((16, 16)).astype(np.float32), "w")
    (h,) = b.add("mul", [h, w])
    (h,) = b.add("softmax", [h])
    graph = b.finish([h])
    x = rng.standard_normal((16, 16)).astype(np.float32)
    exe = weft.compile(graph, "opengl", cache=False)
    exe(x)
    np.testing.assert_allclose(exe(x), weft.compile(graph, cache=False)(x), rtol=1e-4)


def test_wide_integers_are_refused():
    b = GraphBuilder("wide")
    (y,) = b.add("neg", [b.input("x", "int64", (3,))])
    exe = weft.compile(b.finish([y]), "opengl", cache=False)
    np.testing.assert_array_equal(exe(np.array([1, -5, 2**31 - 1])), [-1, 5, 1 - 2**31])
    with pytest.raises(InputError, match=r"x has elements from 0 to 2147483648"):
        exe(np.array([0, 1, 2**31]))


def test_limits_are_checked():
    exe = network("opengl -max_texture_size=1048576")
    with pytest.raises(DeviceError, match=r"max_texture_size \d+; the program was compiled for"):
        exe.prepare()


def test_a_package_runs_again(tmp_path):
    x = np.random.default_rng(1).standard_normal((2, 5, 13, 18)).astype(np.float32)
    exe = network()
    exe.save(tmp_path / "n.weft")
    again = weft.runtime.load(tmp_path / "n.weft")
    np.testing.assert_array_equal(again(x), exe(x))


def test_a_call_inside_of_a_call_is_refused():
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 5, 13, 18), dtype=np.float32)}
    exe, other = network(), network().prepare()
    checks.inside_a_call(exe, feeds, exe.run(feeds), other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_is_told():
    """A context is of one process: old programs, new ones and probes say so in the other."""
    script = """
import os, numpy as np, weft
from weft.compiler.graph.builder import GraphBuilder
from weft.runtime.devices.opengl.gl import describe
from weft.runtime.errors import DeviceError
b = GraphBuilder("g")
x = b.input("x", "float32", (4,))
graph = b.finish(list(b.add("relu", [x])))
exe = weft.compile(graph, "opengl", cache=False)
x = np.ones(4, "float32")
exe(x)
child = os.fork()
if child == 0:
    for do in (lambda: exe(x), lambda: weft.compile(graph, "opengl")(x), describe):
        try:
            do(); os._exit(1)
        except DeviceError as error:
            if "forked" not in str(error): os._exit(2)
    del exe
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])); exe(x)
"""
    assert checks.in_a_process(script, {}) == "0\n"
