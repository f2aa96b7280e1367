"""Kernels of te, called from Python, on every target that is not this processor: through a driver,
under Node, in a page."""

import numpy as np
import pytest
import weft
from support.places import need
from weft import te
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import CodegenError, DeviceError
from weft.runtime.rpc.peer import PEERS

TARGETS = ("opengl", "webgpu", "wasm", "wasm -threads", "webgl")
WORDS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32"),
)


def turn(a):
    return te.compute((7, 3, 5), lambda i, j, k: a[j, k, i], name=f"B_{a.name}")


@pytest.mark.parametrize("target", TARGETS)
def test_all_dtypes(target):
    need(target)
    dtypes = [*WORDS, "float64"] if target.startswith("wasm") else WORDS
    placed = [te.placeholder((3, 5, 7), d, name=f"A_{d}") for d in dtypes]
    turned = [turn(a) for a in placed]
    kernel = weft.build(te.create_schedule(turned), [*placed, *turned], target)
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 2 if d == "bool" else 100, (3, 5, 7)).astype(dtype_of(d).numpy)
             for d in dtypes]  # fmt: skip
    got = [np.zeros((7, 3, 5), a.dtype) for a in given]
    with kernel:
        kernel(*given, *got)
    for a, b in zip(given, got):
        np.testing.assert_array_equal(b, a.transpose(2, 0, 1))


@pytest.mark.parametrize("target", TARGETS)
def test_several_stages_and_results(target):
    need(target)
    a, b = te.placeholder((5, 9), name="A"), te.placeholder((9, 7), name="B")
    k, m = te.reduce_axis(9, "k"), te.reduce_axis(7, "m")
    c = te.compute((5, 7), lambda i, j: te.sum(a[i, k] * b[k, j], k), name="C")
    d = te.compute((5,), lambda i: te.max(c[i, m], m), name="D")
    e = te.compute((5, 7), lambda i, j: c[i, j] - d[i], name="E")
    kernel = weft.build(te.create_schedule([e, d]), [a, e, b, d], target, "top")
    x, y = (np.random.default_rng(0).random(s, np.float32) for s in ((5, 9), (9, 7)))
    rest, top = np.zeros((5, 14), np.float32), np.zeros(5, np.float32)
    for scale in (1, 2):
        kernel(x * scale, rest[:, ::2], y, top)
        np.testing.assert_allclose(top, scale * (x @ y).max(1), rtol=1e-5)
        np.testing.assert_allclose(rest[:, ::2], scale * (x @ y) - top[:, None], atol=1e-5)
    assert not rest[:, 1::2].any()
    exe = kernel.executable
    rows = exe.profile(x, y, repeat=3).rows
    assert len(rows) == len(exe.program.steps) and all(r.ms >= 0 for r in rows)
    assert len(exe.benchmark(x, y, repeat=2).times) == 2
    before = {n: p.state()["programs"] for n, p in PEERS.items() if p.started}
    kernel.close()
    after = {n: p.state()["programs"] for n, p in PEERS.items() if p.started}
    away = 1 if target.startswith("w") and target != "webgpu" else 0
    assert sum(before.values()) - sum(after.values()) == away
    with pytest.raises(weft.runtime.errors.ClosedError):
        kernel(x, rest[:, ::2], y, top)


@pytest.mark.parametrize("target", ["webgl", "opengl"])
def test_what_a_shader_cannot_say(target):
    a = te.placeholder((4,), "float64", name="A")
    b = te.compute((4,), lambda i: a[i] + 1, name="B")
    with pytest.raises(CodegenError, match="64-bit floats do not exist"):
        weft.build(te.create_schedule(b), [a, b], target)


def test_integers_that_do_not_fit_are_told_with_their_name():
    need("webgl")
    a = te.placeholder((4,), "int64", name="A")
    b = te.compute((4,), lambda i: a[i] + 1, name="B")
    kernel = weft.build(te.create_schedule(b), [a, b], "webgl")
    with pytest.raises(weft.runtime.errors.InputError, match=r"4294967296, which 32 bits do not"):
        kernel(np.full(4, 1 << 32), np.zeros(4, np.int64))
    out = np.zeros(4, np.int64)
    kernel(np.arange(4), out)
    assert out.tolist() == [1, 2, 3, 4]


def test_a_shader_that_is_refused_comes_with_the_log():
    need("webgl")
    a = te.placeholder((4,), name="A")
    b = te.compute((4,), lambda i: a[i] + 1, name="B")
    exe = weft.build(te.create_schedule(b), [a, b], "webgl", "plus").executable
    (name, text), *_ = exe.codes.items()
    bad = weft.runtime.executor.Executable(
        exe.program, {name: text.replace(b"main()", b"main() { nonsense; }\nvoid more()")}, {}
    )
    with pytest.raises(DeviceError, match=r"plus_kernel(.|\n)*'nonsense'(.|\n)*\d+: void main"):
        bad(np.zeros(4, np.float32))
