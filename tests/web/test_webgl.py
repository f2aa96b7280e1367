"""The WebGL device and the executor, on programs written by hand, in Chromium."""

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
    made = {h.builder.name: h.to_json() for h in handmade.all_handmade()}
    site.answers["/made.json"] = Answer(handmade.text(made), 200, "application/json")
    page.goto(f"{site.url}/blank.html")
    page.evaluate(
        """async () => {
          window.lab = await import('/web/harness.js');
          window.weft = await import('/runtime_js/index.js');
          window.made = await (await fetch('/made.json')).json();
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


def test_half_float_targets(lab: Page) -> None:
    script = """
        const errors = {};
        for (const name of ['add', 'reduction', 'integers', 'constants']) {
          errors[name] = await lab.judge(made[name], { forceHalfFloat: true });
        }
        return errors;"""
    errors = run(lab, script)
    assert errors["integers"] <= 1e-3  # integer textures stay whole; a float has 11 bits
    assert all(1e-6 < errors[k] < 4e-3 for k in ("add", "reduction", "constants")), errors


def test_pool_shares_textures(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.chain);
        const { buffers, bytes } = e.memory();
        e.dispose();
        return [buffers, bytes, e.memory().buffers];"""
    buffers, nbytes, after = run(lab, script)
    assert buffers == 5  # input, output, the first result, and two for the eleven others
    assert nbytes == 5 * 32 * 32 * 16
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


def test_two_thousand_runs_leave_no_trace(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.layers);
        const feeds = lab.feedsOf(made.layers);
        const gl = WebGL2RenderingContext.prototype;
        const counts = {};
        for (const what of ['Texture', 'Buffer', 'Framebuffer', 'Program', 'Query']) {
          for (const [verb, by] of [['create', 1], ['delete', -1]]) {
            const plain = gl[verb + what];
            gl[verb + what] = function (...a) {
              counts[what] = (counts[what] ?? 0) + by;
              return plain.apply(this, a);
            };
          }
        }
        const plain = [gl.fenceSync, gl.deleteSync];
        let syncs = 0;
        gl.fenceSync = function (...a) { syncs++; return plain[0].apply(this, a); };
        gl.deleteSync = function (...a) { syncs--; return plain[1].apply(this, a); };
        const memory = async () => {
          return { ...e.memory(), counts: JSON.stringify(counts), syncs };
        };
        for (let k = 0; k < 50; k++) await e.run(feeds);
        const before = await memory();
        for (let k = 0; k < 1950; k++) await e.run(feeds);
        const after = await memory();
        e.dispose();
        return { before, after };"""
    both = run(lab, script)
    assert both["before"] == both["after"]
    assert both["after"]["syncs"] == 0


def test_lost_context_rejects_and_the_next_call_works(lab: Page) -> None:
    script = """
        const contexts = [];
        const plain = OffscreenCanvas.prototype.getContext;
        OffscreenCanvas.prototype.getContext = function (...a) {
          const gl = plain.apply(this, a);
          contexts.push(gl);
          return gl;
        };
        const e = await lab.executorOf(made.constants);
        const feeds = lab.feedsOf(made.constants);
        await e.run(feeds);
        const errors = [];
        for (let k = 0; k < 3; k++) {
          const running = lab.outcome(e.run(feeds));
          contexts.at(-1).getExtension('WEBGL_lose_context').loseContext();
          errors.push((await running).error);
          errors.push(lab.worst(await e.run(feeds), made.constants.expected));
        }
        contexts.at(-1).getExtension('WEBGL_lose_context').loseContext(); // while nothing runs
        errors.push(lab.worst(await e.run(feeds), made.constants.expected));
        const made2 = contexts.length;
        e.dispose();
        const alive = contexts.filter((c) => !c.isContextLost()).length;
        return { errors, contexts: made2, alive };"""
    found = run(lab, script)
    assert found["errors"][0::2][:3] == ["ContextLostError"] * 3
    assert all(e <= 1e-5 for e in [*found["errors"][1::2], found["errors"][-1]])
    assert found["contexts"] == 5
    assert found["alive"] == 0


def test_abort(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.chain);
        const feeds = lab.feedsOf(made.chain);
        const stop = new AbortController();
        const running = lab.outcome(e.run(feeds, { signal: stop.signal }));
        const queued = lab.outcome(e.run(feeds, { signal: stop.signal }));
        const other = lab.outcome(e.run(feeds));
        stop.abort('enough');
        const late = lab.outcome(e.run(feeds, { signal: stop.signal }));
        const errors = [(await running).error, (await queued).error, (await late).error];
        const fine = lab.worst((await other).value, made.chain.expected);
        e.dispose();
        return { errors, fine, after: (await lab.outcome(e.run(feeds))).error };"""
    found = run(lab, script)
    assert found["errors"] == ["AbortError"] * 3
    assert found["fine"] <= 1e-5
    assert found["after"] == "DisposedError"


def test_dispose_while_running(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.chain);
        const running = lab.outcome(e.run(lab.feedsOf(made.chain)));
        e.dispose();
        return (await running).error;"""
    assert run(lab, script) == "DisposedError"


def test_wrong_inputs_are_named(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.integers);
        const good = lab.feedsOf(made.integers);
        const { Tensor } = weft;
        const bad = [
          { ...good, pixel: good.pixels },
          { pixels: good.pixels, index: good.index },
          { ...good, pixels: new Float32Array(18) },
          { ...good, pixels: new Uint8Array(17) },
          { ...good, pixels: new Tensor('uint8', [9, 2], new Uint8Array(18)) },
          { ...good, pixels: [[1, 2, 3, 4, 5, 6, 7, 8, 256], [1, 2, 3, 4, 5, 6, 7, 8, 9]] },
          { ...good, index: new BigInt64Array(18).fill(2n ** 40n) },
          undefined,
        ];
        const messages = [];
        for (const feeds of bad) messages.push(await lab.outcome(e.run(feeds)));
        const rows = [[1, 2, 3, 4, 5, 6, 7, 8, 255], new Uint8ClampedArray(9)];
        const lists = { ...good, pixels: rows };
        const { u } = await e.run(lists);
        e.dispose();
        return { messages, u: Array.from(u.data) };"""
    found = run(lab, script)
    messages = found["messages"]
    assert [m["error"] for m in messages] == ["InputError"] * 8
    texts = [m["message"] for m in messages]
    assert "there is no input 'pixel'" in texts[0] and "did you mean 'pixels'?" in texts[0]
    assert "expected:\n    pixels: uint8[2, 9]\n    index: int64[2, 9]" in texts[0]
    assert "the input 'mask' is missing" in texts[1]
    assert "is a Float32Array, not uint8" in texts[2]
    assert "has 17 elements, not the 18 of [2, 9]" in texts[3]
    assert "has shape [9, 2], not [2, 9]" in texts[4]
    assert "has the value 256" in texts[5]
    assert "1099511627776, which 32 bits do not hold" in texts[6]
    assert found["u"] == [254, 253, 252, 251, 250, 249, 248, 247, 0, *[255] * 9]


def test_debug_names_the_first_kernel_that_gives_nan(lab: Page) -> None:
    script = """
        const bad = structuredClone(made.chain);
        const { code } = bad.program.kernels[4];
        bad.codes[code] = bad.codes[code].replace('float value(int i) {',
          'float value(int i) { if (i == 77) return sqrt(at_h(0) * 0.0 - 1.0);');
        const fine = await lab.judge(made.chain, { debug: true });
        const nan = await lab.outcome(lab.judge(bad, { debug: true }));
        const feeds = lab.feedsOf(made.chain);
        feeds.x.data[5] = NaN;
        const e = await lab.executorOf(made.chain, { debug: true });
        const input = await lab.outcome(e.run(feeds));
        e.dispose();
        return { fine, nan, input };"""
    found = run(lab, script)
    assert found["fine"] <= 1e-5
    assert found["nan"]["error"] == found["input"]["error"] == "NumericError"
    assert "'chain_4' (step 4) gave NaN, at element 77 of 'h4'" in found["nan"]["message"]
    assert "the input 'x' has NaN at element 5" in found["input"]["message"]


def test_profile_has_every_kernel(lab: Page) -> None:
    script = """
        const e = await lab.executorOf(made.chain);
        const rows = await e.profile(undefined, { repeat: 3 });
        e.dispose();
        return rows;"""
    rows = run(lab, script)
    assert [r["label"] for r in rows[1:12]] == [f"step {k}" for k in range(1, 12)]
    assert len(rows) == 13
    assert all(r["device"] == "webgl" and r["ms"] >= 0 for r in rows)


def test_devices_that_are_too_small(lab: Page) -> None:
    script = """
        const results = [];
        const huge = ['max_texture_size=65536', 'max_draw_buffers=64', 'texture_units=99'];
        for (const option of huge) {
          const big = structuredClone(made.add);
          big.program.target = 'webgl -' + option;
          results.push(await lab.outcome(lab.judge(big)));
        }
        return results;"""
    found = run(lab, script)
    assert [f["error"] for f in found] == ["DeviceError"] * 3
    assert "its texture size is 8192, the model was compiled for 65536" in found[0]["message"]
    assert "draw buffers is 8, the model was compiled for 64" in found[1]["message"]
    assert "texture units" in found[2]["message"]


def test_shaders_that_are_refused(lab: Page) -> None:
    script = """
        const bad = structuredClone(made.add);
        bad.codes.add_0 = bad.codes.add_0.replace('at_x(i) +', 'at_q(i) +');
        return lab.outcome(lab.judge(bad));"""
    found = run(lab, script)
    assert found["error"] == "DeviceError"
    assert "the shader of the kernel 'add_0' was refused" in found["message"]
    assert "float value(int i) { return at_q(i) + at_y(i); }" in found["message"]


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


# Calls that wait for the graphics process, and through it for the kernels before them.
BLOCKING = {
    "checkFramebufferStatus", "finish", "getActiveUniform", "getBufferSubData", "getError",
    "getParameter", "getProgramInfoLog", "getProgramParameter", "getShaderInfoLog",
    "getShaderParameter", "getUniformLocation", "readPixels to memory", "waiting clientWaitSync",
}  # fmt: skip


@pytest.mark.parametrize("name", ["chain", "layers"])
def test_the_page_is_not_blocked(lab: Page, name: str) -> None:
    """While kernels run, the page's thread is free: no call that waits for them, and timers fire.

    The fence is made to answer that it is still pending until three timers have fired. A runtime
    that waited in any other way than by giving the thread back would wait forever.
    """
    script = """
        const e = await lab.executorOf(made[argument]);
        const feeds = lab.feedsOf(made[argument]);
        const gl = WebGL2RenderingContext.prototype;
        let log = [], ticks = 0, ticking = true;
        const all = Object.getOwnPropertyDescriptors(gl);
        for (const [name, { value: plain }] of Object.entries(all)) {
          if (typeof plain !== 'function') continue;
          gl[name] = function (...a) {
            let what = name;
            if (name === 'readPixels' && ArrayBuffer.isView(a[6])) what += ' to memory';
            if (name === 'clientWaitSync' && a[2] > 0) what = 'waiting clientWaitSync';
            if (name === 'clientWaitSync') {
              const answer = ticks < 3 ? this.TIMEOUT_EXPIRED : plain.apply(this, a);
              log.push(answer === this.TIMEOUT_EXPIRED ? what : 'signalled');
              return answer;
            }
            log.push(what);
            return plain.apply(this, a);
          };
        }
        const runs = [];
        for (let k = 0; k < 2; k++) { // the first run looks for errors, too
          log = [];
          ticks = 0;
          ticking = true;
          const tick = () => {
            ticks++;
            if (ticking) setTimeout(tick, 1);
          };
          setTimeout(tick, 1);
          await e.run(feeds);
          ticking = false;
          runs.push({ log, ticks });
          await new Promise((go) => setTimeout(go, 2));
        }
        e.dispose();
        return runs;"""
    for found in run(lab, script, name):
        log = found["log"]
        last_draw = max(k for k, what in enumerate(log) if what == "drawArrays")
        signalled = log.index("signalled")
        assert not BLOCKING & set(log[:signalled])
        assert not (BLOCKING - {"getBufferSubData", "getError"}) & set(log)
        assert last_draw < log.index("clientWaitSync") < signalled
        for k, what in enumerate(log):  # each output has a fence of its own
            if what == "getBufferSubData":
                assert log[:k].count(what) < log[:k].count("signalled")
        assert found["ticks"] >= 3
