/**
 * The table of devices: one row for each kind that programs may run on, as in
 * `runtime/devices/table.py`. A device is its row and its folder, which exports what `device.js`
 * describes; no other module of the runtime names it.
 *
 * @module
 */

import { makeFlags } from '../flags.js';

/** @typedef {import('../flags.js').Flags} Flags */
/** @typedef {import('./device.js').Availability} Availability */
/** @typedef {import('./device.js').DeviceClass} DeviceClass */

/**
 * Why a backend was chosen, or not.
 *
 * @typedef {object} Reason
 * @property {string} backend
 * @property {boolean} ok
 * @property {string} reason
 */

/**
 * @typedef {object} Row
 * @property {string} title for a person
 * @property {() => Promise<DeviceClass>} module loads the device's modules, when they are wanted
 */

/** @type {Readonly<Record<string, Row>>} */
export const DEVICES = Object.freeze({
  webgpu: { title: 'WebGPU', module: async () => (await import('./webgpu/device.js')).device },
  webgl: { title: 'WebGL', module: async () => (await import('./webgl/device.js')).device },
  wasm: { title: 'WebAssembly', module: async () => (await import('./wasm/device.js')).device },
});

/**
 * Which backends work here, and why or why not.
 *
 * @param {Partial<Flags>} [flags]
 * @returns {Promise<Reason[]>}
 */
export function backends(flags) {
  const all = makeFlags(flags);
  return Promise.all(
    Object.keys(DEVICES).map(async (kind) => {
      const { ok, reason } = await findDevice(kind, all, kind);
      return { backend: kind, ok, reason };
    }),
  );
}

/**
 * Whether a device is there, and why or why not.
 *
 * @param {string} kind
 * @param {Readonly<Flags>} flags
 * @param {string} target
 * @returns {Promise<Availability>}
 */
export async function findDevice(kind, flags, target) {
  if (!Object.hasOwn(DEVICES, kind)) {
    return { ok: false, reason: `this version of weft has no backend '${kind}'` };
  }
  return (await DEVICES[kind].module()).available(flags, target);
}
