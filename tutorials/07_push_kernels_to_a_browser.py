"""Push kernels to a browser: run, check and time them there, from a Python prompt here.

Which of two schedules is better depends on the machine that runs them: on its driver, its caches,
its browser. So weft brings the kernel to the machine instead of guessing: a *hub* in this process
brings together *devices* (a browser that has opened its link, another machine with ``weft rpc
serve``) and *clients* (this script). Kernels are compiled here; text, modules and arrays go there.

Run it with ``python tutorials/07_push_kernels_to_a_browser.py``: it opens a Chromium without a
window. To use a browser that you see, run it with ``--wait`` and open the link that it prints. The
words of schedules (stage, bind, compute_at, …) are explained in docs/TE.md, the hub in docs/RPC.md.
"""

import sys

import numpy as np
import weft
from weft import te
from weft.benchmarks.zoo import real
from weft.runtime.rpc.chrome import Chromium

# ---- 1. A hub, and a browser that opens its link ------------------------------------------------
#
# The link has a random token, without which the hub answers nobody. It listens on this machine
# alone; for a phone in the same network there is `weft rpc hub --public`. Devices are known by a
# key; clients ask for one and wait for their turn.

hub = weft.rpc.LocalHub()
link = f"{hub.link}?key=browser"
print(f"open this link in any browser:\n  {link}\n")
page = None if "--wait" in sys.argv else Chromium(link)
remote = weft.rpc.connect(hub.url, token=hub.token, key="browser", timeout=120)
for kind, found in remote.targets.items():
    print(f"{kind:<7} {found['name']}")

# What the device can is part of the target. Kernels for it keep to that.
targets = {kind: remote.target(kind) for kind in ("webgl", "webgpu")}
print(f"\n{targets['webgl']}\n{targets['webgpu']}\n")

# ---- 2. What to compute -------------------------------------------------------------------------
#
# A matrix product whose left operand passes through an activation first: C = silu(A) B. The arrays
# are sent once and stay there: calls read and write them without a transfer.

N = 256
rng = np.random.default_rng(0)
a, b = rng.standard_normal((N, N), np.float32), rng.standard_normal((N, N), np.float32)
expected = (a / (1 + np.exp(-a))) @ b
there = remote.array(a), remote.array(b), remote.empty((N, N))


def product():
    A, B = te.placeholder((N, N), name="A"), te.placeholder((N, N), name="B")
    k = te.reduce_axis(N, name="k")
    silu = te.compute((N, N), lambda i, j: A[i, j] / (1 + te.exp(-A[i, j])), name="silu")
    C = te.compute((N, N), lambda i, j: te.sum(silu[i, k] * B[k, j], axis=k), name="C")
    return A, B, silu, C


def best_of(kind, schedules):
    """Push each, check its numbers, time it; the name of the fastest."""
    times = {}
    for name, make in schedules.items():
        s, args = make()
        kernel = remote.load(weft.build(s, args, targets[kind], name="product"))
        kernel(*there)
        np.testing.assert_allclose(there[2].numpy(), expected, rtol=1e-3, atol=1e-3)
        times[name] = kernel.time(*there, number=3, repeat=5)
        print(f"{kind}, {name}: right; {times[name]}")
        kernel.close()
    best = min(times, key=lambda name: times[name].median)
    print(f"{kind}: the better is {best!r}\n")
    return best


# ---- 3. WebGL: one draw or two? -----------------------------------------------------------------
#
# WebGL has no threads to arrange: a fragment shader computes some elements at its place, and weft
# lays out the draws. What a schedule says is which stages have a draw of their own. Inlined, silu
# is computed again by each fragment that needs it, for all columns of C; with a draw of its own it
# is computed once, stored in a texture, and read again.


def in_one_draw():
    A, B, silu, C = product()
    s = te.create_schedule(C)
    s[silu].compute_inline()
    return s, [A, B, C]


def in_two_draws():
    A, B, silu, C = product()
    s = te.create_schedule(C)
    s[silu].compute_root()
    return s, [A, B, C]


best_of("webgl", {"in one draw": in_one_draw, "in two draws": in_two_draws})

