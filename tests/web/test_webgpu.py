"""The WebGPU device, on programs written by hand, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from web import handmade
from web.site_server import Answer, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent


@pytest.fixture
def lab(page: Page, site: Site) -> Page:
    """A page with the harness as ``lab`` and every program written by hand as ``made``."""
    site.mounts["/web"] = HERE
    made = {h.builder.name: h.to_json() for h in handmade.all_handmade("webgpu")}
    site.answers["/made.json"] = Answer(handmade.text(made), 200, "application/json")
    page.goto(f"{site.url}/blank.html")
    page.evaluate(
        """async () => {
          window.lab = await import('/web/harness.js');
          window.weft = await import('/runtime_js/index.js');
          window.gpu = (await import('/runtime_js/devices/webgpu/device.js')).device;
          window.made = await (await fetch('/made.json')).json();
          window.devices = [];
          const plain = GPUAdapter.prototype.requestDevice;
          GPUAdapter.prototype.requestDevice = async function (...a) {
            const device = await plain.apply(this, a);
            devices.push(device);
            return device;
          };
        }"""
    )
    return page


def run(page: Page, script: str, argument: Any = None) -> Any:
    return page.evaluate(f"async (argument) => {{ {script} }}", argument)


def test_results(lab: Page) -> None:
    script = """
        const errors = {};
        for (const name of Object.keys(made)) errors[name] = await lab.judge(made[name]);
        return errors;"""
    errors = run(lab, script)
    assert set(errors) == {"add", "reduction", "layers", "integers", "constants", "chain"}
    assert {k: e for k, e in errors.items() if not e <= 1e-5} == {}


def test_pool_shares_buffers(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.chain);
        const { buffers, bytes } = e.memory();
        e.dispose();
        return [buffers, bytes, e.memory().buffers];"""
    buffers, nbytes, after = run(lab, script)
    assert buffers == 5  # input, output, the first result, and two for the eleven others
    assert nbytes == 5 * 64 * 64 * 4
    assert after == 0


def test_runs_of_one_model_do_not_mix(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.add);
        const runs = [];
        for (let k = 0; k < 8; k++) {
          const x = new Float32Array(185).fill(k), y = new Float32Array(185).fill(10 * k);
          runs.push(e.run({ x, y }));
          x.fill(-1);
        }
        const results = await Promise.all(runs);
        e.dispose();
        return results.map(({ z }) => [z.data[0], z.data[184]]);"""
    assert run(lab, script) == [[11 * k, 11 * k] for k in range(8)]


def test_a_run_is_one_submission_and_leaves_no_trace(lab: Page) -> None:
    """Two outputs and four kernels: one submission; nothing is made but what is given back."""
    script = """
        const e = await lab.executorOf(made.layers);
        const feeds = lab.feedsOf(made.layers);
        await e.run(feeds);
        const counts = { submissions: 0, made: 0 };
        const submit = GPUQueue.prototype.submit;
        GPUQueue.prototype.submit = function (...a) {
          counts.submissions++;
          return submit.apply(this, a);
        };
        for (const what of ['Buffer', 'BindGroup', 'ComputePipeline', 'QuerySet']) {
          const plain = GPUDevice.prototype['create' + what];
          GPUDevice.prototype['create' + what] = function (...a) {
            counts.made++;
            return plain.apply(this, a);
          };
        }
        const before = e.memory();
        for (let k = 0; k < 2000; k++) await e.run(feeds);
        const after = e.memory();
        const error = lab.worst(await e.run(feeds), made.layers.expected);
        e.dispose();
        return { before, after, counts, error };"""
    found = run(lab, script)
    assert found["before"] == found["after"]
    assert found["counts"] == {"submissions": 2001, "made": 0}
    assert found["error"] <= 1e-5


def test_lost_device_rejects_and_the_next_call_works(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.constants);
        const feeds = lab.feedsOf(made.constants);
        await e.run(feeds);
        const errors = [];
        for (let k = 0; k < 3; k++) {
          const running = lab.outcome(e.run(feeds));
          devices.at(-1).destroy();
          errors.push((await running).error);
          errors.push(lab.worst(await e.run(feeds), made.constants.expected));
        }
        devices.at(-1).destroy(); // while nothing runs
        await devices.at(-1).lost;
        errors.push(lab.worst(await e.run(feeds), made.constants.expected));
        const count = devices.length;
        e.dispose();
        const reasons = await Promise.all(devices.map((d) => d.lost));
        return { errors, count, reasons: reasons.length };"""
    found = run(lab, script)
    assert found["errors"][0::2][:3] == ["ContextLostError"] * 3
    assert all(e <= 1e-5 for e in [*found["errors"][1::2], found["errors"][-1]])
    assert found["count"] == found["reasons"] == 5


