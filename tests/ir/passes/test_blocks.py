"""spread_statements."""

import numpy as np
import pytest
import weft
from weft import te
from weft.ir.expr import Load, Var, const
from weft.ir.meaning.interp import run
from weft.ir.passes.blocks import spread_statements
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, Let, Store, seq
from weft.ir.verify import verify
from weft.runtime.devices.probe import probe
from weft.runtime.dtype import FLOAT32, INT32

A = Buffer("A", FLOAT32, (const(6), const(7)))
N = Buffer("N", INT32, (const(1),))
T = Buffer("T", FLOAT32, (const(7),), "global")
L = Buffer("L", FLOAT32, (const(1),), "local")
i, j, n = Var("i"), Var("j"), Var("n")


def loop(v, count, body, kind=ForKind.SERIAL):
    return For(v, const(0), const(count), kind, body)


def function(kind):
    """Each row becomes its sum and the number of its columns."""
    add = Store(L, (const(0),), Load(L, (const(0),)) + Load(T, (j,)))
    row = seq(
        loop(j, 7, Store(T, (j,), Load(A, (i, j)))),
        Store(L, (const(0),), const(0.0)),
        loop(j, 7, add),
        loop(j, 7, Store(A, (i, j), Load(L, (const(0),)) + n.astype("float32"))),
    )
    nest = loop(i, 6, Alloc(T, Alloc(L, row)), kind)
    return Function("f", (A, N), Let(n, Load(N, (const(0),)), nest), frozenset({A}))


def test_a_parallel_loop_becomes_blocks_with_storage_of_their_own(passes):
    f = function(ForKind.PARALLEL)
    g = spread_statements(f, 6)
    passes.golden(
        g,
        """
        def f(A: float32[6, 7], N: int32[1]) -> A:
            alloc T: float32[6, 7] in global
            let n = N[0]
            for i in bound("blockIdx.x", 0, 6):
                alloc L: float32[1] in local
                for j in range(0, 7):
                    T[i, j] = A[i, j]
                L[0] = 0.0
                for j in range(0, 7):
                    L[0] = L[0] + T[i, j]
                for j in range(0, 7):
                    A[i, j] = L[0] + float32(n)
        """,
    )
    verify(g, flat=False)
    x = np.arange(42, dtype=np.float32).reshape(6, 7)
    want = np.repeat(x.sum(axis=1, keepdims=True) + 3, 7, axis=1)
    run(g, [x, np.array([3], np.int32)])
    np.testing.assert_array_equal(x, want)
    assert spread_statements(g, 6) is g


@pytest.mark.parametrize("kind, most", [(ForKind.PARALLEL, 5), (ForKind.SERIAL, 9)])
def test_other_loops_stay_and_have_one_storage(kind, most):
    g = spread_statements(function(kind), most)
    verify(g, flat=False)
    assert "alloc T: float32[7] in global\n    let n" in str(g)
    assert "blockIdx" not in str(g)


def test_nothing_to_do():
    f = Function("f", (A,), loop(i, 6, Store(A, (i, const(0)), const(1.0))), frozenset({A}))
    assert spread_statements(f, 9) is f


@pytest.mark.parametrize("target", ["llvm", "opencl", "webgpu"])
def test_rows_sorted_in_storage_that_no_thread_has(target):
    found = probe(target)
    if not found.ok:
        pytest.skip(found.reason)
    rows, size = 5, 6000  # of int32: more than what a thread may have for itself

    def body(ins, outs):
        ib = te.ir_builder()
        out = ib.buffer_ptr(outs[0])
        with ib.for_range(0, rows, "row", kind="parallel") as row:
            held = ib.allocate("int32", (size,), "held", scope="global")
            with ib.for_range(0, size, "i") as i:
                held[i] = ins[0][row, i]
            with ib.for_range(0, size, "i") as i:
                out[row, i] = held[size - 1 - i] + row
        return ib.get()

    a = te.placeholder((rows, size), "int32", name="A")
    b = te.extern((rows, size), [a], body, name="B")
    x = np.random.default_rng(1).integers(-99, 99, (rows, size), np.int32)
    y = np.empty_like(x)
    goal = target if target == "llvm" else f"{target} -fallback=none"
    weft.build(te.create_schedule(b), [a, b], goal)(x, y)
    np.testing.assert_array_equal(y, x[:, ::-1] + np.arange(rows, dtype=np.int32)[:, None])
