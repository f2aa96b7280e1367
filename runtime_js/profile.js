/**
 * What the kernels of a program take: the rows of a profile, and inputs to measure with.
 *
 * @module
 */

import { DTYPES, allocate, dtypeOf, sizeOf } from './dtype.js';

/** @typedef {import('./dtype.js').TypedArray} TypedArray */
/** @typedef {import('./tensor.js').TensorSpec} TensorSpec */

/**
 * @typedef {object} ProfileRow
 * @property {string} label the graph nodes that the kernel computes
 * @property {string} kernel
 * @property {string} device
 * @property {number} ms median
 */

/** Gathers the times of several runs. */
export class Profile {
  /** @type {Map<string, ProfileRow & {times: number[]}>} */
  #rows = new Map();

  /**
   * @param {string} key one for each row
   * @param {ProfileRow} row with the time of one run
   */
  add(key, row) {
    const known = this.#rows.get(key);
    if (known) known.times.push(row.ms);
    else this.#rows.set(key, { ...row, times: [row.ms] });
  }

  /** @returns {ProfileRow[]} with the median of all runs */
  rows() {
    return [...this.#rows.values()].map(({ times, ...row }) => ({ ...row, ms: median(times) }));
  }
}

/**
 * Inputs whose floats are random in [-1, 1), the same in every call, and all else zero.
 *
 * @param {readonly TensorSpec[]} specs
 * @returns {Record<string, TypedArray>}
 */
export function randomFeeds(specs) {
  let seed = 1;
  const next = () => (seed = (seed * 48271) % 0x7fffffff) / 0x7fffffff;
  return Object.fromEntries(
    specs.map(({ name, dtype, shape }) => {
      const d = dtypeOf(dtype);
      const data = /** @type {any} */ (allocate(d, sizeOf(shape)));
      if (d === DTYPES.float32 || d === DTYPES.float64) {
        for (let i = 0; i < data.length; i++) data[i] = next() * 2 - 1;
      }
      return [name, data];
    }),
  );
}

/** @param {number[]} values */
function median(values) {
  const sorted = values.sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
