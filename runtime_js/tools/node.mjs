// Runs bundles under Node: node node.mjs FOLDER
//
// FOLDER/jobs.json is a list of {url, feeds, backend, flags, out}: paths relative to FOLDER. `out`.bin
// gets the elements of all outputs, `out`.json their types, or the error.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from './run.js';

const folder = process.argv[2];

for (const job of JSON.parse(await readFile(join(folder, 'jobs.json'), 'utf8'))) {
  try {
    const feeds = new Uint8Array(await readFile(join(folder, job.feeds)));
    const { devices, outputs } = await run({ ...job, url: join(folder, job.url) }, feeds);
    await writeFile(join(folder, `${job.out}.bin`), Buffer.concat(outputs.map((o) => o.bytes)));
    const types = outputs.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    await writeFile(join(folder, `${job.out}.json`), JSON.stringify({ devices, outputs: types }));
  } catch (e) {
    const error = `${e.name}: ${e.message}`;
    await writeFile(join(folder, `${job.out}.json`), JSON.stringify({ error }));
  }
}
process.exit(0); // idle workers of a thread pool must not keep Node here
