/** The parts of the runtime that need no device. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'node:test';

import {
  AbortError, BundleError, DeviceError, InputError, Tensor, WeftError, load, memory, tidy,
} from '../../runtime_js/index.js'; // prettier-ignore
import { DTYPES } from '../../runtime_js/dtype.js';
import { Executor } from '../../runtime_js/executor.js';
import { makeFlags } from '../../runtime_js/flags.js';
import { Params } from '../../runtime_js/params.js';
import { makePlan, sharePool } from '../../runtime_js/plan.js';
import { optionsOf, parseProgram } from '../../runtime_js/program.js';
import { sha256, sha256Plain } from '../../runtime_js/sha256.js';
import { bind } from '../../runtime_js/tensor.js';

const slot = (name, kind, more = {}) => ({
  name, kind, dtype: 'float32', shape: [4], physical: [4], nbytes: 16, offset: 0, source: '',
  layout: '', layers: 1, ...more,
}); // prettier-ignore

const param = (access) => ({ name: `p${access}`, dtype: 'float32', shape: [4], access });

/** x -> double -> h -> double (elsewhere) -> y */
const program = (change = () => {}) => {
  const json = {
    format: 'weft-program', version: 1, name: 'two', target: 'here -width=4',
    slots: [slot('x', 'input'), slot('h', 'arena'), slot('y', 'output')],
    kernels: [{ name: 'double', params: [param('r'), param('w')], code: 'c', launch: {} }],
    steps: [
      { kernel: 'double', args: [0, 1], label: 'first', device: '' },
      { kernel: 'double', args: [1, 2], label: 'second', device: 'there' },
    ],
    inputs: { x: 0 }, outputs: { y: 2 }, arena: 16, alignment: 64, meta: {},
  }; // prettier-ignore
  change(json);
  return json;
};

/** A device whose kernels double numbers, and which notes what it is asked. */
class Doubler {
  constructor(kind, log) {
    Object.assign(this, { kind, log, description: kind, limits: {}, mayBeLost: false, lost: false });
    this.slots = new Map();
  }

  async init(program, _codes, options) {
    this.program = program;
    this.log.push(`${this.kind}: init ${options.slots}`);
  }

  upload(slot, data) {
    this.log.push(`${this.kind}: upload ${slot}`);
    this.slots.set(slot, data.slice());
  }

  async download(slot) {
    this.log.push(`${this.kind}: download ${slot}`);
    return this.slots.get(slot).slice();
  }

  run(begin, end) {
    this.log.push(`${this.kind}: run ${begin} ${end}`);
    for (let k = begin; k < end; k++) {
      const [from, to] = this.program.steps[k].args;
      this.slots.set(to, this.slots.get(from).map((v) => 2 * v));
    }
  }

  async finish() {}

  async time(begin, end) {
    this.run(begin, end);
    return new Float64Array(end - begin).fill(1);
  }

  memory() {
    return { buffers: this.slots.size, bytes: 16 * this.slots.size };
  }

  dispose() {
    this.log.push(`${this.kind}: dispose`);
  }
}

function executor(json, log, flags = {}) {
  const devices = ['here', 'there', 'unused'].map((kind) => new Doubler(kind, log));
  const parsed = parseProgram(json, 'test');
  return new Executor(parsed, {}, new Params(new Map(), true), devices, makeFlags(flags));
}

test('tensors move between devices', async () => {
  const log = [];
  const e = executor(program(), log);
  const { y } = await e.run({ x: [1, 2, 3, 4] });
  assert.deepEqual(y.data, Float32Array.of(4, 8, 12, 16));
  assert.deepEqual(log, [
    'unused: dispose',
    'here: init 0,1',
    'there: init 1,2',
    'here: upload 0',
    'here: run 0 1',
    'here: download 1',
    'there: upload 1',
    'there: run 1 2',
    'there: download 2',
  ]);
  const rows = await e.profile({ x: [0, 0, 0, 0] }, { repeat: 2 });
  assert.deepEqual(
    rows.map((r) => [r.label, r.device]),
    [
      ['first', 'here'],
      ['h: here to there', 'there'],
      ['second', 'there'],
    ],
  );
  assert.deepEqual(e.memory(), { buffers: 4, bytes: 64 });
  e.dispose();
  await assert.rejects(e.run({ x: [1, 2, 3, 4] }), { name: 'DisposedError' });
});

