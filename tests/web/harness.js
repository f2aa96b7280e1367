/** Runs programs that a test hands over as data, and judges the results. Served to test pages. */

import { Tensor } from '/runtime_js/index.js';
import { DEVICES } from '/runtime_js/devices/table.js';
import { dtypeOf } from '/runtime_js/dtype.js';
import { Executor } from '/runtime_js/executor.js';
import { makeFlags } from '/runtime_js/flags.js';
import { Params, parseSafetensors } from '/runtime_js/params.js';
import { kindOf, parseProgram } from '/runtime_js/program.js';

const create = async (kind, flags) => (await DEVICES[kind].module()).create(flags);

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

export function tensor({ dtype, shape, data }) {
  const bytes = bytesOf(data);
  const d = dtypeOf(dtype);
  return new Tensor(dtype, shape, d.view(bytes.buffer, 0, bytes.length / d.bytes));
}

export async function executorOf(handmade, flags = {}) {
  const all = makeFlags(flags);
  const program = parseProgram(handmade.program, 'handmade');
  const params = new Params(parseSafetensors(bytesOf(handmade.shard), 'handmade'), true);
  const kind = kindOf(program.target);
  const devices = [await create(kind, all)];
  const executor = new Executor(program, { [kind]: handmade.codes }, params, devices, all);
  await executor.prepare();
  return executor;
}

export function feedsOf(handmade) {
  return Object.fromEntries(Object.entries(handmade.feeds).map(([k, v]) => [k, tensor(v)]));
}

/** The largest |got - want| / max(1, |want|) of all outputs; Infinity where types or NaN differ. */
export function worst(outputs, expected) {
  const names = Object.keys(expected).sort();
  if (String(Object.keys(outputs).sort()) !== String(names)) return Infinity;
  let worst = 0;
  for (const name of names) {
    const want = tensor(expected[name]);
    const got = outputs[name];
    if (String(got) !== String(want)) return Infinity;
    const numbers = got.toNumbers();
    want.toNumbers().forEach((w, k) => {
      const error = Object.is(w, numbers[k]) ? 0 : Math.abs(w - numbers[k]) / Math.max(1, Math.abs(w));
      worst = Math.max(worst, Number.isNaN(error) ? Infinity : error);
    });
  }
  return worst;
}

export async function judge(handmade, flags = {}) {
  const executor = await executorOf(handmade, flags);
  try {
    const first = worst(await executor.run(feedsOf(handmade)), handmade.expected);
    const second = worst(await executor.run(feedsOf(handmade)), handmade.expected);
    return Math.max(first, second);
  } finally {
    executor.dispose();
  }
}

/** A compiled program: codes and parameters in base64, feeds as tensors. Outputs likewise. */
export async function outputsOf({ program, codes, shard, feeds }, flags = {}) {
  const all = makeFlags(flags);
  const parsed = parseProgram(program, 'compiled');
  const logical = program.meta.params === 'logical';
  const params = new Params(parseSafetensors(bytesOf(shard), 'compiled'), logical);
  const texts = {};
  const modules = {};
  for (const [name, code] of Object.entries(codes)) {
    if (name.endsWith('.wasm')) modules[name] = bytesOf(code);
    else texts[name] = new TextDecoder().decode(bytesOf(code));
  }
  const own = kindOf(parsed.target);
  const devices = own === 'wasm' ? [] : [await create(own, all)];
  if (Object.keys(modules).length) devices.push(await create('wasm', all));
  const executor = new Executor(parsed, { [own]: texts, wasm: modules }, params, devices, all);
  try {
    await executor.prepare();
    const given = Object.fromEntries(Object.entries(feeds).map(([k, v]) => [k, tensor(v)]));
    const outputs = await executor.run(given);
    return Object.fromEntries(Object.entries(outputs).map(([k, t]) => [k, base64Of(t.data)]));
  } finally {
    executor.dispose();
  }
}

function base64Of(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = '';
  for (let k = 0; k < bytes.length; k += 8192) {
    text += String.fromCharCode(...bytes.subarray(k, k + 8192));
  }
  return btoa(text);
}

/** What a promise came to: {value} or {error, message, detail}. */
export async function outcome(promise) {
  try {
    return { value: await promise };
  } catch (e) {
    return { error: e.name, message: e.message, detail: e.detail };
  }
}
