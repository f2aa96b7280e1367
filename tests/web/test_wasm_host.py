"""The host runtime inside a wasm module: large local buffers, memory that stays flat, parallel
loops on several threads."""

import numpy as np
import pytest
from web.wasm_node import NodeRunner, need_tools
from weft.codegen.wasm import generator as wasm
from weft.ir.expr import Const, Load, Var
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, Store, seq
from weft.ir.target import Target
from weft.runtime.artifact import Kernel, Param, Program, Slot, Step
from weft.runtime.dtype import INT32

ROWS, WIDTH = 37, 1 << 16  # a local buffer of 256 KiB in each iteration


def c(n: int) -> Const:
    return Const(n, INT32)


def reversed_sums() -> Function:
    """y[r] = x[r] + (0 + 1 + … + WIDTH - 1) mod 2^32, through a buffer filled backwards."""
    x, y = Buffer("x", INT32, (c(ROWS),)), Buffer("y", INT32, (c(ROWS),))
    t, r, i, j = Buffer("t", INT32, (c(WIDTH),)), Var("r"), Var("i"), Var("j")
    fill = For(i, c(0), c(WIDTH), ForKind.SERIAL, Store(t, (c(WIDTH - 1) - i,), i))
    start = Store(y, (r,), Load(x, (r,)))
    add = Store(y, (r,), Load(y, (r,)) + Load(t, (j,)))
    total = For(j, c(0), c(WIDTH), ForKind.SERIAL, add)
    body = Alloc(t, seq(fill, start, total))
    rows = For(r, c(0), c(ROWS), ForKind.PARALLEL, body)
    return Function("reversed_sums", (x, y), rows, frozenset({y}))


def program(target: Target) -> Program:
    sizes = ("int32", (ROWS,), (ROWS,), 4 * ROWS)
    params = tuple(Param(n, "int32", (ROWS,), a) for n, a in (("x", "r"), ("y", "w")))
    return Program(
        "sums", str(target),
        (Slot("x", "input", *sizes), Slot("between", "arena", *sizes), Slot("y", "output", *sizes)),
        (Kernel("reversed_sums", params, wasm.MODULE),),
        (Step("reversed_sums", (0, 1)), Step("reversed_sums", (1, 2))),
        {"x": 0}, {"y": 2}, 4 * ROWS,
    )  # fmt: skip


@pytest.mark.parametrize("text, threads", [("wasm", 1), ("wasm -threads", 1), ("wasm -threads", 4)])
def test_local_buffers(text, threads, tmp_path):
    need_tools()
    target = Target.parse(text)
    code = wasm.emit([reversed_sums()], target).object
    assert b"aligned_alloc" in code, "the buffer no longer comes from the heap"
    codes, _ = wasm.link({"reversed_sums": code}, target)
    x = np.arange(ROWS, dtype=np.int32) * 1000
    runner = NodeRunner(tmp_path)
    runner.add(program(target), codes, {}, {"x": x}, repeat=30)
    [answer] = runner.run(threads)
    total = np.arange(WIDTH, dtype=np.int64).sum()
    expected = (x + 2 * total).astype(np.uint64).astype(np.uint32).view(np.int32)
    np.testing.assert_array_equal(answer.outputs["y"], expected)
    # one buffer a thread, whatever the number of iterations and runs
    room = answer.facts["after"] - (2 << 20)
    assert room <= threads * ((WIDTH * 4) + (2 << 20)), answer.facts
