// Calls a bundle's model many times under Node, in rounds, and prints what memory was in use after
// each of them, as JSON.
//
//   node --expose-gc node_stress.mjs BUNDLE CALLS

import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const ROUNDS = 5;

const [bundle, calls] = process.argv.slice(2);
const weft = await import(pathToFileURL(join(bundle, 'weft.js')).href);
const model = await weft.load(bundle, { backend: 'wasm' });
const feeds = Object.fromEntries(
  model.inputs.map(({ name, shape }) => [
    name,
    new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5),
  ]),
);

/** Memory after everything that can be collected is. */
async function used() {
  for (let k = 0; k < 4; k++) {
    globalThis.gc();
    await new Promise((done) => setTimeout(done, 20));
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  return { heapUsed, external, arrayBuffers, rss, weft: weft.memory() };
}

const [first] = Object.values(await model.run(feeds));
const readings = [];
for (let round = 0; round < ROUNDS; round++) {
  for (let k = 0; k < Number(calls); k++) await model.run(feeds);
  readings.push(await used());
}
const [last] = Object.values(await model.run(feeds));
const same = first.data.every((v, k) => Object.is(v, last.data[k]));
model.dispose();
console.log(JSON.stringify({ readings, same, disposed: weft.memory() }));