test('names that mean something else to JavaScript', async () => {
  const names = ['__proto__', 'constructor', 'toString'];
  const table = (of) => Object.fromEntries(names.map((name, k) => [name, of(name, k)]));
  const json = program((p) => {
    p.slots = [...names.map((n) => slot(n, 'input')), ...names.map((n) => slot(`${n}'`, 'output'))];
    p.steps = names.map((n, k) => ({ kernel: 'double', args: [k, k + 3], label: n, device: '' }));
    [p.inputs, p.outputs] = [table((_, k) => k), table((_, k) => k + 3)];
  });
  const e = executor(JSON.parse(JSON.stringify(json)), []);
  const outputs = await e.run(table((_, k) => [k, k, k, k]));
  assert.deepEqual(Object.keys(outputs), names);
  names.forEach((name, k) => assert.equal(outputs[name].data[3], 2 * k));
  assert.equal(outputs.valueOf, undefined);
  await assert.rejects(e.run({}), { name: 'InputError', message: /__proto__.*constructor.*missing/ });
  assert.equal((await e.profile()).length, 3);
});

test('sizes for which there is no memory', () => {
  for (const shape of [[2 ** 52], [2 ** 40, 2 ** 40], [-1]]) {
    assert.throws(() => Tensor.zeros('float32', shape), { name: 'DeviceError' });
  }
});

test('a rebuild that was stopped is begun anew', async () => {
  // y = 2 c, for a constant c that the device loses together with everything else.
  const json = program((p) => {
    p.slots = [slot('c', 'constant', { source: 'c' }), slot('y', 'output')];
    p.steps = [{ kernel: 'double', args: [0, 1], label: 'only', device: '' }];
    [p.inputs, p.outputs, p.arena] = [{}, { y: 1 }, 0];
  });
  const log = [];
  const device = new Doubler('here', log);
  device.mayBeLost = true;
  device.init = async (parsed, _codes, { signal }) => {
    Object.assign(device, { lost: false, program: parsed });
    device.slots.clear();
    log.push('init');
    await new Promise((go) => setTimeout(go));
    if (signal?.aborted) throw new AbortError('compiling was aborted.');
  };
  const c = { dtype: DTYPES.float32, shape: [4], data: Float32Array.of(1, 2, 3, 4) };
  const params = new Params(new Map([['c', c]]), true);
  const e = new Executor(parseProgram(json, 'test'), {}, params, [device], makeFlags());
  assert.deepEqual((await e.run({})).y.data, Float32Array.of(2, 4, 6, 8));
  device.lost = true;
  const stop = new AbortController();
  const stopped = e.run({}, { signal: stop.signal });
  stop.abort();
  await assert.rejects(stopped, { name: 'AbortError' });
  assert.deepEqual((await e.run({})).y.data, Float32Array.of(2, 4, 6, 8));
  assert.deepEqual(log.filter((l) => l === 'init').length, 3);
  e.dispose();
});

