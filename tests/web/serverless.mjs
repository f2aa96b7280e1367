// node --expose-gc serverless.mjs FOLDER CALLS < request.json: answers of the handler, and what its
// warm calls leave in memory, as JSON.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, calls] = process.argv.slice(2);
const { handler } = await import(pathToFileURL(`${folder}/handler.mjs`).href);
const body = readFileSync(0, 'utf8');
const first = await handler({ body });
const encoded = await handler({ body: Buffer.from(body).toString('base64'), isBase64Encoded: true });
const wrong = [];
for (const bad of [undefined, '', '{}', '{"image": 5}', '{"image": "bm8gSlBFRw=="}']) {
  wrong.push(await handler({ body: bad }));
}
const used = async () => {
  globalThis.gc();
  await new Promise((next) => setTimeout(next, 100)); // buffers are freed by a task of its own
  globalThis.gc();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return { heapUsed, arrayBuffers, external };
};
for (let k = 0; k < 20; k++) await handler({ body });
const before = await used();
for (let k = 0; k < Number(calls); k++) await handler({ body });
console.log(JSON.stringify({ first, encoded, wrong, before, after: await used() }));