def test_abort_and_dispose(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.chain);
        const feeds = lab.feedsOf(made.chain);
        const stop = new AbortController();
        const running = lab.outcome(e.run(feeds, { signal: stop.signal }));
        const queued = lab.outcome(e.run(feeds, { signal: stop.signal }));
        const other = lab.outcome(e.run(feeds));
        stop.abort('enough');
        const errors = [(await running).error, (await queued).error];
        const fine = lab.worst((await other).value, made.chain.expected);
        const last = lab.outcome(e.run(feeds));
        e.dispose();
        errors.push((await last).error, (await lab.outcome(e.run(feeds))).error);
        return { errors, fine };"""
    found = run(lab, script)
    assert found["errors"] == ["AbortError"] * 2 + ["DisposedError"] * 2
    assert found["fine"] <= 1e-5


def test_integers_that_32_bits_do_not_hold(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.integers);
        const feeds = lab.feedsOf(made.integers);
        const index = new BigInt64Array(18).fill(2n ** 40n);
        const found = await lab.outcome(e.run({ ...feeds, index }));
        e.dispose();
        return found;"""
    found = run(lab, script)
    assert found["error"] == "InputError"
    assert "1099511627776, which 32 bits do not hold" in found["message"]


def test_debug_names_the_first_kernel_that_gives_nan(lab: Page) -> None:
    script = """
        const bad = structuredClone(made.chain);
        const { code } = bad.program.kernels[4];
        bad.codes[code] = bad.codes[code].replace('fn value(i: i32) -> f32 {',
          'fn value(i: i32) -> f32 { if (i == 77) { return sqrt(at_h(0) * 0 - 1); }');
        const fine = await lab.judge(made.chain, { debug: true });
        return { fine, nan: await lab.outcome(lab.judge(bad, { debug: true })) };"""
    found = run(lab, script)
    assert found["fine"] <= 1e-5
    assert found["nan"]["error"] == "NumericError"
    assert "'chain_4' (step 4) gave NaN, at element 77 of 'h4'" in found["nan"]["message"]


@pytest.mark.parametrize("clock", [True, False])
def test_profile_has_every_kernel(lab: Page, clock: bool) -> None:
    script = """
        if (!argument) { // a browser without time stamps
          Object.defineProperty(GPUAdapter.prototype, 'features', { get: () => new Set() });
        }
        const e = await lab.executorOf(made.chain);
        const clock = devices[0].features.has('timestamp-query');
        const rows = await e.profile(undefined, { repeat: 3 });
        const { bytes } = e.memory();
        await e.profile(undefined, { repeat: 3 });
        const flat = bytes === e.memory().bytes;
        e.dispose();
        return { rows, clock, flat };"""
    found = run(lab, script, clock)
    rows = found["rows"]
    assert found["clock"] == clock and found["flat"]
    assert [r["label"] for r in rows[1:12]] == [f"step {k}" for k in range(1, 12)]
    assert len(rows) == 13
    assert all(r["device"] == "webgpu" and r["ms"] >= 0 for r in rows)


def test_devices_that_are_too_small(lab: Page) -> None:
    script = """
        const results = [];
        for (const option of argument) {
          const big = structuredClone(made.add);
          big.program.target = 'webgpu -' + option;
          const { ok, reason } = await gpu.available({}, big.program.target);
          results.push({ ok, reason, ...(await lab.outcome(lab.judge(big))) });
        }
        const wide = structuredClone(made.add);
        wide.program.kernels[0].launch = { 'blockIdx.x': 1, 'threadIdx.x': 99999 };
        results.push(await lab.outcome(lab.judge(wide)));
        return results;"""
    memory, float16, wide = run(lab, script, ["shared_bytes=99999999", "has_float16"])
    assert [f["error"] for f in (memory, float16, wide)] == ["DeviceError"] * 3
    assert not memory["ok"] and "memory of a workgroup in bytes is" in memory["reason"]
    assert "memory of a workgroup in bytes is" in memory["message"]
    assert "not 99999999" in memory["message"]
    assert "it has no 16-bit floats" in float16["message"] and not float16["ok"]
    assert "width of a workgroup is 256, not 99999" in wide["message"]


def test_more_than_the_promised_limits_is_asked_for(lab: Page) -> None:
    script = """
        const big = structuredClone(made.add);
        big.program.target = 'webgpu -shared_bytes=32768';
        const error = await lab.judge(big);
        const [device] = devices;
        const { maxComputeWorkgroupStorageSize: memory, maxStorageBufferBindingSize: binding } =
          device.limits;
        return { error, memory, binding };"""
    found = run(lab, script)
    assert found["error"] <= 1e-5
    assert found["memory"] == 32768 and found["binding"] == 2**27


