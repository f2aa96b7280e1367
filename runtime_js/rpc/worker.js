/**
 * One session of a page that is a device, in a worker: a kernel may keep it for long, and ending it
 * frees all that its client made. The page sends the session's address once there is one, and is
 * told what is going on.
 *
 * @module
 */

import { DEVICES, findDevice } from '../devices/table.js';
import { makeFlags } from '../flags.js';
import { answering } from './answer.js';
import { serve } from './socket.js';

/** @typedef {import('./frames.js').Message} Message */

/** Messages that may take long: others are over before anybody has read that they are there. */
const LASTING = new Set(['load', 'run', 'bench', 'time']);

const port = /** @type {{postMessage: (x: unknown) => void}} */ (/** @type {unknown} */ (self));

/** What can run here, and with which limits. */
async function targets() {
  /** @type {Record<string, {name: string, limits?: Readonly<Record<string, number>>}>} */
  const found = {};
  for (const kind of Object.keys(DEVICES)) {
    const { ok, reason, limits } = await findDevice(kind, makeFlags({}), kind);
    found[kind] = ok ? { name: reason, limits: limits ?? {} } : { name: reason };
  }
  return found;
}

/** Serve a session. @param {string} url @param {string} name */
function work(url, name) {
  const answer = answering(name);
  /** @type {Map<number, string>} */
  const names = new Map();
  const shown = async (/** @type {Message} */ message) => {
    const { kind, program, handle } = message.header;
    if (!LASTING.has(kind)) return answer(message);
    const of = program?.name ?? names.get(handle) ?? '';
    port.postMessage({ what: 'doing', text: `${kind} ${of}`.trim() });
    const said = await answer(message);
    if (said?.header.kind === 'loaded') names.set(said.header.handle, of);
    port.postMessage({ what: 'doing', text: '' });
    return said;
  };
  serve(url, shown, (why) => port.postMessage({ what: 'closed', why }));
}

self.onmessage = async ({ data }) => {
  if (data.what === 'targets') {
    port.postMessage({ what: 'targets', targets: await targets() });
  } else {
    work(data.url, data.name);
  }
};