test('programs that do not fit together', () => {
  const wrong = {
    'not a weft program': (p) => (p.format = 'x'),
    'has version 99': (p) => (p.version = 99),
    'slots is not a list': (p) => (p.slots = 5),
    'slots[1].nbytes is not a size': (p) => (p.slots[1].nbytes = -1),
    'slots[0].name is not a text': (p) => (p.slots[0] = null),
    'two slots have the same name': (p) => (p.slots[1].name = 'x'),
    'is of no kind': (p) => (p.slots[1].kind = 'magic'),
    "there is no dtype 'toString'": (p) => (p.slots[1].dtype = 'toString'),
    'has 20 bytes for [4]': (p) => (p.slots[1].nbytes = 20),
    'has less room than elements': (p) => (p.slots[0].shape = [2 ** 30, 2 ** 20]),
    'has 3 layers': (p) => (p.slots[1].layers = 3),
    'lies outside the arena': (p) => (p.slots[1].offset = 64),
    "the kernel 'double' is missing": (p) => p.kernels.pop(),
    'does not fit its parameters': (p) => p.steps[0].args.pop(),
    "must not write the slot 'x'": (p) => p.steps[0].args.reverse(),
    "cannot take the slot 'h'": (p) => (p.kernels[0].params[1].shape = [5]),
    'an input or output names no slot': (p) => (p.outputs.z = 7),
    'an input has no slot of its own': (p) => (p.inputs.z = 0),
    "nothing gives 'x'": (p) => (p.inputs = {}),
    'is no alias of': (p) => p.slots.push(slot('a', 'alias', { source: 'gone' })),
    'is an alias of itself': (p) => p.slots.push(slot('a', 'alias', { source: 'a' })),
  };
  parseProgram(program(), 'here');
  for (const [message, change] of Object.entries(wrong)) {
    assert.throws(
      () => parseProgram(program(change), 'here'),
      (e) => e instanceof BundleError && e.message.includes(message),
      message,
    );
  }
  assert.throws(() => parseProgram(null, 'here'), BundleError);
  const planless = {
    "wants the device 'gone'": (p) => (p.steps[0].device = 'gone'),
    "reads 'h' before it is written": (p) => p.steps.reverse(),
    "nothing writes the output 'y'": (p) => p.steps.pop(),
  };
  for (const [message, change] of Object.entries(planless)) {
    const parsed = parseProgram(program(change), 'here');
    assert.throws(() => makePlan(parsed, ['here', 'there']), { message: new RegExp(message) });
  }
});

test('a pool never gives a kernel its operand to write into', () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 48271) % 0x7fffffff) % n;
  for (let round = 0; round < 50; round++) {
    const count = 2 + random(12);
    const json = program((p) => {
      p.slots = [slot('x', 'input')];
      p.steps = [];
      p.arena = 1024;
      for (let k = 1; k <= count; k++) {
        const physical = [4, 8][random(2)];
        p.slots.push(
          slot(`t${k}`, 'arena', { shape: [4], physical: [physical], nbytes: 4 * physical }),
        );
        p.steps.push({ kernel: 'double', args: [random(k), k], label: '', device: '' });
      }
      p.outputs = { y: count };
    });
    const parsed = parseProgram(json, 'here');
    const plan = makePlan(parsed, ['here']);
    const { steps, slots, pinned } = plan.devices.get('here');
    const shape = (k) => `${parsed.slots[k].physical}`;
    const need = (k) => parsed.slots[k].nbytes;
    // Storage of equal shapes, or of any size that is large enough.
    const [kind, bytes] = round % 2 ? [shape] : [() => '', need];
    const { place, sizes } = sharePool(parsed, plan.roots, steps, slots, pinned, kind, bytes);
    // Run it on names: every read must find what its own slot was given.
    const storage = new Array(sizes.length);
    const kinds = [shape(0)];
    storage[place.get(0)] = 0;
    for (const { args } of parsed.steps) {
      assert.equal(storage[place.get(args[0])], args[0]);
      assert.notEqual(place.get(args[0]), place.get(args[1]));
      if (bytes) assert.ok(sizes[place.get(args[1])] >= need(args[1]));
      else assert.ok((kinds[place.get(args[1])] ??= shape(args[1])) === shape(args[1]));
      storage[place.get(args[1])] = args[1];
    }
    assert.equal(storage[place.get(count)], count);
  }
});

