// Runs programs under Node on their wasm modules and writes their outputs.
//
//   node run_wasm.mjs FOLDER [THREADS]
//
// FOLDER/jobs.json is a list of {program, codes: {name: file}, params, feeds, out, repeat}; programs
// are JSON, params and feeds safetensors. `out`.bin gets the raw elements of all outputs and
// `out`.json where they lie, the memory in use and, when `repeat` is given, milliseconds of each
// run and step.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { device } from '../../runtime_js/devices/wasm/device.js';
import { Executor } from '../../runtime_js/executor.js';
import { makeFlags } from '../../runtime_js/flags.js';
import { Params, parseSafetensors } from '../../runtime_js/params.js';
import { parseProgram } from '../../runtime_js/program.js';

const [folder, threads = '1'] = process.argv.slice(2);
const flags = makeFlags({ threads: Number(threads) });
const read = (name) => readFile(join(folder, name)).then((b) => new Uint8Array(b));
const tensors = async (name) => parseSafetensors(await read(name), name);

/** The model of a job, ready to run. */
async function prepare(job) {
  const program = parseProgram(JSON.parse(await readFile(join(folder, job.program), 'utf8')), '');
  const codes = {};
  for (const [name, file] of Object.entries(job.codes)) codes[name] = await read(file);
  const there = await device.available(flags, program.target);
  if (!there.ok) throw new Error(there.reason);
  const params = new Params(await tensors(job.params), program.meta.params === 'logical');
  const executor = new Executor(program, { wasm: codes }, params, [device.create(flags)], flags);
  await executor.prepare();
  return executor;
}

async function write(out, results, facts) {
  const parts = [];
  const index = {};
  let offset = 0;
  for (const [name, t] of Object.entries(results)) {
    const bytes = new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
    parts.push(bytes);
    index[name] = { dtype: t.dtype, shape: t.shape, offset };
    offset += bytes.length;
  }
  await writeFile(join(folder, `${out}.bin`), Buffer.concat(parts));
  await writeFile(join(folder, `${out}.json`), JSON.stringify({ outputs: index, ...facts }));
}

for (const job of JSON.parse(await readFile(join(folder, 'jobs.json'), 'utf8'))) {
  const executor = await prepare(job);
  const feeds = await tensors(job.feeds);
  const inputs = Object.fromEntries([...feeds].map(([name, t]) => [name, t.data]));
  const results = await executor.run(inputs);
  const before = executor.memory().bytes;
  const runs = [];
  for (let k = 0; k < (job.repeat ?? 0); k++) {
    const begin = performance.now();
    await executor.run(inputs);
    runs.push(performance.now() - begin);
  }
  const steps = job.repeat ? await executor.profile(inputs, { repeat: job.repeat }) : [];
  const facts = { runs, steps, before, after: executor.memory().bytes };
  await write(job.out, results, { ...facts, device: executor.devices.get('wasm')?.description });
  executor.dispose();
}
