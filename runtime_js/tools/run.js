/**
 * Runs a bundle once on tensors in a file and gives all outputs as bytes: what the compiler's tools
 * (`weft check`, the tests) do in a page and under Node. Not part of a bundle.
 *
 * @module
 */

import { load } from '../index.js';
import { parseSafetensors } from '../params.js';

/** @typedef {import('../flags.js').Flags} Flags */

/**
 * @typedef {object} Output
 * @property {string} name
 * @property {string} dtype
 * @property {readonly number[]} shape
 * @property {Uint8Array} bytes the elements as they lie in memory
 */

/**
 * @typedef {object} Job
 * @property {string} url of the bundle
 * @property {string} backend
 * @property {Partial<Flags>} flags
 */

/**
 * @param {Job} job
 * @param {Uint8Array} feeds a safetensors file with the inputs by name
 * @returns {Promise<{devices: string[], outputs: Output[]}>}
 */
export async function run({ url, backend, flags }, feeds) {
  const model = await load(url, { backend: /** @type {any} */ (backend), flags });
  try {
    const inputs = [...parseSafetensors(feeds, 'inputs')].map(([name, t]) => [name, t.data]);
    const outputs = await model.run(Object.fromEntries(inputs));
    return { devices: model.devices, outputs: Object.entries(outputs).map(plain) };
  } finally {
    model.dispose();
  }
}

/**
 * @param {[string, import('../tensor.js').Tensor]} entry
 * @returns {Output}
 */
function plain([name, { dtype, shape, data }]) {
  return { name, dtype, shape, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/**
 * The same in a page: feeds are fetched, and outputs are texts in base64, which is what a driver of
 * browsers can carry. An error is an answer, too.
 *
 * @param {Job & {feeds: string}} job
 */
export async function runInPage(job) {
  try {
    const feeds = new Uint8Array(await (await fetch(job.feeds)).arrayBuffer());
    const { devices, outputs } = await run(job, feeds);
    return { devices, outputs: outputs.map((o) => ({ ...o, bytes: base64Of(o.bytes) })) };
  } catch (e) {
    return { error: e instanceof Error ? `${e.name}: ${e.message}` : String(e) };
  }
}

/** @param {Uint8Array} bytes */
function base64Of(bytes) {
  let text = '';
  for (let k = 0; k < bytes.length; k += 8190) {
    text += btoa(String.fromCharCode(...bytes.subarray(k, k + 8190))); // 8190 is a multiple of three
  }
  return text;
}
