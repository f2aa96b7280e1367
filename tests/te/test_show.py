"""What ``print(s)`` and ``kernel.show()`` show."""

import weft
from weft import te

TA = te.thread_axis


def blur():
    A = te.placeholder((64, 66), name="A")
    k = te.reduce_axis(3, "k")
    P = te.compute((64, 66), lambda i, j: A[i, j] * 2.0, name="P")
    T = te.compute((64, 64), lambda i, j: te.sum(P[i, j + k], axis=k), name="T")
    B = te.compute((64, 64), lambda i, j: T[i, j] + 1.0, name="B")
    return A, P, k, T, B


WORKGROUPS = """\
# P is computed inline, in T
# B: float32[64, 64], a result
for i.outer in 7:  # blockIdx.x
  for j.outer in 4:  # blockIdx.y
    # A.shared: float32[10, 18] in shared, 720 bytes
    # computed here: A.shared[i.outer * 10 : i.outer * 10 + 10, j.outer * 16 : j.outer * 16 + 18]
    for i0.i1.fused.outer in 2:
      for i0.i1.fused.inner in 160:
        A.shared[i0, i1] = A[i0, i1]  # where i0.i1.fused.outer * 160 + i0.i1.fused.inner < 180
    for i.inner in 10:  # threadIdx.y
      for j.inner in 16:  # threadIdx.x
        # T: float32[1, 1] in local, 4 bytes
        # computed here: T[i.outer * 10 + i.inner, j.outer * 16 + j.inner]
        for i in 1:
          for j in 1:
            for k in 3:  # reduce, unrolled, unroll_max=16
              T[i, j] += A.shared[i, j + k] * 2.0
        B[i, j] = T[i, j] + 1.0  # where i.outer * 10 + i.inner < 64"""


def test_boxes_scopes_and_annotations():
    A, P, k, T, B = blur()
    s = te.create_schedule(B)
    s[P].compute_inline()
    L = s.cache_read(A, "shared", [P])
    xo, yo, xi, yi = s[B].tile(*B.op.axis, 10, 16)
    for loop, tag in ((xo, "blockIdx.x"), (yo, "blockIdx.y"), (xi, "threadIdx.y")):
        s[B].bind(loop, TA(tag))
    s[B].bind(yi, TA("threadIdx.x"))
    s[T].compute_at(s[B], yi)
    s[T].set_scope("local")
    s[L].compute_at(s[B], yo)
    s[L].split(s[L].fuse(*L.op.axis), 160)
    s[T].pragma(k, "unroll_max", 16)
    s[T].unroll(k)
    assert str(s) == WORKGROUPS


def test_what_cannot_be_inferred_yet_is_shown_with_the_reason():
    _, P, _, T, B = blur()
    s = te.create_schedule(B)
    s[P].compute_at(s[B], B.op.axis[0])
    text = str(s)
    assert "P: float32[64, 66] in global, 16896 bytes, computed at i" in text
    last = text.splitlines()[-1]
    assert last.startswith("# the boxes are not known: P is computed at the loop i of B, but T")
    s[T].compute_at(s[B], B.op.axis[0])
    assert "not known" not in str(s) and "P[i, 0 : 66]" in str(s)


def test_loops_that_are_no_more():
    _, P, k, T, B = blur()
    s = te.create_schedule(B)
    s[P].compute_at(s[T], k)
    s.cache_write(T, "local")
    assert "P[i, j] = A[i, j] * 2.0" in str(s)
    assert "not known: P is computed at k, which is no longer a loop of T" in str(s)


def test_symbolic_extents_and_several_results():
    n = te.var("n")
    X = te.placeholder((n,), name="X")
    Y = te.compute((n,), lambda i: X[i] + 1.0, name="Y")
    Z, W = te.compute((n,), lambda i: (Y[i], X[i] * 3.0), name="Z")
    s = te.create_schedule([Z, W])
    o, i = s[Z].split(Z.op.axis[0], 8)
    s[Y].compute_at(s[Z], o)
    s[Z].parallel(o)
    s[Z].vectorize(i)
    assert (
        str(s)
        == """\
# Z: float32[n], a result
for i.outer in (n + 7) // 8:  # parallel
  # Y: float32[8] in global, 32 bytes
  # computed here: Y[i.outer * 8 : i.outer * 8 + 8]
  for i in 8:
    Y[i] = X[i] + 1.0
  for i.inner in 8:  # vectorized
    Z.v0[i] = Y[i]
    Z.v1[i] = X[i] * 3.0  # where i.outer * 8 + i.inner < n"""
    )


def test_a_kernel_is_shown_in_a_terminal_and_in_a_notebook():
    A = te.placeholder((64,), name="A")
    B = te.compute((64,), lambda i: te.if_then_else(A[i] < 2.0, A[i], 0.0), name="B")
    kernel = weft.build(te.create_schedule(B), [A, B])
    text = str(kernel.show())
    titles = ["## schedule", "# B: float32[64]", "## loop nest", "def main(", "## source for llvm"]
    assert sorted(titles, key=text.index) == titles and "define" in text
    assert repr(kernel.show()) == text and "## assembly" in str(kernel.show(assembly=True))
    page = kernel.show()._repr_html_()
    assert page.count("<td") == 3 and "A[i] &lt; 2.0" in page
