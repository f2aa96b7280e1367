"""Hand-built loop nests through the interpreter."""

import ml_dtypes
import numpy as np
import pytest
from weft.ir.alu import Op
from weft.ir.expr import Binary, Broadcast, Expr, Load, Ramp, Select, Var, cast, const
from weft.ir.layout import Layout
from weft.ir.meaning.interp import run
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, Function, If, Let, Stmt, Store, seq
from weft.runtime.dtype import BFLOAT16, FLOAT32, INT8, INT32
from weft.runtime.errors import InputError, LoweringError

n, i, j, k = Var("n"), Var("i"), Var("j"), Var("k")


def f32(name: str, *shape: Expr | int, **options) -> Buffer:
    return Buffer(
        name, FLOAT32, tuple(s if isinstance(s, Expr) else const(s) for s in shape), **options
    )


def loop(
    v: Var, extent: Expr | int, body: Stmt, kind: ForKind = ForKind.SERIAL, tag: str = ""
) -> For:
    e = extent if isinstance(extent, Expr) else const(extent)
    return For(v, const(0), e, kind, body, tag)


def kernel(body: Stmt, *params: Buffer | Var) -> Function:
    return Function("kernel", params, body)


def test_matmul_with_a_symbolic_extent() -> None:
    a, b, c = f32("A", n, 5), f32("B", 5, 3), f32("C", n, 3)
    update = Store(c, (i, j), Load(c, (i, j)) + Load(a, (i, k)) * Load(b, (k, j)))
    body = loop(i, n, loop(j, 3, seq(Store(c, (i, j), const(0.0)), loop(k, 5, update))))
    x, y = np.random.rand(4, 5).astype("f4"), np.random.rand(5, 3).astype("f4")
    out = np.empty((4, 3), np.float32)
    run(kernel(body, a, b, c, n), [x, y, out, 4])
    np.testing.assert_allclose(out, x @ y, rtol=1e-6)
    run(kernel(body, a, b, c, n), [x[:0], y, out[:0], 0])


def test_predicated_vectors_touch_only_their_lanes() -> None:
    a, b = f32("A", 6), f32("B", 6)
    lanes = Ramp(i * 4, const(1), 4)
    inside = Binary(Op.LT, lanes, Broadcast(const(6), 4))
    body = loop(
        i, 2, Store(b, (lanes,), Load(a, (lanes,), inside) * Broadcast(const(2.0), 4), inside)
    )
    x, out = np.arange(6, dtype=np.float32), np.zeros(6, np.float32)
    run(kernel(body, a, b), [x, out])
    np.testing.assert_array_equal(out, x * 2)
    wide = f32("W", 8)
    body = loop(i, 2, Store(wide, (lanes,), Load(a, (lanes,), inside)))
    out = np.full(8, -1, np.float32)
    run(kernel(body, a, wide), [x, out])
    np.testing.assert_array_equal(out, [0, 1, 2, 3, 4, 5, 0, 0])


def test_vector_select_is_lazy_lane_by_lane() -> None:
    a, b = f32("A", 6), f32("B", 8)
    lanes = Ramp(const(0), const(1), 8)
    value = Select(
        Binary(Op.LT, lanes, Broadcast(const(6), 8)), Load(a, (lanes,)), Broadcast(const(9.0), 8)
    )
    x, out = np.arange(6, dtype=np.float32), np.zeros(8, np.float32)
    run(kernel(Store(b, (lanes,), value), a, b), [x, out])
    np.testing.assert_array_equal(out, [0, 1, 2, 3, 4, 5, 9, 9])


