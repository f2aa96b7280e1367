"""insert_barriers and split_host_device."""

import pytest
from weft.ir.expr import Load, Var, const
from weft.ir.passes.barriers import insert_barriers
from weft.ir.passes.split import split_host_device
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, Function, If, Seq, Store, seq
from weft.ir.verify import verify
from weft.runtime.dtype import FLOAT32
from weft.runtime.errors import LoweringError

b, t, k = Var("b"), Var("t"), Var("k")


def buf(name, n, scope="global"):
    return Buffer(name, FLOAT32, (const(n),), scope)


def loop(v, n, body, tag=""):
    extent = const(n) if isinstance(n, int) else n
    return For(v, const(0), extent, ForKind.BOUND if tag else ForKind.SERIAL, body, tag)


A, B, C = buf("A", 256), buf("B", 256), buf("S", 64, "shared")
FILL = Store(C, (t,), Load(A, (b * 64 + t,)))
READ = Store(B, (b * 64 + t,), Load(C, (63 - t,)))


def kernel(body):
    nest = loop(b, 4, loop(t, 64, Alloc(C, body), "threadIdx.x"), "blockIdx.x")
    return Function("f", (A, B), nest, frozenset({B}))


def test_between_write_and_read(passes):
    g = insert_barriers(kernel(seq(FILL, READ)), passes.target)
    passes.golden(
        g,
        """
        def f(A: float32[256], B: float32[256]) -> B:
            for b in bound("blockIdx.x", 0, 4):
                for t in bound("threadIdx.x", 0, 64):
                    alloc S: float32[64] in shared
                    S[t] = A[b * 64 + t]
                    barrier("shared")
                    B[b * 64 + t] = S[63 - t]
        """,
    )
    verify(g, flat=True)
    assert insert_barriers(g, passes.target) is g


def test_around_the_back_edge_of_a_loop(passes):
    g = insert_barriers(kernel(loop(k, 8, seq(FILL, READ))), passes.target)
    assert str(g).count("barrier") == 2
    lines = [line.strip() for line in str(g).splitlines()]
    at = lines.index("for k in range(0, 8):")
    assert lines[at + 1] == 'barrier("shared")' and lines[at + 3] == 'barrier("shared")'
    verify(g, flat=True)


