/**
 * The threads of a wasm module: a shared memory, and workers that share its parallel loops.
 *
 * @module
 */

import { DeviceError, messageOf } from '../../errors.js';

const STACK_BYTES = 1 << 20; // of a worker
const MOST_WORKERS = 15;

/**
 * Start the workers of a module's thread pool.
 *
 * @param {WebAssembly.Module} module
 * @param {WebAssembly.Memory} memory
 * @param {{wanted: number, most: number}} threads the caller's among them: how many to use (0: as
 *   many as the machine has), and at most (0: any number)
 * @param {(bytes: number) => number} alloc
 * @param {{terminate: () => unknown}[]} workers gets each worker as soon as it exists
 * @returns {Promise<number>} of workers, when all of them are about to serve
 * @throws {DeviceError} when a worker cannot be started
 */
export async function startWorkers(module, memory, threads, alloc, workers) {
  const wanted = Math.max(threads.wanted || (await processors()), 1);
  const count = Math.min(wanted - 1, (threads.most || Infinity) - 1, MOST_WORKERS);
  const started = [];
  for (let number = 1; number <= count; number++) {
    const stack = alloc(STACK_BYTES) + STACK_BYTES;
    started.push(startWorker({ module, memory, stack, number }, workers));
  }
  await Promise.all(started);
  return count;
}

/**
 * A shared memory with as much room to grow as the browser grants.
 *
 * @param {string} where
 */
export function sharedMemory(where) {
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: 32, maximum, shared: true });
    } catch (cause) {
      if (maximum > 1024) continue;
      throw new DeviceError('the browser refused a shared memory.', { where, cause });
    }
  }
}

/** Whether this thread may sleep; a page's own must not. */
export function mayWait() {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

/** How many threads the machine runs at once. */
async function processors() {
  const offered = globalThis.navigator?.hardwareConcurrency;
  if (offered) return offered;
  const os = await nodeModule('node:os');
  return /** @type {number} */ (os.availableParallelism?.() ?? os.cpus().length);
}

/**
 * A worker that serves the pool; it runs until it is terminated.
 *
 * @param {{module: WebAssembly.Module, memory: WebAssembly.Memory, stack: number, number: number}}
 *   message
 * @param {{terminate: () => unknown}[]} workers gets the new one at once
 * @returns {Promise<void>} when it is about to serve
 */
async function startWorker(message, workers) {
  /** @type {(cause: unknown) => DeviceError} */
  const failure = (cause) =>
    new DeviceError(`a worker thread could not be started: ${messageOf(cause)}.`, {
      where: 'wasm',
      hint: "the page's security policy must allow workers of its own (worker-src 'self')",
      cause,
    });
  if (typeof Worker === 'function') {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    workers.push(worker);
    await new Promise((resolve, reject) => {
      worker.onmessage = (e) => (e.data === 'ready' ? resolve(undefined) : reject(failure(e.data)));
      worker.onerror = (e) => reject(failure(e.message || 'its script cannot be loaded'));
      worker.postMessage(message);
    });
    return;
  }
  const threads = await nodeModule('node:worker_threads');
  const worker = new threads.Worker(new URL('./worker.js', import.meta.url));
  workers.push(worker);
  await new Promise((resolve, reject) => {
    worker.once('message', (/** @type {string} */ m) =>
      m === 'ready' ? resolve(undefined) : reject(failure(m)),
    );
    worker.once('error', (/** @type {unknown} */ e) => reject(failure(e)));
    worker.postMessage(message);
  });
  worker.unref(); // a sleeping worker does not keep the process alive
}

/**
 * A module of Node's own; its name is no literal so that bundlers for the web leave it alone.
 *
 * @param {string} name
 * @returns {Promise<any>}
 */
function nodeModule(name) {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ name);
}