test('SHA-256', async () => {
  for (const length of [0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 1000, 100000]) {
    const bytes = Uint8Array.from({ length }, (_, k) => (k * 7 + length) & 255);
    const want = createHash('sha256').update(bytes).digest('hex');
    assert.equal(sha256Plain(bytes), want);
    assert.equal(await sha256(bytes), want);
  }
});

test('what run is given', () => {
  const specs = [
    { name: 'image', dtype: 'float16', shape: [2, 2] },
    { name: 'ids', dtype: 'int64', shape: [] },
    { name: 'mask', dtype: 'bool', shape: [1] },
  ];
  const good = { image: [[1, 1.5], [0, -2]], ids: 7, mask: [true] }; // prettier-ignore
  const arrays = bind(specs, good, 'model');
  assert.deepEqual(arrays[0], Uint16Array.of(0x3c00, 0x3e00, 0, 0xc000));
  assert.deepEqual(arrays[1], BigInt64Array.of(7n));
  assert.deepEqual(arrays[2], Uint8Array.of(1));
  const data = Uint16Array.of(1, 2, 3, 4);
  assert.equal(bind(specs, { ...good, image: data }, 'm')[0], data);
  const wrong = {
    "there is no input 'imagee'": { ...good, imagee: 1 },
    "did you mean 'image'": { ...good, imagee: 1 },
    "the inputs 'ids', 'mask' are missing": { image: good.image },
    'has 3 elements along axis 0, not the 2 of \\[2, 2\\]': { ...good, image: [1, 2, 3] },
    'has more than 0 axes': { ...good, ids: [7] },
    'has the value 1.5': { ...good, ids: 1.5 },
    'has the value 1, which bool is not': { ...good, mask: [1] },
    'has dtype float32, not float16': { ...good, image: Tensor.zeros('float32', [2, 2]) },
    'it has as many elements': { ...good, image: Tensor.zeros('float16', [4]) },
    'is a Float32Array, not float16': { ...good, image: new Float32Array(4) },
    'has 5 elements, not the 4': { ...good, image: new Uint16Array(5) },
    'takes a table of inputs by name': new Float32Array(4),
  };
  for (const [message, feeds] of Object.entries(wrong)) {
    const about = { name: 'InputError', message: new RegExp(message) };
    assert.throws(() => bind(specs, feeds, 'model'), about);
  }
  assert.throws(() => bind(specs, null, 'model'), InputError);
  assert.throws(() => new Tensor('int32', [2], new Int32Array(3)), InputError);
  assert.throws(() => new Tensor('int32', [3], new Float32Array(3)), InputError);
  assert.equal(String(Tensor.zeros('bool', [2, 3])), 'bool[2, 3]');
});

test('flags and targets', () => {
  assert.equal(makeFlags({ debug: true }).debug, true);
  assert.throws(() => makeFlags({ debgu: true }), { name: 'InputError', message: /forceHalfFloat/ });
  assert.throws(() => makeFlags({ debug: 1 }), { name: 'InputError', message: /is a boolean/ });
  assert.deepEqual(optionsOf('webgl -float_bits=16 --threads -mattr=+a=b'), {
    float_bits: '16', threads: '1', mattr: '+a=b',
  }); // prettier-ignore
});

/** A bundle in a folder, and what load says of it. */
async function loading(files, options) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-'));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    for (const where of [folder, `${folder}/bundle.json`, pathToFileURL(`${folder}/`)]) {
      await assert.rejects(load(where, options), (e) => e instanceof WeftError);
    }
    return await load(folder, options).catch((e) => e);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function manifest(files, change = {}) {
  const about = Object.entries(files).map(([name, content]) => {
    const sha = createHash('sha256').update(content).digest('hex');
    return [name, { bytes: Buffer.byteLength(content), sha256: sha }];
  });
  return JSON.stringify({
    format: 'weft-bundle', version: 1, name: 'm', meta: {}, files: Object.fromEntries(about),
    programs: [
      { target: 'wasm', program: 'p.json', codes: { wasm: 'k.wasm' }, params: ['w.safetensors'] },
    ],
    ...change,
  }); // prettier-ignore
}

