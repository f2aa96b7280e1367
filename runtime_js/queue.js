/**
 * Lets jobs run one after another, each with an abort signal of its own.
 *
 * @module
 */

import { AbortError, checkAborted } from './errors.js';

export class Queue {
  /** @param {() => void} check throws when no job may run any more */
  constructor(check) {
    this.#check = check;
  }

  #check;
  #busy = false;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** Whether a job is running now. */
  get busy() {
    return this.#busy;
  }

  /**
   * What a job returns, which starts when those before it have ended.
   *
   * @template T
   * @param {() => Promise<T>} job
   * @param {AbortSignal | undefined} signal when it fires, the promise rejects at once; a job that
   *   is running ends before the next one starts
   * @param {string} what the job is, for messages
   * @returns {Promise<T>}
   * @throws {AbortError}
   */
  async run(job, signal, what) {
    this.#check();
    checkAborted(signal, what);
    const done = (async () => {
      if (this.#busy) await new Promise((go) => this.#waiting.push(() => go(undefined)));
      this.#busy = true;
      try {
        this.#check();
        checkAborted(signal, what);
        return await job();
      } catch (e) {
        this.#check(); // whatever else failed, failed because of that
        throw e;
      } finally {
        const next = this.#waiting.shift();
        if (next) next();
        else this.#busy = false;
      }
    })();
    return signal ? abortable(done, signal, what) : done;
  }
}

/**
 * A promise that rejects with AbortError as soon as the signal fires.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} signal
 * @param {string} what
 * @returns {Promise<T>}
 */
function abortable(promise, signal, what) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new AbortError(`${what} was aborted.`, { cause: signal.reason }));
    if (signal.aborted) stop(); // while the promise was being made
    signal.addEventListener('abort', stop, { once: true });
    promise
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}
