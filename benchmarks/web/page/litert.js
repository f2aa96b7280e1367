/**
 * LiteRT.js on a model of its own format.
 *
 * @module
 */

const BASE = '/node_modules/@litertjs/core';

/**
 * @param {import('./bench.js').Job} job
 * @returns {Promise<import('./bench.js').Ready>}
 */
export default async function prepare({ backend, file, inputs, threads }) {
  /** @type {any} */
  const lite = await import(`${BASE}/dist/index.js`);
  await lite.loadLiteRt(`${BASE}/wasm/`, { threads: threads > 1 });
  const options = { accelerator: backend, cpuOptions: { numThreads: threads } };
  const model = await lite.loadAndCompile(file, options);
  /** @type {import('./bench.js').Run} */
  const run = async (given) => {
    const tensors = inputs.map(({ shape }, k) => new lite.Tensor(given[k], shape));
    const results = await model.run(tensors);
    const data = await Promise.all(results.map((/** @type {any} */ t) => t.data()));
    for (const t of [...tensors, ...results]) if (!t.deleted) t.delete();
    return data;
  };
  return { run };
}