def test_shaders_that_are_refused(lab: Page) -> None:
    script = """
        const bad = structuredClone(made.add);
        bad.codes.add_0 = bad.codes.add_0.replace('at_x(i) +', 'at_q(i) +');
        const other = structuredClone(made.add);
        other.codes.add_0 = other.codes.add_0.replace('fn add_0', 'fn sub_0');
        const found = [await lab.outcome(lab.judge(bad)), await lab.outcome(lab.judge(other))];
        delete other.codes.add_0;
        return [...found, await lab.outcome(lab.judge(other))];"""
    bad, other, missing = run(lab, script)
    assert {f["error"] for f in (bad, other, missing)} == {"DeviceError"}
    assert "the shader of the kernel 'add_0' was refused" in bad["message"]
    assert "fn value(i: i32) -> f32 { return at_q(i) + at_y(i); }" in bad["message"]
    assert "add_0" in other["message"]
    assert "the shader 'add_0' is missing" in missing["message"]


def test_errors_of_a_run_name_the_kernel(lab: Page) -> None:
    """A launch that WebGPU refuses, in the first run and later."""
    script = """
        const pass = GPUComputePassEncoder.prototype;
        const plain = [pass.setPipeline, pass.dispatchWorkgroups];
        let kernel = '', broken = '';
        pass.setPipeline = function (p) {
          kernel = p.label;
          return plain[0].call(this, p);
        };
        pass.dispatchWorkgroups = function (...blocks) {
          return plain[1].apply(this, kernel === broken ? [70000] : blocks);
        };
        const e = await lab.executorOf(made.chain);
        const feeds = lab.feedsOf(made.chain);
        const found = [];
        broken = 'chain_3';
        found.push(await lab.outcome(e.run(feeds)));
        broken = '';
        found.push(lab.worst(await e.run(feeds), made.chain.expected));
        broken = 'chain_5';
        found.push(await lab.outcome(e.run(feeds)));
        found.push(await lab.outcome(e.run(feeds)));
        broken = '';
        found.push(lab.worst(await e.run(feeds), made.chain.expected));
        e.dispose();
        return found;"""
    first, fine, later, again, end = run(lab, script)
    assert [f["error"] for f in (first, later, again)] == ["DeviceError"] * 3
    assert "the kernel 'chain_3' (step 3) failed" in first["message"]
    assert "the kernel 'chain_5' (step 5) failed" in again["message"]
    assert fine <= 1e-5 and end <= 1e-5


def test_why_there_is_no_webgpu(lab: Page) -> None:
    script = """
        const found = [await gpu.available({}, 'webgpu')];
        const plain = GPU.prototype.requestAdapter;
        GPU.prototype.requestAdapter = async () => null;
        found.push(await gpu.available({}, ''));
        GPU.prototype.requestAdapter = plain;
        Object.defineProperty(navigator, 'gpu', { value: undefined, configurable: true });
        found.push(await gpu.available({}, ''));
        Object.defineProperty(globalThis, 'isSecureContext', { value: false });
        found.push(await gpu.available({}, ''), await lab.outcome(lab.judge(made.add)));
        return found;"""
    here, adapter, gone, insecure, error = run(lab, script)
    limits = here.pop("limits")
    assert here == {"ok": True, "software": True, "reason": "WebGPU, google swiftshader"}
    assert limits["max_threads"] >= 256 and limits["shared_bytes"] >= 16384
    assert adapter == {"ok": False, "reason": "the browser has WebGPU, but no adapter for it"}
    assert gone == {"ok": False, "reason": "there is no WebGPU here"}
    assert "this page is not a secure context" in insecure["reason"]
    assert error["error"] == "DeviceError" and insecure["reason"] in error["message"]


def test_in_a_worker(lab: Page, site: Site) -> None:
    worker = b"""
        import { judge } from '/web/harness.js';
        const made = await (await fetch('/made.json')).json();
        postMessage({ layers: await judge(made.layers), page: typeof document });"""
    site.answers["/worker.js"] = Answer(worker, 200, "text/javascript")
    script = """
        const worker = new Worker('/worker.js', { type: 'module' });
        return new Promise((done, failed) => {
          worker.onmessage = (m) => done(m.data);
          worker.onerror = failed;
        });"""
    found = run(lab, script)
    assert found["page"] == "undefined"
    assert found["layers"] <= 1e-5
