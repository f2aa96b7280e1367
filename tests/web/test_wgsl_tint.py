"""Chromium's compiler (Tint) takes the shaders of the goldens without a word, and they compute what
the interpreter does. ``naga``, the other compiler, is tested in ``tests/codegen``."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.alu_cases import casts, converted, edges, expected, operators, pairs, wide
from kernels.gpu_schedules import CASES, kernel
from kernels.webgpu_run import words
from web.conftest import RUNTIME
from web.site_server import Site
from weft.codegen.wgsl.generator import WGSL
from weft.ir.alu import Op
from weft.ir.expr import Const
from weft.ir.meaning import interp
from weft.ir.stmt import Function
from weft.ir.target import Target
from weft.runtime.dtype import ALL_DTYPES

FLAGS = [
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--disable-background-networking",
    "--disable-component-update",
]
COMPILE = """async ({ code, name, buffers, groups }) => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return { adapter: false };
  const device = await adapter.requestDevice();
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  const said = messages.map((m) => `${m.type} ${m.lineNum}: ${m.message}`);
  if (messages.some((m) => m.type === 'error')) return { adapter: true, said };
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto', compute: { module, entryPoint: name },
  });
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const made = buffers.map((data) => {
    const bytes = Uint8Array.from(data);
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const buffer = device.createBuffer({ size: bytes.length, usage });
    device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: made.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(...groups);
  pass.end();
  const backs = buffers.map(({ length: size }, k) => {
    const back = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    encoder.copyBufferToBuffer(made[k], 0, back, 0, size);
    return back;
  });
  device.queue.submit([encoder.finish()]);
  const results = [];
  for (const back of backs) {
    await back.mapAsync(GPUMapMode.READ);
    results.push([...new Uint8Array(back.getMappedRange())]);
  }
  device.destroy();
  return { adapter: true, said, results };
}"""


@pytest.fixture(scope="module")
def gpu_page(launch):
    site = Site({"/runtime_js": RUNTIME})
    browser = launch(*FLAGS)
    page = browser.new_page()
    page.goto(f"{site.url}/blank.html")
    yield page
    browser.close()
    site.close()


def run(page, f: Function, args: list[np.ndarray], target: Target) -> list[np.ndarray]:
    """The arrays of all parameters after ``f`` ran in the page."""
    f = Function("test_kernel", f.params, f.body, f.writes, f.attrs)
    raw = [words(a, b.dtype, target) for a, b in zip(args, f.buffers, strict=True)]
    launch = dict(f.attrs.get("launch", {}))
    given = {
        "code": WGSL().emit([f], target).source,
        "name": f.name,
        "buffers": [r.view(np.uint8).tolist() for r in raw],
        "groups": [int(launch.get(f"blockIdx.{a}", 1)) for a in "xyz"],
    }
    answer = page.evaluate(COMPILE, given)
    if not answer["adapter"]:
        pytest.skip("this Chromium has no WebGPU adapter")
    assert answer["said"] == [], answer["said"]
    with np.errstate(all="ignore"):
        return [
            np.array(got, np.uint8).view(r.dtype)[: a.size].astype(a.dtype).reshape(a.shape)
            for got, r, a in zip(answer["results"], raw, args)
        ]


@pytest.mark.parametrize("make", CASES, ids=lambda m: m.__name__)
def test_kernels(gpu_page, make):
    target = Target.parse("webgpu")
    f = kernel(make, target, make.__name__)
    rng = np.random.default_rng(2)
    shapes = [[n.value for n in b.shape if isinstance(n, Const)] for b in f.buffers]
    args = [rng.integers(-4, 5, s).astype(b.dtype.numpy) for s, b in zip(shapes, f.buffers)]
    want = [a.copy() for a in args]
    interp.run(f, want)
    got = run(gpu_page, f, args, target)
    np.testing.assert_allclose(got[-1], want[-1], rtol=1e-5, atol=1e-7)


TYPES = [d for d in ALL_DTYPES if d.bits < 64]
WEBGPU = Target.parse("webgpu")


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("d", TYPES, ids=str)
def test_operators(gpu_page, d, lanes):
    a, b = pairs(d)
    shares = [frozenset(list(Op)[k : k + 6]) for k in range(0, len(Op), 6)]  # 8 buffers
    for share in shares:
        f, ops = operators(d, lanes, len(a), frozenset(Op) - share)
        if not ops:
            continue
        outs = [np.zeros(len(a), x.dtype.numpy) for x in f.buffers[2:]]
        for op, got in zip(ops, run(gpu_page, f, [a, b, *outs], WEBGPU)[2:]):
            with np.errstate(all="ignore"):
                want = expected(op, a, b).astype(got.dtype)
            if op is Op.DIV:  # 2.5 units in the last place
                np.testing.assert_allclose(wide(got), wide(want), rtol=4e-7)
            else:
                np.testing.assert_array_equal(wide(got), wide(want), err_msg=str(op))


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("source", TYPES, ids=str)
def test_casts(gpu_page, source, lanes):
    a = np.resize(edges(source), 16)
    for goals in (TYPES[:5], TYPES[5:]):
        f = casts(source, goals, lanes)
        outs = [np.zeros(16, x.dtype.numpy) for x in f.buffers[1:]]
        for d, got in zip(goals, run(gpu_page, f, [a, *outs], WEBGPU)[1:]):
            want = converted(a, d)
            np.testing.assert_array_equal(wide(got), wide(want), err_msg=f"{source} to {d}")
