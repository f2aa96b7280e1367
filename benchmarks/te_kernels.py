"""Kernels in te beside numpy, on one thread: a matrix product as one writes it by hand and by our
rules, a transposition, sums over the rows of a matrix.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table

from ..compiler.kernels.build import KernelModule, build
from ..compiler.schedules.auto import auto_schedule
from ..ir import te
from ..ir.expr import Expr
from ..ir.schedule.schedule import Schedule
from ..ir.tensor import Tensor

SIZE, SIDE = 1024, 2048
Call = Callable[[], object]


def _compute(shape: tuple[int, ...], body: Callable[..., Any], name: str) -> Tensor:
    made = te.compute(shape, body, name=name)
    assert isinstance(made, Tensor)
    return made


def gemm_by_hand(m: int, n: int, depth: int) -> tuple[Schedule, list[Tensor]]:
    """C = A B in float32 on a processor with 16 registers of 256 bits: a tile of 6 by 16 sums stays
    in 12 of them (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
    2008). Panels of 16 columns of B are copied first, so that a tile reads them one after another.
    """
    A, B = te.placeholder((m, depth), name="A"), te.placeholder((depth, n), name="B")
    k, last = te.reduce_axis(depth, "k"), te.const(n - 1, "int32")
    panel = _compute(
        (-(-n // 16), depth, 16), lambda p, k, j: B[k, te.minimum(p * 16 + j, last)], name="panel"
    )
    C = _compute((m, n), lambda i, j: te.sum(A[i, k] * panel[j // 16, k, j % 16], k), name="C")
    s = te.create_schedule(C)
    s[panel].vectorize(s[panel].axes[2])
    tile = s[s.cache_write(C, "local")]
    i, j = s[C].axes
    i_out, j_out, i, j = s[C].tile(i, j, 6, 16)
    s[C].reorder(j_out, i_out, i, j)
    s[C].vectorize(j)
    tile.compute_at(s[C], i_out)
    (k_all,), (i, j) = tile.reduce_axes, tile.axes
    k_out, k_in = tile.split(k_all, 8)
    tile.reorder(k_out, k_in, i, j)
    tile.unroll(k_in)
    tile.unroll(i)
    tile.vectorize(j)
    return s, [A, B, C]


def _by_rule(result: Tensor, args: list[Tensor]) -> KernelModule:
    return build(auto_schedule(result), args)


def _cases() -> list[tuple[str, float, str, Call, Call]]:
    """Name, amount of work, its unit, our call, numpy's."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.random((SIZE, SIZE), np.float32) for _ in range(3))
    x, y = rng.random((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
    z, total = rng.random((2 * SIDE, 2 * SIDE), np.float32), np.empty(2 * SIDE, np.float32)
    s, args = gemm_by_hand(SIZE, SIZE, SIZE)
    hand = build(s, args)
    A, B, k = args[0], args[1], te.reduce_axis(SIZE, "k")

    def product(i: Expr, j: Expr) -> Any:
        return te.sum(A[i, k] * B[k, j], k)

    C = _compute((SIZE, SIZE), product, name="C")
    rule = _by_rule(C, [A, B, C])
    X = te.placeholder((SIDE, SIDE), name="X")
    Y = _compute((SIDE, SIDE), lambda i, j: X[j, i], name="Y")
    turned = _by_rule(Y, [X, Y])
    Z, r = te.placeholder(z.shape, name="Z"), te.reduce_axis(2 * SIDE, "r")
    S = _compute((2 * SIDE,), lambda j: te.sum(Z[r, j], r), name="S")
    sums = _by_rule(S, [Z, S])
    flops, moved = 2e-9 * SIZE**3, 2e-9 * x.nbytes
    return [
        ("matrix product 1024^3 by hand", flops, "GFLOP/s", lambda: hand(a, b, c),
         lambda: np.matmul(a, b, out=c)),
        ("matrix product 1024^3 by rule", flops, "GFLOP/s", lambda: rule(a, b, c),
         lambda: np.matmul(a, b, out=c)),
        ("transposition 2048^2", moved, "GB/s", lambda: turned(x, y), lambda: np.copyto(y, x.T)),
        ("sums over rows of 4096^2", 1e-9 * z.nbytes, "GB/s", lambda: sums(z, total),
         lambda: np.sum(z, axis=0, out=total)),
    ]  # fmt: skip


def measure(rounds: int) -> list[dict[str, Any]]:
    """For each kernel what weft and numpy reach by their fastest calls, made in turns, with one
    thread each: in a process of their own, since numpy's libraries ask for that when they load."""
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "WEFT")}
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, str(rounds)],
        env={**os.environ, **one}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _measure(rounds: int) -> list[dict[str, Any]]:
    found = []
    for name, amount, unit, ours, numpys in _cases():
        best = {"weft": float("inf"), "numpy": float("inf")}
        for _ in range(5 * rounds):
            for peer, call in (("weft", ours), ("numpy", numpys)):
                begin = time.perf_counter()
                call()
                best[peer] = min(best[peer], time.perf_counter() - begin)
        rates = {peer: amount / seconds for peer, seconds in best.items()}
        found.append({"kernel": name, "unit": unit, **rates})
    return found


def table(found: list[dict[str, Any]]) -> Table:
    shown = Table(title="te beside numpy, 1 thread")
    shown.add_column("kernel")
    for column in ("weft", "numpy", "", "weft / numpy"):
        shown.add_column(column, justify="right")
    for r in found:
        ratio = f"{r['weft'] / r['numpy']:.2f}"
        shown.add_row(r["kernel"], f"{r['weft']:.1f}", f"{r['numpy']:.1f}", r["unit"], ratio)
    return shown


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
