"""Programs of fragment shaders on OpenGL: every operator against its reference, memory, errors."""

import re

import numpy as np
import pytest
import weft
from op_cases import Case, all_cases, assert_close
from weft.compiler.graph import GraphBuilder
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import CodegenError, DeviceError, InputError

RTOL, ATOL = 1e-3, 1e-5


@pytest.fixture(scope="module", autouse=True)
def device():
    from weft.runtime.devices.gl import shared

    try:
        return shared()
    except DeviceError as e:
        pytest.skip(str(e))


def one_of_each() -> list[Case]:
    """The first case of every operator that is not about 64-bit numbers."""
    first: dict[str, Case] = {}
    for case in all_cases():
        if not refused(case) and not narrowed(case):
            first.setdefault(case.op, case)
    return list(first.values())


def refused(case: Case) -> bool:
    """What no fragment shader computes: 64-bit floats, also inside an operator (powers and norms of
    integers), shifts and bits of 64-bit integers, the bits of 16-bit floats."""
    inputs = [t.dtype for t in case.types() if t is not None]
    types = {*inputs, *(t.dtype for t in case.out_types())}
    if any(d.is_float and d.bits == 64 for d in types):
        return True
    inside = {"pow", "gemm", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp"}
    if case.op in inside and inputs[0].is_int:
        return True
    if case.op in ("bit_shift", "bitwise_not") and dtype_of("uint64") in types:
        return True
    return case.op == "bitcast" and inputs[0].is_float and inputs[0].bits == 16


def narrowed(case: Case) -> bool:
    """Cases about integers that 32 bits do not hold."""
    for a in (*case.arrays(), *case.expected()):
        if a is None or a.dtype not in (np.int64, np.uint64) or not a.size:
            continue
        limits = np.iinfo(np.int32 if a.dtype == np.int64 else np.uint32)
        if int(a.min()) < limits.min or int(a.max()) > limits.max:
            return True
    return False


def compiled(case: Case, target: str = "opengl"):
    b = GraphBuilder("case")
    feeds, names = {}, []
    for k, array in enumerate(case.arrays()):
        names.append("" if array is None else b.input(f"x{k}", str(array.dtype), array.shape))
        if array is not None:
            feeds[names[-1]] = array
    graph = b.finish(b.add(case.op, names, case.attrs))
    return weft.compile(graph, target, opt_level=0, cache=False), feeds


def agree(case: Case) -> None:
    exe, feeds = compiled(case)
    got = list(exe.run(feeds).values())
    for g, want in zip(got, case.expected(), strict=True):
        assert (g.dtype, g.shape) == (want.dtype, want.shape)
        rtol = case.rtol if want.dtype.itemsize < 4 else max(case.rtol or 0, RTOL)
        assert_close(g, want, rtol, max(case.atol, ATOL), case.int_atol, case.id)


@pytest.mark.parametrize("case", one_of_each(), ids=lambda c: c.id)
def test_operator(case):
    agree(case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [c for c in all_cases() if not refused(c) and not narrowed(c)], ids=lambda c: c.id
)
def test_every_case(case):
    agree(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in all_cases() if refused(c)], ids=lambda c: c.id)
def test_refused(case):
    if all(t.size for t in case.out_types()):
        with pytest.raises(CodegenError, match=r"64-bit|the bits of"):
            compiled(case)


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
    names = {t.name for t in exe._remote.textures.values()}
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
