/**
 * Waits for the graphics processor without blocking the page, and reads its own clock.
 *
 * @module
 */

import { checkAborted } from '../../errors.js';
import { lostError } from './context.js';
import { draw } from './draws.js';

/** @typedef {import('./draws.js').Draw} Draw */

/**
 * Wait until everything before has ended.
 *
 * @param {WebGL2RenderingContext} gl
 * @param {() => boolean} current whether the context still is that of the device
 * @param {number} pollMs milliseconds between two looks at the fence
 * @param {AbortSignal} [signal]
 * @throws {import('../../errors.js').ContextLostError}
 */
export async function fence(gl, current, pollMs, signal) {
  const sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  if (!sync || gl.isContextLost()) throw lostError();
  try {
    for (let looks = 0; ; looks++) {
      await pause(looks < 3 ? 0 : pollMs);
      if (!current() || gl.isContextLost()) throw lostError();
      const status = gl.clientWaitSync(sync, 0, 0);
      if (status === gl.ALREADY_SIGNALED || status === gl.CONDITION_SATISFIED) return;
      if (status === gl.WAIT_FAILED) throw lostError();
      checkAborted(signal, 'the run');
    }
  } finally {
    gl.deleteSync(sync);
  }
}

/**
 * When the browser has told what it knows: of a graphics process that has died, `getError` says
 * nothing, and reading leaves the array as it was, until the messages that wait have been heard.
 */
export async function settled() {
  for (let k = 0; k < 3; k++) await pause(0);
}

/**
 * Let the page do other things. Timers of 0 are made to wait 4 ms after a few; messages are not.
 *
 * @param {number} ms
 */
function pause(ms) {
  if (ms > 0 || typeof MessageChannel === 'undefined') {
    return new Promise((go) => setTimeout(go, ms));
  }
  return new Promise((go) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      go(undefined);
    };
    port2.postMessage(0);
  });
}

/**
 * Draw, and read from the device's clock what each draw took.
 *
 * @param {WebGL2RenderingContext} gl
 * @param {readonly Draw[]} draws
 * @param {() => Promise<void>} fence waits until everything before has ended
 * @param {number} pollMs
 * @returns {Promise<Float64Array | null>} milliseconds; null when there is no clock, or it was
 *   disturbed
 */
export async function timeDraws(gl, draws, fence, pollMs) {
  const timer = gl.getExtension('EXT_disjoint_timer_query_webgl2');
  if (!timer) return null;
  gl.getParameter(timer.GPU_DISJOINT_EXT); // reading it resets it
  const queries = draws.map((d) => {
    const query = /** @type {WebGLQuery} */ (gl.createQuery());
    gl.beginQuery(timer.TIME_ELAPSED_EXT, query);
    draw(gl, d);
    gl.endQuery(timer.TIME_ELAPSED_EXT);
    return query;
  });
  try {
    await fence();
    const times = new Float64Array(queries.length);
    const deadline = performance.now() + 2000;
    for (const [k, query] of queries.entries()) {
      while (!gl.getQueryParameter(query, gl.QUERY_RESULT_AVAILABLE)) {
        await pause(pollMs);
        if (gl.isContextLost()) throw lostError();
        if (performance.now() > deadline) return null;
      }
      times[k] = Number(gl.getQueryParameter(query, gl.QUERY_RESULT)) / 1e6;
    }
    return gl.getParameter(timer.GPU_DISJOINT_EXT) ? null : times;
  } finally {
    for (const query of queries) gl.deleteQuery(query);
  }
}
