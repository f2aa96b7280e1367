/**
 * TensorFlow.js with one back-end.
 *
 * @module
 */

import { script } from './script.js';

const BASE = '/node_modules/@tensorflow';

/**
 * @param {string} backend webgpu, webgl or wasm
 * @param {number} threads of wasm
 * @returns {Promise<any>} the library, ready
 */
export async function library(backend, threads) {
  await script(`${BASE}/tfjs/dist/tf.min.js`);
  const tf = Reflect.get(globalThis, 'tf');
  if (backend === 'wasm') {
    await script(`${BASE}/tfjs-backend-wasm/dist/tf-backend-wasm.min.js`);
    tf.wasm.setWasmPaths(`${BASE}/tfjs-backend-wasm/dist/`);
    tf.wasm.setThreadsCount(threads);
  }
  if (backend === 'webgpu') {
    await script(`${BASE}/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js`);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the back-end ${backend} did not start`);
  await tf.ready();
  return tf;
}
