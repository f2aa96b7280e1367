/**
 * The script of one worker of a wasm module's thread pool. It gets the compiled module and the
 * shared memory in one message, answers 'ready' (or what went wrong), and from then on never leaves
 * the module: it sleeps in there until there is work, and ends when it is terminated.
 *
 * @module
 */

/**
 * @param {{module: WebAssembly.Module, memory: WebAssembly.Memory, stack: number, number: number}}
 *   job `stack` is the upper end of the stack that this worker owns
 * @param {(answer: string) => void} answer
 */
function serve({ module, memory, stack, number }, answer) {
  /** @type {any} */
  let host;
  try {
    host = new WebAssembly.Instance(module, { env: { memory } }).exports;
    host.__stack_pointer.value = stack;
  } catch (e) {
    answer(String(e));
    return;
  }
  answer('ready');
  host.weft_worker(number);
}

if (typeof postMessage === 'function') {
  addEventListener('message', (e) => serve(e.data, (a) => postMessage(a)), { once: true });
} else {
  const name = 'node:worker_threads'; // no literal, so that bundlers for the web leave it alone
  // No await at the top: bundlers may make a classic script of a worker.
  import(/* @vite-ignore */ /* webpackIgnore: true */ name).then(({ parentPort }) =>
    parentPort.once('message', (/** @type {any} */ job) =>
      serve(job, (a) => parentPort.postMessage(a)),
    ),
  );
}
