/**
 * Shows who is at the hub, once a second.
 *
 * @module
 */

import { row, show } from './view.js';

async function look() {
  try {
    const { devices, waiting, refusals } = await (await fetch('list')).json();
    const busy = devices.filter((/** @type {any} */ d) => d.client).length;
    const refused = refusals ? `; ${count(refusals, 'request')} refused` : '';
    show(
      'state',
      `${count(devices.length, 'device')}, ${busy} busy; ` +
        `${count(waiting.length, 'client')} waiting${refused}`,
    );
    row('devices', ...devices.map(rowOf));
    row('waiting', ...waiting.map((/** @type {any} */ w) => [w.key, w.client]));
  } catch {
    show('state', 'the hub does not answer');
  }
}

/** @param {number} n @param {string} word */
const count = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;

/** @param {any} d */
function rowOf(d) {
  const now = d.client ? `${d.client}, ${lasting(d.seconds)}` : 'free';
  return [d.key, d.name, Object.keys(d.targets).join(', '), now, String(d.sessions)];
}

/** @param {number} seconds */
function lasting(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

for (;;) {
  await look();
  await new Promise((go) => setTimeout(go, 1000));
}
