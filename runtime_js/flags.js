/**
 * Switches that change how a model is run; all have a default and none changes what it computes
 * (but for `forceHalfFloat`, which rounds).
 *
 * @module
 */

import { InputError } from './errors.js';

/**
 * @typedef {object} Flags
 * @property {boolean} forceHalfFloat webgl: render to 16-bit floats even where 32 bits are there
 * @property {boolean} debug check every kernel's result for NaN and name the first bad kernel; slow
 * @property {boolean} cache keep weights in the browser's Cache storage between visits
 * @property {boolean} warmUp run once on zeros inside `load`, so that the first inference is fast
 * @property {number} threads wasm: workers to use; 0 means as many as the machine offers
 * @property {number} pollMs webgl: milliseconds between two looks at a fence
 * @property {boolean} blocking webgl: reading results stops the page until they are there, which is
 *   quicker; for pages that have nothing else to do
 */

/** @type {Readonly<Flags>} */
export const DEFAULT_FLAGS = Object.freeze({
  forceHalfFloat: false,
  debug: false,
  cache: true,
  warmUp: false,
  threads: 0,
  pollMs: 1,
  blocking: false,
});

/**
 * The defaults with some of them changed.
 *
 * @param {Partial<Flags>} [changes]
 * @returns {Readonly<Flags>}
 * @throws {InputError} for a flag that does not exist or has the wrong type
 */
export function makeFlags(changes = {}) {
  for (const [name, value] of Object.entries(changes)) {
    const usual = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (DEFAULT_FLAGS))[
      name
    ];
    if (usual === undefined || typeof value !== typeof usual) {
      throw new InputError(
        usual === undefined
          ? `there is no flag '${name}'.`
          : `the flag '${name}' is a ${typeof usual}, not a ${typeof value}.`,
        { where: 'flags', hint: `flags: ${Object.keys(DEFAULT_FLAGS).join(', ')}` },
      );
    }
  }
  return Object.freeze({ ...DEFAULT_FLAGS, ...changes });
}