test('bundles that are damaged', async () => {
  const parts = { 'p.json': '{"format": "x"}', 'k.wasm': 'abc', 'w.safetensors': 'abcdefghij' };
  const good = { ...parts, 'bundle.json': manifest(parts) };
  const cases = [
    [/bundle.json is missing/, {}],
    [/bundle.json is not right: the server sent a web page/, { 'bundle.json': '<!doctype html>' }],
    [/is not JSON/, { 'bundle.json': '{' }],
    [/not that of a weft bundle/, { 'bundle.json': '{}' }],
    [/version 9, this weft reads 1/, { 'bundle.json': manifest(parts, { version: 9 }) }],
    [/malformed/, { 'bundle.json': manifest(parts, { programs: [{}] }) }],
    ...[undefined, null, 'k.wasm', { wasm: 7 }].map((codes) => {
      const entry = { target: 'wasm', program: 'p.json', codes, params: [] };
      return [/malformed/, { 'bundle.json': manifest(parts, { programs: [entry] }) }];
    }),
    [/malformed/, { 'bundle.json': manifest(parts, { files: { 'p.json': { bytes: -1, sha256: '' } } }) }],
    [/malformed/, { 'bundle.json': manifest(parts, { meta: 'none' }) }],
    [/does not describe the file p.json/, { 'bundle.json': manifest({}) }],
    [/k.wasm is missing/, { ...good, 'k.wasm': undefined }],
    [/k.wasm is not right: the server sent a web page/, { ...good, 'k.wasm': ' <HTML>' }],
    [/it is truncated: it should have 10 bytes and has 9/, { ...good, 'w.safetensors': 'abcdefghi' }],
    [/it is too long/, { ...good, 'w.safetensors': 'abcdefghijk' }],
    [/its SHA-256 is not/, { ...good, 'w.safetensors': 'abcdefghiX' }],
    [/the parameters are damaged/, good],
  ];
  for (const [message, files] of cases) {
    const kept = Object.entries(files).filter(([, content]) => content !== undefined);
    const e = await loading(Object.fromEntries(kept));
    assert.ok(e instanceof BundleError, `${message}: ${e}`);
    assert.match(e.message, message);
    assert.ok(e.where && !/\.\.\//.test(e.where));
  }
  const outside = manifest(parts, {
    programs: [{ target: 'wasm', program: '../p.json', codes: {}, params: [] }],
    files: { '../p.json': { bytes: 1, sha256: '' } },
  });
  assert.match((await loading({ 'bundle.json': outside })).message, /is no file of a bundle/);
});

test('backends that are not there', async () => {
  const files = { 'bundle.json': manifest({}, { programs: [
    { target: 'webgl', program: 'p.json', codes: {}, params: [] },
    { target: 'webgpu', program: 'p.json', codes: {}, params: [] },
    { target: 'webnn', program: 'p.json', codes: {}, params: [] },
  ] }) }; // prettier-ignore
  const e = await loading(files);
  assert.ok(e instanceof DeviceError);
  assert.match(e.message, /webgl: there is no WebGL2 here/);
  assert.match(e.message, /webgpu: there is no WebGPU here/);
  assert.match(e.message, /webnn: this version of weft has no backend 'webnn'/);
  assert.match((await loading(files, { backend: 'wasm' })).message, /no program for 'wasm'/);
  assert.ok((await loading(files, { backend: 'cuda' })) instanceof InputError);
  const stop = AbortSignal.abort();
  assert.equal((await loading(files, { signal: stop })).name, 'AbortError');
});

test('nothing is left when nothing was loaded', async () => {
  await assert.rejects(tidy(({ load: l }) => l('/nowhere')), BundleError);
  assert.equal(await tidy(() => 5), 5);
  assert.deepEqual(memory(), { models: 0, buffers: 0, bytes: 0 });
});
