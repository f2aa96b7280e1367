// Loads bundles, one for each line of the input: {folder, run}. Answers a line with the outputs, or
// with what was thrown and whether that is an error of weft's own.

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

import { load } from '../../runtime_js/index.js';
import { WeftError } from '../../runtime_js/errors.js';
import { parseSafetensors } from '../../runtime_js/params.js';

/** @type {unknown[]} */
let astray = [];
process.on('unhandledRejection', (e) => astray.push(e));
process.on('uncaughtException', (e) => astray.push(e));

async function run({ folder, run: wanted }) {
  const model = await load(folder, { backend: 'wasm' });
  try {
    if (!wanted) return [];
    const bytes = new Uint8Array(await readFile(join(folder, 'feeds.safetensors')));
    const given = [...parseSafetensors(bytes, 'feeds')].map(([name, t]) => [name, t.data]);
    const outputs = await model.run(Object.fromEntries(given));
    return Object.entries(outputs).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape,
      hex: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
    }));
  } finally {
    model.dispose();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  astray = [];
  try {
    answer = { outputs: await run(JSON.parse(line)) };
    await new Promise((done) => setImmediate(done));
    if (astray.length) throw astray[0];
  } catch (e) {
    const text = e instanceof Error ? (e.stack ?? `${e.name}: ${e.message}`) : String(e);
    answer = { error: text, weft: e instanceof WeftError && !astray.length };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