def test_out_of_bounds() -> None:
    a, b = f32("A", 4), f32("B", 4, 2)
    x, y = np.zeros(4, np.float32), np.zeros((4, 2), np.float32)
    with pytest.raises(LoweringError, match=r"kernel: A\[i \+ 1\] is A\[4\], .* shape \[4\]"):
        run(kernel(loop(i, 4, Store(b, (i, const(0)), Load(a, (i + 1,)))), a, b), [x, y])
    with pytest.raises(LoweringError, match=r"B\[i, -1\] is B\[0, -1\], .* shape \[4, 2\]"):
        run(kernel(loop(i, 4, Store(b, (i, const(-1)), const(0.0))), a, b), [x, y])
    lanes = Ramp(const(2), const(1), 4)
    with pytest.raises(LoweringError, match=r"is A\[\[2, 3, 4, 5\]\]"):
        run(kernel(Store(a, (lanes,), Broadcast(const(1.0), 4)), a, b), [x, y])
    assert not x.any()


def test_undefined_contents_show() -> None:
    out, small = f32("B", 2), Buffer("O", INT8, (const(1),))
    local, bytes_ = f32("T", 2, scope="local"), Buffer("U", INT8, (const(1),), "local")
    body = Alloc(
        local,
        Alloc(
            bytes_,
            seq(
                Store(local, (const(0),), const(1.0)),
                loop(i, 2, Store(out, (i,), Load(local, (i,)))),
                Store(small, (const(0),), Load(bytes_, (const(0),))),
            ),
        ),
    )
    x, y = np.zeros(2, np.float32), np.zeros(1, np.int8)
    run(kernel(body, out, small), [x, y])
    np.testing.assert_array_equal(x, [1, np.nan])
    assert y[0] == 0x7F


def test_layout_before_and_after_flattening() -> None:
    layout = Layout.parse("NC4c", (2, 6))
    a, b = f32("A", 2, 6, layout=layout), f32("B", 2, 6)
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    out = np.zeros_like(x)
    copy = loop(i, 2, loop(j, 6, Store(b, (i, j), Load(a, (i, j)))))
    run(kernel(copy, a, b), [layout.pack(x), out])
    np.testing.assert_array_equal(out, x)
    flat = f32("A", layout.size)
    copy = loop(i, 16, Store(flat, (i,), Load(flat, (i,)) + 1.0))
    packed = layout.pack(x)
    run(kernel(copy, flat), [packed])
    np.testing.assert_array_equal(layout.unpack(packed), x + 1)
    beyond = loop(j, 9, Store(a, (const(0), j), const(0.0)))
    with pytest.raises(LoweringError, match=r"A\[0, 8\]"):
        run(kernel(beyond, a), [layout.pack(x)])


def test_let_if_and_dtypes() -> None:
    a, b = Buffer("A", BFLOAT16, (const(3),)), Buffer("B", INT8, (const(3),))
    t = Var("t", FLOAT32)
    body = loop(
        i,
        3,
        Let(
            t,
            cast(Load(a, (i,)), "float32") * 100.0,
            If(i < 2, Store(b, (i,), cast(t, "int8")), Store(a, (i,), Load(a, (i,)) + 2.0**-9)),
        ),
    )
    x, y = np.array([1, 2, 1], ml_dtypes.bfloat16), np.zeros(3, np.int8)
    run(kernel(body, a, b), [x, y])
    assert y.tolist() == [100, 127, 0]
    assert float(x[2]) == 1.0


def test_barrier_runs_threads_in_lock_step() -> None:
    """Each thread writes its element, then reads its neighbour's: only right with a barrier."""
    tx, ty = Var("tx"), Var("ty")
    out, s = f32("B", 2, 4), f32("S", 4, scope="shared")
    own = f32("L", 1, scope="local")
    write = seq(
        Store(own, (const(0),), cast(tx + ty * 10, "float32")),
        Store(s, (tx,), Load(own, (const(0),))),
    )
    read = Store(out, (ty, tx), Load(s, ((tx + 1) % 4,)) * 100.0 + Load(own, (const(0),)))

    def threads(*body: Stmt) -> Stmt:
        inside = Alloc(own, loop(k, 1, seq(*body)))
        return loop(ty, 2, Alloc(s, loop(tx, 4, inside, ForKind.BOUND, "threadIdx.x")))

    x = np.zeros((2, 4), np.float32)
    run(kernel(threads(write, Barrier(), read, Barrier()), out), [x])
    want = [[((c + 1) % 4 + r * 10) * 100 + c + r * 10 for c in range(4)] for r in range(2)]
    np.testing.assert_array_equal(x, want)
    for missing in ([write, read, Barrier()], [write, Barrier(), read]):  # after, before a write
        with pytest.raises(LoweringError, match=r"thread . and thread . touch S\[.\], one of them"):
            run(kernel(threads(*missing), out), [x])