q = Var("q")
OWN = {  # what each thread writes, in q in 0..3: cells that no other one writes
    "a row of a copy": (64, q * 16 + t),
    "a column of a copy": (64, t * 4 + q),
    "back to front": (64, 63 - t * 4 - q),
    "an aligned row": (80, (q * 16 + t) // 8 * 10 + (q * 16 + t) % 8),
    "three digits of one loop": (
        128, (q * 16 + t) // 8 * 16 + (q * 16 + t) // 4 % 2 * 4 + (q * 16 + t) % 4,
    ),
}  # fmt: skip
OTHERS = {  # … and cells that others write, too
    "not its own": (64, q * 8 + t),
    "the same for all": (64, q),
    "a quotient alone": (64, (q * 16 + t) // 2),
    "a remainder alone": (64, (q * 12 + t) % 32),
    "an other quotient": (64, (q * 16 + t) // 8 * 4 + (q * 16 + t) % 4),
}


def copies(n, index):
    """Written, then changed, cell by cell."""
    s = buf("S", n, "shared")
    fill = loop(q, 4, Store(s, (index,), Load(A, (q,))))
    change = loop(q, 4, Store(s, (index,), Load(s, (index,)) * 2.0))
    body = Alloc(s, loop(k, 3, seq(fill, change)))
    return Function("f", (A,), loop(t, 16, body, "threadIdx.x"))


@pytest.mark.parametrize("case", OWN)
def test_own_cells_need_no_barrier(passes, case):
    f = copies(*OWN[case])
    assert insert_barriers(f, passes.target) is f
    verify(f, flat=True)


@pytest.mark.parametrize("case", OTHERS)
def test_cells_of_others_need_one(passes, case):
    f = copies(*OTHERS[case])
    assert "barrier" in str(insert_barriers(f, passes.target))
    with pytest.raises(LoweringError, match="a barrier is missing"):
        verify(f, flat=True)


def test_two_barriers_for_a_tile(passes):
    """Before the copy of a tile and after it, not in the loops inside."""
    tile = buf("S", 64, "shared")
    copy = loop(q, 4, If(t < 12, Store(tile, (q * 16 + t,), Load(A, (k * 64 + q * 16 + t,)))))
    use = loop(q, 64, Store(B, (t,), Load(B, (t,)) + Load(tile, (q,))))
    body = Alloc(tile, loop(k, 4, seq(copy, use)))
    f = Function("f", (A, B), loop(t, 16, body, "threadIdx.x"), frozenset({B}))
    passes.golden(
        insert_barriers(f, passes.target),
        """
        def f(A: float32[256], B: float32[256]) -> B:
            for t in bound("threadIdx.x", 0, 16):
                alloc S: float32[64] in shared
                for k in range(0, 4):
                    barrier("shared")
                    for q in range(0, 4):
                        if t < 12:
                            S[q * 16 + t] = A[k * 64 + q * 16 + t]
                    barrier("shared")
                    for q in range(0, 64):
                        B[t] = B[t] + S[q]
        """,
    )


def test_a_guard_for_one_thread(passes):
    """What a single thread does alone it need not wait for."""
    one = seq(Store(C, (const(0),), const(0.0)), Store(C, (const(0),), Load(C, (const(0),)) + 1.0))
    u = Var("u")

    def kernel(guard):
        body = Alloc(C, If(guard, one))
        nest = loop(u, 4, loop(t, 16, body, "threadIdx.x"), "threadIdx.y")
        return Function("f", (), nest)

    f = kernel((t < 1) & (u <= 0))
    assert insert_barriers(f, passes.target) is f
    with pytest.raises(LoweringError, match="only some threads"):
        insert_barriers(kernel(t < 1), passes.target)


def test_separate_thread_loops(passes):
    """Each stage has its own loop over the threads."""
    u = Var("u")
    read = Store(B, (b * 64 + u,), Load(C, (63 - u,)))
    body = Alloc(C, seq(loop(t, 64, FILL, "threadIdx.x"), loop(u, 64, read, "threadIdx.x")))
    g = insert_barriers(
        Function("f", (A, B), loop(b, 4, body, "blockIdx.x"), frozenset({B})), passes.target
    )
    assert str(g).count("barrier") == 1
    verify(g, flat=True)


def test_uniform_branches(passes):
    body = seq(If(b < 2, FILL), If(b < 3, READ, Store(B, (t,), const(0.0))))
    g = insert_barriers(kernel(body), passes.target)
    assert str(g).count("barrier") == 1
    verify(g, flat=True)


def test_guard_on_threads_is_waited_for_outside(passes):
    g = insert_barriers(kernel(seq(FILL, If(t < 60, READ))), passes.target)
    lines = [line.strip() for line in str(g).splitlines()]
    assert lines[lines.index("if t < 60:") - 1] == 'barrier("shared")'
    verify(g, flat=True)


def test_divergent_barrier_is_refused(passes):
    with pytest.raises(LoweringError, match="only some threads of the workgroup arrive"):
        insert_barriers(kernel(If(t < 60, seq(FILL, READ))), passes.target)
    with pytest.raises(LoweringError, match="only some threads of the workgroup arrive"):
        insert_barriers(kernel(loop(k, t, seq(FILL, READ))), passes.target)
    with pytest.raises(LoweringError, match="only some threads"):
        verify(kernel(If(t < 60, Barrier())), flat=True)


def test_a_barrier_left_out_is_caught():
    with pytest.raises(LoweringError, match=r"barrier is missing(.|\n)*= S\[63 - t\]"):
        verify(kernel(seq(FILL, READ)), flat=True)
    half = kernel(loop(k, 8, Seq((FILL, Barrier(), READ))))
    with pytest.raises(LoweringError, match="a barrier is missing"):
        verify(half, flat=True)
    # the read in front of the loop and the first write in it
    with pytest.raises(LoweringError, match="a barrier is missing"):
        verify(kernel(Seq((FILL, Barrier(), READ, loop(k, 8, Seq((FILL, Barrier())))))), flat=True)
    verify(kernel(loop(k, 8, Seq((Barrier(), FILL, Barrier(), READ)))), flat=True)


def test_nothing_shared(passes):
    f = Function("f", (A, B), loop(t, 64, Store(B, (t,), Load(A, (t,)))), frozenset({B}))
    assert insert_barriers(f, passes.target) is f
    assert split_host_device(f, passes.target) is f


def test_launch(passes):
    n = Var("n")
    body = loop(b, (n + 63) // 64, loop(t, 64, READ, "threadIdx.x"), "blockIdx.x")
    f = Function("f", (A, B, n), Alloc(C, body), frozenset({B}))
    launch = split_host_device(f, passes.target).attrs["launch"]
    assert launch["threadIdx.x"] == 64 and str(launch["blockIdx.x"]) == "(n + 63) // 64"


def test_launch_errors(passes):
    u = Var("u")
    two = seq(loop(t, 64, FILL, "threadIdx.x"), loop(u, 32, READ, "threadIdx.x"))
    f = Function("f", (A, B), loop(b, 4, Alloc(C, two), "blockIdx.x"), frozenset({B}))
    with pytest.raises(LoweringError, match=r"extent 32, another one bound to threadIdx.x has 64"):
        split_host_device(f, passes.target)
    inner = loop(k, 4, loop(t, k, Store(B, (t,), const(0.0)), "threadIdx.x"))
    f = Function("f", (A, B), inner, frozenset({B}))
    with pytest.raises(LoweringError, match="not known before the launch"):
        split_host_device(f, passes.target)


def test_a_kernel_of_hundreds_of_barriers(passes):
    """It is refused: drivers take minutes over it, or die."""
    insert_barriers(kernel(seq(*[FILL, READ] * 60)), passes.target)
    with pytest.raises(LoweringError, match=r"would have \d+ barriers, and 128 are the most"):
        insert_barriers(kernel(seq(*[FILL, READ] * 70)), passes.target)
