"""One kernel, from tensor expression to machine code, with every stage printed.

Run it with ``python tutorials/01_one_kernel.py`` from a checkout where weft is installed (``make
demo`` or ``make test`` does that, in ``.venv``).
"""

import timeit

import numpy as np
import weft
from weft import te
from weft.ir.passes.loopnest import build_loop_nest


def title(text):
    print(f"\n\n=== {text} ===\n")


# ---- 1. What to compute -----------------------------------------------------------------------
#
# A matrix product. Nothing here says in which order, with which vectors, on which machine.

M, N, K = 200, 150, 100  # extents need not divide by anything

A = te.placeholder((M, K), name="A")
B = te.placeholder((K, N), name="B")
k = te.reduce_axis((0, K), name="k")
C = te.compute((M, N), lambda i, j: te.sum(A[i, k] * B[k, j], axis=k), name="C")

title("1. the computation")
print(f"C[i, j] = {C.op.body[0]}")

# ---- 2. A schedule that changes nothing -------------------------------------------------------

plain = te.create_schedule(C)
title("2. the loop nest of the default schedule")
print(build_loop_nest(plain, [A, B, C], "plain"))

# ---- 3. How to compute it ---------------------------------------------------------------------
#
# A tile of 4 rows and 32 columns stays in registers while k runs; the columns are vectors. The
# same expressions, so the same numbers: a schedule can make a kernel slow, not wrong.

s = te.create_schedule(C)
tile = s.cache_write(C, "local")
i, j = C.op.axes
i_out, j_out, i_in, j_in = s[C].tile(i, j, 4, 32)
s[C].parallel(i_out)
s[C].vectorize(j_in)
s[tile].compute_at(s[C], j_out)
ti, tj = tile.op.axes
(tk,) = tile.op.reduce_axes
tj_out, tj_in = s[tile].split(tj, 16)
s[tile].reorder(tk, ti, tj_out, tj_in)
s[tile].unroll(ti)
s[tile].unroll(tj_out)
s[tile].vectorize(tj_in)

title("3. the schedule, as the steps that were taken")
print(s.trace)
title("3. its loop nest")
print(build_loop_nest(s, [A, B, C], "tiled"))

# ---- 4. Lowered -------------------------------------------------------------------------------
#
# Buffers become flat, guards are peeled off where they are always true, vectors and unrolled
# copies appear. weft.ir.lower.PASSES is the list of what happens, in order.

slow = weft.build(plain, [A, B, C], name="plain")
fast = weft.build(s, [A, B, C], name="tiled")

title("4. lowered")
print(fast.function)

# ---- 5. LLVM IR and machine code --------------------------------------------------------------


def beginning(text, lines=60):
    rows = text.splitlines()
    rest = len(rows) - lines
    return "\n".join(rows[:lines]) + (f"\n… and {rest} more lines" if rest > 0 else "")


title("5. LLVM IR after optimisation")
print(beginning(fast.source))

title("6. machine code: where the multiply-adds are")
rows = [r for r in fast.assembly.splitlines() if not r.lstrip().startswith(("#", ".", ";"))]
inner = [n for n, r in enumerate(rows) if "fma" in r or "fmla" in r or "mulps" in r]
print("\n".join(rows[max(0, inner[0] - 6) : inner[0] + 20]))
print(f"\nmultiplying vector instructions: {len(inner)}")

# ---- 7. Run it --------------------------------------------------------------------------------

rng = np.random.default_rng(0)
a = rng.standard_normal((M, K), np.float32)
b = rng.standard_normal((K, N), np.float32)
c = np.empty((M, N), np.float32)

title("7. run")
for kernel in (slow, fast):
    c.fill(np.nan)
    kernel(a, b, c)
    assert np.allclose(c, a @ b, rtol=1e-4, atol=1e-4)
    seconds = min(timeit.repeat(lambda run=kernel: run(a, b, c), number=10, repeat=5)) / 10
    print(f"{kernel.name}: right, {2 * M * N * K / seconds * 1e-9:.1f} GFLOP/s")
