"""Whole kernels for workgroups: their text (goldens in ``shaders/``), their results on PoCL and
lavapipe against the interpreter, and what is refused.

``python tests/codegen/test_workgroup_kernels.py`` writes the goldens anew; read what changed.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from kernels import opencl_run, webgpu_run
from kernels.gpu_schedules import CASES, convolution, injective, kernel, matmul, softmax
from weft.codegen import for_target
from weft.ir import te
from weft.ir.alu import Op
from weft.ir.expr import Binary, Const, Load, Ramp, Unary, Var
from weft.ir.lower import lower
from weft.ir.meaning import interp
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, Function, If, Store, seq
from weft.ir.target import Target
from weft.ir.visit import substitute
from weft.runtime.dtype import BOOL, FLOAT32, INT32, dtype_of
from weft.runtime.errors import CodegenError

GOLDEN = Path(__file__).parent / "shaders"
SUFFIX = {"opencl": "opencl.cl", "webgpu": "webgpu.wgsl"}
DEVICES = {"opencl": opencl_run, "webgpu": webgpu_run}


def text(f: Function, target: str) -> str:
    goal = Target.parse(target)
    return for_target(goal).emit([f], goal).source


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("make", CASES, ids=lambda m: m.__name__)
def test_golden(make, target):
    got = text(kernel(make, Target.parse(target), make.__name__), target)
    assert got == (GOLDEN / f"{make.__name__}.{SUFFIX[target]}").read_text()


def arrays(f: Function, seed: int = 1) -> list[np.ndarray]:
    """Small integers: sums of them are exact in any order."""
    rng = np.random.default_rng(seed)
    made = []
    for b in f.buffers:
        size = [n.value for n in b.shape if isinstance(n, Const)]
        low = -4 if b.dtype.kind != "uint" else 0
        made.append(rng.integers(low, 5, size).astype(b.dtype.numpy))
    return made


def check(f: Function, target: str, rtol: float = 0, atol: float = 0) -> None:
    args = arrays(f)
    want = [a.copy() for a in args]
    interp.run(f, want)
    got = DEVICES[target.split(maxsplit=1)[0]].run(f, args, target)
    for b, w, g in zip(f.buffers, want, got):
        np.testing.assert_allclose(
            g.astype(np.float64), w.astype(np.float64), rtol, atol, err_msg=f"{b}\n{f}"
        )


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("make", [injective, matmul, convolution], ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", ["float32", "int32", "int8", "uint16"])
@pytest.mark.slow
def test_exact_results(make, dtype, target):
    check(kernel(make, Target.parse(target), dtype=dtype), target)


@pytest.mark.parametrize("make", [injective, matmul, convolution], ids=lambda m: m.__name__)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64"])
@pytest.mark.slow
def test_exact_results_of_other_types(make, dtype):
    check(kernel(make, Target.parse("opencl"), dtype=dtype), "opencl")
    if dtype == "float16":
        half = "webgpu -has_float16"
        check(kernel(make, Target.parse(half), dtype=dtype), half)


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("lanes", [2, 3, 5, 8, 16])
@pytest.mark.slow
def test_wide_vectors(lanes, target):
    """Lengths that are no multiple of the lanes: the last vector is read and written in part."""
    for n in (1000, 16 * lanes, 7):
        for dtype in ("float32", "int8", "float16"):
            check(kernel(injective, Target.parse(target), n=n, lanes=lanes, dtype=dtype), target)


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("n", [1, 6, 999, 1001])
def test_partial_vectors(n, target):
    check(kernel(injective, Target.parse(target), n=n), target)


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("m, n, k", [(32, 32, 8), (33, 47, 9), (64, 30, 20)])
def test_matmul_sizes(m, n, k, target):
    check(kernel(matmul, Target.parse(target), m=m, n=n, k=k), target)


@pytest.mark.parametrize("target", SUFFIX)
@pytest.mark.parametrize("rows, n, threads", [(6, 100, 16), (1, 5, 8), (3, 64, 64)])
def test_softmax(rows, n, threads, target):
    f = kernel(softmax, Target.parse(target), rows=rows, n=n, threads=threads)
    check(f, target, rtol=1e-5, atol=1e-7)


# -- what a kernel is made of -----------------------------------------------------------------


def c(n: int) -> Const:
    return Const(n, INT32)


def threads(n: int, body, tag: str = "threadIdx.x", launch=None) -> Function:
    t = Var("t")
    loop = For(t, c(0), c(n), ForKind.BOUND, body(t), tag)
    return _function(loop, launch or {tag: n})


X_AT = Var("at")
X, Y = Buffer("x", FLOAT32, (c(256),)), Buffer("y", FLOAT32, (c(256),))


def _function(body, launch) -> Function:
    return Function("k", (X, Y), body, frozenset({Y}), {"launch": launch})


def test_shared_values_are_read_once_between_barriers():
    s = Buffer("s", FLOAT32, (c(64),), "shared")

    def body(t):
        twice = Store(Y, (t,), Load(s, (63 - t,)) + Load(s, (63 - t,)) * 2.0)
        again = Store(Y, (t + 64,), Load(s, (63 - t,)))
        fill = Store(s, (t,), Load(X, (t,)))
        return Alloc(s, seq(fill, Barrier(), twice, again, Barrier(), fill, Barrier(), again))

    for target, t in (("opencl", "float t{}"), ("webgpu", "let t{}: f32")):
        f = threads(64, body)
        code = text(f, target)
        assert code.count("s1[i1 + 63]") == 2, code
        assert code.count("p0[tx]") == 1 and t.format(2) in code
        check(f, target)


def test_a_store_ends_what_was_read():
    def body(t):
        step = Store(Y, (t,), Load(Y, (t,)) + Load(X, (t,)))
        j = Var("j")
        return seq(step, step, For(j, c(0), c(3), ForKind.SERIAL, step))

    for target in SUFFIX:
        check(threads(64, body), target)


def test_an_index_out_of_local_memory_changes():
    """The same text, ``y[i[0]]``, is another element once ``i[0]`` was written."""
    i, j = Buffer("i", INT32, (c(2),), "local"), Var("j")

    def body(t):
        at = Load(i, (te.minimum(j, 0),))  # no register: the index is not known
        take = Store(Y, (t + 64,), Load(Y, (at,)) + Load(Y, (t + 64,)))
        first, second = (Store(i, (te.minimum(j, 0),), t + k) for k in (0, 128))
        start = Store(Y, (t + 64,), Const(0.0, FLOAT32))
        return Alloc(i, For(j, c(0), c(1), ForKind.SERIAL, seq(start, first, take, second, take)))

    for target in SUFFIX:
        check(threads(64, body), target)


def test_buffers_are_vectors_where_all_accesses_allow_it():
    four = lambda base: Ramp(base, c(1), 4)  # noqa: E731

    def source(load, store):
        f = threads(32, lambda t: Store(Y, (store(t),), load(t)))
        check(f, "webgpu")
        return [line.split("array")[1] for line in text(f, "webgpu").splitlines()[:2]]

    whole = lambda t: Load(X, (four(t * 4),))  # noqa: E731
    assert source(whole, lambda t: four(t * 4)) == ["<vec4f>;", "<vec4f>;"]
    # components of whole vectors
    mixed = lambda t: whole(t) * te.cast(four(c(0)), "float32x4")  # noqa: E731
    assert source(mixed, lambda t: four(t * 4 + 1)) == ["<vec4f>;", "<f32>;"]
    assert source(lambda t: Load(X, (t,)), lambda t: t) == ["<f32>;", "<f32>;"]
    assert source(lambda t: Load(X, (four(t * 2),)), lambda t: four(t * 4))[0] == "<f32>;"
    # neighbours that are read one by one
    sums = lambda t: Load(X, (t * 4,)) + Load(X, (t * 4 + 1,)) + Load(X, (t * 4 + 3,))  # noqa: E731
    assert source(sums, lambda t: t) == ["<vec4f>;", "<f32>;"]
    # a store of one element may write its whole vector, which others write as well
    f = threads(32, lambda t: seq(Store(Y, (four(t * 4),), whole(t)),
                                  Store(Y, (t * 4,), Load(X, (t * 4 + 3,)))))  # fmt: skip
    assert "p1: array<f32>" in text(f, "webgpu") and "p0: array<vec4f>" in text(f, "webgpu")
    check(f, "webgpu")


def test_a_mask_that_all_lanes_share_is_a_branch():
    code = text(kernel(injective, Target.parse("opencl"), n=1000), "opencl")
    assert code.count("if (") == 1 and "all(" not in code
    code = text(kernel(injective, Target.parse("opencl"), n=1001), "opencl")
    assert "if (all(b1))" in code


@pytest.mark.parametrize("target", SUFFIX)
def test_names_are_not_those_of_types(target):
    """The 32nd integer must not be called i32, nor a buffer float4."""
    local = [Buffer("float", FLOAT32, (c(4),), "local") for _ in range(6)]
    index = [Binary(Op.FLOORMOD, X_AT * k + 1, c(256)) for k in range(1, 50)]

    def body(t):
        total = Load(X, (t,))
        for i in index:
            total = total + Load(X, (te.minimum(substitute(i, {X_AT: t}), 255),))
        inner = Store(Y, (t,), total + Load(local[-1], (t % 4,)))
        for b in local:
            inner = Alloc(
                b, seq(*(Store(b, (c(k),), Const(1.0, FLOAT32)) for k in range(4)), inner)
            )
        return inner

    f = threads(64, body)
    assert "i33" in text(f, target)
    check(f, target)


@pytest.mark.parametrize("target", SUFFIX)
def test_limits(target):
    store = lambda t: Store(Y, (t,), Load(X, (t,)))  # noqa: E731
    with pytest.raises(CodegenError, match="would have 512 threads; the target allows 256"):
        text(threads(512, store), target)
    with pytest.raises(CodegenError, match=r"2147483648 workgroups along x; the target allows"):
        text(threads(2**31, store, "blockIdx.x"), target)
    size = Target.parse(target).shared_bytes // 4 + 4  # WGSL counts in 16 bytes
    big = Buffer("s", FLOAT32, (c(size),), "shared")
    fill = lambda t: Alloc(big, seq(Store(big, (t,), Load(X, (t,)))))  # noqa: E731
    with pytest.raises(CodegenError, match=f"would share {size * 4} bytes; the target has"):
        text(threads(64, fill), target)
    with pytest.raises(CodegenError, match=r"no hardware index fragment.x"):
        text(threads(64, store, "fragment.x"), target)


@pytest.mark.parametrize("target, want", [("opencl", 64 + 12 + 3), ("webgpu", 64 + 16 + 16)])
def test_shared_bytes_are_said(target, want):
    """OpenCL packs them, WGSL begins each array at a multiple of 16 bytes and has words only."""
    kinds = [(FLOAT32, 16), (INT32, 3), (BOOL, 3)]
    arrays = [Buffer(f"s{k}", d, (c(n),), "shared") for k, (d, n) in enumerate(kinds)]

    def body(t):
        fills = [Store(b, (c(0),), Const(1 if b.dtype != BOOL else True, b.dtype)) for b in arrays]
        inner = seq(*fills, Store(Y, (t,), Load(X, (t,))))
        for b in arrays:
            inner = Alloc(b, inner)
        return inner

    goal = Target.parse(target)
    emitted = for_target(goal).emit([threads(2, body)], goal)
    assert emitted.shared_bytes == want
    assert emitted.object == emitted.assembly.encode()


def test_limits_of_webgpu():
    ins = [te.placeholder((8,), "float32", name=f"A{k}") for k in range(8)]
    total = te.compute((8,), lambda i: sum((a[i] for a in ins[1:]), ins[0][i]), name="B")
    s = te.create_schedule(total)
    with pytest.raises(CodegenError, match="has 9 buffers; the target allows 8"):
        text(lower(s, [*ins, total], "webgpu", "k"), "webgpu")
    assert "binding(8)" in text(lower(s, [*ins, total], "webgpu", "k"), "webgpu -max_buffers=9")
    n = te.var("n")
    a = te.placeholder((8,), "float32", name="A")
    b = te.compute((8,), lambda i: a[i] * n.astype("float32"), name="B")
    code = text(lower(te.create_schedule(b), [a, n, b], "webgpu", "k"), "webgpu")
    assert "struct Scalars { p1: i32 }\n@group(0) @binding(2) var<uniform> scalars" in code


@pytest.mark.parametrize(
    "dtype, fn, reason",
    [
        ("float64", lambda a: a + 1.0, "64-bit floats"),
        ("int64", lambda a: a + (1 << 40), "1099511627776 does not fit into 32 bits"),
        ("int64", lambda a: a << 3, "shifts of 64-bit integers"),
        ("uint64", lambda a: Unary(Op.NOT, a), "bits of 64-bit integers"),
    ],
)
def test_what_words_of_32_bits_cannot_do(dtype, fn, reason):
    a = te.placeholder((8,), dtype_of(dtype), name="A")
    b = te.compute((8,), lambda i: fn(a[i]), name="B")
    f = lower(te.create_schedule(b), [a, b], "webgpu", "k")
    with pytest.raises(CodegenError, match=reason):
        text(f, "webgpu")


@pytest.mark.parametrize("target", SUFFIX)
def test_divergent_barriers(target):
    s = Buffer("s", FLOAT32, (c(64),), "shared")

    def body(t):
        inner = seq(Store(s, (t,), Load(X, (t,))), Barrier(), Store(Y, (t,), Load(s, (63 - t,))))
        return Alloc(s, If(t < 60, inner))

    with pytest.raises(CodegenError, match=r"not certain that all threads(.|\n)*if t < 60"):
        text(threads(64, body), target)


def test_barriers_behind_values_of_memory():
    """WGSL takes what is read from memory that is written as different for each thread."""
    s = Buffer("s", FLOAT32, (c(64),), "shared")

    def body(t):
        inner = seq(Barrier(), Store(Y, (t,), Load(s, (63 - t,))))
        fill = Store(s, (t,), Load(X, (t,)))
        return Alloc(s, seq(fill, Barrier(), If(Load(s, (c(0),)) < 100.0, inner)))

    with pytest.raises(CodegenError, match="not certain that all threads"):
        text(threads(64, body), "webgpu")
    check(threads(64, body), "opencl")


if __name__ == "__main__":
    for make_case in CASES:
        for t, suffix in SUFFIX.items():
            golden = GOLDEN / f"{make_case.__name__}.{suffix}"
            golden.write_text(text(kernel(make_case, Target.parse(t), make_case.__name__), t))
            sys.stdout.write(f"{golden.name}\n")