def test_races() -> None:
    """Of several threads for one cell: a sum that each of them adds to, results of workgroups."""
    tx, bx = Var("tx"), Var("bx")
    out, s = f32("B", 4), f32("S", 1, scope="shared")
    at = (const(0),)

    def threads(body: Stmt) -> Stmt:
        return loop(tx, 4, Alloc(s, body), ForKind.BOUND, "threadIdx.x")

    add = Store(s, at, Load(s, at) + 1.0)
    for body in (add, Store(s, at, const(1.0)), Store(out, at, const(1.0))):
        with pytest.raises(LoweringError, match=r"thread 1 and thread 0 touch .\[0\], one of them"):
            run(kernel(threads(body), out), [np.zeros(4, np.float32)])
        run(kernel(threads(If(tx < 1, body)), out), [np.zeros(4, np.float32)])
    blocks = loop(bx, 4, Store(out, (bx // 2,), const(1.0)), ForKind.BOUND, "blockIdx.x")
    with pytest.raises(LoweringError, match="and nothing says who comes first"):
        run(kernel(blocks, out), [np.zeros(4, np.float32)])
    once = If(tx < 2, seq(Barrier(), add), seq(Barrier(), add))
    with pytest.raises(LoweringError, match="wait at different barriers"):
        run(kernel(threads(once), out), [np.zeros(4, np.float32)])


def test_a_barrier_that_some_threads_miss() -> None:
    tx = Var("tx")
    body = loop(tx, 4, If(tx < 2, Barrier()), ForKind.BOUND, "threadIdx.x")
    with pytest.raises(LoweringError, match=r"some threads of threadIdx.x end before a barrier"):
        run(kernel(body), [])


def test_shared_buffer_inside_of_the_threads() -> None:
    tx = Var("tx")
    out, s = f32("B", 4), f32("S", 4, scope="shared")
    inner = seq(
        Store(s, (tx,), cast(tx, "float32")), Barrier(), Store(out, (tx,), Load(s, (3 - tx,)))
    )
    body = loop(tx, 4, Alloc(s, inner), ForKind.BOUND, "threadIdx.x")
    x = np.zeros(4, np.float32)
    run(kernel(body, out), [x])
    np.testing.assert_array_equal(x, [3, 2, 1, 0])


def test_wrong_arguments() -> None:
    a = f32("A", 4)
    f = kernel(Store(a, (const(0),), const(1.0)), a)
    with pytest.raises(InputError, match="takes 1 arguments, not 0"):
        run(f, [])
    with pytest.raises(InputError, match=r"A: float32\[4\] of 4 elements was given float64\[4\]"):
        run(f, [np.zeros(4)])
    with pytest.raises(InputError, match=r"was given float32\[5\]"):
        run(f, [np.zeros(5, np.float32)])
    with pytest.raises(LoweringError, match="the variable i is not defined"):
        run(kernel(Store(a, (i,), const(1.0)), a), [np.zeros(4, np.float32)])


def test_int32_wraps() -> None:
    a = Buffer("A", INT32, (const(2),))
    x = np.array([2**31 - 1, 7], np.int32)
    body = Store(a, (const(0),), Load(a, (const(0),)) + Load(a, (const(1),)))
    run(kernel(body, a), [x])
    assert x[0] == -(2**31) + 6
