// What the wasm device says about code that is wrong. Prints JSON: name of the check -> [error class,
// message], and "blocks": the blocks of memory after the first and after the second `init`.
//
//   node wasm_errors.mjs FOLDER      the folder that run_wasm.mjs takes

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { device } from '../../runtime_js/devices/wasm/device.js';
import { DEFAULT_FLAGS } from '../../runtime_js/flags.js';
import { parseProgram } from '../../runtime_js/program.js';

const folder = process.argv[2];
const [job] = JSON.parse(await readFile(join(folder, 'jobs.json'), 'utf8'));
const json = JSON.parse(await readFile(join(folder, job.program), 'utf8'));
const [[name, file]] = Object.entries(job.codes);
const good = new Uint8Array(await readFile(join(folder, file)));

async function init(code, change = (p) => p, made = device.create(DEFAULT_FLAGS)) {
  const program = parseProgram(change(structuredClone(json)), 'test');
  const all = (list) => list.map((_, k) => k);
  await made.init(program, code ? { [name]: code } : {}, {
    steps: all(program.steps),
    slots: all(program.slots),
    pinned: [],
    roots: all(program.slots),
    flags: DEFAULT_FLAGS,
  });
  return made;
}

const broken = good.slice();
broken.fill(0x7f, 40, 80);
const checks = {
  missing: () => init(undefined),
  html: () => init(new TextEncoder().encode('<!doctype html><title>Not found</title>')),
  empty: () => init(new Uint8Array(0)),
  truncated: () => init(good.slice(0, good.length >> 1)),
  broken: () => init(broken),
  strange: () => init(good.slice(0, 8)), // a module that is empty
  foreign: () =>
    init(good, (p) => {
      for (const k of [...p.kernels, ...p.steps]) {
        if (k.kernel === p.kernels[0].name) k.kernel = 'another';
      }
      p.kernels[0].name = 'another';
      return p;
    }),
  huge: () =>
    init(good, (p) => {
      p.arena = 2 ** 32;
      return p;
    }),
  disposed: async () => {
    const made = await init(good);
    made.dispose();
    await made.download(0);
  },
};
const said = {};
for (const [check, run] of Object.entries(checks)) {
  try {
    await run();
    said[check] = ['nothing', ''];
  } catch (e) {
    said[check] = [e.name, e.message];
  }
}
const made = await init(good);
said.blocks = [made.memory().buffers];
await init(good, undefined, made);
said.blocks.push(made.memory().buffers);
made.dispose();
console.log(JSON.stringify(said));