# ---- 4. WebGPU: one element a thread, or a tile? ------------------------------------------------
#
# WebGPU has workgroups of threads. In the first schedule each thread computes one element: it reads
# two numbers for each product. In the second, it computes 4 by 4 in registers: eight numbers read
# for sixteen products.


def bound(s, C, rows, columns):
    """Workgroups of 8 by 8 threads, each with a tile of C."""
    block_y, block_x, i, j = s[C].tile(*C.op.axes, 8 * rows, 8 * columns)
    thread_y, thread_x, i, j = s[C].tile(i, j, rows, columns)
    for loop, where in (
        (block_y, "blockIdx.y"), (block_x, "blockIdx.x"),
        (thread_y, "threadIdx.y"), (thread_x, "threadIdx.x"),
    ):  # fmt: skip
        s[C].bind(loop, te.thread_axis(where))
    return thread_x, j


def silu_first(s, silu):
    """A launch of its own for the activation, one element a thread."""
    block, thread = s[silu].split(s[silu].fuse(*silu.op.axes), 64)
    s[silu].bind(block, te.thread_axis("blockIdx.x"))
    s[silu].bind(thread, te.thread_axis("threadIdx.x"))


def an_element_each():
    A, B, silu, C = product()
    s = te.create_schedule(C)
    silu_first(s, silu)
    bound(s, C, 1, 1)
    return s, [A, B, C]


def a_tile_each():
    A, B, silu, C = product()
    s = te.create_schedule(C)
    silu_first(s, silu)
    tile = s[s.cache_write(C, "local")]  # the sums of one thread, in its registers
    thread_x, j = bound(s, C, 4, 4)
    s[C].vectorize(j)
    tile.compute_at(s[C], thread_x)
    i, j = tile.axes
    k_out, k_in = tile.split(tile.reduce_axes[0], 4)
    tile.reorder(k_out, k_in, i, j)
    tile.unroll(k_in)
    tile.unroll(i)
    tile.vectorize(j)
    return s, [A, B, C]


schedules = {"an element each": an_element_each, "a tile each": a_tile_each}
s, args = schedules[best_of("webgpu", schedules)]()
shaders = weft.build(s, args, targets["webgpu"], name="product").source
last = shaders[shaders.rindex("@compute") :].splitlines()
print("How the better one begins, as the browser got it:", *last[:12], "…\n", sep="\n")

# ---- 5. What goes wrong there is an error here --------------------------------------------------
#
# It says at which step (connect, refused, queue, upload, compile, run, timeout, peer gone). The
# device is as good as before.

try:
    remote.target("opencl")
except weft.WeftError as e:
    print(f"{type(e).__name__}: {e}\n")

# ---- 6. A whole model ---------------------------------------------------------------------------
#
# Nothing changes: compile for the device's target, load, run. The model is EfficientNet-Lite0, a
# MobileNetV2 (inverted residuals, linear bottlenecks, ReLU6) that was made wider and deeper, with
# its trained parameters. Where each millisecond goes is measured there, kernel by kernel.

graph = weft.load(real.efficientnet_lite0(), shapes={"N": 1})
image = real.pixels(real.photo("coffee.png"))
names = real.class_names()
here = weft.compile(graph, target="llvm")(image)
for kind, target in targets.items():
    with remote.load(weft.compile(graph, target=target)) as exe:
        logits = exe(image)
        p = real.softmax(logits)[0]
        top = int(p.argmax())
        error = np.abs(logits - here).max() / np.abs(here).max()
        print(f"{kind}: {names[top]}, {p[top]:.0%}; relative error against llvm here: {error:.0e}")
        assert names[top] == "espresso" and error < 1e-3
        print("\n".join(str(exe.profile(image)).splitlines()[:5]) + "\n  …\n")

# ---- 7. The end ---------------------------------------------------------------------------------
#
# What a client made there is freed with its session; the page waits for the next one.

remote.close()
if page is not None:
    page.end()
hub.close()
print("the next: `weft rpc hub`, a link for your phone, and `weft bench model.onnx --rpc …`")
