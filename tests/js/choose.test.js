// Which program of a bundle is tried first, what is measured, and what is remembered.
import assert from 'node:assert/strict';
import test from 'node:test';

import {
  Choices, clearChoices, measure, preferred, environmentOf, timesText, whyPreferred,
} from '../../runtime_js/choose.js';
import { makeFlags } from '../../runtime_js/flags.js';

const candidate = (kind, found) => ({ entry: { target: kind }, kind, found });
const hardware = (kind) => candidate(kind, { ok: true, reason: `a real ${kind}` });
const software = (kind) => candidate(kind, { ok: true, software: true, reason: `a slow ${kind}` });
const missing = (kind) => candidate(kind, { ok: false, reason: `no ${kind}` });
const kinds = (candidates) => preferred(candidates).map((c) => c.kind).join();

test('hardware in the order of the bundle, then WebAssembly, then software', () => {
  const [gpu, gl, wasm] = ['webgpu', 'webgl', 'wasm'].map(hardware);
  assert.equal(kinds([gpu, gl, wasm]), 'webgpu,webgl,wasm');
  assert.equal(kinds([software('webgpu'), gl, wasm]), 'webgl,wasm,webgpu');
  assert.equal(kinds([software('webgpu'), software('webgl'), wasm]), 'wasm,webgpu,webgl');
  assert.equal(kinds([software('webgpu'), missing('webgl'), missing('wasm')]), 'webgpu');
  assert.equal(kinds([missing('webgpu')]), '');
  const all = [missing('webgpu'), software('webgl'), wasm];
  assert.equal(
    whyPreferred(all, wasm),
    'a real wasm; webgpu is not possible: no webgpu; ' +
      'webgl is software here (a slow webgl), which wasm outruns',
  );
});

test('a few runs are measured, fewer of what is slow', async (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const runs = (...times) => {
    const left = [...times];
    return { left, run: async () => (now += left.shift()) };
  };
  const usual = runs(100, 5, 3, 4, 1);
  assert.equal(await measure(usual.run, Infinity), 3);
  assert.deepEqual(usual.left, [1]);
  const slow = runs(100, 50, 1);
  assert.equal(await measure(slow.run, 10), 50);
  assert.deepEqual(slow.left, [1]);
});

test('a choice is remembered until something changes', async () => {
  const manifest = { programs: [{ target: 'wasm' }], files: { 'a.wasm': { bytes: 1, sha256: 'x' } } };
  const flags = makeFlags();
  const here = environmentOf([hardware('webgpu')], flags);
  const choice = { environment: here, target: 'webgpu', times: { webgpu: 4.25, wasm: 120.4 } };
  assert.equal(timesText(choice.times), 'webgpu 4.3 ms, wasm 120 ms');
  await new Choices(manifest, 'dist/', true).put(choice);
  assert.deepEqual(await new Choices(manifest, 'dist/', true).get(here), choice);
  for (const other of [
    environmentOf([software('webgpu')], flags),
    environmentOf([missing('webgpu')], flags),
    environmentOf([hardware('webgpu')], makeFlags({ threads: 2 })),
  ]) {
    assert.equal(await new Choices(manifest, 'dist/', true).get(other), undefined);
  }
  const files = { 'a.wasm': { bytes: 1, sha256: 'y' } };
  assert.equal(await new Choices({ ...manifest, files }, 'dist/', true).get(here), undefined);
  await new Choices(manifest, 'dist/', true).forget();
  assert.equal(await new Choices(manifest, 'dist/', true).get(here), undefined);
  await new Choices(manifest, 'dist/', true).put(choice);
  assert.equal(await clearChoices(), true);
  assert.equal(await clearChoices(), false);
});
